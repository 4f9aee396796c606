/* The outcome of a validation as JSON; docs/cli.md lists the fields. */
#include "cli/report/json.h"
#include "cli/validation.h"

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *similarity_json(const mary_similarity *similarity)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "cosine", mary_json_real(mary_similarity_cosine(similarity)), "sqnr_db",
                     mary_json_real(mary_similarity_sqnr(similarity)), "max_abs", mary_json_real(similarity->max_abs),
                     "not_finite", number(similarity->not_finite));
}

static json_t *model_json(const mary_validation *validation, int m)
{
    const mary_validated_model *model = &validation->models[m];
    const mary_accuracy *accuracy = &model->accuracy;
    double ms = model->timed_samples > 0 ? model->run_seconds * 1e3 / (double)model->timed_samples : 0;
    json_t *object =
        json_pack("{s:o, s:o, s:f, s:f, s:o}", "path", mary_json_text(model->path), "file_bytes", number(model->bytes),
                  "create_milliseconds", model->create_seconds * 1e3, "milliseconds_per_sample", ms,
                  "peak_memory_bytes", model->peak > 0 ? number(model->peak) : json_null());
    if (object != NULL && validation->labelled) {
        json_object_set_new(object, "top1_percent", json_real(mary_percent(accuracy->top1, accuracy->samples)));
        json_object_set_new(object, "top5_percent", json_real(mary_percent(accuracy->top5, accuracy->samples)));
        json_object_set_new(object, "samples_with_nan", number(accuracy->not_a_number));
    }
    return object;
}

static json_t *layer_json(const mary_compared_layer *layer)
{
    json_t *object = json_pack("{s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "node", mary_json_text(layer->node), "operator",
                               mary_json_text(layer->op), "output", mary_json_text(layer->output), "shared",
                               (int)layer->shared, "weights", number(layer->weights), "bytes_before",
                               number(layer->bytes_before), "bytes_after", number(layer->bytes_after));
    if (object == NULL)
        return NULL;
    if (layer->mary) {
        json_object_set_new(object, "levels", json_integer(layer->levels));
        json_object_set_new(object, "bits", json_integer(layer->bits));
        json_object_set_new(object, "levels_per_row", json_boolean(layer->per_row));
    }
    if (layer->measured)
        json_object_set_new(object, "difference", similarity_json(&layer->similarity));
    return object;
}

mary_status mary_validation_write_json(const mary_validation *validation, const char *path)
{
    json_t *report = json_object(), *models = json_array(), *outputs = json_array(), *layers = json_array();
    for (int m = 0; m < validation->model_count; m++)
        json_array_append_new(models, model_json(validation, m));
    for (int i = 0; i < validation->output_count; i++) {
        json_t *output = similarity_json(&validation->outputs[i].similarity);
        json_object_set_new(output, "name", mary_json_text(validation->outputs[i].name));
        json_array_append_new(outputs, output);
    }
    for (size_t i = 0; i < validation->layer_count; i++)
        json_array_append_new(layers, layer_json(&validation->layers[i]));
    json_object_set_new(report, "mary", json_string(mary_version()));
    json_object_set_new(report, "data", mary_json_text(validation->data));
    json_object_set_new(report, "samples", number(validation->samples));
    json_object_set_new(report, "batch", json_integer(validation->rows));
    json_object_set_new(report, "models", models);
    if (validation->model_count == 2) {
        double ratio = (double)validation->models[0].bytes / (double)validation->models[1].bytes;
        json_object_set_new(report, "file_ratio", mary_json_real(ratio));
        if (validation->scored)
            json_object_set_new(report, "agreement_percent",
                                json_real(mary_percent(validation->agreement, validation->samples)));
        if (validation->labelled)
            json_object_set_new(report, "drop_points", json_real(mary_validation_drop(validation)));
        if (validation->max_drop >= 0) {
            json_object_set_new(report, "max_drop_points", json_real(validation->max_drop));
            json_object_set_new(report, "max_drop_kept", json_boolean(!mary_validation_missed(validation)));
        }
    }
    json_object_set_new(report, "outputs", outputs);
    json_object_set_new(report, "layer_samples", number(validation->layer_samples));
    json_object_set_new(report, "layers", layers);
    return mary_json_write(report, path);
}
