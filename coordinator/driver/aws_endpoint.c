#include "aws_endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "http_client.h"

enum error_code aws_endpoint_find(const char *suffix, const char *otherwise,
                                  char ret_url[AWS_URL_SIZE], struct error *error) {
    char variable[64];
    (void)snprintf(variable, sizeof variable, "AWS_ENDPOINT_URL_%s", suffix);
    const char *url = getenv(variable);
    if (url == NULL || url[0] == '\0') {
        (void)TEXT_COPY(variable, "AWS_ENDPOINT_URL");
        url = getenv(variable);
    }
    if (url == NULL || url[0] == '\0') {
        (void)TEXT_COPY(variable, "endpoint");
        url = otherwise;
    }
    char copy[AWS_URL_SIZE];
    if (!TEXT_COPY(copy, url)) {
        return error_set(error, ERROR_LIMIT, "%s: longer than %d characters", variable,
                         AWS_URL_SIZE - 1);
    }
    enum error_code code = http_check_url(copy, false, error);
    if (code != ERROR_OK) {
        return error_prefix(error, "%s", variable);
    }
    size_t length = strlen(copy);
    while (length > 0 && copy[length - 1] == '/') {
        copy[--length] = '\0';
    }
    memcpy(ret_url, copy, sizeof copy);
    return ERROR_OK;
}
