/* What a spec says about DNS can be carried out: for every zone of every service, and every region
 * that it may move to, the driver can make the change out of records as they would stand there. A
 * spec that only a move found wrong would be found wrong in an outage. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/spec_yaml.h"
#include "fuzz.h"
#include "route53_reader.h"
#include "executor/target.h"

/* The record's content before the move. */
static void append_content(const struct spec_record *record, const char *type, struct buffer *out) {
    static const char *const values[][2] = {{"A", "192.0.2.1"},
                                            {"AAAA", "2001:db8::1"},
                                            {"CNAME", "old.example.com"},
                                            {"TXT", "\"old\""}};
    if (record->kind == RECORD_ALIAS) {
        buffer_append_text(out, "<AliasTarget><HostedZoneId>Z35SXDOTRQ7X7K</HostedZoneId><DNSName>"
                                "old-1.us-east-1.elb.amazonaws.com.</DNSName><EvaluateTargetHealth>"
                                "true</EvaluateTargetHealth></AliasTarget>");
        return;
    }
    buffer_append_text(out, "<TTL>60</TTL><ResourceRecords><ResourceRecord>");
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        if (text_equal(values[i][0], type)) {
            xml_append_element(out, "Value", values[i][1]);
        }
    }
    buffer_append_text(out, "</ResourceRecord></ResourceRecords>");
}

static const struct spec_record *find_record(const struct spec_service *service, uint32_t zone,
                                             const struct driver_record_key *key) {
    for (uint32_t i = 0; i < service->record_count; i++) {
        const struct spec_record *record = &service->records[i];
        if (record->zone == zone && text_equal(record->name, key->name) &&
            text_equal(record->type, key->type)) {
            return record;
        }
    }
    assert(!"a key of the target is a record of the spec");
    return NULL;
}

static void append_set(const struct spec_record *record, const struct driver_record_key *key,
                       bool primary, struct buffer *out) {
    char name[ROUTE53_NAME_SIZE];
    struct error error;
    assert(route53_name_canonicalize(key->name, name, &error) == ERROR_OK);
    buffer_append_text(out, "<ResourceRecordSet>");
    xml_append_element(out, "Name", name);
    xml_append_element(out, "Type", key->type);
    if (key->set_identifier[0] != '\0') {
        xml_append_element(out, "SetIdentifier", key->set_identifier);
    }
    if (record->routing == ROUTING_WEIGHTED) {
        xml_append_element(out, "Weight", primary ? "100" : "0");
    } else if (record->routing == ROUTING_FAILOVER) {
        xml_append_element(out, "Failover", primary ? "PRIMARY" : "SECONDARY");
    }
    append_content(record, key->type, out);
    buffer_append_text(out, "</ResourceRecordSet>");
}

static void make_state(const struct spec_service *service, uint32_t zone,
                       const struct driver_target *target, struct driver_blob *ret) {
    struct buffer text;
    struct xml_document document;
    struct error error;
    buffer_init(&text, 0);
    buffer_append_text(&text, "<s>");
    for (uint32_t i = 0; i < target->record_count; i++) {
        const struct driver_record_key *key = &target->records[i];
        bool primary = i == 0 || !text_equal(key->name, target->records[i - 1].name) ||
                       !text_equal(key->type, target->records[i - 1].type);
        append_set(find_record(service, zone, key), key, primary, &text);
    }
    buffer_append_text(&text, "</s>");
    struct route53_records *records = route53_records_create();
    assert(records != NULL);
    assert(xml_parse(text.data, text.size_bytes, &document, &error) == ERROR_OK);
    const struct xml_node *node = xml_first_child(&document, xml_root(&document));
    for (; node != NULL; node = xml_next(&document, node)) {
        assert(route53_record_read(&document, node, &records->items[records->count++], &error) ==
               ERROR_OK);
    }
    assert(route53_records_to_blob(records, ret, &error) == ERROR_OK);
    route53_records_destroy(records);
    xml_finish(&document);
    buffer_finish(&text);
}

static void fail(const char *what, const struct error *error) {
    (void)fprintf(stderr, "%s: %s\n", what, error->message);
    assert(!"a move that a spec describes can be made");
}

static void check_move(const struct state *state, uint32_t s, uint32_t zone, uint32_t region) {
    static struct driver_target target;
    static struct driver_blob before, after;
    struct route53_reader *reader = NULL;
    struct error error;
    struct buffer body;
    char diff[1024], old[EID_SIZE], new[EID_SIZE], old_fence[FENCE_SIZE], new_fence[FENCE_SIZE];
    const struct spec_service *service = &state->spec.services[s];
    target_of_zone(state, s, zone, &target);
    if (route53_reader_create(&target, &reader, &error) != ERROR_OK) {
        fail("reading", &error);
    }
    route53_reader_destroy(reader);
    if (target.record_count == 0) {
        return;
    }
    make_state(service, zone, &target, &before);
    if (target_desired(state, s, zone, region, &target, &before, &after, diff, sizeof diff,
                       &error) != ERROR_OK) {
        fail("the records after it", &error);
    }
    eid_format(old, service->name, 1, 1, 0);
    eid_format(new, service->name, UINT64_MAX, 2, 1);
    fence_format(old_fence, "noctua", old);
    fence_format(new_fence, "noctua", new);
    const struct driver_change change = {.fence_before = old_fence,
                                         .fence_after = new_fence,
                                         .state_before = &before,
                                         .state_after = &after,
                                         .comment = new};
    if (route53_write_change(&target, &change, &body, &error) != ERROR_OK) {
        fail("the request", &error);
    }
    buffer_finish(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct spec_findings findings;
    struct state *state = fuzz_fresh(NULL, sizeof *state);
    const struct spec *spec = &state->spec;
    if (spec_parse((const char *)data, size, "f.yaml", &state->spec, &findings) != ERROR_OK) {
        return 0;
    }
    for (uint32_t s = 0; s < spec->service_count; s++) {
        const struct spec_service *service = &spec->services[s];
        (void)TEXT_COPY(state->services[s].name, service->name);
        for (uint32_t zone = 0; zone < service->zone_count; zone++) {
            check_move(state, s, zone, service->home);
            for (uint32_t i = 0; i < service->target_count; i++) {
                check_move(state, s, zone, service->targets[i]);
            }
        }
    }
    return 0;
}
