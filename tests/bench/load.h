/* What both load tools have in common: the command line, the samples, and one line of JSON as the
 * result. The two differ only in how they ask, so that their figures can stand side by side. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#define LOAD_CLIENT_MAX 128
#define LOAD_ENDPOINT_MAX 9
#define LOAD_PAYLOAD_BYTES 128 /* what each write carries */

struct load_options {
    const char *endpoints[LOAD_ENDPOINT_MAX]; /* "127.0.0.1:7601" */
    uint32_t endpoint_count;
    const char *tls;     /* directory with ca.pem, user.pem, user.key */
    const char *service; /* load-noctua: the service that the vetoes name */
    uint32_t clients;
    uint64_t seconds;
    /* Instead of a load: wait for a line on standard input, then ask all endpoints in turn until
     * one write is acknowledged. */
    bool first;
};

/* Parses argv; exits with status 2 and a usage line when it is wrong. */
void load_options_parse(int argc, char **argv, struct load_options *ret);

struct load_samples {
    uint32_t *us;
    uint32_t count, capacity;
    uint32_t errors;
};

void load_samples_init(struct load_samples *samples);
void load_samples_finish(struct load_samples *samples);
void load_samples_add(struct load_samples *samples, uint64_t took_ns);

/* CLOCK_MONOTONIC, as Python's time.monotonic_ns(). */
uint64_t load_now_ns(void);

/* {"ops": 1, "errors": 0, "seconds": 1.0, "per_second": 1, "p50_us": 1, "p90_us": ..., "p99_us":
 * ...} */
void load_samples_print(struct load_samples *samples, uint64_t took_ns);
/* {"first_ns": when, on load_now_ns()'s clock} */
void load_first_print(uint64_t at_ns);
/* Says "ready" and waits for a line on standard input. */
void load_first_wait(void);

#endif
