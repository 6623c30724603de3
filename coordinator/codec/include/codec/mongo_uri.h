/* The connection string of a replica set, as far as Noctua uses it: seeds, set name, TLS and how to
 * log in. The rest (readPreference, w, pools) says how an application wants to be served, and means
 * nothing to a watcher that asks each member by itself. Pure.
 *
 * Source: MongoDB's "Connection String URI Format" and its driver specifications "Connection
 * String" and "URI Options". */
#ifndef CODEC_MONGO_URI_H
#define CODEC_MONGO_URI_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"

#define MONGO_SEED_MAX 50 /* as many as a replica set has members */

enum mongo_login {
    MONGO_LOGIN_SCRAM, /* what the server offers of SCRAM-SHA-256 and SCRAM-SHA-1 */
    MONGO_LOGIN_SCRAM_SHA_1,
    MONGO_LOGIN_SCRAM_SHA_256,
    MONGO_LOGIN_X509, /* by the client's certificate */
};

struct mongo_uri {
    bool by_srv;                                 /* mongodb+srv: seeds[0] is the name to look up */
    char seeds[MONGO_SEED_MAX][MONGO_HOST_SIZE]; /* "name:port"; an IPv6 one is in brackets */
    uint32_t seed_count;
    char set_name[NAME_SIZE];
    bool tls, tls_insecure, tls_any_host;
    enum mongo_login login;
    char auth_source[NAME_SIZE];                 /* "": the default of the login */
    char ca_file[URL_SIZE], cert_file[URL_SIZE]; /* "": the machine's own, none */
    char ignored[NAME_SIZE];                     /* an option that is of no use here; "": none */
};

/* NULL, or what is wrong with it, as the end of a sentence "uri: it ..."; never with a part of the
 * text, which may be a secret. */
const char *mongo_uri_parse(const char *text, struct mongo_uri *ret);

#endif
