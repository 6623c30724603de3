/* The named conditions of a move. Codes are stable: they stand in the log, the API and metrics. */
#ifndef CORE_GATE_H
#define CORE_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"

/*         name               word                  for operator's moves too, what it asks */
#define GATE_TABLE(X)                                                                              \
    X(MODE, "mode", false, "the service's mode lets it move by itself, or a person approved")      \
    X(AUTOMATION, "automation", false, "replicas agree: automation was not stopped")               \
    X(PAUSED, "paused", true, "no pause covers the service")                                       \
    X(VETOED, "vetoed", true, "no veto covers the service, nobody rejected this move")             \
    X(VERDICT, "verdict", false, "enough regions vote down, from fresh probes")                    \
    X(CONFIRMED, "confirmed", false, "a majority of nodes held the suspicion for `confirm`")       \
    X(OBSERVERS, "observers", false, "nodes in at least three regions, enough of them can vote")   \
    X(IN_PROGRESS, "in_progress", true, "no execution is open, none ended half-moved")             \
    X(COOLDOWN, "cooldown", false, "the last move ended at least `cooldown` ago")                  \
    X(FLAPPING, "flapping", false, "fewer than max_moves in the window, few false suspicions")     \
    X(TARGET_HEALTHY, "target_healthy", true, "enough regions see the target up")                  \
    X(TARGET_MAINTENANCE, "target_maintenance", true, "the target is not in maintenance")          \
    X(TARGET_READY, "target_ready", true,                                                          \
      "the target can be written: adopted, values in the spec")                                    \
    X(REPLICATION_LAG, "replication_lag", true, "data of the target is fresh enough")              \
    X(MONGO_MEMBER, "mongo_member", true, "the target has a member that can be promoted")          \
    X(MONGO_MAJORITY, "mongo_majority", true, "a majority of the set's voters answers")            \
    X(MONGO_DATA, "mongo_data", true, "enough members with data for a majority write")             \
    X(MONGO_ELECTION, "mongo_election", true, "the set has a primary, or had time to elect one")   \
    X(MONGO_ROLLBACK, "mongo_rollback", true, "no member is rolling back")                         \
    X(MONGO_CONFIG, "mongo_config", true, "a majority of the set has its newest config")           \
    X(MONGO_OPLOG, "mongo_oplog", true, "no member is further behind than the oplog reaches")      \
    X(MONGO_VERSIONS, "mongo_versions", true, "members agree on how configs are ordered (4.4)")    \
    X(DEBTS, "debts", true, "room for another debt; older ones are settled first")                 \
    X(CLOCK, "clock", false, "the clocks of a majority agree within a limit")

enum gate {
#define X(name, word, manual, doc) GATE_##name,
    GATE_TABLE(X)
#undef X
        GATE_COUNT
};

#define GATE_BIT(gate) (UINT32_C(1) << (gate))

enum gate_result { GATE_PASS, GATE_FAIL, GATE_SKIPPED, GATE_NOT_APPLICABLE, GATE_RESULT_COUNT };

/* value and limit in the gate's own unit (gate_unit): ms, votes, count; UINT64_MAX is "infinite".
 */
struct gate_reading {
    enum gate_result result;
    uint64_t value, limit;
    uint64_t age_ms, age_limit_ms; /* of the value, where that counts (replication_lag); else 0 */
};

enum gate_unit { GATE_UNIT_NONE, GATE_UNIT_MS, GATE_UNIT_COUNT, GATE_UNIT_VOTES };

const char *gate_word(enum gate gate);
const char *gate_doc(enum gate gate);
const char *gate_result_text(enum gate_result result);
enum gate_unit gate_unit(enum gate gate);
/* Whether an operator's move is held by it as well (unless skipped by name). */
bool gate_is_manual(enum gate gate);
/* Whether an operator may skip it by name. Nobody is promoted who isn't there, or whom no majority
 * would follow. */
bool gate_is_skippable(enum gate gate);
/* Whether it is about the service's replica set; without one it doesn't apply. */
bool gate_is_of_set(enum gate gate);
/* GATE_COUNT when there is none of that word. */
enum gate gate_from_word(const char *text);

#endif
