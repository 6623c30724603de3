#include "config_rewrite.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum error_code config_is_none(struct error *error) {
    return error_set(error, ERROR_CORRUPT, "the replica set's config can't be read");
}

bool config_view_state(const struct driver_blob *state, bson_t *ret) {
    return bson_init_static(ret, state->bytes, state->size_bytes) &&
           bson_validate(ret, BSON_VALIDATE_NONE, NULL);
}

/* The document at an iterator, which lives as long as what is iterated. */
bool config_view_inner(const bson_iter_t *iter, bson_t *ret) {
    const uint8_t *bytes = NULL;
    uint32_t size_bytes = 0;
    if (BSON_ITER_HOLDS_DOCUMENT(iter)) {
        bson_iter_document(iter, &size_bytes, &bytes);
    }
    return bytes != NULL && bson_init_static(ret, bytes, size_bytes);
}

static bool view_array(const bson_iter_t *iter, bson_t *ret) {
    const uint8_t *bytes = NULL;
    uint32_t size_bytes = 0;
    if (BSON_ITER_HOLDS_ARRAY(iter)) {
        bson_iter_array(iter, &size_bytes, &bytes);
    }
    return bytes != NULL && bson_init_static(ret, bytes, size_bytes);
}

bool config_view_members(const bson_t *config, bson_t *ret) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, config, "members") && view_array(&iter, ret);
}

/* One that holds a NUL is none: its beginning is another text. */
const char *config_text(const bson_t *document, const char *key) {
    bson_iter_t iter;
    uint32_t length = 0;
    if (!bson_iter_init_find(&iter, document, key) || !BSON_ITER_HOLDS_UTF8(&iter)) {
        return NULL;
    }
    const char *text = bson_iter_utf8(&iter, &length);
    return strlen(text) == length ? text : NULL;
}

const char *config_tag(const bson_t *member, const char *name) {
    bson_iter_t iter;
    bson_t tags;
    return bson_iter_init_find(&iter, member, "tags") && config_view_inner(&iter, &tags)
               ? config_text(&tags, name)
               : NULL;
}

/* --- fields of a member: one of another type is as if it weren't there, as with the watcher --- */

static bool find_number(const bson_t *member, const char *key, bson_iter_t *ret) {
    return bson_iter_init_find(ret, member, key) && BSON_ITER_HOLDS_NUMBER(ret);
}

bool config_is_arbiter(const bson_t *member) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, member, "arbiterOnly") &&
           (BSON_ITER_HOLDS_BOOL(&iter) || BSON_ITER_HOLDS_NUMBER(&iter)) &&
           bson_iter_as_bool(&iter);
}

double config_priority(const bson_t *member) {
    bson_iter_t iter;
    double priority = find_number(member, "priority", &iter) ? bson_iter_as_double(&iter) : 1;
    return isfinite(priority) ? priority : 1;
}

int32_t config_votes(const bson_t *member) {
    bson_iter_t iter;
    double votes = find_number(member, "votes", &iter) ? bson_iter_as_double(&iter) : 1;
    return votes >= 0 && votes < 1 ? 0 : 1;
}

/* --- writing a config again, with some things changed --- */

static bool write_tags(const bson_t *tags, const struct rewrite *how,
                       const struct member_rewrite *change, bson_t *to) {
    bson_iter_t iter;
    bson_t out;
    bool ok = BSON_APPEND_DOCUMENT_BEGIN(to, "tags", &out);
    ok = ok && (tags == NULL || bson_iter_init(&iter, tags));
    while (ok && tags != NULL && bson_iter_next(&iter)) {
        bool is_fence = text_equal(bson_iter_key(&iter), MONGO_FENCE_TAG);
        bool is_was = text_equal(bson_iter_key(&iter), MONGO_WAS_TAG);
        ok = (is_fence && !how->keeps_fence) || (is_was && change->sets_was) ||
             bson_append_iter(&out, NULL, -1, &iter);
    }
    if (ok && change->sets_was && change->was != NULL) {
        ok = BSON_APPEND_UTF8(&out, MONGO_WAS_TAG, change->was);
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

static bool write_member(const bson_t *member, const struct rewrite *how,
                         const struct member_rewrite *change, bson_t *to) {
    bson_iter_t iter;
    bson_t tags;
    bool takes_tags = !config_is_arbiter(member);
    bool adds_tags = takes_tags && ((!how->keeps_fence && how->fence != NULL) ||
                                    (change->sets_was && change->was != NULL));
    bool had_priority = false;
    bool had_votes = false;
    if (!bson_iter_init(&iter, member)) {
        return false;
    }
    bool ok = true;
    while (ok && bson_iter_next(&iter)) {
        const char *key = bson_iter_key(&iter);
        if (text_equal(key, "tags") && takes_tags) {
            adds_tags = false;
            ok = config_view_inner(&iter, &tags) && write_tags(&tags, how, change, to);
        } else if (text_equal(key, "priority") && change->sets_priority) {
            had_priority = true;
            ok = write_priority(&iter, change->priority, to);
        } else if (text_equal(key, "votes") && change->sets_votes) {
            had_votes = true;
            ok = BSON_APPEND_INT32(to, "votes", change->votes);
        } else {
            ok = bson_append_iter(to, NULL, -1, &iter);
        }
    }
    if (ok && adds_tags) {
        ok = write_tags(NULL, how, change, to);
    }
    if (ok && !had_priority && change->sets_priority) {
        ok = BSON_APPEND_DOUBLE(to, "priority", change->priority);
    }
    if (ok && !had_votes && change->sets_votes) {
        ok = BSON_APPEND_INT32(to, "votes", change->votes);
    }
    return ok;
}

static bool write_members(const bson_t *members, const struct rewrite *how,
                          const struct member_rewrite *changes, uint32_t *count, bson_t *to) {
    static const struct member_rewrite nothing;
    bson_iter_t iter;
    uint32_t place = 0;
    bool ok = bson_iter_init(&iter, members);
    while (ok && bson_iter_next(&iter)) {
        const struct member_rewrite *change = changes == NULL ? &nothing : &changes[place];
        bson_t member;
        bson_t written;
        char key[12];
        place++;
        ok = place <= CONFIG_MEMBER_MAX && config_view_inner(&iter, &member);
        if (!ok || change->left_out) {
            continue;
        }
        (void)snprintf(key, sizeof key, "%" PRIu32, (*count)++);
        ok = bson_append_document_begin(to, key, -1, &written);
        ok = ok && write_member(&member, how, change, &written);
        ok = bson_append_document_end(to, &written) && ok;
    }
    return ok;
}

static bool write_all_members(const bson_t *members, const struct rewrite *how, bson_t *to) {
    bson_t out;
    uint32_t count = 0;
    bool ok = BSON_APPEND_ARRAY_BEGIN(to, "members", &out);
    ok = ok && write_members(members, how, how->members, &count, &out);
    if (ok && how->others != NULL) {
        ok = write_members(how->others, how, how->others_rewrite, &count, &out);
    }
    return bson_append_array_end(to, &out) && ok && count <= CONFIG_MEMBER_MAX;
}

static bool write_version(const bson_iter_t *iter, uint64_t version, bson_t *to) {
    return BSON_ITER_HOLDS_INT64(iter) || version > INT32_MAX
               ? BSON_APPEND_INT64(to, "version", (int64_t)version)
               : BSON_APPEND_INT32(to, "version", (int32_t)version);
}

bool config_write(const bson_t *config, const struct rewrite *how, bson_t *to) {
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
            ok = view_array(&iter, &members) && write_all_members(&members, how, to);
        } else {
            ok = bson_append_iter(to, NULL, -1, &iter);
        }
    }
    return ok;
}

enum error_code config_keep_state(const bson_t *config, struct driver_blob *ret,
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
        return config_is_none(error);
    }
    while (bson_iter_next(&iter)) {
        bson_t member;
        bool carries = config_view_inner(&iter, &member) && !config_is_arbiter(&member);
        const char *fence = carries ? config_tag(&member, MONGO_FENCE_TAG) : NULL;
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
    /* All of it: what is read of a broken document ends where it is broken, without a word. */
    bool is_whole = bson_validate(config, BSON_VALIDATE_NONE, NULL);
    enum error_code code = is_whole && config_view_members(config, &members)
                               ? read_fence(&members, ret, error)
                               : config_is_none(error);
    if (code == ERROR_OK && !config_write(config, &bare, &state)) {
        code = config_is_none(error);
    }
    if (code == ERROR_OK) {
        code = config_keep_state(&state, &ret->state, error);
    }
    if (code == ERROR_OK && mongo_config_version(&ret->state) == 0) {
        code = config_is_none(error);
    }
    bson_destroy(&state);
    return code;
}

uint64_t mongo_config_version(const struct driver_blob *state) {
    bson_t config;
    bson_iter_t iter;
    if (!config_view_state(state, &config) || !bson_iter_init_find(&iter, &config, "version")) {
        return 0;
    }
    int64_t version = bson_iter_as_int64(&iter);
    return version > 0 ? (uint64_t)version : 0;
}

enum error_code mongo_config_join(const struct driver_blob *state, const char *fence,
                                  uint64_t version, bson_t *ret, struct error *error) {
    bson_t config;
    bson_init(ret);
    struct rewrite how = {.fence = fence, .version = version};
    return config_view_state(state, &config) && config_write(&config, &how, ret)
               ? ERROR_OK
               : config_is_none(error);
}
