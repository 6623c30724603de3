/* A blunt HTTP client for tests: bytes out, bytes in, each with a deadline. */
#ifndef TEST_API_HTTP_CLIENT_H
#define TEST_API_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_DEADLINE_MS 10000

int client_connect(uint16_t port);
void client_send(int fd, const char *bytes, size_t size);
/* Like client_send, but true when the server had closed before all was sent. */
bool client_try_send(int fd, const char *bytes, size_t size);
/* Reads until `ends` is in the text or the server closes; returns the size. Fails the test at the
 * deadline. `ends` NULL: until it closes. */
size_t client_read(int fd, char *text, size_t size, const char *ends);
/* One request on a connection of its own; the whole answer in `text`. */
void client_ask(uint16_t port, const char *request, char *text, size_t size);
/* GET path, HTTP/1.1, closing. Returns the status; *ret_body points into text. */
unsigned client_get(uint16_t port, const char *path, char *text, size_t size,
                    const char **ret_body);
/* True when the server closes within the deadline. */
bool client_sees_end(int fd);
unsigned client_status(const char *text);

#endif
