#include "document_memory.h"

#include <stdlib.h>

static _Thread_local bool lacks;

static void *watched_malloc(size_t size_bytes) {
    void *memory = malloc(size_bytes);
    lacks = lacks || memory == NULL;
    return memory;
}

void document_memory_watch(void) {
    json_set_alloc_funcs(watched_malloc, free);
}

void document_memory_lack(void) {
    lacks = true;
}

bool document_memory_lacked(void) {
    bool lacked = lacks;
    lacks = false;
    return lacked;
}

char *document_render(json_t *document, size_t flags) {
    char *text = document == NULL ? NULL : json_dumps(document, flags);
    json_decref(document);
    if (document_memory_lacked()) {
        free(text);
        text = NULL;
    }
    return text;
}
