/* Rules between the parts of a spec: what each part alone can't show. */
#include "spec_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A check that follows the moved name tests whichever region is active, never the one it names. */
static void check_probed_names(const struct spec_reader *reader, uint32_t service) {
    const struct spec_service *s = &reader->spec->services[service];
    const struct service_places *places = &reader->services[service];
    for (uint32_t c = 0; c < s->check_count; c++) {
        bool told = false;
        for (uint32_t region = 0; region < REGION_MAX && !told; region++) {
            struct url url;
            if (s->checks[c].url[region][0] == '\0' ||
                url_parse(s->checks[c].url[region], &url) != NULL) {
                continue;
            }
            for (uint32_t i = 0; i < s->record_count && !told; i++) {
                told = text_equal(url.host, s->records[i].name);
            }
            if (told) {
                find_error(reader->findings, yaml_find(places->checks[c], "url"),
                           "check '%s' probes %.100s, which this service moves; it would test "
                           "whichever region is active",
                           s->checks[c].name, url.host);
            }
        }
    }
}

/* Names that a wildcard record answers for, as far as they have no record of their own, which only
 * the zone can tell. */
static void check_covered_names(const struct spec_reader *reader, uint32_t service,
                                const struct spec_record *record) {
    const struct spec_service *s = &reader->spec->services[service];
    const char *parent = reader_wildcard_parent(record->name);
    for (uint32_t c = 0; parent != NULL && c < s->check_count; c++) {
        for (uint32_t region = 0; region < REGION_MAX; region++) {
            struct url url;
            if (s->checks[c].url[region][0] == '\0' ||
                url_parse(s->checks[c].url[region], &url) != NULL) {
                continue;
            }
            size_t host = strlen(url.host);
            size_t tail = strlen(parent);
            if (host > tail + 1 && url.host[host - tail - 1] == '.' &&
                text_equal(url.host + host - tail, parent)) {
                find_warning(
                    reader->findings, yaml_find(reader->services[service].checks[c], "url"),
                    "check '%s' probes %.100s; unless that has a record of its own, %.100s "
                    "answers for it, which this service moves",
                    s->checks[c].name, url.host, record->name);
                break;
            }
        }
    }
}

/* One zone's record sets are one batch: each simple record is one, of the others each region. */
static void check_set_counts(const struct spec_reader *reader, uint32_t service) {
    const struct spec_service *s = &reader->spec->services[service];
    for (uint32_t zone = 0; zone < s->zone_count; zone++) {
        uint32_t count = spec_record_set_count(reader->spec, service, zone);
        if (count > ZONE_SET_MAX) {
            find_error(reader->findings, reader->services[service].zones[zone],
                       "dns: %u record sets in zone %s; one batch holds %d. Split the service",
                       (unsigned)count, s->zones[zone].id, ZONE_SET_MAX);
        }
    }
}

/* The last two labels. */
static const char *common_suffix(const char *name) {
    const char *at = name + strlen(name);
    for (int dots = 0; at > name; at--) {
        if (at[-1] == '.' && ++dots == 2) {
            break;
        }
    }
    return at;
}

static void check_zone_names(const struct spec_reader *reader, uint32_t service) {
    const struct spec_service *s = &reader->spec->services[service];
    const struct service_places *places = &reader->services[service];
    const char *first[ZONE_MAX] = {NULL};
    for (uint32_t i = 0; i < s->record_count; i++) {
        const struct spec_record *record = &s->records[i];
        if (first[record->zone] == NULL) {
            first[record->zone] = record->name;
        } else if (!text_equal(common_suffix(record->name), common_suffix(first[record->zone]))) {
            find_error_at_key(reader->findings, places->records[i],
                              "%.100s can't lie in the zone of %.100s", record->name,
                              first[record->zone]);
        }
    }
    for (uint32_t z = 0; z < s->zone_count; z++) {
        const char *fence = s->zones[z].fence_name;
        bool given = places->fences[z] != places->zones[z];
        if (given && fence[0] != '\0' && first[z] != NULL &&
            !text_equal(common_suffix(fence), common_suffix(first[z]))) {
            find_error(reader->findings, places->fences[z],
                       "fence: %.100s can't lie in the zone of %.100s", fence, first[z]);
        }
        for (uint32_t i = 0; i < s->record_count; i++) {
            bool clash =
                text_equal(s->records[i].type, "TXT") || text_equal(s->records[i].type, "CNAME");
            if (clash && text_equal(s->records[i].name, fence)) {
                find_error(reader->findings, places->fences[z],
                           "fence: %.100s is a record of this service", fence);
            }
        }
    }
}

/* Whether two records are one and the same at Route 53, or can't stand beside each other. */
static bool same_record(const struct spec_record *a, const char *a_zone,
                        const struct spec_record *b, const char *b_zone) {
    bool same_type = text_equal(a->type, b->type) || text_equal(a->type, "CNAME") ||
                     text_equal(b->type, "CNAME");
    return text_equal(a_zone, b_zone) && text_equal(a->name, b->name) && same_type;
}

static void check_record_owner(const struct spec_reader *reader, uint32_t service, uint32_t place) {
    const struct spec *spec = reader->spec;
    const struct spec_service *s = &spec->services[service];
    const struct spec_record *record = &s->records[place];
    const struct yaml_node *node = reader->services[service].records[place];
    for (uint32_t o = 0; o <= service; o++) {
        const struct spec_service *other = &spec->services[o];
        uint32_t end = o == service ? place : other->record_count;
        for (uint32_t i = 0; i < end; i++) {
            const struct yaml_node *first = reader->services[o].records[i];
            if (first != node && same_record(record, s->zones[record->zone].id, &other->records[i],
                                             other->zones[other->records[i].zone].id)) {
                find_error_at_key(reader->findings, node,
                                  "record %.100s belongs to service '%s' already (line %" PRIu32
                                  "); a record is moved by one service",
                                  record->name, other->name, first->key->line);
                return;
            }
        }
    }
}

static void check_zone_owner(const struct spec_reader *reader, uint32_t service, uint32_t place) {
    const struct spec *spec = reader->spec;
    const struct spec_zone *zone = &spec->services[service].zones[place];
    const struct service_places *places = &reader->services[service];
    for (uint32_t o = 0; o <= service; o++) {
        const struct spec_service *other = &spec->services[o];
        uint32_t end = o == service ? place : other->zone_count;
        for (uint32_t i = 0; i < end; i++) {
            bool same_zone = zone->id[0] != '\0' && text_equal(zone->id, other->zones[i].id);
            if (same_zone && o == service) {
                find_error(reader->findings, yaml_find(places->zones[place], "zone"),
                           "zone %s stands twice in this service; put its records together",
                           zone->id);
                return;
            }
            if (same_zone && zone->fence_name[0] != '\0' &&
                text_equal(zone->fence_name, other->zones[i].fence_name)) {
                find_error(reader->findings, places->fences[place],
                           "fence %.100s is that of service '%s'; each has its own",
                           zone->fence_name, other->name);
                return;
            }
        }
    }
}

/* A decision rests on probes that are seconds old (core/limits.h). */
static void check_intervals(const struct spec_reader *reader, uint32_t service) {
    const struct spec_service *s = &reader->spec->services[service];
    for (uint32_t i = 0; i < s->check_count && s->mode != MODE_OBSERVE; i++) {
        if (s->checks[i].critical && s->checks[i].interval_ms > CRITICAL_INTERVAL_MAX_MS) {
            char most[TEXT_DURATION_SIZE];
            find_error(reader->findings, yaml_find(reader->services[service].checks[i], "interval"),
                       "interval: a critical check must be fresh to decide on: at most %s, or "
                       "`critical: false`, or `mode: observe`",
                       text_from_duration_ms(CRITICAL_INTERVAL_MAX_MS, most));
        }
    }
}

static void check_rpo(const struct spec_reader *reader, uint32_t service) {
    const struct spec_service *s = &reader->spec->services[service];
    char lag[TEXT_DURATION_SIZE];
    if (s->database_rpo_ms != 0 && s->mongo.max_lag_ms > s->database_rpo_ms) {
        find_warning(reader->findings, reader->services[service].rpo,
                     "rpo: max_lag is %s, so a move that passes the gate may lose more",
                     text_from_duration_ms(s->mongo.max_lag_ms, lag));
    }
}

/* Writes don't wait for DNS. */
static void check_database_rto(const struct spec_reader *reader, uint32_t service,
                               uint64_t notice_ms) {
    const struct spec_service *s = &reader->spec->services[service];
    uint64_t sum_ms = notice_ms + s->policy.confirm_ms;
    char sum[TEXT_DURATION_SIZE];
    if (s->database_rto_ms != 0 && sum_ms > s->database_rto_ms) {
        find_warning(reader->findings, reader->services[service].database_rto,
                     "rto: a promotion begins after %s at least, by checks and confirm",
                     text_from_duration_ms(sum_ms, sum));
    }
}

/* From the first failed probe to the last resolver that has the new answer. */
static void check_critical_path(const struct spec_reader *reader, uint32_t service) {
    const struct spec_service *s = &reader->spec->services[service];
    const struct service_places *places = &reader->services[service];
    uint64_t notice_ms = 0;
    uint64_t ttl_ms = 0;
    for (uint32_t i = 0; i < s->check_count; i++) {
        const struct spec_check *check = &s->checks[i];
        uint64_t ms = (uint64_t)check->fall * check->interval_ms + check->timeout_ms;
        notice_ms = check->critical && ms > notice_ms ? ms : notice_ms;
    }
    if (s->mongo.used) {
        uint64_t ms = (uint64_t)s->mongo.fall * s->mongo.interval_ms + s->mongo.timeout_ms;
        notice_ms = ms > notice_ms ? ms : notice_ms;
    }
    for (uint32_t i = 0; i < s->record_count; i++) {
        uint64_t ms = s->records[i].kind == RECORD_ALIAS ? 60000 : s->records[i].ttl_s * 1000ull;
        ttl_ms = ms > ttl_ms ? ms : ttl_ms; /* an alias to a load balancer has 60 s */
    }
    uint64_t sum_ms = notice_ms + s->policy.confirm_ms + ttl_ms;
    check_rpo(reader, service);
    check_database_rto(reader, service, notice_ms);
    if (s->rto_ms == 0 || sum_ms <= s->rto_ms) {
        return;
    }
    char sum[TEXT_DURATION_SIZE];
    char notice[TEXT_DURATION_SIZE];
    char confirm[TEXT_DURATION_SIZE];
    char ttl[TEXT_DURATION_SIZE];
    find_warning(reader->findings, places->rto,
                 "rto: a move takes %s at least: %s until the checks notice, %s confirm, %s TTL",
                 text_from_duration_ms(sum_ms, sum), text_from_duration_ms(notice_ms, notice),
                 text_from_duration_ms(s->policy.confirm_ms, confirm),
                 text_from_duration_ms(ttl_ms, ttl));
}

/* A move between two values that are the same changes nothing for users. */
static void check_values_differ(const struct spec_reader *reader, uint32_t service) {
    const struct spec_service *s = &reader->spec->services[service];
    const struct service_places *places = &reader->services[service];
    for (uint32_t i = 0; i < s->record_count; i++) {
        for (uint32_t t = 0; t < s->target_count; t++) {
            const char *home = s->records[i].value[s->home].text;
            if (home[0] != '\0' && text_equal(home, s->records[i].value[s->targets[t]].text)) {
                find_warning(reader->findings, places->records[i]->key,
                             "%.80s is the same for %s and %s: a move between them changes nothing",
                             s->records[i].name, reader->spec->regions[s->home].name,
                             reader->spec->regions[s->targets[t]].name);
            }
        }
    }
}

void check_spec(const struct spec_reader *reader) {
    for (uint32_t service = 0; service < reader->spec->service_count; service++) {
        const struct spec_service *s = &reader->spec->services[service];
        check_probed_names(reader, service);
        check_zone_names(reader, service);
        for (uint32_t i = 0; i < s->record_count; i++) {
            check_record_owner(reader, service, i);
            check_covered_names(reader, service, &s->records[i]);
        }
        check_set_counts(reader, service);
        for (uint32_t i = 0; i < s->zone_count; i++) {
            check_zone_owner(reader, service, i);
        }
        check_intervals(reader, service);
        /* Of values that were refused, nothing more is said. */
        if (reader->findings->error_count == 0) {
            check_values_differ(reader, service);
            check_critical_path(reader, service);
        }
    }
}
