#include "option_table.h"

#include "base/text.h"
#include "commands.h"

const struct argp_option client_options[] = {
    {NULL, 0, NULL, 0, "Everywhere:", 1},
    {"endpoints", KEY_ENDPOINTS, "HOST:PORT,...", 0, "nodes to ask (or NOCTUA_ENDPOINTS)", 1},
    {"tls", KEY_TLS, "DIR", 0, "ca.pem, user.pem, user.key (or NOCTUA_TLS; " TLS_DEFAULT ")", 1},
    {"output", 'o', "FORM", 0, "table, json or yaml", 1},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "how long to look for an answer (10s)", 1},
    {"id", KEY_ID, "ID", 0, "repeat the interrupted command that printed it", 1},
    {NULL, 0, NULL, 0, "Moves, overrides and choices:", 2},
    {"to", KEY_TO, "REGION", 0, "where to (the group chooses)", 2},
    {"reason", KEY_REASON, "TEXT", 0, "why; kept in history; overrides need it", 2},
    {"skip", KEY_SKIP, "GATE", 0, "move though this gate fails (several times)", 2},
    {"declare-dead", KEY_DECLARE_DEAD, "REGION,...", 0,
     "failover: the replica set goes on without these regions, or HOST:PORT", 2},
    {"for", KEY_FOR, "TIME", 0, "ends by itself: 30m, 2h", 2},
    {"expires", KEY_FOR, "TIME", OPTION_ALIAS, NULL, 2},
    {"all", KEY_ALL, NULL, 0, "every service", 2},
    {"yes", KEY_YES, NULL, 0, "don't ask", 2},
    {"watch", KEY_WATCH_LETTER, NULL, 0, "status: again every 2 s (until --wait is over)", 2},
    {"wait", KEY_WAIT, "SECONDS", OPTION_ARG_OPTIONAL, "show the steps until the end", 2},
    {"plan-hash", KEY_PLAN_HASH, "HASH", 0, "only if the plan is still this one (exit 8)", 2},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "show what would be done", 2},
    {"epoch", KEY_EPOCH, "N", 0, "of which move", 2},
    {"step", KEY_STEP, "NAME", 0, "release: which one", 2},
    {"service", KEY_SERVICE, "SERVICE", 0, "release: all of it, Noctua's marks out", 2},
    {"limit", KEY_LIMIT, "N", 0, "history: rows", 2},
    {"expected", KEY_EXPECTED, "INDEX", 0, "spec apply: the revision that it replaces", 2},
    {"against", KEY_AGAINST, "FILE", 0, "spec diff: with this file, offline", 2},
    {"revision", KEY_REVISION, "INDEX", 0, "spec: a kept one, by spec history", 2},
    {NULL, 0, NULL, 0, "pki:", 3},
    {"directory", KEY_DIRECTORY, "DIR", 0, "of the authority (pki)", 3},
    {"cluster", KEY_CLUSTER, "NAME", 0, "the group's name", 3},
    {"role", KEY_ROLE, "ROLE", 0, "issue user: viewer, operator, admin", 3},
    {"owner", KEY_OWNER, "NAME", 0, "issue user: an operator of these services (several times)", 3},
    {"out", KEY_OUT, "DIR", 0, "issue: where the files go (NAME)", 3},
    {"name", KEY_NAME, "HOST", 0, "issue node: DNS name or address (several times)", 3},
    {"days", KEY_DAYS, "N", 0, "how long it holds", 3},
    {"force", KEY_FORCE, NULL, 0, "replace what is there", 3},
    {0},
};
const uint32_t client_option_count = ARRAY_LENGTH(client_options) - 1;

const char client_exit_statuses[] =
    "0 done, 1 internal error, 2 usage or spec error, 3 refused by a gate or too late, 4 no quorum "
    "or "
    "unreachable, 5 the wait ended and it still runs, 6 stopped and needs an operator, 7 vetoed or "
    "cancelled, 8 the plan changed, 9 not authorised, 10 differences.";

uint32_t client_option_bit(int key) {
    switch (key) {
    case KEY_TO:
        return OPTION_TO;
    case KEY_REASON:
        return OPTION_REASON;
    case KEY_SKIP:
        return OPTION_SKIP;
    case KEY_FOR:
        return OPTION_FOR;
    case KEY_YES:
        return OPTION_YES;
    case KEY_WAIT:
        return OPTION_WAIT;
    case KEY_PLAN_HASH:
        return OPTION_PLAN_HASH;
    case KEY_EPOCH:
        return OPTION_EPOCH;
    case KEY_STEP:
        return OPTION_STEP;
    case KEY_SERVICE:
        return OPTION_SERVICE;
    case KEY_DECLARE_DEAD:
        return OPTION_DEAD;
    case KEY_LIMIT:
        return OPTION_EVENTS;
    case KEY_EXPECTED:
        return OPTION_EXPECTED;
    case KEY_DRY_RUN:
        return OPTION_DRY_RUN;
    case KEY_ALL:
        return OPTION_ALL;
    case KEY_AGAINST:
        return OPTION_AGAINST;
    case KEY_WATCH_LETTER:
    case KEY_WATCH:
        return OPTION_WATCH;
    case KEY_REVISION:
        return OPTION_REVISION;
    case KEY_DIRECTORY:
    case KEY_CLUSTER:
    case KEY_ROLE:
    case KEY_OWNER:
    case KEY_OUT:
    case KEY_NAME:
    case KEY_DAYS:
    case KEY_FORCE:
        return OPTION_PKI;
    default:
        return 0;
    }
}
