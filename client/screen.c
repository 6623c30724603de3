#include "screen.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"

#define WIDTH_MIN 40 /* narrower, cutting makes it worse */

struct screen screen_of(FILE *out) {
    struct screen screen = {0, false};
    struct winsize size;
    int fd = fileno(out);
    if (fd < 0 || isatty(fd) == 0) {
        return screen;
    }
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    screen.colour = (no_color == NULL || no_color[0] == '\0') && term != NULL && term[0] != '\0' &&
                    !text_equal(term, "dumb");
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        screen.width = size.ws_col < WIDTH_MIN ? WIDTH_MIN : size.ws_col;
    }
    return screen;
}

enum mood screen_mood(const char *word) {
    static const struct {
        const char *word;
        enum mood mood;
    } moods[] = {
        {"up", MOOD_GOOD},          {"ok", MOOD_GOOD},          {"pass", MOOD_GOOD},
        {"done", MOOD_GOOD},        {"leader", MOOD_GOOD},      {"DOWN", MOOD_BAD},
        {"down", MOOD_BAD},         {"FAIL", MOOD_BAD},         {"refused", MOOD_BAD},
        {"stopped", MOOD_BAD},      {"half-moved", MOOD_BAD},   {"blocked", MOOD_BAD},
        {"silent", MOOD_CARE},      {"degraded", MOOD_CARE},    {"unknown", MOOD_CARE},
        {"confirming", MOOD_CARE},  {"suspect", MOOD_CARE},     {"moving", MOOD_CARE},
        {"vetoed", MOOD_CARE},      {"paused", MOOD_CARE},      {"skipped", MOOD_CARE},
        {"warning", MOOD_CARE},     {"maintenance", MOOD_CARE}, {"released", MOOD_CARE},
        {"not-adopted", MOOD_CARE}, {"released", MOOD_CARE},    {"cancelled", MOOD_CARE},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(moods); i++) {
        if (text_equal(moods[i].word, word)) {
            return moods[i].mood;
        }
    }
    return MOOD_NONE;
}

const char *screen_colour(enum mood mood) {
    static const char *const colours[] = {"", "\033[32m", "\033[33m", "\033[1;31m"};
    return colours[mood];
}
