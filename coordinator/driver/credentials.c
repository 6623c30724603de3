#include "credentials.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "allocate.h"
#include "credential_source.h"

enum {
    REREAD_MS = 5 * 60 * 1000, /* keys without an end (files) may have been exchanged */
    EARLY_MS = 5 * 60 * 1000,
    RETRY_FIRST_MS = 1000,
    RETRY_LAST_MS = 60 * 1000,
    LIFE_WITHOUT_CLOCK_MS = 15 * 60 * 1000, /* an end that already is in the past, by our clock */
    FORGET_MS = 24 * 60 * 60 * 1000,        /* not asked for: no longer renewed */
};

struct waiter {
    struct waiter *next;
    credentials_cb on_keys;
    void *context;
};

struct entry {
    struct credentials *owner;
    struct entry *next;
    char role_arn[256], external_id[128];
    struct aws_keys keys;
    bool have, fetching, distrusted;
    bool expires;
    uint64_t expires_at_ms, renew_at_ms; /* CLOCK_BOOTTIME */
    uint64_t retry_at_ms;                /* after a failure */
    uint64_t asked_at_ms;
    uint32_t failures; /* in a row */
    struct error last_error;
    struct waiter *waiters, **waiters_end;
};

struct credentials {
    struct credentials_options options;
    struct credential_source source;
    uv_timer_t timer;
    struct entry *entries; /* the first is the node's own identity */
    uint32_t entry_count;
    bool stopped, closing;
    void (*on_closed)(void *context);
    void *close_context;
};

static void on_timer(uv_timer_t *timer);

static uint64_t now_ms(const struct credentials *credentials) {
    return clock_boottime_ms(credentials->options.clock);
}

static void wake(struct credentials *credentials, uint64_t delay_ms) {
    uv_update_time(credentials->options.loop);
    if (!uv_is_active((uv_handle_t *)&credentials->timer) ||
        uv_timer_get_due_in(&credentials->timer) > delay_ms) {
        uv_timer_start(&credentials->timer, on_timer, delay_ms, 0);
    }
}

uint64_t credentials_renew_after_ms(uint64_t life_ms, const struct entropy *entropy) {
    uint64_t after_ms = life_ms / 4 * 3;
    if (life_ms > EARLY_MS && life_ms - EARLY_MS < after_ms) {
        after_ms = life_ms - EARLY_MS;
    }
    return after_ms - entropy_between(entropy, 0, after_ms / 10);
}

/* --- fetching ------------------------------------------------------------------------------- */

static void entry_store(struct entry *entry, const struct credential_result *result) {
    struct credentials *owner = entry->owner;
    const struct credential *credential = result->credential;
    uint64_t now = now_ms(owner);
    uint64_t life_ms = 0;
    entry->keys = credential->keys;
    entry->have = true;
    entry->distrusted = false;
    entry->failures = 0;
    entry->expires = credential->expires;
    if (!credential->expires) {
        entry->renew_at_ms = now + REREAD_MS;
        return;
    }
    /* Issuer's end against issuer's clock: our own may be off. */
    uint64_t issuer_ms =
        result->clock_wall_ms != 0 ? result->clock_wall_ms : clock_wall_ms(owner->options.clock);
    life_ms = credential->expires_wall_ms > issuer_ms ? credential->expires_wall_ms - issuer_ms
                                                      : LIFE_WITHOUT_CLOCK_MS;
    entry->expires_at_ms = now + life_ms;
    entry->renew_at_ms = now + credentials_renew_after_ms(life_ms, owner->options.entropy);
}

static void entry_fail(struct entry *entry, const struct error *error) {
    struct credentials *owner = entry->owner;
    uint64_t delay_ms = RETRY_FIRST_MS;
    for (uint32_t i = 0; i < entry->failures && delay_ms < RETRY_LAST_MS; i++) {
        delay_ms *= 2;
    }
    delay_ms = delay_ms > RETRY_LAST_MS ? RETRY_LAST_MS : delay_ms;
    delay_ms = entropy_between(owner->options.entropy, delay_ms / 2, delay_ms);
    entry->retry_at_ms = now_ms(owner) + delay_ms;
    entry->last_error = *error;
    if (entry->failures < UINT32_MAX) {
        entry->failures++;
    }
    if (!owner->stopped) {
        LOG_EVENT(CREDENTIALS_NOT_RENEWED, LOG_TEXT("role", entry->role_arn),
                  LOG_BOOL("old_ones_kept", entry->have), LOG_TEXT("why", error->message));
    }
}

static void on_fetched(void *context, const struct credential_result *result) {
    struct entry *entry = context;
    struct credentials *owner = entry->owner;
    assert(entry->fetching);
    entry->fetching = false;
    if (result->error == NULL) {
        entry_store(entry, result);
    } else {
        entry_fail(entry, result->error);
        if (result->keys_refused && entry->role_arn[0] != '\0') {
            credentials_distrust(owner, "", "");
        }
    }
    wake(owner, 0);
}

static void on_base_keys(void *context, const struct error *error, const struct aws_keys *keys) {
    struct entry *entry = context;
    struct credentials *owner = entry->owner;
    if (error != NULL || owner->stopped) {
        struct error cancelled;
        error_set(&cancelled, ERROR_CANCELLED, "cancelled");
        on_fetched(entry, &(struct credential_result){.error = error != NULL ? error : &cancelled});
        return;
    }
    char region[33];
    credential_source_find_region(&owner->source, region);
    struct sts_role role = {entry->role_arn, entry->external_id, owner->source.session_name};
    sts_assume_role(owner->options.http, region, keys, &role, on_fetched, entry);
}

static void entry_fetch(struct entry *entry) {
    assert(!entry->fetching);
    entry->fetching = true;
    if (entry->role_arn[0] == '\0') {
        credential_source_fetch(&entry->owner->source, on_fetched, entry);
    } else {
        credentials_get(entry->owner, "", "", on_base_keys, entry);
    }
}

/* --- serving -------------------------------------------------------------------------------- */

static void serve_waiters(struct entry *entry, const struct error *error) {
    struct waiter *waiter = entry->waiters;
    entry->waiters = NULL;
    entry->waiters_end = &entry->waiters;
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        waiter->on_keys(waiter->context, error, error == NULL ? &entry->keys : NULL);
        free(waiter);
        waiter = next;
    }
}

static uint64_t entry_serve(struct entry *entry) {
    uint64_t now = now_ms(entry->owner);
    bool stopped = entry->owner->stopped;
    bool fresh =
        entry->have && !entry->distrusted && (!entry->expires || now < entry->expires_at_ms);
    bool may_fetch = !stopped && !entry->fetching && now >= entry->retry_at_ms;
    bool wanted = entry->waiters != NULL ||
                  ((entry->have || entry->failures > 0) && now < entry->asked_at_ms + FORGET_MS);
    if (wanted && may_fetch && (!fresh || now >= entry->renew_at_ms)) {
        entry_fetch(entry); /* may be over already */
        fresh =
            entry->have && !entry->distrusted && (!entry->expires || now < entry->expires_at_ms);
    }
    if (entry->waiters != NULL && (fresh || !entry->fetching)) {
        /* After a failed renewal old keys are better than none: the service will tell. */
        struct error cancelled;
        error_set(&cancelled, ERROR_CANCELLED, "cancelled");
        serve_waiters(entry, entry->have ? NULL : stopped ? &cancelled : &entry->last_error);
    }
    if (stopped || entry->fetching || !wanted) {
        return UINT64_MAX;
    }
    uint64_t due = fresh ? entry->renew_at_ms : now;
    due = due > entry->retry_at_ms ? due : entry->retry_at_ms;
    return due > now ? due - now : 1;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct credentials *credentials = handle->data;
    void (*on_closed)(void *) = credentials->on_closed;
    void *context = credentials->close_context;
    struct entry *entry = credentials->entries;
    while (entry != NULL) {
        struct entry *next = entry->next;
        assert(entry->waiters == NULL && !entry->fetching);
        explicit_bzero(entry, sizeof *entry);
        free(entry);
        entry = next;
    }
    free(credentials);
    on_closed(context);
}

static void on_timer(uv_timer_t *timer) {
    struct credentials *credentials = timer->data;
    uint64_t soonest_ms = UINT64_MAX;
    /* Entries are only ever added, at the end: safe against callbacks that ask for more. */
    for (struct entry *entry = credentials->entries; entry != NULL; entry = entry->next) {
        if (credentials->closing) {
            struct error cancelled;
            error_set(&cancelled, ERROR_CANCELLED, "cancelled");
            serve_waiters(entry, &cancelled);
        } else {
            uint64_t delay_ms = entry_serve(entry);
            soonest_ms = delay_ms < soonest_ms ? delay_ms : soonest_ms;
        }
    }
    if (credentials->closing) {
        uv_close((uv_handle_t *)&credentials->timer, on_timer_closed);
    } else if (soonest_ms != UINT64_MAX) {
        wake(credentials, soonest_ms);
    }
}

static struct entry *find_entry(struct credentials *credentials, const char *role_arn,
                                const char *external_id) {
    struct entry *entry = credentials->entries;
    while (entry != NULL && (!text_equal(entry->role_arn, role_arn) ||
                             !text_equal(entry->external_id, external_id))) {
        entry = entry->next;
    }
    return entry;
}

/* The idle role that was asked for longest ago, to be used anew. */
static struct entry *find_idle_entry(struct credentials *credentials) {
    struct entry *found = NULL;
    struct entry *entry = credentials->entries->next; /* never the node's own identity */
    for (; entry != NULL; entry = entry->next) {
        if (entry->waiters == NULL && !entry->fetching &&
            (found == NULL || entry->asked_at_ms < found->asked_at_ms)) {
            found = entry;
        }
    }
    return found;
}

static void set_up_entry(struct credentials *credentials, struct entry *entry, const char *role_arn,
                         const char *external_id) {
    struct entry *next = entry->next;
    explicit_bzero(entry, sizeof *entry);
    entry->next = next;
    entry->owner = credentials;
    entry->waiters_end = &entry->waiters;
    bool ok = TEXT_COPY(entry->role_arn, role_arn) && TEXT_COPY(entry->external_id, external_id);
    assert(ok); /* a driver_target's are no longer */
    (void)ok;
}

static struct entry *add_entry(struct credentials *credentials, const char *role_arn,
                               const char *external_id) {
    struct entry *entry = NULL;
    if (credentials->entry_count > CREDENTIALS_ROLE_MAX) {
        entry = find_idle_entry(credentials);
    }
    if (entry == NULL) {
        entry = driver_allocate(sizeof *entry);
        struct entry **end = &credentials->entries;
        while (*end != NULL) {
            end = &(*end)->next;
        }
        *end = entry;
        credentials->entry_count++;
    }
    set_up_entry(credentials, entry, role_arn, external_id);
    return entry;
}

void credentials_get(struct credentials *credentials, const char *role_arn, const char *external_id,
                     credentials_cb on_keys, void *context) {
    assert(!credentials->closing);
    const char *external = role_arn[0] == '\0' ? "" : external_id;
    struct entry *entry = find_entry(credentials, role_arn, external);
    if (entry == NULL) {
        entry = add_entry(credentials, role_arn, external);
    }
    entry->asked_at_ms = now_ms(credentials);
    struct waiter *waiter = driver_allocate(sizeof *waiter);
    waiter->on_keys = on_keys;
    waiter->context = context;
    *entry->waiters_end = waiter;
    entry->waiters_end = &waiter->next;
    wake(credentials, 0);
}

void credentials_distrust(struct credentials *credentials, const char *role_arn,
                          const char *external_id) {
    struct entry *entry = find_entry(credentials, role_arn, role_arn[0] == '\0' ? "" : external_id);
    if (entry != NULL) {
        entry->distrusted = true;
    }
}

enum error_code credentials_create(const struct credentials_options *options,
                                   struct credentials **ret_credentials, struct error *error) {
    struct credentials *credentials = calloc(1, sizeof *credentials);
    if (credentials == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    credentials->options = *options;
    credential_source_init(&credentials->source, options->http, options->node, options->region);
    add_entry(credentials, "", "");
    uv_timer_init(options->loop, &credentials->timer);
    credentials->timer.data = credentials;
    *ret_credentials = credentials;
    return ERROR_OK;
}

void credentials_stop(struct credentials *credentials) {
    credentials->stopped = true;
}

void credentials_close(struct credentials *credentials, void (*on_closed)(void *context),
                       void *context) {
    assert(credentials->stopped && !credentials->closing);
    credentials->closing = true;
    credentials->on_closed = on_closed;
    credentials->close_context = context;
    wake(credentials, 0);
}
