#include "probe/mongo.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "mongo_private.h"

#define PUBLISH_MS 1000 /* so often what is known is handed on */

uint64_t mongo_watch_now(const struct watched_set *set) {
    return clock_boottime_ms(set->watch->clock);
}

struct mongo_link *mongo_watch_open(const struct watched_set *set, const char *host) {
    struct mongo_target target = set->target;
    (void)TEXT_COPY(target.host, host);
    return mongo_link_create(set->watch->options.client, &target);
}

static void drop_handle(struct probe_mongo *watch) {
    assert(watch->open_handles > 0);
    if (--watch->open_handles == 0 && watch->closing) {
        void (*on_closed)(void *) = watch->on_closed;
        void *context = watch->closed_context;
        free(watch);
        on_closed(context);
    }
}

static void on_set_closed(uv_handle_t *handle) {
    struct watched_set *set = handle->data;
    struct probe_mongo *watch = set->watch;
    free(set);
    drop_handle(watch);
}

static void close_set(struct watched_set *set) {
    mongo_round_close(set);
    mongo_canary_close(set);
    mongo_rate_close(set);
    uv_close((uv_handle_t *)&set->timer, on_set_closed);
}

/* Asked in the same way, so that what is known of it stays true. */
static bool is_same(const struct spec_mongo *a, const struct spec_mongo *b) {
    return text_equal(a->uri, b->uri) && text_equal(a->credentials, b->credentials) &&
           text_equal(a->region_tag, b->region_tag) && a->timeout_ms == b->timeout_ms;
}

static struct watched_set *create_set(struct probe_mongo *watch, const struct spec_mongo *spec) {
    struct watched_set *set = calloc(1, sizeof *set);
    if (set == NULL) {
        return NULL;
    }
    set->watch = watch;
    set->spec = *spec;
    set->primary_region = NONE_INDEX;
    (void)TEXT_COPY(set->target.uri, spec->uri);
    (void)TEXT_COPY(set->target.credentials, spec->credentials);
    (void)TEXT_COPY(set->target.secrets, watch->secrets);
    set->target.timeout_ms = spec->timeout_ms;
    replica_set_init(&set->state, "");
    (void)uv_timer_init(watch->loop, &set->timer);
    set->timer.data = set;
    watch->open_handles++;
    uint64_t first_ms = entropy_between(watch->entropy, 0, spec->interval_ms / 2);
    (void)uv_timer_start(&set->timer, mongo_round_on_timer, first_ms, 0);
    return set;
}

/* One that is known already, for the new place; each is given once. */
static struct watched_set *find_same(struct watched_set *old[SERVICE_MAX],
                                     const struct spec_service *service) {
    struct watched_set **found = NULL;
    for (uint32_t i = 0; i < SERVICE_MAX; i++) {
        if (old[i] != NULL && is_same(&old[i]->spec, &service->mongo) &&
            (found == NULL || text_equal(old[i]->service_name, service->name))) {
            found = &old[i];
        }
    }
    struct watched_set *set = found == NULL ? NULL : *found;
    if (found != NULL) {
        *found = NULL;
    }
    return set;
}

enum error_code probe_mongo_configure(struct probe_mongo *watch, const struct spec *spec,
                                      const uint32_t active[SERVICE_MAX], struct error *error) {
    struct watched_set *old[SERVICE_MAX];
    const char *regions[REGION_MAX];
    enum error_code code = ERROR_OK;
    assert(!watch->in_callback && !watch->closing);
    memcpy(old, watch->sets, sizeof old);
    memset(watch->sets, 0, sizeof watch->sets);
    for (uint32_t r = 0; r < spec->region_count; r++) {
        regions[r] = spec->regions[r].name;
    }
    for (uint32_t s = 0; s < spec->service_count; s++) {
        const struct spec_service *service = &spec->services[s];
        if (!service->mongo.used) {
            continue;
        }
        struct watched_set *set = find_same(old, service);
        set = set != NULL ? set : create_set(watch, &service->mongo);
        if (set == NULL) {
            code = error_set(error, ERROR_NO_MEMORY, "mongo: out of memory");
            continue;
        }
        set->spec = service->mongo;
        set->service = s;
        set->active = active[s];
        (void)TEXT_COPY(set->service_name, service->name);
        replica_set_place(&set->state, regions, spec->region_count);
        watch->sets[s] = set;
    }
    for (uint32_t i = 0; i < SERVICE_MAX; i++) {
        if (old[i] != NULL) {
            close_set(old[i]);
        }
    }
    return code;
}

enum error_code probe_mongo_create(uv_loop_t *loop, const struct clock *clock,
                                   const struct entropy *entropy,
                                   const struct probe_mongo_options *options,
                                   struct probe_mongo **ret_watch, struct error *error) {
    assert(options->applied_index != NULL && options->client != NULL);
    struct probe_mongo *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "mongo: out of memory");
    }
    watch->loop = loop;
    watch->clock = clock;
    watch->entropy = entropy;
    watch->options = *options;
    (void)TEXT_COPY(watch->node, options->node);
    (void)TEXT_COPY(watch->secrets, options->secrets);
    watch->open_handles = 1; /* its own, until it is destroyed */
    *ret_watch = watch;
    return ERROR_OK;
}

void probe_mongo_lead(struct probe_mongo *watch, bool leads) {
    watch->leads = leads;
    for (uint32_t s = 0; leads && s < SERVICE_MAX; s++) {
        if (watch->sets[s] != NULL) {
            watch->sets[s]->next_write_ms = 0;
        }
    }
}

static struct watched_set *find_set(const struct probe_mongo *watch, uint32_t service) {
    return watch == NULL || service >= SERVICE_MAX ? NULL : watch->sets[service];
}

bool probe_mongo_has_members(const struct probe_mongo *watch, uint32_t service, uint32_t region) {
    const struct watched_set *set = find_set(watch, service);
    return set != NULL && (!set->state.is_known || replica_set_has_members(&set->state, region));
}

/* Before a config is known, those that are asked are shown as members without anything. */
static void tell_seeds(const struct watched_set *set, struct mongo_facts *ret) {
    for (const struct watched_link *link = set->links;
         link != NULL && ret->member_count < MONGO_MEMBER_MAX; link = link->next) {
        struct mongo_member *member = &ret->members[ret->member_count++];
        member->id = NONE_INDEX;
        member->region = NONE_INDEX;
        member->sync_source = NONE_INDEX;
        member->age_ms = MONGO_AGE_NEVER;
        member->optime_age_ms = MONGO_AGE_NEVER;
        member->rollback_age_ms = MONGO_AGE_NEVER;
        (void)TEXT_COPY(member->host, link->host);
        (void)TEXT_COPY(member->trouble, link->trouble);
    }
}

bool probe_mongo_facts(const struct probe_mongo *watch, uint32_t service, struct mongo_facts *ret) {
    const struct watched_set *set = find_set(watch, service);
    if (set == NULL) {
        return false;
    }
    replica_set_facts(&set->state, mongo_watch_now(set), ret);
    if (!set->state.is_known) {
        tell_seeds(set, ret);
    }
    return true;
}

uint32_t probe_mongo_primary(const struct probe_mongo *watch, uint32_t service,
                             uint64_t *ret_until_ms) {
    const struct watched_set *set = find_set(watch, service);
    if (set == NULL) {
        return NONE_INDEX;
    }
    uint64_t now_ms = mongo_watch_now(set);
    uint64_t fresh_ms = 2 * (uint64_t)set->spec.interval_ms + set->spec.timeout_ms + PUBLISH_MS;
    uint32_t primary = replica_set_primary(&set->state, now_ms > fresh_ms ? now_ms - fresh_ms : 0);
    if (primary == NONE_INDEX) {
        return NONE_INDEX;
    }
    *ret_until_ms = set->state.members[primary].answered_ms + fresh_ms;
    return set->state.members[primary].region;
}

void probe_mongo_destroy(struct probe_mongo *watch, void (*on_closed)(void *context),
                         void *context) {
    if (watch == NULL) {
        on_closed(context);
        return;
    }
    assert(!watch->in_callback && !watch->closing);
    for (uint32_t s = 0; s < SERVICE_MAX; s++) {
        if (watch->sets[s] != NULL) {
            close_set(watch->sets[s]);
            watch->sets[s] = NULL;
        }
    }
    watch->closing = true;
    watch->on_closed = on_closed;
    watch->closed_context = context;
    drop_handle(watch);
}
