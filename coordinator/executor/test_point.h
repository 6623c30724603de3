/* Named instants of a move at which a test makes the process kill or stop itself, so that "at every
 * boundary" can be tested on the real program. In shipped builds they are nothing.
 *
 * The file that the environment's NOCTUA_TEST_POINT names says which: "NAME kill" or "NAME stop",
 * and optionally " N" for the N-th time that this process gets there. Tests write it (by a rename)
 * when they want it, and of all processes that read the same file only one acts: it takes the file
 * away first. */
#ifndef EXECUTOR_TEST_POINT_H
#define EXECUTOR_TEST_POINT_H

#include "core/command.h"

#ifdef NOCTUA_TEST_POINTS
void test_point(const char *name);
/* The instant after the commit of an entry: "after-intent", "after-switch", ... */
void test_point_committed(enum command_kind kind);
#define TEST_POINT(name) test_point(name)
#define TEST_POINT_COMMITTED(kind) test_point_committed(kind)
#else
#define TEST_POINT(name) ((void)0)
#define TEST_POINT_COMMITTED(kind) ((void)0)
#endif

#endif
