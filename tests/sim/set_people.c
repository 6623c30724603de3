/* The service's own client, and those who change the set by hand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "set_private.h"

#define WRITE_LEAST_MS 200
#define WRITE_MOST_MS 1500

/* --- the client: inserts numbered documents, w:majority, to whoever says that it takes writes ---
 */

static bool is_good(const bson_t *document) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, document, "ok") && bson_iter_as_double(&iter) == 1 &&
           !bson_has_field(document, "writeErrors") &&
           !bson_has_field(document, "writeConcernError");
}

/* Two at once: one of them has slept or is cut off, and lies. */
static uint32_t find_writable(struct sim_set *set) {
    uint32_t found = SET_NONE;
    uint64_t count = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct mongo_view view;
        set_view_member(set, i, &view);
        bool there = judge_is_up(set->sim, set->members[i].region) && !set->members[i].cut_away;
        if (view.up && view.writable && there && chance_below(&set->chance, ++count) == 0) {
            found = i;
        }
    }
    return found;
}

static void write_one(struct sim_set *set, uint32_t member) {
    char id[24];
    (void)snprintf(id, sizeof id, "%u", set->write_count);
    bson_t *command = BCON_NEW("insert", BCON_UTF8("orders"), "documents", "[", "{", "_id",
                               BCON_UTF8(id), "}", "]", "writeConcern", "{", "w",
                               BCON_UTF8("majority"), "wtimeout", BCON_INT32(5000), "}");
    uint32_t number = set->write_count++;
    struct asked *asked = set_command(set, member, "app", command);
    if (asked != NULL) {
        asked->writes = true;
        asked->number = number;
    }
}

static void on_write(void *context) {
    struct sim_set *set = context;
    uint32_t member = find_writable(set);
    if (member != SET_NONE && set->write_count < SET_WRITE_MAX) {
        write_one(set, member);
    }
    sim_at(set->sim,
           set_now_us(set) + chance_between(&set->chance, WRITE_LEAST_MS, WRITE_MOST_MS) * SIM_MS,
           on_write, set);
}

void set_writer_begin(struct sim_set *set) {
    sim_at(set->sim, set_now_us(set), on_write, set);
}

void set_on_written(struct sim_set *set, const struct asked *asked) {
    struct mongo_view view;
    if (!is_good(asked->answer)) {
        return;
    }
    struct set_write *write = &set->writes[asked->number];
    const struct set_member *member = &set->members[asked->member];
    write->acknowledged = true;
    if (member->unaware) { /* a forced config has left it out */
        if (!member->mistaken) {
            judge_set_broken(set->sim, "one region acknowledges majority writes (2)", member->host);
        }
        write->lost = true;
        sim_count(set->sim, SIM_WRITE_LOST);
        return;
    }
    set_view_member(set, asked->member, &view);
    /* A write that began after a majority had acknowledged one of a later term can't get one. */
    if (asked->sent_term < set->acked_term && asked->sent_us > set->acked_us &&
        view.term == asked->sent_term) {
        judge_set_broken(set->sim, "one region acknowledges majority writes (2)",
                         set->members[asked->member].host);
    }
    if (asked->sent_term > set->acked_term) {
        set->acked_term = asked->sent_term;
        set->acked_us = set_now_us(set);
    }
}

/* --- by hand --- */

uint64_t set_touched_us(const struct sim_set *set) {
    return set->touched_us;
}

void set_step_up(struct sim_set *set, uint32_t member) {
    struct mongo_view view;
    set_view_member(set, member, &view);
    set->stepped_term = view.term + 1;
    (void)set_command(set, member, "admin", BCON_NEW("replSetStepUp", BCON_INT32(1)));
    sim_say(set->sim, "somebody", "steps %s up", set->members[member].host);
}

uint32_t set_any_of_region(struct sim_set *set, uint32_t region) {
    uint32_t found = SET_NONE;
    uint64_t count = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (set->members[i].region == region && chance_below(&set->chance, ++count) == 0) {
            found = i;
        }
    }
    return found;
}

static void append_members(const struct sim_set *set, const bson_t *config, uint32_t region,
                           bson_t *to) {
    bson_iter_t iter;
    bson_iter_t members;
    bson_t list;
    BSON_APPEND_ARRAY_BEGIN(to, "members", &list);
    if (bson_iter_init_find(&iter, config, "members") && bson_iter_recurse(&iter, &members)) {
        while (bson_iter_next(&members)) {
            bson_iter_t fields;
            bson_t member;
            (void)bson_iter_recurse(&members, &fields);
            (void)bson_iter_find(&fields, "host");
            uint32_t place = set_place(set, bson_iter_utf8(&fields, NULL));
            bool chosen = place != SET_NONE && set->members[place].region == region;
            BSON_APPEND_DOCUMENT_BEGIN(&list, bson_iter_key(&members), &member);
            (void)bson_iter_recurse(&members, &fields);
            while (bson_iter_next(&fields)) {
                bool priority = text_equal(bson_iter_key(&fields), "priority");
                if (priority && bson_iter_as_double(&fields) > 0) {
                    BSON_APPEND_DOUBLE(&member, "priority", chosen ? 5 : 1);
                } else {
                    (void)bson_append_iter(&member, NULL, -1, &fields);
                }
            }
            bson_append_document_end(&list, &member);
        }
    }
    bson_append_array_end(to, &list);
}

/* As a shell does it: the config that the primary has, with other priorities. */
static void prefer_by_hand(struct sim_set *set, uint32_t member, uint32_t region) {
    bson_iter_t iter;
    bson_t *command = bson_new();
    bson_t to;
    bson_t *config = mongo_set_config(set->core, member);
    set->edited_version = set->members[member].config_version + 1;
    set->touched_us = set_now_us(set);
    BSON_APPEND_DOCUMENT_BEGIN(command, "replSetReconfig", &to);
    (void)bson_iter_init(&iter, config);
    while (bson_iter_next(&iter)) {
        if (text_equal(bson_iter_key(&iter), "version")) {
            BSON_APPEND_INT32(&to, "version", (int32_t)set->edited_version);
        } else if (text_equal(bson_iter_key(&iter), "members")) {
            append_members(set, config, region, &to);
        } else if (!text_equal(bson_iter_key(&iter), "term")) {
            (void)bson_append_iter(&to, NULL, -1, &iter);
        }
    }
    bson_append_document_end(command, &to);
    set_read_fence(config, set->edited_fence);
    bson_destroy(config);
    sim_say(set->sim, "somebody", "prefers %s in the set's config, as version %lld",
            set->regions[region], (long long)set->edited_version);
    (void)set_command(set, member, "admin", command);
}

void set_reconfigure(struct sim_set *set) {
    uint32_t member = find_writable(set);
    if (member != SET_NONE) {
        prefer_by_hand(set, member, (uint32_t)chance_below(&set->chance, 2));
    }
}

bool set_is_split(const struct sim_set *set) {
    for (uint32_t i = 0; i < set->member_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct set_member *a = &set->members[i];
            const struct set_member *b = &set->members[j];
            if (a->config != NULL && b->config != NULL && a->config_version == b->config_version &&
                a->config_term == b->config_term && !bson_equal(a->config, b->config)) {
                return true;
            }
        }
    }
    return false;
}

/* The primary goes there at once, and stays. */
void set_lead_to(struct sim_set *set, uint32_t region) {
    uint32_t primary = find_writable(set);
    uint32_t target = set_any_of_region(set, region);
    if (primary != SET_NONE) {
        prefer_by_hand(set, primary, region);
    }
    if (target != SET_NONE && set->members[target].region != set_primary_region(set)) {
        set_step_up(set, target);
    }
}
