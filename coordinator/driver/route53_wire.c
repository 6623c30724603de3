#include "route53_wire.h"

#include <stdio.h>
#include <string.h>

#include "aws_text.h"
#include "base/text.h"

static const char NAMESPACE[] = "https://route53.amazonaws.com/doc/2013-04-01/";

static void write_item(struct buffer *body, const char *action,
                       const struct route53_record *record) {
    buffer_append_text(body, "<Change>");
    xml_append_element(body, "Action", action);
    route53_record_write(record, body);
    buffer_append_text(body, "</Change>");
}

static enum error_code write_fence(struct buffer *body, const char *action,
                                   const struct driver_target *target, const char *fence,
                                   struct error *error) {
    if (fence == NULL) {
        return ERROR_OK;
    }
    struct route53_record record;
    enum error_code code = route53_fence_make(target->fence_name, fence, &record, error);
    if (code == ERROR_OK) {
        write_item(body, action, &record);
        route53_record_finish(&record);
    }
    return code;
}

static size_t value_characters(const struct route53_records *records) {
    size_t sum = 0;
    for (uint32_t i = 0; records != NULL && i < records->count; i++) {
        sum += records->items[i].values.size_bytes;
    }
    return sum;
}

/* Both lists hold the same places in the zone; neither is empty. */
static enum error_code check_states(const struct route53_records *before,
                                    const struct route53_records *after,
                                    const struct driver_target *target, struct error *error) {
    if (before->count == 0 || before->count != after->count) {
        return error_set(error, ERROR_INVALID, "an empty or unequal set of records is never sent");
    }
    char fence_name[ROUTE53_NAME_SIZE];
    enum error_code code = route53_name_canonicalize(target->fence_name, fence_name, error);
    for (uint32_t i = 0; i < before->count && code == ERROR_OK; i++) {
        const struct route53_record *a = &before->items[i], *b = &after->items[i];
        if (strcmp(a->name, b->name) != 0 || strcmp(a->type, b->type) != 0 ||
            strcmp(a->set_identifier, b->set_identifier) != 0) {
            code = error_set(error, ERROR_INVALID, "record %.150s %s is only in one of the states",
                             a->name, a->type);
        } else if (route53_record_is(a, fence_name, "TXT", a->set_identifier)) {
            code = error_set(error, ERROR_INVALID, "the fence %.150s can't be a record of a move",
                             a->name);
        }
    }
    if (code == ERROR_OK &&
        value_characters(before) + value_characters(after) + 2 * (DRIVER_FENCE_MAX + 2) >
            ROUTE53_VALUE_CHARACTERS_MAX) {
        code = error_set(error, ERROR_LIMIT, "more than %d characters of values in one change",
                         ROUTE53_VALUE_CHARACTERS_MAX);
    }
    return code;
}

static enum error_code load_states(const struct driver_target *target,
                                   const struct driver_change *change,
                                   struct route53_records **ret_before,
                                   struct route53_records **ret_after, struct error *error) {
    if ((change->state_before == NULL) != (change->state_after == NULL)) {
        return error_set(error, ERROR_INVALID, "a change has both states or none");
    }
    if (change->fence_after == NULL &&
        (change->fence_before == NULL || change->state_before != NULL)) {
        return error_set(error, ERROR_INVALID, "a change without a fence deletes that fence alone");
    }
    if (change->state_before == NULL) {
        return ERROR_OK;
    }
    if (change->fence_before == NULL) {
        return error_set(error, ERROR_INVALID, "a move never expects that there is no fence");
    }
    enum error_code code = route53_records_from_blob(change->state_before, ret_before, error);
    if (code == ERROR_OK) {
        code = route53_records_from_blob(change->state_after, ret_after, error);
    }
    return code == ERROR_OK ? check_states(*ret_before, *ret_after, target, error) : code;
}

static void write_items(struct buffer *body, const char *action,
                        const struct route53_records *records) {
    for (uint32_t i = 0; records != NULL && i < records->count; i++) {
        write_item(body, action, &records->items[i]);
    }
}

enum error_code route53_write_change(const struct driver_target *target,
                                     const struct driver_change *change, struct buffer *ret_body,
                                     struct error *error) {
    struct route53_records *before = NULL, *after = NULL;
    struct buffer body;
    buffer_init(&body, ROUTE53_REQUEST_SIZE_MAX);
    enum error_code code = load_states(target, change, &before, &after, error);
    if (code != ERROR_OK) {
        goto cleanup;
    }
    if (strlen(change->comment) > ROUTE53_COMMENT_MAX ||
        !text_is_utf8(change->comment, strlen(change->comment))) {
        code = error_set(error, ERROR_INVALID, "a comment over %d characters", ROUTE53_COMMENT_MAX);
        goto cleanup;
    }
    buffer_append_format(&body,
                         "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                         "<ChangeResourceRecordSetsRequest xmlns=\"%s\"><ChangeBatch>",
                         NAMESPACE);
    xml_append_element(&body, "Comment", change->comment);
    buffer_append_text(&body, "<Changes>");
    code = write_fence(&body, "DELETE", target, change->fence_before, error);
    if (code != ERROR_OK) {
        goto cleanup;
    }
    write_items(&body, "DELETE", before);
    code = write_fence(&body, "CREATE", target, change->fence_after, error);
    if (code != ERROR_OK) {
        goto cleanup;
    }
    write_items(&body, "CREATE", after);
    buffer_append_text(&body, "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>");
    if (body.out_of_memory) {
        code = error_set(error, ERROR_NO_MEMORY, "out of memory");
        goto cleanup;
    }
    if (body.failed) {
        code = error_set(error, ERROR_LIMIT, "a change of more than %zu bytes",
                         ROUTE53_REQUEST_SIZE_MAX);
        goto cleanup;
    }
    *ret_body = body;
    buffer_init(&body, 0);

cleanup:
    buffer_finish(&body);
    route53_records_destroy(before);
    route53_records_destroy(after);
    return code;
}

enum error_code route53_read_change_info(const char *body, size_t size_bytes,
                                         struct route53_change_info *ret_info,
                                         struct error *error) {
    struct xml_document document;
    enum error_code code = xml_parse(body, size_bytes, &document, error);
    if (code != ERROR_OK) {
        return code;
    }
    const struct xml_node *node = xml_child(&document, xml_root(&document), "ChangeInfo");
    const char *id = xml_child_text(&document, node, "Id");
    const char *status = xml_child_text(&document, node, "Status");
    const char *comment = xml_child_text(&document, node, "Comment");
    struct route53_change_info info = {.id = ""};
    if (id != NULL && text_starts_with(id, "/change/")) {
        id += strlen("/change/");
    }
    if (id == NULL || !aws_is_id(id, sizeof info.id - 1) || status == NULL ||
        (strcmp(status, "PENDING") != 0 && strcmp(status, "INSYNC") != 0)) {
        code = error_set(error, ERROR_PROTOCOL, "a reply without a ChangeInfo");
        goto cleanup;
    }
    TEXT_COPY(info.id, id);
    info.insync = strcmp(status, "INSYNC") == 0;
    if (comment != NULL) {
        (void)TEXT_COPY(info.comment, comment); /* for people: one too long is left out */
    }
    *ret_info = info;

cleanup:
    xml_finish(&document);
    return code;
}

static enum error_code read_next(struct route53_page *page, struct error *error) {
    const struct xml_node *root = xml_root(&page->document);
    const char *name = xml_child_text(&page->document, root, "NextRecordName");
    const char *type = xml_child_text(&page->document, root, "NextRecordType");
    const char *identifier = xml_child_text(&page->document, root, "NextRecordIdentifier");
    if (name == NULL || type == NULL || !TEXT_COPY(page->next_type, type) ||
        !TEXT_COPY(page->next_identifier, identifier == NULL ? "" : identifier)) {
        return error_set(error, ERROR_PROTOCOL, "a truncated page that doesn't say what is next");
    }
    return route53_name_canonicalize(name, page->next_name, error);
}

enum error_code route53_read_page(const char *body, size_t size_bytes,
                                  struct route53_page *ret_page, struct error *error) {
    struct route53_page page = {.truncated = false};
    enum error_code code = xml_parse(body, size_bytes, &page.document, error);
    if (code != ERROR_OK) {
        return code;
    }
    const struct xml_node *root = xml_root(&page.document);
    page.sets = xml_child(&page.document, root, "ResourceRecordSets");
    const char *truncated = xml_child_text(&page.document, root, "IsTruncated");
    if (!xml_is(&page.document, root, "ListResourceRecordSetsResponse") || page.sets == NULL ||
        truncated == NULL || (strcmp(truncated, "true") != 0 && strcmp(truncated, "false") != 0)) {
        code = error_set(error, ERROR_PROTOCOL, "a reply that is no list of records");
    } else if (strcmp(truncated, "true") == 0) {
        page.truncated = true;
        code = read_next(&page, error);
    }
    if (code == ERROR_OK) {
        *ret_page = page;
    } else {
        xml_finish(&page.document);
    }
    return code;
}

void route53_page_finish(struct route53_page *page) {
    xml_finish(&page->document);
}
