#include "commands.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "views.h"

static const char *first(const struct options *options) {
    return options->argument_count > 0 ? options->arguments[0] : NULL;
}

static const char *reason_of(const struct options *options) {
    return options->reason == NULL ? "" : options->reason;
}

static int show_status(const struct options *options) {
    const char *service = first(options);
    return service == NULL ? ask_query(options, "status", NULL, true, view_status)
                           : ask_query(options, "service", service, true, view_service);
}

#define WATCH_EVERY_S 2

/* Again and again, until it is interrupted (or --wait is over). */
static int watch_status(const struct options *options) {
    bool terminal = isatty(STDOUT_FILENO) != 0;
    uint64_t begun_ms = clock_boottime_ms(&clock_system);
    for (;;) {
        (void)fputs(terminal ? SCREEN_HOME : "", stdout);
        int status = show_status(options);
        (void)fflush(stdout);
        uint64_t passed_ms = clock_boottime_ms(&clock_system) - begun_ms;
        if (status == EXIT_USAGE ||
            (options->wait_ms > 0 && passed_ms + WATCH_EVERY_S * 1000 > options->wait_ms)) {
            return status;
        }
        (void)sleep(WATCH_EVERY_S);
        (void)fputs(terminal ? "" : "\n", stdout);
    }
}

static int run_status(const struct options *options) {
    if (options->wait && !options->watch) {
        (void)fprintf(stderr, "noctuactl: status takes --wait together with -w\n");
        return EXIT_USAGE;
    }
    return options->watch ? watch_status(options) : show_status(options);
}

static int run_explain(const struct options *options) {
    return ask_query(options, "explain", first(options), true, view_explain);
}

static int run_ready(const struct options *options) {
    return ask_query(options, "ready", first(options), false, view_ready);
}

static int run_history(const struct options *options) {
    return ask_query(options, "history", first(options), true,
                     options->epoch == 0 ? view_history : view_history_of_move);
}

static int run_nodes(const struct options *options) {
    return ask_query(options, "nodes", NULL, true, view_nodes);
}

static int run_version(const struct options *options) {
    if (options->endpoints[0] == '\0') {
        view_version(NULL, stdout);
        return EXIT_DONE;
    }
    int status = ask_query(options, "version", NULL, true, view_version);
    if (status == EXIT_UNREACHABLE) {
        view_version(NULL, stdout);
    }
    return status;
}

static int run_failover(const struct options *options) {
    return ask_move(options, NOCTUA__MOVE_REQUEST__KIND__FAILOVER, first(options));
}

/* A failover's dry run: what it would do, and its hash for --plan-hash. */
static int run_plan(const struct options *options) {
    struct options dry = *options;
    dry.dry_run = true;
    return ask_move(&dry, NOCTUA__MOVE_REQUEST__KIND__FAILOVER, first(options));
}

static int run_switchover(const struct options *options) {
    return ask_move(options, NOCTUA__MOVE_REQUEST__KIND__SWITCHOVER, first(options));
}

static int run_adopt(const struct options *options) {
    return ask_move(options, NOCTUA__MOVE_REQUEST__KIND__ADOPT, first(options));
}

static int send_override(const struct options *options, Noctua__OverrideRequest__Kind kind,
                         bool end, const char *service, const char *region) {
    Noctua__OverrideRequest wanted = NOCTUA__OVERRIDE_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    wanted.kind = kind;
    wanted.end = end;
    wanted.service = (char *)(service == NULL ? "" : service);
    wanted.region = (char *)region;
    wanted.for_ms = options->for_ms;
    wanted.reason = (char *)reason_of(options);
    request.body_case = NOCTUA__REQUEST__BODY_OVERRIDE;
    request.override = &wanted;
    return ask_once(options, &request);
}

static int override(const struct options *options, Noctua__OverrideRequest__Kind kind, bool end) {
    if (first(options) == NULL && !options->all) {
        (void)fprintf(stderr, "noctuactl: name a service, or --all for every one\n");
        return EXIT_USAGE;
    }
    return send_override(options, kind, end, first(options), "");
}

/* Of a region: for one service, or for all that are there. */
static int maintenance(const struct options *options, bool end) {
    const char *service = options->argument_count > 1 ? options->arguments[1] : NULL;
    return send_override(options, NOCTUA__OVERRIDE_REQUEST__KIND__MAINTENANCE, end, service,
                         first(options));
}

static int run_maintenance(const struct options *options) {
    return maintenance(options, false);
}

static int run_unmaintenance(const struct options *options) {
    return maintenance(options, true);
}

static int run_veto(const struct options *options) {
    return override(options, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, false);
}

static int run_unveto(const struct options *options) {
    return override(options, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, true);
}

static int run_pause(const struct options *options) {
    return override(options, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, false);
}

static int run_resume(const struct options *options) {
    return override(options, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, true);
}

static int choose(const struct options *options, Noctua__ChoiceRequest__Kind kind) {
    Noctua__ChoiceRequest wanted = NOCTUA__CHOICE_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    wanted.kind = kind;
    wanted.service = (char *)first(options);
    wanted.epoch = options->epoch;
    wanted.to = (char *)(options->to == NULL ? "" : options->to);
    wanted.step = (char *)(options->step == NULL ? "" : options->step);
    wanted.reason = (char *)reason_of(options);
    request.body_case = NOCTUA__REQUEST__BODY_CHOICE;
    request.choice = &wanted;
    return ask_once(options, &request);
}

static int run_approve(const struct options *options) {
    return choose(options, NOCTUA__CHOICE_REQUEST__KIND__APPROVE);
}

static int run_reject(const struct options *options) {
    return choose(options, NOCTUA__CHOICE_REQUEST__KIND__REJECT);
}

static int run_cancel(const struct options *options) {
    return choose(options, NOCTUA__CHOICE_REQUEST__KIND__CANCEL);
}

static int run_repair(const struct options *options) {
    return ask_move(options, NOCTUA__MOVE_REQUEST__KIND__REPAIR, first(options));
}

static int run_mongo_readmit(const struct options *options) {
    return ask_move(options, NOCTUA__MOVE_REQUEST__KIND__READMIT, first(options));
}

/* Two things are let go of: one step of the open move, or the whole service. */
static int run_release(const struct options *options) {
    const char *service = first(options);
    if (options->service != NULL && service == NULL && options->step == NULL) {
        return ask_move(options, NOCTUA__MOVE_REQUEST__KIND__RELEASE, options->service);
    }
    if (service == NULL || options->step == NULL || options->service != NULL) {
        (void)fprintf(stderr,
                      "noctuactl: either SERVICE --step NAME (noctuactl status SERVICE), or "
                      "--service SERVICE for all of it\n");
        return EXIT_USAGE;
    }
    return choose(options, NOCTUA__CHOICE_REQUEST__KIND__RELEASE);
}

static int run_resume_automation(const struct options *options) {
    Noctua__ResumeAutomationRequest wanted = NOCTUA__RESUME_AUTOMATION_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    wanted.reason = (char *)reason_of(options);
    request.body_case = NOCTUA__REQUEST__BODY_RESUME_AUTOMATION;
    request.resume_automation = &wanted;
    return ask_once(options, &request);
}

#define MOVE_OPTIONS                                                                               \
    (OPTION_TO | OPTION_REASON | OPTION_SKIP | OPTION_YES | OPTION_WAIT | OPTION_PLAN_HASH |       \
     OPTION_DRY_RUN)
#define OVERRIDE_OPTIONS (OPTION_FOR | OPTION_REASON | OPTION_ALL)

const struct client_command client_commands[] = {
    {"status", "[SERVICE]", 0, 1, OPTION_WATCH | OPTION_WAIT,
     "who serves, who leads, what would happen now", run_status},
    {"explain", "SERVICE", 1, 1, OPTION_EPOCH, "every gate: why it moved, or why not", run_explain},
    {"watch", "[SERVICE]", 0, 1, OPTION_WAIT, "events as they happen", ask_watch},
    {"history", "[SERVICE]", 0, 1, OPTION_EPOCH | OPTION_EVENTS, "moves, and the events of one",
     run_history},
    {"nodes", "", 0, 0, 0, "the coordinators, and how far each is", run_nodes},
    {"nodes add", "NODE", 1, 1, OPTION_REASON, "a node joins the group, and gets a vote when level",
     run_nodes_add},
    {"nodes remove", "NODE", 1, 1, OPTION_REASON, "a node leaves the group", run_nodes_remove},
    {"nodes replace", "OLD NEW", 2, 2, OPTION_REASON | OPTION_WAIT,
     "NEW joins, and once it has its vote OLD leaves", run_nodes_replace},
    {"ready", "SERVICE", 1, 1, OPTION_TO, "what would stop a move now, if anything (exit 3)",
     run_ready},
    {"plan", "SERVICE", 1, 1, OPTION_TO | OPTION_SKIP | OPTION_DEAD,
     "what a failover would do now, with its gates and its hash", run_plan},
    {"failover", "SERVICE", 1, 1, MOVE_OPTIONS | OPTION_DEAD,
     "move a service out of its region now", run_failover},
    {"switchover", "SERVICE", 1, 1, MOVE_OPTIONS, "move a service while both regions are well",
     run_switchover},
    {"adopt", "SERVICE", 1, 1, MOVE_OPTIONS,
     "put fences beside the records as they are (needed once)", run_adopt},
    {"veto", "[SERVICE]", 0, 1, OVERRIDE_OPTIONS, "no move may begin", run_veto},
    {"unveto", "[SERVICE]", 0, 1, OPTION_REASON | OPTION_ALL, "take a veto back", run_unveto},
    {"pause", "[SERVICE]", 0, 1, OVERRIDE_OPTIONS, "no move begins, an open one starts no step",
     run_pause},
    {"resume", "[SERVICE]", 0, 1, OPTION_REASON | OPTION_ALL, "take a pause back", run_resume},
    {"maintenance", "REGION [SERVICE]", 1, 2, OPTION_FOR | OPTION_REASON,
     "a region is neither suspected nor a target", run_maintenance},
    {"unmaintenance", "REGION [SERVICE]", 1, 2, OPTION_REASON, "take a maintenance back",
     run_unmaintenance},
    {"approve", "SERVICE", 1, 1, OPTION_TO | OPTION_EPOCH | OPTION_REASON,
     "say yes to the move that mode advise asks for", run_approve},
    {"reject", "SERVICE", 1, 1, OPTION_REASON, "say no to it", run_reject},
    {"cancel", "SERVICE", 1, 1, OPTION_EPOCH | OPTION_REASON, "stop the open move between steps",
     run_cancel},
    {"repair", "SERVICE", 1, 1, MOVE_OPTIONS & ~OPTION_TO,
     "write the active region's records again, over somebody's change", run_repair},
    {"mongo readmit", "SERVICE HOST:PORT", 2, 2, MOVE_OPTIONS & ~OPTION_TO,
     "a member that a forced failover left out gets its vote back", run_mongo_readmit},
    {"release", "[SERVICE]", 0, 1,
     OPTION_STEP | OPTION_EPOCH | OPTION_SERVICE | (MOVE_OPTIONS & ~OPTION_TO),
     "let go of a step whose target doesn't answer (a debt), or of a service", run_release},
    {"resume-automation", "", 0, 0, OPTION_REASON, "after replicas differed, once it is understood",
     run_resume_automation},
    {"transfer-leader", "[NODE]", 0, 1, OPTION_REASON, "another node leads (the closest)",
     run_transfer_leader},
    {"spec validate", "FILE|DIR", 1, 1, 0, "check a spec, offline", run_spec_validate},
    {"spec apply", "FILE|DIR", 1, 1, OPTION_EXPECTED | OPTION_REASON | OPTION_DRY_RUN,
     "check a spec and make it the group's", run_spec_apply},
    {"spec get", "", 0, 0, OPTION_REVISION, "the group's spec, as it was applied", run_spec_get},
    {"spec diff", "FILE|DIR", 1, 1, OPTION_AGAINST | OPTION_REVISION,
     "what FILE would change of the group's spec", run_spec_diff},
    {"spec history", "", 0, 0, 0, "the specs that are kept: when, by whom, why", run_spec_history},
    {"spec rollback", "", 0, 0, OPTION_REVISION | OPTION_REASON | OPTION_YES | OPTION_DRY_RUN,
     "apply the one before (or --revision) again", run_spec_rollback},
    {"spec schema", "", 0, 0, 0, "a JSON Schema of specs, for editors and CI", run_spec_schema},
    {"pki init", "CLUSTER", 1, 1, OPTION_PKI, "make a certificate authority", run_pki_init},
    {"pki issue", "node|user NAME", 2, 2, OPTION_PKI, "issue a certificate", run_pki_issue},
    {"pki revoke", "SERIAL|FILE", 1, 1, OPTION_PKI, "revoke one, and write crl.pem",
     run_pki_revoke},
    {"completion", "bash|zsh", 1, 1, 0,
     "a script for the shell: source <(noctuactl completion bash)", run_completion},
    {"reference", "man|markdown|configuration", 1, 1, 0,
     "the manual, from the same tables as this help", run_reference},
    {"version", "", 0, 0, 0, "of this program and of the group", run_version},
};
const uint32_t client_command_count = ARRAY_LENGTH(client_commands);
