/* The entry of every command: who may, whether it was here before, then its own rules. */
#include <string.h>

#include "apply.h"
#include "base/text.h"

struct event *event_add(struct apply *a, enum event_kind kind) {
    struct event *event = &a->state->events[a->state->event_count % EVENT_MAX];
    a->state->event_count++;
    memset(event, 0, sizeof *event);
    event->index = a->index;
    event->time_ms = a->state->time_ms;
    event->wall_ms = a->command->wall_ms;
    event->kind = kind;
    memcpy(event->actor, a->command->origin.actor, sizeof event->actor);
    memcpy(event->detail, a->command->origin.reason, sizeof event->detail);
    return event;
}

struct event *event_add_service(struct apply *a, enum event_kind kind, uint32_t service) {
    struct event *event = event_add(a, kind);
    const struct service *s = &a->state->services[service];
    memcpy(event->service, s->name, sizeof event->service);
    event->epoch = s->epoch;
    return event;
}

void move_name_step(struct move *move, const char *name) {
    size_t used = strnlen(move->plan, sizeof move->plan);
    size_t length = strlen(name);
    if (used + length + 2 <= sizeof move->plan) {
        if (used > 0) {
            move->plan[used++] = ' ';
        }
        memcpy(move->plan + used, name, length + 1);
    }
}

/* Whether its replica set may have a primary by it: asked for, or found. A forced config is enough:
 * where it landed, the survivors elect one by themselves. */
static bool may_have_promoted(const struct execution *execution) {
    bool may = false;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        bool promotes = step->kind == STEP_FORCE || step_is_unfenced(step->kind);
        may = may || (promotes && (step->attempts > 0 || step->phase == STEP_DONE));
    }
    return may;
}

/* Only who has all that a majority acknowledged is elected; upon whom a config is forced may lack
 * some of it. */
static void move_keep_loss(const struct state *state, uint32_t service, struct move *move) {
    const struct execution *execution = &state->services[service].execution;
    struct mongo_verdict verdict;
    if (!may_have_promoted(execution)) {
        return;
    }
    mongo_judge(&state->spec.services[service].mongo, &execution->mongo, execution->to, &verdict);
    move->set_case = verdict.kind;
    if (verdict.kind == MONGO_CASE_FORCED) {
        struct mongo_loss loss = mongo_loss(&execution->mongo, verdict.member);
        move->lost_ms = loss.lag_ms;
        move->lost_writes = loss.writes;
    }
}

void move_add(struct apply *a, uint32_t service) {
    const struct service *s = &a->state->services[service];
    const struct execution *execution = &s->execution;
    struct move *move = &a->state->moves[a->state->move_count % MOVE_MAX];
    a->state->move_count++;
    memset(move, 0, sizeof *move);
    move->index = a->index;
    move->wall_ms = execution->start_wall_ms;
    move->took_ms = execution->end_wall_ms > execution->start_wall_ms
                        ? execution->end_wall_ms - execution->start_wall_ms
                        : 0;
    memcpy(move->service, s->name, sizeof move->service);
    (void)TEXT_COPY(move->from, region_name(a->state, execution->from));
    (void)TEXT_COPY(move->to, region_name(a->state, execution->to));
    move->epoch = execution->epoch;
    move->kind = execution->kind;
    move->result = execution->result;
    memcpy(move->actor, execution->actor, sizeof move->actor);
    memcpy(move->reason, execution->reason, sizeof move->reason);
    memcpy(move->gates, execution->gates, sizeof move->gates);
    for (uint32_t i = 0; i < execution->step_count; i++) {
        move_name_step(move, execution->steps[i].name);
    }
    move_keep_loss(a->state, service, move);
}

const char *region_name(const struct state *state, uint32_t region) {
    return region < state->spec.region_count ? state->spec.regions[region].name : "";
}

bool command_is_by_person(enum command_kind kind) {
    return kind >= COMMAND_SPEC && kind < COMMAND_KIND_END;
}

enum role command_least_role(enum command_kind kind) {
    switch (kind) {
    case COMMAND_SPEC:
    case COMMAND_RELEASE:
    case COMMAND_ADOPT:
    case COMMAND_RESUME_AUTOMATION:
        return ROLE_ADMIN;
    default:
        return command_is_by_person(kind) ? ROLE_OPERATOR : ROLE_NONE;
    }
}

enum core_error find_owned_service(const struct apply *a, const char *name, uint32_t *ret_service) {
    uint32_t service = state_find_service(a->state, name);
    if (service == NONE_INDEX) {
        return CORE_NO_SERVICE;
    }
    const struct command_origin *origin = &a->command->origin;
    const char *owner = a->state->spec.services[service].owner;
    if (origin->role != ROLE_ADMIN && origin->owner[0] != '\0' &&
        !text_equal(origin->owner, owner)) {
        return CORE_OWNER;
    }
    *ret_service = service;
    return CORE_OK;
}

static enum core_error dispatch(struct apply *a) {
    switch (a->command->kind) {
    case COMMAND_NODES:
        return apply_nodes(a);
    case COMMAND_LEADER:
        return apply_leader(a);
    case COMMAND_FEATURE:
        return apply_feature(a);
    case COMMAND_OPINION:
        return apply_opinion(a);
    case COMMAND_EXPIRE:
        return apply_expire(a);
    case COMMAND_TICK:
        return apply_tick(a);
    case COMMAND_SUSPECT:
        return apply_suspect(a);
    case COMMAND_NOTE:
        return apply_note(a);
    case COMMAND_DECIDE:
        return apply_decide(a);
    case COMMAND_LAPSE:
        return apply_lapse(a);
    case COMMAND_INTENT:
        return apply_intent(a);
    case COMMAND_ATTEMPT:
        return apply_attempt(a);
    case COMMAND_ACCEPTED:
        return apply_accepted(a);
    case COMMAND_CLOSING:
        return apply_closing(a);
    case COMMAND_OUTCOME:
        return apply_outcome(a);
    case COMMAND_SWITCH:
        return apply_switch(a);
    case COMMAND_HALT:
        return apply_halt(a);
    case COMMAND_SPEC:
        return apply_spec(a);
    case COMMAND_MOVE:
    case COMMAND_ADOPT:
        return apply_move(a);
    case COMMAND_OVERRIDE:
        return apply_override(a);
    case COMMAND_OVERRIDE_END:
        return apply_override_end(a);
    case COMMAND_APPROVE:
        return apply_approve(a);
    case COMMAND_REJECT:
        return apply_reject(a);
    case COMMAND_CANCEL:
        return apply_cancel(a);
    case COMMAND_RELEASE:
        return apply_release(a);
    case COMMAND_RESUME_AUTOMATION:
        return apply_resume_automation(a);
    case COMMAND_KIND_END:
        break;
    }
    return CORE_NOT_SUPPORTED;
}

/* The oldest answer makes room; from then on a command that may be as old as it is refused, because
 * nobody can tell any more whether it was applied. */
static struct client *client_slot(struct state *state, const uint8_t id[16]) {
    struct client *oldest = &state->clients[0];
    for (uint32_t i = 0; i < CLIENT_MAX; i++) {
        struct client *client = &state->clients[i];
        if (client->index == 0) {
            if (oldest->index != 0) {
                oldest = client;
            }
        } else if (memcmp(client->id, id, 16) == 0) {
            return client;
        } else if (client->index < oldest->index) {
            oldest = client;
        }
    }
    if (oldest->index > state->client_floor) {
        state->client_floor = oldest->index;
    }
    memset(oldest, 0, sizeof *oldest);
    memcpy(oldest->id, id, 16);
    return oldest;
}

static enum core_error check_duplicate(const struct state *state,
                                       const struct command_origin *origin) {
    const struct client *client = state_find_client(state, origin->client_id);
    if (client != NULL) {
        return origin->sequence == client->sequence  ? CORE_DUPLICATE
               : origin->sequence < client->sequence ? CORE_SEQUENCE
                                                     : CORE_OK;
    }
    return origin->known_index < state->client_floor ? CORE_TOO_OLD : CORE_OK;
}

static enum core_error apply_by_person(struct apply *a) {
    const struct command_origin *origin = &a->command->origin;
    /* Nobody can have known an entry that comes after his command: with such a number it would
     * never be too old. */
    if (origin->sequence == 0 || origin->known_index >= a->index ||
        (unsigned)origin->role >= ROLE_COUNT) {
        return CORE_MALFORMED;
    }
    enum core_error error = check_duplicate(a->state, origin);
    if (error != CORE_OK) {
        return error;
    }
    error = origin->role != ROLE_NODE && origin->role >= command_least_role(a->command->kind)
                ? dispatch(a)
                : CORE_ROLE;
    struct client *client = client_slot(a->state, origin->client_id);
    client->sequence = origin->sequence;
    client->result = error;
    client->index = a->index;
    return error;
}

/* A command counts only in the term of the last LEADER: what a deposed leader left in the log
 * behind its successor's LEADER does nothing. */
static bool term_is_current(const struct state *state, const struct command *command) {
    switch (command->kind) {
    case COMMAND_LEADER:
        return command->term > state->leader_term;
    case COMMAND_NODES:
        return state->incarnation == 0 || command->term == state->leader_term;
    default:
        return command->term == state->leader_term;
    }
}

enum core_error state_apply(struct state *state, uint64_t index, const struct command *command) {
    if (index <= state->applied_index) {
        return CORE_MALFORMED;
    }
    struct apply a = {state, command, index};
    enum core_error error;
    if ((unsigned)command->kind == 0 || (unsigned)command->kind >= COMMAND_KIND_END) {
        error = CORE_NOT_SUPPORTED;
    } else if (state->incarnation == 0 && command->kind != COMMAND_NODES) {
        error = CORE_NO_GROUP;
    } else if (!term_is_current(state, command)) {
        error = CORE_STALE_TERM;
    } else if (command_is_by_person(command->kind)) {
        error = apply_by_person(&a);
    } else {
        error = dispatch(&a);
    }
    state->applied_index = index;
    if (error == CORE_OK && state_broken_invariant(state) != NULL) {
        /* Every rule above exists to make this impossible. Stop moving; never crash on data. */
        state->halted = true;
        error = CORE_INVARIANT;
    }
    return error;
}
