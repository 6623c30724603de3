#include "mongo_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { FIRST_PRIORITY = 10, MEMBER_MAX = 50 };

static enum error_code no_config(struct error *error) {
    return error_set(error, ERROR_CORRUPT, "the replica set's config can't be read");
}

static bool view_state(const struct driver_blob *state, bson_t *ret) {
    return bson_init_static(ret, state->bytes, state->size_bytes) &&
           bson_validate(ret, BSON_VALIDATE_NONE, NULL);
}

/* The document or array at an iterator, which lives as long as what is iterated. */
static bool inner_of(const bson_iter_t *iter, bson_t *ret) {
    const uint8_t *bytes = NULL;
    uint32_t size_bytes = 0;
    if (BSON_ITER_HOLDS_DOCUMENT(iter)) {
        bson_iter_document(iter, &size_bytes, &bytes);
    } else if (BSON_ITER_HOLDS_ARRAY(iter)) {
        bson_iter_array(iter, &size_bytes, &bytes);
    }
    return bytes != NULL && bson_init_static(ret, bytes, size_bytes);
}

static bool members_of(const bson_t *config, bson_t *ret) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, config, "members") && BSON_ITER_HOLDS_ARRAY(&iter) &&
           inner_of(&iter, ret);
}

static const char *text_in(const bson_t *document, const char *key) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, document, key) && BSON_ITER_HOLDS_UTF8(&iter)
               ? bson_iter_utf8(&iter, NULL)
               : NULL;
}

static const char *tag_of(const bson_t *member, const char *name) {
    bson_iter_t iter;
    bson_t tags;
    return bson_iter_init_find(&iter, member, "tags") && inner_of(&iter, &tags)
               ? text_in(&tags, name)
               : NULL;
}

static bool is_arbiter(const bson_t *member) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, member, "arbiterOnly") && bson_iter_as_bool(&iter);
}

static double priority_of(const bson_t *member) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, member, "priority") ? bson_iter_as_double(&iter) : 1;
}

/* --- writing a config again, with some things changed --- */

struct rewrite {
    bool keeps_fence;         /* else it is taken out, or replaced by ... */
    const char *fence;        /* ... this; NULL: none */
    bool keeps_term;          /* else it is left out */
    uint64_t version;         /* 0: as it is */
    const double *priorities; /* by place of member; NULL: as they are */
};

static bool write_tags(const bson_t *tags, const struct rewrite *how, bson_t *to) {
    bson_iter_t iter;
    bson_t out;
    bool ok = BSON_APPEND_DOCUMENT_BEGIN(to, "tags", &out);
    ok = ok && (tags == NULL || bson_iter_init(&iter, tags));
    while (ok && tags != NULL && bson_iter_next(&iter)) {
        bool is_fence = text_equal(bson_iter_key(&iter), MONGO_FENCE_TAG);
        ok = (is_fence && !how->keeps_fence) || bson_append_iter(&out, NULL, -1, &iter);
    }
    if (ok && !how->keeps_fence && how->fence != NULL) {
        ok = BSON_APPEND_UTF8(&out, MONGO_FENCE_TAG, how->fence);
    }
    return bson_append_document_end(to, &out) && ok;
}

/* In the type that the server chose. */
static bool write_priority(const bson_iter_t *iter, double priority, bson_t *to) {
    if (BSON_ITER_HOLDS_INT32(iter)) {
        return BSON_APPEND_INT32(to, "priority", (int32_t)priority);
    }
    if (BSON_ITER_HOLDS_INT64(iter)) {
        return BSON_APPEND_INT64(to, "priority", (int64_t)priority);
    }
    return BSON_APPEND_DOUBLE(to, "priority", priority);
}

static bool write_member(const bson_t *member, uint32_t place, const struct rewrite *how,
                         bson_t *to) {
    bson_iter_t iter;
    bson_t tags;
    bool takes_tags = !is_arbiter(member);
    bool had_tags = false;
    bool had_priority = false;
    if (!bson_iter_init(&iter, member)) {
        return false;
    }
    bool ok = true;
    while (ok && bson_iter_next(&iter)) {
        const char *key = bson_iter_key(&iter);
        if (text_equal(key, "tags") && takes_tags) {
            had_tags = true;
            ok = inner_of(&iter, &tags) && write_tags(&tags, how, to);
        } else if (text_equal(key, "priority") && how->priorities != NULL) {
            had_priority = true;
            ok = write_priority(&iter, how->priorities[place], to);
        } else {
            ok = bson_append_iter(to, NULL, -1, &iter);
        }
    }
    if (ok && !had_tags && takes_tags && !how->keeps_fence && how->fence != NULL) {
        ok = write_tags(NULL, how, to);
    }
    if (ok && !had_priority && how->priorities != NULL) {
        ok = BSON_APPEND_DOUBLE(to, "priority", how->priorities[place]);
    }
    return ok;
}

static bool write_members(const bson_t *members, const struct rewrite *how, bson_t *to) {
    bson_iter_t iter;
    bson_t out;
    uint32_t place = 0;
    bool ok = BSON_APPEND_ARRAY_BEGIN(to, "members", &out);
    ok = ok && bson_iter_init(&iter, members);
    while (ok && bson_iter_next(&iter)) {
        bson_t member;
        bson_t written;
        ok = place < MEMBER_MAX && inner_of(&iter, &member) &&
             bson_append_document_begin(&out, bson_iter_key(&iter), -1, &written);
        if (ok) {
            ok = write_member(&member, place, how, &written);
            ok = bson_append_document_end(&out, &written) && ok;
            place++;
        }
    }
    return bson_append_array_end(to, &out) && ok;
}

static bool write_version(const bson_iter_t *iter, uint64_t version, bson_t *to) {
    return BSON_ITER_HOLDS_INT64(iter) || version > INT32_MAX
               ? BSON_APPEND_INT64(to, "version", (int64_t)version)
               : BSON_APPEND_INT32(to, "version", (int32_t)version);
}

static bool write_config(const bson_t *config, const struct rewrite *how, bson_t *to) {
    bson_iter_t iter;
    bson_t members;
    bool ok = bson_iter_init(&iter, config);
    while (ok && bson_iter_next(&iter)) {
        const char *key = bson_iter_key(&iter);
        if (text_equal(key, "term") && !how->keeps_term) {
            continue;
        }
        if (text_equal(key, "version") && how->version != 0) {
            ok = write_version(&iter, how->version, to);
        } else if (text_equal(key, "members")) {
            ok = inner_of(&iter, &members) && write_members(&members, how, to);
        } else {
            ok = bson_append_iter(to, NULL, -1, &iter);
        }
    }
    return ok;
}

static enum error_code keep_state(const bson_t *config, struct driver_blob *ret,
                                  struct error *error) {
    if (config->len > sizeof ret->bytes) {
        return error_set(error, ERROR_LIMIT, "the replica set's config has %u bytes, at most %zu",
                         config->len, sizeof ret->bytes);
    }
    ret->size_bytes = config->len;
    memcpy(ret->bytes, bson_get_data(config), config->len);
    return ERROR_OK;
}

/* --- reading --- */

static enum error_code read_fence(const bson_t *members, struct driver_reading *ret,
                                  struct error *error) {
    bson_iter_t iter;
    ret->fence_present = false;
    ret->fence[0] = '\0';
    if (!bson_iter_init(&iter, members)) {
        return no_config(error);
    }
    while (bson_iter_next(&iter)) {
        bson_t member;
        const char *fence = inner_of(&iter, &member) ? tag_of(&member, MONGO_FENCE_TAG) : NULL;
        if (fence == NULL) {
            continue; /* an arbiter, or one that was added since */
        }
        if (!driver_fence_is_valid(fence)) {
            return error_set(error, ERROR_CONFLICT,
                             "a member's tag " MONGO_FENCE_TAG " is no fence: %.100s", fence);
        }
        if (ret->fence_present && !text_equal(ret->fence, fence)) {
            return error_set(error, ERROR_CONFLICT,
                             "members carry different fences in their tag " MONGO_FENCE_TAG
                             ": %.80s and %.80s",
                             ret->fence, fence);
        }
        ret->fence_present = true;
        (void)TEXT_COPY(ret->fence, fence);
    }
    return ERROR_OK;
}

enum error_code mongo_config_split(const bson_t *config, struct driver_reading *ret,
                                   struct error *error) {
    const struct rewrite bare = {.keeps_fence = false};
    bson_t members;
    bson_t state = BSON_INITIALIZER;
    enum error_code code =
        members_of(config, &members) ? read_fence(&members, ret, error) : no_config(error);
    if (code == ERROR_OK && !write_config(config, &bare, &state)) {
        code = no_config(error);
    }
    if (code == ERROR_OK) {
        code = keep_state(&state, &ret->state, error);
    }
    if (code == ERROR_OK && mongo_config_version(&ret->state) == 0) {
        code = no_config(error);
    }
    bson_destroy(&state);
    return code;
}

uint64_t mongo_config_version(const struct driver_blob *state) {
    bson_t config;
    bson_iter_t iter;
    if (!view_state(state, &config) || !bson_iter_init_find(&iter, &config, "version")) {
        return 0;
    }
    int64_t version = bson_iter_as_int64(&iter);
    return version > 0 ? (uint64_t)version : 0;
}

enum error_code mongo_config_join(const struct driver_blob *state, const char *fence, bson_t *ret,
                                  struct error *error) {
    bson_t config;
    bson_init(ret);
    struct rewrite how = {.fence = fence, .version = mongo_config_version(state) + 1};
    return view_state(state, &config) && write_config(&config, &how, ret) ? ERROR_OK
                                                                          : no_config(error);
}

/* --- who comes first --- */

struct ranked {
    uint32_t count;
    double priorities[MEMBER_MAX];
    bool preferred[MEMBER_MAX];
    char hosts[MEMBER_MAX][128];
};

static bool read_ranks(const bson_t *members, const char *region_tag, const char *region,
                       struct ranked *ret) {
    bson_iter_t iter;
    memset(ret, 0, sizeof *ret);
    if (!bson_iter_init(&iter, members)) {
        return false;
    }
    while (bson_iter_next(&iter)) {
        bson_t member;
        if (ret->count == MEMBER_MAX || !inner_of(&iter, &member)) {
            return false;
        }
        const char *tag = tag_of(&member, region_tag);
        const char *host = text_in(&member, "host");
        ret->priorities[ret->count] = priority_of(&member);
        ret->preferred[ret->count] = tag != NULL && text_equal(tag, region);
        (void)TEXT_COPY(ret->hosts[ret->count], host == NULL ? "?" : host);
        ret->count++;
    }
    return true;
}

/* The place among the different priorities above 0 of its group, from 0. */
static uint32_t rank_of(const struct ranked *ranked, uint32_t place) {
    uint32_t rank = 0;
    for (uint32_t i = 0; i < ranked->count; i++) {
        bool below = ranked->preferred[i] == ranked->preferred[place] &&
                     ranked->priorities[i] > 0 && ranked->priorities[i] < ranked->priorities[place];
        for (uint32_t j = 0; j < i && below; j++) { /* each once */
            below = ranked->preferred[j] != ranked->preferred[i] ||
                    ranked->priorities[j] < ranked->priorities[i] ||
                    ranked->priorities[j] > ranked->priorities[i];
        }
        rank += below;
    }
    return rank;
}

static void note_change(char *diff, size_t size, const char *host, double from, double to) {
    size_t length = strlen(diff);
    if (from < to || from > to) {
        (void)snprintf(diff + length, size - length, "%s%s %g -> %g", length == 0 ? "" : ", ", host,
                       from, to);
    }
}

enum error_code mongo_config_prefer(const struct driver_blob *state, const char *region_tag,
                                    const char *region, struct driver_blob *ret, char *diff,
                                    size_t diff_size, struct error *error) {
    bson_t config;
    bson_t members;
    bson_t written = BSON_INITIALIZER;
    struct ranked ranked;
    double wanted[MEMBER_MAX] = {0};
    bool any = false;
    diff[0] = '\0';
    if (!view_state(state, &config) || !members_of(&config, &members) ||
        !read_ranks(&members, region_tag, region, &ranked)) {
        bson_destroy(&written);
        return no_config(error);
    }
    for (uint32_t i = 0; i < ranked.count; i++) {
        bool electable = ranked.priorities[i] > 0;
        uint32_t base = ranked.preferred[i] ? FIRST_PRIORITY : 1;
        wanted[i] = electable ? base + rank_of(&ranked, i) : ranked.priorities[i];
        any = any || (electable && ranked.preferred[i]);
        note_change(diff, diff_size, ranked.hosts[i], ranked.priorities[i], wanted[i]);
    }
    struct rewrite how = {.keeps_fence = true, .keeps_term = true, .priorities = wanted};
    enum error_code code = ERROR_OK;
    if (!any) {
        code =
            error_set(error, ERROR_NOT_FOUND,
                      "no member with a priority above 0 has the tag %s: %s", region_tag, region);
    } else if (!write_config(&config, &how, &written)) {
        code = no_config(error);
    } else {
        code = keep_state(&written, ret, error);
    }
    bson_destroy(&written);
    return code;
}
