/* Which candidate every layer gets, within a budget of bytes. */
#ifndef MARY_SEARCH_ALLOCATE_H
#define MARY_SEARCH_ALLOCATE_H

#include "onnx/memory.h"
#include "onnx/status.h"

/* [layers][candidates] each: what a layer costs with a candidate, and what it does to the outputs (finite, >= 0). */
typedef struct mary_choices {
    size_t layers;
    int candidates; /* 1..255 */
    const uint64_t *bytes;
    const double *losses;
} mary_choices;

/* picks[layer] of the least sum of losses whose bytes are at most `budget`. Exact as long as the budget is less than
 * MARY_ALLOCATION_UNITS bytes; from there on, bytes are counted in units, rounded up, and what that leaves is filled
 * up. Equally good: fewer bytes. *fits is false, and picks are those of the fewest bytes, when nothing fits. */
mary_status mary_allocate(const mary_choices *choices, uint64_t budget, uint8_t *picks, bool *fits);
#define MARY_ALLOCATION_UNITS ((uint64_t)1 << 16)

uint64_t mary_allocation_bytes(const mary_choices *choices, const uint8_t *picks);
double mary_allocation_loss(const mary_choices *choices, const uint8_t *picks);
/* The fewest and the most bytes that picks can have. */
void mary_allocation_range(const mary_choices *choices, uint64_t *least, uint64_t *most);

#endif
