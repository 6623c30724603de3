#include "set_scene.h"

struct mongo_facts set;
static struct group *group_of_set;

void add_set(struct group *group) {
    group_of_set = group;
    group_add_set(group);
    set = mongo_example();
    tell();
}

void tell(void) {
    group_tell(group_of_set, &set);
}

void gone(uint32_t i) {
    mongo_lose(&set, i, 25000);
}

void lose(void) {
    mongo_lose_majority(&set);
    tell();
}

struct spec_mongo *spec_of_set(void) {
    return &group_of_set->state->spec.services[0].mongo;
}
