/* What moves change in the config of a replica set: who comes first, who is left out, who comes
 * back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config_rewrite.h"

enum { FIRST_PRIORITY = 10 };

/* --- who comes first --- */

struct ranked {
    uint32_t count;
    double priorities[CONFIG_MEMBER_MAX];
    bool preferred[CONFIG_MEMBER_MAX];
    char hosts[CONFIG_MEMBER_MAX][128];
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
        if (ret->count == CONFIG_MEMBER_MAX || !config_view_inner(&iter, &member)) {
            return false;
        }
        const char *tag = config_tag(&member, region_tag);
        const char *host = config_text(&member, "host");
        ret->priorities[ret->count] = config_priority(&member);
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

/* The same state with some things changed, the fence being out of it already. */
static enum error_code rewrite_state(const bson_t *config, const struct rewrite *how,
                                     struct driver_blob *ret, struct error *error) {
    bson_t written = BSON_INITIALIZER;
    enum error_code code = config_write(config, how, &written)
                               ? config_keep_state(&written, ret, error)
                               : config_is_none(error);
    bson_destroy(&written);
    return code;
}

enum error_code mongo_config_prefer(const struct driver_blob *state, const char *region_tag,
                                    const char *region, struct driver_blob *ret, char *diff,
                                    size_t diff_size, struct error *error) {
    bson_t config;
    bson_t members;
    struct ranked ranked;
    struct member_rewrite wanted[CONFIG_MEMBER_MAX];
    bool any = false;
    diff[0] = '\0';
    memset(wanted, 0, sizeof wanted);
    if (!config_view_state(state, &config) || !config_view_members(&config, &members) ||
        !read_ranks(&members, region_tag, region, &ranked)) {
        return config_is_none(error);
    }
    for (uint32_t i = 0; i < ranked.count; i++) {
        bool electable = ranked.priorities[i] > 0;
        uint32_t base = ranked.preferred[i] ? FIRST_PRIORITY : 1;
        wanted[i].sets_priority = true;
        wanted[i].priority = electable ? base + rank_of(&ranked, i) : ranked.priorities[i];
        any = any || (electable && ranked.preferred[i]);
        note_change(diff, diff_size, ranked.hosts[i], ranked.priorities[i], wanted[i].priority);
    }
    if (!any) {
        return error_set(error, ERROR_NOT_FOUND,
                         "no member with a priority above 0 has the tag %s: %s", region_tag,
                         region);
    }
    const struct rewrite how = {.keeps_fence = true, .keeps_term = true, .members = wanted};
    return rewrite_state(&config, &how, ret, error);
}

/* --- who is left out, and comes back --- */

static bool is_one_of(const char *host, const struct mongo_hosts *hosts) {
    for (uint32_t i = 0; host != NULL && i < hosts->count; i++) {
        if (text_equal(host, hosts->hosts[i])) {
            return true;
        }
    }
    return false;
}

static void note(char *diff, size_t size, const char *host, const char *what) {
    size_t length = strlen(diff);
    (void)snprintf(diff + length, size - length, "%s%s %s", length == 0 ? "" : ", ", host, what);
}

/* Prefers a region in a state that was changed already; what that changes comes behind `diff`. */
static enum error_code prefer_in(const struct driver_blob *changed, const char *region_tag,
                                 const char *region, struct driver_blob *ret, char *diff,
                                 size_t diff_size, struct error *error) {
    char more[512];
    enum error_code code =
        mongo_config_prefer(changed, region_tag, region, ret, more, sizeof more, error);
    if (code == ERROR_OK && more[0] != '\0') {
        size_t length = strlen(diff);
        (void)snprintf(diff + length, diff_size - length, "%s%s", length == 0 ? "" : ", ", more);
    }
    return code;
}

enum error_code mongo_config_force(const struct driver_blob *state, const struct mongo_hosts *dead,
                                   const char *region_tag, const char *region,
                                   struct driver_blob *ret, char *diff, size_t diff_size,
                                   struct error *error) {
    bson_t config;
    bson_t members;
    bson_iter_t iter;
    struct member_rewrite wanted[CONFIG_MEMBER_MAX];
    struct driver_blob survivors;
    uint32_t place = 0;
    diff[0] = '\0';
    memset(wanted, 0, sizeof wanted);
    if (!config_view_state(state, &config) || !config_view_members(&config, &members) ||
        !bson_iter_init(&iter, &members)) {
        return config_is_none(error);
    }
    for (; bson_iter_next(&iter); place++) {
        bson_t member;
        if (place == CONFIG_MEMBER_MAX || !config_view_inner(&iter, &member)) {
            return config_is_none(error);
        }
        const char *host = config_text(&member, "host");
        wanted[place].left_out = is_one_of(host, dead);
        if (wanted[place].left_out) {
            note(diff, diff_size, host, "out");
        }
    }
    const struct rewrite how = {.keeps_fence = true, .keeps_term = true, .members = wanted};
    enum error_code code = rewrite_state(&config, &how, &survivors, error);
    return code != ERROR_OK
               ? code
               : prefer_in(&survivors, region_tag, region, ret, diff, diff_size, error);
}

enum error_code mongo_config_left_out(const struct driver_blob *state,
                                      const struct mongo_hosts *dead,
                                      struct left_out list[MONGO_MEMBER_MAX], uint32_t *ret_count,
                                      struct error *error) {
    bson_t config;
    bson_t members;
    bson_iter_t iter;
    *ret_count = 0;
    if (!config_view_state(state, &config) || !config_view_members(&config, &members) ||
        !bson_iter_init(&iter, &members)) {
        return config_is_none(error);
    }
    while (bson_iter_next(&iter)) {
        bson_t member;
        const char *host = config_view_inner(&iter, &member) ? config_text(&member, "host") : NULL;
        if (!is_one_of(host, dead)) {
            continue;
        }
        if (*ret_count == MONGO_MEMBER_MAX || member.len > LEFT_OUT_SIZE) {
            return error_set(error, ERROR_LIMIT, "%.128s has %u bytes in the config, at most %d",
                             host, member.len, LEFT_OUT_SIZE);
        }
        struct left_out *at = &list[(*ret_count)++];
        memset(at, 0, sizeof *at);
        (void)TEXT_COPY(at->host, host);
        at->size_bytes = member.len;
        memcpy(at->document, bson_get_data(&member), member.len);
    }
    return ERROR_OK;
}

/* False: no "votes/priority". */
static bool parse_was(const char *text, int32_t *ret_votes, double *ret_priority) {
    char *end = NULL;
    if (text == NULL || (text[0] != '0' && text[0] != '1') || text[1] != '/') {
        return false;
    }
    *ret_votes = text[0] - '0';
    *ret_priority = strtod(text + 2, &end);
    return end != text + 2 && *end == '\0' && *ret_priority >= 0 && *ret_priority <= 1000;
}

/* One that is in the config gets back what its tag says. True: it is there. */
static bool give_back(const bson_t *members, const char *host,
                      struct member_rewrite wanted[CONFIG_MEMBER_MAX], bool *ret_known) {
    bson_iter_t iter;
    bool found = false;
    if (!bson_iter_init(&iter, members)) {
        return false;
    }
    for (uint32_t place = 0; place < CONFIG_MEMBER_MAX && bson_iter_next(&iter); place++) {
        bson_t member;
        const char *there = config_view_inner(&iter, &member) ? config_text(&member, "host") : NULL;
        struct member_rewrite *change = &wanted[place];
        if (there != NULL && text_equal(there, host)) {
            found = true;
            change->sets_votes = true;
            change->sets_priority = true;
            change->sets_was = true; /* taken out */
            *ret_known =
                parse_was(config_tag(&member, MONGO_WAS_TAG), &change->votes, &change->priority);
        }
    }
    return found;
}

/* How one that is not in the config comes into it. */
static bool come_in(const struct left_out *left_out, bson_t *member, char was[32],
                    struct member_rewrite *ret) {
    if (!bson_init_static(member, left_out->document, left_out->size_bytes) ||
        !bson_validate(member, BSON_VALIDATE_NONE, NULL)) {
        return false;
    }
    int32_t votes = config_votes(member);
    double priority = config_priority(member);
    bool has_tag = config_tag(member, MONGO_WAS_TAG) != NULL; /* left out again before its vote */
    memset(ret, 0, sizeof *ret);
    if (!config_is_arbiter(member)) {
        (void)snprintf(was, 32, "%" PRId32 "/%g", votes, priority);
        ret->sets_votes = true;
        ret->sets_priority = true;
        ret->sets_was = (votes != 0 || priority > 0) && !has_tag;
        ret->was = was;
    }
    return true;
}

enum error_code mongo_config_readmit(const struct driver_blob *state, const char *host,
                                     const struct left_out *left_out, const char *region_tag,
                                     const char *region, struct driver_blob *ret, char *diff,
                                     size_t diff_size, struct error *error) {
    bson_t config;
    bson_t members;
    bson_t member;
    bson_t others = BSON_INITIALIZER;
    struct member_rewrite wanted[CONFIG_MEMBER_MAX];
    struct member_rewrite coming;
    struct driver_blob changed;
    char was[32];
    bool known = false;
    diff[0] = '\0';
    memset(wanted, 0, sizeof wanted);
    if (!config_view_state(state, &config) || !config_view_members(&config, &members)) {
        bson_destroy(&others);
        return config_is_none(error);
    }
    struct rewrite how = {.keeps_fence = true, .keeps_term = true, .members = wanted};
    bool comes_in = left_out->size_bytes > 0;
    bool is_in = give_back(&members, host, wanted, &known);
    if (is_in && comes_in) {
        bson_destroy(&others);
        return error_set(error, ERROR_CONFLICT,
                         "%.128s is in the set's config already: ask again in a moment", host);
    }
    if (is_in) {
        note(diff, diff_size, host, "has its vote back");
    } else if (comes_in && come_in(left_out, &member, was, &coming)) {
        known = BSON_APPEND_DOCUMENT(&others, "0", &member);
        how.others = &others;
        how.others_rewrite = &coming;
        note(diff, diff_size, host, config_is_arbiter(&member) ? "in" : "in without a vote");
    }
    enum error_code code = known
                               ? rewrite_state(&config, &how, &changed, error)
                               : error_set(error, ERROR_NOT_FOUND,
                                           "what %.128s had in the set isn't known any more", host);
    bson_destroy(&others);
    return code != ERROR_OK ? code
                            : prefer_in(&changed, region_tag, region, ret, diff, diff_size, error);
}
