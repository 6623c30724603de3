/* Tables, cells and fields of documents. */
#include "client_test.h"

#include "render.h"

/* Fills a table of two columns with these rows, NULL ends them. */
static char *table_of(const char *const (*rows)[2], size_t count) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct table table;
    assert_non_null(out);
    table_init(&table, 2);
    for (size_t i = 0; i < count; i++) {
        table_add(&table, rows[i]);
    }
    table_print(&table, out);
    table_finish(&table);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_columns_are_as_wide_as_they_must(void **state) {
    static const char *const rows[][2] = {
        {"NAME", "VALUE"}, {"nocturnal", "1"}, {"x", "a long last one"}, {"", NULL}};
    (void)state;
    char *text = table_of(rows, ARRAY_LENGTH(rows));
    assert_string_equal(text, "NAME       VALUE\n"
                              "nocturnal  1\n"
                              "x          a long last one\n"
                              "-          -\n");
    free(text);
}

static char *table_on(const struct screen *screen) {
    static const char *const rows[][3] = {
        {"SERVICE", "STATE", "WHY"},
        {"z\xc3\xbcrich-and-more", "blocked", "a sentence that is too long for it"},
        {"x", "ok", "short"}};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct table table;
    assert_non_null(out);
    table_init(&table, 3);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        table_add(&table, rows[i]);
    }
    table_print_on(&table, screen, out);
    table_finish(&table);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_a_narrow_screen(void **state) {
    (void)state;
    char *text = table_on(&(struct screen){.width = 40});
    assert_string_equal(text,
                        "SERVICE         STATE    WHY\n"
                        "z\xc3\xbcrich-and-mo\xe2\x80\xa6  blocked  a sentence tha\xe2\x80\xa6\n"
                        "x               ok       short\n");
    free(text);
    text = table_on(&(struct screen){.width = 1}); /* as narrow as it gets */
    assert_non_null(
        strstr(text, "z\xc3\xbcric\xe2\x80\xa6  block\xe2\x80\xa6  a sen\xe2\x80\xa6\n"));
    free(text);
}

/* Only what is a word of its own has a colour, and the heads have none. */
static void test_colours(void **state) {
    (void)state;
    char *text = table_on(&(struct screen){.colour = true});
    assert_non_null(strstr(text, "  \033[1;31mblocked\033[0m  a sentence"));
    assert_non_null(strstr(text, "  \033[32mok\033[0m       short\n"));
    assert_int_equal(strncmp(text, "SERVICE", 7), 0);
    free(text);
    text = table_on(&(struct screen){0});
    assert_null(strchr(text, '\033'));
    free(text);
}

/* Characters are counted, not bytes. */
static void test_columns_of_other_letters(void **state) {
    static const char *const rows[][2] = {{"z\xc3\xbcrich", "1"},
                                          {"\xe2\x82\xac", "2"},
                                          {"\xf0\x9f\x98\x80-abc", "3"},
                                          {"zurich", "4"}};
    (void)state;
    char *text = table_of(rows, ARRAY_LENGTH(rows));
    assert_string_equal(text, "z\xc3\xbcrich  1\n"
                              "\xe2\x82\xac       2\n"
                              "\xf0\x9f\x98\x80-abc   3\n"
                              "zurich  4\n");
    free(text);
}

/* A person's reason may hold a line break; a row stays a row, and a terminal is not steered. */
static void test_cells_cant_break_the_table(void **state) {
    static const char *const rows[][2] = {{"a\nb", "c\td"}, {"e\x1b[2Jf", "g\rh\x7f"}};
    (void)state;
    char *text = table_of(rows, ARRAY_LENGTH(rows));
    assert_string_equal(text, "a b     c d\n"
                              "e [2Jf  g h \n");
    free(text);
}

static void test_an_empty_table(void **state) {
    (void)state;
    char *text = table_of(NULL, 0);
    assert_string_equal(text, "");
    free(text);
}

static void test_durations(void **state) {
    static const struct {
        json_int_t ms;
        const char *text;
    } rows[] = {
        {0, "0ms"},
        {99, "99ms"},
        {100, "0.1s"},
        {400, "0.4s"},
        {999, "0.9s"},
        {1000, "1.0s"},
        {9999, "9.9s"},
        {10000, "10s"},
        {39000, "39s"},
        {119999, "119s"},
        {120000, "2m00s"},
        {130000, "2m10s"},
        {7199999, "119m59s"},
        {7200000, "2h00m"},
        {172799999, "47h59m"},
        {172800000, "2d"},
        {INT64_MAX, "106751991167d"},
        {-1, "-"},
        {INT64_MIN, "-"},
    };
    char cell[CELL_SIZE];
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        json_t *value = json_integer(rows[i].ms);
        assert_ptr_equal(cell_duration(value, cell), cell);
        assert_string_equal(cell, rows[i].text);
        json_decref(value);
    }
    static const char *const others[] = {"null", "\"5s\"", "1.5", "true", "[]", "{}"};
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        json_t *value = json_of(others[i]);
        assert_string_equal(cell_duration(value, cell), "-");
        json_decref(value);
    }
    assert_string_equal(cell_duration(NULL, cell), "-");
}

static void test_fields_forgive(void **state) {
    json_t *object =
        json_of("{\"t\": \"x\", \"n\": 7, \"m\": -7, \"b\": true, \"z\": null, \"l\": []}");
    char cell[CELL_SIZE];
    (void)state;
    assert_string_equal(field_text(object, "t"), "x");
    assert_string_equal(field_text(object, "n"), "");
    assert_string_equal(field_text(object, "none"), "");
    assert_string_equal(field_text(NULL, "t"), "");
    assert_int_equal(field_u64(object, "n"), 7);
    assert_int_equal(field_u64(object, "m"), 0);
    assert_int_equal(field_u64(object, "t"), 0);
    assert_int_equal(field_u64(NULL, "n"), 0);
    assert_true(field_true(object, "b"));
    assert_false(field_true(object, "n"));
    assert_false(field_true(NULL, "b"));
    assert_true(field_is_null(object, "z"));
    assert_true(field_is_null(object, "none"));
    assert_true(field_is_null(NULL, "z"));
    assert_false(field_is_null(object, "b"));
    assert_string_equal(cell_u64(UINT64_MAX, cell), "18446744073709551615");
    json_decref(object);
}

static void test_json_is_the_same_document(void **state) {
    json_t *document = json_of("{\"b\": [1, null, \"\\u00e9\\n\"], \"a\": {}}");
    (void)state;
    char *text = printed(document, render_json);
    assert_int_equal(text[strlen(text) - 1], '\n');
    json_t *back = json_of(text);
    assert_true(json_equal(document, back));
    json_decref(back);
    json_decref(document);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_as_wide_as_they_must),
        cmocka_unit_test(test_columns_of_other_letters),
        cmocka_unit_test(test_a_narrow_screen),
        cmocka_unit_test(test_colours),
        cmocka_unit_test(test_cells_cant_break_the_table),
        cmocka_unit_test(test_an_empty_table),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_fields_forgive),
        cmocka_unit_test(test_json_is_the_same_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
