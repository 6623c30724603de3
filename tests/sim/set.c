#include "set_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define PATIENCE_MS 120000
#define SETTLES_US (25 * SIM_SECOND) /* a takeover by priority */

uint64_t set_now_us(const struct sim_set *set) {
    return sim_now(set->sim);
}

const char *set_hosts(const struct sim_set *set) {
    return set->hosts;
}

void set_view_member(const struct sim_set *set, uint32_t member, struct mongo_view *ret_view) {
    mongo_set_view(set->core, member, ret_view);
}

uint32_t set_place(const struct sim_set *set, const char *host) {
    uint32_t i = 0;
    while (i < set->member_count && !text_equal(set->members[i].host, host)) {
        i++;
    }
    return i < set->member_count ? i : SET_NONE;
}

static uint32_t members_of(const struct sim_set *set, const bson_t *config, bool voters) {
    uint32_t places = 0;
    bson_iter_t iter;
    bson_iter_t members;
    if (config == NULL || !bson_iter_init_find(&iter, config, "members") ||
        !bson_iter_recurse(&iter, &members)) {
        return 0;
    }
    while (bson_iter_next(&members)) {
        bson_iter_t field;
        bool votes = !voters || !bson_iter_recurse(&members, &field) ||
                     !bson_iter_find(&field, "votes") || bson_iter_as_int64(&field) != 0;
        uint32_t place = bson_iter_recurse(&members, &field) && bson_iter_find(&field, "host")
                             ? set_place(set, bson_iter_utf8(&field, NULL))
                             : SET_NONE;
        places |= votes && place != SET_NONE ? UINT32_C(1) << place : 0;
    }
    return places;
}

uint32_t set_voters(const struct sim_set *set, const bson_t *config) {
    return members_of(set, config, true);
}

uint32_t set_named(const struct sim_set *set, const bson_t *config) {
    return members_of(set, config, false);
}

bool set_is_primary(const struct sim_set *set, uint32_t member) {
    struct mongo_view view;
    struct mongo_view other;
    set_view_member(set, member, &view);
    if (!view.up || !view.writable) {
        return false;
    }
    uint32_t voters = set->members[member].voters;
    uint32_t count = 0;
    uint32_t follow = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        bool votes = (voters >> i & 1) != 0;
        set_view_member(set, i, &other);
        count += votes;
        follow += votes && other.term <= view.term;
    }
    return follow * 2 > count;
}

/* --- time: one event in the queue --- */

static void on_due(void *context);

static void queue_next(struct sim_set *set) {
    uint64_t next_ms = mongo_set_next_ms(set->core);
    if (next_ms == MONGO_NEVER_MS) {
        return;
    }
    uint64_t due_us = next_ms > set->offset_ms ? (next_ms - set->offset_ms) * SIM_MS : 0;
    due_us = due_us > set_now_us(set) ? due_us : set_now_us(set);
    if (due_us < set->due_us) {
        set->due_us = due_us;
        sim_at(set->sim, due_us, on_due, set);
    }
}

void set_run(struct sim_set *set) {
    assert(!set->running);
    set->running = true;
    mongo_set_run(set->core, set->offset_ms + set_now_us(set) / SIM_MS);
    set->running = false;
    set_watch(set);
}

void set_follow(struct sim_set *set) {
    set_run(set);
    queue_next(set);
}

static void on_due(void *context) {
    struct sim_set *set = context;
    if (set_now_us(set) < set->due_us) {
        return; /* an earlier one was queued meanwhile, and has queued its own successor */
    }
    set->due_us = UINT64_MAX;
    set_follow(set);
}

/* --- connections --- */

static void free_asked(struct asked *asked) {
    if (asked->command != NULL) {
        bson_destroy(asked->command);
    }
    if (asked->answer != NULL) {
        bson_destroy(asked->answer);
    }
    free(asked);
}

static void unlink_asked(struct asked *asked) {
    struct asked **at = &asked->set->asked;
    while (*at != asked) {
        at = &(*at)->next;
    }
    *at = asked->next;
}

static struct asked *new_asked(struct sim_set *set, uint32_t member, const char *database,
                               bson_t *command) {
    struct asked *asked = calloc(1, sizeof *asked);
    if (asked == NULL) {
        abort();
    }
    asked->set = set;
    asked->connection = ++set->last_connection;
    asked->member = member;
    (void)TEXT_COPY(asked->database, database);
    asked->command = command;
    asked->next = set->asked;
    set->asked = asked;
    return asked;
}

/* In the node. */
static void on_answer(void *context) {
    struct asked *asked = context;
    set_note_heard(asked->set, asked);
    set_note_proof(asked->set, asked);
    sim_crash_point();
    asked->function(asked->context, asked->id, asked->outcome, asked->answer);
    free_asked(asked);
}

static bool reaches(const struct sim_set *set, const struct sim_node *node, uint32_t member) {
    return !set->members[member].cut_away &&
           judge_reaches(set->sim, node, set->members[member].region);
}

/* The answer is at the member; it goes its way. */
static void on_answered(void *context) {
    struct asked *asked = context;
    struct sim_set *set = asked->set;
    mongo_set_disconnect(set->core, asked->connection);
    unlink_asked(asked);
    set->stray_count -= asked->stray;
    struct sim_node *node = asked->node;
    if (asked->writes && asked->outcome == SET_ANSWERED) {
        set_on_written(set, asked);
    }
    bool comes = node != NULL && judge_life(node) == asked->life && !asked->loses_answer &&
                 reaches(set, node, asked->member);
    if (!comes) {
        free_asked(asked);
        return;
    }
    uint64_t after_us = judge_question_us(node, set->members[asked->member].region, &set->chance);
    sim_at_node(node, set_now_us(set) + after_us, on_answer, asked, false);
}

static struct asked *find_asked(const struct sim_set *set, uint64_t connection) {
    struct asked *asked = set->asked;
    while (asked != NULL && asked->connection != connection) {
        asked = asked->next;
    }
    return asked;
}

/* The core must not be called from here: the rest follows from the queue. */
static void end_asked(struct asked *asked, enum set_outcome outcome) {
    asked->outcome = outcome;
    sim_at(asked->set->sim, set_now_us(asked->set), on_answered, asked);
}

static void on_reply(void *context, uint64_t connection, uint64_t request, const bson_t *document,
                     bool more) {
    struct sim_set *set = context;
    struct asked *asked = find_asked(set, connection);
    (void)request;
    (void)more;
    if (asked == NULL || asked->answer != NULL) {
        return;
    }
    set_note_answer(set, asked, document);
    asked->answer = bson_copy(document);
    end_asked(asked, SET_ANSWERED);
}

static void on_hang_up(void *context, uint64_t connection) {
    struct asked *asked = find_asked(context, connection);
    if (asked != NULL && asked->answer == NULL) {
        end_asked(asked, SET_RESET);
    }
}

/* A member that ends by itself has rolled back what a majority had. */
static void on_listening(void *context, size_t process, bool listens) {
    struct sim_set *set = context;
    if (!listens && !set->members[process].expected_down && set->last_connection > 0 &&
        !set_may_abort(set, (uint32_t)process)) {
        judge_set_broken(set->sim, "nothing is lost that a majority had (2)",
                         set->members[process].host);
    }
}

static bool begin_asked(struct asked *asked) {
    struct sim_set *set = asked->set;
    set_run(set);
    if (!mongo_set_connect(set->core, asked->member, asked->connection)) {
        return false;
    }
    const struct mongo_request request = {.connection = asked->connection,
                                          .id = 1,
                                          .database = asked->database,
                                          .command = asked->command};
    struct mongo_view view;
    set_view_member(set, asked->member, &view);
    asked->sent_us = set_now_us(set);
    asked->sent_term = view.term;
    mongo_set_request(set->core, &request);
    set_follow(set);
    return true;
}

struct asked *set_command(struct sim_set *set, uint32_t member, const char *database,
                          bson_t *command) {
    struct asked *asked = new_asked(set, member, database, command);
    if (!begin_asked(asked)) {
        unlink_asked(asked);
        free_asked(asked);
        return NULL;
    }
    return asked;
}

static void arrive(struct asked *asked) {
    struct sim_set *set = asked->set;
    asked->arrived = true;
    const struct set_member *member = &set->members[asked->member];
    /* Whoever waits for a forced config in vain restarts its member: the connection is gone. */
    bool gone = asked->forces && asked->stray && member->died_us >= asked->asked_us;
    if (gone || (asked->node != NULL && !reaches(set, asked->node, asked->member))) {
        set->stray_count -= asked->stray;
        unlink_asked(asked);
        free_asked(asked);
    } else if (!begin_asked(asked)) {
        end_asked(asked, SET_REFUSED);
    }
}

struct arrival {
    struct sim_set *set;
    uint64_t connection;
};

/* Unless it has come sooner. */
static void on_arrival(void *context) {
    struct arrival arrival = *(struct arrival *)context;
    struct asked *asked = find_asked(arrival.set, arrival.connection);
    free(context);
    if (asked != NULL && !asked->arrived) {
        arrive(asked);
    }
}

static void arrive_at(struct asked *asked, uint64_t time_us) {
    struct arrival *arrival = malloc(sizeof *arrival);
    if (arrival == NULL) {
        abort();
    }
    *arrival = (struct arrival){asked->set, asked->connection};
    sim_at(asked->set->sim, time_us, on_arrival, arrival);
}

void set_at_moment(struct sim_set *set) {
    for (struct asked *asked = set->asked; asked != NULL; asked = asked->next) {
        if (asked->stray && !asked->arrived && chance_below(&set->chance, 6) == 0) {
            arrive_at(asked, set_now_us(set) + chance_below(&set->chance, 100) * SIM_MS);
        }
    }
}

static struct asked *send_one(struct sim_set *set, uint32_t member,
                              const struct set_question *question, uint64_t after_us) {
    struct asked *asked = new_asked(set, member, question->database, bson_copy(question->command));
    asked->asked_us = set_now_us(set);
    asked->forces = set_command_forces(question->command);
    arrive_at(asked, set_now_us(set) + after_us);
    return asked;
}

static void send_stray(struct sim_set *set, uint32_t member, const struct set_question *question) {
    send_one(set, member, question, judge_lateness_us(set->sim))->stray = true;
    set->stray_count++;
}

bool set_ask(struct sim_set *set, struct sim_node *node, const struct set_question *question,
             set_answer_function function, void *context) {
    uint32_t member = set_place(set, question->host);
    bool known = member != SET_NONE;
    bool forces = set_command_forces(question->command);
    if (forces) {
        set_judge_sending(set, node, question);
    }
    if (known && !reaches(set, node, member)) {
        return false;
    }
    enum judge_request fate = judge_question_fate(set->sim, &set->chance, question->once);
    if (forces) {
        fate = set_fate_of_forced(set, fate);
    }
    if (fate == REQUEST_LATE || fate == REQUEST_TWICE) {
        send_stray(set, member, question);
    }
    if (fate == REQUEST_LATE || fate == REQUEST_LOST) {
        return true; /* the asker gives up in time */
    }
    uint32_t region = known ? set->members[member].region : 0; /* no name: the resolver says so */
    uint64_t after_us = judge_question_us(node, region, &set->chance);
    struct asked *asked;
    if (known) {
        asked = send_one(set, member, question, after_us);
    } else {
        asked = new_asked(set, 0, question->database, NULL);
        asked->outcome = SET_NO_NAME;
        sim_at(set->sim, set_now_us(set) + after_us, on_answered, asked);
    }
    asked->node = node;
    set_note_asked(set, node, asked);
    asked->life = judge_life(node);
    asked->id = question->id;
    asked->function = function;
    asked->context = context;
    asked->loses_answer = fate == REPLY_LOST;
    return true;
}

void set_stage_late_comes(struct sim_set *set) {
    for (struct asked *asked = set->asked; asked != NULL; asked = asked->next) {
        if (asked->stray && asked->forces && !asked->arrived) {
            arrive_at(asked, set_now_us(set));
        }
    }
}

bool set_is_quiet(const struct sim_set *set) {
    uint32_t all = (UINT32_C(1) << set->member_count) - 1;
    return set->stray_count == 0 && set_now_us(set) >= set->changed_us + SETTLES_US &&
           set_voters(set, set->committed) == all;
}

/* --- beginning and end --- */

static uint64_t on_random(void *context, size_t process, uint64_t below) {
    struct sim_set *set = context;
    (void)process;
    return chance_below(&set->core_chance, below);
}

static bson_t *initiation(struct sim_set *set) {
    bson_t *command = bson_new();
    bson_t config;
    bson_t members;
    bson_t settings;
    bool witness_stands = chance_below(&set->chance, 2) == 0;
    BSON_APPEND_DOCUMENT_BEGIN(command, "replSetInitiate", &config);
    BSON_APPEND_UTF8(&config, "_id", SET_NAME);
    BSON_APPEND_INT32(&config, "version", 1);
    BSON_APPEND_ARRAY_BEGIN(&config, "members", &members);
    for (uint32_t i = 0; i < set->member_count; i++) {
        bson_t child;
        bson_t tags;
        char key[16];
        uint32_t region = set->members[i].region;
        bool witness = region == SET_REGION_COUNT - 1;
        (void)snprintf(key, sizeof key, "%u", i);
        BSON_APPEND_DOCUMENT_BEGIN(&members, key, &child);
        BSON_APPEND_INT32(&child, "_id", (int32_t)i);
        BSON_APPEND_UTF8(&child, "host", set->members[i].host);
        BSON_APPEND_DOUBLE(&child, "priority",
                           region == 0                  ? 2
                           : witness && !witness_stands ? 0
                                                        : 1);
        BSON_APPEND_DOCUMENT_BEGIN(&child, "tags", &tags);
        BSON_APPEND_UTF8(&tags, "region", set->regions[region]);
        bson_append_document_end(&child, &tags);
        bson_append_document_end(&members, &child);
    }
    bson_append_array_end(&config, &members);
    static const int32_t timeouts_ms[] = {10000, 10000, 5000, 2000};
    BSON_APPEND_DOCUMENT_BEGIN(&config, "settings", &settings);
    BSON_APPEND_INT32(&settings, "electionTimeoutMillis",
                      timeouts_ms[chance_below(&set->chance, 4)]);
    bson_append_document_end(&config, &settings);
    bson_append_document_end(command, &config);
    return command;
}

/* Its first seconds pass before the world begins. */
static void initiate(struct sim_set *set) {
    uint64_t now_ms = 2000;
    bool ready = false;
    for (uint32_t i = 0; i < set->member_count; i++) {
        mongo_set_fate(set->core, i, MONGO_START);
    }
    mongo_set_run(set->core, now_ms);
    bson_t *command = initiation(set);
    const struct mongo_request request = {
        .connection = UINT64_MAX, .database = "admin", .command = command};
    if (mongo_set_connect(set->core, 0, UINT64_MAX)) {
        mongo_set_request(set->core, &request);
    }
    while (now_ms < PATIENCE_MS && !ready) {
        uint32_t well = 0;
        bool led = false;
        now_ms += 100;
        mongo_set_run(set->core, now_ms);
        for (uint32_t i = 0; i < set->member_count; i++) {
            struct mongo_view view;
            mongo_set_view(set->core, i, &view);
            led = led || (view.writable && set->members[i].region == 0);
            well += view.writable || view.state == 2;
        }
        ready = led && well == set->member_count;
    }
    assert(ready);
    mongo_set_disconnect(set->core, UINT64_MAX);
    bson_destroy(command);
    set->offset_ms = now_ms;
}

static void draw_members(struct sim_set *set) {
    bool many = judge_is_staged(set->sim, STAGING_FORCED_DIES) ||
                judge_is_staged(set->sim, STAGING_TERM_SHARED) ||
                judge_is_staged(set->sim, STAGING_WRITE_INHERITED);
    set->member_count = chance_below(&set->chance, 3) == 0 || many ? 5 : 3;
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        (void)snprintf(member->host, sizeof member->host, "m%u:27017", i + 1);
        member->region = set->member_count == 3 || i == 4 ? i % SET_REGION_COUNT : i / 2;
        member->region = i == set->member_count - 1 ? SET_REGION_COUNT - 1 : member->region;
        size_t used = strlen(set->hosts);
        (void)snprintf(set->hosts + used, sizeof set->hosts - used, "%s%s", i == 0 ? "" : ",",
                       member->host);
    }
}

struct sim_set *set_create(struct sim *sim, const struct sim_set_options *options) {
    struct sim_set *set = calloc(1, sizeof *set);
    const char *hosts[SET_MEMBER_MAX];
    if (set == NULL) {
        abort();
    }
    set->sim = sim;
    set->regions = options->regions;
    set->due_us = UINT64_MAX;
    set->lost_since_us = UINT64_MAX;
    chance_seed(&set->chance, options->seed);
    chance_seed(&set->core_chance, chance_next(&set->chance));
    draw_members(set);
    for (uint32_t i = 0; i < set->member_count; i++) {
        hosts[i] = set->members[i].host;
    }
    bool older = chance_below(&set->chance, 2) == 0;
    const struct mongo_set_options of_core = {
        .release = older ? MONGO_RELEASE_3_6 : MONGO_RELEASE_4_4,
        .name = SET_NAME,
        .hosts = hosts,
        .host_count = set->member_count,
        .wall_ms = options->wall_ms - PATIENCE_MS,
        .context = set,
        .random = on_random,
        .reply = on_reply,
        .hang_up = on_hang_up,
        .listening = on_listening,
    };
    set->core = mongo_set_create(&of_core);
    initiate(set);
    sim_say(sim, "set", "%u members of MongoDB %s", set->member_count, older ? "3.6" : "4.4");
    set_writer_begin(set);
    set_follow(set);
    return set;
}

void set_destroy(struct sim_set *set) {
    if (set == NULL) {
        return;
    }
    mongo_set_destroy(set->core);
    while (set->asked != NULL) {
        struct asked *asked = set->asked;
        set->asked = asked->next;
        free_asked(asked);
    }
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (set->members[i].config != NULL) {
            bson_destroy(set->members[i].config);
        }
    }
    if (set->committed != NULL) {
        bson_destroy(set->committed);
    }
    free(set);
}
