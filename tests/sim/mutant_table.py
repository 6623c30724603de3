"""The deliberate bugs of tests/sim/mutants: what is wrong, which invariants it is about (as the judges name
them), and the edits that make it: file, old text, new text."""

from typing import NamedTuple

CORE = "coordinator/core/"


class Mutant(NamedTuple):
    what: str
    about: list
    edits: list
    world: tuple = None  # seed and seconds of one that is known to show it
    small_limits: bool = False  # tables that are soon full (core/limits.h)
    options: tuple = ()  # worlds in which it shows more often


MUTANTS = {
    "begun-elsewhere": Mutant(
        "a move that one leader decided is begun by another",
        ["begun where it was decided (5)"],
        [(CORE + "apply_facts.c", '            lapse(a, s, "a new leader before anything was sent");\n',
          "            (void)lapse;\n"),
         (CORE + "apply_step.c", "    return a->command->term == execution->decide_term &&\n",
          "    return true || a->command->term == execution->decide_term &&\n"),
         (CORE + "apply_decide.c", '    lapse(a, c->service, "not begun in time");\n', "")],
    ),
    "never-decides": Mutant(
        "a dead region is suspected, and never left",
        ["a failure is followed by a move (22)"],
        [(CORE + "policy.c", "    if (failing == 0) {\n        propose_decide(",
          "    if (failing == UINT32_MAX) {\n        propose_decide(")],
    ),
    "evidence-uncited": Mutant(
        "a decision doesn't cite one of the reports that it rests on",
        ["a decision is made again from its evidence (21)"],
        [(CORE + "policy.c", "    c->cited_count = citations->count;\n",
          "    c->cited_count = citations->count - (citations->count > 2);\n")],
    ),
    "evidence-of-another-set": Mutant(
        "of a replica set a decision says something else than it rests on",
        ["a decision is made again from its evidence (21)"],
        [(CORE + "policy.c", "    policy_view_set(r->state, r->input, s, &c->mongo);\n",
          "    policy_view_set(r->state, r->input, s, &c->mongo);\n"
          "    c->mongo.facts.members[0].optime.seconds = 0;\n")],
    ),
    "attempt-uncommitted": Mutant(
        "a request is sent whose ATTEMPT isn't known to be committed",
        ["intent first (11)"],
        [("coordinator/executor/steps.c",
          "    if (error != ERROR_OK || answer != CORE_OK) {\n        task_on_proposed(context, error, answer, index);",
          "    if (error == ERROR_OK && answer != CORE_OK) {\n        task_on_proposed(context, error, answer, index);"),
         ("coordinator/executor/steps.c",
          "task_step(task, service)->phase != STEP_ATTEMPTED) {\n        task_end(task, 0);\n        return;\n    }\n    if (late &&",
          "index == UINT64_MAX) {\n        task_end(task, 0);\n        return;\n    }\n    if (late &&"),
         ("coordinator/executor/steps.c",
          "    if (late || is_cancelled(task, service)) {", "    if (is_cancelled(task, service)) {"),
         ("coordinator/executor/steps.c",
          "        .deadline_boottime_ms = task_send_until_ms(task->proposed_ms, &target),",
          "        .deadline_boottime_ms = task_send_until_ms(executor_now(task->executor), &target),"),
         ("coordinator/executor/executor.c",
          "    if (!executor->leads || executor->closing || executor->term != task->term) {",
          "    if (executor->closing) {")],
    ),
    "commit-on-minority": Mutant(
        "an entry counts as committed on one node less than a majority",
        ["committed on a majority"],
        [("tests/sim/meson.build", "  c_args: '-DNOCTUA_NEXT',\n",
          "  c_args: '-DNOCTUA_NEXT',\n  link_args: '-Wl,--wrap=configurationVoterCount',\n"),
         ("coordinator/replica/raft_io.c", "static struct replica *of_io(",
          "unsigned __real_configurationVoterCount(const struct raft_configuration *c);\n"
          "unsigned __wrap_configurationVoterCount(const struct raft_configuration *c);\n"
          "unsigned __wrap_configurationVoterCount(const struct raft_configuration *c) {\n"
          "    const struct raft *raft = CONTAINER_OF(c, const struct raft, configuration);\n"
          "    unsigned count = __real_configurationVoterCount(c);\n"
          "    return raft->state == RAFT_LEADER && count > 2 ? count - 2 : count;\n"
          "}\n\n"
          "static struct replica *of_io(")],
    ),
    "stale-reads": Mutant(
        "a read, or a lease, without a round through the group",
        ["linearizability", "one holder of a lease (2)"],
        [("coordinator/replica/proposals.c",
          "        TAILQ_INSERT_TAIL(&replica->waiting, reader, link);",
          "        TAILQ_INSERT_TAIL(&replica->read, reader, link);")],
    ),
    "burn-unannounced": Mutant(
        "a fence is burnt before CLOSING is committed",
        ["intent first (11)"],
        [(CORE + "pending.c", "    if (!closing) {\n        *why = cancelled",
          "    if (at->attempts == 0) {\n        *why = cancelled")],
    ),
    "needs-ignored": Mutant(
        "a step starts before those that it needs",
        ["steps in their order (15)"],
        [(CORE + "execution.c", "        if (needed && !step_satisfies(&execution->steps[i])) {",
          "        if (false && needed && !step_satisfies(&execution->steps[i])) {")],
    ),
    "settling-passed-over": Mutant(
        "a step starts before the debts that it needs are settled",
        ["steps in their order (15)"],
        [(CORE + "execution.c", "        if (needed && !step_satisfies(&execution->steps[i])) {",
          "        if (needed && !is_settle(&execution->steps[i]) && !step_satisfies(&execution->steps[i])) {")],
    ),
    "failure-passed-over": Mutant(
        "a step starts although one that it needs has failed, and the plan doesn't go on then",
        ["steps in their order (15)"],
        [(CORE + "execution.c", "(failed && step->continue_on_failure);", "failed;")],
    ),
    "cooldown-from-start": Mutant(
        "the cooldown counts from the beginning of the last move",
        ["cooldown (9)"],
        [(CORE + "apply_step.c",
          "        s->last_move_end_ms = timed ? time_or_one(a->state) : MOVE_END_UNTIMED_MS;\n",
          "        s->last_move_end_ms = timed ? execution->start_ms + 1 : execution->start_ms + 1;\n")],
    ),
    "max-moves-ignored": Mutant(
        "a service moves by itself as often as it likes",
        ["moves a window (9)"],
        [(CORE + "apply_decide.c", "service_recent_moves(state, c->service) >= spec->policy.max_moves",
          "service_recent_moves(state, c->service) >= spec->policy.max_moves + 99"),
         (CORE + "gates.c", "    return reading(moves < limit, moves, limit);",
          "    return reading(moves < limit + 99, moves, limit);")],
    ),
    "approval-kept": Mutant(
        "an approval holds for the next window as well",
        ["one approval a window"],
        [(CORE + "apply_facts.c", "    memset(&service->suspect, 0, sizeof service->suspect);\n",
          "    struct suspect was = service->suspect;\n"
          "    memset(&service->suspect, 0, sizeof service->suspect);\n"
          "    service->suspect.approved = was.approved;\n"
          "    service->suspect.approved_to = was.approved_to;\n"),
         (CORE + "apply_facts.c", "    memset(&s->suspect, 0, sizeof s->suspect);\n",
          "    s->suspect.open = false;\n")],
    ),
    "approval-of-old-epoch": Mutant(
        "an approval that was given for an earlier move counts for this one",
        ["one approval a window"],
        [(CORE + "apply_people.c",
          "    if (c->epoch != s->epoch + 1) {\n        return CORE_CHANGED;\n    }\n    if (!spec_may_serve",
          "    if (c->epoch > s->epoch + 1) {\n        return CORE_CHANGED;\n    }\n    if (!spec_may_serve")],
    ),
    "barrier-skipped": Mutant(
        "a leader acts before it has applied all that was committed before it",
        ["acts after its barrier"],
        [("coordinator/replica/leadership.c", "        .phase = LEADERSHIP_BARRIER,\n",
          "        .phase = LEADERSHIP_PROPOSE,\n"),
         ("coordinator/replica/leadership.c",
          "    replica->leadership.phase = LEADERSHIP_PROPOSED;\n",
          "    replica->leadership.phase = LEADERSHIP_APPLIED;\n")],
    ),
    "no-vote-lent": Mutant(
        "a node that doesn't know yet that it has a vote casts none (libraft 0.22.1)",
        ["who has the newest log gets the vote"],
        [("coordinator/replica/guards.c",
          "    bool lends = message->type == RAFT_REQUEST_VOTE && own != NULL && own->role != RAFT_VOTER;\n",
          "    bool lends = message->type == RAFT_REQUEST_VOTE && own != NULL && own->role == RAFT_SPARE + 99;\n")],
    ),
    "snapshot-forgets": Mutant(
        "a restored snapshot lacks when the last move ended",
        ["one state a command (19)"],
        [("coordinator/replica/machine.c", "        replica->has_digest = false;\n",
          "        replica->has_digest = false;\n"
          "        replica->state->services[0].last_move_end_ms = 0;\n")],
    ),
    "snapshot-lowers-epoch": Mutant(
        "a restored snapshot lacks the last epoch, which is used again",
        ["epochs only rise (3)", "epochs are not used again (3)", "one state a command (19)"],
        [("coordinator/replica/machine.c", "        replica->has_digest = false;\n",
          "        replica->has_digest = false;\n"
          "        struct service *service = &replica->state->services[0];\n"
          "        if (service->epoch > 1 && !execution_is_open(&service->execution)) {\n"
          "            service->epoch--;\n"
          "            service->execution.epoch--;\n"
          "        }\n")],
    ),
    "digest-skips": Mutant(
        "what a snapshot forgets is in no digest either",
        ["one state a command (19)"],
        [("coordinator/replica/machine.c", "        replica->has_digest = false;\n",
          "        replica->has_digest = false;\n"
          "        replica->state->services[0].last_move_end_ms = 0;\n"),
         ("coordinator/codec/state_codec.c", "        snapshot->state = (Noctua__State *)content;\n",
          "        snapshot->state = (Noctua__State *)content;\n"
          "        for (size_t s = 0; !check && s < snapshot->state->n_services; s++) {\n"
          "            snapshot->state->services[s]->last_move_end_ms = 0;\n"
          "        }\n")],
    ),
    "lease-from-reply": Mutant(
        "a lease counts from the answer instead of from the question",
        ["one holder of a lease (2)"],
        [("coordinator/main/leasing.c", "        lease->until_ms = asked_ms + grant->length_ms;",
          "        lease->until_ms = now_ms + 0 * asked_ms + grant->length_ms;")],
    ),
    "lease-new-leader": Mutant(
        "a new leader doesn't wait for what the last one has granted",
        ["one holder of a lease (2)"],
        [("coordinator/executor/leases.c",
          "    uint64_t until_ms = leases->term_start_ms + outlasting_ms(s->longest_lease_ms);",
          "    uint64_t until_ms = leases->term_start_ms + 0 * outlasting_ms(s->longest_lease_ms);")],
    ),
    "old-entries": Mutant(
        "entries from before the log reach libraft 0.22.1",
        ["ended by a signal", "log matching"],
        [("coordinator/replica/guards.c", "    skip_compacted(replica, message);\n",
          "    (void)skip_compacted;\n")],
    ),
    "change-misplaced": Mutant(
        "a change of the members comes behind another entry (libraft 0.22.1)",
        ["an applied change of the members counts"],
        [("coordinator/replica/guards.c", "        more = split_at_change(message, &rest);\n",
          "        more = 0 * sizeof(split_at_change(message, &rest));\n")],
    ),
    "second-change": Mutant(
        "a second change of the members comes before the first counts (libraft 0.22.1)",
        ["an applied change of the members counts"],
        [("coordinator/replica/guards.c", "first != 0 &&", "first == 77777777 &&")],
    ),
    "confirm-by-clock": Mutant(
        "`confirm` is measured by wall clocks",
        ["confirmed (5)"],
        [("coordinator/main/reporting.c",
          "    uint64_t now_ms = clock_boottime_ms(node->clock);\n    struct seen_window kept",
          "    uint64_t now_ms = clock_wall_ms(node->clock);\n    struct seen_window kept"),
         ("coordinator/main/reporting.c", "now_ms - seen->seen_ms",
          "clock_wall_ms(node->clock) - seen->seen_ms")],
    ),
    "snapshot-beside-change": Mutant(
        "a snapshot is taken before a change of the members counts (libraft 0.22.1)",
        ["a snapshot has the members of its time"],
        [("coordinator/replica/machine.c", "    if (change_index != 0 && change_index <= log_index) {",
          "    if (change_index != 0 && change_index <= log_index && log_index == 0) {")],
    ),
    "snapshot-after-early-change": Mutant(
        "a snapshot has the members of a change that counts ahead of the commit index (libraft 0.22.1)",
        ["a snapshot has the members of its time"],
        [("coordinator/replica/machine.c",
          "    if (replica->raft.configuration_committed_index > log_index) {",
          "    if (replica->raft.configuration_committed_index > log_index && log_index == 0) {")],
        options=("--staged", "snapshots"),
    ),
    "no-read": Mutant(
        "an attempt without outcome is sent again without looking",
        ["liveness (16, 22)"],
        [(CORE + "pending.c", "    case STEP_ATTEMPTED:\n    case STEP_ACCEPTED:",
          "    case STEP_ATTEMPTED:\n        return EFFECT_ATTEMPT;\n    case STEP_ACCEPTED:"),
         (CORE + "pending.c", "    if (!closing && !cancelled && as_before) {",
          "    if (!closing && !cancelled) {")],
    ),
    "refusal-counts": Mutant(
        "a refused reply is taken as the outcome",
        ["refused is not there (14)", "refused never lands (14)"],
        [("coordinator/executor/steps.c",
          "    if (sent->reply != DRIVER_REPLY_ACCEPTED) {\n",
          "    if (sent->reply == DRIVER_REPLY_REFUSED) {\n"
          "        task_propose_outcome(task, service, STEP_REFUSED, sent->message);\n        return;\n"
          "    }\n    if (sent->reply != DRIVER_REPLY_ACCEPTED) {\n"),
         (CORE + "apply_step.c", "return void_there || unsent;", "return true;"),
         (CORE + "execution.c",
          '    {STEP_ATTEMPTED, ON_UNKNOWN, STEP_UNKNOWN, NULL, "",',
          '    {STEP_ATTEMPTED, ON_REFUSED, STEP_REFUSED, NULL, "", "mutant"},\n'
          '    {STEP_ATTEMPTED, ON_UNKNOWN, STEP_UNKNOWN, NULL, "",')],
    ),
    "no-burn": Mutant(
        "a cancel after an attempt ends the step without a burn",
        ["refused is not there (14)", "refused never lands (14)"],
        [(CORE + "pending.c", "    *why = \"burn the fence: no older request can match it any more\";\n"
          "    return ACTION_BURN;",
          "    *why = \"mutant\";\n    return ACTION_REFUSED;"),
         (CORE + "apply_step.c", "return void_there || unsent;", "return true;")],
    ),
    "debt-forgotten": Mutant(
        "a released step leaves no debt",
        ["nothing of an older epoch (13, 16)"],
        [(CORE + "apply_people.c", "if (step->kind != STEP_SETTLE && step_is_fenced(step->kind) && step->attempts > 0) {",
          "if (step->kind == STEP_KIND_COUNT) {")],
    ),
    "done-before-insync": Mutant(
        "a step is done before its change is in sync",
        ["done is done (14)"],
        [(CORE + "pending.c", "    case TARGET_PENDING:\n", "    case TARGET_PENDING:\n"
          "        *why = \"mutant\";\n        return proved;\n    case TARGET_SYNC_MUTANT:\n"),
         (CORE + "include/core/pending.h", "TARGET_PENDING,", "TARGET_PENDING, TARGET_SYNC_MUTANT = 99,"),
         (CORE + "include/core/pending.h", "TARGET_INSYNC,", "TARGET_INSYNC = 1,")],
    ),
    "upsert": Mutant(
        "UPSERT instead of compare-and-swap",
        ["exactly once (12)", "chain of fences (13)"],
        [("coordinator/driver/route53_wire.c",
          '    code = write_fence(&body, "DELETE", target, change->fence_before, error);\n', ""),
         ("coordinator/driver/route53_wire.c", '    write_items(&body, "DELETE", before);\n', ""),
         ("coordinator/driver/route53_wire.c",
          'write_fence(&body, "CREATE"', 'write_fence(&body, "UPSERT"'),
         ("coordinator/driver/route53_wire.c",
          'write_items(&body, "CREATE"', 'write_items(&body, "UPSERT"')],
    ),
    "fence-not-compared": Mutant(
        "a batch compares the records, and goes over whatever fence is there",
        ["exactly once (12)", "chain of fences (13)", "nothing of an older epoch (13, 16)",
         "refused never lands (14)"],
        [("coordinator/driver/route53_wire.c",
          '    code = write_fence(&body, "DELETE", target, change->fence_before, error);\n',
          "    if (change->fence_after == NULL) {\n"
          '        code = write_fence(&body, "DELETE", target, change->fence_before, error);\n'
          "    }\n"),
         ("coordinator/driver/route53_wire.c",
          'write_fence(&body, "CREATE"', 'write_fence(&body, "UPSERT"')],
    ),
    "fence-unchecked": Mutant(
        "a move begins whatever fence is there",
        ["chain of fences (13)"],
        [(CORE + "apply_step.c", "    bool ours = fence_parse(a->command->step.fence,",
          "    if (step->kind != STEP_KIND_COUNT) {\n        return CORE_OK;\n    }\n"
          "    bool ours = fence_parse(a->command->step.fence,"),
         ("coordinator/executor/steps.c",
          "    if (reading->fence_present && fence_parse(reading->fence, state->cluster, &there) &&\n"
          "        (there.incarnation >",
          "    if (reading->fence_present && fence_parse(reading->fence, state->cluster, &there) &&\n"
          "        step->kind == STEP_KIND_COUNT && (there.incarnation >"),
         ("coordinator/executor/steps.c",
          "    if (!text_starts_with(reading->fence, ours) && !text_starts_with(reading->fence, ours_void)) {",
          "    if (step->kind == STEP_KIND_COUNT) {")],
    ),
    "burn-with-records": Mutant(
        "a burn writes the records as well",
        ["records follow their fence (12)"],
        [("coordinator/executor/steps.c", "    task->sending = action;\n",
          "    const struct step *step = task_step(task, service);\n"
          "    static struct driver_blob blobs[2];\n"
          "    if (action == ACTION_BURN && step->kind == STEP_DNS) {\n"
          "        const struct blob *from[2] = {&state->blobs[step->state_before],\n"
          "                                      &state->blobs[step->state_after]};\n"
          "        for (int i = 0; i < 2; i++) {\n"
          "            blobs[i].size_bytes = from[i]->size_bytes;\n"
          "            memcpy(blobs[i].bytes, from[i]->bytes, from[i]->size_bytes);\n"
          "        }\n"
          "        change.state_before = &blobs[0];\n"
          "        change.state_after = &blobs[1];\n"
          "    }\n"
          "    task->sending = action;\n")],
    ),
    "fence-apart": Mutant(
        "a fence is written in a batch of its own, before its records",
        ["records follow their fence (12)"],
        [("coordinator/driver/route53_wire.c", '    write_items(&body, "DELETE", before);\n', ""),
         ("coordinator/driver/route53_wire.c", '    write_items(&body, "CREATE", after);\n',
          "    (void)write_items;\n")],
    ),
    "records-apart": Mutant(
        "records are written in a batch of their own, before their fence",
        ["records follow their fence (12)"],
        [("coordinator/driver/route53_wire.c", "target, change->fence_before, error);",
          "target, before != NULL ? NULL : change->fence_before, error);"),
         ("coordinator/driver/route53_wire.c", "target, change->fence_after, error);",
          "target, before != NULL ? NULL : change->fence_after, error);")],
    ),
    "veto-ignored": Mutant(
        "a veto doesn't hold a decision",
        ["no DECIDE under an override (8)"],
        [(CORE + "apply_decide.c", "state_override(state, OVERRIDE_VETO, name, NULL) != NULL) {",
          "state_override(state, OVERRIDE_VETO, name, NULL) == (const void *)1) {"),
         (CORE + "gates.c", "OVERRIDE_VETO", "OVERRIDE_KIND_COUNT"),
         (CORE + "state.c", "bool waits = execution->automatic &&", "bool waits = false &&")],
    ),
    "veto-tie-lost": Mutant(
        "a veto that comes between decision and beginning holds nothing",
        ["no first intent under an override (8)"],
        [(CORE + "apply_people.c", "        if (covered && target) {",
          "        if (covered && target && c->kind == OVERRIDE_MAINTENANCE) {"),
         (CORE + "apply_step.c", "    if (error != CORE_OK || !execution->automatic) {",
          "    if (!execution->automatic) {"),
         (CORE + "state.c", "bool waits = execution->automatic &&", "bool waits = false &&")],
    ),
    "override-ends-early": Mutant(
        "vetoes, pauses and maintenances end ten seconds before their time",
        ["none ends early (8)"],
        [(CORE + "apply_facts.c", "held->until_ms > state->time_ms) {",
          "held->until_ms > state->time_ms + 10000) {")],
    ),
    "owner-unchecked": Mutant(
        "an operator commands services of other owners",
        ["who may ask (17)"],
        [(CORE + "apply.c", "        !text_equal(origin->owner, owner)) {",
          "        owner == NULL) {")],
    ),
    "old-probes": Mutant(
        "probes that began before SUSPECT count as evidence",
        ["verdict (5)"],
        [(CORE + "apply_decide.c", "cited->first_index >= suspect->index &&", ""),
         (CORE + "policy.c", "first_index", "last_index")],
    ),
    "silence-is-down": Mutant(
        "a region that says nothing votes down",
        ["verdict (5)"],
        [(CORE + "votes.c", "        ret->down += vote == OPINION_DOWN;",
          "        ret->down += vote == OPINION_DOWN || vote == OPINION_UNKNOWN;"),
         (CORE + "apply_decide.c", "votes += down * 2 > nodes;", "votes++;"),
         (CORE + "policy.c", "ret->votes += down * 2 > nodes;", "ret->votes++;"),
         (CORE + "policy.c", "ret->votes_but_tick += but_tick * 2 > nodes;",
          "ret->votes_but_tick += but_tick < 99 && down < 99;"),
         (CORE + "apply_decide.c", "return down_since && fresh ? CORE_OK : CORE_EVIDENCE;",
          "return down_since && fresh ? CORE_OK : CORE_OK;")],
    ),
    "half-confirm": Mutant(
        "half of `confirm` is enough",
        ["confirmed (5)"],
        [(CORE + "apply_decide.c", "suspect_age_ms >= confirm_ms;", "suspect_age_ms >= confirm_ms / 2;"),
         (CORE + "policy.c", "citations.majority_age_ms >= spec->policy.confirm_ms",
          "citations.majority_age_ms >= spec->policy.confirm_ms / 2"),
         (CORE + "gates.c", "policy.confirm_ms", "policy.confirm_ms / 2")],
    ),
    "one-clock": Mutant(
        "one clock moves committed time",
        ["committed time (18)"],
        [(CORE + "apply_facts.c", "sorted[majority(c->count) - 1]", "sorted[0]")],
    ),
    "not-idempotent": Mutant(
        "a command that comes twice is applied twice",
        ["commands are idempotent (17)"],
        [(CORE + "apply.c", "        return origin->sequence == client->sequence  ? CORE_DUPLICATE\n",
          "        return origin->sequence == client->sequence  ? CORE_OK\n")],
    ),
    "answers-forgotten": Mutant(
        "a command whose answer is forgotten is applied again",
        ["commands are idempotent (17)"],
        [(CORE + "apply.c", "    if (oldest->index > state->client_floor) {\n",
          "    if (oldest->index == UINT64_MAX) {\n")],
        small_limits=True,
    ),
    "window-off-by-one": Mutant(
        "the window of remembered answers begins one entry too early",
        ["commands are idempotent (17)"],
        [(CORE + "apply.c", "    return origin->known_index < state->client_floor ?",
          "    return origin->known_index + 1 < state->client_floor ?")],
        small_limits=True,
    ),
    "lease-after-decide": Mutant(
        "the old region is granted a lease while it is left",
        ["liveness (16, 22)"],
        [(CORE + "lease.c", "&& execution->to != s->active;", "&& false;")],
    ),
    "lease-after-promotion": Mutant(
        "the old region is granted a lease although a primary may be elsewhere",
        ["no lease beside a promotion (2)"],
        [(CORE + "lease.c", " && !leaves &&\n                   !s->promoted_away;", " && !leaves;")],
    ),
    "lease-not-outlasted": Mutant(
        "a move doesn't wait for the lease that was granted",
        ["one holder of a lease (2)"],
        [("coordinator/main/leasing.c", "    return leases_wait_ms(&node->leases,",
          "    (void)service;\n    return 0 * leases_wait_ms(&node->leases,")],
    ),
    "epoch-reused": Mutant(
        "a move takes the epoch of the last one",
        ["epochs are not used again (3)"],
        [(CORE + "apply_decide.c", "execution->epoch = ++s->epoch;",
          "execution->epoch = s->epoch += s->epoch % 3 != 2;"),
         (CORE + "apply_decide.c", "c->epoch != s->epoch + 1", "c->epoch == s->epoch + 99")],
    ),
    "state-differs": Mutant(
        "one node's memory decides what a command does",
        ["one state a command (19)"],
        [(CORE + "apply_facts.c", "    state->tick_index = a->index;\n",
          "    static uint64_t memory;\n    state->tick_index = a->index - (++memory % 97 == 0);\n")],
    ),
    "snapshot-term": Mutant(
        "a snapshot goes with another one's term (libraft 0.22.1)",
        ["log matching"],
        [("coordinator/replica/raft_io.c",
          "        corrected.install_snapshot.last_term = replica->read_snapshot_term;\n", "")],
    ),
    "pre-vote-term": Mutant(
        "a candidate of an older term isn't told of the newer one (libraft 0.22.1)",
        ["who is refused hears of the newer term"],
        [("coordinator/replica/raft_io.c", "    tell_term(replica, &corrected);\n", "    (void)tell_term;\n")],
    ),
    "snapshots-cross": Mutant(
        "a snapshot comes while one's own is written (libraft 0.22.1)",
        ["ended by a signal"],
        [("coordinator/replica/guards.c",
          "        if (!hold_snapshot(replica, message)) {\n",
          "        if (hold_snapshot != NULL) {\n")],
    ),
    "commit-index-falls": Mutant(
        "the commit index is set back (libraft 0.22.1)",
        ["ended by a signal"],
        [("coordinator/replica/guards.c", "        keep_commit_index(replica, message);\n",
          "        (void)keep_commit_index;\n")],
    ),
    "state-after-close": Mutant(
        "the inspector looks at a state that is gone",
        ["ended by a signal"],
        [("coordinator/executor/inspector.c",
          "    if (inspector->closing) { /* and with it perhaps the state */",
          "    if (inspector->closing && inspector->options.every_ms == 0) {")],
    ),
    "words-too-early": Mutant(
        "a node says KEEP and EVICT before it knows how far it is behind",
        ["endpoints say what is committed (20)"],
        [("coordinator/api/view.c", "    view->has_state = facts->was_caught_up && state->spec_index != 0;",
          "    view->has_state = state->spec_index != 0;")],
    ),
    "silent-without-quorum": Mutant(
        "a node that has lost its quorum says neither KEEP nor EVICT",
        ["endpoints say what is committed (20)"],
        [("coordinator/api/http_routes.c", "    if (view == NULL || !view->has_state) {",
          "    if (view == NULL || !view->has_state || !age_is_recent(scene)) {")],
    ),
    "shown-too-early": Mutant(
        "endpoints show where a service will be once it is moved",
        ["endpoints say what is committed (20)"],
        [("coordinator/api/view.c", "    to->active = service->adopted ? service->active : NONE_INDEX;",
          "    bool moves = execution_is_open(&service->execution);\n"
          "    to->active = !service->adopted ? NONE_INDEX : moves ? service->execution.to : service->active;")],
    ),
    "switch-unverified": Mutant(
        "the switch doesn't wait for a write that a majority of the replica set has",
        ["switched after a majority write (15)"],
        [("coordinator/executor/set_steps.c",
          "        step_after_look(executor_state(task->executor), service, task->step, seen->holds, &why);",
          "        step_after_look(executor_state(task->executor), service, task->step,\n"
          "                        seen->holds || task_step(task, service)->kind == STEP_WRITE, &why);"),
         ("coordinator/executor/set_steps.c", "    if (error != NULL || !seen->holds) {",
          "    if (error != NULL) {")],
    ),
    "one-member-config": Mutant(
        "a config that one member has is taken for the replica set's",
        ["one voter changes at a time", "done is done (14)"],
        [("coordinator/driver/mongo_scan.c", "    if (found != NULL && most.have <= voters / 2) {",
          "    if (found != NULL && voters == 0) {"),
         ("coordinator/driver/mongo_scan.c", "    if (found != NULL && most.safe <= voters / 2) {",
          "    if (found != NULL && most.safe > voters) {")],
    ),
    "older-term-config": Mutant(
        "a config that a majority has is safe whatever newer terms they know of",
        ["done is done (14)"],
        [("coordinator/driver/mongo_scan.c", "            holders.safe += is_of_its_term(member);\n",
          "            (void)is_of_its_term;\n            holders.safe++;\n")],
        world=(29, 100),
        options=("--set",),
    ),
    "earlier-write": Mutant(
        "a write that an earlier primary took proves the present one",
        ["switched after a majority write (15)"],
        [("coordinator/driver/mongo_promote.c",
          "    if (!commits || op->target.set.write_check[0] == '\\0') {",
          "    if (op->target.set.write_check[0] == '\\0') {")],
        options=("--staged", "write-inherited"),
    ),
    "forced-config": Mutant(
        "a config is forced upon the replica set, which refuses no late one then",
        ["nothing is forced but by a person's word"],
        [("coordinator/driver/mongo.c",
          '    BSON_APPEND_DOCUMENT(&command, "replSetReconfig", &config);\n',
          '    BSON_APPEND_DOCUMENT(&command, "replSetReconfig", &config);\n'
          '    BSON_APPEND_BOOL(&command, "force", true);\n')],
    ),
    "force-twice": Mutant(
        "a forced config that doesn't show is sent again",
        ["forced at most once"],
        [(CORE + "execution.c", '    {STEP_ATTEMPTED, ON_ATTEMPT, STEP_ATTEMPTED, is_not_forced, "not force",',
          '    {STEP_ATTEMPTED, ON_ATTEMPT, STEP_ATTEMPTED, NULL, "",'),
         (CORE + "pending.c", "    return reading->late ? ACTION_UNKNOWN : ACTION_WAIT;",
          "    return ACTION_ATTEMPT;")],
    ),
    "force-undeclared": Mutant(
        "a silent member that nobody has declared dead doesn't count",
        ["nothing is forced but by a person's word"],
        [(CORE + "mongo_judge.c", "    return silent == view->dead;", "    return (view->dead & ~silent) == 0;")],
    ),
    "force-while-dead-answers": Mutant(
        "a config is forced although a member answers that was declared dead",
        ["nobody is left out who answers"],
        [("coordinator/driver/mongo_force.c", "        if (answers(op, host) == left_out) {",
          "        if (!left_out && !answers(op, host)) {")],
        options=("--staged", "dead-answers"),
    ),
    "force-below": Mutant(
        "a second forced config isn't above what the first may have become",
        ["kept without a vote"],
        [("coordinator/driver/mongo.c", "    return next > least ? next : least;",
          "    (void)least;\n    return next;"),
         (CORE + "apply_step.c", "    if (c->forced_version <= (earlier == 0 ? 0 : earlier + MONGO_FORCE_JUMP)) {",
          "    (void)earlier;\n    if (c->forced_version == 0) {")],
        options=("--staged", "forced-dies"),
    ),
    "force-released": Mutant(
        "a forced config that was sent is released, and may land later",
        ["one voter changes at a time", "a forced config is not undone (13)", "chain of fences (13)"],
        [(CORE + "execution.c", "    {STEP_ATTEMPTED, ON_RELEASE, STEP_RELEASED, is_not_forced, \"not force\",",
          "    {STEP_ATTEMPTED, ON_RELEASE, STEP_RELEASED, NULL, \"\",")],
        options=("--staged", "late-released"),
    ),
    "terms-mixed": Mutant(
        "who comes back has writes of a term that the set has had without it",
        ["no vote before it has caught up", "nothing is lost that was acknowledged (2)"],
        [("coordinator/driver/mongo_force.c", "    } else if (member->oplog_term >= term) {",
          "    } else if (member->oplog_term > primary->answer.status.term) {")],
        options=("--staged", "term-shared"),
    ),
    "readmit-burn-refused": Mutant(
        "what stands against a readmission stands against its burn as well",
        ["liveness (16, 22)"],
        [("coordinator/driver/mongo.c", "    } else if (op->has_states && reading.against[0]",
          "    } else if (reading.against[0]")],
    ),
    "readmit-early": Mutant(
        "a member gets its vote back before it has caught up",
        ["no vote before it has caught up"],
        [(CORE + "mongo_judge.c", "    if (!member->answers || member->state != MONGO_SECONDARY) {",
          "    if (facts->member_count == 0) {"),
         (CORE + "mongo_judge.c", "    return close ? NULL :", "    return close || true ? NULL :")],
    ),
    "lag-unchecked": Mutant(
        "the member to promote may lag as it likes",
        ["no promotion beyond the lag limit"],
        [(CORE + "mongo_judge.c",
          "    bool pass = verdict->lag_ms <= mongo->max_lag_ms && verdict->age_ms <= mongo->max_lag_age_ms;",
          "    bool pass = verdict->lag_ms <= UINT64_MAX;")],
    ),
    "rule-before-level": Mutant(
        "a newer version's rule holds before the group is at its level",
        ["one state a command (19)"],
        [(CORE + "apply_people.c", "    if (state->feature_level >= 2 && strnlen(", "    if (strnlen(")],
    ),
    "role-unchecked": Mutant(
        "anybody may command",
        ["who may ask (17)"],
        [(CORE + "apply.c", "error = origin->role != ROLE_NODE && origin->role >= command_least_role(a->command->kind)",
          "error = origin->role >= ROLE_NONE")],
    ),
    "minor-check": Mutant(
        "a check that isn't critical votes down",
        ["verdict (5)"],
        [("coordinator/probe/debounce.c", "        if (!checks[i].critical || ", "        if (")],
    ),
    "lost-log": Mutant(
        "a node goes on whose log is shorter than what it acknowledged",
        ["lost storage is refused"],
        [("coordinator/replica/raft_io.c", "    if (last_index < replica->mark.index) {",
          "    if (last_index == 0) {")],
    ),
    "empty-disk": Mutant(
        "an empty disk under an old name is let in by those who have just started, and stays",
        ["lost storage is refused"],
        [("coordinator/replica/machine.c", "            replica_note_storage(replica, commands.commands[j]);\n",
          "            (void)replica;\n"),
         ("coordinator/replica/machine.c", "    if (command->kind == COMMAND_NODES) {\n", "    if (false) {\n"),
         ("coordinator/replica/machine.c", "        replica_check_own_storage(replica);\n        if (replica->callbacks",
          "        if (replica->callbacks")],
    ),
    "room-of-others": Mutant(
        "a leader that was elected where a majority has no room for its log ends (libraft 0.22.1)",
        ["ended by a signal"],
        [("coordinator/replica/replica.c", "    raft_set_capacity_threshold(raft, 0);\n", "")],
    ),
    "primary-anywhere": Mutant(
        "a primary in any region is the promotion that was wanted",
        ["switched after a majority write (15)"],
        [("coordinator/driver/mongo_promote.c", "    return region == op->target.to;", "    return true;")],
    ),
}
