#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "codec/state_codec.h"
#include "core/command.h"
#include "fill.h"
#include "mutate.h"
#include "noctua.pb-c.h"
#include "state_scene.h"
#include "tables.h"

static void encode(const struct state *state, struct buffer *ret) {
    struct error error;
    buffer_init(ret, 0);
    if (codec_encode_state(state, ret, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
}

static void states_come_back(void **context) {
    (void)context;
    struct state *into = malloc(sizeof *into);
    assert_non_null(into);
    memset(into, 0x5a, sizeof *into); /* nothing of what was there may stay */
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct state *state = state_scene_create(seed, seed == 12 ? 5000 : 4);
        struct buffer bytes, again;
        encode(state, &bytes);
        struct error error;
        if (codec_decode_state(bytes.data, bytes.size_bytes, into, false, &error) != ERROR_OK) {
            fail_msg("seed %u: %s", (unsigned)seed, error.message);
        }
        assert_memory_equal(state, into, sizeof *state);
        encode(into, &again);
        assert_int_equal(bytes.size_bytes, again.size_bytes);
        assert_memory_equal(bytes.data, again.data, again.size_bytes);
        uint8_t one[32], other[32];
        codec_state_digest(state, one);
        codec_state_digest(into, other);
        assert_memory_equal(one, other, 32);
        buffer_finish(&bytes);
        buffer_finish(&again);
        free(state);
    }
    free(into);
}

static void an_empty_state_comes_back(void **context) {
    (void)context;
    struct state *state = calloc(1, sizeof *state);
    struct state *into = calloc(1, sizeof *into);
    assert_true(state != NULL && into != NULL);
    state_init(state);
    struct buffer bytes;
    encode(state, &bytes);
    assert_int_equal(codec_decode_state(bytes.data, bytes.size_bytes, into, false, NULL), ERROR_OK);
    assert_memory_equal(state, into, sizeof *state);
    buffer_finish(&bytes);
    free(state);
    free(into);
}

/* As a node reads its own snapshot when it starts. */
static void a_new_state_needs_no_clearing(void **context) {
    (void)context;
    struct state *state = state_scene_create(1, 4);
    struct state *used = state_scene_create(2, 4);
    struct state *into = calloc(1, sizeof *into);
    assert_non_null(into);
    state_init(into);
    struct buffer bytes;
    encode(state, &bytes);
    assert_int_equal(codec_decode_state(bytes.data, bytes.size_bytes, into, true, NULL), ERROR_OK);
    assert_int_equal(codec_decode_state(bytes.data, bytes.size_bytes, used, false, NULL), ERROR_OK);
    assert_memory_equal(into, used, sizeof *into);
    buffer_finish(&bytes);
    free(state);
    free(used);
    free(into);
}

struct flip {
    struct state *state;
    uint8_t before[32];
    uint32_t count;
};

static void flip_one(void *context, const char *path, const struct bind_row *row, void *core,
                     void *at) {
    struct flip *flip = context;
    char held[SPEC_TEXT_MAX];
    uint32_t held_count = 0;
    memcpy(held, at, row->size);
    if (row->kind == BIND_BYTES) {
        memcpy(&held_count, (char *)core + row->count, sizeof held_count);
    }
    if (!fill_change(row, core, at)) {
        return;
    }
    uint8_t after[32];
    codec_state_digest(flip->state, after);
    if (memcmp(after, flip->before, sizeof after) == 0) {
        fail_msg("state%s is not in the digest", path);
    }
    memcpy(at, held, row->size);
    if (row->kind == BIND_BYTES) {
        memcpy((char *)core + row->count, &held_count, sizeof held_count);
    }
    flip->count++;
}

static void every_value_is_in_the_digest(void **context) {
    (void)context;
    struct flip flip = {.state = state_scene_create(77, 2)};
    codec_state_digest(flip.state, flip.before);
    fill_visit(&state_table, flip.state, "", flip_one, &flip);
    print_message("changed %u values, one by one\n", flip.count);
    assert_true(flip.count > 1000);
    uint8_t after[32];
    codec_state_digest(flip.state, after);
    assert_memory_equal(after, flip.before, 32);
    free(flip.state);
}

/* The order of an array is part of the state, and so is the place of a ring's beginning. */
static void rings_keep_their_order(void **context) {
    (void)context;
    struct state *state = calloc(1, sizeof *state);
    struct state *into = calloc(1, sizeof *into);
    assert_true(state != NULL && into != NULL);
    state_init(state);
    state->event_count = EVENT_MAX + 3;
    for (uint32_t i = 0; i < EVENT_MAX; i++) {
        uint64_t index = i < 3 ? EVENT_MAX + i : i;
        state->events[i].index = index;
    }
    struct buffer bytes;
    encode(state, &bytes);
    assert_int_equal(codec_decode_state(bytes.data, bytes.size_bytes, into, false, NULL), ERROR_OK);
    assert_memory_equal(state, into, sizeof *state);
    const Noctua__Snapshot *wire =
        noctua__snapshot__unpack(NULL, bytes.size_bytes, (uint8_t *)bytes.data);
    assert_non_null(wire);
    assert_int_equal(wire->state->n_events, EVENT_MAX);
    assert_int_equal(wire->state->events[0]->index, 3);
    assert_int_equal(wire->state->events[EVENT_MAX - 1]->index, EVENT_MAX + 2);
    noctua__snapshot__free_unpacked((Noctua__Snapshot *)(uintptr_t)wire, NULL);
    buffer_finish(&bytes);
    free(state);
    free(into);
}

static enum error_code decode_changed(const struct state *state,
                                      void (*change)(Noctua__Snapshot *wire), struct error *error) {
    struct buffer bytes;
    encode(state, &bytes);
    Noctua__Snapshot *wire =
        noctua__snapshot__unpack(NULL, bytes.size_bytes, (uint8_t *)bytes.data);
    assert_non_null(wire);
    change(wire);
    size_t size = noctua__snapshot__get_packed_size(wire);
    uint8_t *changed = malloc(size);
    assert_non_null(changed);
    noctua__snapshot__pack(wire, changed);
    noctua__snapshot__free_unpacked(wire, NULL);
    struct state *into = calloc(1, sizeof *into);
    assert_non_null(into);
    enum error_code code = codec_decode_state(changed, size, into, false, error);
    free(into);
    free(changed);
    buffer_finish(&bytes);
    return code;
}

static void newer_version(Noctua__Snapshot *wire) {
    wire->version = CODEC_SNAPSHOT_VERSION + 1;
}
static void no_version(Noctua__Snapshot *wire) {
    wire->version = 0;
}
static void newer_level(Noctua__Snapshot *wire) {
    wire->feature_level = FEATURE_LEVEL_NEWEST + 1;
}
static void other_level(Noctua__Snapshot *wire) {
    wire->feature_level = 0;
}
static void no_change(Noctua__Snapshot *wire) {
    (void)wire;
}
static void fewer_services(Noctua__Snapshot *wire) {
    noctua__service__free_unpacked(wire->state->services[1], NULL);
    wire->state->n_services = 1;
}
static void ring_out_of_step(Noctua__Snapshot *wire) {
    wire->state->event_count++;
}
static void two_active(Noctua__Snapshot *wire) {
    wire->state->services[0]->active = NONE_INDEX;
}
static void no_such_home(Noctua__Snapshot *wire) {
    wire->state->spec->services[0]->home = 3;
}
static void no_such_zone(Noctua__Snapshot *wire) {
    for (size_t i = 0; i < wire->state->spec->services[0]->n_records; i++) {
        wire->state->spec->services[0]->records[i]->zone = ZONE_MAX - 1;
    }
}

static void broken_snapshots_are_refused(void **context) {
    (void)context;
    struct state *state = state_scene_create(5, 3);
    static const struct {
        void (*change)(Noctua__Snapshot *wire);
        enum error_code code;
        const char *words;
    } rows[] = {
        {no_change, ERROR_OK, ""},
        {newer_version, ERROR_UNSUPPORTED, "upgrade this node"},
        {no_version, ERROR_PROTOCOL, "no snapshot"},
        {newer_level, ERROR_UNSUPPORTED, "feature level 2 is above this version's 1"},
        {other_level, ERROR_PROTOCOL, "no snapshot"},
        {fewer_services, ERROR_INVALID, "services: 1 of them, must be 2"},
        {ring_out_of_step, ERROR_INVALID, "events: "},
        {two_active, ERROR_CORRUPT, "exactly one active region"},
        {no_such_home, ERROR_CORRUPT, "a service's home is no region"},
        {no_such_zone, ERROR_CORRUPT, "a record is in no zone"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error = {0};
        assert_int_equal(decode_changed(state, rows[i].change, &error), rows[i].code);
        if (strstr(error.message, rows[i].words) == NULL) {
            fail_msg("row %zu: %s", i, error.message);
        }
    }
    free(state);
}

static void a_state_that_nobody_could_read_is_not_written(void **context) {
    (void)context;
    struct state *state = state_scene_create(6, 3);
    memset(state->services[1].execution.actor, 0xff, sizeof state->services[1].execution.actor);
    struct buffer bytes;
    buffer_init(&bytes, 0);
    struct error error;
    assert_int_equal(codec_encode_state(state, &bytes, &error), ERROR_INTERNAL);
    assert_non_null(strstr(error.message, "services: [1]: execution: actor: "));
    assert_int_equal(bytes.size_bytes, 0);
    free(state);
}

/* Pages of a state that nothing was put into stay untouched: encoding reads no page that it
 * needn't, decoding writes none. */
static size_t resident_pages(const void *memory, size_t size) {
    long page = sysconf(_SC_PAGESIZE);
    size_t count = 0;
    FILE *file = fopen("/proc/self/pagemap", "rb");
    assert_non_null(file);
    uintptr_t first = (uintptr_t)memory / (size_t)page;
    size_t pages = size / (size_t)page;
    assert_int_equal(fseek(file, (long)(first * sizeof(uint64_t)), SEEK_SET), 0);
    for (size_t i = 0; i < pages; i++) {
        uint64_t entry;
        assert_int_equal(fread(&entry, sizeof entry, 1, file), 1);
        bool file_or_shared = (entry >> 61) & 1; /* the zero page isn't ours */
        bool exclusive = (entry >> 56) & 1;
        count += ((entry >> 63) & 1) != 0 && !file_or_shared && exclusive;
    }
    (void)fclose(file);
    return count;
}

static void untouched_pages_stay_untouched(void **context) {
    (void)context;
    size_t size = (sizeof(struct state) + 4095) / 4096 * 4096;
    struct state *memory[2];
    for (int i = 0; i < 2; i++) {
        memory[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(memory[i] != MAP_FAILED);
        (void)madvise(memory[i], size, MADV_NOHUGEPAGE);
    }
    state_init(memory[0]);
    memory[0]->event_count = 1;
    memory[0]->events[0].index = 1;
    struct buffer bytes;
    encode(memory[0], &bytes);
    uint8_t digest[32];
    codec_state_digest(memory[0], digest);
    assert_int_equal(codec_decode_state(bytes.data, bytes.size_bytes, memory[1], false, NULL),
                     ERROR_OK);
    assert_in_range(resident_pages(memory[0], size), 1, 40);
    assert_in_range(resident_pages(memory[1], size), 1, 40);
    buffer_finish(&bytes);
    munmap(memory[0], size);
    munmap(memory[1], size);
}

static void damaged_snapshots_never_crash(void **context) {
    (void)context;
    struct state *into = calloc(1, sizeof *into);
    struct buffer bytes[4];
    for (uint64_t i = 0; i < ARRAY_LENGTH(bytes); i++) {
        struct state *state = state_scene_create(31 + i, 2);
        for (uint32_t r = 0; r < SPEC_REVISION_MAX; r++) {
            struct spec_revision *revision = &state->revisions[r];
            memset(revision->text, 0, sizeof revision->text);
            revision->text_size = r < state->revision_count ? 20 : 0;
            memset(revision->text, 'a', revision->text_size);
        }
        encode(state, &bytes[i]);
        free(state);
    }
    uint64_t seed = 811;
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < 2000; round++) {
        const struct buffer *whole = &bytes[random_below(&seed, ARRAY_LENGTH(bytes))];
        size_t size;
        uint8_t *damaged = mutate_bytes(whole->data, whole->size_bytes, &seed, &size);
        if (codec_decode_state(damaged, size, into, false, NULL) == ERROR_OK) {
            struct buffer again;
            encode(into, &again);
            assert_int_equal(again.size_bytes, size);
            assert_memory_equal(again.data, damaged, size);
            buffer_finish(&again);
            accepted++;
        }
        free(damaged);
    }
    print_message("accepted %u of 2000\n", accepted);
    assert_in_range(accepted, 1, 1999);
    for (uint64_t i = 0; i < ARRAY_LENGTH(bytes); i++) {
        buffer_finish(&bytes[i]);
    }
    free(into);
}

/* The same without the whole snapshot around it, so that 20,000 rounds take no time. */
static void damaged_parts_never_crash(void **context) {
    (void)context;
    static const struct bind_table *const tables[] = {
        &spec_service_table, &execution_table, &service_table, &event_table, &override_table,
    };
    uint64_t seed = 4711;
    for (uint32_t round = 0; round < 20000; round++) {
        const struct bind_table *table = tables[round % ARRAY_LENGTH(tables)];
        void *core = calloc(1, table->core_size);
        assert_non_null(core);
        uint64_t fill = round % 50;
        fill_struct(table, core, 2, &fill);
        struct arena arena;
        arena_init(&arena, 64 * 1024 * 1024);
        ProtobufCMessage *message;
        struct buffer bytes;
        buffer_init(&bytes, 0);
        assert_int_equal(bind_to_wire(table, &arena, core, true, &message, NULL), ERROR_OK);
        assert_int_equal(bind_pack(message, 1 << 20, &bytes, NULL), ERROR_OK);
        size_t size;
        uint8_t *damaged = mutate_bytes(bytes.data, bytes.size_bytes, &seed, &size);
        const ProtobufCMessage *read;
        memset(core, 0, table->core_size);
        if (bind_unpack(table->descriptor, &arena, damaged, size, &read, NULL) == ERROR_OK &&
            bind_from_wire(table, read, core, NULL) == ERROR_OK) {
            assert_int_equal(bind_to_wire(table, &arena, core, true, &message, NULL), ERROR_OK);
        }
        free(damaged);
        buffer_finish(&bytes);
        arena_finish(&arena);
        free(core);
    }
}

static void digests_are_quick(void **context) {
    (void)context;
    struct state *state = state_scene_create(9, 3);
    struct timespec begin, end;
    uint8_t digest[32];
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (int i = 0; i < 200; i++) {
        state->applied_index++;
        codec_state_digest(state, digest);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double us =
        ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / 200 /
        1e3;
    print_message("%.0f us of processor time a digest of a small state\n", us);
    assert_true(us < 20000); /* some hundred even under a sanitizer; 20 ms would be a mistake */
    free(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_come_back),
        cmocka_unit_test(an_empty_state_comes_back),
        cmocka_unit_test(a_new_state_needs_no_clearing),
        cmocka_unit_test(every_value_is_in_the_digest),
        cmocka_unit_test(rings_keep_their_order),
        cmocka_unit_test(broken_snapshots_are_refused),
        cmocka_unit_test(a_state_that_nobody_could_read_is_not_written),
        cmocka_unit_test(untouched_pages_stay_untouched),
        cmocka_unit_test(damaged_snapshots_never_crash),
        cmocka_unit_test(damaged_parts_never_crash),
        cmocka_unit_test(digests_are_quick),
    };
    return cmocka_run_group_tests_name("state codec", tests, NULL, NULL);
}
