/* A stack of its own for each node, so that its main function can be left in the middle of any call
 * and taken up again, or never. */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

#include <setjmp.h>
#include <stdbool.h>
#include <ucontext.h>

struct fiber {
    ucontext_t first; /* where it begins */
    jmp_buf own, caller;
    void *stack;
    bool begun, finished; /* its function was called, has returned */
    void (*function)(void *context);
    void *context;
};

void fiber_create(struct fiber *fiber, void (*function)(void *context), void *context);
/* Runs it until it leaves or returns. */
void fiber_enter(struct fiber *fiber);
/* From inside: back to whoever has entered. */
void fiber_leave(struct fiber *fiber);
/* From outside: it is never entered again. */
void fiber_destroy(struct fiber *fiber);

#endif
