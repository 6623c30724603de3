/* What the daemon knows at one moment, as the API shows it: committed state, and beside it what
 * only this process knows. The daemon fills one in on its main loop; nothing here is owned, and
 * nothing is kept beyond the call that it was given to. */
#ifndef API_FACTS_H
#define API_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/policy.h"
#include "core/state.h"

/* A quorum seen longer ago is not "recently" any more: /readyz says 503. */
#define QUORUM_RECENT_MS 10000
#define ALARM_FACTS_MAX 16

/* This process's link to one node, by that node's place in state->nodes. */
struct link_facts {
    bool up;              /* true for the node itself */
    bool joining;         /* it gets the log, and has no vote yet */
    uint64_t match_index; /* Raft's log index; known only on a leader; 0: not known */
};

/* One check of one region, as this node sees it. */
struct probe_facts {
    uint32_t service, region; /* places in the spec */
    const char *check;
    enum opinion_value state; /* UP, DOWN or UNKNOWN: after rise and fall */
    const char *code;         /* of probe's table of results; "" before the first result */
    uint32_t http_status;     /* 0: none */
    uint32_t duration_ms;     /* of the last one */
    uint64_t failing_ms;      /* 0: doesn't */
};

/* A node in this one's configuration that isn't among state->nodes. */
struct stranger_facts {
    char name[NAME_SIZE];
    bool up, joining; /* joining: it gets the log, and has no vote yet */
    uint64_t match_index;
};

/* A lease that this node holds for its pollers. */
struct lease_facts {
    char service[NAME_SIZE]; /* "": none */
    char region[NAME_SIZE];
    uint64_t epoch, until_ms; /* CLOCK_BOOTTIME */
};

/* Where a service's replica set takes writes, as this node observed it. */
struct primary_facts {
    bool is_watched;   /* the service has a set */
    uint32_t region;   /* place in the spec; NONE_INDEX: none is known */
    uint64_t until_ms; /* CLOCK_BOOTTIME: as long as that is fresh */
};

/* What the leader last read of a service's zone, or of its replica set's fence. */
struct target_facts {
    enum { TARGET_NOT_READ, TARGET_RIGHT, TARGET_FOREIGN, TARGET_UNREADABLE } result;
    uint64_t read_ms;  /* CLOCK_BOOTTIME */
    const char *words; /* what is wrong; "" when nothing is */
};

struct api_facts {
    const struct state *state;
    const struct policy_input *policy; /* NULL: this node doesn't lead */
    const struct report *own_report;   /* this node's last; NULL: none yet */
    const char *node;                  /* own name */
    const char *version;               /* of the software */
    uint64_t now_ms;                   /* CLOCK_BOOTTIME */
    uint64_t wall_ms;                  /* CLOCK_REALTIME */

    bool leads;                 /* own-term barrier and LEADER are applied */
    uint64_t leader_id;         /* 0: not known */
    uint64_t term;              /* Raft's */
    bool caught_up;             /* everything known to be committed is applied */
    bool was_caught_up;         /* caught_up held once since this process began; until then the
                                   endpoints about services say 503: a replayed log tells the past */
    uint64_t quorum_contact_ms; /* CLOCK_BOOTTIME of the last contact with a majority (leader) or
                                   with the leader; 0: never since the start */
    struct link_facts links[NODE_MAX];
    struct stranger_facts strangers[NODE_MAX];
    uint32_t stranger_count;
    uint64_t last_log_index; /* Raft's */
    /* Why an open step of a service doesn't get on, in words; "" when nothing is known. NULL: this
     * node carries nothing out. */
    const char *(*trouble)(const void *context, const char *service, uint32_t step);
    /* zone NULL: the replica set. The call NULL: this node reads nothing. */
    void (*target)(const void *context, const char *service, const char *zone,
                   struct target_facts *ret);
    const void *trouble_context; /* of both */
    /* What this node pages about by itself. */
    struct alarm_facts {
        const char *word;
        bool holds;
    } alarms[ALARM_FACTS_MAX];
    uint32_t alarm_count;
    bool alarms_told;                            /* every receiver knows everything */
    const struct lease_facts *leases;            /* SERVICE_MAX of them, in no order; NULL: none */
    struct primary_facts primaries[SERVICE_MAX]; /* by place */
    const struct probe_facts *probes;            /* for what a view shows; elsewhere none */
    uint32_t probe_count;
};

/* Milliseconds since the last contact with a quorum; since the process knows, UINT64_MAX: never. */
static inline uint64_t facts_age_ms(const struct api_facts *facts) {
    if (facts->quorum_contact_ms == 0) {
        return UINT64_MAX;
    }
    return facts->now_ms > facts->quorum_contact_ms ? facts->now_ms - facts->quorum_contact_ms : 0;
}

#endif
