/* An immutable picture of what the HTTP endpoints answer. The main loop builds one after each apply
 * and gives it to the endpoint thread; nobody changes it afterwards, so that reading it needs no
 * lock. Counted references, atomic: the last owner frees it, on whichever thread. */
#ifndef API_VIEW_H
#define API_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/facts.h"
#include "api/metrics.h"

#define VIEW_LEASE_ASKS                                                                            \
    5 /* so often, within its length, a lease that is polled is asked for anew */

struct view_service {
    char name[NAME_SIZE];
    bool adopted;
    uint32_t active;  /* place in `regions`; NONE_INDEX */
    uint32_t regions; /* bits of the regions that it may be active in */
    uint64_t epoch;
    uint64_t lease_ms;       /* of the spec; 0: it has none */
    uint32_t lease_region;   /* that this node holds a lease for; NONE_INDEX */
    uint64_t lease_until_ms; /* CLOCK_BOOTTIME */
    uint64_t lease_epoch;
    struct primary_facts primary; /* of its replica set */
};

struct view_text; /* a rendered document, shared between views */

struct view {
    _Atomic uint32_t references;
    bool leads, caught_up;
    bool has_state; /* a first state is applied, and was once caught up: words may be shown */
    uint64_t applied_index, term;
    uint64_t quorum_contact_ms; /* CLOCK_BOOTTIME; 0: never */
    uint64_t built_ms;          /* CLOCK_BOOTTIME */
    char node[NAME_SIZE], leader[NAME_SIZE];
    char regions[REGION_MAX][NAME_SIZE];
    uint32_t region_count;
    struct view_text *status;  /* JSON */
    struct view_text *metrics; /* Prometheus text */
    uint32_t service_count;
    struct view_service services[];
};

/* Builds one with one reference, the caller's. `documents_of` not NULL: takes that view's /status
 * and /metrics over as they are instead of rendering them anew (rendering costs about a
 * millisecond; what machines poll is always new). `metrics` may be NULL: no text. NULL: no memory.
 */
struct view *view_build(const struct api_facts *facts, const struct metrics *metrics,
                        const struct view *documents_of);
struct view *view_acquire(struct view *view);
void view_release(struct view *view); /* NULL: nothing */

/* NULL: no such service. */
const struct view_service *view_find_service(const struct view *view, const char *name);
/* NONE_INDEX: no such region of this service. */
uint32_t view_find_region(const struct view *view, const struct view_service *service,
                          const char *name);
struct view_text *view_text_acquire(struct view_text *text);
void view_text_release(struct view_text *text); /* NULL: nothing */
const char *view_text_bytes(const struct view_text *text, size_t *ret_size_bytes);

#endif
