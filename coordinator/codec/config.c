#include "codec/config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/yaml_tree.h"
#include "value_table.h"

static const char *const level_words[] = {"debug", "info", "warning", "error", NULL};
static const char *const format_words[] = {"text", "json", NULL};

#define AT(member) VALUE_AT(struct node_config, member)
#define ADDRESS_REQUIRED .low = 1
#define ADDRESS_OR_NONE .low = 0

/* In the order of the reference page. */
static const struct value_row config_rows[] = {
    {"cluster", VALUE_NAME, AT(cluster), .required = true,
     .doc = "the group's name; it stands in each handshake and each fence, so that a node of "
            "another group can't join by mistake"},
    {"node", VALUE_NAME, AT(node), .required = true,
     .doc = "this node's name, one of `peers`; its certificate must carry it"},
    {"region", VALUE_NAME, AT(region), .required = true,
     .doc = "the region that this node stands in; a region's vote is what most of its nodes say"},
    {"peers", VALUE_OTHER, .required = true,
     .doc = "`NAME: host:port` for every node of the group, this one as well, the same on all of "
            "them; names are resolved again at each reconnect"},
    {"data", VALUE_PATH, AT(data), .standard = "/var/lib/noctua",
     .doc = "directory of log and snapshots, on a local disk, made by `noctuad bootstrap`"},
    {"tls", VALUE_PATH, AT(tls), .standard = "/etc/noctua/tls",
     .doc = "directory with ca.pem, node.pem, node.key and, if there is one, crl.pem"},
    {"secrets", VALUE_PATH, AT(secrets), .standard = "/etc/noctua/secrets",
     .doc = "directory of the files that `file:NAME` names"},
    {"listen.peer", VALUE_ADDRESS, AT(listen.peer), ADDRESS_REQUIRED, .standard = "0.0.0.0:7600",
     .doc = "for the other nodes: consensus and reports, mutual TLS"},
    {"listen.api", VALUE_ADDRESS, AT(listen.api), ADDRESS_REQUIRED, .standard = "0.0.0.0:7601",
     .doc = "for `noctuactl`, mutual TLS"},
    {"listen.http", VALUE_ADDRESS, AT(listen.http), ADDRESS_OR_NONE, .standard = "127.0.0.1:7602",
     .doc =
         "every HTTP endpoint, without encryption: for load balancers, metrics and tools nearby"},
    {"listen.public", VALUE_ADDRESS, AT(listen.public), ADDRESS_OR_NONE, .standard = "none",
     .doc = "only `/switch`, `/lease` and `/livez`, for pollers from outside"},
    {"raft.heartbeat", VALUE_DURATION, AT(raft.heartbeat_ms), .low = 10, .high = 10000,
     .standard = "100ms", .doc = "how often a leader is heard, at least"},
    {"raft.election", VALUE_DURATION, AT(raft.election_ms), .low = 100, .high = 60000,
     .standard = "1s",
     .doc = "silence after which a new leader is elected; at least ten heartbeats, and well above "
            "the longest round trip between the nodes"},
    {"raft.snapshot_threshold", VALUE_NUMBER, AT(snapshot_threshold), .low = 64, .high = 1000000,
     .standard = "1024", .doc = "log entries between two snapshots"},
    {"http.max_connections", VALUE_NUMBER, AT(http_max_connections), .low = 16, .high = 4096,
     .standard = "512", .doc = "at once, of one listener; over it the one idle longest is dropped"},
    {"inspect.every", VALUE_DURATION, AT(inspect.every_ms), .low = 100, .high = 3600000,
     .standard = "60s",
     .doc = "how often the leader reads the records and fences of services that don't move, to see "
            "what somebody else changed, and what can't be read"},
    {"control", VALUE_OTHER, .standard = "none",
     .doc =
         "`[host:port, ...]` outside the serving regions: a node that reaches none of them votes "
         "unknown, because then it is itself cut off"},
    {"log.level", VALUE_WORD, AT(log.level), .words = level_words, .standard = "info",
     .reloadable = true, .doc = "lowest level that is written"},
    {"log.format", VALUE_WORD, AT(log.format), .words = format_words, .standard = "text",
     .reloadable = true, .doc = "one line an event: key=value, or a JSON object"},
    {"alarm.pagerduty", VALUE_TEXT, AT(alarm.pagerduty), .standard = "none", .reloadable = true,
     .doc =
         "routing key of a PagerDuty service (Events API v2), as `file:NAME` or `env:NAME`: this "
         "node pages by itself, also without a quorum"},
    {"alarm.pagerduty_url", VALUE_TEXT, AT(alarm.pagerduty_url), .reloadable = true,
     .standard = "https://events.pagerduty.com/v2/enqueue",
     .doc = "where its events go; https://events.eu.pagerduty.com/v2/enqueue in the EU"},
    {"alarm.url", VALUE_TEXT, AT(alarm.url), .standard = "none", .reloadable = true,
     .doc = "a URL, or `file:NAME` or `env:NAME` with one: gets each alarm and its end as JSON by "
            "POST"},
    {"alarm.no_quorum_after", VALUE_DURATION, AT(alarm.no_quorum_ms), .low = 1000, .high = 3600000,
     .standard = "60s", .reloadable = true, .doc = "how long without a quorum pages"},
    {"alarm.not_ready_after", VALUE_DURATION, AT(alarm.not_ready_ms), .low = 1000, .high = 86400000,
     .standard = "15m", .reloadable = true,
     .doc = "how long a service may not be ready to move (`noctuactl ready`) until that pages"},
    {"alarm.pause_forgotten_after", VALUE_DURATION, AT(alarm.pause_forgotten_ms), .low = 1000,
     .high = 604800000, .standard = "4h", .reloadable = true,
     .doc = "a pause that holds for longer is paged"},
    {"alarm.primary_elsewhere_after", VALUE_DURATION, AT(alarm.primary_elsewhere_ms), .low = 1000,
     .high = 86400000, .standard = "60s", .reloadable = true,
     .doc =
         "a replica set whose primary is for longer in another region than its service is paged"},
    {"heartbeat.url", VALUE_TEXT, AT(heartbeat.url), .standard = "none", .reloadable = true,
     .doc =
         "a dead man's switch: a URL, or `file:NAME` or `env:NAME` with one, that is asked (GET) "
         "as long as this node is well"},
    {"heartbeat.every", VALUE_DURATION, AT(heartbeat.every_ms), .low = 1000, .high = 3600000,
     .standard = "60s", .reloadable = true, .doc = "how often"},
};

static const struct value_table config_table = {config_rows, ARRAY_LENGTH(config_rows),
                                                "the node's file"};

static int compare_peers(const void *a, const void *b) {
    return strcmp(((const struct config_peer *)a)->name, ((const struct config_peer *)b)->name);
}

static void read_peer(const struct yaml_node *node, struct node_config *config,
                      struct spec_findings *findings) {
    if (config->peer_count == NODE_MAX) {
        find_error_at_key(findings, node, "more than %d peers", NODE_MAX);
        return;
    }
    struct config_peer peer = {.name = ""};
    if (!text_is_name(node->key->text, NAME_SIZE - 1)) {
        find_error_at_key(findings, node, "'%.64s' is not a node's name: a-z, 0-9 and inside - _ .",
                          node->key->text);
        return;
    }
    (void)TEXT_COPY(peer.name, node->key->text);
    if (node->kind != YAML_SCALAR || !value_parse_address(node->text, &peer.address)) {
        find_error(findings, node, "peer '%s' needs host:port, as in n1.example.com:7600",
                   peer.name);
        return;
    }
    for (uint32_t i = 0; i < config->peer_count; i++) {
        const struct config_address *other = &config->peers[i].address;
        if (other->port == peer.address.port && text_equal(other->host, peer.address.host)) {
            find_error(findings, node, "peer '%s' has the address of peer '%s'", peer.name,
                       config->peers[i].name);
        }
    }
    config->peers[config->peer_count++] = peer;
}

static void read_peers(const struct yaml_node *root, struct node_config *config,
                       struct spec_findings *findings) {
    const struct yaml_node *peers = yaml_find(root, "peers");
    if (peers == NULL) {
        return; /* told as a missing key */
    }
    if (peers->kind != YAML_MAPPING || peers->first == NULL) {
        find_error(findings, peers, "peers: every node of the group, as NAME: host:port");
        return;
    }
    for (const struct yaml_node *node = peers->first; node != NULL; node = node->next) {
        read_peer(node, config, findings);
    }
    qsort(config->peers, config->peer_count, sizeof config->peers[0], compare_peers);
    bool found = false;
    for (uint32_t i = 0; i < config->peer_count; i++) {
        if (text_equal(config->peers[i].name, config->node)) {
            config->self = i;
            found = true;
        }
    }
    const struct yaml_node *name = yaml_find(root, "node");
    if (!found && config->node[0] != '\0') {
        find_error(findings, name, "node '%s' is not among the peers", config->node);
    }
    if (peers->count % 2 == 0) {
        find_warning(findings, peers->key,
                     "%" PRIu32 " nodes survive no more losses than %" PRIu32
                     " would: use an odd number",
                     peers->count, peers->count - 1);
    }
}

static void read_control(const struct yaml_node *root, struct node_config *config,
                         struct spec_findings *findings) {
    const struct yaml_node *control = yaml_find(root, "control");
    bool none = control == NULL || yaml_is_null(control) ||
                (control->kind == YAML_SCALAR && text_equal(control->text, "none")) ||
                (control->kind == YAML_SEQUENCE && control->first == NULL);
    if (none) {
        findings_add(findings, FINDING_WARNING, control == NULL ? 0 : control->line,
                     control == NULL ? 0 : control->column,
                     "without `control` targets a node that is itself cut off votes down on all "
                     "that it can't see");
        return;
    }
    if (control->kind != YAML_SEQUENCE) {
        find_error(findings, control, "control: a list is wanted here, [host:port, ...]");
        return;
    }
    for (const struct yaml_node *node = control->first; node != NULL; node = node->next) {
        struct config_address address;
        if (node->kind != YAML_SCALAR || !value_parse_address(node->text, &address)) {
            find_error(findings, node, "control: '%.80s' is not host:port",
                       node->kind == YAML_SCALAR ? node->text : "");
        } else if (config->control_count == CONFIG_CONTROL_MAX) {
            find_error(findings, node, "control: more than %d targets", CONFIG_CONTROL_MAX);
            return;
        } else {
            config->control[config->control_count++] = address;
        }
    }
}

static void check_raft(const struct yaml_node *root, const struct node_config *config,
                       struct spec_findings *findings) {
    const struct yaml_node *raft = yaml_find(root, "raft");
    const struct yaml_node *at =
        raft != NULL && raft->kind == YAML_MAPPING ? yaml_find(raft, "election") : NULL;
    at = at != NULL ? at : raft;
    uint64_t heartbeat_ms = config->raft.heartbeat_ms;
    char wanted[TEXT_DURATION_SIZE];
    (void)text_from_duration_ms(heartbeat_ms * 10, wanted);
    if (config->raft.election_ms < heartbeat_ms * 5) {
        find_error(findings, at, "election is under five heartbeats; write %s or more", wanted);
    } else if (config->raft.election_ms < heartbeat_ms * 10) {
        find_warning(findings, at,
                     "election is under ten heartbeats: a slow link alone can depose a leader; "
                     "write %s or more",
                     wanted);
    }
}

/* Two listeners on one port of one host, or of all hosts. */
static void check_listeners(const struct yaml_node *root, const struct node_config *config,
                            struct spec_findings *findings) {
    const struct {
        const char *key;
        const struct config_address *address;
    } listeners[] = {{"peer", &config->listen.peer},
                     {"api", &config->listen.api},
                     {"http", &config->listen.http},
                     {"public", &config->listen.public}};
    const struct yaml_node *listen = yaml_find(root, "listen");
    for (uint32_t i = 0; i < ARRAY_LENGTH(listeners); i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct config_address *a = listeners[i].address;
            const struct config_address *b = listeners[j].address;
            bool overlap = text_equal(a->host, b->host) || text_equal(a->host, "0.0.0.0") ||
                           text_equal(b->host, "0.0.0.0") || text_equal(a->host, "::") ||
                           text_equal(b->host, "::");
            if (a->port == 0 || a->port != b->port || !overlap) {
                continue;
            }
            const struct yaml_node *at = listen != NULL && listen->kind == YAML_MAPPING
                                             ? yaml_find(listen, listeners[i].key)
                                             : NULL;
            find_error(findings, at != NULL ? at : listen, "listen: %s and %s share port %u",
                       listeners[j].key, listeners[i].key, (unsigned)a->port);
        }
    }
}

static bool is_none(const char *text) {
    return text[0] == '\0' || text_equal(text, "none");
}

static bool is_url(const char *text) {
    return text_starts_with(text, "https://") || text_starts_with(text, "http://");
}

bool config_has_alarm(const struct node_config *config) {
    return !is_none(config->alarm.pagerduty) || !is_none(config->alarm.url);
}

/* A key of a group, to point at; the group or nothing when it isn't given. */
static const struct yaml_node *find_in(const struct yaml_node *root, const char *group,
                                       const char *key) {
    const struct yaml_node *found = yaml_find(root, group);
    const struct yaml_node *inner =
        found != NULL && found->kind == YAML_MAPPING ? yaml_find(found, key) : NULL;
    return inner != NULL ? inner : found;
}

static void check_alarm(const struct yaml_node *root, const struct node_config *config,
                        struct spec_findings *findings) {
    struct secret_reference reference;
    struct error error;
    if (!is_none(config->alarm.pagerduty) &&
        secret_reference_parse(config->alarm.pagerduty, &reference, &error) != ERROR_OK) {
        find_error(findings, find_in(root, "alarm", "pagerduty"), "pagerduty: %s", error.message);
    }
    if (!is_url(config->alarm.pagerduty_url)) {
        find_error(findings, find_in(root, "alarm", "pagerduty_url"),
                   "pagerduty_url: an https:// URL is wanted here");
    }
    const struct {
        const char *group, *text;
    } urls[] = {{"alarm", config->alarm.url}, {"heartbeat", config->heartbeat.url}};
    for (size_t i = 0; i < ARRAY_LENGTH(urls); i++) {
        if (!is_none(urls[i].text) && !is_url(urls[i].text) &&
            secret_reference_parse(urls[i].text, &reference, &error) != ERROR_OK) {
            find_error(findings, find_in(root, urls[i].group, "url"),
                       "url: an https:// URL is wanted here, or file:NAME or env:NAME with one");
        }
    }
}

enum error_code config_parse(const char *text, size_t size_bytes, const char *file_name,
                             struct node_config *ret, struct spec_findings *findings) {
    findings_init(findings, file_name);
    struct yaml_tree tree;
    enum error_code code = yaml_tree_read(text, size_bytes, CONFIG_TEXT_MAX, &tree, findings);
    if (code != ERROR_OK) {
        return code;
    }
    struct node_config *config = calloc(1, sizeof *config);
    if (config == NULL) {
        yaml_tree_finish(&tree);
        return findings_add_no_memory(findings);
    }
    if (tree.root == NULL || tree.root->kind != YAML_MAPPING) {
        find_error(findings, tree.root,
                   "keys and values are wanted here; see `noctuad "
                   "--print-config-reference`");
    } else if (value_table_read(&config_table, tree.root, NULL, config, findings)) {
        read_peers(tree.root, config, findings);
        read_control(tree.root, config, findings);
        check_raft(tree.root, config, findings);
        check_listeners(tree.root, config, findings);
        check_alarm(tree.root, config, findings);
    }
    findings_sort(findings);
    code = findings->error_count == 0 ? ERROR_OK : ERROR_INVALID;
    if (code == ERROR_OK) {
        *ret = *config;
    }
    free(config);
    yaml_tree_finish(&tree);
    return code;
}

enum error_code config_read_file(const char *path, struct node_config *ret,
                                 struct spec_findings *findings) {
    findings_init(findings, path);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        enum error_code code = errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO;
        findings_add(findings, FINDING_ERROR, 0, 0, "can't be opened: %s", strerror(errno));
        return code;
    }
    /* One byte more than is allowed, so that a longer file is noticed. */
    char *text = malloc(CONFIG_TEXT_MAX + 1);
    enum error_code code = text == NULL ? findings_add_no_memory(findings) : ERROR_OK;
    if (code == ERROR_OK) {
        size_t size = fread(text, 1, CONFIG_TEXT_MAX + 1, file);
        if (ferror(file) != 0) {
            findings_add(findings, FINDING_ERROR, 0, 0, "can't be read: %s", strerror(errno));
            code = ERROR_IO;
        } else {
            code = config_parse(text, size, path, ret, findings);
        }
    }
    free(text);
    (void)fclose(file);
    return code;
}

bool config_can_reload(const struct node_config *now, const struct node_config *next,
                       const char **ret_key) {
    const char *key = NULL;
    for (uint32_t i = 0; i < ARRAY_LENGTH(config_rows) && key == NULL; i++) {
        const struct value_row *row = &config_rows[i];
        if (!row->reloadable && row->size > 0 && !value_equal(row, now, next)) {
            key = row->key;
        }
    }
    if (key == NULL && (now->peer_count != next->peer_count ||
                        memcmp(now->peers, next->peers, sizeof now->peers) != 0)) {
        key = "peers";
    }
    if (key == NULL && (now->control_count != next->control_count ||
                        memcmp(now->control, next->control, sizeof now->control) != 0)) {
        key = "control";
    }
    if (key != NULL && ret_key != NULL) {
        *ret_key = key;
    }
    return key == NULL;
}

void config_print_reference(struct buffer *out) {
    buffer_append_text(out, "# noctuad.yaml\n\n");
    value_table_print(&config_table, true, out);
    buffer_append_text(out,
                       "\nDurations are whole numbers with a unit: ms, s, m, h, d. Unknown keys "
                       "are errors. Secrets are named, never written: `file:NAME` below "
                       "`secrets`, or `env:NAME`.\n");
}

void config_print_manual(struct buffer *out) {
    value_table_print_manual(&config_table, out);
}

static bool is_secret_name(const char *name, bool file) {
    size_t length = strlen(name);
    if (length == 0 || length >= SECRET_NAME_SIZE || (file && name[0] == '.')) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || (file && (c == '-' || c == '.'));
        if (!fine) {
            return false;
        }
    }
    return file || name[0] < '0' || name[0] > '9';
}

enum error_code secret_reference_parse(const char *text, struct secret_reference *ret,
                                       struct error *error) {
    bool file = text_starts_with(text, "file:");
    bool environment = text_starts_with(text, "env:");
    const char *name = text + (file ? strlen("file:") : environment ? strlen("env:") : 0);
    if ((!file && !environment) || !is_secret_name(name, file)) {
        return error_set(error, ERROR_INVALID,
                         "a secret is named, not written here: file:NAME (below the secrets "
                         "directory) or env:NAME");
    }
    ret->kind = file ? SECRET_FILE : SECRET_ENVIRONMENT;
    memset(ret->name, 0, sizeof ret->name);
    memcpy(ret->name, name, strlen(name));
    return ERROR_OK;
}
