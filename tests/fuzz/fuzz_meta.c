/* The meta file of a data directory: what is taken is written back as it was, one boot later. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directory.h"
#include "fuzz.h"
#include "storage.h"

#define CLUSTER "noctua"
#define NODE "n1"
#define NODE_ID UINT64_C(0x0102030405060708)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct storage storage;
    struct error error;
    directory_write("meta", data, size);
    enum error_code code = storage_open(&storage, directory_path(), CLUSTER, NODE, NODE_ID, &error);
    if (code != ERROR_OK) {
        assert(code == ERROR_CORRUPT || code == ERROR_UNSUPPORTED || code == ERROR_REFUSED);
        return 0;
    }
    struct storage_meta meta = storage.meta;
    storage_close(&storage);
    assert(storage_open(&storage, directory_path(), CLUSTER, NODE, NODE_ID, &error) == ERROR_OK);
    meta.boot++;
    assert(memcmp(meta.uuid, storage.meta.uuid, sizeof meta.uuid) == 0);
    assert(meta.boot == storage.meta.boot && meta.origin == storage.meta.origin);
    storage_close(&storage);
    return 0;
}
