#include "aws_sign.h"

#include <ctype.h>
#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aws_text.h"
#include "base/buffer.h"
#include "base/text.h"

#define HEX_SIZE (2 * SHA256_DIGEST_LENGTH + 1)
#define HEADER_NAME_SIZE 64

enum { HEADER_COUNT_MAX = HTTP_CLIENT_HEADER_MAX + AWS_SIGN_HEADER_MAX };

struct header {
    char name[HEADER_NAME_SIZE]; /* lower case */
    const char *value;
};

struct headers {
    struct header items[HEADER_COUNT_MAX];
    uint32_t count;
};

/* --- headers -------------------------------------------------------------------------------- */

static bool add_header(struct headers *headers, const char *line) {
    const char *colon = strchr(line, ':');
    if (colon == NULL || (size_t)(colon - line) >= HEADER_NAME_SIZE ||
        headers->count == HEADER_COUNT_MAX) {
        return false;
    }
    struct header *header = &headers->items[headers->count++];
    size_t length = (size_t)(colon - line);
    for (size_t i = 0; i < length; i++) {
        header->name[i] = (char)tolower((unsigned char)line[i]);
    }
    header->name[length] = '\0';
    header->value = colon + 1;
    return true;
}

static const struct header *find_header(const struct headers *headers, const char *name) {
    for (uint32_t i = 0; i < headers->count; i++) {
        if (text_equal(headers->items[i].name, name)) {
            return &headers->items[i];
        }
    }
    return NULL;
}

static int compare_headers(const void *a, const void *b) {
    const struct header *const left = a, *const right = b;
    return strcmp(left->name, right->name);
}

/* Without spaces around it, and with one for each run of them. */
static void append_value(struct buffer *out, const char *value) {
    value += strspn(value, " \t");
    while (*value != '\0') {
        size_t word = strcspn(value, " \t");
        buffer_append(out, value, word);
        value += word + strspn(value + word, " \t");
        buffer_append_text(out, *value == '\0' ? "" : " ");
    }
}

static enum error_code collect_headers(const struct http_request *request,
                                       struct aws_signature *signature, const char *host,
                                       struct headers *headers, struct error *error) {
    bool ok = true;
    for (unsigned i = 0; i < HTTP_CLIENT_HEADER_MAX && request->headers[i] != NULL; i++) {
        ok = ok && add_header(headers, request->headers[i]);
    }
    if (find_header(headers, "host") == NULL) {
        ok = ok && snprintf(signature->host, sizeof signature->host, "Host: %s", host) <
                       (int)sizeof signature->host;
        ok = ok && add_header(headers, signature->host);
    }
    ok = ok && add_header(headers, signature->date);
    ok = ok && (signature->token[0] == '\0' || add_header(headers, signature->token));
    if (!ok) {
        return error_set(error, ERROR_LIMIT,
                         "a header is too long to be signed, or there are "
                         "too many");
    }
    qsort(headers->items, headers->count, sizeof headers->items[0], compare_headers);
    for (uint32_t i = 1; i < headers->count; i++) {
        if (text_equal(headers->items[i - 1].name, headers->items[i].name)) {
            return error_set(error, ERROR_INVALID, "the header %s is there twice",
                             headers->items[i].name);
        }
    }
    return ERROR_OK;
}

static void append_names(struct buffer *out, const struct headers *headers) {
    for (uint32_t i = 0; i < headers->count; i++) {
        buffer_append_format(out, "%s%s", i == 0 ? "" : ";", headers->items[i].name);
    }
}

/* --- the address ---------------------------------------------------------------------------- */

struct address {
    char *host, *port, *path, *query; /* libcurl's; port, query: NULL where there is none */
};

static void address_finish(struct address *address) {
    curl_free(address->host);
    curl_free(address->port);
    curl_free(address->path);
    curl_free(address->query);
}

static enum error_code address_read(const char *url, struct address *ret_address,
                                    struct error *error) {
    struct address address = {.host = NULL};
    CURLU *parts = curl_url();
    bool ok = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, CURLU_PATH_AS_IS) == 0 &&
              curl_url_get(parts, CURLUPART_HOST, &address.host, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_PATH, &address.path, 0) == CURLUE_OK;
    if (ok) { /* either may be missing; the port also when it is the scheme's own */
        (void)curl_url_get(parts, CURLUPART_PORT, &address.port, CURLU_NO_DEFAULT_PORT);
        (void)curl_url_get(parts, CURLUPART_QUERY, &address.query, 0);
    }
    curl_url_cleanup(parts);
    if (!ok) {
        address_finish(&address);
        (void)error_set(error, ERROR_INVALID, "'%.150s' is not a URL", url);
        return ERROR_INVALID;
    }
    *ret_address = address;
    return ERROR_OK;
}

/* Encoded once more on top of what goes over the wire: every service but S3 does so. */
static void append_path(struct buffer *out, const char *path) {
    for (const char *segment = path; *segment != '\0';) {
        size_t length = strcspn(segment, "/");
        char *copy = strndup(segment, length);
        if (copy == NULL || !aws_append_encoded(out, copy)) {
            out->failed = true;
        }
        free(copy);
        segment += length;
        if (*segment == '/') {
            buffer_append_text(out, "/");
            segment++;
        }
    }
}

/* --- the signature -------------------------------------------------------------------------- */

static void hash(const void *bytes, size_t size_bytes, char hex[HEX_SIZE]) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(bytes, size_bytes, digest);
    text_to_hex(digest, sizeof digest, hex);
}

static bool mac(const void *key, size_t key_bytes, const char *text,
                unsigned char digest[SHA256_DIGEST_LENGTH]) {
    unsigned char result[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    bool ok = HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)text, strlen(text),
                   result, &length) != NULL &&
              length == SHA256_DIGEST_LENGTH;
    if (ok) {
        memcpy(digest, result, SHA256_DIGEST_LENGTH);
    }
    explicit_bzero(result, sizeof result);
    return ok;
}

/* The key of a day, region and service, and then the text's signature by it. */
static bool sign_text(const struct aws_keys *keys, const char *day, const char *service,
                      const char *region, const char *text, char hex[HEX_SIZE]) {
    char start[AWS_SECRET_SIZE + 4];
    unsigned char key[SHA256_DIGEST_LENGTH];
    (void)snprintf(start, sizeof start, "AWS4%s", keys->secret_access_key);
    bool ok = mac(start, strlen(start), day, key) && mac(key, sizeof key, region, key) &&
              mac(key, sizeof key, service, key) && mac(key, sizeof key, "aws4_request", key) &&
              mac(key, sizeof key, text, key);
    text_to_hex(key, sizeof key, hex);
    explicit_bzero(start, sizeof start);
    explicit_bzero(key, sizeof key);
    return ok;
}

static bool hash_request(const struct http_request *request, const struct address *address,
                         const struct headers *headers, char hex[HEX_SIZE]) {
    struct buffer canonical;
    char body_hash[HEX_SIZE];
    buffer_init(&canonical, 0);
    buffer_append_format(&canonical, "%s\n", request->method);
    append_path(&canonical, address->path);
    buffer_append_format(&canonical, "\n%s\n", address->query == NULL ? "" : address->query);
    for (uint32_t i = 0; i < headers->count; i++) {
        buffer_append_format(&canonical, "%s:", headers->items[i].name);
        append_value(&canonical, headers->items[i].value);
        buffer_append_text(&canonical, "\n");
    }
    buffer_append_text(&canonical, "\n");
    append_names(&canonical, headers);
    hash(request->body == NULL ? "" : request->body,
         request->body == NULL ? 0 : request->body_size_bytes, body_hash);
    buffer_append_format(&canonical, "\n%s", body_hash);
    bool ok = !canonical.failed;
    if (ok) {
        hash(canonical.data, canonical.size_bytes, hex);
    }
    if (canonical.data != NULL) {
        explicit_bzero(canonical.data, canonical.capacity_bytes); /* a session token */
    }
    buffer_finish(&canonical);
    return ok;
}

static bool write_authorization(const struct aws_keys *keys, const char *service,
                                const char *region, const char *time_stamp,
                                const struct headers *headers, const char *request_hash,
                                char *authorization, size_t authorization_size) {
    char day[9], hex[HEX_SIZE];
    struct buffer text, line;
    (void)snprintf(day, sizeof day, "%.8s", time_stamp);
    buffer_init(&text, 0);
    buffer_init(&line, authorization_size - 1);
    buffer_append_format(&text, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", time_stamp, day,
                         region, service, request_hash);
    bool ok = !text.failed && sign_text(keys, day, service, region, text.data, hex);
    buffer_append_format(&line,
                         "Authorization: AWS4-HMAC-SHA256 "
                         "Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=",
                         keys->access_key_id, day, region, service);
    append_names(&line, headers);
    buffer_append_format(&line, ", Signature=%s", ok ? hex : "");
    ok = ok && !line.failed && text_copy(authorization, authorization_size, line.data);
    buffer_finish(&text);
    buffer_finish(&line);
    return ok;
}

static void write_time(uint64_t wall_ms, char text[17]) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    (void)strftime(text, 17, "%Y%m%dT%H%M%SZ", &parts);
}

enum error_code aws_sign(const struct http_request *request, const struct aws_keys *keys,
                         const char *service, const char *region, uint64_t wall_ms,
                         struct aws_signature *ret_signature, struct error *error) {
    struct aws_signature signature = {.host = ""};
    struct headers headers = {.count = 0};
    struct address address = {.host = NULL};
    char time_stamp[17], request_hash[HEX_SIZE], host[512];
    enum error_code code = address_read(request->url, &address, error);
    if (code != ERROR_OK) {
        return code;
    }
    (void)snprintf(host, sizeof host, "%s%s%s", address.host, address.port == NULL ? "" : ":",
                   address.port == NULL ? "" : address.port);
    write_time(wall_ms, time_stamp);
    (void)snprintf(signature.date, sizeof signature.date, "X-Amz-Date: %s", time_stamp);
    if (keys->session_token[0] != '\0') {
        (void)snprintf(signature.token, sizeof signature.token, "X-Amz-Security-Token: %s",
                       keys->session_token);
    }
    code = collect_headers(request, &signature, host, &headers, error);
    if (code == ERROR_OK &&
        (!hash_request(request, &address, &headers, request_hash) ||
         !write_authorization(keys, service, region, time_stamp, &headers, request_hash,
                              signature.authorization, sizeof signature.authorization))) {
        code = error_set(error, ERROR_INTERNAL, "the request can't be signed");
    }
    address_finish(&address);
    if (code == ERROR_OK) {
        *ret_signature = signature;
    }
    explicit_bzero(&signature, sizeof signature);
    return code;
}
