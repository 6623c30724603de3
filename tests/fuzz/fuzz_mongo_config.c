/* The config of a replica set as a member tells it, in the hands of the driver: split into fence
 * and state, written again, and changed as moves change it. What must have become of the members is
 * judged by the other reader of configs, the watcher's. The first byte says which region is
 * preferred, and whether the config is JSON (whose changes keep BSON's lengths right); the second
 * one who is dead. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config_rewrite.h"
#include "fuzz.h"

#define TAG "region"
#define FENCE "prod/nocturnal/5.1/0"
#define IS_JSON 0x80
#define VERSION_MAX (UINT64_C(1) << 53) /* that the watcher reads */
#define ELECTABLE_MAX 7                 /* MongoDB's own limit: only voters may have a priority */

static const char *const regions[] = {"us-east-1", "us-west-2", "eu-west-1", "nowhere"};
static const char *region;

/* --- what the watcher makes of it --- */

static bool read_config(const bson_t *config, struct mongo_config *ret) {
    bson_t reply = BSON_INITIALIZER;
    bool known =
        BSON_APPEND_DOCUMENT(&reply, "config", config) && mongo_read_config(&reply, TAG, ret);
    bson_destroy(&reply);
    return known;
}

static void read_state(const struct driver_blob *state, struct mongo_config *ret) {
    bson_t config;
    bool known =
        bson_init_static(&config, state->bytes, state->size_bytes) && read_config(&config, ret);
    assert(known);
}

static const struct mongo_config_member *find(const struct mongo_config *config, const char *host) {
    for (uint32_t i = 0; i < config->member_count; i++) {
        if (text_equal(config->members[i].host, host)) {
            return &config->members[i];
        }
    }
    return NULL;
}

static bool is_electable_in(const struct mongo_config_member *member, const char *where) {
    return member->priority_milli > 0 && text_equal(member->tag, where);
}

static bool has_electable(const struct mongo_config *config) {
    for (uint32_t i = 0; i < config->member_count; i++) {
        if (is_electable_in(&config->members[i], region)) {
            return true;
        }
    }
    return false;
}

/* As a server takes it: each host once, and no more candidates than there may be voters. The
 * watcher reads all of it, and none of its hosts was cut or cleaned. */
static bool is_sound(const bson_t *config, const struct mongo_config *read) {
    bson_t members;
    uint32_t electable = 0;
    if (!config_view_members(config, &members) || bson_count_keys(&members) != read->member_count) {
        return false;
    }
    for (uint32_t i = 0; i < read->member_count; i++) {
        const char *host = read->members[i].host;
        electable += read->members[i].priority_milli > 0;
        if (find(read, host) != &read->members[i] || strchr(host, '?') != NULL ||
            strlen(host) + 1 == MONGO_HOST_SIZE) {
            return false;
        }
    }
    return electable <= ELECTABLE_MAX;
}

/* --- what must hold --- */

/* What no change touches. */
static void check_who(const struct mongo_config_member *before,
                      const struct mongo_config_member *after) {
    assert(before->id == after->id && text_equal(before->host, after->host));
    assert(text_equal(before->tag, after->tag));
    assert(before->hidden == after->hidden && before->arbiter == after->arbiter);
    assert(before->delay_s == after->delay_s);
}

/* Who can be elected, and who votes, stays so. */
static void check_role(const struct mongo_config_member *before,
                       const struct mongo_config_member *after) {
    check_who(before, after);
    assert(before->votes == after->votes);
    assert((before->priority_milli > 0) == (after->priority_milli > 0));
}

static void check_settings(const struct mongo_config *before, const struct mongo_config *after) {
    assert(text_equal(before->set_name, after->set_name));
    assert(before->election_timeout_ms == after->election_timeout_ms);
    assert(before->heartbeat_ms == after->heartbeat_ms);
}

static void check_order(const struct mongo_config *before, const struct mongo_config *after) {
    for (uint32_t i = 0; i < after->member_count; i++) {
        for (uint32_t j = 0; j < after->member_count; j++) {
            const struct mongo_config_member *a = &after->members[i];
            const struct mongo_config_member *b = &after->members[j];
            if (is_electable_in(a, region) && b->priority_milli > 0 &&
                !text_equal(b->tag, region)) {
                assert(a->priority_milli > b->priority_milli);
            }
            if (is_electable_in(a, region) == is_electable_in(b, region) &&
                find(before, a->host)->priority_milli < find(before, b->host)->priority_milli) {
                assert(a->priority_milli < b->priority_milli);
            }
        }
    }
}

static bool is_same(const struct driver_blob *a, const struct driver_blob *b) {
    return a->size_bytes == b->size_bytes && memcmp(a->bytes, b->bytes, a->size_bytes) == 0;
}

/* --- split, and written again --- */

static bool split(const bson_t *config, struct driver_reading *ret) {
    struct error error = {ERROR_OK, ""};
    memset(ret, 0, sizeof *ret);
    enum error_code code = mongo_config_split(config, ret, &error);
    assert(code == error.code);
    return code == ERROR_OK;
}

static void check_join(const struct driver_blob *state, const struct mongo_config *before,
                       uint64_t version, struct driver_reading *ret) {
    static struct mongo_config after;
    struct error error;
    bson_t written;
    bool takes_fence = false;
    enum error_code code = mongo_config_join(state, FENCE, version, &written, &error);
    assert(code == ERROR_OK);
    bool known = read_config(&written, &after) && split(&written, ret);
    assert(known);
    assert(after.version == version && mongo_config_version(&ret->state) == version);
    check_settings(before, &after);
    assert(after.member_count == before->member_count);
    for (uint32_t i = 0; i < after.member_count; i++) {
        check_role(&before->members[i], &after.members[i]);
        assert(before->members[i].priority_milli == after.members[i].priority_milli);
        assert(before->members[i].kept_out == after.members[i].kept_out);
        takes_fence = takes_fence || !after.members[i].arbiter;
    }
    assert(ret->fence_present || !takes_fence);
    assert(!ret->fence_present || text_equal(ret->fence, FENCE));
    bson_destroy(&written);
}

static void check_round_trip(const struct driver_blob *state, const struct mongo_config *before) {
    static struct driver_reading once, twice, bare;
    bson_t view;
    bool known = bson_init_static(&view, state->bytes, state->size_bytes) && split(&view, &bare);
    assert(known && !bare.fence_present && is_same(&bare.state, state));
    uint64_t version = before->version < VERSION_MAX ? before->version + 1 : VERSION_MAX;
    check_join(state, before, version, &once);
    check_join(&once.state, before, version, &twice);
    assert(is_same(&once.state, &twice.state));
}

/* --- what moves change --- */

static bool prefer(const struct driver_blob *state, const struct mongo_config *before,
                   struct driver_blob *ret) {
    static struct mongo_config after;
    static struct driver_blob again;
    struct error error;
    char diff[256];
    enum error_code code = mongo_config_prefer(state, TAG, region, ret, diff, sizeof diff, &error);
    assert((code == ERROR_NOT_FOUND) == !has_electable(before));
    if (code != ERROR_OK) {
        return false;
    }
    read_state(ret, &after);
    check_settings(before, &after);
    assert(after.version == before->version && after.member_count == before->member_count);
    for (uint32_t i = 0; i < after.member_count; i++) {
        check_role(&before->members[i], &after.members[i]);
    }
    check_order(before, &after);
    code = mongo_config_prefer(ret, TAG, region, &again, diff, sizeof diff, &error);
    assert(code == ERROR_OK && diff[0] == '\0' && is_same(&again, ret));
    return true;
}

static bool force(const struct driver_blob *state, const struct mongo_config *before,
                  const struct mongo_hosts *dead, struct driver_blob *ret) {
    static struct mongo_config after;
    struct error error;
    char diff[256];
    uint32_t left = 0;
    enum error_code code =
        mongo_config_force(state, dead, TAG, region, ret, diff, sizeof diff, &error);
    if (code != ERROR_OK) {
        return false;
    }
    read_state(ret, &after);
    check_settings(before, &after);
    assert(after.version == before->version);
    for (uint32_t i = 0; i < before->member_count; i++) {
        const struct mongo_config_member *member = &before->members[i];
        bool is_dead = false;
        for (uint32_t j = 0; j < dead->count; j++) {
            is_dead = is_dead || text_equal(dead->hosts[j], member->host);
        }
        if (!is_dead) {
            assert(left < after.member_count);
            check_role(member, &after.members[left++]);
        }
    }
    assert(left == after.member_count && has_electable(&after));
    return true;
}

static enum error_code readmit(struct driver_blob *state, const char *host,
                               const struct left_out *document) {
    static struct driver_blob changed;
    struct error error;
    char diff[256];
    enum error_code code = mongo_config_readmit(state, host, document, TAG, region, &changed, diff,
                                                sizeof diff, &error);
    if (code == ERROR_OK) {
        *state = changed;
    }
    return code;
}

/* What the tag of one without a vote can say. */
static bool can_be_kept(const struct left_out *left_out) {
    bson_t member;
    bool known = bson_init_static(&member, left_out->document, left_out->size_bytes);
    assert(known);
    double priority = config_priority(&member);
    return config_tag(&member, MONGO_WAS_TAG) == NULL && priority >= 0 && priority <= 1000 &&
           (config_votes(&member) == 1 || priority > 0);
}

/* First without a vote, and then with it. */
static void come_back(struct driver_blob *state, const struct mongo_config_member *was,
                      const struct left_out *left_out) {
    static struct mongo_config now;
    static const struct left_out is_in;
    enum error_code code = readmit(state, left_out->host, left_out);
    if (code == ERROR_LIMIT) {
        return;
    }
    assert(code == ERROR_OK);
    read_state(state, &now);
    const struct mongo_config_member *member = find(&now, left_out->host);
    assert(member == &now.members[now.member_count - 1]);
    check_who(was, member);
    assert(was->arbiter || (!member->votes && member->priority_milli == 0));
    code = readmit(state, left_out->host, left_out); /* it is there */
    assert(code == ERROR_CONFLICT);
    bool has_vote = readmit(state, left_out->host, &is_in) == ERROR_OK;
    assert(has_vote || was->arbiter || !can_be_kept(left_out));
    if (has_vote && can_be_kept(left_out)) {
        read_state(state, &now);
        check_role(was, find(&now, left_out->host));
        assert(!find(&now, left_out->host)->kept_out);
    }
}

static void lose_some(const struct driver_blob *state, const struct mongo_config *before,
                      uint8_t dead_bits) {
    static struct driver_blob forced;
    static struct left_out list[MONGO_MEMBER_MAX];
    struct mongo_hosts dead = {0};
    struct error error;
    uint32_t count = 0;
    for (uint32_t i = 0; i < before->member_count && i < 8; i++) {
        if ((dead_bits >> i & 1) != 0) {
            memcpy(dead.hosts[dead.count++], before->members[i].host, MONGO_HOST_SIZE);
        }
    }
    if (!force(state, before, &dead, &forced) ||
        mongo_config_left_out(state, &dead, list, &count, &error) != ERROR_OK) {
        return;
    }
    assert(count == dead.count);
    for (uint32_t i = 0; i < count; i++) {
        come_back(&forced, find(before, list[i].host), &list[i]);
    }
}

/* NULL: none. */
static bson_t *take_config(const uint8_t *data, size_t size, bool is_json) {
    if (is_json) {
        return size == 0 ? NULL : bson_new_from_json(data, (ssize_t)size, NULL);
    }
    return bson_new_from_data(data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct mongo_config before;
    static struct driver_reading reading;
    static struct driver_blob preferred;
    uint8_t mode = fuzz_take(&data, &size);
    uint8_t dead = fuzz_take(&data, &size);
    region = regions[mode % ARRAY_LENGTH(regions)];
    bson_t *config = take_config(data, size, (mode & IS_JSON) != 0);
    if (config == NULL) {
        return 0;
    }
    if (read_config(config, &before) && split(config, &reading)) {
        assert(mongo_config_version(&reading.state) == before.version);
        check_round_trip(&reading.state, &before);
        if (is_sound(config, &before)) {
            (void)prefer(&reading.state, &before, &preferred);
            lose_some(&reading.state, &before, dead);
        }
    }
    bson_destroy(config);
    return 0;
}
