/* The world around the nodes: what fails when, what is up, who commands; and what must hold. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "core/command.h"
#include "core/spec.h"
#include "judge.h"
#include "last_failure.h"
#include "node.h"
#include "probe/engine.h"
#include "queue.h"
#include "target.h"

#define WORLD_CLUSTER SIM_CLUSTER
#define WORLD_START_WALL_MS UINT64_C(1790000000000)
#define WORLD_REGION_MAX 5
#define WORLD_SERVICE_MAX 2
#define WORLD_FALL 3
#define WORLD_CHECK_MAX 3
#define WORLD_OWNER "platform" /* of every service */

/* What operators may want. */
#define PEOPLE_WISH_TABLE(X)                                                                       \
    X(ADOPT, "adopt")                                                                              \
    X(FAILOVER, "failover")                                                                        \
    X(SWITCHOVER, "switchover")                                                                    \
    X(VETO, "veto")                                                                                \
    X(PAUSE, "pause")                                                                              \
    X(MAINTENANCE, "maintenance")                                                                  \
    X(END, "end-override")                                                                         \
    X(CANCEL, "cancel")                                                                            \
    X(RELEASE_STEP, "release-step")                                                                \
    X(APPROVE, "approve")                                                                          \
    X(REJECT, "reject")                                                                            \
    X(REPAIR, "repair")                                                                            \
    X(RELEASE, "release")                                                                          \
    X(SPEC, "spec")                                                                                \
    X(READ, "read")                                                                                \
    X(OF_SET, "force-or-readmit")

enum people_wish {
#define X(name, text) WISH_##name,
    PEOPLE_WISH_TABLE(X)
#undef X
        WISH_COUNT
};

struct wish_count {
    uint64_t asked, accepted;
};

struct sim_options {
    uint64_t seed;
    uint64_t seconds; /* with faults; then as long as it takes to come to rest */
    bool trace;
    /* a smaller world, as --shrink finds it */
    uint64_t without; /* a bit an enum sim_fault */
    bool small;       /* three nodes, one service, one zone */
    bool of_set;      /* the replica set fails, its majority too, and hardly anything else */
    enum sim_staging staging;
    uint32_t salt; /* another course of the same world; 0: the usual one */
};

struct judged; /* judge.c */
struct sim_poll;
struct http_answer;

enum recovery_phase {
    RECOVERY_IDLE,
    RECOVERY_FENCING, /* sees to it that the lost members stay dead, and declares them so */
    RECOVERY_ASKED,
    RECOVERY_RETURNING, /* lets them in again */
};

/* When the members that were declared dead come back. */
enum recovery_return {
    RECOVERY_BEFORE_END, /* of the move */
    RECOVERY_AFTER_END,
    RECOVERY_NEVER, /* while faults go on */
    RECOVERY_RETURN_COUNT
};

/* Of a lost majority: recovery.c. */
struct sim_recovery {
    struct chance chance;
    enum recovery_phase phase;
    enum recovery_return returns;
    bool mistaken; /* declares dead without seeing to it */
    bool careless; /* lets in all at once, and what is late come */
    bool cancels, hasty;
    bool elected; /* the old side has, in a staging */
    uint64_t since_us, patience_us, acts_us, epoch;
    uint64_t emptied_epoch; /* of the refused readmission whose member was emptied */
    uint32_t tries;
};

struct sim {
    struct sim_options options;
    struct chance chance;
    struct sim_queue queue;
    uint64_t now_us;

    struct sim_node nodes[SIM_NODE_MAX];
    uint32_t node_count, member_count; /* places; those that begin the group */
    struct sim_target *target;
    struct sim_set *set; /* service 0's replica set; NULL: it has none */
    struct judged *judged;

    /* what this world is like: for each kind of fault, how often; 0: never */
    uint64_t every_us[SIM_FAULT_COUNT];
    uint32_t per_million[SIM_FAULT_COUNT]; /* of requests */
    uint64_t counts[SIM_FAULT_COUNT];
    struct wish_count wishes[WISH_COUNT];
    uint32_t snapshot_threshold;
    uint32_t service_count, zone_count;
    uint32_t check_count;    /* of each service: the first of world_checks */
    uint64_t interval_ms;    /* of the checks */
    enum service_mode usual; /* mode of the services, unless somebody changes it */
    uint64_t lease_ms, confirm_ms, cooldown_ms;
    bool falls_often;   /* the active region does */
    uint32_t max_moves; /* in an hour */
    bool faults_on;
    uint32_t unwished;               /* what operators never do here, a bit an enum people_wish */
    uint32_t oldest_level;           /* feature level of all nodes in the beginning */
    uint64_t lateness_ms;            /* of late requests, at most */
    uint64_t disk_most_us;           /* that a sync takes, usually */
    bool has_lost_storage;           /* a node has, once */
    bool has_set, set_checks_writes; /* write_check of its spec */
    struct chance set_chance;        /* of what is decided about it: other worlds draw as before */
    uint64_t set_max_lag_ms, set_max_lag_age_ms;
    struct sim_recovery recovery;
    struct chance poll_chance, plan_chance; /* of who polls, of plans: others draw as before */
    struct sim_last_failure last_failure;

    /* how it is now */
    uint64_t cut_until_us[SIM_NODE_MAX][SIM_NODE_MAX];       /* from, to */
    uint64_t slow_link_until_us[SIM_NODE_MAX][SIM_NODE_MAX]; /* from, to */
    uint64_t slow_disk_until_us[SIM_NODE_MAX];
    uint64_t target_dead_until_us;
    uint64_t healed_us;
    uint64_t region_down_until_us[WORLD_REGION_MAX]; /* what serves there */
    uint64_t nodes_down_until_us[WORLD_REGION_MAX];
    uint64_t region_cut_until_us[WORLD_REGION_MAX]; /* from all others */
    uint64_t region_slow_until_us[WORLD_REGION_MAX];
    uint32_t slow_checks[WORLD_REGION_MAX];  /* a bit a check */
    uint32_t slow_percent[WORLD_REGION_MAX]; /* of the timeout: the fastest answer */
    uint64_t unseen_until_us[SIM_NODE_MAX][WORLD_REGION_MAX];
    struct seen { /* by one node of one service in one region */
        /* of each check: starts of the last bad probes in a row; 0: fewer */
        uint64_t failed_us[WORLD_CHECK_MAX][WORLD_FALL];
        /* start of the first of the last WORLD_FALL of them, in any such run of a critical check */
        uint64_t down_us;
        uint64_t last_bad_us; /* start of its last bad one, also when a good one has come since */
    } seen[SIM_NODE_MAX][WORLD_SERVICE_MAX][WORLD_REGION_MAX];
    struct seen seen_of_set[SIM_NODE_MAX][WORLD_REGION_MAX]; /* of service 0's, by its own check */
    uint32_t crash_countdown[SIM_NODE_MAX]; /* crash points left; 0: none is armed */
    uint64_t forbidden_calls;
};

extern const char *const world_regions[WORLD_REGION_MAX];

struct world_check {
    const char *name;
    bool critical;
};

extern const struct world_check world_checks[WORLD_CHECK_MAX];

/* The configuration that begins the group. */
void world_first_members(const struct sim *sim, struct raft_configuration *ret);
void world_create(struct sim *sim, const struct sim_options *options);
/* The whole run: faults, healing, and the last check. sim_broken() ends it early. */
void world_run(struct sim *sim);
void world_destroy(struct sim *sim);
void world_run_until(struct sim *sim, uint64_t until_us);

uint32_t world_node_count(const struct sim *sim);
struct sim_node *world_node(struct sim *sim, uint32_t place);
struct sim_target *world_target(struct sim *sim);
bool world_tells(const struct sim *sim);
/* Not left out by --without. */
bool world_has(const struct sim *sim, enum sim_fault fault);

/* chances of one request, message, probe */
uint64_t world_disk_us(const struct sim_node *node);
uint64_t world_delay_us(struct sim *sim, const struct sim_node *from, const struct sim_node *to);
bool world_is_slow(const struct sim_node *from, const struct sim_node *to);
bool world_is_cut(const struct sim *sim, const struct sim_node *from, const struct sim_node *to);
bool world_loses_message(struct sim *sim, const struct sim_node *from, const struct sim_node *to);
bool world_crashes_here(struct sim_node *node);
enum probe_result_code world_probe(struct sim_node *node, const struct probe_target *target,
                                   uint64_t *ret_took_us);
/* The replica set's own check was fed with this. */
void world_fed(struct sim_node *node, const struct probe_target *target,
               const struct probe_result *result);
/* The group as the node that has applied most knows it; NULL: nobody runs. */
const struct state *world_newest_state(struct sim *sim);
struct sim_node *world_find_node(struct sim *sim, uint64_t id); /* NULL: no such node */
bool world_reaches_control(const struct sim_node *node);

/* what nodes do */
void world_on_death(struct sim_node *node);
void world_on_applied(struct sim_node *node);
void world_on_published(struct sim_node *node);

/* faults.c */
void faults_draw(struct sim *sim);
void faults_begin(struct sim *sim);
void faults_heal(struct sim *sim);
/* Something has just been committed: perhaps its leader dies now, or is cut off. */
void faults_at_moment(struct sim *sim, uint32_t one_in);
void faults_at_suspicion(struct sim *sim);
/* The members are about to change. */
void faults_at_change(struct sim *sim, const struct sim_node *leader);
/* It has written a change of the members: perhaps whom it gives a vote doesn't hear of it, and it
 * dies soon; or all die. */
void faults_at_written_change(struct sim_node *leader);

/* SIGSTOP; SIGCONT at that time. */
void faults_stop_node(struct sim_node *node, uint64_t until_us);

/* regions.c */
uint32_t world_region_of(const struct sim_node *node);
bool regions_are_apart(const struct sim *sim, uint32_t a, uint32_t b);
/* Until the latest of the times that its falls ask for. */
void region_falls(struct sim *sim, uint32_t region, enum region_fall how, uint64_t until_us);
bool regions_kill_one(struct sim *sim);
bool regions_kill_two(struct sim *sim);
bool regions_flap_one(struct sim *sim);
bool regions_slow_one(struct sim *sim);
/* Something of a move has just been committed: soon its two regions fall. */
void regions_fall_in_move(struct sim *sim);

/* storage_faults.c */
bool storage_wipe_one(struct sim *sim);
bool storage_lose_log(struct sim *sim);
bool storage_fill_one(struct sim *sim);
bool storage_fail_files(struct sim *sim);
bool storage_has_spare(const struct sim *sim);
/* A process has ended: if it was refused for its storage, rightly. */
void storage_on_end(struct sim_node *node);

/* stagings.c */
void staging_draw(struct sim *sim); /* after all others */
bool staging_is_of_set(const struct sim *sim);
uint32_t staging_snapshot_threshold(const struct sim_node *node);
/* A change of the members goes into its log. */
void staging_at_change(struct sim_node *node);

/* set_world.c: whether this world has a replica set, and what it is like */
void set_draw(struct sim *sim);
void set_begin(struct sim *sim);
void set_fill_spec(const struct sim *sim, struct spec_mongo *ret);

/* recovery.c */
void recovery_draw(struct sim *sim);
void recovery_begin(struct sim *sim);

/* people.c */
/* What is asked for counts when it is accepted (true never comes of these). */
bool people_act(struct sim *sim);
/* Whoever has let a step go wants the service somewhere, and soon. */
void people_follow_up(struct sim *sim, const char *service_name);
/* Of service 0's move. */
void people_cancel(struct sim *sim);
void people_release_step(struct sim *sim);
void people_first_spec(struct sim *sim);
bool people_change_spec(struct sim *sim);
/* Somebody adopts it, having made what is there agree. */
void people_adopt(struct sim *sim, uint32_t service);
/* Adopts what isn't, or has stopped, and puts somebody's records right: who is on call. */
void people_look_after(struct sim *sim);
/* The same, and ends every override; in the healing. */
void people_tidy(struct sim *sim);
/* A window has opened: somebody may want to stop it, or approve of it, while it stands. */
void people_hear_of(struct sim *sim, uint32_t service);
/* It moves by itself; somebody may be just in time, before anything is sent. */
void people_hear_of_decision(struct sim *sim, uint32_t service);
struct sim_node *people_leader(struct sim *sim); /* NULL: nobody leads */

/* pollers.c */
void pollers_begin(struct sim *sim);
/* asking.c: in the node that leads; takes the command and the spec (NULL: none). Who tidies is an
 * admin; others may be somebody who may not. */
void people_ask(struct sim_node *node, enum people_wish wish, bool tidies, struct command *command,
                struct spec *spec);

/* members.c */
void people_look_after_nodes(struct sim *sim);
/* They count when the group has done it. */
bool people_add_node(struct sim *sim);
bool people_remove_node(struct sim *sim);
bool people_transfer(struct sim *sim);

/* judge.c */
struct judged *judged_create(void);
void judged_destroy(struct judged *judged);
void judge_applied(struct sim_node *node);
/* What it hears from another node, before it does; and what it says to one. */
void judge_heard(struct sim_node *node, const struct sim_node *from, const uint8_t *bytes,
                 size_t size_bytes);
void judge_said(struct sim_node *node, const struct sim_node *to, const uint8_t *bytes,
                size_t size_bytes);
/* After each event of a node. */
void judge_ran(struct sim_node *node);
void judge_snapshot(struct sim_node *node, uint64_t index, uint64_t term);
/* A snapshot up to there has these members. */
void judge_members(struct sim_node *node, uint64_t index, const struct raft_configuration *members);
/* A change of the members goes into a log: those before it have counted there. */
void judge_change(struct sim_node *node, uint64_t index);
/* A leader writes an entry of its own, before anything else is applied. */
void judge_proposed(struct sim_node *node, const void *bytes, size_t size_bytes);
void judge_view(struct sim_node *node);
/* What somebody who polls was told (parts.h). */
void judge_told(struct sim_node *node, const struct sim_poll *poll,
                const struct http_answer *answer);
/* The last command that anybody has applied. */
uint64_t judge_last_index(const struct sim *sim);
/* What a person who asks now has been told of. */
uint64_t judge_answered_index(const struct sim *sim);
void judge_answer(struct sim *sim, uint64_t asked_after, uint64_t index);
void judge_read(struct sim *sim, uint64_t asked_after, uint64_t index);
void judge_command_result(struct sim *sim, const uint8_t client_id[16], uint32_t result);
/* When an last execution of the service was first seen; 0: never. */
uint64_t judge_opened_us(const struct sim *sim, uint32_t service);
/* Whether what was released, stopped or ended half-way may have left its records anywhere, and
 * nothing has written all of them since. */
bool judge_left_open(const struct sim *sim, uint32_t service);
/* Everything has come to an end; if not, what hasn't. */
bool judge_is_over(struct sim *sim, struct error *why);
/* After the healing: it must be over. */
void judge_end(struct sim *sim);

#endif
