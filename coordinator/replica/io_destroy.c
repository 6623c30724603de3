#include "io_destroy.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define QUEUE_MAX 64 /* contexts that wait; over it the caller waits as it used to */

typedef long (*syscall_function)(long number, ...);

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool has_thread, on;
    long contexts[QUEUE_MAX]; /* ring */
    uint32_t first, count;
    uint64_t taken;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static syscall_function next_syscall(void) {
    static _Atomic(syscall_function) next;
    syscall_function function = atomic_load_explicit(&next, memory_order_acquire);
    if (function == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "syscall");
        if (symbol == NULL) {
            abort();
        }
        memcpy(&function, &symbol, sizeof function); /* ISO C has no cast from one to the other */
        atomic_store_explicit(&next, function, memory_order_release);
    }
    return function;
}

static void *destroy_thread(void *argument) {
    (void)argument;
    pthread_mutex_lock(&queue.mutex);
    for (;;) {
        while (queue.count == 0) {
            pthread_cond_wait(&queue.wake, &queue.mutex);
        }
        long context = queue.contexts[queue.first];
        queue.first = (queue.first + 1) % QUEUE_MAX;
        queue.count--;
        pthread_mutex_unlock(&queue.mutex);
        (void)next_syscall()(SYS_io_destroy, context, 0L, 0L, 0L, 0L, 0L);
        pthread_mutex_lock(&queue.mutex);
    }
    return NULL;
}

/* False: the caller must do it itself. */
static bool take_over(long context) {
    bool taken = false;
    pthread_mutex_lock(&queue.mutex);
    if (queue.on && queue.has_thread && queue.count < QUEUE_MAX) {
        queue.contexts[(queue.first + queue.count) % QUEUE_MAX] = context;
        queue.count++;
        queue.taken++;
        pthread_cond_signal(&queue.wake);
        taken = true;
    }
    pthread_mutex_unlock(&queue.mutex);
    return taken;
}

void io_destroy_offload(bool on) {
    pthread_mutex_lock(&queue.mutex);
    queue.on = on;
    if (on && !queue.has_thread) {
        pthread_t thread;
        queue.has_thread = pthread_create(&thread, NULL, destroy_thread, NULL) == 0;
        if (queue.has_thread) {
            (void)pthread_detach(thread);
        }
    }
    pthread_mutex_unlock(&queue.mutex);
}

uint64_t io_destroy_offload_count(void) {
    pthread_mutex_lock(&queue.mutex);
    uint64_t taken = queue.taken;
    pthread_mutex_unlock(&queue.mutex);
    return taken;
}

/* As declared in unistd.h. A system call takes up to six numbers; those that the caller didn't pass
 * are whatever was there, as in libc's own. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc calls it __sysno */
long syscall(long number, ...) {
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        arguments[i] = va_arg(list, long); /* NOLINT(clang-analyzer-valist.Uninitialized): is */
    }
    va_end(list);
    if (number == SYS_io_destroy && take_over(arguments[0])) {
        return 0;
    }
    return next_syscall()(number, arguments[0], arguments[1], arguments[2], arguments[3],
                          arguments[4], arguments[5]);
}
