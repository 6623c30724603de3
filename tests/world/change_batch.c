#include "change_batch.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"
#include "record_rules.h"

/* Everything that one application of a batch needs. */
struct change_run {
    const char *zone_name;
    struct zone_state *state;
    struct change_messages *messages;
};

void change_batch_init(struct change_batch *batch) {
    *batch = (struct change_batch){0};
}

void change_batch_finish(struct change_batch *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        record_set_unref(batch->changes[i].set);
    }
    free(batch->changes);
    free(batch->comment);
    change_batch_init(batch);
}

void change_batch_add(struct change_batch *batch, enum change_action action,
                      struct record_set *set) {
    batch->changes = alloc_grown(batch->changes, batch->count + 1, sizeof(*batch->changes));
    batch->changes[batch->count++] = (struct change){.action = action, .set = set};
}

void change_messages_finish(struct change_messages *messages) {
    for (size_t i = 0; i < messages->count; i++) {
        free(messages->texts[i]);
    }
    free(messages->texts);
    *messages = (struct change_messages){0};
}

const char *change_action_text(enum change_action action) {
    static const char *const texts[] = {"CREATE", "DELETE", "UPSERT"};
    return texts[action];
}

static void change_messages_add(struct change_messages *messages, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void change_messages_add(struct change_messages *messages, const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    messages->texts = alloc_grown(messages->texts, messages->count + 1, sizeof(char *));
    messages->texts[messages->count++] = text;
}

/* "Tried to <verb> resource record set [name='..', type='A'] but <why>" */
static bool change_refuse(struct change_run *run, const char *verb, const struct record_set *set,
                          const char *why) {
    const bool identified = (set->fields & RECORD_FIELD_SET_IDENTIFIER) != 0;
    change_messages_add(
        run->messages, "Tried to %s resource record set [name='%s', type='%s'%s%s%s] but %s", verb,
        set->name, record_type_text(set->type), identified ? ", set-identifier='" : "",
        identified ? set->set_identifier : "", identified ? "'" : "", why);
    return false;
}

static bool change_conflict(struct change_run *run, const struct record_set *set, const char *why) {
    change_messages_add(
        run->messages, "RRSet with DNS name %s, type %s, SetIdentifier %s cannot be created as %s",
        set->name, record_type_text(set->type),
        (set->fields & RECORD_FIELD_SET_IDENTIFIER) != 0 ? set->set_identifier : "null", why);
    return false;
}

static const char *change_routing_text(unsigned fields) {
    switch (fields & RECORD_FIELDS_ROUTING) {
    case RECORD_FIELD_WEIGHT:
        return "weighted";
    case RECORD_FIELD_REGION:
        return "latency";
    case RECORD_FIELD_GEO_LOCATION:
        return "geolocation";
    case RECORD_FIELD_FAILOVER:
        return "failover";
    case RECORD_FIELD_MULTI_VALUE:
        return "multivalue answer";
    default:
        return "simple";
    }
}

/* May `set` live beside `other` of the same name? */
static bool change_check_neighbour(struct change_run *run, const struct record_set *set,
                                   const struct record_set *other) {
    if (set->type != other->type) {
        if (set->type != RECORD_CNAME && other->type != RECORD_CNAME) {
            return true;
        }
        change_messages_add(run->messages,
                            "RRSet of type %s with DNS name %s is not permitted as it conflicts "
                            "with other records with the same DNS name in zone %s",
                            record_type_text(set->type), set->name, run->zone_name);
        return false;
    }
    if (((set->fields ^ other->fields) & RECORD_FIELDS_ROUTING) != 0) {
        char why[128];
        const bool simple = (set->fields & RECORD_FIELDS_ROUTING) == 0;
        const char *policy = change_routing_text(simple ? other->fields : set->fields);
        (void)snprintf(why, sizeof(why), "a %s%s set exists with the same name and type.",
                       simple ? "" : "non-", policy);
        return change_conflict(run, set, why);
    }
    if ((set->fields & RECORD_FIELD_FAILOVER) != 0 && set->failover == other->failover) {
        return change_conflict(run, set,
                               set->failover == RECORD_PRIMARY
                                   ? "a primary set exists with the same name and type."
                                   : "a secondary set exists with the same name and type.");
    }
    return true;
}

static bool change_check_neighbours(struct change_run *run, const struct record_set *set) {
    const struct zone_state *state = run->state;
    for (size_t i = zone_state_first_of_name(state, set->name);
         i < state->count && text_equal(state->sets[i]->name, set->name); i++) {
        /* The one that it replaces is no neighbour. */
        if (record_set_compare(state->sets[i], set) != 0 &&
            !change_check_neighbour(run, set, state->sets[i])) {
            return false;
        }
    }
    return true;
}

static bool change_is_apex(const struct change_run *run, const struct record_set *set) {
    return text_equal(set->name, run->zone_name);
}

static bool change_put(struct change_run *run, const struct change *change) {
    struct record_set *set = change->set;
    struct error error;
    if (record_rules_check_values(set, &error) != ERROR_OK) {
        change_messages_add(run->messages, "%s", error.message);
        return false;
    }
    const struct record_set *current = zone_state_find(run->state, set);
    if (change->action == CHANGE_CREATE && current != NULL) {
        return change_refuse(run, "create", set, "it already exists");
    }
    if (set->type == RECORD_CNAME && change_is_apex(run, set)) {
        change_messages_add(run->messages,
                            "RRSet of type CNAME with DNS name %s is not permitted at apex in zone "
                            "%s",
                            set->name, run->zone_name);
        return false;
    }
    if (set->type == RECORD_SOA && !change_is_apex(run, set)) {
        change_messages_add(run->messages,
                            "RRSet of type SOA with DNS name %s is not permitted in zone %s",
                            set->name, run->zone_name);
        return false;
    }
    if (!change_check_neighbours(run, set)) {
        return false;
    }
    if (current == NULL && run->state->count >= ZONE_RECORD_SETS_MAX) {
        change_messages_add(run->messages, "The zone has the limit of %d resource record sets",
                            ZONE_RECORD_SETS_MAX);
        return false;
    }
    zone_state_put(run->state, set);
    return true;
}

static bool change_delete(struct change_run *run, const struct change *change) {
    const struct record_set *set = change->set;
    const struct record_set *current = zone_state_find(run->state, set);
    if (current == NULL) {
        return change_refuse(run, "delete", set, "it was not found");
    }
    if (!record_set_equal(current, set)) {
        return change_refuse(run, "delete", set,
                             "the values provided do not match the current values");
    }
    zone_state_remove(run->state, set);
    return true;
}

static bool change_apply(struct change_run *run, const struct change *change) {
    if (!dns_name_is_within(change->set->name, run->zone_name)) {
        change_messages_add(run->messages, "RRSet with DNS name %s is not permitted in zone %s",
                            change->set->name, run->zone_name);
        return false;
    }
    return change->action == CHANGE_DELETE ? change_delete(run, change) : change_put(run, change);
}

/* Rules of the zone as the batch leaves it. */
static void change_check_result(struct change_run *run, const struct change_batch *batch) {
    struct record_set key = {.reference_count = 1, .type = RECORD_SOA};
    TEXT_COPY(key.name, run->zone_name);
    if (zone_state_find(run->state, &key) == NULL) {
        change_messages_add(run->messages, "A HostedZone must contain exactly one SOA record.");
    }
    key.type = RECORD_NS;
    if (zone_state_find(run->state, &key) == NULL) {
        change_messages_add(run->messages,
                            "A HostedZone must contain at least one NS record for the zone "
                            "itself.");
    }
    for (size_t i = 0; i < batch->count; i++) {
        const struct record_set *set = zone_state_find(run->state, batch->changes[i].set);
        if (set == NULL || (set->fields & RECORD_FIELD_WEIGHT) == 0 ||
            (set->fields & RECORD_FIELD_TTL) == 0) {
            continue;
        }
        for (size_t j = zone_state_first_of_name(run->state, set->name);
             j < run->state->count && text_equal(run->state->sets[j]->name, set->name); j++) {
            const struct record_set *other = run->state->sets[j];
            if (other->type == set->type && (other->fields & RECORD_FIELD_TTL) != 0 &&
                other->ttl_s != set->ttl_s) {
                (void)change_conflict(run, set, "weighted sets must contain the same TTL.");
                break;
            }
        }
    }
}

/* Limits of a request, and the form of each set. */
static enum change_batch_verdict change_batch_check(const struct change_batch *batch,
                                                    struct change_messages *messages) {
    size_t records = 0;
    size_t characters = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->changes[i];
        struct error error;
        if (record_rules_check_shape(change->set, change_action_text(change->action), &error) !=
            ERROR_OK) {
            change_messages_add(messages, "%s", error.message);
            return CHANGE_BATCH_INVALID_INPUT;
        }
        size_t times = change->action == CHANGE_UPSERT ? 2 : 1;
        records += times * change->set->value_count;
        for (size_t j = 0; j < change->set->value_count; j++) {
            characters += times * strlen(change->set->values[j]);
        }
    }
    if (records > CHANGE_BATCH_RECORDS_MAX || batch->count > CHANGE_BATCH_CHANGES_MAX) {
        change_messages_add(messages, "Number of records limit of %d exceeded.",
                            CHANGE_BATCH_RECORDS_MAX);
    }
    if (characters > CHANGE_BATCH_CHARACTERS_MAX) {
        change_messages_add(messages, "Number of characters limit of %d exceeded.",
                            CHANGE_BATCH_CHARACTERS_MAX);
    }
    return messages->count == 0 ? CHANGE_BATCH_ACCEPTED : CHANGE_BATCH_INVALID_BATCH;
}

enum change_batch_verdict change_batch_apply(const struct change_batch *batch,
                                             const char *zone_name, const struct zone_state *before,
                                             struct zone_state **ret_after,
                                             struct change_messages *messages) {
    enum change_batch_verdict verdict = change_batch_check(batch, messages);
    if (verdict != CHANGE_BATCH_ACCEPTED) {
        return verdict;
    }
    struct change_run run = {
        .zone_name = zone_name,
        .state = zone_state_copy(before),
        .messages = messages,
    };
    bool valid = true;
    for (size_t i = 0; i < batch->count; i++) {
        /* Go on after a failure: Route 53 reports every change that fails. */
        valid = change_apply(&run, &batch->changes[i]) && valid;
    }
    if (valid) {
        change_check_result(&run, batch);
    }
    if (messages->count > 0) {
        zone_state_unref(run.state);
        return CHANGE_BATCH_INVALID_BATCH;
    }
    *ret_after = run.state;
    return CHANGE_BATCH_ACCEPTED;
}
