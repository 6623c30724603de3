#include "codec/mongo_uri.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define DEFAULT_PORT 27017
#define KEY_SIZE 64
#define VALUE_SIZE URL_SIZE

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copies `size` bytes with %41 and the like decoded; false: too long, or not well-formed. */
static bool decode(const char *text, size_t size, char *to, size_t to_size) {
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = size - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = size - i > 2 ? hex_digit(text[i + 2]) : -1;
            c = high < 0 || low < 0 ? -1 : high * 16 + low;
            i += 2;
        }
        if (c <= ' ' || c >= 0x7f || used + 1 >= to_size) {
            return false;
        }
        to[used++] = (char)c;
    }
    to[used] = '\0';
    return true;
}

static bool is_host_text(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_';
        if (!good) {
            return false;
        }
    }
    return size > 0;
}

static bool is_v6_text(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (hex_digit(text[i]) < 0 && text[i] != ':' && text[i] != '.') {
            return false;
        }
    }
    return size > 1;
}

/* One of the list, with its port, into the next seed. */
static const char *add_seed(struct mongo_uri *uri, const char *text, size_t size) {
    size_t name = size;
    uint64_t port = DEFAULT_PORT;
    if (size > 0 && text[0] == '[') {
        const char *end = memchr(text, ']', size);
        name = end == NULL ? 0 : (size_t)(end - text) + 1;
        if (name < 3 || !is_v6_text(text + 1, name - 2)) {
            return "has a host in brackets that is no IPv6 address";
        }
    } else {
        const char *colon = memchr(text, ':', size);
        name = colon == NULL ? size : (size_t)(colon - text);
        if (!is_host_text(text, name)) {
            return "needs hosts, as in mongodb://db-1,db-2:27018/?replicaSet=rs0";
        }
    }
    char number[8] = "";
    if (name < size) {
        bool fits = text[name] == ':' && size - name - 1 < sizeof number;
        memcpy(number, fits ? text + name + 1 : "", fits ? size - name - 1 : 1);
        if (!fits || !text_to_u64(number, 1, UINT16_MAX, &port)) {
            return "has a port that is no number from 1 to 65535";
        }
        if (uri->by_srv) {
            return "has a port, which mongodb+srv:// takes from DNS";
        }
    }
    if (uri->seed_count == MONGO_SEED_MAX) {
        return "has over 50 hosts";
    }
    char *seed = uri->seeds[uri->seed_count++];
    int length = uri->by_srv
                     ? snprintf(seed, MONGO_HOST_SIZE, "%.*s", (int)name, text)
                     : snprintf(seed, MONGO_HOST_SIZE, "%.*s:%u", (int)name, text, (unsigned)port);
    return length >= MONGO_HOST_SIZE ? "has a host that is too long" : NULL;
}

static const char *parse_hosts(struct mongo_uri *uri, const char *text, size_t size) {
    if (memchr(text, '@', size) != NULL) {
        return "must not hold a user and a password; name them as credentials: file:NAME";
    }
    while (true) {
        const char *comma = memchr(text, ',', size);
        size_t one = comma == NULL ? size : (size_t)(comma - text);
        const char *wrong = add_seed(uri, text, one);
        if (wrong != NULL || comma == NULL) {
            return wrong;
        }
        if (uri->by_srv) {
            return "names several hosts; mongodb+srv:// has one";
        }
        text = comma + 1;
        size -= one + 1;
    }
}

static bool read_bool(const char *value, bool *ret) {
    bool yes = text_equal(value, "true");
    *ret = yes;
    return yes || text_equal(value, "false");
}

static bool read_login(const char *value, enum mongo_login *ret) {
    static const char *const words[] = {"SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509"};
    for (uint32_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if (text_equal(value, words[i])) {
            *ret = (enum mongo_login)(MONGO_LOGIN_SCRAM_SHA_1 + i);
            return true;
        }
    }
    return false;
}

/* Names of options don't distinguish case. */
static const char *take_option(struct mongo_uri *uri, const char *key, const char *value) {
    if (strcasecmp(key, "replicaSet") == 0) {
        return TEXT_COPY(uri->set_name, value) ? NULL : "has a replicaSet that is too long";
    }
    if (strcasecmp(key, "authSource") == 0) {
        return TEXT_COPY(uri->auth_source, value) ? NULL : "has an authSource that is too long";
    }
    if (strcasecmp(key, "authMechanism") == 0) {
        return read_login(value, &uri->login)
                   ? NULL
                   : "has an authMechanism other than SCRAM-SHA-1, SCRAM-SHA-256 and MONGODB-X509";
    }
    if (strcasecmp(key, "tlsCAFile") == 0) {
        return TEXT_COPY(uri->ca_file, value) ? NULL : "has a tlsCAFile that is too long";
    }
    if (strcasecmp(key, "tlsCertificateKeyFile") == 0) {
        return TEXT_COPY(uri->cert_file, value) ? NULL
                                                : "has a tlsCertificateKeyFile that is too long";
    }
    if (strcasecmp(key, "tlsCertificateKeyFilePassword") == 0) {
        return "must not hold a password; keep the key in the secrets directory without one";
    }
    bool *flag = NULL;
    if (strcasecmp(key, "tls") == 0 || strcasecmp(key, "ssl") == 0) {
        flag = &uri->tls;
    } else if (strcasecmp(key, "tlsInsecure") == 0 ||
               strcasecmp(key, "tlsAllowInvalidCertificates") == 0) {
        flag = &uri->tls_insecure;
    } else if (strcasecmp(key, "tlsAllowInvalidHostnames") == 0) {
        flag = &uri->tls_any_host;
    }
    if (flag != NULL) {
        return read_bool(value, flag) ? NULL : "has a tls option that is neither true nor false";
    }
    (void)TEXT_COPY(uri->ignored, key);
    return NULL;
}

static const char *parse_options(struct mongo_uri *uri, const char *text) {
    while (text[0] != '\0') {
        size_t size = strcspn(text, "&");
        const char *equals = memchr(text, '=', size);
        size_t key_size = equals == NULL ? size : (size_t)(equals - text);
        char key[KEY_SIZE];
        char value[VALUE_SIZE];
        if (equals == NULL || !decode(text, key_size, key, sizeof key) ||
            !decode(equals + 1, size - key_size - 1, value, sizeof value)) {
            return "has an option that is no name=value";
        }
        const char *wrong = take_option(uri, key, value);
        if (wrong != NULL) {
            return wrong;
        }
        text += size;
        text += text[0] == '&';
    }
    return NULL;
}

const char *mongo_uri_parse(const char *text, struct mongo_uri *ret) {
    memset(ret, 0, sizeof *ret);
    if (text_starts_with(text, "mongodb://")) {
        text += strlen("mongodb://");
    } else if (text_starts_with(text, "mongodb+srv://")) {
        text += strlen("mongodb+srv://");
        ret->by_srv = true;
        ret->tls = true; /* the default there */
    } else {
        return "must begin with mongodb:// or mongodb+srv://";
    }
    size_t size = strcspn(text, "/?");
    const char *wrong = parse_hosts(ret, text, size);
    text += size;
    text += strcspn(text, "?"); /* the database to log in to is authSource's business */
    if (wrong == NULL && text[0] == '?') {
        wrong = parse_options(ret, text + 1);
    }
    if (wrong != NULL) {
        return wrong;
    }
    if (ret->set_name[0] == '\0') {
        return "must name the set, as in ?replicaSet=rs0";
    }
    if (ret->login == MONGO_LOGIN_X509 && (!ret->tls || ret->cert_file[0] == '\0')) {
        return "needs tls=true and tlsCertificateKeyFile=NAME for MONGODB-X509";
    }
    return NULL;
}
