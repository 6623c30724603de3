/* The data directory: what is refused and in which words; the boot counter; the high-water mark;
 * and an entry of the log as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "entry.h"
#include "group.h"
#include "mark.h"
#include "storage.h"

static const struct group_options one_node = {.count = 1};

static void path_of(const struct group *group, const char *name, char path[PATH_MAX]) {
    (void)snprintf(path, PATH_MAX, "%s/%s", group->nodes[0].directory, name);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void read_file(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    (void)fclose(file);
}

static void assert_refused(struct group *group, enum error_code code, const char *words) {
    struct error error = {0};
    assert_int_equal(group_start_node(group, 0, &error), code);
    if (strstr(error.message, words) == NULL) {
        fail_msg("'%s' says nothing of '%s'", error.message, words);
    }
    assert_null(group->nodes[0].replica);
}

static void test_not_bootstrapped(void **state) {
    struct group group;
    (void)state;
    group_init(&group, &one_node);
    assert_refused(&group, ERROR_NOT_FOUND, "run 'noctuad bootstrap' once");
    assert_int_equal(mkdir(group.nodes[0].directory, 0700), 0);
    assert_refused(&group, ERROR_NOT_FOUND, "run 'noctuad bootstrap' once");
    char path[PATH_MAX];
    path_of(&group, "photo.jpg", path);
    write_file(path, "x");
    assert_refused(&group, ERROR_CORRUPT, "not a data directory");
    struct error error;
    struct replica_peer peer = {group.nodes[0].id, "n1", "127.0.0.1", 1};
    assert_int_equal(
        replica_bootstrap(group.nodes[0].directory, GROUP_CLUSTER, "n1", &peer, 1, &error),
        ERROR_EXISTS);
    assert_non_null(strstr(error.message, "not empty"));
    assert_int_equal(replica_prepare_join(group.nodes[0].directory, GROUP_CLUSTER, "n1", &error),
                     ERROR_EXISTS);
    group_finish(&group);
}

static void test_bootstrap_is_once(void **state) {
    struct group group;
    struct error error;
    struct replica_peer peer;
    (void)state;
    group_init(&group, &one_node);
    group_bootstrap(&group);
    memset(&peer, 0, sizeof peer);
    peer.id = group.nodes[0].id;
    (void)TEXT_COPY(peer.name, "n1");
    assert_int_equal(
        replica_bootstrap(group.nodes[0].directory, GROUP_CLUSTER, "n1", &peer, 1, &error),
        ERROR_EXISTS);
    assert_int_equal(
        replica_bootstrap(group.nodes[0].directory, GROUP_CLUSTER, "n2", &peer, 1, &error),
        ERROR_INVALID);
    group_finish(&group);
}

static void test_locked(void **state) {
    struct group group;
    struct storage storage;
    struct error error;
    (void)state;
    group_init(&group, &one_node);
    group_bootstrap(&group);
    assert_int_equal(storage_open(&storage, group.nodes[0].directory, GROUP_CLUSTER, "n1",
                                  group.nodes[0].id, &error),
                     ERROR_OK);
    char words[64];
    (void)snprintf(words, sizeof words, "in use by process %d", (int)getpid());
    assert_refused(&group, ERROR_CONFLICT, words);
    storage_close(&storage);
    /* A lock file that a dead process left is no obstacle. */
    char path[PATH_MAX];
    path_of(&group, "lock", path);
    write_file(path, "1\n");
    assert_int_equal(group_start_node(&group, 0, &error), ERROR_OK);
    group_finish(&group);
}

/* `from` in meta becomes `to`. */
static void edit_meta(struct group *group, const char *from, const char *to) {
    char path[PATH_MAX];
    char text[2048];
    char edited[4096];
    path_of(group, "meta", path);
    read_file(path, text, sizeof text);
    char *at = strstr(text, from);
    assert_non_null(at);
    (void)snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - text), text, to,
                   at + strlen(from));
    write_file(path, edited);
}

static void test_foreign_newer_damaged(void **state) {
    static const struct {
        const char *from, *to;
        enum error_code code;
        const char *words;
    } cases[] = {
        {"noctua-data 1\n", "noctua-data 2\n", ERROR_UNSUPPORTED, "upgrade this node"},
        {"noctua-data 1\n", "hello\n", ERROR_CORRUPT, "not the meta file"},
        {"cluster test-group\n", "cluster staging\n", ERROR_REFUSED,
         "belongs to node n1 of cluster staging"},
        {"node n1\n", "node n2\n", ERROR_REFUSED, "belongs to node n2 of cluster test-group"},
        {"storage ", "storage x", ERROR_CORRUPT, "under a new name"},
        {"boot 0\n", "boot -1\n", ERROR_CORRUPT, "damaged"},
        {"origin bootstrap\n", "origin found\n", ERROR_CORRUPT, "damaged"},
        {"end\n", "", ERROR_CORRUPT, "damaged"},
        {"end\n", "end\nmore\n", ERROR_CORRUPT, "damaged"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct group group;
        group_init(&group, &one_node);
        group_bootstrap(&group);
        edit_meta(&group, cases[i].from, cases[i].to);
        assert_refused(&group, cases[i].code, cases[i].words);
        group_finish(&group);
    }
}

static void test_boot_counts(void **state) {
    struct group group;
    struct error error;
    struct replica_status status;
    uint8_t storage[16];
    (void)state;
    group_init(&group, &one_node);
    group_bootstrap(&group);
    for (uint64_t boot = 1; boot <= 3; boot++) {
        assert_int_equal(group_start_node(&group, 0, &error), ERROR_OK);
        replica_read_status(group.nodes[0].replica, &status);
        assert_int_equal(status.boot, boot);
        if (boot > 1) {
            assert_memory_equal(status.storage, storage, sizeof storage);
        }
        memcpy(storage, status.storage, sizeof storage);
        group_stop_node(&group, 0);
    }
    group_finish(&group);
}

static void test_log_behind_the_mark(void **state) {
    struct group group;
    struct error error;
    struct mark mark;
    (void)state;
    group_init(&group, &one_node);
    group_bootstrap(&group);
    assert_int_equal(group_start_node(&group, 0, &error), ERROR_OK);
    group_write(&group, 50, 1);
    struct replica_status status;
    replica_read_status(group.nodes[0].replica, &status);
    group_stop_node(&group, 0);
    assert_int_equal(mark_open(&mark, group.nodes[0].directory, &error), ERROR_OK);
    assert_int_equal(mark.index, status.last_log_index);
    assert_true(mark_raise(&mark, status.last_log_index + 1));
    mark_close(&mark);
    assert_refused(&group, ERROR_CORRUPT, "under a new name");
    assert_int_equal(mark_open(&mark, group.nodes[0].directory, &error), ERROR_OK);
    assert_true(mark_lower(&mark, status.last_log_index));
    mark_close(&mark);
    assert_int_equal(group_start_node(&group, 0, &error), ERROR_OK);
    group_write(&group, 5, 1);
    group_finish(&group);
}

static void test_log_is_gone(void **state) {
    struct group group;
    struct error error;
    char command[PATH_MAX + 64];
    (void)state;
    group_init(&group, &one_node);
    group_bootstrap(&group);
    assert_int_equal(group_start_node(&group, 0, &error), ERROR_OK);
    group_write(&group, 5, 1);
    group_stop_node(&group, 0);
    (void)snprintf(command, sizeof command, "rm -f '%s'/raft/*", group.nodes[0].directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own directory */
    assert_refused(&group, ERROR_CORRUPT, "is gone");
    group_finish(&group);
}

static void test_mark(void **state) {
    struct group group;
    struct error error;
    struct mark mark;
    char path[PATH_MAX];
    (void)state;
    group_init(&group, &one_node);
    assert_int_equal(mkdir(group.nodes[0].directory, 0700), 0);
    const char *directory = group.nodes[0].directory;
    for (uint64_t i = 1; i <= 20; i++) {
        assert_int_equal(mark_open(&mark, directory, &error), ERROR_OK);
        assert_int_equal(mark.index, (i - 1) * 10);
        assert_true(mark_raise(&mark, i * 10));
        assert_true(mark_raise(&mark, 3)); /* ignored */
        mark_close(&mark);
    }
    /* One slot torn: the other, older one counts. */
    path_of(&group, "high-water", path);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    long newest = 40 % 2 * 512; /* slot of an even sequence: 20 writes */
    assert_int_equal(fseek(file, newest + 20, SEEK_SET), 0);
    assert_int_not_equal(fputc(0x5a, file), EOF);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(mark_open(&mark, directory, &error), ERROR_OK);
    assert_int_equal(mark.index, 190);
    assert_true(mark_lower(&mark, 7));
    mark_close(&mark);
    assert_int_equal(mark_open(&mark, directory, &error), ERROR_OK);
    assert_int_equal(mark.index, 7);
    mark_close(&mark);
    write_file(path, "rubbish");
    assert_int_equal(mark_open(&mark, directory, &error), ERROR_CORRUPT);
    group_finish(&group);
}

static void test_entry(void **state) {
    struct entry_writer writer;
    struct entry_reader reader;
    struct error error;
    const struct entry_head head = {3, UINT64_C(0x0123456789abcdef), 42};
    static const char *const commands[] = {"a", "four", "twelve bytes"};
    (void)state;
    size_t size = entry_size_bytes(3, 1 + 4 + 12);
    assert_int_equal(size % 8, 0);
    uint8_t *bytes = malloc(size);
    entry_write_head(&writer, bytes, size, &head);
    for (size_t i = 0; i < 3; i++) {
        entry_write_command(&writer, commands[i], strlen(commands[i]));
    }
    assert_int_equal(entry_read_head(&reader, bytes, size, &error), ERROR_OK);
    assert_int_equal(reader.head.count, 3);
    assert_true(reader.head.proposer == head.proposer && reader.head.batch == 42);
    for (size_t i = 0; i < 3; i++) {
        const void *command = NULL;
        size_t length = 0;
        assert_int_equal(entry_read_command(&reader, &command, &length, &error), ERROR_OK);
        assert_int_equal(length, strlen(commands[i]));
        assert_memory_equal(command, commands[i], length);
    }
    assert_int_equal(entry_read_head(&reader, bytes, 16, &error), ERROR_PROTOCOL);
    assert_int_equal(entry_read_head(&reader, bytes, size - 1, &error), ERROR_PROTOCOL);
    bytes[0] = 2;
    assert_int_equal(entry_read_head(&reader, bytes, size, &error), ERROR_UNSUPPORTED);
    bytes[0] = ENTRY_FORMAT;
    bytes[24] = 0xff; /* the first command's size */
    bytes[27] = 0xff;
    const void *command = NULL;
    size_t length = 0;
    assert_int_equal(entry_read_head(&reader, bytes, size, &error), ERROR_OK);
    assert_int_equal(entry_read_command(&reader, &command, &length, &error), ERROR_PROTOCOL);
    free(bytes);
}

static void test_node_ids(void **state) {
    (void)state;
    uint64_t id = replica_node_id("prod", "n1");
    assert_true(id != 0 && id >> 63 == 0);
    assert_true(id == replica_node_id("prod", "n1"));
    assert_true(id != replica_node_id("prod", "n2") && id != replica_node_id("staging", "n1"));
    /* Part of the format: it stands in every log. */
    assert_true(replica_node_id("test-group", "n1") == UINT64_C(5349074875153848817));
}

static void test_bad_options(void **state) {
    static const struct {
        uint32_t heartbeat_ms, election_ms;
    } cases[] = {{9, 1000}, {100, 499}, {1000, 60001}, {100, 100}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct group group;
        struct group_options options = one_node;
        options.heartbeat_ms = cases[i].heartbeat_ms;
        options.election_ms = cases[i].election_ms;
        group_init(&group, &options);
        group_bootstrap(&group);
        assert_refused(&group, ERROR_INVALID, "election");
        group_finish(&group);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_bootstrapped),
        cmocka_unit_test(test_bootstrap_is_once),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_foreign_newer_damaged),
        cmocka_unit_test(test_boot_counts),
        cmocka_unit_test(test_log_behind_the_mark),
        cmocka_unit_test(test_log_is_gone),
        cmocka_unit_test(test_mark),
        cmocka_unit_test(test_entry),
        cmocka_unit_test(test_node_ids),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
