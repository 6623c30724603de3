#include "server_outcome.h"

#include <assert.h>
#include <stdio.h>

#include "base/text.h"

static const struct {
    enum exit_code exit_code;
    const char *next;
} outcomes[CORE_ERROR_COUNT] = {
    [CORE_OK] = {EXIT_CODE_DONE, "Nothing is left to do"},
    [CORE_DUPLICATE] = {EXIT_CODE_DONE, "Nothing is left to do"},
    [CORE_STALE_TERM] = {EXIT_CODE_UNREACHABLE, "The leader changed meanwhile: ask again"},
    [CORE_TOO_OLD] = {EXIT_CODE_REFUSED,
                      "Nobody can tell whether it was done: see noctuactl history, then ask anew"},
    [CORE_SEQUENCE] = {EXIT_CODE_REFUSED, "See noctuactl history, then ask anew without --id"},
    [CORE_NOT_SUPPORTED] = {EXIT_CODE_REFUSED,
                            "Upgrade every node first: noctuactl nodes shows their versions"},
    [CORE_NO_GROUP] = {EXIT_CODE_UNREACHABLE, "It is being made: ask again in a moment"},
    [CORE_NO_NODE] = {EXIT_CODE_USAGE, "See noctuactl nodes"},
    [CORE_NO_SERVICE] = {EXIT_CODE_USAGE, "See noctuactl status"},
    [CORE_NO_REGION] =
        {EXIT_CODE_USAGE,
         "Name its home or a target, other than where it is: noctuactl status SERVICE"},
    [CORE_NO_STEP] = {EXIT_CODE_USAGE, "See the steps: noctuactl status SERVICE"},
    [CORE_NO_OVERRIDE] = {EXIT_CODE_REFUSED, "See noctuactl status"},
    [CORE_LIMIT] = {EXIT_CODE_REFUSED, "Take back what isn't needed any more (docs: limits)"},
    [CORE_ROLE] = {EXIT_CODE_NOT_AUTHORISED, "Use a certificate of a higher role"},
    [CORE_OWNER] = {EXIT_CODE_NOT_AUTHORISED, "Ask its owner, or an admin"},
    [CORE_STALE_REPORT] = {EXIT_CODE_REFUSED, "Ask again in a moment"},
    [CORE_CHANGED] = {EXIT_CODE_PLAN_CHANGED, "Look at it as it is now, and ask again"},
    [CORE_NOT_ADOPTED] = {EXIT_CODE_REFUSED, "First: noctuactl adopt SERVICE --to REGION"},
    [CORE_NOT_SUSPECTED] = {EXIT_CODE_REFUSED,
                            "There is nothing to approve or reject: noctuactl status SERVICE"},
    [CORE_VOTES] = {EXIT_CODE_REFUSED, "Wait, or: noctuactl failover SERVICE"},
    [CORE_EVIDENCE] = {EXIT_CODE_REFUSED, "Wait, or: noctuactl failover SERVICE"},
    [CORE_NOT_CONFIRMED] = {EXIT_CODE_REFUSED, "Wait, or: noctuactl failover SERVICE"},
    [CORE_NO_TICK] = {EXIT_CODE_REFUSED, "Ask again in a moment"},
    [CORE_GATE] = {EXIT_CODE_REFUSED, "noctuactl explain SERVICE; --skip GATE names a risk"},
    [CORE_VETOED] = {EXIT_CODE_REFUSED, "noctuactl unveto SERVICE, or --skip vetoed"},
    [CORE_PAUSED] = {EXIT_CODE_REFUSED, "noctuactl resume SERVICE, or --skip paused"},
    [CORE_MAINTENANCE] = {EXIT_CODE_REFUSED, "End the maintenance, or --skip target_maintenance"},
    [CORE_IN_PROGRESS] = {EXIT_CODE_REFUSED, "Wait for it (noctuactl watch), or cancel it"},
    [CORE_NOT_OPEN] = {EXIT_CODE_REFUSED, "It may have ended: noctuactl history SERVICE"},
    [CORE_TOO_LATE] = {EXIT_CODE_REFUSED, "Try: noctuactl cancel SERVICE"},
    [CORE_BEGIN_EXPIRED] = {EXIT_CODE_REFUSED, "It will be decided anew"},
    [CORE_PHASE] = {EXIT_CODE_REFUSED, "See the steps: noctuactl status SERVICE"},
    [CORE_NEEDS] = {EXIT_CODE_REFUSED, "See the steps: noctuactl status SERVICE"},
    [CORE_PLAN] = {EXIT_CODE_INTERNAL, "This is a defect: keep the log and report it"},
    [CORE_NO_FENCE] = {EXIT_CODE_REFUSED, "First: noctuactl adopt SERVICE"},
    [CORE_SPEC] = {EXIT_CODE_USAGE, "Check it: noctuactl spec validate FILE"},
    [CORE_SPEC_IN_USE] =
        {EXIT_CODE_REFUSED,
         "Wait for the open move; keep home and active region of a live service, or let "
         "go of it first: noctuactl release --service SERVICE"},
    [CORE_MALFORMED] = {EXIT_CODE_USAGE, "Check names, times and limits"},
    [CORE_INVARIANT] = {EXIT_CODE_INTERNAL,
                        "Automation was stopped. This is a defect: keep the log and report it"},
};

_Static_assert(CORE_INVARIANT + 1 == CORE_ERROR_COUNT, "a new error needs a row above");

enum exit_code outcome_exit_code(enum core_error error) {
    assert((unsigned)error < CORE_ERROR_COUNT && outcomes[error].next != NULL);
    return outcomes[error].exit_code;
}

void outcome_sentence(enum core_error error, char *text, size_t size) {
    assert((unsigned)error < CORE_ERROR_COUNT && outcomes[error].next != NULL);
    (void)snprintf(text, size, "%s. %s", core_error_text(error), outcomes[error].next);
}
