/* A client that doesn't keep to our rules, on a thread of its own with blocking calls: other TLS
 * versions, no certificate, certificates that wouldn't load, bytes that are no TLS. */
#ifndef TEST_NET_RAW_CLIENT_H
#define TEST_NET_RAW_CLIENT_H

#include "kit.h"

struct raw_client {
    uint16_t port;
    int tls_version;         /* TLS1_3_VERSION, ...; 0: plain TCP */
    const char *certificate; /* "" or a directory of the kit, node.pem and node.key in it */
    const void *bytes;       /* sent after the handshake, or at once over plain TCP; may be NULL */
    size_t size_bytes;
    bool wait_for_end; /* reads until the other side ends it */
    /* results */
    bool connected;
    bool handshake_done;
    size_t received_bytes;
    char failure[128]; /* the first error of OpenSSL, "" */
    /* inside */
    char directory[256];
    uv_async_t done_event;
    uv_thread_t thread;
    bool done;
};

/* Runs it to its end beside the loop; false when it takes longer. */
bool raw_client_run(struct raw_client *client, unsigned timeout_ms);

#endif
