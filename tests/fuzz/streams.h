/* TLS streams and listeners in place of net's own (functions of the same names, linked before its
 * archive): what is said on them comes from the program, and what is answered is kept. */
#ifndef TESTS_FUZZ_STREAMS_H
#define TESTS_FUZZ_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "net/stream.h"

#define STREAM_WRITE_MAX 4096 /* writes of one input that are told when they are through */

struct tls_stream {
    const struct tls_stream_callbacks *callbacks; /* NULL: nobody's yet */
    void *context;
    struct tls_peer peer;
    bool closing; /* the owner has closed or finished it */
    struct buffer output;
    struct stream_write {
        tls_stream_write_callback callback;
        void *context;
    } writes[STREAM_WRITE_MAX];
    uint32_t write_count;
};

/* Of the last tls_listener_create: to give it streams. */
extern struct tls_listener_options streams_listener;
/* The last tls_stream_connect; NULL when it is used up. */
extern struct tls_stream *streams_dialled;

/* On the heap, NULL for no memory; ends with streams_end. */
struct tls_stream *streams_create(const struct tls_peer *peer);
/* Says it to the owner, unless that has closed the stream. */
void streams_say(struct tls_stream *stream, const void *bytes, size_t size_bytes);
/* Tells the owner that its writes are through, or (not `sent`) that they aren't, then that the
 * stream is closed, and frees it. */
void streams_end(struct tls_stream *stream, bool sent);

#endif
