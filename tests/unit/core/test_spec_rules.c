/* What holds for every committed spec; what a new one may change under a live service; and when two
 * services are the same: by fields, never by padding or unused places. */
#include "apply.h"
#include "core_test.h"
#include "spec_rules.h"

static void bad_region_name(struct spec *s) {
    s->regions[1].name[0] = '-';
}
static void bad_role(struct spec *s) {
    s->regions[1].role = REGION_ROLE_COUNT;
}
static void twin_regions(struct spec *s) {
    (void)TEXT_COPY(s->regions[1].name, "us-east-1");
}
static void no_regions(struct spec *s) {
    s->region_count = 0;
}
static void bad_service_name(struct spec *s) {
    s->services[0].name[0] = '\0';
}
static void bad_mode(struct spec *s) {
    s->services[0].mode = SERVICE_MODE_COUNT;
}
static void twin_services(struct spec *s) {
    (void)spec_add_service(s, "nocturnal");
}
static void shared_fence(struct spec *s) {
    uint32_t i = spec_add_service(s, "reports");
    s->services[i].zones[0] = s->services[0].zones[0];
}
static void bad_check_name(struct spec *s) {
    s->services[0].checks[0].name[0] = '/';
}
static void bad_check_type(struct spec *s) {
    s->services[0].checks[0].type = CHECK_TYPE_COUNT;
}
static void bad_standby(struct spec *s) {
    s->services[0].checks[0].standby = CHECK_STANDBY_COUNT;
}
static void many_ranges(struct spec *s) {
    s->services[0].checks[0].expect_count = STATUS_RANGE_MAX + 1;
}
static void empty_range(struct spec *s) {
    s->services[0].checks[0].expect[0].low = 400;
}
static void no_fall(struct spec *s) {
    s->services[0].checks[0].fall = 0;
}
static void no_rise(struct spec *s) {
    s->services[0].checks[0].rise = 0;
}
static void long_fall(struct spec *s) {
    s->services[0].checks[0].fall = CHECK_RUN_MAX + 1;
}
static void long_rise(struct spec *s) {
    s->services[0].checks[0].rise = CHECK_RUN_MAX + 1;
}
static void no_interval(struct spec *s) {
    s->services[0].checks[0].interval_ms = 0;
}
static void no_timeout(struct spec *s) {
    s->services[0].checks[0].timeout_ms = 0;
}
static void slow_check(struct spec *s) {
    s->services[0].checks[0].interval_ms = CRITICAL_INTERVAL_MAX_MS + 1;
}
static void twin_checks(struct spec *s) {
    s->services[0].checks[1] = s->services[0].checks[0];
    s->services[0].check_count = 2;
}
static void nothing_critical(struct spec *s) {
    s->services[0].checks[0].critical = false;
}
/* One that keeps every rule. */
static struct spec_mongo *add_set(struct spec *s) {
    struct spec_mongo *mongo = &s->services[0].mongo;
    mongo->used = true;
    (void)TEXT_COPY(mongo->uri, "mongodb://a/?replicaSet=rs0");
    (void)TEXT_COPY(mongo->region_tag, "region");
    mongo->interval_ms = 2000;
    mongo->timeout_ms = 1000;
    mongo->fall = 3;
    mongo->rise = 2;
    return mongo;
}
static void set_without_uri(struct spec *s) {
    add_set(s)->uri[0] = '\0';
}
static void set_without_tag(struct spec *s) {
    add_set(s)->region_tag[0] = '\0';
}
static void set_lags_forever(struct spec *s) {
    add_set(s)->max_lag_ms = TIME_MAX_MS + 1;
}
static void set_without_fall(struct spec *s) {
    add_set(s)->fall = 0;
}
static void set_long_rise(struct spec *s) {
    add_set(s)->rise = CHECK_RUN_MAX + 1;
}
static void set_without_timeout(struct spec *s) {
    add_set(s)->timeout_ms = 0;
}
static void set_busy(struct spec *s) {
    add_set(s)->timeout_ms = 2000;
}
static void set_slow(struct spec *s) {
    add_set(s)->interval_ms = CRITICAL_INTERVAL_MAX_MS + 1;
}
static void set_bad_word(struct spec *s) {
    add_set(s)->on_majority_lost = MONGO_LOST_COUNT;
}
static void set_bad_election(struct spec *s) {
    add_set(s)->on_own_election = MONGO_ELECTION_COUNT;
}
static void set_name_taken(struct spec *s) {
    (void)add_set(s);
    (void)TEXT_COPY(s->services[0].checks[0].name, MONGO_CHECK_NAME);
}
static void home_nowhere(struct spec *s) {
    s->services[0].home = 3;
}
static void home_witness(struct spec *s) {
    s->services[0].home = EU;
}
static void target_home(struct spec *s) {
    s->services[0].targets[0] = EAST;
}
static void target_witness(struct spec *s) {
    s->services[0].targets[0] = EU;
}
static void target_nowhere(struct spec *s) {
    s->services[0].targets[0] = NONE_INDEX;
}
static void target_twice(struct spec *s) {
    s->services[0].targets[1] = WEST;
    s->services[0].target_count = 2;
}
static void nameless_zone(struct spec *s) {
    s->services[0].zones[0].id[0] = '\0';
}
static void fenceless_zone(struct spec *s) {
    s->services[0].zones[0].fence_name[0] = '\0';
}
static void twin_zones(struct spec *s) {
    s->services[0].zones[1] = s->services[0].zones[0];
    s->services[0].zone_count = 2;
}
static void record_nowhere(struct spec *s) {
    s->services[0].records[0].zone = 1;
}
static void nameless_record(struct spec *s) {
    s->services[0].records[0].name[0] = '\0';
}
static void bad_record_kind(struct spec *s) {
    s->services[0].records[0].kind = RECORD_KIND_COUNT;
}
static void bad_routing(struct spec *s) {
    s->services[0].records[0].routing = RECORD_ROUTING_COUNT;
}
static void no_value(struct spec *s) {
    s->services[0].records[0].value[WEST].text[0] = '\0';
}
static void bad_failback(struct spec *s) {
    s->services[0].policy.failback = FAILBACK_COUNT;
}
static void bad_foreign_change(struct spec *s) {
    s->services[0].policy.foreign_change = FOREIGN_CHANGE_COUNT;
}
static void many_moves(struct spec *s) {
    s->services[0].policy.max_moves = RECENT_MOVE_MAX + 1;
}
static void long_confirm(struct spec *s) {
    s->services[0].policy.confirm_ms = TIME_MAX_MS + 1;
}
static void long_cooldown(struct spec *s) {
    s->services[0].policy.cooldown_ms = TIME_MAX_MS + 1;
}
static void long_window(struct spec *s) {
    s->services[0].policy.max_moves_window_ms = TIME_MAX_MS + 1;
}

static void test_each_rule(void **state) {
    static void (*const breaks[])(struct spec *) = {
        bad_region_name,  bad_role,         twin_regions,        no_regions,      bad_service_name,
        bad_mode,         twin_services,    shared_fence,        bad_check_name,  bad_check_type,
        bad_standby,      many_ranges,      empty_range,         no_fall,         no_rise,
        long_fall,        long_rise,        no_interval,         no_timeout,      slow_check,
        twin_checks,      nothing_critical, home_nowhere,        home_witness,    target_home,
        target_witness,   target_nowhere,   target_twice,        nameless_zone,   fenceless_zone,
        twin_zones,       record_nowhere,   nameless_record,     bad_record_kind, bad_routing,
        no_value,         bad_failback,     bad_foreign_change,  many_moves,      long_confirm,
        long_cooldown,    long_window,      set_without_uri,     set_without_tag, set_lags_forever,
        set_without_fall, set_long_rise,    set_without_timeout, set_busy,        set_slow,
        set_bad_word,     set_bad_election, set_name_taken};
    const char *last = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(breaks); i++) {
        struct spec *spec = spec_example();
        assert_null(spec_broken_rule(spec));
        breaks[i](spec);
        const char *broken = spec_broken_rule(spec);
        if (broken == NULL) {
            fail_msg("rule %zu isn't kept", i);
        }
        last = broken;
        free(spec);
    }
    assert_non_null(last);
    struct spec *spec = spec_example(); /* observing may be slow */
    slow_check(spec);
    spec->services[0].mode = MODE_OBSERVE;
    assert_null(spec_broken_rule(spec));
    free(spec);
    spec = spec_example(); /* the set may be the only critical check */
    nothing_critical(spec);
    (void)add_set(spec);
    assert_null(spec_broken_rule(spec));
    free(spec);
    (void)state;
}

/* At the limit and one over it; simple records count once, the others once a region. */
static void test_one_batch_holds_a_zone(void **state) {
    struct spec *spec = spec_example();
    struct spec_service *service = &spec->services[0];
    (void)state;
    for (uint32_t i = 0; i < RECORD_MAX; i++) {
        service->records[i] = service->records[0];
        service->records[i].routing = ROUTING_WEIGHTED;
        for (uint32_t region = EAST; region <= WEST; region++) {
            (void)TEXT_COPY(service->records[i].value[region].set_identifier, "a set");
        }
    }
    service->record_count = RECORD_MAX;
    assert_int_equal(spec_record_set_count(spec, 0, 0), ZONE_SET_MAX);
    assert_null(spec_broken_rule(spec));
    service->records[1].value[EU] = service->records[1].value[WEST];
    assert_int_equal(spec_record_set_count(spec, 0, 0), ZONE_SET_MAX + 1);
    assert_string_equal(spec_broken_rule(spec), "a zone has more record sets than one batch holds");
    service->records[0].routing = ROUTING_SIMPLE;
    assert_int_equal(spec_record_set_count(spec, 0, 0), ZONE_SET_MAX);
    free(spec);
}

static void rename_service(struct spec *s) {
    (void)TEXT_COPY(s->services[0].name, "other");
}
static void change_home(struct spec *s) {
    s->services[0].home = WEST;
    s->services[0].targets[0] = EAST;
}
static void shut_active(struct spec *s) {
    (void)TEXT_COPY(s->regions[WEST].name, "us-west-9");
}

static void test_live_services_keep_their_place(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    group_carry_out(group);
    static void (*const changes[])(struct spec *) = {rename_service, change_home, shut_active};
    for (size_t i = 0; i < ARRAY_LENGTH(changes); i++) {
        struct spec *spec = spec_example();
        changes[i](spec);
        assert_int_equal(group_spec(group, spec), CORE_SPEC_IN_USE);
        free(spec);
    }
    struct spec *spec = spec_example();
    struct command *command = group_new(COMMAND_SPEC);
    command->spec = (struct command_spec){spec, "", 0, 1};
    assert_int_equal(group_do(group, command), CORE_CHANGED); /* another came between */
    free(spec);
}

/* An epoch that a failed adoption used must not come again under the same name, also after the
 * service was away. */
static void test_used_epochs_are_not_forgotten(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_ADOPT, 0), CORE_OK);
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_false(group_service(group)->adopted);
    assert_int_equal(group_service(group)->epoch, 1);
    struct spec *spec = spec_example();
    rename_service(spec);
    assert_int_equal(group_spec(group, spec), CORE_OK);
    free(spec);
    spec = spec_example();
    assert_int_equal(group_spec(group, spec), CORE_OK);
    free(spec);
    assert_string_equal(group_service(group)->name, "nocturnal");
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_ADOPT, 0), CORE_OK);
    assert_int_equal(group_execution(group)->epoch, 2);
}

static void test_unused_services_may_go(void **state) {
    struct group *group = *state;
    struct spec *spec = spec_example();
    rename_service(spec);
    assert_int_equal(group_spec(group, spec), CORE_OK);
    assert_string_equal(group_service(group)->name, "other");
    assert_int_equal(group_service(group)->active, NONE_INDEX);
    assert_int_equal(group_spec(group, spec), CORE_OK);
    spec->service_count = 0;
    assert_int_equal(group_spec(group, spec), CORE_OK);
    assert_int_equal(group->state->spec.service_count, 0);
    free(spec);
}

/* Places of services and regions change; everything goes with the names. */
static void test_reordering(void **state) {
    struct spec *spec = spec_example();
    (void)spec_add_service(spec, "reports");
    struct group group;
    group_open_with(&group, spec,
                    (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", NULL});
    group_adopt_all(&group);
    assert_int_equal(group_move(&group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    struct spec_service *kept = malloc(sizeof *kept);
    assert_non_null(kept);
    *kept = spec->services[0];
    spec->services[0] = spec->services[1];
    spec->services[1] = *kept;
    free(kept);
    assert_int_equal(group_spec(&group, spec), CORE_SPEC_IN_USE); /* under open steps: no */
    group_carry_out(&group);
    assert_int_equal(group_spec(&group, spec), CORE_OK);
    const struct state *s = group.state;
    assert_string_equal(s->services[0].name, "reports");
    assert_int_equal(s->services[0].active, EAST);
    assert_int_equal(s->services[1].active, WEST);
    assert_int_equal(s->services[1].epoch, 2);
    /* Now the regions: east and west change places, by name nothing does. */
    struct spec_region region = spec->regions[EAST];
    spec->regions[EAST] = spec->regions[WEST];
    spec->regions[WEST] = region;
    for (uint32_t i = 0; i < 2; i++) {
        spec->services[i].home = WEST;
        spec->services[i].targets[0] = EAST;
    }
    assert_int_equal(group_spec(&group, spec), CORE_OK);
    assert_string_equal(s->spec.regions[s->services[0].active].name, "us-east-1");
    assert_string_equal(s->spec.regions[s->services[1].active].name, "us-west-2");
    assert_string_equal(s->spec.regions[s->services[1].execution.to].name, "us-west-2");
    assert_int_equal(s->services[0].opinions[EAST][0].value, OPINION_UP);
    free(spec);
    group_close(&group);
    (void)state;
}

static void test_overrides_outlive_their_service(void **state) {
    struct group *group = *state;
    assert_int_equal(group_override(group, OVERRIDE_VETO, "", 0), CORE_OK);
    struct spec *spec = spec_example();
    rename_service(spec);
    assert_int_equal(group_spec(group, spec), CORE_OK);
    free(spec);
    struct command *end = group_new(COMMAND_OVERRIDE_END);
    end->override.kind = OVERRIDE_VETO;
    (void)TEXT_COPY(end->override.service, "nocturnal");
    struct command *again = group_new(COMMAND_OVERRIDE_END);
    *again = *end;
    end->origin.role = ROLE_OPERATOR;
    assert_int_equal(group_do(group, end), CORE_NO_SERVICE);
    assert_int_equal(group_do(group, again), CORE_OK);
    assert_int_equal(group->state->override_count, 0);
}

/* Two of each array used, every text full, so that each byte that counts is in use. */
static void fill(struct spec *spec) {
    memset(spec, 'a', sizeof *spec);
    spec->region_count = 2;
    spec->service_count = 1;
    struct spec_service *service = &spec->services[0];
    service->target_count = 1;
    service->check_count = 2;
    service->zone_count = 2;
    service->record_count = 2;
#define END(text) (text)[sizeof(text) - 1] = '\0'
    for (int i = 0; i < 2; i++) {
        struct spec_check *check = &service->checks[i];
        struct spec_record *record = &service->records[i];
        END(spec->regions[i].name), END(spec->regions[i].risk_group);
        END(check->name), END(check->match), END(check->ca_file), END(check->cert_file);
        END(check->key_file), END(check->server_name);
        check->expect_count = 2;
        check->critical = check->keep_alive = check->insecure = true;
        END(service->zones[i].id), END(service->zones[i].role);
        END(service->zones[i].external_id), END(service->zones[i].fence_name);
        END(record->name), END(record->type);
        for (int r = 0; r < REGION_MAX; r++) {
            END(check->url[r]);
            END(record->value[r].text), END(record->value[r].zone_id);
            END(record->value[r].set_identifier);
        }
    }
    END(service->name), END(service->owner);
    service->mongo.used = true;
    END(service->mongo.uri), END(service->mongo.credentials);
    END(service->mongo.region_tag), END(service->mongo.write_check);
}

/* Bytes of a struct that the comparison looks at, of those that `at` has. Each is flipped alone. */
static size_t count_felt(const struct spec *a, struct spec *b, void *at, size_t size) {
    size_t felt = 0;
    unsigned char *bytes = at;
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 1;
        felt += !spec_service_is_unchanged(a, 0, b, 0);
        bytes[i] ^= 1;
    }
    return felt;
}

#define SIZE(type, field) sizeof(((struct type *)0)->field)

static void test_each_field_is_compared(void **state) {
    struct spec *a = malloc(sizeof *a);
    struct spec *b = malloc(sizeof *b);
    assert_non_null(a);
    assert_non_null(b);
    fill(a);
    *b = *a;
    assert_true(spec_service_is_unchanged(a, 0, b, 0));
    struct spec_service *s = &b->services[0];
    /* All of a struct but its padding, and but what lies behind its counts. */
    size_t check = sizeof(struct spec_check) -
                   SIZE(spec_check, url) * (REGION_MAX - 2) / REGION_MAX -
                   SIZE(spec_check, expect) / 2 - 1 /* padding behind three bools */;
    size_t record =
        sizeof(struct spec_record) - SIZE(spec_record, value) * (REGION_MAX - 2) / REGION_MAX;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(count_felt(a, b, &b->regions[i], sizeof b->regions[i]),
                         sizeof b->regions[i]);
        assert_int_equal(count_felt(a, b, &s->checks[i], sizeof s->checks[i]), check);
        assert_int_equal(count_felt(a, b, &s->zones[i], sizeof s->zones[i]), sizeof s->zones[i]);
        assert_int_equal(count_felt(a, b, &s->records[i], sizeof s->records[i]), record);
    }
    assert_int_equal(count_felt(a, b, &b->region_count, sizeof b->region_count), 4);
    size_t head = offsetof(struct spec_service, checks) - SIZE(spec_service, targets) +
                  SIZE(spec_service, targets[0]);
    assert_int_equal(count_felt(a, b, s, offsetof(struct spec_service, checks)), head);
    assert_int_equal(count_felt(a, b, &s->policy, sizeof s->policy), sizeof s->policy - 4);
    assert_int_equal(count_felt(a, b, &s->rto_ms, sizeof s->rto_ms), sizeof s->rto_ms);
    assert_int_equal(count_felt(a, b, &s->database_rto_ms, sizeof s->database_rto_ms),
                     sizeof s->database_rto_ms);
    assert_int_equal(count_felt(a, b, &s->database_rpo_ms, sizeof s->database_rpo_ms),
                     sizeof s->database_rpo_ms);
    struct spec_mongo *mongo = &s->mongo;
    size_t texts = sizeof mongo->uri + sizeof mongo->credentials + sizeof mongo->region_tag +
                   sizeof mongo->write_check;
    size_t numbers = 2 * sizeof mongo->max_lag_ms + 4 * sizeof mongo->fall +
                     sizeof mongo->on_majority_lost + sizeof mongo->on_own_election;
    assert_int_equal(count_felt(a, b, mongo, sizeof *mongo), sizeof mongo->used + texts + numbers);
    size_t counts = sizeof s->check_count + sizeof s->zone_count + sizeof s->record_count;
    assert_int_equal(count_felt(a, b, &s->check_count, sizeof s->check_count) +
                         count_felt(a, b, &s->zone_count, sizeof s->zone_count) +
                         count_felt(a, b, &s->record_count, sizeof s->record_count),
                     counts);
    /* Unused places say nothing. */
    assert_int_equal(count_felt(a, b, &s->checks[2], sizeof s->checks[2]), 0);
    assert_int_equal(count_felt(a, b, &s->zones[2], sizeof s->zones[2]), 0);
    assert_int_equal(count_felt(a, b, &s->records[2], sizeof s->records[2]), 0);
    assert_int_equal(count_felt(a, b, &b->regions[2], sizeof b->regions[2]), 0);
    free(a);
    free(b);
    (void)state;
}

/* Every byte of a full one comes; and when a smaller one follows, nothing of it is left. */
static void test_a_spec_is_taken_whole(void **state) {
    struct state *taken = calloc(1, sizeof *taken);
    struct spec *spec = calloc(1, sizeof *spec);
    assert_non_null(taken);
    assert_non_null(spec);
    (void)state;
    state_init(taken);
    struct spec_service *service = &spec->services[0];
    memset(service, 0xa5, sizeof *service);
    (void)TEXT_COPY(service->name, "nocturnal");
    service->check_count = CHECK_MAX;
    service->zone_count = ZONE_MAX;
    service->record_count = RECORD_MAX;
    spec->service_count = 1;
    state_take_spec(taken, spec);
    assert_memory_equal(&taken->spec, spec, sizeof *spec);
    memset(service, 0, sizeof *service);
    (void)TEXT_COPY(service->name, "nocturnal");
    service->check_count = 1;
    state_take_spec(taken, spec);
    assert_memory_equal(&taken->spec, spec, sizeof *spec);
    free(spec);
    free(taken);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule),
        cmocka_unit_test(test_one_batch_holds_a_zone),
        ADOPTED(test_live_services_keep_their_place),
        OPENED(test_used_epochs_are_not_forgotten),
        OPENED(test_unused_services_may_go),
        cmocka_unit_test(test_reordering),
        OPENED(test_overrides_outlive_their_service),
        cmocka_unit_test(test_each_field_is_compared),
        cmocka_unit_test(test_a_spec_is_taken_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
