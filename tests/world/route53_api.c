/* The operations of Route 53 on the zones. */
#include <assert.h>
#include <stdio.h>

#include "alloc.h"
#include "aws_api.h"
#include "base/text.h"
#include "route53_render.h"
#include "xml_write.h"

#define ROUTE53_RECORD_SETS_PAGE_MAX 300
#define ROUTE53_ZONES_PAGE_MAX 100
#define ROUTE53_CHANGE_ID_LENGTH 20

static void route53_refuse(struct world *world, struct aws_request *request, int status,
                           const char *code, const char *format, const char *text) {
    struct aws_refusal refusal;
    (void)aws_refuse(&refusal, status, code, format, text);
    aws_request_refuse(world, request, &refusal);
}

static void route53_refuse_zone(struct world *world, struct aws_request *request) {
    char id[RECORD_ZONE_ID_MAX + 1];
    TEXT_COPY(id, request->zone_id);
    route53_refuse(world, request, 404, "NoSuchHostedZone", "No hosted zone found with ID: %s", id);
}

static void route53_name_change(const struct world *world, char id[HOSTED_CHANGE_ID_SIZE]) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    id[0] = 'C';
    for (size_t i = 1; i <= ROUTE53_CHANGE_ID_LENGTH; i++) {
        id[i] = alphabet[entropy_between(&world->entropy, 0, sizeof(alphabet) - 2)];
    }
    id[ROUTE53_CHANGE_ID_LENGTH + 1] = '\0';
}

/* The whole batch was refused: the messages go to the ledger, too. */
static void route53_refuse_batch(struct world *world, struct aws_request *request,
                                 const struct change_messages *messages) {
    struct buffer document;
    json_t *texts = json_array();
    for (size_t i = 0; i < messages->count; i++) {
        json_array_append_new(texts, json_string(messages->texts[i]));
    }
    world->counters.refused++;
    aws_request_log(
        world, request, "refused",
        json_pack("{s:s,s:o,s:i}", "code", "InvalidChangeBatch", "messages", texts, "status", 400));
    buffer_init(&document, 0);
    route53_render_invalid_batch(&document, messages, request->exchange->request_id,
                                 !world->options->old_batch_errors);
    aws_request_reply(world, request, 400, &document);
}

static struct hosted_change *route53_accept(struct world *world, struct aws_request *request,
                                            struct hosted_zone *zone, struct zone_state *after) {
    char id[HOSTED_CHANGE_ID_SIZE];
    struct buffer document;
    route53_name_change(world, id);
    json_t *entry = ledger_describe("change", zone, &request->batch, zone->newest, after);
    TEXT_COPY(request->change_id, id);
    world->counters.changes++;
    world->counters.effective_changes += json_is_true(json_object_get(entry, "effective")) ? 1 : 0;
    struct hosted_change *change =
        hosted_zone_accept(zone, id, request->batch.comment, after,
                           clock_boottime_ms(&world->clock), clock_wall_ms(&world->clock));
    aws_request_log(world, request, "change", entry);

    buffer_init(&document, 0);
    route53_render_begin(&document, "ChangeResourceRecordSetsResponse");
    route53_render_change_info(&document, change);
    route53_render_end(&document, "ChangeResourceRecordSetsResponse");
    aws_request_reply(world, request, 200, &document);
    return change;
}

static struct hosted_change *route53_change(struct world *world, struct aws_request *request) {
    struct hosted_zone *zone = hosted_zones_find(&world->zones, request->zone_id);
    struct change_messages messages = {0};
    struct zone_state *after = NULL;
    struct hosted_change *change = NULL;
    if (zone == NULL) {
        route53_refuse_zone(world, request);
        return NULL;
    }
    switch (change_batch_apply(&request->batch, zone->name, zone->newest, &after, &messages)) {
    case CHANGE_BATCH_ACCEPTED:
        change = route53_accept(world, request, zone, after);
        break;
    case CHANGE_BATCH_INVALID_INPUT:
        route53_refuse(world, request, 400, "InvalidInput", "%s", messages.texts[0]);
        break;
    case CHANGE_BATCH_INVALID_BATCH:
        route53_refuse_batch(world, request, &messages);
        break;
    }
    change_messages_finish(&messages);
    return change;
}

/* A parameter maxitems; false when it is no number. More than the page allows gives a full page. */
static bool route53_read_max_items(const struct aws_request *request, uint64_t page,
                                   uint64_t *ret_max_items) {
    const char *text = uri_parameters_get(&request->parameters, "maxitems");
    *ret_max_items = page;
    if (text != NULL && !text_to_u64(text, 1, UINT32_MAX, ret_max_items)) {
        return false;
    }
    if (*ret_max_items > page) {
        *ret_max_items = page;
    }
    return true;
}

/* Where a listing begins: ?name=&type=&identifier=. Returns NULL, or what is wrong. */
static const char *route53_find_start(const struct aws_request *request,
                                      const struct zone_state *state, size_t *ret_at) {
    struct record_set key = {.reference_count = 1};
    const char *name = uri_parameters_get(&request->parameters, "name");
    const char *type = uri_parameters_get(&request->parameters, "type");
    const char *identifier = uri_parameters_get(&request->parameters, "identifier");
    if ((type != NULL && name == NULL) || (identifier != NULL && type == NULL)) {
        return "The input is not valid: type needs name, and identifier needs type.";
    }
    if (name == NULL) {
        *ret_at = 0;
        return NULL;
    }
    if (dns_name_canonicalize(name, key.name, NULL) != ERROR_OK) {
        return "The name of the record to start with is not valid.";
    }
    if (type != NULL && !record_type_from_text(type, &key.type)) {
        return "The type of the record to start with is not valid.";
    }
    if (identifier != NULL && !TEXT_COPY(key.set_identifier, identifier)) {
        return "The identifier of the record to start with is too long.";
    }
    *ret_at = zone_state_lower_bound(state, &key);
    return NULL;
}

static void route53_list(struct world *world, struct aws_request *request) {
    const struct hosted_zone *zone = hosted_zones_find(&world->zones, request->zone_id);
    uint64_t max_items = 0;
    size_t at = 0;
    struct buffer document;
    if (zone == NULL) {
        route53_refuse_zone(world, request);
        return;
    }
    const struct zone_state *state = zone->newest; /* also what is PENDING */
    const char *wrong = route53_find_start(request, state, &at);
    if (wrong == NULL &&
        !route53_read_max_items(request, ROUTE53_RECORD_SETS_PAGE_MAX, &max_items)) {
        wrong = "The value of maxitems is not valid.";
    }
    if (wrong != NULL) {
        route53_refuse(world, request, 400, "InvalidInput", "%s", wrong);
        return;
    }
    buffer_init(&document, 0);
    route53_render_begin(&document, "ListResourceRecordSetsResponse");
    buffer_append_text(&document, "<ResourceRecordSets>");
    size_t end = state->count - at > max_items ? at + (size_t)max_items : state->count;
    for (; at < end; at++) {
        route53_render_record_set(&document, state->sets[at]);
    }
    buffer_append_text(&document, "</ResourceRecordSets>");
    xml_write_bool(&document, "IsTruncated", end < state->count);
    if (end < state->count) {
        const struct record_set *next = state->sets[end];
        xml_write_element(&document, "NextRecordName", next->name);
        xml_write_element(&document, "NextRecordType", record_type_text(next->type));
        if (next->set_identifier[0] != '\0') {
            xml_write_element(&document, "NextRecordIdentifier", next->set_identifier);
        }
    }
    xml_write_number(&document, "MaxItems", max_items);
    route53_render_end(&document, "ListResourceRecordSetsResponse");
    aws_request_reply(world, request, 200, &document);
}

static void route53_get_change(struct world *world, struct aws_request *request) {
    struct hosted_zone *zone = NULL;
    struct hosted_change *change =
        hosted_zones_find_change(&world->zones, request->change_id, &zone);
    struct buffer document;
    if (change == NULL) {
        char id[HOSTED_CHANGE_ID_SIZE];
        TEXT_COPY(id, request->change_id);
        route53_refuse(world, request, 404, "NoSuchChange", "Could not find resource with ID: %s",
                       id);
        return;
    }
    hosted_zone_settle(zone, clock_boottime_ms(&world->clock));
    buffer_init(&document, 0);
    route53_render_begin(&document, "GetChangeResponse");
    route53_render_change_info(&document, change);
    route53_render_end(&document, "GetChangeResponse");
    aws_request_reply(world, request, 200, &document);
}

static void route53_get_zone(struct world *world, struct aws_request *request) {
    const struct hosted_zone *zone = hosted_zones_find(&world->zones, request->zone_id);
    struct buffer document;
    if (zone == NULL) {
        route53_refuse_zone(world, request);
        return;
    }
    buffer_init(&document, 0);
    route53_render_begin(&document, "GetHostedZoneResponse");
    route53_render_zone(&document, zone);
    route53_render_delegation_set(&document);
    route53_render_end(&document, "GetHostedZoneResponse");
    aws_request_reply(world, request, 200, &document);
}

static int route53_compare_zone_ids(const void *a, const void *b) {
    const struct hosted_zone *const *left = a;
    const struct hosted_zone *const *right = b;
    return strcmp((*left)->id, (*right)->id);
}

static int route53_compare_zone_names(const void *a, const void *b) {
    const struct hosted_zone *const *left = a;
    const struct hosted_zone *const *right = b;
    int order = dns_name_compare((*left)->name, (*right)->name);
    return order != 0 ? order : strcmp((*left)->id, (*right)->id);
}

/* Index of the first zone of the listing. */
static size_t route53_first_zone(const struct aws_request *request, struct hosted_zone **sorted,
                                 size_t count, const char *from_name) {
    const char *marker = uri_parameters_get(&request->parameters, "marker");
    const char *from_id = uri_parameters_get(&request->parameters, "hostedzoneid");
    for (size_t i = 0; i < count; i++) {
        if (request->action == AWS_LIST_ZONES) {
            if (marker == NULL || strcmp(sorted[i]->id, marker) >= 0) {
                return i;
            }
            continue;
        }
        int order = from_name[0] != '\0' ? dns_name_compare(sorted[i]->name, from_name) : 1;
        if (order > 0 || (order == 0 && (from_id == NULL || strcmp(sorted[i]->id, from_id) >= 0))) {
            return i;
        }
    }
    return count;
}

/* ListHostedZones by id, or ListHostedZonesByName. */
static void route53_list_zones(struct world *world, struct aws_request *request) {
    const bool by_name = request->action == AWS_LIST_ZONES_BY_NAME;
    const char *root = by_name ? "ListHostedZonesByNameResponse" : "ListHostedZonesResponse";
    const char *wanted = uri_parameters_get(&request->parameters, "dnsname");
    struct hosted_zone *sorted[HOSTED_ZONES_MAX];
    char from_name[DNS_NAME_SIZE] = "";
    uint64_t max_items = 0;
    struct buffer document;
    if (!route53_read_max_items(request, ROUTE53_ZONES_PAGE_MAX, &max_items) ||
        (wanted != NULL && dns_name_canonicalize(wanted, from_name, NULL) != ERROR_OK)) {
        route53_refuse(world, request, 400, "InvalidInput", "%s", "The input is not valid.");
        return;
    }
    const size_t count = world->zones.count;
    memcpy(sorted, world->zones.zones, count * sizeof(struct hosted_zone *));
    qsort(sorted, count, sizeof(struct hosted_zone *),
          by_name ? route53_compare_zone_names : route53_compare_zone_ids);
    size_t at = route53_first_zone(request, sorted, count, from_name);
    size_t end = count - at > max_items ? at + (size_t)max_items : count;

    buffer_init(&document, 0);
    route53_render_begin(&document, root);
    buffer_append_text(&document, "<HostedZones>");
    for (; at < end; at++) {
        route53_render_zone(&document, sorted[at]);
    }
    buffer_append_text(&document, "</HostedZones>");
    if (by_name && from_name[0] != '\0') {
        xml_write_element(&document, "DNSName", from_name);
    }
    xml_write_bool(&document, "IsTruncated", end < count);
    if (end < count && by_name) {
        xml_write_element(&document, "NextDNSName", sorted[end]->name);
        xml_write_element(&document, "NextHostedZoneId", sorted[end]->id);
    } else if (end < count) {
        xml_write_element(&document, "NextMarker", sorted[end]->id);
    }
    xml_write_number(&document, "MaxItems", max_items);
    route53_render_end(&document, root);
    aws_request_reply(world, request, 200, &document);
}

struct hosted_change *route53_api_execute(struct world *world, struct aws_request *request) {
    switch (request->action) {
    case AWS_CHANGE_RECORD_SETS:
        return route53_change(world, request);
    case AWS_LIST_RECORD_SETS:
        route53_list(world, request);
        return NULL;
    case AWS_GET_CHANGE:
        route53_get_change(world, request);
        return NULL;
    case AWS_GET_ZONE:
        route53_get_zone(world, request);
        return NULL;
    case AWS_LIST_ZONES:
    case AWS_LIST_ZONES_BY_NAME:
        route53_list_zones(world, request);
        return NULL;
    case AWS_STS:
    case AWS_UNKNOWN:
        break;
    }
    route53_refuse(world, request, 404, "UnknownOperationException", "%s",
                   "The world doesn't have this operation of Route 53.");
    return NULL;
}
