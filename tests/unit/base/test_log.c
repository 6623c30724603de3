/* Log lines: one an event, in both forms, whatever is in the fields. Standard error goes into a
 * pipe while a line is written. */
#include "base_test.h"

#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "base/log.h"

#define LINE_MAX_BYTES 65536

static char line[LINE_MAX_BYTES];

/* What log_write() puts on standard error for these fields; "" when it keeps quiet. */
static const char *captured(enum log_event event, const struct log_field *fields, size_t count) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_write(event, fields, count);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    (void)close(ends[1]);
    ssize_t got = read(ends[0], line, sizeof line - 1);
    (void)close(ends[0]);
    assert_true(got >= 0);
    line[got] = '\0';
    return line;
}

static const char *captured_text(const char *value) {
    return captured(LOG_NODE_STARTED, &LOG_TEXT("value", value), 1);
}

/* The line behind its time, which nobody can foretell. */
static const char *behind_time(const char *text) {
    assert_true(text_starts_with(text, "time=20"));
    assert_int_equal(text[strcspn(text, " ") - 1], 'Z');
    return text + strcspn(text, " ") + 1;
}

static json_t *parsed(const char *text) {
    json_error_t problem;
    size_t length = strlen(text);
    assert_true(length > 0 && text[length - 1] == '\n');
    assert_ptr_equal(strchr(text, '\n'), text + length - 1);
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    if (object == NULL) {
        fail_msg("no JSON (%s): %.300s", problem.text, text);
    }
    return object;
}

static void test_a_line_of_text(void **state) {
    static const struct log_field fields[] = {
        {.key = "service", .type = LOG_FIELD_TEXT, .text = "nocturnal"},
        {.key = "epoch", .type = LOG_FIELD_U64, .u64 = UINT64_MAX},
        {.key = "delta", .type = LOG_FIELD_I64, .i64 = INT64_MIN},
        {.key = "yes", .type = LOG_FIELD_BOOL, .boolean = true},
        {.key = "no", .type = LOG_FIELD_BOOL, .boolean = false},
        {.key = "none", .type = LOG_FIELD_TEXT, .text = NULL},
    };
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "n1");
    assert_string_equal(
        behind_time(captured(LOG_NODE_STARTED, fields, ARRAY_LENGTH(fields))),
        "level=info node=n1 event=node_started service=nocturnal epoch=18446744073709551615 "
        "delta=-9223372036854775808 yes=true no=false none=\"\"\n");
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    assert_string_equal(behind_time(captured_text("x")), "level=info event=node_started value=x\n");
}

static void test_a_line_of_json(void **state) {
    static const struct log_field fields[] = {
        {.key = "service", .type = LOG_FIELD_TEXT, .text = "nocturnal"},
        {.key = "epoch", .type = LOG_FIELD_U64, .u64 = 7},
        {.key = "delta", .type = LOG_FIELD_I64, .i64 = -7},
        {.key = "yes", .type = LOG_FIELD_BOOL, .boolean = true},
        {.key = "none", .type = LOG_FIELD_TEXT, .text = NULL},
    };
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    json_t *object = parsed(captured(LOG_NODE_FAILED, fields, ARRAY_LENGTH(fields)));
    assert_int_equal(json_object_size(object), 9);
    assert_string_equal(json_string_value(json_object_get(object, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(object, "node")), "n1");
    assert_string_equal(json_string_value(json_object_get(object, "event")), "node_failed");
    assert_string_equal(json_string_value(json_object_get(object, "service")), "nocturnal");
    assert_int_equal(json_integer_value(json_object_get(object, "epoch")), 7);
    assert_int_equal(json_integer_value(json_object_get(object, "delta")), -7);
    assert_true(json_is_true(json_object_get(object, "yes")));
    assert_string_equal(json_string_value(json_object_get(object, "none")), "");
    json_decref(object);
}

static void test_quotes_where_they_are_needed(void **state) {
    static const struct {
        const char *value, *written;
    } rows[] = {
        {"bare-_.:/+@,%1", "bare-_.:/+@,%1"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"no\"", "\"say \\\"no\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"line\nbreak\r\t", "\"line\\u000abreak\\u000d\\u0009\""},
        {"\x1b[2J\x7f", "\"\\u001b[2J\\u007f\""},
        {"z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x98\x80",
         "\"z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x98\x80\""},
        /* What isn't UTF-8, and what a terminal would obey, is not passed on. */
        {"\xff\xfe", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"cut \xe2\x82", "\"cut \xef\xbf\xbd\xef\xbf\xbd\""},
        {"csi \xc2\x9b"
         "2J",
         "\"csi \xef\xbf\xbd\xef\xbf\xbd"
         "2J\""},
    };
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char expected[256];
        (void)snprintf(expected, sizeof expected, "level=info event=node_started value=%s\n",
                       rows[i].written);
        assert_string_equal(behind_time(captured_text(rows[i].value)), expected);
    }
}

/* A hostile field can't make a line that isn't JSON, nor a field of its own. */
static void test_hostile_text_stays_one_field(void **state) {
    char value[2];
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    for (int c = 1; c < 256; c++) {
        value[0] = (char)c;
        value[1] = '\0';
        json_t *object = parsed(captured_text(value));
        assert_int_equal(json_object_size(object), 5);
        if (c < 0x80) {
            assert_string_equal(json_string_value(json_object_get(object, "value")), value);
        }
        json_decref(object);
    }
    json_t *object = parsed(captured_text("\",\"event\":\"forged\"}\n{\"level\":\"error"));
    assert_int_equal(json_object_size(object), 5);
    assert_string_equal(json_string_value(json_object_get(object, "event")), "node_started");
    json_decref(object);
}

/* One field can't push the others out, nor break the line's form. */
static void test_long_fields_are_cut(void **state) {
    static const char *const pieces[] = {"x", "\"", "\x01", "\xe2\x82\xac", "\xff"};
    static char value[40000];
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
        size_t length = strlen(pieces[i]);
        for (size_t at = 0; at < sizeof value; at++) {
            value[at] = pieces[i][at % length];
        }
        value[sizeof value - 1] = '\0';
        const struct log_field fields[] = {LOG_TEXT("first", value), LOG_TEXT("second", value),
                                           LOG_U64("index", 812)};
        log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
        const char *text = captured(LOG_NODE_STARTED, fields, ARRAY_LENGTH(fields));
        assert_true(strlen(text) <= 8192);
        json_t *object = parsed(text);
        assert_int_equal(json_integer_value(json_object_get(object, "index")), 812);
        assert_true(json_string_length(json_object_get(object, "first")) >= 150);
        json_decref(object);
        log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "n1");
        text = captured(LOG_NODE_STARTED, fields, ARRAY_LENGTH(fields));
        assert_true(strlen(text) <= 8192);
        assert_non_null(strstr(text, " index=812\n"));
    }
}

static void test_many_fields_never_break_the_form(void **state) {
    static struct log_field fields[400];
    static char keys[400][8];
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        (void)snprintf(keys[i], sizeof keys[i], "key%03zu", i);
        fields[i] = LOG_TEXT(keys[i], "sixteen letters!");
    }
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    const char *text = captured(LOG_NODE_STARTED, fields, ARRAY_LENGTH(fields));
    assert_true(strlen(text) <= 8192);
    json_t *object = parsed(text);
    assert_string_equal(json_string_value(json_object_get(object, "key000")), "sixteen letters!");
    size_t there = json_object_size(object) - 5; /* time, level, node, event, left_out */
    assert_int_equal(json_integer_value(json_object_get(object, "left_out")),
                     ARRAY_LENGTH(fields) - there);
    json_decref(object);
}

static void test_levels_below_the_wanted_one_are_quiet(void **state) {
    struct log_field field = LOG_U64("n", 1);
    (void)state;
    /* Info, warning and error, as the catalogue says. */
    static const enum log_event events[] = {LOG_NODE_STARTED, LOG_CONFIG_WARNING, LOG_NODE_FAILED};
    for (unsigned level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
        log_configure(level, LOG_FORMAT_TEXT, "n1");
        for (unsigned i = 0; i < ARRAY_LENGTH(events); i++) {
            bool written = captured(events[i], &field, 1)[0] != '\0';
            assert_int_equal(written, LOG_LEVEL_INFO + i >= level);
        }
    }
}

static void test_the_catalogue_has_names(void **state) {
    (void)state;
    for (unsigned event = 0; event < LOG_EVENT_COUNT; event++) {
        const char *name = log_event_name(event);
        assert_true(name[0] >= 'A' && name[0] <= 'Z');
        for (unsigned other = 0; other < event; other++) {
            assert_string_not_equal(name, log_event_name(other));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_of_text),
        cmocka_unit_test(test_a_line_of_json),
        cmocka_unit_test(test_quotes_where_they_are_needed),
        cmocka_unit_test(test_hostile_text_stays_one_field),
        cmocka_unit_test(test_long_fields_are_cut),
        cmocka_unit_test(test_many_fields_never_break_the_form),
        cmocka_unit_test(test_levels_below_the_wanted_one_are_quiet),
        cmocka_unit_test(test_the_catalogue_has_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
