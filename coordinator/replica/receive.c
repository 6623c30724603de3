/* Messages in. The library asserts on many things that only a peer in error could send, so what it
 * would not survive is dropped here, with a line in the log. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "codec/lease_codec.h"
#include "codec/report_codec.h"
#include "replica_private.h"

#define COMPLAINT_INTERVAL_MS 10000

/* One line a peer and interval, with how many there were. */
static void complain(struct replica *replica, struct peer *peer, const char *what) {
    uint64_t now_ms = clock_boottime_ms(replica->clock);
    peer->complaint_count++;
    if (peer->complaint_ms != 0 && now_ms - peer->complaint_ms < COMPLAINT_INTERVAL_MS) {
        return;
    }
    peer->complaint_ms = now_ms;
    LOG_EVENT(RAFT_MESSAGE_DROPPED, LOG_TEXT("peer", peer->config.name), LOG_TEXT("why", what),
              LOG_U64("count", peer->complaint_count));
}

const char *replica_find_impossible(struct replica *replica, const struct raft_message *message,
                                    uint64_t from) {
    raft_term term = raft_current_term(&replica->raft);
    bool leads = raft_state(&replica->raft) == RAFT_LEADER;
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        return message->request_vote.candidate_id != from ? "asks for another node's vote" : NULL;
    case RAFT_REQUEST_VOTE_RESULT:
        return message->request_vote_result.vote_granted &&
                       message->request_vote_result.term > term + 1
                   ? "grants a vote that nobody asked for"
                   : NULL;
    case RAFT_APPEND_ENTRIES:
        return leads && message->append_entries.term == term ? "claims to lead our own term" : NULL;
    case RAFT_INSTALL_SNAPSHOT:
        return leads && message->install_snapshot.term == term ? "claims to lead our own term"
                                                               : NULL;
    default:
        return NULL;
    }
}

static void note_contact(struct replica *replica, struct peer *peer,
                         const struct raft_message *message) {
    raft_term term = raft_current_term(&replica->raft);
    uint64_t now_ms = clock_boottime_ms(replica->clock);
    uint64_t leader_term = 0;
    if (message->type == RAFT_APPEND_ENTRIES_RESULT &&
        message->append_entries_result.term == term) {
        peer->contact_ms = now_ms;
    } else if (message->type == RAFT_APPEND_ENTRIES) {
        leader_term = message->append_entries.term;
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        leader_term = message->install_snapshot.term;
    }
    if (leader_term != 0 && leader_term >= term) {
        if (leader_term > replica->heard_term) {
            replica->heard_commit = 0;
        }
        replica->heard_term = leader_term;
        replica->heard_leader = peer->config.id;
        replica->heard_ms = now_ms;
        if (message->type == RAFT_APPEND_ENTRIES &&
            message->append_entries.leader_commit > replica->heard_commit) {
            replica->heard_commit = message->append_entries.leader_commit;
        }
    }
}

static void receive_raft(struct replica *replica, struct peer *peer, enum peers_message type,
                         const uint8_t *payload, size_t size_bytes) {
    struct raft_message message;
    struct error error;
    if (wire_decode(payload, size_bytes, &message, &error) != ERROR_OK) {
        complain(replica, peer, error.message);
        return;
    }
    message.server_id = peer->config.id;
    message.server_address = peer->config.name;
    const char *impossible = replica_find_impossible(replica, &message, peer->config.id);
    if (impossible == NULL &&
        (type == PEERS_MESSAGE_SNAPSHOT) != (message.type == RAFT_INSTALL_SNAPSHOT)) {
        impossible = "a snapshot in the wrong kind of frame";
    }
    if (impossible != NULL) {
        complain(replica, peer, impossible);
        wire_release(&message);
        return;
    }
    note_contact(replica, peer, &message);
    replica_deliver(replica, &message);
}

static void receive_report(struct replica *replica, struct peer *peer, const uint8_t *payload,
                           size_t size_bytes) {
    struct error error;
    if (replica->leadership.phase != LEADERSHIP_ANNOUNCED || replica->callbacks.on_report == NULL) {
        return;
    }
    if (replica->received_report == NULL) {
        replica->received_report = calloc(1, sizeof *replica->received_report);
        if (replica->received_report == NULL) {
            return; /* the next one comes in a second */
        }
    }
    if (codec_decode_report(payload, size_bytes, replica->received_report, &error) != ERROR_OK) {
        complain(replica, peer, error.message);
    } else if (replica->received_report->node_id != peer->config.id) {
        complain(replica, peer, "reports for another node");
    } else {
        replica->callbacks.on_report(replica->callbacks.context, replica->received_report);
    }
}

static void receive_lease(struct replica *replica, struct peer *peer, const uint8_t *payload,
                          size_t size_bytes) {
    struct error error;
    struct lease_answer answer;
    if (codec_decode_lease(payload, size_bytes, &answer, &error) != ERROR_OK) {
        complain(replica, peer, error.message);
    } else if (replica->callbacks.on_lease != NULL) {
        replica->callbacks.on_lease(replica->callbacks.context, &answer);
    }
}

void replica_on_message(uint64_t id, enum peers_message type, const uint8_t *payload,
                        size_t size_bytes, void *context) {
    struct replica *replica = context;
    struct peer *peer = replica_find_peer(replica, id);
    if (peer == NULL || replica_is_mute(replica)) {
        return;
    }
    switch (type) {
    case PEERS_MESSAGE_RAFT:
    case PEERS_MESSAGE_SNAPSHOT:
        receive_raft(replica, peer, type, payload, size_bytes);
        break;
    case PEERS_MESSAGE_REPORT:
        receive_report(replica, peer, payload, size_bytes);
        break;
    case PEERS_MESSAGE_LEASE:
        receive_lease(replica, peer, payload, size_bytes);
        break;
    default:
        complain(replica, peer, "a kind of message that isn't used");
        break;
    }
    replica_observe(replica);
}

void replica_send_report(struct replica *replica, const struct report *report) {
    raft_id leader = 0;
    const char *address = NULL;
    struct error error;
    if (replica_is_mute(replica) || !replica->started) {
        return;
    }
    raft_leader(&replica->raft, &leader, &address);
    if (leader == replica->id) {
        if (replica->own_reports == NULL) {
            replica->own_reports = calloc(1, sizeof *replica->own_reports);
        }
        if (replica->own_reports != NULL) {
            report_copy(replica->own_reports, report);
            replica->has_own_report = true;
            replica_wake(replica);
        }
        return;
    }
    if (leader == 0) {
        return;
    }
    struct buffer bytes;
    buffer_init(&bytes, CODEC_REPORT_SIZE_MAX);
    if (codec_encode_report(report, &bytes, &error) == ERROR_OK) {
        uv_buf_t part = uv_buf_init(bytes.data, (unsigned)bytes.size_bytes);
        replica->transport->send(replica->transport, leader, PEERS_MESSAGE_REPORT, &part, 1, NULL,
                                 NULL);
    } else {
        LOG_EVENT(REPORT_NOT_SENT, LOG_TEXT("why", error.message));
    }
    buffer_finish(&bytes);
}

void replica_send_lease(struct replica *replica, uint64_t id, const struct lease_answer *answer) {
    struct buffer bytes;
    struct error error;
    if (replica_is_mute(replica) || !replica->started) {
        return;
    }
    buffer_init(&bytes, CODEC_LEASE_SIZE_MAX);
    if (codec_encode_lease(answer, &bytes, &error) == ERROR_OK) {
        uv_buf_t part = uv_buf_init(bytes.data, (unsigned)bytes.size_bytes);
        replica->transport->send(replica->transport, id, PEERS_MESSAGE_LEASE, &part, 1, NULL, NULL);
    } else {
        LOG_EVENT(LEASE_NOT_SENT, LOG_TEXT("why", error.message));
    }
    buffer_finish(&bytes);
}

void replica_deliver_own_report(struct replica *replica) {
    if (!replica->has_own_report || replica_is_mute(replica)) {
        return;
    }
    replica->has_own_report = false;
    if (replica->leadership.phase == LEADERSHIP_ANNOUNCED && replica->callbacks.on_report != NULL) {
        replica->callbacks.on_report(replica->callbacks.context, replica->own_reports);
    }
}
