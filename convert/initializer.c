#include "convert/initializer.h"

#include <string.h>

mary_status mary_initializer_add(mary_model *model, const mary_tensor *tensor, const char *name)
{
    Onnx__TensorProto *message = NULL;
    MARY_TRY(mary_constant_encode(tensor, name, &message));
    mary_status status = mary_graph_add_initializer(model->proto->graph, message);
    if (status != MARY_OK)
        onnx__tensor_proto__free_unpacked(message, &mary_proto_allocator);
    return status;
}

/* count floats as `type`, in memory of our own. */
static mary_status encode_floats(const float *values, int64_t count, mary_type type, void **data)
{
    size_t bytes = (size_t)count * mary_type_size(type);
    *data = mary_alloc(bytes);
    if (*data == NULL)
        return mary_fail_memory(bytes);
    if (type == MARY_FLOAT)
        memcpy(*data, values, bytes);
    for (int64_t i = 0; i < count; i++) {
        if (type == MARY_FLOAT16)
            ((uint16_t *)*data)[i] = mary_float_to_half(values[i]);
        else if (type == MARY_BFLOAT16)
            ((uint16_t *)*data)[i] = mary_float_to_bfloat(values[i]);
        else if (type == MARY_DOUBLE)
            ((double *)*data)[i] = values[i];
    }
    return MARY_OK;
}

mary_status mary_initializer_add_floats(mary_model *model, mary_graph_index *index, const float *values, mary_type type,
                                        const mary_shape *shape, const char *stem, char **name)
{
    mary_tensor tensor = {.type = type, .shape = *shape};
    mary_status status = MARY_OK;
    *name = mary_graph_unique_name(index, stem);
    if (*name == NULL)
        return mary_fail_memory(strlen(stem));
    MARY_TRY_GOTO(encode_floats(values, mary_shape_count(shape), type, &tensor.data), done);
    MARY_TRY_GOTO(mary_initializer_add(model, &tensor, *name), done);
done:
    mary_free(tensor.data);
    if (status != MARY_OK) {
        mary_free(*name);
        *name = NULL;
    }
    return status;
}
