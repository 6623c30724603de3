/* How one probe ended: the one table of results, shown in status, metrics and history.
 *
 * The kind says what a result is to the debounce: OK and FAIL count, VOID is neither. A result is
 * void when it tells about this node instead of the target (it was stopped, or short of memory or
 * descriptors): our own trouble is never evidence against a service. */
#ifndef PROBE_RESULT_H
#define PROBE_RESULT_H

#include <stdbool.h>
#include <stdint.h>

enum probe_result_kind { PROBE_KIND_OK, PROBE_KIND_FAIL, PROBE_KIND_VOID };

/* code, text (the stable word), kind, meaning */
#define PROBE_RESULT_TABLE(X)                                                                      \
    X(OK, "ok", OK, "answered as expected")                                                        \
    X(TIMEOUT_CONNECT, "timeout_connect", FAIL, "no connection within the timeout")                \
    X(TIMEOUT, "timeout", FAIL, "connected, but no whole answer within the timeout")               \
    X(REFUSED, "refused", FAIL, "the connection was refused")                                      \
    X(RESET, "reset", FAIL, "the connection was closed or reset before the answer was whole")      \
    X(UNREACHABLE, "unreachable", FAIL, "the network says that there is no way there")             \
    X(TLS, "tls", FAIL, "the TLS handshake failed")                                                \
    X(TLS_VERIFY, "tls_verify", FAIL, "the server's certificate was not accepted")                 \
    X(DNS, "dns", FAIL, "the name has no address")                                                 \
    X(DNS_TIMEOUT, "dns_timeout", FAIL, "the name was not resolved within the timeout")            \
    X(STATUS, "status", FAIL, "an HTTP status that is not expected")                               \
    X(BODY, "body", FAIL, "the body lacks the text to match")                                      \
    X(TOO_LARGE, "too_large", FAIL, "the text to match is not in the part of the body we read")    \
    X(PROTOCOL, "protocol", FAIL, "not an HTTP/1.1 answer, or one out of bounds")                  \
    X(NO_PRIMARY, "no_primary", FAIL, "the replica set has no writable primary")                   \
    X(NO_MEMBER, "no_member", FAIL, "no electable member of the region is PRIMARY or SECONDARY")   \
    X(AUTH, "auth", VOID, "this node's credentials were refused, so it can't tell")                \
    X(CREDENTIALS, "credentials", VOID, "this node can't read its credentials")                    \
    X(NOT_READ, "not_read", VOID, "the replica set's configuration was never read")                \
    X(STALLED, "stalled", VOID, "this process was stopped or suspended meanwhile")                 \
    X(INTERNAL, "internal", VOID, "this node could not probe: memory, descriptors, files")

enum probe_result_code {
#define X(code, text, kind, doc) PROBE_##code,
    PROBE_RESULT_TABLE(X)
#undef X
        PROBE_RESULT_COUNT
};

struct probe_result {
    enum probe_result_code code;
    uint32_t http_status;         /* 0: none was received */
    uint64_t start_index;         /* log index applied when the probe started */
    uint64_t start_ms, finish_ms; /* CLOCK_BOOTTIME */
};

const char *probe_result_text(enum probe_result_code code); /* "timeout_connect"; < 24 characters */
const char *probe_result_doc(enum probe_result_code code);
enum probe_result_kind probe_result_kind(enum probe_result_code code);

#endif
