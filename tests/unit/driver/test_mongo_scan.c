/* What a look at a replica set proves: which config it can't lose any more, and that a majority
 * follows its primary. mongo/client.h is played in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "driver/mongo.h"
#include "mongo_config.h"
#include "mongo_scan.h"

#define VOTERS 3
#define NO_TERM 0

struct played {
    int64_t term; /* of the member */
    int64_t version, config_term;
    bool silent, tells_no_status, is_primary;
    int64_t committed_term;      /* of the newest entry that it knows a majority to have */
    uint32_t committed, durable; /* counts of that entry, and of its own last on disk */
    int64_t oplog_term;          /* of its last entry */
    /* Between two questions it votes in that term, and then takes that version. */
    int64_t votes_in, takes;
};

struct mongo_client {
    struct played members[VOTERS + 1]; /* the last one is in no config */
    const char *written;               /* eid of the document that a majority has; NULL: none */
    uint32_t reconfigs;                /* that were asked for */
};

struct mongo_link {
    struct mongo_client *client;
    char host[MONGO_HOST_SIZE];
};

static struct mongo_client played;

struct mongo_link *mongo_link_create(struct mongo_client *client,
                                     const struct mongo_target *target) {
    struct mongo_link *link = calloc(1, sizeof *link);
    assert_non_null(link);
    link->client = client;
    (void)TEXT_COPY(link->host, target->host);
    return link;
}

void mongo_link_destroy(struct mongo_link *link) {
    free(link);
}

static void answer(mongo_reply_cb callback, void *context, enum mongo_result result, int32_t code,
                   const bson_t *document) {
    const struct mongo_reply reply = {
        .result = result, .server_code = code, .document = document, .detail = ""};
    callback(context, &reply);
}

void mongo_link_look_up(struct mongo_link *link, uint32_t timeout_ms, mongo_reply_cb callback,
                        void *context) {
    bson_t *seeds = BCON_NEW("hosts", "[", BCON_UTF8("m0:1"), BCON_UTF8("m1:1"), BCON_UTF8("m2:1"),
                             "]", "setName", BCON_UTF8("rs0"));
    (void)link;
    (void)timeout_ms;
    answer(callback, context, MONGO_RESULT_OK, 0, seeds);
    bson_destroy(seeds);
}

static bson_t *config_of(const struct played *member) {
    bson_t *reply = bson_new();
    bson_t config;
    bson_t members;
    BSON_APPEND_DOCUMENT_BEGIN(reply, "config", &config);
    BSON_APPEND_UTF8(&config, "_id", "rs0");
    BSON_APPEND_INT64(&config, "version", member->version);
    if (member->config_term != NO_TERM) {
        BSON_APPEND_INT64(&config, "term", member->config_term);
    }
    BSON_APPEND_ARRAY_BEGIN(&config, "members", &members);
    for (int32_t i = 0; i < VOTERS; i++) {
        bson_t child;
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        BSON_APPEND_DOCUMENT_BEGIN(&members, text, &child);
        BSON_APPEND_INT32(&child, "_id", i);
        (void)snprintf(text, sizeof text, "m%d:1", i);
        BSON_APPEND_UTF8(&child, "host", text);
        bson_t tags;
        BSON_APPEND_DOCUMENT_BEGIN(&child, "tags", &tags);
        BSON_APPEND_UTF8(&tags, "region", i == 0 ? "west" : "east");
        bson_append_document_end(&child, &tags);
        bson_append_document_end(&members, &child);
    }
    bson_append_array_end(&config, &members);
    bson_append_document_end(reply, &config);
    return reply;
}

static bson_t *hello_of(const struct played *member) {
    return BCON_NEW("setName", BCON_UTF8("rs0"), "isWritablePrimary", BCON_BOOL(member->is_primary),
                    "secondary", BCON_BOOL(!member->is_primary));
}

static bson_t *status_of(const struct played *member) {
    return BCON_NEW("set", BCON_UTF8("rs0"), "myState", BCON_INT32(member->is_primary ? 1 : 2),
                    "term", BCON_INT64(member->term), "optimes", "{", "lastCommittedOpTime", "{",
                    "ts", BCON_TIMESTAMP(100, member->committed), "t",
                    BCON_INT64(member->committed_term), "}", "durableOpTime", "{", "ts",
                    BCON_TIMESTAMP(100, member->durable), "t", BCON_INT64(member->committed_term),
                    "}", "}");
}

static bson_t *documents(void) {
    return played.written == NULL ? BCON_NEW("cursor", "{", "firstBatch", "[", "]", "}")
                                  : BCON_NEW("cursor", "{", "firstBatch", "[", "{", "eid",
                                             BCON_UTF8(played.written), "}", "]", "}");
}

static bson_t *oplog_end(const struct played *member) {
    return BCON_NEW("cursor", "{", "firstBatch", "[", "{", "t", BCON_INT64(member->oplog_term), "}",
                    "]", "}");
}

static bool has_text(const bson_t *command, const char *name, const char *text) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, command, name) && BSON_ITER_HOLDS_UTF8(&iter) &&
           text_equal(bson_iter_utf8(&iter, NULL), text);
}

static bson_t *reply_of(struct played *member, const bson_t *command) {
    bson_t *reply = bson_has_field(command, "hello")              ? hello_of(member)
                    : bson_has_field(command, "replSetGetStatus") ? status_of(member)
                    : has_text(command, "find", "oplog.rs")       ? oplog_end(member)
                    : bson_has_field(command, "find")             ? documents()
                                                                  : config_of(member);
    if (member->votes_in != 0 && !bson_has_field(command, "hello")) {
        member->term = member->votes_in;
        member->version = member->takes;
        member->votes_in = 0;
    }
    return reply;
}

void mongo_link_ask(struct mongo_link *link, const char *database, const bson_t *command,
                    enum mongo_manner manner, uint32_t timeout_ms, mongo_reply_cb callback,
                    void *context) {
    struct played *member = &link->client->members[link->host[1] - '0'];
    (void)database;
    (void)manner;
    (void)timeout_ms;
    link->client->reconfigs += bson_has_field(command, "replSetReconfig");
    if (member->silent) {
        answer(callback, context, MONGO_RESULT_TIMEOUT, 0, NULL);
    } else if (member->tells_no_status && bson_has_field(command, "replSetGetStatus")) {
        answer(callback, context, MONGO_RESULT_SERVER, 13, NULL);
    } else {
        bson_t *reply = reply_of(member, command);
        answer(callback, context, MONGO_RESULT_OK, 0, reply);
        bson_destroy(reply);
    }
}

static void on_done(void *context) {
    *(bool *)context = true;
}

/* The version that the set can't lose; 0: none, and why. */
static int64_t found(struct error *ret_why) {
    struct mongo_scan scan = {0};
    struct driver_target target = {.set = {.timeout_ms = 1000}};
    bool is_done = false;
    bson_iter_t iter;
    scan_begin(&scan, NULL, &clock_system, &played, &target, "", on_done, &is_done);
    assert_true(is_done);
    const bson_t *config = scan_config(&scan, ret_why);
    int64_t version = config != NULL && bson_iter_init_find(&iter, config, "version")
                          ? bson_iter_as_int64(&iter)
                          : 0;
    scan_end(&scan);
    return version;
}

static void play(int64_t term, int64_t version, int64_t config_term) {
    for (uint32_t i = 0; i < ARRAY_LENGTH(played.members); i++) {
        played.members[i] =
            (struct played){.term = term, .version = version, .config_term = config_term};
    }
}

static void test_a_majority_has_it(void **state) {
    struct error why;
    (void)state;
    play(2, 3, 2);
    played.members[2].silent = true;
    assert_int_equal(found(&why), 3);
    played.members[1].version = 2; /* so far the primary alone has it */
    assert_int_equal(found(&why), 0);
}

/* m2 was elected with version 2 in term 3, by m1, which got version 3 of term 2 from m0 later: it
 * is on a majority, and loses against m2's config as soon as that one is heard of. */
static void test_a_config_of_an_older_term_can_be_lost(void **state) {
    struct error why;
    (void)state;
    play(2, 3, 2);
    played.members[1].term = 3;
    played.members[2].silent = true;
    assert_int_equal(found(&why), 0);
    assert_non_null(strstr(why.message, "term"));
    play(3, 3, 2); /* nobody could take office: the next primary takes it over, or another */
    assert_int_equal(found(&why), 0);
    play(3, 3, 3);
    assert_int_equal(found(&why), 3);
}

/* What a member knew before it told its config says nothing about that config. */
static void test_the_term_is_asked_after_the_config(void **state) {
    struct error why;
    (void)state;
    play(2, 3, 2);
    played.members[1] =
        (struct played){.term = 2, .version = 2, .config_term = 2, .votes_in = 3, .takes = 3};
    played.members[2].silent = true;
    assert_int_equal(found(&why), 0);
    play(2, 3, 2);
    played.members[1].votes_in = 3; /* it had this config when it voted */
    played.members[1].takes = 3;
    played.members[2].silent = true;
    assert_int_equal(found(&why), 0);
}

static void test_a_term_that_is_not_told_counts_for_none(void **state) {
    struct error why;
    (void)state;
    play(2, 3, 2);
    played.members[1].tells_no_status = true;
    played.members[2].silent = true;
    assert_int_equal(found(&why), 0);
}

/* Before 4.4, and after a forced reconfiguration: versions alone decide. */
static void test_a_config_without_a_term_is_of_any(void **state) {
    struct error why;
    (void)state;
    play(7, 3, NO_TERM);
    played.members[0].term = 9;
    assert_int_equal(found(&why), 3);
    played.members[0].tells_no_status = true;
    played.members[1].tells_no_status = true;
    assert_int_equal(found(&why), 3);
}

/* --- a majority follows the primary --- */

static void on_look(void *context, const struct error *error, const struct driver_seen *seen) {
    assert_null(error);
    *(struct driver_seen *)context = *seen;
}

static void open_driver(uv_loop_t *loop, struct driver **ret_driver) {
    struct error error;
    assert_int_equal(uv_loop_init(loop), 0);
    const struct mongo_driver_options options = {
        .loop = loop, .clock = &clock_system, .client = &played, .cluster = "prod", .secrets = ""};
    assert_int_equal(mongo_driver_create(&options, ret_driver, &error), ERROR_OK);
}

static void run_and_close(uv_loop_t *loop, struct driver *driver) {
    (void)uv_run(loop, UV_RUN_DEFAULT);
    driver_close(driver, NULL, NULL);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

static struct driver_target the_set(void) {
    struct driver_target target = {
        .set = {.timeout_ms = 1000}, .regions = {"west", "east"}, .region_count = 2, .to = 0};
    (void)TEXT_COPY(target.set.region_tag, "region");
    return target;
}

static bool is_written(const char *write_check, const char *eid) {
    uv_loop_t loop;
    struct driver *driver;
    struct driver_seen seen = {0};
    struct driver_target target = the_set();
    (void)TEXT_COPY(target.set.write_check, write_check);
    open_driver(&loop, &driver);
    driver_look(driver, &target, DRIVER_WRITTEN, eid, on_look, &seen);
    run_and_close(&loop, driver);
    return seen.holds;
}

static void test_a_majority_follows_the_primary(void **state) {
    (void)state;
    play(3, 3, 3);
    played.members[0].is_primary = true;
    played.members[0].committed_term = 2;
    assert_false(is_written("", "svc/5.1/0"));
    played.members[0].committed_term = 3;
    assert_true(is_written("", "svc/5.1/0"));
}

/* The write of an earlier primary there: a majority has it, and may not follow this one yet. */
static void test_a_write_of_an_earlier_term_is_not_enough(void **state) {
    (void)state;
    play(3, 3, 3);
    played.members[0].is_primary = true;
    played.members[0].committed_term = 2;
    played.written = "svc/5.1/0";
    assert_false(is_written("db.noctua", "svc/5.1/0"));
    played.members[0].committed_term = 3;
    assert_true(is_written("db.noctua", "svc/5.1/0"));
    assert_false(is_written("db.noctua", "svc/6.1/0")); /* another move's */
    played.written = NULL;
    assert_false(is_written("db.noctua", "svc/5.1/0"));
}

/* --- who may come back --- */

static void on_read(void *context, const struct error *error,
                    const struct driver_reading *reading) {
    assert_null(error);
    (void)snprintf(context, sizeof reading->against, "%s", reading->against);
}

/* What stands against it; left_out NULL: it is in the config already. */
static const char *against_return(const char *host, const struct left_out *left_out) {
    static char words[256];
    uv_loop_t loop;
    struct driver *driver;
    struct driver_target target = the_set();
    target.change = DRIVER_SET_READMIT;
    target.host_count = 1;
    (void)TEXT_COPY(target.hosts[0], host);
    if (left_out != NULL) {
        target.left_out = *left_out;
    }
    open_driver(&loop, &driver);
    driver_read(driver, &target, "", on_read, words);
    run_and_close(&loop, driver);
    return words;
}

/* The forced config left m0 alone to acknowledge; m1 got its vote, and hasn't caught up. With m2's
 * vote, too, those two could elect one without what m0 has acknowledged. */
static void test_a_vote_waits_for_what_was_acknowledged(void **state) {
    (void)state;
    play(3, 3, NO_TERM);
    for (uint32_t i = 0; i < VOTERS; i++) {
        played.members[i].committed_term = 3;
        played.members[i].durable = 3;
    }
    played.members[0].is_primary = true;
    played.members[0].committed = 5;
    played.members[0].durable = 6;
    assert_non_null(strstr(against_return("m2:1", NULL), "no majority of the voters has all"));
    played.members[1].durable = 5;
    assert_string_equal(against_return("m2:1", NULL), "");
    played.members[1].tells_no_status = true;
    assert_non_null(strstr(against_return("m2:1", NULL), "no majority of the voters has all"));
    played.members[2].durable = 5;
    assert_string_equal(against_return("m2:1", NULL), "");
    played.members[0].committed = 0; /* another primary's: it hasn't told yet */
    played.members[0].committed_term = 0;
    assert_string_equal(against_return("m2:1", NULL), "");
}

static struct left_out left_out_of(uint64_t term, bool arbiter) {
    struct left_out left_out = {.term = term};
    bson_t *member = BCON_NEW("_id", BCON_INT32(3), "host", BCON_UTF8("m3:1"), "arbiterOnly",
                              BCON_BOOL(arbiter));
    (void)TEXT_COPY(left_out.host, "m3:1");
    left_out.size_bytes = member->len;
    memcpy(left_out.document, bson_get_data(member), member->len);
    bson_destroy(member);
    return left_out;
}

/* Both sides may have used a term, the set and whom it was without: what m3 wrote in it can't be
 * told from what the set has. */
static void test_writes_of_a_term_of_the_set_do_not_come_back(void **state) {
    struct left_out left_out = left_out_of(3, false);
    (void)state;
    play(5, 3, NO_TERM);
    played.members[0].is_primary = true;
    played.members[3].oplog_term = 2;
    assert_string_equal(against_return("m3:1", &left_out), "");
    played.members[3].oplog_term = 3;
    assert_non_null(strstr(against_return("m3:1", &left_out), "has writes of term 3"));
    left_out.term = 0; /* not known: the set's own */
    assert_string_equal(against_return("m3:1", &left_out), "");
    played.members[3].oplog_term = 5;
    assert_non_null(strstr(against_return("m3:1", &left_out), "has writes of term 5"));
}

/* Without a vote it can come while others lag; an arbiter has its vote from the first. */
static void test_who_comes_without_a_vote_waits_for_nobody(void **state) {
    struct left_out member = left_out_of(3, false);
    struct left_out arbiter = left_out_of(3, true);
    (void)state;
    play(5, 3, NO_TERM);
    played.members[0].is_primary = true;
    played.members[0].committed = 5;
    played.members[0].committed_term = 5;
    played.members[0].durable = 5;
    assert_string_equal(against_return("m3:1", &member), "");
    assert_non_null(strstr(against_return("m3:1", &arbiter), "no majority of the voters has all"));
}

static void on_sent(void *context, const struct driver_sent *sent) {
    (void)snprintf(context, sizeof sent->message, "%s", sent->message);
}

static const char *send_readmission(const struct driver_change *change,
                                    const struct left_out *left_out) {
    static char words[sizeof((struct driver_sent *)NULL)->message];
    uv_loop_t loop;
    struct driver *driver;
    struct driver_target target = the_set();
    target.change = DRIVER_SET_READMIT;
    target.host_count = 1;
    target.left_out = *left_out;
    (void)TEXT_COPY(target.hosts[0], left_out->host);
    open_driver(&loop, &driver);
    driver_send(driver, &target, change, on_sent, words);
    run_and_close(&loop, driver);
    return words;
}

/* It brings nobody in: it keeps what was sent before from doing so. */
static void test_a_burn_is_sent_whoever_would_come(void **state) {
    struct left_out left_out = left_out_of(3, false);
    struct driver_reading reading = {0};
    bson_t *reply;
    bson_iter_t config;
    struct error error;
    (void)state;
    play(5, 3, NO_TERM);
    played.members[0].is_primary = true;
    played.members[3].oplog_term = 3;
    reply = config_of(&played.members[0]);
    bson_t document;
    const uint8_t *data;
    uint32_t length;
    assert_true(bson_iter_init_find(&config, reply, "config"));
    bson_iter_document(&config, &length, &data);
    assert_true(bson_init_static(&document, data, length));
    assert_int_equal(mongo_config_split(&document, &reading, &error), ERROR_OK);
    bson_destroy(reply);
    struct driver_change change = {.fence_after = "prod/svc/5.2/0",
                                   .deadline_boottime_ms = UINT64_MAX,
                                   .state_before = &reading.state,
                                   .state_after = &reading.state};
    played.reconfigs = 0;
    assert_non_null(strstr(send_readmission(&change, &left_out), "has writes of term 3"));
    assert_int_equal(played.reconfigs, 0);
    change.fence_after = "void(prod/svc/5.2/0)";
    change.state_before = NULL;
    change.state_after = NULL;
    (void)send_readmission(&change, &left_out);
    assert_int_equal(played.reconfigs, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_majority_has_it),
        cmocka_unit_test(test_a_config_of_an_older_term_can_be_lost),
        cmocka_unit_test(test_the_term_is_asked_after_the_config),
        cmocka_unit_test(test_a_term_that_is_not_told_counts_for_none),
        cmocka_unit_test(test_a_config_without_a_term_is_of_any),
        cmocka_unit_test(test_a_majority_follows_the_primary),
        cmocka_unit_test(test_a_write_of_an_earlier_term_is_not_enough),
        cmocka_unit_test(test_a_vote_waits_for_what_was_acknowledged),
        cmocka_unit_test(test_writes_of_a_term_of_the_set_do_not_come_back),
        cmocka_unit_test(test_who_comes_without_a_vote_waits_for_nobody),
        cmocka_unit_test(test_a_burn_is_sent_whoever_would_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
