/* Bytes of HELLO, HELLO_OK and REFUSED. Pure. Numbers are big-endian, texts have a length byte;
 * whatever is behind the last field is an error, so that there is one encoding of each value. */
#ifndef NET_HELLO_H
#define NET_HELLO_H

#include "base/buffer.h"
#include "net/peers.h"

enum { HELLO_FORMAT = 1 };

void hello_encode(const struct peer_hello *hello, struct buffer *to);
/* ERROR_PROTOCOL, also for names that aren't names. */
enum error_code hello_decode(const uint8_t *bytes, size_t size_bytes, struct peer_hello *ret_hello,
                             struct error *error);

struct refusal {
    enum peers_refusal code;
    char reason[PEERS_REASON_SIZE];
};

void refusal_encode(const struct refusal *refusal, struct buffer *to);
/* A code that isn't known becomes PEERS_REFUSAL_OTHER: a newer node may have reasons of its own. */
enum error_code refusal_decode(const uint8_t *bytes, size_t size_bytes, struct refusal *ret_refusal,
                               struct error *error);

#endif
