/* Entries, snapshots, reports, specs and configurations, when memory runs out in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/command_codec.h"
#include "codec/config.h"
#include "codec/findings.h"
#include "codec/lease_codec.h"
#include "codec/report_codec.h"
#include "codec/spec_yaml.h"
#include "codec/state_codec.h"
#include "failing.h"
#include "fill.h"
#include "noctua.pb-c.h"
#include "state_scene.h"
#include "tables.h"

static const char spec_text[] =
    "version: 1\n"
    "regions:\n"
    "  us-east-1: {}\n"
    "  us-west-2: {}\n"
    "  eu-west-1: {role: witness}\n"
    "services:\n"
    "  web:\n"
    "    owner: team\n"
    "    home: us-east-1\n"
    "    targets: [us-west-2]\n"
    "    checks:\n"
    "      api: {url: \"http://$region.example.com/health\"}\n"
    "    dns:\n"
    "      zone: Z1234567890ABC\n"
    "      records:\n"
    "        web.example.com:\n"
    "          cname: {us-east-1: east.example.com, us-west-2: west.example.com}\n"
    "    policy: {confirm: 5s}\n";

static const char config_text[] = "cluster: prod\n"
                                  "node: n1\n"
                                  "region: us-east-1\n"
                                  "data: /var/lib/noctua\n"
                                  "tls: /etc/noctua/tls\n"
                                  "peers:\n"
                                  "  n1: 192.0.2.1:7600\n"
                                  "  n2: 192.0.2.2:7600\n"
                                  "  n3: 192.0.2.3:7600\n";

static struct command command; /* of the present kind */
static struct report report;
static struct report report_back;
static struct lease_answer lease, lease_back;
static struct state *state, *state_back;
static struct spec *spec;
static struct node_config config;
static struct spec_findings findings;

static bool is_memory(enum error_code code, const struct error *error) {
    if (code != ERROR_OK && code != ERROR_NO_MEMORY) {
        fail_msg("%s", error->message);
    }
    return code == ERROR_OK;
}

static bool commands(void) {
    const struct command *const list[] = {&command, &command};
    struct command_batch batch = {0};
    struct buffer bytes;
    struct error error;
    buffer_init(&bytes, 0);
    bool done = is_memory(codec_encode_batch(list, 2, &bytes, &error), &error) &&
                is_memory(codec_decode_batch(bytes.data, bytes.size_bytes, &batch, &error), &error);
    if (done) {
        assert_int_equal(batch.count, 2);
        assert_int_equal(batch.commands[1]->kind, command.kind);
    }
    codec_batch_finish(&batch);
    buffer_finish(&bytes);
    return done;
}

static bool reports(void) {
    struct buffer bytes;
    struct error error;
    buffer_init(&bytes, 0);
    bool done =
        is_memory(codec_encode_report(&report, &bytes, &error), &error) &&
        is_memory(codec_decode_report(bytes.data, bytes.size_bytes, &report_back, &error), &error);
    buffer_finish(&bytes);
    return done;
}

static bool leases(void) {
    struct buffer bytes;
    struct error error;
    buffer_init(&bytes, 0);
    bool done =
        is_memory(codec_encode_lease(&lease, &bytes, &error), &error) &&
        is_memory(codec_decode_lease(bytes.data, bytes.size_bytes, &lease_back, &error), &error);
    buffer_finish(&bytes);
    return done;
}

static bool states(void) {
    struct buffer bytes;
    struct error error;
    buffer_init(&bytes, 0);
    bool done =
        is_memory(codec_encode_state(state, &bytes, &error), &error) &&
        is_memory(codec_decode_state(bytes.data, bytes.size_bytes, state_back, false, &error),
                  &error);
    buffer_finish(&bytes);
    return done;
}

static bool specs(void) {
    memset(spec, 0, sizeof *spec);
    findings_init(&findings, "spec.yaml");
    enum error_code code =
        spec_parse(spec_text, sizeof spec_text - 1, "spec.yaml", spec, &findings);
    if (code != ERROR_OK && code != ERROR_NO_MEMORY) {
        fail_msg("%s", findings.error_count > 0 ? findings.items[0].message : "no finding");
    }
    return code == ERROR_OK;
}

static bool configs(void) {
    findings_init(&findings, "noctuad.yaml");
    enum error_code code =
        config_parse(config_text, sizeof config_text - 1, "noctuad.yaml", &config, &findings);
    if (code != ERROR_OK && code != ERROR_NO_MEMORY) {
        fail_msg("%s", findings.error_count > 0 ? findings.items[0].message : "no finding");
    }
    return code == ERROR_OK;
}

static bool schemas(void) {
    struct buffer out;
    buffer_init(&out, 0);
    spec_print_schema(&out);
    bool done = !out.failed;
    buffer_finish(&out);
    return done;
}

static void test_commands(void **test_state) {
    (void)test_state;
    for (unsigned kind = COMMAND_NODES; kind < COMMAND_KIND_END; kind++) {
        uint64_t seed = kind;
        if (kind == COMMAND_SPEC || command_table(kind) == NULL) {
            continue;
        }
        memset(&command, 0, sizeof command);
        command.kind = (enum command_kind)kind;
        command.term = 7;
        command.wall_ms = 1790000000000;
        if (command_is_by_person(command.kind)) {
            fill_struct(&origin_table, &command.origin, 3, &seed);
        }
        fill_struct(command_table(kind), &command.nodes, 3, &seed);
        (void)check_scenario(command_kind_text(command.kind), commands);
    }
    memset(&command, 0, sizeof command);
    uint64_t seed = 5;
    command.kind = COMMAND_SPEC;
    command.term = 7;
    command.wall_ms = 1790000000000;
    fill_struct(&origin_table, &command.origin, 3, &seed);
    memset(spec, 0, sizeof *spec);
    fill_struct(&spec_table, spec, 2, &seed);
    command.spec.spec = spec;
    command.spec.text = "version: 1\n";
    command.spec.text_size = 11;
    (void)check_scenario("spec", commands);
}

static void test_state(void **test_state) {
    (void)test_state;
    state = state_scene_create(1, 4);
    assert_true(check_scenario("state", states) > 4);
}

static void test_report(void **test_state) {
    uint64_t seed = 3;
    (void)test_state;
    fill_struct(&report_head_table, &report, 3, &seed);
    assert_true(check_scenario("report", reports) > 0);
}

static void test_lease(void **test_state) {
    uint64_t seed = 4;
    (void)test_state;
    fill_struct(&lease_answer_table, &lease, 3, &seed);
    lease.version = LEASE_ANSWER_VERSION;
    assert_true(check_scenario("lease", leases) > 0);
}

static void test_spec(void **test_state) {
    (void)test_state;
    assert_true(check_scenario("spec text", specs) > 100);
}

static void test_config(void **test_state) {
    (void)test_state;
    assert_true(check_scenario("configuration", configs) > 50);
}

static void test_schema(void **test_state) {
    (void)test_state;
    assert_true(check_scenario("schema", schemas) > 0);
}

static int set_up(void **test_state) {
    (void)test_state;
    state_back = calloc(1, sizeof *state_back);
    spec = calloc(1, sizeof *spec);
    return state_back == NULL || spec == NULL;
}

static int tear_down(void **test_state) {
    (void)test_state;
    free(state);
    free(state_back);
    free(spec);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands), cmocka_unit_test(test_state),
        cmocka_unit_test(test_report),   cmocka_unit_test(test_lease),
        cmocka_unit_test(test_spec),     cmocka_unit_test(test_config),
        cmocka_unit_test(test_schema),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
