#include "core/mongo.h"

const char *mongo_state_text(enum mongo_state state) {
    static const char *const texts[] = {"UNKNOWN",    "STARTUP",  "PRIMARY",    "SECONDARY",
                                        "RECOVERING", "STARTUP2", "ARBITER",    "DOWN",
                                        "ROLLBACK",   "REMOVED",  "UNINITIATED"};
    _Static_assert(sizeof texts / sizeof texts[0] == MONGO_STATE_COUNT, "one text a state");
    return (unsigned)state < MONGO_STATE_COUNT ? texts[state] : "?";
}

bool mongo_member_fell_silent_in_rollback(const struct mongo_member *member) {
    return !member->answers && member->rollback_age_ms != MONGO_AGE_NEVER &&
           member->rollback_age_ms <= member->age_ms;
}

static int compare(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

int mongo_optime_compare(const struct mongo_optime *a, const struct mongo_optime *b) {
    int order = compare(a->seconds != 0, b->seconds != 0);
    order = order != 0 ? order : compare(a->term, b->term);
    order = order != 0 ? order : compare(a->seconds, b->seconds);
    return order != 0 ? order : compare(a->count, b->count);
}
