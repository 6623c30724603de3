/* Pages of a zone's listing. Each record set that is taken can be written back word for word, a
 * list of them has one canonical form, and a read over pages ends. Pages are separated by NUL. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fuzz.h"
#include "route53_reader.h"

#define ROUNDS_MAX 16 /* of asking; a page that is not there is answered with the last one */

static void check_record(const struct route53_record *record) {
    struct buffer once, twice;
    struct xml_document document;
    struct route53_record again;
    struct error error;
    buffer_init(&once, 0);
    buffer_init(&twice, 0);
    assert(route53_record_write(record, &once));
    assert(xml_parse(once.data, once.size_bytes, &document, &error) == ERROR_OK);
    assert(route53_record_read(&document, xml_root(&document), &again, &error) == ERROR_OK);
    assert(route53_record_write(&again, &twice));
    assert(text_equal(once.data, twice.data));
    buffer_clear(&once);
    route53_record_describe(record, &once);
    route53_record_finish(&again);
    xml_finish(&document);
    buffer_finish(&once);
    buffer_finish(&twice);
}

/* Takes the records over. */
static void check_list(struct route53_records *records) {
    static struct driver_blob once, twice;
    struct route53_records *again = NULL;
    struct error error;
    if (records->count > 0 && route53_records_to_blob(records, &once, &error) == ERROR_OK &&
        route53_records_from_blob(&once, &again, &error) == ERROR_OK) {
        assert(again->count == records->count);
        assert(route53_records_to_blob(again, &twice, &error) == ERROR_OK);
        assert(once.size_bytes == twice.size_bytes);
        assert(memcmp(once.bytes, twice.bytes, once.size_bytes) == 0);
        route53_records_destroy(again);
    }
    route53_records_destroy(records);
}

static void check_sets(const struct route53_page *page) {
    struct route53_records *records = route53_records_create();
    struct error error;
    assert(records != NULL);
    const struct xml_node *set = xml_first_child(&page->document, page->sets);
    for (; set != NULL && records->count < DRIVER_RECORD_MAX;
         set = xml_next(&page->document, set)) {
        struct route53_record *record = &records->items[records->count];
        char fence[DRIVER_FENCE_MAX];
        fuzz_taint(record, sizeof *record);
        if (route53_record_read(&page->document, set, record, &error) != ERROR_OK) {
            assert(fuzz_is_tainted(record, sizeof *record));
            continue;
        }
        records->count++;
        check_record(record);
        if (text_equal(record->type, "TXT") &&
            route53_fence_read(record, fence, &error) == ERROR_OK) {
            assert(driver_fence_is_valid(fence));
        }
    }
    check_list(records);
}

static void make_target(struct driver_target *target) {
    static const char *const keys[][3] = {{"nocturnal.com", "A", ""},
                                          {"*.nocturnal.com", "CNAME", ""},
                                          {"w.nocturnal.com", "A", "a"}};
    *target = (struct driver_target){
        .service = "web", .zone = "Z1", .fence_name = "_noctua-web.nocturnal.com"};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        struct driver_record_key *key = &target->records[target->record_count++];
        (void)TEXT_COPY(key->name, keys[i][0]);
        (void)TEXT_COPY(key->type, keys[i][1]);
        (void)TEXT_COPY(key->set_identifier, keys[i][2]);
    }
}

/* The next page of the input, or the last one again. */
static enum error_code next_page(const uint8_t **data, size_t *size, struct route53_page *page,
                                 struct error *error) {
    const uint8_t *end = memchr(*data, '\0', *size);
    size_t length = end == NULL ? *size : (size_t)(end - *data);
    enum error_code code = route53_read_page((const char *)*data, length, page, error);
    if (end != NULL) {
        *data += length + 1;
        *size -= length + 1;
    }
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct driver_target target;
    static struct driver_reading reading;
    struct route53_reader *reader = NULL;
    struct error error;
    make_target(&target);
    assert(route53_reader_create(&target, &reader, &error) == ERROR_OK);
    bool done = false;
    enum error_code code = ERROR_OK;
    for (unsigned i = 0; i < ROUNDS_MAX && code == ERROR_OK && !done && size > 0; i++) {
        struct route53_query query;
        struct route53_page page;
        route53_reader_next(reader, &query);
        assert(query.name[0] != '\0');
        fuzz_taint(&page, sizeof page);
        code = next_page(&data, &size, &page, &error);
        if (code != ERROR_OK) {
            assert(fuzz_is_tainted(&page, sizeof page));
            break;
        }
        if (i == 0) {
            check_sets(&page);
        }
        code = route53_reader_take(reader, &page, &done, &error);
        route53_page_finish(&page);
    }
    if (done) {
        route53_reader_result(reader, &reading);
        assert(!reading.fence_present || driver_fence_is_valid(reading.fence));
        assert(fuzz_is_utf8(reading.summary));
    }
    route53_reader_destroy(reader);
    return 0;
}
