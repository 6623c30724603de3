/* One consistent read of a target's records: which listing to ask for next, and what the pages say.
 * No I/O. The fence and the records must come from one moment. One page that holds them all does;
 * if it takes several calls, the whole is listed again until two passes agree. */
#ifndef DRIVER_ROUTE53_READER_H
#define DRIVER_ROUTE53_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/driver.h"
#include "route53_record.h"
#include "route53_wire.h"

#define ROUTE53_PAGE_MAX 100 /* of one pass */
#define ROUTE53_PASS_MAX 5
#define ROUTE53_PAGE_ITEMS "300"

struct route53_query {
    char name[ROUTE53_NAME_SIZE];
    char type[8];         /* "": from the name's first record on */
    char identifier[513]; /* "": none */
};

struct route53_reader;

/* INVALID: the target names something that can't be a record. target outlives the reader. */
enum error_code route53_reader_create(const struct driver_target *target,
                                      struct route53_reader **ret_reader, struct error *error);
void route53_reader_destroy(struct route53_reader *reader); /* takes NULL */

/* The listing to ask for now. */
void route53_reader_next(struct route53_reader *reader, struct route53_query *ret_query);

/* The answer to it. Sets *ret_done when the reading is complete; else ask for the next.
 * UNAVAILABLE: the zone keeps changing. NOT_FOUND, CONFLICT: see driver_read_cb. */
enum error_code route53_reader_take(struct route53_reader *reader, const struct route53_page *page,
                                    bool *ret_done, struct error *error);

/* After done: fence, state and summary (sync is not touched). */
void route53_reader_result(const struct route53_reader *reader, struct driver_reading *reading);

#endif
