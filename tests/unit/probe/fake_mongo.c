#include "fake_mongo.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define DATE_MS INT64_C(1795457073078)
#define WAITING_MAX 16

struct mongo_client {
    int nothing;
};

struct mongo_link {
    struct mongo_target target;
};

struct waiting {
    struct mongo_link *link;
    mongo_reply_cb callback;
    void *context;
};

struct fake_set fake;
static struct mongo_client the_client;
static struct waiting waiting[WAITING_MAX];
static uint32_t waiting_count;

struct mongo_client *fake_client(void) {
    return &the_client;
}

void fake_reset(void) {
    memset(&fake, 0, sizeof fake);
    waiting_count = 0;
}

uint32_t fake_waiting(void) {
    return waiting_count;
}

static void answer(mongo_reply_cb callback, void *context, enum mongo_result result, int32_t code,
                   const bson_t *document) {
    struct mongo_reply reply = {
        .result = result, .server_code = code, .took_ms = 3, .document = document, .detail = ""};
    callback(context, &reply);
}

void fake_expire(void) {
    while (waiting_count > 0) {
        struct waiting first = waiting[0];
        memmove(waiting, waiting + 1, --waiting_count * sizeof waiting[0]);
        answer(first.callback, first.context, MONGO_RESULT_TIMEOUT, 0, NULL);
    }
}

struct mongo_link *mongo_link_create(struct mongo_client *client,
                                     const struct mongo_target *target) {
    struct mongo_link *link = calloc(1, sizeof *link);
    assert(client == &the_client && link != NULL);
    link->target = *target;
    fake.link_count++;
    return link;
}

void mongo_link_destroy(struct mongo_link *link) {
    if (link == NULL) {
        return;
    }
    for (uint32_t i = 0; i < waiting_count;) {
        if (waiting[i].link == link) {
            struct waiting gone = waiting[i];
            memmove(waiting + i, waiting + i + 1, (--waiting_count - i) * sizeof waiting[0]);
            answer(gone.callback, gone.context, MONGO_RESULT_CANCELLED, 0, NULL);
        } else {
            i++;
        }
    }
    fake.link_count--;
    free(link);
}

static const struct fake_member *find(const char *host) {
    for (uint32_t i = 0; i < fake.member_count; i++) {
        if (text_equal(fake.members[i].host, host)) {
            return &fake.members[i];
        }
    }
    return NULL;
}

static void fill_hello(const struct fake_member *member, bson_t *reply) {
    BSON_APPEND_UTF8(reply, "setName", "rs0");
    BSON_APPEND_BOOL(reply, member->legacy ? "ismaster" : "isWritablePrimary", member->writable);
    BSON_APPEND_BOOL(reply, "secondary", member->state == 2);
    BSON_APPEND_INT32(reply, "maxWireVersion", member->legacy ? 6 : 9);
    BSON_APPEND_DOUBLE(reply, "ok", 1);
}

static void fill_optime(const struct fake_member *of, bson_t *to) {
    bson_t optime;
    BSON_APPEND_DOCUMENT_BEGIN(to, "optime", &optime);
    BSON_APPEND_TIMESTAMP(&optime, "ts", of->seconds, 1);
    BSON_APPEND_INT64(&optime, "t", of->term);
    bson_append_document_end(to, &optime);
}

/* A member that is silent is unknown to the others as well. */
static void fill_status_member(uint32_t place, bool self, bson_t *members) {
    const struct fake_member *of = &fake.members[place];
    bool known = self || of->mode == FAKE_UP || of->mode == FAKE_CUT_OFF;
    char key[16];
    bson_t member;
    (void)snprintf(key, sizeof key, "%u", place);
    BSON_APPEND_DOCUMENT_BEGIN(members, key, &member);
    BSON_APPEND_INT32(&member, "_id", (int32_t)place);
    BSON_APPEND_UTF8(&member, "name", of->host);
    BSON_APPEND_INT32(&member, "state", known ? of->state : 8);
    BSON_APPEND_DOUBLE(&member, "health", known ? 1 : 0);
    if (known) {
        fill_optime(of, &member);
        BSON_APPEND_INT32(&member, "configVersion", fake.version);
        BSON_APPEND_DATE_TIME(&member, "lastHeartbeat", DATE_MS - fake.heard_ms);
    }
    if (self) {
        BSON_APPEND_BOOL(&member, "self", true);
    }
    bson_append_document_end(members, &member);
}

static void fill_status(const struct fake_member *member, bson_t *reply) {
    bson_t members;
    BSON_APPEND_UTF8(reply, "set", "rs0");
    BSON_APPEND_DATE_TIME(reply, "date", DATE_MS);
    BSON_APPEND_INT32(reply, "myState", member->state);
    BSON_APPEND_INT64(reply, "term", member->term);
    BSON_APPEND_ARRAY_BEGIN(reply, "members", &members);
    for (uint32_t i = 0; i < fake.member_count; i++) {
        fill_status_member(i, &fake.members[i] == member, &members);
    }
    bson_append_array_end(reply, &members);
}

static void fill_config(bson_t *reply) {
    bson_t config;
    bson_t members;
    BSON_APPEND_DOCUMENT_BEGIN(reply, "config", &config);
    BSON_APPEND_UTF8(&config, "_id", "rs0");
    BSON_APPEND_INT32(&config, "version", fake.version);
    BSON_APPEND_ARRAY_BEGIN(&config, "members", &members);
    for (uint32_t i = 0; i < fake.member_count; i++) {
        char key[16];
        bson_t member;
        bson_t tags;
        (void)snprintf(key, sizeof key, "%u", i);
        BSON_APPEND_DOCUMENT_BEGIN(&members, key, &member);
        BSON_APPEND_INT32(&member, "_id", (int32_t)i);
        BSON_APPEND_UTF8(&member, "host", fake.members[i].host);
        BSON_APPEND_DOUBLE(&member, "priority", fake.members[i].priority);
        BSON_APPEND_BOOL(&member, "hidden", fake.members[i].hidden);
        BSON_APPEND_DOCUMENT_BEGIN(&member, "tags", &tags);
        if (fake.members[i].region != NULL) {
            BSON_APPEND_UTF8(&tags, "region", fake.members[i].region);
        }
        bson_append_document_end(&member, &tags);
        bson_append_document_end(&members, &member);
    }
    bson_append_array_end(&config, &members);
    bson_append_document_end(reply, &config);
}

static void take_write(const char *host, const bson_t *command, bson_t *reply) {
    bson_iter_t iter;
    bson_iter_t id;
    bson_t concern;
    fake.write_count++;
    (void)TEXT_COPY(fake.written_to, host);
    assert(bson_iter_init(&iter, command) &&
           bson_iter_find_descendant(&iter, "updates.0.q._id", &id));
    (void)TEXT_COPY(fake.written_id, bson_iter_utf8(&id, NULL));
    assert(bson_iter_init(&iter, command) &&
           bson_iter_find_descendant(&iter, "writeConcern.w", &id) &&
           text_equal(bson_iter_utf8(&id, NULL), "majority"));
    BSON_APPEND_DOUBLE(reply, "ok", 1);
    BSON_APPEND_INT32(reply, "n", 1);
    if (fake.write_code != 0) {
        BSON_APPEND_DOCUMENT_BEGIN(reply, "writeConcernError", &concern);
        BSON_APPEND_INT32(&concern, "code", fake.write_code);
        bson_append_document_end(reply, &concern);
    }
}

static void fill_counts(bson_t *reply) {
    bson_t counts;
    if (fake.counting == FAKE_COUNTS) {
        BSON_APPEND_DOCUMENT_BEGIN(reply, "opcounters", &counts);
        BSON_APPEND_INT64(&counts, "insert", fake.writes);
        BSON_APPEND_INT32(&counts, "query", 7);
        BSON_APPEND_INT32(&counts, "update", 0);
        BSON_APPEND_DOUBLE(&counts, "delete", 0);
        bson_append_document_end(reply, &counts);
    }
    BSON_APPEND_DOUBLE(reply, "ok", 1);
}

static void wait(struct mongo_link *link, mongo_reply_cb callback, void *context) {
    assert(waiting_count < WAITING_MAX);
    waiting[waiting_count++] = (struct waiting){link, callback, context};
}

void fake_count_late(void) {
    bson_t reply = BSON_INITIALIZER;
    assert(waiting_count == 1);
    waiting_count = 0;
    fill_counts(&reply);
    answer(waiting[0].callback, waiting[0].context, MONGO_RESULT_OK, 0, &reply);
    bson_destroy(&reply);
}

static void answer_count(struct mongo_link *link, mongo_reply_cb callback, void *context,
                         bson_t *reply) {
    fake.count_count++;
    (void)TEXT_COPY(fake.counted_at, link->target.host);
    if (fake.counting == FAKE_COUNT_HANGS) {
        wait(link, callback, context);
    } else if (fake.counting == FAKE_COUNT_REFUSED) {
        answer(callback, context, MONGO_RESULT_AUTH, 13, NULL);
    } else {
        fill_counts(reply);
        answer(callback, context, MONGO_RESULT_OK, 0, reply);
    }
}

void mongo_link_ask(struct mongo_link *link, const char *database, const bson_t *command,
                    enum mongo_manner manner, uint32_t timeout_ms, mongo_reply_cb callback,
                    void *context) {
    const struct fake_member *member = find(link->target.host);
    bson_t reply = BSON_INITIALIZER;
    bool is_hello = bson_has_field(command, "hello");
    bool is_legacy_hello = bson_has_field(command, "isMaster");
    (void)manner;
    assert(timeout_ms > 0 && database[0] != '\0');
    fake.hello_count += is_hello || is_legacy_hello;
    if (member == NULL || member->mode == FAKE_REFUSED || member->mode == FAKE_CUT_OFF) {
        answer(callback, context, MONGO_RESULT_REFUSED, 0, NULL);
    } else if (member->mode == FAKE_HUNG) {
        wait(link, callback, context);
    } else if (member->mode == FAKE_AUTH) {
        answer(callback, context, MONGO_RESULT_AUTH, 0, NULL);
    } else if (is_hello && member->legacy) {
        answer(callback, context, MONGO_RESULT_SERVER, 59, &reply);
    } else if (is_hello || is_legacy_hello) {
        fill_hello(member, &reply);
        answer(callback, context, MONGO_RESULT_OK, 0, &reply);
    } else if (member->mode == FAKE_NO_PRIVILEGE) {
        answer(callback, context, MONGO_RESULT_AUTH, 13, NULL);
    } else if (bson_has_field(command, "serverStatus")) {
        answer_count(link, callback, context, &reply);
    } else if (bson_has_field(command, "replSetGetStatus")) {
        fill_status(member, &reply);
        answer(callback, context, MONGO_RESULT_OK, 0, &reply);
    } else if (bson_has_field(command, "replSetGetConfig")) {
        fake.config_count++;
        fill_config(&reply);
        answer(callback, context, MONGO_RESULT_OK, 0, &reply);
    } else if (bson_has_field(command, "update")) {
        take_write(member->host, command, &reply);
        answer(callback, context, MONGO_RESULT_OK, 0, &reply);
    } else {
        assert(bson_has_field(command, "find")); /* the oplog: empty */
        answer(callback, context, MONGO_RESULT_OK, 0, &reply);
    }
    bson_destroy(&reply);
}

/* The first member is the seed. */
void mongo_link_look_up(struct mongo_link *link, uint32_t timeout_ms, mongo_reply_cb callback,
                        void *context) {
    bson_t reply = BSON_INITIALIZER;
    bson_t hosts;
    (void)link;
    (void)timeout_ms;
    BSON_APPEND_ARRAY_BEGIN(&reply, "hosts", &hosts);
    BSON_APPEND_UTF8(&hosts, "0", fake.members[0].host);
    bson_append_array_end(&reply, &hosts);
    BSON_APPEND_UTF8(&reply, "setName", "rs0");
    answer(callback, context, MONGO_RESULT_OK, 0, &reply);
    bson_destroy(&reply);
}
