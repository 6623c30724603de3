#include "route53_reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws_text.h"
#include "base/text.h"

enum { NAME_COUNT_MAX = DRIVER_RECORD_MAX + 1 }; /* the records' and the fence's */

struct wanted_name {
    char text[ROUTE53_NAME_SIZE];
    bool done; /* in this pass: all of its sets were seen */
};

struct wanted_record {
    uint32_t name; /* place in names */
    bool found;    /* in this pass */
    struct route53_record record;
};

struct snapshot {
    bool fence_present;
    char fence[DRIVER_FENCE_MAX];
    struct driver_blob state;
};

struct route53_reader {
    const struct driver_target *target;
    struct wanted_name names[NAME_COUNT_MAX];
    uint32_t name_count;
    struct wanted_record records[NAME_COUNT_MAX]; /* the last is the fence */
    uint32_t record_count;
    uint32_t asked; /* the name of the query under way */
    bool continued; /* that query goes on in the middle of the name */
    struct route53_query continuation;
    uint32_t pages, passes; /* of this pass; finished ones */
    struct snapshot now, before;
    char summary[256];
};

static const char *wanted_type(const struct route53_reader *reader, uint32_t i) {
    return i < reader->target->record_count ? reader->target->records[i].type : "TXT";
}

static const char *wanted_identifier(const struct route53_reader *reader, uint32_t i) {
    return i < reader->target->record_count ? reader->target->records[i].set_identifier : "";
}

/* The order of a listing is by labels from the right; only used to begin where one page is likely
 * to hold everything. */
static int compare_names(const char *a, const char *b) {
    size_t left = strlen(a), right = strlen(b);
    while (left > 0 && right > 0) {
        unsigned char x = (unsigned char)a[--left], y = (unsigned char)b[--right];
        if (x != y) {
            /* Inside a label the first difference from the left would count; near enough. */
            return x == '.' ? -1 : y == '.' ? 1 : x < y ? -1 : 1;
        }
    }
    return left == right ? 0 : left < right ? -1 : 1;
}

static enum error_code add_record(struct route53_reader *reader, const char *name,
                                  struct error *error) {
    char canonical[ROUTE53_NAME_SIZE];
    enum error_code code = route53_name_canonicalize(name, canonical, error);
    if (code != ERROR_OK) {
        return code;
    }
    uint32_t at = 0;
    while (at < reader->name_count && strcmp(reader->names[at].text, canonical) != 0) {
        at++;
    }
    if (at == reader->name_count) {
        memcpy(reader->names[at].text, canonical, sizeof canonical);
        reader->name_count++;
    }
    uint32_t i = reader->record_count;
    for (uint32_t j = 0; j < i; j++) {
        if (reader->records[j].name == at &&
            strcmp(wanted_type(reader, j), wanted_type(reader, i)) == 0 &&
            strcmp(wanted_identifier(reader, j), wanted_identifier(reader, i)) == 0) {
            return error_set(error, ERROR_INVALID, "record %.150s %s %.50s is named twice",
                             canonical, wanted_type(reader, i), wanted_identifier(reader, i));
        }
    }
    reader->records[i].name = at;
    reader->record_count++;
    return ERROR_OK;
}

enum error_code route53_reader_create(const struct driver_target *target,
                                      struct route53_reader **ret_reader, struct error *error) {
    if (target->record_count > DRIVER_RECORD_MAX) {
        return error_set(error, ERROR_LIMIT, "more than %d records", DRIVER_RECORD_MAX);
    }
    struct route53_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    reader->target = target;
    enum error_code code = ERROR_OK;
    for (uint32_t i = 0; i <= target->record_count && code == ERROR_OK; i++) {
        code = add_record(
            reader, i < target->record_count ? target->records[i].name : target->fence_name, error);
    }
    if (code == ERROR_OK) {
        *ret_reader = reader;
    } else {
        route53_reader_destroy(reader);
    }
    return code;
}

static void drop_record(struct wanted_record *wanted) {
    if (wanted->found) {
        route53_record_finish(&wanted->record);
        wanted->found = false;
    }
}

static void drop_records(struct route53_reader *reader, uint32_t name) {
    for (uint32_t i = 0; i < reader->record_count; i++) {
        if (reader->records[i].name == name) {
            drop_record(&reader->records[i]);
        }
    }
}

void route53_reader_destroy(struct route53_reader *reader) {
    if (reader == NULL) {
        return;
    }
    for (uint32_t i = 0; i < reader->record_count; i++) {
        drop_record(&reader->records[i]);
    }
    free(reader);
}

void route53_reader_next(struct route53_reader *reader, struct route53_query *ret_query) {
    if (reader->continued) {
        *ret_query = reader->continuation;
        return;
    }
    uint32_t first = reader->name_count;
    for (uint32_t i = 0; i < reader->name_count; i++) {
        if (!reader->names[i].done &&
            (first == reader->name_count ||
             compare_names(reader->names[i].text, reader->names[first].text) < 0)) {
            first = i;
        }
    }
    assert(first < reader->name_count);
    reader->asked = first;
    drop_records(reader, first); /* what the end of another name's page had of it */
    *ret_query = (struct route53_query){.type = ""};
    memcpy(ret_query->name, reader->names[first].text, sizeof ret_query->name);
}

/* Keeps the set if it is a wanted one. `name`: place in names. */
static enum error_code take_set(struct route53_reader *reader, const struct route53_page *page,
                                const struct xml_node *set, uint32_t name, struct error *error) {
    const char *type = xml_child_text(&page->document, set, "Type");
    const char *identifier = xml_child_text(&page->document, set, "SetIdentifier");
    for (uint32_t i = 0; i < reader->record_count; i++) {
        struct wanted_record *wanted = &reader->records[i];
        if (wanted->name != name || type == NULL || strcmp(wanted_type(reader, i), type) != 0 ||
            strcmp(wanted_identifier(reader, i), identifier == NULL ? "" : identifier) != 0) {
            continue;
        }
        if (wanted->found) {
            return error_set(error, ERROR_PROTOCOL, "record %.150s %s is listed twice",
                             reader->names[name].text, type);
        }
        enum error_code code = route53_record_read(&page->document, set, &wanted->record, error);
        wanted->found = code == ERROR_OK;
        return code;
    }
    return ERROR_OK;
}

static enum error_code take_sets(struct route53_reader *reader, const struct route53_page *page,
                                 bool seen[NAME_COUNT_MAX], struct error *error) {
    const struct xml_node *set = xml_first_child(&page->document, page->sets);
    for (; set != NULL; set = xml_next(&page->document, set)) {
        const char *name = xml_child_text(&page->document, set, "Name");
        char canonical[ROUTE53_NAME_SIZE];
        if (name == NULL || route53_name_canonicalize(name, canonical, NULL) != ERROR_OK) {
            return error_set(error, ERROR_PROTOCOL, "a record set without a name");
        }
        for (uint32_t i = 0; i < reader->name_count; i++) {
            if (reader->names[i].done || strcmp(reader->names[i].text, canonical) != 0) {
                continue;
            }
            if (!seen[i] && !(i == reader->asked && reader->continued)) {
                drop_records(reader, i); /* what the end of an earlier page had of it */
            }
            enum error_code code = take_set(reader, page, set, i, error);
            if (code != ERROR_OK) {
                return code;
            }
            seen[i] = true;
        }
    }
    return ERROR_OK;
}

/* Which names are through, now that this page is in. */
static void mark_done(struct route53_reader *reader, const struct route53_page *page,
                      const bool seen[NAME_COUNT_MAX]) {
    reader->continued = false;
    for (uint32_t i = 0; i < reader->name_count; i++) {
        bool goes_on = page->truncated && strcmp(page->next_name, reader->names[i].text) == 0;
        if (i == reader->asked && goes_on) {
            reader->continued = true;
            (void)TEXT_COPY(reader->continuation.name, page->next_name);
            (void)TEXT_COPY(reader->continuation.type, page->next_type);
            (void)TEXT_COPY(reader->continuation.identifier, page->next_identifier);
        } else if ((i == reader->asked || seen[i]) && !goes_on) {
            reader->names[i].done = true;
        }
    }
}

static enum error_code describe_missing(const struct route53_reader *reader, uint32_t i,
                                        struct error *error) {
    return error_set(error, ERROR_NOT_FOUND, "record %.150s %s%s%.60s is not in zone %s",
                     reader->names[reader->records[i].name].text, wanted_type(reader, i),
                     wanted_identifier(reader, i)[0] == '\0' ? "" : " ",
                     wanted_identifier(reader, i), reader->target->zone);
}

static enum error_code take_snapshot(struct route53_reader *reader, struct error *error) {
    struct route53_records *records = route53_records_create();
    if (records == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    enum error_code code = ERROR_OK;
    struct buffer summary;
    buffer_init(&summary, 0);
    uint32_t fence = reader->target->record_count;
    for (uint32_t i = 0; i < fence && code == ERROR_OK; i++) {
        const struct wanted_record *wanted = &reader->records[i];
        code = wanted->found
                   ? route53_record_copy(&wanted->record, &records->items[records->count], error)
                   : describe_missing(reader, i, error);
        if (code == ERROR_OK) {
            records->count++;
            buffer_append_text(&summary, i == 0 ? "" : ", ");
            route53_record_describe(&wanted->record, &summary);
        }
    }
    if (code == ERROR_OK) {
        code = route53_records_to_blob(records, &reader->now.state, error);
    }
    reader->now.fence_present = reader->records[fence].found;
    memset(reader->now.fence, 0, sizeof reader->now.fence);
    if (code == ERROR_OK && reader->now.fence_present) {
        code = route53_fence_read(&reader->records[fence].record, reader->now.fence, error);
    }
    (void)snprintf(reader->summary, sizeof reader->summary, "%s",
                   summary.data == NULL ? "" : summary.data);
    aws_cut_utf8(reader->summary);
    buffer_finish(&summary);
    route53_records_destroy(records);
    return code;
}

static bool is_same(const struct snapshot *a, const struct snapshot *b) {
    return a->fence_present == b->fence_present && strcmp(a->fence, b->fence) == 0 &&
           a->state.size_bytes == b->state.size_bytes &&
           memcmp(a->state.bytes, b->state.bytes, a->state.size_bytes) == 0;
}

static enum error_code end_pass(struct route53_reader *reader, bool *ret_done,
                                struct error *error) {
    enum error_code code = take_snapshot(reader, error);
    if (code != ERROR_OK) {
        return code;
    }
    bool done =
        reader->pages == 1 || (reader->passes > 0 && is_same(&reader->now, &reader->before));
    reader->passes++;
    if (!done && reader->passes == ROUTE53_PASS_MAX) {
        return error_set(error, ERROR_UNAVAILABLE,
                         "zone %s keeps changing: no two of %d listings agree",
                         reader->target->zone, ROUTE53_PASS_MAX);
    }
    if (!done) {
        reader->before = reader->now;
        reader->pages = 0;
        for (uint32_t i = 0; i < reader->name_count; i++) {
            reader->names[i].done = false;
        }
        for (uint32_t i = 0; i < reader->record_count; i++) {
            drop_record(&reader->records[i]);
        }
    }
    *ret_done = done;
    return ERROR_OK;
}

enum error_code route53_reader_take(struct route53_reader *reader, const struct route53_page *page,
                                    bool *ret_done, struct error *error) {
    bool seen[NAME_COUNT_MAX] = {false};
    enum error_code code = take_sets(reader, page, seen, error);
    if (code != ERROR_OK) {
        return code;
    }
    reader->pages++;
    mark_done(reader, page, seen);
    *ret_done = false;
    for (uint32_t i = 0; i < reader->name_count; i++) {
        if (!reader->names[i].done) {
            return reader->pages < ROUTE53_PAGE_MAX
                       ? ERROR_OK
                       : error_set(error, ERROR_LIMIT, "zone %s: more than %d pages",
                                   reader->target->zone, ROUTE53_PAGE_MAX);
        }
    }
    return end_pass(reader, ret_done, error);
}

void route53_reader_result(const struct route53_reader *reader, struct driver_reading *reading) {
    reading->fence_present = reader->now.fence_present;
    memcpy(reading->fence, reader->now.fence, sizeof reading->fence);
    reading->state = reader->now.state;
    memcpy(reading->summary, reader->summary, sizeof reading->summary);
}
