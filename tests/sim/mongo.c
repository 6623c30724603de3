/* The client of replica sets, in place of mongo/client.h: questions go to the simulated set
 * (set.h). Each has its deadline; what comes later finds nobody. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/mongo_uri.h"
#include "mongo/client.h"
#include "node.h"
#include "set.h"
#include "world.h"

#define LOOK_UP_US (2 * SIM_MS)

struct job {
    struct job *next;
    struct mongo_link *link;
    uint64_t id, asked_us;
    bool begun, unconnected;
    enum mongo_manner manner;
    char database[DNS_NAME_SIZE];
    bson_t *command; /* NULL: a look-up */
    mongo_reply_cb callback;
    void *context;
};

struct mongo_client {
    struct sim_node *node;
    uint64_t last_id;
    struct job *jobs; /* not answered yet, in their order */
    void (*on_closed)(void *context);
    void *closed_context;
};

struct mongo_link {
    struct mongo_client *client;
    struct mongo_target target;
};

/* An event of one job, which may be over by then. */
struct notice {
    struct mongo_client *client;
    uint64_t id;
};

enum error_code mongo_client_create(uv_loop_t *loop, uint32_t thread_max,
                                    struct mongo_client **ret_client, struct error *error) {
    struct mongo_client *client = calloc(1, sizeof *client);
    (void)loop;
    (void)thread_max;
    if (client == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    client->node = sim_current();
    *ret_client = client;
    return ERROR_OK;
}

static void on_closed(void *context) {
    struct mongo_client *client = context;
    client->on_closed(client->closed_context);
}

void mongo_client_destroy(struct mongo_client *client, void (*closed)(void *context),
                          void *context) {
    assert(client->jobs == NULL);
    client->on_closed = closed; /* its memory goes with the life */
    client->closed_context = context;
    sim_at_node(client->node, sim_now(client->node->sim), on_closed, client, false);
}

struct mongo_link *mongo_link_create(struct mongo_client *client,
                                     const struct mongo_target *target) {
    struct mongo_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        abort();
    }
    link->client = client;
    link->target = *target;
    return link;
}

static void begin_next(struct mongo_link *link);

/* Out of the list; the next of its link may begin. */
static struct job *take(struct mongo_client *client, uint64_t id) {
    struct job **at = &client->jobs;
    while (*at != NULL && (*at)->id != id) {
        at = &(*at)->next;
    }
    struct job *job = *at;
    if (job != NULL) {
        *at = job->next;
    }
    return job;
}

static void finish(struct job *job, struct mongo_reply *reply) {
    struct sim_node *node = job->link->client->node;
    reply->took_ms = (uint32_t)((sim_now(node->sim) - job->asked_us) / SIM_MS);
    mongo_reply_cb callback = job->callback;
    void *context = job->context;
    if (job->command != NULL) {
        bson_destroy(job->command);
    }
    free(job);
    callback(context, reply);
}

static void end(struct mongo_client *client, uint64_t id, struct mongo_reply *reply) {
    struct job *job = take(client, id);
    if (job != NULL) {
        sim_crash_point();
        begin_next(job->link);
        finish(job, reply);
    }
}

void mongo_link_destroy(struct mongo_link *link) {
    struct job *job = link == NULL ? NULL : link->client->jobs;
    while (job != NULL) {
        if (job->link == link) {
            struct mongo_reply reply = {.result = MONGO_RESULT_CANCELLED, .detail = ""};
            finish(take(link->client, job->id), &reply);
            job = link->client->jobs; /* the callback may have changed the list */
        } else {
            job = job->next;
        }
    }
    free(link);
}

static void on_deadline(void *context) {
    struct notice notice = *(struct notice *)context;
    struct mongo_reply reply = {.result = MONGO_RESULT_TIMEOUT, .detail = "no answer in time"};
    free(context);
    for (const struct job *job = notice.client->jobs; job != NULL; job = job->next) {
        if (job->id == notice.id && job->unconnected) {
            reply.result = MONGO_RESULT_TIMEOUT_CONNECT;
            reply.detail = "no connection in time";
        }
    }
    end(notice.client, notice.id, &reply);
}

static void fill_reply(const bson_t *document, struct mongo_reply *reply) {
    bson_iter_t iter;
    bool good = bson_iter_init_find(&iter, document, "ok") && bson_iter_as_double(&iter) == 1;
    reply->document = document;
    reply->result = good ? MONGO_RESULT_OK : MONGO_RESULT_SERVER;
    if (!good && bson_iter_init_find(&iter, document, "code")) {
        reply->server_code = (int32_t)bson_iter_as_int64(&iter);
    }
    if (!good && bson_iter_init_find(&iter, document, "errmsg") && BSON_ITER_HOLDS_UTF8(&iter)) {
        reply->detail = bson_iter_utf8(&iter, NULL);
    }
}

static void on_answer(void *context, uint64_t id, enum set_outcome outcome,
                      const bson_t *document) {
    struct mongo_reply reply = {.detail = ""};
    switch (outcome) {
    case SET_ANSWERED:
        fill_reply(document, &reply);
        break;
    case SET_REFUSED:
        reply.result = MONGO_RESULT_REFUSED;
        reply.detail = "connection refused";
        break;
    case SET_RESET:
        reply.result = MONGO_RESULT_RESET;
        reply.detail = "connection closed";
        break;
    case SET_NO_NAME:
        reply.result = MONGO_RESULT_DNS;
        reply.detail = "no such host";
        break;
    }
    end(context, id, &reply);
}

static void on_looked_up(void *context) {
    struct notice notice = *(struct notice *)context;
    static struct mongo_uri uri;
    const struct job *job = notice.client->jobs;
    free(context);
    while (job != NULL && job->id != notice.id) {
        job = job->next;
    }
    if (job == NULL) {
        return;
    }
    const char *wrong = mongo_uri_parse(job->link->target.uri, &uri);
    assert(wrong == NULL);
    bson_t document = BSON_INITIALIZER;
    bson_t hosts;
    BSON_APPEND_ARRAY_BEGIN(&document, "hosts", &hosts);
    for (uint32_t i = 0; i < uri.seed_count; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%u", i);
        BSON_APPEND_UTF8(&hosts, key, uri.seeds[i]);
    }
    bson_append_array_end(&document, &hosts);
    BSON_APPEND_UTF8(&document, "setName", uri.set_name);
    struct mongo_reply reply = {.detail = "", .document = &document};
    end(notice.client, notice.id, &reply);
    bson_destroy(&document);
}

static void at(struct mongo_client *client, uint64_t id, uint64_t time_us, sim_function function) {
    struct notice *notice = malloc(sizeof *notice);
    if (notice == NULL) {
        abort();
    }
    *notice = (struct notice){client, id};
    sim_at_node(client->node, time_us, function, notice, true);
}

static void begin(struct job *job) {
    struct mongo_client *client = job->link->client;
    struct sim_node *node = client->node;
    job->begun = true;
    sim_crash_point();
    if (job->command == NULL) {
        at(client, job->id, sim_now(node->sim) + LOOK_UP_US, on_looked_up);
        return;
    }
    const struct set_question question = {.id = job->id,
                                          .host = job->link->target.host,
                                          .database = job->database,
                                          .command = job->command,
                                          .once = job->manner == MONGO_ONCE};
    job->unconnected = !set_ask(node->sim->set, node, &question, on_answer, client);
    sim_crash_point();
}

/* One after the other. */
static void begin_next(struct mongo_link *link) {
    struct job *job = link->client->jobs;
    while (job != NULL && job->link != link) {
        job = job->next;
    }
    if (job != NULL && !job->begun) {
        begin(job);
    }
}

static void add(struct mongo_link *link, const char *database, const bson_t *command,
                enum mongo_manner manner, uint32_t timeout_ms, mongo_reply_cb callback,
                void *context) {
    struct mongo_client *client = link->client;
    struct job **end_of_list = &client->jobs;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        abort();
    }
    *job = (struct job){.link = link,
                        .id = ++client->last_id,
                        .asked_us = sim_now(client->node->sim),
                        .manner = manner,
                        .command = command == NULL ? NULL : bson_copy(command),
                        .callback = callback,
                        .context = context};
    (void)TEXT_COPY(job->database, database);
    while (*end_of_list != NULL) {
        end_of_list = &(*end_of_list)->next;
    }
    *end_of_list = job;
    at(client, job->id, job->asked_us + timeout_ms * SIM_MS, on_deadline);
    begin_next(link);
}

void mongo_link_ask(struct mongo_link *link, const char *database, const bson_t *command,
                    enum mongo_manner manner, uint32_t timeout_ms, mongo_reply_cb callback,
                    void *context) {
    add(link, database, command, manner, timeout_ms, callback, context);
}

void mongo_link_look_up(struct mongo_link *link, uint32_t timeout_ms, mongo_reply_cb callback,
                        void *context) {
    add(link, "", NULL, MONGO_REPEATABLE, timeout_ms, callback, context);
}

void mongo_client_stats(const struct mongo_client *client, struct mongo_client_stats *ret_stats) {
    (void)client;
    memset(ret_stats, 0, sizeof *ret_stats);
}
