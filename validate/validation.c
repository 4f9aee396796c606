/* mary_validate and what can be asked of its outcome. */
#include "validate/validation.h"

#include <string.h>

enum { LAYER_SAMPLES = 64 };

static mary_status validate(const mary_model_source *models, int count, const mary_validation_data *data,
                            const mary_validate_options *options, mary_validation *validation)
{
    validation->max_drop = -1;
    if (models == NULL || count < 1 || count > 2)
        return mary_fail(MARY_ERROR_USAGE, "one model or two are validated, not %d", count);
    if (data == NULL || data->begin == NULL || data->next == NULL)
        return mary_fail(MARY_ERROR_USAGE, "there is nothing to validate with");
    if (options->layer_samples < 0)
        return mary_fail(MARY_ERROR_USAGE, "layers are compared with %lld samples", (long long)options->layer_samples);
    mary_validate_options given = *options;
    given.session.no_fusion = given.session.profile = false;
    MARY_TRY(mary_compare_models(models, count, data, &given, validation));
    if (!options->layers)
        return MARY_OK;
    MARY_TRY(mary_compared_layers_list(count == 2 ? &models[0] : NULL, &models[count - 1], validation));
    if (count == 1)
        return MARY_OK;
    return mary_compared_layers_measure(
        models, data, &given, options->layer_samples > 0 ? options->layer_samples : LAYER_SAMPLES, validation);
}

mary_status mary_validate(const mary_model_source *models, int model_count, const mary_validation_data *data,
                          const mary_validate_options *options, mary_validation **validation)
{
    static const mary_validate_options defaults;
    *validation = mary_calloc(1, sizeof **validation);
    if (*validation == NULL)
        return mary_fail_memory(sizeof **validation);
    mary_status status = validate(models, model_count, data, options != NULL ? options : &defaults, *validation);
    if (status != MARY_OK)
        mary_validation_free(validation);
    return status;
}

void mary_validation_free(mary_validation **pointer)
{
    mary_validation *validation = *pointer;
    if (validation == NULL)
        return;
    for (int i = 0; i < validation->output_count; i++)
        mary_free(validation->outputs[i].name);
    for (size_t i = 0; i < validation->layer_count; i++) {
        mary_compared_layer *layer = &validation->layers[i];
        mary_free(layer->node);
        mary_free(layer->op);
        mary_free(layer->output);
        mary_free(layer->stored);
        mary_free(layer->spread);
        mary_free(layer->thresholds);
    }
    for (int m = 0; m < validation->model_count; m++)
        mary_free(validation->models[m].path);
    mary_free(validation->layers);
    mary_free(validation->outputs);
    mary_free(validation->data);
    mary_free(validation);
    *pointer = NULL;
}

/* ---- accuracy ---- */

double mary_validation_drop(const mary_validation *validation)
{
    const mary_accuracy *a = &validation->models[0].accuracy, *b = &validation->models[1].accuracy;
    return mary_percent(a->top1, a->samples) - mary_percent(b->top1, b->samples);
}

bool mary_validation_drops_more(const mary_validation *validation, double max_drop)
{
    /* Both are multiples of 100/samples: the tolerance only takes away rounding. */
    return mary_validation_drop(validation) > max_drop + 1e-9;
}

mary_status mary_validation_budget(const mary_validation *validation, double max_drop)
{
    if (!(max_drop >= 0))
        return mary_fail(MARY_ERROR_USAGE, "a budget of %g points of top-1", max_drop);
    if (validation->model_count != 2)
        return mary_fail(MARY_ERROR_USAGE, "a budget for the loss of top-1 needs two models");
    if (!validation->labelled)
        return mary_fail(MARY_ERROR_USAGE, "a budget for the loss of top-1 needs labels");
    if (mary_validation_drops_more(validation, max_drop))
        return mary_fail(MARY_ERROR_BUDGET, "top-1 falls by %.2f points, more than %g",
                         mary_validation_drop(validation), max_drop);
    return MARY_OK;
}

/* ---- what the public structs say ---- */

void mary_validation_totals_of(const mary_validation *validation, mary_validation_totals *totals)
{
    bool two = validation->model_count == 2;
    *totals = (mary_validation_totals){.samples = validation->samples,
                                       .runs = validation->runs,
                                       .layer_samples = validation->layer_samples,
                                       .labelled = validation->labelled,
                                       .scored = validation->scored};
    if (two && validation->scored) {
        totals->agreement = validation->agreement;
        totals->agreement_percent = mary_percent(validation->agreement, validation->samples);
    }
    if (two && validation->labelled)
        totals->drop_points = mary_validation_drop(validation);
}

bool mary_validation_model(const mary_validation *validation, size_t index, mary_model_accuracy *model)
{
    if (index >= (size_t)validation->model_count)
        return false;
    const mary_validated_model *from = &validation->models[index];
    const mary_accuracy *accuracy = &from->accuracy;
    *model = (mary_model_accuracy){.path = from->path,
                                   .file_bytes = from->bytes,
                                   .create_seconds = from->create_seconds,
                                   .seconds_per_sample =
                                       from->timed_samples > 0 ? from->run_seconds / (double)from->timed_samples : 0,
                                   .samples = accuracy->samples,
                                   .top1 = accuracy->top1,
                                   .top5 = accuracy->top5,
                                   .with_nan = accuracy->not_a_number,
                                   .top1_percent = mary_percent(accuracy->top1, accuracy->samples),
                                   .top5_percent = mary_percent(accuracy->top5, accuracy->samples)};
    return true;
}

static mary_closeness closeness(const mary_similarity *similarity)
{
    return (mary_closeness){.cosine = mary_similarity_cosine(similarity),
                            .sqnr = mary_similarity_sqnr(similarity),
                            .max_abs = similarity->max_abs,
                            .elements = similarity->count,
                            .not_finite = similarity->not_finite};
}

bool mary_validation_output(const mary_validation *validation, size_t index, mary_output_comparison *output)
{
    if (index >= (size_t)validation->output_count)
        return false;
    const mary_compared_output *from = &validation->outputs[index];
    *output = (mary_output_comparison){from->name, closeness(&from->similarity)};
    return true;
}

bool mary_validation_layer(const mary_validation *validation, size_t index, mary_layer_comparison *layer)
{
    if (index >= validation->layer_count)
        return false;
    const mary_compared_layer *from = &validation->layers[index];
    *layer = (mary_layer_comparison){.node = from->node,
                                     .op_type = from->op,
                                     .output = from->output,
                                     .coded = from->mary,
                                     .shared = from->shared,
                                     .levels_per_row = from->per_row,
                                     .levels = from->levels,
                                     .bits = from->bits,
                                     .weights = from->weights,
                                     .bytes_before = from->bytes_before,
                                     .bytes_after = from->bytes_after,
                                     .measured = from->measured};
    if (from->measured)
        layer->closeness = closeness(&from->similarity);
    return true;
}
