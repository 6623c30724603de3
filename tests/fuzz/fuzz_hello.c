/* The first words between two nodes: HELLO, HELLO_OK, REFUSED. */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "fuzz.h"
#include "hello.h"

static void assert_same_bytes(const struct buffer *again, const uint8_t *data, size_t size) {
    assert(again->size_bytes == size && memcmp(again->data, data, size) == 0);
}

static void run_hello(const uint8_t *data, size_t size) {
    struct peer_hello hello;
    struct error error;
    fuzz_taint(&hello, sizeof hello);
    if (hello_decode(data, size, &hello, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&hello, sizeof hello));
        return;
    }
    struct buffer again;
    buffer_init(&again, 0);
    hello_encode(&hello, &again);
    assert_same_bytes(&again, data, size);
    buffer_finish(&again);
}

static void run_refusal(const uint8_t *data, size_t size) {
    struct refusal refusal, second;
    struct error error;
    fuzz_taint(&refusal, sizeof refusal);
    if (refusal_decode(data, size, &refusal, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&refusal, sizeof refusal));
        return;
    }
    assert(strlen(peers_refusal_text(refusal.code)) > 0);
    struct buffer again;
    buffer_init(&again, 0);
    refusal_encode(&refusal, &again);
    assert(refusal_decode((const uint8_t *)again.data, again.size_bytes, &second, &error) ==
           ERROR_OK);
    assert(second.code == refusal.code && text_equal(second.reason, refusal.reason));
    if (refusal.code != PEERS_REFUSAL_OTHER) { /* codes that aren't known become that one */
        assert_same_bytes(&again, data, size);
    }
    buffer_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (fuzz_take(&data, &size) % 2 == 0) {
        run_hello(data, size);
    } else {
        run_refusal(data, size);
    }
    return 0;
}
