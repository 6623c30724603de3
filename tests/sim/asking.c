/* One command of an operator: who asks, that it is asked for again, and what may come of it. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "parts.h"
#include "world.h"

/* Under way: kept until its answer. */
struct asked {
    struct sim *sim;
    struct command *command;
    struct spec *spec;
    enum people_wish wish;
    enum core_error refusal; /* that it must get for who asks; CORE_OK: it may be accepted */
    bool again, tidies;
    uint64_t answered_index; /* what people had been told by then */
};

/* A role is looked at before anything that the command says: what is no word of its own refusal, or
 * of one that comes before, was answered after it had been let through. */
static bool is_refused_as_it_must(enum core_error refusal, enum core_error result) {
    bool before = result == CORE_DUPLICATE || result == CORE_STALE_TERM || result == CORE_TOO_OLD ||
                  result == CORE_MALFORMED;
    return refusal == CORE_ROLE ? before || result == CORE_ROLE : result != CORE_OK;
}

static void count_answer(const struct asked *asked, enum core_error result) {
    struct sim *sim = asked->sim;
    if (asked->refusal != CORE_OK && !is_refused_as_it_must(asked->refusal, result)) {
        sim_broken(sim, "who may ask (17)", "%s of a %s, owner \"%s\": %s",
                   command_kind_text(asked->command->kind), role_text(asked->command->origin.role),
                   asked->command->origin.owner, core_error_name(result));
    }
    if (asked->refusal != CORE_OK && asked->refusal == result) {
        sim_count(sim, result == CORE_ROLE ? SIM_ROLE_REFUSED : SIM_OWNER_REFUSED);
    }
    if (result == CORE_OK && !asked->again) {
        sim->wishes[asked->wish].accepted++;
        if (!asked->tidies) {
            sim_count(sim, asked->wish == WISH_SPEC ? SIM_SPEC_CHANGE : SIM_OPERATOR);
        }
    }
}

static void on_answer(void *context, enum error_code error, enum core_error result,
                      uint64_t index) {
    struct asked *asked = context;
    if (error == ERROR_OK) {
        judge_answer(asked->sim, asked->answered_index, index);
        sim_say(asked->sim, "operator", "%s: %s at %llu", command_kind_text(asked->command->kind),
                core_error_name(result), (unsigned long long)index);
        count_answer(asked, result);
        judge_command_result(asked->sim, asked->command->origin.client_id, result);
        if (asked->command->kind == COMMAND_RELEASE && result == CORE_OK) {
            people_follow_up(asked->sim, asked->command->choice.service);
        }
    }
    free(asked->command);
    free(asked->spec);
    free(asked);
}

static void propose(const struct api_calls *calls, const struct asked *wanted) {
    struct asked *asked = malloc(sizeof *asked);
    struct command *copy = malloc(sizeof *copy);
    if (asked == NULL || copy == NULL) {
        abort();
    }
    *copy = *wanted->command;
    *asked = *wanted;
    asked->command = copy;
    asked->answered_index = judge_answered_index(wanted->sim);
    calls->propose(calls->context, copy, on_answer, asked);
}

/* A client that has had no answer asks whoever leads by then, with the same id. */
static void on_retry_inside(void *context) {
    struct asked *retry = context;
    propose(&sim_current()->api->calls, retry);
    free(retry->command);
    free(retry);
}

static void on_retry(void *context) {
    struct asked *retry = context;
    struct sim_node *leader = people_leader(retry->sim);
    if (leader != NULL) {
        sim_at_node(leader, retry->sim->now_us, on_retry_inside, retry, false);
    } else {
        free(retry->command);
        free(retry);
    }
}

static void ask_again(const struct asked *asked) {
    struct sim *sim = asked->sim;
    struct asked *retry = malloc(sizeof *retry);
    if (retry == NULL) {
        abort();
    }
    *retry = *asked;
    sim_at(sim, sim->now_us + chance_below(&sim->chance, 60 * SIM_SECOND), on_retry, retry);
}

/* Mostly an admin; a tenth of those who ask are somebody else, and most of them may not. Returns
 * the refusal that they must get. */
static enum core_error draw_asker(struct sim *sim, bool tidies, struct command *command) {
    struct chance *chance = &sim->chance;
    struct command_origin *origin = &command->origin;
    origin->role = ROLE_ADMIN;
    if (tidies || !world_has(sim, SIM_ROLE_REFUSED) || chance_below(chance, 10) != 0) {
        return CORE_OK;
    }
    static const enum role roles[] = {ROLE_VIEWER, ROLE_NODE, ROLE_OPERATOR, ROLE_OPERATOR};
    static const char *const owners[] = {"", "payments", WORLD_OWNER};
    origin->role = roles[chance_below(chance, ARRAY_LENGTH(roles))];
    (void)TEXT_COPY(origin->owner, owners[chance_below(chance, ARRAY_LENGTH(owners))]);
    if (origin->role == ROLE_NODE || origin->role < command_least_role(command->kind)) {
        return CORE_ROLE;
    }
    bool owns = origin->owner[0] == '\0' || text_equal(origin->owner, WORLD_OWNER);
    return owns ? CORE_OK : CORE_OWNER;
}

void people_ask(struct sim_node *node, enum people_wish wish, bool tidies, struct command *command,
                struct spec *spec) {
    struct sim *sim = node->sim;
    struct api_calls *calls = &node->api->calls;
    struct api_facts facts;
    calls->facts(calls->context, &facts);
    for (size_t i = 0; i < sizeof command->origin.client_id; i++) {
        command->origin.client_id[i] = (uint8_t)chance_next(&sim->chance);
    }
    command->origin.sequence = 1;
    command->origin.known_index = facts.state->applied_index;
    (void)TEXT_COPY(command->origin.actor, "alice");
    /* The newer version refuses an override for a reason as short as one of them. */
    (void)TEXT_COPY(command->origin.reason,
                    chance_below(&sim->chance, 4) == 0 ? "drill" : "simulated");
    command->wall_ms = facts.wall_ms;
    struct asked asked = {.sim = sim,
                          .command = command,
                          .spec = spec,
                          .wish = wish,
                          .refusal = draw_asker(sim, tidies, command),
                          .tidies = tidies};
    sim->wishes[wish].asked++;
    propose(calls, &asked);
    asked.again = true;
    if (spec == NULL && chance_below(&sim->chance, 4) == 0) {
        propose(calls, &asked);
    }
    if (spec == NULL && chance_below(&sim->chance, 4) == 0) {
        ask_again(&asked);
    } else {
        free(command);
    }
}
