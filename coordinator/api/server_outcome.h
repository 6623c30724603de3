/* What an outcome means for the person who asked: exit code and the next step, from one table. */
#ifndef API_SERVER_OUTCOME_H
#define API_SERVER_OUTCOME_H

#include <stddef.h>
#include <stdint.h>

#include "core/command.h"

/* noctuactl's exit codes. */
enum exit_code {
    EXIT_CODE_DONE = 0,
    EXIT_CODE_INTERNAL = 1,
    EXIT_CODE_USAGE = 2,
    EXIT_CODE_REFUSED = 3,
    EXIT_CODE_UNREACHABLE = 4,
    EXIT_CODE_PLAN_CHANGED = 8,
    EXIT_CODE_NOT_AUTHORISED = 9,
};

enum exit_code outcome_exit_code(enum core_error error);
/* "<what it is>. <what to do next>" */
void outcome_sentence(enum core_error error, char *text, size_t size);

#endif
