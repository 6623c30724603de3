/* The server's documents (api/documents.h) as tables for people. */
#ifndef CLIENT_VIEWS_H
#define CLIENT_VIEWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef void (*view_function)(const json_t *document, FILE *out);

void view_status(const json_t *document, FILE *out);
void view_service(const json_t *document, FILE *out);
void view_explain(const json_t *document, FILE *out);
void view_plan(const json_t *document, FILE *out);
void view_history(const json_t *document, FILE *out);
/* ... and the events, line by line. */
void view_history_of_move(const json_t *document, FILE *out);
void view_nodes(const json_t *document, FILE *out);
void view_version(const json_t *document, FILE *out);
/* One event as a line: time, kind, words. */
void view_event(const json_t *event, FILE *out);
void view_ready(const json_t *document, FILE *out);
void view_revisions(const json_t *document, FILE *out);
void view_findings(const json_t *document, FILE *out);

#endif
