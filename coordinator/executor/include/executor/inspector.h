/* The leader reads each adopted service's records and fences in turn, its replica set's fence, too,
 * while nothing moves and at an easy pace: so that what somebody else changed, and what can't be
 * read, is known before it is needed. It only reads; what it finds is told (log, page, `ready`),
 * and never acted on. */
#ifndef EXECUTOR_INSPECTOR_H
#define EXECUTOR_INSPECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "core/state.h"
#include "driver/driver.h"

enum inspection_result {
    INSPECTION_NONE, /* not read yet by this leader, or since the last move */
    INSPECTION_RIGHT,
    INSPECTION_FOREIGN,    /* somebody else changed the fence or a record */
    INSPECTION_UNREADABLE, /* no credentials, no such zone, no answer ... */
};

#define INSPECTION_SET "replica set" /* what stands for a zone's id: those have no spaces */

struct inspection {
    char service[NAME_SIZE], zone[NAME_SIZE];
    uint64_t epoch;   /* of the service when it was read */
    uint64_t read_ms; /* CLOCK_BOOTTIME */
    enum inspection_result result;
    char words[REASON_SIZE]; /* "" when it is right */
    /* Foreign: what puts it right, by one word of noctuactl. "ready": a person must, first. */
    const char *remedy;
};

struct inspector_options {
    uv_loop_t *loop;
    const struct clock *clock;
    struct driver *driver;     /* the caller's; closed after the inspector */
    struct driver *set_driver; /* of replica sets; likewise */
    const struct state *(*state)(void *context);
    void *context;
    uint32_t every_ms; /* from one round's end to the next one's start */
};

struct inspector;

/* NULL: no memory. */
struct inspector *inspector_create(const struct inspector_options *options);
/* Leadership came or went: what an earlier term found is forgotten. */
void inspector_lead(struct inspector *inspector, bool leads);
/* Something was applied: what has moved, or was adopted, is read soon. Cheap. */
void inspector_poke(struct inspector *inspector);
/* What was found last about a service's zone, or INSPECTION_SET; NULL: nothing yet. */
const struct inspection *inspector_find(const struct inspector *inspector, const char *service,
                                        const char *zone);
/* One with this result, or NULL. */
const struct inspection *inspector_first(const struct inspector *inspector,
                                         enum inspection_result result);
/* This node leads, and has read all once. */
bool inspector_has_read_all(const struct inspector *inspector);
/* on_closed fires when the read under way has come back; then it is freed. */
void inspector_close(struct inspector *inspector, void (*on_closed)(void *context), void *context);

#endif
