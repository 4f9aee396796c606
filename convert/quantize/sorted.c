/* Radix sort of floats by their bits, then merging of equal neighbours. */
#include "convert/quantize/sorted.h"

#include <stdlib.h>
#include <string.h>

/* Bits such that unsigned order is the order of the floats. */
static uint32_t float_to_key(float value)
{
    uint32_t bits;
    value += 0.0f; /* -0 becomes 0: they are one value */
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float key_to_float(uint32_t key)
{
    uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

enum { DIGIT = 11, DIGITS = 1 << DIGIT, PASSES = 3 };

static int compare_keys(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Sorts keys[0..count); `spare` is as large. Returns whichever of the two holds the result. */
static uint32_t *sort_keys(uint32_t *keys, uint32_t *spare, int64_t count)
{
    if (count < 256) {
        qsort(keys, (size_t)count, sizeof *keys, compare_keys);
        return keys;
    }
    size_t histogram[PASSES][DIGITS] = {{0}};
    for (int64_t i = 0; i < count; i++) {
        for (int pass = 0; pass < PASSES; pass++)
            histogram[pass][keys[i] >> (pass * DIGIT) & (DIGITS - 1)]++;
    }
    for (int pass = 0; pass < PASSES; pass++) {
        size_t position = 0;
        for (int digit = 0; digit < DIGITS; digit++) {
            size_t here = histogram[pass][digit];
            histogram[pass][digit] = position;
            position += here;
        }
        for (int64_t i = 0; i < count; i++)
            spare[histogram[pass][keys[i] >> (pass * DIGIT) & (DIGITS - 1)]++] = keys[i];
        uint32_t *swap = keys;
        keys = spare;
        spare = swap;
    }
    return keys;
}

/* A key in the upper half, the element's index in the lower: sorting these carries the importance along, and equal
 * values stay in their order, so that sums of importance are the same on every machine. */
static int compare_pairs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t *sort_pairs(uint64_t *pairs, uint64_t *spare, int64_t count)
{
    if (count < 256) {
        qsort(pairs, (size_t)count, sizeof *pairs, compare_pairs);
        return pairs;
    }
    for (int pass = 0; pass < PASSES; pass++) { /* stable, so the indices stay ascending within a key */
        size_t histogram[DIGITS] = {0}, position = 0;
        int shift = 32 + pass * DIGIT;
        for (int64_t i = 0; i < count; i++)
            histogram[pairs[i] >> shift & (DIGITS - 1)]++;
        for (int digit = 0; digit < DIGITS; digit++) {
            size_t here = histogram[digit];
            histogram[digit] = position;
            position += here;
        }
        for (int64_t i = 0; i < count; i++)
            spare[histogram[pairs[i] >> shift & (DIGITS - 1)]++] = pairs[i];
        uint64_t *swap = pairs;
        pairs = spare;
        spare = swap;
    }
    return pairs;
}

static mary_status create_plain(const mary_quantize_input *input, mary_sorted *sorted)
{
    mary_status status = MARY_OK;
    size_t bytes = (size_t)input->count * sizeof(uint32_t);
    uint32_t *keys = mary_alloc(bytes), *spare = mary_alloc(bytes), *ordered;
    if (keys == NULL || spare == NULL) {
        status = mary_fail_memory(bytes);
        goto done;
    }
    for (int64_t i = 0; i < input->count; i++)
        keys[i] = float_to_key(input->values[i]);
    ordered = sort_keys(keys, spare, input->count);

    int64_t distinct = 1;
    for (int64_t i = 1; i < input->count; i++)
        distinct += ordered[i] != ordered[i - 1];
    /* The values take the place of the keys. */
    float *values = (float *)(void *)(ordered == keys ? spare : keys);
    if (distinct < input->count) {
        sorted->weights = mary_alloc((size_t)distinct * sizeof *sorted->weights);
        if (sorted->weights == NULL) {
            status = mary_fail_memory((size_t)distinct * sizeof *sorted->weights);
            goto done;
        }
    }
    int64_t last = -1;
    for (int64_t i = 0; i < input->count; i++) {
        if (i == 0 || ordered[i] != ordered[i - 1]) {
            values[++last] = key_to_float(ordered[i]);
            if (sorted->weights != NULL)
                sorted->weights[last] = 0;
        }
        if (sorted->weights != NULL)
            sorted->weights[last] += 1;
    }
    sorted->values = values;
    sorted->count = distinct;
    mary_free(ordered);
    return MARY_OK;
done:
    mary_free(keys);
    mary_free(spare);
    return status;
}

static mary_status create_weighted(const mary_quantize_input *input, mary_sorted *sorted)
{
    mary_status status = MARY_OK;
    if (input->count > UINT32_MAX)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "importance of %lld weights in one set of levels: at most 2^32 - 1",
                         (long long)input->count);
    size_t bytes = (size_t)input->count * sizeof(uint64_t);
    uint64_t *pairs = mary_alloc(bytes), *spare = mary_alloc(bytes), *ordered = NULL;
    int64_t count = 0, last = -1;
    if (pairs == NULL || spare == NULL) {
        status = mary_fail_memory(bytes);
        goto done;
    }
    for (int64_t i = 0; i < input->count; i++) {
        if (input->importance[i] > 0)
            pairs[count++] = (uint64_t)float_to_key(input->values[i]) << 32 | (uint64_t)i;
    }
    ordered = sort_pairs(pairs, spare, count);
    sorted->values = mary_alloc((size_t)count * sizeof *sorted->values);
    sorted->weights = mary_alloc((size_t)count * sizeof *sorted->weights);
    if (sorted->values == NULL || sorted->weights == NULL) {
        status = mary_fail_memory((size_t)count * sizeof *sorted->weights);
        goto done;
    }
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || ordered[i] >> 32 != ordered[i - 1] >> 32) {
            sorted->values[++last] = key_to_float((uint32_t)(ordered[i] >> 32));
            sorted->weights[last] = 0;
        }
        sorted->weights[last] += input->importance[(uint32_t)ordered[i]];
    }
    sorted->count = last + 1;
done:
    mary_free(pairs);
    mary_free(spare);
    if (status != MARY_OK)
        mary_sorted_free(sorted);
    return status;
}

mary_status mary_sorted_create(const mary_quantize_input *input, mary_sorted *sorted)
{
    *sorted = (mary_sorted){0};
    bool weighted = false;
    if (input->importance != NULL) {
        bool equal = true;
        for (int64_t i = 0; i < input->count; i++) {
            weighted = weighted || input->importance[i] > 0;
            equal = equal && input->importance[i] == input->importance[0];
        }
        weighted = weighted && !equal; /* equal weights are the plain problem, whatever their size */
    }
    return weighted ? create_weighted(input, sorted) : create_plain(input, sorted);
}

void mary_sorted_free(mary_sorted *sorted)
{
    mary_free(sorted->values);
    mary_free(sorted->weights);
    *sorted = (mary_sorted){0};
}
