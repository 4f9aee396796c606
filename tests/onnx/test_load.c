/* Reading files: good ones byte for byte, all others with one line. */
#include "tests/support/model_builder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "onnx/wire.h"

static char path[] = "/tmp/mary-load-XXXXXX";

static void write_file(const void *bytes, size_t size)
{
    strcpy(path + sizeof path - 7, "XXXXXX");
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, bytes, size), (ssize_t)size);
    close(file);
}

static mary_model *sample(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph, *branch = build_graph("branch");
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3));
    build_floats(graph, "w", SHAPE(3, 2), (float[]){1, 2, 3, 4, 5, 6});
    build_node(graph, "MatMul", "x,w", "y");
    build_node(branch, "Relu", "y", "inner");
    build_output(branch, "inner", MARY_FLOAT, SHAPE(-1, 2));
    build_constant(graph, "c", MARY_BOOL, SHAPE(), (bool[]){true});
    Onnx__NodeProto *node = build_node(graph, "If", "c", "z");
    assert_ok(mary_node_set_graph(node, "then_branch", branch));
    assert_ok(mary_node_set_string(node, "note", "text"));
    build_output(graph, "z", MARY_FLOAT, SHAPE(-1, 2));
    return model;
}

START_TEST(untouched_model_serialises_to_the_same_bytes)
{
    mary_model *model = sample();
    size_t size, again_size;
    uint8_t *bytes = build_bytes(model, &size);
    mary_model_free(&model);
    /* And with a field that the schema does not know: number 100, length 2. */
    bytes = mary_realloc(bytes, size + 5);
    memcpy(bytes + size, "\xa2\x06\x02hi", 5);
    write_file(bytes, size + 5);
    assert_ok(mary_model_load(path, &model));
    unlink(path);
    uint8_t *again = build_bytes(model, &again_size);
    ck_assert_uint_eq(again_size, size + 5);
    ck_assert_mem_eq(again, bytes, again_size);
    mary_free(bytes);
    mary_free(again);
    mary_model_free(&model);
}
END_TEST

START_TEST(what_is_no_readable_model_gets_one_line_with_the_files_name)
{
    mary_model *model;
    assert_fails(mary_model_load("/nonexistent/m.onnx", &model), MARY_ERROR_INVALID, "/nonexistent/m.onnx: No such");
    ck_assert_ptr_null(model);
    assert_fails(mary_model_load("/tmp", &model), MARY_ERROR_INVALID, "/tmp: is a directory");
    assert_fails(mary_model_load("/dev/zero", &model), MARY_ERROR_INVALID, "not a regular file");
    write_file("", 0);
    assert_fails(mary_model_load(path, &model), MARY_ERROR_INVALID, "empty");
    unlink(path);
    write_file("PK\003\004 a zip file, say", 20);
    assert_fails(mary_model_load(path, &model), MARY_ERROR_INVALID, "not an ONNX model");
    ck_assert_ptr_nonnull(strstr(mary_error_message(), path));
    unlink(path);
    assert_fails(mary_model_load_memory("", 0, &model), MARY_ERROR_INVALID, "empty");
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    mary_model *model = sample();
    size_t size;
    uint8_t *bytes = build_bytes(model, &size);
    mary_model_free(&model);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = mary_alloc(cut); /* exactly as large, so that the sanitizer sees reads behind it */
        memcpy(copy, bytes, cut);
        mary_status status = mary_model_load_memory(copy, cut, &model);
        ck_assert_msg(status == MARY_ERROR_INVALID, "cut at %zu: status %d", cut, (int)status);
        mary_free(copy);
    }
    mary_free(bytes);
}
END_TEST

START_TEST(no_flipped_byte_crashes)
{
    mary_model *model = sample();
    size_t size;
    uint8_t *bytes = build_bytes(model, &size);
    mary_model_free(&model);
    for (size_t at = 0; at < size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            mary_status status = mary_model_load_memory(bytes, size, &model);
            ck_assert(status == MARY_OK || status == MARY_ERROR_INVALID || status == MARY_ERROR_UNSUPPORTED);
            mary_model_free(&model);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    }
    mary_free(bytes);
}
END_TEST

/* TypeProto in TypeProto in ...: field 4 (sequence) holding field 1 (its element). */
START_TEST(deep_nesting_is_refused_before_it_is_unpacked)
{
    static uint8_t bytes[4 * 50000];
    size_t size = 0;
    for (size_t depth = 0; depth < 25000; depth++) { /* from the inside out, lengths first needed last */
        uint8_t head[8];
        size_t length = size, used = 0;
        head[used++] = depth % 2 == 0 ? 0x0a : 0x22;
        for (; length >= 0x80; length >>= 7)
            head[used++] = (uint8_t)(length | 0x80);
        head[used++] = (uint8_t)length;
        if (size + used > sizeof bytes)
            break;
        memmove(bytes + used, bytes, size);
        memcpy(bytes, head, used);
        size += used;
    }
    assert_fails(mary_wire_check(&onnx__type_proto__descriptor, bytes, size), MARY_ERROR_INVALID, "nested deeper");
}
END_TEST

START_TEST(nul_in_a_name_is_refused)
{
    mary_model *model = sample();
    size_t size;
    uint8_t *bytes = build_bytes(model, &size);
    mary_model_free(&model);
    uint8_t *name = memmem(bytes, size, "MatMul", 6);
    ck_assert_ptr_nonnull(name);
    name[3] = '\0';
    assert_fails(mary_model_load_memory(bytes, size, &model), MARY_ERROR_INVALID, "NUL after 'Mat'");
    name[3] = 'M';
    uint8_t *text = memmem(bytes, size, "text", 4);
    text[2] = '\0';
    assert_fails(mary_model_load_memory(bytes, size, &model), MARY_ERROR_INVALID, "NUL after 'te'");
    mary_free(bytes);
}
END_TEST

START_TEST(message_field_that_comes_twice_is_refused)
{
    mary_model *model;
    const uint8_t twice[] = {0x3a, 0, 0x3a, 0}; /* ModelProto.graph */
    assert_fails(mary_model_load_memory(twice, sizeof twice, &model), MARY_ERROR_INVALID, "comes twice");
}
END_TEST

START_TEST(every_failed_allocation_is_a_status_without_a_leak)
{
    mary_model *model = sample();
    build_function_node(build_function(model, "local", "F", "a", "b", 13), "Relu", "a", "b");
    size_t size;
    uint8_t *bytes = build_bytes(model, &size);
    mary_model_free(&model);
    for (int64_t n = 0;; n++) {
        mary_memory_fail_after(n);
        mary_status status = mary_model_load_memory(bytes, size, &model);
        mary_memory_fail_after(-1);
        if (status == MARY_OK)
            break;
        ck_assert_msg(status == MARY_ERROR_INTERNAL, "allocation %lld: %s", (long long)n, mary_error_message());
        ck_assert_ptr_null(model);
    }
    mary_model_free(&model);
    mary_free(bytes);
}
END_TEST

MARY_TEST_MAIN("onnx/load", untouched_model_serialises_to_the_same_bytes,
               what_is_no_readable_model_gets_one_line_with_the_files_name, every_truncation_is_refused,
               no_flipped_byte_crashes, deep_nesting_is_refused_before_it_is_unpacked, nul_in_a_name_is_refused,
               message_field_that_comes_twice_is_refused, every_failed_allocation_is_a_status_without_a_leak)
