#include "made_replica.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static uv_loop_t loop;

struct replica *made_replica_create(void) {
    struct replica *replica = calloc(1, sizeof *replica);
    assert_non_null(replica);
    replica->state = calloc(1, sizeof *replica->state);
    assert_non_null(replica->state);
    state_init(replica->state);
    replica->clock = &clock_system;
    replica->feature_level = UINT32_MAX;
    replica->snapshot_threshold = REPLICA_SNAPSHOT_THRESHOLD;
    TAILQ_INIT(&replica->appends);
    TAILQ_INIT(&replica->refused);
    TAILQ_INIT(&replica->unsent);
    TAILQ_INIT(&replica->queued);
    TAILQ_INIT(&replica->done);
    TAILQ_INIT(&replica->batches);
    TAILQ_INIT(&replica->waiting);
    TAILQ_INIT(&replica->read);
    TAILQ_INIT(&replica->barriers);
    replica_machine_init(replica);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_idle_init(&loop, &replica->idle), 0);
    return replica;
}

void made_replica_reset(struct replica *replica) {
    replica->failed = false;
    replica->snapshot_retry_index = 0;
    (void)uv_idle_stop(&replica->idle);
}

void made_replica_destroy(struct replica *replica) {
    uv_close((uv_handle_t *)&replica->idle, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&loop), 0);
    buffer_finish(&replica->part.head);
    free(replica->state);
    free(replica);
}
