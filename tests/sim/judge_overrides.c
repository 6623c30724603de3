/* Invariant 8, by a book of the judge's own: what people have forbidden, as the log's commands have
 * it, until it has run out by committed time or a command has ended it. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "entry.h"
#include "judge_private.h"

/* --- the commands of the log, one at a time --- */

void judged_forget_entry(struct applied_entry *entry) {
    for (uint32_t i = 0; i < entry->command_count; i++) {
        codec_batch_finish(&entry->commands[i]);
    }
    free(entry->commands);
    *entry = (struct applied_entry){0};
}

/* What a proposer has put together is one entry. */
void judged_read_entry(const void *entry, size_t entry_bytes, struct applied_entry *ret) {
    struct entry_reader reader;
    if (entry_read_head(&reader, entry, entry_bytes, NULL) != ERROR_OK) {
        abort();
    }
    ret->commands = calloc(reader.head.count + 1, sizeof ret->commands[0]);
    if (ret->commands == NULL) {
        abort();
    }
    for (uint32_t i = 0; i < reader.head.count; i++) {
        const void *bytes;
        size_t size_bytes;
        if (entry_read_command(&reader, &bytes, &size_bytes, NULL) != ERROR_OK ||
            codec_decode_batch(bytes, size_bytes, &ret->commands[i], NULL) != ERROR_OK) {
            abort();
        }
        ret->command_count++;
    }
}

/* The command that was just applied for the first time; NULL: it isn't known which it was. */
static const struct command *applied_command(struct judged *judged, const struct sim_node *node,
                                             const struct state *state) {
    struct applied_entry *kept = &judged->entry;
    uint64_t log_index;
    const struct disk_entry *entry = judged_applied_entry(node, &log_index);
    bool follows = state->applied_index == judged->last_index + 1;
    if (entry == NULL || !follows) {
        judged_forget_entry(kept); /* in the middle of one, perhaps */
        kept->log_index = entry == NULL ? 0 : log_index;
        return NULL;
    }
    if (kept->log_index != log_index) {
        judged_forget_entry(kept);
        judged_read_entry(entry->bytes, entry->size_bytes, kept);
        kept->log_index = log_index;
        kept->first_index = state->applied_index;
    }
    uint64_t at = state->applied_index - kept->first_index;
    for (uint32_t i = 0; i < kept->command_count; i++) {
        if (at < kept->commands[i].count) {
            return kept->commands[i].commands[at];
        }
        at -= kept->commands[i].count;
    }
    return NULL;
}

/* --- the book --- */

static bool names_the_same(const struct override *held, const struct command_override *c) {
    return held->kind == c->kind && text_equal(held->service, c->service) &&
           text_equal(held->region, c->region);
}

static bool is_in_force(const struct state *state, const struct override *held) {
    for (uint32_t i = 0; i < state->override_count; i++) {
        const struct override *other = &state->overrides[i];
        if (other->index == held->index && other->kind == held->kind &&
            other->until_ms == held->until_ms && text_equal(other->service, held->service) &&
            text_equal(other->region, held->region)) {
            return true;
        }
    }
    return false;
}

/* The command was accepted: the group's events say so. */
static bool has_happened(const struct state *state, enum event_kind kind) {
    for (uint64_t i = state->event_count; i-- > 0 && state->event_count - i <= EVENT_MAX;) {
        const struct event *event = &state->events[i % EVENT_MAX];
        if (event->index != state->applied_index) {
            return false;
        }
        if (event->kind == kind) {
            return true;
        }
    }
    return false;
}

static void add(struct judged *judged, const struct override *held) {
    if (judged->override_count < OVERRIDE_MAX) {
        judged->overrides[judged->override_count++] = *held;
    }
}

static void enter(struct judged *judged, const struct state *state,
                  const struct command_override *c) {
    struct override held = {.kind = c->kind, .until_ms = c->until_ms};
    held.index = state->applied_index;
    (void)TEXT_COPY(held.service, c->service);
    (void)TEXT_COPY(held.region, c->region);
    add(judged, &held);
}

/* What has run out, or was taken back by `end` (NULL: nothing was). */
static void strike(struct judged *judged, const struct state *state,
                   const struct command_override *end) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < judged->override_count; i++) {
        const struct override *held = &judged->overrides[i];
        bool over = held->until_ms != 0 && held->until_ms <= state->time_ms;
        if (!over && (end == NULL || !names_the_same(held, end))) {
            judged->overrides[kept++] = *held;
        }
    }
    judged->override_count = kept;
}

/* 7: a person approves of the epoch that would come next, not of one that has come meanwhile. */
static void judge_approval(struct sim *sim, const struct state *state,
                           const struct command_choice *c) {
    uint32_t service = state_find_service(state, c->service);
    if (has_happened(state, EVENT_APPROVED) &&
        c->epoch != sim->judged->services[service].last_epoch + 1) {
        sim_broken(sim, "one approval a window (7)", "epoch %llu of %s was approved after %llu",
                   (unsigned long long)c->epoch, c->service,
                   (unsigned long long)sim->judged->services[service].last_epoch);
    }
}

void judge_overrides(const struct sim_node *node, const struct state *state) {
    struct judged *judged = node->sim->judged;
    const struct command *command = applied_command(judged, node, state);
    if (command == NULL) { /* others have been applied that nobody here has seen */
        judged->override_count = 0;
        for (uint32_t i = 0; i < state->override_count; i++) {
            add(judged, &state->overrides[i]);
        }
    }
    bool ends = command != NULL && command->kind == COMMAND_OVERRIDE_END &&
                has_happened(state, EVENT_OVERRIDE_END);
    strike(judged, state, ends ? &command->override : NULL);
    if (command != NULL && command->kind == COMMAND_OVERRIDE &&
        has_happened(state, EVENT_OVERRIDE)) {
        enter(judged, state, &command->override);
    }
    if (command != NULL && command->kind == COMMAND_APPROVE) {
        judge_approval(node->sim, state, &command->choice);
    }
    for (uint32_t i = 0; i < judged->override_count; i++) {
        const struct override *held = &judged->overrides[i];
        if (!is_in_force(state, held)) {
            sim_broken(node->sim, "none ends early (8)", "the %s of %llu, gone at %llu",
                       override_kind_text(held->kind), (unsigned long long)held->index,
                       (unsigned long long)state->applied_index);
        }
    }
}

bool judged_is_forbidden(const struct judged *judged, const struct state *state,
                         const struct service *service) {
    for (uint32_t i = 0; i < judged->override_count; i++) {
        const struct override *held = &judged->overrides[i];
        const char *from = state->spec.regions[service->execution.from].name;
        const char *to = state->spec.regions[service->execution.to].name;
        bool covers = held->service[0] == '\0' || text_equal(held->service, service->name);
        bool there = held->kind != OVERRIDE_MAINTENANCE || text_equal(held->region, from) ||
                     text_equal(held->region, to);
        if (covers && there) {
            return true;
        }
    }
    return false;
}
