/* Writing models: atomic, byte for byte, and with data files when they are large. */
#include "tests/support/model_builder.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "onnx/save.h"

static char directory[64];

static void enter(void)
{
    strcpy(directory, "/tmp/mary-save-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

static const char *in_directory(const char *name)
{
    static char paths[4][400];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

/* Removes the directory; its files are counted. */
static int leave(void)
{
    int count = 0;
    DIR *listing = opendir(directory);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (entry->d_name[0] != '.') {
            count++;
            unlink(in_directory(entry->d_name));
        }
    }
    closedir(listing);
    rmdir(directory);
    return count;
}

static float weights[4096];

static mary_model *sample(void)
{
    for (int i = 0; i < 4096; i++)
        weights[i] = (float)i;
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 64));
    build_floats(graph, "w", SHAPE(64, 64), weights);
    build_floats(graph, "v", SHAPE(16, 64), weights + 64);
    build_floats(graph, "small", SHAPE(2), weights);
    build_node(graph, "MatMul", "x,w", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 64));
    return model;
}

static uint8_t *read_all(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    struct stat info;
    fstat(fileno(file), &info);
    *size = (size_t)info.st_size;
    uint8_t *bytes = malloc(*size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void expect_tensor(const mary_model *model, size_t position, const float *values, size_t count)
{
    float *floats;
    mary_shape shape;
    assert_ok(mary_constant_floats(model, model->proto->graph->initializer[position], &floats, &shape));
    ck_assert_int_eq(mary_shape_count(&shape), (int64_t)count);
    ck_assert_mem_eq(floats, values, count * sizeof *values);
    mary_free(floats);
}

START_TEST(saved_bytes_are_the_serialised_model)
{
    enter();
    mary_model *model = sample();
    size_t size, saved_size;
    uint8_t *bytes = build_bytes(model, &size);
    assert_ok(mary_model_save(model, in_directory("m.onnx")));
    uint8_t *saved = read_all(in_directory("m.onnx"), &saved_size);
    ck_assert_uint_eq(size, saved_size);
    ck_assert_mem_eq(bytes, saved, size);
    free(saved);
    mary_free(bytes);
    mary_model_free(&model);
    ck_assert_int_eq(leave(), 1);
}
END_TEST

START_TEST(large_model_gets_one_data_file_and_loads_again)
{
    enter();
    mary_model *model = sample(), *large, *small;
    assert_ok(mary_model_save_limited(model, in_directory("m.onnx"), 8000));
    mary_model_free(&model);
    struct stat info;
    ck_assert_int_eq(stat(in_directory("m.onnx.data"), &info), 0);
    assert_ok(mary_model_load(in_directory("m.onnx"), &large));
    const Onnx__TensorProto *w = large->proto->graph->initializer[0];
    ck_assert_int_eq(w->data_location, ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL);
    ck_assert_str_eq(w->external_data[0]->value, "m.onnx.data");
    ck_assert(!large->proto->graph->initializer[2]->has_data_location); /* too small to be worth it */
    expect_tensor(large, 0, weights, 4096);
    expect_tensor(large, 1, weights + 64, 1024);
    /* And back: embedded, without a data file. */
    assert_ok(mary_model_save(large, in_directory("back.onnx")));
    mary_model_free(&large);
    ck_assert_int_ne(stat(in_directory("back.onnx.data"), &info), 0);
    assert_ok(mary_model_load(in_directory("back.onnx"), &small));
    ck_assert(!small->proto->graph->initializer[0]->has_data_location);
    expect_tensor(small, 0, weights, 4096);
    /* Over itself, with the data file that it reads being replaced. */
    mary_model_free(&small);
    assert_ok(mary_model_load(in_directory("m.onnx"), &large));
    assert_ok(mary_model_save_limited(large, in_directory("m.onnx"), 8000));
    mary_model_free(&large);
    assert_ok(mary_model_load(in_directory("m.onnx"), &large));
    expect_tensor(large, 1, weights + 64, 1024);
    mary_model_free(&large);
    ck_assert_int_eq(leave(), 3);
}
END_TEST

START_TEST(failure_leaves_no_file_and_the_old_one_untouched)
{
    enter();
    mary_model *model = sample();
    assert_fails(mary_model_save(model, in_directory("absent/m.onnx")), MARY_ERROR_WRITE, "No such file");
    assert_fails(mary_model_save(model, directory), MARY_ERROR_WRITE, "is a directory");
    assert_fails(mary_model_save_limited(model, in_directory("m.onnx"), 10), MARY_ERROR_WRITE, "more than protobuf");
    for (int64_t n = 0;; n++) {
        mary_memory_fail_after(n);
        mary_status status = mary_model_save_limited(model, in_directory("m.onnx"), 8000);
        mary_memory_fail_after(-1);
        if (status == MARY_OK)
            break;
        ck_assert_int_eq(access(in_directory("m.onnx"), F_OK), -1);
        ck_assert_int_eq(access(in_directory("m.onnx.data"), F_OK), -1);
    }
    mary_model_free(&model);
    ck_assert_int_eq(leave(), 2);
}
END_TEST

START_TEST(full_disk_is_a_write_error)
{
    mary_model *model = sample();
    assert_fails(mary_model_save(model, "/dev/full"), MARY_ERROR_WRITE, "/dev/full");
    mary_model_free(&model);
}
END_TEST

MARY_TEST_MAIN("onnx/save", saved_bytes_are_the_serialised_model, large_model_gets_one_data_file_and_loads_again,
               failure_leaves_no_file_and_the_old_one_untouched, full_disk_is_a_write_error)
