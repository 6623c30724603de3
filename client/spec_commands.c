/* noctuactl spec: validate works offline; apply and get ask the group. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "codec/spec_yaml.h"
#include "commands.h"
#include "spec_source.h"
#include "views.h"

/* Says what is wrong, and returns whether the group would take it. */
static bool check(const char *path, const struct spec_source *source) {
    struct spec *spec = calloc(1, sizeof *spec);
    struct spec_findings *findings = calloc(1, sizeof *findings);
    bool good = false;
    if (spec != NULL && findings != NULL) {
        const char *bytes = source->text.data == NULL ? "" : source->text.data;
        good = spec_parse(bytes, source->text.size_bytes, path, spec, findings) == ERROR_OK;
        spec_source_complain(source, findings);
    }
    free(findings);
    free(spec);
    return good;
}

int run_spec_validate(const struct options *options) {
    struct spec_source source;
    int status = spec_source_read(options->arguments[0], &source);
    if (status == EXIT_DONE && check(options->arguments[0], &source)) {
        (void)printf("%s is good\n", options->arguments[0]);
    } else if (status == EXIT_DONE) {
        status = EXIT_USAGE;
    }
    spec_source_finish(&source);
    return status;
}

/* `base`: the revision that it replaces; NULL: whichever is there. */
static int apply(const struct options *options, const struct buffer *text, const char *name,
                 const char *reason, const uint64_t *base) {
    Noctua__SpecApplyRequest wanted = NOCTUA__SPEC_APPLY_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    wanted.text.data = (uint8_t *)(text->data == NULL ? "" : text->data);
    wanted.text.len = text->size_bytes;
    wanted.file_name = (char *)name;
    wanted.expected_index = base == NULL ? 0 : *base;
    wanted.any_index = base == NULL;
    wanted.dry_run = options->dry_run;
    wanted.reason = (char *)reason;
    request.body_case = NOCTUA__REQUEST__BODY_SPEC_APPLY;
    request.spec_apply = &wanted;
    return ask_once(options, &request);
}

int run_spec_apply(const struct options *options) {
    struct spec_source source;
    int status = spec_source_read(options->arguments[0], &source);
    if (status == EXIT_DONE && check(options->arguments[0], &source)) {
        status = apply(options, &source.text, options->arguments[0],
                       options->reason == NULL ? "" : options->reason,
                       options->has_expected ? &options->expected_index : NULL);
    } else if (status == EXIT_DONE) {
        status = EXIT_USAGE;
    }
    spec_source_finish(&source);
    return status;
}

static void view_spec(const json_t *document, FILE *out) {
    (void)fputs(field_text(document, "text"), out);
}

/* A kept revision (0: the current one), or which are kept. NULL: said why, with *ret_exit. */
static json_t *fetch(const struct options *options, uint64_t revision, bool history,
                     int *ret_exit) {
    Noctua__SpecGetRequest get = NOCTUA__SPEC_GET_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    Noctua__Reply *reply = NULL;
    json_t *document = NULL;
    get.index = revision;
    get.history = history;
    request.body_case = NOCTUA__REQUEST__BODY_SPEC_GET;
    request.spec_get = &get;
    *ret_exit = ask_for(options, &request, true, &reply);
    if (reply != NULL) {
        json_error_t problem;
        document = json_loads(reply->document, JSON_DECODE_ANY, &problem);
        if (document == NULL) {
            (void)fprintf(stderr, "noctuactl: %s\n",
                          reply->message[0] == '\0' ? "there is no spec yet" : reply->message);
        }
        noctua__reply__free_unpacked(reply, NULL);
    }
    return document;
}

int run_spec_get(const struct options *options) {
    int status = EXIT_INTERNAL;
    json_t *document = fetch(options, options->revision, false, &status);
    if (document != NULL && options->output == OUTPUT_JSON) {
        render_json(document, stdout);
    } else if (document != NULL) {
        view_spec(document, stdout);
    }
    json_decref(document);
    return status;
}

int spec_fetch(const struct options *options, struct buffer *ret) {
    int status = EXIT_INTERNAL;
    json_t *document = fetch(options, options->revision, false, &status);
    if (document != NULL) {
        buffer_append_text(ret, field_text(document, "text"));
        json_decref(document);
        return status;
    }
    return status == EXIT_DONE ? EXIT_REFUSED : status;
}

int spec_read(const char *path, struct buffer *ret) {
    struct spec_source source;
    int status = spec_source_read(path, &source);
    if (status == EXIT_DONE && source.text.size_bytes > 0) {
        (void)buffer_append(ret, source.text.data, source.text.size_bytes);
    }
    spec_source_finish(&source);
    return status;
}

int run_spec_history(const struct options *options) {
    int status = EXIT_INTERNAL;
    json_t *document = fetch(options, 0, true, &status);
    if (document != NULL && options->output == OUTPUT_JSON) {
        render_json(document, stdout);
    } else if (document != NULL && options->output == OUTPUT_YAML) {
        render_yaml(document, stdout);
    } else if (document != NULL) {
        view_revisions(document, stdout);
    }
    json_decref(document);
    return status;
}

/* The newest kept revision, and the one that was asked for, or the one before it. */
static int choose_revision(const struct options *options, uint64_t *ret_newest, uint64_t *ret) {
    int status = EXIT_INTERNAL;
    json_t *document = fetch(options, 0, true, &status);
    const json_t *rows = json_object_get(document, "revisions");
    *ret_newest = field_u64(json_array_get(rows, 0), "index");
    *ret = options->revision != 0 ? options->revision : field_u64(json_array_get(rows, 1), "index");
    json_decref(document);
    if (status == EXIT_DONE && *ret == 0) {
        (void)fprintf(stderr, "noctuactl: there is no revision before the current one\n");
        status = EXIT_REFUSED;
    } else if (status == EXIT_DONE && *ret == *ret_newest) {
        (void)fprintf(stderr, "noctuactl: revision %" PRIu64 " is the current one\n", *ret);
        status = EXIT_REFUSED;
    }
    return status;
}

/* Says what it would change, and asks. */
static bool may_go(const struct options *options, const struct buffer *from,
                   const struct buffer *to, uint64_t revision) {
    char line[16];
    char name[48];
    (void)snprintf(name, sizeof name, "revision %" PRIu64, revision);
    int differs = spec_show_difference(options, "the group's spec", from, name, to);
    if (differs != EXIT_DIFFERENCES && differs != EXIT_DONE) {
        return false;
    }
    if (options->yes || options->dry_run) {
        return true;
    }
    (void)printf("Type 'yes' to go back to revision %" PRIu64 ": ", revision);
    (void)fflush(stdout);
    bool yes = fgets(line, sizeof line, stdin) != NULL && strcmp(line, "yes\n") == 0;
    if (!yes) {
        (void)fprintf(stderr, "\nnoctuactl: nothing was done\n");
    }
    return yes;
}

/* The old text is applied anew, with all its checks: nothing goes back but the spec. */
int run_spec_rollback(const struct options *options) {
    struct buffer from;
    struct buffer to;
    struct options asked = *options;
    uint64_t newest;
    uint64_t revision;
    char reason[64];
    buffer_init(&from, SPEC_TEXT_MAX);
    buffer_init(&to, SPEC_TEXT_MAX);
    int status = choose_revision(options, &newest, &revision);
    asked.revision = newest;
    status = status == EXIT_DONE ? spec_fetch(&asked, &from) : status;
    asked.revision = revision;
    status = status == EXIT_DONE ? spec_fetch(&asked, &to) : status;
    if (status == EXIT_DONE && !may_go(options, &from, &to, revision)) {
        status = EXIT_CANCELLED;
    } else if (status == EXIT_DONE) {
        (void)snprintf(reason, sizeof reason, "back to revision %" PRIu64, revision);
        status = apply(options, &to, reason, options->reason == NULL ? reason : options->reason,
                       &newest);
    }
    buffer_finish(&from);
    buffer_finish(&to);
    return status;
}

int run_spec_schema(const struct options *options) {
    struct buffer text;
    (void)options;
    buffer_init(&text, 0);
    spec_print_schema(&text);
    (void)fputs(text.data == NULL ? "" : text.data, stdout);
    buffer_finish(&text);
    return EXIT_DONE;
}
