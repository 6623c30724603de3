#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void usage(const char *program) {
    (void)fprintf(stderr,
                  "usage: %s -e HOST:PORT[,HOST:PORT...] -t TLS_DIRECTORY [-s SERVICE]\n"
                  "       [-c CLIENTS (1..%d)] [-d SECONDS (1..600)] [-f (first write only)]\n",
                  program, LOAD_CLIENT_MAX);
    exit(2);
}

static uint64_t number(const char *program, const char *text, uint64_t least, uint64_t most) {
    char *end = NULL;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most) {
        usage(program);
    }
    return value;
}

void load_options_parse(int argc, char **argv, struct load_options *ret) {
    *ret = (struct load_options){.clients = 1, .seconds = 5, .service = "", .tls = ""};
    int option;
    while ((option = getopt(argc, argv, "e:t:s:c:d:f")) != -1) {
        char *rest = NULL;
        switch (option) {
        case 'e':
            for (char *at = strtok_r(optarg, ",", &rest); at != NULL;
                 at = strtok_r(NULL, ",", &rest)) {
                if (ret->endpoint_count == LOAD_ENDPOINT_MAX) {
                    usage(argv[0]);
                }
                ret->endpoints[ret->endpoint_count++] = at;
            }
            break;
        case 't':
            ret->tls = optarg;
            break;
        case 's':
            ret->service = optarg;
            break;
        case 'c':
            ret->clients = (uint32_t)number(argv[0], optarg, 1, LOAD_CLIENT_MAX);
            break;
        case 'd':
            ret->seconds = number(argv[0], optarg, 1, 600);
            break;
        case 'f':
            ret->first = true;
            break;
        default:
            usage(argv[0]);
        }
    }
    if (ret->endpoint_count == 0 || ret->tls[0] == '\0' || optind != argc) {
        usage(argv[0]);
    }
}

void load_samples_init(struct load_samples *samples) {
    *samples = (struct load_samples){.capacity = 1 << 20};
    samples->us = calloc(samples->capacity, sizeof *samples->us);
    if (samples->us == NULL) {
        (void)fprintf(stderr, "out of memory\n");
        exit(1);
    }
}

void load_samples_finish(struct load_samples *samples) {
    free(samples->us);
}

void load_samples_add(struct load_samples *samples, uint64_t took_ns) {
    if (samples->count < samples->capacity) {
        samples->us[samples->count++] = (uint32_t)(took_ns / 1000);
    }
}

uint64_t load_now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static uint32_t quantile(const struct load_samples *samples, uint32_t percent) {
    return samples->count == 0 ? 0 : samples->us[(uint64_t)(samples->count - 1) * percent / 100];
}

void load_samples_print(struct load_samples *samples, uint64_t took_ns) {
    qsort(samples->us, samples->count, sizeof *samples->us, compare);
    double seconds = (double)took_ns / 1e9;
    (void)printf("{\"ops\": %" PRIu32 ", \"errors\": %" PRIu32
                 ", \"seconds\": %.3f, \"per_second\": %.0f, \"p50_us\": %" PRIu32
                 ", \"p90_us\": %" PRIu32 ", \"p99_us\": %" PRIu32 "}\n",
                 samples->count, samples->errors, seconds, samples->count / seconds,
                 quantile(samples, 50), quantile(samples, 90), quantile(samples, 99));
}

void load_first_print(uint64_t at_ns) {
    (void)printf("{\"first_ns\": %" PRIu64 "}\n", at_ns);
    (void)fflush(stdout);
}

void load_first_wait(void) {
    (void)puts("ready");
    (void)fflush(stdout);
    int byte;
    do {
        byte = getchar();
    } while (byte != '\n' && byte != EOF);
}
