/* What every test of core about replica sets includes: a group with a set, what its nodes say of
 * the members, and what that comes to. */
#ifndef TEST_CORE_MONGO_TEST_H
#define TEST_CORE_MONGO_TEST_H

#include "core_test.h"
#include "mongo_judge.h"

struct scene {
    struct group *group;
    struct mongo_facts facts;
    struct mongo_view view;
    struct mongo_verdict verdict; /* of a move to the west */
};

static inline struct scene scene_of(void **state) {
    struct scene scene = {.group = *state, .facts = mongo_example()};
    group_add_set(scene.group);
    return scene;
}

/* Every node says the same. */
static inline void look(struct scene *scene) {
    struct group *group = scene->group;
    group_tell(group, &scene->facts);
    policy_view_set(group->state, &group->input, 0, &scene->view);
    mongo_judge(&group->state->spec.services[0].mongo, &scene->view, WEST, &scene->verdict);
}

static inline struct mongo_member *member(struct scene *scene, uint32_t i) {
    return &scene->facts.members[i];
}

static inline void gone(struct scene *scene, uint32_t i, uint32_t age_ms) {
    mongo_lose(&scene->facts, i, age_ms);
}

/* The majority is lost, of a config that it had. */
static inline void lost(struct scene *scene) {
    mongo_lose_majority(&scene->facts);
    scene->facts.config_committed = true;
}

static inline void elected(struct scene *scene, uint32_t i) {
    struct mongo_member *m = member(scene, i);
    m->state = MONGO_PRIMARY;
    m->writable = true;
    scene->facts.primary = m->id;
    scene->facts.primary_age_ms = 500;
    scene->facts.primary_term = 8;
    for (uint32_t j = 0; j < scene->facts.member_count; j++) {
        scene->facts.members[j].term = scene->facts.members[j].answers ? 8 : 7;
    }
    m->optime.term = 8;
}

static inline void hide(struct mongo_member *m) {
    m->hidden = true;
}

static inline void no_priority(struct mongo_member *m) {
    m->priority_milli = 0;
}

static inline void make_arbiter(struct mongo_member *m) {
    m->arbiter = true;
    m->state = MONGO_ARBITER;
}

/* The west has two members, of which neither can be elected. */
static inline void nobody(struct scene *scene) {
    no_priority(member(scene, W1));
    hide(member(scene, W2));
}

#endif
