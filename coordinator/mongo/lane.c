#include "lane.h"

#include <errno.h>
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "codec/config.h"
#include "codec/mongo_uri.h"

#define PATH_SIZE (MONGO_SECRETS_SIZE + URL_SIZE + 2)
#define SECRET_SIZE 1024
#define CODE_UNAUTHORIZED 13
#define CODE_AUTHENTICATION_FAILED 18

struct mongo_lane {
    struct mongo_target target;
    mongoc_client_t *client; /* NULL: connects anew */
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

/* libmongoc is never cleaned up: a thread may still hang in it when the process ends. Its own log
 * is silent: what failed comes back as an error, and is said once, by us. */
static void begin_library(void) {
    mongoc_init();
    mongoc_log_set_handler(NULL, NULL);
}

struct mongo_lane *mongo_lane_create(const struct mongo_target *target) {
    struct mongo_lane *lane = calloc(1, sizeof *lane);
    if (lane != NULL) {
        lane->target = *target;
    }
    return lane;
}

static void disconnect(struct mongo_lane *lane) {
    if (lane->client != NULL) {
        mongoc_client_destroy(lane->client);
        lane->client = NULL;
    }
}

void mongo_lane_destroy(struct mongo_lane *lane) {
    if (lane != NULL) {
        disconnect(lane);
        free(lane);
    }
}

bool mongo_result_is_failure(enum mongo_result result) {
    return result != MONGO_RESULT_OK && result != MONGO_RESULT_SERVER;
}

static void fail(struct mongo_outcome *ret, enum mongo_result result, const char *detail) {
    ret->result = result;
    size_t used = 0;
    for (; detail[used] != '\0' && used + 1 < sizeof ret->detail; used++) {
        unsigned char c = (unsigned char)detail[used];
        ret->detail[used] = '?';
        if (c >= ' ' && c < 0x7f) {
            ret->detail[used] = (char)c;
        }
    }
    ret->detail[used] = '\0';
}

/* --- from the spec's URI to libmongoc's --- */

static bool set_file(mongoc_uri_t *uri, const struct mongo_target *target, const char *option,
                     const char *name) {
    char path[PATH_SIZE];
    if (name[0] == '\0') {
        return true;
    }
    int length = name[0] == '/' ? snprintf(path, sizeof path, "%s", name)
                                : snprintf(path, sizeof path, "%s/%s", target->secrets, name);
    /* libmongoc would call a file that isn't there a broken connection. */
    return length > 0 && (size_t)length < sizeof path && access(path, R_OK) == 0 &&
           mongoc_uri_set_option_as_utf8(uri, option, path);
}

static bool set_files(mongoc_uri_t *uri, const struct mongo_uri *from,
                      const struct mongo_target *target) {
    return !from->tls || (set_file(uri, target, MONGOC_URI_TLSCAFILE, from->ca_file) &&
                          set_file(uri, target, MONGOC_URI_TLSCERTIFICATEKEYFILE, from->cert_file));
}

static bool set_times(mongoc_uri_t *uri, uint32_t within_ms) {
    int32_t ms = within_ms > INT32_MAX ? INT32_MAX : (int32_t)within_ms;
    return mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, ms) &&
           mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, ms) &&
           mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, ms);
}

static bool set_tls(mongoc_uri_t *uri, const struct mongo_uri *from) {
    if (!from->tls) {
        return true;
    }
    /* libmongoc asks OCSP responders, which would be one more thing that hangs: stapling is enough.
     */
    return mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLS, true) &&
           (!from->tls_insecure ||
            mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, true)) &&
           (!from->tls_any_host ||
            mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, true)) &&
           (from->tls_insecure ||
            mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLSDISABLEOCSPENDPOINTCHECK, true));
}

static bool read_secret(const struct mongo_target *target, char to[SECRET_SIZE]) {
    struct secret_reference reference;
    struct error error;
    char path[PATH_SIZE];
    to[0] = '\0';
    if (secret_reference_parse(target->credentials, &reference, &error) != ERROR_OK) {
        return false;
    }
    if (reference.kind == SECRET_ENVIRONMENT) {
        const char *value = getenv(reference.name);
        return value != NULL && text_copy(to, SECRET_SIZE, value);
    }
    (void)snprintf(path, sizeof path, "%s/%s", target->secrets, reference.name);
    FILE *file = fopen(path, "re");
    bool good = file != NULL && fgets(to, SECRET_SIZE, file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    to[strcspn(to, "\r\n")] = '\0';
    return good;
}

/* The secret is user:password; a password may have colons. */
static bool set_credentials(mongoc_uri_t *uri, const struct mongo_target *target) {
    char secret[SECRET_SIZE];
    if (target->credentials[0] == '\0') {
        return true;
    }
    bool good = read_secret(target, secret);
    char *colon = good ? strchr(secret, ':') : NULL;
    good = colon != NULL && colon != secret;
    if (good) {
        *colon = '\0';
        good = mongoc_uri_set_username(uri, secret) && mongoc_uri_set_password(uri, colon + 1);
    }
    explicit_bzero(secret, sizeof secret);
    return good;
}

static bool set_login(mongoc_uri_t *uri, const struct mongo_uri *from,
                      const struct mongo_target *target) {
    static const char *const mechanisms[] = {NULL, "SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509"};
    const char *mechanism = mechanisms[from->login];
    const char *source = from->auth_source[0] != '\0' ? from->auth_source : target->auth_source;
    if (target->credentials[0] == '\0' && from->login != MONGO_LOGIN_X509) {
        return true;
    }
    if (mechanism != NULL && !mongoc_uri_set_auth_mechanism(uri, mechanism)) {
        return false;
    }
    source = from->login == MONGO_LOGIN_X509 ? "$external" : source[0] != '\0' ? source : "admin";
    return mongoc_uri_set_auth_source(uri, source) && set_credentials(uri, target);
}

/* NULL, with the outcome: it can't be made. */
static mongoc_uri_t *make_uri(const struct mongo_target *target, struct mongo_outcome *ret) {
    struct mongo_uri from;
    char text[MONGO_HOST_SIZE + 32];
    if (mongo_uri_parse(target->uri, &from) != NULL) {
        fail(ret, MONGO_RESULT_INTERNAL, "the uri can't be read");
        return NULL;
    }
    (void)snprintf(text, sizeof text, "mongodb://%s/", target->host);
    mongoc_uri_t *uri = mongoc_uri_new(text);
    if (uri == NULL) {
        fail(ret, MONGO_RESULT_DNS, "the member's host is no address");
        return NULL;
    }
    /* No replicaSet: a member that was removed, or not yet added, must be able to say so. */
    bool good = mongoc_uri_set_option_as_bool(uri, MONGOC_URI_DIRECTCONNECTION, true) &&
                mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYREADS, false) &&
                mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false) &&
                mongoc_uri_set_appname(uri, "noctua") && set_times(uri, target->timeout_ms);
    if (!good || !set_tls(uri, &from)) {
        fail(ret, MONGO_RESULT_INTERNAL, "the connection's options can't be set");
    } else if (!set_files(uri, &from, target)) {
        fail(ret, MONGO_RESULT_CREDENTIALS, "a file of the URI's can't be read");
    } else if (!set_login(uri, &from, target)) {
        fail(ret, MONGO_RESULT_CREDENTIALS,
             "the credentials can't be read, or aren't user:password");
    } else {
        return uri;
    }
    mongoc_uri_destroy(uri);
    return NULL;
}

static bool connect_lane(struct mongo_lane *lane, struct mongo_outcome *ret) {
    bson_error_t error;
    disconnect(lane);
    mongoc_uri_t *uri = make_uri(&lane->target, ret);
    if (uri == NULL) {
        return false;
    }
    lane->client = mongoc_client_new_from_uri_with_error(uri, &error);
    mongoc_uri_destroy(uri);
    if (lane->client == NULL) {
        fail(ret, MONGO_RESULT_TLS, error.message);
        return false;
    }
    (void)mongoc_client_set_error_api(lane->client, MONGOC_ERROR_API_VERSION_2);
    return true;
}

/* --- from libmongoc's errors to ours --- */

struct mark {
    const char *text;
    enum mongo_result result;
};

/* Most failures to connect come as one code, "no suitable server"; which it was stands in the text
 * (mongoc-topology-scanner.c). What isn't found here is shown as a reset. */
static enum mongo_result result_of_text(const char *message) {
    static const struct mark marks[] = {
        {"connection refused", MONGO_RESULT_REFUSED},
        {"connection timeout", MONGO_RESULT_TIMEOUT_CONNECT},
        {"Failed to resolve", MONGO_RESULT_DNS},
        {"TLS handshake failed", MONGO_RESULT_TLS},
        {"certificate", MONGO_RESULT_TLS},
        {"socket timeout", MONGO_RESULT_TIMEOUT},
        {"timed out", MONGO_RESULT_TIMEOUT},
        {"error or timeout", MONGO_RESULT_TIMEOUT},
        {"wire version", MONGO_RESULT_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(marks); i++) {
        if (strstr(message, marks[i].text) != NULL) {
            return marks[i].result;
        }
    }
    return MONGO_RESULT_RESET;
}

static enum mongo_result result_of(const bson_error_t *error) {
    switch (error->domain) {
    case MONGOC_ERROR_SERVER:
        return error->code == CODE_UNAUTHORIZED || error->code == CODE_AUTHENTICATION_FAILED
                   ? MONGO_RESULT_AUTH
                   : MONGO_RESULT_SERVER;
    case MONGOC_ERROR_CLIENT:
        return error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE ? MONGO_RESULT_AUTH
                                                               : result_of_text(error->message);
    case MONGOC_ERROR_SASL:
    case MONGOC_ERROR_SCRAM:
        return MONGO_RESULT_AUTH;
    case MONGOC_ERROR_PROTOCOL:
    case MONGOC_ERROR_BSON:
        return MONGO_RESULT_PROTOCOL;
    default:
        return result_of_text(error->message);
    }
}

/* --- a question --- */

static uint64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A login or a server's own text may quote who asked; only a server's reply is repeated. */
static const char *detail_of(enum mongo_result result, const bson_error_t *error) {
    return result == MONGO_RESULT_AUTH && error->domain != MONGOC_ERROR_SERVER
               ? "the server refused the login"
               : error->message;
}

/* The member is becoming something else, or ending (MongoDB, error_codes.yml). */
static bool has_changed(int32_t code) {
    static const int32_t codes[] = {91, 189, 10107, 11600, 11602, 13435, 13436};
    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++) {
        if (code == codes[i]) {
            return true;
        }
    }
    return false;
}

static void ask_once(struct mongo_lane *lane, const char *database, const bson_t *command,
                     struct mongo_outcome *ret) {
    bson_error_t error = {0};
    bson_t reply;
    bool good = mongoc_client_command_simple(lane->client, database, command, NULL, &reply, &error);
    enum mongo_result result = good ? MONGO_RESULT_OK : result_of(&error);
    if (good || (result == MONGO_RESULT_SERVER && !bson_empty(&reply))) {
        ret->document = bson_copy(&reply);
    }
    bson_destroy(&reply);
    ret->result = result;
    if (!good) {
        fail(ret, result, detail_of(result, &error));
        ret->server_code = error.domain == MONGOC_ERROR_SERVER ? (int32_t)error.code : 0;
        if (result != MONGO_RESULT_SERVER || has_changed(ret->server_code)) {
            /* libmongoc would wait some seconds before it tries such a member again, and rests on
             * what it believed of it: the next question begins anew. */
            disconnect(lane);
        }
    }
}

void mongo_lane_ask(struct mongo_lane *lane, const char *database, const bson_t *command,
                    enum mongo_manner manner, struct mongo_outcome *ret) {
    (void)pthread_once(&library_once, begin_library);
    uint64_t begin_ms = now_ms();
    bool kept = lane->client != NULL && manner == MONGO_REPEATABLE;
    if (!kept && !connect_lane(lane, ret)) {
        return;
    }
    ask_once(lane, database, command, ret);
    /* A server closes its connections when it steps down: that says nothing about now. */
    bool at_once = now_ms() - begin_ms < lane->target.timeout_ms / 2;
    if (kept && ret->result == MONGO_RESULT_RESET && at_once) {
        ret->detail[0] = '\0';
        if (connect_lane(lane, ret)) {
            ask_once(lane, database, command, ret);
        }
    }
    if (manner == MONGO_ONCE) {
        disconnect(lane);
    }
}

/* --- where to begin --- */

static void append_hosts(const struct mongo_uri *from, const mongoc_uri_t *uri, bson_t *document) {
    bson_t hosts;
    char key[16];
    const char *key_text;
    uint32_t count = 0;
    BSON_APPEND_ARRAY_BEGIN(document, "hosts", &hosts);
    if (uri == NULL) {
        for (; count < from->seed_count; count++) {
            (void)bson_uint32_to_string(count, &key_text, key, sizeof key);
            BSON_APPEND_UTF8(&hosts, key_text, from->seeds[count]);
        }
    } else {
        for (const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri); host != NULL;
             host = host->next) {
            (void)bson_uint32_to_string(count++, &key_text, key, sizeof key);
            BSON_APPEND_UTF8(&hosts, key_text, host->host_and_port);
        }
    }
    bson_append_array_end(document, &hosts);
}

void mongo_lane_look_up(struct mongo_lane *lane, struct mongo_outcome *ret) {
    struct mongo_uri from;
    bson_error_t error = {0};
    mongoc_client_t *client = NULL;
    const mongoc_uri_t *found = NULL;
    (void)pthread_once(&library_once, begin_library);
    if (mongo_uri_parse(lane->target.uri, &from) != NULL) {
        fail(ret, MONGO_RESULT_INTERNAL, "the uri can't be read");
        return;
    }
    if (from.by_srv) {
        char text[MONGO_HOST_SIZE + 32];
        (void)snprintf(text, sizeof text, "mongodb+srv://%s/", from.seeds[0]);
        mongoc_uri_t *uri = mongoc_uri_new(text);
        client = uri == NULL ? NULL : mongoc_client_new_from_uri_with_error(uri, &error);
        mongoc_uri_destroy(uri);
        found = client == NULL ? NULL : mongoc_client_get_uri(client);
        if (found == NULL || mongoc_uri_get_hosts(found) == NULL) {
            fail(ret, MONGO_RESULT_DNS, error.message[0] != '\0' ? error.message : "no such name");
            if (client != NULL) {
                mongoc_client_destroy(client);
            }
            return;
        }
    }
    ret->document = bson_new();
    append_hosts(&from, found, ret->document);
    BSON_APPEND_UTF8(ret->document, "setName", from.set_name);
    const bson_t *options = found == NULL ? NULL : mongoc_uri_get_credentials(found);
    bson_iter_t iter;
    if (options != NULL && bson_iter_init_find_case(&iter, options, MONGOC_URI_AUTHSOURCE) &&
        BSON_ITER_HOLDS_UTF8(&iter)) {
        BSON_APPEND_UTF8(ret->document, "authSource", bson_iter_utf8(&iter, NULL));
    }
    if (client != NULL) {
        mongoc_client_destroy(client);
    }
}
