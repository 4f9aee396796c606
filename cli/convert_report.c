/* What `mary convert` says when it is done. */
#include "cli/convert_report.h"

#include <inttypes.h>
#include <math.h>

#include "cli/report/table.h"

static void layer_row(mary_table *table, const mary_layer_report *layer)
{
    char before[32], after[32];
    mary_table_cell(table, "%s", layer->name);
    mary_table_cell(table, "%s", layer->op_type);
    mary_table_cell(table, "%" PRId64, layer->weights);
    if (layer->bits == 0) {
        mary_table_cell(table, "float");
        mary_table_cell(table, "%s", "");
        mary_table_cell(table, "%s", "");
        mary_table_cell(table, "%s", "");
    } else {
        mary_table_cell(table, "%d", layer->levels);
        mary_table_cell(table, "%d", layer->bits);
        mary_table_cell(table, "%s", layer->model_levels ? "model" : layer->shared ? "tensor" : "row");
        if (isinf(layer->sqnr))
            mary_table_cell(table, "exact");
        else
            mary_table_cell(table, "%.1f", layer->sqnr);
    }
    mary_table_cell(table, "%s", mary_cli_format_bytes((double)layer->bytes_before, before, sizeof before));
    mary_table_cell(table, "%s", mary_cli_format_bytes((double)layer->bytes_after, after, sizeof after));
    mary_table_cell(table, "%s%s", layer->repeated ? "(counted above) " : "", layer->note);
}

static mary_status print_activations(const mary_convert_report *report)
{
    const mary_calibration_report *calibration = mary_convert_calibration(report);
    mary_table table;
    size_t scales = 0;
    int tensors = 0;
    mary_table_begin(&table, "<activation|>tensors|<range by|>seen from|>to|>stored from|>to|>scale|>zero|<note");
    for (const mary_activation_report *row; (row = mary_convert_activation(report, scales)) != NULL; scales++) {
        tensors += row->tensors;
        mary_table_cell(&table, "%s", row->name);
        mary_table_cell(&table, "%d", row->tensors);
        mary_table_cell(&table, "%s", row->method);
        mary_table_cell(&table, "%.4g", row->least);
        mary_table_cell(&table, "%.4g", row->most);
        mary_table_cell(&table, "%.4g", row->low);
        mary_table_cell(&table, "%.4g", row->high);
        mary_table_cell(&table, "%.4g", (double)row->scale);
        mary_table_cell(&table, "%d", row->zero_point);
        mary_table_cell(&table, "%s", row->note);
    }
    putchar('\n');
    MARY_TRY(mary_table_end(&table, stdout));
    if (mary_convert_float_node(report, 0) != NULL) {
        putchar('\n');
        mary_table_begin(&table, "<computes in float|<operator|<because");
        for (size_t i = 0; mary_convert_float_node(report, i) != NULL; i++) {
            const mary_float_node_report *node = mary_convert_float_node(report, i);
            mary_table_cell(&table, "%s", node->name);
            mary_table_cell(&table, "%s", node->op_type);
            mary_table_cell(&table, "%s", node->reason);
        }
        MARY_TRY(mary_table_end(&table, stdout));
    }
    printf("\nactivations  %d tensors of 8 bits with %zu scales, ranges by %s%s%s", tensors, scales,
           calibration->method, calibration->bias_correction ? ", biases corrected" : "",
           calibration->equalization ? ", channels balanced" : "");
    if (calibration->error >= 0)
        printf("; on calibration samples the error of the outputs is %.3g of their energy", calibration->error);
    if (calibration->agreement >= 0)
        printf(", %.2f %% have the same best class", 100 * calibration->agreement);
    putchar('\n');
    return MARY_OK;
}

mary_status mary_convert_report_print(const mary_convert_report *report, const char *input, const char *output,
                                      uint64_t bytes_before, uint64_t bytes_after)
{
    const mary_convert_totals *totals = mary_convert_totals_of(report);
    mary_table table;
    char before[32], after[32];
    mary_table_begin(&table, "<layer|<operator|>weights|>M|>bits|<levels per|>SQNR dB|>before|>after|<note");
    for (size_t i = 0; mary_convert_layer(report, i) != NULL; i++)
        layer_row(&table, mary_convert_layer(report, i));
    MARY_TRY(mary_table_end(&table, stdout));
    if (mary_convert_calibration(report)->runs > 0)
        MARY_TRY(print_activations(report));
    printf("\nweights  %" PRIu64 " of %" PRIu64
           " have levels; %.2f bits per weight, levels and float layers included\n",
           totals->weights_quantised, totals->weights, totals->bits_per_weight);
    printf("file     %s (%s) -> %s (%s), %.2f times smaller\n",
           mary_cli_format_bytes((double)bytes_before, before, sizeof before), mary_cli_base_name(input),
           mary_cli_format_bytes((double)bytes_after, after, sizeof after), mary_cli_base_name(output),
           bytes_after == 0 ? 0.0 : (double)bytes_before / (double)bytes_after);
    return MARY_OK;
}

static json_t *layer_json(const mary_layer_report *layer)
{
    json_t *object = json_object();
    json_object_set_new(object, "name", mary_json_text(layer->name));
    json_object_set_new(object, "op_type", mary_json_text(layer->op_type));
    json_object_set_new(object, "weight", mary_json_text(layer->weight));
    json_object_set_new(object, "quantised", json_boolean(layer->bits > 0));
    if (layer->bits > 0) {
        json_object_set_new(object, "levels", json_integer(layer->levels));
        json_object_set_new(object, "bits", json_integer(layer->bits));
        json_object_set_new(object, "method", mary_json_text(layer->method));
        json_object_set_new(object, "granularity",
                            json_string(layer->model_levels ? "model"
                                        : layer->shared     ? "tensor"
                                                            : "channel"));
        json_object_set_new(object, "sqnr_db", mary_json_real(layer->sqnr)); /* null: exact */
    }
    json_object_set_new(object, "rows", json_integer(layer->rows));
    json_object_set_new(object, "row_length", json_integer(layer->row_length));
    json_object_set_new(object, "weights", json_integer(layer->weights));
    json_object_set_new(object, "bytes_before", json_integer(layer->bytes_before));
    json_object_set_new(object, "bytes_after", json_integer(layer->bytes_after));
    json_object_set_new(object, "repeated", json_boolean(layer->repeated));
    json_object_set_new(object, "note", mary_json_text(layer->note));
    return object;
}

static void add_activations(json_t *root, const mary_convert_report *report)
{
    const mary_calibration_report *calibration = mary_convert_calibration(report);
    json_t *activations = json_array(), *floats = json_array(), *summary = json_object();
    for (size_t i = 0; mary_convert_activation(report, i) != NULL; i++) {
        const mary_activation_report *row = mary_convert_activation(report, i);
        json_t *object = json_object();
        json_object_set_new(object, "name", mary_json_text(row->name));
        json_object_set_new(object, "tensors", json_integer(row->tensors));
        json_object_set_new(object, "method", mary_json_text(row->method));
        json_object_set_new(object, "least", mary_json_real(row->least));
        json_object_set_new(object, "most", mary_json_real(row->most));
        json_object_set_new(object, "low", mary_json_real(row->low));
        json_object_set_new(object, "high", mary_json_real(row->high));
        json_object_set_new(object, "scale", mary_json_real((double)row->scale));
        json_object_set_new(object, "zero_point", json_integer(row->zero_point));
        json_object_set_new(object, "note", mary_json_text(row->note));
        json_array_append_new(activations, object);
    }
    for (size_t i = 0; mary_convert_float_node(report, i) != NULL; i++) {
        const mary_float_node_report *node = mary_convert_float_node(report, i);
        json_t *object = json_object();
        json_object_set_new(object, "name", mary_json_text(node->name));
        json_object_set_new(object, "op_type", mary_json_text(node->op_type));
        json_object_set_new(object, "reason", mary_json_text(node->reason));
        json_array_append_new(floats, object);
    }
    json_object_set_new(summary, "runs", json_integer(calibration->runs));
    json_object_set_new(summary, "method", mary_json_text(calibration->method));
    json_object_set_new(summary, "bias_correction", json_boolean(calibration->bias_correction));
    json_object_set_new(summary, "equalization", json_boolean(calibration->equalization));
    json_object_set_new(summary, "output_error",
                        calibration->error >= 0 ? mary_json_real(calibration->error) : json_null());
    json_object_set_new(summary, "agreement",
                        calibration->agreement >= 0 ? mary_json_real(calibration->agreement) : json_null());
    json_object_set_new(root, "calibration", summary);
    json_object_set_new(root, "activations", activations);
    json_object_set_new(root, "float_nodes", floats);
}

json_t *mary_convert_report_json(const mary_convert_report *report, const char *input, const char *output,
                                 uint64_t bytes_before, uint64_t bytes_after)
{
    const mary_convert_totals *totals = mary_convert_totals_of(report);
    json_t *root = json_object(), *layers = json_array(), *warnings = json_array();
    json_object_set_new(root, "mary", mary_json_text(mary_version()));
    json_object_set_new(root, "input", mary_json_text(input));
    json_object_set_new(root, "output", mary_json_text(output));
    json_object_set_new(root, "file_bytes_before", json_integer((json_int_t)bytes_before));
    json_object_set_new(root, "file_bytes_after", json_integer((json_int_t)bytes_after));
    json_object_set_new(root, "weights", json_integer((json_int_t)totals->weights));
    json_object_set_new(root, "weights_quantised", json_integer((json_int_t)totals->weights_quantised));
    json_object_set_new(root, "weight_bytes_before", json_integer((json_int_t)totals->bytes_before));
    json_object_set_new(root, "weight_bytes_after", json_integer((json_int_t)totals->bytes_after));
    json_object_set_new(root, "bits_per_weight", mary_json_real(totals->bits_per_weight));
    for (size_t i = 0; mary_convert_layer(report, i) != NULL; i++)
        json_array_append_new(layers, layer_json(mary_convert_layer(report, i)));
    for (size_t i = 0; mary_convert_warning(report, i) != NULL; i++)
        json_array_append_new(warnings, mary_json_text(mary_convert_warning(report, i)));
    json_object_set_new(root, "layers", layers);
    if (mary_convert_calibration(report)->runs > 0)
        add_activations(root, report);
    json_object_set_new(root, "warnings", warnings);
    return root;
}
