/* What the files of the set share. */
#ifndef SIM_SET_PRIVATE_H
#define SIM_SET_PRIVATE_H

#include "judge.h"
#include "mongo/set.h"
#include "set.h"

#define SET_WRITE_MAX 4096
#define SET_ENTRY_MAX 65536
#define SET_SAMPLE_MAX 4096
#define SET_EID_SIZE 128
#define SET_FENCE_SIZE 300
#define SET_EID_MAX 256
#define SET_NONE UINT32_MAX
#define SET_ANSWERS_KEPT 6

/* A connection with one question on it. */
struct asked {
    struct asked *next;
    struct sim_set *set;
    uint64_t connection;
    uint32_t member;
    char database[64];
    bson_t *command;
    /* Of a node's: */
    struct sim_node *node; /* NULL: nobody waits */
    uint64_t life, id;
    set_answer_function function;
    void *context;
    bool arrived, loses_answer, stray; /* stray: it comes late, or a second time */
    uint64_t asked_us;
    bool forces;
    /* Of a client's: */
    bool writes;
    uint32_t number; /* of a node's: of its questions to this member */
    uint64_t sent_us;
    int64_t sent_term;
    /* What came back. */
    enum set_outcome outcome;
    bson_t *answer;
};

struct set_member {
    char host[SET_HOST_SIZE];
    uint32_t region;
    /* A lost majority, set_forced.c: */
    bool fenced;      /* a person sees to it that it stays dead, or cut off */
    bool unaware;     /* a forced config has left it out, and it doesn't know yet */
    bool mistaken;    /* ... while nobody had fenced it */
    bool has_forced;  /* it has taken the last forced config, or a later one */
    bool was_out;     /* left out, and has had no vote since */
    bool cut_away;    /* fenced so that nobody reaches it */
    uint64_t died_us; /* last */
    uint64_t killed_until_us, hung_until_us, cut_off_until_us, lag_until_us; /* 0: it isn't */
    bool expected_down;
    uint64_t cut_until_us[SET_MEMBER_MAX]; /* its packets to others */
    /* as it was last seen */
    int64_t config_version, config_term;
    bson_t *config;
    uint32_t voters;       /* of that config, a bit a place */
    uint64_t led_us;       /* last was a primary whose term a majority has an entry of */
    uint64_t secondary_us; /* last was a SECONDARY; 0: never */
    bool in_its_term;      /* it took the config while it knew of no newer term */
    uint64_t applied;
};

struct set_write {
    bool acknowledged;
    bool lost; /* no survivor of a forced config had it, or those acknowledged it that were wrongly
                  declared dead */
};

struct sim_set {
    struct sim *sim;
    struct mongo_set *core;
    struct chance chance, core_chance;
    uint64_t offset_ms; /* its time when the world begins */
    uint64_t due_us;    /* an event is queued for then; UINT64_MAX: none */
    bool running;       /* inside the core */
    bool faults_on, loss_counted;
    bool forced_wrong; /* the last forced config left somebody out who wasn't seen to, or came late
                        */
    bool was_undone;   /* what is committed next is an old side's */
    int64_t forced_term; /* the highest that a survivor knew then */
    uint32_t member_count;
    struct set_member members[SET_MEMBER_MAX];
    char hosts[SET_MEMBER_MAX * SET_HOST_SIZE];
    const char *const *regions;
    uint32_t stray_count, forced_count;
    struct asked *asked;
    uint64_t last_connection;

    /* the client */
    struct set_write writes[SET_WRITE_MAX];
    uint32_t write_count;
    int64_t acked_term; /* the highest one in which a write was acknowledged */
    uint64_t acked_us;  /* first in that term */

    uint64_t changed_us; /* another primary, or another config on a majority */

    /* people */
    uint64_t touched_us;
    int64_t edited_version; /* of the config that somebody last asked for, and its fence */
    char edited_fence[SET_FENCE_SIZE];

    /* a lost majority */
    uint64_t lost_since_us; /* UINT64_MAX: it isn't */
    int64_t forced_version; /* of the last forced config; 0: none was */
    struct set_answers {
        uint64_t asked_us[SET_ANSWERS_KEPT];
        bool answered[SET_ANSWERS_KEPT];
        uint32_t count;
    } answers[SIM_NODE_MAX][SET_MEMBER_MAX]; /* to a node's last questions */

    /* what was seen */
    char fence[SET_FENCE_SIZE];       /* of the last committed config */
    bson_t *committed;                /* NULL: none yet */
    int64_t primary_term;             /* the last that had a primary */
    int64_t stepped_term;             /* not below that: somebody, or we, asked for an election */
    uint64_t wrote_us[SET_ENTRY_MAX]; /* when the primary wrote each entry */
    uint64_t head;
    struct set_sample {
        uint64_t at_us, lag_us[SET_MEMBER_MAX];
    } samples[SET_SAMPLE_MAX]; /* a ring */
    uint64_t sample_count;
    uint64_t written_us[SET_REGION_COUNT]; /* last had an entry of its own term on a majority */
    struct set_acknowledged {
        char eid[SET_EID_SIZE];
        uint32_t member;
        bool written;            /* by this very question */
    } acknowledged[SET_EID_MAX]; /* a ring */
    uint32_t acknowledged_count;
};

/* set.c */
uint64_t set_now_us(const struct sim_set *set);
/* Lets happen what is due, and looks at it. */
void set_run(struct sim_set *set);
/* Something was changed from outside: what follows is looked at, and the next event queued. */
void set_follow(struct sim_set *set);
/* A command on a connection of its own, now; takes the command. NULL: refused. */
struct asked *set_command(struct sim_set *set, uint32_t member, const char *database,
                          bson_t *command);
void set_view_member(const struct sim_set *set, uint32_t member, struct mongo_view *ret_view);
/* Of the config that it has: SET_MEMBER_MAX bits of places. */
uint32_t set_voters(const struct sim_set *set, const bson_t *config);
uint32_t set_named(const struct sim_set *set, const bson_t *config);
uint32_t set_place(const struct sim_set *set, const char *host); /* SET_NONE: no such member */
/* A majority of the voters of its config knows of no higher term. */
bool set_is_primary(const struct sim_set *set, uint32_t member);

/* set_faults.c: the primary has just taken a config, which nobody else has yet. */
void set_at_config(struct sim_set *set, uint32_t member);

/* It has just carried out a forced config. */
void set_at_forced(struct sim_set *set, uint32_t member);
/* It has just taken a move's write, as a majority has. True: nobody is to hear of it. */
bool set_at_write(struct sim_set *set, uint32_t member);

void set_kill(struct sim_set *set, uint32_t member, uint64_t until_us);
void set_mend(struct sim_set *set);

/* set_forced.c */
/* A member has taken a config, and nobody had it before; `before`: its last one. */
void set_see_new_config(struct sim_set *set, uint32_t place, const bson_t *before);
/* The last committed one, and what takes its place. */
void set_see_voters(struct sim_set *set, const bson_t *before, const bson_t *after);
/* It has a config at least as new as the last forced one. */
void set_see_aware(struct sim_set *set, uint32_t place);
void set_look_for_majority(struct sim_set *set);
enum judge_request set_fate_of_forced(struct sim_set *set, enum judge_request fate);
/* A node sends a forced config now. */
void set_judge_sending(struct sim_set *set, const struct sim_node *node,
                       const struct set_question *question);
bool set_command_forces(const bson_t *command);
void set_note_asked(struct sim_set *set, const struct sim_node *node, struct asked *asked);
void set_note_heard(struct sim_set *set, const struct asked *asked);
/* A member has ended by itself. True: as it must, for what it has nobody else has any more. */
bool set_may_abort(struct sim_set *set, uint32_t place);

/* set_people.c */
void set_writer_begin(struct sim_set *set);
void set_on_written(struct sim_set *set, const struct asked *asked);
void set_step_up(struct sim_set *set, uint32_t member);
void set_reconfigure(struct sim_set *set);
uint32_t set_any_of_region(struct sim_set *set, uint32_t region);

/* set_watch.c */
void set_watch(struct sim_set *set);
/* The fence in a config, "" if there is none; "?": members differ. */
void set_read_fence(const bson_t *config, char fence[SET_FENCE_SIZE]);
/* A member has answered a node's question. */
void set_note_answer(struct sim_set *set, struct asked *asked, const bson_t *document);
/* The node has heard of it. */
void set_note_proof(struct sim_set *set, const struct asked *asked);

#endif
