/* The hosted zone that an alias to an AWS endpoint needs, from the endpoint's DNS name. Pure.
 * Source: AWS General Reference, "Elastic Load Balancing endpoints" (hosted zone ids; they never
 * change for a region). */
#ifndef DRIVER_ROUTE53_ALIAS_H
#define DRIVER_ROUTE53_ALIAS_H

/* dns_name: canonical (lower case, a dot at the end). NULL: not known here. */
const char *route53_alias_zone(const char *dns_name);

#endif
