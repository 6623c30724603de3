/* What members of a replica set answer: any BSON becomes facts within their bounds, and what is
 * told of a set that such answers are put together to can be written in a report. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/report_codec.h"
#include "fuzz.h"
#include "mongo/replica_set.h"
#include "mongo_private.h"

#define NUMBER_MAX (UINT64_C(1) << 53) /* what a report can carry */

static void check_text(const char *text, size_t size) {
    assert(memchr(text, '\0', size) != NULL);
    for (; *text != '\0'; text++) {
        assert(*text > ' ' && *text < 0x7f);
    }
}

static void check_optime(const struct mongo_optime *optime) {
    assert(optime->seconds != 0 || (optime->count == 0 && optime->term == 0));
    assert(optime->term <= NUMBER_MAX);
}

static void check_status(const struct mongo_status *status) {
    assert(status->member_count <= MONGO_SET_MEMBER_MAX);
    assert((unsigned)status->my_state < MONGO_STATE_COUNT);
    check_text(status->set_name, sizeof status->set_name);
    for (uint32_t i = 0; i < status->member_count; i++) {
        check_text(status->members[i].host, sizeof status->members[i].host);
        check_text(status->members[i].sync_source, sizeof status->members[i].sync_source);
        check_optime(&status->members[i].optime);
    }
}

static void check_config(const struct mongo_config *config, bool good) {
    assert(good == (config->version > 0 && config->member_count > 0));
    assert(config->member_count <= MONGO_SET_MEMBER_MAX);
    for (uint32_t i = 0; i < config->member_count; i++) {
        assert(config->members[i].host[0] != '\0');
        check_text(config->members[i].host, sizeof config->members[i].host);
        check_text(config->members[i].tag, sizeof config->members[i].tag);
        assert(config->members[i].priority_milli <= 1000000);
    }
}

static void check_counts(const bson_t *reply) {
    uint64_t term = NUMBER_MAX;
    uint64_t writes = 0;
    bool told = mongo_read_oplog_term(reply, &term);
    assert(told ? term <= NUMBER_MAX : term == 0);
    if (mongo_read_writes(reply, &writes)) {
        assert(writes <= 3 * NUMBER_MAX);
    }
}

/* The same answer by every member, so that all of it comes into the facts. */
static void put_together(const struct set_answer *answer) {
    static const char *const regions[] = {"us-east-1", "us-west-2"};
    struct replica_set *set = calloc(1, sizeof *set);
    struct report *report = calloc(1, sizeof *report);
    assert(set != NULL && report != NULL);
    replica_set_init(set, answer->config.set_name);
    replica_set_place(set, regions, ARRAY_LENGTH(regions));
    (void)replica_set_take(set, "", answer);
    for (uint32_t i = 0; i < answer->config.member_count; i++) {
        (void)replica_set_take(set, answer->config.members[i].host, answer);
    }
    uint32_t primary = replica_set_primary(set, 0);
    assert(primary == NONE_INDEX || primary < set->member_count);
    for (uint32_t r = 0; r < ARRAY_LENGTH(regions); r++) {
        assert((unsigned)mongo_region_judge(set, r, r == 0, 0) < PROBE_RESULT_COUNT);
    }
    replica_set_facts(set, 1000000, &report->mongo[0]);
    report->service_count = 1;
    struct buffer bytes;
    struct error error;
    buffer_init(&bytes, 0);
    enum error_code code = codec_encode_report(report, &bytes, &error);
    assert(code == ERROR_OK);
    (void)code;
    buffer_finish(&bytes);
    free(report);
    free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bson_t reply;
    const char *trouble = NULL;
    if (size == 0 || !bson_init_static(&reply, data, size)) {
        return 0;
    }
    struct set_answer *answer = calloc(1, sizeof *answer);
    struct mongo_seeds *seeds = calloc(1, sizeof *seeds);
    assert(answer != NULL && seeds != NULL);
    answer->asked_ms = 500000;
    mongo_read_hello(&reply, &answer->hello);
    mongo_read_status(&reply, &answer->status);
    answer->has_config = mongo_read_config(&reply, "region", &answer->config);
    assert(answer->hello.host_count <= MONGO_SET_MEMBER_MAX);
    check_text(answer->hello.set_name, sizeof answer->hello.set_name);
    check_status(&answer->status);
    check_config(&answer->config, answer->has_config);
    bool written = mongo_read_write(&reply, &trouble);
    assert(trouble != NULL && written == (trouble[0] == '\0'));
    (void)mongo_read_oplog_start(&reply);
    check_counts(&reply);
    mongo_read_seeds(&reply, seeds);
    assert(seeds->count <= MONGO_SET_MEMBER_MAX);
    put_together(answer);
    free(seeds);
    free(answer);
    return 0;
}
