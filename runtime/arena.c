/* Where each value lives in the arena: largest first, at the lowest offset where no value that lives at the same time
 * is. */
#include <stdlib.h>

#include "runtime/plan.h"

enum {
    /* Quadratic in the number of slots; a graph beyond this gets memory in order of appearance instead, without reuse.
     */
    MOST_SLOTS = 20000
};

typedef struct placed {
    size_t begin, end;
    int first, last, slot;
} placed;

static int larger_first(const void *a, const void *b)
{
    const placed *pa = a, *pb = b;
    if (pa->end != pb->end)
        return pa->end > pb->end ? -1 : 1;
    return pa->slot < pb->slot ? -1 : 1;
}

static int lower_first(const void *a, const void *b)
{
    const placed *pa = *(placed *const *)a, *pb = *(placed *const *)b;
    return pa->begin < pb->begin ? -1 : pa->begin > pb->begin ? 1 : 0;
}

/* The lowest gap that fits between the neighbours, which are sorted by begin. */
static size_t lowest_gap(placed *const *neighbours, size_t count, size_t size)
{
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        if (neighbours[i]->begin >= offset + size)
            break;
        if (neighbours[i]->end > offset)
            offset = neighbours[i]->end;
    }
    return offset;
}

static mary_status place_all(mary_plan *plan, placed *items, size_t count)
{
    placed **neighbours = mary_calloc(count, sizeof *neighbours);
    if (neighbours == NULL)
        return mary_fail_memory(count * sizeof *neighbours);
    bool reuse = count <= MOST_SLOTS;
    qsort(items, count, sizeof *items, larger_first);
    for (size_t i = 0; i < count; i++) {
        size_t size = items[i].end, overlapping = 0;
        for (size_t j = 0; reuse && j < i; j++) {
            if (items[j].first <= items[i].last && items[i].first <= items[j].last)
                neighbours[overlapping++] = &items[j];
        }
        qsort(neighbours, overlapping, sizeof *neighbours, lower_first);
        items[i].begin = reuse ? lowest_gap(neighbours, overlapping, size) : plan->arena_bytes;
        if (!mary_size_add(items[i].begin, size, &items[i].end) || items[i].end > PTRDIFF_MAX) {
            mary_free(neighbours);
            return mary_fail(MARY_ERROR_INVALID, "the values of one run need more memory than can be addressed");
        }
        plan->slots[items[i].slot].offset = items[i].begin;
        if (items[i].end > plan->arena_bytes)
            plan->arena_bytes = items[i].end;
    }
    mary_free(neighbours);
    return MARY_OK;
}

mary_status mary_plan_place(mary_plan *plan)
{
    placed *items = mary_calloc(plan->slot_count, sizeof *items);
    if (items == NULL)
        return mary_fail_memory(plan->slot_count * sizeof *items);
    size_t count = 0;
    for (size_t i = 0; i < plan->slot_count; i++) {
        const mary_slot *slot = &plan->slots[i];
        if (slot->place != MARY_PLACE_ARENA)
            continue;
        size_t bytes = (mary_tensor_bytes(&slot->tensor) + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
        /* One line more than asked for: kernels may load, never store, a little past the end. */
        items[count++] =
            (placed){.end = bytes + MARY_ALIGNMENT, .first = slot->first, .last = slot->last, .slot = (int)i};
    }
    mary_status status = place_all(plan, items, count);
    mary_free(items);
    return status;
}
