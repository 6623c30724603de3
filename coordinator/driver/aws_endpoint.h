/* Where a service's API is: its public address, or what the environment says instead. */
#ifndef DRIVER_AWS_ENDPOINT_H
#define DRIVER_AWS_ENDPOINT_H

#include "base/error.h"

#define AWS_URL_SIZE 512

/* AWS_ENDPOINT_URL_<suffix>, then AWS_ENDPOINT_URL, then otherwise; without a slash at its end. */
enum error_code aws_endpoint_find(const char *suffix, const char *otherwise,
                                  char ret_url[AWS_URL_SIZE], struct error *error);

#endif
