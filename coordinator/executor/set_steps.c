/* Promotion and write: nothing at the replica set refuses a late request, and none does harm. So
 * each round looks first, and asks again only when what was asked for didn't come. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "core/pending.h"
#include "target.h"
#include "task.h"
#include "test_point.h"

static enum driver_aim aim_of(enum step_kind kind) {
    return kind == STEP_PROMOTE ? DRIVER_PROMOTED : DRIVER_WRITTEN;
}

static void note(struct task *task, const char *words) {
    (void)snprintf(task->trouble, sizeof task->trouble, "%s", words);
}

static void on_look(void *context, const struct error *error, const struct driver_seen *seen) {
    struct task *task = context;
    uint32_t service;
    if (!task_locate(task, &service) || step_is_ended(task_step(task, service)->phase)) {
        task_end(task, 0);
        return;
    }
    if (error != NULL) {
        task_end_in_trouble(task, error->message);
        return;
    }
    const char *why = "";
    enum step_action action =
        step_after_look(executor_state(task->executor), service, task->step, seen->holds, &why);
    uint64_t again_ms = task->acted_ms + TASK_ACT_AGAIN_MS;
    if (action == ACTION_ATTEMPT && task->acted_ms != 0 &&
        executor_now(task->executor) < again_ms) {
        note(task, seen->words);
        task_end(task, TASK_WAIT_MS);
        return;
    }
    LOG_EVENT(TARGET_READ, LOG_TEXT("service", task->service), LOG_U64("epoch", task->epoch),
              LOG_TEXT("step", task_step(task, service)->name), LOG_TEXT("fence", seen->words),
              LOG_U64("action", action), LOG_TEXT("why", why));
    switch (action) {
    case ACTION_DONE:
        task->trouble[0] = '\0';
        task_propose_outcome(task, service, STEP_DONE, seen->words);
        break;
    case ACTION_ATTEMPT:
        note(task, seen->words);
        task_attempt(task, service);
        break;
    case ACTION_UNKNOWN:
        task_propose_outcome(task, service, STEP_UNKNOWN, why);
        break;
    default:
        task_propose_outcome(task, service, STEP_REFUSED, why);
        break;
    }
}

void task_look(struct task *task, uint32_t service) {
    const struct state *state = executor_state(task->executor);
    struct driver_target target;
    char eid[EID_SIZE];
    if (!target_of_step(state, service, task->step, &target)) {
        return;
    }
    step_eid(state, service, task->step, eid);
    task_begin(task);
    driver_look(task_driver(task, service), &target, aim_of(task_step(task, service)->kind), eid,
                on_look, task);
}

static void on_acted(void *context, const struct driver_sent *sent) {
    struct task *task = context;
    LOG_EVENT(EFFECT_SENT, LOG_TEXT("service", task->service), LOG_U64("epoch", task->epoch),
              LOG_U64("reply", sent->reply), LOG_TEXT("words", sent->message));
    if (sent->reply != DRIVER_REPLY_ACCEPTED) {
        task->acted_ms = 0; /* looked at, and asked for again, after the back-off */
        task_end_in_trouble(task, sent->message);
        return;
    }
    TEST_POINT("after-reply");
    task->delay_ms = 0;
    task_end(task, 0);
}

void task_act(struct task *task, uint32_t service) {
    const struct state *state = executor_state(task->executor);
    struct driver_target target;
    char eid[EID_SIZE];
    if (!target_of_step(state, service, task->step, &target)) {
        task_end(task, 0);
        return;
    }
    step_eid(state, service, task->step, eid);
    task->acted_ms = executor_now(task->executor);
    TEST_POINT("before-send");
    driver_act(task_driver(task, service), &target, aim_of(task_step(task, service)->kind), eid,
               task_send_until_ms(task->proposed_ms, &target), on_acted, task);
    TEST_POINT("after-send");
}

static void on_verified(void *context, const struct error *error, const struct driver_seen *seen) {
    struct task *task = context;
    uint32_t service;
    if (!task_locate(task, &service) || task_step(task, service)->phase != STEP_WAITING) {
        task_end(task, 0);
        return;
    }
    if (error != NULL || !seen->holds) {
        task_end_in_trouble(task, error != NULL ? error->message : seen->words);
        return;
    }
    struct command_step fields = task_fields(task, service);
    fields.begin_age_ms = task_begin_age_ms(task);
    task->trouble[0] = '\0';
    TEST_POINT("before-switch");
    task_propose(task, COMMAND_SWITCH, &fields, task_on_proposed);
}

void task_switch_verified(struct task *task, uint32_t service, uint32_t write) {
    const struct state *state = executor_state(task->executor);
    struct driver_target target;
    char eid[EID_SIZE];
    target_of_set(state, service, state->services[service].execution.to, &target);
    step_eid(state, service, write, eid);
    task_begin(task);
    driver_look(task->executor->options.set_driver, &target, DRIVER_WRITTEN, eid, on_verified,
                task);
}
