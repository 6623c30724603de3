#include "mongo_control.h"

#include "base/text.h"

struct mongo_control_word {
    const char *word;
    int value;
};

static const struct mongo_control_word mongo_control_fates[] = {
    {"start", MONGO_START}, {"kill", MONGO_KILL},         {"shutdown", MONGO_SHUTDOWN},
    {"stop", MONGO_STOP},   {"continue", MONGO_CONTINUE}, {"wipe", MONGO_WIPE},
};

static const struct mongo_control_word mongo_control_mishaps[] = {
    {"lose_reply", MONGO_LOSE_REPLY},
    {"delay", MONGO_DELAY},
    {"duplicate", MONGO_DUPLICATE},
    {"lose_request", MONGO_LOSE_REQUEST},
};

static const char *const mongo_control_keys[] = {
    "fate",    "clients_cut", "black_hole", "standalone", "apply_delay_ms",
    "sync_ms", "mishap",      "command",    "ms",
};

json_t *mongo_control_view(const struct mongo_set *set, size_t process, const char *host) {
    struct mongo_view view;
    mongo_set_view(set, process, &view);
    return json_pack("{s:s,s:b,s:b,s:i,s:b,s:I,s:I,s:I,s:I,s:i,s:i,s:i}", "host", host, "up",
                     view.up, "stopped", view.stopped, "state", view.state, "writable",
                     view.writable, "term", (json_int_t)view.term, "config_version",
                     (json_int_t)view.config_version, "config_term", (json_int_t)view.config_term,
                     "applied", (json_int_t)view.applied, "rollback_id", view.rollback_id,
                     "sync_source", view.sync_source, "primary", view.primary);
}

/* The word's value, or -1. */
static int mongo_control_value(const struct mongo_control_word *words, size_t count,
                               const json_t *word) {
    for (size_t i = 0; i < count && json_is_string(word); i++) {
        if (text_equal(words[i].word, json_string_value(word))) {
            return words[i].value;
        }
    }
    return -1;
}

static enum error_code mongo_control_check(const json_t *body, struct error *error) {
    const json_t *fate = json_object_get(body, "fate");
    const json_t *mishap = json_object_get(body, "mishap");
    const char *key = NULL;
    json_t *value = NULL;
    if (json_object_size(body) == 0) {
        return error_set(error, ERROR_INVALID, "the body says what is to happen");
    }
    json_object_foreach((json_t *)body, key, value) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LENGTH(mongo_control_keys); i++) {
            known = known || text_equal(key, mongo_control_keys[i]);
        }
        if (!known) {
            return error_set(error, ERROR_INVALID, "'%.40s' is not known", key);
        }
    }
    if (fate != NULL &&
        mongo_control_value(mongo_control_fates, ARRAY_LENGTH(mongo_control_fates), fate) < 0) {
        return error_set(error, ERROR_INVALID,
                         "a fate is start, kill, shutdown, stop, continue or wipe");
    }
    if (mishap != NULL && mongo_control_value(mongo_control_mishaps,
                                              ARRAY_LENGTH(mongo_control_mishaps), mishap) < 0) {
        return error_set(error, ERROR_INVALID,
                         "a mishap is lose_reply, lose_request, delay or duplicate");
    }
    return ERROR_OK;
}

static uint64_t mongo_control_ms(const json_t *number) {
    json_int_t ms = json_integer_value(number);
    return ms < 0 ? MONGO_NEVER_MS : (uint64_t)ms;
}

enum error_code mongo_control_change(struct mongo_set *set, size_t process, const json_t *body,
                                     struct error *error) {
    const json_t *value = NULL;
    if (mongo_control_check(body, error) != ERROR_OK) {
        return error->code;
    }
    if ((value = json_object_get(body, "standalone")) != NULL) {
        mongo_set_standalone(set, process, json_is_true(value));
    }
    if ((value = json_object_get(body, "black_hole")) != NULL) {
        mongo_set_black_hole(set, process, json_is_true(value));
    }
    if ((value = json_object_get(body, "clients_cut")) != NULL) {
        mongo_set_cut_clients(set, process, json_is_true(value));
    }
    if ((value = json_object_get(body, "apply_delay_ms")) != NULL) {
        mongo_set_apply_delay(set, process, mongo_control_ms(value));
    }
    if ((value = json_object_get(body, "sync_ms")) != NULL) {
        mongo_set_sync_duration(set, process, mongo_control_ms(value));
    }
    if ((value = json_object_get(body, "mishap")) != NULL) {
        mongo_set_mishap(set, process,
                         (enum mongo_mishap)mongo_control_value(
                             mongo_control_mishaps, ARRAY_LENGTH(mongo_control_mishaps), value),
                         json_string_value(json_object_get(body, "command")),
                         mongo_control_ms(json_object_get(body, "ms")));
    }
    if ((value = json_object_get(body, "fate")) != NULL) {
        mongo_set_fate(set, process,
                       (enum mongo_fate)mongo_control_value(
                           mongo_control_fates, ARRAY_LENGTH(mongo_control_fates), value));
    }
    return ERROR_OK;
}

enum error_code mongo_control_link(struct mongo_set *set, size_t process_count, const json_t *body,
                                   struct error *error) {
    json_int_t from = json_is_integer(json_object_get(body, "from"))
                          ? json_integer_value(json_object_get(body, "from"))
                          : -1;
    json_int_t to = json_is_integer(json_object_get(body, "to"))
                        ? json_integer_value(json_object_get(body, "to"))
                        : -1;
    const json_t *cut = json_object_get(body, "cut");
    if (from < 0 || to < 0 || (size_t)from >= process_count || (size_t)to >= process_count ||
        !json_is_boolean(cut)) {
        return error_set(error, ERROR_INVALID,
                         "the body is {\"from\": i, \"to\": j, \"cut\": bool[, \"both\": bool]}");
    }
    mongo_set_cut(set, (size_t)from, (size_t)to, json_is_true(cut));
    if (json_is_true(json_object_get(body, "both"))) {
        mongo_set_cut(set, (size_t)to, (size_t)from, json_is_true(cut));
    }
    return ERROR_OK;
}
