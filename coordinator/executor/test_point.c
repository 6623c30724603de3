#include "test_point.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef NOCTUA_TEST_POINTS

void test_point(const char *name) {
    static unsigned long seen;
    const char *setting = getenv("NOCTUA_TEST_POINT");
    if (setting == NULL) {
        return;
    }
    char wanted[64];
    char action[16];
    unsigned long nth = 1;
    int fields = sscanf(setting, "%63[^:]:%15[^:]:%lu", wanted, action, &nth);
    if (fields < 2 || strcmp(wanted, name) != 0 || ++seen != nth) {
        return;
    }
    (void)raise(strcmp(action, "stop") == 0 ? SIGSTOP : SIGKILL);
}

#else

/* ISO C wants a file to declare something. */
extern const char test_points_are_off;
const char test_points_are_off = 1;

#endif
