#include "route53_parse.h"

#include <assert.h>
#include <expat.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "base/text.h"

#define ROUTE53_DEPTH_MAX 16
/* Between namespace and local name, as expat gives them. */
#define ROUTE53_SEPARATOR '|'

enum element {
    ELEMENT_DOCUMENT,
    ELEMENT_REQUEST,
    ELEMENT_BATCH,
    ELEMENT_COMMENT,
    ELEMENT_CHANGES,
    ELEMENT_CHANGE,
    ELEMENT_ACTION,
    ELEMENT_SET,
    ELEMENT_NAME,
    ELEMENT_TYPE,
    ELEMENT_SET_IDENTIFIER,
    ELEMENT_WEIGHT,
    ELEMENT_REGION,
    ELEMENT_GEO,
    ELEMENT_CONTINENT,
    ELEMENT_COUNTRY,
    ELEMENT_SUBDIVISION,
    ELEMENT_FAILOVER,
    ELEMENT_MULTI_VALUE,
    ELEMENT_TTL,
    ELEMENT_RECORDS,
    ELEMENT_RECORD,
    ELEMENT_VALUE,
    ELEMENT_ALIAS,
    ELEMENT_ALIAS_ZONE,
    ELEMENT_ALIAS_NAME,
    ELEMENT_ALIAS_EVALUATE,
    ELEMENT_HEALTH_CHECK,
};

struct parser {
    XML_Parser expat;
    struct change_batch batch;
    struct aws_refusal *refusal;
    bool refused;
    struct {
        enum element element;
        int last_row; /* of the schema, the newest child; -1: none yet */
    } stack[ROUTE53_DEPTH_MAX];
    size_t depth;
    struct buffer text; /* of the leaf that is open */
    enum change_action action;
    struct record_set *set; /* the one that is being read */
};

typedef bool (*leaf_reader)(struct parser *parser, const char *text);

static bool read_comment(struct parser *parser, const char *text);
static bool read_action(struct parser *parser, const char *text);
static bool read_name(struct parser *parser, const char *text);
static bool read_type(struct parser *parser, const char *text);
static bool read_set_identifier(struct parser *parser, const char *text);
static bool read_weight(struct parser *parser, const char *text);
static bool read_region(struct parser *parser, const char *text);
static bool read_continent(struct parser *parser, const char *text);
static bool read_country(struct parser *parser, const char *text);
static bool read_subdivision(struct parser *parser, const char *text);
static bool read_failover(struct parser *parser, const char *text);
static bool read_multi_value(struct parser *parser, const char *text);
static bool read_ttl(struct parser *parser, const char *text);
static bool read_value(struct parser *parser, const char *text);
static bool read_alias_zone(struct parser *parser, const char *text);
static bool read_alias_name(struct parser *parser, const char *text);
static bool read_alias_evaluate(struct parser *parser, const char *text);
static bool read_health_check(struct parser *parser, const char *text);

/* Rows of one parent stand together, in the order in which the elements must come. */
static const struct schema_row {
    enum element parent;
    enum element element;
    const char *name;
    bool required;
    bool repeated;
    leaf_reader read; /* NULL: has children */
} schema[] = {
    {ELEMENT_DOCUMENT, ELEMENT_REQUEST, "ChangeResourceRecordSetsRequest", true, false, NULL},
    {ELEMENT_REQUEST, ELEMENT_BATCH, "ChangeBatch", true, false, NULL},
    {ELEMENT_BATCH, ELEMENT_COMMENT, "Comment", false, false, read_comment},
    {ELEMENT_BATCH, ELEMENT_CHANGES, "Changes", true, false, NULL},
    {ELEMENT_CHANGES, ELEMENT_CHANGE, "Change", true, true, NULL},
    {ELEMENT_CHANGE, ELEMENT_ACTION, "Action", true, false, read_action},
    {ELEMENT_CHANGE, ELEMENT_SET, "ResourceRecordSet", true, false, NULL},
    {ELEMENT_SET, ELEMENT_NAME, "Name", true, false, read_name},
    {ELEMENT_SET, ELEMENT_TYPE, "Type", true, false, read_type},
    {ELEMENT_SET, ELEMENT_SET_IDENTIFIER, "SetIdentifier", false, false, read_set_identifier},
    {ELEMENT_SET, ELEMENT_WEIGHT, "Weight", false, false, read_weight},
    {ELEMENT_SET, ELEMENT_REGION, "Region", false, false, read_region},
    {ELEMENT_SET, ELEMENT_GEO, "GeoLocation", false, false, NULL},
    {ELEMENT_SET, ELEMENT_FAILOVER, "Failover", false, false, read_failover},
    {ELEMENT_SET, ELEMENT_MULTI_VALUE, "MultiValueAnswer", false, false, read_multi_value},
    {ELEMENT_SET, ELEMENT_TTL, "TTL", false, false, read_ttl},
    {ELEMENT_SET, ELEMENT_RECORDS, "ResourceRecords", false, false, NULL},
    {ELEMENT_SET, ELEMENT_ALIAS, "AliasTarget", false, false, NULL},
    {ELEMENT_SET, ELEMENT_HEALTH_CHECK, "HealthCheckId", false, false, read_health_check},
    {ELEMENT_GEO, ELEMENT_CONTINENT, "ContinentCode", false, false, read_continent},
    {ELEMENT_GEO, ELEMENT_COUNTRY, "CountryCode", false, false, read_country},
    {ELEMENT_GEO, ELEMENT_SUBDIVISION, "SubdivisionCode", false, false, read_subdivision},
    {ELEMENT_RECORDS, ELEMENT_RECORD, "ResourceRecord", true, true, NULL},
    {ELEMENT_RECORD, ELEMENT_VALUE, "Value", true, false, read_value},
    {ELEMENT_ALIAS, ELEMENT_ALIAS_ZONE, "HostedZoneId", true, false, read_alias_zone},
    {ELEMENT_ALIAS, ELEMENT_ALIAS_NAME, "DNSName", true, false, read_alias_name},
    {ELEMENT_ALIAS, ELEMENT_ALIAS_EVALUATE, "EvaluateTargetHealth", true, false,
     read_alias_evaluate},
};

static bool parser_refuse(struct parser *parser, const char *code, const char *detail,
                          const char *text) {
    if (!parser->refused) {
        parser->refused = true;
        (void)aws_refuse(parser->refusal, 400, code, detail, text);
        (void)XML_StopParser(parser->expat, XML_FALSE);
    }
    return false;
}

static bool parser_refuse_value(struct parser *parser, const char *field, const char *text) {
    char where[600];
    (void)snprintf(where, sizeof(where), "'%.300s' is not a valid value of '%s'", text, field);
    return parser_refuse(parser, "InvalidInput", "Invalid XML ; cvc-datatype-valid: %s", where);
}

static bool read_comment(struct parser *parser, const char *text) {
    if (strlen(text) > CHANGE_BATCH_COMMENT_MAX) {
        return parser_refuse(parser, "InvalidInput",
                             "1 validation error detected: Value '%.300s' at 'changeBatch.comment' "
                             "failed to satisfy constraint: Member must have length less than or "
                             "equal to 256",
                             text);
    }
    parser->batch.comment = alloc_text(text);
    return true;
}

static bool read_action(struct parser *parser, const char *text) {
    for (enum change_action action = CHANGE_CREATE; action <= CHANGE_UPSERT; action++) {
        if (text_equal(text, change_action_text(action))) {
            parser->action = action;
            return true;
        }
    }
    return parser_refuse_value(parser, "Action", text);
}

static bool read_domain(struct parser *parser, const char *text, char to[DNS_NAME_SIZE]) {
    struct error error;
    if (dns_name_canonicalize(text, to, &error) != ERROR_OK) {
        return parser_refuse(parser, "InvalidChangeBatch", "%s", error.message);
    }
    return true;
}

static bool read_name(struct parser *parser, const char *text) {
    return read_domain(parser, text, parser->set->name);
}

static bool read_type(struct parser *parser, const char *text) {
    return record_type_from_text(text, &parser->set->type) ||
           parser_refuse_value(parser, "Type", text);
}

static bool read_text(struct parser *parser, enum record_field field, char *to, size_t to_size,
                      const char *name, const char *text) {
    if (text[0] == '\0' || !text_copy(to, to_size, text)) {
        return parser_refuse_value(parser, name, text);
    }
    parser->set->fields |= field;
    return true;
}

static bool read_set_identifier(struct parser *parser, const char *text) {
    return read_text(parser, RECORD_FIELD_SET_IDENTIFIER, parser->set->set_identifier,
                     RECORD_SET_IDENTIFIER_MAX + 1, "SetIdentifier", text);
}

static bool read_region(struct parser *parser, const char *text) {
    return read_text(parser, RECORD_FIELD_REGION, parser->set->region, sizeof(parser->set->region),
                     "Region", text);
}

static bool read_continent(struct parser *parser, const char *text) {
    return read_text(parser, RECORD_FIELD_GEO_LOCATION, parser->set->continent,
                     sizeof(parser->set->continent), "ContinentCode", text);
}

static bool read_country(struct parser *parser, const char *text) {
    return read_text(parser, RECORD_FIELD_GEO_LOCATION, parser->set->country,
                     sizeof(parser->set->country), "CountryCode", text);
}

static bool read_subdivision(struct parser *parser, const char *text) {
    return read_text(parser, RECORD_FIELD_GEO_LOCATION, parser->set->subdivision,
                     sizeof(parser->set->subdivision), "SubdivisionCode", text);
}

static bool read_health_check(struct parser *parser, const char *text) {
    return read_text(parser, RECORD_FIELD_HEALTH_CHECK, parser->set->health_check_id,
                     sizeof(parser->set->health_check_id), "HealthCheckId", text);
}

static bool read_number(struct parser *parser, enum record_field field, uint64_t high, uint32_t *to,
                        const char *name, const char *text) {
    uint64_t number = 0;
    if (!text_to_u64(text, 0, high, &number)) {
        return parser_refuse_value(parser, name, text);
    }
    *to = (uint32_t)number;
    parser->set->fields |= field;
    return true;
}

static bool read_weight(struct parser *parser, const char *text) {
    return read_number(parser, RECORD_FIELD_WEIGHT, RECORD_WEIGHT_MAX, &parser->set->weight,
                       "Weight", text);
}

static bool read_ttl(struct parser *parser, const char *text) {
    return read_number(parser, RECORD_FIELD_TTL, RECORD_TTL_MAX_S, &parser->set->ttl_s, "TTL",
                       text);
}

static bool read_failover(struct parser *parser, const char *text) {
    if (!text_equal(text, "PRIMARY") && !text_equal(text, "SECONDARY")) {
        return parser_refuse_value(parser, "Failover", text);
    }
    parser->set->failover = text[0] == 'P' ? RECORD_PRIMARY : RECORD_SECONDARY;
    parser->set->fields |= RECORD_FIELD_FAILOVER;
    return true;
}

static bool read_bool(struct parser *parser, bool *to, const char *name, const char *text) {
    const bool yes = text_equal(text, "true") || text_equal(text, "1");
    if (!yes && !text_equal(text, "false") && !text_equal(text, "0")) {
        return parser_refuse_value(parser, name, text);
    }
    *to = yes;
    return true;
}

static bool read_multi_value(struct parser *parser, const char *text) {
    parser->set->fields |= RECORD_FIELD_MULTI_VALUE;
    return read_bool(parser, &parser->set->multi_value, "MultiValueAnswer", text);
}

static bool read_value(struct parser *parser, const char *text) {
    return record_set_add_value(parser->set, text) || parser_refuse_value(parser, "Value", text);
}

static bool read_alias_zone(struct parser *parser, const char *text) {
    return read_text(parser, RECORD_FIELD_ALIAS, parser->set->alias.zone_id,
                     sizeof(parser->set->alias.zone_id), "HostedZoneId", text);
}

static bool read_alias_name(struct parser *parser, const char *text) {
    return read_domain(parser, text, parser->set->alias.dns_name);
}

static bool read_alias_evaluate(struct parser *parser, const char *text) {
    return read_bool(parser, &parser->set->alias.evaluate_target_health, "EvaluateTargetHealth",
                     text);
}

/* "{"namespace":A, "namespace":B}": the children that may come next. */
static void parser_list_expected(const struct parser *parser, char *to, size_t to_size) {
    size_t length = 0;
    int last = parser->stack[parser->depth - 1].last_row;
    for (int row = 0; row < (int)ARRAY_LENGTH(schema) && length < to_size; row++) {
        if (schema[row].parent != parser->stack[parser->depth - 1].element || row < last ||
            (row == last && !schema[row].repeated)) {
            continue;
        }
        length +=
            (size_t)snprintf(to + length, to_size - length, "%s\"" AWS_NAMESPACE_ROUTE53 "\":%s",
                             length > 0 ? ", " : "", schema[row].name);
        if (schema[row].required && row != last) {
            break; /* nothing behind it may come before it */
        }
    }
    if (length == 0) {
        to[0] = '\0';
    }
}

static bool parser_refuse_element(struct parser *parser, const char *local) {
    char expected[1200];
    char text[1600];
    parser_list_expected(parser, expected, sizeof(expected));
    if (expected[0] == '\0') {
        (void)snprintf(text, sizeof(text),
                       "cvc-complex-type.2.4.d: Invalid content was found starting with element "
                       "'%.100s'. No child element is expected at this point.",
                       local);
    } else {
        (void)snprintf(text, sizeof(text),
                       "cvc-complex-type.2.4.a: Invalid content was found starting with element "
                       "'%.100s'. One of '{%s}' is expected.",
                       local, expected);
    }
    return parser_refuse(parser, "InvalidInput", "Invalid XML ; %s", text);
}

/* Is a required child missing between the newest one and `row`? */
static bool parser_skips_required(const struct parser *parser, int row) {
    const enum element parent = parser->stack[parser->depth - 1].element;
    for (int i = parser->stack[parser->depth - 1].last_row + 1; i < row; i++) {
        if (schema[i].parent == parent && schema[i].required) {
            return true;
        }
    }
    return false;
}

static int parser_find_row(const struct parser *parser, const char *local) {
    for (int row = 0; row < (int)ARRAY_LENGTH(schema); row++) {
        if (schema[row].parent == parser->stack[parser->depth - 1].element &&
            text_equal(schema[row].name, local)) {
            return row;
        }
    }
    return -1;
}

static void XMLCALL parser_on_start(void *context, const XML_Char *name, const XML_Char **pairs) {
    struct parser *parser = context;
    const char *separator = strchr(name, ROUTE53_SEPARATOR);
    const char *local = separator != NULL ? separator + 1 : name;
    (void)pairs;
    if (parser->refused) {
        return;
    }
    const bool known_space = separator != NULL &&
                             strlen(AWS_NAMESPACE_ROUTE53) == (size_t)(separator - name) &&
                             strncmp(name, AWS_NAMESPACE_ROUTE53, (size_t)(separator - name)) == 0;
    int row = known_space ? parser_find_row(parser, local) : -1;
    if (parser->depth == 1 && row < 0) {
        (void)parser_refuse(parser, "MalformedInput",
                            "%.200s is not valid, expected ChangeResourceRecordSetsRequest in "
                            "namespace " AWS_NAMESPACE_ROUTE53,
                            local);
        return;
    }
    const int last = parser->stack[parser->depth - 1].last_row;
    if (row < 0 || row < last || (row == last && !schema[row].repeated) ||
        parser_skips_required(parser, row)) {
        (void)parser_refuse_element(parser, local);
        return;
    }
    parser->stack[parser->depth - 1].last_row = row;
    assert(parser->depth < ROUTE53_DEPTH_MAX); /* the schema is not that deep */
    parser->stack[parser->depth].element = schema[row].element;
    parser->stack[parser->depth].last_row = -1;
    parser->depth++;
    buffer_clear(&parser->text);
    if (schema[row].element == ELEMENT_SET) {
        assert(parser->set == NULL);
        parser->set = record_set_create();
    }
}

static void XMLCALL parser_on_end(void *context, const XML_Char *name) {
    struct parser *parser = context;
    (void)name;
    if (parser->refused) {
        return;
    }
    const int row = parser->stack[parser->depth - 2].last_row;
    if (schema[row].read != NULL) {
        (void)schema[row].read(parser, parser->text.size_bytes > 0 ? parser->text.data : "");
    } else if (parser_skips_required(parser, (int)ARRAY_LENGTH(schema))) {
        char expected[1200];
        char text[1600];
        parser_list_expected(parser, expected, sizeof(expected));
        (void)snprintf(text, sizeof(text),
                       "cvc-complex-type.2.4.b: The content of element '%s' is not complete. One "
                       "of '{%s}' is expected.",
                       schema[row].name, expected);
        (void)parser_refuse(parser, "InvalidInput", "Invalid XML ; %s", text);
    } else if (schema[row].element == ELEMENT_CHANGE) {
        change_batch_add(&parser->batch, parser->action, parser->set);
        parser->set = NULL;
    }
    buffer_clear(&parser->text);
    parser->depth--;
}

static void XMLCALL parser_on_text(void *context, const XML_Char *text, int length) {
    struct parser *parser = context;
    if (parser->refused || parser->depth < 2) {
        return;
    }
    const int row = parser->stack[parser->depth - 2].last_row;
    if (schema[row].read != NULL) {
        buffer_append(&parser->text, text, (size_t)length);
        return;
    }
    for (int i = 0; i < length; i++) {
        if (strchr(" \t\r\n", text[i]) == NULL) {
            (void)parser_refuse(parser, "InvalidInput",
                                "Invalid XML ; cvc-complex-type.2.3: Element '%s' cannot have "
                                "character [children], because the type's content type is "
                                "element-only.",
                                schema[row].name);
            return;
        }
    }
}

/* Entities of a document type are a way to grow without limit; no client of Route 53 has any. */
static void XMLCALL parser_on_doctype(void *context, const XML_Char *name, const XML_Char *system,
                                      const XML_Char *public, int internal) {
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    (void)parser_refuse(context, "MalformedInput", "%s", "A document type is not allowed.");
}

bool route53_parse_batch(const char *body, size_t body_bytes, struct change_batch *ret_batch,
                         struct aws_refusal *ret_refusal) {
    struct parser parser = {.refusal = ret_refusal, .depth = 1};
    parser.stack[0].element = ELEMENT_DOCUMENT;
    parser.stack[0].last_row = -1;
    parser.expat = XML_ParserCreateNS(NULL, ROUTE53_SEPARATOR);
    assert(parser.expat != NULL);
    change_batch_init(&parser.batch);
    buffer_init(&parser.text, 0);
    XML_SetUserData(parser.expat, &parser);
    XML_SetElementHandler(parser.expat, parser_on_start, parser_on_end);
    XML_SetCharacterDataHandler(parser.expat, parser_on_text);
    XML_SetStartDoctypeDeclHandler(parser.expat, parser_on_doctype);

    if (XML_Parse(parser.expat, body, (int)body_bytes, XML_TRUE) != XML_STATUS_OK &&
        !parser.refused) {
        parser.refused = true;
        (void)aws_refuse(ret_refusal, 400, "MalformedInput", "Could not parse XML: %s at line %lu",
                         XML_ErrorString(XML_GetErrorCode(parser.expat)),
                         XML_GetCurrentLineNumber(parser.expat));
    }
    XML_ParserFree(parser.expat);
    buffer_finish(&parser.text);
    record_set_unref(parser.set);
    if (parser.refused) {
        change_batch_finish(&parser.batch);
        return false;
    }
    *ret_batch = parser.batch;
    return true;
}
