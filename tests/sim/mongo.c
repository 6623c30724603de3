/* The client of replica sets, in place of mongo/client.h: no spec of these worlds has a set, so
 * nobody is ever asked. */
#include <stdlib.h>
#include <string.h>

#include "mongo/client.h"
#include "node.h"
#include "world.h"

struct mongo_client {
    struct sim_node *node;
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

void mongo_client_destroy(struct mongo_client *client, void (*on_closed)(void *context),
                          void *context) {
    (void)client; /* its memory goes with the life */
    on_closed(context);
}

struct mongo_link *mongo_link_create(struct mongo_client *client,
                                     const struct mongo_target *target) {
    (void)client;
    (void)target;
    return NULL;
}

void mongo_link_destroy(struct mongo_link *link) {
    (void)link;
}

void mongo_link_ask(struct mongo_link *link, const char *database, const bson_t *command,
                    enum mongo_manner manner, uint32_t timeout_ms, mongo_reply_cb callback,
                    void *context) {
    struct mongo_reply reply = {.result = MONGO_RESULT_REFUSED, .detail = ""};
    (void)link;
    (void)database;
    (void)command;
    (void)manner;
    (void)timeout_ms;
    callback(context, &reply);
}

void mongo_link_look_up(struct mongo_link *link, uint32_t timeout_ms, mongo_reply_cb callback,
                        void *context) {
    mongo_link_ask(link, "", NULL, MONGO_REPEATABLE, timeout_ms, callback, context);
}

void mongo_client_stats(const struct mongo_client *client, struct mongo_client_stats *ret_stats) {
    (void)client;
    memset(ret_stats, 0, sizeof *ret_stats);
}
