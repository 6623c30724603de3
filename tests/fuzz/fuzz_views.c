/* The server's documents as noctuactl shows them: any JSON at all is shown somehow, and what is
 * written as YAML is YAML. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/text.h"
#include "fuzz.h"
#include "render.h"
#include "views.h"

static void check_yaml(const char *text, size_t size) {
    yaml_parser_t parser;
    int rv = yaml_parser_initialize(&parser);
    assert(rv == 1);
    (void)rv;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    for (bool end = false; !end;) {
        yaml_event_t event;
        int parsed = yaml_parser_parse(&parser, &event);
        assert(parsed == 1);
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const view_function views[] = {
        view_status, view_service, view_explain, view_plan,  view_history,   view_history_of_move,
        view_nodes,  view_version, view_event,   view_ready, view_revisions, view_findings,
    };
    uint8_t mode = fuzz_take(&data, &size);
    json_error_t problem;
    json_t *document = json_loadb((const char *)data, size, JSON_DECODE_ANY, &problem);
    if (document == NULL) {
        return 0;
    }
    char *text = NULL;
    size_t text_size = 0;
    FILE *out = open_memstream(&text, &text_size);
    assert(out != NULL);
    if (mode % (ARRAY_LENGTH(views) + 1) < ARRAY_LENGTH(views)) {
        views[mode % (ARRAY_LENGTH(views) + 1)](document, out);
        (void)fclose(out);
    } else {
        render_yaml(document, out);
        (void)fclose(out);
        check_yaml(text, text_size);
    }
    free(text);
    json_decref(document);
    return 0;
}
