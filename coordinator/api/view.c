#include "api/view.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/documents.h"
#include "base/text.h"
#include "document_memory.h"

struct view_text {
    _Atomic uint32_t references;
    size_t size_bytes;
    char bytes[];
};

static struct view_text *text_create(const char *bytes, size_t size_bytes) {
    struct view_text *text = malloc(sizeof *text + size_bytes);
    if (text != NULL) {
        atomic_init(&text->references, 1);
        text->size_bytes = size_bytes;
        memcpy(text->bytes, bytes, size_bytes);
    }
    return text;
}

struct view_text *view_text_acquire(struct view_text *text) {
    if (text != NULL) {
        atomic_fetch_add(&text->references, 1);
    }
    return text;
}

void view_text_release(struct view_text *text) {
    if (text != NULL && atomic_fetch_sub(&text->references, 1) == 1) {
        free(text);
    }
}

const char *view_text_bytes(const struct view_text *text, size_t *ret_size_bytes) {
    *ret_size_bytes = text->size_bytes;
    return text->bytes;
}

static struct view_text *render_status(const struct api_facts *facts) {
    char *json = document_render(document_status(facts), JSON_INDENT(2));
    struct view_text *text = NULL;
    if (json != NULL) {
        size_t size_bytes = strlen(json);
        json[size_bytes] = '\n'; /* in the NUL's place; text_create takes a size */
        text = text_create(json, size_bytes + 1);
    }
    free(json);
    return text;
}

static struct view_text *render_metrics(const struct metrics *metrics,
                                        const struct api_facts *facts) {
    struct buffer out;
    struct view_text *text = NULL;
    buffer_init(&out, METRICS_TEXT_MAX_BYTES);
    metrics_render(metrics, facts, &out);
    if (!out.failed && out.data != NULL) {
        text = text_create(out.data, out.size_bytes);
    }
    buffer_finish(&out);
    return text;
}

static void take_service(struct view_service *to, const struct state *state, uint32_t place) {
    const struct service *service = &state->services[place];
    const struct spec_service *spec = &state->spec.services[place];
    memcpy(to->name, spec->name, sizeof to->name);
    to->adopted = service->adopted;
    to->active = service->adopted ? service->active : NONE_INDEX;
    to->epoch = service->epoch;
    to->lease_ms = spec->policy.lease_ms;
    to->regions = UINT32_C(1) << spec->home;
    for (uint32_t i = 0; i < spec->target_count; i++) {
        to->regions |= UINT32_C(1) << spec->targets[i];
    }
    if (to->active < state->spec.region_count) {
        to->regions |= UINT32_C(1) << to->active;
    }
}

static void take_lease(struct view_service *to, const struct api_facts *facts) {
    to->lease_region = NONE_INDEX;
    for (uint32_t i = 0; facts->leases != NULL && i < SERVICE_MAX; i++) {
        const struct lease_facts *lease = &facts->leases[i];
        if (text_equal(lease->service, to->name)) {
            to->lease_region = spec_find_region(&facts->state->spec, lease->region);
            to->lease_until_ms = lease->until_ms;
            to->lease_epoch = lease->epoch;
        }
    }
}

static void take_facts(struct view *view, const struct api_facts *facts) {
    const struct state *state = facts->state;
    atomic_init(&view->references, 1);
    view->leads = facts->leads;
    view->caught_up = facts->caught_up;
    view->has_state = facts->was_caught_up && state->spec_index != 0;
    view->applied_index = state->applied_index;
    view->term = facts->term;
    view->quorum_contact_ms = facts->quorum_contact_ms;
    view->built_ms = facts->now_ms;
    (void)TEXT_COPY(view->node, facts->node);
    uint32_t leader = state_find_node(state, facts->leader_id);
    if (leader != NONE_INDEX) {
        memcpy(view->leader, state->nodes[leader].name, sizeof view->leader);
    }
    view->region_count = state->spec.region_count;
    for (uint32_t i = 0; i < view->region_count; i++) {
        memcpy(view->regions[i], state->spec.regions[i].name, sizeof view->regions[i]);
    }
    view->service_count = state->spec.service_count;
    for (uint32_t i = 0; i < view->service_count; i++) {
        take_service(&view->services[i], state, i);
        take_lease(&view->services[i], facts);
        view->services[i].primary = facts->primaries[i];
    }
}

struct view *view_build(const struct api_facts *facts, const struct metrics *metrics,
                        const struct view *documents_of) {
    uint32_t count = facts->state->spec.service_count;
    struct view *view = calloc(1, sizeof *view + count * sizeof view->services[0]);
    if (view == NULL) {
        return NULL;
    }
    take_facts(view, facts);
    if (documents_of != NULL) {
        view->status = view_text_acquire(documents_of->status);
        view->metrics = view_text_acquire(documents_of->metrics);
    } else {
        view->status = render_status(facts);
        view->metrics = metrics == NULL ? NULL : render_metrics(metrics, facts);
    }
    return view;
}

struct view *view_acquire(struct view *view) {
    if (view != NULL) {
        atomic_fetch_add(&view->references, 1);
    }
    return view;
}

void view_release(struct view *view) {
    if (view != NULL && atomic_fetch_sub(&view->references, 1) == 1) {
        view_text_release(view->status);
        view_text_release(view->metrics);
        free(view);
    }
}

const struct view_service *view_find_service(const struct view *view, const char *name) {
    for (uint32_t i = 0; i < view->service_count; i++) {
        if (text_equal(view->services[i].name, name)) {
            return &view->services[i];
        }
    }
    return NULL;
}

uint32_t view_find_region(const struct view *view, const struct view_service *service,
                          const char *name) {
    for (uint32_t i = 0; i < view->region_count; i++) {
        if ((service->regions >> i & 1) != 0 && text_equal(view->regions[i], name)) {
            return i;
        }
    }
    return NONE_INDEX;
}
