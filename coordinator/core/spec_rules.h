/* A question about specs that several files of core ask. */
#ifndef CORE_SPEC_RULES_H
#define CORE_SPEC_RULES_H

#include "core/spec.h"

/* Nothing of the service, nor of the regions and their order, differs. Both specs keep every rule
 * (spec_broken_rule): counts are within their limits. */
bool spec_service_is_unchanged(const struct spec *a, uint32_t ai, const struct spec *b,
                               uint32_t bi);

#endif
