/* noctuactl: what an operator types. */
#include <argp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "commands.h"
#include "option_table.h"
#include "pki/pki.h"

#define TIMEOUT_DEFAULT_MS 10000
#define TIMEOUT_MAX_MS 3600000
#define WAIT_MAX_S 86400
#define FOR_MIN_MS 1000

struct parsed {
    struct options options;
    const struct client_command *command;
    char words[64];
    bool given[KEY_END - KEY_ENDPOINTS];
};

static const struct client_command *find_command(const char *words) {
    for (uint32_t i = 0; i < client_command_count; i++) {
        if (text_equal(client_commands[i].words, words)) {
            return &client_commands[i];
        }
    }
    return NULL;
}

static bool begins_a_command(const char *word) {
    size_t length = strlen(word);
    for (uint32_t i = 0; i < client_command_count; i++) {
        if (text_starts_with(client_commands[i].words, word) &&
            client_commands[i].words[length] == ' ') {
            return true;
        }
    }
    return false;
}

static const char *nearest_command(const char *words) {
    const char *nearest = NULL;
    unsigned best = strlen(words) < 5 ? 2 : 3; /* further away it is another word */
    for (uint32_t i = 0; i < client_command_count; i++) {
        unsigned distance = text_distance(words, client_commands[i].words);
        if (distance < best) {
            best = distance;
            nearest = client_commands[i].words;
        }
    }
    return nearest;
}

static void take_word(struct parsed *parsed, const char *word, struct argp_state *state) {
    struct options *options = &parsed->options;
    if (parsed->command != NULL && options->argument_count == 0) {
        char longer[sizeof parsed->words]; /* "nodes" is a command, and so is "nodes add" */
        int length = snprintf(longer, sizeof longer, "%s %s", parsed->words, word);
        const struct client_command *command =
            length < (int)sizeof longer ? find_command(longer) : NULL;
        if (command != NULL) {
            parsed->command = command;
            memcpy(parsed->words, longer, sizeof longer);
            return;
        }
    }
    if (parsed->command != NULL) {
        if (options->argument_count == parsed->command->most) {
            argp_error(state, "%s takes no more than '%s'", parsed->command->words,
                       parsed->command->arguments);
        }
        options->arguments[options->argument_count++] = word;
        return;
    }
    if (parsed->words[0] == '\0') {
        (void)snprintf(parsed->words, sizeof parsed->words, "%s", word);
    } else {
        size_t used = strlen(parsed->words);
        (void)snprintf(parsed->words + used, sizeof parsed->words - used, " %s", word);
    }
    parsed->command = find_command(parsed->words);
    if (parsed->command == NULL && !begins_a_command(parsed->words)) {
        const char *nearest = nearest_command(parsed->words);
        argp_error(state, "there is no command '%s'%s%s%s", parsed->words,
                   nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "'?");
    }
}

static uint64_t take_number(const char *text, uint64_t low, uint64_t high, const char *what,
                            struct argp_state *state) {
    uint64_t value = 0;
    if (!text_to_u64(text, low, high, &value)) {
        argp_error(state, "%s is a whole number from %" PRIu64 " to %" PRIu64 ", not '%s'", what,
                   low, high, text);
    }
    return value;
}

static uint64_t take_duration(const char *text, uint64_t low_ms, uint64_t high_ms, const char *what,
                              struct argp_state *state) {
    uint64_t value = 0;
    char limit[TEXT_DURATION_SIZE];
    if (!text_to_duration_ms(text, &value)) {
        argp_error(state, "%s is a time with its unit (30s, 10m, 2h), not '%s'", what, text);
    }
    if (value < low_ms || value > high_ms) {
        argp_error(state, "%s is at %s %s", what, value < low_ms ? "least" : "most",
                   text_from_duration_ms(value < low_ms ? low_ms : high_ms, limit));
    }
    return value;
}

static void take_output(struct options *options, const char *form, struct argp_state *state) {
    if (text_equal(form, "table")) {
        options->output = OUTPUT_TABLE;
    } else if (text_equal(form, "json")) {
        options->output = OUTPUT_JSON;
    } else if (text_equal(form, "yaml")) {
        options->output = OUTPUT_YAML;
    } else {
        argp_error(state, "-o is table, json or yaml, not '%s'", form);
    }
}

static void take_wait(struct options *options, const char *argument, struct argp_state *state) {
    uint64_t ms;
    options->wait = true;
    if (argument == NULL) {
        return;
    }
    if (text_to_duration_ms(argument, &ms) && ms > 0) {
        options->wait_ms = take_duration(argument, 1, (uint64_t)WAIT_MAX_S * 1000, "--wait", state);
    } else {
        options->wait_ms = take_number(argument, 1, WAIT_MAX_S, "--wait", state) * 1000;
    }
}

/* "us-east-1,db-x1:27017", also several times. */
static void take_dead(struct options *options, char *list, struct argp_state *state) {
    for (char *word = strsep(&list, ","); word != NULL; word = strsep(&list, ",")) {
        if (word[0] == '\0') {
            argp_error(state, "--declare-dead is REGION or HOST:PORT, more behind a comma");
        }
        if (options->dead_count == DEAD_MAX) {
            argp_error(state, "at most %d regions and members are declared dead", DEAD_MAX);
        }
        options->dead[options->dead_count++] = word;
    }
}

static error_t take_pki_option(int key, char *argument, struct options *options,
                               struct argp_state *state) {
    switch (key) {
    case KEY_DIRECTORY:
        options->directory = argument;
        return 0;
    case KEY_CLUSTER:
        options->cluster = argument;
        return 0;
    case KEY_ROLE:
        options->role = argument;
        return 0;
    case KEY_OUT:
        options->out = argument;
        return 0;
    case KEY_OWNER:
        if (options->owner_count == SKIP_MAX) {
            argp_error(state, "at most %d owners", SKIP_MAX);
        }
        options->owners[options->owner_count++] = argument;
        return 0;
    case KEY_NAME:
        if (options->name_count == SKIP_MAX) {
            argp_error(state, "at most %d names", SKIP_MAX);
        }
        options->names[options->name_count++] = argument;
        return 0;
    case KEY_DAYS:
        options->days = (uint32_t)take_number(argument, 1, PKI_DAYS_MAX, "--days", state);
        return 0;
    case KEY_FORCE:
        options->force = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t take_command_option(int key, char *argument, struct options *options,
                                   struct argp_state *state) {
    switch (key) {
    case KEY_TO:
        options->to = argument;
        return 0;
    case KEY_REASON:
        options->reason = argument;
        return 0;
    case KEY_SKIP:
        if (options->skip_count == SKIP_MAX) {
            argp_error(state, "at most %d gates", SKIP_MAX);
        }
        options->skip[options->skip_count++] = argument;
        return 0;
    case KEY_DECLARE_DEAD:
        take_dead(options, argument, state);
        return 0;
    case KEY_FOR:
        options->for_ms = take_duration(argument, FOR_MIN_MS, UINT64_MAX, "--for", state);
        return 0;
    case KEY_YES:
        options->yes = true;
        return 0;
    case KEY_WAIT:
        take_wait(options, argument, state);
        return 0;
    case KEY_PLAN_HASH:
        options->plan_hash = argument;
        return 0;
    case KEY_EPOCH:
        options->epoch = take_number(argument, 0, UINT64_MAX, "--epoch", state);
        return 0;
    case KEY_STEP:
        options->step = argument;
        return 0;
    case KEY_SERVICE:
        options->service = argument;
        return 0;
    case KEY_LIMIT:
        options->limit = (uint32_t)take_number(argument, 0, 100000, "--limit", state);
        return 0;
    case KEY_EXPECTED:
        options->expected_index = take_number(argument, 0, UINT64_MAX, "--expected", state);
        options->has_expected = true;
        return 0;
    case KEY_DRY_RUN:
        options->dry_run = true;
        return 0;
    case KEY_ALL:
        options->all = true;
        return 0;
    case KEY_AGAINST:
        options->against = argument;
        return 0;
    case KEY_WATCH:
        options->watch = true;
        return 0;
    case KEY_REVISION:
        options->revision = take_number(argument, 1, UINT64_MAX, "--revision", state);
        return 0;
    default:
        return take_pki_option(key, argument, options, state);
    }
}

static void check_arguments(const struct parsed *parsed, struct argp_state *state) {
    const struct client_command *command = parsed->command;
    if (command == NULL) {
        argp_error(state, parsed->words[0] == '\0' ? "which command?" : "'%s' what?",
                   parsed->words);
    } else if (parsed->options.argument_count < command->least) {
        argp_error(state, "%s needs %s", command->words, command->arguments);
    }
}

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    struct parsed *parsed = state->input;
    if (key == KEY_WATCH_LETTER) {
        key = KEY_WATCH;
    }
    if (key >= KEY_ENDPOINTS && key < KEY_END) {
        parsed->given[key - KEY_ENDPOINTS] = true;
    }
    switch (key) {
    case KEY_ENDPOINTS:
        parsed->options.endpoints = argument;
        return 0;
    case KEY_TLS:
        parsed->options.tls = argument;
        return 0;
    case KEY_ID:
        parsed->options.id = argument;
        return 0;
    case KEY_TIMEOUT:
        parsed->options.timeout_ms = take_duration(argument, 0, TIMEOUT_MAX_MS, "--timeout", state);
        return 0;
    case 'o':
        take_output(&parsed->options, argument, state);
        return 0;
    case ARGP_KEY_ARG:
        take_word(parsed, argument, state);
        return 0;
    case ARGP_KEY_END:
        check_arguments(parsed, state);
        return 0;
    default:
        return take_command_option(key, argument, &parsed->options, state);
    }
}

/* "Commands:" and a line each, from the table. */
static char *help_filter(int key, const char *text, void *input) {
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) {
        return (char *)text;
    }
    struct buffer {
        char *text;
        size_t size;
    } out = {NULL, 0};
    FILE *stream = open_memstream(&out.text, &out.size);
    if (stream == NULL) {
        return (char *)text;
    }
    (void)fputs("Commands:\n", stream);
    for (uint32_t i = 0; i < client_command_count; i++) {
        char usage[64];
        (void)snprintf(usage, sizeof usage, "%s %s", client_commands[i].words,
                       client_commands[i].arguments);
        (void)fprintf(stream, "  %-24s %s\n", usage, client_commands[i].summary);
    }
    (void)fprintf(stream, "\nExit status: %s", client_exit_statuses);
    (void)fclose(stream);
    return out.text;
}

/* Overrides are kept in history with their reason; they don't go without one. */
static bool reason_is_missing(const struct parsed *parsed) {
    static const char *const need[] = {"veto",    "pause",  "maintenance", "repair",
                                       "release", "cancel", "reject"};
    const struct options *options = &parsed->options;
    bool needed = (options->skip_count > 0 || options->dead_count > 0) &&
                  !text_equal(parsed->command->words, "plan");
    for (size_t i = 0; i < ARRAY_LENGTH(need); i++) {
        needed = needed || text_equal(parsed->command->words, need[i]);
    }
    return needed && (options->reason == NULL || options->reason[0] == '\0');
}

static int check_options(const struct parsed *parsed) {
    for (size_t o = 0; o < client_option_count; o++) {
        const struct argp_option *option = &client_options[o];
        uint32_t bit = client_option_bit(option->key);
        int key = option->key == KEY_WATCH_LETTER ? KEY_WATCH : option->key;
        if (bit != 0 && parsed->given[key - KEY_ENDPOINTS] &&
            (parsed->command->options & bit) == 0) {
            (void)fprintf(stderr, "noctuactl: %s takes no --%s\n", parsed->command->words,
                          option->name);
            return EXIT_USAGE;
        }
    }
    if (reason_is_missing(parsed)) {
        (void)fprintf(stderr, "noctuactl: %s needs --reason TEXT: it is kept in history\n",
                      parsed->command->words);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

/* "--wait 30" as "--wait=30": getopt leaves the value of an optional argument behind as a word. */
static void join_wait(int *argc, char **argv, char *joined, size_t size) {
    for (int i = 1; i + 1 < *argc && !text_equal(argv[i], "--"); i++) {
        uint64_t value;
        bool is_value = text_to_u64(argv[i + 1], 0, UINT64_MAX, &value) ||
                        text_to_duration_ms(argv[i + 1], &value);
        if (!text_equal(argv[i], "--wait") || !is_value) {
            continue;
        }
        (void)snprintf(joined, size, "--wait=%s", argv[i + 1]);
        argv[i] = joined;
        memmove(&argv[i + 1], &argv[i + 2], (size_t)(*argc - i - 1) * sizeof argv[0]);
        (*argc)--;
        return;
    }
}

int main(int argc, char **argv) {
    static const struct argp parser = {
        client_options,
        parse_option,
        "COMMAND [ARGUMENTS]",
        "Ask and steer a group of Noctua, the distributed failover coordinator.\v ",
        NULL,
        help_filter,
        NULL};
    static struct parsed parsed;
    char joined[64];
    const char *endpoints = getenv("NOCTUA_ENDPOINTS");
    const char *tls = getenv("NOCTUA_TLS");
    parsed.options.endpoints = endpoints == NULL ? "127.0.0.1:7601" : endpoints;
    parsed.options.tls = tls == NULL ? TLS_DEFAULT : tls;
    parsed.options.timeout_ms = TIMEOUT_DEFAULT_MS;
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version = NULL;
    (void)signal(SIGPIPE, SIG_IGN);
    join_wait(&argc, argv, joined, sizeof joined);
    (void)argp_parse(&parser, argc, argv, 0, NULL, &parsed);
    int status = check_options(&parsed);
    return status != EXIT_DONE ? status : parsed.command->run(&parsed.options);
}
