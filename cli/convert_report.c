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
        mary_table_cell(table, "%s", layer->shared ? "tensor" : "row");
        if (isinf(layer->sqnr))
            mary_table_cell(table, "exact");
        else
            mary_table_cell(table, "%.1f", layer->sqnr);
    }
    mary_table_cell(table, "%s", mary_cli_format_bytes((double)layer->bytes_before, before, sizeof before));
    mary_table_cell(table, "%s", mary_cli_format_bytes((double)layer->bytes_after, after, sizeof after));
    mary_table_cell(table, "%s%s", layer->repeated ? "(counted above) " : "", layer->note);
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
        json_object_set_new(object, "granularity", json_string(layer->shared ? "tensor" : "channel"));
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
    json_object_set_new(root, "warnings", warnings);
    return root;
}
