/* What people and tools read, as JSON: one builder a document, used by /status and the client API;
 * the CLI renders its tables from these. Pure: facts in, a new reference to a JSON value out (the
 * caller's; NULL: no memory). Keys are stable: new ones may come, none changes its meaning.
 * Times are ISO 8601 UTC text where people read them (`*_at`), durations are milliseconds (`*_ms`).
 * A field without a value is null, never absent. */
/* clang-format off
 *
 * status    {cluster, leader, node, term, applied_index, wall_at, stale, age_ms,
 *           nodes {seen, total}, automation "on"|"off"|"halted", spare_observers,
 *           services [{name, owner, active, epoch, mode, state, target, lag_ms,
 *           if_active_died, suspect_region, confirming_ms, confirm_ms}]}
 *           state, the first that holds of: moving not-adopted released half-moved vetoed paused
 *           blocked confirming suspect maintenance ok.
 *           spare_observers: node regions that can be lost before no verdict is possible any more;
 *           -1: none is possible now
 * service   {name, owner, active, epoch, mode, home, targets [], state, half_moved,
 *           nodes [{name, region}], regions [{name, role, active, verdict,
 *           votes {down, up, degraded, unknown, need}, opinions [text by place in nodes; "silent"],
 *           worst {check, code, failing_ms}}],
 *           suspect {region, since_at, confirming_ms, confirm_ms, moves_to, moves_at, note,
 *           rejected, approved_by}, execution, overrides [], debts [], sentence,
 *           mongo {name, read, primary, primary_region, config_version, config_term,
 *           config_committed, oplog_window_s, write_age_ms, write_took_ms, writes_per_s,
 *           write_trouble, member_total, voters, voters_answering, majority,
 *           members [{id, host, region, state, writable, lag_ms, lag_age_ms, age_ms, priority,
 *           votes, hidden, arbiter, delay_s, sync_source, version, trouble, kept_out,
 *           rollback_age_ms, silent_in_rollback}],
 *           left_out [host], imposing [host]}, null without a set; choices [command or words]}
 *           read false: nobody has read its config, members are the seeds. kept_out: without a vote
 *           since a forced reconfiguration; left_out: out of the set since one; imposing: of
 *           these, whose config would win. choices: while the
 *           set has lost its majority
 * execution {epoch, kind, phase, result, from, to, actor, reason, automatic, began_at, ended_at,
 *           took_ms, skipped [], declared_dead [host], steps [{index, name, kind, target, phase,
 *           attempts, needs [], eid, detail, trouble, started_at, ended_at, took_ms}]}
 * explain   {service, state, headline, to, gates [{gate, value, limit, result, doc}], passing,
 *           failing [], evidence [index],
 *           cited [{node, boot, sequence, down, first_index, last_index, suspect_age_ms}],
 *           choices [command], execution, sent, loss, plan (of the move asked for)}
 * plan      {service, kind, from, to, epoch {old, new}, plan, rto_ms,
 *           steps [{name, target, now, then, needs []}], gates [..], passing, total, failing [],
 *           skipped [], choices [], forced {asked, left_out [{host, region}], lag_ms,
 *           primary_age_ms, sentences [text]}, loss}
 *           forced: null unless members were declared dead.
 *           loss {case, acked, lag_ms, age_ms, writes, text}: of the set's writes; null: nobody is
 *           promoted. acked: also what a majority acknowledged
 * ready     {service, from, to, ready, rows [{what, value, limit, result}]}
 *           result: pass, FAIL, skipped or warning
 * moved     (the answer to a move) what `plan` has, and {index, repeated, execution}
 * findings  {file, findings [{severity, line, column, message}], errors, warnings, left_out,
 *           services {added [], removed [], changed []}}
 * history   {moves [{epoch, at, service, from, to, kind, by, took_ms, case, lost, lost_ms,
 *           lost_writes, result, reason, index, gates [..], plan}], events [event]}
 *           case: what the promotion came to: there, handover, election or forced; null: nothing
 *           was promoted, and of the following nothing is said. lost: in words, what a majority had
 *           acknowledged that might be gone, as the decision reckoned it; lost_ms, lost_writes:
 *           the same in figures, null where unknown
 * event     {number, index, at, kind, service, region, to, subject, epoch, value, actor, detail,
 *           text}
 * nodes     {nodes [{name, region, role, applied_index, behind_ms, control {reachable, total},
 *           certificate_days, version, link}], quorum {need, total}, sentence}
 * version   {version, cluster, node, feature_level, incarnation}
 * spec      {index, at, by, reason, text}
 * revisions {revisions [{index, at, by, reason}]}, newest first
 *
 * clang-format on */
#ifndef API_DOCUMENTS_H
#define API_DOCUMENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/facts.h"
#include "api/preview.h"

json_t *document_status(const struct api_facts *facts);
json_t *document_service(const struct api_facts *facts, uint32_t service);
/* The open or last execution; null when there was none. */
json_t *document_execution(const struct api_facts *facts, uint32_t service);
/* `preview` NULL: about what policy does by itself; else about that move, refused or not. */
json_t *document_explain(const struct api_facts *facts, uint32_t service,
                         const struct move_preview *preview);
/* The move that readiness is about: to that region, or (NONE_INDEX) to the one that policy would
 * choose, or else to the first that it might. Codes as preview_move. */
enum core_error document_ready_move(const struct api_facts *facts, uint32_t service, uint32_t to,
                                    struct move_preview *ret);
/* Whether that could be carried out now; *ret_ready: nothing is FAIL. */
json_t *document_ready(const struct api_facts *facts, const struct move_preview *preview,
                       bool *ret_ready);
json_t *document_plan(const struct api_facts *facts, const struct move_preview *preview);

#define HISTORY_EVENT_MAX 1024 /* rows of events a document */

struct history_query {
    const char *service; /* NULL: all */
    uint64_t epoch;      /* 0: all */
    bool with_events;
    uint32_t limit; /* moves; 0: all that are kept */
};

json_t *document_history(const struct api_facts *facts, const struct history_query *query);
json_t *document_nodes(const struct api_facts *facts);
json_t *document_version(const struct api_facts *facts);
json_t *document_spec(const struct spec_revision *revision);
json_t *document_revisions(const struct api_facts *facts);

/* `number` counts events from 1, ever: the newest is state->event_count. */
json_t *document_event(const struct event *event, uint64_t number);
/* The kept event of that number, or NULL. */
const struct event *document_find_event(const struct state *state, uint64_t number);

/* One line for a page: the service's replica set has lost its majority, and what to type if the
 * silent members are dead. False: it has not, or none is known. */
bool document_majority_line(const struct api_facts *facts, uint32_t service, char *text,
                            size_t size);

/* The word of a service's state, as in `status`. */
const char *document_service_state(const struct api_facts *facts, uint32_t service);
/* Value and limit of a gate as people read them: "down, votes 2", "44s", "94s (51s old)". */
#define GATE_TEXT_SIZE 64
void document_gate_value(enum gate gate, const struct gate_reading *reading,
                         char text[GATE_TEXT_SIZE]);
void document_gate_limit(enum gate gate, const struct gate_reading *reading,
                         char text[GATE_TEXT_SIZE]);

#endif
