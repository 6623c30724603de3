#include "options.h"

#include <argp.h>
#include <stddef.h>

#include "base/text.h"
#include "mongo/set.h"

enum option_key {
    OPTION_DIRECTORY = 0x100,
    OPTION_REGION,
    OPTION_ZONE,
    OPTION_RECORDS,
    OPTION_ACCESS_KEY,
    OPTION_ROLE,
    OPTION_WEB_IDENTITY_TOKEN,
    OPTION_SESSION_SECONDS,
    OPTION_INSYNC_MS,
    OPTION_THROTTLE,
    OPTION_OLD_BATCH_ERRORS,
    OPTION_DNS_ALIAS,
    OPTION_DNS_INSYNC_ONLY,
    OPTION_LEDGER,
    OPTION_TLS,
    OPTION_MONGO,
    OPTION_MONGO_SPEED,
    OPTION_MONGO_SEED,
    OPTION_MONGO_FRESH,
    OPTION_MONGO_PORT,
    OPTION_CONTROL_PORT,
    OPTION_ROUTE53_PORT,
    OPTION_STS_PORT,
    OPTION_DNS_PORT,
};

static const struct argp_option option_table[] = {
    {"directory", OPTION_DIRECTORY, "DIR", 0, "where world.json and the ledger go (required)", 1},
    {"ledger", OPTION_LEDGER, "FILE", 0, "the ledger (DIR/ledger.jsonl)", 1},
    {"region", OPTION_REGION, "NAME[:SERVICE[=PORT]...]", 0,
     "a region with its services; 'http' is always one of them", 2},
    {"tls", OPTION_TLS, "CERT:KEY[:CA]", 0,
     "every region has a service 'https', too; with CA, clients need a certificate", 2},
    {"zone", OPTION_ZONE, "ID:NAME", 0, "a hosted zone", 3},
    {"records", OPTION_RECORDS, "FILE", 0, "JSON: {zone id: [record set, ...]} to begin with", 3},
    {"insync-ms", OPTION_INSYNC_MS, "N", 0, "a change is PENDING for so long (300)", 3},
    {"throttle", OPTION_THROTTLE, "N", 0, "Throttling over N requests a second", 3},
    {"old-batch-errors", OPTION_OLD_BATCH_ERRORS, NULL, 0,
     "InvalidChangeBatch in its form of before October 2024", 3},
    {"access-key", OPTION_ACCESS_KEY, "AKID:SECRET[:TOKEN]", 0, "an access key that may sign", 4},
    {"role", OPTION_ROLE, "ARN[:EXTERNAL-ID]", 0,
     "a role that may be assumed (any, when none is given)", 4},
    {"web-identity-token", OPTION_WEB_IDENTITY_TOKEN, "TOKEN", 0,
     "the only token that AssumeRoleWithWebIdentity takes (any)", 4},
    {"session-seconds", OPTION_SESSION_SECONDS, "N", 0,
     "temporary credentials last so long, whatever was asked", 4},
    {"alias", OPTION_DNS_ALIAS, "DNSNAME=IP", 0, "the address behind an alias target", 5},
    {"dns-insync-only", OPTION_DNS_INSYNC_ONLY, NULL, 0, "DNS shows a change only when INSYNC", 5},
    {"mongo", OPTION_MONGO, "NAME:RELEASE:MEMBERS[:SPARES]", 0,
     "a MongoDB replica set that behaves like RELEASE (3.6 or 4.4), and empty servers beside it",
     6},
    {"mongo-speed", OPTION_MONGO_SPEED, "N", 0, "its time runs N times as fast (1)", 6},
    {"mongo-seed", OPTION_MONGO_SEED, "N", 0, "of its chances (1)", 6},
    {"mongo-fresh", OPTION_MONGO_FRESH, NULL, 0, "it isn't initiated yet", 6},
    {"mongo-port", OPTION_MONGO_PORT, "PORT", 0, "of the first member; the others follow", 6},
    {"control-port", OPTION_CONTROL_PORT, "PORT", 0, "ports are chosen by the kernel", 7},
    {"route53-port", OPTION_ROUTE53_PORT, "PORT", 0, "unless they are given", 7},
    {"sts-port", OPTION_STS_PORT, "PORT", 0, NULL, 7},
    {"dns-port", OPTION_DNS_PORT, "PORT", 0, NULL, 7},
    {0},
};

static void options_add(struct argp_state *state, struct options_list *list, const char *item) {
    if (list->count == OPTIONS_LIST_MAX) {
        argp_error(state, "more than %d of one option", OPTIONS_LIST_MAX);
    }
    list->items[list->count++] = item;
}

static uint64_t options_number(struct argp_state *state, const char *text, uint64_t low,
                               uint64_t high) {
    uint64_t number = 0;
    if (!text_to_u64(text, low, high, &number)) {
        argp_error(state, "'%s' is not a number from %llu to %llu", text, (unsigned long long)low,
                   (unsigned long long)high);
    }
    return number;
}

static error_t options_parse_list(int key, char *text, struct argp_state *state,
                                  struct options *options) {
    switch (key) {
    case OPTION_REGION:
        options_add(state, &options->regions, text);
        return 0;
    case OPTION_ZONE:
        options_add(state, &options->zones, text);
        return 0;
    case OPTION_ACCESS_KEY:
        options_add(state, &options->keys, text);
        return 0;
    case OPTION_ROLE:
        options_add(state, &options->roles, text);
        return 0;
    case OPTION_DNS_ALIAS:
        options_add(state, &options->aliases, text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t options_parse_number(int key, char *text, struct argp_state *state,
                                    struct options *options) {
    switch (key) {
    case OPTION_SESSION_SECONDS:
        options->session_seconds = options_number(state, text, 1, 86400);
        return 0;
    case OPTION_INSYNC_MS:
        options->insync_ms = options_number(state, text, 0, OPTIONS_INSYNC_MAX_MS);
        return 0;
    case OPTION_THROTTLE:
        options->throttle_per_second = options_number(state, text, 1, 1000000);
        return 0;
    case OPTION_MONGO_SPEED:
        options->mongo_speed = options_number(state, text, 1, OPTIONS_MONGO_SPEED_MAX);
        return 0;
    case OPTION_MONGO_SEED:
        options->mongo_seed = options_number(state, text, 0, UINT64_MAX);
        return 0;
    case OPTION_MONGO_PORT:
        options->mongo_port =
            (uint16_t)options_number(state, text, 1, UINT16_MAX - MONGO_PROCESSES_MAX);
        return 0;
    case OPTION_CONTROL_PORT:
        options->control_port = (uint16_t)options_number(state, text, 1, UINT16_MAX);
        return 0;
    case OPTION_ROUTE53_PORT:
        options->route53_port = (uint16_t)options_number(state, text, 1, UINT16_MAX);
        return 0;
    case OPTION_STS_PORT:
        options->sts_port = (uint16_t)options_number(state, text, 1, UINT16_MAX);
        return 0;
    case OPTION_DNS_PORT:
        options->dns_port = (uint16_t)options_number(state, text, 1, UINT16_MAX);
        return 0;
    default:
        return options_parse_list(key, text, state, options);
    }
}

static error_t options_parse_one(int key, char *text, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
    case OPTION_DIRECTORY:
        options->directory = text;
        return 0;
    case OPTION_LEDGER:
        options->ledger_path = text;
        return 0;
    case OPTION_RECORDS:
        options->records_path = text;
        return 0;
    case OPTION_TLS:
        options->tls = text;
        return 0;
    case OPTION_WEB_IDENTITY_TOKEN:
        options->web_identity_token = text;
        return 0;
    case OPTION_MONGO:
        options->mongo = text;
        return 0;
    case OPTION_MONGO_FRESH:
        options->mongo_fresh = true;
        return 0;
    case OPTION_OLD_BATCH_ERRORS:
        options->old_batch_errors = true;
        return 0;
    case OPTION_DNS_INSYNC_ONLY:
        options->dns_insync_only = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", text);
        return 0;
    case ARGP_KEY_END:
        if (options->directory == NULL) {
            argp_error(state, "--directory is required");
        }
        return 0;
    default:
        return options_parse_number(key, text, state, options);
    }
}

void options_parse(int argc, char **argv, struct options *ret_options) {
    static const struct argp argp = {
        .options = option_table,
        .parser = options_parse_one,
        .doc = "The outside world of Noctua for tests: regions with services, Route 53, STS, "
               "DNS and a MongoDB replica set, with faults on command. Writes DIR/world.json with "
               "all addresses, then "
               "prints 'ready'.",
    };
    *ret_options =
        (struct options){.insync_ms = OPTIONS_INSYNC_DEFAULT_MS, .mongo_speed = 1, .mongo_seed = 1};
    argp_parse(&argp, argc, argv, 0, NULL, ret_options);
}
