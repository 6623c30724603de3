/* How a question to a member of a replica set ended. */
#ifndef MONGO_RESULT_H
#define MONGO_RESULT_H

/* code, text (the stable word, below MONGO_TROUBLE_SIZE characters), meaning */
#define MONGO_RESULT_TABLE(X)                                                                      \
    X(OK, "", "the server said ok: 1")                                                             \
    X(SERVER, "server_error", "the server said ok: 0, and why")                                    \
    X(TIMEOUT, "timeout", "no whole answer within the time")                                       \
    X(TIMEOUT_CONNECT, "timeout_connect", "no connection within the time")                         \
    X(REFUSED, "refused", "the connection was refused")                                            \
    X(RESET, "reset", "the connection was closed before the answer was whole")                     \
    X(DNS, "dns", "the name has no address")                                                       \
    X(TLS, "tls", "the TLS handshake failed, or the certificate was not accepted")                 \
    X(AUTH, "auth", "the server refused the credentials, or what they may do")                     \
    X(CREDENTIALS, "credentials", "this node can't read its credentials")                          \
    X(PROTOCOL, "protocol", "not an answer of a MongoDB server that is known here")                \
    X(BUSY, "busy", "this node had no thread free for it in time")                                 \
    X(CANCELLED, "cancelled", "the asker gave up")                                                 \
    X(INTERNAL, "internal", "this node could not ask: memory, threads")

enum mongo_result {
#define X(code, text, doc) MONGO_RESULT_##code,
    MONGO_RESULT_TABLE(X)
#undef X
        MONGO_RESULT_COUNT
};

const char *mongo_result_text(enum mongo_result result);

#endif
