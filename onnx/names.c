#include "onnx/names.h"

#include <string.h>

static uint64_t hash_of(const char *key)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

void mary_names_free(mary_names *names)
{
    mary_free(names->entries);
    *names = (mary_names){0};
}

/* The entry of `key`, or the free one where it belongs. */
static mary_names_entry *find(const mary_names *names, const char *key)
{
    size_t mask = names->capacity - 1;
    for (size_t i = (size_t)hash_of(key) & mask;; i = (i + 1) & mask) {
        mary_names_entry *entry = &names->entries[i];
        if (entry->key == NULL || strcmp(entry->key, key) == 0)
            return entry;
    }
}

static mary_status grow(mary_names *names)
{
    mary_names grown = {.capacity = names->capacity == 0 ? 16 : names->capacity * 2, .count = names->count};
    grown.entries = mary_calloc(grown.capacity, sizeof *grown.entries);
    if (grown.entries == NULL)
        return mary_fail_memory(grown.capacity * sizeof *grown.entries);
    for (size_t i = 0; i < names->capacity; i++) {
        if (names->entries[i].key != NULL)
            *find(&grown, names->entries[i].key) = names->entries[i];
    }
    mary_free(names->entries);
    *names = grown;
    return MARY_OK;
}

mary_status mary_names_add(mary_names *names, const char *key, size_t value, bool *added)
{
    if (names->count + 1 > names->capacity / 4 * 3)
        MARY_TRY(grow(names));
    mary_names_entry *entry = find(names, key);
    *added = entry->key == NULL;
    if (*added) {
        *entry = (mary_names_entry){key, value};
        names->count++;
    }
    return MARY_OK;
}

mary_status mary_names_put(mary_names *names, const char *key, size_t value)
{
    bool added;
    MARY_TRY(mary_names_add(names, key, value, &added));
    if (!added)
        find(names, key)->value = value;
    return MARY_OK;
}

bool mary_names_get(const mary_names *names, const char *key, size_t *value)
{
    if (names->capacity == 0)
        return false;
    const mary_names_entry *entry = find(names, key);
    if (entry->key == NULL)
        return false;
    if (value != NULL)
        *value = entry->value;
    return true;
}
