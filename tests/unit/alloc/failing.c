#include "failing.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* glibc's own, under the names that stay when malloc is replaced. */
void *__libc_malloc(size_t size_bytes);
void *__libc_calloc(size_t count, size_t size_bytes);
void *__libc_realloc(void *memory, size_t size_bytes);
void *__libc_memalign(size_t alignment, size_t size_bytes);
void __libc_free(void *memory);

/* Of the thread that runs the scenario; others are the test's. */
static _Thread_local uint64_t left;  /* allocations until one fails; 0: none will */
static _Thread_local uint64_t count; /* of this run */
static _Thread_local int64_t live;
static _Thread_local bool has_failed, paused;

static bool fails(void) {
    if (paused) {
        return false;
    }
    count++;
    if (left == 0 || --left > 0) {
        return false;
    }
    has_failed = true;
    errno = ENOMEM;
    return true;
}

static void *counted(void *memory) {
    live += memory != NULL;
    return memory;
}

/* Their parameters have names of our own. NOLINTBEGIN(readability-inconsistent-*) */

void *malloc(size_t size_bytes) {
    return fails() ? NULL : counted(__libc_malloc(size_bytes));
}

void *calloc(size_t number, size_t size_bytes) {
    return fails() ? NULL : counted(__libc_calloc(number, size_bytes));
}

void *realloc(void *memory, size_t size_bytes) {
    if (memory == NULL) {
        return malloc(size_bytes);
    }
    if (size_bytes == 0) {
        free(memory);
        return NULL;
    }
    return fails() ? NULL : __libc_realloc(memory, size_bytes);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size_bytes) {
    if (fails()) {
        return ENOMEM;
    }
    *ret_memory = counted(__libc_memalign(alignment, size_bytes));
    return *ret_memory == NULL ? ENOMEM : 0;
}

void *aligned_alloc(size_t alignment, size_t size_bytes) {
    return fails() ? NULL : counted(__libc_memalign(alignment, size_bytes));
}

void free(void *memory) {
    live -= memory != NULL;
    __libc_free(memory);
}

/* NOLINTEND(readability-inconsistent-*) */

void failing_pause(bool pause) {
    paused = pause;
}

void *spared_allocate(size_t size_bytes) {
    void *memory = counted(__libc_calloc(1, size_bytes));
    assert_non_null(memory);
    return memory;
}

static uint64_t check(const char *name, scenario run, bool leaks) {
    left = 0;
    tzset();            /* which the first line of the log does, and keeps */
    assert_true(run()); /* and what else is made once in a process is made */
    int64_t before = live;
    for (uint64_t n = 1;; n++) {
        left = n;
        count = 0;
        has_failed = false;
        bool done = run();
        left = 0;
        if (!leaks && live != before) {
            fail_msg("%s: %lld pieces left after allocation %llu failed", name,
                     (long long)(live - before), (unsigned long long)n);
        }
        if (!has_failed) {
            assert_true(done);
            print_message("%s: %llu allocations, each failed once\n", name,
                          (unsigned long long)count);
            return count;
        }
    }
}

uint64_t check_scenario(const char *name, scenario run) {
    return check(name, run, false);
}

uint64_t check_leaky_scenario(const char *name, scenario run) {
    return check(name, run, true);
}
