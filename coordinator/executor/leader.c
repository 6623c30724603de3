#include "executor/leader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* After a proposal that was refused, or wasn't taken: the same judgement may come out again, and
 * must not fill the log, or the loop. */
#define AFTER_REFUSAL_MS 250

struct kept_report {
    struct report *report; /* NULL: none this term */
    uint64_t node_id;
    uint64_t received_ms;
};

struct leader {
    struct leader_options options;
    uv_timer_t timer;
    bool leads, closing;
    uint64_t term, term_start_ms;
    uint64_t tick_proposed_ms; /* of the last applied TICK of ours in this term */
    struct kept_report kept[NODE_MAX];
    uint32_t outstanding; /* proposals that have not come back */
    uint64_t pause_until_ms;
    struct command commands[POLICY_COMMAND_MAX];
    void (*on_closed)(void *context);
    void *closed_context;
};

struct proposal {
    struct leader *leader;
    uint64_t term, proposed_ms;
    enum command_kind kind;
};

static uint64_t now_ms(const struct leader *leader) {
    return clock_boottime_ms(leader->options.clock);
}

static const struct state *state_of(const struct leader *leader) {
    return leader->options.proposer.state(leader->options.proposer.context);
}

static void finish_if_idle(struct leader *leader);

static void on_proposed(void *context, enum error_code error, enum core_error answer,
                        uint64_t index) {
    struct proposal *proposal = context;
    struct leader *leader = proposal->leader;
    assert(leader->outstanding > 0);
    leader->outstanding--;
    bool applied = error == ERROR_OK && answer == CORE_OK;
    if (applied && proposal->kind == COMMAND_TICK && proposal->term == leader->term) {
        leader->tick_proposed_ms = proposal->proposed_ms;
    }
    if (error == ERROR_OK && answer != CORE_OK) {
        LOG_EVENT(COMMAND_REFUSED, LOG_TEXT("command", command_kind_text(proposal->kind)),
                  LOG_TEXT("code", core_error_name(answer)), LOG_U64("index", index),
                  LOG_TEXT("why", core_error_text(answer)));
    }
    if (!applied && proposal->term == leader->term) {
        leader->pause_until_ms = now_ms(leader) + AFTER_REFUSAL_MS;
    }
    free(proposal);
    leader_poke(leader);
    finish_if_idle(leader);
}

static void propose(struct leader *leader, const struct command *command) {
    struct proposal *proposal = calloc(1, sizeof *proposal);
    if (proposal == NULL) {
        return; /* the policy says it again */
    }
    *proposal = (struct proposal){leader, leader->term, now_ms(leader), command->kind};
    leader->outstanding++;
    leader->options.proposer.propose(leader->options.proposer.context, command, on_proposed,
                                     proposal);
}

bool leader_input(const struct leader *leader, struct policy_input *ret) {
    memset(ret, 0, sizeof *ret);
    ret->term = leader->term;
    ret->self_id = leader->options.self_id;
    ret->now_ms = now_ms(leader);
    ret->wall_ms = clock_wall_ms(leader->options.clock);
    if (!leader->leads) {
        return false;
    }
    ret->term_start_ms = leader->term_start_ms;
    ret->tick_proposed_ms = leader->tick_proposed_ms;
    const struct state *state = state_of(leader);
    for (uint32_t n = 0; n < state->node_count; n++) {
        for (uint32_t i = 0; i < NODE_MAX; i++) {
            const struct kept_report *kept = &leader->kept[i];
            if (kept->report != NULL && kept->node_id == state->nodes[n].id) {
                ret->reports[n] = kept->report;
                ret->received_ms[n] = kept->received_ms;
            }
        }
    }
    return true;
}

static void on_timer(uv_timer_t *timer) {
    struct leader *leader = timer->data;
    if (!leader->leads || leader->closing || leader->outstanding > 0) {
        return;
    }
    uint64_t time_ms = now_ms(leader);
    if (time_ms < leader->pause_until_ms) {
        uv_timer_start(timer, on_timer, leader->pause_until_ms - time_ms, 0);
        return;
    }
    struct policy_input input;
    (void)leader_input(leader, &input);
    struct policy_output output = {.commands = leader->commands};
    policy_next(state_of(leader), &input, &output);
    for (uint32_t i = 0; i < output.count; i++) {
        propose(leader, &output.commands[i]);
    }
    if (!uv_is_active((const uv_handle_t *)timer)) {
        uv_timer_start(timer, on_timer, output.again_ms, 0);
    }
}

void leader_poke(struct leader *leader) {
    if (leader->leads && !leader->closing) {
        uv_timer_start(&leader->timer, on_timer, 0, 0);
    }
}

struct leader *leader_create(const struct leader_options *options) {
    struct leader *leader = calloc(1, sizeof *leader);
    if (leader == NULL) {
        return NULL;
    }
    leader->options = *options;
    uv_timer_init(options->loop, &leader->timer);
    leader->timer.data = leader;
    return leader;
}

static void forget_reports(struct leader *leader) {
    for (uint32_t i = 0; i < NODE_MAX; i++) {
        free(leader->kept[i].report);
        leader->kept[i] = (struct kept_report){0};
    }
}

void leader_lead(struct leader *leader, bool leads, uint64_t term) {
    leader->leads = leads;
    leader->term = term;
    leader->term_start_ms = now_ms(leader);
    leader->tick_proposed_ms = 0;
    leader->pause_until_ms = 0;
    forget_reports(leader);
    if (leads) {
        leader_poke(leader);
    } else if (!leader->closing) {
        uv_timer_stop(&leader->timer);
    }
}

void leader_on_report(struct leader *leader, const struct report *report) {
    if (!leader->leads || leader->closing ||
        state_find_node(state_of(leader), report->node_id) == NONE_INDEX) {
        return;
    }
    struct kept_report *slot = NULL;
    for (uint32_t i = 0; i < NODE_MAX; i++) {
        struct kept_report *kept = &leader->kept[i];
        if (kept->report != NULL && kept->node_id == report->node_id) {
            slot = kept;
            break;
        }
        bool stale =
            kept->report != NULL && state_find_node(state_of(leader), kept->node_id) == NONE_INDEX;
        if (slot == NULL && (kept->report == NULL || stale)) {
            slot = kept;
        }
    }
    if (slot == NULL) {
        return;
    }
    bool same = slot->report != NULL && slot->node_id == report->node_id;
    if (same &&
        (report->boot < slot->report->boot ||
         (report->boot == slot->report->boot && report->sequence <= slot->report->sequence))) {
        return; /* overtaken on its way */
    }
    if (slot->report == NULL) {
        slot->report = calloc(1, sizeof *slot->report);
        if (slot->report == NULL) {
            return;
        }
    }
    report_copy(slot->report, report);
    slot->node_id = report->node_id;
    slot->received_ms = now_ms(leader);
    leader_poke(leader);
}

uint64_t leader_tick_proposed_ms(const struct leader *leader) {
    return leader->tick_proposed_ms;
}

const struct report *leader_report(const struct leader *leader, uint64_t node_id) {
    for (uint32_t i = 0; i < NODE_MAX; i++) {
        if (leader->kept[i].report != NULL && leader->kept[i].node_id == node_id) {
            return leader->kept[i].report;
        }
    }
    return NULL;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct leader *leader = handle->data;
    void (*on_closed)(void *) = leader->on_closed;
    void *context = leader->closed_context;
    forget_reports(leader);
    free(leader);
    if (on_closed != NULL) {
        on_closed(context);
    }
}

static void finish_if_idle(struct leader *leader) {
    if (leader->closing && leader->outstanding == 0 &&
        !uv_is_closing((uv_handle_t *)&leader->timer)) {
        uv_close((uv_handle_t *)&leader->timer, on_timer_closed);
    }
}

void leader_close(struct leader *leader, void (*on_closed)(void *context), void *context) {
    leader->closing = true;
    leader->leads = false;
    leader->on_closed = on_closed;
    leader->closed_context = context;
    finish_if_idle(leader);
}
