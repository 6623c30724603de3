#include "rerun.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#ifdef NOCTUA_SMALL_LIMITS
#define LIMITS " LIMITS=small"
#else
#define LIMITS ""
#endif

/* Of processor time, which doesn't depend on what else the machine does: a hundred times what a
 * world needs. */
#define HANG_S(seconds) (30 + (seconds) / 4)

static void add(char line[RERUN_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(char line[RERUN_SIZE], const char *format, ...) {
    size_t used = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line + used, RERUN_SIZE - used, format, arguments);
    va_end(arguments);
}

void rerun_line(const struct sim_options *options, char ret_line[RERUN_SIZE]) {
    const char *separator = " WITHOUT=";
    ret_line[0] = '\0';
    add(ret_line, "make sim SEED=%llu SECONDS=%llu" LIMITS, (unsigned long long)options->seed,
        (unsigned long long)options->seconds);
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if ((options->without >> i & 1) != 0) {
            add(ret_line, "%s%s", separator, sim_fault_text((enum sim_fault)i));
            separator = ",";
        }
    }
    if (options->small) {
        add(ret_line, " SMALL=1");
    }
    if (options->of_set) {
        add(ret_line, " SET=1");
    }
    if (options->staging != STAGING_NONE) {
        add(ret_line, " STAGED=%s", sim_staging_text(options->staging));
    }
    if (options->salt != 0) {
        add(ret_line, " SALT=%u", options->salt);
    }
    add(ret_line, " TRACE=1");
}

/* --- written beforehand: a handler can't format --- */

static char crashed[RERUN_SIZE + 100], hung[RERUN_SIZE + 100];

static void on_fatal(int number) {
    const char *words = number == SIGPROF ? hung : crashed;
    (void)!write(STDOUT_FILENO, words, strlen(words));
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

void rerun_watch(const struct sim_options *options) {
    char line[RERUN_SIZE];
    unsigned long long seed = options->seed;
    unsigned long long most_s = HANG_S(options->seconds);
    struct itimerval limit = {.it_value.tv_sec = (time_t)most_s};
    rerun_line(options, line);
    (void)snprintf(crashed, sizeof crashed, "seed %llu: ended by a signal\n  again: %s\n", seed,
                   line);
    (void)snprintf(hung, sizeof hung,
                   "seed %llu: hangs, after %llu s of processor time\n  again: %s\n", seed, most_s,
                   line);
    (void)fflush(stdout);
    (void)signal(SIGSEGV, on_fatal);
    (void)signal(SIGBUS, on_fatal);
    (void)signal(SIGABRT, on_fatal);
    (void)signal(SIGPROF, on_fatal);
    (void)setitimer(ITIMER_PROF, &limit, NULL);
}
