/* noctuad: the daemon. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>
#include <malloc.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/text.h"
#include "node.h"

#define CONFIG_DEFAULT "/etc/noctua/noctuad.yaml"
#define DOCUMENTS_EVERY_MS 250

const char *argp_program_version = "noctuad " NOCTUA_VERSION;

enum mode {
    MODE_RUN,
    MODE_BOOTSTRAP,
    MODE_JOIN,
    MODE_CHECK,
    MODE_REFERENCE,
    MODE_MANUAL,
    MODE_LAST_WORD
};

struct arguments {
    enum mode mode;
    const char *config, *last_word;
};

enum { KEY_CHECK = 256, KEY_REFERENCE, KEY_MANUAL, KEY_LAST_WORD };

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "the node's configuration (default " CONFIG_DEFAULT ")", 0},
    {"check-config", KEY_CHECK, NULL, 0, "check the configuration, say what is wrong, and exit", 0},
    {"last-word", KEY_LAST_WORD, "WHY", OPTION_HIDDEN, "page that this node has stopped, and exit",
     0},
    {"print-config-reference", KEY_REFERENCE, NULL, 0, "print every key of the configuration", 0},
    {"print-manual", KEY_MANUAL, NULL, 0, "print this and every key as a manual page (man -l -)",
     0},
    {0},
};

static const char doc[] =
    "The daemon of Noctua, a distributed failover coordinator.\v"
    "Commands:\n"
    "  (none)      run the node in the foreground\n"
    "  bootstrap   make this node's data directory for a NEW group; once on every node of it\n"
    "  join        make an empty data directory for a node that joins a running group\n\n"
    "Signals: SIGTERM and SIGINT end it in order: leadership is handed over, requests\n"
    "are answered; the second one ends it at once. SIGHUP reads certificates,\n"
    "revocation list and what is reloadable of the configuration again.\n"
    "Exit status: 0 ended by request, 1 can't go on (the last line says why), 2 usage.";

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case 'c':
        arguments->config = argument;
        return 0;
    case KEY_CHECK:
        arguments->mode = MODE_CHECK;
        return 0;
    case KEY_REFERENCE:
        arguments->mode = MODE_REFERENCE;
        return 0;
    case KEY_MANUAL:
        arguments->mode = MODE_MANUAL;
        return 0;
    case KEY_LAST_WORD:
        arguments->mode = MODE_LAST_WORD;
        arguments->last_word = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->mode != MODE_RUN) {
            argp_error(state, "one command at a time");
        } else if (text_equal(argument, "bootstrap")) {
            arguments->mode = MODE_BOOTSTRAP;
        } else if (text_equal(argument, "join")) {
            arguments->mode = MODE_JOIN;
        } else {
            argp_error(state, "there is no command '%s'; try bootstrap, join, or none", argument);
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool read_config(const char *path, bool quiet, struct node_config *ret) {
    struct spec_findings *findings = calloc(1, sizeof *findings);
    if (findings == NULL) {
        return false;
    }
    enum error_code code = config_read_file(path, ret, findings);
    struct buffer text;
    buffer_init(&text, 0);
    findings_format(findings, &text);
    if (text.size_bytes > 0 && (!quiet || code != ERROR_OK)) {
        (void)fputs(text.data, stderr);
    }
    buffer_finish(&text);
    free(findings);
    return code == ERROR_OK;
}

static int make_directory(const struct node_config *config, bool bootstrap) {
    struct replica_peer peers[NODE_MAX];
    struct error error = {ERROR_OK, ""};
    memset(peers, 0, sizeof peers);
    for (uint32_t i = 0; i < config->peer_count; i++) {
        peers[i].id = replica_node_id(config->cluster, config->peers[i].name);
        (void)TEXT_COPY(peers[i].name, config->peers[i].name);
        (void)TEXT_COPY(peers[i].host, config->peers[i].address.host);
        peers[i].port = config->peers[i].address.port;
    }
    enum error_code code =
        bootstrap ? replica_bootstrap(config->data, config->cluster, config->node, peers,
                                      config->peer_count, &error)
                  : replica_prepare_join(config->data, config->cluster, config->node, &error);
    if (code != ERROR_OK) {
        (void)fprintf(stderr, "noctuad: %s\n", error.message);
        return EXIT_FAILURE;
    }
    (void)printf("%s is ready for node %s of %s; start noctuad now\n", config->data, config->node,
                 config->cluster);
    return EXIT_SUCCESS;
}

static int run(const struct node_config *config, const char *path) {
    static struct noctuad node;
    node.loop = uv_default_loop();
    node.config = *config;
    node.config_path = path;
    node.clock = &clock_system;
    node.entropy = &entropy_system;
    node.feature_level = FEATURE_LEVEL_NEWEST;
    node.documents_every_ms = DOCUMENTS_EVERY_MS;
    log_configure(config->log.level, config->log.format, config->node);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = node_run(&node);
    if (status == EXIT_SUCCESS) {
        (void)uv_loop_close(node.loop);
    }
    curl_global_cleanup();
    return status;
}

/* What the file alone doesn't show: the certificates it names, and the directories. Changes
 * nothing, so it can be asked beside a running node. */
static int check(const struct node_config *config, const char *path) {
    struct error error = {ERROR_OK, ""};
    struct tls_identity *identity = NULL;
    int status = EXIT_SUCCESS;
    if (node_load_identity(config, &identity, &error) != ERROR_OK) {
        (void)fprintf(stderr, "%s: tls: %s\n", path, error.message);
        status = 2;
    } else {
        int64_t days = tls_identity_days_left(identity, clock_wall_ms(&clock_system));
        if (days < 7) {
            (void)fprintf(stderr,
                          "%s: warning: tls: the certificate or the revocation list ends in "
                          "%lld days: renew it, then send SIGHUP\n",
                          path, (long long)days);
        }
        tls_identity_unref(identity);
    }
    if (access(config->data, R_OK | W_OK | X_OK) != 0) {
        (void)fprintf(stderr,
                      "%s: data: %s: %s. `noctuad bootstrap` makes it for a new group, "
                      "`noctuad join` for one that runs\n",
                      path, config->data, strerror(errno));
        status = 2;
    }
    if (status == EXIT_SUCCESS) {
        (void)printf("%s is good\n", path);
    }
    return status;
}

static int print_reference(void) {
    struct buffer text;
    buffer_init(&text, 0);
    config_print_reference(&text);
    (void)fputs(text.data == NULL ? "" : text.data, stdout);
    buffer_finish(&text);
    return EXIT_SUCCESS;
}

static void append_options(struct buffer *out) {
    for (const struct argp_option *option = options; option->name != NULL; option++) {
        if ((option->flags & OPTION_HIDDEN) != 0) {
            continue;
        }
        buffer_append_text(out, ".TP\n\\fB");
        if (option->key < KEY_CHECK) {
            buffer_append_format(out, "\\-%c\\fR, \\fB", option->key);
        }
        buffer_append_text(out, "\\-\\-");
        buffer_append_troff(out, option->name);
        buffer_append_text(out, "\\fR");
        if (option->arg != NULL) {
            buffer_append_format(out, "=\\fI%s\\fR", option->arg);
        }
        buffer_append_text(out, "\n");
        buffer_append_troff(out, option->doc);
        buffer_append_text(out, ".\n");
    }
}

static int print_manual(void) {
    const char *commands = strchr(doc, '\v') + 1;
    struct buffer text;
    buffer_init(&text, 0);
    buffer_append_text(&text, ".TH NOCTUAD 8 \"\" \"Noctua " NOCTUA_VERSION "\"\n.SH NAME\n"
                              "noctuad \\- the daemon of Noctua, a distributed failover "
                              "coordinator\n.SH SYNOPSIS\n.B noctuad\n[\\fIOPTION\\fR...] "
                              "[\\fBbootstrap\\fR|\\fBjoin\\fR]\n.SH OPTIONS\n");
    append_options(&text);
    buffer_append_text(&text, ".SH COMMANDS, SIGNALS, EXIT STATUS\n.nf\n");
    buffer_append_troff(&text, commands);
    buffer_append_text(&text, "\n.fi\n.SH CONFIGURATION\n" CONFIG_DEFAULT
                              ", a YAML file. A key with a dot is inside a mapping.\n");
    config_print_manual(&text);
    buffer_append_text(&text, ".SH SEE ALSO\n.BR noctuactl (1)\n");
    (void)fputs(text.data == NULL ? "" : text.data, stdout);
    buffer_finish(&text);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    static const struct argp parser = {options, parse_option, "[bootstrap|join]", doc, NULL,
                                       NULL,    NULL};
    struct arguments arguments = {MODE_RUN, CONFIG_DEFAULT, NULL};
    static struct node_config config;
    /* Or malloc learns from the first free of a spec (25 MiB, mostly never touched) to keep such
     * memory, and every later one is zeroed by hand: 25 MiB more resident, for ever. */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    argp_err_exit_status = 2;
    (void)argp_parse(&parser, argc, argv, 0, NULL, &arguments);
    if (arguments.mode == MODE_REFERENCE) {
        return print_reference();
    }
    if (arguments.mode == MODE_MANUAL) {
        return print_manual();
    }
    if (!read_config(arguments.config, arguments.mode == MODE_LAST_WORD, &config)) {
        return 2;
    }
    switch (arguments.mode) {
    case MODE_LAST_WORD:
        log_configure(config.log.level, config.log.format, config.node);
        (void)curl_global_init(CURL_GLOBAL_DEFAULT);
        return node_say_last_word(&config, arguments.last_word);
    case MODE_CHECK:
        return check(&config, arguments.config);
    case MODE_BOOTSTRAP:
    case MODE_JOIN:
        return make_directory(&config, arguments.mode == MODE_BOOTSTRAP);
    default:
        return run(&config, arguments.config);
    }
}
