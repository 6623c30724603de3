#include "fill.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

uint64_t random_next(uint64_t *seed) {
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t random_below(uint64_t *seed, uint64_t limit) {
    return random_next(seed) % limit;
}

static void put_number(const struct bind_row *row, char *at, uint64_t value) {
    switch (row->size) {
    case 1:
        *(bool *)at = value != 0;
        break;
    case 2:
        *(uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        *(uint32_t *)at = (uint32_t)value;
        break;
    default:
        assert(row->size == 8);
        *(uint64_t *)at = value;
    }
}

static uint64_t get_number(const struct bind_row *row, const char *at) {
    switch (row->size) {
    case 1:
        return *(const bool *)at;
    case 2:
        return *(const uint16_t *)at;
    case 4:
        return *(const uint32_t *)at;
    default:
        return *(const uint64_t *)at;
    }
}

static void fill_text(const struct bind_row *row, char *at, uint64_t *seed) {
    static const char name_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t most = row->size - 1 < 12 ? row->size - 1 : 12;
    size_t length = 1 + random_below(seed, most);
    if (random_below(seed, 8) == 0) {
        length = row->size - 1; /* as long as it may be */
    }
    for (size_t i = 0; i < length; i++) {
        at[i] = name_characters[random_below(seed, sizeof name_characters - 1)];
    }
    if (row->kind == BIND_TEXT && length >= 2) {
        at[0] = '\xc3'; /* é */
        at[1] = '\xa9';
    }
    if (row->kind == BIND_NAME && length > 2) {
        at[length / 2] = '-';
    }
}

static void fill_element(const struct bind_row *row, char *core, char *at, uint32_t most,
                         uint64_t *seed) {
    switch (row->kind) {
    case BIND_NUMBER:
    case BIND_BOOL:
    case BIND_ENUM: {
        uint64_t span = row->high - row->low;
        uint64_t value =
            span == UINT64_MAX ? random_next(seed) : row->low + random_below(seed, span + 1);
        if (row->or_none && random_below(seed, 4) == 0) {
            value = NONE_INDEX;
        }
        /* The last of a row of places must not be its default: it would not be on the wire. */
        if (value == 0 && row->shape == BIND_PLACES) {
            value = row->high;
        }
        put_number(row, at, value);
        break;
    }
    case BIND_NAME:
    case BIND_TEXT:
        fill_text(row, at, seed);
        break;
    case BIND_OPAQUE:
        for (size_t i = 0; i < row->size; i++) {
            at[i] = (char)(1 + random_below(seed, 255));
        }
        break;
    case BIND_BYTES: {
        uint32_t size = (uint32_t)(1 + random_below(seed, 40));
        for (uint32_t i = 0; i < size; i++) {
            at[i] = (char)(row->utf8 ? 'a' + (int)random_below(seed, 26)
                                     : (int)random_below(seed, 256));
        }
        memcpy(core + row->count, &size, sizeof size);
        break;
    }
    case BIND_MESSAGE:
        fill_struct(row->table, at, most, seed);
        break;
    }
}

static uint64_t count_of(const struct bind_row *row, const char *core) {
    if (row->shape == BIND_RING) {
        return *(const uint64_t *)(core + row->count);
    }
    return *(const uint32_t *)(core + row->count);
}

/* How many elements to fill; sets the count where the row has one of its own. */
static uint32_t choose_count(const struct bind_row *row, char *core, uint32_t most,
                             uint64_t *seed) {
    uint32_t limit = row->max < most ? row->max : most;
    uint32_t count = (uint32_t)random_below(seed, limit + 1);
    switch (row->shape) {
    case BIND_COUNTED:
        *(uint32_t *)(core + row->count) = count;
        return count;
    case BIND_RING:
        *(uint64_t *)(core + row->count) = random_below(seed, 4) == 0 && most >= row->max
                                               ? row->max + random_below(seed, 1000)
                                               : count;
        return (uint32_t)(count_of(row, core) < row->max ? count_of(row, core) : row->max);
    case BIND_FOLLOWS:
        return (uint32_t)count_of(row, core);
    default:
        return count;
    }
}

void fill_struct(const struct bind_table *table, void *core, uint32_t most, uint64_t *seed) {
    for (uint32_t i = 0; i < table->row_count; i++) {
        const struct bind_row *row = &table->rows[i];
        char *at = (char *)core + row->core;
        if (row->shape == BIND_ONE) {
            fill_element(row, core, at, most, seed);
            continue;
        }
        uint32_t count = choose_count(row, core, most, seed);
        for (uint32_t e = 0; e < count; e++) {
            fill_element(row, core, at + e * row->size, most, seed);
        }
    }
}

static void visit_element(const struct bind_row *row, void *core, void *at, const char *path,
                          fill_visitor visitor, void *context) {
    if (row->kind == BIND_MESSAGE) {
        fill_visit(row->table, at, path, visitor, context);
    } else {
        visitor(context, path, row, core, at);
    }
}

void fill_visit(const struct bind_table *table, void *core, const char *path, fill_visitor visitor,
                void *context) {
    for (uint32_t i = 0; i < table->row_count; i++) {
        const struct bind_row *row = &table->rows[i];
        char *at = (char *)core + row->core;
        char inner[512];
        if (row->shape == BIND_ONE) {
            (void)snprintf(inner, sizeof inner, "%s.%s", path, row->name);
            visit_element(row, core, at, inner, visitor, context);
            continue;
        }
        uint64_t count = row->shape == BIND_PLACES ? row->max : count_of(row, core);
        count = count < row->max ? count : row->max;
        for (uint64_t e = 0; e < count; e++) {
            (void)snprintf(inner, sizeof inner, "%s.%s[%u]", path, row->name, (unsigned)e);
            visit_element(row, core, at + e * row->size, inner, visitor, context);
        }
    }
}

bool fill_change(const struct bind_row *row, void *core, void *at) {
    char *text = at;
    switch (row->kind) {
    case BIND_NUMBER:
    case BIND_BOOL:
    case BIND_ENUM:
        if (row->low == row->high) {
            return false;
        }
        put_number(row, at, get_number(row, at) == row->low ? row->high : row->low);
        return true;
    case BIND_NAME:
    case BIND_TEXT: {
        /* The last byte of the longest text counts as well. */
        size_t last = row->size - 2;
        if (text[0] == '\0') {
            text[0] = 'a';
        } else if (strlen(text) == last + 1) {
            text[last] = text[last] == 'a' ? 'b' : 'a';
        } else {
            text[strlen(text)] = 'z';
        }
        return true;
    }
    case BIND_OPAQUE:
        text[row->size - 1] ^= 1;
        return true;
    case BIND_BYTES: {
        uint32_t size;
        memcpy(&size, (char *)core + row->count, sizeof size);
        size += size == 0;
        memcpy((char *)core + row->count, &size, sizeof size);
        text[size - 1] = text[size - 1] == 'y' ? 'x' : 'y';
        return true;
    }
    case BIND_MESSAGE:
        break;
    }
    return false;
}
