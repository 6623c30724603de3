/* The rate of writes: the primary's own counters (serverStatus, opcounters), twice. */
#include "base/text.h"
#include "mongo_private.h"

enum { MILLI = 1000, MS_PER_SECOND = 1000 };

static void forget(struct watched_set *set) {
    set->counted_ms = 0;
    set->state.write_rate_milli = MONGO_RATE_UNKNOWN;
}

static uint32_t rate_milli(uint64_t writes, uint64_t elapsed_ms) {
    const uint64_t most = MONGO_RATE_UNKNOWN - 1;
    /* No set takes 2^32 writes in a few seconds; and so nothing overflows. */
    writes = writes < UINT32_MAX ? writes : UINT32_MAX;
    uint64_t rate = writes * MILLI * MS_PER_SECOND / elapsed_ms;
    return (uint32_t)(rate < most ? rate : most);
}

/* Counters that go back are those of another process: it was started anew. */
static void take_count(struct watched_set *set, uint64_t count) {
    bool again = set->counted_ms != 0 && count >= set->counted && set->count_ms > set->counted_ms;
    if (again) {
        set->state.write_rate_milli =
            rate_milli(count - set->counted, set->count_ms - set->counted_ms);
        set->rate_ms = set->count_ms;
    } else {
        forget(set);
    }
    set->counted = count;
    set->counted_ms = set->count_ms;
}

static void on_counted(void *context, const struct mongo_reply *reply) {
    struct watched_set *set = context;
    uint64_t count = 0;
    set->is_counting = false;
    if (reply->result == MONGO_RESULT_CANCELLED ||
        set->count_term != set->state.last_primary_term) {
        return;
    }
    if (reply->result == MONGO_RESULT_OK && mongo_read_writes(reply->document, &count)) {
        take_count(set, count);
    } else if (reply->document != NULL || reply->result == MONGO_RESULT_AUTH) {
        forget(set);
        set->next_count_ms = set->count_ms + PROBE_MONGO_RATE_OLD_MS; /* each one is logged there */
    }
    /* It may be dying: then its rate is wanted. */
}

/* Without the sections that cost the server something, or are long. */
static void fill(bson_t *command) {
    static const char *const sections[] = {
        "asserts",
        "connections",
        "extra_info",
        "flowControl",
        "globalLock",
        "locks",
        "metrics",
        "mirroredReads",
        "network",
        "opLatencies",
        "repl",
        "security",
        "sharding",
        "tcmalloc",
        "transactions",
        "wiredTiger",
        "logicalSessionRecordCache",
    };
    BSON_APPEND_INT32(command, "serverStatus", 1);
    for (size_t i = 0; i < ARRAY_LENGTH(sections); i++) {
        BSON_APPEND_INT32(command, sections[i], 0);
    }
}

static bool open_counter(struct watched_set *set, const char *host) {
    if (set->counter != NULL && text_equal(set->counter_host, host)) {
        return true;
    }
    mongo_link_destroy(set->counter);
    set->counter = mongo_watch_open(set, host);
    (void)TEXT_COPY(set->counter_host, host);
    set->counted_ms = 0;
    return set->counter != NULL;
}

void mongo_rate_look(struct watched_set *set, uint32_t primary) {
    uint64_t now_ms = mongo_watch_now(set);
    if (primary == NONE_INDEX) {
        return;
    }
    const struct set_member *member = &set->state.members[primary];
    bool other =
        set->count_term != member->term || !text_equal(set->counter_host, member->config.host);
    if (now_ms - set->rate_ms > PROBE_MONGO_RATE_OLD_MS) {
        set->state.write_rate_milli = MONGO_RATE_UNKNOWN;
    }
    if (set->is_counting || (now_ms < set->next_count_ms && !other) ||
        !open_counter(set, member->config.host)) {
        return;
    }
    set->counted_ms = other ? 0 : set->counted_ms;
    set->count_ms = now_ms;
    set->count_term = member->term;
    set->next_count_ms = now_ms + PROBE_MONGO_RATE_MS;
    set->is_counting = true;
    bson_t command = BSON_INITIALIZER;
    fill(&command);
    mongo_link_ask(set->counter, "admin", &command, MONGO_REPEATABLE, set->spec.timeout_ms,
                   on_counted, set);
    bson_destroy(&command);
}

void mongo_rate_close(struct watched_set *set) {
    mongo_link_destroy(set->counter);
    set->counter = NULL;
}
