/* A disk that fails, at each request of the library, and one that is full: the node stops with a
 * line that says why, the others go on, and it starts again cleanly. Over the mesh. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "group.h"
#include "replica_private.h"

static const struct group_options small_log = {.count = 3, .snapshot_threshold = 16};

static void begin(struct group *group) {
    group_init(group, &small_log);
    group_bootstrap(group);
    group_start(group);
    (void)group_wait_leader(group);
    group_wait_equal(group);
}

static bool has_failed(struct group *group, void *context) {
    (void)group;
    return ((struct group_node *)context)->failed;
}

static int failing_append(struct raft_io *io, struct raft_io_append *request,
                          const struct raft_entry entries[], unsigned count,
                          raft_io_append_cb callback) {
    (void)request;
    (void)entries;
    (void)count;
    (void)callback;
    (void)snprintf(io->errmsg, sizeof io->errmsg, "write failed: -5");
    return RAFT_IOERR;
}

/* Never answers; raft_uv notes the error and would try again much later. */
static int hanging_append(struct raft_io *io, struct raft_io_append *request,
                          const struct raft_entry entries[], unsigned count,
                          raft_io_append_cb callback) {
    struct append *append = CONTAINER_OF(request, struct append, request);
    (void)entries;
    (void)count;
    (void)callback;
    append->withheld = false;
    (void)snprintf(io->errmsg, sizeof io->errmsg, "write failed: -28");
    return 0;
}

static int failing_term(struct raft_io *io, raft_term term) {
    (void)io;
    (void)term;
    return RAFT_IOERR;
}

static int failing_vote(struct raft_io *io, raft_id id) {
    (void)io;
    (void)id;
    return RAFT_IOERR;
}

static raft_io_snapshot_put_cb put_callback;
static struct raft_io_snapshot_put *put_request;

static int failing_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *request,
                       const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb callback) {
    (void)io;
    (void)trailing;
    (void)snapshot;
    put_request = request;
    put_callback = callback;
    return 0;
}

/* The node has failed with these words; the others elect and write; it restarts. */
static void assert_group_survives(struct group *group, uint32_t node, const char *words) {
    struct error error = {0};
    group_wait(group, has_failed, &group->nodes[node]);
    if (strstr(group->nodes[node].failure.message, words) == NULL) {
        fail_msg("'%s' says nothing of '%s'", group->nodes[node].failure.message, words);
    }
    group_stop_node(group, node);
    group_write(group, 20, 1);
    assert_int_equal(group_start_node(group, node, &error), ERROR_OK);
    group_write(group, 20, 1);
    group_wait_equal(group);
}

static void propose_one(struct group *group, uint32_t node, struct group_outcome *outcome) {
    struct command command;
    group_fill_tick(group, &command);
    replica_propose(group->nodes[node].replica, &command, group_on_proposed, outcome);
}

static void test_leader_cannot_append(void **state) {
    struct group group;
    struct group_outcome outcome = {0};
    (void)state;
    begin(&group);
    uint32_t leader = group_wait_leader(&group);
    group.nodes[leader].replica->disk.append = failing_append;
    propose_one(&group, leader, &outcome);
    assert_group_survives(&group, leader, "can't write the log: write failed: -5");
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.code, ERROR_UNKNOWN);
    group_finish(&group);
}

static void test_follower_cannot_append(void **state) {
    struct group group;
    (void)state;
    begin(&group);
    uint32_t follower = (group_wait_leader(&group) + 1) % 3;
    group.nodes[follower].replica->disk.append = failing_append;
    group_write(&group, 5, 1);
    assert_group_survives(&group, follower, "can't write the log");
    group_finish(&group);
}

static void test_term_or_vote_cannot_be_stored(void **state) {
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct group group;
        begin(&group);
        uint32_t leader = group_wait_leader(&group);
        uint32_t follower = (leader + 1) % 3;
        if (round == 0) {
            group.nodes[follower].replica->disk.set_term = failing_term;
        } else {
            group.nodes[follower].replica->disk.set_vote = failing_vote;
        }
        /* A new term for everybody; the third node can win it with the old leader's vote. */
        struct error error = {0};
        group_stop_node(&group, leader);
        group_wait(&group, has_failed, &group.nodes[follower]);
        assert_int_equal(group_start_node(&group, leader, &error), ERROR_OK);
        assert_group_survives(&group, follower,
                              round == 0 ? "can't store the term" : "can't store the vote");
        group_finish(&group);
    }
}

static void test_snapshot_cannot_be_written(void **state) {
    struct group group;
    (void)state;
    begin(&group);
    uint32_t follower = (group_wait_leader(&group) + 1) % 3;
    struct replica *replica = group.nodes[follower].replica;
    put_callback = NULL;
    replica->disk.snapshot_put = failing_put;
    group_write(&group, 40, 1);
    group_wait_equal(&group);
    assert_non_null(put_callback);
    put_callback(put_request, RAFT_IOERR);
    assert_group_survives(&group, follower, "can't write a snapshot");
    group_finish(&group);
}

/* As raft_uv does it: the write fails, nobody is told. */
static void test_write_that_never_ends(void **state) {
    struct group group;
    (void)state;
    begin(&group);
    uint32_t follower = (group_wait_leader(&group) + 1) % 3;
    group.nodes[follower].replica->disk.append = hanging_append;
    group_write(&group, 5, 1);
    group_wait(&group, has_failed, &group.nodes[follower]);
    /* raft_uv doesn't know of these requests: they come back when we close. */
    struct append *append;
    TAILQ_FOREACH(append, &group.nodes[follower].replica->appends, link) {
        append->withheld = true;
    }
    assert_group_survives(&group, follower, "write failed: -28");
    group_finish(&group);
}

#define SMALL_DISK_BYTES "50m"

/* Whether this process has mounts of its own; asked before the first thread, since a thread stays
 * in the mounts that it was born in. */
static bool has_own_mounts;

static bool mount_small_disk(const char *path) {
    return has_own_mounts && mkdir(path, 0700) == 0 &&
           mount("noctua-test", path, "tmpfs", 0, "size=" SMALL_DISK_BYTES) == 0;
}

/* Takes what room there is. */
static void fill_disk(int fd) {
    static const char zeros[64 * 1024];
    while (write(fd, zeros, sizeof zeros) > 0) {
    }
    assert_int_equal(errno, ENOSPC);
}

static void test_full_disk(void **state) {
    struct group group;
    struct error error = {0};
    char filler[PATH_MAX];
    (void)state;
    group_init(&group, &small_log);
    char *directory = group.nodes[0].directory;
    if (!mount_small_disk(directory)) {
        print_message("no right to mount: not tested here\n");
        group_finish(&group);
        skip();
    }
    (void)snprintf(filler, sizeof filler, "%s/filler", group.nodes[0].directory);
    size_t length = strlen(directory);
    (void)snprintf(directory + length, sizeof group.nodes[0].directory - length, "/data");
    group_bootstrap(&group);
    group_start(&group);
    if (group_wait_leader(&group) == 0) { /* let another lead, so that writes go on */
        group_stop_node(&group, 0);
        (void)group_wait_leader(&group);
        assert_int_equal(group_start_node(&group, 0, &error), ERROR_OK);
    }
    group_write(&group, 20, 1);
    group_wait_equal(&group);
    int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    /* Each snapshot closes a segment, and so gives back what it didn't use: that is taken, too. */
    for (uint32_t i = 0; i < 200 && !group.nodes[0].failed; i++) {
        fill_disk(fd);
        group_write(&group, 8, 1);
        group_run_ms(&group, 20);
    }
    group_wait(&group, has_failed, &group.nodes[0]);
    print_message("%s\n", group.nodes[0].failure.message);
    assert_non_null(strstr(group.nodes[0].failure.message, "No space left on device"));
    group_stop_node(&group, 0);
    close(fd);
    group_write(&group, 20, 1);
    /* Still full: a clear error, not a crash. */
    enum error_code code = group_start_node(&group, 0, &error);
    if (code == ERROR_OK) {
        group_write(&group, 20, 1);
        group_stop_node(&group, 0);
    } else {
        print_message("%s\n", error.message);
    }
    assert_int_equal(unlink(filler), 0);
    assert_int_equal(group_start_node(&group, 0, &error), ERROR_OK);
    group_write(&group, 20, 1);
    group_wait_equal(&group);
    group_stop_node(&group, 0);
    *strrchr(directory, '/') = '\0';
    assert_int_equal(umount2(directory, MNT_DETACH), 0);
    group_finish(&group);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader_cannot_append),
        cmocka_unit_test(test_follower_cannot_append),
        cmocka_unit_test(test_term_or_vote_cannot_be_stored),
        cmocka_unit_test(test_snapshot_cannot_be_written),
        cmocka_unit_test(test_write_that_never_ends),
        cmocka_unit_test(test_full_disk),
    };
    has_own_mounts = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                     mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
