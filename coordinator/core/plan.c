#include <string.h>

#include "apply.h"
#include "base/text.h"
#include "core/lease.h"
#include "mongo_judge.h"
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
_Static_assert(1 + DEBT_MAX + ZONE_MAX + 1 + 4 <= STEP_MAX, "every derived plan fits");

static uint64_t bit_of(uint32_t step) {
    return UINT64_C(1) << step;
}

/* Fences beside every zone and the replica set, or out again. Returns their bits. */
static uint64_t add_marks(const struct spec_service *spec, bool adopts, uint64_t before,
                          struct plan *plan) {
    enum step_kind kind = adopts ? STEP_ADOPT : STEP_UNMARK;
    const char *word = adopts ? "adopt" : "unmark";
    uint64_t marks = 0;
    for (uint32_t i = 0; i < spec->zone_count; i++) {
        uint32_t step = add_numbered(plan, word, kind, i);
        plan->steps[step].zone = i;
        plan->steps[step].needs = before;
        marks |= bit_of(step);
    }
    if (spec->mongo.used) {
        uint32_t step = add_step(plan, adopts ? "adopt-set" : "unmark-set", kind);
        plan->steps[step].zone = PLACE_OF_SET;
        plan->steps[step].needs = before;
        marks |= bit_of(step);
    }
    return marks;
}

static uint32_t add_on_set(struct plan *plan, const char *name, enum step_kind kind,
                           uint64_t needs) {
    uint32_t step = add_step(plan, name, kind);
    plan->steps[step].zone = PLACE_OF_SET;
    plan->steps[step].needs = needs;
    return step;
}

enum promotion {
    PROMOTION_NONE,   /* no replica set, or nothing is moved */
    PROMOTION_THERE,  /* the primary is in the region already: prefer, write */
    PROMOTION_LAST,   /* prefer, promote, write */
    PROMOTION_FIRST,  /* promote, write; prefer beside it */
    PROMOTION_FORCED, /* force, promote, write */
    PROMOTION_CANNOT
};

/* With all members well the config comes first: whatever becomes of the rest then, the set itself
 * moves its primary to the members of the highest priority. A reconfiguration needs a primary,
 * though, and a member that hangs holds it up for up to a minute (3.6: 5 to 31 s; 4.4: 32 to 64 s):
 * then it comes second, and traffic doesn't wait for it. */
static enum promotion promotion_of(const struct spec_service *spec, enum execution_kind kind,
                                   uint32_t to, const struct mongo_view *view) {
    struct mongo_verdict verdict;
    if (!spec->mongo.used || !execution_kind_moves(kind)) {
        return PROMOTION_NONE;
    }
    if (view == NULL) {
        return PROMOTION_CANNOT;
    }
    mongo_judge(&spec->mongo, view, to, &verdict);
    switch (verdict.kind) {
    case MONGO_CASE_THERE:
        return PROMOTION_THERE;
    case MONGO_CASE_HANDOVER:
        return verdict.silent == 0 ? PROMOTION_LAST : PROMOTION_FIRST;
    case MONGO_CASE_ELECTION:
        return PROMOTION_FIRST;
    case MONGO_CASE_FORCED:
        return verdict.declared ? PROMOTION_FORCED : PROMOTION_CANNOT;
    default:
        return PROMOTION_CANNOT;
    }
}

static bool may_readmit(const struct state *state, uint32_t service,
                        const struct mongo_view *view) {
    return state->spec.services[service].mongo.used && view != NULL && view->dead == 0 &&
           mongo_readmit_refusal(state, service, view) == NULL;
}

/* Returns what the switch waits for. */
static uint64_t add_promotion(enum promotion promotion, uint64_t before, struct plan *plan) {
    uint64_t prefer = 0;
    if (promotion == PROMOTION_FORCED) {
        before |= bit_of(add_on_set(plan, "force", STEP_FORCE, before));
    } else if (promotion != PROMOTION_FIRST) {
        prefer = bit_of(add_on_set(plan, "prefer", STEP_PREFER, before));
    }
    if (promotion == PROMOTION_LAST) {
        before |= prefer;
    }
    if (promotion != PROMOTION_THERE) {
        before |= bit_of(add_on_set(plan, "promote", STEP_PROMOTE, before));
    }
    uint64_t write = bit_of(add_on_set(plan, "write", STEP_WRITE, before));
    if (promotion == PROMOTION_FIRST) {
        (void)add_on_set(plan, "prefer", STEP_PREFER, before);
    }
    return before | write;
}

enum core_error policy_plan(const struct state *state, uint32_t service, enum execution_kind kind,
                            uint32_t to, uint32_t skipped_gates, const struct mongo_view *view,
                            struct plan *ret) {
    if (service >= state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    if (to >= state->spec.region_count) {
        return CORE_NO_REGION;
    }
    ret->count = 0;
    const struct spec_service *spec = &state->spec.services[service];
    enum promotion promotion = promotion_of(spec, kind, to, view);
    bool readmits = kind == EXECUTION_READMIT;
    if (promotion == PROMOTION_CANNOT || (readmits && !may_readmit(state, service, view))) {
        return CORE_GATE;
    }
    uint64_t before = 0; /* steps that everything behind them needs */
    bool waits = lease_must_run_out(state, service, to);
    uint64_t lease = waits ? bit_of(add_step(ret, "lease", STEP_LEASE)) : 0;
    bool waived = (skipped_gates & GATE_BIT(GATE_DEBTS)) != 0;
    for (uint32_t i = 0; i < state->services[service].debt_count && !waived; i++) {
        uint32_t step = add_numbered(ret, "settle", STEP_SETTLE, i);
        ret->steps[step].debt = i;
        before |= bit_of(step);
    }
    bool of_marks = execution_kind_marks(kind);
    if (of_marks) {
        before |= add_marks(spec, kind == EXECUTION_ADOPT, before, ret);
    }
    if (promotion != PROMOTION_NONE) {
        before = add_promotion(promotion, before | lease, ret);
    }
    if (readmits) {
        (void)add_on_set(ret, "readmit", STEP_READMIT, before);
        return CORE_OK;
    }
    if (kind != EXECUTION_REPAIR) {
        uint32_t change = add_step(ret, "switch", STEP_SWITCH);
        ret->steps[change].needs = before | lease;
        before |= bit_of(change);
    }
    for (uint32_t i = 0; !of_marks && i < spec->zone_count; i++) {
        uint32_t step = add_numbered(ret, "dns", STEP_DNS, i);
        ret->steps[step].zone = i;
        ret->steps[step].needs = before & ~lease;
    }
    return ret->count > 0 ? CORE_OK : CORE_PLAN;
}

struct plan_facts {
    uint64_t settles, marks, switches, dns, leases;       /* bits of steps */
    uint64_t prefers, promotes, writes;                   /* likewise */
    uint64_t forces, readmits;                            /* likewise */
    uint32_t zones_dns, zones_adopt, zones_unmark, debts; /* bits of zones and debts */
};

/* False: of another place, or the second one of its kind. */
static bool read_only_one(uint64_t *kind, uint64_t bit, bool place_right) {
    *kind |= bit;
    return *kind == bit && place_right;
}

static bool read_step(const struct plan *plan, uint32_t i, const struct spec_service *spec,
                      uint32_t debt_count, struct plan_facts *facts) {
    uint64_t bit = bit_of(i);
    uint32_t zone = plan->steps[i].zone;
    uint32_t debt = plan->steps[i].debt;
    bool zone_right = zone < spec->zone_count;
    bool of_set = zone == PLACE_OF_SET && spec->mongo.used;
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
        if ((!zone_right && !of_set) || (*zones >> zone & 1) != 0) {
            return false;
        }
        *zones |= UINT32_C(1) << zone;
        facts->marks |= bit;
        return true;
    }
    case STEP_SWITCH:
        return read_only_one(&facts->switches, bit, true);
    case STEP_PREFER:
        return read_only_one(&facts->prefers, bit, of_set);
    case STEP_PROMOTE:
        return read_only_one(&facts->promotes, bit, of_set);
    case STEP_WRITE:
        return read_only_one(&facts->writes, bit, of_set);
    case STEP_FORCE:
        return read_only_one(&facts->forces, bit, of_set);
    case STEP_READMIT:
        return read_only_one(&facts->readmits, bit, of_set);
    case STEP_DNS:
        if (!zone_right || (facts->zones_dns >> zone & 1) != 0) {
            return false;
        }
        facts->zones_dns |= UINT32_C(1) << zone;
        facts->dns |= bit;
        return true;
    case STEP_LEASE:
        return read_only_one(&facts->leases, bit, true);
    case STEP_KIND_COUNT:
        break;
    }
    return false;
}

static bool needs_are_sound(const struct plan *plan, const struct plan_facts *facts) {
    for (uint32_t i = 0; i < plan->count; i++) {
        uint64_t bit = bit_of(i);
        uint64_t needs = plan->steps[i].needs;
        if (needs >= bit) {
            return false; /* only earlier steps: no circle is possible */
        }
        bool settled = (needs & facts->settles) == facts->settles;
        if ((bit & (facts->settles | facts->leases)) == 0 && !settled) {
            return false;
        }
        uint64_t first = facts->marks | facts->leases | facts->writes;
        if ((bit & facts->switches) != 0 && (needs & first) != first) {
            return false; /* traffic before writes, or while the old region may be written to */
        }
        uint64_t on_set = facts->prefers | facts->promotes | facts->writes | facts->forces;
        if ((bit & on_set) != 0 && (needs & facts->leases) != facts->leases) {
            return false;
        }
        if ((bit & facts->writes) != 0 && (needs & facts->promotes) != facts->promotes) {
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

/* The needs of the one step that has this bit. */
static uint64_t needs_of(const struct plan *plan, uint64_t bit) {
    for (uint32_t i = 0; i < plan->count; i++) {
        if (bit_of(i) == bit) {
            return plan->steps[i].needs;
        }
    }
    return 0;
}

/* Promotes where the facts ask for it, in their order, and writes afterwards. */
static bool promotion_is_sound(const struct plan *plan, const struct plan_facts *facts,
                               enum promotion promotion) {
    bool promotes = promotion == PROMOTION_LAST || promotion == PROMOTION_FIRST ||
                    promotion == PROMOTION_FORCED;
    bool forced = promotion == PROMOTION_FORCED;
    bool any = promotion != PROMOTION_NONE;
    if ((facts->promotes != 0) != promotes || (facts->prefers != 0) != (any && !forced) ||
        (facts->writes != 0) != any || (facts->forces != 0) != forced) {
        return false;
    }
    switch (promotion) {
    case PROMOTION_LAST:
        return (needs_of(plan, facts->promotes) & facts->prefers) != 0;
    case PROMOTION_FIRST:
        return (needs_of(plan, facts->prefers) & facts->promotes) != 0;
    case PROMOTION_FORCED:
        return (needs_of(plan, facts->promotes) & facts->forces) != 0;
    default:
        return true;
    }
}

bool plan_is_sound(const struct state *state, uint32_t service, enum execution_kind kind,
                   uint32_t to, uint32_t skipped_gates, const struct mongo_view *view,
                   const struct plan *plan) {
    const struct spec_service *spec = &state->spec.services[service];
    enum promotion promotion = promotion_of(spec, kind, to, view);
    bool readmits = kind == EXECUTION_READMIT;
    if (plan->count == 0 || plan->count > STEP_MAX || promotion == PROMOTION_CANNOT ||
        (readmits && !may_readmit(state, service, view))) {
        return false;
    }
    uint32_t debt_count = state->services[service].debt_count;
    struct plan_facts facts;
    memset(&facts, 0, sizeof facts);
    for (uint32_t i = 0; i < plan->count; i++) {
        if (!text_is_name(plan->steps[i].name, NAME_SIZE - 1) ||
            !read_step(plan, i, spec, debt_count, &facts)) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (text_equal(plan->steps[i].name, plan->steps[j].name)) {
                return false;
            }
        }
    }
    uint32_t all_zones = (UINT32_C(1) << spec->zone_count) - 1;
    uint32_t all_marks = all_zones | (spec->mongo.used ? UINT32_C(1) << PLACE_OF_SET : 0);
    uint32_t all_debts = (UINT32_C(1) << debt_count) - 1;
    bool waived = (skipped_gates & GATE_BIT(GATE_DEBTS)) != 0;
    bool writes = execution_kind_moves(kind) || kind == EXECUTION_REPAIR;
    return (facts.switches != 0) == (kind != EXECUTION_REPAIR && !readmits) &&
           (facts.readmits != 0) == readmits &&
           (facts.leases != 0) == lease_must_run_out(state, service, to) &&
           (waived || facts.debts == all_debts) && facts.zones_dns == (writes ? all_zones : 0) &&
           facts.zones_adopt == (kind == EXECUTION_ADOPT ? all_marks : 0) &&
           facts.zones_unmark == (kind == EXECUTION_RELEASE ? all_marks : 0) &&
           promotion_is_sound(plan, &facts, promotion) && needs_are_sound(plan, &facts);
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
