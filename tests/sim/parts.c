#include "parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/http_endpoints.h"
#include "base/log.h"
#include "base/text.h"
#include "driver/pager.h"
#include "http_private.h"
#include "world.h"

struct api_server {
    struct sim_api api; /* first */
};

static struct sim_api *own_api(struct sim_node *node) {
    if (node->api == NULL) {
        node->api = calloc(1, sizeof *node->api);
        if (node->api == NULL) {
            abort();
        }
        node->api->node = node;
    }
    return node->api;
}

static void free_endpoints(struct http_endpoints *endpoints) {
    if (endpoints != NULL) {
        view_release(atomic_exchange(&endpoints->next_view, NULL));
        view_release(endpoints->view);
        free(endpoints);
    }
}

void parts_forget(struct sim_node *node) {
    free_endpoints(node->api == NULL ? NULL : node->api->endpoints);
    free(node->api);
    node->api = NULL;
}

/* --- api/server.h --- */

enum error_code api_server_create(const struct api_server_options *options,
                                  struct api_server **ret_server, struct error *error) {
    struct sim_api *api = own_api(sim_current());
    (void)error;
    api->calls = options->calls;
    *ret_server = (struct api_server *)api;
    return ERROR_OK;
}

uint16_t api_server_port(const struct api_server *server) {
    (void)server;
    return 7601;
}

uint32_t api_server_request_count(const struct api_server *server) {
    (void)server;
    return 0;
}

void api_server_on_applied(struct api_server *server) {
    world_on_applied(server->api.node);
}

static void call_closed(void *context) {
    struct {
        void (*closed)(void *);
        void *context;
    } *call = context;
    call->closed(call->context);
    free(call);
}

/* From the loop, later. */
static void close_later(void (*closed)(void *context), void *context) {
    struct {
        void (*closed)(void *);
        void *context;
    } *call = malloc(sizeof *call);
    if (call == NULL) {
        abort();
    }
    call->closed = closed;
    call->context = context;
    if (closed != NULL) {
        sim_at_node(sim_current(), sim_now(sim_of(sim_current())), call_closed, call, true);
    } else {
        free(call);
    }
}

void api_server_close(struct api_server *server, void (*closed)(void *context), void *context) {
    (void)server;
    close_later(closed, context);
}

/* --- api/http_endpoints.h, but for what http_scene.c has --- */

enum error_code http_endpoints_create(const struct http_endpoints_options *options,
                                      struct http_endpoints **ret_endpoints, struct error *error) {
    struct http_endpoints *endpoints = calloc(1, sizeof *endpoints);
    if (endpoints == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    endpoints->clock = *options->clock;
    endpoints->lease_polled = options->lease_polled;
    own_api(sim_current())->endpoints = endpoints;
    *ret_endpoints = endpoints;
    return ERROR_OK;
}

uint16_t http_endpoints_port(const struct http_endpoints *endpoints) {
    (void)endpoints;
    return 7602;
}

/* Comes right behind a new view. */
void http_endpoints_publish_events(struct http_endpoints *endpoints, const struct state *state) {
    (void)endpoints;
    (void)state;
    world_on_published(sim_current());
}

void http_endpoints_destroy(struct http_endpoints *endpoints) {
    own_api(sim_current())->endpoints = NULL;
    free_endpoints(endpoints);
}

const struct view *parts_view(const struct sim_node *node) {
    const struct http_endpoints *endpoints = node->api == NULL ? NULL : node->api->endpoints;
    const struct view *next = endpoints == NULL ? NULL : atomic_load(&endpoints->next_view);
    return next == NULL && endpoints != NULL ? endpoints->view : next;
}

bool parts_ask(struct sim_node *node, bool is_public, const struct http_request *request,
               struct http_answer *ret) {
    if (!node->alive || node->stalled || node->api == NULL || node->api->endpoints == NULL) {
        return false;
    }
    struct http_scene scene = http_endpoints_scene(node->api->endpoints, is_public);
    http_endpoints_answer(node->api->endpoints, &scene, request, ret);
    if (ret->lease_ask_ms > 0) { /* its loop may have been woken */
        sim_at_node(node, sim_now(node->sim), NULL, NULL, false);
    }
    return true;
}

/* --- driver/pager.h: nobody is paged --- */

enum error_code pager_create(uv_loop_t *loop, const struct clock *clock, const char *cluster,
                             const char *node, struct pager **ret_pager, struct error *error) {
    (void)loop;
    (void)clock;
    (void)cluster;
    (void)node;
    (void)error;
    *ret_pager = NULL;
    return ERROR_OK;
}

void pager_configure(struct pager *pager, const struct pager_receivers *receivers) {
    (void)pager;
    (void)receivers;
}

void pager_set(struct pager *pager, enum pager_alarm alarm, bool holds, const char *detail) {
    (void)pager;
    (void)alarm;
    (void)holds;
    (void)detail;
}

void pager_forget(struct pager *pager, enum pager_alarm alarm) {
    (void)pager;
    (void)alarm;
}

void pager_take_over(struct pager *pager, enum pager_alarm alarm) {
    (void)pager;
    (void)alarm;
}

void pager_hand_over(struct pager *pager, enum pager_alarm alarm) {
    (void)pager;
    (void)alarm;
}

void pager_set_well(struct pager *pager, bool well) {
    (void)pager;
    (void)well;
}

bool pager_holds(const struct pager *pager, enum pager_alarm alarm) {
    (void)pager;
    (void)alarm;
    return false;
}

bool pager_is_told(const struct pager *pager) {
    (void)pager;
    return true;
}

const char *pager_alarm_word(enum pager_alarm alarm) {
    (void)alarm;
    return "alarm";
}

void pager_close(struct pager *pager, void (*on_closed)(void *context), void *context) {
    (void)pager;
    close_later(on_closed, context);
}

/* --- main's alarms.c and reload.c --- */

void node_configure_alarms(struct noctuad *node) {
    (void)node;
}

void node_on_alarm_timer(uv_timer_t *timer) {
    (void)timer;
}

void node_spawn_last_word(const struct noctuad *node, const char *why) {
    struct sim_node *self = sim_current();
    (void)node;
    (void)snprintf(self->failure, sizeof self->failure, "%s", why);
}

/* What main ends with when its replica has failed. */
void _exit(int status) {
    struct sim_node *self = sim_current();
    (void)status;
    if (self == NULL) {
        abort();
    }
    node_kill(self, self->failure);
    abort();
}

enum error_code node_load_identity(const struct node_config *config,
                                   struct tls_identity **ret_identity, struct error *error) {
    (void)config;
    (void)error;
    *ret_identity = NULL;
    return ERROR_OK;
}

void node_on_reload_signal(uv_signal_t *signal, int number) {
    (void)signal;
    (void)number;
}

void tls_identity_unref(struct tls_identity *identity) {
    (void)identity;
}

int64_t tls_identity_days_left(const struct tls_identity *identity, uint64_t wall_ms) {
    (void)identity;
    (void)wall_ms;
    return 100;
}

/* --- base/log.h --- */

static const char *const event_names[] = {
#define X(name, level, doc) #name,
#include "base/log_events.def"
#undef X
};

const char *log_event_name(enum log_event event) {
    return event_names[event];
}

void log_configure(enum log_level level, enum log_format format, const char *node) {
    (void)level;
    (void)format;
    (void)node;
}

void log_write(enum log_event event, const struct log_field *fields, size_t field_count) {
    const struct sim_node *node = sim_current();
    char line[1024];
    size_t used = 0;
    if (node == NULL || !world_tells(node->sim)) {
        return;
    }
    line[0] = '\0';
    for (size_t i = 0; i < field_count && used < sizeof line; i++) {
        const struct log_field *field = &fields[i];
        char number[32];
        (void)snprintf(number, sizeof number, "%lld", (long long)field->i64);
        const char *text = field->type == LOG_FIELD_TEXT   ? field->text
                           : field->type == LOG_FIELD_BOOL ? (field->boolean ? "true" : "false")
                                                           : number;
        int length = snprintf(line + used, sizeof line - used, " %s=%s", field->key,
                              text == NULL ? "" : text);
        used += length > 0 ? (size_t)length : 0;
    }
    sim_say(node->sim, node->name, "%s%s", event_names[event], line);
}
