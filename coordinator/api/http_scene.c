/* What an answer is made from, and what it tells the main loop: the newest view on the way there,
 * polls of leases on the way back. No socket and no thread, so that simulated nodes answer by it as
 * well. */
#include "http_private.h"

static void take_view(struct http_endpoints *endpoints) {
    struct view *next = atomic_exchange(&endpoints->next_view, NULL);
    if (next != NULL) {
        view_release(endpoints->view);
        endpoints->view = next;
    }
}

struct http_scene http_endpoints_scene(struct http_endpoints *endpoints, bool is_public) {
    take_view(endpoints);
    return (struct http_scene){.view = endpoints->view,
                               .is_public = is_public,
                               .now_ms = clock_boottime_ms(&endpoints->clock)};
}

/* Wakes the main loop, which asks for the lease, but not for every poll. */
static void note_lease_poll(struct http_endpoints *endpoints, const struct http_answer *answer,
                            uint64_t now_ms) {
    uint64_t *woken_ms = &endpoints->lease_woken_ms[answer->service][answer->region];
    atomic_store(&endpoints->lease_polled_ms[answer->service][answer->region], now_ms);
    if (endpoints->lease_polled != NULL &&
        (*woken_ms == 0 || now_ms - *woken_ms >= answer->lease_ask_ms)) {
        *woken_ms = now_ms;
        (void)uv_async_send(endpoints->lease_polled);
    }
}

void http_endpoints_answer(struct http_endpoints *endpoints, const struct http_scene *scene,
                           const struct http_request *request, struct http_answer *ret) {
    http_route_request(scene, request, ret);
    if (ret->lease_ask_ms > 0) {
        note_lease_poll(endpoints, ret, scene->now_ms);
    }
}

uint64_t http_endpoints_lease_polled_ms(const struct http_endpoints *endpoints, uint32_t service,
                                        uint32_t region) {
    return atomic_load(&endpoints->lease_polled_ms[service][region]);
}

void http_endpoints_publish(struct http_endpoints *endpoints, struct view *view) {
    if (view == NULL) {
        return;
    }
    /* What was not fetched yet is out of date, and the caller's again. */
    view_release(atomic_exchange(&endpoints->next_view, view));
}
