/* Named instants of a move at which a test makes the process kill or stop itself, so that "at every
 * boundary" can be tested on the real program. In shipped builds they are nothing. */
#ifndef EXECUTOR_TEST_POINT_H
#define EXECUTOR_TEST_POINT_H

#ifdef NOCTUA_TEST_POINTS
/* Environment NOCTUA_TEST_POINT="NAME:kill" or "NAME:stop", and optionally ":N" for the N-th time.
 */
void test_point(const char *name);
#define TEST_POINT(name) test_point(name)
#else
#define TEST_POINT(name) ((void)0)
#endif

#endif
