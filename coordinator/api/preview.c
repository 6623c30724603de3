#include "api/preview.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"
#include "document_memory.h"
#include "document_parts.h"

uint32_t preview_choose_target(const struct api_facts *facts, uint32_t service) {
    struct policy_input nothing;
    enum gate why_not[REGION_MAX];
    return policy_choose_target(facts->state, document_policy(facts, &nothing), service, why_not);
}

/* Who is declared dead and who would be asked to go on without them; who gets its vote back. */
static void hash_members(const struct move_preview *preview, struct buffer *text) {
    const struct mongo_view *view = &preview->mongo;
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        const char *host = view->facts.members[i].host;
        if ((view->dead >> i & 1) != 0) {
            buffer_append_format(text, "dead %s\n", host);
        } else if (view->dead != 0 && i == preview->pinned) {
            buffer_append_format(text, "asked %s\n", host);
        }
    }
    if (view->readmit[0] != '\0') {
        buffer_append_format(text, "readmit %s\n", view->readmit);
    }
}

uint32_t preview_laggard(const struct api_facts *facts, uint32_t service) {
    const struct spec_service *spec = &facts->state->spec.services[service];
    struct policy_input nothing;
    enum gate why_not[REGION_MAX];
    uint32_t to =
        policy_choose_target(facts->state, document_policy(facts, &nothing), service, why_not);
    if (to != NONE_INDEX) {
        return NONE_INDEX;
    }
    if (why_not[spec->home] == GATE_REPLICATION_LAG) {
        return spec->home;
    }
    for (uint32_t i = 0; i < spec->target_count; i++) {
        if (why_not[spec->targets[i]] == GATE_REPLICATION_LAG) {
            return spec->targets[i];
        }
    }
    return NONE_INDEX;
}

/* The canonical plan: every fact that a "yes" is about, one a line. The revision of the spec stands
 * for what records and zones are set to. */
static void hash_plan(const struct api_facts *facts, struct move_preview *preview) {
    const struct state *state = facts->state;
    struct buffer text;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    buffer_init(&text, 0);
    buffer_append_format(
        &text, "%s %s %s %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %x\n", state->cluster,
        state->services[preview->service].name, execution_kind_text(preview->kind),
        document_region_name(state, preview->from), document_region_name(state, preview->to),
        state->incarnation, preview->epoch, state->spec_index, preview->skipped_gates);
    hash_members(preview, &text);
    for (uint32_t i = 0; i < preview->plan.count; i++) {
        buffer_append_format(&text, "%s %u %" PRIx64 " %x %x %d\n", preview->plan.steps[i].name,
                             preview->plan.steps[i].kind, preview->plan.steps[i].needs,
                             preview->plan.steps[i].zone, preview->plan.steps[i].debt,
                             preview->plan.steps[i].continue_on_failure);
    }
    if (!text.failed &&
        EVP_Digest(text.data, text.size_bytes, digest, &digest_bytes, EVP_sha256(), NULL) == 1) {
        text_to_hex(digest, (PLAN_HASH_SIZE - 1) / 2, preview->hash);
    } else {
        document_memory_lack();
    }
    buffer_finish(&text);
}

static void begin_preview(const struct api_facts *facts, uint32_t service, uint32_t to,
                          enum execution_kind kind, struct move_preview *preview) {
    const struct service *s = &facts->state->services[service];
    memset(preview, 0, sizeof *preview);
    preview->service = service;
    preview->to = to;
    preview->kind = kind;
    preview->from = s->adopted ? s->active : NONE_INDEX;
    if (s->half_moved && to == s->active && execution_kind_moves(preview->kind)) {
        preview->from = s->execution.from; /* continues a half-moved one, as apply sees it */
    }
    preview->epoch = s->epoch + 1;
    preview->pinned = NONE_INDEX;
}

static void take_set(const struct api_facts *facts, const struct mongo_view *view,
                     struct move_preview *preview) {
    struct mongo_verdict verdict;
    preview->mongo = *view;
    mongo_judge(&facts->state->spec.services[preview->service].mongo, view, preview->to, &verdict);
    preview->pinned = verdict.declared ? verdict.member : NONE_INDEX;
}

/* As apply will see it. */
static bool may_move_to(const struct state *state, uint32_t service, enum execution_kind kind,
                        uint32_t to) {
    const struct spec_service *spec = &state->spec.services[service];
    const struct service *s = &state->services[service];
    bool named = to == spec->home;
    for (uint32_t i = 0; i < spec->target_count; i++) {
        named = named || spec->targets[i] == to;
    }
    return named && to < state->spec.region_count && state->spec.regions[to].role == REGION_SERVE &&
           (kind == EXECUTION_ADOPT ||
            (execution_kind_moves(kind) ? to != s->active || s->half_moved : to == s->active));
}

static void spare_the_set(struct move_preview *ret) {
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        if (gate_is_of_set((enum gate)gate)) {
            ret->gates[gate].result = GATE_NOT_APPLICABLE;
            ret->failing &= ~GATE_BIT(gate);
        }
    }
}

enum core_error preview_move(const struct api_facts *facts, uint32_t service,
                             enum execution_kind kind, uint32_t to, uint32_t skipped_gates,
                             struct move_preview *ret) {
    struct policy_input nothing;
    struct mongo_view view;
    if (service >= facts->state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    policy_view_set(facts->state, document_policy(facts, &nothing), service, &view);
    return preview_move_of_set(facts, service, kind, to, skipped_gates, &view, ret);
}

enum core_error preview_move_of_set(const struct api_facts *facts, uint32_t service,
                                    enum execution_kind kind, uint32_t to, uint32_t skipped_gates,
                                    const struct mongo_view *view, struct move_preview *ret) {
    const struct state *state = facts->state;
    if (service >= state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    if (kind != EXECUTION_ADOPT && !service_is_managed(&state->services[service])) {
        return CORE_NOT_ADOPTED;
    }
    if (!may_move_to(state, service, kind, to)) {
        return CORE_NO_REGION;
    }
    struct policy_input nothing;
    begin_preview(facts, service, to, kind, ret);
    ret->skipped_gates = skipped_gates;
    take_set(facts, view, ret);
    ret->failing = policy_read_gates(state, document_policy(facts, &nothing), service, to, false,
                                     skipped_gates, view, ret->gates);
    if (!execution_kind_moves(kind)) {
        /* It says what is there, or stays: whether the region is well, and who vetoes moves, is no
         * matter. */
        ret->gates[GATE_TARGET_HEALTHY].result = GATE_NOT_APPLICABLE;
        ret->failing &= ~GATE_BIT(GATE_TARGET_HEALTHY);
        spare_the_set(ret);
    }
    enum core_error error =
        policy_plan(state, service, kind, to, skipped_gates, &ret->mongo, &ret->plan);
    if (error == CORE_OK) {
        hash_plan(facts, ret);
    }
    /* What no plan can do, the gates tell. */
    return error == CORE_GATE && ret->failing != 0 ? CORE_OK : error;
}

void preview_automatic(const struct api_facts *facts, uint32_t service, struct move_preview *ret) {
    preview_automatic_to(facts, service, preview_choose_target(facts, service), ret);
}

void preview_automatic_to(const struct api_facts *facts, uint32_t service, uint32_t to,
                          struct move_preview *ret) {
    struct policy_input nothing;
    begin_preview(facts, service, to, EXECUTION_FAILOVER, ret);
    ret->automatic = true;
    ret->failing = policy_read_gates(facts->state, document_policy(facts, &nothing), service, to,
                                     true, 0, NULL, ret->gates);
    policy_view_set(facts->state, document_policy(facts, &nothing), service, &ret->mongo);
    if (to != NONE_INDEX && policy_plan(facts->state, service, EXECUTION_FAILOVER, to, 0,
                                        &ret->mongo, &ret->plan) == CORE_OK) {
        hash_plan(facts, ret);
    }
}
