/* Specs from clients: parsed here, so that only what every node can hold gets into the log. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/spec_yaml.h"
#include "server_private.h"

static json_t *finding_row(const struct finding *finding) {
    json_t *row = json_object();
    (void)json_object_set_new(
        row, "severity", json_string(finding->severity == FINDING_ERROR ? "error" : "warning"));
    (void)json_object_set_new(row, "line", json_integer(finding->line));
    (void)json_object_set_new(row, "column", json_integer(finding->column));
    (void)json_object_set_new(row, "message", json_string(finding->message));
    return row;
}

/* Both were zeroed before they were filled, so bytes compare as fields do; and a difference in
 * padding would only show one service too many to a person. */
static bool service_differs(const struct spec *a, uint32_t ai, const struct spec *b, uint32_t bi) {
    // NOLINTBEGIN(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c)
    return memcmp(a->regions, b->regions, sizeof a->regions) != 0 ||
           memcmp(&a->services[ai], &b->services[bi], sizeof a->services[ai]) != 0;
    // NOLINTEND(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c)
}

/* Which services the new spec (NULL: it has errors) would add, remove and change. */
static json_t *changes(const struct spec *old, const struct spec *new) {
    json_t *added = json_array();
    json_t *removed = json_array();
    json_t *changed = json_array();
    for (uint32_t i = 0; new != NULL &&i < new->service_count; i++) {
        uint32_t was = spec_find_service(old, new->services[i].name);
        if (was == NONE_INDEX || service_differs(old, was, new, i)) {
            (void)json_array_append_new(was == NONE_INDEX ? added : changed,
                                        json_string(new->services[i].name));
        }
    }
    for (uint32_t i = 0; new != NULL &&i < old->service_count; i++) {
        if (spec_find_service(new, old->services[i].name) == NONE_INDEX) {
            (void)json_array_append_new(removed, json_string(old->services[i].name));
        }
    }
    json_t *services = json_object();
    (void)json_object_set_new(services, "added", added);
    (void)json_object_set_new(services, "removed", removed);
    (void)json_object_set_new(services, "changed", changed);
    return services;
}

static json_t *findings_document(const struct api_facts *facts, const struct spec *spec,
                                 const struct spec_findings *findings) {
    json_t *rows = json_array();
    for (uint32_t i = 0; i < findings->count; i++) {
        (void)json_array_append_new(rows, finding_row(&findings->items[i]));
    }
    json_t *document = json_object();
    (void)json_object_set_new(document, "file", json_string(findings->file));
    (void)json_object_set_new(document, "findings", rows);
    (void)json_object_set_new(document, "errors", json_integer(findings->error_count));
    (void)json_object_set_new(document, "warnings", json_integer(findings->warning_count));
    (void)json_object_set_new(document, "left_out", json_integer(findings->left_out));
    (void)json_object_set_new(document, "services", changes(&facts->state->spec, spec));
    return document;
}

/* Parses into request->spec; false: answered, with what is wrong. With `only_check` a good one is
 * answered, too. */
static bool parse(struct api_request *request, const struct api_facts *facts, bool only_check,
                  bool stale) {
    const Noctua__SpecApplyRequest *apply = request->message->spec_apply;
    const char *file = apply->file_name[0] == '\0' ? "spec" : apply->file_name;
    struct spec_findings *findings = calloc(1, sizeof *findings);
    request->spec = calloc(1, sizeof *request->spec);
    if (findings == NULL || request->spec == NULL) {
        free(findings);
        api_request_fail(request, EXIT_CODE_INTERNAL, "LIMIT", "out of memory");
        return false;
    }
    enum error_code code = apply->text.len > SPEC_TEXT_MAX
                               ? ERROR_LIMIT
                               : spec_parse((const char *)apply->text.data, apply->text.len, file,
                                            request->spec, findings);
    struct answer answer = {.index = facts->state->applied_index, .stale = stale};
    if (code == ERROR_LIMIT) {
        answer.exit_code = EXIT_CODE_USAGE;
        answer.error_code = "LIMIT";
        (void)snprintf(answer.message, sizeof answer.message, "the spec is over %d bytes",
                       SPEC_TEXT_MAX);
    } else if (code == ERROR_NO_MEMORY) {
        answer.exit_code = EXIT_CODE_INTERNAL;
        answer.error_code = "LIMIT";
        (void)TEXT_COPY(answer.message, "out of memory");
    } else if (code != ERROR_OK) {
        answer.exit_code = code == ERROR_INVALID ? EXIT_CODE_USAGE : EXIT_CODE_INTERNAL;
        answer.error_code = "SPEC";
        answer.document = findings_document(facts, NULL, findings);
        (void)snprintf(answer.message, sizeof answer.message,
                       "the spec has %" PRIu32 " errors: noctuactl spec validate %.128s",
                       findings->error_count, file);
    } else if (only_check) {
        answer.document = findings_document(facts, request->spec, findings);
        (void)snprintf(answer.message, sizeof answer.message,
                       "the spec is good (%" PRIu32 " warnings); it was not applied",
                       findings->warning_count);
    }
    free(findings);
    if (code != ERROR_OK || only_check) {
        api_request_answer(request, &answer);
        return false;
    }
    return true;
}

void api_command_check_spec(struct api_request *request, const struct api_facts *facts,
                            bool stale) {
    (void)parse(request, facts, true, stale);
}

bool api_spec_build(struct api_request *request, const struct api_facts *facts) {
    const Noctua__SpecApplyRequest *apply = request->message->spec_apply;
    if (!parse(request, facts, false, false)) {
        return false;
    }
    struct command_spec *c = &request->command->spec;
    c->spec = request->spec;
    c->text = (const char *)apply->text.data; /* the message lives as long as the request */
    c->text_size = (uint32_t)apply->text.len;
    c->expected_index = apply->any_index ? facts->state->spec_index : apply->expected_index;
    return true;
}
