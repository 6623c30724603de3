/* The replica set of service 0: tests/world's rules on the simulator's time, asked by mongo.c over
 * simulated connections, and written to by a client of the service's own. What becomes of it is
 * judged at the set. Apart from world.h and mongo/, since tests/world and the coordinator have
 * structs of the same names.
 *
 *   set.c          the members, time, the connections
 *   set_faults.c   what befalls the members
 *   set_forced.c   a lost majority: who is left out, what is lost, who comes back
 *   set_people.c   those who reconfigure and step up by hand, and the service's own writer
 *   set_watch.c    what members have and do, told to the judge
 */
#ifndef SIM_SET_H
#define SIM_SET_H

#include <bson/bson.h>

#include "sim.h"

#define SET_MEMBER_MAX 5
#define SET_HOST_SIZE 64
#define SET_NAME "rs0"
#define SET_REGION_COUNT 3

struct sim_set;

struct sim_set_options {
    const char *const *regions; /* names; the last one's is the witness region */
    uint64_t seed, wall_ms;     /* wall_ms: when the world begins */
};

/* Draws its own members, release and rates; there is a primary in the first region. */
struct sim_set *set_create(struct sim *sim, const struct sim_set_options *options);
void set_destroy(struct sim_set *set); /* NULL is fine */
/* "m1:27017,..." */
const char *set_hosts(const struct sim_set *set);

/* --- questions of nodes --- */

enum set_outcome {
    SET_ANSWERED,
    SET_REFUSED,
    SET_RESET,   /* closed without an answer */
    SET_NO_NAME, /* no such host */
};

struct set_question {
    uint64_t id; /* the asker's */
    const char *host, *database;
    const bson_t *command;
    bool once; /* it may come late, and twice */
};

/* Inside the node, unless that life is over; never, where nothing comes back. The document ends
 * with the call; NULL unless ANSWERED. */
typedef void (*set_answer_function)(void *context, uint64_t id, enum set_outcome outcome,
                                    const bson_t *document);

/* All is copied. Returns false where connecting already fails: nothing will come back, and nothing
 * was sent. */
bool set_ask(struct sim_set *set, struct sim_node *node, const struct set_question *question,
             set_answer_function function, void *context);

/* --- what happens to it --- */

void set_faults_begin(struct sim_set *set);
/* A step of a move has just been committed: what was late comes in the middle of the next. */
void set_at_moment(struct sim_set *set);
/* All members run, and see each other. */
void set_heal(struct sim_set *set);
/* A region is down until then: its members, too. */
void set_region_falls(struct sim_set *set, uint32_t region, enum region_fall fall,
                      uint64_t until_us);
/* No question is on its way that nobody waits for, all members vote again, and neither the config
 * nor the primary has changed for as long as a takeover by priority takes. */
bool set_is_quiet(const struct sim_set *set);

/* --- a lost majority (set_forced.c) --- */

/* The majority of the voters neither runs nor is reached. */
bool set_majority_is_lost(const struct sim_set *set);
/* It will stay dead, or cut off, until it is let in. */
void set_fence(struct sim_set *set, const char *host);
void set_fence_region(struct sim_set *set, uint32_t region);
bool set_is_fenced(const struct sim_set *set, const char *host);
uint32_t set_fenced_count(const struct sim_set *set);
/* One after the other, each when the last one knows of the forced config; or all at once. Returns
 * false while it must wait. */
bool set_let_in(struct sim_set *set, bool all);
/* Of the last config that a majority has. */
bool set_has_voter(const struct sim_set *set, uint32_t region);
/* Stagings: one of those that are declared dead runs, and answers nodes alone, before those that
 * are left do; forced configs that are late come now. */
void set_stage_dead_answers(struct sim_set *set);
void set_stage_late_comes(struct sim_set *set);
/* All but those of that region go on as a set of their own, which is out of everybody's reach; one
 * of it stands for election; they are dead. */
void set_stage_old_side(struct sim_set *set, uint32_t survives);
bool set_old_side_runs(const struct sim_set *set);
void set_stage_old_side_elects(struct sim_set *set);
void set_stage_old_side_ends(struct sim_set *set);
/* What was sent to it, and is late, will never come. */
void set_restart(struct sim_set *set, const char *host);
/* It comes back as a new one. */
void set_empty(struct sim_set *set, const char *host);

/* --- people --- */

/* Somebody wants the primary in that region. */
void set_lead_to(struct sim_set *set, uint32_t region);
/* Two members have configs of one version that say different things: each of two primaries in a
 * row was reconfigured on a minority (3.6). Priorities of both then count, for ever. */
bool set_is_split(const struct sim_set *set);
/* Somebody wants another primary, wherever. */
void set_step_up_other(struct sim_set *set);
/* When somebody has last changed the set by hand; 0: never. */
uint64_t set_touched_us(const struct sim_set *set);

/* --- the truth --- */

/* Region of the writable primary that a majority follows; UINT32_MAX: there is none. */
uint32_t set_primary_region(const struct sim_set *set);
/* A primary of that region has had an entry of its own term on a majority since then. */
bool set_has_written_since(const struct sim_set *set, uint32_t region, uint64_t since_us);
/* A node has heard of a member in that region that a majority has the write of that eid: in answer
 * to the write, or to a look at one that has led since then. */
bool set_has_acknowledged(const struct sim_set *set, uint32_t region, const char *eid,
                          uint64_t since_us);
/* The least lag of the member at any instant since then. */
uint64_t set_least_lag_us(const struct sim_set *set, const char *host, uint64_t since_us);
/* It has been a SECONDARY at some instant since then. */
bool set_was_secondary(const struct sim_set *set, const char *host, uint64_t since_us);
/* Called every half second. */
void set_look(struct sim_set *set);
/* NULL, or what is missing: a write that was acknowledged. */
const char *set_missing(const struct sim_set *set);

#endif
