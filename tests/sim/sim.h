/* A whole group in one process on virtual time: the real libraft, replica, core, executor, leader,
 * leases, inspector, main, probe debounce and Route 53 driver, over a simulated libuv loop, disk,
 * links, probes and DNS provider. A seed is a world: the same seed gives the same bytes.
 *
 * Each node runs main's node_run() on a stack of its own (fiber.h). Whatever it asks of the outside
 * (uv_timer_start, an append, a message, an HTTP request) ends in a function of this directory,
 * which puts an event into the one queue; nothing else moves time. A node is killed by never
 * resuming its stack, at any such call. Nodes share nothing: what one tells another is copied.
 *
 * Time is in microseconds since the world began. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/entropy.h"

#define SIM_NODE_MAX 7 /* members, and spares that may join */
#define SIM_MS UINT64_C(1000)
#define SIM_SECOND UINT64_C(1000000)

struct sim;
struct sim_node;

/* --- chance (chance.c): one series for the world, one for each node's own entropy --- */

struct chance {
    uint64_t state;
};

void chance_seed(struct chance *chance, uint64_t seed);
uint64_t chance_next(struct chance *chance);
/* Uniform in [0, bound); bound > 0. */
uint64_t chance_below(struct chance *chance, uint64_t bound);
uint64_t chance_between(struct chance *chance, uint64_t low, uint64_t high);
/* True so often in a million. */
bool chance_hits(struct chance *chance, uint32_t per_million);
void chance_entropy(struct chance *chance, struct entropy *ret);

/* --- events (queue.c) --- */

typedef void (*sim_function)(void *context);

/* Runs outside of any node at that time, after everything that was put there earlier for it. */
void sim_at(struct sim *sim, uint64_t time_us, sim_function function, void *context);
/* Runs inside the node, from its loop, unless that life of the node is over by then; then `context`
 * is freed if `owned`. */
void sim_at_node(struct sim_node *node, uint64_t time_us, sim_function function, void *context,
                 bool owned);

/* --- faults: counted, so that a run which never met one can say so --- */

#define SIM_FAULT_TABLE(X)                                                                         \
    X(CRASH, "crash")                                                                              \
    X(CRASH_INSIDE, "crash-inside")                                                                \
    X(DISK_LOST, "disk-lost")                                                                      \
    X(DISK_TORN, "disk-torn")                                                                      \
    X(DISK_SLOW, "disk-slow")                                                                      \
    X(DISK_FAILED, "disk-failed")                                                                  \
    X(DISK_FULL, "disk-full")                                                                      \
    X(FILES_FAIL, "files-fail")                                                                    \
    X(NODE_WIPED, "node-wiped")                                                                    \
    X(LOG_LOST, "log-lost")                                                                        \
    X(STORAGE_REFUSED, "storage-refused")                                                          \
    X(STALL, "stall")                                                                              \
    X(CUT, "cut")                                                                                  \
    X(CUT_ONE_WAY, "cut-one-way")                                                                  \
    X(LINK_SLOW, "link-slow")                                                                      \
    X(LINK_BROKEN, "link-broken")                                                                  \
    X(CLOCK_JUMP, "clock-jump")                                                                    \
    X(REGION_DOWN, "region-down")                                                                  \
    X(REGION_KILLED, "region-killed")                                                              \
    X(REGION_STALLED, "region-stalled")                                                            \
    X(REGION_CUT, "region-cut")                                                                    \
    X(TWO_REGIONS, "two-regions")                                                                  \
    X(REGION_SLOW, "region-slow")                                                                  \
    X(REGION_DEGRADED, "region-degraded")                                                          \
    X(REGION_FLAP, "region-flap")                                                                  \
    X(REGION_UNSEEN, "region-unseen")                                                              \
    X(REQUEST_LOST, "request-lost")                                                                \
    X(REQUEST_LATE, "request-late")                                                                \
    X(REQUEST_TWICE, "request-twice")                                                              \
    X(REPLY_LOST, "reply-lost")                                                                    \
    X(TARGET_REFUSES, "target-refuses")                                                            \
    X(TARGET_DEAD, "target-dead")                                                                  \
    X(TARGET_FORGETS, "target-forgets")                                                            \
    X(FOREIGN_CHANGE, "foreign-change")                                                            \
    X(OPERATOR, "operator")                                                                        \
    X(SPEC_CHANGE, "spec-change")                                                                  \
    X(ROLE_REFUSED, "role-refused")                                                                \
    X(OWNER_REFUSED, "owner-refused")                                                              \
    X(STOP, "graceful-stop")                                                                       \
    X(NODE_ADDED, "node-added")                                                                    \
    X(NODE_REMOVED, "node-removed")                                                                \
    X(UPGRADE, "upgrade")                                                                          \
    X(TRANSFER, "leader-transfer")                                                                 \
    X(MEMBER_KILLED, "member-killed")                                                              \
    X(MEMBER_HUNG, "member-hung")                                                                  \
    X(MEMBER_RESTARTED, "member-restarted")                                                        \
    X(MEMBER_LAGS, "member-lags")                                                                  \
    X(MEMBERS_CUT, "members-cut")                                                                  \
    X(QUESTION_LOST, "question-lost")                                                              \
    X(QUESTION_LATE, "question-late")                                                              \
    X(QUESTION_TWICE, "question-twice")                                                            \
    X(ANSWER_LOST, "answer-lost")                                                                  \
    X(SET_RECONFIGURED, "set-reconfigured")                                                        \
    X(SET_STEPPED_UP, "set-stepped-up")                                                            \
    X(SET_ELECTED, "set-elected")                                                                  \
    X(MAJORITY_LOST, "majority-lost")                                                              \
    X(SET_FORCED, "set-forced")                                                                    \
    X(SET_FORCED_WRONG, "set-forced-wrong")                                                        \
    X(SET_FORCED_LATE, "set-forced-late")                                                          \
    X(SET_FORCED_UNDONE, "set-forced-undone")                                                      \
    X(WRITE_LOST, "write-lost")                                                                    \
    X(MEMBER_KEPT, "member-kept")                                                                  \
    X(MEMBER_READMITTED, "member-readmitted")

enum sim_fault {
#define X(name, text) SIM_##name,
    SIM_FAULT_TABLE(X)
#undef X
        SIM_FAULT_COUNT
};

/* What falls with a region besides that what serves there doesn't answer. */
enum region_fall {
    REGION_SERVICES, /* nothing */
    REGION_KILLED,   /* its nodes die, and don't start before its end */
    REGION_STALLED,  /* they are stopped */
    REGION_CUT,      /* all goes on, and reaches nothing outside */
    REGION_FALL_COUNT
};

const char *sim_fault_text(enum sim_fault fault);
/* It comes of others: a world can't be made without it. */
bool sim_fault_is_outcome(enum sim_fault fault);
void sim_count(struct sim *sim, enum sim_fault fault);

/* --- stagings: worlds in which faults and people wait for one moment, and then do the one thing
 * that matters there, again and again (stagings.c) --- */

#define SIM_STAGING_TABLE(X)                                                                       \
    X(NONE, "none")                                                                                \
    X(DEAD_ANSWERS, "dead-answers")                                                                \
    X(LATE_RELEASED, "late-released")                                                              \
    X(FORCED_DIES, "forced-dies")                                                                  \
    X(TERM_SHARED, "term-shared")                                                                  \
    X(WRITE_INHERITED, "write-inherited")                                                          \
    X(SNAPSHOTS, "snapshots")

enum sim_staging {
#define X(name, text) STAGING_##name,
    SIM_STAGING_TABLE(X)
#undef X
        STAGING_COUNT
};

const char *sim_staging_text(enum sim_staging staging);

/* --- the story, for --trace; and the end of a world that has broken a promise --- */

void sim_say(struct sim *sim, const char *who, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Never returns. */
_Noreturn void sim_broken(struct sim *sim, const char *invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- nodes (node.c) --- */

/* Whose code runs now; NULL: nobody's. */
struct sim_node *sim_current(void);
struct sim *sim_of(const struct sim_node *node);
/* A place where the running node may be killed: inside any call to the outside. */
void sim_crash_point(void);
uint64_t sim_now(const struct sim *sim);
struct chance *sim_chance(struct sim *sim);

#endif
