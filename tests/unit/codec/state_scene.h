/* A whole state of random content that a group could have: two services with everything, and values
 * in every array. The same seed gives the same state. */
#ifndef TEST_CODEC_STATE_SCENE_H
#define TEST_CODEC_STATE_SCENE_H

#include <stdint.h>

#include "core/state.h"

/* On the heap. Arrays that aren't about the services get at most `most` elements. */
struct state *state_scene_create(uint64_t seed, uint32_t most);

#endif
