#include <string.h>

#include "apply.h"
#include "base/text.h"
#include "core/lease.h"
#include "plan_rules.h"

static uint32_t add_step(struct plan *plan, const char *name, enum step_kind kind) {
    uint32_t i = plan->count++;
    memset(&plan->steps[i], 0, sizeof plan->steps[i]);
    (void)TEXT_COPY(plan->steps[i].name, name);
    plan->steps[i].kind = kind;
    plan->steps[i].zone = NONE_INDEX;
    plan->steps[i].debt = NONE_INDEX;
    return i;
}

/* "dns", "dns-2", ... */
static uint32_t add_numbered(struct plan *plan, const char *word, enum step_kind kind,
                             uint32_t number) {
    char name[NAME_SIZE];
    (void)TEXT_COPY(name, word);
    if (number > 0) {
        size_t length = strlen(name);
        name[length] = '-';
        name[length + 1] = (char)('1' + number);
        name[length + 2] = '\0';
    }
    return add_step(plan, name, kind);
}

_Static_assert(ZONE_MAX < 9 && DEBT_MAX < 9, "one digit is enough for a step's name");
_Static_assert(1 + DEBT_MAX + ZONE_MAX + 1 <= STEP_MAX, "every derived plan fits");

enum core_error policy_plan(const struct state *state, uint32_t service, enum execution_kind kind,
                            uint32_t to, uint32_t skipped_gates, struct plan *ret) {
    if (service >= state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    if (to >= state->spec.region_count) {
        return CORE_NO_REGION;
    }
    ret->count = 0;
    const struct spec_service *spec = &state->spec.services[service];
    uint64_t before = 0; /* steps that everything behind them needs */
    bool waits = lease_must_run_out(state, service, to);
    uint32_t lease = waits ? add_step(ret, "lease", STEP_LEASE) : 0;
    bool waived = (skipped_gates & GATE_BIT(GATE_DEBTS)) != 0;
    for (uint32_t i = 0; i < state->services[service].debt_count && !waived; i++) {
        uint32_t step = add_numbered(ret, "settle", STEP_SETTLE, i);
        ret->steps[step].debt = i;
        before |= UINT64_C(1) << step;
    }
    bool adopts = kind == EXECUTION_ADOPT;
    bool of_marks = adopts || kind == EXECUTION_RELEASE;
    if (of_marks) {
        uint64_t marked = before;
        for (uint32_t i = 0; i < spec->zone_count; i++) {
            uint32_t step = add_numbered(ret, adopts ? "adopt" : "unmark",
                                         adopts ? STEP_ADOPT : STEP_UNMARK, i);
            ret->steps[step].zone = i;
            ret->steps[step].needs = before;
            marked |= UINT64_C(1) << step;
        }
        before = marked;
    }
    if (kind != EXECUTION_REPAIR) {
        uint32_t change = add_step(ret, "switch", STEP_SWITCH);
        ret->steps[change].needs = before | (waits ? UINT64_C(1) << lease : 0);
        before |= UINT64_C(1) << change;
    }
    for (uint32_t i = 0; !of_marks && i < spec->zone_count; i++) {
        uint32_t step = add_numbered(ret, "dns", STEP_DNS, i);
        ret->steps[step].zone = i;
        ret->steps[step].needs = before;
    }
    return ret->count > 0 ? CORE_OK : CORE_PLAN;
}

struct plan_facts {
    uint64_t settles, marks, switches, dns, leases;       /* bits of steps */
    uint32_t zones_dns, zones_adopt, zones_unmark, debts; /* bits of zones and debts */
};

static bool read_step(const struct plan *plan, uint32_t i, uint32_t zone_count, uint32_t debt_count,
                      struct plan_facts *facts) {
    uint64_t bit = UINT64_C(1) << i;
    uint32_t zone = plan->steps[i].zone;
    uint32_t debt = plan->steps[i].debt;
    bool zone_right = zone < zone_count;
    switch (plan->steps[i].kind) {
    case STEP_SETTLE:
        if (debt >= debt_count || (facts->debts >> debt & 1) != 0) {
            return false;
        }
        facts->debts |= UINT32_C(1) << debt;
        facts->settles |= bit;
        return true;
    case STEP_ADOPT:
    case STEP_UNMARK: {
        bool adopts = plan->steps[i].kind == STEP_ADOPT;
        uint32_t *zones = adopts ? &facts->zones_adopt : &facts->zones_unmark;
        if (!zone_right || (*zones >> zone & 1) != 0) {
            return false;
        }
        *zones |= UINT32_C(1) << zone;
        facts->marks |= bit;
        return true;
    }
    case STEP_SWITCH:
        facts->switches |= bit;
        return facts->switches == bit;
    case STEP_DNS:
        if (!zone_right || (facts->zones_dns >> zone & 1) != 0) {
            return false;
        }
        facts->zones_dns |= UINT32_C(1) << zone;
        facts->dns |= bit;
        return true;
    case STEP_LEASE:
        facts->leases |= bit;
        return facts->leases == bit;
    case STEP_KIND_COUNT:
        break;
    }
    return false;
}

static bool needs_are_sound(const struct plan *plan, const struct plan_facts *facts) {
    for (uint32_t i = 0; i < plan->count; i++) {
        uint64_t bit = UINT64_C(1) << i;
        uint64_t needs = plan->steps[i].needs;
        if (needs >= bit) {
            return false; /* only earlier steps: no circle is possible */
        }
        bool settled = (needs & facts->settles) == facts->settles;
        if ((bit & (facts->settles | facts->leases)) == 0 && !settled) {
            return false;
        }
        uint64_t first = facts->marks | facts->leases;
        if ((bit & facts->switches) != 0 && (needs & first) != first) {
            return false;
        }
        if (plan->steps[i].continue_on_failure && (bit & facts->dns) == 0) {
            return false; /* a lease, a debt, a fence and the switch can't be passed over */
        }
        if ((bit & facts->dns) != 0 && (needs & facts->switches) != facts->switches) {
            return false; /* DNS can't hold the switch up */
        }
    }
    return true;
}

bool plan_is_sound(const struct state *state, uint32_t service, enum execution_kind kind,
                   uint32_t to, uint32_t skipped_gates, const struct plan *plan) {
    if (plan->count == 0 || plan->count > STEP_MAX) {
        return false;
    }
    uint32_t zone_count = state->spec.services[service].zone_count;
    uint32_t debt_count = state->services[service].debt_count;
    struct plan_facts facts;
    memset(&facts, 0, sizeof facts);
    for (uint32_t i = 0; i < plan->count; i++) {
        if (!text_is_name(plan->steps[i].name, NAME_SIZE - 1) ||
            !read_step(plan, i, zone_count, debt_count, &facts)) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (text_equal(plan->steps[i].name, plan->steps[j].name)) {
                return false;
            }
        }
    }
    uint32_t all_zones = (UINT32_C(1) << zone_count) - 1;
    uint32_t all_debts = (UINT32_C(1) << debt_count) - 1;
    bool waived = (skipped_gates & GATE_BIT(GATE_DEBTS)) != 0;
    bool writes = execution_kind_moves(kind) || kind == EXECUTION_REPAIR;
    return (facts.switches != 0) == (kind != EXECUTION_REPAIR) &&
           (facts.leases != 0) == lease_must_run_out(state, service, to) &&
           (waived || facts.debts == all_debts) && facts.zones_dns == (writes ? all_zones : 0) &&
           facts.zones_adopt == (kind == EXECUTION_ADOPT ? all_zones : 0) &&
           facts.zones_unmark == (kind == EXECUTION_RELEASE ? all_zones : 0) &&
           needs_are_sound(plan, &facts);
}

uint32_t service_recent_moves(const struct state *state, uint32_t service) {
    const struct service *s = &state->services[service];
    uint64_t window_ms = state->spec.services[service].policy.max_moves_window_ms;
    uint32_t count = 0;
    for (uint32_t i = 0; i < RECENT_MOVE_MAX; i++) {
        uint64_t end_ms = s->recent_move_ms[i];
        count += end_ms != 0 && end_ms + window_ms > state->time_ms;
    }
    return count;
}

uint32_t service_recent_unsuspects(const struct state *state, uint32_t service) {
    const struct service *s = &state->services[service];
    uint32_t count = 0;
    for (uint32_t i = 0; i < RECENT_MOVE_MAX; i++) {
        uint64_t end_ms = s->unsuspect_ms[i];
        count += end_ms != 0 && end_ms + FLAP_WINDOW_MS > state->time_ms;
    }
    return count;
}
