#include "views.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "render.h"

/* "2026-11-23T03:07:11.204Z" -> "2026-11-23 03:07" */
static const char *minute_of(const char *at, char cell[CELL_SIZE]) {
    (void)snprintf(cell, CELL_SIZE, "%.10s %.5s", at, strlen(at) > 11 ? at + 11 : "");
    return at[0] == '\0' ? "-" : cell;
}

static const char *time_of_day(const char *at) {
    return strlen(at) > 11 ? at + 11 : at;
}

static void join(const json_t *array, const char *separator, char *to, size_t size) {
    size_t used = 0;
    to[0] = '\0';
    for (size_t i = 0; i < json_array_size(array) && used < size; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        int more = snprintf(to + used, size - used, "%s%s", i == 0 ? "" : separator,
                            text == NULL ? "?" : text);
        used += more < 0 ? 0 : (size_t)more;
    }
}

static void print_list(const json_t *array, const char *head, FILE *out) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        if (json_is_string(item)) {
            (void)fprintf(out, "%s%s\n", i == 0 ? head : "  ", json_string_value(item));
        }
    }
}

void view_status(const json_t *document, FILE *out) {
    const json_t *nodes = json_object_get(document, "nodes");
    const char *leader = field_text(document, "leader");
    (void)fprintf(out, "%s  leader %s  nodes %" PRIu64 "/%" PRIu64 "  automation %s",
                  field_text(document, "cluster"), leader[0] == '\0' ? "none" : leader,
                  field_u64(nodes, "seen"), field_u64(nodes, "total"),
                  field_text(document, "automation"));
    const json_t *spare = json_object_get(document, "spare_observers");
    if (json_is_integer(spare) && json_integer_value(spare) < 0) {
        (void)fprintf(out, "  observers TOO FEW");
    } else if (json_is_integer(spare)) {
        (void)fprintf(out, "  spare observers %" JSON_INTEGER_FORMAT, json_integer_value(spare));
    }
    char cell[CELL_SIZE];
    if (field_true(document, "stale")) {
        (void)fprintf(out, "  STALE: as of %s ago",
                      cell_duration(json_object_get(document, "age_ms"), cell));
    }
    (void)fputc('\n', out);
    struct table table;
    table_init(&table, 8);
    table_add(&table, (const char *const[]){"SERVICE", "ACTIVE", "EPOCH", "MODE", "STATE", "TARGET",
                                            "LAG", "IF ACTIVE DIED NOW"});
    const json_t *services = json_object_get(document, "services");
    for (size_t i = 0; i < json_array_size(services); i++) {
        const json_t *service = json_array_get(services, i);
        char epoch[CELL_SIZE];
        char lag[CELL_SIZE];
        table_add(&table,
                  (const char *const[]){field_text(service, "name"), field_text(service, "active"),
                                        cell_u64(field_u64(service, "epoch"), epoch),
                                        field_text(service, "mode"), field_text(service, "state"),
                                        field_text(service, "target"),
                                        cell_duration(json_object_get(service, "lag_ms"), lag),
                                        field_text(service, "if_active_died")});
    }
    table_print(&table, out);
    table_finish(&table);
    if (json_array_size(services) == 0) {
        (void)fprintf(out, "No service yet. Next: noctuactl spec apply FILE\n");
    }
}

static void print_steps(const json_t *execution, FILE *out) {
    struct table table;
    const json_t *steps = json_object_get(execution, "steps");
    table_init(&table, 5);
    table_add(&table, (const char *const[]){"STEP", "STATE", "TOOK", "TRIES", "TARGET"});
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        char took[CELL_SIZE];
        char tries[CELL_SIZE];
        char words[512];
        const char *trouble = field_text(step, "trouble");
        const char *detail = trouble[0] != '\0' ? trouble : field_text(step, "detail");
        (void)snprintf(words, sizeof words, "%s%s%s", field_text(step, "target"),
                       detail[0] == '\0' ? "" : "  ", detail);
        table_add(&table,
                  (const char *const[]){field_text(step, "name"), field_text(step, "phase"),
                                        cell_duration(json_object_get(step, "took_ms"), took),
                                        cell_u64(field_u64(step, "attempts"), tries), words});
    }
    table_print(&table, out);
    table_finish(&table);
}

static void print_execution(const json_t *execution, FILE *out) {
    if (!json_is_object(execution)) {
        return;
    }
    const char *phase = field_text(execution, "phase");
    bool ended = text_equal(phase, "ended");
    (void)fprintf(out, "%s %s: %s -> %s  epoch %" PRIu64 "  by %s  %s\n", ended ? "Last" : "Open",
                  field_text(execution, "kind"), field_text(execution, "from"),
                  field_text(execution, "to"), field_u64(execution, "epoch"),
                  field_text(execution, "actor"), ended ? field_text(execution, "result") : phase);
    char dead[1024];
    join(json_object_get(execution, "declared_dead"), ", ", dead, sizeof dead);
    if (dead[0] != '\0') {
        (void)fprintf(out, "Declared dead: %s\n", dead);
    }
    print_steps(execution, out);
}

/* "SECONDARY", "PRIMARY, writes", "SECONDARY, hidden" */
static void member_state(const json_t *member, char text[CELL_SIZE]) {
    const char *more = field_true(member, "writable")     ? ", writes"
                       : field_true(member, "hidden")     ? ", hidden"
                       : field_u64(member, "delay_s") > 0 ? ", delayed"
                                                          : "";
    (void)snprintf(text, CELL_SIZE, "%s%s", field_text(member, "state"), more);
}

/* What a rollback took lies on that member's disk: told for as long as somebody may look for it. */
#define ROLLBACK_TOLD_MS (UINT64_C(24) * 3600 * 1000)

/* "rolled back 12m ago: ..."; "": it didn't, or long ago */
static void rollback_words(const json_t *member, char *text, size_t size) {
    char age[CELL_SIZE];
    const json_t *rolled_back = json_object_get(member, "rollback_age_ms");
    text[0] = '\0';
    if (field_true(member, "silent_in_rollback")) {
        (void)snprintf(text, size, "stopped answering while rolling back");
    } else if (json_is_integer(rolled_back) &&
               field_u64(member, "rollback_age_ms") <= ROLLBACK_TOLD_MS &&
               !text_equal(field_text(member, "state"), "ROLLBACK")) {
        (void)snprintf(text, size, "rolled back %s ago: see rollback/ below its data directory",
                       cell_duration(rolled_back, age));
    }
}

/* All that is wrong with it, and at the end what can be done. */
static void member_trouble(const json_t *member, const char *service, char *text, size_t size) {
    char rollback[128];
    const char *trouble = field_text(member, "trouble");
    rollback_words(member, rollback, sizeof rollback);
    bool both = trouble[0] != '\0' && rollback[0] != '\0';
    int length = snprintf(text, size, "%s%s%s", trouble, both ? "; " : "", rollback);
    if (length < 0 || (size_t)length >= size || !field_true(member, "kept_out")) {
        return;
    }
    (void)snprintf(text + length, size - (size_t)length, "%sno vote since a forced reconfiguration",
                   length > 0 ? "; " : "");
    if (trouble[0] == '\0') { /* else that comes first */
        size_t used = strlen(text);
        (void)snprintf(text + used, size - used, ": noctuactl mongo readmit %s %s", service,
                       field_text(member, "host"));
    }
}

static void print_set(const json_t *set, const char *service, FILE *out) {
    if (!json_is_object(set)) {
        return;
    }
    char age[CELL_SIZE];
    char rate[CELL_SIZE];
    const json_t *members = json_object_get(set, "members");
    (void)fprintf(out, "Replica set %s: ", field_text(set, "name"));
    if (!field_true(set, "read")) {
        (void)fprintf(out, "its config was never read\n");
    } else if (field_is_null(set, "primary")) {
        (void)fprintf(out, "no primary takes writes");
        if (json_is_false(json_object_get(set, "majority"))) {
            (void)fprintf(out, ": %" PRIu64 " of %" PRIu64 " voters answer, no majority",
                          field_u64(set, "voters_answering"), field_u64(set, "voters"));
        }
        (void)fputc('\n', out);
    } else {
        (void)fprintf(out, "%s takes writes%s%s", field_text(set, "primary"),
                      field_is_null(set, "primary_region") ? "" : ", in ",
                      field_text(set, "primary_region"));
        if (!field_is_null(set, "write_age_ms")) {
            (void)fprintf(out, "; w:majority write %s ago",
                          cell_duration(json_object_get(set, "write_age_ms"), age));
        }
        if (!field_is_null(set, "writes_per_s")) {
            (void)fprintf(out, "; %s writes/s",
                          cell_about(json_object_get(set, "writes_per_s"), rate));
        }
        (void)fputc('\n', out);
    }
    struct table table;
    table_init(&table, 8);
    table_add(&table, (const char *const[]){"MEMBER", "REGION", "STATE", "LAG", "AGE", "PRIORITY",
                                            "VOTES", "TROUBLE"});
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *member = json_array_get(members, i);
        char state[CELL_SIZE];
        char lag[CELL_SIZE];
        char priority[CELL_SIZE];
        char trouble[512];
        member_state(member, state);
        member_trouble(member, service, trouble, sizeof trouble);
        (void)snprintf(priority, sizeof priority, "%g",
                       json_number_value(json_object_get(member, "priority")));
        table_add(&table, (const char *const[]){
                              field_text(member, "host"), field_text(member, "region"), state,
                              cell_duration(json_object_get(member, "lag_ms"), lag),
                              cell_duration(json_object_get(member, "age_ms"), age), priority,
                              field_true(member, "votes") ? "1" : "0", trouble});
    }
    table_print(&table, out);
    table_finish(&table);
    const json_t *left_out = json_object_get(set, "left_out");
    for (size_t i = 0; i < json_array_size(left_out); i++) {
        (void)fprintf(out,
                      "%s is out of the set since a forced reconfiguration: when it runs, "
                      "noctuactl mongo readmit %s %s\n",
                      json_string_value(json_array_get(left_out, i)), service,
                      json_string_value(json_array_get(left_out, i)));
    }
    const json_t *imposing = json_object_get(set, "imposing");
    for (size_t i = 0; i < json_array_size(imposing); i++) {
        (void)fprintf(
            out,
            "%s may have a config of a newer term than the set, which would win: start it "
            "only with an empty data directory\n",
            json_string_value(json_array_get(imposing, i)));
    }
}

void view_service(const json_t *document, FILE *out) {
    const json_t *nodes = json_object_get(document, "nodes");
    const json_t *regions = json_object_get(document, "regions");
    size_t node_count = json_array_size(nodes);
    if (node_count + 3 > TABLE_COLUMN_MAX) {
        node_count = TABLE_COLUMN_MAX - 3;
    }
    struct table table;
    char heads[TABLE_COLUMN_MAX][CELL_SIZE];
    const char *row[TABLE_COLUMN_MAX] = {"REGION", "VERDICT"};
    table_init(&table, (uint32_t)node_count + 3);
    for (size_t n = 0; n < node_count; n++) {
        const json_t *node = json_array_get(nodes, n);
        (void)snprintf(heads[n], CELL_SIZE, "%s/%s", field_text(node, "name"),
                       field_text(node, "region"));
        row[2 + n] = heads[n];
    }
    row[2 + node_count] = "WORST CHECK";
    table_add(&table, row);
    for (size_t r = 0; r < json_array_size(regions); r++) {
        const json_t *region = json_array_get(regions, r);
        const json_t *opinions = json_object_get(region, "opinions");
        const json_t *worst = json_object_get(region, "worst");
        char active[CELL_SIZE];
        char check[256];
        char failing[CELL_SIZE];
        (void)snprintf(active, sizeof active, "%s%s", field_text(region, "name"),
                       field_true(region, "active") ? " *" : "");
        row[0] = active;
        row[1] = field_text(region, "verdict");
        for (size_t n = 0; n < node_count; n++) {
            row[2 + n] = json_string_value(json_array_get(opinions, n));
        }
        check[0] = '\0';
        if (json_is_object(worst)) {
            (void)snprintf(check, sizeof check, "%s %s %s", field_text(worst, "check"),
                           field_text(worst, "code"),
                           cell_duration(json_object_get(worst, "failing_ms"), failing));
        }
        row[2 + node_count] = check;
        table_add(&table, row);
    }
    table_print(&table, out);
    table_finish(&table);
    if (field_text(document, "sentence")[0] != '\0') {
        (void)fprintf(out, "%s\n", field_text(document, "sentence"));
    }
    print_set(json_object_get(document, "mongo"), field_text(document, "name"), out);
    print_list(json_object_get(document, "choices"), "Choices:\n  ", out);
    print_execution(json_object_get(document, "execution"), out);
}

static void print_gates(const json_t *gates, FILE *out) {
    struct table table;
    table_init(&table, 4);
    table_add(&table, (const char *const[]){"GATE", "VALUE", "LIMIT", "RESULT"});
    for (size_t i = 0; i < json_array_size(gates); i++) {
        const json_t *gate = json_array_get(gates, i);
        table_add(&table,
                  (const char *const[]){field_text(gate, "gate"), field_text(gate, "value"),
                                        field_text(gate, "limit"), field_text(gate, "result")});
    }
    table_print(&table, out);
    table_finish(&table);
}

void view_explain(const json_t *document, FILE *out) {
    const char *why = field_text(document, "why");
    (void)fprintf(out, "%s%s%s\n", field_text(document, "headline"), why[0] == '\0' ? "" : ": ",
                  why);
    print_gates(json_object_get(document, "gates"), out);
    const char *loss = field_text(json_object_get(document, "loss"), "text");
    if (loss[0] != '\0') {
        (void)fprintf(out, "Loss: %s.\n", loss);
    }
    const char *sent = field_text(document, "sent");
    const json_t *evidence = json_object_get(document, "evidence");
    if (sent[0] != '\0') {
        (void)fprintf(out, "%s", sent);
    }
    if (json_array_size(evidence) > 0) {
        (void)fprintf(out, "%sEvidence: log", sent[0] == '\0' ? "" : " ");
        for (size_t i = 0; i < json_array_size(evidence); i++) {
            (void)fprintf(out, " %" JSON_INTEGER_FORMAT,
                          json_integer_value(json_array_get(evidence, i)));
        }
        (void)fputc('.', out);
    }
    if (sent[0] != '\0' || json_array_size(evidence) > 0) {
        (void)fputc('\n', out);
    }
    print_list(json_object_get(document, "choices"), "Choices:\n  ", out);
    print_execution(json_object_get(document, "execution"), out);
}

void view_plan(const json_t *document, FILE *out) {
    const json_t *epoch = json_object_get(document, "epoch");
    const json_t *steps = json_object_get(document, "steps");
    char rto[CELL_SIZE];
    const char *from = field_text(document, "from");
    (void)fprintf(out, "%s%s%s  epoch %" PRIu64 " -> %" PRIu64 "  plan %s", from,
                  from[0] == '\0' ? "" : " -> ", field_text(document, "to"),
                  field_u64(epoch, "old"), field_u64(epoch, "new"), field_text(document, "plan"));
    if (field_u64(document, "rto_ms") != 0) {
        (void)fprintf(out, "  RTO %s", cell_duration(json_object_get(document, "rto_ms"), rto));
    }
    (void)fputc('\n', out);
    struct table table;
    table_init(&table, 4);
    table_add(&table, (const char *const[]){"STEP", "TARGET", "NOW -> THEN", "NEEDS"});
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        char change[256];
        char needs[256];
        const char *then = field_text(step, "then");
        (void)snprintf(change, sizeof change, "%s%s%s", field_text(step, "now"),
                       then[0] == '\0' ? "" : " -> ", then);
        join(json_object_get(step, "needs"), " ", needs, sizeof needs);
        table_add(&table, (const char *const[]){field_text(step, "name"),
                                                field_text(step, "target"), change, needs});
    }
    table_print(&table, out);
    table_finish(&table);
    const char *loss = field_text(json_object_get(document, "loss"), "text");
    (void)fprintf(out, "Gates: %" PRIu64 " of %" PRIu64 " pass.%s%s%s\n",
                  field_u64(document, "passing"), field_u64(document, "total"),
                  loss[0] == '\0' ? "" : " Loss: ", loss, loss[0] == '\0' ? "" : ".");
    const json_t *gates = json_object_get(document, "gates");
    for (size_t i = 0; i < json_array_size(gates); i++) {
        const json_t *gate = json_array_get(gates, i);
        const char *result = field_text(gate, "result");
        if (text_equal(result, "FAIL") || text_equal(result, "skipped")) {
            (void)fprintf(out, "  %s %s: %s (limit %s); %s\n", field_text(gate, "gate"), result,
                          field_text(gate, "value"), field_text(gate, "limit"),
                          field_text(gate, "doc"));
        }
    }
    print_list(json_object_get(document, "choices"), "Choices:\n  ", out);
    print_list(json_object_get(json_object_get(document, "forced"), "sentences"),
               "FORCED RECONFIGURATION:\n  ", out);
}

void view_event(const json_t *event, FILE *out) {
    (void)fprintf(out, "%.12s  %-12s %s%s%s\n", time_of_day(field_text(event, "at")),
                  field_text(event, "kind"), field_text(event, "service"),
                  field_text(event, "service")[0] == '\0' ? "" : "  ", field_text(event, "text"));
}

void view_history(const json_t *document, FILE *out) {
    const json_t *moves = json_object_get(document, "moves");
    struct table table;
    table_init(&table, 9);
    table_add(&table, (const char *const[]){"EPOCH", "UTC", "SERVICE", "TO", "KIND", "BY", "TOOK",
                                            "LOST", "RESULT"});
    for (size_t i = 0; i < json_array_size(moves); i++) {
        const json_t *move = json_array_get(moves, i);
        char epoch[CELL_SIZE];
        char at[CELL_SIZE];
        char took[CELL_SIZE];
        bool moved = !field_is_null(move, "epoch") && field_u64(move, "epoch") != 0;
        table_add(&table,
                  (const char *const[]){moved ? cell_u64(field_u64(move, "epoch"), epoch) : "-",
                                        minute_of(field_text(move, "at"), at),
                                        field_text(move, "service"), field_text(move, "to"),
                                        field_text(move, "kind"), field_text(move, "by"),
                                        cell_duration(json_object_get(move, "took_ms"), took),
                                        field_text(move, "lost"), field_text(move, "result")});
    }
    table_print(&table, out);
    table_finish(&table);
}

void view_history_of_move(const json_t *document, FILE *out) {
    view_history(document, out);
    const json_t *events = json_object_get(document, "events");
    for (size_t i = 0; i < json_array_size(events); i++) {
        view_event(json_array_get(events, i), out);
    }
}

void view_nodes(const json_t *document, FILE *out) {
    const json_t *nodes = json_object_get(document, "nodes");
    struct table table;
    table_init(&table, 8);
    table_add(&table, (const char *const[]){"NODE", "REGION", "ROLE", "APPLIED", "BEHIND",
                                            "CONTROL", "CERT", "VERSION"});
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        const json_t *control = json_object_get(node, "control");
        char applied[CELL_SIZE];
        char behind[CELL_SIZE];
        char reach[CELL_SIZE];
        char days[CELL_SIZE];
        (void)snprintf(reach, sizeof reach, "?");
        if (json_is_object(control)) {
            (void)snprintf(reach, sizeof reach, "%" PRIu64 "/%" PRIu64,
                           field_u64(control, "reachable"), field_u64(control, "total"));
        }
        (void)snprintf(days, sizeof days, "%" PRIu64 "d", field_u64(node, "certificate_days"));
        const char *lag = cell_duration(json_object_get(node, "behind_ms"), behind);
        if (!field_is_null(node, "match_index") && !field_is_null(node, "last_index")) {
            (void)snprintf(behind, sizeof behind, "%" PRIu64 " entries",
                           field_u64(node, "last_index") - field_u64(node, "match_index"));
            lag = behind; /* of one that joins */
        }
        table_add(&table, (const char *const[]){
                              field_text(node, "name"), field_text(node, "region"),
                              field_text(node, "role"),
                              field_is_null(node, "applied_index")
                                  ? "-"
                                  : cell_u64(field_u64(node, "applied_index"), applied),
                              lag, reach, field_is_null(node, "certificate_days") ? "?" : days,
                              field_text(node, "version")});
    }
    table_print(&table, out);
    table_finish(&table);
    if (field_text(document, "sentence")[0] != '\0') {
        (void)fprintf(out, "%s\n", field_text(document, "sentence"));
    }
}

void view_version(const json_t *document, FILE *out) {
    (void)fprintf(out, "noctuactl %s\n", NOCTUA_VERSION);
    if (json_is_object(document)) {
        (void)fprintf(out, "noctuad   %s  cluster %s  node %s  feature level %" PRIu64 "\n",
                      field_text(document, "version"), field_text(document, "cluster"),
                      field_text(document, "node"), field_u64(document, "feature_level"));
    }
}

void view_ready(const json_t *document, FILE *out) {
    const json_t *rows = json_object_get(document, "rows");
    struct table table;
    table_init(&table, 4);
    table_add(&table, (const char *const[]){"WHAT", "VALUE", "LIMIT", "RESULT"});
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        table_add(&table,
                  (const char *const[]){field_text(row, "what"), field_text(row, "value"),
                                        field_text(row, "limit"), field_text(row, "result")});
    }
    table_print(&table, out);
    table_finish(&table);
}

void view_revisions(const json_t *document, FILE *out) {
    const json_t *revisions = json_object_get(document, "revisions");
    struct table table;
    table_init(&table, 4);
    table_add(&table, (const char *const[]){"REVISION", "UTC", "BY", "REASON"});
    for (size_t i = 0; i < json_array_size(revisions); i++) {
        const json_t *row = json_array_get(revisions, i);
        char index[CELL_SIZE];
        char at[CELL_SIZE];
        char numbered[CELL_SIZE];
        (void)snprintf(numbered, sizeof numbered, "%.64s%s",
                       cell_u64(field_u64(row, "index"), index), i == 0 ? " *" : "");
        table_add(&table, (const char *const[]){numbered, minute_of(field_text(row, "at"), at),
                                                field_text(row, "by"), field_text(row, "reason")});
    }
    table_print(&table, out);
    table_finish(&table);
    if (json_array_size(revisions) == 0) {
        (void)fprintf(out, "No spec yet. Next: noctuactl spec apply FILE\n");
    }
}

void view_findings(const json_t *document, FILE *out) {
    const json_t *findings = json_object_get(document, "findings");
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *finding = json_array_get(findings, i);
        (void)fprintf(out, "%s:%" PRIu64 ":%" PRIu64 ": %s: %s\n", field_text(document, "file"),
                      field_u64(finding, "line"), field_u64(finding, "column"),
                      field_text(finding, "severity"), field_text(finding, "message"));
    }
}
