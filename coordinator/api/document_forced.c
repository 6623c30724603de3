#include "document_forced.h"

#include <inttypes.h>

#include "base/text.h"

static bool has(uint32_t bits, uint32_t place) {
    return (bits >> place & 1) != 0;
}

void document_loss_line(const struct mongo_view *view, const struct mongo_verdict *verdict,
                        struct buffer *line) {
    const struct mongo_facts *facts = &view->facts;
    char lag[DURATION_TEXT_SIZE];
    char ago[DURATION_TEXT_SIZE];
    char about[TEXT_ABOUT_SIZE];
    if (verdict->kind != MONGO_CASE_FORCED) {
        buffer_append_text(line, "May be lost: nothing that a majority acknowledged");
        return; /* only who has all of that is elected */
    }
    if (verdict->member == NONE_INDEX || verdict->lag_ms == UINT64_MAX) {
        buffer_append_text(line, "May be lost: nobody knows how much");
    } else if (verdict->lag_ms == 0) {
        buffer_append_text(line, "May be lost: no write that is known of");
    } else {
        struct mongo_loss loss = mongo_loss(view, verdict->member);
        buffer_append_format(line, "May be lost: the last %s of writes that are known of",
                             document_duration(verdict->lag_ms, lag));
        if (loss.writes != UINT64_MAX) {
            buffer_append_format(line, " (%s)", text_about(loss.writes, about));
        }
    }
    if (view->primary != NONE_INDEX) {
        buffer_append_format(line, "; and what %s takes until then",
                             facts->members[view->primary].host);
    } else if (facts->primary_age_ms == MONGO_AGE_NEVER) {
        buffer_append_text(line, "; no primary was ever seen");
    } else {
        buffer_append_format(line, "; and what was written since a primary was last seen, %s ago",
                             document_duration(facts->primary_age_ms, ago));
    }
}

/* Whether all members of the place's region are among them. */
static bool is_whole_region(const struct mongo_facts *facts, uint32_t bits, uint32_t place) {
    uint32_t region = facts->members[place].region;
    bool whole = region != NONE_INDEX;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        whole = whole && (facts->members[i].region != region || has(bits, i));
    }
    return whole;
}

static bool is_first_of_region(const struct mongo_facts *facts, uint32_t place) {
    for (uint32_t i = 0; i < place; i++) {
        if (facts->members[i].region == facts->members[place].region) {
            return false;
        }
    }
    return true;
}

uint32_t document_members_by_region(const struct state *state, const struct mongo_facts *facts,
                                    uint32_t bits, const char *separator, struct buffer *text) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        bool whole = is_whole_region(facts, bits, i);
        if (!has(bits, i) || (whole && !is_first_of_region(facts, i))) {
            continue;
        }
        buffer_append_format(text, "%s%s", count > 0 ? separator : "",
                             whole ? document_region_name(state, facts->members[i].region)
                                   : facts->members[i].host);
        count++;
    }
    return count;
}

static void append_hosts(const struct mongo_facts *facts, uint32_t bits, struct buffer *text) {
    bool any = false;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        if (has(bits, i)) {
            buffer_append_format(text, "%s%s", any ? ", " : "", facts->members[i].host);
            any = true;
        }
    }
}

/* Ends a sentence: appends it, and empties the buffer for the next one. */
static void end_sentence(json_t *sentences, struct buffer *text) {
    buffer_append_text(text, ".");
    document_append(sentences, document_line(text));
    buffer_clear(text);
}

static json_t *sentences_of(const struct api_facts *facts, const struct move_preview *preview,
                            const struct mongo_verdict *verdict) {
    const struct mongo_view *view = &preview->mongo;
    const struct mongo_facts *set = &view->facts;
    const char *service = facts->state->services[preview->service].name;
    json_t *sentences = json_array();
    struct buffer text;
    buffer_init(&text, 0);
    buffer_append_format(&text, "%s goes on without ", set->set_name);
    append_hosts(set, view->dead, &text);
    buffer_append_format(&text, ": %" PRIu32 " voter%s left", verdict->voters,
                         verdict->voters == 1 ? " is" : "s are");
    end_sentence(sentences, &text);
    if (preview->pinned != NONE_INDEX) {
        buffer_append_format(&text,
                             "%s is asked, once and never again: if nobody sees what came of it, "
                             "a person must look",
                             set->members[preview->pinned].host);
        end_sentence(sentences, &text);
    }
    bool one = document_members_by_region(facts->state, set, view->dead, ", ", &text) == 1;
    buffer_append_format(&text,
                         " %s declared dead by you: if %s still takes writes, there will be two "
                         "primaries of %s, and what it took since is lost",
                         one ? "is" : "are", one ? "it" : "any of them", set->set_name);
    end_sentence(sentences, &text);
    buffer_append_format(&text,
                         "They are out of the set then. Each comes back by name, when it runs: "
                         "noctuactl mongo readmit %s HOST:PORT",
                         service);
    end_sentence(sentences, &text);
    buffer_finish(&text);
    return sentences;
}

json_t *document_forced(const struct api_facts *facts, const struct move_preview *preview) {
    const struct state *state = facts->state;
    const struct mongo_view *view = &preview->mongo;
    struct mongo_verdict verdict;
    if (view->dead == 0) {
        return json_null();
    }
    mongo_judge(&state->spec.services[preview->service].mongo, view, preview->to, &verdict);
    bool primary_known = view->facts.primary_age_ms != MONGO_AGE_NEVER;
    json_t *left_out = json_array();
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        if (has(view->dead, i)) {
            json_t *row = json_object();
            document_set(row, "host", document_text(view->facts.members[i].host));
            document_set(row, "region", document_region(state, view->facts.members[i].region));
            document_append(left_out, row);
        }
    }
    json_t *object = json_object();
    document_set(object, "asked",
                 preview->pinned == NONE_INDEX
                     ? NULL
                     : document_text(view->facts.members[preview->pinned].host));
    document_set(object, "left_out", left_out);
    document_set(object, "lag_ms", document_known(verdict.lag_ms));
    document_set(object, "primary_age_ms",
                 primary_known ? document_number(view->facts.primary_age_ms) : NULL);
    document_set(object, "sentences", sentences_of(facts, preview, &verdict));
    return object;
}
