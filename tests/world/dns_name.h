/* Domain names as Route 53 writes them: lower case, one trailing dot, every byte outside [a-z0-9-_]
 * as a backslash and three octal digits (so "*" is "\052"). This form is the one used everywhere
 * in the world; the wire form (RFC 1035, section 3.1) is made from it for DNS.
 * Source: Route 53 developer guide, "DNS domain name format". */
#ifndef WORLD_DNS_NAME_H
#define WORLD_DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DNS_LABEL_MAX 63
#define DNS_WIRE_MAX 255
/* Each of the wire bytes may need four characters. */
#define DNS_NAME_SIZE (DNS_WIRE_MAX * 4 + 1)

/* Puts the canonical form of `text` (any case, dot or not, escaped or not) into `to`. The message
 * of an error is Route 53's own ("FATAL problem: DomainLabelEmpty ..."). */
enum error_code dns_name_canonicalize(const char *text, char to[DNS_NAME_SIZE],
                                      struct error *error);

/* Both canonical: name is zone itself or below it. */
bool dns_name_is_within(const char *name, const char *zone);

/* Order of ListResourceRecordSets: labels reversed, then as ASCII. */
int dns_name_compare(const char *a, const char *b);

/* Canonical text to the uncompressed wire form. Returns its length in bytes. */
size_t dns_name_to_wire(const char *name, uint8_t wire[DNS_WIRE_MAX]);

/* Reads an uncompressed wire name; false when it runs over size_bytes or over a limit. */
bool dns_name_from_wire(const uint8_t *wire, size_t size_bytes, char to[DNS_NAME_SIZE],
                        size_t *ret_length_bytes);

#endif
