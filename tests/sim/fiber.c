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
        getcontext(&fiber->first) != 0) {
        abort();
    }
    fiber->first.uc_stack.ss_sp = fiber->stack;
    fiber->first.uc_stack.ss_size = STACK_BYTES;
    fiber->first.uc_link = NULL;
    makecontext(&fiber->first, (void (*)(void))run, 2, (unsigned)self, (unsigned)(self >> 32));
}

/* swapcontext() only once: it asks the kernel for the signal mask each time. */
void fiber_enter(struct fiber *fiber) {
    if (_setjmp(fiber->caller) != 0) {
        return;
    }
    if (fiber->begun) {
        _longjmp(fiber->own, 1);
    }
    fiber->begun = true;
    (void)setcontext(&fiber->first);
}

void fiber_leave(struct fiber *fiber) {
    if (_setjmp(fiber->own) == 0) {
        _longjmp(fiber->caller, 1);
    }
}

void fiber_destroy(struct fiber *fiber) {
    (void)munmap(fiber->stack, STACK_BYTES);
    fiber->stack = NULL;
}
