/* How a node tells people that it is itself unwell, without the group: PagerDuty's Events API v2
 * and a plain webhook; and a dead man's switch, for when it can't tell anything any more.
 *
 * It holds what is wanted and what was told, for each alarm and each receiver, and sends until both
 * agree: at least once, in order, with backoff. The same alarm of several nodes has one
 * deduplication key where it is the group's, so the receiver makes one incident of it. Nothing here
 * blocks or fails the node. On the main loop.
 * Source: PagerDuty, "Events API v2 Overview" and "Send an Alert Event" (202; 400: never again with
 * the same body; 429 and 5xx: later). */
#ifndef DRIVER_PAGER_H
#define DRIVER_PAGER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"

#define PAGER_TEXT_SIZE 512

/* X(NAME, "word", whether it is the group's, what it means)
 * Severity is critical for all: who wants less has rules for it at the receiver, by `class`. */
#define PAGER_ALARMS(X)                                                                            \
    X(NO_QUORUM, "no_quorum", true, "no quorum: endpoints hold their answers, nothing moves")      \
    X(DIGESTS_DIFFER, "digests_differ", true, "replicas differ: automation is stopped")            \
    X(SUSPECT, "suspect", true, "a region is suspected to be down")                                \
    X(APPROVAL_WANTED, "approval_wanted", true, "a move waits for a person's yes")                 \
    X(BLOCKED, "blocked", true, "a region is confirmed down, and a gate forbids the move")         \
    X(MOVING, "moving", true, "a service moves; over when the move has ended")                     \
    X(MOVE_STOPPED, "move_stopped", true, "a move stopped, or ended between two regions")          \
    X(PAUSE_FORGOTTEN, "pause_forgotten", true, "a pause has held for hours")                      \
    X(NOT_READY, "not_ready", true, "a service could not be moved now, and that for a while")      \
    X(FOREIGN_CHANGE, "foreign_change", true, "somebody else changed a record or a fence")         \
    X(PRIMARY_ELSEWHERE, "primary_elsewhere", true,                                                \
      "a replica set's primary is in another region than its service")                             \
    X(CERTIFICATE, "certificate", false, "this node's certificate or revocation list ends soon")   \
    X(STOPPED, "stopped", false, "this node can't go on, and has ended")

enum pager_alarm {
#define X(name, word, group, doc) PAGER_##name,
    PAGER_ALARMS(X)
#undef X
        PAGER_ALARM_COUNT
};

const char *pager_alarm_word(enum pager_alarm alarm);
const char *pager_alarm_doc(enum pager_alarm alarm);

/* Texts are copied. "": none. */
struct pager_receivers {
    char pagerduty_key[PAGER_TEXT_SIZE], pagerduty_url[PAGER_TEXT_SIZE];
    char webhook_url[PAGER_TEXT_SIZE];
    char heartbeat_url[PAGER_TEXT_SIZE];
    uint32_t heartbeat_ms;
};

struct pager;

enum error_code pager_create(uv_loop_t *loop, const struct clock *clock, const char *cluster,
                             const char *node, struct pager **ret_pager, struct error *error);
/* From now on. What a receiver that goes away wasn't told, it isn't told. */
void pager_configure(struct pager *pager, const struct pager_receivers *receivers);
/* `detail` says more, for people. Once an alarm holds, its detail stays. */
void pager_set(struct pager *pager, enum pager_alarm alarm, bool holds, const char *detail);
/* As if nobody had been told of it yet. */
void pager_forget(struct pager *pager, enum pager_alarm alarm);
/* What another node may have told isn't known: tells how it is, whichever way. */
void pager_take_over(struct pager *pager, enum pager_alarm alarm);
/* It is another node's from now on: nothing is told, nothing taken back. */
void pager_hand_over(struct pager *pager, enum pager_alarm alarm);
/* Whether the dead man's switch is fed. */
void pager_set_well(struct pager *pager, bool well);
bool pager_holds(const struct pager *pager, enum pager_alarm alarm);
/* Whether every receiver knows everything. */
bool pager_is_told(const struct pager *pager);
/* What is under way ends; then `on_closed`. */
void pager_close(struct pager *pager, void (*on_closed)(void *context), void *context);

#endif
