/* The CA, and what tls_identity_load says about every kind of bad directory. */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "pki/pki.h"

enum { PATH_BYTES = 512 };

static int64_t shift_ms;

static uint64_t shifted_wall_ms(void *context) {
    (void)context;
    return (uint64_t)((int64_t)clock_wall_ms(&clock_system) + shift_ms);
}

static const struct clock shifted_clock = {.wall_ms = shifted_wall_ms};

static struct pki open_pki(const char *name) {
    static char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s", kit_directory(name));
    return (struct pki){.directory = path, .clock = &shifted_clock};
}

static const char *file(const char *directory, const char *name) {
    static char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", kit_directory(directory), name);
    return path;
}

static void copy(const char *from_directory, const char *from, const char *to_directory,
                 const char *to) {
    char bytes[16384];
    FILE *source = fopen(file(from_directory, from), "r");
    assert_non_null(source);
    size_t size = fread(bytes, 1, sizeof bytes, source);
    (void)fclose(source);
    FILE *target = fopen(file(to_directory, to), "w");
    assert_non_null(target);
    assert_int_equal(fwrite(bytes, 1, size, target), size);
    assert_int_equal(fchmod(fileno(target), 0600), 0);
    (void)fclose(target);
}

/* A fresh directory `to` with node n1's files. */
static void copy_node(const char *to) {
    (void)mkdir(kit_directory(to), 0700);
    copy("n1", "ca.pem", to, "ca.pem");
    copy("n1", "crl.pem", to, "crl.pem");
    copy("n1", "node.pem", to, "node.pem");
    copy("n1", "node.key", to, "node.key");
}

static void expect_load(const char *name, enum error_code code, const char *words) {
    struct tls_identity *identity = NULL;
    struct error error = {.message = ""};
    enum error_code got =
        tls_identity_load(kit_directory(name), TLS_KIND_NODE, "alpha", &identity, &error);
    if (got != code || (code != ERROR_OK && strstr(error.message, words) == NULL)) {
        print_error("%s: code %d (%s), wanted '%s'\n", name, (int)got, error.message, words);
        fail();
    }
    assert_true((identity != NULL) == (code == ERROR_OK));
    tls_identity_unref(identity);
}

static void test_load_good(void **state) {
    (void)state;
    copy_node("good");
    struct tls_identity *identity = kit_load("good", TLS_KIND_NODE);
    const struct tls_peer *self = tls_identity_self(identity);
    assert_int_equal(self->kind, TLS_KIND_NODE);
    assert_int_equal(self->role, TLS_ROLE_NONE);
    assert_string_equal(self->cluster, "alpha");
    assert_string_equal(self->name, "n1");
    uint64_t now_ms = clock_wall_ms(&clock_system);
    assert_int_equal(tls_identity_days_left(identity, now_ms), 9);
    assert_int_equal(tls_identity_days_left(identity, now_ms + UINT64_C(10) * KIT_DAY_MS), -1);
    struct tls_identity *again = tls_identity_ref(identity);
    tls_identity_unref(identity);
    assert_string_equal(tls_identity_self(again)->name, "n1");
    tls_identity_unref(again);
    tls_identity_unref(NULL);

    struct tls_identity *alice = kit_load("alice", TLS_KIND_USER);
    assert_int_equal(tls_identity_self(alice)->kind, TLS_KIND_USER);
    assert_int_equal(tls_identity_self(alice)->role, TLS_ROLE_OPERATOR);
    assert_string_equal(tls_identity_self(alice)->name, "alice");
    tls_identity_unref(alice);
}

static void test_load_bad_files(void **state) {
    static const char *const files[] = {"ca.pem", "node.pem", "node.key"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        copy_node("bad");
        assert_int_equal(unlink(file("bad", files[i])), 0);
        expect_load("bad", ERROR_NOT_FOUND, files[i]);
    }
    static const char *const all[] = {"ca.pem", "crl.pem", "node.pem", "node.key"};
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
        copy_node("bad");
        FILE *out = fopen(file("bad", all[i]), "w");
        (void)fputs("-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n", out);
        (void)fclose(out);
        expect_load("bad", ERROR_INVALID, all[i]);
    }
    copy_node("bad");
    assert_int_equal(unlink(file("bad", "crl.pem")), 0);
    expect_load("bad", ERROR_OK, "");
    copy_node("bad");
    assert_int_equal(chmod(file("bad", "node.key"), 0644), 0);
    expect_load("bad", ERROR_INVALID, "chmod 600");
}

static void test_load_bad_content(void **state) {
    (void)state;
    copy_node("bad");
    copy("n2", "node.key", "bad", "node.key");
    expect_load("bad", ERROR_INVALID, "node.key doesn't belong to node.pem");
    copy_node("bad");
    copy("foreign", "node.pem", "bad", "node.pem");
    expect_load("bad", ERROR_DENIED, "not signed by our CA");
    copy_node("bad");
    copy("foreign", "crl.pem", "bad", "crl.pem");
    expect_load("bad", ERROR_INVALID, "crl.pem: not signed");
    copy_node("bad");
    copy("n2", "node.pem", "bad", "ca.pem");
    expect_load("bad", ERROR_INVALID, "not a CA's");
    copy_node("bad");
    copy("alice", "user.pem", "bad", "node.pem");
    copy("alice", "user.key", "bad", "node.key");
    expect_load("bad", ERROR_INVALID, "user's certificate");
    copy_node("bad");
    copy("revoked", "node.pem", "bad", "node.pem");
    copy("revoked", "node.key", "bad", "node.key");
    expect_load("bad", ERROR_DENIED, "revoked");
    expect_load("expired", ERROR_DENIED, "expired");
    expect_load("beta", ERROR_INVALID, "cluster 'beta'");
    expect_load("no-such-directory", ERROR_NOT_FOUND, "ca.pem");
}

/* During a change of the CA both are believed. */
/* The file's other objects must not be lost in silence: one may be the list that revokes. */
static void test_load_damaged_behind_good(void **state) {
    static const struct {
        const char *name, *type;
    } files[] = {{"ca.pem", "CERTIFICATE"}, {"crl.pem", "X509 CRL"}, {"node.pem", "CERTIFICATE"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        copy_node("behind");
        FILE *to = fopen(file("behind", files[i].name), "a");
        assert_non_null(to);
        (void)fprintf(to, "-----BEGIN %s-----\nAAAA\n-----END %s-----\n", files[i].type,
                      files[i].type);
        assert_int_equal(fclose(to), 0);
        expect_load("behind", ERROR_INVALID, "is damaged");
    }
}

static void test_load_two_cas(void **state) {
    (void)state;
    copy_node("two");
    assert_int_equal(unlink(file("two", "crl.pem")), 0);
    FILE *to = fopen(file("two", "ca.pem"), "a");
    FILE *from = fopen(file("foreign", "ca.pem"), "r");
    for (int c = fgetc(from); c != EOF; c = fgetc(from)) {
        (void)fputc(c, to);
    }
    (void)fclose(from);
    (void)fclose(to);
    expect_load("two", ERROR_OK, "");
    copy("foreign", "node.pem", "two", "node.pem");
    copy("foreign", "node.key", "two", "node.key");
    expect_load("two", ERROR_OK, "");
}

static void test_uris(void **state) {
    static const struct {
        const char *uri;
        bool good;
    } table[] = {
        {"noctua://alpha/node/n1", true},
        {"noctua://alpha/user/alice?role=admin", true},
        {"noctua://alpha/user/alice?role=viewer", true},
        {"noctua://alpha/user/alice?role=operator&owner=platform", true},
        {"noctua://alpha/user/alice?role=operator&owner=platform&owner=web", true},
        {"noctua://alpha/user/alice?role=operator&owner=", false},
        {"noctua://alpha/user/alice?role=operator&owner=Web", false},
        {"noctua://alpha/user/alice?role=operator&owner=web,platform", false},
        {"noctua://alpha/user/alice?role=operator&owner=web&", false},
        {"noctua://alpha/user/alice?role=operator&other=web", false},
        {"noctua://alpha/user/alice?role=admin&owner=web", false},
        {"noctua://alpha/user/alice", false},
        {"noctua://alpha/user/alice?role=root", false},
        {"noctua://alpha/user/alice?role=", false},
        {"noctua://alpha/user/alice?role=adminx", false},
        {"noctua://alpha/user/alice?role=admin&x=1", false},
        {"noctua://alpha/user/?role=admin", false},
        {"noctua://alpha/node/", false},
        {"noctua://alpha/node/n1/", false},
        {"noctua://alpha/node/n1?role=admin", false},
        {"noctua://alpha/node/N1 ", false},
        {"noctua:///node/n1", false},
        {"noctua://alpha", false},
        {"noctua://alpha/other/n1", false},
        {"https://alpha/node/n1", false},
        {"", false},
    };
    struct error error;
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        struct tls_peer peer;
        bool good = tls_peer_parse_uri(table[i].uri, &peer, &error) == ERROR_OK;
        if (good != table[i].good) {
            fail_msg("%s", table[i].uri);
        }
    }
    struct tls_peer operator;
    assert_int_equal(
        tls_peer_parse_uri("noctua://alpha/user/a?role=operator&owner=platform&owner=web",
                           &operator, & error),
        ERROR_OK);
    assert_string_equal(operator.owners, "platform,web");
    assert_true(tls_owners_include(operator.owners, "web"));
    assert_true(tls_owners_include(operator.owners, "platform"));
    assert_false(tls_owners_include(operator.owners, "plat"));
    assert_false(tls_owners_include(operator.owners, "webs"));
    assert_false(tls_owners_include(operator.owners, ""));
    char long_name[300] = "noctua://alpha/node/";
    memset(long_name + strlen(long_name), 'n', 63);
    struct tls_peer peer;
    assert_int_equal(tls_peer_parse_uri(long_name, &peer, &error), ERROR_OK);
    long_name[strlen(long_name)] = 'n';
    assert_int_equal(tls_peer_parse_uri(long_name, &peer, &error), ERROR_INVALID);
}

static void test_pki_keeps_what_exists(void **state) {
    struct error error;
    struct stat status;
    char serial[PKI_SERIAL_SIZE];
    (void)state;
    struct pki pki = open_pki("fresh-ca");
    assert_int_equal(pki_issue_node(&pki, "n1", NULL, 0, 10, kit_directory("out"), NULL, &error),
                     ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, "pki init"));
    pki.cluster = "gamma";
    assert_int_equal(pki_init(&pki, 100, &error), ERROR_OK);
    assert_int_equal(pki_init(&pki, 100, &error), ERROR_EXISTS);
    assert_int_equal(stat(file("fresh-ca", "ca.key"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    pki.cluster = NULL;
    assert_int_equal(pki_issue_node(&pki, "n1", NULL, 0, 10, kit_directory("out"), serial, &error),
                     ERROR_OK);
    assert_int_equal(strlen(serial), 32);
    assert_int_equal(stat(file("out", "node.key"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(pki_issue_node(&pki, "n1", NULL, 0, 10, kit_directory("out"), NULL, &error),
                     ERROR_EXISTS);
    pki.overwrite = true;
    assert_int_equal(pki_issue_node(&pki, "n1", NULL, 0, 10, kit_directory("out"), NULL, &error),
                     ERROR_OK);
    struct tls_identity *identity = kit_load("out", TLS_KIND_NODE);
    assert_string_equal(tls_identity_self(identity)->cluster, "gamma");
    tls_identity_unref(identity);
    /* Never another CA's trust over the one there. */
    struct pki other = open_pki("ca");
    assert_int_equal(
        pki_issue_user(&other, "bob", "viewer", NULL, 0, 10, kit_directory("out"), NULL, &error),
        ERROR_EXISTS);
}

static void test_pki_refuses(void **state) {
    static const char *const bad_names[] = {"", "N1", "a b", "n1\n", "../n1", "-n1", NULL};
    static const char *const injections[] = {"x,URI:noctua://alpha/node/n9", "a b", "", ".x", "é"};
    struct error error;
    (void)state;
    struct pki pki = open_pki("ca");
    for (size_t i = 0; i < ARRAY_LENGTH(bad_names); i++) {
        assert_int_equal(
            pki_issue_node(&pki, bad_names[i], NULL, 0, 10, kit_directory("no"), NULL, &error),
            ERROR_INVALID);
        assert_int_equal(pki_issue_user(&pki, bad_names[i], "admin", NULL, 0, 10,
                                        kit_directory("no"), NULL, &error),
                         ERROR_INVALID);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(injections); i++) {
        assert_int_equal(
            pki_issue_node(&pki, "n1", &injections[i], 1, 10, kit_directory("no"), NULL, &error),
            ERROR_INVALID);
    }
    assert_int_equal(
        pki_issue_user(&pki, "bob", "root", NULL, 0, 10, kit_directory("no"), NULL, &error),
        ERROR_INVALID);
    assert_int_equal(pki_issue_node(&pki, "n1", NULL, 0, 0, kit_directory("no"), NULL, &error),
                     ERROR_INVALID);
    assert_int_equal(pki_issue_node(&pki, "n1", NULL, 0, 366, kit_directory("no"), NULL, &error),
                     ERROR_INVALID);
    assert_non_null(strstr(error.message, "outlive"));
    assert_int_equal(access(file("no", "node.pem"), F_OK), -1);
}

static void test_revocation(void **state) {
    struct error error;
    char serial[PKI_SERIAL_SIZE];
    (void)state;
    struct pki pki = open_pki("crl-ca");
    pki.cluster = "alpha";
    assert_int_equal(pki_init(&pki, 100, &error), ERROR_OK);
    assert_int_equal(pki_issue_node(&pki, "n1", NULL, 0, 10, kit_directory("x1"), serial, &error),
                     ERROR_OK);
    assert_int_equal(pki_issue_node(&pki, "n2", NULL, 0, 10, kit_directory("x2"), NULL, &error),
                     ERROR_OK);
    assert_int_equal(pki_revoke(&pki, serial, &error), ERROR_OK);
    assert_int_equal(pki_revoke(&pki, serial, &error), ERROR_EXISTS);
    copy("crl-ca", "crl.pem", "x1", "crl.pem");
    copy("crl-ca", "crl.pem", "x2", "crl.pem");
    expect_load("x1", ERROR_DENIED, "revoked");
    expect_load("x2", ERROR_OK, "");
    /* Both stay on the list when it is made again. */
    assert_int_equal(pki_revoke(&pki, file("x2", "node.pem"), &error), ERROR_OK);
    assert_int_equal(pki_crl(&pki, 0, &error), ERROR_OK);
    copy("crl-ca", "crl.pem", "x1", "crl.pem");
    copy("crl-ca", "crl.pem", "x2", "crl.pem");
    expect_load("x1", ERROR_DENIED, "revoked");
    expect_load("x2", ERROR_DENIED, "revoked");
    assert_int_equal(pki_revoke(&pki, "neither", &error), ERROR_INVALID);
    assert_int_equal(pki_revoke(&pki, file("n1", "node.pem"), &error), ERROR_INVALID);
    assert_non_null(strstr(error.message, "not signed by this CA"));
    /* A list that ran out refuses, and says what to do. */
    assert_int_equal(pki_issue_node(&pki, "n3", NULL, 0, 10, kit_directory("x3"), NULL, &error),
                     ERROR_OK);
    expect_load("x3", ERROR_OK, "");
    shift_ms = -INT64_C(5) * KIT_DAY_MS;
    assert_int_equal(pki_crl(&pki, 2, &error), ERROR_OK);
    shift_ms = 0;
    copy("crl-ca", "crl.pem", "x3", "crl.pem");
    expect_load("x3", ERROR_INVALID, "pki crl");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_good),
        cmocka_unit_test(test_load_bad_files),
        cmocka_unit_test(test_load_bad_content),
        cmocka_unit_test(test_load_damaged_behind_good),
        cmocka_unit_test(test_load_two_cas),
        cmocka_unit_test(test_uris),
        cmocka_unit_test(test_pki_keeps_what_exists),
        cmocka_unit_test(test_pki_refuses),
        cmocka_unit_test(test_revocation),
    };
    return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
