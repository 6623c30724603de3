/* Random commands, good ones and nonsense, from a printed seed (CORE_SEED reruns it, CORE_COMMANDS
 * sets how many): after each the invariants hold; a refused one changed nothing but applied_index
 * and the client's answer; committed time and epochs never go back; each adopted service has one
 * active region. */
#include <stdio.h>

#include "core_test.h"

#define COMMANDS 200000
#define SERVICES 2

struct world {
    struct group group;
    uint64_t random;
    uint64_t accepted, refused;
    uint64_t accepted_by_kind[COMMAND_KIND_END];
    /* what a refused command must leave alone */
    struct service *services;
    struct state *scalars; /* only its small members are used */
    uint64_t time_ms;
    uint64_t epochs[SERVICES];
};

/* xorshift64* */
static uint64_t next(struct world *w) {
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return w->random * UINT64_C(2685821657736338717);
}

static uint64_t below(struct world *w, uint64_t limit) {
    return next(w) % limit;
}

static bool chance(struct world *w, uint32_t percent) {
    return below(w, 100) < percent;
}

/* Mostly right, at times beside it, at times anything. */
static uint64_t near(struct world *w, uint64_t right) {
    uint64_t dice = below(w, 40);
    return dice == 0 ? next(w) : dice == 1 ? right + 1 : dice == 2 ? right - 1 : right;
}

static uint32_t near32(struct world *w, uint32_t right) {
    return (uint32_t)near(w, right);
}

static const char *any_region(struct world *w) {
    static const char *const names[] = {"us-east-1", "us-west-2", "us-west-2", "eu-west-1",
                                        "us-east-1", "nowhere",   ""};
    return names[below(w, ARRAY_LENGTH(names))];
}

static const char *any_service(struct world *w) {
    static const char *const names[] = {"nocturnal", "reports", "nocturnal", "reports", "none"};
    return names[below(w, ARRAY_LENGTH(names))];
}

static void any_fact(struct world *w, struct command *c) {
    const struct state *s = w->group.state;
    const struct node *node = &s->nodes[below(w, s->node_count)];
    switch (c->kind) {
    case COMMAND_OPINION:
        c->opinion = (struct command_opinion){
            .node_id = near(w, node->id),
            .boot = chance(w, 2) ? node->boot + 1 : near(w, node->boot == 0 ? 1 : node->boot),
            .sequence = node->sequence + below(w, 2),
            .service = near32(w, (uint32_t)below(w, SERVICES)),
            .region = near32(w, (uint32_t)below(w, 3)),
            .value = (enum opinion_value)below(w, OPINION_VALUE_COUNT + 1),
            .spec_index = near(w, s->spec_index)};
        break;
    case COMMAND_EXPIRE:
        c->expire = (struct command_expire){near(w, node->id), near(w, node->boot),
                                            near(w, node->sequence)};
        break;
    case COMMAND_TICK:
        c->tick.count = near32(w, s->node_count);
        for (uint32_t n = 0; n < NODE_MAX; n++) {
            c->tick.clock_ms[n] = chance(w, 5) ? next(w) : w->group.wall_ms - below(w, 3000);
        }
        break;
    case COMMAND_SUSPECT:
        c->suspect.service = near32(w, (uint32_t)below(w, SERVICES));
        c->suspect.region = near32(w, s->services[0].active);
        break;
    case COMMAND_NOTE:
        c->note.service = near32(w, (uint32_t)below(w, SERVICES));
        c->note.suspect_index = near(w, s->services[below(w, SERVICES)].suspect.index);
        c->note.note = (enum suspect_note)below(w, SUSPECT_NOTE_COUNT + 1);
        c->note.to = near32(w, NONE_INDEX);
        break;
    case COMMAND_FEATURE:
        c->feature.level = (uint32_t)below(w, 4);
        break;
    case COMMAND_HALT:
        c->halt.node_id = near(w, node->id);
        break;
    default:
        break;
    }
}

static void any_decide(struct world *w, struct command *c) {
    const struct state *s = w->group.state;
    struct command_decide *d = &c->decide;
    d->service = near32(w, (uint32_t)below(w, SERVICES));
    uint32_t place = d->service < SERVICES ? d->service : 0;
    const struct service *service = &s->services[place];
    d->from = near32(w, service->active);
    d->to = near32(w, service->active == EAST ? WEST : EAST);
    d->suspect_index = near(w, service->suspect.index);
    d->spec_index = near(w, s->spec_index);
    d->epoch = near(w, service->epoch + 1);
    d->tick_index = near(w, s->tick_index);
    d->cited_count = near32(w, 3);
    for (uint32_t i = 0; i < NODE_MAX; i++) {
        const struct node *node = &s->nodes[i % 3];
        d->cited[i] = (struct cited_report){
            .node = near32(w, i % 3),
            .boot = near(w, node->boot),
            .sequence = near(w, node->sequence + 1),
            .down = s->services[place].opinions[EAST][i % 3].value == OPINION_DOWN,
            .first_index = near(w, w->group.index),
            .last_index = near(w, w->group.index),
            .knows_suspect = true,
            .suspect_age_ms = near(w, 40000)};
    }
    (void)policy_plan(s, place, EXECUTION_FAILOVER, WEST, 0, NULL, &d->plan);
    if (chance(w, 10)) {
        d->plan.steps[below(w, STEP_MAX)].kind = (enum step_kind)below(w, STEP_KIND_COUNT + 1);
        d->plan.count = near32(w, d->plan.count);
    }
}

static void any_fence(struct world *w, uint32_t service, uint32_t step, char fence[FENCE_SIZE]) {
    const struct state *s = w->group.state;
    const struct execution *e = &s->services[service].execution;
    char eid[EID_SIZE];
    if (step < e->step_count) {
        step_eid(s, service, step, eid);
    } else {
        eid_format(eid, s->services[service].name, 5, 1, 0);
    }
    uint64_t dice = below(w, 5);
    if (dice == 1) {
        fence_format(fence, "prod", eid);
    } else if (dice == 2) {
        fence_format_void(fence, "prod", eid);
    } else if (dice > 2) {
        eid_format(eid, s->services[service].name, near(w, 5), near(w, 1), 0);
        fence_format(fence, "prod", eid);
    }
}

/* What comes next, at times with one field beside it. */
static bool next_step(struct world *w, struct command *c) {
    uint32_t service = (uint32_t)below(w, SERVICES);
    struct command *next_command =
        service < w->group.state->spec.service_count ? group_next_step(&w->group, service) : NULL;
    if (next_command == NULL) {
        return false;
    }
    *c = *next_command;
    free(next_command);
    c->step.epoch = near(w, c->step.epoch);
    c->step.step = near32(w, c->step.step);
    c->step.attempt = near32(w, c->step.attempt);
    return true;
}

static void any_step(struct world *w, struct command *c) {
    struct command_step *f = &c->step;
    if (chance(w, 30) && next_step(w, c)) {
        return;
    }
    f->service = near32(w, (uint32_t)below(w, SERVICES));
    uint32_t place = f->service < SERVICES ? f->service : 0;
    const struct execution *e = &w->group.state->services[place].execution;
    f->epoch = near(w, e->epoch);
    f->step = near32(w, (uint32_t)below(w, e->step_count + 1));
    uint32_t attempts = f->step < e->step_count ? e->steps[f->step].attempts : 0;
    f->attempt = near32(w, c->kind == COMMAND_ATTEMPT ? attempts + 1 : attempts);
    f->begin_age_ms = chance(w, 90) ? 100 : next(w);
    f->outcome = (enum step_phase)below(w, STEP_PHASE_COUNT + 1);
    any_fence(w, place, f->step, f->fence);
    (void)TEXT_COPY(f->change_id, chance(w, 80) ? "C1" : "");
    f->before.size_bytes = near32(w, 3);
    f->after.size_bytes = near32(w, 3);
}

static void any_move(struct world *w, struct command *c) {
    struct command_move *m = &c->move;
    struct state *s = w->group.state;
    (void)TEXT_COPY(m->service, any_service(w));
    (void)TEXT_COPY(m->to, any_region(w));
    m->kind = (enum execution_kind)below(w, EXECUTION_KIND_COUNT + 1);
    if (c->kind == COMMAND_ADOPT && chance(w, 80)) {
        m->kind = chance(w, 80) ? EXECUTION_ADOPT : EXECUTION_RELEASE;
    }
    uint32_t service = state_find_service(s, m->service);
    service = service == NONE_INDEX ? 0 : service;
    m->spec_index = near(w, s->spec_index);
    m->epoch = near(w, s->services[service].epoch + 1);
    m->skipped_gates = chance(w, 50) ? UINT32_MAX : (uint32_t)next(w);
    (void)policy_plan(s, service, m->kind, WEST, 0, NULL, &m->plan);
}

static void any_spec(struct world *w, struct command *c, struct spec *spec) {
    *spec = w->group.state->spec;
    struct spec_service *service = &spec->services[below(w, SERVICES)];
    switch (below(w, 6)) {
    case 0:
        service->mode = (enum service_mode)below(w, SERVICE_MODE_COUNT);
        break;
    case 1:
        spec->service_count = near32(w, spec->service_count);
        break;
    case 2: {
        struct spec_service kept = spec->services[0]; /* the same services at other places */
        spec->services[0] = spec->services[1];
        spec->services[1] = kept;
        break;
    }
    case 3:
        spec->region_count = near32(w, spec->region_count);
        break;
    case 4:
        service->home = near32(w, service->home);
        break;
    default:
        service->policy.cooldown_ms = below(w, 5000);
        break;
    }
    c->spec.spec = spec;
    c->spec.text = "x";
    c->spec.text_size = 1;
    c->spec.expected_index = near(w, w->group.state->spec_index);
}

static void any_by_person(struct world *w, struct command *c, struct spec *spec) {
    /* Many: one that once sent a huge number is refused until it is forgotten. */
    c->origin.client_id[0] = (uint8_t)below(w, 200);
    c->origin.client_id[1] = (uint8_t)below(w, 3);
    c->origin.sequence = near(w, w->group.index);
    c->origin.known_index = near(w, w->group.index);
    c->origin.role = chance(w, 90) ? ROLE_ADMIN : (enum role)below(w, ROLE_COUNT + 1);
    (void)TEXT_COPY(c->origin.owner, chance(w, 20) ? "others" : "");
    if (c->kind == COMMAND_MOVE || c->kind == COMMAND_ADOPT) {
        any_move(w, c);
    } else if (c->kind == COMMAND_SPEC) {
        any_spec(w, c, spec);
    } else if (c->kind == COMMAND_OVERRIDE || c->kind == COMMAND_OVERRIDE_END) {
        c->override.kind = (enum override_kind)below(w, OVERRIDE_KIND_COUNT + 1);
        (void)TEXT_COPY(c->override.service, chance(w, 50) ? "" : any_service(w));
        bool region = c->override.kind == OVERRIDE_MAINTENANCE;
        (void)TEXT_COPY(c->override.region, region ? any_region(w) : "");
        c->override.until_ms = chance(w, 5) ? near(w, 0) : w->group.wall_ms + below(w, 4000);
    } else {
        (void)TEXT_COPY(c->choice.service, any_service(w));
        (void)TEXT_COPY(c->choice.to, any_region(w));
        static const char *const steps[] = {"dns", "switch", "adopt", "unmark", "settle", "none"};
        (void)TEXT_COPY(c->choice.step, steps[below(w, ARRAY_LENGTH(steps))]);
        uint64_t epoch = w->group.state->services[below(w, SERVICES)].epoch;
        c->choice.epoch = near(w, c->kind == COMMAND_APPROVE ? epoch + 1 : 0);
    }
}

static void keep(struct world *w) {
    const struct state *s = w->group.state;
    memcpy(w->services, s->services, SERVICES * sizeof s->services[0]);
    memcpy(w->scalars, s, offsetof(struct state, spec));
    w->scalars->spec_index = s->spec_index;
    w->scalars->halted = s->halted;
    w->scalars->override_count = s->override_count;
    memcpy(w->scalars->overrides, s->overrides, s->override_count * sizeof s->overrides[0]);
    w->scalars->event_count = s->event_count;
    w->scalars->move_count = s->move_count;
    for (uint32_t i = 0; i < BLOB_MAX; i++) {
        w->scalars->blobs[i].used = s->blobs[i].used;
    }
}

static void check_unchanged(struct world *w) {
    struct state *s = w->group.state;
    w->scalars->applied_index = s->applied_index;
    assert_memory_equal(w->services, s->services, SERVICES * sizeof s->services[0]);
    assert_memory_equal(w->scalars, s, offsetof(struct state, spec));
    assert_true(w->scalars->spec_index == s->spec_index && w->scalars->halted == s->halted);
    assert_int_equal(w->scalars->override_count, s->override_count);
    assert_memory_equal(w->scalars->overrides, s->overrides,
                        s->override_count * sizeof s->overrides[0]);
    assert_true(w->scalars->event_count == s->event_count);
    assert_true(w->scalars->move_count == s->move_count);
    for (uint32_t i = 0; i < BLOB_MAX; i++) {
        assert_int_equal(w->scalars->blobs[i].used, s->blobs[i].used);
    }
}

/* Every blob in use is some open step's, and no two steps share one. */
static void check_blobs(const struct state *s) {
    uint32_t used = 0;
    uint32_t named = 0;
    for (uint32_t i = 0; i < BLOB_MAX; i++) {
        used += s->blobs[i].used;
    }
    for (uint32_t i = 0; i < s->spec.service_count; i++) {
        const struct execution *execution = &s->services[i].execution;
        for (uint32_t j = 0; j < execution->step_count; j++) {
            const struct step *step = &execution->steps[j];
            assert_true(execution_is_open(execution) || step->state_before == NONE_INDEX);
            named += (step->state_before != NONE_INDEX) + (step->state_after != NONE_INDEX);
        }
    }
    assert_int_equal(used, named);
}

static void check_after(struct world *w, const struct command *command, enum core_error error) {
    struct state *s = w->group.state;
    assert_int_not_equal(error, CORE_INVARIANT);
    if (error != CORE_OK) {
        w->refused++;
        check_unchanged(w);
        return;
    }
    w->accepted++;
    w->accepted_by_kind[command->kind]++;
    assert_true(s->time_ms >= w->time_ms);
    w->time_ms = s->time_ms;
    check_blobs(s);
    for (uint32_t i = 0; i < s->spec.service_count && i < SERVICES; i++) {
        uint32_t name = s->services[i].name[0] == 'n' ? 0 : 1;
        assert_true(s->services[i].epoch >= w->epochs[name]);
        w->epochs[name] = s->services[i].epoch;
        assert_true(!s->services[i].adopted || s->services[i].active < s->spec.region_count);
    }
    keep(w);
}

static void apply(struct world *w, struct command *command) {
    uint64_t term = w->group.term;
    bool stale = chance(w, 2);
    w->group.term -= stale;
    enum core_error error = group_apply(&w->group, command);
    w->group.term = term;
    check_after(w, command, error);
}

/* What a group does by itself: policy on random sights, and steps that go as they should. */
static void go_on(struct world *w) {
    static enum opinion_value seen[REGION_MAX];
    if (chance(w, 3)) {
        seen[EAST] = chance(w, 50) ? OPINION_DOWN : OPINION_UP;
        seen[WEST] = chance(w, 30) ? OPINION_DOWN : OPINION_UP;
    }
    w->group.now_ms += 700;
    w->group.wall_ms += 700;
    group_report(&w->group, chance(w, 90) ? EVERYBODY : WITHOUT_EAST, seen);
    for (int again = 0; again < 3; again++) {
        (void)group_policy(&w->group);
    }
    uint32_t service = (uint32_t)below(w, SERVICES);
    if (service < w->group.state->spec.service_count) {
        struct command *step = group_next_step(&w->group, service);
        if (step != NULL) {
            (void)group_do(&w->group, step);
        }
    }
    w->time_ms = w->group.state->time_ms;
    keep(w);
}

static void any_command(struct world *w, struct command *command, struct spec *spec) {
    memset(command, 0, sizeof *command);
    command->kind = (enum command_kind)below(w, COMMAND_KIND_END + 1);
    if (command->kind == COMMAND_RESUME_AUTOMATION || chance(w, 4)) {
        command->kind = COMMAND_RESUME_AUTOMATION; /* often: much is blocked while it is stopped */
    }
    if (command->kind == COMMAND_NODES || command->kind == COMMAND_LEADER) {
        command->kind = COMMAND_TICK; /* below */
    }
    if (command_is_by_person(command->kind)) {
        any_by_person(w, command, spec);
    } else if (command->kind == COMMAND_DECIDE) {
        any_decide(w, command);
    } else if (command->kind >= COMMAND_LAPSE && command->kind <= COMMAND_SWITCH) {
        any_step(w, command);
    } else {
        any_fact(w, command);
    }
}

static struct spec *two_services(void) {
    struct spec *spec = spec_example();
    spec->services[0].policy = (struct spec_policy){.confirm_ms = 3000,
                                                    .cooldown_ms = 2000,
                                                    .max_moves = RECENT_MOVE_MAX,
                                                    .max_moves_window_ms = 60000};
    (void)spec_add_service(spec, "reports");
    return spec;
}

static void open_world(struct world *w, uint64_t seed) {
    memset(w, 0, sizeof *w);
    w->random = seed;
    struct spec *spec = two_services();
    group_open_with(&w->group, spec,
                    (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", NULL});
    free(spec);
    group_adopt_all(&w->group);
    w->services = calloc(SERVICES, sizeof *w->services);
    w->scalars = calloc(1, sizeof *w->scalars);
    assert_non_null(w->services);
    assert_non_null(w->scalars);
    keep(w);
}

static void test_random_commands(void **state) {
    const char *seed_text = getenv("CORE_SEED");
    const char *count_text = getenv("CORE_COMMANDS");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 20261123;
    uint64_t count = count_text != NULL ? strtoull(count_text, NULL, 10) : COMMANDS;
    printf("CORE_SEED=%llu\n", (unsigned long long)seed);
    static struct world w;
    open_world(&w, seed);
    struct command *command = group_new(COMMAND_TICK);
    struct spec *spec = calloc(1, sizeof *spec);
    assert_non_null(spec);
    for (uint64_t i = 0; i < count; i++) {
        any_command(&w, command, spec);
        apply(&w, command);
        if (i % 8 == 0) {
            go_on(&w);
        }
        if (i % 5000 == 4999) {
            assert_int_equal(group_leader(&w.group, 1 + below(&w, 3)), CORE_OK);
            keep(&w);
        }
    }
    printf("%llu accepted, %llu refused\n", (unsigned long long)w.accepted,
           (unsigned long long)w.refused);
    /* A test that only ever sees refusals proves little. */
    for (unsigned kind = COMMAND_OPINION; kind < COMMAND_KIND_END; kind++) {
        bool rare = kind == COMMAND_DECIDE || kind == COMMAND_LAPSE || kind == COMMAND_REJECT ||
                    kind == COMMAND_SUSPECT || kind == COMMAND_NOTE;
        if (!rare && count >= COMMANDS && w.accepted_by_kind[kind] == 0) {
            fail_msg("never accepted: %s", command_kind_text((enum command_kind)kind));
        }
    }
    free(spec);
    free(command);
    free(w.services);
    free(w.scalars);
    group_close(&w.group);
    (void)state;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_commands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
