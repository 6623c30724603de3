/* Durable writes to etcd over mutual TLS, in its own protocol (gRPC over HTTP/2, by libcurl): puts
 * of LOAD_PAYLOAD_BYTES under one key.
 *
 *     load-etcd -e HOST:PORT,... -t DIRECTORY [-c CLIENTS] [-d SECONDS] [-f]
 *
 * As a load: CLIENTS connections to the first endpoint (etcd's leader, so that nothing is
 * forwarded), one write under way on each. With -f: after the line on standard input every endpoint
 * is asked over and over, until a write is acknowledged. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define BODY_MAX_BYTES 512
#define ATTEMPT_TIMEOUT_MS 10000
/* A put that was on its way to a dead leader is lost, and etcd answers it after 7 s only: who wants
 * to know when the group is back has to ask anew. */
#define FIRST_ATTEMPT_TIMEOUT_MS 50

struct client {
    CURL *easy;
    char url[128];
    uint8_t body[5 + 16 + LOAD_PAYLOAD_BYTES];
    size_t body_bytes;
    uint8_t reply[BODY_MAX_BYTES];
    size_t reply_bytes;
    uint64_t sent_ns, sequence;
};

static struct client clients[LOAD_CLIENT_MAX];
static struct load_options options;
static struct curl_slist *headers;
static CURLM *multi;

static _Noreturn void die(const char *what, const char *why) {
    (void)fprintf(stderr, "load-etcd: %s: %s\n", what, why);
    exit(1);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    struct client *client = context;
    size_t length = size * count;
    if (client->reply_bytes + length > sizeof client->reply) {
        return 0;
    }
    memcpy(client->reply + client->reply_bytes, bytes, length);
    client->reply_bytes += length;
    return length;
}

/* A gRPC message: a zero, its length in four bytes, and PutRequest {1: key, 2: value}. */
static void fill_body(struct client *client) {
    static const char key[] = "noctua";
    const size_t key_bytes = sizeof key - 1;
    uint8_t *at = client->body + 5;
    *at++ = 0x0a;
    *at++ = (uint8_t)key_bytes;
    memcpy(at, key, key_bytes);
    at += key_bytes;
    *at++ = 0x12;
    *at++ = (LOAD_PAYLOAD_BYTES & 0x7f) | 0x80; /* a varint of two bytes */
    *at++ = LOAD_PAYLOAD_BYTES >> 7;
    char value[LOAD_PAYLOAD_BYTES + 1];
    (void)snprintf(value, sizeof value, "%0*llu", LOAD_PAYLOAD_BYTES,
                   (unsigned long long)++client->sequence);
    memcpy(at, value, LOAD_PAYLOAD_BYTES);
    at += LOAD_PAYLOAD_BYTES;
    size_t message_bytes = (size_t)(at - client->body) - 5;
    client->body[0] = client->body[1] = client->body[2] = 0;
    client->body[3] = (uint8_t)(message_bytes >> 8);
    client->body[4] = (uint8_t)message_bytes;
    client->body_bytes = message_bytes + 5;
}

static void write_next(struct client *client) {
    fill_body(client);
    client->reply_bytes = 0;
    (void)curl_easy_setopt(client->easy, CURLOPT_POSTFIELDS, (char *)client->body);
    (void)curl_easy_setopt(client->easy, CURLOPT_POSTFIELDSIZE, (long)client->body_bytes);
    client->sent_ns = load_now_ns();
    (void)curl_multi_add_handle(multi, client->easy);
}

static void make_client(struct client *client, const char *endpoint) {
    char path[3][512];
    static const char *const files[] = {"ca.pem", "user.pem", "user.key"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path[i], sizeof path[i], "%s/%s", options.tls, files[i]);
    }
    (void)snprintf(client->url, sizeof client->url, "https://%s/etcdserverpb.KV/Put", endpoint);
    CURL *easy = curl_easy_init();
    client->easy = easy;
    if (easy == NULL) {
        die("libcurl", "out of memory");
    }
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, client);
    (void)curl_easy_setopt(easy, CURLOPT_URL, client->url);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_CAINFO, path[0]);
    (void)curl_easy_setopt(easy, CURLOPT_SSLCERT, path[1]);
    (void)curl_easy_setopt(easy, CURLOPT_SSLKEY, path[2]);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, client);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ATTEMPT_TIMEOUT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
}

/* A refusal comes as trailers only; a PutResponse as one message. */
static bool is_written(const struct client *client, CURLcode code) {
    long status = 0;
    (void)curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
    return code == CURLE_OK && status == 200 && client->reply_bytes > 5;
}

/* The next transfer that has ended, taken out of the multi handle; NULL: none within the wait. */
static struct client *next_done(CURLcode *ret_code) {
    int running;
    int left;
    (void)curl_multi_perform(multi, &running);
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    if (message == NULL) {
        (void)curl_multi_poll(multi, NULL, 0, 1000, NULL);
        return NULL;
    }
    struct client *client = NULL;
    CURL *easy = message->easy_handle;
    *ret_code = message->data.result; /* gone with the handle */
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&client);
    (void)curl_multi_remove_handle(multi, easy);
    return client;
}

static void warm_up(uint32_t count, bool must_work) {
    uint32_t left = count;
    for (uint32_t i = 0; i < count; i++) {
        write_next(&clients[i]);
    }
    while (left > 0) {
        CURLcode code;
        const struct client *client = next_done(&code);
        if (client != NULL) {
            left--;
            if (must_work && !is_written(client, code)) {
                die(client->url, code == CURLE_OK ? "etcd refuses" : curl_easy_strerror(code));
            }
        }
    }
}

static void run_load(void) {
    struct load_samples samples;
    load_samples_init(&samples);
    uint64_t begun_ns = load_now_ns();
    uint64_t end_ns = begun_ns + options.seconds * 1000000000U;
    uint32_t left = options.clients;
    for (uint32_t i = 0; i < options.clients; i++) {
        write_next(&clients[i]);
    }
    while (left > 0) {
        CURLcode code;
        struct client *client = next_done(&code);
        if (client == NULL) {
            continue;
        }
        uint64_t now_ns = load_now_ns();
        if (is_written(client, code)) {
            load_samples_add(&samples, now_ns - client->sent_ns);
        } else {
            samples.errors++;
        }
        if (now_ns < end_ns) {
            write_next(client);
        } else {
            left--;
        }
    }
    load_samples_print(&samples, load_now_ns() - begun_ns);
    load_samples_finish(&samples);
}

static void run_first(void) {
    load_first_wait();
    for (uint32_t i = 0; i < options.endpoint_count; i++) {
        (void)curl_easy_setopt(clients[i].easy, CURLOPT_TIMEOUT_MS, (long)FIRST_ATTEMPT_TIMEOUT_MS);
    }
    for (uint32_t i = 0; i < options.endpoint_count; i++) {
        write_next(&clients[i]);
    }
    for (;;) {
        CURLcode code;
        struct client *client = next_done(&code);
        if (client != NULL && is_written(client, code)) {
            load_first_print(load_now_ns());
            return;
        }
        if (client != NULL && code != CURLE_COULDNT_CONNECT) {
            write_next(client); /* no answer, or no: again. Whoever is gone stays gone */
        }
    }
}

int main(int argc, char **argv) {
    load_options_parse(argc, argv, &options);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    headers = curl_slist_append(NULL, "content-type: application/grpc");
    headers = curl_slist_append(headers, "te: trailers");
    if (multi == NULL || headers == NULL) {
        die("libcurl", "out of memory");
    }
    (void)curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    (void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)LOAD_CLIENT_MAX);
    uint32_t count = options.first ? options.endpoint_count : options.clients;
    for (uint32_t i = 0; i < count; i++) {
        make_client(&clients[i], options.endpoints[options.first ? i : 0]);
    }
    warm_up(count, true);
    if (options.first) {
        run_first();
    } else {
        run_load();
    }
    return 0; /* the process's end closes the rest */
}
