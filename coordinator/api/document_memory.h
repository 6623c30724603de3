/* Whether a document has all that it should. Documents are built without a look at every
 * allocation: what there was no memory for is left out. So each is asked, before anybody reads it.
 */
#ifndef API_DOCUMENT_MEMORY_H
#define API_DOCUMENT_MEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Once, before the first document; again has no effect. */
void document_memory_watch(void);
/* Something was left out for want of memory: of jansson this is known by itself. */
void document_memory_lack(void);
/* Whether anything was, on this thread, since this was last asked. */
bool document_memory_lacked(void);

/* The text of a whole document, the caller's to free; NULL: there is none, or not enough memory for
 * all of it, which this asks and so forgets. Takes the document over. */
char *document_render(json_t *document, size_t flags);

#endif
