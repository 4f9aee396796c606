/* `mary tune` from outside. */
#include <jansson.h>

#include "onnx/memory.h"
#include "tests/cli/command.h"
#include "tests/support/model_builder.h"

enum { SAMPLES = 240, FEATURES = 6, HIDDEN = 64, CLASSES = 3 };

static void save_network(const char *name, const char *first)
{
    float w[FEATURES * HIDDEN];
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    for (int i = 0; i < FEATURES * HIDDEN; i++)
        w[i] = (float)((i * 37) % 101) / 101.0f - 0.5f;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, FEATURES));
    build_floats(graph, "w1", SHAPE(FEATURES, HIDDEN), w);
    build_floats(graph, "w2", SHAPE(HIDDEN, CLASSES), w + 11);
    build_node(graph, first, "x,w1", "h");
    build_node(graph, "Relu", "h", "r");
    build_node(graph, "Gemm", "r,w2", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, CLASSES));
    assert_ok(mary_model_save(model, path_of(name)));
    mary_model_free(&model);
}

/* A network, and samples whose class is the largest of three features. */
static void prepare(void)
{
    float x[SAMPLES * FEATURES];
    int64_t y[SAMPLES];
    setup_folder();
    for (int i = 0; i < SAMPLES; i++) {
        float *row = x + i * FEATURES;
        for (int k = 0; k < FEATURES; k++)
            row[k] = (float)(((unsigned)(i * FEATURES + k) * 2654435761u) >> 8) / (float)(1 << 23) - 1;
        y[i] = row[1] > row[0] ? 1 : 0;
        y[i] = row[2] > row[y[i]] ? 2 : y[i];
    }
    add_member("d.npz", "x_train.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (240, 6), }\n", x, sizeof x,
               true);
    add_member("d.npz", "y_train.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (240,), }\n", y, sizeof y,
               true);
    write_npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (240, 6), }\n", x, sizeof x);
    write_npy("empty.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 6), }\n", x, 0);
    save_network("m.onnx", "MatMul");
}

static double number(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    ck_assert_msg(json_is_number(value), "the report lacks '%s'", key);
    return json_number_value(value);
}

static long size_of_file(const char *name)
{
    FILE *file = fopen(path_of(name), "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    fclose(file);
    return size;
}

START_TEST(a_tuned_model_is_written_reported_and_packed)
{
    prepare();
    expect_success("tune m.onnx t.onnx --data d.npz --keep 0.3 --levels 3 --epochs 8 --rate 0.01 --batch 20 "
                   "--holdout 0.2 --report r.json");
    ck_assert_msg(strstr(err, "epoch 8/8 (levels)") != NULL, "progress: %s", err);
    ck_assert_msg(strstr(out, "of 2 layers") != NULL, "output: %s", out);
    json_t *root = json_load_file(path_of("r.json"), 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "epochs")), 8);
    ck_assert(number(root, "held_out") == 48 && number(root, "samples") == 192);
    ck_assert(number(root, "accuracy_after") > number(root, "accuracy_before"));
    expect_success("pack t.onnx p.onnx");
    ck_assert_int_eq(size_of_file("p.onnx"), (long)number(root, "packed_bytes"));
    ck_assert_int_eq(size_of_file("t.onnx"), (long)number(root, "file_bytes_after"));
    expect_success("pack t.onnx h.onnx --coder huffman");
    ck_assert_int_eq(size_of_file("h.onnx"), (long)number(root, "packed_bytes_huffman"));
    expect_success("validate p.onnx --data d.npz --split train");
    json_decref(root);
    remove_folder();
}
END_TEST

START_TEST(pruning_comes_first_and_methods_of_choosing_levels_after)
{
    static const char *const methods[] = {"kmeans", "hessian", "uniform", "ecsq --entropy 1.5"};
    prepare();
    expect_success("tune m.onnx f.onnx -q --data d.npz --keep 0.4 --epochs 8 --rate 0.01 --batch 20 --no-levels");
    expect_success("inspect f.onnx");
    ck_assert_msg(strstr(out, "ai.mary") == NULL, "levels: %s", out);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        char arguments[256];
        snprintf(arguments, sizeof arguments,
                 "tune f.onnx t%zu.onnx -q --data d.npz --keep 1 --epochs %d --level-epochs %d --method %s --report "
                 "r.json%s",
                 i, i == 0 ? 0 : 2, i == 0 ? 0 : 2, methods[i], i == 3 ? " --per-model" : "");
        expect_success(arguments);
        json_t *root = json_load_file(path_of("r.json"), 0, NULL);
        ck_assert_ptr_nonnull(root);
        ck_assert_msg(number(root, "accuracy_chosen") > 0.6, "%s: %g", methods[i], number(root, "accuracy_chosen"));
        ck_assert_uint_eq(json_array_size(json_object_get(root, "epochs")), i == 0 ? 0 : 2);
        json_decref(root);
        for (size_t k = 0; k < i; k++) {
            char one[16], other[16];
            snprintf(one, sizeof one, "t%zu.onnx", i);
            snprintf(other, sizeof other, "t%zu.onnx", k);
            ck_assert(!same_files(one, other));
        }
    }
    remove_folder();
}
END_TEST

START_TEST(going_on_gives_the_same_file)
{
    prepare();
    expect_success("tune m.onnx a.onnx -q --data d.npz --epochs 6 --threads 1");
    ck_assert_msg(out[0] == '\0' && err[0] == '\0', "--quiet: %s%s", out, err);
    expect_success("tune m.onnx b.onnx -q --data d.npz --epochs 6 --threads 2 --checkpoint c");
    ck_assert(same_files("a.onnx", "b.onnx"));
    expect_success("tune m.onnx b.onnx -q --data d.npz --epochs 6 --checkpoint c --resume --report r.json");
    json_t *root = json_load_file(path_of("r.json"), 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert(number(root, "accuracy_after") > 0);
    json_decref(root);
    ck_assert(same_files("a.onnx", "b.onnx"));
    expect_success("tune m.onnx b.onnx -q --data d.npz --epochs 6 --seed 1");
    ck_assert(!same_files("a.onnx", "b.onnx"));
    expect_failure("tune m.onnx b.onnx -q --data d.npz --epochs 7 --checkpoint c --resume", 2, "other options");
    remove_folder();
}
END_TEST

START_TEST(data_without_labels_is_enough)
{
    prepare();
    expect_success("tune m.onnx t.onnx --data x.npy --epochs 2");
    expect_failure("tune m.onnx t.onnx --data x.npy --loss cross-entropy", 2, "needs labels");
    remove_folder();
}
END_TEST

START_TEST(hostile_arguments_are_refused)
{
    static const struct {
        const char *arguments;
        int status;
        const char *said;
    } cases[] = {
        {"tune m.onnx", 2, "which models"},
        {"tune m.onnx t.onnx", 2, "--data"},
        {"tune m.onnx t.onnx u.onnx --data d.npz", 2, "too many"},
        {"tune m.onnx t.onnx --data d.npz --keep 0", 2, "--keep"},
        {"tune m.onnx t.onnx --data d.npz --keep nan", 2, "--keep"},
        {"tune m.onnx t.onnx --data d.npz --levels 256", 2, "--levels"},
        {"tune m.onnx t.onnx --data d.npz --epochs 99999999999999999999", 2, "--epochs"},
        {"tune m.onnx t.onnx --data d.npz --epochs 2 --level-epochs 3", 2, "levels"},
        {"tune m.onnx t.onnx --data d.npz --epochs -1", 2, "--epochs"},
        {"tune m.onnx t.onnx --data d.npz --method feedback", 2, "feedback"},
        {"tune m.onnx t.onnx --data d.npz --method ''", 2, "method"},
        {"tune m.onnx t.onnx --data d.npz --importance all", 2, "all"},
        {"tune m.onnx t.onnx --data d.npz --importance adam --epochs 0", 2, "adam"},
        {"tune m.onnx t.onnx --data d.npz --entropy inf", 2, "--entropy"},
        {"tune m.onnx t.onnx --data d.npz --label-share 1.5 --loss distillation", 2, "--label-share"},
        {"tune m.onnx t.onnx --data d.npz --label-share 0.5", 2, "needs labels and distillation"},
        {"tune m.onnx t.onnx --data d.npz --relative-rates --per-model", 2, "whole model"},
        {"tune m.onnx t.onnx --data d.npz --warmup nan", 2, "--warmup"},
        {"tune m.onnx t.onnx --data d.npz --epochs 4 --level-epochs 2 --coded-epochs 3", 2, "coded"},
        {"tune m.onnx t.onnx --data d.npz --epochs 4 --coded-epochs 1 --no-levels", 2, "coded"},
        {"tune m.onnx t.onnx --data d.npz --teacher none.onnx", 3, "none.onnx"},
        {"tune m.onnx t.onnx --data d.npz --teacher m.onnx --loss cross-entropy", 2, "--teacher"},
        {"tune m.onnx t.onnx --data d.npz --schedule linear", 2, "linear"},
        {"tune m.onnx t.onnx --data d.npz --loss l1", 2, "l1"},
        {"tune m.onnx t.onnx --data d.npz --augment rotate", 2, "rotate"},
        {"tune m.onnx t.onnx --data d.npz --augment flip", 2, "flipped"},
        {"tune m.onnx t.onnx --data d.npz --augment cutout=-1", 2, "cutout"},
        {"tune m.onnx t.onnx --data d.npz --augment mixup=2", 2, "mixup"},
        {"tune m.onnx t.onnx --data d.npz --augment mixup=0.5", 2, "no class"},
        {"tune m.onnx t.onnx --data d.npz --holdout 1", 2, "--holdout"},
        {"tune m.onnx t.onnx --data d.npz --resume", 2, "--checkpoint"},
        {"tune m.onnx t.onnx --data d.npz --logits nothing", 2, "nothing"},
        {"tune m.onnx t.onnx --data empty.npy", 3, "no samples"},
        {"tune none.onnx t.onnx --data d.npz", 3, "none.onnx"},
        {"tune m.onnx t.onnx --data none.npz", 3, "none.npz"},
        {"tune m.onnx t.onnx --data d.npz --checkpoint d.npz --resume", 3, "d.npz"},
        {"tune m.onnx none/t.onnx --data d.npz --epochs 1000000", 6, "none/t.onnx"},
    };
    prepare();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char arguments[512];
        snprintf(arguments, sizeof arguments, "%s -q", cases[i].arguments);
        expect_failure(arguments, cases[i].status, cases[i].said);
        ck_assert_msg(access(path_of("t.onnx"), F_OK) != 0, "%s left a file", arguments);
    }
    expect_success("tune m.onnx t.onnx -q --data d.npz --epochs 1 --keep 1 --holdout 0");
    expect_failure("tune t.onnx u.onnx -q --data d.npz", 4, "float constant");
    remove_folder();
}
END_TEST

MARY_TEST_MAIN("cli/tune", a_tuned_model_is_written_reported_and_packed,
               pruning_comes_first_and_methods_of_choosing_levels_after, going_on_gives_the_same_file,
               data_without_labels_is_enough, hostile_arguments_are_refused)
