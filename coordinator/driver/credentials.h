/* The credentials in memory: the node's own identity and the roles that it assumes. Fetched when
 * first asked for, then renewed by themselves well before they end (a new leader must not depend on
 * STS in the middle of an outage), and the last good ones are kept for as long as a renewal fails.
 * Never logged. */
#ifndef DRIVER_CREDENTIALS_H
#define DRIVER_CREDENTIALS_H

#include <uv.h>

#include "aws_http.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"

#define CREDENTIALS_ROLE_MAX 256 /* kept; beyond it the one that was idle longest goes */

struct credentials;

struct credentials_options {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct entropy *entropy;
    struct aws_http *http;
    const char *node, *region;
};

enum error_code credentials_create(const struct credentials_options *options,
                                   struct credentials **ret_credentials, struct error *error);

/* error is NULL and keys are given, or the other way round. Neither outlives the call. */
typedef void (*credentials_cb)(void *context, const struct error *error,
                               const struct aws_keys *keys);

/* role_arn "": the node's own identity. Fires exactly once, never from inside the call. */
void credentials_get(struct credentials *credentials, const char *role_arn, const char *external_id,
                     credentials_cb on_keys, void *context);

/* The service refused them: the next get waits for fresh ones, and gets the old ones only when
 * there are none. */
void credentials_distrust(struct credentials *credentials, const char *role_arn,
                          const char *external_id);

/* Closing takes two steps around the end of `http`: after stop nothing new is fetched; close, once
 * http is closed, ends the waiting ones as CANCELLED, fires on_closed and frees. */
void credentials_stop(struct credentials *credentials);
void credentials_close(struct credentials *credentials, void (*on_closed)(void *context),
                       void *context);

/* When to renew: at three quarters of the life or five minutes before the end, whichever is first;
 * a tenth earlier at random, so that nodes don't ask together. Pure. */
uint64_t credentials_renew_after_ms(uint64_t life_ms, const struct entropy *entropy);

#endif
