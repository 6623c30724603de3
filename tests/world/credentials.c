#include "credentials.h"

#include <stdio.h>

#include "alloc.h"
#include "base/entropy.h"
#include "base/text.h"

#define CREDENTIAL_DEFAULT_ARN "arn:aws:iam::111122223333:user/noctua"
#define CREDENTIAL_ISSUED_SECRET_LENGTH 40
#define CREDENTIAL_ISSUED_TOKEN_LENGTH 216
#define CREDENTIAL_ISSUED_ID_LENGTH 16

void credentials_finish(struct credentials *credentials) {
    for (size_t i = 0; i < credentials->count; i++) {
        free(credentials->items[i]);
    }
    free(credentials->items);
    *credentials = (struct credentials){0};
}

static struct credential *credentials_push(struct credentials *credentials) {
    credentials->items =
        alloc_grown(credentials->items, credentials->count + 1, sizeof(struct credential *));
    struct credential *credential = alloc_zeroed(1, sizeof(*credential));
    credentials->items[credentials->count++] = credential;
    return credential;
}

enum error_code credentials_add_text(struct credentials *credentials, const char *text,
                                     struct error *error) {
    struct credential parsed = {0};
    char *copy = alloc_text(text);
    char *rest = copy;
    char *id = strsep(&rest, ":");
    char *secret = strsep(&rest, ":");
    char *token = rest;
    enum error_code code = ERROR_OK;

    if (secret == NULL || id[0] == '\0' || secret[0] == '\0' || !TEXT_COPY(parsed.id, id) ||
        !TEXT_COPY(parsed.secret, secret) || (token != NULL && !TEXT_COPY(parsed.token, token))) {
        code = error_set(error, ERROR_INVALID, "an access key is AKID:SECRET[:TOKEN]");
    } else if (credentials_find(credentials, id) != NULL) {
        code = error_set(error, ERROR_EXISTS, "access key '%s' twice", id);
    } else if (credentials->count >= CREDENTIALS_MAX / 2) {
        code = error_set(error, ERROR_LIMIT, "more than %d access keys", CREDENTIALS_MAX / 2);
    } else {
        TEXT_COPY(parsed.arn, CREDENTIAL_DEFAULT_ARN);
        *credentials_push(credentials) = parsed;
    }
    free(copy);
    return code;
}

static void credentials_fill(char *to, size_t length, const char *alphabet) {
    for (size_t i = 0; i < length; i++) {
        to[i] = alphabet[entropy_between(&entropy_system, 0, strlen(alphabet) - 1)];
    }
    to[length] = '\0';
}

/* Drops the oldest temporary credential. */
static void credentials_drop_oldest(struct credentials *credentials) {
    for (size_t i = 0; i < credentials->count; i++) {
        if (credentials->items[i]->expires_wall_ms != 0) {
            free(credentials->items[i]);
            credentials->count--;
            memmove(credentials->items + i, credentials->items + i + 1,
                    (credentials->count - i) * sizeof(struct credential *));
            return;
        }
    }
}

const struct credential *credentials_issue(struct credentials *credentials, const char *arn,
                                           uint64_t expires_wall_ms) {
    if (credentials->count >= CREDENTIALS_MAX) {
        credentials_drop_oldest(credentials);
    }
    struct credential *issued = credentials_push(credentials);
    TEXT_COPY(issued->id, "ASIA");
    credentials_fill(issued->id + 4, CREDENTIAL_ISSUED_ID_LENGTH,
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    /* Real secrets and tokens have '/', '+' and '=': a client must carry them unharmed. */
    credentials_fill(issued->secret, CREDENTIAL_ISSUED_SECRET_LENGTH,
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+");
    credentials_fill(issued->token, CREDENTIAL_ISSUED_TOKEN_LENGTH,
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+");
    memcpy(issued->token + CREDENTIAL_ISSUED_TOKEN_LENGTH, "==", 3);
    TEXT_COPY(issued->arn, arn);
    issued->expires_wall_ms = expires_wall_ms;
    return issued;
}

const struct credential *credentials_find(const struct credentials *credentials, const char *id) {
    for (size_t i = 0; i < credentials->count; i++) {
        if (text_equal(credentials->items[i]->id, id)) {
            return credentials->items[i];
        }
    }
    return NULL;
}
