/* An inspection as JSON; docs/cli.md lists the fields. */
#include <string.h>

#include "validate/inspection.h"
#include "validate/json.h"
#include "validate/packing_json.h"

static json_t *values_json(Onnx__ValueInfoProto *const *values, size_t count)
{
    json_t *list = json_array();
    char text[256];
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();
        json_object_set_new(object, "name", mary_json_text(values[i]->name));
        json_object_set_new(object, "type", mary_json_text(mary_inspection_value(values[i], text, sizeof text)));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *layer_json(const mary_inspected_layer *l)
{
    json_t *object = json_object(), *shape = json_array();
    for (int i = 0; i < l->shape.rank; i++)
        json_array_append_new(shape, json_integer(l->shape.dims[i]));
    json_object_set_new(object, "name", mary_json_text(mary_node_label(l->node)));
    json_object_set_new(object, "op_type", mary_json_text(l->node->op_type));
    json_object_set_new(object, "weight_shape", shape);
    json_object_set_new(object, "weights", json_integer(l->weights));
    json_object_set_new(object, "bytes", json_integer(l->bytes));
    json_object_set_new(object, "shared_weight", json_boolean(l->repeated));
    json_object_set_new(object, "quantised", json_boolean(l->bits > 0));
    json_object_set_new(object, "type", json_string(mary_type_name(l->type)));
    if (l->bits > 0) {
        json_object_set_new(object, "levels", json_integer(l->levels));
        json_object_set_new(object, "bits", json_integer(l->bits));
        json_object_set_new(object, "granularity", json_string(l->shared_levels ? "tensor" : "channel"));
    }
    return object;
}

json_t *mary_inspection_json(const mary_inspection *in)
{
    const Onnx__ModelProto *proto = in->model->proto;
    json_t *root = json_object(), *opsets = json_object(), *operators = json_object(), *layers = json_array();
    json_object_set_new(root, "file", mary_json_text(in->path));
    json_object_set_new(root, "file_bytes", json_integer((json_int_t)in->file_bytes));
    json_object_set_new(root, "ir_version", json_integer(proto->ir_version));
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        const char *domain = proto->opset_import[i]->domain;
        json_object_set_new(opsets, domain == NULL || domain[0] == '\0' ? "ai.onnx" : domain,
                            json_integer(proto->opset_import[i]->version));
    }
    json_object_set_new(root, "opsets", opsets);
    json_object_set_new(root, "producer", mary_json_text(proto->producer_name == NULL ? "" : proto->producer_name));
    json_object_set_new(root, "inputs", values_json(proto->graph->input, proto->graph->n_input));
    json_object_set_new(root, "outputs", values_json(proto->graph->output, proto->graph->n_output));
    for (size_t i = 0; i < in->op_count; i++)
        json_object_set_new(operators, in->ops[i].type, json_integer((json_int_t)in->ops[i].count));
    json_object_set_new(root, "operators", operators);
    for (size_t i = 0; i < in->count; i++)
        json_array_append_new(layers, layer_json(&in->layers[i]));
    json_object_set_new(root, "layers", layers);
    json_object_set_new(root, "weights", json_integer((json_int_t)in->weights));
    json_object_set_new(root, "weight_bytes", json_integer((json_int_t)in->weight_bytes));
    json_object_set_new(root, "tensor_bytes", json_integer((json_int_t)in->tensor_bytes));
    json_object_set_new(root, "bits_per_weight", mary_json_real(mary_inspection_bits_per_weight(in)));
    json_object_set_new(root, "packed", json_boolean(in->packing != NULL));
    if (in->packing != NULL)
        json_object_set_new(root, "packing",
                            mary_pack_report_json(in->packing, &(mary_pack_files){.input = "", .output = in->path}));
    return root;
}

mary_status mary_inspect(const mary_model_source *source, char **json)
{
    mary_inspection in;
    *json = NULL;
    mary_status status = mary_inspection_open(&in, source);
    if (status == MARY_OK)
        status = mary_json_format(mary_inspection_json(&in), json);
    mary_inspection_close(&in);
    return status;
}
