/* The inside of the watcher: mongo.c keeps the sets, mongo_round.c asks their members,
 * mongo_canary.c writes, mongo_rate.c counts the writes of all. */
#ifndef PROBE_MONGO_PRIVATE_H
#define PROBE_MONGO_PRIVATE_H

#include "mongo/client.h"
#include "mongo/replica_set.h"
#include "probe/mongo.h"

struct watched_set;

/* One member, or a seed while no config is known. */
struct watched_link {
    struct watched_link *next;
    struct watched_set *set;
    struct mongo_link *link;
    char host[MONGO_HOST_SIZE];
    bool is_wanted;  /* while the list is brought in line */
    bool is_legacy;  /* knows isMaster only */
    bool is_pending; /* in this round */
    struct set_answer answer;
    char trouble[MONGO_TROUBLE_SIZE]; /* as it was last logged */
};

struct watched_set {
    struct probe_mongo *watch;
    uint32_t service, active;
    char service_name[NAME_SIZE];
    struct spec_mongo spec;
    struct mongo_target target; /* without its host */
    struct replica_set state;
    struct mongo_seeds seeds; /* count 0: to be looked up */
    uint64_t seeds_ms;        /* when they were looked up */
    struct mongo_link *seed_link;
    struct watched_link *links;
    uv_timer_t timer; /* the next round */
    bool is_open, is_changed, is_wanted, closing;
    uint32_t pending_count;
    uint64_t start_ms, start_index; /* of the round; the last one when none is open */
    uint64_t start_loop_ms;
    char primary[MONGO_HOST_SIZE]; /* as it was last told; "": none */
    uint32_t primary_region;
    uint64_t oplog_ms; /* when its start was last asked for */
    struct mongo_link *writer;
    char writer_host[MONGO_HOST_SIZE];
    bool is_writing;
    uint64_t write_ms, next_write_ms;
    uint64_t write_count;
    struct mongo_link *counter;
    char counter_host[MONGO_HOST_SIZE];
    bool is_counting;
    uint64_t count_ms, count_term;   /* asked then, of the primary in that term */
    uint64_t counted_ms, counted;    /* what is counted from; counted_ms 0: nothing */
    uint64_t rate_ms, next_count_ms; /* the rate is of then; the next question */
};

struct probe_mongo {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct entropy *entropy;
    struct probe_mongo_options options;
    char node[NAME_SIZE];
    char secrets[MONGO_SECRETS_SIZE];
    struct watched_set *sets[SERVICE_MAX]; /* by the key; NULL: none */
    bool leads, in_callback, closing;
    uint32_t open_handles;
    void (*on_closed)(void *context);
    void *closed_context;
};

uint64_t mongo_watch_now(const struct watched_set *set);
struct mongo_link *mongo_watch_open(const struct watched_set *set, const char *host);

/* mongo_round.c */
void mongo_round_on_timer(uv_timer_t *timer);
/* Ends what is under way without results. */
void mongo_round_close(struct watched_set *set);

/* mongo_region.c: the result of a region by answers asked since `since_ms`. */
enum probe_result_code mongo_region_judge(const struct replica_set *set, uint32_t region,
                                          bool active, uint64_t since_ms);

/* mongo_canary.c */
/* Writes, when it is time and there is a primary. */
void mongo_canary_look(struct watched_set *set, uint32_t primary);
void mongo_canary_close(struct watched_set *set);

/* mongo_rate.c */
/* Asks the primary how many writes it took, when it is time. */
void mongo_rate_look(struct watched_set *set, uint32_t primary);
void mongo_rate_close(struct watched_set *set);

#endif
