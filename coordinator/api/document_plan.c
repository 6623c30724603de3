/* `plan`: what a move would do, step by step, before anybody says yes. */
#include <inttypes.h>
#include <string.h>

#include "document_forced.h"
#include "document_mongo.h"
#include "document_parts.h"

static void set_change(json_t *row, const struct api_facts *facts,
                       const struct move_preview *preview, uint32_t i) {
    const struct state *state = facts->state;
    const char *from = document_region_name(state, preview->from);
    const char *to = document_region_name(state, preview->to);
    char fence[EID_SIZE];
    eid_format(fence, state->services[preview->service].name, state->incarnation, preview->epoch,
               i);
    switch (preview->plan.steps[i].kind) {
    case STEP_SETTLE: {
        uint32_t debt = preview->plan.steps[i].debt;
        const struct service *s = &state->services[preview->service];
        document_set(row, "now",
                     debt < s->debt_count ? document_format("%s may land", s->debts[debt].eid)
                                          : NULL);
        document_set(row, "then", document_text("void"));
        break;
    }
    case STEP_ADOPT:
        document_set(row, "now", document_text("any fence"));
        document_set(row, "then", document_text(fence));
        break;
    case STEP_UNMARK:
        document_set(row, "now", document_text("a fence"));
        document_set(row, "then", document_text("none"));
        break;
    case STEP_LEASE:
        document_set(row, "now", document_format("held by %s", from));
        document_set(row, "then", document_text("run out"));
        break;
    case STEP_PROMOTE:
        document_set(row, "now", document_text("SECONDARY"));
        document_set(row, "then", document_text("PRIMARY"));
        break;
    case STEP_WRITE:
        document_set(row, "now", document_text("-"));
        document_set(row, "then", document_text("w:majority"));
        break;
    case STEP_FORCE:
        document_set(row, "now", document_text("no majority"));
        document_set(row, "then", document_text("survivors only"));
        break;
    case STEP_READMIT:
        document_set(row, "now", document_text("no vote"));
        document_set(row, "then", document_text("back"));
        break;
    case STEP_PREFER:
    case STEP_SWITCH:
    case STEP_DNS:
    case STEP_KIND_COUNT:
        document_set(row, "now",
                     document_text(preview->kind == EXECUTION_REPAIR ? "as found" : from));
        document_set(row, "then",
                     document_text(preview->kind == EXECUTION_RELEASE ? "left alone" : to));
        break;
    }
}

static json_t *plan_steps(const struct api_facts *facts, const struct move_preview *preview) {
    const struct plan *plan = &preview->plan;
    json_t *rows = json_array();
    for (uint32_t i = 0; i < plan->count; i++) {
        json_t *row = json_object();
        json_t *needs = json_array();
        for (uint32_t j = 0; j < i; j++) {
            if ((plan->steps[i].needs >> j & 1) != 0) {
                document_append(needs, document_text(plan->steps[j].name));
            }
        }
        document_set(row, "name", document_text(plan->steps[i].name));
        document_set(row, "kind", document_text(step_kind_text(plan->steps[i].kind)));
        document_set(row, "target",
                     document_step_target(facts->state, preview->service, plan->steps[i].kind,
                                          plan->steps[i].zone, plan->steps[i].debt, &preview->mongo,
                                          preview->to));
        set_change(row, facts, preview, i);
        document_set(row, "needs", needs);
        document_append(rows, row);
    }
    return rows;
}

json_t *document_plan(const struct api_facts *facts, const struct move_preview *preview) {
    const struct state *state = facts->state;
    const struct spec_service *spec = &state->spec.services[preview->service];
    uint32_t passing = 0;
    uint32_t total = 0;
    json_t *object = json_object();
    json_t *epoch = json_object();
    document_set(epoch, "old", document_number(preview->epoch - 1));
    document_set(epoch, "new", document_number(preview->epoch));
    document_set(object, "service", document_text(spec->name));
    document_set(object, "kind", document_text(execution_kind_text(preview->kind)));
    document_set(object, "from", document_region(state, preview->from));
    document_set(object, "to", document_region(state, preview->to));
    document_set(object, "epoch", epoch);
    document_set(object, "plan", document_text(preview->hash));
    document_set(object, "rto_ms", spec->rto_ms == 0 ? NULL : document_number(spec->rto_ms));
    document_set(object, "steps", plan_steps(facts, preview));
    document_set(object, "gates", document_gates(preview->gates, &passing, &total));
    document_set(object, "passing", document_number(passing));
    document_set(object, "total", document_number(total));
    document_set(object, "failing", document_gate_words(preview->failing));
    document_set(object, "loss", document_loss(facts, preview));
    document_set(object, "skipped", document_gate_words(preview->skipped_gates));
    document_set(object, "forced", document_forced(facts, preview));
    return object;
}
