/* The strided copy: every fast path moves exactly what the plain walk would. */
#include "tests/support/op_run.h"

#include "ops/copy.h"

static uint32_t seed;
static int below(int bound)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)((seed >> 8) % (uint32_t)bound);
}

/* One element at a time, in any order. */
static void copy_naively(const mary_copy *copy, int dim, size_t element, const char *source, char *target)
{
    if (dim == copy->rank) {
        memcpy(target, source, element);
        return;
    }
    for (int64_t i = 0; i < copy->dims[dim]; i++)
        copy_naively(copy, dim + 1, element, source + i * copy->from[dim] * (int64_t)element,
                     target + i * copy->to[dim] * (int64_t)element);
}

/* Pieces from the last to the first, as small as the grain allows. */
static void run_backwards(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context)
{
    (void)parallel;
    int64_t end = count;
    while (end > 0) {
        int64_t begin = end > 2 * grain ? end - grain : 0;
        task(context, begin, end, 0);
        end = begin;
    }
}

START_TEST(copies_agree_with_a_walk_element_by_element)
{
    enum { MOST = 400000 };
    static const size_t sizes[] = {1, 2, 4, 8};
    static const int lengths[] = {1, 2, 3, 4, 5, 7, 33, 64};
    static const mary_parallel parallel = {.threads = 2, .run = run_backwards};
    char *source = malloc(MOST * 8), *target = malloc(MOST * 8), *expected = malloc(MOST * 8);
    for (int i = 0; i < MOST * 8; i++)
        source[i] = (char)below(256);
    for (seed = 1; seed < 600; seed++) {
        uint32_t kept = seed;
        size_t element = sizes[below(4)];
        mary_copy copy = {.rank = below(5)};
        int64_t total = 1, middle = 0;
        int order[4] = {0, 1, 2, 3};
        for (int i = copy.rank - 1; i > 0; i--) {
            int j = below(i + 1), swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        for (int i = copy.rank - 1; i >= 0; i--) { /* the target is dense, with gaps now and then */
            copy.dims[i] = lengths[below(i < 2 ? 5 : 8)];
            copy.to[i] = total;
            total *= copy.dims[i] + (below(5) == 0 ? 2 : 0);
        }
        int64_t stride = 1;
        for (int k = copy.rank - 1; k >= 0;
             k--) { /* the source is a permutation, reversed or repeated here and there */
            int i = order[k];
            copy.from[i] = stride;
            stride *= copy.dims[i];
            if (below(6) == 0) {
                middle += copy.from[i] * (copy.dims[i] - 1);
                copy.from[i] = -copy.from[i];
            } else if (below(6) == 0) {
                copy.from[i] = 0;
            }
        }
        ck_assert(total < MOST && stride < MOST);
        const char *from = source + middle * (int64_t)element;
        memset(target, 0x55, MOST * element);
        memset(expected, 0x55, MOST * element);
        copy_naively(&copy, 0, element, from, expected);
        mary_copy_run(&copy, element, from, target, kept % 2 ? &parallel : NULL);
        ck_assert_msg(memcmp(target, expected, MOST * element) == 0, "seed %u, %zu-byte elements", kept, element);
        seed = kept;
    }
    free(source);
    free(target);
    free(expected);
}
END_TEST

START_TEST(a_long_run_is_cut_into_pieces)
{
    static const mary_parallel parallel = {.threads = 2, .run = run_backwards};
    enum { COUNT = 200003 };
    uint32_t *source = malloc(COUNT * 4), *target = calloc(COUNT, 4);
    for (uint32_t i = 0; i < COUNT; i++)
        source[i] = i * 2654435761u;
    mary_copy copy = {0};
    mary_copy_add(&copy, COUNT, 1, 1);
    mary_copy_run(&copy, 4, source, target, &parallel);
    ck_assert(memcmp(source, target, COUNT * 4) == 0);
    free(source);
    free(target);
}
END_TEST

START_TEST(empty_copies_touch_nothing)
{
    mary_copy copy = {0};
    mary_copy_add(&copy, 3, 1, 1);
    mary_copy_add(&copy, 0, 3, 3);
    mary_copy_run(&copy, 4, NULL, NULL, NULL);
}
END_TEST

START_TEST(strides_follow_the_layout)
{
    mary_tensor plain = {.type = MARY_FLOAT, .shape = {4, {2, 3, 4, 5}}}, last = plain;
    last.layout = MARY_LAYOUT_CHANNELS_LAST;
    last.pixel_stride = 7;
    int64_t strides[MARY_MAX_RANK];
    mary_tensor_strides(&plain, strides);
    ck_assert(strides[0] == 60 && strides[1] == 20 && strides[2] == 5 && strides[3] == 1);
    mary_tensor_strides(&last, strides);
    ck_assert(strides[0] == 140 && strides[1] == 1 && strides[2] == 35 && strides[3] == 7);
}
END_TEST

MARY_TEST_MAIN("ops/copy", copies_agree_with_a_walk_element_by_element, a_long_run_is_cut_into_pieces,
               empty_copies_touch_nothing, strides_follow_the_layout)
