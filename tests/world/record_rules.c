#include "record_rules.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/text.h"

static enum error_code record_rules_fail_shape(const struct record_set *set, const char *action,
                                               const char *what, struct error *error) {
    bool identified = (set->fields & RECORD_FIELD_SET_IDENTIFIER) != 0;
    return error_set(error, ERROR_INVALID,
                     "Invalid request: %s in Change with [Action=%s, Name=%.80s, Type=%s, "
                     "SetIdentifier=%.40s]",
                     what, action, set->name, record_type_text(set->type),
                     identified ? set->set_identifier : "null");
}

enum error_code record_rules_check_shape(const struct record_set *set, const char *action,
                                         struct error *error) {
    const unsigned data = set->fields & (RECORD_FIELD_TTL | RECORD_FIELD_VALUES);
    const bool alias = (set->fields & RECORD_FIELD_ALIAS) != 0;
    if (alias ? data != 0 : data != (RECORD_FIELD_TTL | RECORD_FIELD_VALUES)) {
        return record_rules_fail_shape(
            set, action,
            alias ? "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
                    "TrafficPolicyInstanceId], but found more than one"
                  : "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
                    "TrafficPolicyInstanceId], but found none",
            error);
    }
    const unsigned routing = set->fields & RECORD_FIELDS_ROUTING;
    const bool identified = (set->fields & RECORD_FIELD_SET_IDENTIFIER) != 0;
    if (routing != 0 && !identified) {
        return record_rules_fail_shape(set, action, "Missing field 'SetIdentifier'", error);
    }
    if (identified && __builtin_popcount(routing) != 1) {
        return record_rules_fail_shape(
            set, action,
            routing == 0 ? "Expected exactly one of [Weight, Region, Failover, GeoLocation, or "
                           "MultiValueAnswer], but found none"
                         : "Expected exactly one of [Weight, Region, Failover, GeoLocation, or "
                           "MultiValueAnswer], but found more than one",
            error);
    }
    return ERROR_OK;
}

static enum error_code record_rules_fail_value(struct error *error, const char *what,
                                               const char *why, const char *value) {
    return error_set(error, ERROR_REFUSED,
                     "Invalid Resource Record: 'FATAL problem: %s (%s) encountered with '%.100s''",
                     what, why, value);
}

/* One character behind a backslash: \101 (octal) or the character itself. */
static int record_rules_take_escape(const char **cursor) {
    const char *at = *cursor;
    if (at[0] >= '0' && at[0] <= '3' && at[1] >= '0' && at[1] <= '7' && at[2] >= '0' &&
        at[2] <= '7') {
        *cursor = at + 3;
        return ((at[0] - '0') << 6) | ((at[1] - '0') << 3) | (at[2] - '0');
    }
    if (at[0] == '\0') {
        return -1;
    }
    *cursor = at + 1;
    return (unsigned char)at[0];
}

int record_rules_next_txt_string(const char **cursor, unsigned char to[RECORD_TXT_STRING_MAX]) {
    const char *at = *cursor;
    while (*at == ' ' || *at == '\t') {
        at++;
    }
    if (*at == '\0') {
        return -1;
    }
    if (*at++ != '"') {
        return -2;
    }
    int length = 0;
    while (*at != '"') {
        int byte = (unsigned char)*at;
        if (byte == '\0' || length == RECORD_TXT_STRING_MAX) {
            return -2;
        }
        at++;
        if (byte == '\\') {
            byte = record_rules_take_escape(&at);
            if (byte < 0) {
                return -2;
            }
        }
        to[length++] = (unsigned char)byte;
    }
    *cursor = at + 1;
    return length;
}

static enum error_code record_rules_check_txt(const char *value, struct error *error) {
    unsigned char bytes[RECORD_TXT_STRING_MAX];
    const char *cursor = value;
    int strings = 0;
    int length = 0;
    while ((length = record_rules_next_txt_string(&cursor, bytes)) >= 0) {
        if (++strings > RECORD_TXT_STRINGS_MAX) {
            break;
        }
    }
    if (length == -2 && value[0] == '"' && strlen(value) > RECORD_TXT_STRING_MAX) {
        return record_rules_fail_value(error, "CharacterStringTooLong", "Value is too long", value);
    }
    if (length != -1 || strings == 0) {
        return record_rules_fail_value(error, "InvalidCharacterString",
                                       "Value should be enclosed in quotation marks", value);
    }
    return ERROR_OK;
}

static enum error_code record_rules_check_name(const char *value, struct error *error) {
    char name[DNS_NAME_SIZE];
    struct error detail;
    if (dns_name_canonicalize(value, name, &detail) != ERROR_OK) {
        return error_set(error, ERROR_REFUSED, "Invalid Resource Record: '%.200s'", detail.message);
    }
    return ERROR_OK;
}

static enum error_code record_rules_check_value(enum record_type type, const char *value,
                                                struct error *error) {
    unsigned char address[16];
    switch (type) {
    case RECORD_A:
        if (inet_pton(AF_INET, value, address) != 1) {
            return record_rules_fail_value(error, "ARRDATAIllegalIPv4Address",
                                           "Value is not a valid IPv4 address", value);
        }
        return ERROR_OK;
    case RECORD_AAAA:
        if (inet_pton(AF_INET6, value, address) != 1) {
            return record_rules_fail_value(error, "AAAARRDATAIllegalIPv6Address",
                                           "Value is not a valid IPv6 address", value);
        }
        return ERROR_OK;
    case RECORD_CNAME:
    case RECORD_NS:
    case RECORD_PTR:
        return record_rules_check_name(value, error);
    case RECORD_TXT:
    case RECORD_SPF:
        return record_rules_check_txt(value, error);
    default:
        return value[0] != '\0' ? ERROR_OK
                                : record_rules_fail_value(error, "RRDATAEmpty",
                                                          "Value must not be empty", value);
    }
}

enum error_code record_rules_check_values(const struct record_set *set, struct error *error) {
    if (set->type == RECORD_CNAME && set->value_count > 1) {
        return error_set(error, ERROR_REFUSED,
                         "InvalidRequest: Resource record set of type CNAME must have one value");
    }
    for (size_t i = 0; i < set->value_count; i++) {
        enum error_code code = record_rules_check_value(set->type, set->values[i], error);
        if (code != ERROR_OK) {
            return code;
        }
        for (size_t j = 0; j < i; j++) {
            if (text_equal(set->values[i], set->values[j])) {
                return error_set(error, ERROR_REFUSED, "Duplicate Resource Record: '%.100s'",
                                 set->values[i]);
            }
        }
    }
    return ERROR_OK;
}
