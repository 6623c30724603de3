/* A replica set on virtual time, driven by lines: one JSON object in, one out. Tests in other
 * languages replay with it what takes hours on a clock.
 *
 *   {"do": "create", "release": "3.6", "name": N, "hosts": [...], "seed": n, "wall": ms}
 *   {"do": "run", "until": ms}             -> {"now": ms, "replies": [...]}
 *   {"do": "connect", "process": p, "connection": c}    -> {"ok": bool}
 *   {"do": "request", "connection": c, "id": i, "database": D, "command": {...}, "secondaryOk":
 * bool}
 *   {"do": "fate", "process": p, "fate": "start" "kill" "shutdown" "stop" "continue" "wipe"}
 *   {"do": "standalone" "blackHole", "process": p, "on": bool}
 *   {"do": "cut", "from": p, "to": q, "on": bool}
 *   {"do": "syncDuration", "process": p, "ms": n}
 *   {"do": "favour", "process": p}         whose election timers are the shortest; -1: nobody's
 *   {"do": "view", "process": p}
 *
 * Every answer has "replies": what came since the last one, {"connection", "id", "at", "reply"}, or
 * {"connection", "at", "closed": true}, or {"process", "at", "state", "writable"}, which run tells
 * of every change. BSON is canonical extended JSON. */
#include <assert.h>
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"
#include "mongo/set.h"

/* What was last told of a process. */
struct console_glance {
    int state;
    bool writable;
};

struct console { // NOLINT(clang-analyzer-optin.performance.Padding): there is one
    struct console_glance glances[MONGO_PROCESSES_MAX];
    size_t process_count;
    struct mongo_set *set;
    uint64_t seed;
    int64_t favourite;
    bson_t replies;
    uint32_t reply_count;
};

static uint64_t console_random(void *context, size_t process, uint64_t below) {
    struct console *console = context;
    /* Weyl sequence with the finalizer of splitmix64. */
    uint64_t x = console->seed += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    x ^= x >> 31;
    /* A choice out of four is whether to chain: nobody does, so that lag is told by its script. */
    if (below == 4) {
        return 0;
    }
    /* Long spans are timers of elections. */
    if (console->favourite >= 0 && below > 100 && below <= 2000) {
        return (int64_t)process == console->favourite ? x % (below / 10)
                                                      : below / 2 + x % (below / 2);
    }
    return x % below;
}

static void console_add(struct console *console, const bson_t *event) {
    char index[24];
    (void)snprintf(index, sizeof(index), "%u", console->reply_count++);
    BSON_APPEND_DOCUMENT(&console->replies, index, event);
}

static void console_on_reply(void *context, uint64_t connection, uint64_t request,
                             const bson_t *document, bool more) {
    struct console *console = context;
    bson_t event = BSON_INITIALIZER;
    BSON_APPEND_INT64(&event, "connection", (int64_t)connection);
    BSON_APPEND_INT64(&event, "id", (int64_t)request);
    BSON_APPEND_INT64(&event, "at", (int64_t)mongo_set_now_ms(console->set));
    BSON_APPEND_BOOL(&event, "more", more);
    BSON_APPEND_DOCUMENT(&event, "reply", document);
    console_add(console, &event);
    bson_destroy(&event);
}

static void console_on_hang_up(void *context, uint64_t connection) {
    struct console *console = context;
    bson_t event = BSON_INITIALIZER;
    BSON_APPEND_INT64(&event, "connection", (int64_t)connection);
    BSON_APPEND_INT64(&event, "at", (int64_t)mongo_set_now_ms(console->set));
    BSON_APPEND_BOOL(&event, "closed", true);
    console_add(console, &event);
    bson_destroy(&event);
}

static int64_t console_number(const bson_t *line, const char *key) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, line, key) ? bson_iter_as_int64(&iter) : 0;
}

static bool console_flag(const bson_t *line, const char *key) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, line, key) && bson_iter_as_bool(&iter);
}

static const char *console_text(const bson_t *line, const char *key) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, line, key) && BSON_ITER_HOLDS_UTF8(&iter)
               ? bson_iter_utf8(&iter, NULL)
               : "";
}

static void console_watch(struct console *console) {
    for (size_t i = 0; i < console->process_count; i++) {
        struct mongo_view view;
        mongo_set_view(console->set, i, &view);
        struct console_glance *glance = &console->glances[i];
        if (glance->state == view.state && glance->writable == view.writable) {
            continue;
        }
        *glance = (struct console_glance){.state = view.state, .writable = view.writable};
        bson_t event = BSON_INITIALIZER;
        BSON_APPEND_INT64(&event, "process", (int64_t)i);
        BSON_APPEND_INT64(&event, "at", (int64_t)mongo_set_now_ms(console->set));
        BSON_APPEND_INT32(&event, "state", view.state);
        BSON_APPEND_BOOL(&event, "writable", view.writable);
        console_add(console, &event);
        bson_destroy(&event);
    }
}

static void console_create(struct console *console, const bson_t *line) {
    const char *hosts[MONGO_PROCESSES_MAX];
    size_t count = 0;
    bson_iter_t iter;
    bson_iter_t element;
    if (bson_iter_init_find(&iter, line, "hosts") && bson_iter_recurse(&iter, &element)) {
        while (bson_iter_next(&element) && count < MONGO_PROCESSES_MAX) {
            hosts[count++] = bson_iter_utf8(&element, NULL);
        }
    }
    const struct mongo_set_options options = {
        .release = text_equal(console_text(line, "release"), "4.4") ? MONGO_RELEASE_4_4
                                                                    : MONGO_RELEASE_3_6,
        .name = console_text(line, "name"),
        .hosts = hosts,
        .host_count = count,
        .wall_ms = (uint64_t)console_number(line, "wall"),
        .context = console,
        .random = console_random,
        .reply = console_on_reply,
        .hang_up = console_on_hang_up,
    };
    mongo_set_destroy(console->set);
    console->seed = (uint64_t)console_number(line, "seed");
    console->favourite = -1;
    console->set = mongo_set_create(&options);
    console->process_count = count;
    for (size_t i = 0; i < count; i++) {
        console->glances[i] = (struct console_glance){.state = -1};
    }
}

static void console_request(struct console *console, const bson_t *line) {
    bson_iter_t iter;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    bson_t command;
    if (!bson_iter_init_find(&iter, line, "command") || !BSON_ITER_HOLDS_DOCUMENT(&iter)) {
        return;
    }
    bson_iter_document(&iter, &size, &data);
    if (bson_init_static(&command, data, size)) {
        const struct mongo_request request = {
            .connection = (uint64_t)console_number(line, "connection"),
            .id = (uint64_t)console_number(line, "id"),
            .database = console_text(line, "database"),
            .command = &command,
            .secondary_ok = console_flag(line, "secondaryOk"),
        };
        mongo_set_request(console->set, &request);
    }
}

/* In steps, so that no change of a view is missed. */
static void console_run(struct console *console, uint64_t until_ms) {
    bool done = false;
    while (!done) {
        uint64_t next_ms = mongo_set_next_ms(console->set);
        done = next_ms >= until_ms;
        mongo_set_run(console->set, done ? until_ms : next_ms);
        console_watch(console);
    }
}

static bool console_fate(struct console *console, const bson_t *line) {
    static const struct {
        const char *name;
        enum mongo_fate fate;
    } fates[] = {
        {"start", MONGO_START}, {"kill", MONGO_KILL},         {"shutdown", MONGO_SHUTDOWN},
        {"stop", MONGO_STOP},   {"continue", MONGO_CONTINUE}, {"wipe", MONGO_WIPE},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(fates); i++) {
        if (text_equal(fates[i].name, console_text(line, "fate"))) {
            mongo_set_fate(console->set, (size_t)console_number(line, "process"), fates[i].fate);
            return true;
        }
    }
    return false;
}

static void console_view(struct console *console, const bson_t *line, bson_t *answer) {
    struct mongo_view view;
    mongo_set_view(console->set, (size_t)console_number(line, "process"), &view);
    BSON_APPEND_BOOL(answer, "up", view.up);
    BSON_APPEND_INT32(answer, "state", view.state);
    BSON_APPEND_BOOL(answer, "writable", view.writable);
    BSON_APPEND_INT64(answer, "term", view.term);
    BSON_APPEND_INT64(answer, "configVersion", view.config_version);
    BSON_APPEND_INT64(answer, "configTerm", view.config_term);
    BSON_APPEND_INT64(answer, "applied", (int64_t)view.applied);
    BSON_APPEND_INT32(answer, "rollbackId", view.rollback_id);
    BSON_APPEND_INT32(answer, "source", view.sync_source);
    BSON_APPEND_INT32(answer, "primary", view.primary);
}

static bool console_do_with(struct console *console, const char *verb, const bson_t *line,
                            bson_t *answer) {
    size_t process = (size_t)console_number(line, "process");
    bool on = console_flag(line, "on");
    if (text_equal(verb, "run")) {
        console_run(console, (uint64_t)console_number(line, "until"));
    } else if (text_equal(verb, "connect")) {
        BSON_APPEND_BOOL(
            answer, "ok",
            mongo_set_connect(console->set, process, (uint64_t)console_number(line, "connection")));
    } else if (text_equal(verb, "request")) {
        console_request(console, line);
    } else if (text_equal(verb, "fate")) {
        return console_fate(console, line);
    } else if (text_equal(verb, "standalone")) {
        mongo_set_standalone(console->set, process, on);
    } else if (text_equal(verb, "blackHole")) {
        mongo_set_black_hole(console->set, process, on);
    } else if (text_equal(verb, "cut")) {
        mongo_set_cut(console->set, (size_t)console_number(line, "from"),
                      (size_t)console_number(line, "to"), on);
    } else if (text_equal(verb, "syncDuration")) {
        mongo_set_sync_duration(console->set, process, (uint64_t)console_number(line, "ms"));
    } else if (text_equal(verb, "favour")) {
        console->favourite = console_number(line, "process");
    } else if (text_equal(verb, "view")) {
        console_view(console, line, answer);
    } else {
        return false;
    }
    return true;
}

static bool console_do(struct console *console, const bson_t *line, bson_t *answer) {
    const char *verb = console_text(line, "do");
    if (text_equal(verb, "create")) {
        console_create(console, line);
        return true;
    }
    return console->set != NULL && console_do_with(console, verb, line, answer);
}
static void console_answer(struct console *console, bson_t *answer) {
    if (console->set != NULL) {
        BSON_APPEND_INT64(answer, "now", (int64_t)mongo_set_now_ms(console->set));
    }
    BSON_APPEND_ARRAY(answer, "replies", &console->replies);
    char *text = bson_as_canonical_extended_json(answer, NULL);
    (void)printf("%s\n", text);
    (void)fflush(stdout);
    bson_free(text);
    bson_reinit(&console->replies);
    console->reply_count = 0;
}

int main(void) {
    struct console console = {.favourite = -1};
    char *text = NULL;
    size_t capacity = 0;
    ssize_t length = 0;
    int status = 0;
    bson_init(&console.replies);
    while (status == 0 && (length = getline(&text, &capacity, stdin)) > 0) {
        bson_error_t error;
        bson_t *line = bson_new_from_json((const uint8_t *)text, length, &error);
        bson_t answer = BSON_INITIALIZER;
        if (line == NULL || !console_do(&console, line, &answer)) {
            (void)fprintf(stderr, "mongo-console: not understood: %s\n", text);
            status = 64;
        } else {
            console_answer(&console, &answer);
        }
        bson_destroy(&answer);
        bson_destroy(line);
    }
    free(text);
    mongo_set_destroy(console.set);
    bson_destroy(&console.replies);
    return status;
}
