/* A move as it would be proposed now: its plan, how its gates read, and a short name for the plan
 * so that an operator's "yes" holds for exactly what was shown. Pure. */
#ifndef API_PREVIEW_H
#define API_PREVIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "api/facts.h"
#include "core/command.h"

#define PLAN_HASH_SIZE 7 /* six hexadecimal digits of SHA-256 */

struct move_preview {
    uint32_t service, from, to; /* NONE_INDEX: none */
    enum execution_kind kind;
    bool automatic; /* gates were read as for a move by policy, not by an operator */
    uint32_t skipped_gates;
    uint64_t epoch; /* that it would get */
    struct plan plan;
    struct gate_reading gates[GATE_COUNT];
    struct mongo_view mongo; /* of the service's replica set */
    uint32_t pinned;  /* of a forced reconfiguration: place in `mongo` of the one that is asked */
    uint32_t failing; /* bits of gates; without a plan, not 0 */
    char hash[PLAN_HASH_SIZE];
};

/* Target of a move that names none: the region that policy would choose. NONE_INDEX: none. */
uint32_t preview_choose_target(const struct api_facts *facts, uint32_t service);

/* An operator's move (or adoption) of `service` to `to`. CORE_NO_SERVICE, CORE_NO_REGION (no region
 * of it, or where it is already), CORE_NOT_ADOPTED: there is no plan, *ret is undefined. */
enum core_error preview_move(const struct api_facts *facts, uint32_t service,
                             enum execution_kind kind, uint32_t to, uint32_t skipped_gates,
                             struct move_preview *ret);

/* The same with a person's word on members of the service's replica set: `view` is as
 * policy_view_set has it, with `dead` or `readmit`. */
enum core_error preview_move_of_set(const struct api_facts *facts, uint32_t service,
                                    enum execution_kind kind, uint32_t to, uint32_t skipped_gates,
                                    const struct mongo_view *view, struct move_preview *ret);

/* The target that policy refuses for its lag alone, where it finds none; NONE_INDEX: there is none
 * such. A person may want it all the same. */
uint32_t preview_laggard(const struct api_facts *facts, uint32_t service);

/* What policy would make of a move there, whether or not it would choose it. */
void preview_automatic_to(const struct api_facts *facts, uint32_t service, uint32_t to,
                          struct move_preview *ret);

/* What policy would do for `service` now; `to` may be NONE_INDEX, then there is no plan. */
void preview_automatic(const struct api_facts *facts, uint32_t service, struct move_preview *ret);

#endif
