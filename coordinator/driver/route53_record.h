/* Resource record sets as Route 53 lists them, kept word for word: a DELETE has to match the stored
 * set exactly, so nothing is converted to numbers and back. A list of them has one canonical form
 * (a blob), which is also their XML: elements in the API's order, sets by name, type and
 * identifier, values sorted (their order means nothing to Route 53). Pure. Source: Route 53 API
 * reference, ResourceRecordSet; developer guide, "DNS domain name format". */
#ifndef DRIVER_ROUTE53_RECORD_H
#define DRIVER_ROUTE53_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "driver/driver.h"
#include "xml_document.h"

#define ROUTE53_NAME_SIZE 1025 /* with its NUL; each byte may be an escape of four */
#define ROUTE53_VALUE_COUNT_MAX 400
#define ROUTE53_FENCE_TTL "60"

/* Each text "": the element is not there. */
struct route53_record {
    char name[ROUTE53_NAME_SIZE]; /* as read; canonical in what is made here */
    char type[8];
    char set_identifier[513]; /* 128 characters of UTF-8 */
    char weight[8];
    char region[65];
    char continent[4], country[4], subdivision[8];
    char failover[12];
    char multi_value[8];
    char ttl[12];
    struct buffer values; /* sorted, each with its NUL */
    uint32_t value_count;
    char alias_zone[33];
    char alias_name[ROUTE53_NAME_SIZE];
    char alias_health[8];
    char health_check_id[65];
};

struct route53_records {
    struct route53_record items[DRIVER_RECORD_MAX];
    uint32_t count;
};

/* Lower case, one dot at the end, every byte but [a-z0-9-_.] as \ooo (an escape that is one already
 * stays). INVALID when it is empty, too long, or has an empty label. */
enum error_code route53_name_canonicalize(const char *text, char to[ROUTE53_NAME_SIZE],
                                          struct error *error);

void route53_record_finish(struct route53_record *record);
/* Copies the values too. The old content of `to` is not freed. NO_MEMORY. */
enum error_code route53_record_copy(const struct route53_record *from, struct route53_record *to,
                                    struct error *error);
/* Replaces the values by `text`, one a line; empty lines are skipped. INVALID when none is left. */
enum error_code route53_record_set_values(struct route53_record *record, const char *text,
                                          struct error *error);
/* The next value behind `value`, the first for NULL, NULL behind the last. */
const char *route53_record_value(const struct route53_record *record, const char *value);

/* Reads one <ResourceRecordSet>. ret_record is to be finished when it succeeds. UNSUPPORTED: it has
 * an element that this program doesn't know and so could not write back. */
enum error_code route53_record_read(const struct xml_document *document,
                                    const struct xml_node *node, struct route53_record *ret_record,
                                    struct error *error);
bool route53_record_write(const struct route53_record *record, struct buffer *buffer);

/* Does it hold the place (name, type, set identifier)? key_name is canonical. */
bool route53_record_is(const struct route53_record *record, const char *key_name, const char *type,
                       const char *set_identifier);

/* "nocturnal.com A alias dualstack.web-1..." */
void route53_record_describe(const struct route53_record *record, struct buffer *buffer);

struct route53_records *route53_records_create(void);
void route53_records_destroy(struct route53_records *records); /* takes NULL */
/* LIMIT when it doesn't fit. Sorts the list. */
enum error_code route53_records_to_blob(struct route53_records *records,
                                        struct driver_blob *ret_blob, struct error *error);
enum error_code route53_records_from_blob(const struct driver_blob *blob,
                                          struct route53_records **ret_records,
                                          struct error *error);

/* The TXT record set that holds a fence, and back. CONFLICT: not in that form. */
enum error_code route53_fence_make(const char *fence_name, const char *fence,
                                   struct route53_record *ret_record, struct error *error);
enum error_code route53_fence_read(const struct route53_record *record,
                                   char ret_fence[DRIVER_FENCE_MAX], struct error *error);

#endif
