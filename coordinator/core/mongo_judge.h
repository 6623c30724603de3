/* What the replica set's facts mean for a move. Pure, as all of core. */
#ifndef CORE_MONGO_JUDGE_H
#define CORE_MONGO_JUDGE_H

#include "core/policy.h"

/* What a member says counts for so long: two rounds of questions, and the way to the leader. */
uint64_t mongo_fresh_ms(const struct spec_mongo *mongo);

/* Puts the facts of all reports together, of one service. Reports about another spec, or older than
 * REPORT_EXPIRE_MS, don't count. member_total 0: nothing is known. */
void mongo_view_make(const struct state *state, const struct policy_input *input, uint32_t service,
                     struct mongo_view *ret);

void mongo_judge(const struct spec_mongo *mongo, const struct mongo_view *view, uint32_t to,
                 struct mongo_verdict *ret);

/* Fills in the gates that are about the set; NOT_APPLICABLE where there is none. */
void mongo_read_gates(const struct spec_mongo *mongo, const struct mongo_view *view, uint32_t to,
                      struct gate_reading gates[GATE_COUNT]);

#endif
