#include "sim.h"

/* splitmix64 (Steele, Lea, Flood 2014): any seed is a good one. */
uint64_t chance_next(struct chance *chance) {
    uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void chance_seed(struct chance *chance, uint64_t seed) {
    chance->state = seed * UINT64_C(0xd1342543de82ef95) + 1;
    (void)chance_next(chance);
}

uint64_t chance_below(struct chance *chance, uint64_t bound) {
    return chance_next(chance) % bound; /* bounds are small: the bias is nothing here */
}

uint64_t chance_between(struct chance *chance, uint64_t low, uint64_t high) {
    return low + chance_below(chance, high - low + 1);
}

bool chance_hits(struct chance *chance, uint32_t per_million) {
    return per_million > 0 && chance_below(chance, 1000000) < per_million;
}

static void fill(void *context, void *bytes, size_t size_bytes) {
    uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        at[i] = (uint8_t)(chance_next(context) >> 32);
    }
}

void chance_entropy(struct chance *chance, struct entropy *ret) {
    *ret = (struct entropy){fill, chance};
}
