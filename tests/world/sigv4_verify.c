#include "sigv4_verify.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <time.h>

#include "alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "uri.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define SIGV4_AUTHORIZATION_MAX 4096
#define SIGV4_HEX_SIZE (SHA256_DIGEST_LENGTH * 2 + 1)
/* "20261123T030741Z" */
#define SIGV4_DATE_LENGTH 16
#define SIGV4_DAY_LENGTH 8

/* The Authorization header, taken apart; pointers into `text`. */
struct sigv4_authorization {
    char text[SIGV4_AUTHORIZATION_MAX];
    char *credential, *signed_headers, *signature;
    char *key_id, *day, *region, *service;
    char *headers[SIGV4_SIGNED_HEADERS_MAX];
    size_t header_count;
};

static bool sigv4_incomplete(struct aws_refusal *refusal, const char *what) {
    return aws_refuse(refusal, 400, "IncompleteSignature",
                      "Authorization header requires %s. (Hashed with SHA-256 and encoded with "
                      "Base64)",
                      what);
}

/* "Credential=.., SignedHeaders=.., Signature=.." in any order. */
static bool sigv4_split(struct sigv4_authorization *authorization, struct aws_refusal *refusal) {
    char *rest = authorization->text + strlen(SIGV4_ALGORITHM);
    while (rest != NULL) {
        char *part = strsep(&rest, ",");
        part += strspn(part, " \t");
        char *value = strchr(part, '=');
        if (value == NULL) {
            return sigv4_incomplete(refusal, "key=value pairs");
        }
        *value++ = '\0';
        if (text_equal(part, "Credential")) {
            authorization->credential = value;
        } else if (text_equal(part, "SignedHeaders")) {
            authorization->signed_headers = value;
        } else if (text_equal(part, "Signature")) {
            authorization->signature = value;
        }
    }
    if (authorization->credential == NULL) {
        return sigv4_incomplete(refusal, "'Credential' parameter");
    }
    if (authorization->signed_headers == NULL) {
        return sigv4_incomplete(refusal, "'SignedHeaders' parameter");
    }
    if (authorization->signature == NULL) {
        return sigv4_incomplete(refusal, "'Signature' parameter");
    }
    return true;
}

static bool sigv4_split_credential(struct sigv4_authorization *authorization,
                                   struct aws_refusal *refusal) {
    char *rest = authorization->credential;
    authorization->key_id = strsep(&rest, "/");
    authorization->day = strsep(&rest, "/");
    authorization->region = strsep(&rest, "/");
    authorization->service = strsep(&rest, "/");
    if (rest == NULL || !text_equal(rest, "aws4_request")) {
        return aws_refuse(refusal, 400, "IncompleteSignature",
                          "Credential must have exactly 5 slash-delimited elements, e.g. "
                          "keyid/date/region/service/term");
    }
    return true;
}

static bool sigv4_parse(const struct http_request *request,
                        struct sigv4_authorization *authorization, struct aws_refusal *refusal) {
    const char *header = http_request_header(request, "authorization");
    if (header == NULL) {
        return aws_refuse(refusal, 403, "MissingAuthenticationToken",
                          "Missing Authentication Token");
    }
    if (!text_starts_with(header, SIGV4_ALGORITHM " ") || !TEXT_COPY(authorization->text, header)) {
        return aws_refuse(refusal, 400, "IncompleteSignature",
                          "Unsupported AWS 'algorithm', expected " SIGV4_ALGORITHM);
    }
    if (!sigv4_split(authorization, refusal) || !sigv4_split_credential(authorization, refusal)) {
        return false;
    }
    char *rest = authorization->signed_headers;
    while (rest != NULL) {
        if (authorization->header_count == SIGV4_SIGNED_HEADERS_MAX) {
            return sigv4_incomplete(refusal, "fewer signed headers");
        }
        authorization->headers[authorization->header_count++] = strsep(&rest, ";");
    }
    return true;
}

static bool sigv4_is_signed(const struct sigv4_authorization *authorization, const char *name) {
    for (size_t i = 0; i < authorization->header_count; i++) {
        if (text_equal(authorization->headers[i], name)) {
            return true;
        }
    }
    return false;
}

/* Host and every x-amz-* header that is there must be signed, and every signed one must be there.
 */
static bool sigv4_check_headers(const struct http_request *request,
                                const struct sigv4_authorization *authorization,
                                struct aws_refusal *refusal) {
    for (size_t i = 0; i < authorization->header_count; i++) {
        const char *name = authorization->headers[i];
        if (http_request_header(request, name) == NULL ||
            (i > 0 && strcmp(authorization->headers[i - 1], name) >= 0)) {
            return aws_refuse(refusal, 403, "SignatureDoesNotMatch",
                              "Signed header '%.60s' is not there, or not in order", name);
        }
    }
    if (!sigv4_is_signed(authorization, "host")) {
        return aws_refuse(refusal, 403, "SignatureDoesNotMatch",
                          "'Host' or ':authority' must be a 'SignedHeader' in the AWS "
                          "Authorization.");
    }
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        if (text_starts_with(name, "x-amz-") && !sigv4_is_signed(authorization, name)) {
            return aws_refuse(refusal, 403, "SignatureDoesNotMatch",
                              "'%.60s' must be a 'SignedHeader' in the AWS Authorization.", name);
        }
    }
    return true;
}

static bool sigv4_parse_date(const char *text, uint64_t *ret_wall_ms) {
    struct tm parts = {0};
    if (text == NULL || strlen(text) != SIGV4_DATE_LENGTH) {
        return false;
    }
    const char *end = strptime(text, "%Y%m%dT%H%M%SZ", &parts);
    if (end == NULL || *end != '\0') {
        return false;
    }
    time_t seconds = timegm(&parts);
    if (seconds < 0) {
        return false;
    }
    *ret_wall_ms = (uint64_t)seconds * 1000;
    return true;
}

static void sigv4_format_date(uint64_t wall_ms, char text[32]) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    (void)strftime(text, 32, "%Y%m%dT%H%M%SZ", &parts);
}

static bool sigv4_check_date(const char *date, uint64_t wall_ms, struct aws_refusal *refusal) {
    uint64_t signed_ms = 0;
    char now[32];
    char limit[32];
    if (!sigv4_parse_date(date, &signed_ms)) {
        return aws_refuse(refusal, 400, "IncompleteSignature",
                          "Date must be in ISO-8601 'basic format'. Got '%.40s'.",
                          date != NULL ? date : "");
    }
    sigv4_format_date(wall_ms, now);
    if (signed_ms + SIGV4_SKEW_MAX_MS < wall_ms) {
        sigv4_format_date(wall_ms - SIGV4_SKEW_MAX_MS, limit);
        return aws_refuse(refusal, 403, "SignatureDoesNotMatch",
                          "Signature expired: %s is now earlier than %s (%s - 5 min.)", date, limit,
                          now);
    }
    if (signed_ms > wall_ms + SIGV4_SKEW_MAX_MS) {
        sigv4_format_date(wall_ms + SIGV4_SKEW_MAX_MS, limit);
        return aws_refuse(refusal, 403, "SignatureDoesNotMatch",
                          "Signature not yet current: %s is still later than %s (%s + 5 min.)",
                          date, limit, now);
    }
    return true;
}

static bool sigv4_check_scope(const struct sigv4_authorization *authorization,
                              const struct sigv4_scope *scope, const char *date,
                              struct aws_refusal *refusal) {
    if (scope->region != NULL && !text_equal(authorization->region, scope->region)) {
        return aws_refuse(refusal, 403, "SignatureDoesNotMatch",
                          "Credential should be scoped to a valid region, not '%.40s'. ",
                          authorization->region);
    }
    if (!text_equal(authorization->service, scope->service)) {
        return aws_refuse(refusal, 403, "SignatureDoesNotMatch",
                          "Credential should be scoped to correct service: '%s'. ", scope->service);
    }
    if (strlen(authorization->day) != SIGV4_DAY_LENGTH ||
        strncmp(authorization->day, date, SIGV4_DAY_LENGTH) != 0) {
        return aws_refuse(refusal, 403, "SignatureDoesNotMatch",
                          "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
                          "version of date from HTTP: '%.20s' != '%.8s', from '%.20s'.",
                          authorization->day, date, date);
    }
    return true;
}

static const struct credential *sigv4_find_credential(
    const struct http_request *request, const struct sigv4_authorization *authorization,
    const struct credentials *credentials, uint64_t wall_ms, struct aws_refusal *refusal) {
    const struct credential *credential = credentials_find(credentials, authorization->key_id);
    const char *token = http_request_header(request, "x-amz-security-token");
    if (credential == NULL || !text_equal(token != NULL ? token : "", credential->token)) {
        (void)aws_refuse(refusal, 403, "InvalidClientTokenId",
                         "The security token included in the request is invalid.");
        return NULL;
    }
    if (credential->expires_wall_ms != 0 && credential->expires_wall_ms <= wall_ms) {
        (void)aws_refuse(refusal, 403, "ExpiredToken",
                         "The security token included in the request is expired");
        return NULL;
    }
    return credential;
}

static void sigv4_hash(const void *bytes, size_t size_bytes, char hex[SIGV4_HEX_SIZE]) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(bytes, size_bytes, digest);
    text_to_hex(digest, sizeof(digest), hex);
}

static int sigv4_compare_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted by encoded name, then by encoded value. */
static bool sigv4_append_query(const char *query, struct buffer *out) {
    struct uri_parameters parameters;
    if (!uri_parameters_parse(query, &parameters)) {
        return false;
    }
    char **pairs = alloc_zeroed(parameters.count, sizeof(char *));
    for (size_t i = 0; i < parameters.count; i++) {
        struct buffer pair;
        buffer_init(&pair, 0);
        uri_encode(parameters.items[i].name, false, &pair);
        /* Sorts below every character of a longer name, as sorting by (name, value) would. */
        buffer_append(&pair, "\1", 1);
        uri_encode(parameters.items[i].value, false, &pair);
        pairs[i] = buffer_take(&pair);
    }
    qsort(pairs, parameters.count, sizeof(char *), sigv4_compare_text);
    for (size_t i = 0; i < parameters.count; i++) {
        *strchr(pairs[i], '\1') = '=';
        buffer_append_text(out, i > 0 ? "&" : "");
        buffer_append_text(out, pairs[i]);
        free(pairs[i]);
    }
    free(pairs);
    uri_parameters_finish(&parameters);
    return true;
}

/* Trimmed, with runs of spaces made one; several headers of one name are joined by commas. */
static void sigv4_append_header(const struct http_request *request, const char *name,
                                struct buffer *out) {
    bool first = true;
    buffer_append_format(out, "%s:", name);
    for (size_t i = 0; i < request->header_count; i++) {
        if (!text_equal(request->headers[i].name, name)) {
            continue;
        }
        buffer_append_text(out, first ? "" : ",");
        first = false;
        const char *at = request->headers[i].value;
        at += strspn(at, " \t");
        while (*at != '\0') {
            size_t word_bytes = strcspn(at, " \t");
            buffer_append(out, at, word_bytes);
            at += word_bytes;
            size_t gap_bytes = strspn(at, " \t");
            at += gap_bytes;
            if (gap_bytes > 0 && *at != '\0') {
                buffer_append_text(out, " ");
            }
        }
    }
    buffer_append_text(out, "\n");
}

static bool sigv4_canonical_request(const struct http_request *request,
                                    const struct sigv4_authorization *authorization,
                                    struct buffer *out) {
    char body_hash[SIGV4_HEX_SIZE];
    buffer_append_format(out, "%s\n", request->method);
    /* Encoded again on top of what was sent: every service but S3 does so. */
    uri_encode(request->path, true, out);
    buffer_append_text(out, "\n");
    if (!sigv4_append_query(request->query, out)) {
        return false;
    }
    buffer_append_text(out, "\n");
    for (size_t i = 0; i < authorization->header_count; i++) {
        sigv4_append_header(request, authorization->headers[i], out);
    }
    buffer_append_text(out, "\n");
    for (size_t i = 0; i < authorization->header_count; i++) {
        buffer_append_format(out, "%s%s", i > 0 ? ";" : "", authorization->headers[i]);
    }
    sigv4_hash(request->body, request->body_bytes, body_hash);
    buffer_append_format(out, "\n%s", body_hash);
    return !out->failed;
}

static void sigv4_mac(const unsigned char *key, size_t key_bytes, const char *text,
                      unsigned char mac[SHA256_DIGEST_LENGTH]) {
    unsigned char result[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)text, strlen(text), result,
         &length);
    memcpy(mac, result, SHA256_DIGEST_LENGTH);
}

static void sigv4_sign(const struct sigv4_authorization *authorization, const char *secret,
                       const char *date, const struct buffer *canonical,
                       char signature[SIGV4_HEX_SIZE]) {
    char hash[SIGV4_HEX_SIZE];
    char to_sign[512];
    char start[CREDENTIAL_SECRET_SIZE + 4];
    unsigned char mac[SHA256_DIGEST_LENGTH];

    sigv4_hash(canonical->data, canonical->size_bytes, hash);
    (void)snprintf(to_sign, sizeof(to_sign),
                   SIGV4_ALGORITHM "\n%s\n%s/%.64s/%.64s/aws4_request\n%s", date,
                   authorization->day, authorization->region, authorization->service, hash);
    (void)snprintf(start, sizeof(start), "AWS4%s", secret);
    sigv4_mac((const unsigned char *)start, strlen(start), authorization->day, mac);
    sigv4_mac(mac, sizeof(mac), authorization->region, mac);
    sigv4_mac(mac, sizeof(mac), authorization->service, mac);
    sigv4_mac(mac, sizeof(mac), "aws4_request", mac);
    sigv4_mac(mac, sizeof(mac), to_sign, mac);
    text_to_hex(mac, sizeof(mac), signature);
}

static bool sigv4_check_signature(const struct http_request *request,
                                  const struct sigv4_authorization *authorization,
                                  const struct credential *credential, const char *date,
                                  struct aws_refusal *refusal) {
    struct buffer canonical;
    char signature[SIGV4_HEX_SIZE];
    buffer_init(&canonical, 0);
    bool same = sigv4_canonical_request(request, authorization, &canonical);
    if (same) {
        sigv4_sign(authorization, credential->secret, date, &canonical, signature);
        same = strlen(authorization->signature) == strlen(signature) &&
               CRYPTO_memcmp(authorization->signature, signature, strlen(signature)) == 0;
    }
    buffer_finish(&canonical);
    return same || aws_refuse(refusal, 403, "SignatureDoesNotMatch",
                              "The request signature we calculated does not match the signature "
                              "you provided. Check your AWS Secret Access Key and signing "
                              "method. Consult the service documentation for details.");
}

const struct credential *sigv4_verify(const struct http_request *request,
                                      const struct credentials *credentials,
                                      const struct sigv4_scope *scope, uint64_t wall_ms,
                                      struct aws_refusal *ret_refusal) {
    struct sigv4_authorization authorization = {0};
    const char *date = http_request_header(request, "x-amz-date");
    if (!sigv4_parse(request, &authorization, ret_refusal)) {
        return NULL;
    }
    const struct credential *credential =
        sigv4_find_credential(request, &authorization, credentials, wall_ms, ret_refusal);
    if (credential == NULL || !sigv4_check_headers(request, &authorization, ret_refusal) ||
        !sigv4_check_date(date, wall_ms, ret_refusal) ||
        !sigv4_check_scope(&authorization, scope, date, ret_refusal) ||
        !sigv4_check_signature(request, &authorization, credential, date, ret_refusal)) {
        return NULL;
    }
    return credential;
}
