#include "cli/report/table.h"

#include <stdarg.h>
#include <string.h>

/* Characters, not bytes: UTF-8 continuation bytes take no room. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void add(mary_table *table, const char *text)
{
    char *copy = mary_strdup(text);
    if (copy == NULL ||
        !mary_reserve((void **)&table->cells, &table->capacity, table->count + 1, sizeof *table->cells)) {
        mary_free(copy);
        table->failed = true;
        return;
    }
    table->cells[table->count++] = copy;
}

void mary_table_begin(mary_table *table, const char *header)
{
    memset(table, 0, sizeof *table);
    while (*header != '\0' && table->columns < MARY_TABLE_COLUMNS) {
        size_t length = strcspn(header + 1, "|");
        char title[64];
        snprintf(title, sizeof title, "%.*s", (int)length, header + 1);
        table->right[table->columns++] = *header == '>';
        add(table, title);
        header += 1 + length;
        header += *header == '|';
    }
}

void mary_table_cell(mary_table *table, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    add(table, text);
}

mary_status mary_table_end(mary_table *table, FILE *file)
{
    int widths[MARY_TABLE_COLUMNS] = {0};
    size_t columns = (size_t)table->columns;
    for (size_t i = 0; i < table->count; i++) {
        int width = width_of(table->cells[i]);
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (size_t i = 0; i < table->count && !table->failed; i++) {
        size_t column = i % columns;
        const char *cell = table->cells[i];
        int padding = widths[column] - width_of(cell);
        bool last = column + 1 == columns;
        if (table->right[column])
            fprintf(file, "%*s%s%s", padding, "", cell, last ? "\n" : "  ");
        else
            fprintf(file, "%s%*s%s", cell, last ? 0 : padding, "", last ? "\n" : "  ");
    }
    bool failed = table->failed;
    for (size_t i = 0; i < table->count; i++)
        mary_free(table->cells[i]);
    mary_free(table->cells);
    memset(table, 0, sizeof *table);
    return failed ? mary_fail_memory(64) : MARY_OK;
}
