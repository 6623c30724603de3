#include "test_point.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef NOCTUA_TEST_POINTS

struct setting {
    char name[64];
    char action[16];
    char nth[16]; /* the N-th time; "": the first */
};

static bool read_setting(const char *path, struct setting *ret) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false; /* nothing is wanted, or another process took it */
    }
    int fields = fscanf(file, "%63s %15s %15s", ret->name, ret->action, ret->nth);
    (void)fclose(file);
    return fields >= 2;
}

void test_point(const char *name) {
    static struct setting last;
    static unsigned long seen;
    const char *path = getenv("NOCTUA_TEST_POINT");
    struct setting setting;
    memset(&setting, 0, sizeof setting);
    if (path == NULL || !read_setting(path, &setting) || strcmp(setting.name, name) != 0) {
        return;
    }
    if (memcmp(&last, &setting, sizeof last) != 0) {
        last = setting;
        seen = 0;
    }
    unsigned long nth = setting.nth[0] == '\0' ? 1 : strtoul(setting.nth, NULL, 10);
    if (++seen != nth || unlink(path) != 0) {
        return;
    }
    seen = 0;
    (void)raise(strcmp(setting.action, "stop") == 0 ? SIGSTOP : SIGKILL);
}

void test_point_committed(enum command_kind kind) {
    switch (kind) {
    case COMMAND_SWITCH:
        test_point("after-switch");
        break;
    case COMMAND_INTENT:
        test_point("after-intent");
        break;
    case COMMAND_ACCEPTED:
        test_point("after-accepted");
        break;
    case COMMAND_CLOSING:
        test_point("after-closing");
        break;
    case COMMAND_OUTCOME:
        test_point("after-outcome");
        break;
    default:
        break;
    }
}

#else

/* ISO C wants a file to declare something. */
extern const char test_points_are_off;
const char test_points_are_off = 1;

#endif
