/* The command line of noctua-world. */
#ifndef WORLD_OPTIONS_H
#define WORLD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_LIST_MAX 64
#define OPTIONS_INSYNC_DEFAULT_MS 300
#define OPTIONS_MONGO_SPEED_MAX 1000
#define OPTIONS_INSYNC_MAX_MS (24ULL * 3600 * 1000)

struct options_list {
    const char *items[OPTIONS_LIST_MAX];
    unsigned count;
};

struct options {
    const char *directory;
    const char *ledger_path;        /* NULL: <directory>/ledger.jsonl */
    const char *records_path;       /* NULL: none */
    const char *tls;                /* CERT:KEY[:CA], NULL: no https services */
    const char *web_identity_token; /* NULL: any */
    struct options_list regions;    /* NAME[:SERVICE[=PORT]...] */
    struct options_list zones;      /* ID:NAME */
    struct options_list keys;       /* AKID:SECRET[:TOKEN] */
    struct options_list roles;      /* ARN[:EXTERNAL-ID]; none: any role */
    struct options_list aliases;    /* DNSNAME=IP */
    uint64_t insync_ms;
    uint64_t session_seconds;                                /* 0: as the caller asks */
    uint64_t throttle_per_second;                            /* 0: no limit */
    uint16_t control_port, route53_port, sts_port, dns_port; /* 0: any */
    const char *mongo; /* NAME:RELEASE:MEMBERS[:SPARES], NULL: none */
    uint64_t mongo_speed, mongo_seed;
    uint16_t mongo_port; /* 0: any */
    bool mongo_fresh;
    bool dns_insync_only;
    bool old_batch_errors;
};

/* Exits with a message (status 64) on a wrong command line. */
void options_parse(int argc, char **argv, struct options *ret_options);

#endif
