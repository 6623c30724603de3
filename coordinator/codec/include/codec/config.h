/* The node's own file, noctuad.yaml. One table says for each key its type, range, default, whether
 * it is read again on SIGHUP, and what it means; it parses, checks and prints the reference page.
 * The whole is checked before any of it is used. */
#ifndef CODEC_CONFIG_H
#define CODEC_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "codec/findings.h"
#include "core/limits.h"

#define CONFIG_TEXT_MAX (64 * 1024)
#define CONFIG_PATH_SIZE 256
#define CONFIG_HOST_SIZE 256
#define CONFIG_URL_SIZE 512
#define CONFIG_CONTROL_MAX 16

/* "host:port", or "none": then the port is 0. IPv6 is written "[::1]:7600"; host is without the
 * brackets. Names are resolved when they are used, again at each reconnect. */
struct config_address {
    char host[CONFIG_HOST_SIZE];
    uint16_t port;
};

struct config_peer {
    char name[NAME_SIZE];
    struct config_address address;
};

struct node_config {
    char cluster[NAME_SIZE];
    char node[NAME_SIZE];
    char region[NAME_SIZE];
    struct config_peer peers[NODE_MAX]; /* by name; this node among them */
    uint32_t peer_count;
    uint32_t self; /* place of this node in peers */
    char data[CONFIG_PATH_SIZE];
    char tls[CONFIG_PATH_SIZE];
    char secrets[CONFIG_PATH_SIZE];
    struct {
        struct config_address peer, api, http, public;
    } listen;
    struct {
        uint32_t heartbeat_ms, election_ms;
    } raft;
    struct config_address control[CONFIG_CONTROL_MAX];
    uint32_t control_count;
    struct {
        enum log_level level;
        enum log_format format;
    } log;
    /* Texts: "none", a URL, or a reference to a secret. */
    struct {
        char pagerduty[CONFIG_URL_SIZE], pagerduty_url[CONFIG_URL_SIZE], url[CONFIG_URL_SIZE];
        uint32_t no_quorum_ms, not_ready_ms, pause_forgotten_ms, primary_elsewhere_ms;
    } alarm;
    struct {
        char url[CONFIG_URL_SIZE];
        uint32_t every_ms;
    } heartbeat;
    struct {
        uint32_t every_ms;
    } inspect;
    uint32_t snapshot_threshold; /* entries */
    uint32_t http_max_connections;
};

/* Reads a config file's text. `ret` is untouched unless ERROR_OK. ERROR_INVALID: see the findings
 * (sorted by place); with ERROR_OK there may be warnings in them. */
enum error_code config_parse(const char *text, size_t size_bytes, const char *file_name,
                             struct node_config *ret, struct spec_findings *findings);

/* The same from a file (at most CONFIG_TEXT_MAX bytes). ERROR_NOT_FOUND, ERROR_IO: as a finding. */
enum error_code config_read_file(const char *path, struct node_config *ret,
                                 struct spec_findings *findings);

/* Whether the keys that differ can be taken over by a running node; else `ret_key` (may be NULL)
 * names one that can't. */
bool config_can_reload(const struct node_config *now, const struct node_config *next,
                       const char **ret_key);

/* Whether anybody is paged. */
bool config_has_alarm(const struct node_config *config);

/* The reference page (Markdown), from the table. */
void config_print_reference(struct buffer *out);
/* The keys for a manual page (troff). */
void config_print_manual(struct buffer *out);

/* A secret is named, never written: `file:NAME` (a file below the node's secrets directory; NAME is
 * a plain file name) or `env:NAME` (an environment variable). */
enum secret_kind { SECRET_FILE, SECRET_ENVIRONMENT };
#define SECRET_NAME_SIZE 128

struct secret_reference {
    enum secret_kind kind;
    char name[SECRET_NAME_SIZE];
};

/* ERROR_INVALID, with what a reference looks like; the text itself is not repeated in the message:
 * it may be the secret. `ret` is untouched on failure. */
enum error_code secret_reference_parse(const char *text, struct secret_reference *ret,
                                       struct error *error);

#endif
