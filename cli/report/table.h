/* Tables for the console: columns as wide as what is in them, numbers to the right. */
#ifndef MARY_CLI_REPORT_TABLE_H
#define MARY_CLI_REPORT_TABLE_H

#include "cli/cli.h"

enum { MARY_TABLE_COLUMNS = 16 };

typedef struct mary_table {
    int columns;
    bool right[MARY_TABLE_COLUMNS];
    char **cells; /* [rows, columns]; row 0 is the header */
    size_t count, capacity;
    bool failed; /* memory ran out: printing says so */
} mary_table;

/* "<node|<operator|>ms": a column each, < to the left, > to the right. */
void mary_table_begin(mary_table *table, const char *header);
/* The next cell, row by row. Control characters become '?', so that a name cannot talk to the terminal. */
void mary_table_cell(mary_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints, two spaces between columns, and frees. */
mary_status mary_table_end(mary_table *table, FILE *file);

#endif
