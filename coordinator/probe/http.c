#include "http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "shard.h"

enum {
    CA_CACHE_S = 300,
    BUFFER_BYTES = 4096, /* libcurl's, one a probe: answers are short */
    PIN_SIZE = 64,
    RESOLVE_SIZE = PIN_SIZE + 16 + PROBE_ADDRESS_MAX * (INET6_ADDRSTRLEN + 3),
};

/* CURLOPT_WRITEFUNCTION. Without a text to match the body is only counted. */
static size_t on_body(char *data, size_t size, size_t count, void *context) {
    struct probe_check *check = context;
    size_t size_bytes = size * count;
    size_t room_bytes = PROBE_BODY_MAX - check->http.body_bytes;
    size_t taken_bytes = size_bytes < room_bytes ? size_bytes : room_bytes;
    check->http.body_bytes += taken_bytes;
    if (check->target.match[0] != '\0') {
        (void)buffer_append(&check->http.body, data, taken_bytes);
    }
    if (taken_bytes < size_bytes) {
        check->http.body_full = true; /* enough: ends the transfer */
        return 0;
    }
    return size_bytes;
}

/* CURLOPT_HEADERFUNCTION. */
static size_t on_header(char *data, size_t size, size_t count, void *context) {
    (void)data;
    struct probe_check *check = context;
    size_t size_bytes = size * count;
    if (size_bytes > PROBE_HEADER_MAX - check->http.header_bytes) {
        check->http.header_full = true;
        return 0;
    }
    check->http.header_bytes += size_bytes;
    return size_bytes;
}

/* CURLOPT_PREREQFUNCTION: connected, handshake done, or a kept connection taken. */
static int on_ready(void *context, char *remote_ip, char *local_ip, int remote_port,
                    int local_port) {
    (void)remote_ip;
    (void)local_ip;
    (void)remote_port;
    (void)local_port;
    struct probe_check *check = context;
    check->http.connected = true;
    return CURL_PREREQFUNC_OK;
}

/* CURLOPT_SSL_CTX_FUNCTION: connected, the handshake begins. */
static CURLcode on_handshake(CURL *easy, void *context, void *argument) {
    (void)easy;
    (void)context;
    struct probe_check *check = argument;
    check->http.connected = true;
    return CURLE_OK;
}

#define SET(option, value) failed |= curl_easy_setopt(easy, option, value) != CURLE_OK

static bool set_tls(struct probe_check *check, CURL *easy) {
    const struct probe_target *target = &check->target;
    bool failed = false;
    SET(CURLOPT_SSL_VERIFYPEER, target->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, target->insecure ? 0L : 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* A resumed session skips the certificate, which is part of what we check. */
    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
    /* Without a directory libcurl keeps the parsed authorities in the shard. */
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_CA_CACHE_TIMEOUT, (long)CA_CACHE_S);
    SET(CURLOPT_SSL_CTX_FUNCTION, on_handshake);
    SET(CURLOPT_SSL_CTX_DATA, check);
    if (target->ca_file[0] != '\0') {
        SET(CURLOPT_CAINFO, target->ca_file);
    }
    if (target->cert_file[0] != '\0') {
        SET(CURLOPT_SSLCERT, target->cert_file);
        SET(CURLOPT_SSLKEY, target->key_file);
    }
    return !failed;
}

static bool set_options(struct probe_check *check, CURL *easy) {
    const struct probe_target *target = &check->target;
    /* Ours is the timeout that counts, exact and covering the resolving; this one is a net. */
    long net_ms = (long)target->timeout_ms + 2L * PROBE_SLACK_MS;
    bool failed = false;
    SET(CURLOPT_PRIVATE, check);
    SET(CURLOPT_URL, check->endpoint.url);
    SET(CURLOPT_ERRORBUFFER, check->http.message);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOPROGRESS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, ""); /* also none from the environment */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "noctua/" NOCTUA_VERSION);
    SET(CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    SET(CURLOPT_CONNECTTIMEOUT_MS, net_ms);
    SET(CURLOPT_TIMEOUT_MS, net_ms);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, check);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, check);
    SET(CURLOPT_PREREQFUNCTION, on_ready);
    SET(CURLOPT_PREREQDATA, check);
    SET(CURLOPT_FRESH_CONNECT, target->keep_alive ? 0L : 1L);
    SET(CURLOPT_FORBID_REUSE, target->keep_alive ? 0L : 1L);
    if (check->endpoint.host_header[0] != '\0') {
        check->http.headers = curl_slist_append(NULL, check->endpoint.host_header);
        failed |= check->http.headers == NULL;
        SET(CURLOPT_HTTPHEADER, check->http.headers);
    }
    return !failed && (target->type != PROBE_TYPE_HTTPS || set_tls(check, easy));
}

bool probe_http_open(struct probe_check *check) {
    check->http.easy = curl_easy_init();
    if (check->http.easy == NULL || !set_options(check, check->http.easy)) {
        return false;
    }
    check->http.shard = probe_shard_acquire(check->engine, check->target.ca_file);
    return check->http.shard != NULL;
}

void probe_http_close(struct probe_check *check) {
    struct probe_http *http = &check->http;
    curl_easy_cleanup(http->easy);
    curl_slist_free_all(http->headers);
    curl_slist_free_all(http->resolve);
    curl_slist_free_all(http->connect_to);
    buffer_finish(&http->body);
    if (http->shard != NULL) {
        probe_shard_release(http->shard);
    }
    *http = (struct probe_http){0};
}

static bool append_address(struct buffer *text, const struct probe_address *address) {
    char digits[INET6_ADDRSTRLEN];
    if (address->socket_address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->socket_address;
        return uv_ip6_name(v6, digits, sizeof digits) == 0 &&
               buffer_append_format(text, "[%s]", digits);
    }
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->socket_address;
    return uv_ip4_name(v4, digits, sizeof digits) == 0 && buffer_append_text(text, digits);
}

/* Names a set of addresses, whatever their order: equal sets, equal names. */
static uint64_t hash_addresses(const struct probe_address *addresses, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sockaddr_storage *it = &addresses[i].socket_address;
        bool v6 = it->ss_family == AF_INET6;
        const void *bytes = v6 ? (const void *)&((const struct sockaddr_in6 *)it)->sin6_addr
                               : (const void *)&((const struct sockaddr_in *)it)->sin_addr;
        size_t size_bytes = v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
        uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
        for (size_t b = 0; b < size_bytes; b++) {
            hash = (hash ^ ((const unsigned char *)bytes)[b]) * UINT64_C(0x100000001b3);
        }
        sum += hash;
    }
    return sum;
}

/* Tells libcurl where to connect to. It looks for a connection to take up again by the name that it
 * connects to; so this is a name made from the addresses, not the host: a connection kept from
 * before the host moved, or one to another region under the same server name, is never taken. */
static bool pin_addresses(struct probe_check *check) {
    struct probe_http *http = &check->http;
    curl_slist_free_all(http->resolve);
    curl_slist_free_all(http->connect_to);
    http->resolve = NULL;
    http->connect_to = NULL;
    char pin[PIN_SIZE];
    char connect_to[PIN_SIZE + 8];
    (void)snprintf(pin, sizeof pin, "addresses-%016" PRIx64 ".invalid",
                   hash_addresses(check->addresses, check->address_count));
    (void)snprintf(connect_to, sizeof connect_to, "::%s:", pin);
    struct buffer resolve;
    buffer_init(&resolve, RESOLVE_SIZE);
    /* "+": forgotten again by and by, so that old names don't pile up. */
    (void)buffer_append_format(&resolve, "+%s:%u:", pin, check->endpoint.port);
    bool ok = true;
    for (size_t i = 0; i < check->address_count; i++) {
        ok = ok && (i == 0 || buffer_append_text(&resolve, ",")) &&
             append_address(&resolve, &check->addresses[i]);
    }
    if (ok && !resolve.failed) {
        http->resolve = curl_slist_append(NULL, resolve.data);
        http->connect_to = curl_slist_append(NULL, connect_to);
    }
    buffer_finish(&resolve);
    return http->resolve != NULL && http->connect_to != NULL &&
           curl_easy_setopt(http->easy, CURLOPT_RESOLVE, http->resolve) == CURLE_OK &&
           curl_easy_setopt(http->easy, CURLOPT_CONNECT_TO, http->connect_to) == CURLE_OK;
}

enum probe_result_code probe_http_start(struct probe_check *check) {
    struct probe_http *http = &check->http;
    buffer_clear(&http->body);
    http->body_bytes = 0;
    http->header_bytes = 0;
    http->body_full = false;
    http->header_full = false;
    http->connected = false;
    http->message[0] = '\0';
    bool pinned = check->host != NULL || check->target.server_name[0] != '\0';
    if (pinned && !pin_addresses(check)) {
        return PROBE_INTERNAL;
    }
    return curl_multi_add_handle(http->shard->multi, http->easy) == CURLM_OK ? PROBE_OK
                                                                             : PROBE_INTERNAL;
}

void probe_http_stop(struct probe_check *check) {
    (void)curl_multi_remove_handle(check->http.shard->multi, check->http.easy);
    buffer_finish(&check->http.body);
}

enum probe_result_code probe_http_timeout_code(const struct probe_check *check) {
    return check->http.connected ? PROBE_TIMEOUT : PROBE_TIMEOUT_CONNECT;
}

uint32_t probe_http_shard_count(const struct probe_engine *engine) {
    uint32_t count = 0;
    for (const struct probe_shard *it = engine->shards; it != NULL; it = it->next) {
        count++;
    }
    return count;
}

static bool is_expected(const struct probe_target *target, long status) {
    if (target->expect_count == 0) {
        return status >= 200 && status <= 399;
    }
    for (uint32_t i = 0; i < target->expect_count; i++) {
        if (status >= target->expect[i].low && status <= target->expect[i].high) {
            return true;
        }
    }
    return false;
}

static enum probe_result_code judge_answer(const struct probe_check *check, long status) {
    const struct probe_http *http = &check->http;
    const char *match = check->target.match;
    if (status == 0) {
        return PROBE_PROTOCOL;
    }
    if (!is_expected(&check->target, status)) {
        return PROBE_STATUS;
    }
    if (match[0] == '\0') {
        return PROBE_OK;
    }
    if (http->body.failed) {
        return PROBE_INTERNAL;
    }
    bool found = http->body.size_bytes > 0 &&
                 memmem(http->body.data, http->body.size_bytes, match, strlen(match)) != NULL;
    if (found) {
        return PROBE_OK;
    }
    return http->body_full ? PROBE_TOO_LARGE : PROBE_BODY;
}

static enum probe_result_code judge_connect(CURL *easy) {
    long number = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    switch (number) {
    case ECONNREFUSED:
        return PROBE_REFUSED;
    case ECONNRESET:
    case ECONNABORTED:
        return PROBE_RESET;
    case ETIMEDOUT:
        return PROBE_TIMEOUT_CONNECT;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EACCES:
    case EPERM:
        return PROBE_UNREACHABLE;
    default:
        return PROBE_INTERNAL; /* descriptors, ports, memory: ours */
    }
}

/* In TLS 1.3 a server says only after the handshake that it wants another client certificate: an
 * alert where the answer should be. libcurl tells it from a plain reset by its words alone. */
static bool is_tls_alert(const struct probe_check *check) {
    return text_starts_with(check->http.message, "OpenSSL ") &&
           strstr(check->http.message, "error:") != NULL;
}

static enum probe_result_code judge(const struct probe_check *check, CURLcode rc, long status) {
    switch (rc) {
    case CURLE_OK:
        return judge_answer(check, status);
    case CURLE_WRITE_ERROR:
        return check->http.header_full ? PROBE_PROTOCOL : judge_answer(check, status);
    case CURLE_COULDNT_CONNECT:
        return judge_connect(check->http.easy);
    case CURLE_OPERATION_TIMEDOUT:
        return probe_http_timeout_code(check);
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return is_tls_alert(check) ? PROBE_TLS : PROBE_RESET;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return PROBE_RESET;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
        return PROBE_TLS;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return PROBE_TLS_VERIFY;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_FILESIZE_EXCEEDED:
        return PROBE_PROTOCOL;
    case CURLE_OUT_OF_MEMORY: /* libcurl's word for a header line of over 100 KB, too */
        return check->http.connected ? PROBE_PROTOCOL : PROBE_INTERNAL;
    default:
        /* Out of memory, unreadable files, a libcurl without TLS: what we don't know is no
         * evidence.
         */
        return PROBE_INTERNAL;
    }
}

void probe_http_done(struct probe_check *check, CURLcode rc) {
    assert(check->phase == PROBE_RUNNING);
    long status = 0;
    (void)curl_easy_getinfo(check->http.easy, CURLINFO_RESPONSE_CODE, &status);
    enum probe_result_code code = judge(check, rc, status);
    buffer_finish(&check->http.body);
    probe_check_finish(check, code, status > 0 ? (uint32_t)status : 0);
}
