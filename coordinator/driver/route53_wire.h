/* The bodies of Route 53's requests and replies. Pure.
 * Source: Route 53 API reference (2013-04-01), ChangeResourceRecordSets, ListResourceRecordSets,
 * GetChange; request elements in the order of its schema. */
#ifndef DRIVER_ROUTE53_WIRE_H
#define DRIVER_ROUTE53_WIRE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "driver/driver.h"
#include "route53_record.h"

#define ROUTE53_API_VERSION "2013-04-01"
#define ROUTE53_COMMENT_MAX 256            /* characters */
#define ROUTE53_VALUE_CHARACTERS_MAX 32000 /* of all changes of a batch */
#define ROUTE53_REQUEST_SIZE_MAX ((size_t)256 * 1024)

/* <ChangeResourceRecordSetsRequest>. All DELETEs come first, the fence's first of all: a batch is
 * validated in its order, and a pair of failover records can't swap roles otherwise. INVALID: the
 * change contradicts itself (and is never sent). */
enum error_code route53_write_change(const struct driver_target *target,
                                     const struct driver_change *change, struct buffer *ret_body,
                                     struct error *error);

struct route53_change_info {
    char id[DRIVER_CHANGE_ID_MAX]; /* without "/change/" */
    bool insync;
    char comment[ROUTE53_COMMENT_MAX * 4 + 1];
};

/* <ChangeResourceRecordSetsResponse>, <GetChangeResponse>. */
enum error_code route53_read_change_info(const char *body, size_t size_bytes,
                                         struct route53_change_info *ret_info, struct error *error);

/* One page of a listing; finish its document. */
struct route53_page {
    struct xml_document document;
    const struct xml_node *sets; /* <ResourceRecordSets> */
    bool truncated;
    char next_name[ROUTE53_NAME_SIZE]; /* canonical; only when truncated */
    char next_type[8];
    char next_identifier[513]; /* "": none */
};

enum error_code route53_read_page(const char *body, size_t size_bytes,
                                  struct route53_page *ret_page, struct error *error);
void route53_page_finish(struct route53_page *page);

#endif
