/* Packed files: the same bytes again, models that load, damage that is found. */
#include <dirent.h>
#include <stdio.h>

#include "onnx/coding/packed.h"
#include "onnx/edit.h"
#include "onnx/memory.h"
#include "tests/support/model_builder.h"

static const char *const coders[] = {"huffman", "arithmetic", "auto"};

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = mary_alloc(*size);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static const char *source_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("MARY_SOURCE_DIR"), name);
    return path;
}

/* Packs and unpacks; the packed bytes are the caller's when `packed` is not NULL. */
static void check_bytes(const void *bytes, size_t size, const char *coder, void **packed, size_t *packed_size)
{
    void *small, *plain;
    size_t small_size, plain_size;
    const mary_pack_options options = {.coder = coder, .threads = 1};
    assert_ok(mary_pack(bytes, size, &options, &small, &small_size, NULL));
    assert_ok(mary_unpack(small, small_size, &plain, &plain_size));
    ck_assert_uint_eq(plain_size, size);
    ck_assert_mem_eq(plain, bytes, size);
    mary_bytes_free(plain);
    if (packed != NULL)
        *packed = small, *packed_size = small_size;
    else
        mary_bytes_free(small);
}

/* Conv [8,3,3,3], Gemm [10,32] and biases, converted to M levels. */
static uint8_t *small_model(int levels, size_t *size)
{
    float weights[1024];
    for (int i = 0; i < 1024; i++)
        weights[i] = (float)((i * 37 + i * i * 11) % 101 - 50) / 50;
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3, 4, 4));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 10));
    build_floats(graph, "w", SHAPE(8, 3, 3, 3), weights);
    build_floats(graph, "b", SHAPE(8), weights);
    build_floats(graph, "v", SHAPE(10, 32), weights);
    build_node(graph, "Conv", "x,w,b", "c");
    build_node(graph, "Flatten", "c", "f");
    mary_node_set_int(build_node(graph, "Gemm", "f,v", "y"), "transB", 1);
    if (levels > 0) {
        const mary_convert_options options = {
            .levels = levels, .first_last_levels = MARY_SAME_LEVELS, .granularity = MARY_GRANULARITY_TENSOR};
        model = build_reload(model);
        assert_ok(mary_convert(model, &options, NULL));
    }
    uint8_t *bytes = build_bytes(model, size);
    mary_model_free(&model);
    return bytes;
}

START_TEST(converted_models_come_back_byte_for_byte)
{
    static const int levels[] = {0, 2, 3, 4, 8, 16, 17, 256};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        for (int c = 0; c < 3; c++) {
            size_t size;
            uint8_t *bytes = small_model(levels[i], &size);
            check_bytes(bytes, size, coders[c], NULL, NULL);
            mary_free(bytes);
        }
    }
}
END_TEST

/* Of every serialiser: PyTorch's and others' files in models/, in the fuzzer's corpus and, where they are, the ONNX
 * backend tests. A model that mary refuses is refused with a message. */
static int check_folder(const char *folder, int depth, int *refused)
{
    int checked = 0;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        size_t length = strlen(entry->d_name), size;
        if (entry->d_name[0] == '.')
            continue;
        char *path = mary_asprintf("%s/%s", folder, entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".onnx") != 0) {
            if (depth > 0 && entry->d_type != DT_REG)
                checked += check_folder(path, depth - 1, refused);
            mary_free(path);
            continue;
        }
#ifdef __SANITIZE_ADDRESS__ /* slow: the others are checked without */
        static unsigned found;
        if (depth > 0 && found++ % 20 != 0) {
            mary_free(path);
            continue;
        }
#endif
        uint8_t *bytes = read_file(path, &size);
        void *packed;
        size_t packed_size;
        mary_status status = mary_pack(bytes, size, NULL, &packed, &packed_size, NULL);
        if (status == MARY_OK) {
            void *plain;
            size_t plain_size;
            assert_ok(mary_unpack(packed, packed_size, &plain, &plain_size));
            ck_assert_msg(plain_size == size && memcmp(plain, bytes, size) == 0, "%s does not come back", path);
            mary_bytes_free(plain);
            mary_bytes_free(packed);
            checked++;
        } else { /* exactly what mary cannot load: external data without a folder, newer IR versions, ... */
            mary_model *model;
            ck_assert_msg(mary_model_load_memory(bytes, size, &model) == status, "%s: %s", path, mary_error_message());
            ++*refused;
        }
        mary_free(bytes);
        mary_free(path);
    }
    if (entries != NULL)
        closedir(entries);
    return checked;
}

START_TEST(files_of_other_serialisers_come_back_byte_for_byte)
{
    int refused = 0;
    ck_assert_int_ge(check_folder(source_path("models"), 0, &refused), 1);
    ck_assert_int_ge(check_folder(source_path("tests/fuzz/corpus/load"), 0, &refused), 5);
    check_folder(source_path("../shared/models"), 0, &refused); /* where they are */
    int backend = check_folder(source_path("build/conformance"), 3, &refused);
    printf("%d backend models came back, %d were refused\n", backend, refused);
    ck_assert_int_lt(refused, 60);
}
END_TEST

START_TEST(fields_that_nobody_knows_come_back)
{
    /* Behind the model: field 60000, length-prefixed; in between nothing is in protobuf-c's order any more. */
    size_t size;
    uint8_t *bytes = small_model(4, &size);
    static const uint8_t unknown[] = {0x82, 0xa6, 0x1d, 3, 'a', 'b', 'c', 8, 8}; /* and the IR version once more */
    uint8_t *longer = mary_alloc(size + sizeof unknown);
    memcpy(longer, unknown, sizeof unknown);
    memcpy(longer + sizeof unknown, bytes, size);
    check_bytes(longer, size + sizeof unknown, "auto", NULL, NULL);
    mary_free(longer);
    mary_free(bytes);
}
END_TEST

START_TEST(typed_floats_and_untidy_codes_come_back)
{
    size_t size;
    uint8_t *bytes = small_model(4, &size), *again;
    mary_model *model;
    assert_ok(mary_model_load_memory(bytes, size, &model));
    Onnx__GraphProto *graph = model->proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        Onnx__TensorProto *tensor = graph->initializer[i];
        if (strcmp(tensor->name, "w_codes") == 0) { /* 27 codes of 2 bits: the last byte has two bits to spare */
            for (size_t k = 6; k < tensor->raw_data.len; k += 7)
                tensor->raw_data.data[k] |= 0xc0;
        } else if (strcmp(tensor->name, "b") == 0) {
            tensor->float_data = mary_alloc(tensor->raw_data.len);
            memcpy(tensor->float_data, tensor->raw_data.data, tensor->raw_data.len);
            tensor->n_float_data = tensor->raw_data.len / sizeof(float);
            tensor->has_raw_data = false;
        }
    }
    again = build_bytes(model, &size);
    for (int c = 0; c < 3; c++)
        check_bytes(again, size, coders[c], NULL, NULL);
    mary_free(again);
    mary_free(bytes);
    mary_model_free(&model);
}
END_TEST

static void run(const void *bytes, size_t size, mary_array *output)
{
    mary_model *model;
    mary_session *session;
    float x[48];
    mary_array input = {.name = "x", .type = MARY_FLOAT, .rank = 4, .dims = {1, 3, 4, 4}, .data = x, .bytes = sizeof x};
    for (int i = 0; i < 48; i++)
        x[i] = (float)(i % 7) - 3;
    assert_ok(mary_model_load_memory(bytes, size, &model));
    assert_ok(mary_session_create(&model, NULL, &session));
    ck_assert_int_eq(mary_session_input_count(session), 1);
    assert_ok(mary_session_run(session, &input, 1, output, 1));
    mary_session_free(&session);
}

START_TEST(a_packed_model_runs_like_the_plain_one)
{
    size_t size, packed_size;
    uint8_t *bytes = small_model(4, &size);
    void *packed;
    mary_array plain_output, packed_output;
    check_bytes(bytes, size, "auto", &packed, &packed_size);
    ck_assert_uint_lt(packed_size, size / 2);
    run(bytes, size, &plain_output);
    run(packed, packed_size, &packed_output);
    ck_assert_uint_eq(plain_output.bytes, packed_output.bytes);
    ck_assert_mem_eq(plain_output.data, packed_output.data, plain_output.bytes);
    mary_array_free(&plain_output);
    mary_array_free(&packed_output);
    mary_bytes_free(packed);
    mary_free(bytes);
}
END_TEST

START_TEST(function_bodies_cost_next_to_nothing)
{
    size_t size, with, without;
    void *packed;
    uint8_t *bytes = small_model(4, &size), *bare;
    mary_model *model;
    check_bytes(bytes, size, "auto", &packed, &with);
    mary_bytes_free(packed);
    assert_ok(mary_model_load_memory(bytes, size, &model));
    ck_assert_uint_eq(model->proto->n_functions, 2);
    for (size_t i = 0; i < 2; i++)
        onnx__function_proto__free_unpacked(model->proto->functions[i], &mary_proto_allocator);
    model->proto->n_functions = 0;
    bare = build_bytes(model, &size);
    check_bytes(bare, size, "auto", &packed, &without);
    mary_bytes_free(packed);
    ck_assert_uint_lt(with - without, 150); /* of 2,500: else scripts/make_dictionary.py wants a new version */
    mary_model_free(&model);
    mary_free(bare);
    mary_free(bytes);
}
END_TEST

START_TEST(the_report_counts_every_byte)
{
    for (int c = 0; c < 3; c++) {
        size_t size, packed_size, described_size = 0;
        uint8_t *bytes = small_model(16, &size);
        void *packed;
        mary_pack_report *report, *described;
        const mary_pack_options options = {.coder = coders[c]};
        assert_ok(mary_pack(bytes, size, &options, &packed, &packed_size, &report));
        const mary_pack_totals *t = mary_pack_totals_of(report);
        ck_assert_uint_eq(t->file_before, size);
        ck_assert_uint_eq(t->file_after, packed_size);
        ck_assert_uint_eq(t->codes + t->positions + t->tables + t->levels + t->biases + t->other + t->graph,
                          packed_size);
        ck_assert_uint_eq(t->weights, 8 * 27 + 320);
        uint64_t rows = 0;
        for (size_t i = 0; mary_pack_row(report, i) != NULL; i++)
            rows += mary_pack_row(report, i)->bytes_after;
        ck_assert_uint_eq(rows + t->graph, packed_size);
        assert_ok(mary_pack_describe(packed, packed_size, &described));
        for (size_t i = 0; mary_pack_row(described, i) != NULL; i++) {
            ck_assert_str_eq(mary_pack_row(described, i)->name, mary_pack_row(report, i)->name);
            ck_assert_str_eq(mary_pack_row(described, i)->coder, mary_pack_row(report, i)->coder);
            described_size += mary_pack_row(described, i)->bytes_after;
        }
        ck_assert_uint_eq(described_size, rows);
        mary_pack_report_free(&described);
        mary_pack_report_free(&report);
        mary_bytes_free(packed);
        mary_free(bytes);
    }
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    size_t size, packed_size, other;
    uint8_t *bytes = small_model(4, &size);
    void *packed, *result;
    mary_pack_report *report;
    check_bytes(bytes, size, "auto", &packed, &packed_size);
    assert_fails(mary_pack(packed, packed_size, NULL, &result, &other, NULL), MARY_ERROR_USAGE, "packed already");
    assert_fails(mary_unpack(bytes, size, &result, &other), MARY_ERROR_USAGE, "not packed");
    assert_fails(mary_unpack("abc", 3, &result, &other), MARY_ERROR_INVALID, "not an ONNX model");
    assert_fails(mary_pack(bytes, size, &(mary_pack_options){.coder = "zip"}, &result, &other, NULL), MARY_ERROR_USAGE,
                 "'zip'");
    assert_fails(mary_pack(bytes, size / 2, NULL, &result, &other, &report), MARY_ERROR_INVALID, "");
    ck_assert_ptr_null(report);
    assert_ok(mary_pack_describe(bytes, size, &report));
    ck_assert_ptr_null(report);
    mary_bytes_free(packed);
    mary_free(bytes);
}
END_TEST

/* A stream of 20 bytes that claims 2^60 weights, or a gigabyte, gets no memory. */
START_TEST(large_claims_are_refused_before_anything_is_allocated)
{
    static const uint8_t huge[20] = {
        'M', 'P', MARY_PACKED_VERSION, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1};
    static const uint8_t large[20] = {'M', 'P', MARY_PACKED_VERSION, 0x80, 0x80, 0x80, 0x80, 4, 1, 1, 1, 0, 0, 0, 0};
    static const uint8_t newer[20] = {'M', 'P', MARY_PACKED_VERSION + 1},
                         older[20] = {'M', 'P', MARY_PACKED_VERSION - 1};
    uint8_t *plain;
    size_t size;
    int64_t before = mary_memory_count();
    assert_fails(mary_packed_expand(huge, sizeof huge, 0, &plain, &size), MARY_ERROR_INVALID, "cut short");
    assert_fails(mary_packed_expand(large, sizeof large, 0, &plain, &size), MARY_ERROR_INVALID, "claims to stand for");
    assert_fails(mary_packed_expand(newer, sizeof newer, 0, &plain, &size), MARY_ERROR_UNSUPPORTED,
                 "version 4 of the format, this is mary for 3");
    assert_fails(mary_packed_expand(older, sizeof older, 0, &plain, &size), MARY_ERROR_UNSUPPORTED,
                 "version 2 of the format, this is mary for 3");
    ck_assert_int_eq(mary_memory_count(), before);

    /* The same in the directory, behind a checksum that is right: 2^30 x 2^30 codes. */
    mary_packed packed = {.plain_size = 1000, .text_size = 32, .directory_size = 32};
    uint8_t text[32] = {1, 0, 0x80 | 0x03, 1, 0x80, 0x80, 0x80, 0x80, 4, 0x80, 0x80, 0x80, 0x80, 4, 1, 2, 5};
    packed.text = text;
    assert_fails(mary_packed_read_directory(&packed, text, 5), MARY_ERROR_INVALID, "at tensor 0");
    mary_free(packed.tensors);

    /* A kernel has no more taps than its row has codes: one row of 8 codes, of 2 kinds, in a stream of 5 bytes. */
    for (uint8_t taps = 7; taps < 10; taps++) {
        uint8_t entry[] = {1, 0, 0x80 | 0x03, 1, 1, 8, taps, 2, 5, 0, 0, 0, 0};
        mary_packed one = {.plain_size = 1, .text = entry, .text_size = sizeof entry, .directory_size = sizeof entry};
        if (taps <= 8)
            assert_ok(mary_packed_read_directory(&one, entry, 5));
        else
            assert_fails(mary_packed_read_directory(&one, entry, 5), MARY_ERROR_INVALID, "at tensor 0");
        mary_free(one.tensors);
    }
}
END_TEST

/* Whatever byte is changed, however: the model is refused, or it is the same (names in the wrapping may change). */
START_TEST(every_damaged_byte_is_found)
{
    size_t size, packed_size, plain_size;
    uint8_t *bytes = small_model(3, &size);
    void *packed, *plain;
    size_t found = 0;
    check_bytes(bytes, size, "auto", &packed, &packed_size);
    uint8_t *damaged = packed;
    for (size_t i = 0; i < packed_size; i++) {
        for (int flip = 1; flip < 256; flip = flip * 5 + 1) {
            damaged[i] ^= (uint8_t)flip;
            mary_status status = mary_unpack(damaged, packed_size, &plain, &plain_size);
            if (status == MARY_OK) {
                ck_assert_msg(plain_size == size && memcmp(plain, bytes, size) == 0, "byte %zu, flip %d", i, flip);
                mary_bytes_free(plain);
            } else {
                ck_assert_int_ne(status, MARY_ERROR_INTERNAL);
                found++;
            }
            damaged[i] ^= (uint8_t)flip;
        }
    }
    ck_assert_uint_gt(found, 3 * (packed_size - 200)); /* four flips each; the wrapping is below 200 bytes */
    for (size_t i = 0; i < packed_size; i++) {         /* all but the opset imports may be needed */
        if (mary_unpack(damaged, i, &plain, &plain_size) == MARY_OK) {
            ck_assert_uint_gt(i, packed_size - 20);
            ck_assert_mem_eq(plain, bytes, size);
            mary_bytes_free(plain);
        }
    }
    mary_bytes_free(packed);
    mary_free(bytes);
}
END_TEST

START_TEST(any_failing_allocation_is_a_status)
{
    size_t size, packed_size, plain_size;
    uint8_t *bytes = small_model(3, &size);
    void *packed, *plain;
    for (int64_t n = 0;; n++) {
        mary_pack_report *report = NULL;
        packed = plain = NULL;
        mary_memory_fail_after(n);
        mary_status status = mary_pack(bytes, size, &(mary_pack_options){.threads = 1}, &packed, &packed_size, &report);
        if (status == MARY_OK)
            status = mary_unpack(packed, packed_size, &plain, &plain_size);
        mary_memory_fail_after(-1);
        mary_pack_report_free(&report);
        mary_bytes_free(packed);
        mary_bytes_free(plain);
        if (status == MARY_OK)
            break;
        ck_assert_msg(status == MARY_ERROR_INTERNAL, "allocation %lld: %d (%s)", (long long)n, (int)status,
                      mary_error_message());
        ck_assert_int_lt(n, 5000);
    }
    mary_free(bytes);
}
END_TEST

MARY_TEST_MAIN("convert/coding/pack", converted_models_come_back_byte_for_byte,
               files_of_other_serialisers_come_back_byte_for_byte, fields_that_nobody_knows_come_back,
               typed_floats_and_untidy_codes_come_back, a_packed_model_runs_like_the_plain_one,
               function_bodies_cost_next_to_nothing, the_report_counts_every_byte, what_is_wrong_is_said,
               large_claims_are_refused_before_anything_is_allocated, every_damaged_byte_is_found,
               any_failing_allocation_is_a_status)
