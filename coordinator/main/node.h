/* One running node: everything of it wired together on one loop. Decides nothing. */
#ifndef MAIN_NODE_H
#define MAIN_NODE_H

#include <stdbool.h>
#include <uv.h>

#include "api/http_endpoints.h"
#include "api/metrics.h"
#include "api/server.h"
#include "api/view.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "codec/config.h"
#include "core/policy.h"
#include "driver/driver.h"
#include "driver/pager.h"
#include "executor/executor.h"
#include "executor/inspector.h"
#include "executor/leader.h"
#include "executor/leases.h"
#include "mongo/client.h"
#include "net/tls.h"
#include "probe/control.h"
#include "probe/engine.h"
#include "probe/mongo.h"
#include "replica/replica.h"

/* A window as this node's own stopwatch knows it. */
struct seen_window {
    uint64_t suspect_index;
    uint64_t seen_ms; /* CLOCK_BOOTTIME when its SUSPECT was applied here */
};

#define LEASE_ASKS_KEPT 8 /* asks whose answer still counts */

struct noctuad {
    uv_loop_t *loop;
    struct node_config config;
    const char *config_path;
    const struct clock *clock;
    const struct entropy *entropy;

    struct tls_identity *identity;
    struct driver *driver;
    struct replica *replica;
    struct leader *leader;
    struct executor *executor;
    struct inspector *inspector;
    struct api_server *server;
    struct http_endpoints *endpoints;
    struct metrics *metrics;
    struct view *view; /* the last one, for its documents */
    struct probe_engine *probes;
    struct probe_control *control;
    struct mongo_client *mongo;
    struct driver *set_driver; /* of replica sets */
    struct probe_mongo *sets;  /* the replica sets, watched */
    struct pager *pager;
    bool tells_of_targets; /* it leads, and has read them all */
    uint64_t ready_ms;     /* CLOCK_BOOTTIME of the last look at readiness */
    uint64_t ready_spec_index;
    uint64_t unready_since_ms[SERVICE_MAX];   /* by place; 0: it is ready */
    uint64_t elsewhere_since_ms[SERVICE_MAX]; /* by place; 0: its primary is where it serves */

    uv_timer_t report_timer;  /* each second */
    uv_timer_t soon_timer;    /* a report out of turn, coalesced */
    uv_timer_t publish_timer; /* the view, coalesced */
    uv_timer_t prepare_timer; /* credentials, kept fresh */
    uv_timer_t end_timer;     /* the drain's */
    uv_timer_t watchdog_timer;
    uv_timer_t alarm_timer;
    uint64_t began_ms; /* CLOCK_BOOTTIME of the start */
    uv_signal_t terminate, interrupt, hangup;

    struct leases leases;    /* granted, while it leads */
    uv_async_t lease_polled; /* by the endpoint thread */
    uint64_t lease_ask, lease_answered;
    uint64_t lease_services,
        lease_spec_index;                  /* of the last ask: bits of places, and of which spec */
    uint64_t lease_wanted_ms[SERVICE_MAX]; /* CLOCK_BOOTTIME of the last ask, by place */
    uint64_t lease_asked_ms[LEASE_ASKS_KEPT]; /* CLOCK_BOOTTIME, by number */
    struct lease_facts held[SERVICE_MAX];     /* for this node's pollers; in no order */

    struct report report; /* the last one sent */
    struct seen_window windows[SERVICE_MAX];
    uint64_t probed_spec_index;   /* what the probes are configured for; UINT64_MAX: nothing */
    uint64_t unprobed_spec_index; /* the one that couldn't be, and was complained of */
    uint32_t probed_active[SERVICE_MAX];
    uint32_t feature_level;        /* that this version knows */
    uint64_t documents_every_ms;   /* least time between two renderings of /status and /metrics */
    uint64_t documents_ms;         /* CLOCK_BOOTTIME when /status and /metrics were rendered */
    uint64_t replay_end_log_index; /* last entry of the own log at the start; 0: behind us */
    uint64_t logged_count;         /* events of history that the log has, or had before */
    bool was_caught_up;
    api_barrier_cb transferred; /* of the one that is under way; else NULL */
    void *transferred_context;
    api_barrier_cb changed; /* of the change of nodes under way */
    void *changed_context;
    uint64_t end_ms; /* CLOCK_BOOTTIME when draining is over, whatever waits */
    bool ending;     /* a signal came: leadership goes first */
    bool stopping;
    char told_status[128]; /* the supervisor */
    int open_parts;        /* that still have to close */

    struct policy_input policy; /* for api_facts */
    struct probe_facts *probe_facts;
    uint32_t probe_count, probe_max;
    uint64_t probes_ms; /* when they were gathered */
};

/* Starts everything; runs until a signal or a failure ends the loop. Returns the exit status. */
int node_run(struct noctuad *node);

/* Hands leadership over (0: to whoever is close). False, and no callback: one is under way. */
bool node_transfer(struct noctuad *node, uint64_t to, api_barrier_cb callback, void *context);

/* ending.c */
void node_on_end_signal(uv_signal_t *signal, int number);

/* reload.c */
/* The certificate and keys of the config, checked to be this node's. */
enum error_code node_load_identity(const struct node_config *config,
                                   struct tls_identity **ret_identity, struct error *error);
void node_on_reload_signal(uv_signal_t *signal, int number);

/* supervisor.c: what systemd (or whoever set NOTIFY_SOCKET) is told, sd_notify(3). */
void node_tell_ready(struct noctuad *node);
void node_tell_status(struct noctuad *node);
void node_tell(const char *state);

/* alarms.c */
void node_configure_alarms(struct noctuad *node);
void node_on_alarm_timer(uv_timer_t *timer);
/* service_alarms.c */
void node_look_at_services(struct noctuad *node, const struct api_facts *facts);
void node_look_at_targets(struct noctuad *node, const struct api_facts *facts);
/* Starts a process that pages for this one, which ends. */
void node_spawn_last_word(const struct noctuad *node, const char *why);
/* What that process does: pages that the node has stopped, and ends. */
int node_say_last_word(const struct node_config *config, const char *why);

/* leasing.c */
/* Asks the leader for what was polled since the last ask; `switched`: for what was polled lately,
 * since it may be had now. */
void node_ask_for_leases(struct noctuad *node, bool switched);
void node_on_lease_polled(uv_async_t *async);
void node_on_lease(struct noctuad *node, const struct lease_answer *answer);
void node_answer_lease(struct noctuad *node, const struct report *report);
uint64_t node_lease_wait_ms(void *context, uint32_t service);

/* facts.c */
void node_facts(struct noctuad *node, struct api_facts *ret);
/* Builds the view and hands it to the endpoint thread. */
void node_publish(struct noctuad *node);
/* ... in this turn of the loop, once. */
void node_publish_soon(struct noctuad *node);

/* node.c */
/* A report out of turn, coalesced. */
void node_report_soon(struct noctuad *node);

/* reporting.c */
void node_build_report(struct noctuad *node);
void node_send_report(struct noctuad *node);
/* A SUSPECT (or a restored state with one) is seen: its stopwatch starts. */
void node_note_windows(struct noctuad *node);

/* probing.c */
/* Brings the probes in line with spec and active regions. */
void node_configure_probes(struct noctuad *node);
/* ... when other regions than before have members of a replica set. */
void node_configure_checks(struct noctuad *node);

/* watching.c */
enum error_code node_start_watching(struct noctuad *node, struct error *error);
/* Brings the watched replica sets in line with spec and active regions. */
void node_configure_sets(struct noctuad *node);
/* What this node knows of them, for its report and its endpoints. */
void node_report_sets(const struct noctuad *node, struct report *ret);
void node_primaries(const struct noctuad *node, struct primary_facts ret[SERVICE_MAX]);
void node_stop_watching(struct noctuad *node, void (*on_closed)(void *context), void *context);

#endif
