/* A broken world made smaller: fewer kinds of faults, fewer nodes, one service, less time. What is
 * left out changes everything that chance decides afterwards, so each smaller mix is tried in some
 * variations (`salt`); one that breaks the same invariant is taken. */
#include "shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rerun.h"

#define VARIATION_COUNT 12
#define TEXT_SIZE 512
#define BEGIN_SECONDS 27 /* of a world, before its faults */

struct verdict {
    bool broken;
    char invariant[64];
    double at_s;
};

/* In a process of its own; what it prints is read here. */
static void try_world(const struct sim_options *options, struct verdict *ret) {
    int ends[2];
    char text[TEXT_SIZE] = "";
    memset(ret, 0, sizeof *ret);
    (void)fflush(stdout);
    if (pipe(ends) != 0) {
        perror("noctua-sim: pipe");
        exit(2);
    }
    pid_t child = fork();
    if (child == 0) {
        static struct sim sim;
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)freopen("/dev/null", "w", stderr);
        rerun_watch(options);
        world_create(&sim, options);
        world_run(&sim);
        exit(0);
    }
    (void)close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], text + used, sizeof text - 1 - used)) > 0) {
        used += (size_t)got;
    }
    (void)close(ends[0]);
    int status = 0;
    (void)waitpid(child, &status, 0);
    ret->broken = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    const char *at = strstr(text, "BROKEN at ");
    if (at != NULL) {
        const char *words = strstr(at, " s: ");
        ret->at_s = strtod(at + strlen("BROKEN at "), NULL);
        (void)snprintf(ret->invariant, sizeof ret->invariant, "%.*s", (int)strcspn(words + 4, ":"),
                       words + 4);
    } else {
        (void)snprintf(ret->invariant, sizeof ret->invariant, "ended by signal %d",
                       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
}

static bool breaks_too(struct sim_options *options, const struct verdict *wanted) {
    for (uint32_t i = 0; i < VARIATION_COUNT; i++) {
        struct verdict verdict;
        struct sim_options variation = *options;
        variation.salt = options->salt + i;
        try_world(&variation, &verdict);
        if (verdict.broken && strcmp(verdict.invariant, wanted->invariant) == 0) {
            *options = variation;
            return true;
        }
    }
    return false;
}

/* As far as the break, since nothing after it matters; unless it is of the end. */
static void cut_short(struct sim_options *options, const struct verdict *wanted) {
    struct sim_options shorter = *options;
    shorter.seconds = wanted->at_s > BEGIN_SECONDS ? (uint64_t)wanted->at_s - BEGIN_SECONDS + 2 : 1;
    if (shorter.seconds < options->seconds && breaks_too(&shorter, wanted)) {
        *options = shorter;
    }
}

bool shrink(struct sim_options *options) {
    struct verdict wanted;
    options->trace = false;
    try_world(options, &wanted);
    if (!wanted.broken) {
        (void)printf("seed %llu holds: nothing to shrink\n", (unsigned long long)options->seed);
        return false;
    }
    (void)printf("seed %llu breaks \"%s\" at %.1f s\n", (unsigned long long)options->seed,
                 wanted.invariant, wanted.at_s);
    struct sim_options smaller = *options;
    smaller.small = true;
    if (breaks_too(&smaller, &wanted)) {
        *options = smaller;
        (void)printf("  also with three nodes, one service, one zone\n");
    }
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (sim_fault_is_outcome((enum sim_fault)i)) {
            continue;
        }
        smaller = *options;
        smaller.without |= UINT64_C(1) << i;
        if (breaks_too(&smaller, &wanted)) {
            *options = smaller;
            (void)printf("  also without %s\n", sim_fault_text((enum sim_fault)i));
            (void)fflush(stdout);
        }
    }
    try_world(options, &wanted);
    cut_short(options, &wanted);
    char line[RERUN_SIZE];
    rerun_line(options, line);
    (void)printf("smallest found, %.1f s long:\n  %s\n", wanted.at_s, line);
    return true;
}
