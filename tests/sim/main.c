/* noctua-sim: runs worlds from seeds. One process a batch of seeds, so that what dead nodes leave
 * behind goes with it. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "rerun.h"
#include "shrink.h"
#include "world.h"

#define BATCH_DEFAULT 20
#define SEED_SECONDS_DEFAULT 300

static const char help[] =
    "usage: noctua-sim [--seed N] [--seeds N] [--jobs N] [--seconds N] [--trace]\n"
    "                  [--batch N] [--shrink] [--without FAULT,...] [--small] [--set] [--salt N]\n"
    "                  [--staged NAME]\n"
    "Worlds with seeds from --seed (1) on, each with faults for --seconds (300) of its own time.\n"
    "Each process runs --batch (20) of them, and ends with the first that is broken.\n"
    "--shrink looks for a smaller mix of faults that breaks the world of --seed as well, and "
    "prints\n"
    "the --without, --small (three nodes, one service) and --salt (another course) that make it.\n"
    "--set: in each world there is a replica set, which fails, and hardly anything else does.\n"
    "--staged: in each world people and faults bring one moment about, again and again.\n"
    "Exit status: 0 all held, 1 one was broken, 2 usage.\n";

struct totals {
    uint64_t counts[SIM_FAULT_COUNT];
    struct wish_count wishes[WISH_COUNT];
    uint64_t simulated_s, worlds;
    uint64_t demanded, skipped[LAST_FAILURE_SKIP_COUNT]; /* by last failures */
};

static void add_counts(struct totals *totals, const uint64_t counts[SIM_FAULT_COUNT],
                       const struct wish_count wishes[WISH_COUNT]) {
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        totals->counts[i] += counts[i];
    }
    for (int i = 0; i < WISH_COUNT; i++) {
        totals->wishes[i].asked += wishes[i].asked;
        totals->wishes[i].accepted += wishes[i].accepted;
    }
}

static void add_demands(struct totals *totals, uint64_t demanded,
                        const uint64_t skipped[LAST_FAILURE_SKIP_COUNT]) {
    totals->demanded += demanded;
    for (int i = 0; i < LAST_FAILURE_SKIP_COUNT; i++) {
        totals->skipped[i] += skipped[i];
    }
}

static uint64_t number(const char *text) {
    uint64_t value = 0;
    if (!text_to_u64(text, 0, UINT64_MAX, &value)) {
        (void)fprintf(stderr, "noctua-sim: '%s' is no number\n%s", text, help);
        exit(2);
    }
    return value;
}

static uint64_t faults_named(char *list) {
    uint64_t faults = 0;
    for (char *name = strtok(list, ","); name != NULL; name = strtok(NULL, ",")) {
        int i = 0;
        while (i < SIM_FAULT_COUNT && !text_equal(sim_fault_text((enum sim_fault)i), name)) {
            i++;
        }
        if (i == SIM_FAULT_COUNT) {
            (void)fprintf(stderr, "noctua-sim: there is no fault '%s'; a run's table has them\n",
                          name);
            exit(2);
        }
        if (sim_fault_is_outcome((enum sim_fault)i)) {
            (void)fprintf(stderr, "noctua-sim: '%s' only comes of others\n", name);
            exit(2);
        }
        faults |= UINT64_C(1) << i;
    }
    return faults;
}

static enum sim_staging staging_named(const char *name) {
    for (int i = 0; i < STAGING_COUNT; i++) {
        if (text_equal(sim_staging_text((enum sim_staging)i), name)) {
            return (enum sim_staging)i;
        }
    }
    (void)fprintf(stderr, "noctua-sim: nothing is staged that is called '%s'\n", name);
    exit(2);
}

static void run_one(const struct sim_options *options, struct totals *totals) {
    static struct sim sim;
    rerun_watch(options);
    world_create(&sim, options);
    world_run(&sim);
    add_counts(totals, sim.counts, sim.wishes);
    add_demands(totals, sim.last_failure.demanded, sim.last_failure.skipped);
    totals->simulated_s += sim.now_us / SIM_SECOND;
    totals->worlds++;
    world_destroy(&sim);
}

static struct batch {
    const struct totals *totals;
    int pipe;
} batch;

/* Also when a world of it was broken. */
static void report_batch(void) {
    (void)!write(batch.pipe, batch.totals, sizeof *batch.totals);
}

/* In a process of its own; what it counted comes back through the pipe. */
static pid_t start_batch(struct sim_options options, uint64_t count, int *ret_pipe) {
    int ends[2];
    if (pipe(ends) != 0) {
        perror("noctua-sim: pipe");
        exit(2);
    }
    (void)fflush(stdout); /* or the child says it again */
    pid_t child = fork();
    if (child != 0) {
        (void)close(ends[1]);
        *ret_pipe = ends[0];
        return child;
    }
    static struct totals totals;
    batch = (struct batch){&totals, ends[1]};
    (void)atexit(report_batch);
    for (uint64_t i = 0; i < count; i++) {
        run_one(&options, &totals);
        options.seed++;
    }
    exit(0);
}

static void print_totals(const struct totals *totals, double seconds, uint64_t broken) {
    static const char *const wish_texts[] = {
#define X(name, text) text,
        PEOPLE_WISH_TABLE(X)
#undef X
    };
    (void)printf("%-17s %12s\n", "FAULT", "TIMES");
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        (void)printf("%-17s %12llu%s\n", sim_fault_text((enum sim_fault)i),
                     (unsigned long long)totals->counts[i],
                     totals->counts[i] == 0 ? "  NEVER MET" : "");
    }
    (void)printf("%-17s %12s %12s\n", "OPERATORS ASK", "TIMES", "ACCEPTED");
    for (int i = 0; i < WISH_COUNT; i++) {
        (void)printf("%-17s %12llu %12llu%s\n", wish_texts[i],
                     (unsigned long long)totals->wishes[i].asked,
                     (unsigned long long)totals->wishes[i].accepted,
                     totals->wishes[i].accepted == 0 ? "  NEVER MET" : "");
    }
    last_failure_print(totals->demanded, totals->skipped);
    (void)printf("%llu worlds, %llu simulated seconds in %.1f s (%.0f a second); %llu broken\n",
                 (unsigned long long)totals->worlds, (unsigned long long)totals->simulated_s,
                 seconds, (double)totals->simulated_s / seconds, (unsigned long long)broken);
}

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct job {
    pid_t child;
    int pipe;
};

static void reap(struct job *jobs, uint64_t job_count, struct totals *totals, uint64_t *broken) {
    int status = 0;
    pid_t ended = wait(&status);
    for (uint64_t j = 0; j < job_count; j++) {
        if (jobs[j].child == ended) {
            struct totals part;
            if (read(jobs[j].pipe, &part, sizeof part) == (ssize_t)sizeof part) {
                add_counts(totals, part.counts, part.wishes);
                add_demands(totals, part.demanded, part.skipped);
                totals->simulated_s += part.simulated_s;
                totals->worlds += part.worlds;
            }
            *broken += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
            if (WIFSIGNALED(status)) {
                (void)printf("a batch ended by signal %d\n", WTERMSIG(status));
            }
            (void)close(jobs[j].pipe);
            jobs[j].child = 0;
        }
    }
}

int main(int argc, char **argv) {
    static const struct option long_options[] = {
        {"seed", required_argument, NULL, 's'},    {"seeds", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'},    {"seconds", required_argument, NULL, 't'},
        {"batch", required_argument, NULL, 'b'},   {"shrink", no_argument, NULL, 'k'},
        {"without", required_argument, NULL, 'w'}, {"small", no_argument, NULL, 'm'},
        {"set", no_argument, NULL, 'o'},           {"salt", required_argument, NULL, 'a'},
        {"staged", required_argument, NULL, 'g'},  {"trace", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    struct sim_options options = {.seed = 1, .seconds = SEED_SECONDS_DEFAULT};
    uint64_t seeds = 1;
    uint64_t job_count = 1;
    uint64_t batch_size = BATCH_DEFAULT;
    bool shrinks = false;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 's':
            options.seed = number(optarg);
            break;
        case 'n':
            seeds = number(optarg);
            break;
        case 'j':
            job_count = number(optarg);
            break;
        case 't':
            options.seconds = number(optarg);
            break;
        case 'k':
            shrinks = true;
            break;
        case 'w':
            options.without = faults_named(optarg);
            break;
        case 'm':
            options.small = true;
            break;
        case 'o':
            options.of_set = true;
            break;
        case 'a':
            options.salt = (uint32_t)number(optarg);
            break;
        case 'g':
            options.staging = staging_named(optarg);
            break;
        case 'b':
            batch_size = number(optarg);
            batch_size += batch_size == 0;
            break;
        case 'v':
            options.trace = true;
            break;
        default:
            (void)fputs(help, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);  /* as noctuad does: main.c */
    (void)mallopt(M_TRIM_THRESHOLD, 64 << 20); /* what one world frees the next one takes */
    (void)setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    (void)unsetenv("NOTIFY_SOCKET");
    struct totals totals = {.worlds = 0};
    uint64_t broken = 0;
    double begun = now_s();
    if (shrinks) {
        return shrink(&options) ? 1 : 0;
    }
    if (seeds == 1) {
        run_one(&options, &totals);
        print_totals(&totals, now_s() - begun, 0);
        return 0;
    }
    job_count = job_count == 0 ? 1 : job_count > 64 ? 64 : job_count;
    struct job jobs[64] = {{0, 0}};
    uint64_t left = seeds;
    uint64_t running = 0;
    double said = begun;
    while (left > 0 || running > 0) {
        for (uint64_t j = 0; j < job_count && left > 0; j++) {
            if (jobs[j].child == 0) {
                uint64_t count = left < batch_size ? left : batch_size;
                jobs[j].child = start_batch(options, count, &jobs[j].pipe);
                options.seed += count;
                left -= count;
                running++;
            }
        }
        reap(jobs, job_count, &totals, &broken);
        running--;
        if (now_s() - said > 10) {
            said = now_s();
            (void)printf("... %llu of %llu worlds, %llu broken\n",
                         (unsigned long long)totals.worlds, (unsigned long long)seeds,
                         (unsigned long long)broken);
            (void)fflush(stdout);
        }
    }
    print_totals(&totals, now_s() - begun, broken);
    return broken > 0;
}
