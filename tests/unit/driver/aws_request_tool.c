/* Sends one signed request as the driver would, for tests of the signature:
 *
 *   aws-request METHOD BASE-URL SERVICE REGION [-q NAME=VALUE]... [-H HEADER]... [-d BODY]
 *
 * Keys come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. Prints the HTTP
 * status and the body; exit status 1 when there was no reply. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "aws_http.h"
#include "aws_text.h"
#include "base/text.h"

static struct {
    int status;
    struct aws_http *http;
} tool = {.status = 2};

static void on_closed(void *context) {
    (void)context;
}

static void on_response(void *context, const struct http_response *response) {
    (void)context;
    if (response->error.code != ERROR_OK) {
        (void)fprintf(stderr, "%s\n", response->error.message);
        tool.status = 1;
    } else {
        (void)printf("%ld\n%.*s\n", response->status, (int)response->body_size_bytes,
                     response->body);
        tool.status = 0;
    }
    aws_http_close(tool.http, on_closed, NULL);
}

static void load_key(char *to, size_t to_size, const char *variable) {
    const char *value = getenv(variable);
    bool ok = text_copy(to, to_size, value == NULL ? "" : value);
    assert(ok);
    (void)ok;
}

int main(int argument_count, char **arguments) {
    struct aws_parameter parameters[AWS_PARAMETER_MAX];
    uint32_t parameter_count = 0, header_count = 0;
    struct aws_keys keys;
    struct aws_request signed_request = {.http = {.timeout_ms = 10000, .connect_timeout_ms = 5000}};
    struct http_request *request = &signed_request.http;
    assert(argument_count >= 5);
    request->method = arguments[1];
    signed_request.sign_service = arguments[3];
    signed_request.sign_region = arguments[4];
    signed_request.keys = &keys;
    load_key(keys.access_key_id, sizeof keys.access_key_id, "AWS_ACCESS_KEY_ID");
    load_key(keys.secret_access_key, sizeof keys.secret_access_key, "AWS_SECRET_ACCESS_KEY");
    load_key(keys.session_token, sizeof keys.session_token, "AWS_SESSION_TOKEN");
    for (int i = 5; i + 1 < argument_count; i += 2) {
        char *value = arguments[i + 1];
        if (text_equal(arguments[i], "-q")) {
            char *equals = strchr(value, '=');
            assert(equals != NULL && parameter_count < AWS_PARAMETER_MAX);
            *equals = '\0';
            parameters[parameter_count++] = (struct aws_parameter){value, equals + 1};
        } else if (text_equal(arguments[i], "-H")) {
            assert(header_count < HTTP_CLIENT_HEADER_MAX - AWS_SIGN_HEADER_MAX);
            request->headers[header_count++] = value;
        } else {
            assert(text_equal(arguments[i], "-d"));
            request->body = value;
            request->body_size_bytes = strlen(value);
        }
    }
    struct buffer url;
    buffer_init(&url, 0);
    buffer_append_text(&url, arguments[2]);
    buffer_append_text(&url, parameter_count > 0 ? "?" : "");
    aws_append_query(&url, parameters, parameter_count);
    request->url = url.data;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct error error;
    if (aws_http_create(&loop, &clock_system, &tool.http, &error) != ERROR_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 2;
    }
    aws_http_send(tool.http, &signed_request, on_response, NULL);
    buffer_finish(&url);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) == 0 ? tool.status : 2;
}
