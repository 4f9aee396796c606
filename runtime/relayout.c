#include "runtime/relayout.h"

#include <string.h>

enum { TILE = 16 };

typedef struct transposition {
    const char *from;
    char *to;
    int64_t channels, pixels, stride; /* stride: elements between pixels on the channels-last side */
    int64_t tiles;                    /* of pixels, per image */
    size_t size;
    bool to_channels_last;
} transposition;

/* One block of at most TILE pixels and all channels, in TILE x TILE squares that stay in the first-level cache. */
#define TRANSPOSE(TYPE, NAME)                                                                                          \
    static void NAME(const transposition *t, int64_t image, int64_t pixel, int64_t count)                              \
    {                                                                                                                  \
        for (int64_t c = 0; c < t->channels; c += TILE) {                                                              \
            int64_t depth = t->channels - c < TILE ? t->channels - c : TILE;                                           \
            int64_t plain = (image * t->channels + c) * t->pixels + pixel;                                             \
            int64_t last = (image * t->pixels + pixel) * t->stride + c;                                                \
            if (t->to_channels_last) {                                                                                 \
                const TYPE *in = (const TYPE *)(const void *)t->from + plain;                                          \
                TYPE *out = (TYPE *)(void *)t->to + last;                                                              \
                for (int64_t p = 0; p < count; p++)                                                                    \
                    for (int64_t k = 0; k < depth; k++)                                                                \
                        out[p * t->stride + k] = in[k * t->pixels + p];                                                \
            } else {                                                                                                   \
                const TYPE *in = (const TYPE *)(const void *)t->from + last;                                           \
                TYPE *out = (TYPE *)(void *)t->to + plain;                                                             \
                for (int64_t k = 0; k < depth; k++)                                                                    \
                    for (int64_t p = 0; p < count; p++)                                                                \
                        out[k * t->pixels + p] = in[p * t->stride + k];                                                \
            }                                                                                                          \
        }                                                                                                              \
    }

TRANSPOSE(uint8_t, transpose1)
TRANSPOSE(uint16_t, transpose2)
TRANSPOSE(uint32_t, transpose4)
TRANSPOSE(uint64_t, transpose8)

static void run(void *context, int64_t begin, int64_t end, int thread)
{
    const transposition *t = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t image = i / t->tiles, pixel = i % t->tiles * TILE;
        int64_t count = t->pixels - pixel < TILE ? t->pixels - pixel : TILE;
        switch (t->size) {
        case 1:
            transpose1(t, image, pixel, count);
            break;
        case 2:
            transpose2(t, image, pixel, count);
            break;
        case 4:
            transpose4(t, image, pixel, count);
            break;
        default:
            transpose8(t, image, pixel, count);
            break;
        }
    }
}

void mary_relayout(const mary_tensor *from, const mary_tensor *to, const mary_parallel *parallel)
{
    const mary_shape *shape = &from->shape;
    bool to_channels_last = to->layout == MARY_LAYOUT_CHANNELS_LAST;
    int64_t pixels = mary_shape_count_range(shape, 2, shape->rank);
    transposition t = {.from = from->data,
                       .to = to->data,
                       .channels = shape->dims[1],
                       .pixels = pixels,
                       .stride = to_channels_last ? to->pixel_stride : from->pixel_stride,
                       .tiles = (pixels + TILE - 1) / TILE,
                       .size = mary_type_size(from->type),
                       .to_channels_last = to_channels_last};
    if (shape->dims[1] > 0)
        mary_parallel_for(parallel, shape->dims[0] * t.tiles, 1 + 4096 / (shape->dims[1] * TILE), run, &t);
}
