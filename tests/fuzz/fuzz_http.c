/* Requests to the endpoints: any cut of the bytes gives the same request, and every request and
 * refusal has an answer. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fuzz.h"
#include "http_routes.h"

/* A group whose service `web` is active in `east`, with a lease for it. */
static struct view *make_view(void) {
    static struct view *view;
    if (view == NULL) {
        view = calloc(1, sizeof *view + sizeof view->services[0]);
        assert(view != NULL);
        view->leads = view->caught_up = view->has_state = true;
        view->quorum_contact_ms = view->built_ms = 1000;
        (void)TEXT_COPY(view->node, "n1");
        (void)TEXT_COPY(view->leader, "n1");
        (void)TEXT_COPY(view->regions[0], "east");
        (void)TEXT_COPY(view->regions[1], "west");
        view->region_count = 2;
        view->service_count = 1;
        struct view_service *service = &view->services[0];
        (void)TEXT_COPY(service->name, "web");
        service->adopted = true;
        service->regions = 3;
        service->epoch = service->lease_epoch = 7;
        service->lease_ms = 10000;
        service->lease_until_ms = 5000;
    }
    return view;
}

static size_t feed(struct http_request *request, const uint8_t *data, size_t size, size_t piece) {
    size_t taken = 0;
    http_request_init(request);
    while (taken < size && !request->complete && request->refusal == 0) {
        size_t now = size - taken < piece ? size - taken : piece;
        size_t used = http_request_feed(request, (const char *)data + taken, now);
        assert(used <= now);
        assert(used == now || request->complete || request->refusal != 0);
        taken += used;
    }
    return taken;
}

static void answer(const struct http_request *request, uint8_t mode) {
    struct http_answer answer;
    struct http_scene scene = {
        .view = (mode & 1) != 0 ? make_view() : NULL,
        .is_public = (mode & 2) != 0,
        .now_ms = 1500,
    };
    if (request->complete) {
        assert(request->refusal == 0);
        assert(request->path[0] == '/' || text_equal(request->path, "*"));
        http_route_request(&scene, request, &answer);
    } else if (request->refusal != 0) {
        http_route_refusal(request->refusal, &answer);
    } else {
        return;
    }
    assert(answer.status >= 200 && answer.status < 600 && answer.content_type != NULL);
    assert(!text_equal(http_status_text(answer.status), "Unknown"));
    assert(memchr(answer.body, '\0', sizeof answer.body) != NULL);
    assert((unsigned)answer.route < HTTP_ROUTE_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_request whole, pieces;
    static bool configured;
    if (!configured) {
        configured = true;
        http_request_configure();
    }
    uint8_t mode = fuzz_take(&data, &size);
    size_t taken = feed(&whole, data, size, size);
    size_t taken_in_pieces = feed(&pieces, data, size, 1 + (mode >> 2));
    assert(whole.complete == pieces.complete && whole.refusal == pieces.refusal);
    if (whole.complete) {
        assert(taken == taken_in_pieces);
        assert(whole.verb == pieces.verb && whole.keep_alive == pieces.keep_alive);
        assert(whole.last_event_id == pieces.last_event_id);
        assert(text_equal(whole.path, pieces.path) && text_equal(whole.query, pieces.query));
    }
    answer(&whole, mode);
    return 0;
}
