#include "onnx/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Atomic int64_t allocations;
static _Atomic int64_t fail_at = -1;
static _Atomic size_t most_bytes = SIZE_MAX;

static bool refused(size_t size)
{
    if (size > atomic_load_explicit(&most_bytes, memory_order_relaxed))
        return true;
    int64_t number = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    int64_t limit = atomic_load_explicit(&fail_at, memory_order_relaxed);
    return limit >= 0 && number >= limit;
}

void mary_memory_fail_after(int64_t countdown)
{
    atomic_store(&fail_at, countdown < 0 ? -1 : atomic_load(&allocations) + countdown);
}

void mary_memory_limit(size_t most)
{
    atomic_store(&most_bytes, most == 0 ? SIZE_MAX : most);
}

int64_t mary_memory_count(void)
{
    return atomic_load(&allocations);
}

void *mary_alloc(size_t size)
{
    return refused(size) ? NULL : malloc(size == 0 ? 1 : size);
}

void *mary_calloc(size_t count, size_t size)
{
    size_t total;
    if (!mary_size_mul(count, size, &total) || refused(total))
        return NULL;
    return calloc(1, total == 0 ? 1 : total);
}

void *mary_realloc(void *block, size_t size)
{
    return refused(size) ? NULL : realloc(block, size == 0 ? 1 : size);
}

enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 * HUGE_PAGE };

/* Weights that are read from end to end: with small pages the processor would wait for the page table at every one of
 * them. Only whole huge pages are asked for, so no more memory is touched than without. */
static void *alloc_huge(size_t size)
{
    void *block = aligned_alloc(HUGE_PAGE, (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
#if defined(MADV_HUGEPAGE)
    if (block != NULL)
        (void)madvise(block, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* a wish: it works without, too */
#endif
    return block;
}

void *mary_alloc_aligned(size_t size)
{
    if (refused(size) || size > SIZE_MAX - MARY_ALIGNMENT)
        return NULL;
    if (size >= HUGE_FROM && size <= SIZE_MAX - HUGE_PAGE)
        return alloc_huge(size);
    size_t rounded = (size + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
    return aligned_alloc(MARY_ALIGNMENT, rounded == 0 ? MARY_ALIGNMENT : rounded);
}

char *mary_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mary_alloc(size);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

char *mary_asprintf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return NULL;
    char *text = mary_alloc((size_t)length + 1);
    if (text == NULL)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void mary_bytes_free(void *bytes)
{
    mary_free(bytes);
}

void mary_free(void *block)
{
    free(block);
}

bool mary_reserve(void **items, size_t *capacity, size_t needed, size_t item_size)
{
    if (needed <= *capacity)
        return true;
    size_t wanted = *capacity > SIZE_MAX / 2 ? needed : *capacity * 2;
    if (wanted < needed)
        wanted = needed;
    if (wanted < 8)
        wanted = 8;
    size_t bytes;
    if (!mary_size_mul(wanted, item_size, &bytes))
        return false;
    void *grown = mary_realloc(*items, bytes);
    if (grown == NULL)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}
