/* The watcher of replica sets, over members that say what the test wants. Rounds follow each other
 * in real time, a few milliseconds apart; ages run by a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "fake_mongo.h"
#include "probe/mongo.h"

#define INTERVAL_MS 20
#define TIMEOUT_MS 10

enum { EAST, WEST, EU, NOWHERE, REGIONS };

struct scene {
    uv_loop_t loop;
    struct clock clock;
    uint64_t now_ms, index;
    struct probe_mongo *watch;
    struct spec *spec;
    uint32_t active[SERVICE_MAX];
    struct probe_result last[REGIONS];
    uint32_t result_count[REGIONS], rounds, change_count, closed_count;
    uint32_t service; /* of the last result */
};

static struct scene scene;

static uint64_t boottime(void *context) {
    return ((const struct scene *)context)->now_ms;
}

static uint64_t applied_index(void *context) {
    return ((const struct scene *)context)->index;
}

static void on_result(void *context, uint32_t service, uint32_t region,
                      const struct probe_result *result) {
    struct scene *of = context;
    assert_true(region < REGIONS);
    of->service = service;
    of->last[region] = *result;
    of->result_count[region]++;
    of->rounds += region == EAST;
}

static void on_change(void *context, uint32_t service) {
    struct scene *of = context;
    (void)service;
    of->change_count++;
}

static void on_closed(void *context) {
    ((struct scene *)context)->closed_count++;
}

static void add_member(const char *region, int state, double priority) {
    struct fake_member *member = &fake.members[fake.member_count++];
    (void)snprintf(member->host, sizeof member->host, "db-%u:27017", fake.member_count);
    member->region = region;
    member->state = state;
    member->writable = state == 1;
    member->priority = priority;
    member->term = 7;
    member->seconds = 1000;
}

static void fill_spec(struct spec *spec) {
    static const char *const names[] = {"us-east-1", "us-west-2", "eu-west-1", "mars-1"};
    spec->region_count = REGIONS;
    for (uint32_t r = 0; r < REGIONS; r++) {
        (void)TEXT_COPY(spec->regions[r].name, names[r]);
    }
    spec->service_count = 1;
    (void)TEXT_COPY(spec->services[0].name, "nocturnal");
    struct spec_mongo *mongo = &spec->services[0].mongo;
    mongo->used = true;
    (void)TEXT_COPY(mongo->uri, "mongodb://db-1/?replicaSet=rs0");
    (void)TEXT_COPY(mongo->region_tag, "region");
    mongo->interval_ms = INTERVAL_MS;
    mongo->timeout_ms = TIMEOUT_MS;
}

/* Three members in three regions, the first one primary. */
static int setup(void **state) {
    (void)state;
    memset(&scene, 0, sizeof scene);
    fake_reset();
    fake.version = 1;
    add_member("us-east-1", 1, 2);
    add_member("us-west-2", 2, 1);
    add_member("eu-west-1", 2, 1);
    scene.now_ms = 1000000;
    scene.index = 41;
    scene.clock = (struct clock){boottime, boottime, &scene};
    scene.spec = calloc(1, sizeof *scene.spec);
    if (scene.spec == NULL || uv_loop_init(&scene.loop) != 0) {
        return -1;
    }
    fill_spec(scene.spec);
    struct probe_mongo_options options = {.applied_index = applied_index,
                                          .on_result = on_result,
                                          .on_change = on_change,
                                          .context = &scene,
                                          .client = fake_client(),
                                          .node = "n1",
                                          .secrets = "/nowhere"};
    struct error error;
    return probe_mongo_create(&scene.loop, &scene.clock, &entropy_system, &options, &scene.watch,
                              &error) == ERROR_OK
               ? 0
               : -1;
}

static int teardown(void **state) {
    (void)state;
    probe_mongo_destroy(scene.watch, on_closed, &scene);
    while (scene.closed_count == 0) {
        (void)uv_run(&scene.loop, UV_RUN_ONCE);
    }
    (void)uv_run(&scene.loop, UV_RUN_DEFAULT);
    bool good = scene.closed_count == 1 && fake_waiting() == 0 && fake.link_count == 0 &&
                uv_loop_close(&scene.loop) == 0;
    free(scene.spec);
    return good ? 0 : -1;
}

static void configure(void) {
    struct error error;
    assert_int_equal(probe_mongo_configure(scene.watch, scene.spec, scene.active, &error),
                     ERROR_OK);
}

/* Until so many rounds more have given results. */
static void run_rounds(uint32_t count) {
    uint32_t until = scene.rounds + count;
    while (scene.rounds < until) {
        (void)uv_run(&scene.loop, UV_RUN_ONCE);
    }
}

static void run_until_waiting(uint32_t count) {
    while (fake_waiting() < count) {
        (void)uv_run(&scene.loop, UV_RUN_ONCE);
    }
}

static struct mongo_facts facts_now(void) {
    struct mongo_facts facts;
    assert_true(probe_mongo_facts(scene.watch, 0, &facts));
    return facts;
}

static void a_set_is_found_from_its_seed(void **state) {
    struct mongo_facts facts;
    (void)state;
    assert_false(probe_mongo_facts(scene.watch, 0, &facts));
    configure();
    assert_true(probe_mongo_has_members(scene.watch, 0, NOWHERE)); /* who knows yet */
    run_rounds(1);
    facts = facts_now();
    assert_int_equal(facts.member_total, 3);
    assert_string_equal(facts.set_name, "rs0");
    assert_int_equal(facts.config_version, 1);
    assert_true(facts.config_committed);
    for (uint32_t i = 0; i < 3; i++) {
        const struct mongo_member *member = &facts.members[i];
        assert_int_equal(member->id, i);
        assert_int_equal(member->region, i);
        assert_true(member->answers && member->votes);
        assert_int_equal(member->writable, i == 0);
        assert_int_equal(member->state, i == 0 ? MONGO_PRIMARY : MONGO_SECONDARY);
        assert_int_equal(member->age_ms, 0);
        assert_int_equal(member->term, 7);
        assert_int_equal(member->optime.seconds, 1000);
        assert_int_equal(member->version, 404);
    }
    assert_int_equal(facts.primary, 0);
    assert_int_equal(facts.primary_term, 7);
    assert_int_equal(scene.last[EAST].code, PROBE_OK);
    assert_int_equal(scene.last[WEST].code, PROBE_OK);
    assert_int_equal(scene.last[EAST].start_index, 41);
    assert_int_equal(scene.result_count[NOWHERE], 0); /* no members, no check */
    assert_false(probe_mongo_has_members(scene.watch, 0, NOWHERE));
    uint64_t until_ms = 0;
    assert_int_equal(probe_mongo_primary(scene.watch, 0, &until_ms), EAST);
    assert_true(until_ms > scene.now_ms);
    scene.now_ms = until_ms + 1; /* an old observation is none */
    assert_int_equal(probe_mongo_primary(scene.watch, 0, &until_ms), NONE_INDEX);
}

static void a_config_is_not_read_each_time(void **state) {
    (void)state;
    configure();
    run_rounds(1);
    uint32_t before = fake.config_count;
    run_rounds(5);
    assert_int_equal(fake.config_count, before);
    fake.version = 2; /* members say that they have another one */
    add_member("us-west-2", 2, 1);
    run_rounds(1);
    assert_true(fake.config_count > before);
    assert_int_equal(facts_now().member_total, 4);
}

static void an_old_server_is_asked_in_its_own_words(void **state) {
    (void)state;
    fake.members[0].legacy = true;
    configure();
    run_rounds(1);
    uint32_t before = fake.hello_count;
    run_rounds(4);
    assert_int_equal(fake.hello_count - before, 4 * 3); /* and not twice each */
    assert_int_equal(facts_now().members[0].version, 306);
    assert_true(facts_now().members[0].writable);
}

static void who_hangs_delays_nobody(void **state) {
    (void)state;
    configure();
    run_rounds(1);
    uint32_t rounds = scene.rounds;
    fake.members[2].mode = FAKE_HUNG;
    scene.now_ms += 50;
    run_until_waiting(1);
    /* The others' answers count already; the round's results wait for its end. */
    struct mongo_facts facts = facts_now();
    assert_int_equal(facts.members[0].age_ms, 0);
    assert_int_equal(facts.members[1].age_ms, 0);
    assert_int_equal(facts.members[2].age_ms, 50);
    assert_true(facts.members[2].answers);
    uint32_t results = scene.rounds;
    fake_expire();
    assert_int_equal(scene.rounds, results + 1);
    assert_true(scene.rounds > rounds);
    assert_int_equal(scene.last[EU].code, PROBE_TIMEOUT);
    assert_int_equal(scene.last[EAST].code, PROBE_OK);
    assert_int_equal(scene.last[WEST].code, PROBE_OK);
    facts = facts_now();
    assert_false(facts.members[2].answers);
    assert_int_equal(facts.members[2].state, MONGO_UNKNOWN);
    assert_string_equal(facts.members[2].trouble, "timeout");
}

/* It answers "I am the primary", and the others know a newer term. */
static void a_stale_primary_counts_for_nothing(void **state) {
    (void)state;
    configure();
    run_rounds(1);
    fake.members[1].term = fake.members[2].term = 8;
    run_rounds(1);
    assert_true(facts_now().members[0].writable); /* it says so */
    uint64_t until_ms = 0;
    assert_int_equal(probe_mongo_primary(scene.watch, 0, &until_ms), NONE_INDEX);
    assert_int_equal(scene.last[EAST].code, PROBE_NO_PRIMARY);
    assert_int_equal(scene.last[WEST].code, PROBE_OK); /* a standby needs none */
    /* The same when those who know better don't answer any more. */
    fake.members[1].mode = fake.members[2].mode = FAKE_REFUSED;
    run_rounds(1);
    assert_int_equal(scene.last[EAST].code, PROBE_NO_PRIMARY);
    /* A primary that moved by itself is no reason to suspect the active region. */
    fake.members[1].mode = fake.members[2].mode = FAKE_UP;
    fake.members[1].state = 1;
    fake.members[1].writable = true;
    fake.members[0].state = 2;
    fake.members[0].writable = false;
    fake.members[0].term = 8;
    run_rounds(1);
    assert_int_equal(scene.last[EAST].code, PROBE_OK);
    assert_int_equal(probe_mongo_primary(scene.watch, 0, &until_ms), WEST);
    assert_int_equal(facts_now().primary, 1);
    /* PRIMARY that doesn't take writes yet is none. */
    fake.members[1].writable = false;
    run_rounds(1);
    assert_int_equal(scene.last[EAST].code, PROBE_NO_PRIMARY);
    /* Two of one term: a set that was forced apart. */
    fake.members[0].writable = fake.members[1].writable = true;
    run_rounds(1);
    assert_int_equal(scene.last[EAST].code, PROBE_NO_PRIMARY);
}

static void what_was_known_ages(void **state) {
    (void)state;
    fake.heard_ms = 1500;
    configure();
    run_rounds(1);
    fake.members[0].mode = FAKE_REFUSED;
    scene.now_ms += 3000;
    run_rounds(1);
    struct mongo_facts facts = facts_now();
    const struct mongo_member *dead = &facts.members[0];
    assert_false(dead->answers || dead->writable);
    assert_int_equal(dead->age_ms, 3000);
    assert_int_equal(dead->optime.seconds, 1000);
    assert_int_equal(dead->optime_age_ms, 3000);
    assert_int_equal(facts.primary, 0); /* the last one, though it is gone */
    assert_int_equal(facts.primary_age_ms, 3000);
    assert_string_equal(dead->trouble, "refused");
    assert_int_equal(scene.last[EAST].code, PROBE_REFUSED);
}

static void the_newer_word_holds(void **state) {
    (void)state;
    fake.heard_ms = 700;
    configure();
    run_rounds(1);
    scene.now_ms += 2000;
    fake.members[2].mode = FAKE_CUT_OFF;
    fake.members[2].seconds = 1003;
    run_rounds(1);
    struct mongo_facts facts = facts_now();
    assert_false(facts.members[2].answers);
    assert_int_equal(facts.members[2].age_ms, 2000);
    assert_int_equal(facts.members[2].optime.seconds, 1003);
    assert_int_equal(facts.members[2].optime_age_ms, 700);
    /* What was heard before that is no news. */
    fake.members[2].seconds = 990;
    fake.heard_ms = 4000;
    scene.now_ms += 1000;
    run_rounds(1);
    facts = facts_now();
    assert_int_equal(facts.members[2].optime.seconds, 1003);
    assert_int_equal(facts.members[2].optime_age_ms, 1700);
}

static void a_rollback_is_remembered(void **state) {
    (void)state;
    configure();
    run_rounds(1);
    assert_int_equal(facts_now().members[1].rollback_age_ms, MONGO_AGE_NEVER);
    fake.members[1].state = 9;
    run_rounds(1);
    assert_int_equal(facts_now().members[1].rollback_age_ms, 0);
    scene.now_ms += 1000;
    run_rounds(1);
    assert_int_equal(facts_now().members[1].rollback_age_ms, 0); /* still */
    fake.members[1].state = 2;
    scene.now_ms += 700;
    run_rounds(1);
    struct mongo_facts facts = facts_now();
    assert_int_equal(facts.members[1].rollback_age_ms, 700);
    assert_false(mongo_member_fell_silent_in_rollback(&facts.members[1]));
    fake.members[1].mode = FAKE_REFUSED; /* later, and well by then */
    scene.now_ms += 300;
    run_rounds(1);
    facts = facts_now();
    assert_int_equal(facts.members[1].rollback_age_ms, 1000);
    assert_false(mongo_member_fell_silent_in_rollback(&facts.members[1]));
    assert_int_equal(facts.members[0].rollback_age_ms, MONGO_AGE_NEVER);
    /* Its fellows see it, and we don't; and then nobody does. */
    fake.members[1].mode = FAKE_CUT_OFF;
    fake.members[1].state = 9;
    fake.heard_ms = 200;
    scene.now_ms += 2000;
    run_rounds(1);
    assert_int_equal(facts_now().members[1].rollback_age_ms, 200);
    fake.members[1].mode = FAKE_REFUSED;
    scene.now_ms += 500;
    run_rounds(1);
    facts = facts_now();
    assert_int_equal(facts.members[1].rollback_age_ms, 700);
    assert_true(mongo_member_fell_silent_in_rollback(&facts.members[1]));
    /* What was heard before that is no news. */
    fake.members[1].mode = FAKE_CUT_OFF;
    fake.heard_ms = 5000;
    run_rounds(1);
    assert_int_equal(facts_now().members[1].rollback_age_ms, 700);
}

static void without_privileges_hello_tells_something(void **state) {
    (void)state;
    configure();
    run_rounds(1);
    for (uint32_t i = 0; i < 3; i++) {
        fake.members[i].mode = FAKE_NO_PRIVILEGE;
    }
    run_rounds(1);
    struct mongo_facts facts = facts_now();
    assert_true(facts.members[0].answers && facts.members[0].writable);
    assert_int_equal(facts.members[1].state, MONGO_SECONDARY);
    assert_string_equal(facts.members[1].trouble, "auth");
    assert_int_equal(scene.last[WEST].code, PROBE_OK);
}

static void our_own_trouble_is_no_evidence(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        fake.members[i].mode = FAKE_AUTH;
    }
    configure();
    run_rounds(1);
    assert_int_equal(scene.last[EAST].code, PROBE_AUTH); /* also before a config is known */
    assert_int_equal(facts_now().member_total, 0);
    assert_string_equal(facts_now().members[0].trouble, "auth");
    for (uint32_t i = 0; i < 3; i++) {
        fake.members[i].mode = FAKE_UP;
    }
    run_rounds(1);
    assert_int_equal(scene.last[EAST].code, PROBE_OK);
    for (uint32_t i = 0; i < 3; i++) {
        fake.members[i].mode = FAKE_AUTH;
    }
    run_rounds(1);
    assert_int_equal(scene.last[EAST].code, PROBE_AUTH);
    assert_int_equal(probe_result_kind(scene.last[WEST].code), PROBE_KIND_VOID);
    /* One that refuses us may be the primary: then nobody can tell that there is none. */
    fake.members[1].mode = fake.members[2].mode = FAKE_UP;
    fake.members[0].region = "us-west-2";
    fake.members[1].region = "us-east-1";
    fake.version = 2;
    run_rounds(2);
    assert_int_equal(scene.last[EAST].code, PROBE_AUTH);
}

static void a_region_needs_one_that_could_be_elected(void **state) {
    (void)state;
    fake.members[1].hidden = true;
    configure();
    run_rounds(1);
    assert_int_equal(scene.last[WEST].code, PROBE_NO_MEMBER);
    fake.members[1].hidden = false;
    fake.members[1].state = 3; /* RECOVERING */
    fake.version = 2;
    run_rounds(2);
    assert_int_equal(scene.last[WEST].code, PROBE_NO_MEMBER);
    fake.members[1].state = 2;
    run_rounds(1);
    assert_int_equal(scene.last[WEST].code, PROBE_OK);
}

static void the_canary(void **state) {
    (void)state;
    (void)TEXT_COPY(scene.spec->services[0].mongo.write_check, "nocturnal.noctua");
    configure();
    run_rounds(1);
    struct mongo_facts facts = facts_now();
    assert_int_equal(fake.write_count, 1);
    assert_string_equal(fake.written_to, "db-1:27017");
    assert_string_equal(fake.written_id, "n1");
    assert_int_equal(facts.write_age_ms, 0);
    assert_string_equal(facts.write_trouble, "");
    run_rounds(3);
    assert_int_equal(fake.write_count, 1); /* who doesn't lead waits */
    scene.now_ms += PROBE_MONGO_CANARY_MS;
    fake.write_code = 64;
    run_rounds(1);
    assert_int_equal(fake.write_count, 2);
    facts = facts_now();
    assert_string_equal(facts.write_trouble, "wtimeout");
    assert_int_equal(facts.write_age_ms, PROBE_MONGO_CANARY_MS); /* the last good one */
    fake.write_code = 0;
    probe_mongo_lead(scene.watch, true);
    run_rounds(1);
    assert_int_equal(fake.write_count, 3);
    scene.now_ms += INTERVAL_MS;
    run_rounds(1);
    assert_int_equal(fake.write_count, 4);
    /* Without a primary nothing is sent. */
    fake.members[0].writable = false;
    scene.now_ms += INTERVAL_MS;
    run_rounds(1);
    assert_int_equal(fake.write_count, 4);
    assert_string_equal(facts_now().write_trouble, "no_primary");
}

/* Another ten seconds, in which the set took so many writes. */
static uint32_t rate_after(int64_t writes) {
    fake.writes += writes;
    scene.now_ms += PROBE_MONGO_RATE_MS;
    run_rounds(1);
    return facts_now().write_rate_milli;
}

static void the_rate_of_writes(void **state) {
    (void)state;
    fake.writes = 500;
    configure();
    run_rounds(1);
    assert_int_equal(fake.count_count, 1);
    assert_string_equal(fake.counted_at, "db-1:27017");
    assert_int_equal(facts_now().write_rate_milli, MONGO_RATE_UNKNOWN);
    fake.writes = 900;
    run_rounds(4);
    assert_int_equal(fake.count_count, 1); /* not each round */
    assert_int_equal(rate_after(905), 130500);
    assert_int_equal(rate_after(0), 0);
    assert_int_equal(rate_after(INT64_C(1) << 52), MONGO_RATE_UNKNOWN - 1);
    assert_int_equal(rate_after(7), 700);
    /* It dies: what it took is what may be lost. */
    fake.members[0].mode = FAKE_REFUSED;
    assert_int_equal(rate_after(0), 700);
    assert_int_equal(fake.count_count, 5);
    /* Another one counts for itself, from the start. */
    fake.members[1].state = 1;
    fake.members[1].writable = true;
    fake.members[1].term = fake.members[2].term = 8;
    fake.writes = 100000;
    run_rounds(1);
    assert_int_equal(facts_now().write_rate_milli, MONGO_RATE_UNKNOWN);
    assert_string_equal(fake.counted_at, "db-2:27017");
    assert_int_equal(rate_after(20), 2000);
    /* Started anew within the term, or wrapped: counters that go back. */
    assert_int_equal(rate_after(-90000), MONGO_RATE_UNKNOWN);
    assert_int_equal(rate_after(30), 3000);
    /* Elected again: who knows what was in between. */
    fake.members[1].term = fake.members[2].term = 9;
    assert_int_equal(rate_after(30), MONGO_RATE_UNKNOWN);
    assert_int_equal(rate_after(30), 3000);
}

static void a_rate_that_is_not_told(void **state) {
    (void)state;
    configure();
    run_rounds(1);
    assert_int_equal(rate_after(30), 3000);
    fake.counting = FAKE_COUNT_REFUSED; /* no privilege: no trouble, and asked seldom */
    assert_int_equal(rate_after(30), MONGO_RATE_UNKNOWN);
    uint32_t before = fake.count_count;
    assert_int_equal(rate_after(30), MONGO_RATE_UNKNOWN);
    assert_int_equal(fake.count_count, before);
    assert_string_equal(facts_now().members[0].trouble, "");
    assert_int_equal(scene.last[EAST].code, PROBE_OK);
    scene.now_ms += PROBE_MONGO_RATE_OLD_MS;
    fake.counting = FAKE_COUNT_MISSING;
    assert_int_equal(rate_after(30), MONGO_RATE_UNKNOWN);
    assert_int_equal(fake.count_count, before + 1);
    scene.now_ms += PROBE_MONGO_RATE_OLD_MS;
    fake.counting = FAKE_COUNTS;
    assert_int_equal(rate_after(30), MONGO_RATE_UNKNOWN);
    assert_int_equal(rate_after(30), 3000);
}

/* The round's results don't wait; and a rate that nobody refreshes is none after a while. */
static void a_count_that_hangs(void **state) {
    (void)state;
    configure();
    run_rounds(1);
    assert_int_equal(rate_after(30), 3000);
    fake.counting = FAKE_COUNT_HANGS;
    assert_int_equal(rate_after(30), 3000);
    assert_int_equal(fake_waiting(), 1);
    uint32_t before = fake.count_count;
    assert_int_equal(rate_after(30), 3000);
    assert_int_equal(fake.count_count, before); /* one at a time */
    assert_int_equal(scene.last[EAST].code, PROBE_OK);
    fake_expire();
    scene.now_ms += PROBE_MONGO_RATE_OLD_MS;
    run_rounds(1);
    assert_int_equal(facts_now().write_rate_milli, MONGO_RATE_UNKNOWN);
    /* What comes from a primary that was is no longer wanted. */
    assert_int_equal(fake_waiting(), 1);
    fake.members[0].writable = false;
    fake.members[0].state = 2;
    fake.members[1].state = 1;
    fake.members[1].writable = true;
    for (uint32_t i = 0; i < 3; i++) {
        fake.members[i].term = 8;
    }
    run_rounds(1);
    fake.counting = FAKE_COUNTS;
    fake.writes = 0;
    fake_count_late();
    fake.writes = 1000;
    run_rounds(1);
    assert_string_equal(fake.counted_at, "db-2:27017");
    assert_int_equal(facts_now().write_rate_milli, MONGO_RATE_UNKNOWN);
    assert_int_equal(rate_after(30), 3000);
    fake.counting = FAKE_COUNT_HANGS; /* until the end, which takes it back */
    (void)rate_after(0);
    assert_int_equal(fake_waiting(), 1);
}

static void a_new_place_keeps_what_is_known(void **state) {
    (void)state;
    configure();
    run_rounds(1);
    uint32_t links = fake.link_count;
    scene.spec->services[1] = scene.spec->services[0];
    memset(&scene.spec->services[0], 0, sizeof scene.spec->services[0]);
    (void)TEXT_COPY(scene.spec->services[0].name, "first");
    scene.spec->service_count = 2;
    configure();
    struct mongo_facts facts;
    assert_false(probe_mongo_facts(scene.watch, 0, &facts));
    assert_true(probe_mongo_facts(scene.watch, 1, &facts));
    assert_int_equal(facts.member_total, 3);
    assert_int_equal(fake.link_count, links);
    run_rounds(1);
    assert_int_equal(scene.service, 1);
    /* Asked otherwise, it is another set. */
    (void)TEXT_COPY(scene.spec->services[1].mongo.region_tag, "site");
    configure();
    assert_true(probe_mongo_facts(scene.watch, 1, &facts));
    assert_int_equal(facts.member_total, 0);
}

/* Closed in the middle of a round: no result, no leak, nothing waits (teardown looks). */
static void an_end_in_the_middle_of_a_round(void **state) {
    (void)state;
    configure();
    run_rounds(1);
    uint32_t rounds = scene.rounds;
    fake.members[0].mode = fake.members[1].mode = FAKE_HUNG;
    run_until_waiting(2);
    assert_int_equal(scene.rounds, rounds);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_set_is_found_from_its_seed),
        TEST(a_config_is_not_read_each_time),
        TEST(an_old_server_is_asked_in_its_own_words),
        TEST(who_hangs_delays_nobody),
        TEST(a_stale_primary_counts_for_nothing),
        TEST(what_was_known_ages),
        TEST(the_newer_word_holds),
        TEST(a_rollback_is_remembered),
        TEST(without_privileges_hello_tells_something),
        TEST(our_own_trouble_is_no_evidence),
        TEST(a_region_needs_one_that_could_be_elected),
        TEST(the_canary),
        TEST(the_rate_of_writes),
        TEST(a_rate_that_is_not_told),
        TEST(a_count_that_hangs),
        TEST(a_new_place_keeps_what_is_known),
        TEST(an_end_in_the_middle_of_a_round),
    };
    return cmocka_run_group_tests_name("probe mongo", tests, NULL, NULL);
}
