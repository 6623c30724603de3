/* From bytes to a request, and from an answer to bytes. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "document_memory.h"
#include "server_private.h"

#define REQUEST_VERSION 1

void api_request_end(struct api_request *request) {
    struct api_server *server = request->server;
    if (request->waiting) {
        return;
    }
    assert(request->client == NULL);
    noctua__request__free_unpacked(request->message, NULL);
    free(request->command);
    free(request->spec);
    free(request->preview);
    free(request);
    server->request_count--;
    api_server_settle(server);
}

void api_request_abandon(struct api_request *request) {
    request->client->request = NULL;
    request->client = NULL;
}

bool api_request_resume(struct api_request *request) {
    struct api_client *client = request->client;
    request->waiting = false;
    if (client != NULL && !client->closing) {
        return true;
    }
    if (client != NULL) {
        api_request_abandon(request);
    }
    api_request_end(request);
    return false;
}

/* Reply.document as text, NULL for none; the caller frees it. Too large a one becomes a refusal.
 * False: no memory for all of it. */
static bool render_document(struct answer *answer, char **ret_text) {
    if (answer->document == NULL) {
        *ret_text = NULL;
        return !document_memory_lacked();
    }
    char *text = document_render(answer->document, JSON_COMPACT);
    answer->document = NULL;
    if (text == NULL) {
        return false;
    }
    if (strlen(text) > API_REPLY_MAX_BYTES - 4096) {
        free(text);
        text = NULL;
        answer->exit_code = EXIT_CODE_REFUSED;
        answer->error_code = "LIMIT";
        (void)TEXT_COPY(answer->message, "the answer is too large: ask for less of it");
    }
    *ret_text = text;
    return true;
}

static void send_reply(struct api_client *client, const Noctua__Reply *reply) {
    size_t size = noctua__reply__get_packed_size(reply);
    uint8_t header[FRAME_HEADER_BYTES];
    uint8_t *bytes = malloc(size == 0 ? 1 : size);
    enum error_code code = ERROR_NO_MEMORY;
    if (bytes != NULL) {
        (void)noctua__reply__pack(reply, bytes);
        frame_encode_header(FRAME_RESPONSE, size, header);
        uv_buf_t buffers[] = {uv_buf_init((char *)header, sizeof header),
                              uv_buf_init((char *)bytes, (unsigned)size)};
        code = tls_stream_write(client->stream, buffers, 2, NULL, NULL);
    }
    free(bytes);
    if (code != ERROR_OK) {
        api_client_close(client); /* gone, or it doesn't read what it asked for */
    }
}

void api_session_send(struct api_client *client, uint64_t sequence, struct answer *answer) {
    struct api_facts facts;
    if (client->closing) {
        json_decref(answer->document);
        return; /* the rest of the node may be closing, too */
    }
    client->server->calls.facts(client->server->calls.context, &facts);
    uint32_t leader = state_find_node(facts.state, facts.leader_id);
    /* It quotes what was asked, which is any bytes and cut anywhere; a protobuf string is UTF-8. */
    codec_clean_text(answer->message);
    char *document = NULL;
    if (!render_document(answer, &document)) {
        api_client_close(client); /* half an answer would be a wrong one: it may ask again */
        return;
    }
    Noctua__Reply reply = NOCTUA__REPLY__INIT;
    reply.version = REQUEST_VERSION;
    reply.exit_code = answer->exit_code;
    reply.error_code = (char *)(answer->error_code == NULL ? "" : answer->error_code);
    reply.message = answer->message;
    reply.document = document == NULL ? (char *)"" : document;
    reply.index = answer->index;
    reply.more = answer->more;
    reply.leader_name = (char *)(leader == NONE_INDEX ? "" : facts.state->nodes[leader].name);
    reply.stale = answer->stale;
    reply.sequence = sequence;
    client->active_ms = clock_boottime_ms(&client->server->clock);
    send_reply(client, &reply);
    free(document);
}

void api_request_answer(struct api_request *request, struct answer *answer) {
    struct api_client *client = request->client;
    if (client == NULL) {
        json_decref(answer->document); /* nobody waits any more */
        answer->document = NULL;
        return;
    }
    uint64_t sequence = request->message->sequence;
    api_request_abandon(request);
    api_session_send(client, sequence, answer);
}

void api_request_fail(struct api_request *request, enum exit_code exit_code, const char *error_code,
                      const char *format, ...) {
    struct answer answer = {.exit_code = exit_code, .error_code = error_code};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(answer.message, sizeof answer.message, format, arguments);
    va_end(arguments);
    api_request_answer(request, &answer);
}

void api_request_fail_not_leader(struct api_request *request) {
    struct api_facts facts;
    const struct api_calls *calls = &request->server->calls;
    calls->facts(calls->context, &facts);
    uint32_t leader = state_find_node(facts.state, facts.leader_id);
    const char *name = leader == NONE_INDEX ? NULL : facts.state->nodes[leader].name;
    const char *address = name == NULL || calls->api_address == NULL
                              ? NULL
                              : calls->api_address(calls->context, name);
    if (name == NULL) {
        api_request_fail(request, EXIT_CODE_UNREACHABLE, "NOT_LEADER",
                         "%s knows no leader: is a majority of the nodes up?", facts.node);
    } else if (text_equal(name, facts.node)) {
        api_request_fail(request, EXIT_CODE_UNREACHABLE, "NOT_LEADER",
                         "%s is becoming the leader: ask again", name);
    } else {
        api_request_fail(request, EXIT_CODE_UNREACHABLE, "NOT_LEADER",
                         "%s doesn't lead: ask %s%s%s", facts.node, name,
                         address == NULL ? "" : " at ", address == NULL ? "" : address);
    }
}

/* A command is known by client and number, so that it is done once. */
static bool has_identity(const Noctua__Request *message) {
    return message->client_id.len == sizeof((struct command_origin *)0)->client_id &&
           message->sequence > 0;
}

static void dispatch(struct api_request *request) {
    const Noctua__Request *message = request->message;
    const struct api_client *client = request->client;
    if (message->version != REQUEST_VERSION ||
        message->body_case == NOCTUA__REQUEST__BODY__NOT_SET) {
        api_request_fail(request, EXIT_CODE_INTERNAL, "NOT_SUPPORTED",
                         "this node doesn't know this request: noctuactl is newer than it");
    } else if (client->role == ROLE_NODE || client->role == ROLE_NONE) {
        api_request_fail(request, EXIT_CODE_NOT_AUTHORISED, "ROLE",
                         "a node's certificate may not act here. Use a user's: noctuactl pki "
                         "issue user NAME");
    } else if (api_request_only_asks(message)) {
        api_query_begin(request);
    } else if (!has_identity(message)) {
        api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED",
                         "a command needs a client id of 16 bytes and a sequence above 0");
    } else {
        api_command_begin(request);
    }
}

/* One at a time, and none is so large: such a client is not ours. */
static bool is_welcome(const struct api_client *client, size_t size_bytes) {
    return client->request == NULL && !client->watch.open && size_bytes <= API_REQUEST_MAX_BYTES;
}

/* Handles one whole frame; false: the connection is done for. */
static bool on_frame(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                     void *context) {
    struct api_client *client = context;
    (void)type;
    struct api_request *request =
        is_welcome(client, size_bytes) ? calloc(1, sizeof *request) : NULL;
    if (request != NULL) {
        request->message = noctua__request__unpack(NULL, size_bytes, payload);
    }
    if (request == NULL || request->message == NULL) {
        free(request);
        api_client_close(client);
        return false;
    }
    request->server = client->server;
    request->client = client;
    request->begun_ms = clock_boottime_ms(&client->server->clock);
    client->request = request;
    client->active_ms = request->begun_ms;
    client->server->request_count++;
    dispatch(request);
    api_request_end(request);
    return !client->closing;
}

void api_session_take(struct api_client *client, const void *bytes, size_t size_bytes) {
    struct error error;
    if (frame_parser_feed(&client->parser, bytes, size_bytes, on_frame, client, &error) !=
        ERROR_OK) {
        api_client_close(client);
    }
}
