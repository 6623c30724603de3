/* What the replica set's facts mean for a move. Pure, as all of core. */
#ifndef CORE_MONGO_JUDGE_H
#define CORE_MONGO_JUDGE_H

#include "core/policy.h"

/* What a member says counts for so long: two rounds of questions, and the way to the leader. */
uint64_t mongo_fresh_ms(const struct spec_mongo *mongo);

/* policy_view_set (core/policy.h) puts the facts of all reports together. Reports about another
 * spec, or older than REPORT_EXPIRE_MS, don't count. member_total 0: nothing is known. */

/* Fills in the gates that are about the set; NOT_APPLICABLE where there is none. */
void mongo_read_gates(const struct spec_mongo *mongo, const struct mongo_view *view, uint32_t to,
                      struct gate_reading gates[GATE_COUNT]);

#endif
