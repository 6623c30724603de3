/* What changes a target outside, seen from the executor: read it, and send one conditional change.
 *
 * A target is what one fence protects: for Route 53 one (service, zone), for MongoDB the service's
 * replica set. A change names
 * what it expects (fence and state as read) and what it wants; the *target* refuses it when
 * anything else is there, so that a delayed or doubled request does no harm. A driver decides
 * nothing and remembers nothing between calls: what a refusal or a silence means is found by
 * reading.
 *
 * Arguments are copied in the call. Each callback fires exactly once, never from inside the call
 * that asked for it; `close` fires those that are still due (ERROR_CANCELLED, or a reply that says
 * what is known) before its own. Everything runs on the driver's loop.
 *
 * Source: DESIGN, "Exactly once"; checked in model/move.pml. */
#ifndef DRIVER_DRIVER_H
#define DRIVER_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/mongo.h"
#include "core/spec.h"

/* "<group>/<eid>" or "void(<group>/<eid>)"; characters [-A-Za-z0-9_./():] only. With its NUL: a TXT
 * string carries at most 255 bytes. */
#define DRIVER_FENCE_MAX 256
#define DRIVER_STATE_MAX 16384 /* opaque canonical bytes of the records as read, or as wanted */
#define DRIVER_RECORD_MAX 32
#define DRIVER_CHANGE_ID_MAX 64

struct driver_blob {
    uint32_t size_bytes;
    uint8_t bytes[DRIVER_STATE_MAX];
};

enum driver_sync {
    DRIVER_SYNC_PENDING,
    DRIVER_SYNC_INSYNC,
    DRIVER_SYNC_NO_SUCH_CHANGE, /* the control plane doesn't know it (any more) */
    DRIVER_SYNC_NOT_ASKED,      /* the reader gave no change_id */
};

/* One consistent read. */
struct driver_reading {
    enum driver_sync sync; /* asked *before* the records were listed */
    bool fence_present;
    char fence[DRIVER_FENCE_MAX];
    struct driver_blob state; /* canonical: the same records give the same bytes */
    char summary[256];        /* for people: "nocturnal.com A alias dualstack.web-1..." */
    uint32_t primary_region;  /* of a replica set: place of its primary's; NONE_INDEX: nobody's */
    char against[256]; /* of a replica set: why the change must not be sent now; "": nothing is */
};

/* What a target has no fence for, and a read shows. */
enum driver_aim {
    DRIVER_PROMOTED, /* the set's writable primary is in the region */
    DRIVER_WRITTEN,  /* ... and a majority has acknowledged a write of its term: the eid in the
                        spec's write_check, or, without one, whatever the set itself wrote */
};

struct driver_seen {
    bool holds;
    char words[256]; /* for people: who is primary, or why it doesn't hold */
};

enum driver_reply {
    DRIVER_REPLY_ACCEPTED,
    DRIVER_REPLY_REFUSED,  /* the target said no. It decides nothing: read */
    DRIVER_REPLY_UNKNOWN,  /* time-out, 5xx, broken connection or reply: read */
    DRIVER_REPLY_NOT_SENT, /* failed before a byte left: no credentials, refused connection ... */
};

struct driver_sent {
    enum driver_reply reply;
    char change_id[DRIVER_CHANGE_ID_MAX]; /* only with ACCEPTED */
    bool retry_later;                     /* throttled, or an earlier request is not complete */
    char message[256];                    /* for people; the target's own words where it gave any */
};

struct driver_change {
    const char *fence_before; /* NULL: expects no fence (adopt: only creates) */
    const char *fence_after;  /* NULL: deletes it, and nothing else */
    /* Both NULL: the fence alone (burn, adopt, touch, unmark). Else both hold the same records, and
     * state_before is a reading's state, untouched. A move never expects "no fence". */
    const struct driver_blob *state_before, *state_after;
    const char *comment;           /* the eid; at most 256 characters */
    uint64_t deadline_boottime_ms; /* no byte leaves after it (NOT_SENT) */
};

/* What is to become of a replica set's config. */
enum driver_set_change {
    DRIVER_SET_PREFER,  /* the members of a region before all others */
    DRIVER_SET_FORCE,   /* ... and without some, forced upon one member: the majority is lost */
    DRIVER_SET_READMIT, /* with one of those again: first without a vote, then with it */
};

struct driver_record_key {
    char name[256]; /* with or without the last dot, any case */
    char type[8];
    char set_identifier[129]; /* "": a simple record */
};

struct driver_target {
    char service[64];
    char zone[64];
    char role_arn[256];    /* "": the node's own identity */
    char external_id[128]; /* "": none */
    char fence_name[256];  /* "_noctua-nocturnal.nocturnal.com" */
    uint32_t record_count;
    struct driver_record_key records[DRIVER_RECORD_MAX];
    /* Of a replica set, instead of the zone: */
    struct spec_mongo set;
    char regions[REGION_MAX][NAME_SIZE]; /* the spec's */
    uint32_t region_count;
    uint32_t to;             /* place of the one that is to come first */
    uint64_t forced_version; /* that a forced config was last asked for with, this one included;
                                0: none */
    enum driver_set_change change;
    uint32_t host_count; /* FORCE: who is left out; READMIT: who comes back */
    char hosts[MONGO_MEMBER_MAX][MONGO_HOST_SIZE];
    char pinned[MONGO_HOST_SIZE]; /* FORCE: who is asked */
    struct left_out left_out;     /* READMIT: of that member; no bytes: it is in the config */
};

/* error: NULL when it went well; reading: NULL otherwise. Neither outlives the call.
 * A wanted record that isn't there is ERROR_NOT_FOUND and named; a fence that is there in a form
 * that no change here could expect (other TTL, several values) is ERROR_CONFLICT. */
typedef void (*driver_read_cb)(void *context, const struct error *error,
                               const struct driver_reading *reading);
typedef void (*driver_send_cb)(void *context, const struct driver_sent *sent);
typedef void (*driver_look_cb)(void *context, const struct error *error,
                               const struct driver_seen *seen);
typedef void (*driver_closed_cb)(void *context);

struct driver;

struct driver_ops {
    /* change_id: of the change whose sync is asked, or "". */
    void (*read)(struct driver *driver, const struct driver_target *target, const char *change_id,
                 driver_read_cb on_read, void *context);
    /* Sends at most once, whatever happens. */
    void (*send)(struct driver *driver, const struct driver_target *target,
                 const struct driver_change *change, driver_send_cb on_sent, void *context);
    /* Of replica sets; else NULL. `act` works towards an aim once, whatever happens, after a look
     * of its own; what became of it a later look shows. */
    void (*look)(struct driver *driver, const struct driver_target *target, enum driver_aim aim,
                 const char *eid, driver_look_cb on_look, void *context);
    void (*act)(struct driver *driver, const struct driver_target *target, enum driver_aim aim,
                const char *eid, uint64_t deadline_boottime_ms, driver_send_cb on_sent,
                void *context);
    /* No call after it. The driver is freed when on_closed (may be NULL) fires. */
    void (*close)(struct driver *driver, driver_closed_cb on_closed, void *context);
};

/* First member of every driver. */
struct driver {
    const struct driver_ops *ops;
};

static inline void driver_read(struct driver *driver, const struct driver_target *target,
                               const char *change_id, driver_read_cb on_read, void *context) {
    driver->ops->read(driver, target, change_id, on_read, context);
}

static inline void driver_send(struct driver *driver, const struct driver_target *target,
                               const struct driver_change *change, driver_send_cb on_sent,
                               void *context) {
    driver->ops->send(driver, target, change, on_sent, context);
}

static inline void driver_look(struct driver *driver, const struct driver_target *target,
                               enum driver_aim aim, const char *eid, driver_look_cb on_look,
                               void *context) {
    driver->ops->look(driver, target, aim, eid, on_look, context);
}

static inline void driver_act(struct driver *driver, const struct driver_target *target,
                              enum driver_aim aim, const char *eid, uint64_t deadline_boottime_ms,
                              driver_send_cb on_sent, void *context) {
    driver->ops->act(driver, target, aim, eid, deadline_boottime_ms, on_sent, context);
}

static inline void driver_close(struct driver *driver, driver_closed_cb on_closed, void *context) {
    driver->ops->close(driver, on_closed, context);
}

/* A fence's text: 1 to DRIVER_FENCE_MAX - 1 characters of [-A-Za-z0-9_./():]. */
bool driver_fence_is_valid(const char *fence);

#endif
