#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "codec/report_codec.h"
#include "fill.h"
#include "mutate.h"
#include "noctua.pb-c.h"
#include "tables.h"

static struct report *make_report(uint64_t seed) {
    struct report *report = calloc(1, sizeof *report);
    assert_non_null(report);
    fill_struct(&report_head_table, report, 3, &seed);
    for (uint32_t s = 0; s < report->service_count; s++) {
        if (random_below(&seed, 3) == 0) {
            fill_struct(&report_window_table, &report->windows[s], 3, &seed);
        }
        if (random_below(&seed, 3) == 0) {
            fill_struct(&mongo_facts_table, &report->mongo[s], 3, &seed);
        }
        for (uint32_t r = 0; r < report->region_count; r++) {
            if (random_below(&seed, 3) == 0) {
                fill_struct(&report_opinion_table, &report->opinions[s][r], 3, &seed);
            }
        }
    }
    return report;
}

static void encode(const struct report *report, struct buffer *ret) {
    struct error error;
    buffer_init(ret, 0);
    if (codec_encode_report(report, ret, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
}

static void reports_come_back(void **state) {
    (void)state;
    struct report *into = calloc(1, sizeof *into);
    assert_non_null(into);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct report *report = make_report(seed);
        struct buffer bytes;
        encode(report, &bytes);
        memset(into, 0x5a, sizeof *into);
        struct error error;
        if (codec_decode_report(bytes.data, bytes.size_bytes, into, &error) != ERROR_OK) {
            fail_msg("seed %u: %s", (unsigned)seed, error.message);
        }
        assert_memory_equal(report, into, sizeof *report);
        buffer_finish(&bytes);
        free(report);
    }
    free(into);
}

static void unused_places_are_not_sent(void **state) {
    (void)state;
    struct report *report = make_report(3);
    struct report *into = calloc(1, sizeof *into);
    assert_non_null(into);
    report->service_count = 2;
    report->region_count = 2;
    memset(report->windows, 0x5a, sizeof report->windows);
    memset(report->opinions, 0x5a, sizeof report->opinions);
    memset(report->mongo, 0x5a, sizeof report->mongo);
    for (uint32_t s = 0; s < 2; s++) {
        report->windows[s] = (struct report_window){0};
        memset(&report->mongo[s], 0, sizeof report->mongo[s]);
        for (uint32_t r = 0; r < 2; r++) {
            report->opinions[s][r] = (struct report_opinion){0};
        }
    }
    report->opinions[1][0].value = OPINION_DOWN;
    report->windows[1].suspect_index = 9;
    report->mongo[1].member_total = 3;
    struct buffer bytes;
    encode(report, &bytes);
    assert_int_equal(codec_decode_report(bytes.data, bytes.size_bytes, into, NULL), ERROR_OK);
    assert_int_equal(into->opinions[1][0].value, OPINION_DOWN);
    assert_int_equal(into->windows[1].suspect_index, 9);
    assert_int_equal(into->mongo[1].member_total, 3);
    assert_int_equal(into->mongo[2].member_total, 0);
    assert_int_equal(into->opinions[2][0].value, OPINION_UNKNOWN);
    assert_int_equal(into->opinions[0][2].first_index, 0);
    buffer_finish(&bytes);
    free(into);
    free(report);
}

static void nothing_else_is_read(void **state) {
    (void)state;
    Noctua__ReportHead head = NOCTUA__REPORT_HEAD__INIT;
    Noctua__ObservedOpinion content = NOCTUA__OBSERVED_OPINION__INIT;
    Noctua__ReportOpinion first = NOCTUA__REPORT_OPINION__INIT;
    Noctua__ReportOpinion second = NOCTUA__REPORT_OPINION__INIT;
    Noctua__ReportOpinion *opinions[] = {&first, &second};
    Noctua__NodeReport wire = NOCTUA__NODE_REPORT__INIT;
    struct report *into = calloc(1, sizeof *into);
    assert_non_null(into);
    into->node_id = 4242;
    uint8_t bytes[512];
    struct error error;
#define DECODE() codec_decode_report(bytes, noctua__node_report__pack(&wire, bytes), into, &error)
    assert_int_equal(DECODE(), ERROR_PROTOCOL); /* empty */
    wire.version = 2;
    assert_int_equal(DECODE(), ERROR_UNSUPPORTED);
    wire.version = 1;
    assert_int_equal(DECODE(), ERROR_PROTOCOL); /* no head */
    wire.head = &head;
    head.service_count = SERVICE_MAX + 1;
    assert_int_equal(DECODE(), ERROR_INVALID);
    head.service_count = SERVICE_MAX;
    head.region_count = REGION_MAX + 1;
    assert_int_equal(DECODE(), ERROR_INVALID);
    head.region_count = 2;
    wire.opinions = opinions;
    wire.n_opinions = 1;
    assert_int_equal(DECODE(), ERROR_INVALID); /* an opinion without content */
    first.opinion = &content;
    second.opinion = &content;
    assert_int_equal(DECODE(), ERROR_PROTOCOL); /* a default one is not sent */
    content.value = NOCTUA__OPINION_VALUE__OPINION_UP;
    first.region = 2;
    assert_int_equal(DECODE(), ERROR_INVALID); /* beyond region_count */
    first.region = 1;
    first.service = SERVICE_MAX;
    assert_int_equal(DECODE(), ERROR_INVALID);
    first.service = 0;
    wire.n_opinions = 2;
    assert_int_equal(DECODE(), ERROR_PROTOCOL); /* out of order */
    second.region = 1;
    assert_int_equal(DECODE(), ERROR_PROTOCOL); /* twice */
    content.value = (Noctua__OpinionValue)OPINION_VALUE_COUNT;
    assert_int_equal(DECODE(), ERROR_UNSUPPORTED);
    content.value = NOCTUA__OPINION_VALUE__OPINION_UP;
    content.worst_check = "Not A Name";
    assert_int_equal(DECODE(), ERROR_INVALID);
    content.worst_check = "";
    assert_int_equal(into->node_id, 4242); /* untouched so far */
    second.service = 1;
    assert_int_equal(DECODE(), ERROR_OK);
    assert_int_equal(into->node_id, 0);
    free(into);
}

/* The largest that a node can have to tell must get through. */
static void the_largest_report_fits(void **state) {
    (void)state;
    struct report *report = calloc(1, sizeof *report);
    assert_non_null(report);
    report->service_count = SERVICE_MAX;
    report->region_count = REGION_MAX;
    for (uint32_t s = 0; s < SERVICE_MAX; s++) {
        struct mongo_facts *mongo = &report->mongo[s];
        uint64_t seed = s;
        fill_struct(&mongo_facts_table, mongo, 0, &seed);
        mongo->member_count = MONGO_MEMBER_MAX;
        for (uint32_t m = 0; m < MONGO_MEMBER_MAX; m++) {
            fill_struct(&mongo_member_table, &mongo->members[m], 0, &seed);
        }
        for (uint32_t r = 0; r < REGION_MAX; r++) {
            fill_struct(&report_opinion_table, &report->opinions[s][r], 0, &seed);
        }
    }
    struct buffer bytes;
    encode(report, &bytes);
    print_message("%zu bytes\n", bytes.size_bytes);
    assert_true(bytes.size_bytes <= CODEC_REPORT_SIZE_MAX);
    buffer_finish(&bytes);
    free(report);
}

static void damaged_reports_never_crash(void **state) {
    (void)state;
    struct report *into = calloc(1, sizeof *into);
    assert_non_null(into);
    struct buffer bytes[8];
    for (uint64_t i = 0; i < ARRAY_LENGTH(bytes); i++) {
        struct report *report = make_report(500 + i);
        report->service_count = report->service_count % 4;
        report->region_count = report->region_count % 4;
        encode(report, &bytes[i]);
        free(report);
    }
    uint64_t seed = 99;
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        const struct buffer *whole = &bytes[random_below(&seed, ARRAY_LENGTH(bytes))];
        size_t size;
        uint8_t *damaged = mutate_bytes(whole->data, whole->size_bytes, &seed, &size);
        if (codec_decode_report(damaged, size, into, NULL) == ERROR_OK) {
            struct buffer again;
            encode(into, &again);
            assert_int_equal(again.size_bytes, size);
            assert_memory_equal(again.data, damaged, size);
            buffer_finish(&again);
            accepted++;
        }
        free(damaged);
    }
    print_message("accepted %u of 20000\n", accepted);
    assert_in_range(accepted, 1, 19999);
    for (uint64_t i = 0; i < ARRAY_LENGTH(bytes); i++) {
        buffer_finish(&bytes[i]);
    }
    free(into);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_come_back),           cmocka_unit_test(unused_places_are_not_sent),
        cmocka_unit_test(nothing_else_is_read),        cmocka_unit_test(the_largest_report_fits),
        cmocka_unit_test(damaged_reports_never_crash),
    };
    return cmocka_run_group_tests_name("report codec", tests, NULL, NULL);
}
