#include "dns_answer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define DNS_DUALSTACK "dualstack."
#define DNS_MULTI_VALUE_MAX 8

/* One query being answered. */
struct dns_run {
    const struct dns_view *view;
    struct dns_writer writer;
    unsigned type;
    size_t answered;
};

static const char *dns_skip_dualstack(const char *name) {
    return text_starts_with(name, DNS_DUALSTACK) ? name + strlen(DNS_DUALSTACK) : name;
}

enum error_code dns_view_add_alias(struct dns_view *view, const char *text, struct error *error) {
    char name[DNS_NAME_SIZE];
    unsigned char address[16];
    const char *equals = strchr(text, '=');
    if (view->alias_count == DNS_ALIASES_MAX) {
        return error_set(error, ERROR_LIMIT, "more than %d aliases", DNS_ALIASES_MAX);
    }
    struct dns_alias *alias = &view->aliases[view->alias_count];
    if (equals == NULL || (size_t)(equals - text) >= sizeof(name) ||
        !TEXT_COPY(alias->address, equals + 1) ||
        (inet_pton(AF_INET, alias->address, address) != 1 &&
         inet_pton(AF_INET6, alias->address, address) != 1)) {
        return error_set(error, ERROR_INVALID, "an alias is DNSNAME=IP, not '%s'", text);
    }
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = '\0';
    if (dns_name_canonicalize(dns_skip_dualstack(name), alias->name, error) != ERROR_OK) {
        return error->code;
    }
    view->alias_count++;
    return ERROR_OK;
}

/* The zone with the longest name that contains `name`. */
static const struct hosted_zone *dns_find_zone(const struct dns_view *view, const char *name) {
    const struct hosted_zone *best = NULL;
    for (size_t i = 0; i < view->zones->count; i++) {
        const struct hosted_zone *zone = view->zones->zones[i];
        if (dns_name_is_within(name, zone->name) &&
            (best == NULL || strlen(zone->name) > strlen(best->name))) {
            best = zone;
        }
    }
    return best;
}

static const struct zone_state *dns_zone_state(const struct dns_view *view,
                                               const struct hosted_zone *zone) {
    return view->insync_only ? zone->insync : zone->newest;
}

/* Of two candidates with one name and type, does `set` go before `best`? */
static bool dns_is_better(const struct record_set *set, const struct record_set *best) {
    if ((set->fields & RECORD_FIELD_WEIGHT) != 0) {
        return set->weight > best->weight; /* so weight 0 is out; ties: the first identifier */
    }
    if ((set->fields & RECORD_FIELD_FAILOVER) != 0) {
        return set->failover == RECORD_PRIMARY && best->failover == RECORD_SECONDARY;
    }
    return false; /* latency, geolocation: any will do, so the first */
}

static const struct record_set *dns_choose(const struct zone_state *state, const char *name,
                                           enum record_type type) {
    const struct record_set *best = NULL;
    for (size_t i = zone_state_first_of_name(state, name);
         i < state->count && text_equal(state->sets[i]->name, name); i++) {
        const struct record_set *set = state->sets[i];
        if (set->type == type && (best == NULL || dns_is_better(set, best))) {
            best = set;
        }
    }
    return best;
}

static void dns_add(struct dns_run *run, const char *owner, enum record_type type, uint32_t ttl_s,
                    const char *value) {
    if (dns_writer_add(&run->writer, DNS_ANSWER, owner, type, ttl_s, value)) {
        run->answered++;
    }
}

/* An address for an alias whose target isn't a record of any zone here. */
static void dns_add_alias_address(struct dns_run *run, const char *owner, enum record_type type,
                                  const char *target) {
    const struct dns_view *view = run->view;
    const char *name = dns_skip_dualstack(target);
    bool named = false;
    for (size_t i = 0; i < view->alias_count; i++) {
        if (text_equal(view->aliases[i].name, name)) {
            named = true; /* dns_writer_add leaves out an address of the other family */
            dns_add(run, owner, type, DNS_ALIAS_TTL_S, view->aliases[i].address);
        }
    }
    for (size_t i = 0; !named && type == RECORD_A && i < view->region_count; i++) {
        if (strstr(name, view->regions[i]) != NULL) {
            char address[DNS_ADDRESS_SIZE];
            (void)snprintf(address, sizeof(address), "127.0.%zu.1", i + 1);
            dns_add(run, owner, type, DNS_ALIAS_TTL_S, address);
            return;
        }
    }
}

/* The values of a set, under the name that was asked for. An alias is followed through the zones.
 */
static void dns_add_set(struct dns_run *run, const char *owner, const struct record_set *set) {
    for (int hop = 0; hop < DNS_CHAIN_MAX; hop++) {
        if ((set->fields & RECORD_FIELD_ALIAS) == 0) {
            for (size_t i = 0; i < set->value_count; i++) {
                dns_add(run, owner, set->type, set->ttl_s, set->values[i]);
            }
            return;
        }
        const struct hosted_zone *zone = dns_find_zone(run->view, set->alias.dns_name);
        const struct record_set *next = zone != NULL ? dns_choose(dns_zone_state(run->view, zone),
                                                                  set->alias.dns_name, set->type)
                                                     : NULL;
        if (next == NULL) {
            dns_add_alias_address(run, owner, set->type, set->alias.dns_name);
            return;
        }
        set = next;
    }
}

/* All that the name has of this type: one set, or several multivalue ones. */
static void dns_add_type(struct dns_run *run, const struct zone_state *state, const char *owner,
                         const char *stored, enum record_type type) {
    const struct record_set *chosen = dns_choose(state, stored, type);
    if (chosen == NULL) {
        return;
    }
    if ((chosen->fields & RECORD_FIELD_MULTI_VALUE) == 0) {
        dns_add_set(run, owner, chosen);
        return;
    }
    size_t added = 0;
    for (size_t i = zone_state_first_of_name(state, stored);
         i < state->count && text_equal(state->sets[i]->name, stored) &&
         added < DNS_MULTI_VALUE_MAX;
         i++) {
        if (state->sets[i]->type == type) {
            dns_add_set(run, owner, state->sets[i]);
            added++;
        }
    }
}

static bool dns_has_name(const struct zone_state *state, const char *name) {
    size_t at = zone_state_first_of_name(state, name);
    return at < state->count && text_equal(state->sets[at]->name, name);
}

/* Is there a name below this one? Those stand right behind it in the order of the zone. */
static bool dns_has_below(const struct zone_state *state, const char *name) {
    for (size_t at = zone_state_first_of_name(state, name); at < state->count; at++) {
        if (dns_name_is_within(state->sets[at]->name, name)) {
            return true;
        }
    }
    return false;
}

/* The name whose records answer for `name`: itself, or the nearest wildcard above. False: there is
 * none (the name may still exist, when something is below it). */
static bool dns_find_stored(const struct zone_state *state, const char *zone_name, const char *name,
                            char to[DNS_NAME_SIZE]) {
    if (dns_has_name(state, name)) {
        return text_copy(to, DNS_NAME_SIZE, name);
    }
    if (dns_has_below(state, name)) {
        return false;
    }
    for (const char *parent = name; !text_equal(parent, zone_name);) {
        parent = strchr(parent, '.') + 1;
        (void)snprintf(to, DNS_NAME_SIZE, "\\052.%s", parent);
        if (dns_has_name(state, to)) {
            return true;
        }
        if (dns_has_name(state, parent) || dns_has_below(state, parent)) {
            return false; /* RFC 4592: the closest encloser is there */
        }
    }
    return false;
}

static void dns_add_all_types(struct dns_run *run, const struct zone_state *state,
                              const char *owner, const char *stored) {
    for (enum record_type type = 0; type < RECORD_TYPE_COUNT; type++) {
        if (run->type == DNS_TYPE_ANY || record_type_number(type) == run->type) {
            dns_add_type(run, state, owner, stored, type);
        }
    }
}

/* Follows CNAMEs from `name` as far as they stay in the zones. */
static enum dns_code dns_walk(struct dns_run *run, const char *name) {
    char owner[DNS_NAME_SIZE];
    char stored[DNS_NAME_SIZE];
    TEXT_COPY(owner, name);
    for (int hop = 0; hop < DNS_CHAIN_MAX; hop++) {
        const struct hosted_zone *zone = dns_find_zone(run->view, owner);
        if (zone == NULL) {
            return DNS_NOERROR; /* a CNAME that leads out */
        }
        const struct zone_state *state = dns_zone_state(run->view, zone);
        if (!dns_find_stored(state, zone->name, owner, stored)) {
            return dns_has_below(state, owner) ? DNS_NOERROR : DNS_NXDOMAIN;
        }
        const struct record_set *cname = dns_choose(state, stored, RECORD_CNAME);
        if (cname == NULL || run->type == record_type_number(RECORD_CNAME) ||
            run->type == DNS_TYPE_ANY || cname->value_count == 0) {
            dns_add_all_types(run, state, owner, stored);
            return DNS_NOERROR;
        }
        dns_add(run, owner, RECORD_CNAME, cname->ttl_s, cname->values[0]);
        if (dns_name_canonicalize(cname->values[0], owner, NULL) != ERROR_OK) {
            return DNS_SERVFAIL;
        }
    }
    return DNS_SERVFAIL;
}

static void dns_add_soa(struct dns_run *run, const struct hosted_zone *zone) {
    const struct record_set *soa =
        dns_choose(dns_zone_state(run->view, zone), zone->name, RECORD_SOA);
    if (soa != NULL && soa->value_count > 0) {
        (void)dns_writer_add(&run->writer, DNS_AUTHORITY, zone->name, RECORD_SOA, soa->ttl_s,
                             soa->values[0]);
    }
}

size_t dns_answer(const struct dns_view *view, const uint8_t *bytes, size_t size_bytes, bool tcp,
                  uint8_t *out) {
    struct dns_query query;
    struct dns_run run = {.view = view};
    enum dns_query_verdict verdict = dns_query_parse(bytes, size_bytes, &query);
    if (verdict == DNS_QUERY_IGNORE) {
        return 0;
    }
    dns_writer_begin(&run.writer, out, tcp ? DNS_MESSAGE_MAX_BYTES : query.udp_bytes, &query);
    if (query.opcode != 0) {
        return dns_writer_end(&run.writer, &query, DNS_NOTIMP, false);
    }
    if (verdict == DNS_QUERY_FORMERR) {
        return dns_writer_end(&run.writer, &query, DNS_FORMERR, false);
    }
    const struct hosted_zone *zone = dns_find_zone(view, query.name);
    if (zone == NULL || query.class != DNS_CLASS_IN) {
        return dns_writer_end(&run.writer, &query, DNS_REFUSED, false);
    }
    run.type = query.type;
    enum dns_code code = dns_walk(&run, query.name);
    if (run.answered == 0) {
        dns_add_soa(&run, zone);
    }
    return dns_writer_end(&run.writer, &query, code, true);
}
