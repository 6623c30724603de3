#include "codec/command_codec.h"
#include "fill.h"
#include "mutate.h"
#include "spec_scene.h"

static void a_good_spec_is_read(void **state) {
    (void)state;
    enum error_code code = parse(good);
    print_findings();
    assert_int_equal(code, ERROR_OK);
    assert_int_equal(findings.count, 0);
    assert_int_equal(spec->region_count, 3);
    assert_string_equal(spec->regions[0].name, "us-east-1");
    assert_string_equal(spec->regions[0].risk_group, "america");
    assert_int_equal(spec->regions[0].max_active, 3);
    assert_int_equal(spec->regions[1].role, REGION_SERVE);
    assert_int_equal(spec->regions[2].role, REGION_WITNESS);
    assert_int_equal(spec->service_count, 1);
    const struct spec_service *s = &spec->services[0];
    assert_string_equal(s->name, "nocturnal");
    assert_string_equal(s->owner, "platform");
    assert_int_equal(s->mode, MODE_AUTO);
    assert_int_equal(s->home, 0);
    assert_int_equal(s->target_count, 1);
    assert_int_equal(s->targets[0], 1);
    assert_int_equal(s->rto_ms, 900000);
    assert_int_equal(s->check_count, 2);
    const struct spec_check *api = &s->checks[0];
    assert_int_equal(api->type, CHECK_HTTPS);
    assert_string_equal(api->url[0], "https://us-east-1.api.nocturnal.com/api/health");
    assert_string_equal(api->url[1], "https://us-west-2.api.nocturnal.com/api/health");
    assert_string_equal(api->url[2], ""); /* a witness serves nothing */
    assert_int_equal(api->expect_count, 1);
    assert_int_equal(api->expect[0].low, 200);
    assert_int_equal(api->expect[0].high, 200);
    assert_string_equal(api->match, "\"ok\":true");
    assert_int_equal(api->interval_ms, 2000);
    assert_int_equal(api->timeout_ms, 1000);
    assert_int_equal(api->fall, 3);
    assert_int_equal(api->rise, 2);
    assert_true(api->critical && api->keep_alive && !api->insecure);
    assert_int_equal(api->standby, STANDBY_UP);
    assert_int_equal(s->checks[1].type, CHECK_TCP);
    assert_false(s->checks[1].critical);
    assert_int_equal(s->checks[1].expect_count, 0);
    assert_int_equal(s->zone_count, 1);
    assert_string_equal(s->zones[0].id, "Z1234567890ABC");
    assert_string_equal(s->zones[0].role, "arn:aws:iam::111122223333:role/noctua-dns");
    assert_string_equal(s->zones[0].fence_name, "_noctua-nocturnal.nocturnal.com");
    assert_int_equal(s->record_count, 1);
    assert_int_equal(s->records[0].kind, RECORD_ALIAS);
    assert_string_equal(s->records[0].type, "A");
    assert_string_equal(s->records[0].value[1].text, "dualstack.web-2.us-west-2.elb.amazonaws.com");
    assert_int_equal(s->policy.confirm_ms, 30000);
    assert_int_equal(s->policy.cooldown_ms, 1800000);
    assert_int_equal(s->policy.max_moves, 2);
    assert_int_equal(s->policy.max_moves_window_ms, 86400000);
    assert_int_equal(s->policy.lease_ms, 0);
}

/* What is left out is what the page says that it is. */
static void a_short_spec_gets_the_defaults(void **state) {
    (void)state;
    enum error_code code = parse("version: 1\n"
                                 "regions:\n"
                                 "  a:\n"
                                 "  b:\n"
                                 "  c: {role: serve, risk_group: none}\n"
                                 "services:\n"
                                 "  s-1:\n"
                                 "    home: b\n"
                                 "    checks: {x: {url: 'http://$region.$service.test:81'}}\n");
    print_findings();
    assert_int_equal(code, ERROR_OK);
    assert_int_equal(findings.count, 0);
    const struct spec_service *s = &spec->services[0];
    assert_int_equal(s->mode, MODE_OBSERVE);
    assert_string_equal(s->owner, "");
    assert_string_equal(spec->regions[2].risk_group, "");
    assert_int_equal(s->target_count, 2);
    assert_int_equal(s->targets[0], 0);
    assert_int_equal(s->targets[1], 2);
    assert_string_equal(s->checks[0].url[2], "http://c.s-1.test:81");
    assert_int_equal(s->checks[0].expect[0].low, 200);
    assert_int_equal(s->checks[0].expect[0].high, 399);
    assert_int_equal(s->policy.confirm_ms, 30000);
    assert_int_equal(s->policy.cooldown_ms, 1800000);
    assert_int_equal(s->policy.max_moves, 2);
    assert_int_equal(s->policy.failback, FAILBACK_MANUAL);
    assert_int_equal(s->policy.foreign_change, FOREIGN_PAGE);
    assert_int_equal(s->zone_count, 0);
    assert_int_equal(s->rto_ms, 0);
}

static void every_form_is_read(void **state) {
    (void)state;
    enum error_code code =
        parse("version: 1\n"
              "regions: {a: {}, b: {}, c: {role: witness}}\n"
              "services:\n"
              "  s:\n"
              "    owner: none\n"
              "    mode: advise\n"
              "    home: a\n"
              "    checks:\n"
              "      web:\n"
              "        url: {a: 'https://127.0.0.1:8443/x', b: 'https://[::1]:8443/y?z=1'}\n"
              "        expect: [200, 204, 300-399]\n"
              "        interval: 200ms\n"
              "        timeout: 50ms\n"
              "        fall: 20\n"
              "        rise: 1\n"
              "        standby: skip\n"
              "        keep_alive: false\n"
              "        ca: /etc/ca.pem\n"
              "        cert: /etc/c.pem\n"
              "        key: /etc/c.key\n"
              "        server_name: web.test\n"
              "    dns:\n"
              "      - zone: Z1\n"
              "        role: arn:aws:iam::1:role/x\n"
              "        external_id: abc\n"
              "        fence: _f-$service.Example.COM.\n"
              "        records:\n"
              "          WWW.example.com.:\n"
              "            alias: {a: {name: x.example.net, zone_id: Z9}, b: d1.cloudfront.net}\n"
              "            types: [A, AAAA]\n"
              "          txt.example.com:\n"
              "            values: {a: [one, two], b: three}\n"
              "            type: TXT\n"
              "            ttl: 30s\n"
              "      - zone: Z2\n"
              "        mode: records\n"
              "        records:\n"
              "          api.example.org:\n"
              "            cname: {a: x.example.net, b: y.example.net}\n"
              "            routing: weighted\n"
              "            sets: {a: first, b: second}\n"
              "          old.example.org:\n"
              "            values: {a: 192.0.2.1, b: 192.0.2.2}\n"
              "            type: A\n"
              "            routing: failover\n"
              "    policy: {confirm: 10s, cooldown: 0, max_moves: 16/30d, failback: manual, "
              "foreign_change: page}\n");
    print_findings();
    assert_int_equal(code, ERROR_OK);
    assert_int_equal(findings.count, 0);
    const struct spec_service *s = &spec->services[0];
    const struct spec_check *web = &s->checks[0];
    assert_string_equal(web->url[1], "https://[::1]:8443/y?z=1");
    assert_int_equal(web->expect_count, 3);
    assert_int_equal(web->expect[2].low, 300);
    assert_int_equal(web->expect[2].high, 399);
    assert_int_equal(web->interval_ms, 200);
    assert_int_equal(web->standby, STANDBY_SKIP);
    assert_false(web->keep_alive);
    assert_string_equal(web->server_name, "web.test");
    assert_int_equal(s->zone_count, 2);
    assert_string_equal(s->zones[0].external_id, "abc");
    assert_string_equal(s->zones[0].fence_name, "_f-s.example.com");
    assert_string_equal(s->zones[1].fence_name, "_noctua-s.api.example.org");
    assert_int_equal(s->record_count, 5);
    assert_string_equal(s->records[0].name, "www.example.com");
    assert_string_equal(s->records[0].type, "A");
    assert_string_equal(s->records[1].type, "AAAA");
    assert_string_equal(s->records[1].value[0].text, "x.example.net");
    assert_string_equal(s->records[1].value[0].zone_id, "Z9");
    assert_string_equal(s->records[1].value[1].zone_id, "");
    assert_string_equal(s->records[2].value[0].text, "one\ntwo");
    assert_string_equal(s->records[2].value[1].text, "three");
    assert_int_equal(s->records[2].ttl_s, 30);
    assert_int_equal(s->records[3].zone, 1);
    assert_int_equal(s->records[3].kind, RECORD_CNAME);
    assert_string_equal(s->records[3].type, "CNAME");
    assert_int_equal(s->records[3].routing, ROUTING_WEIGHTED);
    assert_string_equal(s->records[3].value[1].set_identifier, "second");
    assert_int_equal(s->records[3].ttl_s, 60);
    assert_string_equal(s->records[4].value[1].set_identifier, "b");
    assert_int_equal(s->policy.max_moves, 16);
    assert_int_equal(s->policy.failback, FAILBACK_MANUAL);
    assert_int_equal(s->policy.foreign_change, FOREIGN_PAGE);
    /* It goes into the log as it is. */
    struct command command = {.kind = COMMAND_SPEC, .term = 1, .spec = {.spec = spec}};
    const struct command *commands[] = {&command};
    struct buffer bytes;
    buffer_init(&bytes, 0);
    assert_int_equal(codec_encode_batch(commands, 1, &bytes, NULL), ERROR_OK);
    struct command_batch batch;
    assert_int_equal(codec_decode_batch(bytes.data, bytes.size_bytes, &batch, NULL), ERROR_OK);
    assert_memory_equal(batch.commands[0]->spec.spec, spec, sizeof *spec);
    codec_batch_finish(&batch);
    buffer_finish(&bytes);
}

static void wildcards_are_names(void **state) {
    (void)state;
    static const char *const spellings[] = {"'*.Nocturnal.com.'", "'\\052.nocturnal.com'"};
    for (size_t i = 0; i < ARRAY_LENGTH(spellings); i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "        %s:\n", spellings[i]);
        struct row row = {"        nocturnal.com:\n", key, 0, 0, ""};
        char *text = change(&row);
        assert_int_equal(parse(text), ERROR_OK);
        free(text);
        assert_string_equal(spec->services[0].records[0].name, "*.nocturnal.com");
        assert_string_equal(spec->services[0].zones[0].fence_name,
                            "_noctua-nocturnal.nocturnal.com");
    }
}

static void text_values_in_quotes_are_checked(void **state) {
    (void)state;
    char longest[256];
    memset(longest, 'x', 255);
    longest[255] = '\0';
    static const struct {
        const char *format;
        bool fine;
    } table[] = {
        {"v=DKIM1; p=%s%.200s", true}, {"'\"%s\"'", true},     {"'\"%s\"  \"\\\"\\301\"'", true},
        {"'\"%sx\"'", false},          {"'\"%s\" x'", false},  {"'\"a\\\"'", false},
        {"'\"a\\30\"'", false},        {"'\"a\\303\"'", true},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        char value[600];
        char record[1200];
        (void)snprintf(value, sizeof value, table[i].format, longest, longest);
        (void)snprintf(record, sizeof record,
                       "          type: TXT\n          values: {us-east-1: a, us-west-2: %s}\n",
                       value);
        struct row row = {ALIAS, record, 0, 0, ""};
        char *text = change(&row);
        if ((parse(text) == ERROR_OK) != table[i].fine) {
            print_findings();
            print_message("%s\n", record);
            fail();
        }
        free(text);
    }
}

static void one_zone_is_one_batch(void **state) {
    (void)state;
    struct buffer text;
    buffer_init(&text, 0);
    for (int extra = 0; extra < 2; extra++) {
        buffer_clear(&text);
        buffer_append_text(&text, "version: 1\nregions: {a: {}, b: {}, c: {}}\nservices:\n  s:\n"
                                  "    home: a\n    checks: {x: {url: 'http://$region:1'}}\n"
                                  "    dns:\n      zone: Z1\n      records:\n");
        /* 10 x 3 + 2, and one more */
        for (int i = 0; i < 12 + extra; i++) {
            buffer_append_format(&text, "        r%d.x.org: {cname: {a: a.b, b: b.b, c: c.c}%s}\n",
                                 i, i < 10 ? ", routing: weighted" : "");
        }
        assert_int_equal(parse(text.data), extra == 0 ? ERROR_OK : ERROR_INVALID);
    }
    assert_int_equal(findings.count, 1);
    assert_non_null(
        strstr(findings.items[0].message, "33 record sets in zone Z1; one batch holds 32"));
    buffer_finish(&text);
}

static void many_mistakes_are_told_in_one_pass(void **state) {
    (void)state;
    assert_int_equal(parse("version: 1\n"
                           "regions: {a: {}, b: {rol: x}, c: {role: witness}}\n"
                           "services:\n"
                           "  one: {home: d, checks: {x: {url: 'http://$region/'}}}\n"
                           "  two: {home: a, checks: {y: {url: 'ftp://$region/', fall: 0}}}\n"
                           "  three: 5\n"),
                     ERROR_INVALID);
    struct buffer told;
    buffer_init(&told, 0);
    findings_format(&findings, &told);
    assert_string_equal(
        told.data,
        "nocturnal.yaml:2:22: error: unknown key 'rol'; did you mean 'role'?\n"
        "nocturnal.yaml:4:15: error: home: there is no region 'd'; the regions stand at the top, "
        "in "
        "`regions`\n"
        "nocturnal.yaml:5:36: error: url: 'ftp' can't be probed; there are http, https and tcp\n"
        "nocturnal.yaml:5:60: error: fall: '0' is not a whole number from 1 to 20\n"
        "nocturnal.yaml:6:10: error: three: keys and values are wanted here\n");
    buffer_finish(&told);
}

static void odd_texts_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "5",
        "[]",
        "version",
        "{",
        "a: b: c",
        "- version: 1",
        "version: 1\nregions:\nservices:\n",
        "version: 1\nregions: []\nservices: []\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        assert_int_equal(parse(texts[i]), ERROR_INVALID);
        assert_true(findings.error_count >= 1);
    }
    /* An empty bytes field of protobuf: nothing, at no place. */
    assert_int_equal(parse_bytes(NULL, 0), ERROR_INVALID);
    char *large = malloc(SPEC_TEXT_MAX + 1);
    assert_non_null(large);
    memset(large, ' ', SPEC_TEXT_MAX + 1);
    assert_int_equal(parse_bytes(large, SPEC_TEXT_MAX + 1), ERROR_INVALID);
    assert_non_null(strstr(findings.items[0].message, "at most 262144 are read"));
    free(large);
}

/* A finding quotes what was written, cut to a length: never within a character, which would make
 * the message no text for JSON. */
static void what_is_quoted_stays_text(void **state) {
    (void)state;
    for (unsigned shift = 0; shift < 4; shift++) {
        struct buffer text, told;
        buffer_init(&text, 0);
        buffer_init(&told, 0);
        buffer_append_text(&text, "version: 1\n");
        buffer_append(&text, "abcd", shift);
        for (unsigned i = 0; i < 40; i++) {
            buffer_append_text(&text, "\xf0\x9f\x98\x80");
        }
        buffer_append_text(&text, ": 1\n");
        assert_int_equal(parse_bytes(text.data, text.size_bytes), ERROR_INVALID);
        findings_format(&findings, &told);
        assert_non_null(strstr(told.data, "unknown key"));
        assert_true(text_is_utf8(told.data, told.size_bytes));
        buffer_finish(&text);
        buffer_finish(&told);
    }
}

static void limits_hold(void **state) {
    (void)state;
    struct buffer text;
    buffer_init(&text, 0);
    for (uint32_t count = SERVICE_MAX; count <= SERVICE_MAX + 1; count++) {
        buffer_clear(&text);
        buffer_append_text(&text, "version: 1\nregions: {a: {}, b: {}, c: {}}\nservices:\n");
        for (uint32_t i = 0; i < count; i++) {
            buffer_append_format(&text, "  s%u: {home: a, checks: {x: {url: 'http://$region/'}}}\n",
                                 i);
        }
        free(spec);
        spec = calloc(1, sizeof *spec);
        assert_int_equal(spec_parse(text.data, text.size_bytes, "f", spec, &findings),
                         count == SERVICE_MAX ? ERROR_OK : ERROR_INVALID);
    }
    assert_string_equal(findings.items[0].message, "more than 64 services");
    for (uint32_t count = CHECK_MAX; count <= CHECK_MAX + 1; count++) {
        buffer_clear(&text);
        buffer_append_text(&text, "version: 1\nregions: {a: {}, b: {}, c: {}}\n"
                                  "services: {s: {home: a, checks: {\n");
        for (uint32_t i = 0; i < count; i++) {
            buffer_append_format(&text, "  c%u: {url: 'http://$region/'},\n", i);
        }
        buffer_append_text(&text, "}}}\n");
        free(spec);
        spec = calloc(1, sizeof *spec);
        assert_int_equal(spec_parse(text.data, text.size_bytes, "f", spec, &findings),
                         count == CHECK_MAX ? ERROR_OK : ERROR_INVALID);
    }
    assert_string_equal(findings.items[0].message, "more than 32 checks");
    for (uint32_t count = REGION_MAX; count <= REGION_MAX + 1; count++) {
        buffer_clear(&text);
        buffer_append_text(&text, "version: 1\nservices: {}\nregions:\n");
        for (uint32_t i = 0; i < count; i++) {
            buffer_append_format(&text, "  r%u: {}\n", i);
        }
        assert_int_equal(parse(text.data), count == REGION_MAX ? ERROR_OK : ERROR_INVALID);
    }
    assert_string_equal(findings.items[0].message, "more than 16 regions");
    buffer_finish(&text);
}

static void damaged_specs_never_crash(void **state) {
    (void)state;
    uint64_t seed = 12;
    uint32_t accepted = 0;
    struct buffer bytes;
    buffer_init(&bytes, 0);
    for (uint32_t round = 0; round < 20000; round++) {
        size_t size;
        uint8_t *damaged = mutate_bytes(good, strlen(good), &seed, &size);
        enum error_code code = parse_bytes((const char *)damaged, size);
        assert_true(code == ERROR_OK || code == ERROR_INVALID);
        assert_int_equal(code == ERROR_OK, findings.error_count == 0);
        if (code == ERROR_OK) {
            /* Whatever is accepted can be committed. */
            struct command command = {
                .kind = COMMAND_SPEC,
                .term = 1,
                .spec = {.spec = spec, .text = (const char *)damaged, .text_size = (uint32_t)size}};
            const struct command *commands[] = {&command};
            struct error error;
            buffer_clear(&bytes);
            if (codec_encode_batch(commands, 1, &bytes, &error) != ERROR_OK) {
                fail_msg("%s", error.message);
            }
            accepted++;
        }
        free(damaged);
    }
    print_message("accepted %u of 20000\n", accepted);
    assert_in_range(accepted, 1, 19999);
    buffer_finish(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_spec_is_read),
        cmocka_unit_test(a_short_spec_gets_the_defaults),
        cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(wildcards_are_names),
        cmocka_unit_test(text_values_in_quotes_are_checked),
        cmocka_unit_test(one_zone_is_one_batch),
        cmocka_unit_test(many_mistakes_are_told_in_one_pass),
        cmocka_unit_test(odd_texts_are_refused),
        cmocka_unit_test(what_is_quoted_stays_text),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(damaged_specs_never_crash),
    };
    return cmocka_run_group_tests_name("spec", tests, make_spec, free_spec);
}
