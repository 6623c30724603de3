#include "codec/report_codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "noctua.pb-c.h"
#include "tables.h"

#define REPORT_MEMORY_MAX (16 * 1024 * 1024)

/* Bound to the fields of struct report that stand alone. */
static const struct bind_row head_rows[] = {
    ROW_ID(struct report, node_id),
    ROW_INDEX(struct report, boot),
    ROW_INDEX(struct report, sequence),
    ROW_INDEX(struct report, applied_index),
    ROW_INDEX(struct report, spec_index),
    ROW_TIME(struct report, wall_ms),
    ROW_INDEX(struct report, digest_index),
    ROW_OPAQUE(struct report, digest),
    ROW_ANY(struct report, feature_level),
    ROW_NAME_OR_NONE(struct report, region),
    ROW_OPAQUE(struct report, storage),
    ROW_TEXT(struct report, version),
    ROW_ANY(struct report, control_reachable),
    ROW_ANY(struct report, control_total),
    ROW_ANY(struct report, certificate_days),
    ROW_NUMBER(struct report, service_count, SERVICE_MAX),
    ROW_NUMBER(struct report, region_count, REGION_MAX),
    ROW_INDEX(struct report, lease_ask),
    ROW_ANY(struct report, lease_services),
};
const struct bind_table report_head_table =
    BIND_TABLE(struct report, noctua__report_head__descriptor, head_rows);

static const struct bind_row window_rows[] = {
    ROW_INDEX(struct report_window, suspect_index),
    ROW_TIME(struct report_window, age_ms),
};
const struct bind_table report_window_table =
    BIND_TABLE(struct report_window, noctua__observed_window__descriptor, window_rows);

static const struct bind_row opinion_rows[] = {
    ROW_ENUM(struct report_opinion, value, OPINION_VALUE_COUNT),
    ROW_INDEX(struct report_opinion, first_index),
    ROW_INDEX(struct report_opinion, last_index),
    ROW_ANY(struct report_opinion, failing_ms),
    ROW_NAME_OR_NONE(struct report_opinion, worst_check),
    ROW_TEXT(struct report_opinion, worst_code),
};
const struct bind_table report_opinion_table =
    BIND_TABLE(struct report_opinion, noctua__observed_opinion__descriptor, opinion_rows);

static const struct bind_row mongo_optime_rows[] = {
    ROW_INDEX(struct mongo_optime, term),
    ROW_ANY(struct mongo_optime, seconds),
    ROW_ANY(struct mongo_optime, count),
    ROW_TIME(struct mongo_optime, wall_ms),
};
const struct bind_table mongo_optime_table =
    BIND_TABLE(struct mongo_optime, noctua__mongo_optime__descriptor, mongo_optime_rows);

static const struct bind_row mongo_member_rows[] = {
    ROW_ANY(struct mongo_member, id),
    ROW_TEXT(struct mongo_member, host),
    ROW_PLACE(struct mongo_member, region, REGION_MAX),
    ROW_ANY(struct mongo_member, priority_milli),
    ROW_BOOL(struct mongo_member, votes),
    ROW_BOOL(struct mongo_member, hidden),
    ROW_BOOL(struct mongo_member, arbiter),
    ROW_ANY(struct mongo_member, delay_s),
    ROW_BOOL(struct mongo_member, answers),
    ROW_BOOL(struct mongo_member, writable),
    ROW_ENUM(struct mongo_member, state, MONGO_STATE_COUNT),
    ROW_ANY(struct mongo_member, age_ms),
    ROW_INDEX(struct mongo_member, term),
    ROW_MESSAGE(struct mongo_member, optime, mongo_optime_table),
    ROW_ANY(struct mongo_member, optime_age_ms),
    ROW_INDEX(struct mongo_member, config_version),
    ROW_INDEX(struct mongo_member, config_term),
    ROW_ANY(struct mongo_member, sync_source),
    ROW_ANY(struct mongo_member, version),
    ROW_TEXT(struct mongo_member, trouble),
    ROW_BOOL(struct mongo_member, kept_out),
    ROW_ANY(struct mongo_member, rollback_age_ms),
};
const struct bind_table mongo_member_table =
    BIND_TABLE(struct mongo_member, noctua__mongo_member__descriptor, mongo_member_rows);

static const struct bind_row mongo_facts_rows[] = {
    ROW_ANY(struct mongo_facts, member_total),
    ROW_TEXT(struct mongo_facts, set_name),
    ROW_INDEX(struct mongo_facts, config_version),
    ROW_INDEX(struct mongo_facts, config_term),
    ROW_BOOL(struct mongo_facts, config_committed),
    ROW_ANY(struct mongo_facts, election_timeout_ms),
    ROW_ANY(struct mongo_facts, heartbeat_ms),
    ROW_ANY(struct mongo_facts, oplog_window_s),
    ROW_ANY(struct mongo_facts, write_age_ms),
    ROW_ANY(struct mongo_facts, write_took_ms),
    ROW_TEXT(struct mongo_facts, write_trouble),
    ROW_COUNTED(struct mongo_facts, members, member_count, mongo_member_table),
    ROW_ANY(struct mongo_facts, primary),
    ROW_ANY(struct mongo_facts, primary_age_ms),
    ROW_INDEX(struct mongo_facts, primary_term),
    ROW_ANY(struct mongo_facts, write_rate_milli),
};
const struct bind_table mongo_facts_table =
    BIND_TABLE(struct mongo_facts, noctua__mongo_facts__descriptor, mongo_facts_rows);

static const struct bind_row mongo_view_rows[] = {
    ROW_MESSAGE(struct mongo_view, facts, mongo_facts_table),
    ROW_PLACE(struct mongo_view, primary, MONGO_MEMBER_MAX),
    ROW_MESSAGE(struct mongo_view, head, mongo_optime_table),
    ROW_ANY(struct mongo_view, head_age_ms),
    ROW_ANY(struct mongo_view, dead),
    ROW_TEXT(struct mongo_view, readmit),
};
const struct bind_table mongo_view_table =
    BIND_TABLE(struct mongo_view, noctua__mongo_view__descriptor, mongo_view_rows);

static enum error_code add_windows(const struct report *report, struct arena *arena,
                                   Noctua__NodeReport *wire, struct error *error) {
    wire->windows = arena_alloc(arena, report->service_count * sizeof(void *));
    if (wire->windows == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    for (uint32_t s = 0; s < report->service_count; s++) {
        if (bind_is_default(&report_window_table, &report->windows[s])) {
            continue;
        }
        Noctua__ReportWindow *window = arena_alloc(arena, sizeof *window);
        if (window == NULL) {
            return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
        }
        noctua__report_window__init(window);
        window->service = s;
        ProtobufCMessage *content = NULL;
        enum error_code code =
            bind_to_wire(&report_window_table, arena, &report->windows[s], true, &content, error);
        if (code != ERROR_OK) {
            return code;
        }
        window->window = (Noctua__ObservedWindow *)content;
        wire->windows[wire->n_windows++] = window;
    }
    return ERROR_OK;
}

static enum error_code add_opinion(const struct report *report, uint32_t service, uint32_t region,
                                   struct arena *arena, Noctua__NodeReport *wire,
                                   struct error *error) {
    const struct report_opinion *from = &report->opinions[service][region];
    if (bind_is_default(&report_opinion_table, from)) {
        return ERROR_OK;
    }
    Noctua__ReportOpinion *opinion = arena_alloc(arena, sizeof *opinion);
    if (opinion == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    noctua__report_opinion__init(opinion);
    opinion->service = service;
    opinion->region = region;
    ProtobufCMessage *content = NULL;
    enum error_code code = bind_to_wire(&report_opinion_table, arena, from, true, &content, error);
    if (code != ERROR_OK) {
        error_prefix(error, "opinions[%" PRIu32 "][%" PRIu32 "]", service, region);
        return code;
    }
    opinion->opinion = (Noctua__ObservedOpinion *)content;
    wire->opinions[wire->n_opinions++] = opinion;
    return ERROR_OK;
}

static enum error_code add_opinions(const struct report *report, struct arena *arena,
                                    Noctua__NodeReport *wire, struct error *error) {
    size_t most = (size_t)report->service_count * report->region_count;
    wire->opinions = arena_alloc(arena, most * sizeof(void *));
    if (wire->opinions == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    enum error_code code = ERROR_OK;
    for (uint32_t s = 0; s < report->service_count && code == ERROR_OK; s++) {
        for (uint32_t r = 0; r < report->region_count && code == ERROR_OK; r++) {
            code = add_opinion(report, s, r, arena, wire, error);
        }
    }
    return code;
}

static enum error_code add_mongo(const struct report *report, struct arena *arena,
                                 Noctua__NodeReport *wire, struct error *error) {
    wire->mongo = arena_alloc(arena, report->service_count * sizeof(void *));
    if (wire->mongo == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    for (uint32_t s = 0; s < report->service_count; s++) {
        if (bind_is_default(&mongo_facts_table, &report->mongo[s])) {
            continue;
        }
        Noctua__ReportMongo *mongo = arena_alloc(arena, sizeof *mongo);
        if (mongo == NULL) {
            return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
        }
        noctua__report_mongo__init(mongo);
        mongo->service = s;
        ProtobufCMessage *content = NULL;
        enum error_code code =
            bind_to_wire(&mongo_facts_table, arena, &report->mongo[s], true, &content, error);
        if (code != ERROR_OK) {
            error_prefix(error, "mongo[%" PRIu32 "]", s);
            return code;
        }
        mongo->mongo = (Noctua__MongoFacts *)content;
        wire->mongo[wire->n_mongo++] = mongo;
    }
    return ERROR_OK;
}

static enum error_code make_report(const struct report *report, struct arena *arena,
                                   const ProtobufCMessage **ret, struct error *error) {
    Noctua__NodeReport *wire = arena_alloc(arena, sizeof *wire);
    if (wire == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    noctua__node_report__init(wire);
    wire->version = CODEC_REPORT_VERSION;
    ProtobufCMessage *head = NULL;
    /* Checks service_count and region_count, on which the loops rely. */
    enum error_code code = bind_to_wire(&report_head_table, arena, report, true, &head, error);
    if (code != ERROR_OK) {
        return code;
    }
    wire->head = (Noctua__ReportHead *)head;
    code = add_windows(report, arena, wire, error);
    code = code == ERROR_OK ? add_opinions(report, arena, wire, error) : code;
    code = code == ERROR_OK ? add_mongo(report, arena, wire, error) : code;
    *ret = &wire->base;
    return code;
}

enum error_code codec_encode_report(const struct report *report, struct buffer *out,
                                    struct error *error) {
    struct arena arena;
    struct error detail;
    error = error != NULL ? error : &detail;
    arena_init(&arena, REPORT_MEMORY_MAX);
    const ProtobufCMessage *wire = NULL;
    enum error_code code = make_report(report, &arena, &wire, error);
    code = code == ERROR_OK ? bind_pack(wire, CODEC_REPORT_SIZE_MAX, out, error) : code;
    arena_finish(&arena);
    return code;
}

static enum error_code read_head(const Noctua__NodeReport *wire, struct report *ret,
                                 struct error *error) {
    if (wire->version > CODEC_REPORT_VERSION) {
        return error_set(error, ERROR_UNSUPPORTED,
                         "a report of a newer version (format %" PRIu32 ", this one knows %d)",
                         wire->version, CODEC_REPORT_VERSION);
    }
    enum error_code code = bind_check_known(&wire->base, error);
    if (code == ERROR_OK && (wire->version == 0 || wire->head == NULL)) {
        code = error_set(error, ERROR_PROTOCOL, "a report without a version or a head");
    }
    return code == ERROR_OK ? bind_from_wire(&report_head_table, &wire->head->base, ret, error)
                            : code;
}

static enum error_code read_window(const Noctua__ReportWindow *wire, struct report *ret,
                                   struct error *error) {
    enum error_code code = bind_check_known(&wire->base, error);
    if (code == ERROR_OK && (wire->service >= ret->service_count || wire->window == NULL)) {
        code = error_set(error, ERROR_INVALID, "a window of no service");
    }
    return code == ERROR_OK ? bind_from_wire(&report_window_table, &wire->window->base,
                                             &ret->windows[wire->service], error)
                            : code;
}

static enum error_code read_opinion(const Noctua__ReportOpinion *wire, struct report *ret,
                                    struct error *error) {
    enum error_code code = bind_check_known(&wire->base, error);
    if (code == ERROR_OK && (wire->service >= ret->service_count ||
                             wire->region >= ret->region_count || wire->opinion == NULL)) {
        code = error_set(error, ERROR_INVALID, "an opinion of no service or region");
    }
    return code == ERROR_OK ? bind_from_wire(&report_opinion_table, &wire->opinion->base,
                                             &ret->opinions[wire->service][wire->region], error)
                            : code;
}

static enum error_code read_mongo_facts(const Noctua__ReportMongo *wire, struct report *ret,
                                        struct error *error) {
    enum error_code code = bind_check_known(&wire->base, error);
    if (code == ERROR_OK && (wire->service >= ret->service_count || wire->mongo == NULL)) {
        code = error_set(error, ERROR_INVALID, "a replica set of no service");
    }
    return code == ERROR_OK ? bind_from_wire(&mongo_facts_table, &wire->mongo->base,
                                             &ret->mongo[wire->service], error)
                            : code;
}

static enum error_code read_report(const void *bytes, size_t size_bytes, struct arena *arena,
                                   struct report *ret, struct error *error) {
    const ProtobufCMessage *message = NULL;
    enum error_code code =
        bind_unpack(&noctua__node_report__descriptor, arena, bytes, size_bytes, &message, error);
    const Noctua__NodeReport *wire = (const Noctua__NodeReport *)message;
    code = code == ERROR_OK ? read_head(wire, ret, error) : code;
    for (size_t i = 0; code == ERROR_OK && i < wire->n_windows; i++) {
        code = read_window(wire->windows[i], ret, error);
    }
    for (size_t i = 0; code == ERROR_OK && i < wire->n_opinions; i++) {
        code = read_opinion(wire->opinions[i], ret, error);
    }
    for (size_t i = 0; code == ERROR_OK && i < wire->n_mongo; i++) {
        code = read_mongo_facts(wire->mongo[i], ret, error);
    }
    /* Finds, with all else, places that came twice or out of order. */
    if (code == ERROR_OK) {
        code = make_report(ret, arena, &message, error);
    }
    return code == ERROR_OK ? bind_check_canonical(message, bytes, size_bytes, error) : code;
}

enum error_code codec_decode_report(const void *bytes, size_t size_bytes, struct report *ret,
                                    struct error *error) {
    if (size_bytes > CODEC_REPORT_SIZE_MAX) {
        return error_set(error, ERROR_LIMIT, "a report of %zu bytes, at most %d", size_bytes,
                         CODEC_REPORT_SIZE_MAX);
    }
    struct arena arena;
    struct error detail;
    error = error != NULL ? error : &detail;
    arena_init(&arena, REPORT_MEMORY_MAX);
    struct report *report = calloc(1, sizeof *report);
    enum error_code code = report == NULL
                               ? error_set(error, ERROR_NO_MEMORY, "no memory for a report")
                               : read_report(bytes, size_bytes, &arena, report, error);
    if (report != NULL && code == ERROR_OK) {
        report_copy(ret, report);
    }
    free(report);
    arena_finish(&arena);
    return code;
}
