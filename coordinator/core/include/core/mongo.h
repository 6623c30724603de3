/* A MongoDB replica set as a node sees it: facts with their age, and nothing that is made of them.
 * A node tells them in its report; the leader puts those of all nodes together.
 *
 * Source: replSetGetStatus, replSetGetConfig and hello (isMaster before 4.4.2) of MongoDB 3.6 to
 * 8.0. What a server doesn't say, or says in a form that isn't known, is unknown: never guessed. */
#ifndef CORE_MONGO_H
#define CORE_MONGO_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"

#define MONGO_AGE_NEVER UINT32_MAX
#define MONGO_RATE_UNKNOWN UINT32_MAX

/* As the server's own word for it (replSetGetStatus, myState). */
enum mongo_state {
    MONGO_UNKNOWN, /* nobody could ask it */
    MONGO_STARTUP,
    MONGO_PRIMARY, /* not yet writable for some seconds: see `writable` */
    MONGO_SECONDARY,
    MONGO_RECOVERING,
    MONGO_STARTUP2,
    MONGO_ARBITER,
    MONGO_DOWN,
    MONGO_ROLLBACK,
    MONGO_REMOVED,
    MONGO_UNINITIATED,
    MONGO_STATE_COUNT
};

/* A place in the oplog. Ordered by term, then time, then count (MongoDB's OpTime, protocol version
 * 1). seconds 0: not known. */
struct mongo_optime {
    uint64_t term;
    uint32_t seconds, count;
    uint64_t wall_ms; /* of the same entry, by the primary that wrote it; 0: the server is too old
                         to say (before 4.2): only whole seconds are known */
};

struct mongo_member {
    uint32_t id; /* `_id` of the config */
    char host[MONGO_HOST_SIZE];
    /* As configured. */
    uint32_t region; /* place in the spec, by the member's tag; NONE_INDEX: no tag, or another */
    uint32_t priority_milli;
    bool votes, hidden, arbiter;
    uint32_t delay_s;
    bool kept_out; /* it lost its vote to a forced reconfiguration, and waits to be readmitted */
    /* As it was found. */
    bool answers;               /* to the last question, in time */
    bool writable;              /* says itself that it is the writable primary (not `state`) */
    enum mongo_state state;     /* in its own words; UNKNOWN while it doesn't answer */
    uint32_t age_ms;            /* since its last answer was asked for, or MONGO_AGE_NEVER */
    uint64_t term;              /* its own election term */
    struct mongo_optime optime; /* last applied: by itself, else as another member knows it */
    uint32_t optime_age_ms;     /* since that was asked for, or heard there; MONGO_AGE_NEVER */
    uint64_t config_version, config_term; /* of the config that it has; 0: not known, or forced */
    uint32_t sync_source;                 /* `_id`; NONE_INDEX: none, or not known */
    uint32_t version;                     /* major * 100 + minor; 0: not known */
    char trouble[MONGO_TROUBLE_SIZE]; /* why the last question failed: "timeout"; "": it didn't */
    uint32_t rollback_age_ms;         /* since it, or another member, said that it is in ROLLBACK;
                                         MONGO_AGE_NEVER: not while this node watches */
};

/* What one node knows of one set. */
struct mongo_facts {
    uint32_t member_count; /* told: voters first, by `_id` */
    uint32_t member_total; /* in the config; 0: no config was read yet */
    char set_name[NAME_SIZE];
    uint64_t config_version, config_term; /* of the newest config read; term 0: forced, or 3.6 */
    bool config_committed;                /* a majority of the voters was seen to have it */
    uint32_t election_timeout_ms, heartbeat_ms;
    uint32_t oplog_window_s; /* of the primary's oplog; 0: not known */
    /* The last member that was seen to be the writable primary, also when it is gone. */
    uint32_t primary;        /* its `_id`; NONE_INDEX: none was seen */
    uint32_t primary_age_ms; /* since it was last asked and said so; MONGO_AGE_NEVER */
    uint64_t primary_term;
    /* The canary, when the spec has one: the last write that a majority acknowledged. */
    uint32_t write_age_ms; /* MONGO_AGE_NEVER: none yet, or none is configured */
    uint32_t write_took_ms;
    char write_trouble[MONGO_TROUBLE_SIZE]; /* of the last try; "": it went well */
    /* Writes a second that `primary` took, x 1000: by its opcounters, some ten seconds apart. It
     * stays when that one is gone; MONGO_RATE_UNKNOWN: not counted yet, or not allowed to. */
    uint32_t write_rate_milli;
    struct mongo_member members[MONGO_MEMBER_MAX];
};

/* The knowledge of all nodes, as of one moment: what a decision rests on. */
struct mongo_view {
    struct mongo_facts facts; /* of each member what the node knew that had asked it last */
    uint32_t primary; /* place of the writable primary, by fresh answers; NONE_INDEX: none */
    /* The newest place in the oplog that a primary is known to have had. */
    struct mongo_optime head;
    uint32_t head_age_ms; /* since a primary was asked and had it; MONGO_AGE_NEVER: unknown */
    /* By a person's word, not seen; empty in all that is automatic. */
    uint32_t dead; /* bits of places: members that a forced reconfiguration goes on without */
    char readmit[MONGO_HOST_SIZE]; /* the member that shall come back; "": none */
};

/* To the version of a forced config a server adds 10,000 to 109,999 (facts of 3.6 and 4.4). */
#define MONGO_FORCE_JUMP UINT64_C(110000)

/* From there on configs are ordered by the term of the primary that wrote them, then by version. */
#define MONGO_TERM_FIRST_VERSION 404

/* A member that a forced config left out: what it takes to put it back. */
struct left_out {
    uint64_t term; /* the first that the set can have had without it; 0: not said yet (INTENT) */
    uint64_t known_term; /* the newest that anybody of the set was known to know then; likewise */
    char host[MONGO_HOST_SIZE];
    uint32_t size_bytes;
    uint8_t document[LEFT_OUT_SIZE]; /* BSON, opaque here */
};

/* What a promotion in a region comes to. */
enum mongo_case {
    MONGO_CASE_NONE,     /* the service has no replica set */
    MONGO_CASE_THERE,    /* its writable primary is in that region already */
    MONGO_CASE_HANDOVER, /* the primary is well, elsewhere: it hands over */
    MONGO_CASE_ELECTION, /* no primary, but a majority of the voters: the set elects one */
    MONGO_CASE_FORCED,   /* the majority is lost: only a forced reconfiguration makes a primary */
    MONGO_CASE_NOBODY,   /* no member of that region could be promoted */
    MONGO_CASE_COUNT
};

struct mongo_verdict {
    enum mongo_case kind;
    uint32_t member;         /* place in the view of the one to promote; NONE_INDEX: nobody */
    uint64_t lag_ms, age_ms; /* of it, behind the head; of the evidence. UINT64_MAX: unknown */
    uint32_t voters, need;   /* configured; a majority of them */
    uint32_t voters_alive;   /* that answer, in a state in which they vote */
    uint32_t data_voters;    /* voters that are no arbiters */
    uint32_t data_need;      /* of these, for a write that a majority acknowledges */
    uint32_t data_alive;     /* of these, those that can acknowledge one */
    uint32_t leaderless_ms;  /* since a writable primary was seen; 0: there is one */
    uint32_t electable;      /* members of the region that could be elected, were they well */
    uint32_t rolling_back;   /* members that are rolling back */
    uint32_t silent;         /* members that do not answer */
    bool declared;           /* FORCED: a person declared just those dead; then the counts below
                                and above are of the others */
    uint32_t oldest, newest; /* server versions of those that answer; 0: unknown */
    uint64_t worst_lag_ms;   /* of all that have data and answer, behind the head */
};

const char *mongo_case_text(enum mongo_case kind);    /* "handover" */
const char *mongo_state_text(enum mongo_state state); /* "SECONDARY", as the server writes it */

/* It has not answered since it was seen in ROLLBACK: it may have ended in it, as servers do that
 * can't undo what they have. */
bool mongo_member_fell_silent_in_rollback(const struct mongo_member *member);

/* -1, 0, 1. Unknown ones come first. */
int mongo_optime_compare(const struct mongo_optime *a, const struct mongo_optime *b);

/* How far behind `head` a place is; UINT64_MAX: unknown. Whole seconds are all that servers before
 * 4.2 tell: then it is the most that it can be. */
uint64_t mongo_lag_ms(const struct mongo_optime *head, const struct mongo_optime *optime);

/* What is gone when a member becomes primary and the last known head never comes back. UINT64_MAX:
 * unknown. Where a majority of the voters elects it, a majority acknowledged none of that. */
struct mongo_loss {
    uint64_t lag_ms; /* the member is behind the head; what came after the head nobody knows */
    uint64_t age_ms; /* of that knowledge */
    uint64_t writes; /* about so many, at the rate that the last primary took them */
};

/* `member`: its place in the view; any other: all is unknown. */
struct mongo_loss mongo_loss(const struct mongo_view *view, uint32_t member);

#endif
