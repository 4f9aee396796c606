/* Allocation with checked sizes. Everything in mary allocates through here, so that tests can make the
 * n-th allocation fail and see that it comes back as a status. */
#ifndef MARY_ONNX_MEMORY_H
#define MARY_ONNX_MEMORY_H

#include "mary.h"

#define MARY_ALIGNMENT 64 /* of mary_alloc_aligned: one cache line, one AVX-512 register */

/* NULL on failure (or injected failure); size 0 gives a valid pointer. */
void *mary_alloc(size_t size);
void *mary_calloc(size_t count, size_t size); /* count * size is checked for overflow */
void *mary_realloc(void *block, size_t size);
void *mary_alloc_aligned(size_t size); /* uninitialised; freed with mary_free like the others */
char *mary_strdup(const char *text);
char *mary_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mary_free(void *block); /* NULL is fine */

/* *result = a * b (or a + b); false when that does not fit. */
static inline bool mary_size_mul(size_t a, size_t b, size_t *result)
{
    return !__builtin_mul_overflow(a, b, result);
}
static inline bool mary_size_add(size_t a, size_t b, size_t *result)
{
    return !__builtin_add_overflow(a, b, result);
}

/* Makes room for `needed` items in a growing array; doubles. false when memory ran out (the old array stays). */
bool mary_reserve(void **items, size_t *capacity, size_t needed, size_t item_size);

/* Tests only: the allocation number `countdown` from now (0: the next) fails, and all after it until the
 * call is repeated with -1. Per process. */
void mary_memory_fail_after(int64_t countdown);
/* Tests only: every allocation of more than `most` bytes fails; 0: no limit. Per process. */
void mary_memory_limit(size_t most);
/* Tests only: allocations made so far by this process. */
int64_t mary_memory_count(void);

#endif
