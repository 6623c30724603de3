#include "records.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "route53_record.h"

void records_make_state(const char *sets, struct driver_blob *ret_state) {
    struct buffer text;
    struct xml_document document;
    struct error error;
    buffer_init(&text, 0);
    buffer_append_format(&text, "<s>%s</s>", sets);
    enum error_code code = xml_parse(text.data, text.size_bytes, &document, &error);
    assert(code == ERROR_OK);
    struct route53_records *records = route53_records_create();
    const struct xml_node *node = xml_first_child(&document, xml_root(&document));
    for (; node != NULL; node = xml_next(&document, node)) {
        code = route53_record_read(&document, node, &records->items[records->count++], &error);
        assert(code == ERROR_OK);
    }
    code = route53_records_to_blob(records, ret_state, &error);
    assert(code == ERROR_OK);
    (void)code;
    route53_records_destroy(records);
    xml_finish(&document);
    buffer_finish(&text);
}

void records_make_target(struct driver_target *target) {
    *target = (struct driver_target){
        .service = "nocturnal", .zone = "Z1234567890ABC", .fence_name = FENCE_NAME};
}

void records_add_key(struct driver_target *target, const char *name, const char *type,
                     const char *set_identifier) {
    struct driver_record_key *key = &target->records[target->record_count++];
    bool ok = TEXT_COPY(key->name, name) && TEXT_COPY(key->type, type) &&
              TEXT_COPY(key->set_identifier, set_identifier);
    assert(ok);
    (void)ok;
}
