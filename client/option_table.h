/* The table of noctuactl's options: parsing, help, completion and the manual come from it. */
#ifndef CLIENT_OPTION_TABLE_H
#define CLIENT_OPTION_TABLE_H

#include <argp.h>
#include <stdint.h>

#define TLS_DEFAULT "/etc/noctua/tls"

enum {
    KEY_ENDPOINTS = 256,
    KEY_TLS,
    KEY_ID,
    KEY_TIMEOUT,
    KEY_TO,
    KEY_REASON,
    KEY_SKIP,
    KEY_FOR,
    KEY_YES,
    KEY_WAIT,
    KEY_PLAN_HASH,
    KEY_EPOCH,
    KEY_STEP,
    KEY_SERVICE,
    KEY_DECLARE_DEAD,
    KEY_LIMIT,
    KEY_EXPECTED,
    KEY_DRY_RUN,
    KEY_ALL,
    KEY_AGAINST,
    KEY_REVISION,
    KEY_WATCH,
    KEY_DIRECTORY,
    KEY_CLUSTER,
    KEY_ROLE,
    KEY_OWNER,
    KEY_OUT,
    KEY_NAME,
    KEY_DAYS,
    KEY_FORCE,
    KEY_END,
};

extern const struct argp_option client_options[]; /* ends with {0} */
extern const uint32_t client_option_count;        /* without that */
/* -w is also a letter. */
#define KEY_WATCH_LETTER 'w'
/* The OPTION_ bit of the commands that take it; 0: all do. */
uint32_t client_option_bit(int key);
/* "0 done, 1 internal error, ..." */
extern const char client_exit_statuses[];

#endif
