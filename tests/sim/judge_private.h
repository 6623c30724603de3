/* What the judge's files share.
 *
 *   judge.c          states and decisions, as each command leaves them; the end
 *   judge_overrides.c  what people have forbidden
 *   judge_order.c    steps in their order
 *   judge_evidence.c decisions, from what they say they rest on
 *   judge_effects.c  what has happened at the target
 *   judge_set.c      what has happened at the replica set
 *   judge_group.c    the log, leaders, answers to people
 *   judge_votes.c    what nodes answer who are asked for their vote
 *   judge_endpoints.c, judge_lease.c  what those who poll were told */
#ifndef SIM_JUDGE_PRIVATE_H
#define SIM_JUDGE_PRIVATE_H

#include "codec/command_codec.h"
#include "core/state.h"
#include "judge.h"
#include "world.h"

#define CLIENT_KEPT_MAX 4096
#define TERM_KEPT_MAX 4096
#define MOVE_END_KEPT_MAX 64
#define EFFECT_MAX 4096
#define CHANGE_KEPT_MAX 64
#define SET_STEP_MAX 1024
#define LEASE_REGIONS 2

struct eids {
    char (*eids)[EID_SIZE];
    uint32_t count;
};

/* What stood in a fence. It may come again when its change was forgotten, or a person deleted it.
 */
struct effect {
    uint32_t place; /* a zone, or the replica set */
    char fence[FENCE_SIZE], eid[EID_SIZE];
    bool deletes, may_repeat, forgotten;
    bool from_nothing; /* an adoption's, where there was no fence: nothing refuses it again once
                        * there is none (docs/limits.md) */
};

/* A step that has an ATTEMPT and writes records, and what they say then. */
struct dns_step {
    char fence[FENCE_SIZE], service[NAME_SIZE];
    uint32_t zone;
    char record[DNS_NAME_SIZE], address[64];
};

struct chain {
    char service[NAME_SIZE];
    struct fence last;
    bool known;
};

/* A committed change of the members, as the log has it. */
struct change {
    uint64_t index;
    void *bytes;
    size_t size_bytes;
    bool gap_before; /* there may be another between the one before and this */
};

/* The state after a command, as the first node had it. */
struct seen_state {
    uint64_t hash; /* 0: not seen yet */
    uint8_t digest[32];
    bool has_digest;
};

/* Where a node was when it was last looked at. */
struct looked_at {
    uint64_t life, index;
};

/* A committed entry of the log. */
struct log_entry {
    uint64_t term; /* 0: not seen yet */
    uint64_t hash; /* of its bytes; 0: it was seen in a snapshot alone */
};

/* Of the entry that is being applied for the first time: its commands. */
struct applied_entry {
    uint64_t log_index, first_index; /* of its first command */
    struct command_batch *commands;
    uint32_t command_count; /* of batches */
};

struct leader_of_term {
    uint64_t term, id;
};

/* When a node last said KEEP or EVICT. */
struct spoken {
    uint64_t life, index;
};

/* Whose first ATTEMPT is committed, to a region that isn't active: until it is proved undone, or a
 * switch is committed, a late request of it may still make a primary there. */
struct promotion {
    bool open;
    uint64_t epoch;
    uint32_t step, to;
    uint64_t excused_until_us; /* a person has let go of the wait for the old region's lease */
};

/* A service's history, as the log tells it. */
struct judged_service {
    uint64_t suspect_index, suspect_us; /* the last suspicion, and when it was applied first */
    uint64_t decide_leader_term;
    uint64_t last_epoch;
    uint64_t switched_epoch; /* newest one that has switched, all debts settled before */
    uint64_t opened_index, opened_epoch; /* of the last execution: its entry */
    uint64_t opened_us;                  /* when it was first seen */
    enum step_phase phases[STEP_MAX];    /* of its steps, as the last command left them */
    uint64_t open_index;                 /* it, while it is open; else 0 */
    uint64_t approved_index;             /* the last suspicion that a person approved of */
    uint64_t needs[STEP_MAX];
    bool goes_on[STEP_MAX]; /* continue, whatever becomes of it */
    struct promotion promotion;
    bool left_open; /* by the last execution that might touch the records: they may say anything */
    bool end_untimed;
    uint64_t end_ms; /* of the last move, by committed time; 0: none */
    uint64_t automatic_ends_ms[MOVE_END_KEPT_MAX];
    uint32_t automatic_ends;
    struct active_since {
        uint64_t index;
        uint32_t active;
    } * actives; /* in order; what endpoints may say */
    uint32_t active_count, active_room;
};

/* A step that changes who is in the replica set, once it has an ATTEMPT. */
struct set_step {
    char eid[EID_SIZE];
    enum step_kind kind;
    bool automatic, carried_out;
    bool given_up; /* force: it ended, and nobody knows what came of it */
    uint32_t host_count;
    char hosts[MONGO_MEMBER_MAX][MONGO_HOST_SIZE]; /* that a person has named */
};

struct judged {
    struct seen_state *seen; /* by index */
    uint64_t seen_room;
    struct looked_at looked_at[SIM_NODE_MAX];
    struct log_entry *log; /* by index in the log */
    uint64_t log_room;
    uint64_t committed; /* in the log, as far as anybody has applied */
    uint64_t last_index, last_time_ms;
    uint64_t evidence_since_us; /* the last LEADER or TICK was applied first */
    struct applied_entry entry;
    struct override overrides[OVERRIDE_MAX]; /* in force, by the commands of the log */
    uint32_t override_count;
    struct judged_service services[SERVICE_MAX];
    struct eids attempted, closed, refused, done;
    struct change changes[CHANGE_KEPT_MAX];
    uint32_t change_count;
    bool change_missed;                          /* there may be one behind the last of these */
    bool must_grant[SIM_NODE_MAX][SIM_NODE_MAX]; /* a node, its vote to the other that has asked */
    struct leader_of_term terms[TERM_KEPT_MAX];
    uint32_t term_count;
    struct spoken spoken[SIM_NODE_MAX];
    /* until when who asks that node may think that the region holds the lease */
    uint64_t held_until_us[WORLD_SERVICE_MAX][SIM_NODE_MAX][LEASE_REGIONS];
    uint8_t clients[CLIENT_KEPT_MAX][16];
    uint32_t client_count;
    uint64_t answered_index; /* the highest that a person was told of */
    struct effect effects[EFFECT_MAX];
    uint32_t effect_count;
    struct dns_step dns_steps[EFFECT_MAX];
    uint32_t dns_step_count;
    struct chain chains[WORLD_TARGET_MAX][SERVICE_MAX];
    uint64_t decisions;
    bool set_went_back; /* a forced config came after a later epoch's, or was undone */
    struct set_step set_steps[SET_STEP_MAX];
    uint32_t set_step_count;
};

/* FNV-1a, 64 bits; goes on from `hash`. */
#define JUDGED_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t judged_mix(uint64_t hash, const void *bytes, size_t size_bytes);

bool judged_has_eid(const struct eids *set, const char *eid);
void judged_add_eid(struct eids *set, const char *eid);
/* It stands at the target, or did. */
bool judged_has_landed(const struct judged *judged, const char *eid);

/* judge_order.c: of a plan that has just been opened; and after each command. */
void judge_plan(struct judged_service *kept, const struct execution *execution);
void judge_order(struct sim *sim, const struct execution *execution, uint32_t service);

/* judge_effects.c: after each command. */
void judge_dns_step(struct sim *sim, const struct state *state, uint32_t s, uint32_t i);
/* The chain of fences there begins anew. */
void judge_chain_ends(struct sim *sim, uint32_t place, const char *service);
/* It has landed by somebody else's hand: nothing is claimed of how often. */
void judge_carried(struct sim *sim, uint32_t place, const char *fence, const char *eid);

/* judge_set.c */
void judge_set_decision(struct sim *sim, const struct state *state, uint32_t service);
void judge_set_switch(struct sim *sim, const struct state *state, uint32_t service);
/* A move has just been opened. */
void judge_set_opened(struct sim *sim, const struct state *state, uint32_t service);
/* After each command: a step that may be one of the set's members. */
void judge_set_step(struct sim *sim, const struct state *state, uint32_t s, uint32_t i);
/* False, and why: something is missing, or the primary isn't where the service is. */
bool judge_set_is_well(struct sim *sim, const struct service *service, struct error *why);

/* judge_overrides.c: after each command that is applied for the first time. */
void judge_overrides(const struct sim_node *node, const struct state *state);
/* Something forbids the service's execution to be decided on, or to begin. */
bool judged_is_forbidden(const struct judged *judged, const struct state *state,
                         const struct service *service);
/* The commands of an entry as nodes write them (well-formed), until they are forgotten. */
void judged_read_entry(const void *entry, size_t entry_bytes, struct applied_entry *ret);
void judged_forget_entry(struct applied_entry *entry);

/* judge.c: a node may have got where it is by a snapshot, or have started there. */
void judge_restored(struct sim_node *node);

/* judge_lease.c: the service has another active region. */
void judge_switch(struct sim *sim, uint32_t service, uint32_t active);
/* After each command: what becomes of a promotion. */
void judge_promotion(struct sim *sim, const struct state *state, uint32_t service);
/* Who polls the node at that place is told that the region holds the service's lease for so long.
 */
void judge_lease(struct sim *sim, uint32_t service, uint32_t place, uint32_t region,
                 uint64_t left_ms);
/* judge_group.c: the entry of the log whose command was just applied. */
void judge_entry(struct sim_node *node);
/* That entry, as the node's disk has it; NULL: it hasn't. */
const struct disk_entry *judged_applied_entry(const struct sim_node *node, uint64_t *ret_index);

#endif
