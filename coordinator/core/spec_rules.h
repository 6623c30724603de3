/* Small questions about a spec that several files of core ask. */
#ifndef CORE_SPEC_RULES_H
#define CORE_SPEC_RULES_H

#include "core/spec.h"

/* Nothing of the service, nor of the regions and their order, differs. Both specs keep every rule
 * (spec_broken_rule): counts are within their limits. */
bool spec_service_is_unchanged(const struct spec *a, uint32_t ai, const struct spec *b,
                               uint32_t bi);

/* The region is the service's home or one of its targets, and serves. */
bool spec_may_serve(const struct spec *spec, uint32_t service, uint32_t region);

#endif
