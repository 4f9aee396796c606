#include "convert/calibrate/arrays.h"

#include <string.h>

#include "onnx/memory.h"

mary_shape mary_array_shape(const mary_array *array)
{
    mary_shape shape = {.rank = array->rank};
    memcpy(shape.dims, array->dims, sizeof shape.dims);
    return shape;
}

mary_status mary_array_floats(const mary_array *array, const char *what, const char *node, int64_t index, float **made,
                              const float **values)
{
    mary_tensor tensor = {.type = array->type, .shape = mary_array_shape(array), .data = array->data};
    int64_t count = mary_shape_count(&tensor.shape);
    *made = NULL;
    *values = array->data;
    if (!mary_type_is_float(array->type))
        return mary_fail(MARY_ERROR_INVALID, "%s of node '%s' is of type %s", what, node, mary_type_name(array->type));
    if (array->type != MARY_FLOAT) {
        *made = mary_alloc((size_t)count * sizeof **made);
        if (*made == NULL)
            return mary_fail_memory((size_t)count * sizeof **made);
        for (int64_t i = 0; i < count; i++)
            (*made)[i] = (float)mary_tensor_double(&tensor, i);
        *values = *made;
    }
    float sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (*values)[i] * 0; /* NaN once a value is not finite */
    if (sum == 0)
        return MARY_OK;
    mary_free(*made);
    *made = NULL;
    return mary_fail(MARY_ERROR_INVALID,
                     "calibration run %lld: a value that is not finite in %s of node '%s'; is there one in the data?",
                     (long long)index, what, node);
}
