/* -o yaml says the same as -o json: what is written is read back, as a reader of YAML 1.1 takes it
 * (the strictest test: that one knows the most words that aren't texts). */
#include "client_test.h"

#include <math.h>
#include <strings.h>
#include <yaml.h>

#include "render.h"

/* --- a small reader --- */

static json_t *number_of(const char *text) {
    char *end;
    if (text[0] == '\0' || strchr("0123456789+-.", text[0]) == NULL) {
        return NULL;
    }
    long long whole = strtoll(text, &end, 0);
    if (*end == '\0') {
        return json_integer(whole);
    }
    double real = strtod(text, &end);
    return *end == '\0' && isfinite(real) ? json_real(real) : json_string("not what was written");
}

static json_t *scalar_of(const yaml_event_t *event) {
    static const char *const yes[] = {"true", "yes", "on", "y"};
    static const char *const no[] = {"false", "no", "off", "n"};
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return json_string(text);
    }
    if (text[0] == '\0' || text_equal(text, "~") || strcasecmp(text, "null") == 0) {
        return json_null();
    }
    for (size_t i = 0; i < ARRAY_LENGTH(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            return json_boolean(strcasecmp(text, yes[i]) == 0);
        }
    }
    if (text_equal(text, "=") || text_equal(text, "<<")) {
        return json_string("a word of YAML's own");
    }
    json_t *number = number_of(text);
    return number != NULL ? number : json_string(text);
}

static void next_event(yaml_parser_t *parser, yaml_event_t *event) {
    if (yaml_parser_parse(parser, event) == 0) {
        fail_msg("no YAML: %s in line %zu", parser->problem, parser->problem_mark.line + 1);
    }
}

static json_t *value_of(yaml_parser_t *parser, yaml_event_t *event) {
    json_t *value = NULL;
    yaml_event_t part;
    if (event->type == YAML_SCALAR_EVENT) {
        value = scalar_of(event);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        value = json_array();
        for (next_event(parser, &part); part.type != YAML_SEQUENCE_END_EVENT;
             next_event(parser, &part)) {
            assert_int_equal(json_array_append_new(value, value_of(parser, &part)), 0);
        }
        yaml_event_delete(&part);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        value = json_object();
        for (next_event(parser, &part); part.type != YAML_MAPPING_END_EVENT;
             next_event(parser, &part)) {
            json_t *key = value_of(parser, &part);
            assert_true(json_is_string(key)); /* a key that is read as a number is another key */
            next_event(parser, &part);
            assert_int_equal(
                json_object_set_new(value, json_string_value(key), value_of(parser, &part)), 0);
            json_decref(key);
        }
        yaml_event_delete(&part);
    } else {
        fail_msg("unexpected event %d", event->type);
    }
    yaml_event_delete(event);
    return value;
}

static json_t *read_yaml(const char *text) {
    yaml_parser_t parser;
    yaml_event_t event;
    assert_int_equal(yaml_parser_initialize(&parser), 1);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    do {
        next_event(&parser, &event);
    } while (event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_START_EVENT);
    json_t *value = value_of(&parser, &event);
    next_event(&parser, &event);
    assert_int_equal(event.type, YAML_DOCUMENT_END_EVENT);
    yaml_event_delete(&event);
    yaml_parser_delete(&parser);
    return value;
}

static void check(const json_t *document) {
    char *text = printed(document, render_yaml);
    json_t *back = read_yaml(text);
    if (!json_equal(document, back)) {
        char *wanted = json_dumps(document, JSON_ENCODE_ANY);
        char *got = json_dumps(back, JSON_ENCODE_ANY);
        fail_msg("%s was written as\n%s\nand read as %s", wanted, text, got);
    }
    json_decref(back);
    free(text);
}

/* --- */

static void test_documents(void **state) {
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"a\": {}, \"b\": [], \"c\": [[], {}, [1, [2]]]}",
        "{\"nodes\": [{\"name\": \"n1\", \"lag_ms\": null, \"seen\": true}, {\"name\": \"n2\"}]}",
        "[0, -1, 9223372036854775807, -9223372036854775808]",
        "[0.1, 1.5, -0.25, 1e300, 123456789.125, 1e20, 5e-324]",
        "\"a text alone\"",
        "null",
        "true",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        json_t *document = json_of(texts[i]);
        check(document);
        json_decref(document);
    }
}

/* Texts that a reader would take for something else, as values, in lists, and as keys. */
static void test_texts_stay_texts(void **state) {
    static const char *const texts[] = {
        "",
        " ",
        "  two  ",
        "null",
        "Null",
        "NULL",
        "~",
        "true",
        "False",
        "yes",
        "No",
        "ON",
        "off",
        "y",
        "N",
        "1",
        "-1",
        "+1",
        "1.5",
        ".5",
        "0x1F",
        "010",
        "1e3",
        "1_000",
        ".inf",
        "-.inf",
        ".nan",
        "2026-11-23",
        "2026-11-23T03:07:41.204Z",
        "03:07",
        "=",
        "<<",
        "-",
        "- a",
        "-a",
        "?",
        "? a",
        ":",
        "a: b",
        "a:",
        ":a",
        "a #b",
        "#a",
        "&a",
        "*a",
        "!a",
        "!!str a",
        "|",
        ">",
        "|-",
        "@a",
        "`a",
        "%a",
        "{a",
        "}a",
        "[a",
        "]a",
        ",a",
        "a, b",
        "'a'",
        "\"a\"",
        "it's",
        "say \"no\"",
        "back\\slash",
        "---",
        "...",
        "--- a",
        "line\nbreak",
        "\nfirst",
        "last\n",
        "two\n\nlines\n",
        "tab\tbed",
        " leading",
        "trailing ",
        "\t",
        "z\xc3\xbcrich",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "\xc2\x85",
        "\xe2\x80\xa8",
        "\xef\xbb\xbf",
        "\x01\x1b[2J",
        "\x7f",
        "192.0.2.1 -> 192.0.2.2",
        "us-east-1",
        "prod/nocturnal/5.2/1",
        "void(prod/nocturnal/5.2/1)",
        "Gates: 14 of 14 pass.",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        json_t *document = json_object();
        assert_int_equal(json_object_set_new(document, "value", json_string(texts[i])), 0);
        json_t *list = json_pack("[s, s]", texts[i], texts[i]);
        assert_non_null(list);
        assert_int_equal(json_object_set_new(document, "list", list), 0);
        assert_int_equal(json_object_set_new(document, texts[i], json_true()), 0);
        check(document);
        json_decref(document);
    }
}

static void test_long_texts_stay_on_their_line(void **state) {
    char text[2000];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 10 == 9 ? ' ' : 'x';
    }
    text[sizeof text - 1] = '\0';
    json_t *document = json_pack("{s: s}", "words", text);
    char *yaml = printed(document, render_yaml);
    assert_ptr_equal(strchr(yaml, '\n'), yaml + strlen(yaml) - 1);
    free(yaml);
    check(document);
    json_decref(document);
}

/* Any text at all. */
static void test_every_character(void **state) {
    (void)state;
    for (unsigned c = 1; c < 0x300; c++) {
        char text[16];
        if (c < 0x80) {
            (void)snprintf(text, sizeof text, "%cx%c", (char)c, (char)c);
        } else {
            (void)snprintf(text, sizeof text, "%c%cx", (char)(0xc0 | c >> 6),
                           (char)(0x80 | (c & 0x3f)));
        }
        json_t *document = json_pack("{s: s}", "value", text);
        check(document);
        json_decref(document);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_texts_stay_texts),
        cmocka_unit_test(test_long_texts_stay_on_their_line),
        cmocka_unit_test(test_every_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
