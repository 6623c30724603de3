/* Random bytes behind an interface, so that a simulated node can be given a seed. */
#ifndef BASE_ENTROPY_H
#define BASE_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

struct entropy {
    void (*fill)(void *context, void *bytes, size_t size_bytes);
    void *context;
};

/* getrandom(2): cryptographically strong. */
extern const struct entropy entropy_system;

uint64_t entropy_u64(const struct entropy *entropy);

/* Uniform in [low, high], both included. */
uint64_t entropy_between(const struct entropy *entropy, uint64_t low, uint64_t high);

#endif
