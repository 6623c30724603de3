#include "ledger.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"
#include "record_json.h"
#include "record_rules.h"

struct ledger {
    FILE *file;
    const struct clock *clock;
    uint64_t last_seq;
    json_t *kept; /* array, oldest first */
};

enum error_code ledger_open(const char *path, const struct clock *clock, struct ledger **ret_ledger,
                            struct error *error) {
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return error_set(error, ERROR_IO, "can't open the ledger %s: %s", path, strerror(errno));
    }
    struct ledger *ledger = alloc_zeroed(1, sizeof(*ledger));
    ledger->file = file;
    ledger->clock = clock;
    ledger->kept = json_array();
    *ret_ledger = ledger;
    return ERROR_OK;
}

void ledger_close(struct ledger *ledger) {
    if (ledger == NULL) {
        return;
    }
    (void)fclose(ledger->file);
    json_decref(ledger->kept);
    free(ledger);
}

void ledger_write(struct ledger *ledger, json_t *entry) {
    assert(entry != NULL);
    json_t *line = json_pack("{s:I,s:I,s:I}", "seq", (json_int_t)++ledger->last_seq, "t_ms",
                             (json_int_t)clock_wall_ms(ledger->clock), "mono_ms",
                             (json_int_t)clock_boottime_ms(ledger->clock));
    json_object_update(line, entry);
    json_decref(entry);
    char *text = json_dumps(line, JSON_COMPACT);
    assert(text != NULL);
    /* A ledger that can't be written would let a wrong world pass as right. */
    if (fprintf(ledger->file, "%s\n", text) < 0 || fflush(ledger->file) != 0) {
        perror("noctua-world: ledger");
        abort();
    }
    free(text);
    if (json_array_size(ledger->kept) >= LEDGER_KEPT_MAX) {
        json_array_remove(ledger->kept, 0);
    }
    json_array_append_new(ledger->kept, line);
}

json_t *ledger_dump(const struct ledger *ledger, uint64_t since) {
    json_t *entries = json_array();
    size_t i = 0;
    json_t *entry = NULL;
    json_array_foreach(ledger->kept, i, entry) {
        if (json_integer_value(json_object_get(entry, "seq")) > (json_int_t)since) {
            json_array_append(entries, entry);
        }
    }
    return entries;
}

static bool ledger_is_fence(const struct record_set *set) {
    return set->type == RECORD_TXT && text_starts_with(set->name, LEDGER_FENCE_PREFIX);
}

/* The text of a TXT set without quotes and escapes; null when there is none. */
static json_t *ledger_fence_text(const struct record_set *set) {
    unsigned char bytes[RECORD_TXT_STRING_MAX];
    char text[RECORD_VALUE_CHARACTERS_MAX + 1];
    size_t length = 0;
    int part = 0;
    if (set == NULL || set->value_count == 0) {
        return json_null();
    }
    const char *cursor = set->values[0];
    while ((part = record_rules_next_txt_string(&cursor, bytes)) >= 0) {
        memcpy(text + length, bytes, (size_t)part); /* never longer than the value itself */
        length += (size_t)part;
    }
    json_t *json = json_stringn(text, length);
    return json != NULL ? json : json_string(set->values[0]); /* not UTF-8 */
}

static json_t *ledger_describe_fence(const struct record_set *key, const struct zone_state *before,
                                     const struct zone_state *after) {
    return json_pack("{s:s,s:o,s:o}", "name", key->name, "before",
                     ledger_fence_text(zone_state_find(before, key)), "after",
                     ledger_fence_text(zone_state_find(after, key)));
}

/* Has the list a fence of that name already? */
static bool ledger_has_fence(const json_t *fences, const char *name) {
    size_t i = 0;
    json_t *fence = NULL;
    json_array_foreach(fences, i, fence) {
        if (text_equal(json_string_value(json_object_get(fence, "name")), name)) {
            return true;
        }
    }
    return false;
}

static void ledger_add_fence(json_t *fences, const struct record_set *set,
                             const struct zone_state *before, const struct zone_state *after) {
    if (ledger_is_fence(set) && !ledger_has_fence(fences, set->name)) {
        json_array_append_new(fences, ledger_describe_fence(set, before, after));
    }
}

struct ledger_differences {
    json_t *records;
    json_t *fences;
    const struct zone_state *before;
    const struct zone_state *after;
};

static void ledger_on_difference(void *context, const struct record_set *before,
                                 const struct record_set *after) {
    struct ledger_differences *differences = context;
    const struct record_set *set = before != NULL ? before : after;
    json_array_append_new(differences->records,
                          json_pack("{s:s,s:s,s:o,s:o}", "name", set->name, "type",
                                    record_type_text(set->type), "before", record_json_dump(before),
                                    "after", record_json_dump(after)));
    ledger_add_fence(differences->fences, set, differences->before, differences->after);
}

/* The fences that the change names, or else all that the zone has. */
static void ledger_add_fences(json_t *fences, const struct change_batch *batch,
                              const struct zone_state *before, const struct zone_state *after) {
    for (size_t i = 0; batch != NULL && i < batch->count; i++) {
        ledger_add_fence(fences, batch->changes[i].set, before, after);
    }
    const bool named = json_array_size(fences) > 0;
    for (size_t i = 0; !named && i < after->count; i++) {
        ledger_add_fence(fences, after->sets[i], before, after);
    }
}

json_t *ledger_describe(const char *kind, const struct hosted_zone *zone,
                        const struct change_batch *batch, const struct zone_state *before,
                        const struct zone_state *after) {
    struct ledger_differences differences = {
        .records = json_array(),
        .fences = json_array(),
        .before = before,
        .after = after,
    };
    size_t count = zone_state_compare(before, after, ledger_on_difference, &differences);
    ledger_add_fences(differences.fences, batch, before, after);
    const json_t *first = json_array_get(differences.fences, 0);
    json_t *entry = json_pack(
        "{s:s,s:s,s:b,s:O?,s:O?,s:O?,s:o,s:o}", "kind", kind, "zone", zone->id, "effective",
        (int)(count > 0), "fence_name", json_object_get(first, "name"), "fence_before",
        json_object_get(first, "before"), "fence_after", json_object_get(first, "after"), "fences",
        differences.fences, "records", differences.records);
    assert(entry != NULL);
    return entry;
}
