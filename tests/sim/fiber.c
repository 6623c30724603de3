#include "fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define STACK_BYTES ((size_t)1024 * 1024) /* touched pages only count */
#define GUARD_BYTES ((size_t)4096)

static void run(unsigned low, unsigned high) {
    struct fiber *fiber = (struct fiber *)((uintptr_t)low | (uintptr_t)high << 32);
    fiber->function(fiber->context);
    fiber->finished = true;
    fiber_leave(fiber);
    abort(); /* nobody enters a finished one */
}

void fiber_create(struct fiber *fiber, void (*function)(void *context), void *context) {
    uintptr_t self = (uintptr_t)fiber;
    *fiber = (struct fiber){.function = function, .context = context};
    fiber->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fiber->stack == MAP_FAILED || mprotect(fiber->stack, GUARD_BYTES, PROT_NONE) != 0 ||
        getcontext(&fiber->own) != 0) {
        abort();
    }
    fiber->own.uc_stack.ss_sp = fiber->stack;
    fiber->own.uc_stack.ss_size = STACK_BYTES;
    fiber->own.uc_link = NULL;
    makecontext(&fiber->own, (void (*)(void))run, 2, (unsigned)self, (unsigned)(self >> 32));
}

void fiber_enter(struct fiber *fiber) {
    (void)swapcontext(&fiber->caller, &fiber->own);
}

void fiber_leave(struct fiber *fiber) {
    (void)swapcontext(&fiber->own, &fiber->caller);
}

void fiber_destroy(struct fiber *fiber) {
    (void)munmap(fiber->stack, STACK_BYTES);
    fiber->stack = NULL;
}
