/* Runs one model or two over samples, batch by batch, and accumulates what validation reports. */
#include <string.h>

#include "validate/validation.h"

typedef struct compare_pass {
    mary_opened_model models[2];
    mary_array *outputs[2];
    int count;
    int scores[2]; /* index of the output with class scores; -1: none */
    const char *scores_name;
    mary_validation *validation;
} compare_pass;

mary_status mary_compare_inputs(const mary_opened_model *a, const mary_opened_model *b, mary_array **inputs)
{
    *inputs = mary_calloc((size_t)a->input_count, sizeof **inputs);
    if (*inputs == NULL)
        return mary_fail_memory((size_t)a->input_count * sizeof **inputs);
    for (int i = 0; i < a->input_count; i++) {
        mary_array *input = &(*inputs)[i];
        *input = a->inputs[i];
        for (int k = 0; b != NULL && k < b->input_count; k++) {
            const mary_array *other = &b->inputs[k];
            if (strcmp(other->name, input->name) != 0 || other->rank != input->rank)
                continue;
            for (int d = 0; d < input->rank; d++) {
                if (input->dims[d] < 0)
                    input->dims[d] = other->dims[d];
            }
        }
    }
    return MARY_OK;
}

mary_status mary_compare_next(const mary_validation_data *data, int64_t left, mary_validation_batch *batch)
{
    *batch = (mary_validation_batch){0};
    MARY_TRY(data->next(data->context, batch));
    if (batch->size == 0)
        return MARY_OK;
    if (batch->size < 0 || batch->rows < batch->size || batch->input_count < 0 ||
        (batch->inputs == NULL && batch->input_count > 0))
        return mary_fail(MARY_ERROR_USAGE, "a batch of %lld samples in %lld rows and %d inputs", (long long)batch->size,
                         (long long)batch->rows, batch->input_count);
    if (left > 0 && batch->size > left)
        batch->size = left;
    return MARY_OK;
}

/* Output `index` of the first model in the second: by name, else by position. */
static int matching_output(const compare_pass *pass, int index)
{
    const mary_opened_model *other = &pass->models[1];
    for (int i = 0; i < other->output_count; i++) {
        if (strcmp(other->outputs[i].name, pass->models[0].outputs[index].name) == 0)
            return i;
    }
    return other->output_count == pass->models[0].output_count ? index : -1;
}

/* Decides once, from the first batch, which output holds the scores. */
static mary_status find_scores(compare_pass *pass, const char *name, int64_t rows)
{
    pass->scores[0] = pass->scores[1] = -1;
    const mary_opened_model *model = &pass->models[0];
    mary_scores scores;
    for (int i = 0; i < model->output_count && pass->scores[0] < 0; i++) {
        bool wanted = name == NULL || strcmp(name, model->outputs[i].name) == 0;
        if (wanted && mary_scores_view(&pass->outputs[0][i], rows, &scores))
            pass->scores[0] = i;
        else if (wanted && name != NULL)
            return mary_fail(MARY_ERROR_USAGE, "scores '%s': that output does not hold a score per sample and class",
                             name);
    }
    if (pass->scores[0] < 0 && name != NULL)
        return mary_fail(MARY_ERROR_USAGE, "scores '%s': the model has no such output", name);
    if (pass->scores[0] >= 0 && pass->count == 2) {
        pass->scores[1] = matching_output(pass, pass->scores[0]);
        if (pass->scores[1] < 0 || !mary_scores_view(&pass->outputs[1][pass->scores[1]], rows, &scores))
            pass->scores[0] = pass->scores[1] = -1;
    }
    pass->validation->scored = pass->scores[0] >= 0;
    if (pass->validation->labelled && !pass->validation->scored)
        return mary_fail(MARY_ERROR_INVALID, "%s: there are labels, but no output holds a score per sample and class",
                         model->path);
    return MARY_OK;
}

static mary_status compare_outputs(compare_pass *pass, const mary_validation_batch *batch)
{
    mary_validation *validation = pass->validation;
    const mary_opened_model *model = &pass->models[0];
    for (int i = 0; i < model->output_count; i++) {
        int k = matching_output(pass, i);
        if (k < 0)
            return mary_fail(MARY_ERROR_INVALID, "%s: has no output '%s'", pass->models[1].path,
                             model->outputs[i].name);
        mary_array a = pass->outputs[0][i], b = pass->outputs[1][k];
        /* Rows that only fill a fixed batch do not count. */
        if (a.rank > 0 && b.rank > 0 && a.dims[0] == batch->rows && b.dims[0] == batch->rows)
            a.dims[0] = b.dims[0] = batch->size;
        if (mary_type_size(a.type) == 0)
            continue; /* strings */
        MARY_TRY(mary_similarity_add(&validation->outputs[i].similarity, &a, &b));
    }
    return MARY_OK;
}

static mary_status score(compare_pass *pass, const mary_validation_batch *batch)
{
    mary_validation *validation = pass->validation;
    mary_scores scores[2];
    if (pass->scores[0] < 0)
        return MARY_OK;
    for (int m = 0; m < pass->count; m++) {
        const mary_array *output = &pass->outputs[m][pass->scores[m]];
        if (!mary_scores_view(output, batch->rows, &scores[m]))
            return mary_fail(MARY_ERROR_INVALID, "output '%s' changed its shape between batches", output->name);
        if (batch->labels != NULL)
            MARY_TRY(mary_accuracy_add(&validation->models[m].accuracy, &scores[m], batch->size, batch->labels));
    }
    if (pass->count == 2)
        validation->agreement += mary_scores_agreement(&scores[0], &scores[1], batch->size);
    return MARY_OK;
}

static mary_status run_batch(compare_pass *pass, const mary_validation_batch *batch)
{
    mary_validation *validation = pass->validation;
    bool first = validation->samples == 0;
    for (int m = 0; m < pass->count; m++) {
        mary_opened_model *model = &pass->models[m];
        mary_validated_model *result = &validation->models[m];
        double begin = mary_now();
        mary_status status =
            mary_session_run(model->session, batch->inputs, batch->input_count, pass->outputs[m], model->output_count);
        double seconds = mary_now() - begin;
        if (status != MARY_OK)
            return mary_fail_context(status, "%s", model->path);
        /* The first run also plans: it counts only until there is a second one. */
        if (validation->runs == 1)
            result->run_seconds = 0, result->timed_samples = 0;
        result->run_seconds += seconds;
        result->timed_samples += (uint64_t)batch->rows;
    }
    if (first) {
        validation->rows = batch->rows;
        validation->labelled = batch->labels != NULL;
        MARY_TRY(find_scores(pass, pass->scores_name, batch->rows));
    } else if (validation->labelled != (batch->labels != NULL)) {
        return mary_fail(MARY_ERROR_USAGE, "some batches have labels and others have none");
    }
    MARY_TRY(score(pass, batch));
    if (pass->count == 2)
        MARY_TRY(compare_outputs(pass, batch));
    validation->samples += (uint64_t)batch->size;
    validation->runs++;
    return MARY_OK;
}

static mary_status run_all(compare_pass *pass, const mary_validation_data *data)
{
    for (mary_validation_batch batch;;) {
        MARY_TRY(mary_compare_next(data, 0, &batch));
        if (batch.size == 0)
            break;
        mary_status status = run_batch(pass, &batch);
        for (int m = 0; m < pass->count; m++) {
            for (int i = 0; i < pass->models[m].output_count; i++)
                mary_array_free(&pass->outputs[m][i]);
        }
        MARY_TRY(status);
    }
    return pass->validation->samples > 0 ? MARY_OK : mary_fail(MARY_ERROR_INVALID, "there are no samples");
}

static mary_status open_models(compare_pass *pass, const mary_model_source *sources, int count,
                               const mary_session_options *options)
{
    mary_validation *validation = pass->validation;
    for (int m = 0; m < count; m++) {
        MARY_TRY(mary_opened_model_open(&pass->models[m], &sources[m], options));
        pass->count = m + 1;
        const mary_opened_model *model = &pass->models[m];
        validation->models[m] = (mary_validated_model){
            .path = mary_strdup(model->path), .bytes = model->bytes, .create_seconds = model->create_seconds};
        validation->model_count = m + 1;
        if (validation->models[m].path == NULL)
            return mary_fail_memory(strlen(model->path));
        pass->outputs[m] = mary_calloc((size_t)model->output_count, sizeof *pass->outputs[m]);
        if (pass->outputs[m] == NULL)
            return mary_fail_memory((size_t)model->output_count * sizeof *pass->outputs[m]);
    }
    if (pass->count < 2)
        return MARY_OK;
    const mary_opened_model *model = &pass->models[0];
    validation->outputs = mary_calloc((size_t)model->output_count, sizeof *validation->outputs);
    if (validation->outputs == NULL)
        return mary_fail_memory((size_t)model->output_count * sizeof *validation->outputs);
    validation->output_count = model->output_count;
    for (int i = 0; i < model->output_count; i++) {
        validation->outputs[i].name = mary_strdup(model->outputs[i].name);
        if (validation->outputs[i].name == NULL)
            return mary_fail_memory(strlen(model->outputs[i].name));
    }
    return MARY_OK;
}

mary_status mary_compare_models(const mary_model_source *models, int count, const mary_validation_data *data,
                                const mary_validate_options *options, mary_validation *validation)
{
    compare_pass pass = {.validation = validation, .scores_name = options->scores};
    mary_array *inputs = NULL;
    mary_status status = open_models(&pass, models, count, &options->session);
    if (status != MARY_OK)
        goto done;
    MARY_TRY_GOTO(mary_compare_inputs(&pass.models[0], count == 2 ? &pass.models[1] : NULL, &inputs), done);
    MARY_TRY_GOTO(data->begin(data->context, inputs, pass.models[0].input_count, 0), done);
    status = run_all(&pass, data);
done:
    mary_free(inputs);
    for (int m = 0; m < 2; m++) {
        mary_free(pass.outputs[m]);
        mary_opened_model_close(&pass.models[m]);
    }
    return status;
}
