#include "resolver.h"

#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { HOST_SIZE = 256, SERVICE_SIZE = 8, THREAD_STACK_BYTES = 256 * 1024 };

struct lookup {
    struct mailbox *mailbox;
    struct lookup *next;
    char host[HOST_SIZE];
    char service[SERVICE_SIZE];
    resolver_callback callback;
    void *context;
    struct resolver_answer answer;
};

/* Where threads leave their answers. It outlives the resolver until the last thread is through. */
struct mailbox {
    pthread_mutex_t lock;
    unsigned references;
    struct resolver *resolver; /* NULL: closed */
    struct lookup *answered;
};

struct resolver {
    uv_async_t wake;
    struct mailbox *mailbox;
    void (*closed)(void *context);
    void *closed_context;
};

static void mailbox_unref(struct mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    bool last = --mailbox->references == 0;
    pthread_mutex_unlock(&mailbox->lock);
    if (last) {
        pthread_mutex_destroy(&mailbox->lock);
        free(mailbox);
    }
}

static void resolve(struct lookup *lookup) {
    struct resolver_answer *answer = &lookup->answer;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rv = getaddrinfo(lookup->host, lookup->service, &hints, &list);
    if (rv != 0) {
        error_set(&answer->error, ERROR_UNAVAILABLE, "name %s: %s", lookup->host, gai_strerror(rv));
        return;
    }
    for (struct addrinfo *at = list; at != NULL && answer->count < RESOLVER_ADDRESSES_MAX;
         at = at->ai_next) {
        if ((at->ai_family == AF_INET || at->ai_family == AF_INET6) &&
            at->ai_addrlen <= sizeof answer->addresses[0]) {
            memcpy(&answer->addresses[answer->count++], at->ai_addr, at->ai_addrlen);
        }
    }
    freeaddrinfo(list);
    if (answer->count == 0) {
        error_set(&answer->error, ERROR_UNAVAILABLE, "name %s has no address", lookup->host);
    }
}

static void *run_lookup(void *argument) {
    struct lookup *lookup = argument;
    struct mailbox *mailbox = lookup->mailbox;
    resolve(lookup);
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->resolver != NULL) {
        lookup->next = mailbox->answered;
        mailbox->answered = lookup;
        /* Under the lock: the handle can't be closed meanwhile. */
        (void)uv_async_send(&mailbox->resolver->wake);
        lookup = NULL;
    }
    pthread_mutex_unlock(&mailbox->lock);
    free(lookup);
    mailbox_unref(mailbox);
    return NULL;
}

static void on_wake(uv_async_t *handle) {
    struct resolver *resolver = handle->data;
    struct mailbox *mailbox = resolver->mailbox;
    pthread_mutex_lock(&mailbox->lock);
    struct lookup *list = mailbox->answered;
    mailbox->answered = NULL;
    pthread_mutex_unlock(&mailbox->lock);
    while (list != NULL) {
        struct lookup *lookup = list;
        list = lookup->next;
        /* A callback may close the resolver; the handle then still lives until its close callback,
         * and the rest of this list is dropped. */
        if (mailbox->resolver != NULL) {
            lookup->callback(&lookup->answer, lookup->context);
        }
        free(lookup);
    }
}

enum error_code resolver_create(uv_loop_t *loop, struct resolver **ret_resolver,
                                struct error *error) {
    struct resolver *resolver = calloc(1, sizeof *resolver);
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (resolver == NULL || mailbox == NULL || uv_async_init(loop, &resolver->wake, on_wake) != 0) {
        free(resolver);
        free(mailbox);
        return error_set(error, ERROR_NO_MEMORY, "no memory for the resolver");
    }
    int rv = pthread_mutex_init(&mailbox->lock, NULL);
    assert(rv == 0);
    (void)rv;
    mailbox->references = 1;
    mailbox->resolver = resolver;
    resolver->mailbox = mailbox;
    resolver->wake.data = resolver;
    *ret_resolver = resolver;
    return ERROR_OK;
}

bool resolver_parse_numeric(const char *host, uint16_t port, struct sockaddr_storage *ret_address) {
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&address) != 0) {
        memset(&address, 0, sizeof address);
        if (uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address) != 0) {
            return false;
        }
    }
    *ret_address = address;
    return true;
}

static int start_thread(struct lookup *lookup) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    int rv = pthread_attr_init(&attributes);
    if (rv != 0) {
        return rv;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    /* Signals are for the loop's thread. */
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = pthread_create(&thread, &attributes, run_lookup, lookup);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return rv;
}

enum error_code resolver_lookup(struct resolver *resolver, const char *host, uint16_t port,
                                resolver_callback callback, void *context, struct error *error) {
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL || !TEXT_COPY(lookup->host, host)) {
        free(lookup);
        return error_set(error, ERROR_LIMIT, "name of a host is too long");
    }
    (void)snprintf(lookup->service, sizeof lookup->service, "%u", port);
    lookup->mailbox = resolver->mailbox;
    lookup->callback = callback;
    lookup->context = context;
    pthread_mutex_lock(&resolver->mailbox->lock);
    resolver->mailbox->references++;
    pthread_mutex_unlock(&resolver->mailbox->lock);
    int rv = start_thread(lookup);
    if (rv != 0) {
        mailbox_unref(resolver->mailbox);
        free(lookup);
        return error_set(error, ERROR_UNAVAILABLE, "no thread to resolve %s: %s", host,
                         strerror(rv));
    }
    return ERROR_OK;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct resolver *resolver = handle->data;
    void (*closed)(void *) = resolver->closed;
    void *context = resolver->closed_context;
    mailbox_unref(resolver->mailbox);
    free(resolver);
    closed(context);
}

void resolver_close(struct resolver *resolver, void (*closed)(void *context), void *context) {
    struct mailbox *mailbox = resolver->mailbox;
    pthread_mutex_lock(&mailbox->lock);
    mailbox->resolver = NULL;
    struct lookup *list = mailbox->answered;
    mailbox->answered = NULL;
    pthread_mutex_unlock(&mailbox->lock);
    while (list != NULL) {
        struct lookup *next = list->next;
        free(list);
        list = next;
    }
    resolver->closed = closed;
    resolver->closed_context = context;
    uv_close((uv_handle_t *)&resolver->wake, on_handle_closed);
}
