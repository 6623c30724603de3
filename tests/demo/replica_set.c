/* The application beside the demo: initiates a replica set, and writes to it all the time.
 *
 *   demo-replica-set initiate URI CONFIG   replSetInitiate with the JSON in the file CONFIG, sent
 * to the one member of URI; ends when that one takes writes demo-replica-set write URI inserts
 * documents, w:majority, one after the other. Says "writing" after the first few. At SIGTERM it
 * makes some more, reads all back with readConcern majority, and says
 *
 *   {"acknowledged": 812, "lost": 0, "gap_ms": 2310, "gap_end_unix_ms": 1790000000000}
 *
 * Acknowledged is what the set said yes to; lost is what of it can't be read; the gap is the
 * longest time between two acknowledgements. Each insert is made once, with a number of its own:
 * one whose answer was lost may be there or not, and isn't counted. Exit status 1: it couldn't; 2:
 * usage. */
#include <inttypes.h>
#include <mongoc/mongoc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SELECT_TIMEOUT_MS 2000
#define CONNECT_TIMEOUT_MS 500
#define SOCKET_TIMEOUT_MS 4000
#define MAJORITY_TIMEOUT_MS 3000
#define INITIATE_WITHIN_MS 30000
#define FIRST_WITHIN_MS 30000 /* ... of the start */
#define LAST_WITHIN_MS 30000  /* ... of SIGTERM, some more writes */
#define READ_WITHIN_MS 20000
#define PAUSE_MS 20    /* a load, not a race */
#define MORE_WRITES 10 /* before "writing", and after SIGTERM */
#define WRITE_MAX 1000000
#define CONFIG_MAX_BYTES 65536
#define CODE_ALREADY_INITIALIZED 23

struct writer {
    mongoc_collection_t *written;
    bool acknowledged[WRITE_MAX]; /* by number */
    int32_t number;               /* the next one's */
    uint32_t count;               /* acknowledged */
    uint64_t last_ms;             /* when the last one was */
    uint64_t gap_ms;
    uint64_t gap_end_unix_ms;
    char why_not[BSON_ERROR_BUFFER_SIZE]; /* of the last failure */
};

static volatile sig_atomic_t ending;

static void on_signal(int number) {
    (void)number;
    ending = 1;
}

static uint64_t now_ms(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_ms(long ms) {
    struct timespec pause = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&pause, NULL);
}

static int fail(const char *what, const char *why) {
    (void)fprintf(stderr, "demo-replica-set: %s: %s\n", what, why);
    return 1;
}

static mongoc_uri_t *parse_uri(const char *text, bson_error_t *error) {
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, error);
    if (uri != NULL) {
        (void)mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS,
                                             SELECT_TIMEOUT_MS);
        (void)mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, CONNECT_TIMEOUT_MS);
        (void)mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, SOCKET_TIMEOUT_MS);
        (void)mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false);
    }
    return uri;
}

/* --- initiate --- */

static bson_t *read_config(const char *path, bson_error_t *error) {
    char text[CONFIG_MAX_BYTES];
    FILE *file = fopen(path, "re");
    size_t size = file == NULL ? 0 : fread(text, 1, sizeof text, file);
    if (file != NULL) {
        (void)fclose(file);
    }
    if (size == 0 || size == sizeof text) {
        bson_set_error(error, BSON_ERROR_JSON, 0, "no config can be read from %s", path);
        return NULL;
    }
    return bson_new_from_json((const uint8_t *)text, (ssize_t)size, error);
}

static bool takes_writes(mongoc_client_t *client) {
    bson_t *command = BCON_NEW("isMaster", BCON_INT32(1));
    bson_t reply;
    bson_iter_t at;
    bool good = mongoc_client_command_simple(client, "admin", command, NULL, &reply, NULL) &&
                bson_iter_init_find(&at, &reply, "ismaster") && bson_iter_as_bool(&at);
    bson_destroy(&reply);
    bson_destroy(command);
    return good;
}

static bool was_initiated(mongoc_client_t *client, const bson_t *command, bson_error_t *error) {
    return mongoc_client_command_simple(client, "admin", command, NULL, NULL, error) ||
           (error->domain == MONGOC_ERROR_SERVER && error->code == CODE_ALREADY_INITIALIZED);
}

static int initiate(const mongoc_uri_t *uri, const char *path) {
    bson_error_t error;
    bson_t *config = read_config(path, &error);
    if (config == NULL) {
        return fail("initiate", error.message);
    }
    mongoc_client_t *client = mongoc_client_new_from_uri(uri);
    bson_t *command = BCON_NEW("replSetInitiate", BCON_DOCUMENT(config));
    uint64_t end_ms = now_ms(CLOCK_MONOTONIC) + INITIATE_WITHIN_MS;
    bool initiated = false;
    bool writable = false;
    (void)snprintf(error.message, sizeof error.message, "no primary in time");
    while (!writable && !ending && now_ms(CLOCK_MONOTONIC) < end_ms) {
        initiated = initiated || was_initiated(client, command, &error);
        writable = initiated && takes_writes(client);
        pause_ms(PAUSE_MS);
    }
    bson_destroy(command);
    bson_destroy(config);
    mongoc_client_destroy(client);
    return writable ? 0 : fail("initiate", error.message);
}

/* --- write --- */

static void write_one(struct writer *writer) {
    bson_error_t error;
    bson_t *document = BCON_NEW("_id", BCON_INT32(writer->number));
    bool good = mongoc_collection_insert_one(writer->written, document, NULL, NULL, &error);
    uint64_t at_ms = now_ms(CLOCK_MONOTONIC);
    bson_destroy(document);
    writer->acknowledged[writer->number++] = good;
    if (!good) {
        (void)snprintf(writer->why_not, sizeof writer->why_not, "%s", error.message);
        return;
    }
    if (writer->count > 0 && at_ms - writer->last_ms > writer->gap_ms) {
        writer->gap_ms = at_ms - writer->last_ms;
        writer->gap_end_unix_ms = now_ms(CLOCK_REALTIME);
    }
    writer->last_ms = at_ms;
    writer->count++;
}

/* Writes until `count` are acknowledged, or until SIGTERM when that is UINT32_MAX. */
static bool write_until(struct writer *writer, uint32_t count, uint64_t within_ms) {
    uint64_t begin_ms = now_ms(CLOCK_MONOTONIC);
    while (writer->count < count && (count != UINT32_MAX || !ending)) {
        if (writer->number == WRITE_MAX || now_ms(CLOCK_MONOTONIC) - begin_ms >= within_ms) {
            return false;
        }
        write_one(writer);
        pause_ms(PAUSE_MS);
    }
    return true;
}

/* How many of the acknowledged ones aren't there. */
static bool count_lost(const struct writer *writer, uint32_t *ret_lost, bson_error_t *error) {
    bson_t all = BSON_INITIALIZER;
    const bson_t *document = NULL;
    bson_iter_t at;
    uint32_t kept = 0;
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(writer->written, &all, NULL, NULL);
    while (mongoc_cursor_next(cursor, &document)) {
        int32_t number = -1;
        if (bson_iter_init_find(&at, document, "_id") && BSON_ITER_HOLDS_INT32(&at)) {
            number = bson_iter_int32(&at);
        }
        kept += number >= 0 && number < writer->number && writer->acknowledged[number];
    }
    bool good = !mongoc_cursor_error(cursor, error);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&all);
    *ret_lost = writer->count - kept;
    return good;
}

static int write_and_count(struct writer *writer) {
    bson_error_t error;
    uint32_t lost = 0;
    if (!write_until(writer, MORE_WRITES, FIRST_WITHIN_MS)) {
        return fail("the first writes", writer->why_not);
    }
    (void)puts("writing");
    (void)fflush(stdout);
    if (!write_until(writer, UINT32_MAX, UINT64_MAX)) {
        return fail("write", "the numbers are used up");
    }
    if (!write_until(writer, writer->count + MORE_WRITES, LAST_WITHIN_MS)) {
        return fail("the last writes", writer->why_not);
    }
    uint64_t end_ms = now_ms(CLOCK_MONOTONIC) + READ_WITHIN_MS;
    while (!count_lost(writer, &lost, &error)) {
        if (now_ms(CLOCK_MONOTONIC) >= end_ms) {
            return fail("read back", error.message);
        }
        pause_ms(PAUSE_MS);
    }
    (void)printf("{\"acknowledged\": %" PRIu32 ", \"lost\": %" PRIu32 ", \"gap_ms\": %" PRIu64
                 ", \"gap_end_unix_ms\": %" PRIu64 "}\n",
                 writer->count, lost, writer->gap_ms, writer->gap_end_unix_ms);
    return 0;
}

/* A pool has a thread that watches each member, as an application has: what was elected is known at
 * once, and a dead member delays no write. */
static int write_all(const mongoc_uri_t *uri) {
    struct writer *writer = calloc(1, sizeof *writer);
    mongoc_client_pool_t *pool = writer == NULL ? NULL : mongoc_client_pool_new(uri);
    if (pool == NULL) {
        free(writer);
        return fail("write", "out of memory, or no such uri");
    }
    mongoc_client_t *client = mongoc_client_pool_pop(pool);
    mongoc_write_concern_t *majority = mongoc_write_concern_new();
    mongoc_read_concern_t *committed = mongoc_read_concern_new();
    mongoc_write_concern_set_wmajority(majority, MAJORITY_TIMEOUT_MS);
    (void)mongoc_read_concern_set_level(committed, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    writer->written = mongoc_client_get_collection(client, "app", "written");
    mongoc_collection_set_write_concern(writer->written, majority);
    mongoc_collection_set_read_concern(writer->written, committed);
    int status = write_and_count(writer);
    mongoc_collection_destroy(writer->written);
    mongoc_read_concern_destroy(committed);
    mongoc_write_concern_destroy(majority);
    mongoc_client_pool_push(pool, client);
    mongoc_client_pool_destroy(pool);
    free(writer);
    return status;
}

int main(int argc, char **argv) {
    bool initiates = argc == 4 && strcmp(argv[1], "initiate") == 0;
    if (!initiates && (argc != 3 || strcmp(argv[1], "write") != 0)) {
        (void)fprintf(stderr, "usage: %s initiate URI CONFIG | write URI\n", argv[0]);
        return 2;
    }
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    mongoc_init();
    mongoc_log_set_handler(NULL, NULL);
    bson_error_t error;
    mongoc_uri_t *uri = parse_uri(argv[2], &error);
    int status = uri == NULL ? fail("the uri", error.message)
                             : (initiates ? initiate(uri, argv[3]) : write_all(uri));
    mongoc_uri_destroy(uri);
    mongoc_cleanup();
    return status;
}
