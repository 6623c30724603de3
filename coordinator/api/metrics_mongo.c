/* Replica sets, as metrics. */
#include <inttypes.h>

#include "document_mongo.h"
#include "metrics_private.h"

static void sample_set(const char *name, const char *service, uint64_t value, struct buffer *out) {
    buffer_append_format(out, "%s{service=\"%s\"} %" PRIu64 "\n", name, service, value);
}

static void sample_seconds(const char *name, const char *service, uint64_t ms, struct buffer *out) {
    buffer_append_format(out, "%s{service=\"%s\"} ", name, service);
    metrics_append_seconds(out, ms);
    buffer_append_text(out, "\n");
}

enum set_family {
    SET_MEMBERS,
    SET_ANSWERING,
    SET_PRIMARY,
    SET_WRITE_AGE,
    SET_WRITE_RATE,
    SET_FAMILY_COUNT
};

static void render_set(const struct api_facts *facts, uint32_t s, enum set_family family_of,
                       struct buffer *out) {
    const struct mongo_facts *set = &facts->own_report->mongo[s];
    const char *service = facts->state->services[s].name;
    uint32_t answering = 0;
    switch (family_of) {
    case SET_MEMBERS:
        sample_set("noctua_mongo_members", service, set->member_total, out);
        break;
    case SET_ANSWERING:
        for (uint32_t i = 0; i < set->member_count; i++) {
            answering += set->members[i].answers;
        }
        sample_set("noctua_mongo_members_answering", service, answering, out);
        break;
    case SET_PRIMARY:
        sample_set("noctua_mongo_primary_known", service, facts->primaries[s].region != NONE_INDEX,
                   out);
        break;
    case SET_WRITE_AGE:
        if (set->write_age_ms != MONGO_AGE_NEVER) {
            sample_seconds("noctua_mongo_write_age_seconds", service, set->write_age_ms, out);
        }
        break;
    case SET_WRITE_RATE:
        if (set->write_rate_milli != MONGO_RATE_UNKNOWN && set->member_total > 0) {
            buffer_append_format(out, "noctua_mongo_writes_per_second{service=\"%s\"} ", service);
            metrics_append_seconds(out, set->write_rate_milli); /* thousandths as well */
            buffer_append_text(out, "\n");
        }
        break;
    case SET_FAMILY_COUNT:
        break;
    }
}

/* Members by their place in the config: their hosts would be labels without a limit. */
static void render_lags(const struct api_facts *facts, uint32_t s, struct buffer *out) {
    struct mongo_view view;
    document_view_set(facts, s, &view);
    for (uint32_t i = 0; i < view.facts.member_count; i++) {
        const struct mongo_member *member = &view.facts.members[i];
        uint64_t lag_ms = mongo_lag_ms(&view.head, &member->optime);
        if (!member->arbiter && lag_ms != UINT64_MAX) {
            buffer_append_format(out,
                                 "noctua_mongo_lag_seconds{service=\"%s\",member=\"%" PRIu32
                                 "\",region=\"%s\"} ",
                                 facts->state->services[s].name, member->id,
                                 document_region_name(facts->state, member->region));
            metrics_append_seconds(out, lag_ms);
            buffer_append_text(out, "\n");
        }
    }
}

/* As this node observes them; the lag, on the leader, as all nodes do. */
void metrics_render_sets(const struct api_facts *facts, struct buffer *out) {
    static const struct {
        const char *name, *help;
    } families[SET_FAMILY_COUNT] = {
        {"noctua_mongo_members", "Members of the replica set's config; 0: it was never read."},
        {"noctua_mongo_members_answering", "Members that answered this node's last question."},
        {"noctua_mongo_primary_known", "Whether this node sees a primary that takes writes."},
        {"noctua_mongo_write_age_seconds", "Since this node's last acknowledged majority write."},
        {"noctua_mongo_writes_per_second",
         "Inserts, updates and deletes that the last known primary took; no sample: unknown."},
    };
    const struct spec *spec = &facts->state->spec;
    bool any = false;
    for (uint32_t s = 0; s < spec->service_count; s++) {
        any = any || spec->services[s].mongo.used;
    }
    if (!any || facts->own_report == NULL ||
        facts->own_report->spec_index != facts->state->spec_index) {
        return;
    }
    for (unsigned f = 0; f < SET_FAMILY_COUNT; f++) {
        metrics_family(out, families[f].name, "gauge", families[f].help);
        for (uint32_t s = 0; s < spec->service_count; s++) {
            if (spec->services[s].mongo.used) {
                render_set(facts, s, (enum set_family)f, out);
            }
        }
    }
    metrics_family(
        out, "noctua_mongo_lag_seconds", "gauge",
        "How far a member is behind the newest known place of a primary; no sample: unknown.");
    for (uint32_t s = 0; s < spec->service_count; s++) {
        if (spec->services[s].mongo.used) {
            render_lags(facts, s, out);
        }
    }
}
