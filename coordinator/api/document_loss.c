/* What a move may lose of the replica set's writes, before anybody says yes; and what history says
 * of it afterwards. */
#include "base/text.h"
#include "document_mongo.h"

#define LOSS_TEXT_SIZE 160
#define WRITES_TEXT_SIZE (TEXT_ABOUT_SIZE + 16)
#define OLD_MS 10000 /* with a primary that is well, knowledge of that age is told as such */

/* A bound is never rounded down: to what document_duration shows of it. */
static uint64_t rounded_up(uint64_t ms) {
    uint64_t unit = ms < 1000 ? 1 : ms < 10000 ? 100 : ms < UINT64_C(7200) * 1000 ? 1000 : 60000;
    return ms % unit == 0 ? ms : ms + unit - ms % unit;
}

/* ", ~50 writes"; "": nobody knows how many. */
static const char *writes_text(uint64_t writes, char text[WRITES_TEXT_SIZE]) {
    char about[TEXT_ABOUT_SIZE];
    if (writes == UINT64_MAX) {
        return "";
    }
    (void)snprintf(text, WRITES_TEXT_SIZE, ", %s write%s", text_about(writes, about),
                   writes == 1 ? "" : "s");
    return text;
}

/* "<=420ms, ~50 writes": a bound while the primary is there. "~94s (51s old), ~12,300 writes": it
 * is gone, and what it wrote after it was last asked, nobody knows. */
static void amount_text(const struct mongo_loss *loss, bool has_primary,
                        char text[LOSS_TEXT_SIZE]) {
    char lag[DURATION_TEXT_SIZE];
    char age[DURATION_TEXT_SIZE];
    char old[DURATION_TEXT_SIZE + 8] = "";
    char writes[WRITES_TEXT_SIZE];
    if (loss->lag_ms == UINT64_MAX || loss->age_ms == UINT64_MAX) {
        (void)text_copy(text, LOSS_TEXT_SIZE, "unknown");
        return;
    }
    if (!has_primary || loss->age_ms >= OLD_MS) {
        (void)snprintf(old, sizeof old, " (%s old)", document_duration(loss->age_ms, age));
    }
    if (loss->lag_ms == 0) {
        (void)snprintf(text, LOSS_TEXT_SIZE, "none known%s", old);
        return;
    }
    (void)snprintf(text, LOSS_TEXT_SIZE, "%s%s%s%s", has_primary ? "<=" : "~",
                   document_duration(rounded_up(loss->lag_ms), lag), old,
                   writes_text(loss->writes, writes));
}

static json_t *loss_text(enum mongo_case kind, const struct mongo_loss *loss, bool has_primary) {
    char amount[LOSS_TEXT_SIZE];
    amount_text(loss, has_primary, amount);
    switch (kind) {
    case MONGO_CASE_THERE:
        return document_text("none, the primary is there already");
    case MONGO_CASE_FORCED:
        return document_format("%s, acked w:majority or not", amount);
    default:
        return document_format("none acked w:majority; w:1 %s", amount);
    }
}

json_t *document_loss(const struct api_facts *facts, const struct move_preview *preview) {
    const struct spec_mongo *mongo = &facts->state->spec.services[preview->service].mongo;
    const struct mongo_view *view = &preview->mongo;
    struct mongo_verdict verdict;
    if (!mongo->used || preview->to == NONE_INDEX || !execution_kind_moves(preview->kind)) {
        return NULL;
    }
    mongo_judge(mongo, view, preview->to, &verdict);
    if (verdict.member == NONE_INDEX) {
        return NULL; /* nobody to promote: it says so itself */
    }
    struct mongo_loss loss = mongo_loss(view, verdict.member);
    json_t *object = json_object();
    document_set(object, "case", document_text(mongo_case_text(verdict.kind)));
    document_set(object, "acked", document_bool(verdict.kind == MONGO_CASE_FORCED));
    document_set(object, "lag_ms", document_known(loss.lag_ms));
    document_set(object, "age_ms", document_known(loss.age_ms));
    document_set(object, "writes", document_known(loss.writes));
    document_set(object, "text", loss_text(verdict.kind, &loss, view->primary != NONE_INDEX));
    return object;
}

/* Forced: a cell of a table. "none known" is no promise, as "0" is one. */
static json_t *lost_text(const struct move *move) {
    char lag[DURATION_TEXT_SIZE];
    char writes[WRITES_TEXT_SIZE];
    if (move->lost_ms == UINT64_MAX) {
        return document_text("?");
    }
    if (move->lost_ms == 0) {
        return document_text("none known");
    }
    return document_format("~%s%s", document_duration(rounded_up(move->lost_ms), lag),
                           writes_text(move->lost_writes, writes));
}

void document_fill_lost(const struct move *move, json_t *row) {
    bool forced = move->set_case == MONGO_CASE_FORCED;
    bool any = forced || move->set_case == MONGO_CASE_THERE ||
               move->set_case == MONGO_CASE_HANDOVER || move->set_case == MONGO_CASE_ELECTION;
    document_set(row, "case", any ? document_text(mongo_case_text(move->set_case)) : NULL);
    document_set(row, "lost", forced ? lost_text(move) : any ? document_text("0") : NULL);
    document_set(row, "lost_ms", any ? document_known(move->lost_ms) : NULL);
    document_set(row, "lost_writes", any ? document_known(move->lost_writes) : NULL);
}
