/* Writes a second and their latencies, of three replicas in one process over TLS on one disk: what
 * io_destroy(2) on the loop costs, and what it costs elsewhere.
 *
 *     replica-bench [outstanding [seconds]]      (64, 5)
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "group.h"
#include "io_destroy.h"
#include "replica_private.h"

#define SAMPLE_MAX 4000000

struct bench {
    struct group *group;
    struct replica *replica;
    uint64_t end_ns;
    uint32_t under_way;
    uint32_t *samples_us;
    uint32_t count;
};

struct write {
    struct bench *bench;
    uint64_t begin_ns;
};

static void write_next(struct write *write);

static void on_written(void *context, enum error_code code, enum core_error result,
                       uint64_t index) {
    struct write *write = context;
    struct bench *bench = write->bench;
    (void)index;
    assert_int_equal(code, ERROR_OK);
    assert_int_equal(result, CORE_OK);
    uint64_t now_ns = uv_hrtime();
    if (bench->count < SAMPLE_MAX) {
        bench->samples_us[bench->count++] = (uint32_t)((now_ns - write->begin_ns) / 1000);
    }
    bench->under_way--;
    if (now_ns < bench->end_ns) {
        write_next(write);
    }
}

static void write_next(struct write *write) {
    struct command command;
    group_fill_tick(write->bench->group, &command);
    write->begin_ns = uv_hrtime();
    write->bench->under_way++;
    replica_propose(write->bench->replica, &command, on_written, write);
}

static bool is_over(struct group *group, void *context) {
    (void)group;
    return ((struct bench *)context)->under_way == 0;
}

static int compare(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right ? 1 : 0;
}

static uint32_t quantile_us(const struct bench *bench, double q) {
    return bench->samples_us[(uint32_t)floor(q * (bench->count - 1))];
}

static void run(const char *name, bool offload, uint32_t outstanding, uint32_t seconds) {
    struct group group;
    const struct group_options options = {
        .count = 3, .tls = true, .heartbeat_ms = 100, .election_ms = 1000};
    replica_keeps_io_destroy = !offload;
    io_destroy_offload(offload);
    uint64_t taken = io_destroy_offload_count();
    group_init(&group, &options);
    group_bootstrap(&group);
    group_start(&group);
    group_write(&group, 1000, outstanding);
    struct bench bench = {&group,
                          group.nodes[group_wait_leader(&group)].replica,
                          uv_hrtime() + seconds * UINT64_C(1000000000),
                          0,
                          malloc(SAMPLE_MAX * sizeof *bench.samples_us),
                          0};
    struct write *writes = calloc(outstanding, sizeof *writes);
    for (uint32_t i = 0; i < outstanding; i++) {
        writes[i].bench = &bench;
        write_next(&writes[i]);
    }
    group_wait(&group, is_over, &bench);
    qsort(bench.samples_us, bench.count, sizeof *bench.samples_us, compare);
    printf("%-22s outstanding %3u: %7.0f writes/s  p50 %6u us  p99 %6u us  max %6u us"
           "  (%lu taken off)\n",
           name, outstanding, (double)bench.count / seconds, quantile_us(&bench, 0.5),
           quantile_us(&bench, 0.99), quantile_us(&bench, 1.0), io_destroy_offload_count() - taken);
    free(bench.samples_us);
    free(writes);
    group_finish(&group);
}

int main(int argc, char **argv) {
    uint32_t outstanding = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 64;
    uint32_t seconds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 5;
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    for (int round = 0; round < 2; round++) {
        run("io_destroy on the loop", false, outstanding, seconds);
        run("io_destroy off the loop", true, outstanding, seconds);
    }
    return 0;
}
