/* HTTPS checks: whom they trust, what they present, what name they ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "scene.h"
#include "tls_server.h"

static struct scene scene;
static char directory[] = "/tmp/noctua-probe-XXXXXX";

static const char *const files[] = {
    "ca.pem", "other.pem",  "good.pem",   "good.key",  "old.pem",   "old.key",   "ip.pem",
    "ip.key", "client.pem", "client.key", "alien.pem", "alien.key", "local.pem", "local.key"};

static int make_files(void **state) {
    (void)state;
    struct authority ours;
    struct authority other;
    if (mkdtemp(directory) == NULL || chdir(directory) != 0) {
        return -1;
    }
    authority_make(&ours, "ours");
    authority_make(&other, "other");
    authority_write(&ours, "ca.pem");
    authority_write(&other, "other.pem");
    authority_issue(&ours, "good.test", 1, "good");
    authority_issue(&ours, "good.test", -2, "old");
    authority_issue(&ours, "127.0.0.1", 1, "ip");
    authority_issue(&ours, "client", 1, "client");
    authority_issue(&other, "client", 1, "alien");
    authority_issue(&ours, "service.test", 1, "local");
    authority_finish(&ours);
    authority_finish(&other);
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        (void)unlink(files[i]);
    }
    return chdir("/") != 0 || rmdir(directory) != 0;
}

struct row {
    const char *what;
    const char *stem, *client_ca; /* the server's */
    const char *host, *ca_file, *client, *server_name;
    bool insecure;
    enum probe_result_code code;
    const char *sni; /* as the server saw it; NULL: it saw no request */
};

static const struct row rows[] = {
    {"trusted", "good", NULL, "good.test", "ca.pem", "", "", false, PROBE_OK, "good.test"},
    {"a trailing dot", "good", NULL, "good.test.", "ca.pem", "", "", false, PROBE_OK, "good.test"},
    {"an address", "ip", NULL, "127.0.0.1", "ca.pem", "", "", false, PROBE_OK, ""},
    {"another authority", "good", NULL, "good.test", "other.pem", "", "", false, PROBE_TLS_VERIFY,
     NULL},
    {"the machine's authorities", "good", NULL, "good.test", "", "", "", false, PROBE_TLS_VERIFY,
     NULL},
    {"expired", "old", NULL, "good.test", "ca.pem", "", "", false, PROBE_TLS_VERIFY, NULL},
    {"for another name", "good", NULL, "good2.test", "ca.pem", "", "", false, PROBE_TLS_VERIFY,
     NULL},
    {"name for an address", "good", NULL, "127.0.0.1", "ca.pem", "", "", false, PROBE_TLS_VERIFY,
     NULL},
    {"insecure", "old", NULL, "good2.test", "other.pem", "", "", true, PROBE_OK, "good2.test"},
    {"server name for a host", "local", NULL, "good.test", "ca.pem", "", "service.test", false,
     PROBE_OK, "service.test"},
    {"server name for an address", "local", NULL, "127.0.0.1", "ca.pem", "", "service.test", false,
     PROBE_OK, "service.test"},
    {"wrong server name", "good", NULL, "good.test", "ca.pem", "", "service.test", false,
     PROBE_TLS_VERIFY, NULL},
    {"client certificate", "good", "ca.pem", "good.test", "ca.pem", "client", "", false, PROBE_OK,
     "good.test"},
    {"client certificate missing", "good", "ca.pem", "good.test", "ca.pem", "", "", false,
     PROBE_TLS, NULL},
    {"client certificate of another", "good", "ca.pem", "good.test", "ca.pem", "alien", "", false,
     PROBE_TLS, NULL},
    {"client certificate that is not there", "good", "ca.pem", "good.test", "ca.pem", "none", "",
     false, PROBE_INTERNAL, NULL},
    {"authorities that are not there", "good", NULL, "good.test", "none.pem", "", "", false,
     PROBE_INTERNAL, NULL},
};

static void run_row(const struct row *row) {
    struct tls_server server = {.stem = row->stem, .client_ca = row->client_ca};
    char server_name[256];
    char request[1024];
    scene_open(&scene);
    scene_open_engine(&scene);
    tls_server_start(&server, "127.0.0.1", 0);
    struct probe_target target =
        scene_target(PROBE_TYPE_HTTPS, "web", "https://%s:%u/", row->host, server.port);
    target.timeout_ms = 5000;
    target.insecure = row->insecure;
    (void)TEXT_COPY(target.ca_file, row->ca_file);
    (void)TEXT_COPY(target.server_name, row->server_name);
    if (row->client[0] != '\0') {
        (void)snprintf(target.cert_file, sizeof target.cert_file, "%s.pem", row->client);
        (void)snprintf(target.key_file, sizeof target.key_file, "%s.key", row->client);
    }
    scene_configure(&scene, &target, 1);
    SCENE_WAIT(&scene, scene.record_count >= 3);
    tls_server_last(&server, server_name, request);
    for (uint32_t i = 0; i < scene.record_count; i++) {
        if (scene.records[i].code != row->code) {
            fail_msg("%s: %s, not %s", row->what, probe_result_text(scene.records[i].code),
                     probe_result_text(row->code));
        }
    }
    if (row->sni == NULL) {
        assert_int_equal(atomic_load(&server.request_count), 0);
    } else {
        char host[300];
        (void)snprintf(host, sizeof host, "\r\nHost: %.*s:%u\r\n", (int)strcspn(row->host, "\r"),
                       row->host, server.port);
        assert_string_equal(server_name, row->sni);
        if (row->host[strlen(row->host) - 1] != '.' && strstr(request, host) == NULL) {
            fail_msg("%s: %s", row->what, request);
        }
        /* Each probe checks the certificate anew. */
        assert_int_equal(atomic_load(&server.resumed_count), 0);
    }
    scene_close(&scene);
    tls_server_stop(&server);
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        run_row(&rows[i]);
    }
}

static void test_no_tls(void **state) {
    (void)state;
    struct tls_server plain = {.stem = "good", .plain = true};
    struct tls_server silent = {.stem = "good", .silent = true};
    scene_open(&scene);
    scene_open_engine(&scene);
    tls_server_start(&plain, "127.0.0.1", 0);
    tls_server_start(&silent, "127.0.0.1", 0);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTPS, "plain", "https://127.0.0.1:%u/", plain.port),
        scene_target(PROBE_TYPE_HTTPS, "silent", "https://127.0.0.1:%u/", silent.port),
    };
    targets[1].timeout_ms = 200;
    scene_configure(&scene, targets, 2);
    SCENE_WAIT(&scene, scene_result_count(&scene, "plain") >= 2);
    SCENE_WAIT(&scene, scene_result_count(&scene, "silent") >= 2);
    assert_int_equal(scene_last(&scene, "plain")->code, PROBE_TLS);
    assert_int_equal(scene_last(&scene, "silent")->code, PROBE_TIMEOUT);
    scene_close(&scene);
    tls_server_stop(&plain);
    tls_server_stop(&silent);
}

/* Two regions under one server name and port, kept alive in one shard: each check must reach its
 * own region. */
static void test_one_name_two_regions(void **state) {
    (void)state;
    struct tls_server east = {.stem = "local", .keeps = true};
    struct tls_server west = {.stem = "local", .keeps = true};
    scene_open(&scene);
    scene_open_engine(&scene);
    tls_server_start(&east, "127.0.0.1", 0);
    tls_server_start(&west, "127.0.0.2", east.port);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTPS, "east", "https://127.0.0.1:%u/east", east.port),
        scene_target(PROBE_TYPE_HTTPS, "west", "https://127.0.0.2:%u/west", east.port),
    };
    for (size_t i = 0; i < 2; i++) {
        (void)TEXT_COPY(targets[i].server_name, "service.test");
        (void)TEXT_COPY(targets[i].ca_file, "ca.pem");
        targets[i].keep_alive = true;
        targets[i].timeout_ms = 5000;
    }
    scene_configure(&scene, targets, 2);
    for (size_t i = 0; i < 2; i++) {
        SCENE_WAIT(&scene, scene_result_count(&scene, targets[i].check) >= 5);
        assert_int_equal(scene_last(&scene, targets[i].check)->code, PROBE_OK);
    }
    char name[256];
    char request[1024];
    tls_server_last(&east, name, request);
    assert_true(text_starts_with(request, "GET /east"));
    tls_server_last(&west, name, request);
    assert_true(text_starts_with(request, "GET /west"));
    assert_true(atomic_load(&east.request_count) >= 5 && atomic_load(&west.request_count) >= 5);
    assert_int_equal(atomic_load(&east.accept_count), 1);
    assert_int_equal(atomic_load(&west.accept_count), 1);
    scene_close(&scene);
    tls_server_stop(&east);
    tls_server_stop(&west);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_one_name_two_regions),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
