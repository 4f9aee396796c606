/* Checking what a caller gives. */
#include "runtime/inputs.h"

#include <string.h>

#include "runtime/shapes.h"

static mary_status check_input(const mary_program_port *port, const mary_array *array, mary_tensor *tensor)
{
    mary_type type;
    mary_shape declared;
    char text[160], wanted[160];
    MARY_TRY(mary_port_describe(port->info, &type, &declared));
    if (array->rank < 0 || array->rank > MARY_MAX_RANK || mary_type_size(array->type) == 0)
        return mary_fail(MARY_ERROR_USAGE, "input '%s' has rank %d and type %s", port->name, array->rank,
                         mary_type_name(array->type));
    *tensor = (mary_tensor){.type = array->type, .shape = {.rank = array->rank}};
    memcpy(tensor->shape.dims, array->dims, sizeof array->dims[0] * (size_t)array->rank);
    MARY_TRY(mary_shape_check(&tensor->shape, port->name));
    if (type != MARY_UNDEFINED && type != array->type)
        return mary_fail(MARY_ERROR_USAGE, "input '%s' is %s, the model wants %s", port->name,
                         mary_type_name(array->type), mary_type_name(type));
    bool fits = declared.rank < 0 || declared.rank == array->rank;
    for (int i = 0; fits && i < declared.rank; i++)
        fits = declared.dims[i] < 0 || declared.dims[i] == array->dims[i];
    if (!fits)
        return mary_fail(MARY_ERROR_USAGE, "input '%s' has shape %s, the model wants %s (-1: any)", port->name,
                         mary_shape_format(&tensor->shape, text, sizeof text),
                         mary_shape_format(&declared, wanted, sizeof wanted));
    if (array->data == NULL || array->bytes < mary_tensor_bytes(tensor))
        return mary_fail(MARY_ERROR_USAGE, "input '%s' has %zu bytes, its shape %s takes %zu", port->name, array->bytes,
                         mary_shape_format(&tensor->shape, text, sizeof text), mary_tensor_bytes(tensor));
    return MARY_OK;
}

mary_status mary_inputs_sort(const mary_program *program, const mary_array *inputs, int input_count,
                             mary_tensor *tensors, void **data)
{
    for (int i = 0; i < input_count; i++) {
        bool found = false;
        for (int j = 0; j < program->input_count && !found; j++)
            found = inputs[i].name != NULL && strcmp(program->inputs[j].name, inputs[i].name) == 0;
        if (!found)
            return mary_fail(MARY_ERROR_USAGE, "the model has no input '%s'",
                             inputs[i].name == NULL ? "" : inputs[i].name);
    }
    for (int j = 0; j < program->input_count; j++) {
        const mary_array *given = NULL;
        for (int i = 0; i < input_count && given == NULL; i++) {
            if (strcmp(program->inputs[j].name, inputs[i].name) == 0)
                given = &inputs[i];
        }
        if (given == NULL)
            return mary_fail(MARY_ERROR_USAGE, "input '%s' is not given", program->inputs[j].name);
        MARY_TRY(check_input(&program->inputs[j], given, &tensors[j]));
        data[j] = given->data;
    }
    return MARY_OK;
}
