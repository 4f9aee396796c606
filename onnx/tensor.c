#include "onnx/tensor.h"

#include <stdio.h>
#include <string.h>

size_t mary_type_size(mary_type type)
{
    switch (type) {
    case MARY_UINT8:
    case MARY_INT8:
    case MARY_BOOL:
        return 1;
    case MARY_UINT16:
    case MARY_INT16:
    case MARY_FLOAT16:
    case MARY_BFLOAT16:
        return 2;
    case MARY_FLOAT:
    case MARY_INT32:
    case MARY_UINT32:
        return 4;
    case MARY_DOUBLE:
    case MARY_INT64:
    case MARY_UINT64:
        return 8;
    default:
        return 0;
    }
}

const char *mary_type_name(mary_type type)
{
    static const char *const names[] = {
        [MARY_UNDEFINED] = "undefined", [MARY_FLOAT] = "float",     [MARY_UINT8] = "uint8",
        [MARY_INT8] = "int8",           [MARY_UINT16] = "uint16",   [MARY_INT16] = "int16",
        [MARY_INT32] = "int32",         [MARY_INT64] = "int64",     [MARY_STRING] = "string",
        [MARY_BOOL] = "bool",           [MARY_FLOAT16] = "float16", [MARY_DOUBLE] = "double",
        [MARY_UINT32] = "uint32",       [MARY_UINT64] = "uint64",   [MARY_BFLOAT16] = "bfloat16",
    };
    unsigned number = (unsigned)type;
    return number < sizeof names / sizeof names[0] && names[number] != NULL ? names[number] : "unknown";
}

int64_t mary_shape_count_range(const mary_shape *shape, int begin, int end)
{
    int64_t count = 1;
    for (int i = begin; i < end; i++)
        count *= shape->dims[i];
    return count;
}

int64_t mary_shape_count(const mary_shape *shape)
{
    return mary_shape_count_range(shape, 0, shape->rank);
}

bool mary_shape_equal(const mary_shape *a, const mary_shape *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, sizeof a->dims[0] * (size_t)a->rank) == 0;
}

mary_status mary_shape_check(const mary_shape *shape, const char *what)
{
    if (shape->rank < 0 || shape->rank > MARY_MAX_RANK)
        return mary_fail(MARY_ERROR_INVALID, "%s has rank %d, the most is %d", what, shape->rank, MARY_MAX_RANK);
    /* Zero dims must not hide an overflow of the others: views of the shape multiply parts of it. */
    int64_t product = 1;
    for (int i = 0; i < shape->rank; i++) {
        int64_t dim = shape->dims[i];
        if (dim < 0)
            return mary_fail(MARY_ERROR_INVALID, "%s has a negative dimension: %lld at axis %d", what, (long long)dim,
                             i);
        if (__builtin_mul_overflow(product, dim > 0 ? dim : 1, &product) || product > PTRDIFF_MAX / 16)
            return mary_fail(MARY_ERROR_INVALID, "%s is too large: dimension %lld at axis %d", what, (long long)dim, i);
    }
    return MARY_OK;
}

char *mary_shape_format(const mary_shape *shape, char *text, size_t size)
{
    size_t used = 0;
    if (size == 0)
        return text;
    int written = snprintf(text, size, "[");
    for (int i = 0; i < shape->rank && written > 0 && (used += (size_t)written) < size; i++)
        written = snprintf(text + used, size - used, "%s%lld", i == 0 ? "" : ",", (long long)shape->dims[i]);
    if (shape->rank > 0 && written > 0)
        used += (size_t)written;
    else
        used = 1;
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}

mary_status mary_shape_broadcast(const mary_shape *a, const mary_shape *b, mary_shape *result)
{
    int rank = a->rank > b->rank ? a->rank : b->rank;
    mary_shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        int64_t da = ia < 0 ? 1 : a->dims[ia], db = ib < 0 ? 1 : b->dims[ib];
        if (da != db && da != 1 && db != 1) {
            char ta[128], tb[128];
            return mary_fail(MARY_ERROR_INVALID, "shapes %s and %s do not broadcast",
                             mary_shape_format(a, ta, sizeof ta), mary_shape_format(b, tb, sizeof tb));
        }
        shape.dims[i] = da == 1 ? db : da;
    }
    *result = shape;
    return MARY_OK;
}

mary_status mary_axis_normalise(int64_t axis, int rank, const char *what, int *result)
{
    if (axis < -(int64_t)rank || axis >= rank)
        return mary_fail(MARY_ERROR_INVALID, "%s %lld is outside [%d, %d)", what, (long long)axis, -rank, rank);
    *result = (int)(axis < 0 ? axis + rank : axis);
    return MARY_OK;
}

size_t mary_tensor_bytes(const mary_tensor *tensor)
{
    size_t size = mary_type_size(tensor->type);
    if (tensor->layout == MARY_LAYOUT_PLAIN)
        return (size_t)mary_shape_count(&tensor->shape) * size;
    int64_t pixels = tensor->shape.dims[0] * mary_shape_count_range(&tensor->shape, 2, tensor->shape.rank);
    return (size_t)(pixels * tensor->pixel_stride) * size;
}

bool mary_type_is_float(mary_type type)
{
    return type == MARY_FLOAT || type == MARY_DOUBLE || type == MARY_FLOAT16 || type == MARY_BFLOAT16;
}

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float mary_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> 10) & 0x1f, mantissa = half & 0x3ff;
    if (exponent == 0) { /* zero and subnormals: mantissa * 2^-24 */
        float magnitude = (float)mantissa * 0x1p-24f;
        return float_from_bits(bits_from_float(magnitude) | sign);
    }
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000u | mantissa << 13);
    return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t mary_float_to_half(float value)
{
    uint32_t bits = bits_from_float(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* NaN stays NaN, quiet, with the top of its payload */
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000u) /* rounds to 2^16 or more */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000u) { /* subnormal: adding 0.5 aligns the units of 2^-24 with the float's last place */
        float shifted = float_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (bits_from_float(shifted) - 0x3f000000u));
    }
    uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
}

float mary_bfloat_to_float(uint16_t value)
{
    return float_from_bits((uint32_t)value << 16);
}

uint16_t mary_float_to_bfloat(float value)
{
    uint32_t bits = bits_from_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

int64_t mary_tensor_int(const mary_tensor *tensor, int64_t index)
{
    switch (tensor->type) {
    case MARY_BOOL:
    case MARY_UINT8:
        return ((const uint8_t *)tensor->data)[index];
    case MARY_INT8:
        return ((const int8_t *)tensor->data)[index];
    case MARY_UINT16:
        return ((const uint16_t *)tensor->data)[index];
    case MARY_INT16:
        return ((const int16_t *)tensor->data)[index];
    case MARY_INT32:
        return ((const int32_t *)tensor->data)[index];
    case MARY_UINT32:
        return ((const uint32_t *)tensor->data)[index];
    case MARY_INT64:
        return ((const int64_t *)tensor->data)[index];
    case MARY_UINT64:
        return (int64_t)((const uint64_t *)tensor->data)[index];
    default:
        return 0;
    }
}

double mary_tensor_double(const mary_tensor *tensor, int64_t index)
{
    switch (tensor->type) {
    case MARY_FLOAT:
        return (double)((const float *)tensor->data)[index];
    case MARY_DOUBLE:
        return ((const double *)tensor->data)[index];
    case MARY_FLOAT16:
        return (double)mary_half_to_float(((const uint16_t *)tensor->data)[index]);
    case MARY_BFLOAT16:
        return (double)mary_bfloat_to_float(((const uint16_t *)tensor->data)[index]);
    case MARY_UINT64:
        return (double)((const uint64_t *)tensor->data)[index];
    default:
        return (double)mary_tensor_int(tensor, index);
    }
}
