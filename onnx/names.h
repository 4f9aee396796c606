/* A hash map from names to numbers: values of a graph, attributes, functions. Keys are borrowed, never copied. */
#ifndef MARY_ONNX_NAMES_H
#define MARY_ONNX_NAMES_H

#include "onnx/memory.h"
#include "onnx/status.h"

typedef struct mary_names_entry {
    const char *key; /* NULL: free */
    size_t value;
} mary_names_entry;

/* Starts zeroed. */
typedef struct mary_names {
    mary_names_entry *entries;
    size_t capacity; /* 0 or a power of two, at most three quarters full */
    size_t count;
} mary_names;

void mary_names_free(mary_names *names);
/* Adds or replaces. `key` must stay alive and unchanged as long as the map. */
mary_status mary_names_put(mary_names *names, const char *key, size_t value);
/* Adds; *added is false, and nothing changes, when the key was there. */
mary_status mary_names_add(mary_names *names, const char *key, size_t value, bool *added);
/* `value` may be NULL. */
bool mary_names_get(const mary_names *names, const char *key, size_t *value);

#endif
