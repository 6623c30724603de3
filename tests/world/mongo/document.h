/* Small parts of the query and update language: equality of fields; $set, $unset and $inc. */
#ifndef WORLD_MONGO_DOCUMENT_H
#define WORLD_MONGO_DOCUMENT_H

#include "private.h"

/* The document or array that the iterator is at, in place. */
bool mongo_document_of(const bson_iter_t *iter, bson_t *ret_child);
bool mongo_document_child(const bson_t *document, const char *key, bson_t *ret_child);
bool mongo_document_flag(const bson_t *document, const char *key);
/* "database.collection" of the command's first field. */
bool mongo_document_namespace(const struct mongo_call *call, char *to, size_t to_size);
/* Whether every field of the query is equal in the document, or one of its $in. */
bool mongo_document_matches(const bson_t *document, const bson_t *query);
/* The next live document that matches, from *position on. */
const struct mongo_entry *mongo_document_search(const struct mongo_oplog *log,
                                                const char *namespace, const bson_t *query,
                                                size_t *position);
/* What the change makes of the document; to is initialized. */
void mongo_document_change(const bson_t *document, const bson_t *change, bson_t *to);
/* < 0, 0, > 0: numbers, then strings, then everything else by bytes. */
int mongo_document_compare(const bson_iter_t *a, const bson_iter_t *b);
/* Never 0. */
uint64_t mongo_document_hash(const bson_iter_t *value, uint64_t seed);

#endif
