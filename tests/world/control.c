#include "control.h"

#include <assert.h>
#include <stdio.h>

#include "alloc.h"
#include "base/entropy.h"
#include "base/text.h"
#include "held.h"
#include "mongo_server.h"
#include "record_json.h"
#include "region.h"
#include "uri.h"
#include "zone_edit.h"

#define CONTROL_SEGMENTS_MAX 4
#define CONTROL_CLOCK_OFFSET_MAX_MS (10LL * 365 * 24 * 3600 * 1000)

/* A request, taken apart. */
struct control_call {
    struct world *world;
    struct http_exchange *exchange;
    const char *method;
    char *segments[CONTROL_SEGMENTS_MAX];
    size_t segment_count;
    json_t *body; /* NULL: none */
};

static void control_reply(struct control_call *call, int status, json_t *json) {
    assert(json != NULL);
    char *text = json_dumps(json, JSON_INDENT(1));
    assert(text != NULL);
    json_decref(json);
    http_exchange_reply(call->exchange, status, "application/json", NULL, text, strlen(text));
    free(text);
}

static void control_fail(struct control_call *call, int status, const char *message) {
    json_t *json = json_object();
    json_object_set_new(json, "error", json_string(message));
    control_reply(call, status, json);
}

static void control_fail_with(struct control_call *call, const struct error *error) {
    int status = 400;
    if (error->code == ERROR_NOT_FOUND) {
        status = 404;
    } else if (error->code == ERROR_IO) {
        status = 500;
    } else if (error->code == ERROR_REFUSED || error->code == ERROR_EXISTS) {
        status = 409;
    }
    control_fail(call, status, error->message);
}

static void control_post_region(struct control_call *call) {
    const json_t *mode = json_object_get(call->body, "mode");
    struct error error;
    if (!json_is_string(mode)) {
        control_fail(call, 400, "the body is {\"mode\": \"up\"}, or another mode");
        return;
    }
    if (region_table_set_mode(call->world->regions, call->segments[1],
                              call->segment_count == 3 ? call->segments[2] : NULL,
                              json_string_value(mode), &error) != ERROR_OK) {
        control_fail_with(call, &error);
        return;
    }
    control_reply(call, 200, json_pack("{s:b}", "ok", 1));
}

/* The listener of Route 53 follows the armed faults. */
static enum error_code control_update_dead(struct world *world, struct error *error) {
    return http_server_set_mode(
        world->route53, faults_any_dead(&world->faults) ? HTTP_SERVER_REFUSE : HTTP_SERVER_SERVE,
        error);
}

static void control_post_alive(struct control_call *call) {
    struct world *world = call->world;
    struct error error;
    for (size_t i = world->faults.count; i-- > 0;) {
        if (world->faults.faults[i].kind == FAULT_DEAD) {
            faults_remove(&world->faults, world->faults.faults[i].id);
        }
    }
    if (control_update_dead(world, &error) != ERROR_OK) {
        control_fail_with(call, &error);
        return;
    }
    control_reply(call, 200, json_pack("{s:b}", "ok", 1));
}

static void control_post_fault(struct control_call *call) {
    struct world *world = call->world;
    const json_t *kind = json_object_get(call->body, "kind");
    struct fault fault;
    struct fault *armed = NULL;
    struct error error;
    if (json_is_string(kind) && text_equal(json_string_value(kind), "alive")) {
        control_post_alive(call);
        return;
    }
    if (fault_parse(call->body, &fault, &error) != ERROR_OK ||
        faults_arm(&world->faults, &fault, &armed, &error) != ERROR_OK ||
        control_update_dead(world, &error) != ERROR_OK) {
        control_fail_with(call, &error);
        return;
    }
    control_reply(call, 201, fault_dump(armed));
}

static void control_get_faults(struct control_call *call) {
    json_t *faults = json_array();
    for (size_t i = 0; i < call->world->faults.count; i++) {
        json_array_append_new(faults, fault_dump(&call->world->faults.faults[i]));
    }
    control_reply(call, 200, json_pack("{s:o}", "faults", faults));
}

/* The fault that the path names, or NULL after a 404. */
static struct fault *control_find_fault(struct control_call *call) {
    uint64_t id = 0;
    struct fault *fault = NULL;
    if (text_to_u64(call->segments[1], 1, UINT32_MAX, &id)) {
        fault = faults_find(&call->world->faults, (unsigned)id);
    }
    if (fault == NULL) {
        control_fail(call, 404, "no such fault");
    }
    return fault;
}

static void control_get_fault(struct control_call *call) {
    const struct fault *fault = control_find_fault(call);
    if (fault != NULL) {
        control_reply(call, 200, fault_dump(fault));
    }
}

static void control_remove_fault(struct control_call *call, unsigned id, size_t released) {
    struct error error;
    held_discard(call->world, id);
    faults_remove(&call->world->faults, id);
    if (control_update_dead(call->world, &error) != ERROR_OK) {
        control_fail_with(call, &error);
        return;
    }
    control_reply(call, 200,
                  json_pack("{s:i,s:I}", "id", (int)id, "released", (json_int_t)released));
}

static void control_release_fault(struct control_call *call) {
    const struct fault *fault = control_find_fault(call);
    if (fault == NULL) {
        return;
    }
    const unsigned id = fault->id;
    if (fault->kind == FAULT_DEAD) {
        control_remove_fault(call, id, 1);
        return;
    }
    size_t released = held_release(call->world, id);
    control_reply(call, 200,
                  json_pack("{s:i,s:I}", "id", (int)id, "released", (json_int_t)released));
}

static void control_delete_fault(struct control_call *call) {
    const struct fault *fault = control_find_fault(call);
    if (fault != NULL) {
        control_remove_fault(call, fault->id, 0);
    }
}

/* The zone that the path names, or NULL after a 404. */
static struct hosted_zone *control_find_zone(struct control_call *call) {
    struct hosted_zone *zone = hosted_zones_find(&call->world->zones, call->segments[1]);
    if (zone == NULL) {
        control_fail(call, 404, "no such zone");
        return NULL;
    }
    hosted_zone_settle(zone, clock_boottime_ms(&call->world->clock));
    return zone;
}

static void control_get_zone(struct control_call *call) {
    const struct hosted_zone *zone = control_find_zone(call);
    if (zone == NULL) {
        return;
    }
    size_t pending = 0;
    for (size_t i = zone->first_open; i < zone->change_count; i++) {
        pending += zone->changes[i]->status == HOSTED_PENDING ? 1 : 0;
    }
    control_reply(call, 200,
                  json_pack("{s:s,s:s,s:I,s:o,s:o}", "id", zone->id, "name", zone->name, "pending",
                            (json_int_t)pending, "record_sets",
                            record_json_dump_state(zone->newest), "insync",
                            record_json_dump_state(zone->insync)));
}

static void control_edit_zone(struct control_call *call) {
    struct world *world = call->world;
    struct hosted_zone *zone = control_find_zone(call);
    struct zone_state *after = NULL;
    struct change_batch batch;
    struct error error;
    char id[HOSTED_CHANGE_ID_SIZE];
    if (zone == NULL) {
        return;
    }
    if (zone_edit_parse(call->body, zone->newest, &batch, &error) != ERROR_OK) {
        control_fail_with(call, &error);
        return;
    }
    if (zone_edit_apply(zone, &batch, &after, &error) != ERROR_OK) {
        control_fail_with(call, &error);
        goto cleanup;
    }
    (void)snprintf(id, sizeof(id), "CFOREIGN%012llX",
                   (unsigned long long)(entropy_u64(&entropy_system) & 0xffffffffffffULL));
    json_t *entry = ledger_describe("foreign", zone, &batch, zone->newest, after);
    json_object_set_new(entry, "change_id", json_string(id));
    json_object_set_new(entry, "comment",
                        batch.comment != NULL ? json_string(batch.comment) : json_null());
    json_t *reply =
        json_pack("{s:s,s:O}", "change_id", id, "effective", json_object_get(entry, "effective"));
    ledger_write(world->ledger, entry);
    (void)hosted_zone_accept(zone, id, batch.comment, after, clock_boottime_ms(&world->clock),
                             clock_wall_ms(&world->clock));
    control_reply(call, 200, reply);

cleanup:
    change_batch_finish(&batch);
}

static void control_get_ledger(struct control_call *call) {
    struct uri_parameters parameters;
    uint64_t since = 0;
    if (!uri_parameters_parse(call->exchange->request.query, &parameters)) {
        control_fail(call, 400, "the query is malformed");
        return;
    }
    const char *text = uri_parameters_get(&parameters, "since");
    bool valid = text == NULL || text_to_u64(text, 0, INT64_MAX, &since);
    uri_parameters_finish(&parameters);
    if (!valid) {
        control_fail(call, 400, "'since' is a seq");
        return;
    }
    control_reply(call, 200,
                  json_pack("{s:o}", "entries", ledger_dump(call->world->ledger, since)));
}

static void control_get_stats(struct control_call *call) {
    const struct world *world = call->world;
    const struct world_counters *counters = &world->counters;
    json_t *requests = json_object();
    for (enum fault_operation i = 0; i < FAULT_OPERATION_COUNT; i++) {
        json_object_set_new(requests, fault_operation_text(i),
                            json_integer((json_int_t)counters->requests[i]));
    }
    control_reply(
        call, 200,
        json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "requests", requests, "refused",
                  (json_int_t)counters->refused, "throttled", (json_int_t)counters->throttled,
                  "changes", (json_int_t)counters->changes, "effective_changes",
                  (json_int_t)counters->effective_changes, "held", (json_int_t)world->held_count,
                  "wall_offset_ms", (json_int_t)world->wall_offset_ms, "regions",
                  region_table_stats(world->regions)));
}

static void control_post_clock(struct control_call *call) {
    const json_t *offset = json_object_get(call->body, "offset_ms");
    if (!json_is_integer(offset) ||
        llabs(json_integer_value(offset)) > CONTROL_CLOCK_OFFSET_MAX_MS) {
        control_fail(call, 400, "the body is {\"offset_ms\": n}, within ten years");
        return;
    }
    call->world->wall_offset_ms = json_integer_value(offset);
    control_reply(call, 200, json_pack("{s:b}", "ok", 1));
}

/* Whether there is a replica set; else the call has its answer. */
static bool control_has_mongo(struct control_call *call) {
    if (call->world->mongo == NULL) {
        control_fail(call, 404, "this world has no --mongo");
    }
    return call->world->mongo != NULL;
}

static void control_get_mongo(struct control_call *call) {
    if (control_has_mongo(call)) {
        control_reply(call, 200, mongo_server_state(call->world->mongo));
    }
}

static void control_post_mongo(struct control_call *call) {
    struct error error;
    if (!control_has_mongo(call)) {
        return;
    }
    enum error_code code =
        text_equal(call->segments[1], "links")
            ? mongo_server_link(call->world->mongo, call->body, &error)
            : mongo_server_change(call->world->mongo, call->segments[1], call->body, &error);
    if (code != ERROR_OK) {
        control_fail_with(call, &error);
        return;
    }
    control_reply(call, 200, json_pack("{s:b}", "ok", 1));
}

static void control_post_shutdown(struct control_call *call) {
    struct world *world = call->world;
    control_reply(call, 200, json_pack("{s:b}", "ok", 1));
    world_stop(world);
}

static const struct control_route {
    const char *method;
    const char *path[CONTROL_SEGMENTS_MAX]; /* "*": anything; NULL: the end */
    void (*handle)(struct control_call *call);
} control_routes[] = {
    {"POST", {"regions", "*"}, control_post_region},
    {"POST", {"regions", "*", "*"}, control_post_region},
    {"GET", {"faults"}, control_get_faults},
    {"POST", {"faults"}, control_post_fault},
    {"GET", {"faults", "*"}, control_get_fault},
    {"DELETE", {"faults", "*"}, control_delete_fault},
    {"POST", {"faults", "*", "release"}, control_release_fault},
    {"GET", {"zones", "*"}, control_get_zone},
    {"POST", {"zones", "*", "edit"}, control_edit_zone},
    {"GET", {"ledger"}, control_get_ledger},
    {"GET", {"stats"}, control_get_stats},
    {"POST", {"clock"}, control_post_clock},
    {"GET", {"mongo"}, control_get_mongo},
    {"POST", {"mongo", "*"}, control_post_mongo},
    {"POST", {"shutdown"}, control_post_shutdown},
};

static bool control_route_matches(const struct control_route *route,
                                  const struct control_call *call) {
    for (size_t i = 0; i < CONTROL_SEGMENTS_MAX; i++) {
        const char *part = route->path[i];
        if (part == NULL) {
            return call->segment_count == i;
        }
        if (i == call->segment_count ||
            (!text_equal(part, "*") && !text_equal(part, call->segments[i]))) {
            return false;
        }
    }
    return call->segment_count == CONTROL_SEGMENTS_MAX;
}

static void control_dispatch(struct control_call *call) {
    bool found = false;
    for (size_t i = 0; i < ARRAY_LENGTH(control_routes); i++) {
        if (!control_route_matches(&control_routes[i], call)) {
            continue;
        }
        found = true;
        if (text_equal(control_routes[i].method, call->method)) {
            control_routes[i].handle(call);
            return;
        }
    }
    control_fail(call, found ? 405 : 404, found ? "not with this method" : "no such path");
}

void control_handle(void *context, struct http_exchange *exchange) {
    const struct http_request *request = &exchange->request;
    struct control_call call = {.world = context, .exchange = exchange};
    char *path = uri_decode(request->path, strlen(request->path), false);
    /* The exchange is gone when the handler has replied. */
    char *method = alloc_text(request->method);
    json_error_t json_error;
    bool fits = path != NULL;

    call.method = method;
    for (char *rest = path; rest != NULL && fits;) {
        char *segment = strsep(&rest, "/");
        if (segment[0] != '\0') {
            fits = call.segment_count < CONTROL_SEGMENTS_MAX;
            if (fits) {
                call.segments[call.segment_count++] = segment;
            }
        }
    }
    if (request->body_bytes > 0) {
        call.body =
            json_loadb(request->body, request->body_bytes, JSON_REJECT_DUPLICATES, &json_error);
    }
    if (!fits) {
        control_fail(&call, 404, "no such path");
    } else if (request->body_bytes > 0 && call.body == NULL) {
        char message[JSON_ERROR_TEXT_LENGTH + 64];
        (void)snprintf(message, sizeof(message), "the body is not JSON: %s", json_error.text);
        control_fail(&call, 400, message);
    } else {
        control_dispatch(&call);
    }
    json_decref(call.body);
    free(path);
    free(method);
}

static enum error_code control_load_zone(struct world *world, const char *key, const json_t *sets,
                                         struct error *error) {
    struct hosted_zone *zone = hosted_zones_find(&world->zones, key);
    struct zone_state *after = NULL;
    struct change_batch batch;
    for (size_t i = 0; zone == NULL && i < world->zones.count; i++) {
        char name[DNS_NAME_SIZE];
        if (dns_name_canonicalize(key, name, NULL) == ERROR_OK &&
            text_equal(world->zones.zones[i]->name, name)) {
            zone = world->zones.zones[i];
        }
    }
    if (zone == NULL) {
        return error_set(error, ERROR_NOT_FOUND, "no zone '%s'", key);
    }
    enum error_code code = zone_edit_parse_sets(sets, &batch, error);
    if (code != ERROR_OK) {
        return code;
    }
    code = zone_edit_apply(zone, &batch, &after, error);
    change_batch_finish(&batch);
    if (code == ERROR_OK) {
        zone_state_unref(zone->newest);
        zone_state_unref(zone->insync);
        zone->newest = after;
        zone->insync = zone_state_ref(after);
    }
    return code;
}

enum error_code control_load_records(struct world *world, const char *path, struct error *error) {
    json_error_t json_error;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &json_error);
    enum error_code code = ERROR_OK;
    const char *key = NULL;
    json_t *sets = NULL;
    if (!json_is_object(file)) {
        json_decref(file);
        return error_set(error, ERROR_INVALID, "%s:%d:%d: %s", path, json_error.line,
                         json_error.column, file == NULL ? json_error.text : "not an object");
    }
    json_object_foreach(file, key, sets) {
        code = control_load_zone(world, key, sets, error);
        if (code != ERROR_OK) {
            (void)error_prefix(error, "%s: %s", path, key);
            break;
        }
    }
    json_decref(file);
    return code;
}
