/* What the files of state_apply share. Each apply_*() validates everything before it changes
 * anything. */
#ifndef CORE_APPLY_PRIVATE_H
#define CORE_APPLY_PRIVATE_H

#include "core/command.h"
#include "core/policy.h"
#include "core/state.h"

struct apply {
    struct state *state;
    const struct command *command;
    uint64_t index;
};

/* apply_facts.c */
enum core_error apply_nodes(struct apply *a);
enum core_error apply_leader(struct apply *a);
enum core_error apply_feature(struct apply *a);
enum core_error apply_opinion(struct apply *a);
enum core_error apply_expire(struct apply *a);
enum core_error apply_tick(struct apply *a);
enum core_error apply_suspect(struct apply *a);
enum core_error apply_note(struct apply *a);
enum core_error apply_halt(struct apply *a);
/* Stops automation, and ends what it decided and hasn't begun. No-op when it is stopped already. */
void automation_halt(struct apply *a);
/* Ends the window of a service; `why` is an event's detail. No-op when none is open. */
void unsuspect(struct apply *a, uint32_t service, const char *why);

/* apply_decide.c */
enum core_error apply_decide(struct apply *a);
enum core_error apply_move(struct apply *a);
enum core_error apply_lapse(struct apply *a);
/* Ends an execution that has not begun. */
void lapse(struct apply *a, uint32_t service, const char *why);

/* What holds back any move, unless an operator skipped it by name. */
enum core_error check_overrides(const struct state *state, uint32_t service, uint32_t to,
                                uint32_t skip);

/* apply_step.c */
enum core_error apply_intent(struct apply *a);
enum core_error apply_attempt(struct apply *a);
enum core_error apply_accepted(struct apply *a);
enum core_error apply_closing(struct apply *a);
enum core_error apply_outcome(struct apply *a);
enum core_error apply_switch(struct apply *a);
void step_end(struct apply *a, struct step *step, enum step_phase phase);
/* Ends what can't go on any more, and the execution when all steps have ended. */
void execution_settle(struct apply *a, uint32_t service);

/* apply_people.c */
enum core_error apply_spec(struct apply *a);
enum core_error apply_override(struct apply *a);
enum core_error apply_override_end(struct apply *a);
enum core_error apply_approve(struct apply *a);
enum core_error apply_reject(struct apply *a);
enum core_error apply_cancel(struct apply *a);
enum core_error apply_release(struct apply *a);
enum core_error apply_resume_automation(struct apply *a);

/* spec_apply.c: takes the command's spec over, with every service's state moved to its new place.
 */
void state_take_spec(struct state *state, const struct spec *spec);

/* A new event at the end of the ring, dated and numbered; the caller fills in the rest. */
struct event *event_add(struct apply *a, enum event_kind kind);
struct event *event_add_service(struct apply *a, enum event_kind kind, uint32_t service);
/* A row of history from the service's execution. */
void move_add(struct apply *a, uint32_t service);
/* One more step of the plan that the row tells. */
void move_name_step(struct move *move, const char *name);

/* For people's commands about one service: it exists, its owner is the actor's. */
enum core_error find_owned_service(const struct apply *a, const char *name, uint32_t *ret_service);

const char *region_name(const struct state *state, uint32_t region);

/* last_move_end_ms of a move that ended since the last TICK and had none while it ran: the next
 * TICK puts its own time there. Until then the cooldown holds. */
#define MOVE_END_UNTIMED_MS TIME_MAX_MS

static inline uint32_t majority(uint32_t count) {
    return count / 2 + 1;
}

#endif
