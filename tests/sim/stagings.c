/* Stagings: what matters about some mistakes is one moment that chance hardly ever meets. In a
 * world with a staging little else happens: those who could go wrong in that moment are brought
 * into it again and again. */
#include <string.h>

#include "set.h"
#include "world.h"

#define LOSS_EVERY_US (60 * SIM_SECOND)

static const char *const staging_texts[] = {
#define X(name, text) text,
    SIM_STAGING_TABLE(X)
#undef X
};

const char *sim_staging_text(enum sim_staging staging) {
    return staging_texts[staging];
}

bool staging_is_of_set(const struct sim *sim) {
    return sim->options.staging != STAGING_NONE;
}

static bool loses_majority(const struct sim *sim) {
    return staging_is_of_set(sim) && sim->options.staging != STAGING_WRITE_INHERITED;
}

void staging_draw(struct sim *sim) {
    if (sim->options.staging == STAGING_NONE) {
        return;
    }
    memset(sim->every_us, 0, sizeof sim->every_us);
    memset(sim->per_million, 0, sizeof sim->per_million);
    sim->falls_often = false;
    sim->unwished = ~(UINT32_C(1) << WISH_FAILOVER | UINT32_C(1) << WISH_SWITCHOVER);
    sim->set_checks_writes = true;
    if (loses_majority(sim)) {
        sim->every_us[SIM_MAJORITY_LOST] = LOSS_EVERY_US;
        sim->unwished = UINT32_MAX;
    }
}
