/* A group as core sees it, for unit tests: three nodes in three regions, one service, commands
 * applied one after the other, and the leader's memory. */
#ifndef TEST_CORE_GROUP_H
#define TEST_CORE_GROUP_H

#include "core/command.h"
#include "core/pending.h"
#include "core/policy.h"
#include "core/state.h"

#define EAST 0
#define WEST 1
#define EU 2

#define WITHOUT_EAST 6u /* n2 and n3 */
#define EVERYBODY 7u

/* What is seen of the regions. */
extern const enum opinion_value all_up[REGION_MAX];
extern const enum opinion_value east_down[REGION_MAX];
extern const enum opinion_value both_down[REGION_MAX];

struct group {
    struct state *state;
    uint64_t index; /* of the last entry */
    uint64_t term;
    uint64_t now_ms;  /* everybody's CLOCK_BOOTTIME */
    uint64_t wall_ms; /* everybody's wall clock */
    uint64_t client_sequence;
    struct report *reports[NODE_MAX];
    const struct mongo_facts *mongo; /* what every node reports of service 0's set; NULL: nothing */
    uint32_t dead;                   /* what the person who moves it says of its members ... */
    const char *readmit;             /* ... and of one that shall come back; NULL: none */
    struct policy_input input;
    uint64_t suspect_seen_ms[SERVICE_MAX];    /* now_ms when SUSPECT was applied */
    uint64_t suspect_seen_index[SERVICE_MAX]; /* which */
};

/* Three nodes n1 east, n2 west, n3 eu; spec with service "nocturnal" (home east, target west, one
 * zone, one record), mode auto; not adopted. */
void group_open(struct group *group);
/* ... and adopted, active in the east, everything seen up. */
void group_open_adopted(struct group *group);
/* Another group: a node in each of `regions` (NULL ends them), "n1", "n2", ... with ids from 1; its
 * leader is n2. The spec is copied. Nothing is adopted. */
void group_open_with(struct group *group, const struct spec *spec, const char *const *regions);
/* Adopts every service at its home, and lets all nodes see everything up. */
void group_adopt_all(struct group *group);
void group_close(struct group *group);

struct spec *spec_example(void);
/* A replica set for service 0, of five members: two in the east, of which e1 is the primary, two in
 * the west, one in the eu. All are well; version 4.4. */
void group_add_set(struct group *group);
struct mongo_facts mongo_example(void);
/* Its members' places, which are their ids as well. */
enum { E1, E2, W1, W2, X1 };
#define BIT(i) (UINT32_C(1) << (i))
/* A member that nobody could ask for so long. */
void mongo_lose(struct mongo_facts *facts, uint32_t i, uint32_t age_ms);
/* East and the eu are gone since 25 s; the west has two of five. */
void mongo_lose_majority(struct mongo_facts *facts);
#define LOST (BIT(E1) | BIT(E2) | BIT(X1)) /* who is gone then */
/* Every node reports this of service 0's set (kept, not copied), and that it sees everything up. */
void group_tell(struct group *group, const struct mongo_facts *facts);
/* A copy of service 0 under another name, with a fence of its own; returns its place. */
uint32_t spec_add_service(struct spec *spec, const char *name);
/* Another region that serves, also as the last target of service 0. */
uint32_t spec_add_region(struct spec *spec, const char *name);

/* A command, zeroed; and applying it (by "alice" when people ask for its kind) and freeing it. */
struct command *group_new(enum command_kind kind);
enum core_error group_do(struct group *group, struct command *command);

/* Applies a command in the group's term; kind and the union are the caller's. */
enum core_error group_apply(struct group *group, struct command *command);
/* The same by an admin "alice", with a new sequence. */
enum core_error group_ask(struct group *group, struct command *command);

enum core_error group_leader(struct group *group, uint64_t node_id);
enum core_error group_tick(struct group *group);
enum core_error group_opinion(struct group *group, uint32_t node, uint32_t region,
                              enum opinion_value value);
enum core_error group_override(struct group *group, enum override_kind kind, const char *region,
                               uint64_t for_ms);
enum core_error group_move(struct group *group, const char *to, enum execution_kind kind,
                           uint32_t skip);
/* The command of it, not applied. */
struct command *group_new_move(struct group *group, const char *to, enum execution_kind kind,
                               uint32_t skip);
enum core_error group_step(struct group *group, enum command_kind kind,
                           const struct command_step *fields);
enum core_error group_choice(struct group *group, enum command_kind kind, const char *step);
/* A spec that replaces the current one (freed by the caller). */
enum core_error group_spec(struct group *group, const struct spec *spec);

/* Each living node (bit) probes and reports once: its opinions of the regions are as `seen` says.
 * Probes started after everything that is applied now. */
void group_report(struct group *group, uint32_t living, const enum opinion_value seen[REGION_MAX]);
/* One round of policy: proposes and applies everything; returns how many commands. */
uint32_t group_policy(struct group *group);
/* Rounds of report and policy, `step_ms` apart, until `until` holds or `rounds` are over. */
bool group_run(struct group *group, uint32_t living, const enum opinion_value seen[REGION_MAX],
               uint32_t rounds, uint64_t step_ms, bool (*until)(const struct group *));

/* The same until policy proposes DECIDE, which is handed out instead of applied (on the heap). */
struct command *group_await_decide(struct group *group, uint32_t living,
                                   const enum opinion_value seen[REGION_MAX]);

struct service *group_service(struct group *group);
const struct execution *group_execution(const struct group *group);
/* The next command that carries the open execution of a service out, against a target that always
 * says yes; NULL: nothing is to be done. */
struct command *group_next_step(const struct group *group, uint32_t service);
void group_carry_out_service(struct group *group, uint32_t service);
/* Carries the open execution's next steps out against a target that always says yes. */
void group_carry_out(struct group *group);
/* The next moment: a second later. */
void group_second(struct group *group);
bool group_saw(const struct group *group, enum event_kind kind);

#endif
