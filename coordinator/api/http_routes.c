#include "http_routes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/http_endpoints.h"
#include "base/text.h"

#define SEGMENT_MAX 5
#define TEXT_PLAIN "text/plain; charset=utf-8"

struct segments {
    char *at[SEGMENT_MAX];
    uint32_t count; /* SEGMENT_MAX + 1: more than any route has */
    char text[HTTP_TARGET_MAX];
};

const char *http_route_text(enum http_route route) {
    static const char *const words[] = {
#define X(name, text) text,
        HTTP_ROUTE_TABLE(X)
#undef X
    };
    return words[route];
}

const char *http_status_text(unsigned status) {
    switch (status) {
#define X(number, name, text)                                                                      \
    case number:                                                                                   \
        return #text;
        HTTP_STATUS_MAP(X)
#undef X
    default:
        return "Unknown";
    }
}

static void say(struct http_answer *answer, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct http_answer *answer, unsigned status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    answer->status = status;
    (void)vsnprintf(answer->body, sizeof answer->body, format, arguments);
    va_end(arguments);
}

static void split_path(const char *path, struct segments *segments) {
    segments->count = 0;
    (void)TEXT_COPY(segments->text, path);
    char *at = segments->text;
    while (at != NULL && *at == '/') {
        *at++ = '\0';
        if (segments->count == SEGMENT_MAX) {
            segments->count++;
            return;
        }
        segments->at[segments->count++] = at;
        at = strchr(at, '/');
    }
}

static bool path_is(const struct segments *segments, uint32_t count, const char *first) {
    return segments->count == count && text_equal(segments->at[0], first);
}

static bool asks_verbose(const struct http_request *request) {
    return text_equal(request->query, "verbose") || text_starts_with(request->query, "verbose=") ||
           text_starts_with(request->query, "verbose&");
}

static bool age_is_recent(const struct http_scene *scene) {
    const struct view *view = scene->view;
    return view->quorum_contact_ms != 0 &&
           (scene->now_ms <= view->quorum_contact_ms ||
            scene->now_ms - view->quorum_contact_ms <= QUORUM_RECENT_MS);
}

static const char *mark(bool good) {
    return good ? "ok" : "failed";
}

static void answer_livez(const struct http_scene *scene, bool verbose, struct http_answer *answer) {
    const struct view *view = scene->view;
    bool hangs = view != NULL && scene->now_ms > view->built_ms &&
                 scene->now_ms - view->built_ms > HTTP_LIVE_MS;
    unsigned status = hangs ? HTTP_STATUS_SERVICE_UNAVAILABLE : HTTP_STATUS_OK;
    if (!verbose) {
        say(answer, status, hangs ? "the main loop hangs\n" : "ok\n");
        return;
    }
    say(answer, status, "[+] endpoints ok\n[%c] main loop %s\n%s\n", hangs ? '-' : '+',
        view == NULL ? "starting" : mark(!hangs), hangs ? "failed" : "ok");
}

static void answer_readyz(const struct http_scene *scene, bool verbose,
                          struct http_answer *answer) {
    const struct view *view = scene->view;
    bool caught_up = view != NULL && view->caught_up;
    bool quorum = view != NULL && age_is_recent(scene);
    bool ready = caught_up && quorum;
    unsigned status = ready ? HTTP_STATUS_OK : HTTP_STATUS_SERVICE_UNAVAILABLE;
    if (!verbose) {
        say(answer, status,
            ready       ? "ok\n"
            : caught_up ? "no quorum seen recently\n"
                        : "not caught up\n");
        return;
    }
    say(answer, status, "[%c] caught up %s\n[%c] quorum seen recently %s\n%s\n",
        caught_up ? '+' : '-', mark(caught_up), quorum ? '+' : '-', mark(quorum), mark(ready));
}

static void answer_leader(const struct http_scene *scene, struct http_answer *answer) {
    const struct view *view = scene->view;
    if (view != NULL && view->leads) {
        say(answer, HTTP_STATUS_OK, "%s leads\n", view->node);
    } else if (view == NULL || view->leader[0] == '\0') {
        say(answer, HTTP_STATUS_SERVICE_UNAVAILABLE, "no leader is known\n");
    } else {
        say(answer, HTTP_STATUS_SERVICE_UNAVAILABLE, "%s leads\n", view->leader);
    }
}

/* The service and, unless `region_name` is NULL, its region; or an answer why not. Before a first
 * state nothing is "unknown": a load balancer may take 404 for good. */
static const struct view_service *find_service(const struct http_scene *scene, const char *name,
                                               const char *region_name, uint32_t *ret_region,
                                               struct http_answer *answer) {
    const struct view *view = scene->view;
    if (view == NULL || !view->has_state) {
        say(answer, HTTP_STATUS_SERVICE_UNAVAILABLE, "no state is known yet\n");
        return NULL;
    }
    const struct view_service *service = view_find_service(view, name);
    if (service == NULL) {
        say(answer, HTTP_STATUS_NOT_FOUND, "no such service\n");
        return NULL;
    }
    if (region_name != NULL) {
        *ret_region = view_find_region(view, service, region_name);
        if (*ret_region == NONE_INDEX) {
            say(answer, HTTP_STATUS_NOT_FOUND, "the service has no such region\n");
            return NULL;
        }
    }
    /* Where a set takes writes is observed, whoever may move it. */
    bool observed = answer->route == HTTP_ROUTE_PRIMARY && service->primary.is_watched;
    if (!observed && (!service->adopted || service->active >= view->region_count)) {
        say(answer, HTTP_STATUS_SERVICE_UNAVAILABLE, "the service has not been adopted\n");
        return NULL;
    }
    return service;
}

static void answer_active(const struct http_scene *scene, const struct segments *segments,
                          struct http_answer *answer) {
    uint32_t region = NONE_INDEX;
    const struct view_service *service =
        find_service(scene, segments->at[1], segments->at[3], &region, answer);
    if (service == NULL) {
        return;
    }
    if (region == service->active) {
        say(answer, HTTP_STATUS_OK, "active epoch=%" PRIu64 "\n", service->epoch);
    } else {
        say(answer, HTTP_STATUS_SERVICE_UNAVAILABLE, "not active: %s is, epoch=%" PRIu64 "\n",
            scene->view->regions[service->active], service->epoch);
    }
}

/* Only a lease that this node holds counts, whatever the committed state says: the region that it
 * was granted for is the only one that may write until it ends. */
static void answer_lease(const struct http_scene *scene, const struct segments *segments,
                         struct http_answer *answer) {
    uint32_t region = NONE_INDEX;
    const struct view_service *service =
        find_service(scene, segments->at[1], segments->at[3], &region, answer);
    if (service == NULL) {
        return;
    }
    answer->lease_ask_ms = service->lease_ms / VIEW_LEASE_ASKS;
    answer->service = (uint32_t)(service - scene->view->services);
    answer->region = region;
    if (service->lease_region == region && service->lease_until_ms > scene->now_ms) {
        answer->content_type = "application/json";
        say(answer, HTTP_STATUS_OK, "{\"epoch\": %" PRIu64 ", \"expires_in_ms\": %" PRIu64 "}\n",
            service->lease_epoch, service->lease_until_ms - scene->now_ms);
    } else {
        say(answer, HTTP_STATUS_SERVICE_UNAVAILABLE, "no lease\n");
    }
}

/* With a replica set it is what this node saw, whatever is committed; else where it is active. */
static void answer_primary(const struct http_scene *scene, const struct segments *segments,
                           struct http_answer *answer) {
    const struct view_service *service = find_service(scene, segments->at[1], NULL, NULL, answer);
    if (service == NULL) {
        return;
    }
    const struct primary_facts *primary = &service->primary;
    uint32_t region = primary->is_watched ? primary->region : service->active;
    if (region >= scene->view->region_count ||
        (primary->is_watched && scene->now_ms > primary->until_ms)) {
        say(answer, HTTP_STATUS_SERVICE_UNAVAILABLE, "no primary takes writes\n");
    } else {
        say(answer, HTTP_STATUS_OK, "%s\n", scene->view->regions[region]);
    }
}

/* Exactly one region of a service is active, so never all are told to go. */
static void answer_switch(const struct http_scene *scene, const struct segments *segments,
                          struct http_answer *answer) {
    uint32_t region = NONE_INDEX;
    const struct view_service *service =
        find_service(scene, segments->at[1], segments->at[2], &region, answer);
    if (service != NULL) {
        say(answer, HTTP_STATUS_OK, "%s-%s", region == service->active ? "KEEP" : "EVICT",
            scene->view->regions[region]);
    }
}

static void answer_document(const struct http_scene *scene, struct http_answer *answer) {
    const struct view *view = scene->view;
    bool metrics = answer->route == HTTP_ROUTE_METRICS;
    struct view_text *text = view == NULL ? NULL : metrics ? view->metrics : view->status;
    if (text == NULL) {
        say(answer, HTTP_STATUS_SERVICE_UNAVAILABLE, "not known yet\n");
        return;
    }
    answer->status = HTTP_STATUS_OK;
    answer->document = text;
    answer->content_type =
        metrics ? "text/plain; version=0.0.4; charset=utf-8" : "application/json";
}

static enum http_route find_route(const struct segments *segments, bool is_public) {
    static const enum http_route singles[] = {HTTP_ROUTE_LIVEZ,   HTTP_ROUTE_READYZ,
                                              HTTP_ROUTE_LEADER,  HTTP_ROUTE_STATUS,
                                              HTTP_ROUTE_METRICS, HTTP_ROUTE_EVENTS};
    enum http_route found = HTTP_ROUTE_OTHER;
    for (size_t i = 0; i < ARRAY_LENGTH(singles); i++) {
        if (path_is(segments, 1, http_route_text(singles[i]))) {
            found = singles[i];
        }
    }
    if (path_is(segments, 3, "switch")) {
        found = HTTP_ROUTE_SWITCH;
    } else if (path_is(segments, 3, "services") && text_equal(segments->at[2], "primary")) {
        found = HTTP_ROUTE_PRIMARY;
    } else if (path_is(segments, 5, "services") && text_equal(segments->at[2], "regions") &&
               text_equal(segments->at[4], "active")) {
        found = HTTP_ROUTE_ACTIVE;
    } else if (path_is(segments, 5, "services") && text_equal(segments->at[2], "regions") &&
               text_equal(segments->at[4], "lease")) {
        found = HTTP_ROUTE_LEASE;
    }
    bool for_public =
        found == HTTP_ROUTE_SWITCH || found == HTTP_ROUTE_LIVEZ || found == HTTP_ROUTE_LEASE;
    return is_public && !for_public ? HTTP_ROUTE_OTHER : found;
}

static void answer_route(const struct http_scene *scene, const struct http_request *request,
                         const struct segments *segments, struct http_answer *answer) {
    switch (answer->route) {
    case HTTP_ROUTE_LIVEZ:
        answer_livez(scene, asks_verbose(request), answer);
        break;
    case HTTP_ROUTE_READYZ:
        answer_readyz(scene, asks_verbose(request), answer);
        break;
    case HTTP_ROUTE_LEADER:
        answer_leader(scene, answer);
        break;
    case HTTP_ROUTE_ACTIVE:
        answer_active(scene, segments, answer);
        break;
    case HTTP_ROUTE_LEASE:
        answer_lease(scene, segments, answer);
        break;
    case HTTP_ROUTE_PRIMARY:
        answer_primary(scene, segments, answer);
        break;
    case HTTP_ROUTE_SWITCH:
        answer_switch(scene, segments, answer);
        break;
    case HTTP_ROUTE_STATUS:
    case HTTP_ROUTE_METRICS:
        answer_document(scene, answer);
        break;
    case HTTP_ROUTE_EVENTS:
        answer->status = HTTP_STATUS_OK;
        answer->content_type = "text/event-stream";
        answer->stream = request->verb == HTTP_VERB_GET;
        break;
    case HTTP_ROUTE_OTHER:
    case HTTP_ROUTE_COUNT:
        say(answer, HTTP_STATUS_NOT_FOUND, "not found\n");
        break;
    }
}

void http_route_request(const struct http_scene *scene, const struct http_request *request,
                        struct http_answer *ret) {
    memset(ret, 0, sizeof *ret);
    ret->content_type = TEXT_PLAIN;
    ret->route = HTTP_ROUTE_OTHER;
    if (request->verb == HTTP_VERB_OPTIONS && text_equal(request->path, "*")) {
        ret->status = HTTP_STATUS_OK;
        ret->allow = true;
        return;
    }
    struct segments segments;
    split_path(request->path, &segments);
    ret->route = find_route(&segments, scene->is_public);
    if (request->verb == HTTP_VERB_OTHER) {
        say(ret, HTTP_STATUS_METHOD_NOT_ALLOWED, "GET, HEAD and OPTIONS only\n");
        ret->allow = true;
        return;
    }
    answer_route(scene, request, &segments, ret);
    /* HAProxy's checks ask by OPTIONS unless told otherwise: the status is GET's. */
    ret->allow = request->verb == HTTP_VERB_OPTIONS;
}

void http_route_refusal(unsigned status, struct http_answer *ret) {
    memset(ret, 0, sizeof *ret);
    ret->content_type = TEXT_PLAIN;
    ret->route = HTTP_ROUTE_OTHER;
    ret->allow = status == HTTP_STATUS_METHOD_NOT_ALLOWED;
    say(ret, status, "%s\n", http_status_text(status));
}
