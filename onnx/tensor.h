/* The tensor type that the whole project shares: a view of memory with a type, a shape and a layout. */
#ifndef MARY_ONNX_TENSOR_H
#define MARY_ONNX_TENSOR_H

#include "onnx/status.h"

typedef struct mary_shape {
    int rank;
    int64_t dims[MARY_MAX_RANK];
} mary_shape;

typedef enum mary_layout {
    MARY_LAYOUT_PLAIN = 0,    /* dense, row-major, as ONNX says */
    MARY_LAYOUT_CHANNELS_LAST /* [N, spatial..., C]: element (n, c, pixel) at (n*pixels + pixel)*pixel_stride + c */
} mary_layout;

/* `shape` is always in ONNX's order ([N, C, spatial...]) whatever the layout. A tensor never owns `data`.
 * data == NULL means that the value is not known yet (shape inference); a tensor without elements has
 * data != NULL all the same. */
typedef struct mary_tensor {
    mary_type type;
    mary_layout layout;
    mary_shape shape;
    int64_t pixel_stride; /* channels last only: elements from one pixel to the next, >= C; the gap is undefined */
    void *data;
} mary_tensor;

/* Number of elements; shapes that exist were checked, so the product fits. */
int64_t mary_shape_count(const mary_shape *shape);
/* Product of dims[begin..end). */
int64_t mary_shape_count_range(const mary_shape *shape, int begin, int end);
bool mary_shape_equal(const mary_shape *a, const mary_shape *b);
/* Every dim >= 0, rank <= MARY_MAX_RANK, and count * 16 fits in ptrdiff_t; otherwise MARY_ERROR_INVALID. */
mary_status mary_shape_check(const mary_shape *shape, const char *what);
/* "[1,3,224,224]" into `text`, cut to `size`; returns `text`. */
char *mary_shape_format(const mary_shape *shape, char *text, size_t size);
/* Multidirectional (numpy) broadcasting; MARY_ERROR_INVALID with both shapes in the message. */
mary_status mary_shape_broadcast(const mary_shape *a, const mary_shape *b, mary_shape *result);
/* axis in [-rank, rank) made non-negative; otherwise MARY_ERROR_INVALID naming `what`. */
mary_status mary_axis_normalise(int64_t axis, int rank, const char *what, int *result);

/* Bytes of memory that the tensor's elements occupy in its layout, padding included. */
size_t mary_tensor_bytes(const mary_tensor *tensor);

bool mary_type_is_float(mary_type type); /* float16, bfloat16, float, double */
float mary_half_to_float(uint16_t half);
uint16_t mary_float_to_half(float value); /* round to nearest even */
float mary_bfloat_to_float(uint16_t value);
uint16_t mary_float_to_bfloat(float value); /* round to nearest even */

/* Reads elements of any integer or bool type as int64 (used for axes, shapes, indices). `index` is trusted. */
int64_t mary_tensor_int(const mary_tensor *tensor, int64_t index);
/* The same for any numeric type as double. */
double mary_tensor_double(const mary_tensor *tensor, int64_t index);

#endif
