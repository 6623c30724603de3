/* The replica set of the service, as every node of a test's group tells of it. One at a time. */
#ifndef TEST_API_SET_SCENE_H
#define TEST_API_SET_SCENE_H

#include "scene.h"

/* What the nodes say of it from the next tell() on. */
extern struct mongo_facts set;

/* Gives the group's service 0 a set, all of it well, and tells so. */
void add_set(struct group *group);
void tell(void);

/* Nobody could ask this member for 25 s. */
void gone(uint32_t i);
/* So are the east and the eu: the west has two of five. Told. */
void lose(void);

/* What the spec says of it. */
struct spec_mongo *spec_of_set(void);

#endif
