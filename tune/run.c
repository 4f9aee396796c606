#include "tune/run.h"

#include <math.h>
#include <string.h>

#include "onnx/edit.h"
#include "runtime/shapes.h"
#include "tune/settings.h"

/* Masks are made anew so many times in an epoch that prunes, and codes in one that trains coded weights. */
enum { INTERVALS = 8 };

/* ---- life ---- */

/* The model's one input, which samples must fit. */
static mary_status find_input(mary_tuning *t, const mary_model *model)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    const mary_samples *samples = &t->split.all;
    mary_type type;
    mary_shape shape = {0}, sample = {.rank = samples->rank};
    if (graph->n_input != 1)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "the model has %zu inputs; one can be trained with", graph->n_input);
    MARY_TRY(mary_port_describe(graph->input[0], &type, &shape));
    if (type != MARY_FLOAT)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "input '%s' is %s, not float", graph->input[0]->name,
                         mary_type_name(type));
    if (shape.rank > 0 && shape.dims[0] >= 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED,
                         "input '%s' has a fixed batch of %lld; its first dimension must be free",
                         graph->input[0]->name, (long long)shape.dims[0]);
    if (samples->rank < 0 || samples->rank + 1 > MARY_MAX_RANK)
        return mary_fail(MARY_ERROR_USAGE, "samples of rank %d", samples->rank);
    memcpy(sample.dims, samples->dims, sizeof sample.dims[0] * (size_t)samples->rank);
    MARY_TRY(mary_shape_check(&sample, "sample"));
    for (int i = 0; shape.rank >= 0 && i < samples->rank; i++) {
        if (shape.rank != samples->rank + 1 || (shape.dims[i + 1] >= 0 && shape.dims[i + 1] != sample.dims[i]))
            return mary_fail(MARY_ERROR_INVALID, "samples do not have the shape that input '%s' takes",
                             graph->input[0]->name);
    }
    t->count = mary_shape_count(&sample);
    t->input = mary_strdup(graph->input[0]->name);
    return t->input != NULL ? MARY_OK : mary_fail_memory(1);
}

static mary_status create_teacher(mary_tuning *t, const mary_model *model)
{
    const char *wanted = t->options.output;
    mary_model *copy = NULL;
    if (t->options.labels && !t->options.distil)
        return MARY_OK;
    MARY_TRY(mary_model_copy(t->options.teacher != NULL ? t->options.teacher : model, &copy));
    MARY_TRY(mary_session_create(&copy, &(mary_session_options){.threads = t->options.threads}, &t->teacher));
    for (int i = 0; wanted != NULL && i < mary_session_output_count(t->teacher); i++) {
        mary_array output;
        MARY_TRY(mary_session_output(t->teacher, i, &output));
        if (strcmp(output.name, wanted) == 0)
            t->teacher_output = i;
    }
    return MARY_OK; /* a name that the model does not have is the trainer's to report; a teacher may name its own */
}

static mary_status training_sample(void *context, int64_t index, float *values, int64_t *label)
{
    const mary_split *split = context;
    return split->all.sample(split->all.context, mary_split_training(split, index), values, label);
}

static mary_status create_batches(mary_tuning *t)
{
    const mary_tune_options *o = &t->options;
    const mary_batch_options batches = {.batch = o->batch,
                                        .shuffle = true,
                                        .drop_last = t->split.training.samples >= o->batch,
                                        .seed = o->seed,
                                        .augment = o->augment};
    size_t bytes;
    t->split.training.context = &t->split;
    t->split.training.sample = training_sample;
    MARY_TRY(mary_batches_create(&t->split.training, &batches, &t->batches));
    t->steps = mary_batches_count(t->batches);
    if (!mary_size_mul((size_t)o->batch, (size_t)t->count * sizeof(float), &bytes))
        return mary_fail_memory(SIZE_MAX);
    t->values = mary_alloc_aligned(bytes);
    t->labels = mary_alloc((size_t)o->batch * sizeof *t->labels);
    return t->values != NULL && t->labels != NULL ? MARY_OK : mary_fail_memory(bytes);
}

/* What codes take whose part `keep` has the options' entropy, the rest being zero. */
static double budget_of(const mary_tuning *t)
{
    const double all = (double)mary_tuned_weights(&t->layers);
    const double kept = fmin(ceil(t->options.keep * all), (double)mary_tuned_kept(&t->layers)), zero = all - kept;
    if (t->options.entropy == 0 || t->options.coded_epochs == 0)
        return 0;
    return kept * t->options.entropy + (kept > 0 ? kept * log2(all / kept) : 0) +
           (zero > 0 ? zero * log2(all / zero) : 0);
}

mary_status mary_tuning_create(mary_tuning *t, mary_model **model)
{
    const mary_tune_options *o = &t->options;
    mary_model *copy = NULL;
    mary_status status = MARY_OK;
    t->level_start = o->epochs - o->level_epochs;
    t->coded_start = t->level_start - o->coded_epochs;
    t->prune_epochs = o->keep < 1 ? (t->coded_start + 1) / 2 : 0;
    MARY_TRY(find_input(t, *model));
    MARY_TRY(create_teacher(t, *model));
    MARY_TRY(create_batches(t));
    MARY_TRY(mary_model_copy(*model, &copy));
    const mary_trainer_options trainer = {.threads = o->threads, .output = o->output};
    MARY_TRY_GOTO(mary_trainer_create(model, &trainer, &t->trainer), done);
    MARY_TRY_GOTO(mary_tuned_layers_create(copy, t->trainer, &t->layers), done);
    if (o->coded_epochs > 0)
        status = mary_tuned_codings_create(&t->layers, t->trainer, o->levels, o->per_model);
    t->budget = budget_of(t);
done:
    mary_model_free(&copy);
    return status;
}

void mary_tuning_free(mary_tuning *t)
{
    mary_optimiser_free(&t->optimiser);
    mary_trainer_free(&t->trainer);
    mary_session_free(&t->teacher);
    mary_batches_free(&t->batches);
    mary_tuned_layers_free(&t->layers);
    mary_free(t->input);
    mary_free(t->values);
    mary_free(t->labels);
}

/* ---- one batch ---- */

static mary_array input_of(const mary_tuning *t, int64_t size)
{
    const mary_samples *samples = &t->split.all;
    mary_array input = {.name = t->input,
                        .type = MARY_FLOAT,
                        .rank = samples->rank + 1,
                        .dims = {size},
                        .data = t->values,
                        .bytes = (size_t)(size * t->count) * sizeof(float)};
    memcpy(input.dims + 1, samples->dims, sizeof input.dims[0] * (size_t)samples->rank);
    return input;
}

/* What the teacher says of a batch: logits, to be freed. */
static mary_status ask_teacher(const mary_tuning *t, const mary_array *batch, mary_array *logits)
{
    const int count = mary_session_output_count(t->teacher);
    mary_array input = *batch, its;
    MARY_TRY(mary_session_input(t->teacher, 0, &its));
    input.name = its.name; /* a model of its own may call it otherwise */
    mary_array *outputs = mary_calloc((size_t)count, sizeof *outputs);
    if (outputs == NULL)
        return mary_fail_memory((size_t)count * sizeof *outputs);
    mary_status status = mary_session_run(t->teacher, &input, 1, outputs, count);
    if (status == MARY_OK) {
        *logits = outputs[t->teacher_output];
        outputs[t->teacher_output] = (mary_array){0};
        for (int i = 0; i < count; i++)
            mary_array_free(&outputs[i]);
        if (logits->type != MARY_FLOAT)
            status = mary_fail(MARY_ERROR_UNSUPPORTED, "output '%s' is not float", logits->name);
    }
    mary_free(outputs);
    return status == MARY_OK || t->options.teacher == NULL ? status : mary_fail_context(status, "the teacher");
}

/* softmax(logits / T) becomes (1 - share) of itself and share of the true class: rows [positions, classes] of an output
 * [N, classes]. */
static mary_status mix_in_labels(const mary_tuning *t, int64_t size, mary_array *logits)
{
    const double share = t->options.label_share, temperature = t->options.temperature;
    const int64_t classes = logits->rank == 2 ? logits->dims[1] : 0;
    if (classes < 1 || logits->dims[0] != size)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "a share of the labels needs an output [N, classes]");
    for (int64_t n = 0; n < size; n++) {
        float *row = (float *)logits->data + n * classes;
        double most = -INFINITY, sum = 0;
        if (t->labels[n] < 0 || t->labels[n] >= classes)
            return mary_fail(MARY_ERROR_INVALID, "the label %lld is no class of %lld", (long long)t->labels[n],
                             (long long)classes);
        for (int64_t c = 0; c < classes; c++)
            most = fmax(most, (double)row[c]);
        for (int64_t c = 0; c < classes; c++)
            sum += exp(((double)row[c] - most) / temperature);
        for (int64_t c = 0; c < classes; c++) {
            double part = (1 - share) * exp(((double)row[c] - most) / temperature) / sum;
            row[c] = (float)(temperature * log(fmax(part + (c == t->labels[n] ? share : 0), 1e-30)));
        }
    }
    return MARY_OK;
}

typedef enum pass_kind { LOSS_ONLY, GRADIENT } pass_kind;

/* Loss of the batch in t->values and t->labels, with gradients or without. */
static mary_status pass(mary_tuning *t, int64_t size, bool teach, pass_kind kind, mary_curvature curvature,
                        mary_loss_result *result)
{
    const mary_array input = input_of(t, size);
    mary_array logits = {0};
    mary_loss loss = {.kind = MARY_LOSS_CROSS_ENTROPY, .labels = t->labels};
    mary_status status = MARY_OK;
    if (teach) {
        MARY_TRY_GOTO(ask_teacher(t, &input, &logits), done);
        if (kind == GRADIENT && t->options.label_share > 0)
            MARY_TRY_GOTO(mix_in_labels(t, size, &logits), done);
        loss = (mary_loss){.kind = MARY_LOSS_DIVERGENCE,
                           .targets = logits.data,
                           .temperature = (float)t->options.temperature,
                           .target_count = (int64_t)(logits.bytes / sizeof(float))};
    }
    status = kind == GRADIENT ? mary_trainer_gradient(t->trainer, &input, 1, &loss, curvature, result)
                              : mary_trainer_loss(t->trainer, &input, 1, &loss, result);
done:
    mary_array_free(&logits);
    return status;
}

mary_status mary_tuning_pass(mary_tuning *t, int64_t size, mary_curvature curvature, mary_loss_result *result)
{
    return pass(t, size, t->teacher != NULL, GRADIENT, curvature, result);
}

/* ---- epochs ---- */

/* Fast first, when many weights do little (Zhu and Gupta, To prune, or not to prune, 2017). */
static mary_status prune_further(mary_tuning *t, int64_t step)
{
    const double left = 1 - (double)step / (double)(t->prune_epochs * t->steps);
    const double keep = t->options.keep + (1 - t->options.keep) * left * left * left;
    return mary_tuned_prune(&t->layers, keep, t->options.per_layer);
}

mary_tuned_choice mary_tuning_choice(const mary_tuning *t, float *const *importance)
{
    const mary_tune_options *o = &t->options;
    return (mary_tuned_choice){.method = mary_quantize_method_find(o->method),
                               .levels = o->levels,
                               .shared = o->per_model,
                               .entropy = t->budget > 0 ? 0 : o->entropy,
                               .importance = importance};
}

mary_status mary_tuning_epoch(mary_tuning *t, int64_t epoch, mary_tune_epoch *done)
{
    const mary_tune_options *o = &t->options;
    const bool levels = epoch >= t->level_start, coded = !levels && epoch >= t->coded_start;
    const int64_t first = levels ? t->level_start : coded ? t->coded_start : 0;
    const int64_t last = levels ? o->epochs : coded ? t->level_start : t->coded_start;
    const double rate = levels ? o->level_rate : coded ? o->coded_rate : o->rate;
    const int64_t interval = t->steps / INTERVALS < 1 ? 1 : t->steps / INTERVALS;
    mary_schedule schedule;
    double sum = 0;
    int64_t seen = 0;
    MARY_TRY(mary_tune_schedule(o, rate, last - first, t->steps, &schedule));
    for (int64_t number = 0; number < t->steps; number++) {
        const int64_t step = (epoch - first) * t->steps + number;
        int64_t size;
        mary_loss_result result;
        if (epoch < t->prune_epochs && number % interval == 0)
            MARY_TRY(prune_further(t, step));
        if (coded && number % interval == 0) {
            MARY_TRY(mary_tuning_update_worth(t));
            MARY_TRY(mary_tuned_code(&t->layers, t->budget));
        }
        MARY_TRY(mary_batches_read(t->batches, epoch, number, t->values, t->labels, NULL, &size));
        MARY_TRY(mary_tuning_pass(t, size, MARY_CURVATURE_NONE, &result));
        if (!isfinite(result.loss))
            return mary_fail(MARY_ERROR_INVALID, "the loss is %g in epoch %lld: a smaller rate may help", result.loss,
                             (long long)epoch);
        if (levels && o->per_model)
            MARY_TRY(mary_tuned_share_gradients(&t->layers, t->trainer));
        MARY_TRY(mary_schedule_rate(&schedule, step, &done->rate));
        MARY_TRY(mary_optimiser_step(t->optimiser, done->rate));
        sum += result.loss * (double)size;
        seen += size;
    }
    done->loss = sum / (double)seen;
    return MARY_OK;
}

mary_status mary_tuning_accuracy(mary_tuning *t, double *accuracy)
{
    const mary_samples *all = &t->split.all;
    int64_t correct = 0, positions = 0;
    for (int64_t begin = 0; begin < t->split.held_out; begin += t->options.batch) {
        mary_loss_result result;
        int64_t size = t->split.held_out - begin < t->options.batch ? t->split.held_out - begin : t->options.batch;
        for (int64_t i = 0; i < size; i++)
            MARY_TRY(all->sample(all->context, mary_split_held_out(&t->split, begin + i), t->values + i * t->count,
                                 &t->labels[i]));
        MARY_TRY(pass(t, size, !t->options.labels, LOSS_ONLY, MARY_CURVATURE_NONE, &result));
        correct += result.correct;
        positions += result.samples;
    }
    if (positions > 0)
        *accuracy = (double)correct / (double)positions;
    return MARY_OK;
}
