#include "held.h"

#include <assert.h>

#include "alloc.h"
#include "base/text.h"

struct held {
    uv_timer_t timer;
    struct world *world;
    struct held *next; /* in order of arrival */
    unsigned fault_id;
    enum held_purpose purpose;
    bool expire;
    bool missing;
    struct aws_request *request;
    char change_id[HOSTED_CHANGE_ID_SIZE];
};

static void held_on_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* Takes it out of the list and of the loop; the caller uses up its request before it returns to the
 * loop. */
static void held_remove(struct held *held) {
    struct world *world = held->world;
    struct held **link = &world->held;
    while (*link != held) {
        link = &(*link)->next;
    }
    *link = held->next;
    assert(world->held_count > 0);
    world->held_count--;
    struct fault *fault = faults_find(&world->faults, held->fault_id);
    if (fault != NULL) {
        assert(fault->held > 0);
        fault->held--;
    }
    uv_close((uv_handle_t *)&held->timer, held_on_closed);
}

static void held_deliver(struct held *held) {
    struct aws_refusal refusal;
    if (held->expire && !aws_request_verify(held->world, held->request, &refusal)) {
        aws_request_refuse(held->world, held->request, &refusal);
        return;
    }
    (void)aws_request_execute(held->world, held->request);
}

static json_t *held_describe_forgotten(const struct hosted_zone *zone, const char *change_id) {
    json_t *ids = json_array();
    bool found = false;
    for (size_t i = 0; i < zone->change_count; i++) {
        found = found || text_equal(zone->changes[i]->id, change_id);
        if (found && zone->changes[i]->status == HOSTED_FORGOTTEN) {
            json_array_append_new(ids, json_string(zone->changes[i]->id));
        }
    }
    return ids;
}

static void held_forget(struct held *held) {
    struct world *world = held->world;
    struct hosted_zone *zone = NULL;
    struct hosted_change *change = hosted_zones_find_change(&world->zones, held->change_id, &zone);
    /* An earlier change that was forgotten has taken this one with it. */
    if (change == NULL || change->status != HOSTED_PENDING) {
        return;
    }
    struct zone_state *before = zone_state_ref(zone->newest);
    (void)hosted_zone_forget(zone, change, held->missing);
    json_t *entry = ledger_describe("forgotten", zone, NULL, before, zone->newest);
    json_object_set_new(entry, "change_id", json_string(held->change_id));
    json_object_set_new(entry, "comment",
                        change->comment != NULL ? json_string(change->comment) : json_null());
    json_object_set_new(entry, "forgotten", held_describe_forgotten(zone, held->change_id));
    json_object_set_new(entry, "fault", json_integer(held->fault_id));
    ledger_write(world->ledger, entry);
    zone_state_unref(before);
}

static void held_let_go(struct held *held) {
    held_remove(held);
    switch (held->purpose) {
    case HELD_DELIVER:
        held_deliver(held);
        break;
    case HELD_HANG:
        aws_request_destroy(held->request);
        break;
    case HELD_FORGET:
        held_forget(held);
        break;
    }
}

static void held_on_due(uv_timer_t *timer) {
    held_let_go(timer->data);
}

void held_add(struct world *world, struct fault *fault, enum held_purpose purpose,
              struct aws_request *request, const char *change_id) {
    if (world->held_count >= HELD_MAX) {
        if (request != NULL) {
            aws_request_destroy(request);
        }
        return;
    }
    struct held *held = alloc_zeroed(1, sizeof(*held));
    held->world = world;
    held->fault_id = fault->id;
    held->purpose = purpose;
    held->expire = fault->expire;
    held->missing = fault->missing;
    held->request = request;
    TEXT_COPY(held->change_id, change_id);
    (void)uv_timer_init(&world->loop, &held->timer);
    held->timer.data = held;
    if (!fault->until_release) {
        (void)uv_timer_start(&held->timer, held_on_due, fault->delay_ms, 0);
    }
    struct held **link = &world->held;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = held;
    world->held_count++;
    fault->held++;
}

size_t held_release(struct world *world, unsigned fault_id) {
    size_t released = 0;
    for (struct held *held = world->held; held != NULL;) {
        struct held *next = held->next;
        if (held->fault_id == fault_id) {
            held_let_go(held);
            released++;
        }
        held = next;
    }
    return released;
}

void held_discard(struct world *world, unsigned fault_id) {
    for (struct held *held = world->held; held != NULL;) {
        struct held *next = held->next;
        if (fault_id == 0 || held->fault_id == fault_id) {
            struct hosted_change *change =
                hosted_zones_find_change(&world->zones, held->change_id, NULL);
            if (held->purpose == HELD_FORGET && change != NULL) {
                change->stuck = false;
            }
            held_remove(held);
            if (held->request != NULL) {
                aws_request_destroy(held->request);
            }
        }
        held = next;
    }
}
