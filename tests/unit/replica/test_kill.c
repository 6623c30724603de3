/* Three real processes, killed with SIGKILL over and over while they write: nothing that was
 * acknowledged is lost, all apply the same at each index, and the states end alike. What each
 * process applied and acknowledged is noted in memory that they share and that outlives them.
 *
 * NOCTUA_KILL_ROUNDS=300 for a soak (12 by default). */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/text.h"
#include "group.h"

#define NODES 3
#define INDEX_MAX (1u << 22)
#define OUTSTANDING 16
#define ROUND_LIMIT_MS 30000

struct shared {
    _Atomic uint64_t acknowledged[INDEX_MAX];   /* by core's index: the clock of its TICK */
    _Atomic uint64_t applied[NODES][INDEX_MAX]; /* the same */
    _Atomic uint64_t acknowledged_count;
    _Atomic uint64_t applied_index[NODES];
    _Atomic uint64_t leads[NODES]; /* the process's pid while it leads */
    _Atomic uint64_t digests[NODES][4];
    _Atomic uint64_t digest_index[NODES];
    atomic_bool violated, quiet;
    char words[256];
};

static struct shared *shared;

struct child {
    struct group *group;
    uint32_t place;
    uint64_t clock_ms;
    uint32_t under_way;
    bool leads;
};

struct write {
    struct child *child;
    uint64_t clock_ms;
};

static void violate(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void violate(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the line above has set it */
    (void)vsnprintf(shared->words, sizeof shared->words, format, arguments);
    va_end(arguments);
    atomic_store(&shared->violated, true);
}

static void on_applied(void *context, uint64_t index, const struct command *command,
                       enum core_error result, uint64_t proposed_ms) {
    struct child *child = context;
    (void)result;
    (void)proposed_ms;
    uint64_t value = command->kind == COMMAND_TICK ? command->tick.clock_ms[0] : UINT64_MAX;
    if (index >= INDEX_MAX) {
        violate("the table is too small");
        return;
    }
    uint64_t acknowledged = atomic_load(&shared->acknowledged[index]);
    if (acknowledged != 0 && acknowledged != value) {
        violate("index %lu: %lu was acknowledged, node %u applies %lu", index, acknowledged,
                child->place, value);
    }
    for (uint32_t i = 0; i < NODES; i++) {
        uint64_t other = atomic_load(&shared->applied[i][index]);
        if (other != 0 && other != value) {
            violate("index %lu: node %u applied %lu, node %u applies %lu", index, i, other,
                    child->place, value);
        }
    }
    atomic_store(&shared->applied[child->place][index], value);
}

static void write_next(struct child *child);

static void on_written(void *context, enum error_code code, enum core_error result,
                       uint64_t index) {
    struct write *write = context;
    struct child *child = write->child;
    if (code == ERROR_OK && result == CORE_OK && index < INDEX_MAX) {
        atomic_store(&shared->acknowledged[index], write->clock_ms);
        atomic_fetch_add(&shared->acknowledged_count, 1);
    }
    free(write);
    child->under_way--;
    if (code == ERROR_OK) {
        write_next(child);
    }
}

static void write_next(struct child *child) {
    struct command command;
    if (!child->leads || atomic_load(&shared->quiet)) {
        return;
    }
    group_fill_tick(child->group, &command);
    child->clock_ms++;
    for (uint32_t i = 0; i < NODES; i++) {
        command.tick.clock_ms[i] = child->clock_ms;
    }
    struct write *write = malloc(sizeof *write);
    *write = (struct write){child, child->clock_ms};
    child->under_way++;
    replica_propose(child->group->nodes[child->place].replica, &command, on_written, write);
}

static void on_leadership(void *context, bool leads, uint64_t term) {
    struct child *child = context;
    child->leads = leads;
    atomic_store(&shared->leads[child->place], leads ? (uint64_t)getpid() : 0);
    /* Another leader never gives the same number to another entry. */
    child->clock_ms = (term << 32) + (uint64_t)child->place;
    for (uint32_t i = 0; leads && i < OUTSTANDING; i++) {
        write_next(child);
    }
}

static void publish(struct child *child) {
    struct replica *replica = child->group->nodes[child->place].replica;
    uint8_t digest[32];
    uint64_t words[4];
    uint64_t index = 0;
    atomic_store(&shared->applied_index[child->place], replica_state(replica)->applied_index);
    if (atomic_load(&shared->quiet)) {
        replica_digest(replica, &index, digest);
        memcpy(words, digest, sizeof words);
        for (uint32_t i = 0; i < 4; i++) {
            atomic_store(&shared->digests[child->place][i], words[i]);
        }
        atomic_store(&shared->digest_index[child->place], index);
    }
}

static void on_ticker(uv_timer_t *timer) {
    publish(timer->data);
}

static void run_child(struct group *group, uint32_t place) {
    struct child child = {.group = group, .place = place};
    struct error error = {0};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, group->nodes[place].name);
    if (uv_loop_init(&group->loop) != 0) {
        _exit(3);
    }
    uv_timer_init(&group->loop, &group->ticker);
    group->ticker.data = &child;
    group->nodes[place].extra.context = &child;
    group->nodes[place].extra.on_applied = on_applied;
    group->nodes[place].extra.on_leadership = on_leadership;
    if (group_start_node(group, place, &error) != ERROR_OK) {
        violate("node %u doesn't start: %s", place, error.message);
        _exit(4);
    }
    uv_timer_start(&group->ticker, on_ticker, 5, 5);
    while (!group->nodes[place].failed) {
        uv_run(&group->loop, UV_RUN_ONCE);
    }
    violate("node %u failed: %s", place, group->nodes[place].failure.message);
    _exit(5);
}

static pid_t start_child(struct group *group, uint32_t place) {
    atomic_store(&shared->leads[place], 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        run_child(group, place);
        _exit(0);
    }
    return pid;
}

static void check_children(pid_t pids[NODES]) {
    for (uint32_t i = 0; i < NODES; i++) {
        int status = 0;
        if (pids[i] > 0 && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
            pids[i] = 0;
            if (!atomic_load(&shared->violated)) {
                violate("node %u died by itself: status %x", i, (unsigned)status);
            }
        }
    }
    if (atomic_load(&shared->violated)) {
        for (uint32_t i = 0; i < NODES; i++) {
            if (pids[i] > 0) {
                (void)kill(pids[i], SIGKILL);
                (void)waitpid(pids[i], NULL, 0);
            }
        }
        fail_msg("%s", shared->words);
    }
}

static uint64_t now_ms(void) {
    return clock_boottime_ms(&clock_system);
}

/* Until so many more writes are acknowledged. */
static void wait_writes(pid_t pids[NODES], uint64_t more) {
    uint64_t goal = atomic_load(&shared->acknowledged_count) + more;
    uint64_t end_ms = now_ms() + ROUND_LIMIT_MS;
    while (atomic_load(&shared->acknowledged_count) < goal) {
        check_children(pids);
        assert_true(now_ms() < end_ms);
        usleep(1000);
    }
}

static bool are_alike(void) {
    uint64_t index = atomic_load(&shared->digest_index[0]);
    for (uint32_t i = 0; i < NODES; i++) {
        if (index == 0 || atomic_load(&shared->digest_index[i]) != index ||
            atomic_load(&shared->applied_index[i]) != index) {
            return false;
        }
        for (uint32_t j = 0; j < 4; j++) {
            if (atomic_load(&shared->digests[i][j]) != atomic_load(&shared->digests[0][j])) {
                return false;
            }
        }
    }
    return true;
}

static void test_killed_over_and_over(void **state) {
    struct group group;
    const struct group_options options = {.count = NODES,
                                          .tls = true,
                                          .heartbeat_ms = 30,
                                          .election_ms = 300,
                                          .snapshot_threshold = 64};
    const char *rounds_text = getenv("NOCTUA_KILL_ROUNDS");
    uint64_t rounds = 12;
    pid_t pids[NODES];
    (void)state;
    if (rounds_text != NULL) {
        assert_true(text_to_u64(rounds_text, 1, 100000, &rounds));
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(shared != MAP_FAILED);
    group_init(&group, &options);
    group_bootstrap(&group);
    for (uint32_t i = 0; i < NODES; i++) {
        pids[i] = start_child(&group, i);
    }
    unsigned seed = 4711;
    for (uint64_t round = 0; round < rounds; round++) {
        wait_writes(pids, 50 + (unsigned)rand_r(&seed) % 500);
        /* Mostly the leader, sometimes a follower, sometimes two at once. */
        uint32_t victim = (unsigned)rand_r(&seed) % NODES;
        for (uint32_t i = 0; round % 3 != 2 && i < NODES; i++) {
            victim = atomic_load(&shared->leads[i]) == (uint64_t)pids[i] ? i : victim;
        }
        uint32_t count = round % 5 == 4 ? 2 : 1;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t place = (victim + i) % NODES;
            assert_int_equal(kill(pids[place], SIGKILL), 0);
            assert_int_equal(waitpid(pids[place], NULL, 0), pids[place]);
        }
        if (count == 1 && round % 2 == 0) {
            /* The others go on, far enough that it comes back by a snapshot. */
            pids[victim] = 0;
            wait_writes(pids, 2000);
        }
        for (uint32_t i = 0; i < count; i++) {
            pids[(victim + i) % NODES] = start_child(&group, (victim + i) % NODES);
        }
    }
    wait_writes(pids, 100);
    atomic_store(&shared->quiet, true);
    uint64_t end_ms = now_ms() + ROUND_LIMIT_MS;
    while (!are_alike()) {
        check_children(pids);
        assert_true(now_ms() < end_ms);
        usleep(1000);
    }
    print_message("%lu rounds, %lu writes acknowledged, index %lu\n", rounds,
                  atomic_load(&shared->acknowledged_count), atomic_load(&shared->applied_index[0]));
    for (uint32_t i = 0; i < NODES; i++) {
        assert_int_equal(kill(pids[i], SIGKILL), 0);
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    }
    group_finish(&group);
    munmap(shared, sizeof *shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_over_and_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
