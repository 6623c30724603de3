#include "target.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

static bool is_terminated(const char *text, size_t size) {
    return memchr(text, '\0', size) != NULL;
}

static const char *const schemes[] = {[PROBE_TYPE_HTTP] = "http",
                                      [PROBE_TYPE_HTTPS] = "https",
                                      [PROBE_TYPE_TCP] = "tcp",
                                      [PROBE_TYPE_FED] = ""};

enum error_code probe_target_check_texts(const struct probe_target *t, struct error *error) {
    bool ok = is_terminated(t->check, sizeof t->check) && is_terminated(t->url, sizeof t->url) &&
              is_terminated(t->match, sizeof t->match) &&
              is_terminated(t->ca_file, sizeof t->ca_file) &&
              is_terminated(t->cert_file, sizeof t->cert_file) &&
              is_terminated(t->key_file, sizeof t->key_file) &&
              is_terminated(t->server_name, sizeof t->server_name);
    return ok ? ERROR_OK
              : error_set(error, ERROR_LIMIT, "check '%.*s': a text is too long", NAME_SIZE - 1,
                          t->check);
}

static enum error_code check_numbers(const struct probe_target *t, struct error *error) {
    if (t->check[0] == '\0') {
        return error_set(error, ERROR_INVALID, "a check has no name");
    }
    if ((unsigned)t->type >= PROBE_TYPE_COUNT) {
        return error_set(error, ERROR_INVALID, "check '%s': unknown type", t->check);
    }
    if (t->timeout_ms < PROBE_TIMEOUT_MIN_MS || t->timeout_ms > PROBE_TIMEOUT_MAX_MS) {
        return error_set(error, ERROR_LIMIT, "check '%s': timeout must be %u to %u ms", t->check,
                         PROBE_TIMEOUT_MIN_MS, PROBE_TIMEOUT_MAX_MS);
    }
    if (t->interval_ms < PROBE_INTERVAL_MIN_MS || t->interval_ms > PROBE_INTERVAL_MAX_MS) {
        return error_set(error, ERROR_LIMIT, "check '%s': interval must be %u to %u ms", t->check,
                         PROBE_INTERVAL_MIN_MS, PROBE_INTERVAL_MAX_MS);
    }
    if (t->fall < 1 || t->fall > PROBE_RUN_MAX || t->rise < 1 || t->rise > PROBE_RUN_MAX) {
        return error_set(error, ERROR_LIMIT, "check '%s': fall and rise must be 1 to %u", t->check,
                         PROBE_RUN_MAX);
    }
    if (t->expect_count > PROBE_STATUS_RANGE_MAX) {
        return error_set(error, ERROR_LIMIT, "check '%s': over %u ranges of statuses", t->check,
                         PROBE_STATUS_RANGE_MAX);
    }
    for (uint32_t i = 0; i < t->expect_count; i++) {
        const struct probe_status_range *range = &t->expect[i];
        if (range->low < 100 || range->high > 599 || range->low > range->high) {
            return error_set(error, ERROR_INVALID, "check '%s': %u-%u is no range of statuses",
                             t->check, range->low, range->high);
        }
    }
    return ERROR_OK;
}

static enum error_code check_tls(const struct probe_target *t, struct error *error) {
    bool wants_tls = t->ca_file[0] != '\0' || t->cert_file[0] != '\0' || t->key_file[0] != '\0' ||
                     t->server_name[0] != '\0' || t->insecure;
    if (t->type != PROBE_TYPE_HTTPS && wants_tls) {
        return error_set(error, ERROR_INVALID, "check '%s': TLS settings are for https only",
                         t->check);
    }
    if ((t->cert_file[0] == '\0') != (t->key_file[0] == '\0')) {
        return error_set(error, ERROR_INVALID,
                         "check '%s': a client certificate needs both its file and its key's",
                         t->check);
    }
    return ERROR_OK;
}

/* Copies a part of the URL; "" where there is none. False: too long, or no memory. */
static bool get_part(CURLU *url, CURLUPart part, unsigned flags, char *to, size_t to_size) {
    char *text = NULL;
    CURLUcode rc = curl_url_get(url, part, &text, flags);
    if (rc != CURLUE_OK) {
        to[0] = '\0';
        return rc != CURLUE_OUT_OF_MEMORY;
    }
    bool ok = text_copy(to, to_size, text);
    curl_free(text);
    return ok;
}

static bool has_part(CURLU *url, CURLUPart part) {
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

static bool is_host(const char *host) {
    for (const char *p = host; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c <= ' ' || c >= 0x7f || strchr("/@#?\\", c) != NULL) {
            return false;
        }
    }
    return host[0] != '\0';
}

/* host as the URL has it, "[v6]" or a name, into the endpoint. */
static bool set_host(struct probe_endpoint *endpoint, const char *host) {
    size_t length = strlen(host);
    if (host[0] == '[' && length > 2) {
        memcpy(endpoint->host, host + 1, length - 2);
        endpoint->host[length - 2] = '\0';
        endpoint->is_literal = true;
        return uv_ip6_addr(endpoint->host, 0,
                           (struct sockaddr_in6 *)&endpoint->literal.socket_address) == 0;
    }
    memcpy(endpoint->host, host, length + 1);
    endpoint->is_literal =
        uv_ip4_addr(host, 0, (struct sockaddr_in *)&endpoint->literal.socket_address) == 0;
    return true;
}

/* The URL that libcurl gets: certificate and SNI follow its host, so that is the server name; where
 * to connect to, and the Host header, are told separately. */
static bool set_url(CURLU *url, const struct probe_target *t, const char *host,
                    struct probe_endpoint *endpoint) {
    char name[PROBE_HOST_SIZE];
    bool renamed = t->server_name[0] != '\0';
    if (!text_copy(name, sizeof name, renamed ? t->server_name : host)) {
        return false;
    }
    size_t length = strlen(name);
    if (length > 1 && name[length - 1] == '.') {
        name[length - 1] = '\0'; /* names in certificates have no trailing dot */
    }
    if (renamed) {
        uint16_t usual = t->type == PROBE_TYPE_HTTPS ? 443 : 80;
        char port[8] = "";
        if (endpoint->port != usual) {
            (void)snprintf(port, sizeof port, ":%u", endpoint->port);
        }
        (void)snprintf(endpoint->host_header, sizeof endpoint->host_header, "Host: %s%s", host,
                       port);
    }
    return curl_url_set(url, CURLUPART_HOST, name, 0) == CURLUE_OK &&
           curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK &&
           get_part(url, CURLUPART_URL, 0, endpoint->url, sizeof endpoint->url);
}

/* The messages don't show the URL: a password may be in it. */
static enum error_code parse_url(CURLU *url, const struct probe_target *t,
                                 struct probe_endpoint *endpoint, struct error *error) {
    char text[PROBE_HOST_SIZE];
    unsigned flags = CURLU_NON_SUPPORT_SCHEME;
    if (curl_url_set(url, CURLUPART_URL, t->url, flags) != CURLUE_OK ||
        !get_part(url, CURLUPART_SCHEME, 0, text, sizeof text) ||
        strcasecmp(text, schemes[t->type]) != 0) {
        return error_set(error, ERROR_INVALID, "check '%s': not a good %s:// URL", t->check,
                         schemes[t->type]);
    }
    if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD)) {
        return error_set(error, ERROR_INVALID, "check '%s': a URL must not carry a password",
                         t->check);
    }
    uint64_t port = 0;
    bool has_port =
        get_part(url, CURLUPART_PORT, t->type == PROBE_TYPE_TCP ? 0 : CURLU_DEFAULT_PORT, text,
                 sizeof text) &&
        text_to_u64(text, 1, 65535, &port);
    if (!has_port) {
        return error_set(error, ERROR_INVALID, "check '%s': its URL has no port from 1 to 65535",
                         t->check);
    }
    endpoint->port = (uint16_t)port;
    if (has_part(url, CURLUPART_ZONEID) || !get_part(url, CURLUPART_HOST, 0, text, sizeof text) ||
        !is_host(text) || (t->server_name[0] != '\0' && !is_host(t->server_name)) ||
        !set_host(endpoint, text)) {
        return error_set(error, ERROR_INVALID, "check '%s': its URL has no usable host", t->check);
    }
    if (t->type == PROBE_TYPE_TCP) {
        bool bare = get_part(url, CURLUPART_PATH, 0, text, sizeof text) &&
                    (text[0] == '\0' || text_equal(text, "/")) && !has_part(url, CURLUPART_QUERY);
        return bare ? ERROR_OK
                    : error_set(error, ERROR_INVALID, "check '%s': tcp://host:port and no more",
                                t->check);
    }
    return set_url(url, t, text, endpoint)
               ? ERROR_OK
               : error_set(error, ERROR_INVALID, "check '%s': its URL has no usable host",
                           t->check);
}

enum error_code probe_target_check(const struct probe_target *target,
                                   struct probe_endpoint *ret_endpoint, struct error *error) {
    enum error_code code = check_numbers(target, error);
    code = code != ERROR_OK ? code : check_tls(target, error);
    if (code != ERROR_OK) {
        return code;
    }
    struct probe_endpoint endpoint = {0};
    if (target->type == PROBE_TYPE_FED) {
        *ret_endpoint = endpoint;
        return ERROR_OK;
    }
    CURLU *url = curl_url();
    if (url == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "check '%s': out of memory", target->check);
    }
    code = parse_url(url, target, &endpoint, error);
    curl_url_cleanup(url);
    if (code == ERROR_OK) {
        *ret_endpoint = endpoint;
    }
    return code;
}

static bool same_expect(const struct probe_target *a, const struct probe_target *b) {
    if (a->expect_count != b->expect_count) {
        return false;
    }
    /* An unusable target may have a count beyond its ranges. */
    for (uint32_t i = 0; i < a->expect_count && i < PROBE_STATUS_RANGE_MAX; i++) {
        if (a->expect[i].low != b->expect[i].low || a->expect[i].high != b->expect[i].high) {
            return false;
        }
    }
    return true;
}

bool probe_target_same(const struct probe_target *a, const struct probe_target *b) {
    return text_equal(a->check, b->check) && a->type == b->type && text_equal(a->url, b->url) &&
           same_expect(a, b) && text_equal(a->match, b->match) && a->timeout_ms == b->timeout_ms &&
           a->interval_ms == b->interval_ms && a->fall == b->fall && a->rise == b->rise &&
           a->critical == b->critical && a->keep_alive == b->keep_alive &&
           a->insecure == b->insecure && text_equal(a->ca_file, b->ca_file) &&
           text_equal(a->cert_file, b->cert_file) && text_equal(a->key_file, b->key_file) &&
           text_equal(a->server_name, b->server_name);
}

/* FNV-1a, 64 bits. */
static uint64_t hash_text(uint64_t hash, const char *text) {
    for (const char *p = text;; p++) {
        hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        if (*p == '\0') {
            return hash;
        }
    }
}

uint64_t probe_target_hash(const struct probe_target *target) {
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), target->check);
    return hash_text(hash_text(hash, target->url), target->match);
}

int probe_target_compare(const struct probe_target *a, const struct probe_target *b) {
    if (a->service != b->service) {
        return a->service < b->service ? -1 : 1;
    }
    if (a->region != b->region) {
        return a->region < b->region ? -1 : 1;
    }
    return strcmp(a->check, b->check);
}
