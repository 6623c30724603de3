/* The words of every enum, from the tables in the headers or beside them. */
#include "core/command.h"
#include "core/execution.h"
#include "core/gate.h"
#include "core/state.h"

#include "base/text.h"

static const char *word(const char *const *words, unsigned count, unsigned value) {
    return value < count && words[value] != NULL ? words[value] : "?";
}

#define WORD(words, value) word(words, ARRAY_LENGTH(words), (unsigned)(value))

const char *event_kind_text(enum event_kind kind) {
    static const char *const words[] = {
#define X(name, text, doc) text,
        EVENT_TABLE(X)
#undef X
    };
    return WORD(words, kind);
}

const char *opinion_text(enum opinion_value value) {
    static const char *const words[] = {"unknown", "up", "degraded", "down"};
    return WORD(words, value);
}

const char *role_text(enum role role) {
    static const char *const words[] = {"none", "viewer", "operator", "admin", "node"};
    return WORD(words, role);
}

const char *mode_text(enum service_mode mode) {
    static const char *const words[] = {"observe", "advise", "auto"};
    return WORD(words, mode);
}

const char *override_kind_text(enum override_kind kind) {
    static const char *const words[] = {"veto", "pause", "maintenance"};
    return WORD(words, kind);
}

const char *execution_kind_text(enum execution_kind kind) {
    static const char *const words[] = {"failover", "switchover", "adopt",
                                        "release",  "repair",     "readmit"};
    return WORD(words, kind);
}

const char *execution_phase_text(enum execution_phase phase) {
    static const char *const words[] = {"none", "decided", "running", "cancelling", "ended"};
    return WORD(words, phase);
}

const char *execution_result_text(enum execution_result result) {
    static const char *const words[] = {"-",       "done",       "lapsed",  "cancelled",
                                        "stopped", "half-moved", "released"};
    return WORD(words, result);
}

const char *step_kind_text(enum step_kind kind) {
    static const char *const words[] = {"settle", "adopt",   "switch", "dns",   "lease",  "unmark",
                                        "prefer", "promote", "write",  "force", "readmit"};
    return WORD(words, kind);
}

const char *step_phase_text(enum step_phase phase) {
    static const char *const words[] = {"waiting", "intended", "attempted", "accepted", "closing",
                                        "done",    "refused",  "unknown",   "released"};
    return WORD(words, phase);
}

static const struct {
    const char *word;
    bool manual;
    const char *doc;
} gate_table[] = {
#define X(name, word, manual, doc) {word, manual, doc},
    GATE_TABLE(X)
#undef X
};

const char *gate_word(enum gate gate) {
    return (unsigned)gate < GATE_COUNT ? gate_table[gate].word : "?";
}

const char *gate_doc(enum gate gate) {
    return (unsigned)gate < GATE_COUNT ? gate_table[gate].doc : "?";
}

bool gate_is_manual(enum gate gate) {
    return (unsigned)gate < GATE_COUNT && gate_table[gate].manual;
}

enum gate gate_from_word(const char *text) {
    unsigned gate = 0;
    while (gate < GATE_COUNT && !text_equal(gate_table[gate].word, text)) {
        gate++;
    }
    return (enum gate)gate;
}

const char *gate_result_text(enum gate_result result) {
    static const char *const words[] = {"pass", "FAIL", "skipped", "n/a"};
    return WORD(words, result);
}

bool gate_is_skippable(enum gate gate) {
    return gate != GATE_MONGO_MEMBER && gate != GATE_MONGO_MAJORITY;
}

bool gate_is_of_set(enum gate gate) {
    return gate == GATE_REPLICATION_LAG ||
           (gate >= GATE_MONGO_MEMBER && gate <= GATE_MONGO_VERSIONS);
}

enum gate_unit gate_unit(enum gate gate) {
    switch (gate) {
    case GATE_CONFIRMED:
    case GATE_COOLDOWN:
    case GATE_REPLICATION_LAG:
    case GATE_MONGO_ELECTION:
    case GATE_MONGO_OPLOG:
    case GATE_CLOCK:
        return GATE_UNIT_MS;
    case GATE_VERDICT:
    case GATE_OBSERVERS:
    case GATE_TARGET_HEALTHY:
        return GATE_UNIT_VOTES;
    case GATE_FLAPPING:
    case GATE_MONGO_MEMBER:
    case GATE_MONGO_MAJORITY:
    case GATE_MONGO_DATA:
    case GATE_MONGO_ROLLBACK:
    case GATE_DEBTS:
        return GATE_UNIT_COUNT;
    default:
        return GATE_UNIT_NONE;
    }
}

static const struct {
    const char *name;
    const char *text;
} core_errors[] = {
#define X(name, text) {#name, text},
    CORE_ERROR_TABLE(X)
#undef X
};

const char *core_error_name(enum core_error error) {
    return (unsigned)error < CORE_ERROR_COUNT ? core_errors[error].name : "?";
}

const char *core_error_text(enum core_error error) {
    return (unsigned)error < CORE_ERROR_COUNT ? core_errors[error].text : "?";
}

const char *command_kind_text(enum command_kind kind) {
    static const char *const words[] = {
        NULL,           "nodes",   "leader", "feature", "opinion", "expire",  "tick",
        "suspect",      "note",    "decide", "lapse",   "intent",  "attempt", "accepted",
        "closing",      "outcome", "switch", "halt",    "spec",    "move",    "override",
        "override-end", "approve", "reject", "cancel",  "release", "adopt",   "resume-automation",
    };
    return WORD(words, kind);
}
