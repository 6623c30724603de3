#include "mongo/replica_set.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define CODE_NO_REPLICATION 76
#define CODE_REMOVED 93
#define CODE_UNINITIATED 94

void replica_set_init(struct replica_set *set, const char *name) {
    memset(set, 0, sizeof *set);
    (void)TEXT_COPY(set->name, name);
    set->last_primary = NONE_INDEX;
    set->write_rate_milli = MONGO_RATE_UNKNOWN;
}

static uint32_t region_of(const struct replica_set *set, const char *tag) {
    for (uint32_t r = 0; tag[0] != '\0' && r < set->region_count; r++) {
        if (text_equal(set->regions[r], tag)) {
            return r;
        }
    }
    return NONE_INDEX;
}

void replica_set_place(struct replica_set *set, const char *const *regions, uint32_t count) {
    set->region_count = count < REGION_MAX ? count : REGION_MAX;
    for (uint32_t r = 0; r < set->region_count; r++) {
        (void)TEXT_COPY(set->regions[r], regions[r]);
    }
    for (uint32_t i = 0; i < set->member_count; i++) {
        set->members[i].region = region_of(set, set->members[i].config.tag);
    }
}

struct set_member *replica_set_find(struct replica_set *set, const char *host) {
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (strcasecmp(set->members[i].config.host, host) == 0) {
            return &set->members[i];
        }
    }
    return NULL;
}

/* --- configs --- */

/* By (term, version); by version alone where one of them has no term, which is how a forced config
 * wins over all before it (MongoDB 4.4, ConfigVersionAndTerm). */
static bool is_newer(uint64_t version, uint64_t term, uint64_t than_version, uint64_t than_term) {
    if (term != 0 && than_term != 0 && term != than_term) {
        return term > than_term;
    }
    return version > than_version;
}

static void order_members(struct replica_set *set) {
    for (uint32_t i = 1; i < set->member_count; i++) {
        struct set_member moving = set->members[i];
        uint32_t at = i;
        while (at > 0 && (set->members[at - 1].config.votes < moving.config.votes ||
                          (set->members[at - 1].config.votes == moving.config.votes &&
                           set->members[at - 1].config.id > moving.config.id))) {
            set->members[at] = set->members[at - 1];
            at--;
        }
        set->members[at] = moving;
    }
}

/* A member that stays, by id and host, keeps what is known of it. */
static void take_config(struct replica_set *set, const struct mongo_config *config) {
    struct replica_set old = *set;
    set->config = *config;
    set->is_known = true;
    set->member_count = config->member_count;
    memset(set->members, 0, sizeof set->members);
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct mongo_config_member *from = &config->members[i];
        const struct set_member *known = replica_set_find(&old, from->host);
        if (known != NULL && known->config.id == from->id) {
            set->members[i] = *known;
        }
        set->members[i].config = *from;
        set->members[i].region = region_of(set, from->tag);
    }
    order_members(set);
}

/* --- answers --- */

static void set_trouble(struct set_member *member, const char *text) {
    (void)snprintf(member->trouble, sizeof member->trouble, "%s", text);
}

static struct set_member *find_id(struct replica_set *set, uint32_t id) {
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (set->members[i].config.id == id) {
            return &set->members[i];
        }
    }
    return NULL;
}

static bool same_place(const struct mongo_optime *a, const struct mongo_optime *b) {
    return a->term == b->term && a->seconds == b->seconds && a->count == b->count;
}

/* What one member says of all, itself included: the newer word holds. */
static void take_words(struct replica_set *set, const struct mongo_status *status,
                       uint64_t asked_ms) {
    for (uint32_t i = 0; i < status->member_count; i++) {
        const struct mongo_status_member *word = &status->members[i];
        struct set_member *of = find_id(set, word->id);
        if (of == NULL || strcasecmp(of->config.host, word->host) != 0 ||
            word->heard_age_ms == MONGO_AGE_NEVER || word->heard_age_ms >= asked_ms) {
            continue;
        }
        uint64_t heard_ms = asked_ms - word->heard_age_ms;
        if (word->optime.seconds != 0 && heard_ms >= of->optime_ms) {
            bool keeps_wall = word->optime.wall_ms == 0 && same_place(&word->optime, &of->optime);
            uint64_t wall_ms = keeps_wall ? of->optime.wall_ms : word->optime.wall_ms;
            of->optime = word->optime;
            of->optime.wall_ms = wall_ms;
            of->optime_ms = heard_ms;
        }
        if (word->state == MONGO_ROLLBACK && heard_ms > of->rollback_ms) {
            of->rollback_ms = heard_ms;
        }
        if (word->config_version != 0 && heard_ms >= of->config_ms) {
            of->config_version = word->config_version;
            of->config_term = word->config_term;
            of->config_ms = heard_ms;
        }
        if (word->self) {
            (void)TEXT_COPY(of->sync_source, word->sync_source);
        }
    }
}

static enum mongo_state state_of_hello(const struct mongo_hello *hello) {
    return hello->writable    ? MONGO_PRIMARY
           : hello->secondary ? MONGO_SECONDARY
           : hello->arbiter   ? MONGO_ARBITER
                              : MONGO_UNKNOWN;
}

static void take_refused_status(struct set_member *member, const struct set_answer *answer) {
    member->state = answer->status_code == CODE_UNINITIATED ? MONGO_UNINITIATED
                    : answer->status_code == CODE_REMOVED   ? MONGO_REMOVED
                                                            : state_of_hello(&answer->hello);
    bool is_state = member->state == MONGO_UNINITIATED || member->state == MONGO_REMOVED;
    set_trouble(member, is_state ? ""
                        : answer->status_code == CODE_NO_REPLICATION
                            ? "no_replica_set"
                            : mongo_result_text(answer->status_result));
    member->term = answer->hello.election_term;
}

static void take_answer(struct replica_set *set, struct set_member *member,
                        const struct set_answer *answer) {
    const struct mongo_hello *hello = &answer->hello;
    member->result = answer->result;
    if (answer->result != MONGO_RESULT_OK) {
        member->answers = false;
        member->writable = false;
        set_trouble(member, mongo_result_text(answer->result));
        return;
    }
    bool foreign = hello->set_name[0] != '\0' && !text_equal(hello->set_name, set->name);
    member->answers = !foreign;
    member->answered_ms = answer->asked_ms;
    member->version = mongo_version_of_wire(hello->wire_version);
    member->writable = hello->writable && !foreign;
    if (foreign) {
        member->state = MONGO_UNKNOWN;
        set_trouble(member, "other_set");
        return;
    }
    if (answer->status_result != MONGO_RESULT_OK) {
        take_refused_status(member, answer);
        return;
    }
    member->state = answer->status.my_state;
    member->rollback_ms = member->state == MONGO_ROLLBACK ? answer->asked_ms : member->rollback_ms;
    member->term = answer->status.term != 0 ? answer->status.term : hello->election_term;
    set_trouble(member, "");
}

bool replica_set_take(struct replica_set *set, const char *host, const struct set_answer *answer) {
    const struct mongo_config *config = &answer->config;
    bool ours = text_equal(config->set_name, set->name);
    bool changed = false;
    if (answer->has_config && ours) {
        bool newer = !set->is_known ||
                     is_newer(config->version, config->term, set->config.version, set->config.term);
        if (newer) {
            take_config(set, config);
            changed = true;
        }
        if (config->version == set->config.version && config->term == set->config.term) {
            set->config_ms = answer->asked_ms;
        }
    }
    struct set_member *member = replica_set_find(set, host);
    if (member != NULL) {
        take_answer(set, member, answer);
    }
    if (answer->result == MONGO_RESULT_OK && answer->status_result == MONGO_RESULT_OK &&
        text_equal(answer->status.set_name, set->name)) {
        take_words(set, &answer->status, answer->asked_ms);
    }
    return changed;
}

/* --- what follows --- */

bool set_member_is_fresh(const struct set_member *member, uint64_t since_ms) {
    return member->answers && member->answered_ms >= since_ms;
}

uint32_t replica_set_primary(const struct replica_set *set, uint64_t since_ms) {
    uint64_t highest = 0;
    uint32_t found = NONE_INDEX;
    for (uint32_t i = 0; i < set->member_count; i++) {
        highest = set->members[i].term > highest ? set->members[i].term : highest;
    }
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct set_member *member = &set->members[i];
        if (!set_member_is_fresh(member, since_ms) || !member->writable || member->term < highest) {
            continue;
        }
        if (found != NONE_INDEX) {
            return NONE_INDEX; /* two of one term: a set that was forced apart */
        }
        found = i;
    }
    return found;
}

void replica_set_note_primary(struct replica_set *set, uint32_t primary) {
    const struct set_member *member = &set->members[primary];
    if (set->last_primary != member->config.id || set->last_primary_term != member->term) {
        set->write_rate_milli = MONGO_RATE_UNKNOWN;
    }
    set->last_primary = member->config.id;
    set->last_primary_ms = member->answered_ms;
    set->last_primary_term = member->term;
}

bool replica_set_has_members(const struct replica_set *set, uint32_t region) {
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (set->members[i].region == region) {
            return true;
        }
    }
    return false;
}

bool set_member_is_electable(const struct set_member *of) {
    const struct mongo_config_member *member = &of->config;
    return member->priority_milli > 0 && member->votes && !member->hidden && member->delay_s == 0 &&
           !member->arbiter;
}

/* --- as a report tells it --- */

static uint32_t age(uint64_t now_ms, uint64_t then_ms) {
    if (then_ms == 0) {
        return MONGO_AGE_NEVER;
    }
    uint64_t ms = now_ms > then_ms ? now_ms - then_ms : 0;
    return ms < MONGO_AGE_NEVER ? (uint32_t)ms : MONGO_AGE_NEVER - 1;
}

static uint32_t id_of_host(const struct replica_set *set, const char *host) {
    for (uint32_t i = 0; host[0] != '\0' && i < set->member_count; i++) {
        if (strcasecmp(set->members[i].config.host, host) == 0) {
            return set->members[i].config.id;
        }
    }
    return NONE_INDEX;
}

static void tell_member(const struct replica_set *set, const struct set_member *from,
                        uint64_t now_ms, struct mongo_member *ret) {
    memset(ret, 0, sizeof *ret);
    ret->id = from->config.id;
    (void)TEXT_COPY(ret->host, from->config.host);
    ret->region = from->region;
    ret->priority_milli = from->config.priority_milli;
    ret->votes = from->config.votes;
    ret->hidden = from->config.hidden;
    ret->arbiter = from->config.arbiter;
    ret->delay_s = from->config.delay_s;
    ret->kept_out = from->config.kept_out;
    ret->answers = from->answers;
    ret->writable = from->answers && from->writable;
    ret->state = from->answers ? from->state : MONGO_UNKNOWN;
    ret->age_ms = age(now_ms, from->answered_ms);
    ret->term = from->term;
    ret->optime = from->optime;
    ret->optime_age_ms = age(now_ms, from->optime_ms);
    ret->config_version = from->config_version;
    ret->config_term = from->config_term;
    ret->sync_source = from->answers ? id_of_host(set, from->sync_source) : NONE_INDEX;
    ret->version = from->version;
    (void)TEXT_COPY(ret->trouble, from->trouble);
    ret->rollback_age_ms = age(now_ms, from->rollback_ms);
}

static bool is_committed(const struct replica_set *set) {
    uint32_t voters = 0;
    uint32_t have = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct set_member *member = &set->members[i];
        voters += member->config.votes;
        have += member->config.votes && member->config_version == set->config.version &&
                member->config_term == set->config.term;
    }
    return have > voters / 2;
}

/* From its first entry to the newest that anybody has. */
static uint32_t oplog_window_s(const struct replica_set *set) {
    uint32_t newest = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        newest = set->members[i].optime.seconds > newest ? set->members[i].optime.seconds : newest;
    }
    return set->oplog_start_s != 0 && newest > set->oplog_start_s ? newest - set->oplog_start_s : 0;
}

void replica_set_facts(const struct replica_set *set, uint64_t now_ms, struct mongo_facts *ret) {
    memset(ret, 0, sizeof *ret);
    ret->member_total = set->member_count;
    ret->member_count = set->member_count < MONGO_MEMBER_MAX ? set->member_count : MONGO_MEMBER_MAX;
    (void)TEXT_COPY(ret->set_name, set->name);
    ret->config_version = set->config.version;
    ret->config_term = set->config.term;
    ret->config_committed = is_committed(set);
    ret->election_timeout_ms = set->config.election_timeout_ms;
    ret->heartbeat_ms = set->config.heartbeat_ms;
    ret->oplog_window_s = oplog_window_s(set);
    ret->primary = set->last_primary;
    ret->primary_age_ms = age(now_ms, set->last_primary_ms);
    ret->primary_term = set->last_primary_term;
    ret->write_age_ms = age(now_ms, set->write_ms);
    ret->write_took_ms = set->write_took_ms;
    ret->write_rate_milli = set->write_rate_milli;
    (void)TEXT_COPY(ret->write_trouble, set->write_trouble);
    for (uint32_t i = 0; i < ret->member_count; i++) {
        tell_member(set, &set->members[i], now_ms, &ret->members[i]);
    }
}
