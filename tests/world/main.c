/* noctua-world: builds the world from its command line, tells where everything is, and runs. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "alloc.h"
#include "aws_api.h"
#include "base/text.h"
#include "control.h"
#include "dns_server.h"
#include "held.h"
#include "mongo_server.h"
#include "region.h"
#include "tls_channel.h"

#define MAIN_PATH_SIZE 4096

struct main_state {
    struct world world;
    struct options options;
    struct dns_view view;
    SSL_CTX *tls;
    uv_signal_t signals[2];
    bool stopped;
};

static uint64_t main_boottime_ms(void *context) {
    (void)context;
    return clock_boottime_ms(&clock_system);
}

static uint64_t main_wall_ms(void *context) {
    const struct world *world = context;
    return (uint64_t)((int64_t)clock_wall_ms(&clock_system) + world->wall_offset_ms);
}

static void main_on_signal(uv_signal_t *signal, int number) {
    (void)number;
    world_stop(&((struct main_state *)signal->data)->world);
}

void world_stop(struct world *world) {
    struct main_state *state = world->loop.data;
    if (state->stopped) {
        return;
    }
    state->stopped = true;
    held_discard(world, 0);
    http_server_destroy(world->route53);
    http_server_destroy(world->sts);
    dns_server_destroy(world->dns);
    region_table_destroy(world->regions);
    world->regions = NULL;
    mongo_server_destroy(world->mongo);
    http_server_destroy(world->control);
    for (size_t i = 0; i < ARRAY_LENGTH(state->signals); i++) {
        uv_close((uv_handle_t *)&state->signals[i], NULL);
    }
}

static enum error_code main_add_zones(struct main_state *state, struct error *error) {
    struct world *world = &state->world;
    for (unsigned i = 0; i < state->options.zones.count; i++) {
        const char *text = state->options.zones.items[i];
        const char *colon = strchr(text, ':');
        char id[RECORD_ZONE_ID_MAX + 1] = "";
        if (colon == NULL || (size_t)(colon - text) >= sizeof(id)) {
            return error_set(error, ERROR_INVALID, "a zone is ID:NAME, not '%s'", text);
        }
        memcpy(id, text, (size_t)(colon - text));
        if (hosted_zones_add(&world->zones, id, colon + 1, state->options.insync_ms, error) !=
            ERROR_OK) {
            return error->code;
        }
    }
    return state->options.records_path != NULL
               ? control_load_records(world, state->options.records_path, error)
               : ERROR_OK;
}

static enum error_code main_load_tls(struct main_state *state, struct error *error) {
    if (state->options.tls == NULL) {
        return ERROR_OK;
    }
    char *copy = alloc_text(state->options.tls);
    char *rest = copy;
    const char *certificate = strsep(&rest, ":");
    const char *key = strsep(&rest, ":");
    enum error_code code = key == NULL
                               ? error_set(error, ERROR_INVALID, "--tls is CERT:KEY[:CA]")
                               : tls_channel_load(certificate, key, rest, &state->tls, error);
    free(copy);
    return code;
}

static enum error_code main_serve(struct main_state *state, http_handler handler, uint16_t port,
                                  struct http_server **ret_server, struct error *error) {
    const struct http_server_options options = {
        .loop = &state->world.loop,
        .handler = handler,
        .context = &state->world,
        .clock = &state->world.clock,
        .port = port,
    };
    return http_server_create(&options, ret_server, error);
}

static enum error_code main_add_regions(struct main_state *state, struct error *error) {
    struct world *world = &state->world;
    world->regions = region_table_create(&world->loop, &world->clock);
    for (unsigned i = 0; i < state->options.regions.count; i++) {
        if (region_table_add(world->regions, state->options.regions.items[i], state->tls, error) !=
            ERROR_OK) {
            return error->code;
        }
    }
    return ERROR_OK;
}

static enum error_code main_add_dns(struct main_state *state, struct error *error) {
    struct world *world = &state->world;
    struct dns_view *view = &state->view;
    view->zones = &world->zones;
    view->insync_only = state->options.dns_insync_only;
    for (unsigned i = 0; i < state->options.aliases.count; i++) {
        if (dns_view_add_alias(view, state->options.aliases.items[i], error) != ERROR_OK) {
            return error->code;
        }
    }
    for (size_t i = 0; i < region_table_count(world->regions); i++) {
        view->regions[view->region_count++] = region_table_name(world->regions, i);
    }
    return dns_server_create(&world->loop, view, &world->zones, &world->clock,
                             state->options.dns_port, &world->dns, error);
}

static enum error_code main_add_mongo(struct main_state *state, struct error *error) {
    struct world *world = &state->world;
    const char *regions[OPTIONS_LIST_MAX];
    if (state->options.mongo == NULL) {
        return ERROR_OK;
    }
    for (size_t i = 0; i < region_table_count(world->regions); i++) {
        regions[i] = region_table_name(world->regions, i);
    }
    const struct mongo_server_options options = {
        .loop = &world->loop,
        .text = state->options.mongo,
        .speed = state->options.mongo_speed,
        .seed = state->options.mongo_seed,
        .first_port = state->options.mongo_port,
        .fresh = state->options.mongo_fresh,
        .regions = regions,
        .region_count = region_table_count(world->regions),
    };
    return mongo_server_create(&options, &world->mongo, error);
}

static enum error_code main_build(struct main_state *state, struct error *error) {
    struct world *world = &state->world;
    const struct options *options = &state->options;
    char path[MAIN_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/ledger.jsonl", options->directory);
    for (unsigned i = 0; i < options->keys.count; i++) {
        if (credentials_add_text(&world->credentials, options->keys.items[i], error) != ERROR_OK) {
            return error->code;
        }
    }
    /* The machine's clock, whatever the world's is set to: other processes' logs are compared with
     * it. */
    if (ledger_open(options->ledger_path != NULL ? options->ledger_path : path, &clock_system,
                    &world->ledger, error) != ERROR_OK ||
        main_add_zones(state, error) != ERROR_OK || main_load_tls(state, error) != ERROR_OK ||
        main_add_regions(state, error) != ERROR_OK || main_add_dns(state, error) != ERROR_OK ||
        main_add_mongo(state, error) != ERROR_OK ||
        main_serve(state, control_handle, options->control_port, &world->control, error) !=
            ERROR_OK ||
        main_serve(state, aws_api_handle, options->route53_port, &world->route53, error) !=
            ERROR_OK ||
        main_serve(state, aws_api_handle, options->sts_port, &world->sts, error) != ERROR_OK) {
        return error->code;
    }
    return ERROR_OK;
}

/* The file of an earlier run must not be taken for ours. */
static void main_remove_addresses(const struct main_state *state) {
    char path[MAIN_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/world.json", state->options.directory);
    (void)unlink(path);
}

/* world.json appears whole or not at all: a test waits for it. */
static enum error_code main_write_addresses(const struct main_state *state, struct error *error) {
    const struct world *world = &state->world;
    char path[MAIN_PATH_SIZE];
    char temporary[MAIN_PATH_SIZE];
    const char *directory = state->options.directory;
    if (snprintf(temporary, sizeof(temporary), "%s/world.json.tmp", directory) >=
        (int)sizeof(temporary)) {
        return error_set(error, ERROR_LIMIT, "the directory's name is too long");
    }
    (void)snprintf(path, sizeof(path), "%s/world.json", directory);
    json_t *json =
        json_pack("{s:i,s:o,s:o,s:o,s:o,s:o}", "pid", (int)getpid(), "control",
                  json_sprintf("127.0.0.1:%u", http_server_port(world->control)), "route53",
                  json_sprintf("127.0.0.1:%u", http_server_port(world->route53)), "sts",
                  json_sprintf("127.0.0.1:%u", http_server_port(world->sts)), "dns",
                  json_sprintf("127.0.0.1:%u", dns_server_port(world->dns)), "regions",
                  region_table_addresses(world->regions));
    if (world->mongo != NULL) {
        json_object_set_new(json, "mongo", mongo_server_addresses(world->mongo));
    }
    bool written = json_dump_file(json, temporary, JSON_INDENT(1)) == 0;
    json_decref(json);
    if (!written || rename(temporary, path) != 0) {
        return error_set(error, ERROR_IO, "can't write %s: %s", path, strerror(errno));
    }
    return ERROR_OK;
}

static void main_watch_signals(struct main_state *state) {
    static const int numbers[] = {SIGTERM, SIGINT};
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LENGTH(state->signals); i++) {
        (void)uv_signal_init(&state->world.loop, &state->signals[i]);
        state->signals[i].data = state;
        (void)uv_signal_start(&state->signals[i], main_on_signal, numbers[i]);
    }
}

int main(int argc, char **argv) {
    /* Large tables, and handles that the loop knows: not on the stack. */
    struct main_state *state = alloc_zeroed(1, sizeof(*state));
    struct world *world = &state->world;
    struct error error;
    options_parse(argc, argv, &state->options);
    world->options = &state->options;
    world->entropy = entropy_system;
    world->clock = (struct clock){
        .boottime_ms = main_boottime_ms,
        .wall_ms = main_wall_ms,
        .context = world,
    };
    int status = uv_loop_init(&world->loop);
    assert(status == 0);
    world->loop.data = state;
    main_watch_signals(state);
    main_remove_addresses(state);

    bool built =
        main_build(state, &error) == ERROR_OK && main_write_addresses(state, &error) == ERROR_OK;
    if (built) {
        (void)printf("ready\n");
        (void)fflush(stdout);
    } else {
        (void)fprintf(stderr, "noctua-world: %s\n", error.message);
        world_stop(world);
    }
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    status = uv_loop_close(&world->loop);
    assert(status == 0);
    hosted_zones_finish(&world->zones);
    credentials_finish(&world->credentials);
    ledger_close(world->ledger);
    SSL_CTX_free(state->tls);
    free(state);
    return built ? 0 : 1;
}
