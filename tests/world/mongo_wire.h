/* MongoDB's frames: OP_MSG both ways, and the old OP_QUERY to "*.$cmd" with its OP_REPLY. A
 * checksum is accepted and not looked at. Source: "MongoDB Wire Protocol" of MongoDB's manual. */
#ifndef WORLD_MONGO_WIRE_H
#define WORLD_MONGO_WIRE_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MONGO_WIRE_MAX_BYTES 48000000
#define MONGO_WIRE_DATABASE_SIZE 128

struct mongo_wire_request {
    int32_t request_id;
    bool query; /* OP_QUERY: wants an OP_REPLY */
    bool secondary_ok, exhaust_allowed, more_to_come;
    char database[MONGO_WIRE_DATABASE_SIZE];
    bson_t *command; /* the caller's, to bson_destroy() */
};

enum mongo_wire_result {
    MONGO_WIRE_PARTIAL, /* there is more to come */
    MONGO_WIRE_WHOLE,
    MONGO_WIRE_BROKEN, /* the connection is to be closed */
};

/* Reads the first frame of the bytes. The results are set when it is whole. */
enum mongo_wire_result mongo_wire_read(const uint8_t *bytes, size_t size_bytes,
                                       size_t *ret_used_bytes,
                                       struct mongo_wire_request *ret_request);

/* A whole frame, to free(). query: OP_REPLY, else OP_MSG; more: further replies follow it. */
uint8_t *mongo_wire_write(bool query, int32_t request_id, int32_t response_to, bool more,
                          const bson_t *reply, size_t *ret_size_bytes);

#endif
