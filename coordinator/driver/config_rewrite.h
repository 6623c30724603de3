/* The config of a replica set, read and written again with some things changed: what
 * mongo_config.c and mongo_config_change.c share. */
#ifndef DRIVER_CONFIG_REWRITE_H
#define DRIVER_CONFIG_REWRITE_H

#include "mongo_config.h"

#define CONFIG_MEMBER_MAX 50

/* What becomes of one member. Zero: it stays as it is. */
struct member_rewrite {
    double priority;
    const char *was; /* of the tag MONGO_WAS_TAG; NULL: without it */
    int32_t votes;
    bool left_out;
    bool sets_priority, sets_votes, sets_was;
};

struct rewrite {
    bool keeps_fence;                     /* else it is taken out, or replaced by ... */
    const char *fence;                    /* ... this; NULL: none */
    bool keeps_term;                      /* else it is left out */
    uint64_t version;                     /* 0: as it is */
    const struct member_rewrite *members; /* by place; NULL: as they are */
    /* Members of another config that come behind them. */
    const bson_t *others;
    const struct member_rewrite *others_rewrite;
};

bool config_write(const bson_t *config, const struct rewrite *how, bson_t *to);
/* ERROR_LIMIT: too large. */
enum error_code config_keep_state(const bson_t *config, struct driver_blob *ret,
                                  struct error *error);
/* ERROR_CORRUPT, in words. */
enum error_code config_is_none(struct error *error);

/* Views: they live as long as what they are of. */
bool config_view_state(const struct driver_blob *state, bson_t *ret);
bool config_view_members(const bson_t *config, bson_t *ret);
bool config_view_inner(const bson_iter_t *iter, bson_t *ret);
const char *config_text(const bson_t *document, const char *key);
const char *config_tag(const bson_t *member, const char *name); /* NULL: none */
bool config_is_arbiter(const bson_t *member);
double config_priority(const bson_t *member);
int32_t config_votes(const bson_t *member);

#endif
