/* Offsets of a tape's buffers: largest first, each at the lowest place that is free for all of its life. */
#include <stdlib.h>

#include "onnx/memory.h"
#include "train/tape.h"

static int by_size(const void *left, const void *right)
{
    const mary_tape_buffer *a = *(const mary_tape_buffer *const *)left, *b = *(const mary_tape_buffer *const *)right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return a < b ? -1 : a > b;
}

static int by_offset(const void *left, const void *right)
{
    const mary_tape_buffer *a = *(const mary_tape_buffer *const *)left, *b = *(const mary_tape_buffer *const *)right;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

mary_status mary_tape_place_buffers(mary_tape *tape)
{
    size_t count = tape->buffer_count, list = sizeof(mary_tape_buffer *);
    mary_tape_buffer **order = mary_calloc(count, list), **alive = mary_calloc(count, list);
    mary_status status = MARY_OK;
    if (order == NULL || alive == NULL) {
        status = mary_fail_memory(count * list);
        goto done;
    }
    for (size_t i = 0; i < count; i++)
        order[i] = &tape->buffers[i];
    qsort(order, count, list, by_size);
    for (size_t i = 0; i < count; i++) {
        size_t met = 0, offset = 0;
        for (size_t k = 0; k < i; k++) {
            if (order[k]->first <= order[i]->last && order[i]->first <= order[k]->last)
                alive[met++] = order[k];
        }
        qsort(alive, met, list, by_offset);
        for (size_t k = 0; k < met && alive[k]->offset < offset + order[i]->bytes; k++) {
            size_t end = alive[k]->offset + alive[k]->bytes;
            offset = end > offset ? end : offset;
        }
        order[i]->offset = offset;
        if (!mary_size_add(offset, order[i]->bytes, &offset) || offset > PTRDIFF_MAX) {
            status = mary_fail_memory(SIZE_MAX);
            goto done;
        }
        tape->arena_bytes = offset > tape->arena_bytes ? offset : tape->arena_bytes;
    }
done:
    mary_free(order);
    mary_free(alive);
    return status;
}
