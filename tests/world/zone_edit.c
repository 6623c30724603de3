#include "zone_edit.h"

#include "alloc.h"
#include "base/text.h"
#include "record_json.h"

static enum error_code zone_edit_add_set(const json_t *json, struct change_batch *batch,
                                         struct error *error) {
    struct record_set *set = NULL;
    enum error_code code = record_json_parse(json, &set, error);
    if (code == ERROR_OK) {
        change_batch_add(batch, CHANGE_UPSERT, set);
    }
    return code;
}

static enum error_code zone_edit_add_delete(const json_t *json, const struct zone_state *current,
                                            struct change_batch *batch, struct error *error) {
    struct record_set *key = NULL;
    enum error_code code = record_json_parse(json, &key, error);
    if (code != ERROR_OK) {
        return code;
    }
    struct record_set *set = zone_state_find(current, key);
    if (set == NULL) {
        code = error_set(error, ERROR_NOT_FOUND, "no record set '%.100s' %s", key->name,
                         record_type_text(key->type));
    } else {
        change_batch_add(batch, CHANGE_DELETE, record_set_ref(set));
    }
    record_set_unref(key);
    return code;
}

static enum error_code zone_edit_add(const json_t *json, const struct zone_state *current,
                                     struct change_batch *batch, struct error *error) {
    const json_t *set = json_object_get(json, "set");
    const json_t *delete = json_object_get(json, "delete");
    if ((set == NULL) == (delete == NULL)) {
        return error_set(error, ERROR_INVALID,
                         "an edit is {\"set\": record set}, {\"delete\": {\"Name\", \"Type\"}} or "
                         "{\"changes\": [...]}");
    }
    return set != NULL ? zone_edit_add_set(set, batch, error)
                       : zone_edit_add_delete(delete, current, batch, error);
}

enum error_code zone_edit_parse(const json_t *json, const struct zone_state *current,
                                struct change_batch *ret_batch, struct error *error) {
    const json_t *changes = json_object_get(json, "changes");
    const json_t *comment = json_object_get(json, "comment");
    struct change_batch batch;
    enum error_code code = ERROR_OK;
    change_batch_init(&batch);
    if (comment != NULL &&
        (!json_is_string(comment) || json_string_length(comment) > CHANGE_BATCH_COMMENT_MAX)) {
        code = error_set(error, ERROR_INVALID, "'comment' is a text of at most %d bytes",
                         CHANGE_BATCH_COMMENT_MAX);
    } else if (changes == NULL) {
        code = zone_edit_add(json, current, &batch, error);
    } else if (!json_is_array(changes) || json_array_size(changes) > CHANGE_BATCH_CHANGES_MAX) {
        code = error_set(error, ERROR_INVALID, "'changes' is an array of at most %d",
                         CHANGE_BATCH_CHANGES_MAX);
    }
    for (size_t i = 0; code == ERROR_OK && i < json_array_size(changes); i++) {
        code = zone_edit_add(json_array_get(changes, i), current, &batch, error);
    }
    if (code != ERROR_OK) {
        change_batch_finish(&batch);
        return code;
    }
    batch.comment = comment != NULL ? alloc_text(json_string_value(comment)) : NULL;
    *ret_batch = batch;
    return ERROR_OK;
}

enum error_code zone_edit_parse_sets(const json_t *json, struct change_batch *ret_batch,
                                     struct error *error) {
    struct change_batch batch;
    enum error_code code = ERROR_OK;
    change_batch_init(&batch);
    if (!json_is_array(json)) {
        code = error_set(error, ERROR_INVALID, "not an array of record sets");
    }
    for (size_t i = 0; code == ERROR_OK && i < json_array_size(json); i++) {
        code = zone_edit_add_set(json_array_get(json, i), &batch, error);
    }
    if (code != ERROR_OK) {
        change_batch_finish(&batch);
        return code;
    }
    *ret_batch = batch;
    return ERROR_OK;
}

enum error_code zone_edit_apply(const struct hosted_zone *zone, const struct change_batch *batch,
                                struct zone_state **ret_after, struct error *error) {
    struct zone_state *state = zone_state_ref(zone->newest);
    enum error_code code = ERROR_OK;
    /* One by one, so that the limits of a request don't count. */
    for (size_t i = 0; code == ERROR_OK && i < batch->count; i++) {
        const struct change_batch one = {.changes = &batch->changes[i], .count = 1};
        struct change_messages messages = {0};
        struct zone_state *after = NULL;
        if (change_batch_apply(&one, zone->name, state, &after, &messages) ==
            CHANGE_BATCH_ACCEPTED) {
            zone_state_unref(state);
            state = after;
        } else {
            code = error_set(error, ERROR_REFUSED, "%s", messages.texts[0]);
        }
        change_messages_finish(&messages);
    }
    if (code != ERROR_OK) {
        zone_state_unref(state);
        return code;
    }
    *ret_after = state;
    return ERROR_OK;
}
