/* Rewriting nodes in place: their names, outputs and other attributes stay. */
#include "convert/rewrite.h"

#include <string.h>

#include "convert/codes.h"
#include "convert/initializer.h"

void mary_payload_free(mary_payload *payload)
{
    mary_free(payload->codes);
    mary_free(payload->levels);
    *payload = (mary_payload){0};
}

static char *name_for(mary_graph_index *index, const char *weight, const char *suffix)
{
    char *stem = mary_asprintf("%s_%s", weight, suffix);
    char *name = stem == NULL ? NULL : mary_graph_unique_name(index, stem);
    mary_free(stem);
    return name;
}

mary_status mary_payload_add(mary_model *model, mary_graph_index *index, const mary_layer *layer,
                             const mary_quantized *quantized, const mary_payload *levels_of, mary_payload *payload)
{
    mary_status status = MARY_OK;
    char *stem = NULL;
    mary_tensor tensor = {.type = MARY_UINT8,
                          .shape = {2, {quantized->rows, mary_codes_row_bytes(quantized->row_length, quantized->bits)}},
                          .data = quantized->codes};
    *payload = (mary_payload){.codes = name_for(index, layer->weight, "codes")};
    if (payload->codes == NULL) {
        status = mary_fail_memory(strlen(layer->weight));
        goto done;
    }
    MARY_TRY_GOTO(mary_initializer_add(model, &tensor, payload->codes), done);
    if (levels_of != NULL && levels_of->levels != NULL) {
        payload->levels = mary_strdup(levels_of->levels);
        if (payload->levels == NULL)
            status = mary_fail_memory(strlen(levels_of->levels));
        goto done;
    }
    tensor.shape = (mary_shape){2, {quantized->shared ? 1 : quantized->rows, 1 << quantized->bits}};
    stem = layer->given != NULL ? mary_strdup("levels") : mary_asprintf("%s_levels", layer->weight);
    if (stem == NULL) {
        status = mary_fail_memory(strlen(layer->weight));
        goto done;
    }
    MARY_TRY_GOTO(mary_initializer_add_floats(model, index, quantized->values, layer->type, &tensor.shape, stem,
                                              &payload->levels),
                  done);
done:
    mary_free(stem);
    if (status != MARY_OK)
        mary_payload_free(payload);
    return status;
}

mary_status mary_layer_rewrite(const mary_layer *layer, const mary_payload *payload, int bits)
{
    Onnx__NodeProto *node = layer->node;
    const mary_layout_rows *layout = &layer->layout;
    bool biased = node->n_input > 2 && node->input[2] != NULL && node->input[2][0] != '\0';
    char *bias = NULL;
    mary_status status = MARY_OK;
    if (biased) {
        bias = mary_strdup(node->input[2]);
        if (bias == NULL)
            return mary_fail_memory(1);
    }
    MARY_TRY_GOTO(mary_node_set_input(node, 1, payload->codes), done);
    MARY_TRY_GOTO(mary_node_set_input(node, 2, payload->levels), done);
    if (biased)
        MARY_TRY_GOTO(mary_node_set_input(node, 3, bias), done);
    int64_t shape[MARY_MAX_RANK];
    size_t rank = (size_t)layout->shape.rank;
    memcpy(shape, layout->shape.dims, rank * sizeof *shape);
    if (layer->kind == MARY_LAYER_GEMM || layer->kind == MARY_LAYER_MATMUL) { /* the rows as they are stored now */
        shape[0] = layout->rows;
        shape[1] = layout->row_length;
        mary_node_remove_attribute(node, "transB");
    }
    MARY_TRY_GOTO(mary_node_set_ints(node, "weight_shape", shape, rank), done);
    MARY_TRY_GOTO(mary_node_set_int(node, "row_length", layout->row_length), done);
    MARY_TRY_GOTO(mary_node_set_int(node, "bits", bits), done);
    if (layer->kind == MARY_LAYER_CONV_TRANSPOSE) /* the body computes with it, so it is always there */
        MARY_TRY_GOTO(mary_node_set_int(node, "group", layout->group), done);
    MARY_TRY_GOTO(mary_edit_string(&node->domain, MARY_DOMAIN), done);
    MARY_TRY_GOTO(mary_edit_string(&node->op_type, mary_layer_mary_op(layer->kind)), done);
done:
    mary_free(bias);
    return status;
}
