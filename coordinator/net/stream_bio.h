/* The two ends between OpenSSL and a stream, in memory: it reads straight from the bytes that libuv
 * has just read, and writes into a buffer whose memory libuv then sends. One copy less each way
 * than OpenSSL's own memory BIO. */
#ifndef NET_STREAM_BIO_H
#define NET_STREAM_BIO_H

#include <openssl/bio.h>

#include "base/buffer.h"

struct stream_bio {
    const uint8_t *input; /* not consumed yet */
    size_t input_bytes;
    struct buffer output;
};

/* `ends` must outlive the BIO. NULL: out of memory. */
BIO *stream_bio_create(struct stream_bio *ends);

#endif
