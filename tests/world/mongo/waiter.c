/* Requests that a real server answers later: each has a check that is made after everything that
 * happens, and at its deadlines. */
#include "alloc.h"
#include "private.h"

struct mongo_waiter *mongo_wait(struct mongo_call *call, mongo_waiter_check check,
                                uint64_t limit_ms) {
    struct mongo_waiter *waiter = alloc_zeroed(1, sizeof(*waiter));
    struct mongo_waiter **last = &call->set->waiters;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = waiter;
    waiter->call = call;
    waiter->check = check;
    waiter->limit_ms = limit_ms;
    waiter->deadline_ms = MONGO_NEVER_MS;
    return waiter;
}

static void waiter_free(struct mongo_waiter *waiter) {
    mongo_config_unref(waiter->config);
    bson_destroy(waiter->reply);
    free(waiter);
}

void mongo_waiters_settle(struct mongo_set *set) {
    bool again = true;
    while (again) {
        again = false;
        for (struct mongo_waiter **link = &set->waiters; *link != NULL;) {
            struct mongo_waiter *waiter = *link;
            if (mongo_runs(waiter->call->process) && waiter->check(waiter)) {
                /* What check did may have added waiters, but only at the end. */
                *link = waiter->next;
                waiter_free(waiter);
                again = true;
            } else {
                link = &waiter->next;
            }
        }
    }
}

void mongo_waiters_drop(struct mongo_process *process) {
    for (struct mongo_waiter **link = &process->set->waiters; *link != NULL;) {
        struct mongo_waiter *waiter = *link;
        if (waiter->call->process == process) {
            *link = waiter->next;
            mongo_call_free(waiter->call);
            waiter_free(waiter);
        } else {
            link = &waiter->next;
        }
    }
}

uint64_t mongo_waiters_next_ms(const struct mongo_set *set) {
    uint64_t next_ms = MONGO_NEVER_MS;
    for (const struct mongo_waiter *waiter = set->waiters; waiter != NULL; waiter = waiter->next) {
        if (waiter->deadline_ms > set->now_ms && waiter->deadline_ms < next_ms) {
            next_ms = waiter->deadline_ms;
        }
        if (waiter->limit_ms > set->now_ms && waiter->limit_ms < next_ms) {
            next_ms = waiter->limit_ms;
        }
    }
    return next_ms;
}
