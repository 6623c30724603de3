/* Requests of the client API, as they come out of TLS: the whole server behind them, with a group
 * in the middle of its life, whose every proposal is encoded, decoded and applied as on a node.
 * Each request gets one answer, a well-formed one, or the connection is closed. The first byte says
 * who asks, whether this node leads, and which group it is. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "fuzz.h"
#include "midlife.h"
#include "scene.h"
#include "server_private.h"
#include "streams.h"

static struct group group; /* as it is at the beginning of each input */
static uint32_t place;     /* of this node */

/* What the server waits for; it has one request at a time. */
static struct {
    const struct command *command; /* NULL: a barrier */
    api_proposed_cb proposed;
    api_barrier_cb barrier;
    void *context;
} call;

/* --- the rest of the node --- */

static uint64_t boottime_ms(void *context) {
    (void)context;
    return group.now_ms;
}

static uint64_t wall_ms(void *context) {
    (void)context;
    return group.wall_ms;
}

static void facts_now(void *context, struct api_facts *ret) {
    (void)context;
    scene_facts(&group, place, ret);
}

static void propose(void *context, const struct command *command, api_proposed_cb callback,
                    void *callback_context) {
    (void)context;
    assert(call.context == NULL);
    call.command = command;
    call.proposed = callback;
    call.context = callback_context;
}

static void wait_for_barrier(void *context, api_barrier_cb callback, void *callback_context) {
    (void)context;
    assert(call.context == NULL);
    call.command = NULL;
    call.barrier = callback;
    call.context = callback_context;
}

static bool transfer(void *context, uint64_t node_id, api_barrier_cb callback,
                     void *callback_context) {
    (void)node_id;
    wait_for_barrier(context, callback, callback_context);
    return true;
}

static bool change(void *context, const char *node, bool add, api_barrier_cb callback,
                   void *callback_context) {
    (void)node;
    (void)add;
    wait_for_barrier(context, callback, callback_context);
    return true;
}

/* A proposal goes into the log as bytes; what can't be written isn't proposed. */
static enum error_code apply(const struct command *command, enum core_error *ret_result) {
    struct buffer bytes;
    struct command_batch batch;
    struct error error;
    buffer_init(&bytes, 0);
    enum error_code code = codec_encode_batch(&command, 1, &bytes, &error);
    if (code == ERROR_OK) {
        assert(codec_decode_batch(bytes.data, bytes.size_bytes, &batch, &error) == ERROR_OK);
        *ret_result = group_apply(&group, batch.commands[0]);
        codec_batch_finish(&batch);
    }
    buffer_finish(&bytes);
    return code;
}

/* Until the server waits for nothing any more: a query waits for a barrier, a command for one and
 * then for its proposal. */
static void complete_all(struct api_server *server) {
    for (unsigned i = 0; call.context != NULL; i++) {
        assert(i < 8);
        void *context = call.context;
        call.context = NULL;
        if (call.command == NULL) {
            call.barrier(context, ERROR_OK);
            continue;
        }
        enum core_error result = CORE_OK;
        enum error_code code = apply(call.command, &result);
        api_server_on_applied(server);
        call.proposed(context, code, result, group.index);
    }
}

static struct api_server *make_server(void) {
    static const struct clock clock = {boottime_ms, wall_ms, NULL};
    static struct api_server *server;
    static uv_loop_t loop;
    if (server == NULL) {
        struct error error;
        struct api_server_options options = {
            .loop = &loop,
            .clock = &clock,
            .cluster = "noctua",
            .host = "127.0.0.1",
            .calls = {.facts = facts_now,
                      .propose = propose,
                      .barrier = wait_for_barrier,
                      .transfer = transfer,
                      .change = change},
        };
        int rv = uv_loop_init(&loop);
        assert(rv == 0);
        (void)rv;
        assert(api_server_create(&options, &server, &error) == ERROR_OK);
    }
    return server;
}

/* --- one input --- */

static bool on_reply(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                     void *context) {
    unsigned *count = context;
    Noctua__Reply *reply = noctua__reply__unpack(NULL, size_bytes, payload);
    assert(type == FRAME_RESPONSE && reply != NULL && reply->version == 1);
    assert(text_is_utf8(reply->message, strlen(reply->message)));
    assert((reply->exit_code == 0) == (reply->error_code[0] == '\0'));
    if (reply->document[0] != '\0') {
        json_error_t problem;
        json_t *document = json_loads(reply->document, JSON_DECODE_ANY, &problem);
        assert(document != NULL);
        json_decref(document);
    }
    noctua__reply__free_unpacked(reply, NULL);
    *count += 1;
    return true;
}

static unsigned count_replies(const struct tls_stream *stream) {
    struct frame_parser parser;
    struct error error;
    unsigned count = 0;
    frame_parser_init(&parser, FRAME_SET(FRAME_RESPONSE), 0);
    if (stream->output.size_bytes > 0) {
        assert(frame_parser_feed(&parser, stream->output.data, stream->output.size_bytes, on_reply,
                                 &count, &error) == ERROR_OK);
    }
    frame_parser_finish(&parser);
    return count;
}

static void send_frame(struct tls_stream *stream, const uint8_t *data, size_t size) {
    uint8_t header[FRAME_HEADER_BYTES];
    frame_encode_header(FRAME_REQUEST, size, header);
    streams_say(stream, header, sizeof header);
    streams_say(stream, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct api_server *server = make_server();
    uint8_t mode = fuzz_take(&data, &size);
    struct tls_peer peer = {.kind = TLS_KIND_USER, .role = (enum tls_role)(mode % 4)};
    (void)TEXT_COPY(peer.name, "alice");
    (void)TEXT_COPY(peer.cluster, "noctua");
    (void)TEXT_COPY(peer.owners, (mode & 8) != 0 ? "platform" : "");
    const struct group *begins = midlife_group((enum midlife)((mode >> 4) % MIDLIFE_COUNT));
    group = *begins;
    group.state = fuzz_fresh(begins->state, sizeof *group.state);
    place = (mode & 4) != 0 ? 2 : 1; /* n2 leads */
    struct tls_stream *stream = streams_create(&peer);
    streams_listener.on_stream(NULL, stream, &stream->peer, streams_listener.context);
    send_frame(stream, data, size);
    complete_all(server);
    unsigned replies = count_replies(stream);
    bool watches = ((struct api_client *)stream->context)->watch.open;
    assert(stream->closing || watches || replies == 1);
    streams_end(stream, true);
    assert(api_server_request_count(server) == 0);
    return 0;
}
