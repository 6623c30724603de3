/* A replica set's configuration: read from BSON, judged by the rules of the release, written back.
 * Source: MongoDB 3.6.8 and 4.4.6 as recorded in tests/world/mongo/transcripts. */
#ifndef WORLD_MONGO_CONFIG_H
#define WORLD_MONGO_CONFIG_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

#include "set.h"

#define MONGO_CONFIG_MEMBERS_MAX 50
#define MONGO_VOTERS_MAX 7
#define MONGO_HOST_SIZE 128
#define MONGO_NAME_SIZE 128
#define MONGO_MESSAGE_SIZE 512
#define MONGO_NO_TERM (-1)

struct mongo_config_member {
    int32_t id;
    char host[MONGO_HOST_SIZE];
    bool arbiter, build_indexes, hidden;
    double priority;
    int32_t votes;
    int64_t delay_seconds;
    bson_t *tags;
};

struct mongo_config {
    unsigned references;
    char name[MONGO_NAME_SIZE];
    int64_t version;
    int64_t term; /* MONGO_NO_TERM: none, as after force */
    bool forced;  /* no server tells; for a judge */
    int64_t protocol_version;
    bool write_concern_journal;
    size_t member_count;
    struct mongo_config_member members[MONGO_CONFIG_MEMBERS_MAX];
    bool chaining_allowed;
    int64_t heartbeat_interval_ms, heartbeat_timeout_s, election_timeout_ms;
    int64_t catch_up_timeout_ms, catch_up_takeover_ms;
    bool has_set_id;
    bson_oid_t set_id;
};

/* What is wrong, as a server says it. code 0: nothing. */
struct mongo_problem {
    int code;
    char message[MONGO_MESSAGE_SIZE];
};

int mongo_problem_set(struct mongo_problem *problem, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What can be wrong with the document alone: unknown fields, types, no version. NULL with a problem
 * (93). The caller owns the result. */
struct mongo_config *mongo_config_parse(const bson_t *document, enum mongo_release release,
                                        struct mongo_problem *problem);
struct mongo_config *mongo_config_copy(const struct mongo_config *config);
struct mongo_config *mongo_config_ref(struct mongo_config *config);
void mongo_config_unref(struct mongo_config *config); /* takes NULL */

/* What is wrong with the configuration as such (code 103). */
bool mongo_config_check(const struct mongo_config *config, struct mongo_problem *problem);
/* What is wrong with it as the successor of another (103). forced: without the rule that one voter
 * changes at a time. */
bool mongo_config_check_change(const struct mongo_config *before, const struct mongo_config *after,
                               enum mongo_release release, bool forced,
                               struct mongo_problem *problem);

void mongo_config_append(const struct mongo_config *config, enum mongo_release release, bson_t *to);

/* < 0, 0, > 0: older, the same, newer. By version on 3.6; on 4.4 by (term, version) where both have
 * a term. */
int mongo_config_compare(enum mongo_release release, int64_t term_a, int64_t version_a,
                         int64_t term_b, int64_t version_b);
/* The same members, settings and tags. */
bool mongo_config_same_content(const struct mongo_config *a, const struct mongo_config *b,
                               enum mongo_release release);

/* Index, or -1. */
int mongo_config_find(const struct mongo_config *config, const char *host);
unsigned mongo_config_voters(const struct mongo_config *config);
/* How many members a w:majority write needs: no more than hold data and vote. */
unsigned mongo_config_write_majority(const struct mongo_config *config);

#endif
