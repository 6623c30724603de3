#include "kit.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "hello.h"
#include "net/frame.h"

static struct peer_hello example(void) {
    struct peer_hello hello = {.numeric_id = UINT64_C(0x7fffffffffffffff),
                               .incarnation = 0x0102030405060708,
                               .boot = 7,
                               .last_log_index = UINT64_MAX,
                               .feature_level = 3};
    TEXT_COPY(hello.cluster, "nocturnal-prod");
    TEXT_COPY(hello.node, "n1");
    TEXT_COPY(hello.version, "0.3.0");
    memset(hello.storage_uuid, 0xAB, sizeof hello.storage_uuid);
    return hello;
}

static struct buffer encode(const struct peer_hello *hello) {
    struct buffer bytes;
    buffer_init(&bytes, FRAME_CONTROL_MAX_BYTES);
    hello_encode(hello, &bytes);
    assert_false(bytes.failed);
    return bytes;
}

/* From memory of just that size. */
static enum error_code decode(const void *bytes, size_t size_bytes, struct peer_hello *ret_hello) {
    struct error error;
    uint8_t *copy = malloc(size_bytes + (size_bytes == 0));
    memcpy(copy, bytes, size_bytes);
    enum error_code code = hello_decode(copy, size_bytes, ret_hello, &error);
    free(copy);
    return code;
}

static void test_round_trip(void **state) {
    struct peer_hello hello = example();
    struct peer_hello back;
    (void)state;
    struct buffer bytes = encode(&hello);
    assert_int_equal(decode(bytes.data, bytes.size_bytes, &back), ERROR_OK);
    assert_string_equal(back.cluster, hello.cluster);
    assert_string_equal(back.node, hello.node);
    assert_string_equal(back.version, hello.version);
    assert_true(back.numeric_id == hello.numeric_id && back.incarnation == hello.incarnation &&
                back.boot == hello.boot && back.last_log_index == hello.last_log_index &&
                back.feature_level == hello.feature_level);
    assert_memory_equal(back.storage_uuid, hello.storage_uuid, sizeof hello.storage_uuid);
    buffer_finish(&bytes);
}

static void test_longest(void **state) {
    struct peer_hello hello = example();
    struct peer_hello back;
    (void)state;
    memset(hello.cluster, 'c', sizeof hello.cluster - 1);
    memset(hello.node, 'n', sizeof hello.node - 1);
    memset(hello.version, 'v', sizeof hello.version - 1);
    struct buffer bytes = encode(&hello);
    assert_int_equal(decode(bytes.data, bytes.size_bytes, &back), ERROR_OK);
    assert_string_equal(back.cluster, hello.cluster);
    /* One more character than there is room for. */
    bytes.data[1]++;
    assert_int_equal(decode(bytes.data, bytes.size_bytes, &back), ERROR_PROTOCOL);
    buffer_finish(&bytes);
}

static void test_cut_or_longer(void **state) {
    struct peer_hello hello = example();
    struct peer_hello back;
    (void)state;
    struct buffer bytes = encode(&hello);
    for (size_t size = 0; size < bytes.size_bytes; size++) {
        assert_int_equal(decode(bytes.data, size, &back), ERROR_PROTOCOL);
    }
    buffer_append(&bytes, "", 1);
    assert_int_equal(decode(bytes.data, bytes.size_bytes, &back), ERROR_PROTOCOL);
    buffer_finish(&bytes);
}

static void test_bad_values(void **state) {
    struct peer_hello back;
    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        struct peer_hello hello = example();
        struct buffer bytes;
        if (i == 0) {
            hello.numeric_id = 0;
        } else if (i == 1) {
            hello.cluster[0] = '\0';
        } else if (i == 2) {
            TEXT_COPY(hello.node, "n1/../n2");
        } else if (i == 3) {
            TEXT_COPY(hello.version, "0.3\xff");
        } else if (i == 4) {
            TEXT_COPY(hello.version, "0.3\033[2J");
        }
        bytes = encode(&hello);
        if (i == 5) {
            bytes.data[0]++; /* format */
        } else if (i == 6) {
            bytes.data[4] = '\0'; /* inside the cluster's name */
        }
        assert_int_equal(decode(bytes.data, bytes.size_bytes, &back), ERROR_PROTOCOL);
        buffer_finish(&bytes);
    }
}

/* Whatever is accepted has one encoding: the bytes that came. */
static void test_mutations(void **state) {
    struct peer_hello hello = example();
    struct peer_hello back;
    unsigned accepted = 0;
    (void)state;
    struct buffer bytes = encode(&hello);
    for (size_t i = 0; i < bytes.size_bytes; i++) {
        char before = bytes.data[i];
        for (unsigned value = 0; value < 256; value++) {
            bytes.data[i] = (char)value;
            if (decode(bytes.data, bytes.size_bytes, &back) == ERROR_OK) {
                struct buffer again = encode(&back);
                assert_int_equal(again.size_bytes, bytes.size_bytes);
                assert_memory_equal(again.data, bytes.data, bytes.size_bytes);
                buffer_finish(&again);
                accepted++;
            }
        }
        bytes.data[i] = before;
    }
    assert_true(accepted > 1000);
    buffer_finish(&bytes);
}

static void test_refusal(void **state) {
    struct refusal refusal = {.code = PEERS_REFUSAL_STORAGE};
    struct refusal back;
    struct error error;
    struct buffer bytes;
    (void)state;
    TEXT_COPY(refusal.reason, "node 'n1' has another disk \xe2\x80\x94 see docs");
    buffer_init(&bytes, FRAME_CONTROL_MAX_BYTES);
    refusal_encode(&refusal, &bytes);
    assert_int_equal(refusal_decode((uint8_t *)bytes.data, bytes.size_bytes, &back, &error), 0);
    assert_int_equal(back.code, PEERS_REFUSAL_STORAGE);
    assert_string_equal(back.reason, refusal.reason);
    for (size_t size = 0; size < bytes.size_bytes; size++) {
        assert_int_equal(refusal_decode((uint8_t *)bytes.data, size, &back, &error),
                         ERROR_PROTOCOL);
    }
    bytes.data[1] = 99; /* of a later version */
    assert_int_equal(refusal_decode((uint8_t *)bytes.data, bytes.size_bytes, &back, &error), 0);
    assert_int_equal(back.code, PEERS_REFUSAL_OTHER);
    bytes.data[1] = 0;
    assert_int_equal(refusal_decode((uint8_t *)bytes.data, bytes.size_bytes, &back, &error),
                     ERROR_PROTOCOL);
    buffer_finish(&bytes);

    /* A sentence cut within a character still arrives. */
    memset(refusal.reason, 'x', sizeof refusal.reason);
    memcpy(refusal.reason + sizeof refusal.reason - 3, "\xe2\x80", 3);
    buffer_init(&bytes, FRAME_CONTROL_MAX_BYTES);
    refusal_encode(&refusal, &bytes);
    assert_int_equal(refusal_decode((uint8_t *)bytes.data, bytes.size_bytes, &back, &error), 0);
    assert_int_equal(strlen(back.reason), sizeof refusal.reason - 3);
    buffer_finish(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_longest),
        cmocka_unit_test(test_cut_or_longer), cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_mutations),     cmocka_unit_test(test_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
