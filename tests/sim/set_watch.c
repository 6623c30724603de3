/* What members have and do, seen at the members themselves. */
#include "set_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define STATE_SECONDARY 2

/* --- configs --- */

/* The tag `noctua` of every member that carries it: the same everywhere, or "?". */
void set_read_fence(const bson_t *config, char fence[SET_FENCE_SIZE]) {
    bson_iter_t iter;
    bson_iter_t members;
    fence[0] = '\0';
    if (!bson_iter_init_find(&iter, config, "members") || !bson_iter_recurse(&iter, &members)) {
        return;
    }
    uint32_t without = 0;
    while (bson_iter_next(&members)) {
        bson_iter_t member;
        bson_iter_t tag;
        const char *text = "";
        if (bson_iter_recurse(&members, &member) &&
            bson_iter_find_descendant(&member, "tags.noctua", &tag)) {
            text = bson_iter_utf8(&tag, NULL);
        }
        without += text[0] == '\0';
        if (text[0] != '\0' && fence[0] != '\0' && !text_equal(fence, text)) {
            (void)snprintf(fence, SET_FENCE_SIZE, "?");
            return;
        }
        if (text[0] != '\0') {
            (void)snprintf(fence, SET_FENCE_SIZE, "%s", text);
        }
    }
    if (fence[0] != '\0' && without > 0) {
        (void)snprintf(fence, SET_FENCE_SIZE, "?");
    }
}

/* Order of two configs as the servers have it. */
static bool is_newer(const struct set_member *a, int64_t version, int64_t term) {
    bool terms = a->config_term != -1 && term != -1 && a->config_term != term; /* -1: forced */
    return terms ? a->config_term > term : a->config_version > version;
}

static int64_t number_of(const bson_t *document, const char *key) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, document, key) ? bson_iter_as_int64(&iter) : -1;
}

/* A majority of its voters has it, and had it before any newer term. Where configs are ordered by
 * (term, version), who took it later may have voted for a primary without it, whose config wins
 * with its term. */
static bool is_committed(const struct sim_set *set, const bson_t *config) {
    uint32_t voters = set_voters(set, config);
    uint32_t count = 0;
    uint32_t have = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct set_member *member = &set->members[i];
        bool votes = (voters >> i & 1) != 0;
        count += votes;
        have += votes && member->config != NULL && member->in_its_term &&
                bson_equal(config, member->config);
    }
    return have * 2 > count;
}

static bool is_new(const struct sim_set *set, uint32_t place) {
    const struct set_member *member = &set->members[place];
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct set_member *other = &set->members[i];
        if (i != place && other->config_version == member->config_version &&
            other->config_term == member->config_term) {
            return false;
        }
    }
    return true;
}

static void commit(struct sim_set *set, const struct set_member *member) {
    char fence[SET_FENCE_SIZE];
    set_read_fence(member->config, fence);
    set->changed_us = set_now_us(set);
    sim_say(set->sim, "set", "config %lld of term %lld is on a majority: %s",
            (long long)member->config_version, (long long)member->config_term,
            fence[0] == '\0' ? "no fence" : fence);
    bool edited = member->config_version == set->edited_version &&
                  text_equal(fence, set->edited_fence); /* ours have another */
    set->touched_us = edited ? set_now_us(set) : set->touched_us;
    set_see_voters(set, set->committed, member->config);
    if (!text_equal(fence, set->fence)) {
        judge_set_fence(set->sim, set->fence, fence, edited, set->forced_wrong);
        (void)TEXT_COPY(set->fence, fence);
    }
    if (set->committed != NULL) {
        bson_destroy(set->committed);
    }
    set->committed = bson_copy(member->config);
}

static void see_config(struct sim_set *set, uint32_t place, const struct mongo_view *view) {
    struct set_member *member = &set->members[place];
    char fence[SET_FENCE_SIZE];
    if (view->config_version == member->config_version &&
        view->config_term == member->config_term) {
        return;
    }
    bson_t *before = member->config;
    member->config = mongo_set_config(set->core, place);
    member->voters = set_voters(set, member->config);
    member->config_version = view->config_version;
    member->config_term = view->config_term;
    member->in_its_term = view->config_term < 0 || view->term <= view->config_term;
    set_read_fence(member->config, fence);
    judge_set_accepted(set->sim, fence);
    uint32_t forced = set->forced_count;
    if (is_new(set, place) && before != NULL) {
        set_see_new_config(set, place, before);
    }
    set_see_aware(set, place);
    if (before != NULL) {
        bson_destroy(before);
    }
    if (set->forced_count != forced) {
        set_at_forced(set, place);
    } else if (view->writable) {
        set_at_config(set, place);
    }
    bool newer = set->committed == NULL || is_newer(member, number_of(set->committed, "version"),
                                                    number_of(set->committed, "term"));
    if (newer && is_committed(set, member->config)) {
        commit(set, member);
    }
}

/* --- primaries and what they write --- */

static void see_primary(struct sim_set *set, uint32_t place, const struct mongo_view *view) {
    const struct set_member *member = &set->members[place];
    uint64_t now_us = set_now_us(set);
    if (member->unaware) {
        return; /* of a set that a forced config has put an end to */
    }
    if (view->term > set->primary_term) {
        set->changed_us = now_us;
        sim_say(set->sim, "set", "%s in %s is primary in term %lld", member->host,
                set->regions[member->region], (long long)view->term);
        set->primary_term = view->term;
        if (view->term > set->stepped_term && set->faults_on) {
            sim_count(set->sim, SIM_SET_ELECTED);
        }
    }
    if (view->term == set->primary_term) {
        set->head = view->applied < set->head ? view->applied : set->head;
        while (set->head < view->applied && set->head + 1 < SET_ENTRY_MAX) {
            set->wrote_us[++set->head] = now_us;
        }
    }
    if (view->committed_term == view->term) {
        set->members[place].led_us = now_us;
    }
    if (view->committed_term == view->term && set_is_primary(set, place)) {
        set->written_us[member->region] = now_us;
    }
}

void set_watch(struct sim_set *set) {
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct mongo_view view;
        set_view_member(set, i, &view);
        see_config(set, i, &view);
        set->members[i].applied = view.applied;
        if (view.up && view.state == STATE_SECONDARY) {
            set->members[i].secondary_us = set_now_us(set);
        }
        if (view.up && view.writable) {
            see_primary(set, i, &view);
        }
    }
}

/* --- lag --- */

static uint64_t lag_us(const struct sim_set *set, const struct set_member *member) {
    uint64_t head_us = set->wrote_us[set->head];
    uint64_t at_us = member->applied < set->head ? set->wrote_us[member->applied] : head_us;
    return head_us > at_us ? head_us - at_us : 0;
}

void set_look(struct sim_set *set) {
    struct set_sample *sample = &set->samples[set->sample_count++ % SET_SAMPLE_MAX];
    sample->at_us = set_now_us(set);
    for (uint32_t i = 0; i < set->member_count; i++) {
        sample->lag_us[i] = lag_us(set, &set->members[i]);
    }
    set_look_for_majority(set);
}

uint64_t set_least_lag_us(const struct sim_set *set, const char *host, uint64_t since_us) {
    uint32_t place = 0;
    while (place < set->member_count && !text_equal(set->members[place].host, host)) {
        place++;
    }
    if (place == set->member_count) {
        return UINT64_MAX;
    }
    uint64_t least_us = lag_us(set, &set->members[place]);
    for (uint64_t i = 0; i < set->sample_count && i < SET_SAMPLE_MAX; i++) {
        const struct set_sample *sample =
            &set->samples[(set->sample_count - 1 - i) % SET_SAMPLE_MAX];
        if (sample->at_us < since_us) {
            break;
        }
        least_us = sample->lag_us[place] < least_us ? sample->lag_us[place] : least_us;
    }
    return least_us;
}

/* --- what members have said --- */

static bool is_good(const bson_t *document) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, document, "ok") && bson_iter_as_double(&iter) == 1 &&
           !bson_has_field(document, "writeErrors") &&
           !bson_has_field(document, "writeConcernError");
}

/* The eid of a move's write that is written or looked for by this question, and is there; NULL:
 * none is. */
static const char *proved_eid(const struct asked *asked, const bson_t *document,
                              bool *ret_written) {
    bson_iter_t iter;
    bson_iter_t at;
    bool writes = bson_iter_init(&iter, asked->command) &&
                  bson_iter_find_descendant(&iter, "updates.0.u.$set.eid", &at);
    bool reads = !writes && bson_has_field(asked->command, "readConcern") &&
                 bson_iter_init(&iter, document) &&
                 bson_iter_find_descendant(&iter, "cursor.firstBatch.0.eid", &at);
    *ret_written = writes;
    return (writes || reads) && is_good(document) ? bson_iter_utf8(&at, NULL) : NULL;
}

void set_note_answer(struct sim_set *set, struct asked *asked, const bson_t *document) {
    bool written;
    if ((asked->node != NULL || asked->stray) && proved_eid(asked, document, &written) != NULL &&
        written) {
        asked->loses_answer |= set_at_write(set, asked->member);
    }
}

void set_note_proof(struct sim_set *set, const struct asked *asked) {
    bool written;
    const char *eid =
        asked->outcome == SET_ANSWERED ? proved_eid(asked, asked->answer, &written) : NULL;
    if (eid != NULL) {
        struct set_acknowledged *kept = &set->acknowledged[set->acknowledged_count++ % SET_EID_MAX];
        (void)snprintf(kept->eid, sizeof kept->eid, "%s", eid);
        kept->member = asked->member;
        kept->written = written;
    }
}

bool set_has_acknowledged(const struct sim_set *set, uint32_t region, const char *eid,
                          uint64_t since_us) {
    for (uint32_t i = 0; i < SET_EID_MAX; i++) {
        const struct set_acknowledged *kept = &set->acknowledged[i];
        const struct set_member *member = &set->members[kept->member];
        if (text_equal(kept->eid, eid) && member->region == region &&
            (kept->written || member->led_us >= since_us)) {
            return true;
        }
    }
    return false;
}

bool set_has_written_since(const struct sim_set *set, uint32_t region, uint64_t since_us) {
    return set->written_us[region] >= since_us;
}

uint32_t set_primary_region(const struct sim_set *set) {
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (set_is_primary(set, i)) {
            return set->members[i].region;
        }
    }
    return SET_NONE;
}

bool set_was_secondary(const struct sim_set *set, const char *host, uint64_t since_us) {
    uint32_t place = set_place(set, host);
    uint64_t was_us = place == SET_NONE ? 0 : set->members[place].secondary_us;
    return was_us > 0 && was_us >= since_us;
}

const char *set_missing(const struct sim_set *set) {
    char id[24];
    static char text[128];
    uint32_t named = set_named(set, set->committed);
    for (uint32_t n = 0; n < set->write_count; n++) {
        bool wanted = set->writes[n].acknowledged && !set->writes[n].lost;
        (void)snprintf(id, sizeof id, "%u", n);
        for (uint32_t i = 0; i < set->member_count && wanted; i++) {
            if ((named >> i & 1) != 0 && !mongo_set_holds(set->core, i, "app", "orders", id)) {
                (void)snprintf(text, sizeof text, "%s hasn't got write %u, which was acknowledged",
                               set->members[i].host, n);
                return text;
            }
        }
    }
    return NULL;
}
