/* The outcome of a validation as text. */
#include <math.h>

#include "cli/report/table.h"
#include "cli/validation.h"

static const char *decibel(double value, char *text, size_t size)
{
    if (isnan(value))
        snprintf(text, size, "-");
    else if (isinf(value))
        snprintf(text, size, value > 0 ? "exact" : "-inf");
    else
        snprintf(text, size, "%.1f", value);
    return text;
}

static void model_cells(mary_table *table, const mary_validation *validation, int m)
{
    const mary_validated_model *model = &validation->models[m];
    const mary_accuracy *accuracy = &model->accuracy;
    char text[32];
    mary_table_cell(table, "%s", mary_cli_base_name(model->path));
    mary_table_cell(table, "%s", mary_cli_format_bytes((double)model->bytes, text, sizeof text));
    if (validation->model_count == 2)
        mary_table_cell(table, "%.2f", (double)validation->models[0].bytes / (double)model->bytes);
    if (validation->labelled) {
        mary_table_cell(table, "%.2f", mary_percent(accuracy->top1, accuracy->samples));
        mary_table_cell(table, "%.2f", mary_percent(accuracy->top5, accuracy->samples));
    }
    if (validation->model_count == 2 && validation->scored) {
        if (m == 0)
            mary_table_cell(table, "%s", "");
        else
            mary_table_cell(table, "%.2f", mary_percent(validation->agreement, validation->samples));
    }
    mary_table_cell(table, "%.3f",
                    model->timed_samples > 0 ? model->run_seconds * 1e3 / (double)model->timed_samples : 0);
    mary_table_cell(table, "%s", model->peak > 0 ? mary_cli_format_bytes((double)model->peak, text, sizeof text) : "-");
}

static mary_status print_models(const mary_validation *validation)
{
    char header[160];
    bool two = validation->model_count == 2;
    snprintf(header, sizeof header, "<model|>bytes%s%s%s|>ms/sample|>peak memory", two ? "|>ratio" : "",
             validation->labelled ? "|>top-1 %|>top-5 %" : "", two && validation->scored ? "|>agreement %" : "");
    mary_table table;
    mary_table_begin(&table, header);
    for (int m = 0; m < validation->model_count; m++)
        model_cells(&table, validation, m);
    return mary_table_end(&table, stdout);
}

static mary_status print_outputs(const mary_validation *validation)
{
    mary_table table;
    char text[32];
    mary_table_begin(&table, "<output|>cosine|>SQNR dB|>largest difference|>not finite");
    for (int i = 0; i < validation->output_count; i++) {
        const mary_similarity *similarity = &validation->outputs[i].similarity;
        mary_table_cell(&table, "%s", validation->outputs[i].name);
        mary_table_cell(&table, "%.6f", mary_similarity_cosine(similarity));
        mary_table_cell(&table, "%s", decibel(mary_similarity_sqnr(similarity), text, sizeof text));
        mary_table_cell(&table, "%.4g", similarity->max_abs);
        mary_table_cell(&table, "%llu", (unsigned long long)similarity->not_finite);
    }
    return mary_table_end(&table, stdout);
}

static mary_status print_layers(const mary_validation *validation)
{
    mary_table table;
    char text[32];
    mary_table_begin(&table, "<layer|<operator|>M|>bits|>weights|>before|>after|>cosine|>SQNR dB");
    for (size_t i = 0; i < validation->layer_count; i++) {
        const mary_compared_layer *layer = &validation->layers[i];
        mary_table_cell(&table, "%s", layer->node);
        mary_table_cell(&table, "%s", layer->op);
        if (layer->mary) {
            mary_table_cell(&table, "%d", layer->levels);
            mary_table_cell(&table, "%d", layer->bits);
        } else {
            mary_table_cell(&table, "float");
            mary_table_cell(&table, "-");
        }
        mary_table_cell(&table, "%llu", (unsigned long long)layer->weights);
        mary_table_cell(&table, "%s", mary_cli_format_bytes((double)layer->bytes_before, text, sizeof text));
        mary_table_cell(&table, "%s",
                        layer->shared ? "shared"
                                      : mary_cli_format_bytes((double)layer->bytes_after, text, sizeof text));
        if (layer->measured) {
            mary_table_cell(&table, "%.6f", mary_similarity_cosine(&layer->similarity));
            mary_table_cell(&table, "%s", decibel(mary_similarity_sqnr(&layer->similarity), text, sizeof text));
        } else {
            mary_table_cell(&table, "-");
            mary_table_cell(&table, "-");
        }
    }
    return mary_table_end(&table, stdout);
}

double mary_validation_change(const mary_validation *validation)
{
    return 0 - mary_validation_drop(validation); /* subtracted, so that no change is +0 */
}

bool mary_validation_missed(const mary_validation *validation)
{
    return validation->max_drop >= 0 && mary_validation_drops_more(validation, validation->max_drop);
}

mary_status mary_validation_print(const mary_validation *validation, bool layers)
{
    printf("%llu samples: %s\n\n", (unsigned long long)validation->samples, validation->data);
    MARY_TRY(print_models(validation));
    for (int m = 0; m < validation->model_count; m++) {
        uint64_t wrong = validation->models[m].accuracy.not_a_number;
        if (wrong > 0)
            printf("%s gives NaN for %llu samples; they count as wrong\n",
                   mary_cli_base_name(validation->models[m].path), (unsigned long long)wrong);
    }
    if (validation->model_count == 2) {
        printf("\n");
        MARY_TRY(print_outputs(validation));
    }
    if (layers && validation->layer_count > 0) {
        printf("\n");
        if (validation->layer_samples > 0)
            printf("Layers, over %llu samples\n", (unsigned long long)validation->layer_samples);
        MARY_TRY(print_layers(validation));
    }
    if (validation->max_drop >= 0)
        printf("\ntop-1 changes by %+.2f points, --max-drop %g: %s\n", mary_validation_change(validation),
               validation->max_drop, mary_validation_missed(validation) ? "missed" : "kept");
    return MARY_OK;
}
