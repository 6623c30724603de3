/* The frame around the commands of one log entry. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "fuzz.h"

#define COMMAND_MAX 4096 /* a command has four bytes at least: more than any input here has */

struct piece {
    const void *bytes;
    size_t size_bytes;
};

static bool read_all(struct entry_reader *reader, struct piece *pieces, size_t *ret_size_bytes) {
    struct error error;
    *ret_size_bytes = 0;
    for (uint32_t i = 0; i < reader->head.count; i++) {
        struct piece piece;
        fuzz_taint(&piece, sizeof piece);
        if (entry_read_command(reader, &piece.bytes, &piece.size_bytes, &error) != ERROR_OK) {
            assert(fuzz_is_tainted(&piece, sizeof piece));
            return false;
        }
        assert(i < COMMAND_MAX);
        pieces[i] = piece;
        *ret_size_bytes += piece.size_bytes;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct piece pieces[COMMAND_MAX];
    struct entry_reader reader;
    struct error error;
    size_t command_bytes;
    fuzz_taint(&reader, sizeof reader);
    if (entry_read_head(&reader, data, size, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&reader, sizeof reader));
        return 0;
    }
    if (!read_all(&reader, pieces, &command_bytes)) {
        return 0;
    }
    assert(reader.at_bytes <= size);
    size_t again_bytes = entry_size_bytes(reader.head.count, command_bytes);
    assert(again_bytes <= size);
    uint8_t *again = malloc(again_bytes);
    assert(again != NULL);
    struct entry_writer writer;
    entry_write_head(&writer, again, again_bytes, &reader.head);
    for (uint32_t i = 0; i < reader.head.count; i++) {
        entry_write_command(&writer, pieces[i].bytes, pieces[i].size_bytes);
    }
    /* What stands behind the last command isn't looked at. */
    assert(writer.at_bytes == reader.at_bytes && memcmp(again, data, writer.at_bytes) == 0);
    free(again);
    return 0;
}
