/* MongoDB's frames: whole, cut short at every byte, and malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mongo_wire.h"

struct frame {
    uint8_t bytes[512];
    size_t size_bytes;
};

static void put(struct frame *frame, const void *bytes, size_t size_bytes) {
    assert_true(frame->size_bytes + size_bytes <= sizeof(frame->bytes));
    memcpy(frame->bytes + frame->size_bytes, bytes, size_bytes);
    frame->size_bytes += size_bytes;
}

static void put_u32(struct frame *frame, uint32_t number) {
    put(frame, &number, sizeof(number));
}

static void put_document(struct frame *frame, const bson_t *document) {
    put(frame, bson_get_data(document), document->len);
}

static void begin(struct frame *frame, uint32_t operation) {
    *frame = (struct frame){.size_bytes = 0};
    put_u32(frame, 0);
    put_u32(frame, 77);
    put_u32(frame, 0);
    put_u32(frame, operation);
}

static void end(struct frame *frame) {
    uint32_t length = (uint32_t)frame->size_bytes;
    memcpy(frame->bytes, &length, sizeof(length));
}

static enum mongo_wire_result read_frame(const struct frame *frame,
                                         struct mongo_wire_request *request) {
    size_t used_bytes = 0;
    enum mongo_wire_result result =
        mongo_wire_read(frame->bytes, frame->size_bytes, &used_bytes, request);
    if (result == MONGO_WIRE_WHOLE) {
        assert_int_equal(used_bytes, frame->size_bytes);
    }
    return result;
}

static void make_insert(struct frame *frame, uint32_t flags) {
    bson_t *body = BCON_NEW("insert", BCON_UTF8("c"), "$db", BCON_UTF8("app"));
    bson_t *document = BCON_NEW("_id", BCON_INT32(1));
    begin(frame, 2013);
    put_u32(frame, flags);
    put(frame, "\0", 1);
    put_document(frame, body);
    put(frame, "\1", 1);
    put_u32(frame, (uint32_t)(4 + sizeof("documents") + 2 * document->len));
    put(frame, "documents", sizeof("documents"));
    put_document(frame, document);
    put_document(frame, document);
    if ((flags & 1) != 0) {
        put_u32(frame, 0xdeadbeef);
    }
    end(frame);
    bson_destroy(body);
    bson_destroy(document);
}

static void test_a_sequence_becomes_an_array(void **state) {
    struct frame frame;
    struct mongo_wire_request request;
    bson_iter_t iter;
    bson_iter_t element;
    unsigned count = 0;
    (void)state;
    make_insert(&frame, 1U | 1U << 1 | 1U << 16);
    assert_int_equal(read_frame(&frame, &request), MONGO_WIRE_WHOLE);
    assert_string_equal(request.database, "app");
    assert_int_equal(request.request_id, 77);
    assert_true(request.more_to_come);
    assert_true(request.exhaust_allowed);
    assert_false(request.query);
    assert_true(bson_iter_init_find(&iter, request.command, "documents"));
    assert_true(bson_iter_recurse(&iter, &element));
    while (bson_iter_next(&element)) {
        count++;
    }
    assert_int_equal(count, 2);
    bson_destroy(request.command);
}

static void test_a_frame_is_partial_until_its_last_byte(void **state) {
    struct frame frame;
    struct mongo_wire_request request;
    (void)state;
    make_insert(&frame, 0);
    for (size_t i = 0; i < frame.size_bytes; i++) {
        size_t used_bytes = 0;
        assert_int_equal(mongo_wire_read(frame.bytes, i, &used_bytes, &request),
                         MONGO_WIRE_PARTIAL);
    }
}

/* Whatever byte is wrong: it is read or refused, and never read beyond its end (under ASan). */
static void test_every_byte_may_be_wrong(void **state) {
    struct frame good;
    struct mongo_wire_request request;
    unsigned broken = 0;
    (void)state;
    make_insert(&good, 0);
    for (size_t i = 0; i < good.size_bytes; i++) {
        for (unsigned value = 0; value < 256; value += 5) {
            uint8_t *copy = malloc(good.size_bytes);
            size_t used_bytes = 0;
            assert_non_null(copy);
            memcpy(copy, good.bytes, good.size_bytes);
            copy[i] = (uint8_t)value;
            switch (mongo_wire_read(copy, good.size_bytes, &used_bytes, &request)) {
            case MONGO_WIRE_WHOLE:
                bson_destroy(request.command);
                break;
            case MONGO_WIRE_BROKEN:
                broken++;
                break;
            case MONGO_WIRE_PARTIAL:
                break;
            }
            free(copy);
        }
    }
    assert_true(broken > 1000);
}

static void expect_broken(const struct frame *frame) {
    struct mongo_wire_request request;
    assert_int_equal(read_frame(frame, &request), MONGO_WIRE_BROKEN);
}

static void test_malformed_frames_are_refused(void **state) {
    struct frame frame;
    bson_t *body = BCON_NEW("ping", BCON_INT32(1), "$db", BCON_UTF8("admin"));
    bson_t *lost = BCON_NEW("ping", BCON_INT32(1));
    (void)state;
    make_insert(&frame, 1U << 2); /* a flag that must be known */
    expect_broken(&frame);
    begin(&frame, 2013); /* nothing in it */
    end(&frame);
    expect_broken(&frame);
    begin(&frame, 2013); /* no $db */
    put_u32(&frame, 0);
    put(&frame, "\0", 1);
    put_document(&frame, lost);
    end(&frame);
    expect_broken(&frame);
    begin(&frame, 2013); /* two bodies */
    put_u32(&frame, 0);
    put(&frame, "\0", 1);
    put_document(&frame, body);
    put(&frame, "\0", 1);
    put_document(&frame, body);
    end(&frame);
    expect_broken(&frame);
    begin(&frame, 2012); /* OP_COMPRESSED */
    end(&frame);
    expect_broken(&frame);
    begin(&frame, 2013);
    put_u32(&frame, 0);
    uint32_t huge = MONGO_WIRE_MAX_BYTES + 1;
    memcpy(frame.bytes, &huge, sizeof(huge));
    expect_broken(&frame);
    bson_destroy(body);
    bson_destroy(lost);
}

static void test_an_old_query_is_unwrapped(void **state) {
    struct frame frame;
    struct mongo_wire_request request;
    bson_iter_t iter;
    bson_t *query = BCON_NEW("$query", "{", "isMaster", BCON_INT32(1), "}", "$readPreference", "{",
                             "mode", BCON_UTF8("secondaryPreferred"), "}");
    (void)state;
    begin(&frame, 2004);
    put_u32(&frame, 4);
    put(&frame, "admin.$cmd", sizeof("admin.$cmd"));
    put_u32(&frame, 0);
    put_u32(&frame, UINT32_MAX);
    put_document(&frame, query);
    end(&frame);
    assert_int_equal(read_frame(&frame, &request), MONGO_WIRE_WHOLE);
    assert_true(request.query);
    assert_true(request.secondary_ok);
    assert_string_equal(request.database, "admin");
    assert_true(bson_iter_init(&iter, request.command) && bson_iter_next(&iter));
    assert_string_equal(bson_iter_key(&iter), "isMaster");
    assert_true(bson_has_field(request.command, "$readPreference.mode"));
    bson_destroy(request.command);
    bson_destroy(query);
}

static void test_replies_carry_the_document(void **state) {
    bson_t *reply = BCON_NEW("ok", BCON_DOUBLE(1));
    size_t size_bytes = 0;
    uint32_t number = 0;
    (void)state;
    uint8_t *frame = mongo_wire_write(false, 5, 77, true, reply, &size_bytes);
    assert_int_equal(size_bytes, 16 + 5 + reply->len);
    memcpy(&number, frame + 16, sizeof(number));
    assert_int_equal(number, 2);
    assert_memory_equal(frame + 21, bson_get_data(reply), reply->len);
    free(frame);
    frame = mongo_wire_write(true, 5, 77, false, reply, &size_bytes);
    assert_int_equal(size_bytes, 16 + 20 + reply->len);
    memcpy(&number, frame + 32, sizeof(number));
    assert_int_equal(number, 1);
    assert_memory_equal(frame + 36, bson_get_data(reply), reply->len);
    free(frame);
    bson_destroy(reply);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sequence_becomes_an_array),
        cmocka_unit_test(test_a_frame_is_partial_until_its_last_byte),
        cmocka_unit_test(test_every_byte_may_be_wrong),
        cmocka_unit_test(test_malformed_frames_are_refused),
        cmocka_unit_test(test_an_old_query_is_unwrapped),
        cmocka_unit_test(test_replies_carry_the_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
