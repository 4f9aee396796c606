/* Constant, ConstantOfShape, Range, EyeLike: values that come from attributes and a few numbers. */
#include "ops/copy.h"

#include <math.h>
#include <string.h>

/* ---- Constant: the tensor in whichever attribute holds it ---- */

typedef struct constant_state {
    mary_constant constant;
} constant_state;

static mary_status take_values(constant_state *state, mary_type type, int rank, size_t count, const void *values)
{
    size_t bytes = count * mary_type_size(type);
    void *copy = mary_alloc_aligned(bytes);
    if (copy == NULL)
        return mary_fail_memory(bytes);
    if (bytes > 0)
        memcpy(copy, values, bytes);
    state->constant.tensor =
        (mary_tensor){.type = type, .shape = {rank, {rank > 0 ? (int64_t)count : 0}}, .data = copy};
    state->constant.owned = true;
    return MARY_OK;
}

static mary_status constant_prepare(mary_op_node *node)
{
    static const char *const names[] = {"value",      "value_float",  "value_floats",  "value_int",
                                        "value_ints", "value_string", "value_strings", "sparse_value"};
    int present = 0;
    const char *name = NULL;
    MARY_TRY(mary_op_state(node, sizeof(constant_state)));
    constant_state *state = node->state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (mary_attribute_find(node->proto, names[i]) != NULL) {
            name = names[i];
            present++;
        }
    }
    if (present != 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "has %d values, exactly one is needed", present);
    if (strcmp(name, "value") == 0) {
        const Onnx__TensorProto *value;
        MARY_TRY(mary_attribute_tensor(node->proto, "value", &value));
        mary_status status = mary_constant_decode(node->model, value, &state->constant);
        return status == MARY_OK ? MARY_OK : mary_fail_context(status, "node '%s' (Constant)", node->name);
    }
    if (strcmp(name, "value_float") == 0) {
        float value;
        MARY_TRY(mary_attribute_float(node->proto, name, 0, &value));
        return take_values(state, MARY_FLOAT, 0, 1, &value);
    }
    if (strcmp(name, "value_int") == 0) {
        int64_t value;
        MARY_TRY(mary_attribute_int(node->proto, name, 0, &value));
        return take_values(state, MARY_INT64, 0, 1, &value);
    }
    size_t count;
    if (strcmp(name, "value_floats") == 0) {
        const float *values;
        MARY_TRY(mary_attribute_floats(node->proto, name, &values, &count));
        return take_values(state, MARY_FLOAT, 1, count, values);
    }
    if (strcmp(name, "value_ints") == 0) {
        const int64_t *values;
        MARY_TRY(mary_attribute_ints(node->proto, name, &values, &count));
        return take_values(state, MARY_INT64, 1, count, values);
    }
    return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "attribute '%s' is not supported", name);
}

static void constant_release(mary_op_node *node)
{
    constant_state *state = node->state;
    if (state != NULL)
        mary_constant_free(&state->constant);
    mary_free(state);
}

static mary_status constant_infer(const mary_op_node *node, mary_op_call *call)
{
    const constant_state *state = node->state;
    const mary_tensor *value = &state->constant.tensor;
    MARY_TRY(mary_copy_expect(node, call, 0, 0, 1));
    if (mary_type_size(value->type) == 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "values of type %s are not supported",
                            mary_type_name(value->type));
    return mary_op_set_output(node, call, 0, value->type, &value->shape);
}

static mary_status constant_run(const mary_op_node *node, mary_op_call *call)
{
    const constant_state *state = node->state;
    memcpy(call->outputs[0]->data, state->constant.tensor.data, mary_tensor_bytes(&state->constant.tensor));
    return MARY_OK;
}

/* ---- ConstantOfShape ---- */

typedef struct fill_state {
    mary_type type;
    unsigned char value[8];
} fill_state;

static mary_status fill_prepare(mary_op_node *node)
{
    const Onnx__TensorProto *value;
    mary_constant constant;
    MARY_TRY(mary_op_state(node, sizeof(fill_state)));
    fill_state *state = node->state;
    MARY_TRY(mary_attribute_tensor(node->proto, "value", &value));
    if (value == NULL) {
        state->type = MARY_FLOAT;
        return MARY_OK;
    }
    MARY_TRY(mary_constant_decode(node->model, value, &constant));
    mary_status status = MARY_OK;
    size_t size = mary_type_size(constant.tensor.type);
    state->type = constant.tensor.type;
    if (size == 0)
        status = mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "values of type %s are not supported",
                              mary_type_name(constant.tensor.type));
    else if (mary_shape_count(&constant.tensor.shape) != 1)
        status = mary_op_fail(node, MARY_ERROR_INVALID, "'value' has %lld elements, one is needed",
                              (long long)mary_shape_count(&constant.tensor.shape));
    else
        memcpy(state->value, constant.tensor.data, size);
    mary_constant_free(&constant);
    return status;
}

static mary_status fill_infer(const mary_op_node *node, mary_op_call *call)
{
    const fill_state *state = node->state;
    mary_shape shape = {0};
    MARY_TRY(mary_copy_expect(node, call, 1, 1, 1));
    MARY_TRY(mary_op_ints(node, call->inputs[0], "the shape", shape.dims, MARY_MAX_RANK, &shape.rank));
    return mary_copy_set_output(node, call, state->type, &shape);
}

static mary_status fill_run(const mary_op_node *node, mary_op_call *call)
{
    /* state is aligned for any element and `value` follows an int: 8-byte elements need a copy that is. */
    uint64_t value;
    memcpy(&value, ((const fill_state *)node->state)->value, sizeof value);
    mary_copy_fill(call->outputs[0], &value, call->parallel);
    return MARY_OK;
}

/* ---- Range ---- */

static mary_status range_count(const mary_op_node *node, const mary_op_call *call, int64_t *count)
{
    const mary_tensor *start = call->inputs[0], *limit = call->inputs[1], *delta = call->inputs[2];
    *count = 0;
    if (mary_type_is_float(start->type)) {
        double first = mary_tensor_double(start, 0), last = mary_tensor_double(limit, 0);
        double step = mary_tensor_double(delta, 0), number = ceil((last - first) / step);
        if (step == 0 || !isfinite(number))
            return mary_op_fail(node, MARY_ERROR_INVALID, "from %g to %g by %g is no range", first, last, step);
        if (number > 0x1p40)
            return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "from %g to %g by %g has too many values", first, last,
                                step);
        *count = number > 0 ? (int64_t)number : 0;
        return MARY_OK;
    }
    int64_t first = mary_tensor_int(start, 0), last = mary_tensor_int(limit, 0), step = mary_tensor_int(delta, 0);
    if (step == 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "delta is 0");
    /* Differences of two int64 fit in uint64 only. */
    uint64_t span = step > 0 ? (uint64_t)last - (uint64_t)first : (uint64_t)first - (uint64_t)last;
    uint64_t size = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    uint64_t number = (step > 0 ? last > first : first > last) ? (span - 1) / size + 1 : 0;
    if (number > UINT64_C(1) << 40)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "from %lld to %lld by %lld has too many values",
                            (long long)first, (long long)last, (long long)step);
    *count = (int64_t)number;
    return MARY_OK;
}

static mary_status range_infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_copy_expect(node, call, 3, 3, 1));
    mary_type type = call->inputs[0]->type;
    mary_shape shape = {.rank = 1};
    bool known = true;
    if (!mary_type_is_float(type) && type != MARY_INT16 && type != MARY_INT32 && type != MARY_INT64)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "type %s is not supported", mary_type_name(type));
    for (int i = 0; i < 3; i++) {
        if (call->inputs[i]->type != type || mary_shape_count(&call->inputs[i]->shape) != 1)
            return mary_op_fail(node, MARY_ERROR_INVALID, "input %d must be one %s", i, mary_type_name(type));
        known = known && call->inputs[i]->data != NULL;
    }
    if (!known)
        return MARY_DEFERRED;
    MARY_TRY(range_count(node, call, &shape.dims[0]));
    return mary_copy_set_output(node, call, type, &shape);
}

static mary_status range_run(const mary_op_node *node, mary_op_call *call)
{
    (void)node;
    mary_tensor *output = call->outputs[0];
    int64_t count = output->shape.dims[0];
    if (mary_type_is_float(output->type)) {
        double start = mary_tensor_double(call->inputs[0], 0), delta = mary_tensor_double(call->inputs[2], 0);
        for (int64_t i = 0; i < count; i++) {
            double value = start + (double)i * delta;
            if (output->type == MARY_DOUBLE)
                ((double *)output->data)[i] = value;
            else if (output->type == MARY_FLOAT)
                ((float *)output->data)[i] = (float)value;
            else if (output->type == MARY_FLOAT16)
                ((uint16_t *)output->data)[i] = mary_float_to_half((float)value);
            else
                ((uint16_t *)output->data)[i] = mary_float_to_bfloat((float)value);
        }
        return MARY_OK;
    }
    uint64_t value = (uint64_t)mary_tensor_int(call->inputs[0], 0);
    uint64_t delta = (uint64_t)mary_tensor_int(call->inputs[2], 0);
    for (int64_t i = 0; i < count; i++, value += delta) {
        if (output->type == MARY_INT64)
            ((int64_t *)output->data)[i] = (int64_t)value;
        else if (output->type == MARY_INT32)
            ((int32_t *)output->data)[i] = (int32_t)value;
        else
            ((int16_t *)output->data)[i] = (int16_t)value;
    }
    return MARY_OK;
}

/* ---- EyeLike ---- */

typedef struct eye_state {
    int64_t type; /* 0: that of the input */
    int64_t diagonal;
} eye_state;

static mary_status eye_prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(eye_state)));
    eye_state *state = node->state;
    MARY_TRY(mary_attribute_int(node->proto, "dtype", 0, &state->type));
    if (state->type != 0 && (state->type < 0 || state->type > 64 || mary_type_size((mary_type)state->type) == 0))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "dtype %lld is not supported", (long long)state->type);
    return mary_attribute_int(node->proto, "k", 0, &state->diagonal);
}

static mary_status eye_infer(const mary_op_node *node, mary_op_call *call)
{
    const eye_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, 1, 1, 1));
    const mary_tensor *input = call->inputs[0];
    if (input->shape.rank != 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input has rank %d, 2 is needed", input->shape.rank);
    return mary_op_set_output(node, call, 0, state->type == 0 ? input->type : (mary_type)state->type, &input->shape);
}

static mary_status eye_run(const mary_op_node *node, mary_op_call *call)
{
    const eye_state *state = node->state;
    mary_tensor *output = call->outputs[0];
    int64_t rows = output->shape.dims[0], columns = output->shape.dims[1];
    size_t element = mary_type_size(output->type);
    union {
        float f;
        double d;
        uint16_t half;
        uint64_t integer;
    } one = {.integer = 1}; /* little-endian: any integer and bool */
    if (output->type == MARY_FLOAT)
        one.f = 1;
    else if (output->type == MARY_DOUBLE)
        one.d = 1;
    else if (output->type == MARY_FLOAT16)
        one.half = mary_float_to_half(1);
    else if (output->type == MARY_BFLOAT16)
        one.half = mary_float_to_bfloat(1);
    memset(output->data, 0, mary_tensor_bytes(output));
    if (state->diagonal >= columns || state->diagonal <= -rows)
        return MARY_OK;
    for (int64_t i = 0; i < rows; i++) {
        int64_t j = i + state->diagonal;
        if (j >= 0 && j < columns)
            memcpy(mary_advance(output->data, i * columns + j, element), &one, element);
    }
    return MARY_OK;
}

const mary_op mary_ops_constant[] = {
    {.domain = "",
     .type = "Constant",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = constant_prepare,
     .infer = constant_infer,
     .run = constant_run,
     .release = constant_release},
    {.domain = "",
     .type = "ConstantOfShape",
     .since = 9,
     .flags = MARY_OP_HALF,
     .prepare = fill_prepare,
     .infer = fill_infer,
     .run = fill_run},
    {.domain = "", .type = "Range", .since = 11, .flags = MARY_OP_HALF, .infer = range_infer, .run = range_run},
    {.domain = "",
     .type = "EyeLike",
     .since = 9,
     .flags = MARY_OP_HALF | MARY_OP_SHAPE_ONLY,
     .prepare = eye_prepare,
     .infer = eye_infer,
     .run = eye_run},
    MARY_OP_END,
};
