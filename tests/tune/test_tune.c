/* mary_tune on a tiny network: what is pruned is zero, levels are few and have the right gradient, and neither threads
 * nor a kill change a bit. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tune/network.h"

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

/* A model that says nothing of use learns from one that does; pruning and levels do not undo it. */
START_TEST(a_teacher_is_learnt_from)
{
    mary_tune_options options = usual;
    mary_tune_result alone, taught, result;
    size_t size;
    mary_model *teacher = network(-1), *other = build_model(13);
    options.keep = 1;
    options.no_levels = true;
    assert_ok(mary_tune(&teacher, &data, &options, &result));
    ck_assert(result.after > 0.9);
    options.distil = true;
    mary_free(tuned(&options, &alone, &size)); /* from itself */
    options.teacher = teacher;
    mary_free(tuned(&options, &taught, &size));
    ck_assert_msg(taught.after > 0.9 && taught.after > alone.after, "right: %g by the teacher, %g by itself",
                  taught.after, alone.after);

    /* One whose output is larger: nothing is read behind what it says. */
    build_input(other->proto->graph, "x", MARY_FLOAT, SHAPE(-1, FEATURES));
    build_node(other->proto->graph, "Relu", "x", "y");
    build_output(other->proto->graph, "y", MARY_FLOAT, SHAPE(-1, FEATURES));
    options.teacher = other;
    mary_model *model = network(-1);
    assert_fails(mary_tune(&model, &data, &options, NULL), MARY_ERROR_INVALID, "targets for an output");
    mary_model_free(&teacher);
    mary_model_free(&other);
}
END_TEST

/* Labels that the model does not agree with are learnt by as much as they count. */
START_TEST(labels_take_part_in_what_the_model_says)
{
    mary_tune_options options = usual;
    mary_tune_result alone, mixed;
    size_t size;
    options.distil = true;
    options.keep = 0.6;
    mary_free(tuned(&options, &alone, &size));
    options.label_share = 0.8;
    mary_free(tuned(&options, &mixed, &size));
    ck_assert_msg(alone.after < 0.7 && mixed.after > 0.85, "right: %g without labels, %g with", alone.after,
                  mixed.after);
}
END_TEST

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

/* Two values besides zero are hard for a network that was not trained for them; one that saw them does better. */
START_TEST(coded_epochs_prepare_for_few_levels)
{
    double without = 0, with = 0;
    for (uint64_t seed = 0; seed < 6; seed++) {
        mary_tune_options options = usual;
        mary_tune_result result;
        size_t size;
        options.seed = seed;
        options.keep = 1;
        options.levels = 2;
        options.epochs = 14;
        options.level_epochs = 1;
        mary_free(tuned(&options, &result, &size));
        without += result.chosen / 6;
        options.coded_epochs = 5;
        mary_free(tuned(&options, &result, &size));
        with += result.chosen / 6;
    }
    ck_assert_msg(with > without + 0.03, "right as chosen: %g with coded epochs, %g without", with, without);
}
END_TEST

/* ---- the same bits ---- */

START_TEST(threads_do_not_change_a_bit)
{
    for (int distil = 0; distil < 2; distil++) {
        mary_tune_options options = usual;
        size_t size;
        options.distil = distil;
        options.relative = distil;
        options.coded_epochs = distil ? 2 : 0;
        options.method = distil ? "ecsq" : NULL;
        options.entropy = distil ? 1.5 : 0;
        options.warmup = distil ? 1.5 : 0;
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

static void check_killed_tuning(mary_tune_options options)
{
    char path[] = "/tmp/mary-tune-XXXXXX";
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

/* A checkpoint of `options` is refused where the model or the teacher is another. */
START_TEST(a_checkpoint_of_other_models_is_refused)
{
    char path[] = "/tmp/mary-tune-XXXXXX";
    mary_tune_options options = usual;
    mary_model *teacher = network(-1), *other = network(-1), *model = network(-1);
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
    unlink(path);
    Onnx__TensorProto *weights = other->proto->graph->initializer[0];
    ck_assert_ptr_nonnull(weights->raw_data.data);
    weights->raw_data.data[2] ^= 1;
    options.distil = true;
    options.teacher = teacher;
    options.checkpoint = path;
    options.resume = true;
    assert_ok(mary_tune(&model, &data, &options, NULL));
    mary_model_free(&model);
    model = network(-1);
    assert_ok(mary_tune(&model, &data, &options, NULL)); /* the same goes on */
    mary_model_free(&model);

    model = network(-1);
    options.teacher = other;
    assert_fails(mary_tune(&model, &data, &options, NULL), MARY_ERROR_USAGE, "other options, models or data");
    assert_ok(mary_model_copy(other, &model));
    options.teacher = teacher;
    assert_fails(mary_tune(&model, &data, &options, NULL), MARY_ERROR_USAGE, "other options, models or data");
    mary_model_free(&teacher);
    mary_model_free(&other);
    unlink(path);
}
END_TEST

START_TEST(a_killed_tuning_goes_on_to_the_same_bits)
{
    mary_tune_options options = usual;
    options.coded_epochs = 3;
    check_killed_tuning(options);
    options.per_model = true;
    check_killed_tuning(options);
    options.per_model = false;
    options.relative = true;
    options.method = "ecsq";
    options.entropy = 1.5;
    options.level_epochs = MARY_NO_EPOCHS;
    check_killed_tuning(options);
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
    refused((mary_tune_options){.method = "feedback"}, MARY_ERROR_USAGE, "feedback");
    refused((mary_tune_options){.method = "best"}, MARY_ERROR_USAGE, "best");
    refused((mary_tune_options){.importance = "much"}, MARY_ERROR_USAGE, "much");
    refused((mary_tune_options){.entropy = NAN}, MARY_ERROR_USAGE, "entropy");
    refused((mary_tune_options){.importance = "adam", .epochs = MARY_NO_EPOCHS}, MARY_ERROR_USAGE, "epochs before");
    refused((mary_tune_options){.epochs = -2}, MARY_ERROR_USAGE, "epochs");
    refused((mary_tune_options){.epochs = 2, .level_epochs = 3}, MARY_ERROR_USAGE, "levels");
    refused((mary_tune_options){.batch = -4}, MARY_ERROR_USAGE, "batch");
    refused((mary_tune_options){.rate = -1}, MARY_ERROR_USAGE, "rate");
    refused((mary_tune_options){.rate = INFINITY}, MARY_ERROR_USAGE, "rate");
    refused((mary_tune_options){.holdout = 1}, MARY_ERROR_USAGE, "held out");
    refused((mary_tune_options){.schedule = "linear"}, MARY_ERROR_USAGE, "linear");
    refused((mary_tune_options){.resume = true}, MARY_ERROR_USAGE, "checkpoint");
    refused((mary_tune_options){.augment.crop = 2}, MARY_ERROR_USAGE, "crop");
    refused((mary_tune_options){.labels = true, .augment.mixup = 0.5}, MARY_ERROR_USAGE, "no class");
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
    options.coded_epochs = 1;
    options.relative = true;
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
               without_labels_the_model_itself_is_what_is_learnt, a_teacher_is_learnt_from,
               labels_take_part_in_what_the_model_says, pruned_weights_stay_zero_whatever_the_optimiser_does,
               pruning_keeps_the_largest_of_every_layer,

               every_sample_is_trained_with_or_held_out, coded_epochs_prepare_for_few_levels,
               threads_do_not_change_a_bit, a_killed_tuning_goes_on_to_the_same_bits,
               a_checkpoint_of_other_models_is_refused, options_that_make_no_sense_are_refused,
               a_training_that_leaves_the_numbers_is_stopped, labels_that_are_no_class_are_refused,
               models_that_cannot_be_trained_are_refused, memory_that_runs_out_is_reported)
