/* Checkpoints: a training that was killed goes on bit for bit; what is damaged or of another model is refused. */
#include "mary_train.h"
#include "tests/support/model_builder.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "onnx/memory.h"

enum { SAMPLES = 20, FEATURES = 6, CLASSES = 3, BATCH = 8, STEPS = 14 };

static mary_status sample(void *context, int64_t index, float *values, int64_t *label)
{
    (void)context;
    for (int64_t k = 0; k < FEATURES; k++)
        values[k] = (float)((index * 31 + k * 17) % 23) / 11.0f - 1;
    *label = index % CLASSES;
    return MARY_OK;
}

typedef struct training {
    mary_trainer *trainer;
    mary_optimiser *optimiser;
    mary_batches *batches;
    mary_training_place progress;
} training;

static mary_model *network(int64_t hidden)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    float w[200];
    for (int i = 0; i < 200; i++)
        w[i] = (float)((i * 37) % 41) / 41.0f - 0.5f;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, FEATURES));
    build_floats(graph, "w1", SHAPE(FEATURES, hidden), w);
    build_floats(graph, "b1", SHAPE(hidden), w + 7);
    build_floats(graph, "w2", SHAPE(hidden, CLASSES), w + 11);
    build_node(graph, "MatMul", "x,w1", "m1");
    build_node(graph, "Add", "m1,b1", "a1");
    build_node(graph, "Tanh", "a1", "t1");
    build_node(graph, "MatMul", "t1,w2", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, CLASSES));
    return model;
}

static training start(const char *method)
{
    const mary_samples source = {.samples = SAMPLES, .rank = 1, .dims = {FEATURES}, .sample = sample};
    training t = {.progress.seed = 5};
    mary_model *model = network(9);
    assert_ok(mary_trainer_create(&model, &(mary_trainer_options){.threads = 1}, &t.trainer));
    assert_ok(
        mary_optimiser_create(t.trainer, &(mary_optimiser_options){.method = method, .momentum = 0.9}, &t.optimiser));
    assert_ok(mary_batches_create(
        &source, &(mary_batch_options){.batch = BATCH, .shuffle = true, .seed = t.progress.seed}, &t.batches));
    return t;
}

static void stop(training *t)
{
    mary_batches_free(&t->batches);
    mary_optimiser_free(&t->optimiser);
    mary_trainer_free(&t->trainer);
}

static void step(training *t)
{
    float x[BATCH * FEATURES];
    int64_t labels[BATCH], count;
    assert_ok(mary_batches_read(t->batches, t->progress.epoch, t->progress.batch, x, labels, NULL, &count));
    const mary_array input = {.name = "x",
                              .type = MARY_FLOAT,
                              .rank = 2,
                              .dims = {count, FEATURES},
                              .data = x,
                              .bytes = sizeof(float) * (size_t)(count * FEATURES)};
    const mary_loss loss = {.labels = labels};
    assert_ok(mary_trainer_gradient(t->trainer, &input, 1, &loss, MARY_CURVATURE_NONE, NULL));
    assert_ok(mary_optimiser_step(t->optimiser, 0.01));
    t->progress.step++;
    if (++t->progress.batch == mary_batches_count(t->batches)) {
        t->progress.batch = 0;
        t->progress.epoch++;
    }
}

/* Twenty samples can be learnt by heart. */
START_TEST(training_learns)
{
    static const struct {
        const char *method;
        double rate;
    } ways[] = {{"sgd", 0.1}, {"adam", 0.02}, {"amsgrad", 0.02}};
    for (int k = 0; k < 3; k++) {
        training t = start(ways[k].method);
        float x[SAMPLES * FEATURES];
        int64_t labels[SAMPLES];
        mary_loss_result result;
        for (int64_t i = 0; i < SAMPLES; i++)
            assert_ok(sample(NULL, i, x + i * FEATURES, &labels[i]));
        const mary_array input = {
            .name = "x", .type = MARY_FLOAT, .rank = 2, .dims = {SAMPLES, FEATURES}, .data = x, .bytes = sizeof x};
        const mary_loss loss = {.labels = labels};
        for (int i = 0; i < 1500; i++) {
            assert_ok(mary_trainer_gradient(t.trainer, &input, 1, &loss, MARY_CURVATURE_NONE, &result));
            assert_ok(mary_optimiser_step(t.optimiser, ways[k].rate));
        }
        ck_assert_msg(result.correct == SAMPLES && result.loss < 0.1, "%s: loss %g, %lld right", ways[k].method,
                      result.loss, (long long)result.correct);
        stop(&t);
    }
}
END_TEST

static void assert_same(const training *a, const training *b)
{
    ck_assert_int_eq(a->progress.step, b->progress.step);
    for (int i = 0; i < mary_trainer_parameter_count(a->trainer); i++) {
        mary_parameter p, q;
        assert_ok(mary_trainer_parameter(a->trainer, i, &p));
        assert_ok(mary_trainer_parameter(b->trainer, i, &q));
        ck_assert_msg(memcmp(p.values, q.values, sizeof(float) * (size_t)p.count) == 0, "%s differs", p.name);
    }
}

static void temporary(char path[64])
{
    strcpy(path, "/tmp/mary-checkpoint-XXXXXX");
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
}

START_TEST(a_killed_training_goes_on_bit_for_bit)
{
    static const char *const methods[] = {"sgd", "adam", "amsgrad"};
    for (int k = 0; k < 3; k++) {
        char path[64];
        temporary(path);
        training straight = start(methods[k]);
        for (int i = 0; i < STEPS; i++)
            step(&straight);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) { /* trains for ever, a checkpoint after every step */
            training t = start(methods[k]);
            for (;;) {
                if (t.progress.step < STEPS)
                    step(&t);
                if (mary_checkpoint_save(path, t.trainer, t.optimiser, &t.progress) != MARY_OK)
                    _exit(1);
            }
        }
        training again = start(methods[k]);
        while (again.progress.step < 3) /* whatever is there is whole, and never older than what was */
            (void)mary_checkpoint_load(path, again.trainer, again.optimiser, &again.progress);
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        assert_ok(mary_checkpoint_load(path, again.trainer, again.optimiser, &again.progress));
        while (again.progress.step < STEPS)
            step(&again);
        assert_same(&straight, &again);
        stop(&straight);
        stop(&again);
        remove(path);
        char command[128]; /* what the killed one left half written */
        snprintf(command, sizeof command, "rm -f %s*", path);
        ck_assert_int_eq(system(command), 0);
    }
}
END_TEST

static void write_bytes(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

START_TEST(damaged_checkpoints_are_refused_and_change_nothing)
{
    char path[64];
    uint8_t bytes[8192];
    temporary(path);
    training t = start("adam"), fresh = start("adam");
    step(&t);
    assert_ok(mary_checkpoint_save(path, t.trainer, t.optimiser, &t.progress));
    FILE *file = fopen(path, "rb");
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    ck_assert(size > 1000 && size < sizeof bytes);
    mary_training_place progress;
    for (size_t at = 0; at < size; at += 7) {
        bytes[at] ^= 0x40;
        write_bytes(path, bytes, size);
        ck_assert_int_eq(mary_checkpoint_load(path, fresh.trainer, fresh.optimiser, &progress), MARY_ERROR_INVALID);
        bytes[at] ^= 0x40;
        write_bytes(path, bytes, at);
        ck_assert_int_eq(mary_checkpoint_load(path, fresh.trainer, fresh.optimiser, &progress), MARY_ERROR_INVALID);
    }
    training untouched = start("adam");
    assert_same(&untouched, &fresh);
    write_bytes(path, bytes, size);
    training other = start("sgd");
    assert_fails(mary_checkpoint_load(path, other.trainer, other.optimiser, &progress), MARY_ERROR_INVALID,
                 "the optimiser is 'adam', 'sgd' was expected");
    mary_model *model = network(8);
    mary_trainer *narrow = NULL;
    mary_optimiser *adam = NULL;
    assert_ok(mary_trainer_create(&model, NULL, &narrow));
    assert_ok(mary_optimiser_create(narrow, NULL, &adam));
    assert_fails(mary_checkpoint_load(path, narrow, adam, &progress), MARY_ERROR_INVALID, "was expected");
    mary_optimiser_free(&adam);
    mary_trainer_free(&narrow);
    assert_ok(mary_checkpoint_load(path, fresh.trainer, fresh.optimiser, &fresh.progress));
    assert_same(&t, &fresh);
    assert_fails(mary_checkpoint_load("/nonexistent/x", t.trainer, t.optimiser, &progress), MARY_ERROR_INVALID,
                 "/nonexistent/x");
    assert_fails(mary_checkpoint_save("/nonexistent/x", t.trainer, t.optimiser, &progress), MARY_ERROR_WRITE,
                 "/nonexistent/x");
    stop(&t);
    stop(&fresh);
    stop(&untouched);
    stop(&other);
    remove(path);
}
END_TEST

MARY_TEST_MAIN("train/checkpoint", training_learns, a_killed_training_goes_on_bit_for_bit,
               damaged_checkpoints_are_refused_and_change_nothing)
