/* mary_tune on a tiny network: what is pruned is zero, levels are few and have the right gradient, and neither threads
 * nor a kill change a bit. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "onnx/memory.h"
#include "tests/support/model_builder.h"
#include "tune/tune.h"

enum { SAMPLES = 400, FEATURES = 8, HIDDEN = 24, CLASSES = 3 };

static uint32_t state;

static float noise(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (float)(1 << 23) - 1;
}

/* The class is which of three features is the largest; the others say nothing. */
static mary_status sample(void *context, int64_t index, float *values, int64_t *label)
{
    (void)context;
    uint32_t before = state;
    state = (uint32_t)index * 2654435761u + 7;
    for (int k = 0; k < FEATURES; k++)
        values[k] = noise();
    *label = 0;
    for (int k = 1; k < CLASSES; k++)
        *label = values[k] > values[*label] ? k : *label;
    state = before;
    return MARY_OK;
}

static const mary_samples data = {.samples = SAMPLES, .rank = 1, .dims = {FEATURES}, .sample = sample};

static mary_model *network(int64_t batch)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    float w[FEATURES * HIDDEN];
    state = 1;
    for (int i = 0; i < FEATURES * HIDDEN; i++)
        w[i] = noise() * 0.4f;
    build_input(graph, "x", MARY_FLOAT, SHAPE(batch, FEATURES));
    build_floats(graph, "w1", SHAPE(FEATURES, HIDDEN), w);
    build_floats(graph, "b1", SHAPE(HIDDEN), w);
    build_floats(graph, "w2", SHAPE(HIDDEN, CLASSES), w + 11);
    build_floats(graph, "b2", SHAPE(CLASSES), w + 5);
    build_node(graph, "Gemm", "x,w1,b1", "h");
    build_node(graph, "Relu", "h", "r");
    build_node(graph, "Gemm", "r,w2,b2", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(batch, CLASSES));
    return model;
}

static const mary_tune_options usual = {
    .labels = true, .keep = 0.3, .levels = 4, .epochs = 12, .batch = 20, .rate = 0.01, .holdout = 0.25, .threads = 1};

/* The tuned model's file. */
static uint8_t *tuned(const mary_tune_options *options, mary_tune_result *result, size_t *size)
{
    mary_model *model = network(-1);
    assert_ok(mary_tune(&model, &data, options, result));
    uint8_t *bytes = build_bytes(model, size);
    mary_model_free(&model);
    return bytes;
}

static void assert_same_file(const mary_tune_options *options, const uint8_t *expected, size_t expected_size)
{
    size_t size;
    uint8_t *bytes = tuned(options, NULL, &size);
    ck_assert_uint_eq(size, expected_size);
    ck_assert_int_eq(memcmp(bytes, expected, size), 0);
    mary_free(bytes);
}

/* Distinct values of an initializer that are not zero, and how many elements are. */
static int distinct(const mary_model *model, const char *name, int64_t *kept)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    float seen[HIDDEN * FEATURES];
    int count = 0;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        if (strcmp(tensor->name, name) != 0)
            continue;
        for (size_t k = 0; k < tensor->raw_data.len / sizeof(float); k++) {
            float value;
            int at = 0;
            memcpy(&value, tensor->raw_data.data + k * sizeof value, sizeof value);
            *kept += value != 0;
            while (at < count && seen[at] != value)
                at++;
            if (value != 0 && at == count)
                seen[count++] = value;
        }
    }
    return count;
}

/* Epochs in order, in three phases; nothing comes back once pruning has ended. */
static void check_epoch(void *context, const mary_tune_epoch *epoch)
{
    int64_t *seen = context;
    const char *phase = epoch->epoch < 5 ? "prune" : epoch->epoch < 9 ? "train" : "levels";
    ck_assert_int_eq(epoch->epoch, (*seen)++);
    ck_assert_str_eq(epoch->phase, phase);
    ck_assert(epoch->accuracy >= 0 && epoch->accuracy <= 1 && isfinite(epoch->loss));
    if (epoch->epoch >= 5)
        ck_assert_msg(epoch->kept <= 0.3 + 1.0 / (HIDDEN * (FEATURES + CLASSES)), "epoch %lld: %g kept",
                      (long long)epoch->epoch, epoch->kept);
}

START_TEST(a_network_learns_with_few_weights_of_few_values)
{
    mary_model *model = network(-1);
    mary_tune_options options = usual;
    mary_tune_result result;
    int64_t kept = 0, epochs = 0;
    options.progress = check_epoch;
    options.progress_context = &epochs;
    assert_ok(mary_tune(&model, &data, &options, &result));
    ck_assert_int_eq(epochs, usual.epochs);
    ck_assert_int_eq(result.held_out, SAMPLES / 4);
    ck_assert_int_eq(result.samples, SAMPLES - SAMPLES / 4);
    ck_assert_int_eq(result.layers, 2);
    ck_assert_uint_eq(result.weights, HIDDEN * (FEATURES + CLASSES));
    ck_assert_msg(result.before < 0.6 && result.after > 0.9, "right: %g before, %g after", result.before, result.after);
    ck_assert_str_eq(model->proto->graph->node[0]->op_type, "MaryGemm");
    assert_ok(mary_dequantize(model));
    ck_assert_int_le(distinct(model, "w1", &kept), 4);
    ck_assert_int_le(distinct(model, "w2", &kept), 4);
    ck_assert_uint_eq(result.kept, (uint64_t)kept);
    ck_assert_uint_le(result.kept, (uint64_t)ceil(0.3 * (double)result.weights));
    mary_model_free(&model);
}
END_TEST

START_TEST(without_labels_the_model_itself_is_what_is_learnt)
{
    mary_tune_options options = usual;
    mary_tune_result result;
    size_t size;
    options.labels = false;
    options.keep = 0.6;
    mary_free(tuned(&options, &result, &size));
    ck_assert_msg(result.before > 0.999 && result.after > 0.85, "agreement: %g before, %g after", result.before,
                  result.after);
}
END_TEST

/* ---- the parts ---- */

typedef struct parts {
    mary_trainer *trainer;
    mary_tuned_layers layers;
    mary_array input;
    mary_loss loss;
    float x[32 * FEATURES];
    int64_t labels[32];
} parts;

static void make_parts(parts *p)
{
    mary_model *model = network(-1), *copy = network(-1);
    *p = (parts){.input = {.name = "x", .type = MARY_FLOAT, .rank = 2, .dims = {32, FEATURES}}};
    for (int64_t i = 0; i < 32; i++)
        assert_ok(sample(NULL, i, p->x + i * FEATURES, &p->labels[i]));
    p->input.data = p->x;
    p->input.bytes = sizeof p->x;
    p->loss.labels = p->labels;
    assert_ok(mary_trainer_create(&model, &(mary_trainer_options){.threads = 1}, &p->trainer));
    assert_ok(mary_tuned_layers_create(copy, p->trainer, &p->layers));
    mary_model_free(&copy);
}

static void free_parts(parts *p)
{
    mary_trainer_free(&p->trainer);
    mary_tuned_layers_free(&p->layers);
}

START_TEST(pruned_weights_stay_zero_whatever_the_optimiser_does)
{
    parts p;
    mary_optimiser *optimiser;
    make_parts(&p);
    assert_ok(mary_optimiser_create(p.trainer, NULL, &optimiser));
    for (int step = 0; step < 30; step++) {
        mary_model *model;
        int64_t kept = 0;
        if (step == 10) /* momentum goes on pushing what it pruned here */
            assert_ok(mary_tuned_prune(&p.layers, 0.25, false));
        assert_ok(mary_trainer_gradient(p.trainer, &p.input, 1, &p.loss, MARY_CURVATURE_NONE, NULL));
        for (int i = 0; i < p.layers.count; i++) {
            mary_parameter parameter;
            assert_ok(mary_trainer_parameter(p.trainer, p.layers.items[i].parameter, &parameter));
            for (int64_t k = 0; k < parameter.count; k++)
                ck_assert(p.layers.items[i].codes[k] != 0 || parameter.gradient[k] == 0);
        }
        assert_ok(mary_optimiser_step(optimiser, 0.05));
        assert_ok(mary_trainer_model(p.trainer, true, &model));
        distinct(model, "w1", &kept);
        distinct(model, "w2", &kept);
        if (step >= 10)
            ck_assert_int_eq(kept, HIDDEN * (FEATURES + CLASSES) / 4);
        mary_model_free(&model);
    }
    mary_tuned_clear(&p.layers);
    for (int i = 0; i < p.layers.count; i++) {
        for (int64_t k = 0; k < p.layers.items[i].count; k++)
            ck_assert((p.layers.items[i].values[k] != 0) == (p.layers.items[i].codes[k] != 0));
    }
    mary_optimiser_free(&optimiser);
    free_parts(&p);
}
END_TEST

START_TEST(pruning_keeps_the_largest_of_every_layer)
{
    for (int per_layer = 0; per_layer < 2; per_layer++) {
        parts p;
        make_parts(&p);
        assert_ok(mary_tuned_prune(&p.layers, 0.1, per_layer));
        int64_t all = 0;
        for (int i = 0; i < p.layers.count; i++) {
            const mary_tuned_layer *layer = &p.layers.items[i];
            int64_t kept = 0;
            double least = INFINITY, most = 0;
            mary_parameter before;
            mary_model *model = network(-1);
            mary_trainer *fresh;
            assert_ok(mary_trainer_create(&model, NULL, &fresh));
            assert_ok(mary_trainer_parameter(fresh, layer->parameter, &before));
            for (int64_t k = 0; k < layer->count; k++) {
                double size = fabs((double)before.values[k]);
                if (layer->codes[k] != 0)
                    least = fmin(least, size);
                else
                    most = fmax(most, size);
                kept += layer->codes[k] != 0;
            }
            ck_assert_msg(kept >= 1 && least >= most, "kept %lld, %g next to %g", (long long)kept, least, most);
            if (per_layer)
                ck_assert_int_eq(kept, (int64_t)ceil(0.1 * (double)layer->count));
            all += kept;
            mary_trainer_free(&fresh);
        }
        if (!per_layer)
            ck_assert_int_eq(all, (int64_t)ceil(0.1 * HIDDEN * (FEATURES + CLASSES)));
        free_parts(&p);
    }
}
END_TEST

/* The level's value in all its weights. */
static double loss_with(parts *p, const mary_tuned_layer *layer, int level, float value)
{
    mary_loss_result result;
    for (int64_t k = 0; k < layer->count; k++)
        layer->values[k] = layer->codes[k] == level ? value : layer->values[k];
    assert_ok(mary_trainer_loss(p->trainer, &p->input, 1, &p->loss, &result));
    return result.loss;
}

START_TEST(the_gradient_of_a_level_is_that_of_the_loss)
{
    parts p;
    make_parts(&p);
    assert_ok(mary_tuned_prune(&p.layers, 0.5, false));
    assert_ok(mary_tuned_choose_levels(&p.layers, 5, NULL));
    assert_ok(mary_tuned_read_levels(&p.layers));
    for (int i = 0; i < p.layers.count; i++) {
        const mary_tuned_layer *layer = &p.layers.items[i];
        mary_parameter parameter;
        double gradients[256] = {0};
        ck_assert_int_eq(layer->levels, 5);
        assert_ok(mary_trainer_gradient(p.trainer, &p.input, 1, &p.loss, MARY_CURVATURE_NONE, NULL));
        assert_ok(mary_trainer_parameter(p.trainer, layer->parameter, &parameter));
        for (int64_t k = 0; k < layer->count; k++) {
            ck_assert(layer->codes[k] != 0 || parameter.gradient[k] == 0);
            gradients[layer->codes[k]] = parameter.gradient[k];
        }
        for (int level = 1; level <= 5; level++) {
            const float step = 1e-3f;
            float value = 0;
            for (int64_t k = 0; k < layer->count; k++)
                value = layer->codes[k] == level ? layer->values[k] : value;
            float above = value + step, below = value - step;
            double slope = (loss_with(&p, layer, level, above) - loss_with(&p, layer, level, below)) /
                           ((double)above - (double)below);
            loss_with(&p, layer, level, value);
            ck_assert_msg(fabs(slope - gradients[level]) < 2e-3 * (1 + fabs(slope)),
                          "layer %d, level %d: gradient %g, slope %g", i, level, gradients[level], slope);
        }
    }
    free_parts(&p);
}
END_TEST

START_TEST(levels_weigh_weights_by_their_importance)
{
    parts p;
    make_parts(&p);
    mary_tuned_layer *layer = &p.layers.items[0];
    float importance[HIDDEN * FEATURES];
    const float *const list[] = {importance, NULL};
    for (int64_t k = 0; k < layer->count; k++)
        importance[k] = k == 17 ? 1e6f : 1.0f;
    const float wanted = layer->values[17];
    assert_ok(mary_tuned_choose_levels(&p.layers, 2, list));
    ck_assert_float_eq_tol(layer->values[17], wanted, 1e-3f);
    free_parts(&p);
}
END_TEST

START_TEST(every_sample_is_trained_with_or_held_out)
{
    for (int64_t samples = 1; samples < 60; samples++) {
        for (int part = 0; part < 10; part++) {
            const mary_samples some = {.samples = samples, .sample = sample};
            mary_split split;
            int seen[60] = {0};
            assert_ok(mary_split_create(&some, part / 10.0, &split));
            for (int64_t i = 0; i < split.held_out; i++)
                seen[mary_split_held_out(&split, i)]++;
            for (int64_t i = 0; i < split.training.samples; i++)
                seen[mary_split_training(&split, i)]++;
            for (int64_t i = 0; i < samples; i++)
                ck_assert_int_eq(seen[i], 1);
        }
    }
}
END_TEST

/* ---- the same bits ---- */

START_TEST(threads_do_not_change_a_bit)
{
    for (int distil = 0; distil < 2; distil++) {
        mary_tune_options options = usual;
        size_t size;
        options.distil = distil;
        uint8_t *bytes = tuned(&options, NULL, &size);
        for (options.threads = 2; options.threads < 5; options.threads++)
            assert_same_file(&options, bytes, size);
        mary_free(bytes);
    }
}
END_TEST

static void die_after(void *context, const mary_tune_epoch *epoch)
{
    if (epoch->epoch == *(const int64_t *)context)
        raise(SIGKILL);
}

START_TEST(a_killed_tuning_goes_on_to_the_same_bits)
{
    char path[] = "/tmp/mary-tune-XXXXXX";
    mary_tune_options options = usual;
    size_t size;
    uint8_t *bytes = tuned(&options, NULL, &size);
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
    options.checkpoint = path;
    options.resume = true;
    for (int64_t last = 0; last < options.epochs; last++) {
        unlink(path); /* it then starts from the beginning */
        pid_t child = fork();
        if (child == 0) {
            mary_model *model = network(-1);
            options.progress = die_after;
            options.progress_context = &last;
            mary_tune(&model, &data, &options, NULL);
            _exit(0);
        }
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_same_file(&options, bytes, size);
    }
    options.keep = 0.2;
    mary_model *model = network(-1);
    assert_fails(mary_tune(&model, &data, &options, NULL), MARY_ERROR_USAGE, "other options");
    ck_assert_ptr_null(model);
    unlink(path);
    mary_free(bytes);
}
END_TEST

/* ---- what is refused ---- */

static void refused(mary_tune_options options, mary_status status, const char *said)
{
    mary_model *model = network(-1);
    assert_fails(mary_tune(&model, &data, &options, NULL), status, said);
    ck_assert_ptr_null(model);
}

START_TEST(options_that_make_no_sense_are_refused)
{
    refused((mary_tune_options){.keep = -0.1}, MARY_ERROR_USAGE, "to keep");
    refused((mary_tune_options){.keep = 1.5}, MARY_ERROR_USAGE, "to keep");
    refused((mary_tune_options){.keep = NAN}, MARY_ERROR_USAGE, "to keep");
    refused((mary_tune_options){.levels = 256}, MARY_ERROR_USAGE, "255");
    refused((mary_tune_options){.epochs = -1}, MARY_ERROR_USAGE, "epochs");
    refused((mary_tune_options){.epochs = 2, .level_epochs = 3}, MARY_ERROR_USAGE, "levels");
    refused((mary_tune_options){.batch = -4}, MARY_ERROR_USAGE, "batch");
    refused((mary_tune_options){.rate = -1}, MARY_ERROR_USAGE, "rate");
    refused((mary_tune_options){.rate = INFINITY}, MARY_ERROR_USAGE, "rate");
    refused((mary_tune_options){.holdout = 1}, MARY_ERROR_USAGE, "held out");
    refused((mary_tune_options){.schedule = "linear"}, MARY_ERROR_USAGE, "linear");
    refused((mary_tune_options){.resume = true}, MARY_ERROR_USAGE, "checkpoint");
    refused((mary_tune_options){.crop = 2}, MARY_ERROR_USAGE, "crop");
    refused((mary_tune_options){.output = "nothing", .labels = true}, MARY_ERROR_USAGE, "nothing");
    refused((mary_tune_options){.level_rate = 1e7}, MARY_ERROR_USAGE, "rate of the levels");
}
END_TEST

static mary_status infinite_sample(void *context, int64_t index, float *values, int64_t *label)
{
    assert_ok(sample(context, index, values, label));
    values[3] = index == 33 ? INFINITY : values[3];
    return MARY_OK;
}

START_TEST(a_training_that_leaves_the_numbers_is_stopped)
{
    mary_samples infinite = data;
    mary_model *model = network(-1);
    infinite.sample = infinite_sample;
    assert_fails(mary_tune(&model, &infinite, &usual, NULL), MARY_ERROR_INVALID, "the loss is");
}
END_TEST

static mary_status ninth_class(void *context, int64_t index, float *values, int64_t *label)
{
    assert_ok(sample(context, index, values, label));
    *label = index == 33 ? 9 : *label;
    return MARY_OK;
}

START_TEST(labels_that_are_no_class_are_refused)
{
    mary_samples wrong = data;
    mary_model *model = network(-1);
    wrong.sample = ninth_class;
    assert_fails(mary_tune(&model, &wrong, &usual, NULL), MARY_ERROR_INVALID, "9");
}
END_TEST

START_TEST(models_that_cannot_be_trained_are_refused)
{
    mary_model *model = network(16);
    assert_fails(mary_tune(&model, &data, &usual, NULL), MARY_ERROR_UNSUPPORTED, "fixed batch");
    model = network(-1);
    mary_samples other = data;
    other.dims[0] = FEATURES + 1;
    assert_fails(mary_tune(&model, &other, &usual, NULL), MARY_ERROR_INVALID, "shape");
    model = build_model(13);
    build_input(model->proto->graph, "x", MARY_FLOAT, SHAPE(-1, FEATURES));
    build_node(model->proto->graph, "Relu", "x", "y");
    build_output(model->proto->graph, "y", MARY_FLOAT, SHAPE(-1, FEATURES));
    assert_fails(mary_tune(&model, &data, &usual, NULL), MARY_ERROR_UNSUPPORTED, "float constant");
}
END_TEST

START_TEST(memory_that_runs_out_is_reported)
{
    mary_tune_options options = usual;
    options.epochs = 2;
    options.distil = true;
    for (int64_t n = 0;; n += 1 + n / 10) {
        mary_model *model = network(-1);
        mary_memory_fail_after(n);
        mary_status status = mary_tune(&model, &data, &options, NULL);
        mary_memory_fail_after(-1);
        ck_assert((model != NULL) == (status == MARY_OK));
        mary_model_free(&model);
        if (status == MARY_OK)
            return;
        ck_assert_msg(status == MARY_ERROR_INTERNAL, "allocation %lld: status %d: %s", (long long)n, (int)status,
                      mary_error_message());
    }
}
END_TEST

MARY_TEST_MAIN("tune/tune", a_network_learns_with_few_weights_of_few_values,
               without_labels_the_model_itself_is_what_is_learnt, pruned_weights_stay_zero_whatever_the_optimiser_does,
               pruning_keeps_the_largest_of_every_layer, the_gradient_of_a_level_is_that_of_the_loss,
               levels_weigh_weights_by_their_importance, every_sample_is_trained_with_or_held_out,
               threads_do_not_change_a_bit, a_killed_tuning_goes_on_to_the_same_bits,
               options_that_make_no_sense_are_refused, a_training_that_leaves_the_numbers_is_stopped,
               labels_that_are_no_class_are_refused, models_that_cannot_be_trained_are_refused,
               memory_that_runs_out_is_reported)
