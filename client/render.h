/* How noctuactl shows things: tables for people, and the server's documents as JSON or YAML. */
#ifndef CLIENT_RENDER_H
#define CLIENT_RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "screen.h"

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

#define TABLE_COLUMN_MAX 16

/* Rows of cells, printed with columns as wide as their widest cell; the last one isn't padded. */
struct table {
    char **cells;
    uint32_t columns, rows;
    bool failed; /* out of memory: prints what is there */
};

void table_init(struct table *table, uint32_t columns);
/* One row; each cell is copied, NULL is "-". */
void table_add(struct table *table, const char *const *cells);
void table_print(const struct table *table, FILE *out);
/* ... as on such a screen: cells are cut where it is too narrow. */
void table_print_on(const struct table *table, const struct screen *screen, FILE *out);
void table_finish(struct table *table);

void render_json(const json_t *document, FILE *out);
void render_yaml(const json_t *document, FILE *out);

/* Fields of documents, forgiving: a missing one is "" (0, false). */
const char *field_text(const json_t *object, const char *key);
uint64_t field_u64(const json_t *object, const char *key);
bool field_true(const json_t *object, const char *key);
bool field_is_null(const json_t *object, const char *key);

#define CELL_SIZE 96
/* "0.4s", "39s", "2m10s"; "-" for null. Returns cell. */
char *cell_duration(const json_t *value, char cell[CELL_SIZE]);
/* "~0.7", "~12,300"; "-" for null. */
char *cell_about(const json_t *value, char cell[CELL_SIZE]);
char *cell_u64(uint64_t value, char cell[CELL_SIZE]);

#endif
