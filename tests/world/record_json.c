#include "record_json.h"

#include <assert.h>

#include "base/text.h"

static void record_json_put(json_t *object, const char *key, json_t *value) {
    int status = json_object_set_new(object, key, value);
    assert(status == 0); /* values are checked to be UTF-8 by expat and jansson */
}

static json_t *record_json_dump_values(const struct record_set *set) {
    json_t *values = json_array();
    for (size_t i = 0; i < set->value_count; i++) {
        json_array_append_new(values, json_string(set->values[i]));
    }
    return values;
}

static json_t *record_json_dump_location(const struct record_set *set) {
    json_t *location = json_object();
    if (set->continent[0] != '\0') {
        record_json_put(location, "ContinentCode", json_string(set->continent));
    }
    if (set->country[0] != '\0') {
        record_json_put(location, "CountryCode", json_string(set->country));
    }
    if (set->subdivision[0] != '\0') {
        record_json_put(location, "SubdivisionCode", json_string(set->subdivision));
    }
    return location;
}

json_t *record_json_dump(const struct record_set *set) {
    if (set == NULL) {
        return json_null();
    }
    json_t *json = json_object();
    record_json_put(json, "Name", json_string(set->name));
    record_json_put(json, "Type", json_string(record_type_text(set->type)));
    if ((set->fields & RECORD_FIELD_SET_IDENTIFIER) != 0) {
        record_json_put(json, "SetIdentifier", json_string(set->set_identifier));
    }
    if ((set->fields & RECORD_FIELD_WEIGHT) != 0) {
        record_json_put(json, "Weight", json_integer(set->weight));
    }
    if ((set->fields & RECORD_FIELD_REGION) != 0) {
        record_json_put(json, "Region", json_string(set->region));
    }
    if ((set->fields & RECORD_FIELD_GEO_LOCATION) != 0) {
        record_json_put(json, "GeoLocation", record_json_dump_location(set));
    }
    if ((set->fields & RECORD_FIELD_FAILOVER) != 0) {
        record_json_put(json, "Failover",
                        json_string(set->failover == RECORD_PRIMARY ? "PRIMARY" : "SECONDARY"));
    }
    if ((set->fields & RECORD_FIELD_MULTI_VALUE) != 0) {
        record_json_put(json, "MultiValueAnswer", json_boolean(set->multi_value));
    }
    if ((set->fields & RECORD_FIELD_TTL) != 0) {
        record_json_put(json, "TTL", json_integer(set->ttl_s));
    }
    if ((set->fields & RECORD_FIELD_VALUES) != 0) {
        record_json_put(json, "Values", record_json_dump_values(set));
    }
    if ((set->fields & RECORD_FIELD_ALIAS) != 0) {
        record_json_put(json, "AliasTarget",
                        json_pack("{s:s,s:s,s:b}", "HostedZoneId", set->alias.zone_id, "DNSName",
                                  set->alias.dns_name, "EvaluateTargetHealth",
                                  (int)set->alias.evaluate_target_health));
    }
    if ((set->fields & RECORD_FIELD_HEALTH_CHECK) != 0) {
        record_json_put(json, "HealthCheckId", json_string(set->health_check_id));
    }
    return json;
}

json_t *record_json_dump_state(const struct zone_state *state) {
    json_t *sets = json_array();
    for (size_t i = 0; i < state->count; i++) {
        json_array_append_new(sets, record_json_dump(state->sets[i]));
    }
    return sets;
}

static enum error_code record_json_fail(struct error *error, const char *key) {
    return error_set(error, ERROR_INVALID, "record set: bad or missing %s", key);
}

/* A string of 1 to to_size - 1 bytes. */
static bool record_json_text(const json_t *json, char *to, size_t to_size) {
    const char *text = json_string_value(json);
    return text != NULL && text[0] != '\0' && text_copy(to, to_size, text);
}

static bool record_json_name(const json_t *json, char to[DNS_NAME_SIZE]) {
    const char *text = json_string_value(json);
    return text != NULL && dns_name_canonicalize(text, to, NULL) == ERROR_OK;
}

static bool record_json_number(const json_t *json, json_int_t high, uint32_t *to) {
    if (!json_is_integer(json) || json_integer_value(json) < 0 || json_integer_value(json) > high) {
        return false;
    }
    *to = (uint32_t)json_integer_value(json);
    return true;
}

static bool record_json_values(const json_t *json, struct record_set *set) {
    size_t i = 0;
    json_t *item = NULL;
    if (!json_is_array(json) || json_array_size(json) == 0) {
        return false;
    }
    json_array_foreach(json, i, item) {
        const json_t *value = json_is_object(item) ? json_object_get(item, "Value") : item;
        if (!json_is_string(value) || !record_set_add_value(set, json_string_value(value))) {
            return false;
        }
    }
    return true;
}

static bool record_json_alias(const json_t *json, struct record_set *set) {
    const json_t *evaluate = json_object_get(json, "EvaluateTargetHealth");
    set->alias.evaluate_target_health = json_is_true(evaluate);
    return record_json_text(json_object_get(json, "HostedZoneId"), set->alias.zone_id,
                            sizeof(set->alias.zone_id)) &&
           record_json_name(json_object_get(json, "DNSName"), set->alias.dns_name) &&
           (evaluate == NULL || json_is_boolean(evaluate));
}

static bool record_json_location(const json_t *json, struct record_set *set) {
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)json, key, value) {
        bool read = false;
        if (text_equal(key, "ContinentCode")) {
            read = record_json_text(value, set->continent, sizeof(set->continent));
        } else if (text_equal(key, "CountryCode")) {
            read = record_json_text(value, set->country, sizeof(set->country));
        } else if (text_equal(key, "SubdivisionCode")) {
            read = record_json_text(value, set->subdivision, sizeof(set->subdivision));
        }
        if (!read) {
            return false;
        }
    }
    return json_object_size(json) > 0;
}

static bool record_json_failover(const json_t *json, struct record_set *set) {
    const char *text = json_is_string(json) ? json_string_value(json) : "";
    set->failover = text_equal(text, "PRIMARY") ? RECORD_PRIMARY : RECORD_SECONDARY;
    return text_equal(text, "PRIMARY") || text_equal(text, "SECONDARY");
}

/* One optional key; false when it is unknown, or its value is bad. */
static bool record_json_field(const char *key, const json_t *value, struct record_set *set) {
    unsigned field = 0;
    bool read = false;
    if (text_equal(key, "SetIdentifier")) {
        field = RECORD_FIELD_SET_IDENTIFIER;
        read = record_json_text(value, set->set_identifier, RECORD_SET_IDENTIFIER_MAX + 1);
    } else if (text_equal(key, "Weight")) {
        field = RECORD_FIELD_WEIGHT;
        read = record_json_number(value, RECORD_WEIGHT_MAX, &set->weight);
    } else if (text_equal(key, "Region")) {
        field = RECORD_FIELD_REGION;
        read = record_json_text(value, set->region, sizeof(set->region));
    } else if (text_equal(key, "GeoLocation")) {
        field = RECORD_FIELD_GEO_LOCATION;
        read = record_json_location(value, set);
    } else if (text_equal(key, "Failover")) {
        field = RECORD_FIELD_FAILOVER;
        read = record_json_failover(value, set);
    } else if (text_equal(key, "MultiValueAnswer")) {
        field = RECORD_FIELD_MULTI_VALUE;
        set->multi_value = json_is_true(value);
        read = json_is_boolean(value);
    } else if (text_equal(key, "TTL")) {
        field = RECORD_FIELD_TTL;
        read = record_json_number(value, RECORD_TTL_MAX_S, &set->ttl_s);
    } else if (text_equal(key, "Values") || text_equal(key, "ResourceRecords")) {
        field = RECORD_FIELD_VALUES;
        read = record_json_values(value, set);
    } else if (text_equal(key, "AliasTarget")) {
        field = RECORD_FIELD_ALIAS;
        read = record_json_alias(value, set);
    } else if (text_equal(key, "HealthCheckId")) {
        field = RECORD_FIELD_HEALTH_CHECK;
        read = record_json_text(value, set->health_check_id, sizeof(set->health_check_id));
    }
    set->fields |= field;
    return read;
}

enum error_code record_json_parse(const json_t *json, struct record_set **ret_set,
                                  struct error *error) {
    struct record_set *set = record_set_create();
    const char *type = json_string_value(json_object_get(json, "Type"));
    const char *key = NULL;
    json_t *value = NULL;
    enum error_code code = ERROR_OK;

    if (!json_is_object(json)) {
        code = error_set(error, ERROR_INVALID, "a record set is an object");
        goto cleanup;
    }
    if (!record_json_name(json_object_get(json, "Name"), set->name)) {
        code = record_json_fail(error, "Name");
        goto cleanup;
    }
    if (type == NULL || !record_type_from_text(type, &set->type)) {
        code = record_json_fail(error, "Type");
        goto cleanup;
    }
    json_object_foreach((json_t *)json, key, value) {
        if (!text_equal(key, "Name") && !text_equal(key, "Type") &&
            !record_json_field(key, value, set)) {
            code = record_json_fail(error, key);
            goto cleanup;
        }
    }
    *ret_set = set;
    set = NULL;

cleanup:
    record_set_unref(set);
    return code;
}
