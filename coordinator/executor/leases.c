#include "executor/leases.h"

#include <string.h>

#include "base/text.h"

/* How long a wait must be for a grant of this length to have run out on any clock. */
static uint64_t outlasting_ms(uint64_t length_ms) {
    return length_ms + length_ms / 100 + 1;
}

_Static_assert(SERVICE_MAX <= 64, "a bit for every service");

void leases_lead(struct leases *leases, bool leads, uint64_t now_ms) {
    *leases = (struct leases){.leads = leads, .term_start_ms = now_ms};
}

/* The service's place, else one whose grant has run out or whose service is gone. There is always
 * one: as many places as services. */
static uint32_t place_for(struct leases *leases, const struct state *state, const char *service) {
    uint32_t spare = 0;
    for (uint32_t i = 0; i < SERVICE_MAX; i++) {
        if (text_equal(leases->given[i].service, service)) {
            return i;
        }
        if (leases->given[i].service[0] == '\0' ||
            state_find_service(state, leases->given[i].service) == NONE_INDEX) {
            spare = i;
        }
    }
    return spare;
}

void leases_grant(struct leases *leases, const struct state *state, uint64_t services,
                  uint64_t now_ms, struct lease_answer *answer) {
    answer->version = LEASE_ANSWER_VERSION;
    answer->grant_count = 0;
    for (uint32_t s = 0; leases->leads && s < state->spec.service_count; s++) {
        uint32_t region = lease_region(state, s);
        if (region == NONE_INDEX || (services >> s & 1) == 0) {
            continue;
        }
        const struct service *service = &state->services[s];
        struct lease_grant *grant = &answer->grants[answer->grant_count++];
        memset(grant, 0, sizeof *grant);
        memcpy(grant->service, service->name, sizeof grant->service);
        memcpy(grant->region, state->spec.regions[region].name, sizeof grant->region);
        grant->epoch = service->epoch;
        grant->length_ms = state->spec.services[s].policy.lease_ms;
        uint32_t place = place_for(leases, state, service->name);
        uint64_t until_ms = now_ms + outlasting_ms(grant->length_ms);
        bool same = text_equal(leases->given[place].service, service->name);
        uint64_t before_ms = same ? leases->given[place].until_ms : 0;
        memcpy(leases->given[place].service, service->name, sizeof service->name);
        leases->given[place].until_ms = until_ms > before_ms ? until_ms : before_ms;
    }
}

uint64_t leases_wait_ms(const struct leases *leases, const struct state *state, uint32_t service,
                        uint64_t now_ms) {
    const struct service *s = &state->services[service];
    if (!leases->leads) {
        return UINT64_MAX;
    }
    uint64_t until_ms = leases->term_start_ms + outlasting_ms(s->longest_lease_ms);
    for (uint32_t i = 0; i < SERVICE_MAX; i++) {
        if (text_equal(leases->given[i].service, s->name) && leases->given[i].until_ms > until_ms) {
            until_ms = leases->given[i].until_ms;
        }
    }
    return until_ms > now_ms ? until_ms - now_ms : 0;
}
