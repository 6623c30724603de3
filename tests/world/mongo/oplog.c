#include "oplog.h"

#include "alloc.h"
#include "base/text.h"

#define OPLOG_SLOTS_MIN 64

int mongo_optime_order(struct mongo_optime a, struct mongo_optime b) {
    if (a.term != b.term) {
        return a.term < b.term ? -1 : 1;
    }
    if (a.seconds != b.seconds) {
        return a.seconds < b.seconds ? -1 : 1;
    }
    return a.increment < b.increment ? -1 : a.increment > b.increment ? 1 : 0;
}

struct mongo_entry *mongo_entry_create(struct mongo_optime optime, uint64_t wall_ms,
                                       const char *namespace, const bson_t *document,
                                       bool deleted) {
    struct mongo_entry *entry = alloc_zeroed(1, sizeof(*entry));
    entry->references = 1;
    entry->optime = optime;
    entry->wall_ms = wall_ms;
    entry->namespace = namespace != NULL ? alloc_text(namespace) : NULL;
    entry->document = document != NULL ? bson_copy(document) : NULL;
    entry->deleted = deleted;
    return entry;
}

struct mongo_entry *mongo_entry_ref(struct mongo_entry *entry) {
    entry->references++;
    return entry;
}

void mongo_entry_unref(struct mongo_entry *entry) {
    if (--entry->references == 0) {
        bson_destroy(entry->document);
        free(entry->namespace);
        free(entry);
    }
}

/* --- the documents --- */

/* The _id's bytes, with its type: two _ids are the same when these are. Numbers that are equal have
 * one form, whatever their type. */
struct oplog_key {
    const char *namespace;
    bson_t id;
};

static void oplog_key_init(struct oplog_key *key, const char *namespace, const bson_value_t *id) {
    key->namespace = namespace;
    bson_init(&key->id);
    if (id->value_type == BSON_TYPE_INT32) {
        BSON_APPEND_INT64(&key->id, "", id->value.v_int32);
    } else if (id->value_type == BSON_TYPE_DOUBLE &&
               id->value.v_double == (double)(int64_t)id->value.v_double) {
        BSON_APPEND_INT64(&key->id, "", (int64_t)id->value.v_double);
    } else {
        BSON_APPEND_VALUE(&key->id, "", id);
    }
}

static bool oplog_key_of(struct oplog_key *key, const struct mongo_entry *entry) {
    bson_iter_t iter;
    if (entry->namespace == NULL || !bson_iter_init_find(&iter, entry->document, "_id")) {
        return false;
    }
    oplog_key_init(key, entry->namespace, bson_iter_value(&iter));
    return true;
}

static uint64_t oplog_hash(uint64_t hash, const void *bytes, size_t size_bytes) {
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        hash = (hash ^ byte[i]) * 0x100000001b3ULL; /* FNV-1a */
    }
    return hash;
}

static size_t oplog_slot(const struct mongo_oplog *log, const struct oplog_key *key) {
    uint64_t hash = oplog_hash(0xcbf29ce484222325ULL, key->namespace, strlen(key->namespace));
    size_t slot = oplog_hash(hash, bson_get_data(&key->id), key->id.len) & (log->slot_count - 1);
    while (log->slots[slot] != 0) {
        struct oplog_key other;
        const struct mongo_entry *entry = log->entries[log->slots[slot] - 1];
        bool found = text_equal(entry->namespace, key->namespace) && oplog_key_of(&other, entry);
        if (found) {
            found = bson_equal(&other.id, &key->id);
            bson_destroy(&other.id);
        }
        if (found) {
            break;
        }
        slot = (slot + 1) & (log->slot_count - 1);
    }
    return slot;
}

static void oplog_index(struct mongo_oplog *log, size_t position) {
    struct oplog_key key;
    if (!oplog_key_of(&key, log->entries[position])) {
        return;
    }
    size_t slot = oplog_slot(log, &key);
    log->used += log->slots[slot] == 0 ? 1 : 0;
    log->slots[slot] = position + 1;
    bson_destroy(&key.id);
}

static void oplog_index_all(struct mongo_oplog *log, size_t slot_count) {
    free(log->slots);
    log->slots = alloc_zeroed(slot_count, sizeof(*log->slots));
    log->slot_count = slot_count;
    log->used = 0;
    for (size_t i = 0; i < log->count; i++) {
        oplog_index(log, i);
    }
}

const struct mongo_entry *mongo_oplog_find(const struct mongo_oplog *log, const char *namespace,
                                           const bson_value_t *id) {
    struct oplog_key key;
    if (log->slot_count == 0) {
        return NULL;
    }
    oplog_key_init(&key, namespace, id);
    size_t position = log->slots[oplog_slot(log, &key)];
    bson_destroy(&key.id);
    const struct mongo_entry *entry = position == 0 ? NULL : log->entries[position - 1];
    return entry == NULL || entry->deleted ? NULL : entry;
}

const struct mongo_entry *mongo_oplog_next(const struct mongo_oplog *log, const char *namespace,
                                           size_t *position) {
    while (*position < log->count) {
        const struct mongo_entry *entry = log->entries[(*position)++];
        struct oplog_key key;
        if (!text_equal(entry->namespace != NULL ? entry->namespace : "", namespace) ||
            entry->deleted || !oplog_key_of(&key, entry)) {
            continue;
        }
        size_t newest = log->slots[oplog_slot(log, &key)];
        bson_destroy(&key.id);
        if (newest == *position) {
            return entry;
        }
    }
    return NULL;
}

/* --- the sequence --- */

void mongo_oplog_finish(struct mongo_oplog *log) {
    mongo_oplog_truncate(log, 0);
    free(log->entries);
    free(log->slots);
    *log = (struct mongo_oplog){0};
}

void mongo_oplog_append(struct mongo_oplog *log, struct mongo_entry *entry) {
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? OPLOG_SLOTS_MIN : 2 * log->capacity;
        log->entries = alloc_grown(log->entries, log->capacity, sizeof(struct mongo_entry *));
    }
    log->entries[log->count++] = entry;
    if (2 * log->used >= log->slot_count) {
        oplog_index_all(log, log->slot_count == 0 ? OPLOG_SLOTS_MIN : 2 * log->slot_count);
    } else {
        oplog_index(log, log->count - 1);
    }
}

void mongo_oplog_truncate(struct mongo_oplog *log, size_t count) {
    if (count >= log->count) {
        return;
    }
    for (size_t i = count; i < log->count; i++) {
        mongo_entry_unref(log->entries[i]);
    }
    log->count = count;
    if (log->slot_count > 0) {
        oplog_index_all(log, log->slot_count);
    }
}

struct mongo_optime mongo_oplog_last(const struct mongo_oplog *log) {
    return log->count == 0 ? MONGO_OPTIME_NONE : log->entries[log->count - 1]->optime;
}

size_t mongo_oplog_position(const struct mongo_oplog *log, struct mongo_optime optime) {
    size_t low = 0;
    size_t high = log->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mongo_optime_order(log->entries[middle]->optime, optime) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool mongo_oplog_has(const struct mongo_oplog *log, struct mongo_optime optime) {
    size_t position = mongo_oplog_position(log, optime);
    return position > 0 && mongo_optime_order(log->entries[position - 1]->optime, optime) == 0;
}
