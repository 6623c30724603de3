/* The oplog of one process: a sequence of entries that processes share, and the documents that they
 * add up to. An entry holds what its document became, so a prefix of the log is a state. */
#ifndef WORLD_MONGO_OPLOG_H
#define WORLD_MONGO_OPLOG_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mongo_optime {
    int64_t term;
    uint32_t seconds, increment;
};

/* Before every entry: that of initiation has no term either, but a time. */
#define MONGO_OPTIME_NONE ((struct mongo_optime){.term = -1})

/* By term, then by timestamp: < 0, 0, > 0. */
int mongo_optime_order(struct mongo_optime a, struct mongo_optime b);

struct mongo_entry {
    unsigned references;
    struct mongo_optime optime;
    uint64_t wall_ms;
    char *namespace;  /* "db.collection"; NULL: a note without a document */
    bson_t *document; /* after it; with _id only when it is deleted */
    bool deleted;
    uint64_t session; /* of the retryable write that made it; 0: none */
};

struct mongo_entry *mongo_entry_create(struct mongo_optime optime, uint64_t wall_ms,
                                       const char *namespace, const bson_t *document, bool deleted);
struct mongo_entry *mongo_entry_ref(struct mongo_entry *entry);
void mongo_entry_unref(struct mongo_entry *entry);

struct mongo_oplog {
    struct mongo_entry **entries;
    size_t count, capacity;
    size_t *slots; /* hash of namespace and _id -> position + 1 of the newest entry; 0: empty */
    size_t slot_count, used;
};

/* A zeroed struct is an empty log. */
void mongo_oplog_finish(struct mongo_oplog *log);
/* Takes the caller's reference. */
void mongo_oplog_append(struct mongo_oplog *log, struct mongo_entry *entry);
/* Keeps the first count entries. */
void mongo_oplog_truncate(struct mongo_oplog *log, size_t count);
/* MONGO_OPTIME_NONE when it is empty. */
struct mongo_optime mongo_oplog_last(const struct mongo_oplog *log);
/* How many entries are at or before the time. */
size_t mongo_oplog_position(const struct mongo_oplog *log, struct mongo_optime optime);
bool mongo_oplog_has(const struct mongo_oplog *log, struct mongo_optime optime);

/* The document with this _id, or NULL. */
const struct mongo_entry *mongo_oplog_find(const struct mongo_oplog *log, const char *namespace,
                                           const bson_value_t *id);
/* The next live document of a collection, from *position on; NULL at the end. */
const struct mongo_entry *mongo_oplog_next(const struct mongo_oplog *log, const char *namespace,
                                           size_t *position);

#endif
