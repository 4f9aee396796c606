/* The course of a conversion to integer activations. */
#include "convert/integer/integer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/body.h"

void mary_integers_free(mary_integers *integer)
{
    for (size_t i = 0; integer->layers != NULL && i < integer->layer_count; i++) {
        mary_integer_layer *layer = &integer->layers[i];
        mary_free(layer->codes);
        mary_free(layer->levels);
        mary_free(layer->scale);
        mary_free(layer->zero_point);
        mary_free(layer->row_scales);
        mary_free(layer->bias);
        mary_free(layer->correction);
    }
    mary_free(integer->layers);
    mary_free(integer->taken);
    mary_integer_plan_free(&integer->plan);
    mary_statistics_free(&integer->statistics);
    *integer = (mary_integers){0};
}

mary_status mary_integers_measure(mary_integers *integer, const mary_model *model, const mary_settings *settings,
                                  const mary_layers *layers)
{
    mary_integer_plan_free(&integer->plan); /* of an earlier measurement */
    MARY_TRY(mary_statistics_create(model, settings, &integer->statistics));
    MARY_TRY(mary_integer_plan_create(model, layers, &integer->statistics, &integer->plan));
    mary_integer_plan_want(&integer->plan, layers, &integer->statistics);
    MARY_TRY(mary_statistics_collect(&integer->statistics, model, settings));
    /* Again, without what turned out not to be finite. The new plan may store a value that the first one did not: such
     * a one has no histogram, so it is marked and the plan made without it. */
    for (;;) {
        bool complete = true;
        mary_integer_plan_free(&integer->plan);
        MARY_TRY(mary_integer_plan_create(model, layers, &integer->statistics, &integer->plan));
        for (size_t v = 0; v < integer->plan.value_count; v++) {
            mary_statistics_value *value = &integer->statistics.values[v];
            complete = complete && (!integer->plan.values[v].stored || value->wanted);
            value->wanted = value->wanted || integer->plan.values[v].stored;
        }
        if (complete)
            return MARY_OK;
    }
}

mary_status mary_integers_prepare(mary_model *model, const mary_settings *settings, mary_layers *layers,
                                  mary_convert_report *report, mary_integers *integer)
{
    *integer = (mary_integers){.layer_count = layers->count};
    integer->layers = mary_calloc(layers->count + 1, sizeof *integer->layers);
    integer->taken = mary_calloc(layers->count + 1, sizeof *integer->taken);
    if (integer->layers == NULL || integer->taken == NULL)
        return mary_fail_memory(layers->count * sizeof *integer->layers);
    integer->first_info = model->proto->graph->n_value_info;
    if (mary_model_infer_shapes(model) == MARY_ERROR_INTERNAL)
        return MARY_ERROR_INTERNAL;
    integer->end_info = model->proto->graph->n_value_info;
    MARY_TRY(mary_integers_measure(integer, model, settings, layers));
    size_t taken = 0;
    for (size_t n = 0; n < integer->plan.node_count; n++) {
        if (integer->plan.nodes[n].role == MARY_ROLE_LAYER) {
            integer->taken[integer->plan.nodes[n].layer] = true;
            taken++;
        }
    }
    if (taken > 0 && !settings->options->no_equalization)
        MARY_TRY(mary_integers_balance(integer, model, settings, layers));
    if (taken == 0)
        MARY_TRY(mary_convert_report_warn(report, "no layer can take integer activations: all of them stay float"));
    return MARY_OK;
}

mary_status mary_integers_declare(const mary_integers *integer, const mary_layers *layers, mary_model *model,
                                  bool functions)
{
    bool used[MARY_LAYER_MATMUL + 1] = {false}, any = false;
    for (size_t i = 0; i < integer->layer_count; i++) {
        used[layers->items[i].kind] = used[layers->items[i].kind] || integer->taken[i];
        any = any || integer->taken[i];
    }
    if (any && mary_model_opset(model, MARY_DOMAIN) == 0)
        MARY_TRY(mary_model_set_opset(model, MARY_DOMAIN, 1));
    if (any && model->proto->ir_version < (functions ? 8 : 4)) {
        model->proto->has_ir_version = true;
        model->proto->ir_version = functions ? 8 : 4;
    }
    for (int kind = MARY_LAYER_CONV; functions && kind <= MARY_LAYER_MATMUL; kind++) {
        if (used[kind])
            MARY_TRY(mary_body_add_integer(model, (mary_layer_kind)kind));
    }
    return MARY_OK;
}

/* ---- candidates ---- */

typedef struct chooser {
    mary_integers *integer;
    const mary_model *model;
    const mary_settings *settings;
    const mary_layers *layers;
    mary_scales *scales;
} chooser;

/* The outputs with these ranges. */
static mary_status measure(const chooser *c, const mary_range_method *method, bool corrected,
                           mary_comparison *comparison)
{
    mary_model *copy = NULL;
    mary_status status = mary_model_copy(c->model, &copy);
    if (status != MARY_OK)
        return status;
    mary_scales_choose(&c->integer->plan, c->scales, method);
    MARY_TRY_GOTO(mary_integer_emit(copy, &c->integer->plan, c->scales, c->layers, c->integer->layers, corrected),
                  done);
    if (mary_model_opset(copy, MARY_DOMAIN) == 0) /* weight-only layers need it, too */
        MARY_TRY_GOTO(mary_model_set_opset(copy, MARY_DOMAIN, 1), done);
    status = mary_statistics_compare(&c->integer->statistics, copy, c->settings, comparison);
done:
    mary_model_free(&copy);
    return status;
}

/* The best of every method that comes into question, with and without corrected biases. A single candidate is not
 * measured. */
static mary_status choose(const chooser *c, mary_calibration_report *report)
{
    const mary_convert_options *options = c->settings->options;
    const mary_range_method *only = NULL, *best = NULL;
    bool corrects = c->integer->corrects && !options->no_bias_correction;
    mary_comparison least = {.error = -1, .agreement = -1};
    if (options->calibration_method != NULL)
        only = mary_range_method_find(options->calibration_method); /* NULL for "auto" */
    if (only != NULL && !corrects)
        best = only;
    for (int correction = corrects; correction >= 0 && (only == NULL || corrects); correction--) {
        for (size_t i = 0; mary_range_method_at(i) != NULL; i++) {
            const mary_range_method *method = mary_range_method_at(i);
            mary_comparison comparison;
            if (only != NULL && method != only)
                continue;
            MARY_TRY(measure(c, method, correction != 0, &comparison));
            if (best != NULL && mary_comparison_loss(&comparison) >= mary_comparison_loss(&least))
                continue;
            best = method;
            least = comparison;
            report->bias_correction = correction != 0;
        }
    }
    mary_scales_choose(&c->integer->plan, c->scales, best);
    report->method = best->name;
    report->error = least.error;
    report->agreement = least.agreement;
    return MARY_OK;
}

/* ---- report ---- */

static mary_status report_scale(const mary_integers *integer, const mary_scale *scale, const char *name,
                                mary_convert_report *report)
{
    const mary_histogram *histogram = &scale->histogram;
    char note[160] = "";
    mary_activation_report row = {.name = name,
                                  .method = scale->method->name,
                                  .note = note,
                                  .tensors = (int)scale->tensors,
                                  .least = histogram->least,
                                  .most = histogram->most,
                                  .scale = scale->step.scale,
                                  .zero_point = scale->step.zero_point};
    row.low = 0 - (double)row.zero_point * row.scale; /* never -0 */
    row.high = (255.0 - row.zero_point) * row.scale;
    double extent = fmax(row.most, 0) - fmin(row.least, 0);
    if (histogram->bins == NULL) {
        snprintf(note, sizeof note, "0 in every sample");
        MARY_TRY(mary_convert_report_warn(report, "tensor '%s' is 0 in every calibration sample: it will be 0 always",
                                          name));
    } else if (histogram->skipped > 0) {
        snprintf(note, sizeof note, "%llu values that were not finite are left out",
                 (unsigned long long)histogram->skipped);
        MARY_TRY(mary_convert_report_warn(report, "tensor '%s': %s", name, note));
    } else if (extent > 100 * (row.high - row.low)) {
        snprintf(note, sizeof note, "outliers up to %.3g are cut off",
                 fabs(row.most) > fabs(row.least) ? row.most : row.least);
    } else {
        mary_range usual = mary_range_choose(mary_range_method_find("percentile"), histogram);
        if (extent > 100 * (usual.high - usual.low)) {
            snprintf(note, sizeof note, "99.99 %% of the values use %.2g %% of the range",
                     100 * (usual.high - usual.low) / extent);
            MARY_TRY(mary_convert_report_warn(report, "tensor '%s': outliers: %s", name, note));
        }
    }
    (void)integer;
    return mary_convert_report_add_activation(report, &row);
}

static mary_status fill_report(const mary_integers *integer, const mary_scales *scales,
                               const mary_original_names *names, mary_convert_report *report)
{
    for (size_t v = 0; v < integer->plan.value_count; v++) {
        if (scales->items[v].tensors > 0)
            MARY_TRY(report_scale(integer, &scales->items[v], integer->plan.values[v].name, report));
    }
    for (size_t n = 0; n < integer->plan.node_count; n++) {
        const Onnx__NodeProto *node = integer->plan.graph->node[n];
        if (integer->plan.nodes[n].reason != NULL)
            MARY_TRY(mary_convert_report_add_float(report, mary_original_name(names, node), node->op_type,
                                                   integer->plan.nodes[n].reason));
    }
    return MARY_OK;
}

/* Which initializers something uses; the caller frees *used. */
static mary_status list_used(const Onnx__GraphProto *graph, bool **used)
{
    mary_graph_index *index = NULL;
    *used = mary_calloc(graph->n_initializer + 1, sizeof **used);
    if (*used == NULL)
        return mary_fail_memory(graph->n_initializer);
    MARY_TRY(mary_graph_index_create(graph, &index));
    for (size_t i = 0; i < graph->n_initializer; i++)
        (*used)[i] = mary_graph_use_count(index, graph->initializer[i]->name) > 0;
    mary_graph_index_free(&index);
    return MARY_OK;
}

/* Of the first `count` initializers, those that only replaced nodes used (float biases, bounds of absorbed Clips) go;
 * what nothing used before is not ours. */
static mary_status drop_orphans(Onnx__GraphProto *graph, const bool *used, size_t count)
{
    mary_graph_index *index = NULL;
    MARY_TRY(mary_graph_index_create(graph, &index));
    for (size_t i = count; i-- > 0;) {
        const char *name = graph->initializer[i]->name;
        if (used[i] && mary_graph_use_count(index, name) == 0 && !mary_graph_is_input(index, name))
            mary_graph_remove_initializer(graph, i);
    }
    mary_graph_index_free(&index);
    return MARY_OK;
}

mary_status mary_integers_finish(mary_integers *integer, mary_model *model, const mary_settings *settings,
                                 const mary_original_names *names, const mary_layers *layers,
                                 mary_convert_report *report)
{
    mary_scales scales = {0};
    bool *used = NULL;
    Onnx__GraphProto *graph = model->proto->graph;
    size_t constants = graph->n_initializer;
    mary_status status = MARY_OK;
    report->calibration.runs = integer->statistics.batches;
    report->calibration.equalization = integer->balanced;
    MARY_TRY_GOTO(mary_scales_create(&integer->plan, &scales), done);
    const chooser c = {integer, model, settings, layers, &scales};
    MARY_TRY_GOTO(choose(&c, &report->calibration), done);
    MARY_TRY_GOTO(fill_report(integer, &scales, names, report), done);
    MARY_TRY_GOTO(list_used(graph, &used), done);
    MARY_TRY_GOTO(
        mary_integer_emit(model, &integer->plan, &scales, layers, integer->layers, report->calibration.bias_correction),
        done);
    for (size_t i = integer->end_info; i-- > integer->first_info;)
        mary_graph_remove_value_info(graph, i);
    MARY_TRY_GOTO(mary_integer_drop_stale_info(graph), done);
    status = drop_orphans(graph, used, constants);
done:
    mary_free(used);
    mary_scales_free(&scales);
    return status;
}
