#include "region.h"

#include <assert.h>
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"
#include "http_server.h"

enum region_mode {
    REGION_UP,
    REGION_HANG,
    REGION_SLOW,
    REGION_STATUS,
    REGION_BODY,
    REGION_NO_HTTP
};

struct region_service {
    const struct region *region;
    char name[REGION_NAME_MAX + 1];
    struct http_server *server;
    enum region_mode mode;
    char *mode_text; /* as it was set */
    uint64_t slow_ms;
    int status;
    const char *body; /* in mode_text */
    uint64_t requests;
    uint64_t writes;
};

struct region {
    char name[REGION_NAME_MAX + 1];
    struct region_service services[REGION_SERVICES_MAX];
    size_t service_count;
};

struct region_table {
    uv_loop_t *loop;
    const struct clock *clock;
    struct region *regions[REGIONS_MAX];
    size_t count;
};

struct region_table *region_table_create(uv_loop_t *loop, const struct clock *clock) {
    struct region_table *table = alloc_zeroed(1, sizeof(*table));
    table->loop = loop;
    table->clock = clock;
    return table;
}

void region_table_destroy(struct region_table *table) {
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < table->count; i++) {
        for (size_t j = 0; j < table->regions[i]->service_count; j++) {
            http_server_destroy(table->regions[i]->services[j].server);
            free(table->regions[i]->services[j].mode_text);
        }
        free(table->regions[i]);
    }
    free(table);
}

static void region_reply(struct http_exchange *exchange, int status, const char *body) {
    http_exchange_reply(exchange, status, "application/json", NULL, body, strlen(body));
}

static bool region_is_write(const struct http_exchange *exchange) {
    return text_equal(exchange->request.method, "POST") &&
           text_equal(exchange->request.path, "/write");
}

static void region_answer(struct region_service *service, struct http_exchange *exchange) {
    char body[512];
    int status = service->mode == REGION_STATUS ? service->status : 200;
    if (service->mode == REGION_BODY) {
        http_exchange_reply(exchange, 200, "text/plain", NULL, service->body,
                            strlen(service->body));
        return;
    }
    if (region_is_write(exchange) && status < 300) {
        service->writes++;
    }
    (void)snprintf(body, sizeof(body), "{\"ok\":%s,\"region\":\"%s\",\"service\":\"%s\"}\n",
                   status < 400 ? "true" : "false", service->region->name, service->name);
    region_reply(exchange, status, body);
}

static void region_handle(void *context, struct http_exchange *exchange) {
    struct region_service *service = context;
    service->requests++;
    if (service->mode == REGION_HANG) {
        http_exchange_park(exchange);
        return;
    }
    if (service->mode == REGION_SLOW) {
        exchange->reply_delay_ms = service->slow_ms;
    }
    region_answer(service, exchange);
}

static struct region *region_find(struct region_table *table, const char *name) {
    for (size_t i = 0; i < table->count; i++) {
        if (text_equal(table->regions[i]->name, name)) {
            return table->regions[i];
        }
    }
    return NULL;
}

static enum error_code region_add_service(struct region_table *table, struct region *region,
                                          const char *name, uint64_t port, SSL_CTX *tls,
                                          struct error *error) {
    for (size_t i = 0; i < region->service_count; i++) {
        if (text_equal(region->services[i].name, name)) {
            return error_set(error, ERROR_EXISTS, "service '%s' twice in region '%s'", name,
                             region->name);
        }
    }
    if (region->service_count == REGION_SERVICES_MAX) {
        return error_set(error, ERROR_LIMIT, "more than %d services in region '%s'",
                         REGION_SERVICES_MAX, region->name);
    }
    struct region_service *service = &region->services[region->service_count];
    const struct http_server_options options = {
        .loop = table->loop,
        .handler = region_handle,
        .context = service,
        .clock = table->clock,
        .port = (uint16_t)port,
        .tls = tls,
    };
    if (!text_is_name(name, REGION_NAME_MAX)) {
        return error_set(error, ERROR_INVALID, "'%s' is not a name of a service", name);
    }
    enum error_code code = http_server_create(&options, &service->server, error);
    if (code != ERROR_OK) {
        return code;
    }
    service->region = region;
    TEXT_COPY(service->name, name);
    service->mode_text = alloc_text("up");
    region->service_count++;
    return ERROR_OK;
}

/* "SERVICE[=PORT]"; cut up in place. */
static enum error_code region_add_service_text(struct region_table *table, struct region *region,
                                               char *text, struct error *error) {
    uint64_t port = 0;
    char *equals = strchr(text, '=');
    if (equals != NULL) {
        *equals = '\0';
        if (!text_to_u64(equals + 1, 1, UINT16_MAX, &port)) {
            return error_set(error, ERROR_INVALID, "'%s' is not a port", equals + 1);
        }
    }
    return region_add_service(table, region, text, port, NULL, error);
}

enum error_code region_table_add(struct region_table *table, const char *text, SSL_CTX *tls,
                                 struct error *error) {
    char *copy = alloc_text(text);
    char *rest = copy;
    const char *name = strsep(&rest, ":");
    enum error_code code = ERROR_OK;
    bool plain = false;

    if (!text_is_name(name, REGION_NAME_MAX)) {
        code = error_set(error, ERROR_INVALID, "'%s' is not a name of a region", name);
        goto cleanup;
    }
    if (table->count == REGIONS_MAX || region_find(table, name) != NULL) {
        code =
            error_set(error, ERROR_EXISTS, "region '%s' twice, or more than %d", name, REGIONS_MAX);
        goto cleanup;
    }
    struct region *region = alloc_zeroed(1, sizeof(*region));
    TEXT_COPY(region->name, name);
    table->regions[table->count++] = region;
    while (rest != NULL && code == ERROR_OK) {
        char *service = strsep(&rest, ":");
        code = region_add_service_text(table, region, service, error);
        plain = plain || text_equal(service, "http");
    }
    if (code == ERROR_OK && !plain) {
        code = region_add_service(table, region, "http", 0, NULL, error);
    }
    if (code == ERROR_OK && tls != NULL) {
        code = region_add_service(table, region, "https", 0, tls, error);
    }

cleanup:
    free(copy);
    return code;
}

/* Reads a mode into a copy of the service; its server isn't touched. */
static bool region_parse_mode(const char *text, struct region_service *service,
                              enum http_server_mode *ret_server_mode) {
    const char *argument = strchr(text, ':');
    uint64_t number = 0;
    *ret_server_mode = HTTP_SERVER_SERVE;
    if (text_equal(text, "up")) {
        service->mode = REGION_UP;
    } else if (text_equal(text, "hang")) {
        service->mode = REGION_HANG;
    } else if (text_equal(text, "refuse")) {
        service->mode = REGION_NO_HTTP;
        *ret_server_mode = HTTP_SERVER_REFUSE;
    } else if (text_equal(text, "reset")) {
        service->mode = REGION_NO_HTTP;
        *ret_server_mode = HTTP_SERVER_RESET;
    } else if (text_starts_with(text, "slow:")) {
        service->mode = REGION_SLOW;
        return text_to_u64(argument + 1, 1, REGION_SLOW_MAX_MS, &service->slow_ms);
    } else if (text_starts_with(text, "status:")) {
        service->mode = REGION_STATUS;
        bool read = text_to_u64(argument + 1, 200, 599, &number);
        service->status = (int)number;
        return read;
    } else if (text_starts_with(text, "body:")) {
        service->mode = REGION_BODY;
        return strlen(argument + 1) <= REGION_BODY_MAX_BYTES;
    } else {
        return false;
    }
    return true;
}

static enum error_code region_set_service_mode(struct region_service *service, const char *text,
                                               struct error *error) {
    struct region_service changed = *service;
    enum http_server_mode server_mode;
    if (!region_parse_mode(text, &changed, &server_mode)) {
        return error_set(error, ERROR_INVALID,
                         "mode '%.60s' is not up, refuse, hang, reset, slow:MS, status:CODE or "
                         "body:TEXT",
                         text);
    }
    enum error_code code = http_server_set_mode(service->server, server_mode, error);
    if (code != ERROR_OK) {
        return code;
    }
    changed.mode_text = alloc_text(text);
    if (changed.mode == REGION_BODY) {
        changed.body = changed.mode_text + strlen("body:");
    }
    free(service->mode_text);
    *service = changed;
    return ERROR_OK;
}

enum error_code region_table_set_mode(struct region_table *table, const char *region_name,
                                      const char *service_name, const char *mode,
                                      struct error *error) {
    struct region *region = region_find(table, region_name);
    bool found = false;
    if (region == NULL) {
        return error_set(error, ERROR_NOT_FOUND, "no region '%.64s'", region_name);
    }
    for (size_t i = 0; i < region->service_count; i++) {
        struct region_service *service = &region->services[i];
        if (service_name == NULL || text_equal(service->name, service_name)) {
            enum error_code code = region_set_service_mode(service, mode, error);
            if (code != ERROR_OK) {
                return code;
            }
            found = true;
        }
    }
    return found ? ERROR_OK
                 : error_set(error, ERROR_NOT_FOUND, "no service '%.64s' in region '%s'",
                             service_name, region->name);
}

size_t region_table_count(const struct region_table *table) {
    return table->count;
}

const char *region_table_name(const struct region_table *table, size_t index) {
    assert(index < table->count);
    return table->regions[index]->name;
}

json_t *region_table_addresses(const struct region_table *table) {
    json_t *json = json_object();
    for (size_t i = 0; i < table->count; i++) {
        const struct region *region = table->regions[i];
        json_t *services = json_object();
        for (size_t j = 0; j < region->service_count; j++) {
            json_object_set_new(
                services, region->services[j].name,
                json_sprintf("127.0.0.1:%u", http_server_port(region->services[j].server)));
        }
        json_object_set_new(json, region->name, services);
    }
    return json;
}

json_t *region_table_stats(const struct region_table *table) {
    json_t *json = json_object();
    for (size_t i = 0; i < table->count; i++) {
        const struct region *region = table->regions[i];
        json_t *services = json_object();
        for (size_t j = 0; j < region->service_count; j++) {
            const struct region_service *service = &region->services[j];
            json_object_set_new(services, service->name,
                                json_pack("{s:s,s:I,s:I}", "mode", service->mode_text, "requests",
                                          (json_int_t)service->requests, "writes",
                                          (json_int_t)service->writes));
        }
        json_object_set_new(json, region->name, services);
    }
    return json;
}
