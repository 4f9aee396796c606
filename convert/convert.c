/* mary_convert: clean up, choose, quantise, rewrite, report. */
#include <string.h>

#include "convert/bias.h"
#include "convert/body.h"
#include "convert/conversion.h"
#include "convert/mixed.h"
#include "convert/passes/passes.h"
#include "onnx/names.h"

static uint64_t model_bytes(const mary_model *model)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    uint64_t bytes = onnx__model_proto__get_packed_size(model->proto);
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        mary_type type;
        mary_shape shape;
        if (tensor->has_data_location && tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL &&
            mary_tensor_describe(tensor, &type, &shape) == MARY_OK)
            bytes += (uint64_t)mary_shape_count(&shape) * mary_type_size(type);
    }
    return bytes;
}

static mary_status clean_up(mary_conversion *c)
{
    const mary_convert_options *options = c->settings.options;
    MARY_TRY(mary_pass_inputs(c->model, c->report));
    if (!options->no_fold_constants)
        MARY_TRY(mary_pass_fold_constants(c->model, c->report));
    if (!options->no_remove_identity)
        MARY_TRY(mary_pass_remove_identity(c->model, c->report));
    if (!options->no_fold_batchnorm)
        MARY_TRY(mary_pass_fold_batchnorm(c->model, c->report));
    if (!options->no_deduplicate)
        MARY_TRY(mary_pass_deduplicate(c->model, c->report));
    if (!options->no_drop_unused)
        MARY_TRY(mary_pass_drop_unused(c->model, c->report));
    return MARY_OK;
}

/* Biases make up for what codes do to means. */
static mary_status shift_biases(mary_conversion *c)
{
    mary_graph_index *index = NULL;
    mary_status status = MARY_OK;
    MARY_TRY(mary_graph_index_create(c->model->proto->graph, &index));
    for (size_t i = 0; i < c->layers.count; i++) {
        const mary_layer *layer = &c->layers.items[i];
        if (layer->reason != NULL || c->shifts[i] == NULL)
            continue;
        MARY_TRY_GOTO(mary_bias_shift(c->model, index, layer, layer->node, c->shifts[i]), done);
    }
done:
    mary_graph_index_free(&index);
    return status;
}

/* Rewrites the nodes, then drops the float weights that nothing uses any more. */
static mary_status rewrite_layers(mary_conversion *c)
{
    Onnx__GraphProto *graph = c->model->proto->graph;
    mary_graph_index *index = NULL;
    mary_names coded = {0};
    mary_status status = MARY_OK;
    for (size_t i = 0; i < c->layers.count; i++) {
        mary_layer *layer = &c->layers.items[i];
        if (layer->reason != NULL)
            continue;
        if (!mary_conversion_is_integer(c, i))
            MARY_TRY_GOTO(mary_layer_rewrite(layer, &c->payloads[layer->same_as], c->done[i].bits), done);
        MARY_TRY_GOTO(mary_names_put(&coded, layer->weight, i), done);
    }
    MARY_TRY_GOTO(mary_graph_index_create(graph, &index), done);
    for (size_t i = graph->n_initializer; i-- > 0;) {
        size_t layer;
        if (!mary_names_get(&coded, graph->initializer[i]->name, &layer))
            continue;
        if (mary_graph_use_count(index, graph->initializer[i]->name) > 0) {
            MARY_TRY_GOTO(
                mary_layer_say(&c->layers.items[layer].note, "the float weight stays, too: something else uses it"),
                done);
            c->done[layer].bytes_after += c->done[layer].bytes_before;
        } else if (!mary_graph_is_input(index, graph->initializer[i]->name)) {
            mary_graph_remove_initializer(graph, i);
        }
    }
done:
    mary_names_free(&coded);
    mary_graph_index_free(&index);
    return status;
}

static bool kind_used(const mary_conversion *c, mary_layer_kind kind)
{
    for (size_t i = 0; i < c->layers.count; i++) {
        if (c->layers.items[i].kind == kind && c->layers.items[i].reason == NULL && !mary_conversion_is_integer(c, i))
            return true;
    }
    return false;
}

/* Opset import, IR version, function bodies: what the rewritten nodes need. */
static mary_status declare(mary_conversion *c)
{
    Onnx__ModelProto *proto = c->model->proto;
    bool any = false;
    MARY_TRY(mary_integers_declare(&c->integer, &c->layers, c->model, !c->settings.options->no_functions));
    for (int kind = MARY_LAYER_CONV; kind <= MARY_LAYER_MATMUL; kind++)
        any = any || kind_used(c, (mary_layer_kind)kind);
    if (!any)
        return MARY_OK;
    if (mary_model_opset(c->model, MARY_DOMAIN) == 0)
        MARY_TRY(mary_model_set_opset(c->model, MARY_DOMAIN, 1));
    int64_t ir_version = c->settings.options->no_functions ? 4 : 8;
    if (proto->ir_version < ir_version) { /* below 4, initializers would have to be inputs */
        proto->has_ir_version = true;
        proto->ir_version = ir_version;
    }
    if (c->settings.options->no_functions)
        return MARY_OK;
    mary_status status = mary_model_upgrade(c->model, MARY_BODY_OPSET);
    if (status != MARY_OK)
        return mary_fail_context(status, "function bodies need opset %d (leave them out with --no-functions)",
                                 MARY_BODY_OPSET);
    for (int kind = MARY_LAYER_CONV; kind <= MARY_LAYER_MATMUL; kind++) {
        if (kind_used(c, (mary_layer_kind)kind))
            MARY_TRY(mary_body_add(c->model, (mary_layer_kind)kind));
    }
    return MARY_OK;
}

/* Layers inside subgraphs and local functions stay as they are; say so. */
static mary_status list_untouched(const mary_conversion *c)
{
    const Onnx__GraphProto *graph = c->model->proto->graph;
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        for (size_t a = 0; a < node->n_attribute; a++) {
            if (node->attribute[a]->g != NULL)
                MARY_TRY(mary_convert_report_warn(c->report, "node '%s': the body '%s' of %s is left as it is",
                                                  mary_original_name(&c->names, node), node->attribute[a]->name,
                                                  node->op_type));
        }
    }
    for (size_t i = 0; i < c->model->proto->n_functions; i++) {
        const Onnx__FunctionProto *function = c->model->proto->functions[i];
        if (function->domain == NULL || strcmp(function->domain, MARY_DOMAIN) != 0)
            MARY_TRY(
                mary_convert_report_warn(c->report, "the body of the function '%s' is left as it is", function->name));
    }
    return MARY_OK;
}

static mary_status fill_report(mary_conversion *c)
{
    const Onnx__GraphProto *graph = c->model->proto->graph;
    size_t already = 0;
    for (size_t i = 0; i < c->layers.count; i++) {
        c->done[i].note = c->layers.items[i].reason != NULL ? c->layers.items[i].reason : c->layers.items[i].note;
        MARY_TRY(mary_convert_report_add(c->report, &c->done[i]));
    }
    for (size_t i = 0; i < graph->n_node; i++)
        already += mary_layer_kind_of_mary(graph->node[i]) != MARY_LAYER_NONE ||
                   mary_layer_kind_of_integer(graph->node[i]) != MARY_LAYER_NONE;
    for (size_t i = 0; i < c->layers.count; i++)
        already -= c->layers.items[i].reason == NULL;
    if (already > 0)
        MARY_TRY(
            mary_convert_report_warn(c->report, "%zu layers were quantised already and stay as they are", already));
    MARY_TRY(list_untouched(c));
    mary_convert_report_sum(c->report);
    return MARY_OK;
}

static void conversion_free(mary_conversion *c)
{
    for (size_t i = 0; c->payloads != NULL && i < c->layers.count; i++)
        mary_payload_free(&c->payloads[i]);
    for (size_t i = 0; c->shifts != NULL && i < c->layers.count; i++)
        mary_free(c->shifts[i]);
    mary_free(c->payloads);
    mary_free(c->shifts);
    mary_free(c->done);
    mary_integers_free(&c->integer);
    mary_producers_free(&c->producers);
    mary_layers_free(&c->layers);
    mary_original_names_free(&c->names);
    mary_settings_free(&c->settings);
    mary_convert_report_free(&c->report);
}

/* Integer bodies need an opset; raising it may replace nodes, so it comes before layers are chosen. */
static mary_status raise_opset(mary_conversion *c)
{
    if (c->settings.options->activations == 0)
        return MARY_OK;
    mary_status status = mary_model_upgrade(c->model, MARY_INTEGER_OPSET);
    return status == MARY_OK ? status
                             : mary_fail_context(status, "integer activations need opset %d", MARY_INTEGER_OPSET);
}

static mary_status calibrate(mary_conversion *c)
{
    if (c->settings.options->activations == 0)
        return MARY_OK;
    return mary_integers_prepare(c->model, &c->settings, &c->layers, c->report, &c->integer);
}

static mary_status finish_integers(mary_conversion *c)
{
    if (c->settings.options->activations == 0)
        return MARY_OK;
    return mary_integers_finish(&c->integer, c->model, &c->settings, &c->names, &c->layers, c->report);
}

mary_status mary_convert(mary_model *model, const mary_convert_options *options, mary_convert_report **report)
{
    return mary_convert_mixed(model, options, NULL, 0, report);
}

mary_status mary_convert_mixed(mary_model *model, const mary_convert_options *options, const int *levels, size_t count,
                               mary_convert_report **report)
{
    mary_conversion c = {.model = model};
    mary_status status = MARY_OK;
    if (report != NULL)
        *report = NULL;
    MARY_TRY_GOTO(mary_settings_create(options, &c.settings), done);
    c.settings.mixed_levels = levels;
    c.settings.mixed_count = count;
    MARY_TRY_GOTO(mary_convert_report_create(&c.report), done);
    MARY_TRY_GOTO(mary_original_names_take(model, &c.settings, &c.names), done);
    MARY_TRY_GOTO(mary_producers_take(model->proto->graph, &c.producers), done);
    c.report->totals.file_before = model_bytes(model);
    MARY_TRY_GOTO(clean_up(&c), done);
    MARY_TRY_GOTO(raise_opset(&c), done);
    MARY_TRY_GOTO(mary_layers_choose(model, &c.settings, &c.names, &c.layers), done);
    MARY_TRY_GOTO(calibrate(&c), done);
    MARY_TRY_GOTO(mary_conversion_weigh(&c), done);
    MARY_TRY_GOTO(mary_conversion_code(&c), done);
    MARY_TRY_GOTO(shift_biases(&c), done);
    MARY_TRY_GOTO(rewrite_layers(&c), done);
    MARY_TRY_GOTO(finish_integers(&c), done);
    if (!c.settings.options->no_drop_unused) /* biases that others replaced */
        MARY_TRY_GOTO(mary_pass_drop_unused(model, c.report), done);
    MARY_TRY_GOTO(declare(&c), done);
    MARY_TRY_GOTO(mary_declare_shapes(model, &c.producers), done);
    MARY_TRY_GOTO(fill_report(&c), done);
    c.report->totals.file_after = model_bytes(model);
    if (c.report->totals.file_after >= c.report->totals.file_before)
        MARY_TRY_GOTO(mary_convert_report_warn(c.report, "the file did not become smaller: function bodies and levels "
                                                         "need more than the codes save"),
                      done);
    if (report != NULL) {
        *report = c.report;
        c.report = NULL;
    }
done:
    conversion_free(&c);
    return status;
}

const char *mary_convert_method(size_t index, const char **summary)
{
    const mary_quantize_method *method = mary_quantize_method_at(index);
    if (summary != NULL)
        *summary = method == NULL ? NULL : method->summary;
    return method == NULL ? NULL : method->name;
}

const char *mary_calibration_method(size_t index, const char **summary)
{
    const mary_range_method *method = mary_range_method_at(index);
    if (summary != NULL)
        *summary = method == NULL ? NULL : method->summary;
    return method == NULL ? NULL : method->name;
}
