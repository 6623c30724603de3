#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "allocate.h"
#include "mongo_op.h"

/* 4.4 answers ok when a majority has the config, a heartbeat (2 s) later or two; before that it
 * asks every member, and one that hangs costs it 32 to 64 s. Asking again would begin that anew. */
#define RECONFIG_TIMEOUT_MS 100000
/* What a connection of its own may take, in blocking steps of the target's timeout. */
#define CONNECT_STEPS 2

/* --- the end of an operation --- */

static void finish_if_closed(struct mongo_driver *driver) {
    if (driver->closing && driver->open_count == 0) {
        driver_closed_cb on_closed = driver->on_closed;
        void *context = driver->closed_context;
        free(driver);
        if (on_closed != NULL) {
            on_closed(context);
        }
    }
}

static void on_timer_closed(uv_handle_t *handle) {
    struct mongo_op *op = handle->data;
    struct mongo_driver *driver = op->driver;
    free(op->before);
    free(op->after);
    free(op);
    driver->open_count--;
    finish_if_closed(driver);
}

/* Before the answer: whoever gets it may close the driver. */
static void leave(struct mongo_op *op) {
    TAILQ_REMOVE(&op->driver->ops, op, link);
    scan_end(&op->scan);
    mongo_link_destroy(op->sender);
    op->sender = NULL;
    uv_close((uv_handle_t *)&op->timer, on_timer_closed);
}

void mongo_op_answer_sent(struct mongo_op *op, enum driver_reply reply, bool retry_later,
                          const char *message) {
    struct driver_sent sent = {.reply = reply, .retry_later = retry_later};
    (void)snprintf(sent.message, sizeof sent.message, "%s", message);
    if (reply == DRIVER_REPLY_ACCEPTED) {
        (void)snprintf(sent.change_id, sizeof sent.change_id, "version %" PRIu64, op->version);
    }
    leave(op);
    op->on_sent(op->context, &sent);
}

void mongo_op_answer_error(struct mongo_op *op, const struct error *error) {
    struct error kept = *error;
    switch (op->kind) {
    case OP_READ:
        leave(op);
        op->on_read(op->context, &kept, NULL);
        break;
    case OP_LOOK:
        leave(op);
        op->on_look(op->context, &kept, NULL);
        break;
    case OP_SEND:
    case OP_ACT:
        mongo_op_answer_sent(op, DRIVER_REPLY_NOT_SENT, false, kept.message);
        break;
    }
}

void mongo_op_answer_look(struct mongo_op *op, bool holds, const char *words) {
    struct driver_seen seen = {.holds = holds};
    (void)snprintf(seen.words, sizeof seen.words, "%s", words);
    leave(op);
    op->on_look(op->context, NULL, &seen);
}

/* --- sending --- */

/* What a reply to something that was sent once says. */
static enum driver_reply reply_of(enum mongo_result result) {
    switch (result) {
    case MONGO_RESULT_OK:
        return DRIVER_REPLY_ACCEPTED;
    case MONGO_RESULT_SERVER:
        return DRIVER_REPLY_REFUSED;
    case MONGO_RESULT_TIMEOUT_CONNECT:
    case MONGO_RESULT_REFUSED:
    case MONGO_RESULT_DNS:
    case MONGO_RESULT_TLS:
    case MONGO_RESULT_AUTH:
    case MONGO_RESULT_CREDENTIALS:
    case MONGO_RESULT_BUSY:
        return DRIVER_REPLY_NOT_SENT;
    default:
        return DRIVER_REPLY_UNKNOWN;
    }
}

/* Another reconfiguration is under way, or the last one isn't on a majority yet; a shutdown. */
static bool is_passing(int32_t code) {
    return code == 109 || code == 308 || code == 117 || code == 91 || code == 50;
}

void mongo_op_on_command_reply(void *context, const struct mongo_reply *reply) {
    struct mongo_op *op = context;
    char message[256];
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    (void)snprintf(message, sizeof message, "%.120s: %.100s (%" PRId32 ")", op->host,
                   reply->result == MONGO_RESULT_OK ? "ok" : reply->detail, reply->server_code);
    mongo_op_answer_sent(op, reply_of(reply->result), is_passing(reply->server_code), message);
}

/* A link of its own: an old connection may hold an older request back. */
bool mongo_op_open_sender(struct mongo_op *op, const char *host) {
    struct mongo_target target = op->scan.target;
    (void)TEXT_COPY(target.host, host);
    (void)TEXT_COPY(op->host, host);
    mongo_link_destroy(op->sender);
    op->sender = mongo_link_create(op->driver->options.client, &target);
    return op->sender != NULL;
}

/* No byte may leave after the deadline: connecting has to fit in front of it as well. */
static bool is_too_late(const struct mongo_op *op) {
    uint64_t now_ms = clock_boottime_ms(op->driver->options.clock);
    return now_ms + CONNECT_STEPS * (uint64_t)op->scan.target.timeout_ms > op->deadline_ms;
}

void mongo_op_send_once(struct mongo_op *op, const char *database, const bson_t *command,
                        uint32_t timeout_ms, mongo_reply_cb callback) {
    if (is_too_late(op)) {
        mongo_op_answer_sent(op, DRIVER_REPLY_NOT_SENT, false,
                             "too late to send: the look took too long");
        return;
    }
    mongo_link_ask(op->sender, database, command, MONGO_ONCE, timeout_ms, callback, op);
}

/* --- the fence and the config --- */

static enum error_code read_config(const struct mongo_op *op, struct driver_reading *ret,
                                   struct error *error) {
    memset(ret, 0, sizeof *ret);
    const bson_t *config = scan_config(&op->scan, error);
    if (config == NULL) {
        return error->code;
    }
    const struct scan_member *primary = scan_primary(&op->scan, &ret->primary_region);
    ret->sync = DRIVER_SYNC_INSYNC; /* read on a majority */
    (void)snprintf(ret->summary, sizeof ret->summary, "%.60s config %" PRIu64 ", primary %.120s",
                   op->scan.set.name, op->scan.set.config.version,
                   primary == NULL ? "none" : primary->host);
    if (op->target.change == DRIVER_SET_READMIT) {
        mongo_op_find_against_return(op, primary, ret->against, sizeof ret->against);
    }
    return mongo_config_split(config, ret, error);
}

static void after_scan_to_read(struct mongo_op *op) {
    struct driver_reading reading;
    struct error error;
    bool forces = op->target.change == DRIVER_SET_FORCE;
    if ((forces ? mongo_op_read_survivors : read_config)(op, &reading, &error) != ERROR_OK) {
        mongo_op_answer_error(op, &error);
        return;
    }
    leave(op);
    op->on_read(op->context, NULL, &reading);
}

static bool same_blob(const struct driver_blob *a, const struct driver_blob *b) {
    return a->size_bytes == b->size_bytes && memcmp(a->bytes, b->bytes, a->size_bytes) == 0;
}

/* The target refuses only another version; what it doesn't compare is compared here. */
static bool is_as_expected(const struct mongo_op *op, const struct driver_reading *reading) {
    return reading->fence_present == op->expects_fence &&
           text_equal(reading->fence, op->fence_before) &&
           (!op->has_states || same_blob(&reading->state, op->before));
}

/* Also above whatever a forced one that was sent may become: it then is refused where a server
 * compares, and loses to this one where it landed on a member that comes back. */
static uint64_t next_version(const struct driver_blob *state, uint64_t forced_version) {
    uint64_t next = mongo_config_version(state) + 1;
    uint64_t least = forced_version == 0 ? 0 : forced_version + MONGO_FORCE_JUMP + 1;
    return next > least ? next : least;
}

/* To the primary; a forced one to whom the step has pinned. */
static void send_config(struct mongo_op *op, const struct driver_blob *state, const char *host) {
    const char *fence = op->writes_fence ? op->fence_after : NULL;
    bool forces = op->target.change == DRIVER_SET_FORCE;
    struct error error;
    bson_t config;
    op->version =
        forces ? op->target.forced_version : next_version(state, op->target.forced_version);
    if (mongo_config_join(state, fence, op->version, &config, &error) != ERROR_OK ||
        !mongo_op_open_sender(op, host)) {
        bson_destroy(&config);
        (void)error_set(&error, ERROR_NO_MEMORY, "the config can't be written");
        mongo_op_answer_error(op, &error);
        return;
    }
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&command, "replSetReconfig", &config);
    if (forces) {
        BSON_APPEND_BOOL(&command, "force", true);
    }
    mongo_op_send_once(op, "admin", &command, RECONFIG_TIMEOUT_MS, mongo_op_on_command_reply);
    bson_destroy(&command);
    bson_destroy(&config);
}

static void after_scan_to_send(struct mongo_op *op) {
    struct driver_reading reading;
    struct error error;
    uint32_t region;
    bool forces = op->target.change == DRIVER_SET_FORCE;
    const struct scan_member *primary = scan_primary(&op->scan, &region);
    enum error_code code = (forces ? mongo_op_read_survivors : read_config)(op, &reading, &error);
    if (code == ERROR_OK && primary == NULL && !forces) {
        mongo_op_thaw(op);
        return;
    }
    if (code != ERROR_OK) {
        mongo_op_answer_error(op, &error);
    } else if (op->has_states && reading.against[0] != '\0') { /* a burn brings nobody in */
        mongo_op_answer_sent(op, DRIVER_REPLY_REFUSED, false, reading.against);
    } else if (!is_as_expected(op, &reading)) {
        mongo_op_answer_sent(op, DRIVER_REPLY_REFUSED, false,
                             "fence or config are not as they were: nothing was sent");
    } else {
        send_config(op, op->has_states ? op->after : &reading.state,
                    forces ? op->target.pinned : primary->host);
    }
}

/* --- the beginning of an operation --- */

static void on_scanned(void *context) {
    struct mongo_op *op = context;
    switch (op->kind) {
    case OP_READ:
        after_scan_to_read(op);
        break;
    case OP_SEND:
        after_scan_to_send(op);
        break;
    case OP_LOOK:
        mongo_op_look(op);
        break;
    case OP_ACT:
        mongo_op_act(op);
        break;
    }
}

static void on_begin(uv_timer_t *timer) {
    struct mongo_op *op = timer->data;
    scan_begin(&op->scan, op->driver->options.loop, op->driver->options.clock,
               op->driver->options.client, &op->target, op->driver->secrets, on_scanned, op);
}

/* A callback must come, and none may come from inside this call: without memory for the operation
 * the process ends, as in libuv. The next leader goes on. */
static struct mongo_op *begin(struct driver *base, enum op_kind kind,
                              const struct driver_target *target, void *context) {
    struct mongo_driver *driver = (struct mongo_driver *)base;
    assert(!driver->closing);
    struct mongo_op *op = driver_allocate(sizeof *op);
    op->driver = driver;
    op->kind = kind;
    op->target = *target;
    op->context = context;
    (void)uv_timer_init(driver->options.loop, &op->timer);
    op->timer.data = op;
    driver->open_count++;
    TAILQ_INSERT_TAIL(&driver->ops, op, link);
    (void)uv_timer_start(&op->timer, on_begin, 0, 0);
    return op;
}

static void read_set(struct driver *base, const struct driver_target *target, const char *change_id,
                     driver_read_cb on_read, void *context) {
    (void)change_id; /* a read on a majority proves itself */
    begin(base, OP_READ, target, context)->on_read = on_read;
}

static struct driver_blob *copy_blob(const struct driver_blob *blob) {
    struct driver_blob *copy = driver_allocate(sizeof *copy);
    copy->size_bytes = blob->size_bytes;
    memcpy(copy->bytes, blob->bytes, blob->size_bytes);
    return copy;
}

static void send_change(struct driver *base, const struct driver_target *target,
                        const struct driver_change *change, driver_send_cb on_sent, void *context) {
    struct mongo_op *op = begin(base, OP_SEND, target, context);
    op->on_sent = on_sent;
    op->expects_fence = change->fence_before != NULL;
    op->writes_fence = change->fence_after != NULL;
    (void)TEXT_COPY(op->fence_before, change->fence_before != NULL ? change->fence_before : "");
    (void)TEXT_COPY(op->fence_after, change->fence_after != NULL ? change->fence_after : "");
    op->has_states = change->state_before != NULL;
    if (op->has_states) {
        op->before = copy_blob(change->state_before);
        op->after = copy_blob(change->state_after);
    }
    op->deadline_ms = change->deadline_boottime_ms;
}

static void look(struct driver *base, const struct driver_target *target, enum driver_aim aim,
                 const char *eid, driver_look_cb on_look, void *context) {
    struct mongo_op *op = begin(base, OP_LOOK, target, context);
    op->on_look = on_look;
    op->aim = aim;
    (void)TEXT_COPY(op->eid, eid);
}

static void act(struct driver *base, const struct driver_target *target, enum driver_aim aim,
                const char *eid, uint64_t deadline_boottime_ms, driver_send_cb on_sent,
                void *context) {
    struct mongo_op *op = begin(base, OP_ACT, target, context);
    op->on_sent = on_sent;
    op->aim = aim;
    op->deadline_ms = deadline_boottime_ms;
    (void)TEXT_COPY(op->eid, eid);
}

static void close_driver(struct driver *base, driver_closed_cb on_closed, void *context) {
    struct mongo_driver *driver = (struct mongo_driver *)base;
    const struct error cancelled = {ERROR_CANCELLED, "the driver is closed"};
    driver->on_closed = on_closed;
    driver->closed_context = context;
    driver->open_count++; /* this call's own */
    driver->closing = true;
    while (!TAILQ_EMPTY(&driver->ops)) {
        struct mongo_op *op = TAILQ_FIRST(&driver->ops);
        if (op->sender != NULL && (op->kind == OP_SEND || op->kind == OP_ACT)) {
            mongo_op_answer_sent(op, DRIVER_REPLY_UNKNOWN, false, cancelled.message);
        } else {
            mongo_op_answer_error(op, &cancelled);
        }
    }
    driver->open_count--;
    finish_if_closed(driver);
}

enum error_code mongo_driver_create(const struct mongo_driver_options *options,
                                    struct driver **ret_driver, struct error *error) {
    static const struct driver_ops ops = {
        .read = read_set, .send = send_change, .look = look, .act = act, .close = close_driver};
    struct mongo_driver *driver = calloc(1, sizeof *driver);
    if (driver == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for the driver of replica sets");
    }
    driver->base.ops = &ops;
    driver->options = *options;
    (void)TEXT_COPY(driver->cluster, options->cluster);
    (void)TEXT_COPY(driver->secrets, options->secrets);
    TAILQ_INIT(&driver->ops);
    *ret_driver = &driver->base;
    return ERROR_OK;
}

enum error_code mongo_driver_desired(const struct driver_target *target,
                                     const struct driver_blob *as_read, struct driver_blob *ret,
                                     char *diff, size_t diff_size, struct error *error) {
    const char *tag = target->set.region_tag;
    const char *region = target->regions[target->to];
    struct mongo_hosts dead = {.count = target->host_count};
    switch (target->change) {
    case DRIVER_SET_FORCE:
        memcpy(dead.hosts, target->hosts, sizeof dead.hosts);
        return mongo_config_force(as_read, &dead, tag, region, ret, diff, diff_size, error);
    case DRIVER_SET_READMIT:
        return mongo_config_readmit(as_read, target->hosts[0], &target->left_out, tag, region, ret,
                                    diff, diff_size, error);
    case DRIVER_SET_PREFER:
        break;
    }
    return mongo_config_prefer(as_read, tag, region, ret, diff, diff_size, error);
}

uint64_t mongo_driver_forced_version(const struct driver_target *target,
                                     const struct driver_blob *as_read) {
    return next_version(as_read, target->forced_version);
}

enum error_code mongo_driver_left_out(const struct driver_target *target,
                                      const struct driver_blob *as_read,
                                      struct left_out list[MONGO_MEMBER_MAX], uint32_t *ret_count,
                                      struct error *error) {
    struct mongo_hosts dead = {.count = target->host_count};
    memcpy(dead.hosts, target->hosts, sizeof dead.hosts);
    return mongo_config_left_out(as_read, &dead, list, ret_count, error);
}
