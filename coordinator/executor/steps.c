/* One round of work for a step. Every path ends in task_end(); what it found is proposed, and the
 * next round starts from what was committed. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "driver/mongo.h"
#include "driver/route53.h"
#include "target.h"
#include "task.h"
#include "test_point.h"

const struct step *task_step(const struct task *task, uint32_t service) {
    return &executor_state(task->executor)->services[service].execution.steps[task->step];
}

struct command_step task_fields(const struct task *task, uint32_t service) {
    struct command_step fields;
    memset(&fields, 0, sizeof fields);
    fields.service = service;
    fields.epoch = task->epoch;
    fields.step = task->step;
    return fields;
}

/* How long ago DECIDE's TICK was proposed, by our own stopwatch: "Begin".
 *
 * It is taken when the beginning is proposed; a stall may let any time pass until it is committed.
 * That lets nothing begin that the rule forbids: whatever would have ended the execution meanwhile
 * (veto, pause, UNSUSPECT, another LEADER) is in the log either before the beginning, which apply
 * then refuses, or behind it, where it would have come too late without the stall as well. What
 * remains is a group that stands still between the two; the same as one that stands still right
 * after its beginning, which no rule can exclude. The fences make both harmless at the target. */
uint64_t task_begin_age_ms(const struct task *task) {
    const struct executor *executor = task->executor;
    uint64_t tick_ms = executor->options.tick_proposed_ms(executor->options.context);
    uint64_t now_ms = executor_now(executor);
    return tick_ms == 0 || tick_ms > now_ms ? TIME_MAX_MS : now_ms - tick_ms;
}

void task_on_proposed(void *context, enum error_code error, enum core_error answer,
                      uint64_t index) {
    struct task *task = context;
    (void)index;
    if (error == ERROR_OK && answer == CORE_OK) {
        TEST_POINT_COMMITTED(task->proposed);
        task->delay_ms = 0;
        task_end(task, 0);
        return;
    }
    task_end_in_trouble(task, error != ERROR_OK ? error_text(error) : core_error_text(answer));
}

uint64_t task_send_until_ms(uint64_t from_ms, const struct driver_target *target) {
    uint64_t look_ms = target->set.used ? SET_LOOK_TIMEOUTS * (uint64_t)target->set.timeout_ms : 0;
    return from_ms + SEND_DEADLINE_MS + look_ms;
}

struct driver *task_driver(const struct task *task, uint32_t service) {
    const struct executor_options *options = &task->executor->options;
    bool of_set = step_is_of_set(executor_state(task->executor), service, task->step);
    return of_set ? options->set_driver : options->driver;
}

void task_switch(struct task *task, uint32_t service) {
    const struct execution *execution =
        &executor_state(task->executor)->services[service].execution;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (execution->steps[i].kind == STEP_WRITE && execution->steps[i].phase == STEP_DONE) {
            task_switch_verified(task, service, i);
            return;
        }
    }
    struct command_step fields = task_fields(task, service);
    fields.begin_age_ms = task_begin_age_ms(task);
    task_begin(task);
    TEST_POINT("before-switch");
    task_propose(task, COMMAND_SWITCH, &fields, task_on_proposed);
}

void task_propose_outcome(struct task *task, uint32_t service, enum step_phase outcome,
                          const char *detail) {
    struct command_step fields = task_fields(task, service);
    fields.outcome = outcome;
    if (task->fence_present) {
        memcpy(fields.fence, task->fence_read, sizeof fields.fence);
    }
    (void)snprintf(fields.detail, sizeof fields.detail, "%s", detail);
    TEST_POINT("before-outcome");
    task_propose(task, COMMAND_OUTCOME, &fields, task_on_proposed);
}

/* --- INTENT --- */

static void keep_fence(struct task *task, const struct driver_reading *reading) {
    task->fence_present = reading->fence_present;
    (void)snprintf(task->fence_read, sizeof task->fence_read, "%s",
                   reading->fence_present ? reading->fence : "");
}

static void copy_blob(struct blob *to, const struct driver_blob *from) {
    to->used = true;
    to->size_bytes = from->size_bytes;
    memcpy(to->bytes, from->bytes, from->size_bytes);
}

_Static_assert(DRIVER_STATE_MAX <= BLOB_SIZE, "every state that a driver reads can be committed");

/* An adoption says which region serves: the records must say so too. */
static bool adoption_is_true(struct task *task, uint32_t service,
                             const struct driver_target *target,
                             const struct driver_reading *reading, struct error *error) {
    const struct state *state = executor_state(task->executor);
    const struct execution *execution = &state->services[service].execution;
    struct driver_blob desired;
    char diff[REASON_SIZE];
    if (step_is_of_set(state, service, task->step)) {
        if (reading->primary_region != execution->to) {
            (void)error_set(error, ERROR_CONFLICT, "the replica set's primary isn't in %s (%.120s)",
                            state->spec.regions[execution->to].name, reading->summary);
        }
        return reading->primary_region == execution->to;
    }
    enum error_code code =
        target_desired(state, service, execution->steps[task->step].zone, execution->to, target,
                       &reading->state, &desired, diff, sizeof diff, error);
    if (code != ERROR_OK) {
        return false;
    }
    if (diff[0] != '\0') {
        (void)error_set(error, ERROR_CONFLICT, "the zone doesn't point to %s: %.120s",
                        state->spec.regions[execution->to].name, diff);
        return false;
    }
    return true;
}

/* What stands against an intent, given what was read; fills in the command's fields otherwise. */
static enum error_code prepare_intent(struct task *task, uint32_t service,
                                      const struct driver_target *target,
                                      const struct driver_reading *reading,
                                      struct command_step *fields, struct error *error) {
    const struct state *state = executor_state(task->executor);
    const struct execution *execution = &state->services[service].execution;
    const struct step *step = &execution->steps[task->step];
    char ours[NAME_SIZE + 2];
    char ours_void[NAME_SIZE + 8];
    (void)snprintf(ours, sizeof ours, "%s/", state->cluster);
    (void)snprintf(ours_void, sizeof ours_void, "void(%s/", state->cluster);
    (void)snprintf(fields->fence, sizeof fields->fence, "%s",
                   reading->fence_present ? reading->fence : "");
    struct fence there;
    if (reading->fence_present && fence_parse(reading->fence, state->cluster, &there) &&
        (there.incarnation > state->incarnation ||
         (text_equal(there.service, state->services[service].name) &&
          !fence_is_before(&there, state->incarnation, execution->epoch)))) {
        return error_set(error, ERROR_CONFLICT,
                         "the fence is of a later epoch than this move: %.150s", reading->fence);
    }
    if (step_is_of_set(state, service, task->step) && step->kind != STEP_ADOPT &&
        reading->fence_present && fence_parse(reading->fence, state->cluster, &there) &&
        fence_is_of_old_side(&there, state->services[service].forced_epoch)) {
        return error_set(error, ERROR_CONFLICT,
                         "what answers has the config from before the forced one: the old side is "
                         "up. Keep it apart, or adopt it (%.100s)",
                         reading->fence);
    }
    if (step->kind == STEP_UNMARK && !reading->fence_present) {
        return ERROR_OK;
    }
    if (step->kind == STEP_ADOPT) {
        return adoption_is_true(task, service, target, reading, error) ? ERROR_OK : error->code;
    }
    if (!reading->fence_present) {
        return error_set(error, ERROR_NOT_FOUND,
                         "there is no fence %s: run noctuactl adopt %s first", target->fence_name,
                         state->services[service].name);
    }
    if (!text_starts_with(reading->fence, ours) && !text_starts_with(reading->fence, ours_void)) {
        return error_set(error, ERROR_CONFLICT, "the fence is another group's: %.150s",
                         reading->fence);
    }
    if (step->kind == STEP_UNMARK) {
        return ERROR_OK;
    }
    struct driver_blob desired;
    char diff[REASON_SIZE];
    if (reading->against[0] != '\0') {
        return error_set(error, ERROR_CONFLICT, "%.200s", reading->against);
    }
    enum error_code code = target_desired(state, service, step->zone, execution->to, target,
                                          &reading->state, &desired, diff, sizeof diff, error);
    if (code == ERROR_OK && step->kind == STEP_FORCE) {
        fields->forced_version = mongo_driver_forced_version(target, &reading->state);
        code = mongo_driver_left_out(target, &reading->state, fields->left_out,
                                     &fields->left_out_count, error);
    }
    if (code == ERROR_OK) {
        copy_blob(&fields->before, &reading->state);
        copy_blob(&fields->after, &desired);
        (void)snprintf(fields->detail, sizeof fields->detail, "%s", diff);
    }
    return code;
}

static void on_read_for_intent(void *context, const struct error *read_error,
                               const struct driver_reading *reading) {
    struct task *task = context;
    uint32_t service;
    if (!task_locate(task, &service) || task_step(task, service)->phase != STEP_WAITING) {
        task_end(task, 0);
        return;
    }
    if (read_error != NULL && read_error->code != ERROR_NOT_FOUND) {
        task_end_in_trouble(task, read_error->message);
        return;
    }
    struct error error = {ERROR_OK, ""};
    struct driver_target target;
    struct command_step fields = task_fields(task, service);
    fields.begin_age_ms = task_begin_age_ms(task);
    if (read_error != NULL) {
        error = *read_error;
    } else {
        keep_fence(task, reading);
        if (!target_of_step(executor_state(task->executor), service, task->step, &target)) {
            task_end(task, 0);
            return;
        }
    }
    if (error.code == ERROR_OK && task_step(task, service)->kind == STEP_SETTLE) {
        task_propose(task, COMMAND_CLOSING, &fields, task_on_proposed);
        return;
    }
    if (error.code != ERROR_OK ||
        prepare_intent(task, service, &target, reading, &fields, &error) != ERROR_OK) {
        /* Nothing was sent: the step is refused, in the words of what stands against it. */
        task_propose_outcome(task, service, STEP_REFUSED, error.message);
        return;
    }
    TEST_POINT("before-intent");
    task_propose(task, COMMAND_INTENT, &fields, task_on_proposed);
}

/* A lease has no target to read: what it will change is who gets grants, from DECIDE on. What a
 * promotion finds is read before each attempt. */
void task_intend_blind(struct task *task, uint32_t service) {
    struct command_step fields = task_fields(task, service);
    fields.begin_age_ms = task_begin_age_ms(task);
    task_begin(task);
    TEST_POINT("before-intent");
    task_propose(task, COMMAND_INTENT, &fields, task_on_proposed);
}

void task_intend(struct task *task, uint32_t service) {
    struct driver_target target;
    enum step_kind kind = task_step(task, service)->kind;
    if (kind == STEP_LEASE || step_is_unfenced(kind)) {
        task_intend_blind(task, service);
        return;
    }
    if (!target_of_step(executor_state(task->executor), service, task->step, &target)) {
        return;
    }
    task_begin(task);
    driver_read(task_driver(task, service), &target, "", on_read_for_intent, task);
}

/* --- lease: nothing is sent; it takes its time --- */

void task_outlast(struct task *task, uint32_t service) {
    const struct executor *executor = task->executor;
    uint64_t wait_ms = executor->options.lease_wait_ms(executor->options.context, service);
    task_begin(task);
    if (wait_ms > 0) {
        wait_ms = wait_ms < TIME_MAX_MS ? wait_ms : TIME_MAX_MS;
        const struct state *state = executor_state(executor);
        uint32_t from = state->services[service].execution.from;
        char text[TEXT_DURATION_SIZE];
        (void)snprintf(task->trouble, sizeof task->trouble, "%s may hold its lease for another %s",
                       state->spec.regions[from].name,
                       text_from_duration_ms((wait_ms + 999) / 1000 * 1000, text));
        task_end(task, wait_ms < TASK_WAIT_MS ? (uint32_t)wait_ms : TASK_WAIT_MS);
        return;
    }
    task->trouble[0] = '\0';
    task_propose_outcome(task, service, STEP_DONE, "");
}

/* --- ATTEMPT: propose, and send once when it is applied in this term --- */

static void on_sent(void *context, const struct driver_sent *sent);

static void send_attempt(struct task *task, uint32_t service) {
    const struct state *state = executor_state(task->executor);
    const struct step *step = task_step(task, service);
    struct driver_target target;
    struct driver_blob before;
    struct driver_blob after;
    char eid[EID_SIZE];
    char fence[FENCE_SIZE];
    if (!target_of_step(state, service, task->step, &target)) {
        task_end(task, 0);
        return;
    }
    step_eid(state, service, task->step, eid);
    fence_format(fence, state->cluster, eid);
    struct driver_change change = {
        .fence_before = step->fence_before[0] == '\0' ? NULL : step->fence_before,
        .fence_after = step->kind == STEP_UNMARK ? NULL : fence,
        .comment = eid,
        .deadline_boottime_ms = task_send_until_ms(task->proposed_ms, &target),
    };
    if (step_has_states(step->kind)) {
        const struct blob *from = &state->blobs[step->state_before];
        const struct blob *to = &state->blobs[step->state_after];
        before.size_bytes = from->size_bytes;
        memcpy(before.bytes, from->bytes, from->size_bytes);
        after.size_bytes = to->size_bytes;
        memcpy(after.bytes, to->bytes, to->size_bytes);
        change.state_before = &before;
        change.state_after = &after;
    }
    task->sending = ACTION_ATTEMPT;
    task->sync_change_id[0] = '\0';
    TEST_POINT("before-send");
    driver_send(task_driver(task, service), &target, &change, on_sent, task);
    TEST_POINT("after-send");
}

/* A cancel came in between: what hasn't left stays here. */
static bool is_cancelled(const struct task *task, uint32_t service) {
    const struct state *state = executor_state(task->executor);
    return state->services[service].execution.phase == EXECUTION_CANCELLING;
}

static void on_attempt_proposed(void *context, enum error_code error, enum core_error answer,
                                uint64_t index) {
    struct task *task = context;
    uint32_t service;
    if (error != ERROR_OK || answer != CORE_OK) {
        task_on_proposed(context, error, answer, index);
        return;
    }
    /* Applied, in our term, by a leader that has passed its barrier. If anything of that has
     * changed, or the stopwatch says that we were away: the next leader, or round, reads first. */
    bool late = executor_now(task->executor) > task->proposed_ms + SEND_DEADLINE_MS;
    if (!task_locate(task, &service) || task_step(task, service)->phase != STEP_ATTEMPTED) {
        task_end(task, 0);
        return;
    }
    if (late && task_step(task, service)->kind == STEP_FORCE) {
        /* It was the only attempt. Nobody needs to wait for what didn't leave. */
        task_propose_outcome(task, service, STEP_UNKNOWN,
                             "nothing was sent: it took too long to commit that it would be");
        return;
    }
    if (late || is_cancelled(task, service)) {
        task_end(task, 0);
        return;
    }
    TEST_POINT("after-attempt");
    if (step_is_unfenced(task_step(task, service)->kind)) {
        task_act(task, service);
    } else {
        send_attempt(task, service);
    }
}

void task_attempt(struct task *task, uint32_t service) {
    struct command_step fields = task_fields(task, service);
    fields.attempt = task_step(task, service)->attempts + 1;
    if (!task->busy) {
        task_begin(task);
    }
    task->proposed_ms = executor_now(task->executor);
    TEST_POINT("before-attempt");
    task_propose(task, COMMAND_ATTEMPT, &fields, on_attempt_proposed);
}

/* A yes is committed: later steps may start. Anything else decides nothing; the next round reads.
 */
static void on_sent(void *context, const struct driver_sent *sent) {
    struct task *task = context;
    uint32_t service;
    if (!task_locate(task, &service)) {
        task_end(task, 0);
        return;
    }
    const struct step *step = task_step(task, service);
    LOG_EVENT(EFFECT_SENT, LOG_TEXT("service", task->service), LOG_U64("epoch", task->epoch),
              LOG_TEXT("step", step->name), LOG_U64("reply", sent->reply),
              LOG_TEXT("change", sent->change_id), LOG_TEXT("words", sent->message));
    if (sent->reply != DRIVER_REPLY_ACCEPTED) {
        /* Of a forced config, a "no" is waited for no longer; what there is, a person must see. */
        task->force_failed = step->kind == STEP_FORCE && sent->reply != DRIVER_REPLY_UNKNOWN;
        task_end_in_trouble(task, sent->message);
        return;
    }
    TEST_POINT("after-reply");
    task->delay_ms = 0;
    if (step->kind == STEP_FORCE) {
        task_end(task, 0); /* a yes is no proof either: it is read back */
        return;
    }
    if (step->phase == STEP_CLOSING) {
        (void)TEXT_COPY(task->sync_change_id, sent->change_id);
        memcpy(task->sync_fence, task->fence_sent, sizeof task->sync_fence);
        task_end(task, TASK_WAIT_MS);
        return;
    }
    task->trouble[0] = '\0';
    struct command_step fields = task_fields(task, service);
    fields.attempt = step->attempts;
    (void)TEXT_COPY(fields.change_id, sent->change_id);
    task_propose(task, COMMAND_ACCEPTED, &fields, task_on_proposed);
}

/* --- reading what became of it --- */

/* Rewrites the fence alone, from what was read: to void(eid), or to itself. */
static void send_fence(struct task *task, uint32_t service, enum step_action action) {
    const struct state *state = executor_state(task->executor);
    struct driver_target target;
    char eid[EID_SIZE];
    char burnt[FENCE_SIZE];
    if (!target_of_step(state, service, task->step, &target)) {
        task_end(task, 0);
        return;
    }
    step_eid(state, service, task->step, eid);
    fence_format_void(burnt, state->cluster, eid);
    struct driver_change change = {
        .fence_before = task->fence_read,
        .fence_after = action == ACTION_BURN ? burnt : task->fence_read,
        .comment = eid,
        .deadline_boottime_ms = task_send_until_ms(executor_now(task->executor), &target),
    };
    task->sending = action;
    (void)TEXT_COPY(task->fence_sent, change.fence_after);
    if (action == ACTION_BURN) {
        TEST_POINT("before-burn");
    }
    driver_send(task_driver(task, service), &target, &change, on_sent, task);
    if (action == ACTION_BURN) {
        TEST_POINT("after-burn");
    }
}

static void act(struct task *task, uint32_t service, enum step_action action, const char *why) {
    struct command_step fields = task_fields(task, service);
    switch (action) {
    case ACTION_DONE:
        task_propose_outcome(task, service, STEP_DONE, "");
        break;
    case ACTION_REFUSED:
        task_propose_outcome(task, service, STEP_REFUSED, task->trouble);
        break;
    case ACTION_UNKNOWN:
        /* What was said when it was sent says more. */
        task_propose_outcome(task, service, STEP_UNKNOWN, task->force_failed ? task->trouble : why);
        break;
    case ACTION_ATTEMPT:
        task_attempt(task, service);
        break;
    case ACTION_CLOSE:
        (void)snprintf(fields.detail, sizeof fields.detail, "%s", why);
        TEST_POINT("before-closing");
        task_propose(task, COMMAND_CLOSING, &fields, task_on_proposed);
        break;
    case ACTION_BURN:
    case ACTION_TOUCH:
        send_fence(task, service, action);
        break;
    case ACTION_WAIT:
    case STEP_ACTION_COUNT:
        task_end(task, TASK_WAIT_MS);
        break;
    }
}

static bool state_is_as_before(const struct state *state, const struct step *step,
                               const struct driver_blob *read) {
    if (step->state_before >= BLOB_MAX) {
        return true; /* the step works on the fence alone */
    }
    const struct blob *before = &state->blobs[step->state_before];
    return before->size_bytes == read->size_bytes &&
           memcmp(before->bytes, read->bytes, read->size_bytes) == 0;
}

/* A change in sync proves the fence that it wrote. When another one is there (an attempt landed in
 * front of a burn, another leader burnt), nothing is known of the change that put it there. */
static bool change_wrote(const struct task *task, uint32_t service, const char *fence) {
    if (step_is_of_set(executor_state(task->executor), service, task->step)) {
        return true; /* it was read on a majority */
    }
    char eid[EID_SIZE];
    char wanted[FENCE_SIZE];
    if (task->sync_change_id[0] != '\0') {
        return text_equal(task->sync_fence, fence);
    }
    const struct state *state = executor_state(task->executor);
    step_eid(state, service, task->step, eid);
    fence_format(wanted, state->cluster, eid);
    return text_equal(wanted, fence);
}

/* Whether it has had its time, by our own stopwatch: a forced config that was sent, to show; what
 * stands against a readmission, to pass. */
static bool is_late(struct task *task, uint32_t service) {
    uint64_t now_ms = executor_now(task->executor);
    bool forces = task_step(task, service)->kind == STEP_FORCE;
    if (!forces && task_step(task, service)->kind != STEP_READMIT) {
        return false;
    }
    task->resolving_ms = task->resolving_ms == 0 ? now_ms : task->resolving_ms;
    uint64_t limit_ms = forces ? FORCE_SHOWS_MS : READMIT_TRIES_MS;
    return task->force_failed || now_ms - task->resolving_ms >= limit_ms;
}

static void on_read_to_resolve(void *context, const struct error *error,
                               const struct driver_reading *reading) {
    static const enum target_sync syncs[] = {TARGET_PENDING, TARGET_INSYNC, TARGET_NO_SUCH_CHANGE,
                                             TARGET_NOT_ASKED};
    struct task *task = context;
    uint32_t service;
    if (!task_locate(task, &service)) {
        task_end(task, 0);
        return;
    }
    const struct state *state = executor_state(task->executor);
    const struct step *step = task_step(task, service);
    if (error != NULL) {
        if (step->kind == STEP_FORCE && is_late(task, service) && step->phase == STEP_ATTEMPTED) {
            task_propose_outcome(task, service, STEP_UNKNOWN, error->message);
        } else {
            task_end_in_trouble(task, error->message);
        }
        return;
    }
    keep_fence(task, reading);
    struct target_reading seen = {
        .sync =
            change_wrote(task, service, task->fence_read) ? syncs[reading->sync] : TARGET_NOT_ASKED,
        .fence_present = reading->fence_present,
        .fence = task->fence_read,
        .state_as_before = state_is_as_before(state, step, &reading->state),
        .late = is_late(task, service),
        .against = reading->against[0] == '\0' ? NULL : reading->against,
    };
    bool resolvable = (step->phase == STEP_INTENDED && step->kind == STEP_UNMARK) ||
                      step->phase == STEP_ATTEMPTED || step->phase == STEP_ACCEPTED ||
                      step->phase == STEP_CLOSING;
    if (!resolvable) {
        task_end(task, 0);
        return;
    }
    const char *why = "";
    enum step_action action = step_after_read(state, service, task->step, &seen, &why);
    if (action != ACTION_WAIT) {
        LOG_EVENT(TARGET_READ, LOG_TEXT("service", task->service), LOG_U64("epoch", task->epoch),
                  LOG_TEXT("step", step->name), LOG_TEXT("fence", task->fence_read),
                  LOG_U64("action", action), LOG_TEXT("why", why));
    }
    act(task, service, action, why);
}

void task_resolve(struct task *task, uint32_t service) {
    const struct state *state = executor_state(task->executor);
    const struct step *step = task_step(task, service);
    struct driver_target target;
    if (step_is_unfenced(step->kind)) {
        task_look(task, service);
        return;
    }
    if (!target_of_step(state, service, task->step, &target)) {
        return;
    }
    const char *change_id =
        task->sync_change_id[0] != '\0' ? task->sync_change_id : step->change_id;
    task_begin(task);
    driver_read(task_driver(task, service), &target, change_id, on_read_to_resolve, task);
}
