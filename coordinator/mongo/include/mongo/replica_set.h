/* What is known of one replica set, put together from answers: pure, times come as arguments
 * (CLOCK_BOOTTIME). */
#ifndef MONGO_REPLICA_SET_H
#define MONGO_REPLICA_SET_H

#include "mongo/reply.h"
#include "mongo/result.h"

struct set_member {
    struct mongo_config_member config;
    uint32_t region; /* NONE_INDEX: no tag, or one that is no region */
    /* Of its last answer; what it doesn't know then is zero. */
    uint64_t answered_ms; /* when that was asked; 0: never */
    bool answers;         /* to the last question */
    bool writable;
    enum mongo_state state;
    uint64_t term;
    uint32_t version;
    char sync_source[MONGO_HOST_SIZE];
    char trouble[MONGO_TROUBLE_SIZE];
    enum mongo_result result; /* of the last question */
    /* By itself or by hearsay, whichever is newer. */
    struct mongo_optime optime;
    uint64_t optime_ms; /* 0: never */
    uint64_t config_version, config_term, config_ms;
    uint64_t rollback_ms; /* it was last in ROLLBACK; 0: never */
};

struct replica_set {
    char name[NAME_SIZE]; /* by the URI; answers of another set count for nothing */
    uint32_t region_count;
    char regions[REGION_MAX][NAME_SIZE];
    bool is_known; /* a config was read */
    struct mongo_config config;
    uint64_t config_ms; /* when the newest read of it was asked */
    uint32_t member_count;
    struct set_member members[MONGO_SET_MEMBER_MAX];
    /* The last that was seen to be the writable primary, also when it is gone. */
    uint32_t last_primary; /* `_id`; NONE_INDEX: none was seen */
    uint64_t last_primary_ms, last_primary_term;
    uint32_t oplog_start_s; /* 0: not known */
    uint64_t write_ms;      /* the last canary that went well was sent; 0: never */
    uint32_t write_took_ms;
    uint32_t write_rate_milli; /* of the last primary; MONGO_RATE_UNKNOWN */
    char write_trouble[MONGO_TROUBLE_SIZE];
};

/* Everything that one member said in a round. */
struct set_answer {
    uint64_t asked_ms;
    enum mongo_result result; /* of hello: nothing else was asked unless OK */
    int32_t status_code;      /* the server's, where it refused replSetGetStatus; else 0 */
    enum mongo_result status_result;
    bool has_config;
    struct mongo_hello hello;
    struct mongo_status status;
    struct mongo_config config;
};

void replica_set_init(struct replica_set *set, const char *name);
/* The spec's regions; members are placed anew. */
void replica_set_place(struct replica_set *set, const char *const *regions, uint32_t count);

/* Takes what `host` answered. True: the members or their regions are other ones now. */
bool replica_set_take(struct replica_set *set, const char *host, const struct set_answer *answer);

struct set_member *replica_set_find(struct replica_set *set, const char *host);

/* The place of the writable primary; NONE_INDEX: none, or one seen before `since_ms`. */
uint32_t replica_set_primary(const struct replica_set *set, uint64_t since_ms);

/* Keeps it as the last one. `primary`: its place, of this round. Of another one than before, or in
 * another term, the rate of writes isn't known. */
void replica_set_note_primary(struct replica_set *set, uint32_t primary);

/* Whether a member is tagged with the region, whatever it may do. */
bool replica_set_has_members(const struct replica_set *set, uint32_t region);

/* It answered the last question, which was asked then or later. */
bool set_member_is_fresh(const struct set_member *member, uint64_t since_ms);
/* Could become primary, were it well: votes, priority, data, neither hidden nor delayed. */
bool set_member_is_electable(const struct set_member *member);

void replica_set_facts(const struct replica_set *set, uint64_t now_ms, struct mongo_facts *ret);

#endif
