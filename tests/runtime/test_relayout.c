/* Plain and channels-last copies of a tensor hold the same elements, whatever type, stride and number of threads. */
#include "tests/support/suite.h"

#include <string.h>

#include "onnx/memory.h"
#include "runtime/relayout.h"
#include "runtime/threads.h"

static void check_round_trip(mary_type type, mary_shape shape, int64_t stride, int threads)
{
    mary_threads *pool;
    assert_ok(mary_threads_create(threads, &pool));
    const mary_parallel *parallel = mary_threads_parallel(pool);
    size_t size = mary_type_size(type);
    mary_tensor plain = {.type = type, .shape = shape};
    mary_tensor last = {.type = type, .shape = shape, .layout = MARY_LAYOUT_CHANNELS_LAST, .pixel_stride = stride};
    mary_tensor back = plain;
    size_t bytes = mary_tensor_bytes(&plain);
    plain.data = mary_alloc_aligned(bytes);
    back.data = mary_alloc_aligned(bytes);
    last.data = mary_alloc_aligned(mary_tensor_bytes(&last));
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)plain.data)[i] = (uint8_t)(i * 37 + i / 251);
    mary_relayout(&plain, &last, parallel);
    int64_t channels = shape.dims[1], pixels = mary_shape_count_range(&shape, 2, shape.rank);
    for (int64_t n = 0; n < shape.dims[0]; n++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < pixels; p++)
                ck_assert_mem_eq((char *)plain.data + (size_t)((n * channels + c) * pixels + p) * size,
                                 (char *)last.data + (size_t)((n * pixels + p) * stride + c) * size, size);
    mary_relayout(&last, &back, parallel);
    ck_assert_mem_eq(plain.data, back.data, bytes);
    mary_free(plain.data);
    mary_free(back.data);
    mary_free(last.data);
    mary_threads_free(&pool);
}

START_TEST(every_element_arrives_where_its_layout_says)
{
    const mary_type types[] = {MARY_UINT8, MARY_FLOAT16, MARY_FLOAT, MARY_DOUBLE};
    for (int t = 0; t < 4; t++) {
        for (int threads = 1; threads <= 3; threads++) {
            check_round_trip(types[t], (mary_shape){4, {2, 3, 5, 7}}, 3, threads);
            check_round_trip(types[t], (mary_shape){4, {1, 17, 16, 16}}, 20, threads);
            check_round_trip(types[t], (mary_shape){3, {3, 64, 33}}, 80, threads);
            check_round_trip(types[t], (mary_shape){5, {1, 5, 2, 3, 4}}, 5, threads);
            check_round_trip(types[t], (mary_shape){2, {4, 9}}, 9, threads);
        }
    }
}
END_TEST

START_TEST(tensors_without_elements_are_fine)
{
    check_round_trip(MARY_FLOAT, (mary_shape){4, {0, 3, 2, 2}}, 3, 2);
    check_round_trip(MARY_FLOAT, (mary_shape){4, {2, 0, 2, 2}}, 0, 2);
    check_round_trip(MARY_FLOAT, (mary_shape){4, {2, 3, 0, 2}}, 3, 2);
}
END_TEST

MARY_TEST_MAIN("runtime/relayout", every_element_arrives_where_its_layout_says, tensors_without_elements_are_fine)
