/* Runs a trainer over the samples; nothing is trained. */
#include "convert/calibrate/curvature.h"

#include <math.h>
#include <string.h>

#include "convert/calibrate/collect.h"
#include "convert/calibrate/excerpt.h"
#include "train/random.h"

/* What is added to every weight, in means of its row; docs/levels.md has the figures. Where levels are many, errors are
 * small everywhere, and what the diagonal leaves out is most of them. */
static double floor_of(const mary_layer *layer)
{
    return layer->settings.levels < 8 ? 0.3 : 3;
}

typedef struct measuring {
    const mary_settings *settings;
    mary_curvature kind;
    bool scores; /* the output holds class scores */
    mary_session *session;
    mary_trainer *trainer;
    float **sums; /* [parameters]: curvature times samples; NULL: no layer asks for this one */
    double samples;
    uint64_t drawn; /* numbers so far, of the Fisher matrix */
} measuring;

/* ---- which output the loss is taken of ---- */

/* The value below the Softmax that makes `value`, or `value`: the loss wants logits. */
static const char *logits_of(const Onnx__GraphProto *graph, const mary_graph_index *index, const char *value)
{
    ptrdiff_t producer = mary_graph_producer(index, value);
    if (producer < 0)
        return NULL;
    const Onnx__NodeProto *node = graph->node[producer];
    bool softmax = strcmp(node->op_type, "Softmax") == 0 || strcmp(node->op_type, "LogSoftmax") == 0;
    return softmax && node->n_input > 0 && mary_graph_producer(index, node->input[0]) >= 0 ? node->input[0] : value;
}

/* By the outputs of one run: *excerpt ends in the chosen output. */
static mary_status choose_output(measuring *m, const mary_model *model, mary_model **excerpt)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    mary_status status = MARY_OK;
    mary_session *session = NULL;
    mary_graph_index *index = NULL;
    const mary_array *inputs;
    const char *value = NULL;
    int count, outputs = (int)graph->n_output;
    mary_array *results = mary_calloc(graph->n_output + 1, sizeof *results);
    if (results == NULL)
        return mary_fail_memory(graph->n_output * sizeof *results);
    MARY_TRY_GOTO(mary_graph_index_create(graph, &index), done);
    MARY_TRY_GOTO(mary_calibration_session(model, m->settings, false, &session), done);
    MARY_TRY_GOTO(mary_calibration_inputs(m->settings, 0, &inputs, &count), done);
    MARY_TRY_GOTO(mary_session_run(session, inputs, count, results, outputs), done);
    for (int i = 0; i < outputs && !m->scores; i++) {
        const char *logits = logits_of(graph, index, graph->output[i]->name);
        if (results[i].type != MARY_FLOAT || logits == NULL)
            continue;
        m->scores = results[i].rank == 2 && results[i].dims[1] > 1;
        if (value == NULL || m->scores)
            value = m->scores ? logits : graph->output[i]->name;
    }
    status = value == NULL ? mary_fail(MARY_ERROR_UNSUPPORTED, "no float output is computed by a node")
                           : mary_model_excerpt(model, &value, 1, excerpt);
done:
    for (int i = 0; i < outputs; i++)
        mary_array_free(&results[i]);
    mary_free(results);
    mary_session_free(&session);
    mary_graph_index_free(&index);
    return status;
}

/* ---- what the loss compares the outputs with ---- */

/* Equally distributed in (0, 1). */
static double draw(measuring *m)
{
    return mary_random_unit(mary_random(m->settings->options->seed, 0, m->drawn++)) + 0x1p-54;
}

/* A class with the probability that the model gives it. */
static int64_t draw_label(measuring *m, const float *scores, int64_t classes)
{
    double most = -INFINITY, sum = 0;
    int64_t label = 0;
    for (int64_t c = 0; c < classes; c++)
        most = fmax(most, (double)scores[c]);
    for (int64_t c = 0; c < classes; c++)
        sum += exp((double)scores[c] - most);
    double left = draw(m) * sum;
    for (; label < classes - 1; label++) {
        left -= exp((double)scores[label] - most);
        if (left < 0)
            break;
    }
    return label;
}

/* The Hessian is taken at the minimum: targets are the outputs. The Fisher matrix is the mean square of gradients, so
 * labels and targets are drawn as the model would have them: classes by its probabilities, values with unit noise. */
static mary_status choose_targets(measuring *m, mary_array *output, int64_t *labels, mary_loss *loss)
{
    float *values = output->data;
    int64_t count = (int64_t)(output->bytes / sizeof *values), rows = output->rank > 0 ? output->dims[0] : 1;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            return mary_fail(MARY_ERROR_INVALID, "the output '%s' has the value %g on calibration samples",
                             output->name, (double)values[i]);
    }
    *loss = (mary_loss){.kind = m->scores ? MARY_LOSS_DIVERGENCE : MARY_LOSS_SQUARED_ERROR, .targets = values};
    if (m->kind != MARY_CURVATURE_FISHER)
        return MARY_OK;
    if (m->scores) {
        for (int64_t r = 0; r < rows; r++)
            labels[r] = draw_label(m, values + r * output->dims[1], output->dims[1]);
        *loss = (mary_loss){.kind = MARY_LOSS_CROSS_ENTROPY, .labels = labels};
        return MARY_OK;
    }
    for (int64_t i = 0; i < count; i++) {
        double radius = sqrt(-2 * log(draw(m))); /* Box and Muller 1958 */
        values[i] += (float)(radius * cos(6.283185307179586 * draw(m)));
    }
    return MARY_OK;
}

/* ---- sums over the samples ---- */

static mary_status add_run(measuring *m, int64_t run)
{
    const mary_array *inputs;
    mary_array output = {0};
    mary_loss loss;
    int count;
    int64_t *labels = NULL, rows;
    mary_status status = mary_calibration_inputs(m->settings, run, &inputs, &count);
    if (status != MARY_OK)
        return status;
    MARY_TRY_GOTO(mary_session_run(m->session, inputs, count, &output, 1), done);
    rows = output.rank > 0 ? output.dims[0] : 1;
    labels = mary_alloc((size_t)(rows + 1) * sizeof *labels);
    if (labels == NULL) {
        status = mary_fail_memory((size_t)rows * sizeof *labels);
        goto done;
    }
    MARY_TRY_GOTO(choose_targets(m, &output, labels, &loss), done);
    MARY_TRY_GOTO(mary_trainer_gradient(m->trainer, inputs, count, &loss, m->kind, NULL), done);
    m->samples += (double)rows;
    for (int p = 0; p < mary_trainer_parameter_count(m->trainer); p++) {
        mary_parameter parameter;
        MARY_TRY_GOTO(mary_trainer_parameter(m->trainer, p, &parameter), done);
        for (int64_t i = 0; m->sums[p] != NULL && i < parameter.count; i++)
            m->sums[p][i] += fmaxf(parameter.curvature[i], 0.0f) * (float)rows;
    }
done:
    mary_array_free(&output);
    mary_free(labels);
    return status;
}

/* A sum for each parameter that is a weight of one of the layers. */
static mary_status create_sums(measuring *m, const bool *wanted, const mary_layers *layers)
{
    int parameters = mary_trainer_parameter_count(m->trainer);
    m->sums = mary_calloc((size_t)parameters + 1, sizeof *m->sums);
    if (m->sums == NULL)
        return mary_fail_memory((size_t)parameters * sizeof *m->sums);
    for (int p = 0; p < parameters; p++) {
        mary_parameter parameter;
        bool asked = false;
        MARY_TRY(mary_trainer_parameter(m->trainer, p, &parameter));
        for (size_t i = 0; i < layers->count && !asked; i++)
            asked = wanted[i] && strcmp(layers->items[i].weight, parameter.name) == 0;
        if (!asked)
            continue;
        m->sums[p] = mary_calloc((size_t)parameter.count, sizeof **m->sums);
        if (m->sums[p] == NULL)
            return mary_fail_memory((size_t)parameter.count * sizeof **m->sums);
    }
    return MARY_OK;
}

/* A diagonal knows nothing of errors that add up, and samples are few: no weight is free. */
static void raise_rows(mary_layer *layer)
{
    int64_t length = layer->layout.row_length;
    double floor = floor_of(layer);
    for (int64_t r = 0; r < layer->layout.rows; r++) {
        float *row = layer->importance + r * length;
        double mean = 0;
        for (int64_t k = 0; k < length; k++)
            mean += (double)row[k] / (double)length;
        for (int64_t k = 0; k < length; k++)
            row[k] = (float)((double)row[k] + floor * mean);
    }
}

static mary_status give_to(const measuring *m, mary_layer *layer)
{
    int64_t count = layer->layout.rows * layer->layout.row_length;
    /* What Adam divides by in a long training (Choi, El-Khamy and Lee 2017): the root of the mean squared gradient. */
    const bool root = m->settings->importance == MARY_IMPORTANCE_ADAM;
    layer->importance = mary_calloc((size_t)count, sizeof *layer->importance);
    if (layer->importance == NULL)
        return mary_fail_memory((size_t)count * sizeof *layer->importance);
    for (int p = 0; p < mary_trainer_parameter_count(m->trainer); p++) {
        mary_parameter parameter;
        MARY_TRY(mary_trainer_parameter(m->trainer, p, &parameter));
        if (strcmp(layer->weight, parameter.name) != 0)
            continue;
        for (int64_t i = 0; i < count; i++) {
            const double mean = (double)m->sums[p][i] / m->samples;
            m->sums[p][i] = (float)(root ? sqrt(mean) : mean);
            if (!isfinite(m->sums[p][i]))
                return mary_fail(MARY_ERROR_INVALID, "the curvature of the loss by '%s' (node '%s') is not finite",
                                 layer->weight, layer->name);
        }
        mary_layout_to_rows(&layer->layout, m->sums[p], layer->importance);
        raise_rows(layer);
    }
    return MARY_OK;
}

mary_status mary_curvature_measure(const mary_model *model, const mary_settings *settings, const bool *wanted,
                                   mary_layers *layers)
{
    const bool gradients =
        settings->importance == MARY_IMPORTANCE_FISHER || settings->importance == MARY_IMPORTANCE_ADAM;
    measuring m = {.settings = settings, .kind = gradients ? MARY_CURVATURE_FISHER : MARY_CURVATURE_HESSIAN};
    mary_model *excerpt = NULL;
    mary_status status = MARY_OK;
    MARY_TRY_GOTO(choose_output(&m, model, &excerpt), done);
    MARY_TRY_GOTO(mary_calibration_session(excerpt, settings, false, &m.session), done);
    MARY_TRY_GOTO(mary_trainer_create(&excerpt, &(mary_trainer_options){.threads = settings->threads}, &m.trainer),
                  done);
    MARY_TRY_GOTO(create_sums(&m, wanted, layers), done);
    for (int64_t run = 0; run < settings->options->calibration->count; run++)
        MARY_TRY_GOTO(add_run(&m, run), done);
    for (size_t i = 0; i < layers->count; i++) {
        if (wanted[i])
            MARY_TRY_GOTO(give_to(&m, &layers->items[i]), done);
    }
done:
    for (int p = 0; m.sums != NULL && p < mary_trainer_parameter_count(m.trainer); p++)
        mary_free(m.sums[p]);
    mary_free(m.sums);
    mary_trainer_free(&m.trainer);
    mary_session_free(&m.session);
    mary_model_free(&excerpt);
    return status;
}
