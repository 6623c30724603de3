#include "target.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws_api.h"
#include "base/text.h"
#include "judge.h"
#include "zone_edit.h"

#define INSYNC_MS 3000
#define FENCE_TEXT_SIZE 300

struct sim_target {
    struct sim *sim;
    struct world world; /* tests/world's */
    struct options options;
    uint64_t effective;
    uint32_t under_way;
    struct chance chance;
};

const char *const target_domains[WORLD_ZONE_MAX] = {"example.com", "example.net"};
static const char *const zone_ids[WORLD_ZONE_MAX] = {"Z1", "Z2"};

/* A request on the wire, and its reply. */
struct wire {
    struct sim_target *target;
    struct sim_node *node; /* NULL: nobody waits for a reply */
    uint64_t life;
    sim_reply_function function;
    void *context;
    bool effect, loses_reply;
    struct http_exchange *exchange;
    int status;
    char *body;
    size_t body_bytes;
    struct error error;
    bool sent;
};

static struct wire *answering; /* whose exchange is being completed */

/* --- tests/world's exchanges, completed here --- */

static void free_exchange(struct http_exchange *exchange) {
    http_request_finish(&exchange->request);
    free(exchange);
}

void http_exchange_reply(struct http_exchange *exchange, int status, const char *content_type,
                         const char *extra_headers, const char *body, size_t body_bytes) {
    (void)content_type;
    (void)extra_headers;
    assert(answering != NULL);
    answering->status = status;
    answering->body = malloc(body_bytes + 1);
    if (answering->body == NULL) {
        abort();
    }
    memcpy(answering->body, body, body_bytes);
    answering->body[body_bytes] = '\0';
    answering->body_bytes = body_bytes;
    free_exchange(exchange);
}

void http_exchange_drop(struct http_exchange *exchange) {
    free_exchange(exchange);
}

void http_exchange_park(struct http_exchange *exchange) {
    free_exchange(exchange);
}

void http_exchange_detach(struct http_exchange *exchange) {
    (void)exchange;
}

struct http_exchange *http_exchange_copy(const struct http_exchange *exchange) {
    struct http_exchange *copy = calloc(1, sizeof *copy);
    if (copy == NULL) {
        abort();
    }
    http_request_copy(&copy->request, &exchange->request);
    return copy;
}

/* --- what has happened there --- */

static bool is_fence(const struct record_set *set) {
    return set->type == RECORD_TXT && text_starts_with(set->name, "_noctua");
}

static void fence_text(const struct record_set *set, char text[FENCE_TEXT_SIZE]) {
    text[0] = '\0';
    if (set != NULL && set->value_count > 0) {
        size_t length = strlen(set->values[0]);
        (void)snprintf(text, FENCE_TEXT_SIZE, "%.*s", (int)(length - 2), set->values[0] + 1);
    }
}

/* What one accepted batch has changed. */
struct batch {
    struct sim *sim;
    const char *comment;
    uint32_t fences, records;
    char was[FENCE_TEXT_SIZE], is[FENCE_TEXT_SIZE]; /* its fence, before and after */
    char record[DNS_NAME_SIZE];                     /* whose values it has changed; "": none */
};

static bool differs_in_values_only(const struct record_set *before,
                                   const struct record_set *after) {
    return before != NULL && after != NULL && before->fields == after->fields &&
           before->ttl_s == after->ttl_s && before->type == RECORD_A && after->value_count == 1;
}

static void note_difference(void *context, const struct record_set *before,
                            const struct record_set *after) {
    struct batch *batch = context;
    const struct record_set *set = after == NULL ? before : after;
    if (is_fence(set)) {
        batch->fences++;
        fence_text(before, batch->was);
        fence_text(after, batch->is);
        return;
    }
    batch->records++;
    (void)TEXT_COPY(batch->record, set->name);
    if (!differs_in_values_only(before, after)) {
        sim_broken(batch->sim, "records follow their fence (12)", "%s: not just the values of %s",
                   batch->comment, set->name);
    }
}

/* Every service has one fence in the zone and one record beside it. */
static void judge_batch(struct sim_target *target, uint32_t zone, const struct zone_state *before,
                        const struct zone_state *after, const char *comment) {
    struct batch batch = {.sim = target->sim, .comment = comment};
    if (zone_state_compare(before, after, note_difference, &batch) == 0) {
        return; /* a fence was written over itself: its change is what INSYNC is asked of */
    }
    if (batch.fences != 1 || batch.records > 1) {
        sim_broken(target->sim, "records follow their fence (12)",
                   "%s changes %u fences and %u records, the last one %s", comment, batch.fences,
                   batch.records, batch.record);
    }
    judge_fence(target->sim, zone, batch.was, batch.is, comment);
    judge_records(target->sim, zone, batch.is, batch.record);
}

struct place {
    struct sim_target *target;
    uint32_t zone;
};

static void forget(struct place *place);

static void on_forgetting(void *context) {
    struct place place = *(struct place *)context;
    free(context);
    forget(&place);
}

/* Seldom, an accepted change is never seen in sync. */
static void perhaps_forget(struct sim_target *target, uint32_t zone) {
    uint64_t after_us = judge_forgets_us(target->sim, INSYNC_MS * SIM_MS);
    if (after_us > 0) {
        struct place *place = malloc(sizeof *place);
        if (place == NULL) {
            abort();
        }
        *place = (struct place){target, zone};
        sim_at(target->sim, sim_now(target->sim) + after_us, on_forgetting, place);
    }
}

static void execute(struct wire *wire) {
    struct sim_target *target = wire->target;
    struct zone_state *before[WORLD_ZONE_MAX];
    struct aws_request *request = aws_request_create(wire->exchange);
    wire->exchange = NULL;
    char comment[CHANGE_BATCH_COMMENT_MAX + 1];
    (void)snprintf(comment, sizeof comment, "%s",
                   request->batch.comment == NULL ? "" : request->batch.comment);
    for (uint32_t z = 0; z < WORLD_ZONE_MAX; z++) {
        struct hosted_zone *zone = target->world.zones.zones[z];
        hosted_zone_settle(zone, clock_boottime_ms(&target->world.clock));
        before[z] = zone_state_ref(zone->newest);
    }
    answering = wire;
    if (!request->parsed) {
        aws_request_refuse(&target->world, request, &request->refusal);
    } else {
        (void)aws_request_execute(&target->world, request);
    }
    answering = NULL;
    bool effective = false;
    for (uint32_t z = 0; z < WORLD_ZONE_MAX; z++) {
        const struct zone_state *after = target->world.zones.zones[z]->newest;
        if (after != before[z]) {
            effective = true;
            target->effective++;
            sim_say(target->sim, "route53", "%s takes effect", comment);
            judge_batch(target, z, before[z], after, comment);
            perhaps_forget(target, z);
        }
        zone_state_unref(before[z]);
    }
    if (!effective && wire->effect) {
        sim_say(target->sim, "route53", "%s is refused", comment);
    }
}

/* --- the wire --- */

static void free_wire(struct wire *wire) {
    if (wire->exchange != NULL) {
        free_exchange(wire->exchange);
    }
    free(wire->body);
    free(wire);
}

/* In the node. */
static void on_reply(void *context) {
    struct wire *wire = context;
    struct sim_reply reply = {wire->error, wire->sent, wire->status,
                              wire->body == NULL ? "" : wire->body, wire->body_bytes};
    sim_crash_point();
    wire->function(wire->context, &reply);
    free_wire(wire);
}

static void give_back(struct wire *wire, uint64_t after_us) {
    struct sim_node *node = wire->node;
    if (node == NULL || judge_life(node) != wire->life) {
        free_wire(wire);
        return;
    }
    sim_at_node(node, sim_now(wire->target->sim) + after_us, on_reply, wire, false);
}

static void fail(struct wire *wire, enum error_code code, const char *words, uint64_t after_us) {
    (void)error_set(&wire->error, code, "%s", words);
    give_back(wire, after_us);
}

static void on_arrival(void *context) {
    struct wire *wire = context;
    struct sim_target *target = wire->target;
    target->under_way--;
    execute(wire);
    if (wire->loses_reply) {
        fail(wire, ERROR_TIMEOUT, "no answer in time", 15 * SIM_SECOND);
        return;
    }
    give_back(wire, judge_request_us(target->sim));
}

static struct wire *copy_wire(const struct wire *wire) {
    struct wire *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        abort();
    }
    *copy = *wire;
    copy->exchange = http_exchange_copy(wire->exchange);
    copy->node = NULL;
    return copy;
}

static void arrive(struct wire *wire, uint64_t after_us) {
    struct sim_target *target = wire->target;
    target->under_way++;
    sim_at(target->sim, sim_now(target->sim) + after_us, on_arrival, wire);
}

static void put_on_the_wire(struct wire *wire) {
    struct sim *sim = wire->target->sim;
    enum judge_request fate = judge_request_fate(sim, wire->effect);
    wire->sent = fate != REQUEST_NOT_SENT;
    switch (fate) {
    case REQUEST_NOT_SENT:
        fail(wire, ERROR_UNAVAILABLE, "can't connect", 100 * SIM_MS);
        break;
    case REQUEST_LOST:
        fail(wire, ERROR_TIMEOUT, "no answer in time", 15 * SIM_SECOND);
        break;
    case REQUEST_LATE: /* the client gives up, the request arrives minutes later */
        arrive(copy_wire(wire), judge_lateness_us(sim));
        fail(wire, ERROR_TIMEOUT, "no answer in time", 15 * SIM_SECOND);
        break;
    case REQUEST_TWICE:
        arrive(copy_wire(wire), judge_lateness_us(sim));
        arrive(wire, judge_request_us(sim));
        break;
    case REQUEST_REFUSED: {
        static const char body[] = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate "
                                   "exceeded</Message></Error></ErrorResponse>";
        wire->status = 400;
        wire->body = strdup(body);
        wire->body_bytes = sizeof body - 1;
        give_back(wire, judge_request_us(sim));
        break;
    }
    case REPLY_LOST:
        wire->loses_reply = true;
        arrive(wire, judge_request_us(sim));
        break;
    case REQUEST_FINE:
        arrive(wire, judge_request_us(sim));
        break;
    }
}

static struct http_exchange *exchange_of(const struct sim_request *request) {
    struct http_exchange *exchange = calloc(1, sizeof *exchange);
    const char *path = strstr(request->url, "://");
    path = path == NULL ? NULL : strchr(path + 3, '/');
    assert(exchange != NULL && path != NULL);
    const char *query = strchr(path, '?');
    size_t length = query == NULL ? strlen(path) : (size_t)(query - path);
    http_request_init(&exchange->request);
    exchange->request.method = strdup(request->method);
    exchange->request.path = strndup(path, length);
    exchange->request.query = strdup(query == NULL ? "" : query + 1);
    exchange->request.body =
        strndup(request->body == NULL ? "" : request->body, request->body_bytes);
    exchange->request.body_bytes = request->body_bytes;
    return exchange;
}

void target_send(struct sim_target *target, struct sim_node *node,
                 const struct sim_request *request, sim_reply_function function, void *context) {
    struct wire *wire = calloc(1, sizeof *wire);
    if (wire == NULL) {
        abort();
    }
    *wire = (struct wire){.target = target,
                          .node = node,
                          .life = judge_life(node),
                          .function = function,
                          .context = context,
                          .effect = request->effect,
                          .exchange = exchange_of(request)};
    put_on_the_wire(wire);
}

/* --- what people do --- */

static void edit(struct sim_target *target, uint32_t place, const char *json) {
    struct hosted_zone *zone = target->world.zones.zones[place];
    struct change_batch batch;
    struct zone_state *after = NULL;
    struct error error = {0};
    char id[HOSTED_CHANGE_ID_SIZE];
    json_t *document = json_loads(json, 0, NULL);
    assert(document != NULL);
    if (zone_edit_parse(document, zone->newest, &batch, &error) == ERROR_OK) {
        if (zone_edit_apply(zone, &batch, &after, &error) == ERROR_OK) {
            (void)snprintf(id, sizeof id, "CEDIT%u%llu", place,
                           (unsigned long long)sim_now(target->sim));
            (void)hosted_zone_accept(zone, id, "a person", after,
                                     clock_boottime_ms(&target->world.clock), 0);
        }
        change_batch_finish(&batch);
    }
    json_decref(document);
}

void target_edit_record(struct sim_target *target, uint32_t zone, const char *service,
                        const char *address) {
    char json[512];
    (void)snprintf(json, sizeof json,
                   "{\"set\":{\"Name\":\"%s.%s.\",\"Type\":\"A\",\"TTL\":60,"
                   "\"Values\":[\"%s\"]}}",
                   service, target_domains[zone], address);
    edit(target, zone, json);
    sim_say(target->sim, "somebody", "sets the record of %s in %s to %s", service,
            target_domains[zone], address);
}

void target_delete_fence(struct sim_target *target, uint32_t zone, const char *service) {
    char json[512];
    (void)snprintf(json, sizeof json, "{\"delete\":{\"Name\":\"_noctua-%s.%s.\",\"Type\":\"TXT\"}}",
                   service, target_domains[zone]);
    edit(target, zone, json);
    judge_edited(target->sim, zone, service);
    sim_say(target->sim, "somebody", "deletes the fence of %s in %s", service,
            target_domains[zone]);
}

void target_put_fence(struct sim_target *target, uint32_t zone, const char *service) {
    char json[512];
    /* Never the same twice: nothing that was sent may expect what stood there before. */
    (void)snprintf(json, sizeof json,
                   "{\"set\":{\"Name\":\"_noctua-%s.%s.\",\"Type\":\"TXT\",\"TTL\":60,"
                   "\"Values\":[\"\\\"other/%s/1.%llu/0\\\"\"]}}",
                   service, target_domains[zone], service,
                   (unsigned long long)sim_now(target->sim));
    edit(target, zone, json);
    judge_edited(target->sim, zone, service);
    sim_say(target->sim, "somebody", "puts another group's fence over that of %s in %s", service,
            target_domains[zone]);
}

static void tell_forgotten(void *context, const struct record_set *before,
                           const struct record_set *after) {
    const struct place *place = context;
    char was[FENCE_TEXT_SIZE];
    char is[FENCE_TEXT_SIZE];
    if (is_fence(after == NULL ? before : after)) {
        fence_text(before, was);
        fence_text(after, is);
        judge_forgotten(place->target->sim, place->zone, was, is);
    }
}

/* The newest pending change. */
static void forget(struct place *place) {
    struct sim_target *target = place->target;
    struct hosted_zone *zone = target->world.zones.zones[place->zone];
    hosted_zone_settle(zone, clock_boottime_ms(&target->world.clock));
    for (size_t i = zone->change_count; i-- > 0;) {
        struct hosted_change *change = zone->changes[i];
        if (change->status == HOSTED_PENDING && !change->stuck) {
            struct zone_state *before = zone_state_ref(zone->newest);
            (void)hosted_zone_forget(zone, change, true);
            sim_say(target->sim, "route53", "forgets a change: %s",
                    change->comment == NULL ? "" : change->comment);
            (void)zone_state_compare(before, zone->newest, tell_forgotten, place);
            for (size_t c = i; c < zone->change_count; c++) {
                judge_deletion_forgotten(target->sim, place->zone, zone->changes[c]->comment);
            }
            zone_state_unref(before);
            return;
        }
    }
}

void target_address(struct sim_target *target, uint32_t zone, const char *service, char text[64]) {
    const struct zone_state *state = target->world.zones.zones[zone]->newest;
    char name[128];
    (void)snprintf(name, sizeof name, "%s.%s.", service, target_domains[zone]);
    text[0] = '\0';
    for (size_t i = 0; i < state->count; i++) {
        const struct record_set *set = state->sets[i];
        if (set->type == RECORD_A && text_equal(set->name, name) && set->value_count > 0) {
            (void)snprintf(text, 64, "%s", set->values[0]);
        }
    }
}

uint64_t target_effects(const struct sim_target *target) {
    return target->effective;
}

bool target_is_quiet(const struct sim_target *target) {
    return target->under_way == 0;
}

/* --- life --- */

static uint64_t world_now_ms(void *context) {
    const struct sim_target *target = context;
    return sim_now(target->sim) / SIM_MS;
}

struct sim_target *target_create(struct sim *sim) {
    struct sim_target *target = calloc(1, sizeof *target);
    struct error error = {0};
    if (target == NULL) {
        abort();
    }
    target->sim = sim;
    target->world.options = &target->options;
    target->world.clock = (struct clock){world_now_ms, world_now_ms, target};
    chance_seed(&target->chance, chance_next(sim_chance(sim)));
    chance_entropy(&target->chance, &target->world.entropy);
    if (ledger_open("/dev/null", &target->world.clock, &target->world.ledger, &error) != ERROR_OK) {
        abort();
    }
    for (uint32_t z = 0; z < WORLD_ZONE_MAX; z++) {
        if (hosted_zones_add(&target->world.zones, zone_ids[z], target_domains[z], INSYNC_MS,
                             &error) != ERROR_OK) {
            abort();
        }
    }
    return target;
}

void target_destroy(struct sim_target *target) {
    hosted_zones_finish(&target->world.zones);
    ledger_close(target->world.ledger);
    free(target);
}
