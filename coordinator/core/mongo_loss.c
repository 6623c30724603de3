/* What a promotion may lose. */
#include "core/mongo.h"

/* Writes in so many milliseconds at a rate in thousandths a second, rounded up. */
static uint64_t writes_in(uint32_t rate_milli, uint64_t ms) {
    const uint64_t unit = UINT64_C(1000) * 1000;
    if (rate_milli == MONGO_RATE_UNKNOWN || ms > UINT32_MAX) {
        return UINT64_MAX; /* the rate of today is not that of seven weeks */
    }
    return (rate_milli * ms + unit - 1) / unit;
}

struct mongo_loss mongo_loss(const struct mongo_view *view, uint32_t member) {
    struct mongo_loss loss = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    if (member >= view->facts.member_count || member >= MONGO_MEMBER_MAX) {
        return loss;
    }
    const struct mongo_member *of = &view->facts.members[member];
    uint32_t age_ms = of->optime_age_ms > view->head_age_ms ? of->optime_age_ms : view->head_age_ms;
    loss.lag_ms = mongo_lag_ms(&view->head, &of->optime);
    loss.age_ms = age_ms == MONGO_AGE_NEVER ? UINT64_MAX : age_ms;
    loss.writes = writes_in(view->facts.write_rate_milli, loss.lag_ms);
    return loss;
}
