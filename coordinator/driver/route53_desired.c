/* The wanted state of a move: what was read, with only what the move changes replaced. */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws_text.h"
#include "base/text.h"
#include "codec/alias_zone.h"
#include "driver/route53.h"
#include "route53_record.h"

enum {
    WEIGHT_WHEN_ALL_ARE_ZERO = 100,
    WEIGHT_MAX = 255,
    TTL_MAX_S = 2147483647,
    TXT_STRING_MAX = 255, /* RFC 1035, section 3.3 */
};

struct plan {
    const struct driver_target *target;
    const struct route53_value *values;
    const struct route53_records *before;
    struct route53_records *after;
    uint32_t place[DRIVER_RECORD_MAX]; /* of target->records[i] in before and after */
    struct error *error;
};

static enum error_code find_places(struct plan *plan) {
    bool taken[DRIVER_RECORD_MAX] = {false};
    for (uint32_t i = 0; i < plan->target->record_count; i++) {
        const struct driver_record_key *key = &plan->target->records[i];
        char name[ROUTE53_NAME_SIZE];
        enum error_code code = route53_name_canonicalize(key->name, name, plan->error);
        if (code != ERROR_OK) {
            return code;
        }
        uint32_t at = 0;
        while (at < plan->before->count &&
               !route53_record_is(&plan->before->items[at], name, key->type, key->set_identifier)) {
            at++;
        }
        if (at == plan->before->count) {
            return error_set(plan->error, ERROR_NOT_FOUND, "record %s %s %.100s is not in the zone",
                             name, key->type, key->set_identifier);
        }
        if (taken[at]) {
            return error_set(plan->error, ERROR_INVALID, "record %s %s %.100s is named twice", name,
                             key->type, key->set_identifier);
        }
        taken[at] = true;
        plan->place[i] = at;
    }
    if (plan->before->count != plan->target->record_count) {
        return error_set(plan->error, ERROR_INVALID, "the state as read holds %u records, not %u",
                         plan->before->count, plan->target->record_count);
    }
    return ERROR_OK;
}

static enum error_code refuse(struct plan *plan, const struct route53_record *record,
                              const char *why) {
    return error_set(plan->error, ERROR_INVALID, "record %.150s %s %.50s %s", record->name,
                     record->type, record->set_identifier, why);
}

static enum error_code set_alias(struct plan *plan, const struct route53_value *value,
                                 struct route53_record *record) {
    if (record->alias_zone[0] == '\0') {
        return refuse(plan, record, "is no alias: give `values` or `cname`, or make it one first");
    }
    char name[ROUTE53_NAME_SIZE];
    enum error_code code = route53_name_canonicalize(value->text, name, plan->error);
    if (code != ERROR_OK) {
        return code;
    }
    const char *zone_id = value->zone_id[0] != '\0' ? value->zone_id : alias_zone_find(name);
    if (zone_id == NULL) {
        return error_set(plan->error, ERROR_INVALID,
                         "the hosted zone of %.150s is not known here: give its `zone_id`", name);
    }
    if (!aws_is_id(zone_id, sizeof record->alias_zone - 1)) {
        return refuse(plan, record, "would get a zone_id that is none");
    }
    TEXT_COPY(record->alias_zone, zone_id);
    TEXT_COPY(record->alias_name, name);
    return ERROR_OK;
}

/* A TXT value goes over the wire in quotes; people write it without. Longer than 255 bytes it is
 * several strings, which resolvers join; what isn't plain is escaped in octal. */
static void quote_value(const char *text, size_t length, struct buffer *quoted) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (i % TXT_STRING_MAX == 0) {
            buffer_append_text(quoted, i == 0 ? "\"" : "\" \"");
        }
        if (c < ' ' || c > '~' || c == '"' || c == '\\') {
            buffer_append_format(quoted, "\\%03o", c);
        } else {
            buffer_append(quoted, &c, 1);
        }
    }
    buffer_append_text(quoted, "\"");
}

static enum error_code quote_values(struct plan *plan, const char *text, struct buffer *quoted) {
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        if (length > 0 && text[0] != '"') {
            quote_value(text, length, quoted);
        } else {
            buffer_append(quoted, text, length);
        }
        buffer_append_text(quoted, "\n");
        text += length + (text[length] == '\n');
    }
    return quoted->failed ? error_set(plan->error, ERROR_NO_MEMORY, "out of memory") : ERROR_OK;
}

static enum error_code set_values(struct plan *plan, const struct route53_value *value,
                                  struct route53_record *record) {
    if (record->value_count == 0) {
        return refuse(plan, record, "is an alias: give `alias`, or make it a plain one first");
    }
    struct buffer quoted;
    buffer_init(&quoted, DRIVER_STATE_MAX);
    const char *text = value->text;
    enum error_code code = ERROR_OK;
    if (strcmp(record->type, "TXT") == 0) {
        code = quote_values(plan, value->text, &quoted);
        text = quoted.data == NULL ? "" : quoted.data;
    }
    if (code == ERROR_OK) {
        code = route53_record_set_values(record, text, plan->error);
    }
    buffer_finish(&quoted);
    if (code == ERROR_OK && strcmp(record->type, "CNAME") == 0 && record->value_count != 1) {
        code = refuse(plan, record, "can have one target only");
    }
    if (code == ERROR_OK && value->ttl_s > TTL_MAX_S) {
        code = refuse(plan, record, "would get a TTL that is out of range");
    }
    if (code == ERROR_OK && value->ttl_s != 0) {
        (void)snprintf(record->ttl, sizeof record->ttl, "%u", value->ttl_s);
    }
    return code;
}

/* The sets of one name and type, of which `first` is the first in the target. */
static bool same_group(const struct plan *plan, uint32_t first, uint32_t other) {
    const struct route53_record *a = &plan->before->items[plan->place[first]];
    const struct route53_record *b = &plan->before->items[plan->place[other]];
    return strcmp(a->name, b->name) == 0 && strcmp(a->type, b->type) == 0;
}

static bool is_first_of_group(const struct plan *plan, uint32_t i) {
    for (uint32_t j = 0; j < i; j++) {
        if (same_group(plan, j, i)) {
            return false;
        }
    }
    return true;
}

/* All traffic to the chosen set: the highest weight of the group, as read; the others 0. */
static enum error_code set_weights(struct plan *plan, uint32_t first) {
    const struct route53_record *head = &plan->before->items[plan->place[first]];
    uint64_t highest = 0;
    uint32_t chosen_count = 0;
    for (uint32_t i = first; i < plan->target->record_count; i++) {
        if (!same_group(plan, first, i)) {
            continue;
        }
        const struct route53_record *record = &plan->before->items[plan->place[i]];
        uint64_t weight;
        if (plan->values[i].action != ROUTE53_WEIGHTED ||
            !text_to_u64(record->weight, 0, WEIGHT_MAX, &weight)) {
            return refuse(plan, record, "is not weighted like the others of its name");
        }
        highest = weight > highest ? weight : highest;
        chosen_count += plan->values[i].chosen;
    }
    if (chosen_count != 1) {
        return refuse(plan, head, "needs exactly one weighted set that gets the traffic");
    }
    if (highest == 0) {
        highest = WEIGHT_WHEN_ALL_ARE_ZERO; /* all zero means: all alike */
    }
    for (uint32_t i = first; i < plan->target->record_count; i++) {
        if (same_group(plan, first, i)) {
            struct route53_record *record = &plan->after->items[plan->place[i]];
            (void)snprintf(record->weight, sizeof record->weight, "%u",
                           plan->values[i].chosen ? (unsigned)highest : 0);
        }
    }
    return ERROR_OK;
}

static enum error_code set_failover(struct plan *plan, uint32_t first) {
    const struct route53_record *head = &plan->before->items[plan->place[first]];
    uint32_t primary_count = 0, secondary_count = 0, chosen_count = 0;
    for (uint32_t i = first; i < plan->target->record_count; i++) {
        if (!same_group(plan, first, i)) {
            continue;
        }
        const struct route53_record *record = &plan->before->items[plan->place[i]];
        if (plan->values[i].action != ROUTE53_FAILOVER) {
            return refuse(plan, record, "is not a failover set like the others of its name");
        }
        primary_count += strcmp(record->failover, "PRIMARY") == 0;
        secondary_count += strcmp(record->failover, "SECONDARY") == 0;
        chosen_count += plan->values[i].chosen;
        struct route53_record *after = &plan->after->items[plan->place[i]];
        TEXT_COPY(after->failover, plan->values[i].chosen ? "PRIMARY" : "SECONDARY");
    }
    if (primary_count != 1 || secondary_count != 1 || chosen_count != 1) {
        return refuse(plan, head,
                      "needs exactly one PRIMARY and one SECONDARY set, of which one is chosen");
    }
    return ERROR_OK;
}

static enum error_code set_record(struct plan *plan, uint32_t i) {
    const struct route53_value *value = &plan->values[i];
    struct route53_record *record = &plan->after->items[plan->place[i]];
    switch (value->action) {
    case ROUTE53_ALIAS:
        return set_alias(plan, value, record);
    case ROUTE53_CNAME:
        if (strcmp(record->type, "CNAME") != 0) {
            return refuse(plan, record, "is no CNAME");
        }
        return set_values(plan, value, record);
    case ROUTE53_VALUES:
        return set_values(plan, value, record);
    case ROUTE53_WEIGHTED:
        return is_first_of_group(plan, i) ? set_weights(plan, i) : ERROR_OK;
    case ROUTE53_FAILOVER:
        return is_first_of_group(plan, i) ? set_failover(plan, i) : ERROR_OK;
    }
    return error_set(plan->error, ERROR_INVALID, "unknown action %d", (int)value->action);
}

static void write_diff(const struct plan *plan, char diff[ROUTE53_DIFF_MAX]) {
    struct buffer all, before, after;
    buffer_init(&all, 0);
    for (uint32_t i = 0; i < plan->before->count; i++) {
        buffer_init(&before, 0);
        buffer_init(&after, 0);
        route53_record_describe(&plan->before->items[i], &before);
        route53_record_describe(&plan->after->items[i], &after);
        if (before.data != NULL && after.data != NULL && strcmp(before.data, after.data) != 0) {
            buffer_append_format(&all, "%s -> %s\n", before.data, after.data);
        } else if (strcmp(plan->before->items[i].ttl, plan->after->items[i].ttl) != 0) {
            buffer_append_format(&all, "%s: TTL %s -> %s\n", before.data,
                                 plan->before->items[i].ttl, plan->after->items[i].ttl);
        }
        if (strcmp(plan->before->items[i].alias_zone, plan->after->items[i].alias_zone) != 0) {
            buffer_append_format(&all, "%s: zone_id %s -> %s\n", after.data,
                                 plan->before->items[i].alias_zone,
                                 plan->after->items[i].alias_zone);
        }
        buffer_finish(&before);
        buffer_finish(&after);
    }
    (void)snprintf(diff, ROUTE53_DIFF_MAX, "%s", all.data == NULL ? "" : all.data);
    buffer_finish(&all);
}

static enum error_code copy_records(struct plan *plan) {
    for (; plan->after->count < plan->before->count; plan->after->count++) {
        enum error_code code =
            route53_record_copy(&plan->before->items[plan->after->count],
                                &plan->after->items[plan->after->count], plan->error);
        if (code != ERROR_OK) {
            return code;
        }
    }
    return ERROR_OK;
}

enum error_code route53_desired(const struct driver_target *target,
                                const struct driver_blob *as_read,
                                const struct route53_value *values, uint32_t value_count,
                                struct driver_blob *ret_state, char diff[ROUTE53_DIFF_MAX],
                                struct error *error) {
    if (target->record_count == 0 || target->record_count > DRIVER_RECORD_MAX ||
        value_count != target->record_count) {
        return error_set(error, ERROR_INVALID, "an empty set of records is never written");
    }
    struct route53_records *before = NULL;
    enum error_code code = route53_records_from_blob(as_read, &before, error);
    if (code != ERROR_OK) {
        return code;
    }
    struct plan plan = {.target = target, .values = values, .before = before, .error = error};
    plan.after = route53_records_create();
    if (plan.after == NULL) {
        code = error_set(error, ERROR_NO_MEMORY, "out of memory");
        goto cleanup;
    }
    code = find_places(&plan);
    code = code == ERROR_OK ? copy_records(&plan) : code;
    for (uint32_t i = 0; i < target->record_count && code == ERROR_OK; i++) {
        code = set_record(&plan, i);
    }
    if (code != ERROR_OK) {
        goto cleanup;
    }
    char text[ROUTE53_DIFF_MAX];
    write_diff(&plan, text);
    code = route53_records_to_blob(plan.after, ret_state, error);
    if (code == ERROR_OK) {
        memcpy(diff, text, sizeof text);
    }

cleanup:
    route53_records_destroy(before);
    route53_records_destroy(plan.after);
    return code;
}
