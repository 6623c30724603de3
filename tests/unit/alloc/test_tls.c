/* A node's TLS identity that is read, when memory runs out in the middle. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "failing.h"
#include "net/tls.h"
#include "pki/pki.h"

#define CRL_DAYS 5

static char directory[64];
static char path[96];

/* Without memory OpenSSL doesn't always say so: then a file seems to be wrong, never right. */
static bool identity(void) {
    struct tls_identity *made = NULL;
    struct error error;
    enum error_code code = tls_identity_load(path, TLS_KIND_NODE, "prod", &made, &error);
    bool done = code == ERROR_OK;
    if (done) {
        assert_string_equal(tls_identity_self(made)->name, "n1");
        /* The list ends first: so it was read. */
        assert_true(tls_identity_days_left(made, clock_wall_ms(&clock_system)) < CRL_DAYS);
    } else {
        assert_null(made);
    }
    tls_identity_unref(made);
    return done;
}

static void test_identity(void **state) {
    (void)state;
    /* OpenSSL 3.0 loses a piece of a certificate that it can't read to its end. */
    assert_true(check_leaky_scenario("an identity", identity) > 100);
}

static int set_up(void **state) {
    struct error error;
    char ca[96];
    (void)state;
    (void)snprintf(directory, sizeof directory, "/tmp/noctua-alloc-XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(ca, sizeof ca, "%s/ca", directory);
    (void)snprintf(path, sizeof path, "%s/n1", directory);
    struct pki pki = {.directory = ca, .cluster = "prod", .clock = &clock_system};
    assert_int_equal(pki_init(&pki, 100, &error), ERROR_OK);
    assert_int_equal(pki_crl(&pki, CRL_DAYS, &error), ERROR_OK);
    assert_int_equal(pki_issue_node(&pki, "n1", NULL, 0, 30, path, NULL, &error), ERROR_OK);
    return 0;
}

static int remove_one(const char *name, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    (void)where;
    return remove(name);
}

static int tear_down(void **state) {
    (void)state;
    return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_identity)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
