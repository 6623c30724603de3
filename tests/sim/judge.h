/* What the target asks of the world, and tells it; apart from world.h, since tests/world and the
 * coordinator have structs of the same names. */
#ifndef SIM_JUDGE_H
#define SIM_JUDGE_H

#include "sim.h"

#define SIM_CLUSTER "sim"
#define WORLD_ZONE_MAX 2
#define WORLD_TARGET_MAX 3 /* the zones; and the replica set, behind them */

/* What happens to one request on its way. */
enum judge_request {
    REQUEST_FINE,
    REQUEST_NOT_SENT,
    REQUEST_LOST,
    REQUEST_LATE,
    REQUEST_TWICE,
    REQUEST_REFUSED,
    REPLY_LOST
};

enum judge_request judge_request_fate(struct sim *sim, bool effect);
uint64_t judge_request_us(struct sim *sim);  /* one way */
uint64_t judge_lateness_us(struct sim *sim); /* of a request that nobody waits for */
/* A change was accepted: whether it will be forgotten, and when. 0: never. */
uint64_t judge_forgets_us(struct sim *sim, uint64_t pending_us);
/* The present life of a node; 0: it doesn't live. */
uint64_t judge_life(const struct sim_node *node);
/* A fence was written, or (after "") deleted, by the change of that comment: invariants 11 to 14.
 */
void judge_fence(struct sim *sim, uint32_t zone, const char *before, const char *after,
                 const char *comment);
/* Beside the fence, as it is now, the batch has changed that record's values ("": none): invariants
 * 11 and 12. Only a step that writes records does, those of its own service and zone, to what its
 * region is to have. */
void judge_records(struct sim *sim, uint32_t zone, const char *fence, const char *record);
/* What put this fence there ("": none was there) was forgotten, and may come again; its service's
 * chain there goes on from what stands there again. */
void judge_forgotten(struct sim *sim, uint32_t zone, const char *was, const char *is);
/* A change of that comment (an eid, where it is ours) was forgotten: if it deleted the fence, it
 * may do so again. */
void judge_deletion_forgotten(struct sim *sim, uint32_t zone, const char *comment);
/* A person has deleted the fence of that service: what an adoption wrote can't be told from what it
 * hasn't written (docs/limits.md), and the chain begins anew. */
void judge_edited(struct sim *sim, uint32_t zone, const char *service);

/* --- of the replica set (set.h) --- */

/* What happens to one question of a node; `once`: it may come late, and twice. */
enum judge_request judge_question_fate(struct sim *sim, struct chance *chance, bool once);
/* One way, to a member in that region or from it. */
uint64_t judge_question_us(const struct sim_node *node, uint32_t region, struct chance *chance);
/* How often such a fault comes in this world; 0: never. */
uint64_t judge_every_us(const struct sim *sim, enum sim_fault fault);
bool judge_is_up(const struct sim *sim, uint32_t region);
uint32_t judge_place(const struct sim_node *node);
bool judge_is_staged(const struct sim *sim, enum sim_staging staging);
/* Of what people do about a lost majority. */
uint64_t judge_draw(struct sim *sim, uint64_t below);
/* The node's packets get to that region, and back. */
bool judge_reaches(struct sim *sim, const struct sim_node *node, uint32_t region);
/* A member has a config with this fence ("": without any): invariant 11. */
void judge_set_accepted(struct sim *sim, const char *text);
/* A majority has a config with another fence than the last: 11 to 14. `edited`: somebody has
 * written it. `let_come`: it may be an older one. People have let those in again whom they had
 * declared dead, or have not restarted the member that a forced config was sent to; or the old side
 * has imposed its own. */
void judge_set_fence(struct sim *sim, const char *before, const char *after, bool edited,
                     bool let_come);
/* A member has carried out a forced config with this fence; the places in `out` were left out by
 * it. A forced config is the word of a person about just those, and is carried out once. True: its
 * step had ended as unknown by then. Nothing can refuse it; a person should have restarted the
 * member (docs/mongodb.md, "An unknown force"). */
bool judge_set_forced(struct sim *sim, const char *fence, const char *const *out,
                      uint32_t out_count);
/* An old side has imposed its config, by an election in a term that no survivor had heard of: a
 * limit (docs/mongodb.md, "Before they come back"). */
void judge_set_undone(struct sim *sim);
/* One more member votes by the config of this fence. */
void judge_set_voter(struct sim *sim, const char *fence, const char *host);
/* Members came into the config of this fence without a vote. */
void judge_set_kept(struct sim *sim, const char *fence, const char *host);
_Noreturn void judge_set_broken(struct sim *sim, const char *invariant, const char *words);

#endif
