/* The replica set's promises under random faults, on virtual time: one primary a term, nothing lost
 * that was acknowledged with w:majority, the same history from the same seed. And w:1 does lose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mongo/set.h"

#define MEMBERS_MAX 5
#define WRITES_MAX 4000
#define TERMS_MAX 400
#define WORLD_MS 150000
#define QUIET_MS 90000
#define FIRST_ID 1000
#define SEEDS 120
#define SEED_STEP 1000003

static const char *const hosts[MEMBERS_MAX] = {"a:1", "b:1", "c:1", "d:1", "e:1"};

struct world {
    struct mongo_set *set;
    uint64_t seed;
    size_t members;
    enum mongo_release release;
    uint64_t last_connection;
    uint64_t written;
    bool acknowledged[WRITES_MAX];
    unsigned acknowledged_count;
    int primary_of_term[TERMS_MAX]; /* process + 1 */
    bool expected_down[MEMBERS_MAX];
    size_t barred; /* process + 1, of priority 0; 0: none */
    unsigned elections;
    uint64_t trace;    /* a hash of all that was said */
    bool found;        /* the last find found something */
    int64_t counts[3]; /* of the last serverStatus: inserts, updates, deletes */
};

/* Told after each test: cmocka ends one by a long jump. */
static uint64_t seed_of_failure;

static uint64_t draw(struct world *world, uint64_t below) {
    /* splitmix64 */
    uint64_t x = world->seed += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return (x ^ (x >> 31)) % below;
}

static uint64_t on_random(void *context, size_t process, uint64_t below) {
    (void)process;
    return draw(context, below);
}

static void on_reply(void *context, uint64_t connection, uint64_t request, const bson_t *document,
                     bool more) {
    struct world *world = context;
    bson_iter_t iter;
    (void)connection;
    (void)more;
    const uint8_t *bytes = bson_get_data(document);
    for (uint32_t i = 0; i < document->len; i++) {
        world->trace = (world->trace ^ bytes[i]) * 0x100000001b3ULL;
    }
    bson_iter_t first;
    world->found = bson_iter_init(&iter, document) &&
                   bson_iter_find_descendant(&iter, "cursor.firstBatch.0", &first);
    static const char *const counters[] = {"opcounters.insert", "opcounters.update",
                                           "opcounters.delete"};
    for (size_t i = 0; i < 3 && bson_has_field(document, counters[i]); i++) {
        assert_true(bson_iter_init(&iter, document) &&
                    bson_iter_find_descendant(&iter, counters[i], &first));
        world->counts[i] = bson_iter_as_int64(&first);
    }
    bool good = bson_iter_init_find(&iter, document, "ok") && bson_iter_as_bool(&iter) &&
                !bson_has_field(document, "writeErrors") &&
                !bson_has_field(document, "writeConcernError");
    if (good && request >= FIRST_ID) {
        world->acknowledged[request - FIRST_ID] = true;
        world->acknowledged_count++;
    }
}

static void on_hang_up(void *context, uint64_t connection) {
    struct world *world = context;
    world->trace = (world->trace ^ connection) * 0x100000001b3ULL;
}

static void on_listening(void *context, size_t process, bool listens) {
    struct world *world = context;
    /* A member that ends by itself would have rolled back what a majority had. */
    assert_true(listens || world->expected_down[process]);
}

static void ask(struct world *world, size_t process, uint64_t id, const char *database,
                bson_t *command) {
    uint64_t connection = ++world->last_connection;
    if (mongo_set_connect(world->set, process, connection)) {
        const struct mongo_request request = {
            .connection = connection, .id = id, .database = database, .command = command};
        mongo_set_request(world->set, &request);
    }
    bson_destroy(command);
}

static void run(struct world *world, uint64_t ms) {
    uint64_t end_ms = mongo_set_now_ms(world->set) + ms;
    while (mongo_set_now_ms(world->set) < end_ms) {
        uint64_t next_ms = mongo_set_next_ms(world->set);
        mongo_set_run(world->set, next_ms < end_ms ? next_ms : end_ms);
        for (size_t i = 0; i < world->members; i++) {
            struct mongo_view view;
            mongo_set_view(world->set, i, &view);
            if (!view.writable) {
                continue;
            }
            assert_true(view.term > 0 && view.term < TERMS_MAX);
            int *primary = &world->primary_of_term[view.term];
            world->elections += *primary == 0 ? 1 : 0;
            assert_true(*primary == 0 || *primary == (int)i + 1);
            *primary = (int)i + 1;
        }
    }
}

static void set_fate(struct world *world, size_t process, enum mongo_fate fate) {
    world->expected_down[process] = fate == MONGO_KILL || fate == MONGO_SHUTDOWN;
    mongo_set_fate(world->set, process, fate);
}

/* All members, with votes; priorities from 1 to 3, but all the same to begin with. */
static bson_t *configure(struct world *world, const char *command, int64_t version) {
    bson_t *config = bson_new();
    bson_t child;
    bson_t list;
    bson_append_document_begin(config, command, -1, &child);
    BSON_APPEND_UTF8(&child, "_id", "rs");
    BSON_APPEND_INT64(&child, "version", version);
    BSON_APPEND_ARRAY_BEGIN(&child, "members", &list);
    for (size_t i = 0; i < world->members; i++) {
        char key[24];
        bson_t member;
        (void)snprintf(key, sizeof(key), "%zu", i);
        BSON_APPEND_DOCUMENT_BEGIN(&list, key, &member);
        BSON_APPEND_INT32(&member, "_id", (int32_t)i);
        BSON_APPEND_UTF8(&member, "host", hosts[i]);
        double priority = version == 1 ? 1 : 1 + (double)draw(world, 3);
        BSON_APPEND_DOUBLE(&member, "priority", i + 1 == world->barred ? 0 : priority);
        bson_append_document_end(&list, &member);
    }
    bson_append_array_end(&child, &list);
    bson_append_document_end(config, &child);
    return config;
}

static void begin(struct world *world, enum mongo_release release, size_t members, uint64_t seed) {
    *world = (struct world){.seed = seed, .members = members, .release = release};
    const struct mongo_set_options options = {
        .release = release,
        .name = "rs",
        .hosts = hosts,
        .host_count = members,
        .wall_ms = 1700000000000,
        .context = world,
        .random = on_random,
        .reply = on_reply,
        .hang_up = on_hang_up,
        .listening = on_listening,
    };
    world->set = mongo_set_create(&options);
    for (size_t i = 0; i < members; i++) {
        mongo_set_fate(world->set, i, MONGO_START);
    }
    run(world, 2000);
    ask(world, 0, 1, "admin", configure(world, "replSetInitiate", 1));
    run(world, 20000);
    assert_true(world->elections > 0);
}

static void write_some(struct world *world, size_t process, bool majority) {
    char id[24];
    if (world->written == WRITES_MAX) {
        return;
    }
    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)world->written);
    bson_t *command = majority ? BCON_NEW("insert", BCON_UTF8("c"), "documents", "[", "{", "_id",
                                          BCON_UTF8(id), "}", "]", "writeConcern", "{", "w",
                                          BCON_UTF8("majority"), "wtimeout", BCON_INT32(3000), "}")
                               : BCON_NEW("insert", BCON_UTF8("c"), "documents", "[", "{", "_id",
                                          BCON_UTF8(id), "}", "]");
    ask(world, process, FIRST_ID + world->written++, "app", command);
}

static bool holds(const struct world *world, size_t process, uint64_t number) {
    char id[24];
    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)number);
    return mongo_set_holds(world->set, process, "app", "c", id);
}

static bool finds(struct world *world, size_t process, const char *id, const char *level) {
    world->found = false;
    ask(world, process, 2, "app",
        BCON_NEW("find", BCON_UTF8("c"), "filter", "{", "_id", BCON_UTF8(id), "}", "readConcern",
                 "{", "level", BCON_UTF8(level), "}"));
    run(world, 10);
    return world->found;
}

static void cut_off(struct world *world, size_t process, bool cut) {
    for (size_t i = 0; i < world->members; i++) {
        mongo_set_cut(world->set, process, i, cut && i != process);
        mongo_set_cut(world->set, i, process, cut && i != process);
    }
}

static void reconfigure(struct world *world, size_t process) {
    struct mongo_view view;
    mongo_set_view(world->set, process, &view);
    if (view.config_version > 0) {
        ask(world, process, 1, "admin",
            configure(world, "replSetReconfig", view.config_version + 1));
    }
}

static void disturb(struct world *world) {
    size_t one = draw(world, world->members);
    size_t other = draw(world, world->members);
    switch (draw(world, 13)) {
    case 0:
        set_fate(world, one, MONGO_KILL);
        break;
    case 1:
    case 2:
        set_fate(world, one, MONGO_START);
        break;
    case 3:
        mongo_set_fate(world->set, one, MONGO_STOP);
        break;
    case 4:
    case 5:
        mongo_set_fate(world->set, one, MONGO_CONTINUE);
        break;
    case 6:
        mongo_set_cut(world->set, one, other, one != other);
        break;
    case 7:
    case 8:
        for (size_t i = 0; i < world->members; i++) {
            mongo_set_cut(world->set, one, i, false);
            mongo_set_cut(world->set, i, one, false);
        }
        break;
    case 9:
        for (size_t i = 0; i < world->members; i++) {
            mongo_set_cut(world->set, one, i, i != one);
            mongo_set_cut(world->set, i, one, i != one);
        }
        break;
    case 10:
        ask(world, one, 1, "admin", BCON_NEW("replSetStepUp", BCON_INT32(1)));
        break;
    case 11:
        reconfigure(world, one);
        break;
    default:
        mongo_set_apply_delay(world->set, one, draw(world, 3) == 0 ? 4000 : 0);
        ask(world, one, 1, "admin",
            BCON_NEW("replSetStepDown", BCON_INT32(20), "secondaryCatchUpPeriodSecs",
                     BCON_INT32(2)));
        break;
    }
}

static bool all_alike(const struct world *world) {
    struct mongo_view first;
    struct mongo_view view;
    bool alike = true;
    mongo_set_view(world->set, 0, &first);
    for (size_t i = 1; i < world->members; i++) {
        mongo_set_view(world->set, i, &view);
        alike = alike && view.applied == first.applied &&
                view.config_version == first.config_version &&
                view.config_term == first.config_term;
    }
    return alike;
}

static void calm(struct world *world) {
    for (size_t i = 0; i < world->members; i++) {
        for (size_t j = 0; j < world->members; j++) {
            mongo_set_cut(world->set, i, j, false);
        }
        mongo_set_apply_delay(world->set, i, 0);
        set_fate(world, i, MONGO_START);
        mongo_set_fate(world->set, i, MONGO_CONTINUE);
    }
    run(world, QUIET_MS);
    /* A note may have been written in this very moment. */
    for (unsigned i = 0; i < 100 && !all_alike(world); i++) {
        run(world, 10);
    }
}

static void check_end(const struct world *world) {
    unsigned writable = 0;
    assert_true(all_alike(world));
    for (size_t i = 0; i < world->members; i++) {
        struct mongo_view view;
        mongo_set_view(world->set, i, &view);
        assert_true(view.up);
        writable += view.writable ? 1 : 0;
        for (uint64_t number = 0; number < world->written; number++) {
            assert_true(!world->acknowledged[number] || holds(world, i, number));
        }
    }
    assert_int_equal(writable, 1);
}

/* What was said in the world of this seed. */
static uint64_t live(enum mongo_release release, size_t members, uint64_t seed,
                     struct world *world) {
    begin(world, release, members, seed);
    while (mongo_set_now_ms(world->set) < WORLD_MS) {
        if (draw(world, 8) == 0) {
            disturb(world);
        }
        write_some(world, draw(world, members), true);
        run(world, 20 + draw(world, 400));
    }
    calm(world);
    check_end(world);
    mongo_set_destroy(world->set);
    return world->trace;
}

static void live_many(enum mongo_release release, size_t members) {
    struct world *world = malloc(sizeof(*world));
    unsigned elections = 0;
    unsigned acknowledged = 0;
    assert_non_null(world);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        seed_of_failure = seed;
        (void)live(release, members, seed * SEED_STEP, world);
        elections += world->elections;
        acknowledged += world->acknowledged_count;
    }
    /* The worlds were worth living in. */
    assert_true(elections > 2 * SEEDS);
    assert_true(acknowledged > 25 * SEEDS);
    free(world);
}

static int tell_seed(void **state) {
    (void)state;
    print_message("the last seed was %llu\n", (unsigned long long)seed_of_failure);
    return 0;
}

static void test_three_members_of_36(void **state) {
    (void)state;
    live_many(MONGO_RELEASE_3_6, 3);
}

static void test_three_members_of_44(void **state) {
    (void)state;
    live_many(MONGO_RELEASE_4_4, 3);
}

static void test_five_members_of_36(void **state) {
    (void)state;
    live_many(MONGO_RELEASE_3_6, 5);
}

static void test_five_members_of_44(void **state) {
    (void)state;
    live_many(MONGO_RELEASE_4_4, 5);
}

/* A new primary that caught up for ever with another history; votes of one term that were counted
 * in the next. */
static void test_worlds_that_were_broken_once(void **state) {
    struct world *world = malloc(sizeof(*world));
    (void)state;
    assert_non_null(world);
    (void)live(MONGO_RELEASE_4_4, 3, 158ULL * SEED_STEP, world);
    (void)live(MONGO_RELEASE_3_6, 3, 277ULL * SEED_STEP, world);
    (void)live(MONGO_RELEASE_3_6, 5, 163ULL * SEED_STEP, world);
    free(world);
}

static void test_a_seed_is_a_history(void **state) {
    struct world *world = malloc(sizeof(*world));
    (void)state;
    assert_non_null(world);
    uint64_t one = live(MONGO_RELEASE_4_4, 3, 7, world);
    assert_true(one == live(MONGO_RELEASE_4_4, 3, 7, world));
    assert_true(one != live(MONGO_RELEASE_4_4, 3, 8, world));
    free(world);
}

static size_t writable_process(const struct world *world) {
    for (size_t i = 0; i < world->members; i++) {
        struct mongo_view view;
        mongo_set_view(world->set, i, &view);
        if (view.writable) {
            return i;
        }
    }
    fail_msg("there is no primary");
    return 0;
}

/* The judge can see a loss: with w:1 there is one. */
static void insert(struct world *world, size_t process, const char *id) {
    ask(world, process, 1, "app",
        BCON_NEW("insert", BCON_UTF8("c"), "documents", "[", "{", "_id", BCON_UTF8(id), "}", "]"));
    run(world, 1000);
}

static void see_a_lonely_write(enum mongo_release release) {
    struct world *world = malloc(sizeof(*world));
    assert_non_null(world);
    begin(world, release, 3, 5);
    size_t primary = writable_process(world);
    insert(world, primary, "shared");
    assert_true(finds(world, primary, "shared", "majority"));
    cut_off(world, primary, true);
    insert(world, primary, "lonely");
    assert_true(finds(world, primary, "lonely", "local"));
    assert_false(finds(world, primary, "lonely", "majority"));
    assert_true(finds(world, primary, "shared", "majority"));
    mongo_set_destroy(world->set);
    free(world);
}

static void test_a_read_of_a_majority_sees_no_lonely_write(void **state) {
    (void)state;
    see_a_lonely_write(MONGO_RELEASE_3_6);
    see_a_lonely_write(MONGO_RELEASE_4_4);
}

static void assert_counts(struct world *world, size_t process, int64_t inserts, int64_t updates,
                          int64_t deletes) {
    memset(world->counts, 0xff, sizeof world->counts);
    ask(world, process, 2, "admin", BCON_NEW("serverStatus", BCON_INT32(1), "repl", BCON_INT32(0)));
    run(world, 10);
    assert_int_equal(world->counts[0], inserts);
    assert_int_equal(world->counts[1], updates);
    assert_int_equal(world->counts[2], deletes);
}

/* Statements of clients: nothing that comes by replication, and from the start of the process. */
static void test_a_server_counts_writes(void **state) {
    struct world *world = malloc(sizeof(*world));
    (void)state;
    assert_non_null(world);
    begin(world, MONGO_RELEASE_4_4, 3, 5);
    size_t primary = writable_process(world);
    size_t other = (primary + 1) % 3;
    assert_counts(world, primary, 0, 0, 0);
    insert(world, primary, "a");
    insert(world, primary, "a"); /* refused, and counted */
    ask(world, primary, 2, "app",
        BCON_NEW("update", BCON_UTF8("c"), "updates", "[", "{", "q", "{", "_id", BCON_UTF8("a"),
                 "}", "u", "{", "$set", "{", "n", BCON_INT32(1), "}", "}", "}", "]"));
    ask(world, primary, 2, "app",
        BCON_NEW("delete", BCON_UTF8("c"), "deletes", "[", "{", "q", "{", "_id", BCON_UTF8("a"),
                 "}", "limit", BCON_INT32(1), "}", "]"));
    run(world, 1000);
    assert_counts(world, primary, 2, 1, 1);
    insert(world, other, "b"); /* no primary */
    assert_counts(world, other, 0, 0, 0);
    set_fate(world, primary, MONGO_KILL);
    run(world, 1000);
    set_fate(world, primary, MONGO_START);
    run(world, 20000);
    assert_counts(world, primary, 0, 0, 0);
    mongo_set_destroy(world->set);
    free(world);
}

static void test_w1_of_a_cut_off_primary_is_lost(void **state) {
    struct world *world = malloc(sizeof(*world));
    struct mongo_view view;
    (void)state;
    assert_non_null(world);
    begin(world, MONGO_RELEASE_3_6, 3, 5);
    size_t old = writable_process(world);
    for (size_t i = 0; i < 3; i++) {
        mongo_set_cut(world->set, old, i, i != old);
        mongo_set_cut(world->set, i, old, i != old);
    }
    run(world, 100);
    write_some(world, old, false);
    run(world, 40000);
    assert_true(world->acknowledged[0]);
    assert_true(holds(world, old, 0));
    calm(world);
    mongo_set_view(world->set, old, &view);
    assert_int_equal(view.rollback_id, 2);
    assert_false(holds(world, old, 0));
    assert_false(holds(world, writable_process(world), 0));
    mongo_set_destroy(world->set);
    free(world);
}

/* Nobody answers it, and then it may stand no more: that mustn't keep it from standing later. */
static void check_candidacy_ends_with_its_config(enum mongo_release release) {
    struct world *world = malloc(sizeof(*world));
    assert_non_null(world);
    begin(world, release, 3, 7);
    size_t primary = writable_process(world);
    size_t one = (primary + 1) % 3;
    for (size_t i = 0; i < 3; i++) {
        mongo_set_cut(world->set, one, i, i != one);
    }
    ask(world, one, 1, "admin", BCON_NEW("replSetStepUp", BCON_INT32(1)));
    run(world, 100);
    cut_off(world, one, false);
    world->barred = one + 1;
    reconfigure(world, primary);
    run(world, 4000);
    world->barred = 0;
    reconfigure(world, writable_process(world));
    run(world, 4000);
    ask(world, one, 1, "admin", BCON_NEW("replSetStepUp", BCON_INT32(1)));
    run(world, 4000);
    assert_int_equal(writable_process(world), one);
    mongo_set_destroy(world->set);
    free(world);
}

static void test_a_candidacy_ends_with_its_config(void **state) {
    (void)state;
    check_candidacy_ends_with_its_config(MONGO_RELEASE_3_6);
    check_candidacy_ends_with_its_config(MONGO_RELEASE_4_4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_three_members_of_36, tell_seed),
        cmocka_unit_test_teardown(test_three_members_of_44, tell_seed),
        cmocka_unit_test_teardown(test_five_members_of_36, tell_seed),
        cmocka_unit_test_teardown(test_five_members_of_44, tell_seed),
        cmocka_unit_test(test_worlds_that_were_broken_once),
        cmocka_unit_test(test_a_seed_is_a_history),
        cmocka_unit_test(test_a_read_of_a_majority_sees_no_lonely_write),
        cmocka_unit_test(test_a_server_counts_writes),
        cmocka_unit_test(test_w1_of_a_cut_off_primary_is_lost),
        cmocka_unit_test(test_a_candidacy_ends_with_its_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
