/* A MongoDB replica set: its rules, on virtual time. This is the whole boundary of the core: no
 * sockets, no clock, no threads and no global state lie behind it. Commands come in as BSON,
 * replies go out by callback, at once or when a real server would have answered; time passes only
 * in mongo_set_run(), and chance comes from the caller. The same calls in the same order give the
 * same replies, byte for byte. noctua-world serves it on sockets (mongo_server.h); a simulator can
 * link it as it is.
 *
 * Modelled as MongoDB 3.6.8 and 4.4.6 behaved, as recorded in tests/world/mongo/transcripts:
 * elections, heartbeats and what each member believes, configurations, the oplog, replication by
 * sync source, rollback, write concerns. Authentication, sessions, transactions, indexes, sharding
 * and disks that fail aren't modelled. What a member has applied is durable at once.
 *
 * A process is a mongod with a fixed host; a member is a process that a configuration names.
 * Processes are numbered in the order of their hosts. Times are milliseconds; virtual time begins
 * at 0.
 */
#ifndef WORLD_MONGO_SET_H
#define WORLD_MONGO_SET_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

#define MONGO_PROCESSES_MAX 50 /* as many as a set can have members */
#define MONGO_NEVER_MS UINT64_MAX

struct mongo_set;

enum mongo_release {
    MONGO_RELEASE_3_6,
    MONGO_RELEASE_4_4,
};

struct mongo_set_options {
    enum mongo_release release;
    const char *name;         /* --replSet of every process */
    const char *const *hosts; /* "address:port"; copied */
    size_t host_count;        /* 1 to MONGO_PROCESSES_MAX */
    uint64_t wall_ms;         /* the wall clock at virtual time 0, since 1970 */
    void *context;
    /* A number in [0, below), asked on behalf of a process; below is never 0. The first number of
     * an election's timer decides who stands first: 0 is the soonest. */
    uint64_t (*random)(void *context, size_t process, uint64_t below);
    /* The reply to a request; the document is the core's, gone after the call. more: further
     * replies to the same request follow (exhaust). Don't call the set from here. */
    void (*reply)(void *context, uint64_t connection, uint64_t request, const bson_t *document,
                  bool more);
    /* The process has closed the connection: nothing further is said on it. */
    void (*hang_up)(void *context, uint64_t connection);
    /* The process began (true) or ceased to accept connections. NULL: not wanted. */
    void (*listening)(void *context, size_t process, bool listens);
};

/* The processes are down; mongo_set_start() brings them up. */
struct mongo_set *mongo_set_create(const struct mongo_set_options *options);
/* Takes NULL. Replies that are still owed are never given. */
void mongo_set_destroy(struct mongo_set *set);

/* --- time --- */

/* When something will happen by itself: an instant at or after the present one, or MONGO_NEVER_MS.
 */
uint64_t mongo_set_next_ms(const struct mongo_set *set);
/* Lets everything happen that is due until now_ms, in order. Time never goes back. */
void mongo_set_run(struct mongo_set *set, uint64_t now_ms);
uint64_t mongo_set_now_ms(const struct mongo_set *set);

/* --- clients --- */

/* A connection gets a number of the caller's choice, which is never used twice. false: refused. A
 * hung process accepts, as its kernel does. */
bool mongo_set_connect(struct mongo_set *set, size_t process, uint64_t connection);
void mongo_set_disconnect(struct mongo_set *set, uint64_t connection);

struct mongo_request {
    uint64_t connection;
    uint64_t id; /* comes back with the reply; unique within the connection */
    const char *database;
    const bson_t *command; /* with or without "$db" and the like; copied */
    bool secondary_ok;     /* OP_QUERY's flag of that meaning */
    bool exhaust_allowed;
    bool no_reply; /* moreToCome of the request: carried out, never answered */
};

/* A request on a connection that isn't there (any more) is dropped. */
void mongo_set_request(struct mongo_set *set, const struct mongo_request *request);

/* --- what happens to processes --- */

enum mongo_fate {
    MONGO_START,    /* as the process was left; nothing, when it is up */
    MONGO_KILL,     /* kill -9 */
    MONGO_SHUTDOWN, /* SIGTERM */
    MONGO_STOP,     /* SIGSTOP: its sockets stay */
    MONGO_CONTINUE, /* SIGCONT */
    MONGO_WIPE,     /* down and its data gone: an empty mongod when it is started again */
};

void mongo_set_fate(struct mongo_set *set, size_t index, enum mongo_fate fate);

/* A process without --replSet, from its next start on. */
void mongo_set_standalone(struct mongo_set *set, size_t process, bool standalone);
/* Packets from one process to another vanish. One way: a cable is cut by two calls. */
void mongo_set_cut(struct mongo_set *set, size_t from, size_t to, bool cut);
/* Requests of clients to the process and its replies to them vanish. */
void mongo_set_cut_clients(struct mongo_set *set, size_t process, bool cut);
/* Its packets vanish when it is down, where connecting would be refused: nobody is told. */
void mongo_set_black_hole(struct mongo_set *set, size_t process, bool black_hole);
/* Every entry is applied so much later than it arrives; MONGO_NEVER_MS: none is. */
void mongo_set_apply_delay(struct mongo_set *set, size_t process, uint64_t delay_ms);
/* How long the process takes for an initial sync (default 200). */
void mongo_set_sync_duration(struct mongo_set *set, size_t process, uint64_t duration_ms);

enum mongo_mishap {
    MONGO_LOSE_REPLY,   /* the request is carried out, the connection closed instead of a reply */
    MONGO_DELAY,        /* carried out, and answered, so much later */
    MONGO_DUPLICATE,    /* carried out, and again so much later, without a second reply */
    MONGO_LOSE_REQUEST, /* not carried out, the connection closed */
};

/* Befalls the next request to the process whose command has this name (NULL: any). */
void mongo_set_mishap(struct mongo_set *set, size_t process, enum mongo_mishap mishap,
                      const char *command, uint64_t delay_ms);

/* --- what a judge may see --- */

struct mongo_view {
    bool up;       /* a process is there, perhaps stopped */
    bool stopped;  /* SIGSTOP */
    int state;     /* as in replSetGetStatus; 8: down */
    bool writable; /* says ismaster:true */
    int64_t term;
    int64_t config_version; /* 0: not initiated */
    int64_t config_term;    /* -1: none */
    bool config_forced;
    uint64_t applied;       /* entries of its oplog */
    int64_t committed_term; /* of the newest entry that it knows a majority to have; 0: none */
    int rollback_id;
    int sync_source; /* process; -1: none */
    int primary;     /* whom it believes to be; -1: nobody */
};

void mongo_set_view(const struct mongo_set *set, size_t index, struct mongo_view *ret_view);
/* The configuration that the process has, as replSetGetConfig would say it; empty: none. The caller
 * destroys it. */
bson_t *mongo_set_config(const struct mongo_set *set, size_t index);
/* Whether the process has a document with this string or integer as its _id. */
bool mongo_set_holds(const struct mongo_set *set, size_t process, const char *database,
                     const char *collection, const char *id);

#endif
