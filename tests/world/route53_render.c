#include "route53_render.h"

#include <string.h>

#include "aws_reply.h"
#include "base/clock.h"
#include "base/text.h"
#include "xml_write.h"

void route53_render_begin(struct buffer *out, const char *root) {
    buffer_append_format(out, XML_DECLARATION "<%s xmlns=\"" AWS_NAMESPACE_ROUTE53 "\">", root);
}

void route53_render_end(struct buffer *out, const char *root) {
    buffer_append_format(out, "</%s>\n", root);
}

static void route53_render_routing(struct buffer *out, const struct record_set *set) {
    if ((set->fields & RECORD_FIELD_SET_IDENTIFIER) != 0) {
        xml_write_element(out, "SetIdentifier", set->set_identifier);
    }
    if ((set->fields & RECORD_FIELD_WEIGHT) != 0) {
        xml_write_number(out, "Weight", set->weight);
    }
    if ((set->fields & RECORD_FIELD_REGION) != 0) {
        xml_write_element(out, "Region", set->region);
    }
    if ((set->fields & RECORD_FIELD_GEO_LOCATION) != 0) {
        buffer_append_text(out, "<GeoLocation>");
        if (set->continent[0] != '\0') {
            xml_write_element(out, "ContinentCode", set->continent);
        }
        if (set->country[0] != '\0') {
            xml_write_element(out, "CountryCode", set->country);
        }
        if (set->subdivision[0] != '\0') {
            xml_write_element(out, "SubdivisionCode", set->subdivision);
        }
        buffer_append_text(out, "</GeoLocation>");
    }
    if ((set->fields & RECORD_FIELD_FAILOVER) != 0) {
        xml_write_element(out, "Failover",
                          set->failover == RECORD_PRIMARY ? "PRIMARY" : "SECONDARY");
    }
    if ((set->fields & RECORD_FIELD_MULTI_VALUE) != 0) {
        xml_write_bool(out, "MultiValueAnswer", set->multi_value);
    }
}

void route53_render_record_set(struct buffer *out, const struct record_set *set) {
    buffer_append_text(out, "<ResourceRecordSet>");
    xml_write_element(out, "Name", set->name);
    xml_write_element(out, "Type", record_type_text(set->type));
    route53_render_routing(out, set);
    if ((set->fields & RECORD_FIELD_TTL) != 0) {
        xml_write_number(out, "TTL", set->ttl_s);
    }
    if ((set->fields & RECORD_FIELD_VALUES) != 0) {
        buffer_append_text(out, "<ResourceRecords>");
        for (size_t i = 0; i < set->value_count; i++) {
            buffer_append_text(out, "<ResourceRecord>");
            xml_write_element(out, "Value", set->values[i]);
            buffer_append_text(out, "</ResourceRecord>");
        }
        buffer_append_text(out, "</ResourceRecords>");
    }
    if ((set->fields & RECORD_FIELD_ALIAS) != 0) {
        buffer_append_text(out, "<AliasTarget>");
        xml_write_element(out, "HostedZoneId", set->alias.zone_id);
        xml_write_element(out, "DNSName", set->alias.dns_name);
        xml_write_bool(out, "EvaluateTargetHealth", set->alias.evaluate_target_health);
        buffer_append_text(out, "</AliasTarget>");
    }
    if ((set->fields & RECORD_FIELD_HEALTH_CHECK) != 0) {
        xml_write_element(out, "HealthCheckId", set->health_check_id);
    }
    buffer_append_text(out, "</ResourceRecordSet>");
}

void route53_render_change_info(struct buffer *out, const struct hosted_change *change) {
    char submitted[CLOCK_TEXT_SIZE];
    buffer_append_format(out, "<ChangeInfo><Id>/change/%s</Id>", change->id);
    xml_write_element(out, "Status", change->status == HOSTED_INSYNC ? "INSYNC" : "PENDING");
    xml_write_element(out, "SubmittedAt", clock_format_utc(change->submitted_wall_ms, submitted));
    if (change->comment != NULL) {
        xml_write_element(out, "Comment", change->comment);
    }
    buffer_append_text(out, "</ChangeInfo>");
}

void route53_render_zone(struct buffer *out, const struct hosted_zone *zone) {
    buffer_append_format(out, "<HostedZone><Id>/hostedzone/%s</Id>", zone->id);
    xml_write_element(out, "Name", zone->name);
    buffer_append_format(out, "<CallerReference>world-%s</CallerReference>", zone->id);
    buffer_append_text(out, "<Config><PrivateZone>false</PrivateZone></Config>");
    xml_write_number(out, "ResourceRecordSetCount", zone->newest->count);
    buffer_append_text(out, "</HostedZone>");
}

void route53_render_delegation_set(struct buffer *out) {
    buffer_append_text(out, "<DelegationSet><NameServers>");
    for (size_t i = 0; i < ARRAY_LENGTH(hosted_zone_name_servers); i++) {
        /* Without the trailing dot here, as Route 53 has it. */
        const char *server = hosted_zone_name_servers[i];
        buffer_append_format(out, "<NameServer>%.*s</NameServer>", (int)(strlen(server) - 1),
                             server);
    }
    buffer_append_text(out, "</NameServers></DelegationSet>");
}

static void route53_render_wrapped(struct buffer *out, const struct change_messages *messages,
                                   const char *request_id) {
    route53_render_begin(out, "ErrorResponse");
    buffer_append_text(out, "<Error><Type>Sender</Type><Code>InvalidChangeBatch</Code><Message>[");
    for (size_t i = 0; i < messages->count; i++) {
        buffer_append_text(out, i > 0 ? ", " : "");
        xml_write_text(out, messages->texts[i]);
    }
    buffer_append_text(out, "]</Message></Error>");
    xml_write_element(out, "RequestId", request_id);
    route53_render_end(out, "ErrorResponse");
}

void route53_render_invalid_batch(struct buffer *out, const struct change_messages *messages,
                                  const char *request_id, bool wrapped) {
    if (wrapped) {
        route53_render_wrapped(out, messages, request_id);
        return;
    }
    route53_render_begin(out, "InvalidChangeBatch");
    buffer_append_text(out, "<Messages>");
    for (size_t i = 0; i < messages->count; i++) {
        xml_write_element(out, "Message", messages->texts[i]);
    }
    buffer_append_text(out, "</Messages>");
    xml_write_element(out, "RequestId", request_id);
    route53_render_end(out, "InvalidChangeBatch");
}
