#include "group.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define START_MS UINT64_C(1700000000000)

const enum opinion_value all_up[REGION_MAX] = {OPINION_UP, OPINION_UP};
const enum opinion_value east_down[REGION_MAX] = {OPINION_DOWN, OPINION_UP};
const enum opinion_value both_down[REGION_MAX] = {OPINION_DOWN, OPINION_DOWN};

struct spec *spec_example(void) {
    struct spec *spec = calloc(1, sizeof *spec);
    assert(spec != NULL);
    static const char *const regions[] = {"us-east-1", "us-west-2", "eu-west-1"};
    for (uint32_t r = 0; r < 3; r++) {
        (void)TEXT_COPY(spec->regions[r].name, regions[r]);
        spec->regions[r].role = r == EU ? REGION_WITNESS : REGION_SERVE;
    }
    spec->region_count = 3;
    spec->service_count = 1;
    struct spec_service *service = &spec->services[0];
    (void)TEXT_COPY(service->name, "nocturnal");
    (void)TEXT_COPY(service->owner, "platform");
    service->mode = MODE_AUTO;
    service->home = EAST;
    service->targets[0] = WEST;
    service->target_count = 1;
    struct spec_check *check = &service->checks[0];
    (void)TEXT_COPY(check->name, "api");
    (void)TEXT_COPY(check->url[EAST], "http://east/health");
    (void)TEXT_COPY(check->url[WEST], "http://west/health");
    check->expect[0] = (struct status_range){200, 399};
    check->expect_count = 1;
    check->interval_ms = 1000;
    check->timeout_ms = 500;
    check->fall = 3;
    check->rise = 2;
    check->critical = true;
    service->check_count = 1;
    (void)TEXT_COPY(service->zones[0].id, "Z1");
    (void)TEXT_COPY(service->zones[0].fence_name, "_noctua-nocturnal.nocturnal.com");
    service->zone_count = 1;
    struct spec_record *record = &service->records[0];
    (void)TEXT_COPY(record->name, "nocturnal.com");
    (void)TEXT_COPY(record->type, "A");
    record->kind = RECORD_VALUES;
    (void)TEXT_COPY(record->value[EAST].text, "192.0.2.1");
    (void)TEXT_COPY(record->value[WEST].text, "192.0.2.2");
    service->record_count = 1;
    service->policy = (struct spec_policy){.confirm_ms = 30000,
                                           .cooldown_ms = 1800000,
                                           .max_moves = 2,
                                           .max_moves_window_ms = 86400000};
    return spec;
}

uint32_t spec_add_service(struct spec *spec, const char *name) {
    assert(spec->service_count < SERVICE_MAX);
    struct spec_service *service = &spec->services[spec->service_count];
    *service = spec->services[0];
    (void)TEXT_COPY(service->name, name);
    (void)TEXT_COPY(service->zones[0].fence_name, "_noctua-");
    memcpy(service->zones[0].fence_name + strlen("_noctua-"), name, strlen(name) + 1);
    return spec->service_count++;
}

uint32_t spec_add_region(struct spec *spec, const char *name) {
    assert(spec->region_count < REGION_MAX);
    uint32_t r = spec->region_count++;
    (void)TEXT_COPY(spec->regions[r].name, name);
    spec->regions[r].role = REGION_SERVE;
    struct spec_service *service = &spec->services[0];
    service->targets[service->target_count++] = r;
    (void)TEXT_COPY(service->records[0].value[r].text, "192.0.2.9");
    return r;
}

enum core_error group_apply(struct group *group, struct command *command) {
    command->term = group->term;
    command->wall_ms = group->wall_ms;
    enum core_error error = state_apply(group->state, ++group->index, command);
    for (uint32_t s = 0; s < group->state->spec.service_count; s++) {
        uint64_t suspect_index = group->state->services[s].suspect.index;
        if (group->suspect_seen_index[s] != suspect_index) {
            group->suspect_seen_ms[s] = group->now_ms;
            group->suspect_seen_index[s] = suspect_index;
        }
    }
    assert(state_broken_invariant(group->state) == NULL);
    return error;
}

enum core_error group_ask(struct group *group, struct command *command) {
    memcpy(command->origin.client_id, "0123456789abcdef", 16);
    command->origin.sequence = ++group->client_sequence;
    command->origin.known_index = group->index;
    if (command->origin.actor[0] == '\0') {
        (void)TEXT_COPY(command->origin.actor, "alice");
    }
    if (command->origin.role == ROLE_NONE) {
        command->origin.role = ROLE_ADMIN;
    }
    return group_apply(group, command);
}

struct command *group_new(enum command_kind kind) {
    struct command *command = calloc(1, sizeof *command);
    assert(command != NULL);
    command->kind = kind;
    return command;
}

enum core_error group_do(struct group *group, struct command *command) {
    enum core_error error = command_is_by_person(command->kind) ? group_ask(group, command)
                                                                : group_apply(group, command);
    free(command);
    return error;
}

enum core_error group_leader(struct group *group, uint64_t node_id) {
    struct command *command = group_new(COMMAND_LEADER);
    group->term++;
    command->leader.id = node_id;
    group->input.term = group->term;
    group->input.self_id = node_id;
    group->input.term_start_ms = group->now_ms;
    group->input.tick_proposed_ms = 0;
    memset(group->input.reports, 0, sizeof group->input.reports);
    return group_do(group, command);
}

enum core_error group_tick(struct group *group) {
    struct command *command = group_new(COMMAND_TICK);
    command->tick.count = group->state->node_count;
    for (uint32_t n = 0; n < group->state->node_count; n++) {
        command->tick.clock_ms[n] = group->wall_ms;
    }
    group->input.tick_proposed_ms = group->now_ms;
    return group_do(group, command);
}

enum core_error group_opinion(struct group *group, uint32_t node, uint32_t region,
                              enum opinion_value value) {
    struct command *command = group_new(COMMAND_OPINION);
    const struct node *n = &group->state->nodes[node];
    command->opinion = (struct command_opinion){.node_id = n->id,
                                                .boot = n->boot == 0 ? 1 : n->boot,
                                                .sequence = n->sequence + 1,
                                                .region = region,
                                                .value = value,
                                                .spec_index = group->state->spec_index};
    return group_do(group, command);
}

enum core_error group_override(struct group *group, enum override_kind kind, const char *region,
                               uint64_t for_ms) {
    struct command *command = group_new(COMMAND_OVERRIDE);
    command->override.kind = kind;
    (void)TEXT_COPY(command->override.service, "nocturnal");
    (void)TEXT_COPY(command->override.region, region);
    command->override.until_ms = for_ms == 0 ? 0 : group->wall_ms + for_ms;
    return group_do(group, command);
}

struct command *group_new_move(struct group *group, const char *to, enum execution_kind kind,
                               uint32_t skip) {
    struct command *command = group_new(execution_kind_marks(kind) ? COMMAND_ADOPT : COMMAND_MOVE);
    struct command_move *move = &command->move;
    (void)TEXT_COPY(move->service, "nocturnal");
    (void)TEXT_COPY(move->to, to);
    move->kind = kind;
    move->spec_index = group->state->spec_index;
    move->epoch = group->state->services[0].epoch + 1;
    move->skipped_gates = skip;
    uint32_t region = spec_find_region(&group->state->spec, to);
    group->input.now_ms = group->now_ms;
    policy_view_set(group->state, &group->input, 0, &move->mongo);
    move->mongo.dead = group->dead;
    (void)TEXT_COPY(move->mongo.readmit, group->readmit == NULL ? "" : group->readmit);
    (void)policy_plan(group->state, 0, kind, region, 0, &move->mongo, &move->plan);
    return command;
}

enum core_error group_move(struct group *group, const char *to, enum execution_kind kind,
                           uint32_t skip) {
    return group_do(group, group_new_move(group, to, kind, skip));
}

enum core_error group_step(struct group *group, enum command_kind kind,
                           const struct command_step *fields) {
    struct command *command = group_new(kind);
    command->step = *fields;
    command->step.epoch = group->state->services[0].execution.epoch;
    return group_do(group, command);
}

enum core_error group_choice(struct group *group, enum command_kind kind, const char *step) {
    struct command *command = group_new(kind);
    (void)TEXT_COPY(command->choice.service, "nocturnal");
    if (kind == COMMAND_APPROVE) {
        (void)TEXT_COPY(command->choice.to, "us-west-2");
        command->choice.epoch = group->state->services[0].epoch + 1;
    }
    (void)TEXT_COPY(command->choice.step, step);
    return group_do(group, command);
}

enum core_error group_spec(struct group *group, const struct spec *spec) {
    struct command *command = group_new(COMMAND_SPEC);
    command->spec.spec = spec;
    command->spec.text = "version: 1\n";
    command->spec.text_size = 11;
    command->spec.expected_index = group->state->spec_index;
    return group_do(group, command);
}

static void apply_nodes(struct group *group, const char *const *regions) {
    struct command *command = group_new(COMMAND_NODES);
    (void)TEXT_COPY(command->nodes.cluster, "prod");
    command->nodes.incarnation = 5;
    uint32_t n = 0;
    for (; regions[n] != NULL; n++) {
        command->nodes.nodes[n].id = n + 1;
        memcpy(command->nodes.nodes[n].name, (char[]){'n', (char)('1' + n), '\0'}, 3);
        (void)TEXT_COPY(command->nodes.nodes[n].region, regions[n]);
        memset(command->nodes.nodes[n].storage, (int)n + 1, 16);
    }
    command->nodes.count = n;
    enum core_error error = group_do(group, command);
    assert(error == CORE_OK);
    (void)error;
}

void group_open_with(struct group *group, const struct spec *spec, const char *const *regions) {
    memset(group, 0, sizeof *group);
    group->state = calloc(1, sizeof *group->state);
    assert(group->state != NULL);
    state_init(group->state);
    group->now_ms = 1000000;
    group->wall_ms = START_MS;
    apply_nodes(group, regions);
    enum core_error error = group_leader(group, 2);
    assert(error == CORE_OK);
    error = group_spec(group, spec);
    assert(error == CORE_OK);
    (void)error;
}

void group_open(struct group *group) {
    struct spec *spec = spec_example();
    group_open_with(group, spec,
                    (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", NULL});
    free(spec);
}

void group_second(struct group *group) {
    group->now_ms += 1000;
    group->wall_ms += 1000;
}

void group_adopt_all(struct group *group) {
    enum opinion_value seen[REGION_MAX];
    struct state *state = group->state;
    for (uint32_t r = 0; r < REGION_MAX; r++) {
        seen[r] = r < state->spec.region_count && state->spec.regions[r].role == REGION_SERVE
                      ? OPINION_UP
                      : OPINION_UNKNOWN;
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        struct command *command = group_new(COMMAND_ADOPT);
        uint32_t home = state->spec.services[s].home;
        memcpy(command->move.service, state->services[s].name, NAME_SIZE);
        memcpy(command->move.to, state->spec.regions[home].name, NAME_SIZE);
        command->move.kind = EXECUTION_ADOPT;
        command->move.spec_index = state->spec_index;
        command->move.epoch = state->services[s].epoch + 1;
        (void)policy_plan(state, s, EXECUTION_ADOPT, home, 0, NULL, &command->move.plan);
        enum core_error error = group_do(group, command);
        assert(error == CORE_OK);
        (void)error;
        group_carry_out_service(group, s);
        assert(state->services[s].adopted);
    }
    for (int i = 0; i < 3; i++) {
        group_second(group);
        group_report(group, (1u << state->node_count) - 1, seen);
        while (group_policy(group) > 0) {
        }
    }
}

void group_open_adopted(struct group *group) {
    group_open(group);
    group_adopt_all(group);
}

void group_close(struct group *group) {
    for (uint32_t n = 0; n < NODE_MAX; n++) {
        free(group->reports[n]);
    }
    free(group->state);
}

void group_add_set(struct group *group) {
    struct spec_mongo *mongo = &group->state->spec.services[0].mongo;
    *mongo = (struct spec_mongo){.used = true,
                                 .uri = "mongodb://e1,w1,x1/?replicaSet=rs0",
                                 .region_tag = "region",
                                 .max_lag_ms = 10000,
                                 .max_lag_age_ms = 30000,
                                 .interval_ms = 2000,
                                 .timeout_ms = 1000,
                                 .fall = 3,
                                 .rise = 2};
}

void mongo_lose(struct mongo_facts *facts, uint32_t i, uint32_t age_ms) {
    struct mongo_member *member = &facts->members[i];
    member->answers = false;
    member->writable = false;
    member->state = MONGO_UNKNOWN;
    member->age_ms = age_ms;
    member->optime_age_ms = age_ms;
    if (facts->primary == member->id) {
        facts->primary_age_ms = age_ms;
    }
}

void mongo_lose_majority(struct mongo_facts *facts) {
    facts->config_committed = false;
    mongo_lose(facts, E1, 25000);
    mongo_lose(facts, E2, 25000);
    mongo_lose(facts, X1, 25000);
}

struct mongo_facts mongo_example(void) {
    static const struct {
        const char *host;
        uint32_t region, priority_milli;
    } members[] = {{"e1:27017", EAST, 2000},
                   {"e2:27017", EAST, 1000},
                   {"w1:27017", WEST, 1000},
                   {"w2:27017", WEST, 1000},
                   {"x1:27017", EU, 500}};
    struct mongo_facts facts = {.member_count = ARRAY_LENGTH(members),
                                .member_total = ARRAY_LENGTH(members),
                                .set_name = "rs0",
                                .config_version = 3,
                                .config_term = 7,
                                .config_committed = true,
                                .election_timeout_ms = 10000,
                                .heartbeat_ms = 2000,
                                .oplog_window_s = 86400,
                                .primary = 0,
                                .primary_age_ms = 500,
                                .primary_term = 7,
                                .write_age_ms = 1000,
                                .write_took_ms = 3,
                                .write_rate_milli = 130850};
    for (uint32_t i = 0; i < facts.member_count; i++) {
        struct mongo_member *member = &facts.members[i];
        *member = (struct mongo_member){.id = i,
                                        .region = members[i].region,
                                        .priority_milli = members[i].priority_milli,
                                        .votes = true,
                                        .answers = true,
                                        .writable = i == 0,
                                        .state = i == 0 ? MONGO_PRIMARY : MONGO_SECONDARY,
                                        .age_ms = 500,
                                        .term = 7,
                                        .optime = {7, 1000, 5, 1000400},
                                        .optime_age_ms = 500,
                                        .rollback_age_ms = MONGO_AGE_NEVER,
                                        .config_version = 3,
                                        .config_term = 7,
                                        .sync_source = i == 0 ? NONE_INDEX : 0,
                                        .version = 404};
        (void)TEXT_COPY(member->host, members[i].host);
    }
    return facts;
}

void group_report(struct group *group, uint32_t living, const enum opinion_value seen[REGION_MAX]) {
    for (uint32_t n = 0; n < group->state->node_count; n++) {
        if ((living >> n & 1) == 0) {
            continue;
        }
        if (group->reports[n] == NULL) {
            group->reports[n] = calloc(1, sizeof *group->reports[n]);
            assert(group->reports[n] != NULL);
        }
        struct report *report = group->reports[n];
        const struct node *node = &group->state->nodes[n];
        report->node_id = node->id;
        report->boot = node->boot == 0 ? 1 : node->boot;
        uint64_t newest = report->sequence > node->sequence ? report->sequence : node->sequence;
        report->sequence = newest + 1;
        report->applied_index = group->index;
        report->spec_index = group->state->spec_index;
        report->wall_ms = group->wall_ms;
        report->feature_level = FEATURE_LEVEL_NEWEST;
        memcpy(report->region, node->region, sizeof report->region);
        memcpy(report->storage, node->storage, sizeof report->storage);
        report->service_count = group->state->spec.service_count;
        report->region_count = group->state->spec.region_count;
        for (uint32_t s = 0; s < report->service_count; s++) {
            for (uint32_t r = 0; r < report->region_count; r++) {
                report->opinions[s][r].value = seen[r];
                report->opinions[s][r].first_index = group->index;
                report->opinions[s][r].last_index = group->index;
            }
            report->windows[s].suspect_index = group->suspect_seen_index[s];
            report->windows[s].age_ms = group->now_ms - group->suspect_seen_ms[s];
        }
        if (group->mongo != NULL) {
            report->mongo[0] = *group->mongo;
        }
        group->input.reports[n] = report;
        group->input.received_ms[n] = group->now_ms;
    }
}

void group_tell(struct group *group, const struct mongo_facts *facts) {
    group->mongo = facts;
    group_report(group, EVERYBODY, all_up);
    group->input.now_ms = group->now_ms;
}

/* One round; a DECIDE goes to *ret_decide, unapplied, unless that is NULL. */
static uint32_t one_round(struct group *group, struct command **ret_decide) {
    static struct command commands[POLICY_COMMAND_MAX];
    struct policy_output output = {.commands = commands};
    group->input.now_ms = group->now_ms;
    group->input.wall_ms = group->wall_ms;
    policy_next(group->state, &group->input, &output);
    for (uint32_t i = 0; i < output.count; i++) {
        if (ret_decide != NULL && commands[i].kind == COMMAND_DECIDE) {
            *ret_decide = group_new(COMMAND_DECIDE);
            **ret_decide = commands[i];
            return i;
        }
        enum core_error error = group_apply(group, &commands[i]);
        if (error == CORE_OK && commands[i].kind == COMMAND_TICK) {
            group->input.tick_proposed_ms = group->now_ms;
        }
    }
    return output.count;
}

uint32_t group_policy(struct group *group) {
    return one_round(group, NULL);
}

struct command *group_await_decide(struct group *group, uint32_t living,
                                   const enum opinion_value seen[REGION_MAX]) {
    struct command *decide = NULL;
    for (uint32_t round = 0; round < 200 && decide == NULL; round++) {
        group_second(group);
        group_report(group, living, seen);
        for (uint32_t again = 0; again < 8 && decide == NULL; again++) {
            if (one_round(group, &decide) == 0) {
                break;
            }
        }
    }
    assert(decide != NULL);
    return decide;
}

bool group_run(struct group *group, uint32_t living, const enum opinion_value seen[REGION_MAX],
               uint32_t rounds, uint64_t step_ms, bool (*until)(const struct group *)) {
    for (uint32_t i = 0; i < rounds; i++) {
        group->now_ms += step_ms;
        group->wall_ms += step_ms;
        group_report(group, living, seen);
        for (uint32_t again = 0; again < 8 && group_policy(group) > 0; again++) {
            if (until != NULL && until(group)) {
                return true;
            }
        }
        if (until != NULL && until(group)) {
            return true;
        }
    }
    return until == NULL;
}

struct service *group_service(struct group *group) {
    return &group->state->services[0];
}

const struct execution *group_execution(const struct group *group) {
    return &group->state->services[0].execution;
}

struct one_effect {
    uint32_t service;
    struct effect effect;
    bool found;
};

static void keep_first(void *context, const struct effect *effect) {
    struct one_effect *one = context;
    if (!one->found && effect->service == one->service) {
        one->effect = *effect;
        one->found = true;
    }
}

/* What a forced config leaves out, as it was. */
static void leave_out(const struct service *service, const struct mongo_view *view,
                      struct command_step *fields) {
    uint64_t earlier = service->forced_version;
    fields->forced_version = earlier == 0 ? 4 : earlier + MONGO_FORCE_JUMP + 1;
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        if ((view->dead >> i & 1) != 0) {
            struct left_out *at = &fields->left_out[fields->left_out_count++];
            (void)TEXT_COPY(at->host, view->facts.members[i].host);
            at->size_bytes = 5;
            memcpy(at->document, "\5\0\0\0", 5);
        }
    }
}

struct command *group_next_step(const struct group *group, uint32_t service) {
    const struct state *state = group->state;
    struct one_effect one = {.service = service};
    state_pending(state, keep_first, &one);
    if (!one.found) {
        return NULL;
    }
    uint32_t s = one.effect.step;
    const struct step *step = &state->services[service].execution.steps[s];
    struct command *command = group_new(COMMAND_SWITCH);
    struct command_step *fields = &command->step;
    fields->service = service;
    fields->epoch = one.effect.epoch;
    fields->step = s;
    char eid[EID_SIZE];
    step_eid(state, service, s, eid);
    if (one.effect.kind == EFFECT_INTEND && step->kind == STEP_SETTLE) {
        command->kind = COMMAND_CLOSING;
    } else if (one.effect.kind == EFFECT_INTEND &&
               (step->kind == STEP_LEASE || step_is_unfenced(step->kind))) {
        command->kind = COMMAND_INTENT;
    } else if (one.effect.kind == EFFECT_RESOLVE && step_is_unfenced(step->kind)) {
        bool sent = step->phase == STEP_ATTEMPTED;
        command->kind = sent ? COMMAND_OUTCOME : COMMAND_ATTEMPT;
        fields->outcome = sent ? STEP_DONE : STEP_WAITING;
        fields->attempt = sent ? 0 : step->attempts + 1;
    } else if (one.effect.kind == EFFECT_OUTLAST) {
        command->kind = COMMAND_OUTCOME;
        fields->outcome = STEP_DONE;
    } else if (one.effect.kind == EFFECT_INTEND) {
        command->kind = COMMAND_INTENT;
        if (step->kind != STEP_ADOPT) {
            char old[EID_SIZE];
            /* What is older than a forced config is the old side's. */
            uint64_t forced =
                step->zone == PLACE_OF_SET ? state->services[service].forced_epoch : 0;
            eid_format(old, state->services[service].name, state->incarnation,
                       forced == 0 ? 1 : forced, 0);
            fence_format(fields->fence, state->cluster, old);
        }
        fields->before = (struct blob){.used = true, .size_bytes = 4, .bytes = "east"};
        fields->after = (struct blob){.used = true, .size_bytes = 4, .bytes = "west"};
        if (step->kind == STEP_FORCE) {
            leave_out(&state->services[service], &state->services[service].execution.mongo, fields);
        }
    } else if (one.effect.kind == EFFECT_ATTEMPT) {
        command->kind = COMMAND_ATTEMPT;
        fields->attempt = step->attempts + 1;
    } else if (one.effect.kind == EFFECT_RESOLVE && step->phase == STEP_ATTEMPTED &&
               step->kind != STEP_FORCE) {
        command->kind = COMMAND_ACCEPTED;
        fields->attempt = step->attempts;
        (void)TEXT_COPY(fields->change_id, "C1");
    } else if (one.effect.kind == EFFECT_RESOLVE) {
        command->kind = COMMAND_OUTCOME;
        fields->outcome = STEP_DONE;
        if (step->kind == STEP_SETTLE) {
            fence_format_void(fields->fence, state->cluster, eid);
        } else if (step->kind != STEP_UNMARK) {
            fence_format(fields->fence, state->cluster, eid);
        }
    }
    return command;
}

void group_carry_out_service(struct group *group, uint32_t service) {
    for (int guard = 0; guard < 400; guard++) {
        struct command *command = group_next_step(group, service);
        if (command == NULL) {
            return;
        }
        enum core_error error = group_do(group, command);
        assert(error == CORE_OK);
        (void)error;
    }
    assert(false);
}

void group_carry_out(struct group *group) {
    group_carry_out_service(group, 0);
}

bool group_saw(const struct group *group, enum event_kind kind) {
    uint64_t count = group->state->event_count;
    uint64_t kept = count < EVENT_MAX ? count : EVENT_MAX;
    for (uint64_t i = count - kept; i < count; i++) {
        if (group->state->events[i % EVENT_MAX].kind == kind) {
            return true;
        }
    }
    return false;
}
