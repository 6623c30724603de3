/* What else the tables of commands and options are good for: completion in shells, and the manual.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "codec/config.h"
#include "codec/spec_yaml.h"
#include "commands.h"
#include "option_table.h"

static bool takes(const struct client_command *command, const struct argp_option *option) {
    uint32_t bit = client_option_bit(option->key);
    return option->name != NULL && (bit == 0 || (command->options & bit) != 0);
}

/* --- completion --- */

/* `--to`, or `--to=` where a value follows. */
static void print_options(const struct client_command *command, const char *separator) {
    for (uint32_t o = 0; o < client_option_count; o++) {
        const struct argp_option *option = &client_options[o];
        if (takes(command, option)) {
            (void)printf("%s--%s", separator, option->name);
        }
    }
    (void)printf("%s--help", separator);
}

/* The words that may follow `done` ("" or "spec"), each once. */
static void print_next_words(const char *done) {
    size_t length = strlen(done);
    const char *last = "";
    size_t last_length = 0;
    for (uint32_t i = 0; i < client_command_count; i++) {
        const char *words = client_commands[i].words;
        if (length > 0 && (!text_starts_with(words, done) || words[length] != ' ')) {
            continue;
        }
        const char *word = words + length + (length > 0 ? 1 : 0);
        size_t word_length = strcspn(word, " ");
        if (word_length != last_length || strncmp(word, last, word_length) != 0) {
            (void)printf(" %.*s", (int)word_length, word);
        }
        last = word;
        last_length = word_length;
    }
}

/* A command's arguments where they are a choice of words: "bash|zsh", "node|user NAME". */
static void print_choices(const struct client_command *command) {
    if (strchr(command->arguments, '|') != NULL && command->arguments[0] >= 'a') {
        for (const char *p = command->arguments; *p != '\0' && *p != ' '; p++) {
            (void)putchar(*p == '|' ? ' ' : *p);
        }
    }
}

static void print_bash(void) {
    (void)printf("# bash completion of noctuactl\n_noctuactl() {\n"
                 "    local current=${COMP_WORDS[COMP_CWORD]} words=() word\n"
                 "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
                 "        [[ $word == -* ]] || words+=(\"$word\")\n"
                 "    done\n"
                 "    local options= next=\n"
                 "    case \"${words[*]}\" in\n");
    /* The longer ones first: "nodes add" before "nodes". */
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < client_command_count; i++) {
            const struct client_command *command = &client_commands[i];
            if ((strchr(command->words, ' ') == NULL) != (pass == 1)) {
                continue;
            }
            (void)printf("    '%s' | '%s '*)\n        next='", command->words, command->words);
            print_choices(command);
            print_next_words(command->words);
            (void)printf("'\n        options='");
            print_options(command, " ");
            (void)printf("'\n        ;;\n");
        }
    }
    for (uint32_t i = 0; i < client_command_count; i++) {
        const char *words = client_commands[i].words;
        size_t length = strcspn(words, " ");
        bool first = i == 0 || strncmp(client_commands[i - 1].words, words, length) != 0;
        if (words[length] == ' ' && first) {
            char group[32];
            (void)snprintf(group, sizeof group, "%.*s", (int)length, words);
            (void)printf("    %s)\n        next='", group);
            print_next_words(group);
            (void)printf("'\n        ;;\n");
        }
    }
    (void)printf("    '')\n        next='");
    print_next_words("");
    (void)printf("'\n        options='--help --endpoints --tls --output'\n        ;;\n    esac\n"
                 "    if [[ $current == -* ]]; then\n"
                 "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
                 "    elif [[ -n $next ]]; then\n"
                 "        mapfile -t COMPREPLY < <(compgen -W \"$next\" -- \"$current\")\n"
                 "    else\n"
                 "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                 "    fi\n}\ncomplete -F _noctuactl noctuactl\n");
}

/* Inside single quotes, and where a colon would separate. */
static void print_zsh_text(const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'') {
            (void)fputs("'\\''", stdout);
        } else {
            (void)printf(*p == ':' ? "\\%c" : "%c", *p);
        }
    }
}

static void print_zsh(void) {
    (void)printf(
        "#compdef noctuactl\n_noctuactl() {\n    local -a commands options\n    commands=(\n");
    for (uint32_t i = 0; i < client_command_count; i++) {
        (void)printf("        '%s:", client_commands[i].words);
        print_zsh_text(client_commands[i].summary);
        (void)printf("'\n");
    }
    (void)printf("    )\n    options=(\n");
    for (uint32_t o = 0; o < client_option_count; o++) {
        const struct argp_option *option = &client_options[o];
        if (option->name != NULL && option->doc != NULL) {
            (void)printf("        '--%s:", option->name);
            print_zsh_text(option->doc);
            (void)printf("'\n");
        }
    }
    (void)printf(
        "    )\n"
        "    local typed=\"${(j: :)${(@)words[2,CURRENT-1]:#-*}}\"\n"
        "    local -a next\n"
        "    local line\n"
        "    for line in $commands; do\n"
        "        [[ -z $typed ]] && next+=(\"${${line%%%%:*}%%%% *}:${line#*:}\")\n"
        "        [[ -n $typed && $line == \"$typed \"* ]] && next+=(\"${line#\"$typed \"}\")\n"
        "    done\n"
        "    if [[ $words[CURRENT] == -* ]]; then\n"
        "        _describe option options\n"
        "    elif (( $#next )); then\n"
        "        _describe command next\n"
        "    else\n"
        "        _files\n"
        "    fi\n}\n"
        "if [[ $funcstack[1] == _noctuactl ]]; then\n    _noctuactl \"$@\"\nelse\n"
        "    compdef _noctuactl noctuactl\nfi\n");
}

int run_completion(const struct options *options) {
    const char *shell = options->arguments[0];
    if (text_equal(shell, "bash")) {
        print_bash();
    } else if (text_equal(shell, "zsh")) {
        print_zsh();
    } else {
        (void)fprintf(
            stderr, "noctuactl: there is a completion for bash and for zsh, not for '%s'\n", shell);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

/* --- the manual --- */

static void print_troff(const char *text) {
    struct buffer troff;
    buffer_init(&troff, 0);
    buffer_append_troff(&troff, text);
    (void)fputs(troff.data == NULL ? "" : troff.data, stdout);
    buffer_finish(&troff);
}

static void print_man_command(const struct client_command *command) {
    (void)printf(".TP\n\\fB");
    print_troff(command->words);
    (void)printf("\\fR \\fI");
    print_troff(command->arguments);
    (void)printf("\\fR\n");
    print_troff(command->summary);
    (void)printf(".");
    bool any = false;
    for (uint32_t o = 0; o < client_option_count; o++) {
        const struct argp_option *option = &client_options[o];
        if (takes(command, option) && client_option_bit(option->key) != 0) {
            (void)printf("%s\\-\\-", any ? ", " : " Takes ");
            print_troff(option->name);
            any = true;
        }
    }
    (void)printf(any ? ".\n" : "\n");
}

static void print_man(void) {
    (void)printf(
        ".TH NOCTUACTL 1 \"\" \"noctua " NOCTUA_VERSION "\" \"User Commands\"\n"
        ".SH NAME\nnoctuactl \\- ask and steer a group of Noctua, the distributed failover "
        "coordinator\n.SH SYNOPSIS\n.B noctuactl\n.RI [ OPTIONS ]\n.I COMMAND\n"
        ".RI [ ARGUMENTS ]\n.SH COMMANDS\n");
    for (uint32_t i = 0; i < client_command_count; i++) {
        print_man_command(&client_commands[i]);
    }
    (void)printf(".SH OPTIONS\n");
    for (uint32_t o = 0; o < client_option_count; o++) {
        const struct argp_option *option = &client_options[o];
        if (option->name == NULL) {
            (void)printf(".SS \"");
            print_troff(option->doc);
            (void)printf("\"\n");
            continue;
        }
        (void)printf(".TP\n.BR \\-\\-");
        print_troff(option->name);
        if (option->arg != NULL) {
            (void)printf(" \" =\\fI");
            print_troff(option->arg);
            (void)printf("\\fR\"");
        }
        (void)printf("\n");
        print_troff(option->doc == NULL ? "as the option before" : option->doc);
        (void)printf(".\n");
    }
    (void)printf(".SH \"EXIT STATUS\"\n%s\n.SH ENVIRONMENT\n.TP\n.B NOCTUA_ENDPOINTS\nas "
                 "\\-\\-endpoints.\n.TP\n.B NOCTUA_TLS\nas \\-\\-tls.\n.SH \"SEE ALSO\"\n"
                 ".BR noctuad (8)\n",
                 client_exit_statuses);
}

static void print_markdown(void) {
    (void)printf("# noctuactl\n\nFrom the tables that parse it: `noctuactl reference markdown`.\n\n"
                 "| command | what it does | takes |\n|---|---|---|\n");
    for (uint32_t i = 0; i < client_command_count; i++) {
        const struct client_command *command = &client_commands[i];
        (void)printf("| `%s%s", command->words, command->arguments[0] == '\0' ? "" : " ");
        for (const char *p = command->arguments; *p != '\0'; p++) {
            (void)printf(*p == '|' ? "\\%c" : "%c", *p);
        }
        (void)printf("` | %s |", command->summary);
        for (uint32_t o = 0; o < client_option_count; o++) {
            if (takes(command, &client_options[o]) &&
                client_option_bit(client_options[o].key) != 0) {
                (void)printf(" `--%s`", client_options[o].name);
            }
        }
        (void)printf(" |\n");
    }
    (void)printf("\n| option | meaning |\n|---|---|\n");
    for (uint32_t o = 0; o < client_option_count; o++) {
        const struct argp_option *option = &client_options[o];
        if (option->name != NULL) {
            (void)printf("| `--%s%s%s` | %s |\n", option->name, option->arg == NULL ? "" : "=",
                         option->arg == NULL ? "" : option->arg,
                         option->doc == NULL ? "as the option before" : option->doc);
        }
    }
    (void)printf("\nExit status: %s\n", client_exit_statuses);
}

static void print_configuration(void) {
    struct buffer text;
    buffer_init(&text, 0);
    buffer_append_text(&text,
                       "Every key of both files, from the tables that parse them: `noctuactl "
                       "reference configuration`.\n\n");
    config_print_reference(&text);
    buffer_append_text(&text, "\n");
    spec_print_reference(&text);
    (void)fputs(text.data == NULL ? "" : text.data, stdout);
    buffer_finish(&text);
}

int run_reference(const struct options *options) {
    const char *form = options->arguments[0];
    if (text_equal(form, "man")) {
        print_man();
    } else if (text_equal(form, "markdown")) {
        print_markdown();
    } else if (text_equal(form, "configuration")) {
        print_configuration();
    } else {
        (void)fprintf(stderr,
                      "noctuactl: the manual is there as man, markdown and configuration, not "
                      "as '%s'\n",
                      form);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}
