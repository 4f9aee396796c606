/* Inputs that no file gives: shapes from --input-shape, values from a seeded generator. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/model.h"
#include "onnx/tensor.h"

/* "name:1,3,224,224" or "1,3,224,224" (for a model with one input); names may hold colons themselves. */
static bool parse_shape(const char *text, size_t *name_length, mary_shape *shape)
{
    const char *colon = strrchr(text, ':');
    *name_length = colon != NULL ? (size_t)(colon - text) : 0;
    shape->rank = 0;
    const char *at = colon != NULL ? colon + 1 : text;
    while (*at != '\0') {
        char *end;
        errno = 0;
        long long dim = strtoll(at, &end, 10);
        if (end == at || errno != 0 || dim < 0 || shape->rank == MARY_MAX_RANK || (*end != ',' && *end != '\0'))
            return false;
        shape->dims[shape->rank++] = dim;
        at = *end == ',' ? end + 1 : end;
        if (*end == ',' && *at == '\0')
            return false;
    }
    return true; /* "name:" is a scalar */
}

error_t mary_cli_shapes_add(mary_cli_shapes *shapes, const struct argp_state *state, const char *text)
{
    size_t length;
    mary_shape shape;
    if (!parse_shape(text, &length, &shape))
        return mary_cli_usage(state, "--input-shape takes NAME:D1,D2,..., not '%s'", text);
    if (shapes->count == MARY_CLI_SHAPES)
        return mary_cli_usage(state, "--input-shape was given more than %d times", MARY_CLI_SHAPES);
    shapes->texts[shapes->count++] = text;
    return 0;
}

static bool names(const char *text, size_t length, const mary_array *input, int input_count)
{
    return length == 0 ? input_count == 1 : strlen(input->name) == length && strncmp(input->name, text, length) == 0;
}

mary_status mary_cli_shapes_check(const mary_cli_shapes *shapes, const mary_array *inputs, int input_count)
{
    for (int i = 0; i < shapes->count; i++) {
        size_t length;
        mary_shape shape;
        bool known = false;
        if (!parse_shape(shapes->texts[i], &length, &shape))
            return mary_fail(MARY_ERROR_USAGE, "--input-shape: '%s' is malformed", shapes->texts[i]);
        for (int k = 0; k < input_count; k++)
            known |= names(shapes->texts[i], length, &inputs[k], length == 0 ? input_count : 1);
        if (!known)
            return mary_fail(MARY_ERROR_USAGE, "--input-shape %s: the model has no such input", shapes->texts[i]);
    }
    return MARY_OK;
}

mary_status mary_cli_shapes_apply(const mary_cli_shapes *shapes, const mary_array *description, int64_t batch,
                                  mary_array *array)
{
    *array = *description;
    for (int i = 0; i < shapes->count; i++) {
        size_t length;
        mary_shape shape;
        if (!parse_shape(shapes->texts[i], &length, &shape) || !names(shapes->texts[i], length, description, 1))
            continue;
        bool fits = description->rank < 0 || description->rank == shape.rank;
        for (int k = 0; fits && k < description->rank; k++)
            fits = description->dims[k] < 0 || description->dims[k] == shape.dims[k];
        if (!fits)
            return mary_fail(MARY_ERROR_USAGE, "--input-shape %s contradicts the model's shape of that input",
                             shapes->texts[i]);
        array->rank = shape.rank;
        memcpy(array->dims, shape.dims, sizeof array->dims);
        return MARY_OK;
    }
    if (array->rank > 0 && array->dims[0] < 0)
        array->dims[0] = batch;
    for (int k = 0; k < array->rank || array->rank < 0; k++) {
        if (array->rank < 0 || array->dims[k] < 0)
            return mary_fail(MARY_ERROR_USAGE, "the shape of input '%s' is open: say --input-shape '%s:D1,D2,...'",
                             description->name, description->name);
    }
    return MARY_OK;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Box and Muller's normal values, one of the two. */
static double next_normal(uint64_t *state)
{
    double u = ((double)(next_random(state) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    double v = (double)(next_random(state) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

mary_status mary_random_array(mary_array *array, uint64_t seed, int position)
{
    mary_shape shape = {.rank = array->rank};
    memcpy(shape.dims, array->dims, sizeof shape.dims);
    MARY_TRY(mary_shape_check(&shape, array->name));
    size_t size = mary_type_size(array->type);
    if (size == 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "input '%s' has elements of type %s, which cannot be made up",
                         array->name, mary_type_name(array->type));
    size_t count = (size_t)mary_shape_count(&shape);
    array->bytes = count * size;
    array->data = mary_alloc_aligned(array->bytes);
    if (array->data == NULL)
        return mary_fail_memory(array->bytes);
    uint64_t state = seed * 0x100000001b3u + (uint64_t)position;
    char *at = array->data;
    for (size_t i = 0; i < count; i++, at += size) {
        if (!mary_type_is_float(array->type)) {
            memset(at, 0, size);
            at[0] = (char)(next_random(&state) >> 63); /* little-endian 0 or 1 */
            continue;
        }
        double value = next_normal(&state);
        float single = (float)value;
        uint16_t half = array->type == MARY_FLOAT16 ? mary_float_to_half(single) : mary_float_to_bfloat(single);
        memcpy(at, size == 8 ? (void *)&value : size == 4 ? (void *)&single : (void *)&half, size);
    }
    return MARY_OK;
}
