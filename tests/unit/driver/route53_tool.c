/* The Route 53 driver by hand, for tests: commands come as JSON, one a line, on standard input, and
 * each is answered by a line with the same "id" on standard output. Several may be under way.
 *
 *   {"id": 1, "do": "read", "target": T, "change_id": "C1"}
 *   {"id": 2, "do": "desired", "target": T, "state": S, "values": [{"action": "values", ...}]}
 *   {"id": 3, "do": "send", "target": T, "fence_before": F, "fence_after": F, "state_before": S,
 *    "state_after": S, "comment": "...", "deadline_in_ms": 5000}
 *   {"id": 4, "do": "prepare", "target": T}
 *   {"id": 5, "do": "close"}          (also at the end of the input)
 *
 * Credentials and endpoints come from the environment. */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/text.h"
#include "driver/route53.h"

enum { LINE_MAX_BYTES = 1024 * 1024 };

static struct {
    uv_loop_t loop;
    uv_pipe_t input;
    struct driver *driver; /* NULL: closed */
    struct buffer line;
} tool;

static void answer(json_int_t id, json_t *body) {
    json_object_set_new(body, "id", json_integer(id));
    char *text = json_dumps(body, JSON_COMPACT);
    assert(text != NULL);
    (void)printf("%s\n", text);
    (void)fflush(stdout);
    free(text);
    json_decref(body);
}

static void answer_error(json_int_t id, const struct error *error) {
    answer(id, json_pack("{s:s,s:s}", "error", error_text(error->code), "message", error->message));
}

static const char *text_of(const json_t *command, const char *key) {
    const char *text = json_string_value(json_object_get(command, key));
    return text == NULL ? "" : text;
}

static void load_target(const json_t *json, struct driver_target *target) {
    *target = (struct driver_target){.record_count = 0};
    bool ok = TEXT_COPY(target->service, text_of(json, "service")) &&
              TEXT_COPY(target->zone, text_of(json, "zone")) &&
              TEXT_COPY(target->role_arn, text_of(json, "role")) &&
              TEXT_COPY(target->external_id, text_of(json, "external_id")) &&
              TEXT_COPY(target->fence_name, text_of(json, "fence_name"));
    size_t i;
    json_t *record;
    json_array_foreach(json_object_get(json, "records"), i, record) {
        assert(i < DRIVER_RECORD_MAX);
        struct driver_record_key *key = &target->records[target->record_count++];
        ok = ok && TEXT_COPY(key->name, text_of(record, "name")) &&
             TEXT_COPY(key->type, text_of(record, "type")) &&
             TEXT_COPY(key->set_identifier, text_of(record, "set_identifier"));
    }
    assert(ok);
}

static bool load_blob(const json_t *command, const char *key, struct driver_blob *blob) {
    const json_t *text = json_object_get(command, key);
    if (!json_is_string(text)) {
        return false;
    }
    blob->size_bytes = (uint32_t)json_string_length(text);
    assert(blob->size_bytes <= sizeof blob->bytes);
    memcpy(blob->bytes, json_string_value(text), blob->size_bytes);
    return true;
}

static json_t *dump_blob(const struct driver_blob *blob) {
    return json_stringn((const char *)blob->bytes, blob->size_bytes);
}

static void on_read(void *context, const struct error *error,
                    const struct driver_reading *reading) {
    static const char *const sync_names[] = {"PENDING", "INSYNC", "NO_SUCH_CHANGE", "NOT_ASKED"};
    json_int_t id = (json_int_t)(intptr_t)context;
    if (error != NULL) {
        answer_error(id, error);
        return;
    }
    answer(id, json_pack("{s:s,s:o,s:o,s:s}", "sync", sync_names[reading->sync], "fence",
                         reading->fence_present ? json_string(reading->fence) : json_null(),
                         "state", dump_blob(&reading->state), "summary", reading->summary));
}

static void on_sent(void *context, const struct driver_sent *sent) {
    static const char *const reply_names[] = {"ACCEPTED", "REFUSED", "UNKNOWN", "NOT_SENT"};
    answer((json_int_t)(intptr_t)context,
           json_pack("{s:s,s:s,s:b,s:s}", "reply", reply_names[sent->reply], "change_id",
                     sent->change_id, "retry_later", sent->retry_later, "message", sent->message));
}

static void do_send(const json_t *command, const struct driver_target *target, void *context) {
    static struct driver_blob before, after;
    bool moves = load_blob(command, "state_before", &before);
    bool has_after = load_blob(command, "state_after", &after);
    const char *fence_before = json_string_value(json_object_get(command, "fence_before"));
    json_int_t deadline_in_ms = json_integer_value(json_object_get(command, "deadline_in_ms"));
    struct driver_change change = {
        .fence_before = fence_before,
        .fence_after = text_of(command, "fence_after"),
        .state_before = moves ? &before : NULL,
        .state_after = has_after ? &after : NULL,
        .comment = text_of(command, "comment"),
        .deadline_boottime_ms = clock_boottime_ms(&clock_system) + (uint64_t)deadline_in_ms,
    };
    driver_send(tool.driver, target, &change, on_sent, context);
}

static enum route53_action action_of(const char *name) {
    static const char *const names[] = {"alias", "cname", "values", "weighted", "failover"};
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        if (text_equal(name, names[i])) {
            return (enum route53_action)i;
        }
    }
    assert(!"a known action");
    return ROUTE53_VALUES;
}

static void do_desired(const json_t *command, const struct driver_target *target, json_int_t id) {
    static struct driver_blob as_read, state;
    static struct route53_value values[DRIVER_RECORD_MAX];
    char diff[ROUTE53_DIFF_MAX];
    struct error error;
    size_t count = 0, i;
    json_t *value;
    bool ok = load_blob(command, "state", &as_read);
    json_array_foreach(json_object_get(command, "values"), i, value) {
        assert(i < DRIVER_RECORD_MAX);
        values[i] = (struct route53_value){
            .action = action_of(text_of(value, "action")),
            .ttl_s = (uint32_t)json_integer_value(json_object_get(value, "ttl")),
            .chosen = json_is_true(json_object_get(value, "chosen")),
        };
        ok = ok && TEXT_COPY(values[i].text, text_of(value, "text")) &&
             TEXT_COPY(values[i].zone_id, text_of(value, "zone_id"));
        count++;
    }
    assert(ok);
    if (route53_desired(target, &as_read, values, (uint32_t)count, &state, diff, &error) !=
        ERROR_OK) {
        answer_error(id, &error);
        return;
    }
    answer(id, json_pack("{s:o,s:s}", "state", dump_blob(&state), "diff", diff));
}

static void on_closed(void *context) {
    json_int_t id = (json_int_t)(intptr_t)context;
    tool.driver = NULL;
    uv_close((uv_handle_t *)&tool.input, NULL);
    answer(id, json_pack("{s:b}", "closed", true));
}

static void do_close(void *context) {
    static bool closing;
    if (!closing) {
        closing = true;
        uv_read_stop((uv_stream_t *)&tool.input);
        driver_close(tool.driver, on_closed, context);
    }
}

static void do_command(const json_t *command) {
    const char *what = text_of(command, "do");
    json_int_t id = json_integer_value(json_object_get(command, "id"));
    void *context = (void *)(intptr_t)id;
    static struct driver_target target;
    load_target(json_object_get(command, "target"), &target);
    if (text_equal(what, "read")) {
        driver_read(tool.driver, &target, text_of(command, "change_id"), on_read, context);
    } else if (text_equal(what, "send")) {
        do_send(command, &target, context);
    } else if (text_equal(what, "desired")) {
        do_desired(command, &target, id);
    } else if (text_equal(what, "prepare")) {
        route53_prepare(tool.driver, &target);
        answer(id, json_object());
    } else {
        assert(text_equal(what, "close"));
        do_close(context);
    }
}

static void on_input(uv_stream_t *stream, ssize_t size_bytes, const uv_buf_t *bytes) {
    (void)stream;
    if (size_bytes < 0) {
        do_close(NULL);
        return;
    }
    bool ok = buffer_append(&tool.line, bytes->base, (size_t)size_bytes);
    assert(ok);
    char *end;
    while (tool.line.size_bytes > 0 &&
           (end = memchr(tool.line.data, '\n', tool.line.size_bytes)) != NULL) {
        json_error_t where;
        json_t *command = json_loadb(tool.line.data, (size_t)(end - tool.line.data), 0, &where);
        assert(command != NULL);
        buffer_consume(&tool.line, (size_t)(end - tool.line.data) + 1);
        do_command(command);
        json_decref(command);
    }
}

static void on_room(uv_handle_t *handle, size_t wanted_bytes, uv_buf_t *ret_room) {
    static char room[65536];
    (void)handle;
    (void)wanted_bytes;
    *ret_room = uv_buf_init(room, sizeof room);
}

static uint64_t option_ms(const char *name) {
    const char *text = getenv(name);
    uint64_t value = 0;
    return text != NULL && text_to_u64(text, 1, UINT32_MAX, &value) ? value : 0;
}

int main(void) {
    struct error error;
    uv_loop_init(&tool.loop);
    buffer_init(&tool.line, LINE_MAX_BYTES);
    struct route53_options options = {
        .loop = &tool.loop,
        .clock = &clock_system,
        .entropy = &entropy_system,
        .node = "test",
        .region = "us-east-1",
        .request_timeout_ms = (uint32_t)option_ms("TOOL_REQUEST_TIMEOUT_MS"),
        .read_timeout_ms = (uint32_t)option_ms("TOOL_READ_TIMEOUT_MS"),
    };
    if (route53_create(&options, &tool.driver, &error) != ERROR_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    uv_pipe_init(&tool.loop, &tool.input, 0);
    uv_pipe_open(&tool.input, 0);
    uv_read_start((uv_stream_t *)&tool.input, on_room, on_input);
    uv_run(&tool.loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&tool.loop);
    buffer_finish(&tool.line);
    return left == 0 ? 0 : 2;
}
