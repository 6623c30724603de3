/* The hosted zone that an alias to an AWS endpoint needs, from the endpoint's DNS name. Pure.
 * Source: AWS General Reference, "Elastic Load Balancing endpoints" (hosted zone ids; they never
 * change for a region). */
#ifndef CODEC_ALIAS_ZONE_H
#define CODEC_ALIAS_ZONE_H

/* dns_name: lower case, with or without a dot at its end. NULL: not known here. */
const char *alias_zone_find(const char *dns_name);

#endif
