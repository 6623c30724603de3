/* What members of a replica set answer, as facts. Pure: BSON in, structs out. A field that is not
 * there, is of another type or out of bounds is unknown (its zero, or as said here), never an
 * error; numbers are taken as int32, int64 or double, since servers differ. Texts are cut to what
 * is printable.
 *
 * Source: hello (isMaster), replSetGetStatus, replSetGetConfig and serverStatus of MongoDB 3.6 to
 * 8.0. */
#ifndef MONGO_REPLY_H
#define MONGO_REPLY_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/mongo.h"

#define MONGO_SET_MEMBER_MAX 50 /* of a set, MongoDB's own limit */
#define MONGO_TAG_SIZE NAME_SIZE

struct mongo_hello {
    bool writable; /* isWritablePrimary, or ismaster */
    bool secondary, arbiter;
    char set_name[NAME_SIZE]; /* "": in no set, or not yet */
    char me[MONGO_HOST_SIZE]; /* as the config names it */
    uint32_t wire_version;    /* maxWireVersion */
    uint64_t election_term;   /* of electionId, by a primary; 0: not told */
    uint32_t host_count;      /* hosts, passives and arbiters */
    char hosts[MONGO_SET_MEMBER_MAX][MONGO_HOST_SIZE];
};

struct mongo_status_member {
    uint32_t id; /* NONE_INDEX: not told */
    char host[MONGO_HOST_SIZE];
    enum mongo_state state;
    bool self, healthy;
    struct mongo_optime optime; /* seconds 0: not known */
    uint32_t heard_age_ms;      /* before the reply; 0 of itself; MONGO_AGE_NEVER: not told */
    uint64_t config_version, config_term; /* 0: not told */
    char sync_source[MONGO_HOST_SIZE];    /* "": none, or not told */
};

struct mongo_status {
    char set_name[NAME_SIZE];
    enum mongo_state my_state;
    uint64_t term; /* 0: not told */
    uint32_t heartbeat_ms;
    /* Of what it knows a majority to have, and of what it has on disk itself; seconds 0: not told.
     */
    struct mongo_optime committed, durable;
    uint32_t member_count;
    struct mongo_status_member members[MONGO_SET_MEMBER_MAX];
};

struct mongo_config_member {
    uint32_t id;
    char host[MONGO_HOST_SIZE];
    char tag[MONGO_TAG_SIZE]; /* of the asked name; "": none */
    uint32_t priority_milli;
    bool votes, hidden, arbiter;
    bool kept_out; /* has the tag MONGO_WAS_TAG */
    uint32_t delay_s;
};

/* Of a member without a vote since a forced reconfiguration: "votes/priority", as it had them. */
#define MONGO_WAS_TAG "noctua_was"

struct mongo_config {
    char set_name[NAME_SIZE];
    uint64_t version, term; /* term 0: none (3.6 to 4.2, or forced) */
    uint32_t election_timeout_ms, heartbeat_ms;
    uint32_t member_count;
    struct mongo_config_member members[MONGO_SET_MEMBER_MAX];
};

void mongo_read_hello(const bson_t *reply, struct mongo_hello *ret);
void mongo_read_status(const bson_t *reply, struct mongo_status *ret);
/* False, ret cleared: there is no config in it, or one that can't be used (no version, no member
 * with an id and a host). `tag`: the name of the member tag to read. */
bool mongo_read_config(const bson_t *reply, const char *tag, struct mongo_config *ret);

/* ... of a write: true when it says that one document was written and a majority has it. Else
 * *ret_trouble is a stable word: "not_primary", "wtimeout", "auth", "write_error". */
bool mongo_read_write(const bson_t *reply, const char **ret_trouble);

/* Seconds of the first entry that a `find` on the oplog gave; 0: none. */
uint32_t mongo_read_oplog_start(const bson_t *reply);
/* The term of the entry that a `find` gave; 0: there is none, or it is from before any election.
 * False: it can't be told. */
bool mongo_read_oplog_term(const bson_t *reply, uint64_t *ret_term);

/* ... of serverStatus: how many inserts, updates and deletes clients have asked for since the
 * server started. False: it doesn't say. */
bool mongo_read_writes(const bson_t *reply, uint64_t *ret_count);

/* mongo_link_look_up's answer. */
struct mongo_seeds {
    char set_name[NAME_SIZE], auth_source[NAME_SIZE]; /* "": not told */
    uint32_t count;
    char hosts[MONGO_SET_MEMBER_MAX][MONGO_HOST_SIZE];
};

void mongo_read_seeds(const bson_t *reply, struct mongo_seeds *ret);

/* The server's version by its wire version, major * 100 + minor: 0 when it isn't known. */
uint32_t mongo_version_of_wire(uint32_t wire_version);

#endif
