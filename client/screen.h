/* The terminal, if there is one: how wide it is, and whether colours are wanted. What isn't a
 * terminal (a pipe, a file) gets whole cells and no colours. */
#ifndef CLIENT_SCREEN_H
#define CLIENT_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

struct screen {
    unsigned width; /* columns; 0: no limit */
    bool colour;    /* NO_COLOR (no-color.org) and TERM=dumb say no */
};

struct screen screen_of(FILE *out);

/* What a cell's word means to whoever looks for trouble. */
enum mood { MOOD_NONE, MOOD_GOOD, MOOD_CARE, MOOD_BAD };
enum mood screen_mood(const char *word);
/* The escape sequence before a word of that mood, and behind it. */
const char *screen_colour(enum mood mood);
#define SCREEN_PLAIN "\033[0m"
#define SCREEN_HOME "\033[H\033[J" /* an empty screen */

#endif
