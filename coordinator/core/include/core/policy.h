/* The leader's judgement, pure: committed state and what the nodes report in, commands to propose
 * out. It may be wrong or differ between versions: state_apply has the last word. */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/command.h"
#include "core/mongo.h"
#include "core/state.h"

#define REPORT_INTERVAL_MS 1000
#define REPORT_EXPIRE_MS 5000 /* silent for so long: EXPIRE */
#define CLOCK_SPREAD_MAX_MS 5000

/* What one node says each second, and at each result while a window stands. Never committed as it
 * is. */
struct report_opinion {
    enum opinion_value value;
    uint64_t first_index,
        last_index;      /* down: applied when the run's first and last probe started */
    uint32_t failing_ms; /* how long the worst check has failed */
    char worst_check[NAME_SIZE];
    char worst_code[24]; /* of probe's table of results */
};

struct report_window {      /* by service: the open window as this node knows it */
    uint64_t suspect_index; /* 0: none */
    uint64_t age_ms;        /* CLOCK_BOOTTIME since it applied that SUSPECT */
};

struct report {
    uint64_t node_id, boot, sequence;
    uint64_t applied_index, spec_index; /* service and region places are of this spec */
    uint64_t wall_ms;
    uint64_t digest_index; /* `digest` is of the state right after this entry; 0: none yet */
    uint8_t digest[32];
    uint32_t feature_level; /* highest that it supports */
    char region[NAME_SIZE];
    uint8_t storage[16];
    char version[24];
    uint32_t control_reachable, control_total;
    uint32_t certificate_days;
    uint64_t lease_ask;                   /* rising by boot; 0: doesn't ask for leases now */
    uint64_t lease_services;              /* bits of places: for which */
    uint32_t service_count, region_count; /* of `opinions` used */
    struct report_window windows[SERVICE_MAX];
    struct report_opinion opinions[SERVICE_MAX][REGION_MAX];
    struct mongo_facts mongo[SERVICE_MAX]; /* of services that have a replica set */
};

/* The whole, without going over what neither of them has: a report is large and mostly empty. Both
 * must be empty (zero) beyond their service_count; so is *to afterwards. */
void report_copy(struct report *to, const struct report *from);

/* The leader's memory of one term; lost with the term. */
struct policy_input {
    uint64_t term, self_id;
    uint64_t now_ms;                        /* CLOCK_BOOTTIME of this process */
    uint64_t wall_ms;                       /* CLOCK_REALTIME */
    const struct report *reports[NODE_MAX]; /* by place in state->nodes; NULL: none this term */
    uint64_t received_ms[NODE_MAX];         /* now_ms when the report came in */
    uint64_t term_start_ms;                 /* now_ms when the barrier was applied */
    uint64_t tick_proposed_ms; /* now_ms when the last applied TICK was proposed; 0: none */
    uint64_t tick_index;       /* its index */
};

#define POLICY_COMMAND_MAX 32

struct policy_output {
    struct command *commands; /* the caller's array of POLICY_COMMAND_MAX */
    uint32_t count;
    uint64_t again_ms; /* call again after so long at the latest, also when nothing happens */
};

/* Everything a leader should propose now. Call it when a report or an apply came in and when
 * again_ms have passed, but not while an earlier output is still uncommitted. */
void policy_next(const struct state *state, const struct policy_input *input,
                 struct policy_output *out);

/* Votes on one (service, region). */
struct votes {
    uint32_t regions;                     /* node regions configured */
    uint32_t need;                        /* majority of them */
    uint32_t up, degraded, down, unknown; /* other regions' votes; the region's own in `own` */
    enum opinion_value own;               /* UNKNOWN where it has no node */
};

void votes_count(const struct state *state, uint32_t service, uint32_t region, struct votes *ret);
/* Down as needed for SUSPECT; up or degraded by a majority, the own vote included; else unknown. */
enum opinion_value votes_verdict(const struct votes *votes);
/* The vote of one node region about (service, region). */
enum opinion_value votes_of_region(const struct state *state, uint32_t service, uint32_t region,
                                   const char *node_region);
/* How many node regions' observers can be lost before no down verdict is possible any more for the
 * active region; 0 while none can be spared; -1 when it is impossible now. */
int votes_spare_observers(const struct state *state, const struct policy_input *input,
                          uint32_t service);

/* The region to move to, or NONE_INDEX; why_not[] tells for each target the first gate that it
 * fails (GATE_COUNT: none). Order: the spec's, but regions that share the lost one's risk group
 * come last; a tie is the lower place. */
uint32_t policy_choose_target(const struct state *state, const struct policy_input *input,
                              uint32_t service, enum gate why_not[REGION_MAX]);

/* Reads all gates of a move of `service` to region `to` (NONE_INDEX: none was found). `automatic`
 * false: an operator's; the gates in `skip` read GATE_SKIPPED where they fail. view: of the
 * service's replica set, with a person's word on it; NULL: as policy_view_set has it. Returns the
 * bits of the failing ones. */
uint32_t policy_read_gates(const struct state *state, const struct policy_input *input,
                           uint32_t service, uint32_t to, bool automatic, uint32_t skip,
                           const struct mongo_view *view, struct gate_reading gates[GATE_COUNT]);

/* What all reports together say of the service's replica set (all zero: it has none). */
void policy_view_set(const struct state *state, const struct policy_input *input, uint32_t service,
                     struct mongo_view *ret);

/* The same from the facts of one: a member whose answer is older than fresh_ms doesn't answer. */
void mongo_view_of(const struct mongo_facts *facts, uint64_t fresh_ms, struct mongo_view *ret);

/* What a promotion in region `to` comes to, by a view. */
void mongo_judge(const struct spec_mongo *mongo, const struct mongo_view *view, uint32_t to,
                 struct mongo_verdict *ret);

/* Why the member of view->readmit can't come back now, for people; NULL: it can. One that is in the
 * config gets its vote; one that a forced config left out is put into it, without one. */
const char *mongo_readmit_refusal(const struct state *state, uint32_t service,
                                  const struct mongo_view *view);

/* The plan for a move (or adoption) of a service to a region, by spec and debts; without the debts
 * where `skipped_gates` waives them by name. view: of the service's replica set, by which a move's
 * inner steps are chosen; may be NULL for a service without one. CORE_GATE: nobody there can be
 * promoted by what a plan may do. */
enum core_error policy_plan(const struct state *state, uint32_t service, enum execution_kind kind,
                            uint32_t to, uint32_t skipped_gates, const struct mongo_view *view,
                            struct plan *ret);

#endif
