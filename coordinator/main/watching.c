/* The replica sets of the spec: watched here, told in reports, and a check of each region. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "driver/mongo.h"
#include "node.h"

static uint64_t applied_index(void *context) {
    const struct noctuad *node = context;
    return replica_state(node->replica)->applied_index;
}

static void on_result(void *context, uint32_t service, uint32_t region,
                      const struct probe_result *result) {
    const struct noctuad *node = context;
    probe_engine_feed(node->probes, service, region, MONGO_CHECK_NAME, result);
}

static void on_change(void *context, uint32_t service) {
    struct noctuad *node = context;
    (void)service;
    if (!node->stopping) {
        node_configure_checks(node);
        node_report_soon(node);
        node_publish_soon(node);
    }
}

enum error_code node_start_watching(struct noctuad *node, struct error *error) {
    enum error_code code = mongo_client_create(node->loop, 0, &node->mongo, error);
    struct probe_mongo_options options = {
        .applied_index = applied_index,
        .on_result = on_result,
        .on_change = on_change,
        .context = node,
        .client = node->mongo,
        .node = node->config.node,
        .secrets = node->config.secrets,
    };
    struct mongo_driver_options driver = {
        .loop = node->loop,
        .clock = node->clock,
        .client = node->mongo,
        .cluster = node->config.cluster,
        .secrets = node->config.secrets,
    };
    if (code == ERROR_OK) {
        code = mongo_driver_create(&driver, &node->set_driver, error);
    }
    if (code == ERROR_OK) {
        code = probe_mongo_create(node->loop, node->clock, node->entropy, &options, &node->sets,
                                  error);
    }
    return code;
}

void node_configure_sets(struct noctuad *node) {
    const struct state *state = replica_state(node->replica);
    uint32_t active[SERVICE_MAX] = {0};
    struct error error = {ERROR_OK, ""};
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct service *service = &state->services[s];
        active[s] = service->adopted ? service->active : state->spec.services[s].home;
    }
    if (probe_mongo_configure(node->sets, &state->spec, active, &error) != ERROR_OK) {
        LOG_EVENT(MONGO_NOT_WATCHED, LOG_TEXT("why", error.message));
    }
}

void node_report_sets(const struct noctuad *node, struct report *ret) {
    for (uint32_t s = 0; s < ret->service_count; s++) {
        if (!probe_mongo_facts(node->sets, s, &ret->mongo[s])) {
            memset(&ret->mongo[s], 0, sizeof ret->mongo[s]);
        }
    }
}

void node_primaries(const struct noctuad *node, struct primary_facts ret[SERVICE_MAX]) {
    const struct state *state = replica_state(node->replica);
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        ret[s] = (struct primary_facts){state->spec.services[s].mongo.used, NONE_INDEX, 0};
        /* Of a spec that isn't watched yet nothing is known. */
        if (ret[s].is_watched && node->probed_spec_index == state->spec_index) {
            ret[s].region = probe_mongo_primary(node->sets, s, &ret[s].until_ms);
        }
    }
}

void node_stop_watching(struct noctuad *node, void (*on_closed)(void *context), void *context) {
    driver_close(node->set_driver, on_closed, context);
    probe_mongo_destroy(node->sets, on_closed, context);
    mongo_client_destroy(node->mongo, on_closed, context);
}
