/* Small pieces that the documents share. */
#ifndef API_DOCUMENT_PARTS_H
#define API_DOCUMENT_PARTS_H

#include <jansson.h>

#include "api/documents.h"
#include "base/buffer.h"
#include "base/clock.h"

/* Takes the value over; NULL becomes null. */
void document_set(json_t *object, const char *key, json_t *value);
void document_append(json_t *array, json_t *value);
/* A string; null for NULL and "". Bytes that aren't UTF-8 (cut in a letter, say) become '?'. */
json_t *document_text(const char *text);
/* A line that was put together; null when there was no memory for all of it. */
json_t *document_line(const struct buffer *line);
json_t *document_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
json_t *document_number(uint64_t value);
/* UINT64_MAX: null. */
json_t *document_known(uint64_t value);
json_t *document_bool(bool value);
/* ISO 8601; 0: null. */
json_t *document_time(uint64_t wall_ms);
/* The region's name; null for NONE_INDEX. */
json_t *document_region(const struct state *state, uint32_t region);
const char *document_region_name(const struct state *state, uint32_t region); /* "": none */

/* As people say it, rounded down: "420ms", "1.8s", "44s", "3m20s", "2h5m", "3d". */
#define DURATION_TEXT_SIZE 32
char *document_duration(uint64_t ms, char text[DURATION_TEXT_SIZE]);

/* "03:07:41Z" */
char *document_clock(uint64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

/* What to read gates with: the leader's memory, or none of it. */
const struct policy_input *document_policy(const struct api_facts *facts,
                                           struct policy_input *nothing);

/* The leader has a report of this node that is not too old; on another node: the link is up. */
bool document_node_is_seen(const struct api_facts *facts, uint32_t node);
/* The node's last usable report as this node has it, or NULL. */
const struct report *document_report(const struct api_facts *facts, uint32_t node);

/* When the open window can end in a move by itself: from now; UINT64_MAX: not known, or not at all.
 */
uint64_t document_moves_in_ms(const struct api_facts *facts, uint32_t service,
                              const struct move_preview *preview);

/* How long the open window is confirmed by a majority (leader) or this node's own stopwatch;
 * UINT64_MAX: not known. */
uint64_t document_confirming_ms(const struct api_facts *facts, uint32_t service);

/* [{gate, value, limit, result, doc}], and the count of those that pass of those that apply. */
json_t *document_gates(const struct gate_reading gates[GATE_COUNT], uint32_t *ret_passing,
                       uint32_t *ret_total);
/* The words of gates given as bits. */
json_t *document_gate_words(uint32_t bits);

/* Where a step works: "nocturnal.com", "nocturnal.com and 2 more", the fence, the service; "rs0",
 * and for a promotion in region `to` the member, by the view. */
json_t *document_step_target(const struct state *state, uint32_t service, enum step_kind kind,
                             uint32_t zone, uint32_t debt, const struct mongo_view *view,
                             uint32_t to);

#endif
