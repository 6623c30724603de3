/* From results to one check's verdict, and from checks to one node's opinion of a (service,
 * region). Pure: no clock, no I/O, no memory.
 *
 * A check is unknown until `rise` good or `fall` bad results in a row made it up or down, and stays
 * so until the opposite run is complete. Void results (the node's own trouble) count as neither and
 * break no run; but PROBE_VOID_MAX of them in a row make the check unknown, since then nobody is
 * looking any more.
 *
 * Evidence: DESIGN, "Deciding". A down opinion cites the log index that was applied when the first
 * of the last `fall` probes started, and when the last one did. It is of one check, and of bad
 * results in a row: after a good one there is none until `fall` bad ones have followed.
 *
 * What a check asks of a region may depend on whether the service is active there. Once it isn't
 * any more, failures that only say what the active one lacked are excused: the state is again what
 * it was before them. */
#ifndef PROBE_DEBOUNCE_H
#define PROBE_DEBOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/limits.h"
#include "core/state.h"
#include "probe/result.h"

#define PROBE_RUN_MAX CHECK_RUN_MAX /* fall, rise */
#define PROBE_VOID_MAX 10
#define PROBE_SLACK_MS 1000 /* a result later than timeout + this is stalled */

enum probe_state { PROBE_UNKNOWN, PROBE_UP, PROBE_DOWN };

struct probe_rule {
    uint32_t rise, fall; /* 1 .. PROBE_RUN_MAX */
    uint32_t timeout_ms;
    uint32_t slack_ms;
};

struct probe_debounce {
    struct probe_rule rule;
    enum probe_state state;
    uint32_t ok_run, fail_run, void_run;       /* in a row; voids break neither of the others */
    uint64_t start_indexes[PROBE_RUN_MAX];     /* of the run's last failures: ring by fail_run */
    uint64_t failing_since_ms;                 /* start of the run's first failure; 0: no run */
    uint64_t changed_at_ms;                    /* finish of the result that made the state */
    uint64_t ok_count, fail_count, void_count; /* ever */
    struct probe_result last;                  /* with its code as counted; see has_result */
    bool has_result;
    enum probe_result_code last_fail_code; /* OK: none yet */
    /* The failures since the check was last well (neither down nor in a run of them): the state
     * before the first, and the code that they share. OK: none, or they differ. */
    enum probe_state state_before;
    enum probe_result_code shared_code;
};

/* The rule's limits are the caller's to check (probe_engine does). */
void probe_debounce_init(struct probe_debounce *debounce, const struct probe_rule *rule);

/* Counts one result; a result that took longer than timeout + slack is counted, and kept in `last`,
 * as stalled whatever it says. True when the state changed. */
bool probe_debounce_feed(struct probe_debounce *debounce, const struct probe_result *result);

/* Takes the failures back, a down state included, where all since the check was last well have this
 * code. True when the state changed. */
bool probe_debounce_excuse(struct probe_debounce *debounce, enum probe_result_code code);

/* False, with the results untouched: not down, or not by the last `fall` results that count. */
bool probe_debounce_evidence(const struct probe_debounce *debounce, uint64_t *ret_first_index,
                             uint64_t *ret_last_index);

const char *probe_state_text(enum probe_state state); /* "up" */

struct probe_opinion_check {
    const char *name;
    bool critical;
    const struct probe_debounce *debounce;
};

struct probe_opinion {
    enum opinion_value value;
    bool has_evidence;                            /* only with DOWN */
    uint64_t first_start_index, last_start_index; /* 0 without evidence */
    char worst_check[NAME_SIZE];                  /* "" with UP */
    enum probe_result_code worst_code;            /* how it failed last; else its last result */
    uint64_t failing_since_ms;                    /* CLOCK_BOOTTIME; 0: it has no run of failures */
    uint64_t changed_at_ms;                       /* CLOCK_BOOTTIME of the last change of value */
};

/* The first rule that holds:
 *   no critical check                            UNKNOWN (nothing vouches for the service)
 *   a critical check is down                     DOWN
 *   a critical check is unknown                  UNKNOWN
 *   another check is down                        DEGRADED
 *   otherwise                                    UP
 * DOWN cites the down critical check whose evidence began last (highest first index, then highest
 * last index, then first in order): the freshest; one without evidence is cited only when none has
 * any. DEGRADED and UNKNOWN name the first such check. Leaves changed_at_ms 0: the keeper of the
 * opinion knows. */
void probe_opinion_form(const struct probe_opinion_check *checks, size_t count,
                        struct probe_opinion *ret_opinion);

#endif
