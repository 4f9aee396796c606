#include "ops/turn.h"

#include <string.h>

typedef float four __attribute__((vector_size(16)));
typedef int four_indices __attribute__((vector_size(16)));

#if defined(__clang__)
#define MIX(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define MIX(a, b, i, j, k, l) __builtin_shuffle(a, b, (four_indices){i, j, k, l})
#endif

static inline four load(const float *from)
{
    four value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void put(float *to, four value, bool accumulate)
{
    if (accumulate)
        value += load(to);
    memcpy(to, &value, sizeof value);
}

static inline void turn_4x4(const float *from, int64_t from_stride, float *to, int64_t to_stride, bool accumulate)
{
    const four a = load(from), b = load(from + from_stride), c = load(from + 2 * from_stride),
               d = load(from + 3 * from_stride);
    const four ab_low = MIX(a, b, 0, 4, 1, 5), ab_high = MIX(a, b, 2, 6, 3, 7);
    const four cd_low = MIX(c, d, 0, 4, 1, 5), cd_high = MIX(c, d, 2, 6, 3, 7);
    put(to, MIX(ab_low, cd_low, 0, 1, 4, 5), accumulate);
    put(to + to_stride, MIX(ab_low, cd_low, 2, 3, 6, 7), accumulate);
    put(to + 2 * to_stride, MIX(ab_high, cd_high, 0, 1, 4, 5), accumulate);
    put(to + 3 * to_stride, MIX(ab_high, cd_high, 2, 3, 6, 7), accumulate);
}

static void turn_plain(const float *from, int64_t from_stride, int64_t rows, int64_t columns, float *to,
                       int64_t to_stride, bool accumulate)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++)
            to[j * to_stride + i] = (accumulate ? to[j * to_stride + i] : 0.0f) + from[i * from_stride + j];
    }
}

void mary_turn(const float *from, int64_t from_stride, int64_t rows, int64_t columns, float *to, int64_t to_stride,
               bool accumulate)
{
    enum { BLOCK = 16 }; /* rows at a time: one line of the cache on the other side */
    const int64_t even = columns / 4 * 4;
    int64_t first = 0;
    for (; first + 4 <= rows; first += BLOCK) {
        const int64_t last = first + BLOCK <= rows ? first + BLOCK : rows / 4 * 4;
        for (int64_t j = 0; j < even; j += 4) {
            for (int64_t i = first; i < last; i += 4)
                turn_4x4(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride, accumulate);
        }
    }
    const int64_t done = rows / 4 * 4;
    turn_plain(from + even, from_stride, done, columns - even, to + even * to_stride, to_stride, accumulate);
    turn_plain(from + done * from_stride, from_stride, rows - done, columns, to + done, to_stride, accumulate);
}
