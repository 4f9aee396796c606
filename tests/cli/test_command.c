/* The built program, from outside: exit statuses, one line on stderr, files that are there or not. */
#include <glob.h>

#include "tests/cli/command.h"
#include "tests/support/model_builder.h"

#define expect_status(arguments, expected)                                                                             \
    do {                                                                                                               \
        int got = mary(arguments);                                                                                     \
        ck_assert_msg(got == (expected), "mary %s: status %d, expected %d: %s", arguments, got, (int)(expected), err); \
    } while (0)

/* x [N,3] -> operator -> y [N,3] */
static void write_model(const char *name, const char *op_type)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3));
    build_node(graph, op_type, "x", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 3));
    size_t size;
    uint8_t *bytes = build_bytes(model, &size);
    write_file(name, bytes, size);
    mary_free(bytes);
    mary_model_free(&model);
}

/* Four samples: Abs gets all right, Neg none. */
static void prepare(void)
{
    setup_folder();
    write_model("abs.onnx", "Abs");
    write_model("neg.onnx", "Neg");
    static const float x[12] = {9, 1, 0, 1, 9, 0, 0, 1, 9, 9, 1, 0};
    add_member("d.npz", "x_test.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }", x, sizeof x, true);
    add_member("d.npz", "y_test.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", "\0\1\2\0", 4,
               false);
    write_npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }", x, sizeof x);
}

START_TEST(help_and_version_succeed_on_stdout)
{
    prepare();
    expect_status("--help", 0);
    ck_assert_ptr_nonnull(strstr(out, "validate"));
    expect_status("--version", 0);
    ck_assert_int_eq(strncmp(out, "mary ", 5), 0);
    static const char *const verbs[] = {"run", "validate", "bench"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        char arguments[64];
        snprintf(arguments, sizeof arguments, "%s --help", verbs[i]);
        expect_status(arguments, 0);
        ck_assert_ptr_nonnull(strstr(out, "Usage: mary "));
        ck_assert_str_eq(err, "");
    }
    remove_folder();
}
END_TEST

START_TEST(wrong_usage_is_status_2_and_one_line)
{
    prepare();
    expect_failure("", 2, "which verb");
    expect_failure("frobnicate", 2, "unknown verb 'frobnicate'");
    static const char *const verbs[] = {"run", "validate", "bench"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        char arguments[64];
        snprintf(arguments, sizeof arguments, "%s", verbs[i]);
        expect_failure(arguments, 2, "which model");
        snprintf(arguments, sizeof arguments, "%s --frobnicate", verbs[i]);
        expect_failure(arguments, 2, "unrecognized option");
        snprintf(arguments, sizeof arguments, "%s --threads", verbs[i]);
        expect_failure(arguments, 2, "requires an argument");
        snprintf(arguments, sizeof arguments, "%s --threads=-1 abs.onnx", verbs[i]);
        expect_failure(arguments, 2, "--threads takes");
        snprintf(arguments, sizeof arguments, "%s --cpu=abacus abs.onnx", verbs[i]);
        expect_failure(arguments, 2, "--cpu takes");
    }
    expect_failure("run abs.onnx", 2, "nothing to feed");
    expect_failure("run abs.onnx --random -i x.npy", 2, "exclude");
    expect_failure("run abs.onnx --random --input-shape z:1,3", 2, "no such input");
    expect_failure("run abs.onnx --random --input-shape x:1,4", 2, "contradicts");
    expect_failure("run abs.onnx --random --input-shape x:1,b", 2, "--input-shape takes");
    expect_failure("validate abs.onnx neg.onnx", 2, "--data PATH is missing");
    expect_failure("validate abs.onnx --data d.npz --max-drop 1", 2, "two models");
    expect_failure("validate abs.onnx neg.onnx --data x.npy --max-drop 1", 2, "needs labels");
    expect_failure("validate abs.onnx --data d.npz --report r.txt", 2, ".json or .html");
    expect_failure("validate abs.onnx --data d.npz --scores z", 2, "no such output");
    remove_folder();
}
END_TEST

START_TEST(unreadable_input_is_status_3_and_names_the_file)
{
    prepare();
    write_file("junk.onnx", "junk", 4);
    expect_failure("run nothing.onnx --random", 3, "nothing.onnx");
    expect_failure("run junk.onnx --random", 3, "junk.onnx");
    expect_failure("run abs.onnx -i nothing.npy", 3, "nothing.npy");
    expect_failure("run abs.onnx -i junk.onnx", 3, "junk.onnx");
    expect_failure("validate abs.onnx --data d.npz:z", 3, "x_test, y_test");
    expect_failure("validate abs.onnx neg.onnx --data nothing.npz", 3, "nothing.npz");
    write_npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", "0123456789abcdef", 16);
    expect_failure("run abs.onnx -i x.npy", 3, "[2,2] does not fit input 'x' of shape [N,3]");
    remove_folder();
}
END_TEST

START_TEST(unsupported_models_are_status_4)
{
    prepare();
    write_model("odd.onnx", "Frobnicate");
    expect_failure("run odd.onnx --random", 4, "Frobnicate");
    remove_folder();
}
END_TEST

START_TEST(a_missed_budget_is_status_5_and_the_report_is_still_written)
{
    prepare();
    expect_failure("validate abs.onnx neg.onnx --data d.npz --max-drop 99 --report r.json", 5,
                   "top-1 falls by 100.00 points");
    slurp(path_of("r.json"), out, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "\"max_drop_kept\": false"));
    expect_status("validate abs.onnx neg.onnx --data d.npz --max-drop 100", 0);
    expect_status("validate neg.onnx abs.onnx --data d.npz --max-drop 0", 0);
    expect_status("validate abs.onnx abs.onnx --data d.npz --max-drop 0", 0);
    remove_folder();
}
END_TEST

START_TEST(outputs_that_cannot_be_written_are_status_6)
{
    prepare();
    expect_failure("run abs.onnx -i x.npy -o missing/y.npy", 6, "missing/y.npy");
    expect_failure("run abs.onnx -i x.npy -o missing/y.npz", 6, "missing/y.npz");
    expect_failure("validate abs.onnx neg.onnx --data d.npz --report missing/r.html", 6, "missing/r.html");
    if (access("/dev/full", W_OK) == 0) {
        char command[512];
        snprintf(command, sizeof command, "'%s/mary' --help > /dev/full 2> '%s'", getenv("MARY_BINARY_DIR"),
                 path_of("e"));
        ck_assert_int_eq(WEXITSTATUS(system(command)), 6);
        expect_failure("run abs.onnx -i x.npy -o /dev/full", 6, "/dev/full");
    }
    remove_folder();
}
END_TEST

START_TEST(accuracy_and_agreement_are_those_of_the_data)
{
    prepare();
    expect_status("validate abs.onnx neg.onnx --data d.npz --batch 3 --report r.json --report r.html", 0);
    slurp(path_of("r.json"), out, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "\"samples\": 4"));
    ck_assert_ptr_nonnull(strstr(out, "\"top1_percent\": 100.0"));
    ck_assert_ptr_nonnull(strstr(out, "\"top1_percent\": 0.0"));
    ck_assert_ptr_nonnull(strstr(out, "\"agreement_percent\": 0.0"));
    ck_assert_ptr_nonnull(strstr(out, "\"cosine\": -1.0"));
    ck_assert_ptr_nonnull(strstr(out, "\"peak_memory_bytes\": "));
    ck_assert_ptr_null(strstr(out, "\"peak_memory_bytes\": null"));
    expect_status("validate abs.onnx --data d.npz", 0);
    ck_assert_ptr_nonnull(strstr(out, "100.00"));
    expect_status("validate abs.onnx neg.onnx --data x.npy", 0);
    ck_assert_ptr_nonnull(strstr(err, "no labels"));
    remove_folder();
}
END_TEST

START_TEST(run_writes_what_numpy_and_onnx_read)
{
    prepare();
    static const float expected[3] = {-9, -1, -0.0f};
    expect_status("run neg.onnx -i x.npy --first 1 -o y.npy", 0);
    char bytes[1024];
    FILE *file = fopen(path_of("y.npy"), "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    ck_assert_mem_eq(bytes + size - sizeof expected, expected, sizeof expected);
    expect_status("run neg.onnx -i x.npy -o y.npz", 0);
    expect_status("run neg.onnx -i y.npz", 0);
    expect_status("run neg.onnx -i x.npy -o test_data_set_0 --format pb", 0);
    expect_status("run neg.onnx -i x.npy -o folder", 0);
    ck_assert_int_eq(access(path_of("folder/y.npy"), R_OK), 0);
    /* what was recorded is what comes out again */
    char command[512];
    snprintf(command, sizeof command,
             "cd '%s' && '%s/mary' run abs.onnx -i x.npy -o test_data_set_0 --format pb > out.txt && cp "
             "test_data_set_0/output_0.pb test_data_set_0/input_0.pb",
             folder, getenv("MARY_BINARY_DIR"));
    ck_assert_int_eq(system(command), 0);
    expect_status("run abs.onnx -i .", 0);
    ck_assert_ptr_nonnull(strstr(out, "cosine 1.0"));
    expect_status("run neg.onnx -i test_data_set_0", 0);
    ck_assert_ptr_nonnull(strstr(out, "cosine -1.0"));
    remove_folder();
}
END_TEST

START_TEST(bench_reports_one_model_and_two)
{
    prepare();
    expect_status("bench abs.onnx --runs 3 --json", 0);
    ck_assert_ptr_nonnull(strstr(out, "\"runs\": 3"));
    expect_status("bench abs.onnx neg.onnx --runs 3 --batch 7 --profile", 0);
    ck_assert_ptr_nonnull(strstr(out, "times as fast"));
    ck_assert_ptr_nonnull(strstr(out, "Neg"));
    expect_status("bench abs.onnx neg.onnx --runs 2 --json=b.json", 0);
    slurp(path_of("b.json"), out, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "\"median_ratio\""));
    remove_folder();
}
END_TEST

/* x [N,3] -> Gemm -> Relu -> Gemm -> y [N,3] */
static void write_layers(const char *name)
{
    static const float w[] = {0.5f, -1, 0.25f, 1, 0.75f, -0.5f, 0.1f, 0.2f, 0.9f};
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3));
    build_floats(graph, "w", SHAPE(3, 3), w);
    build_floats(graph, "v", SHAPE(3, 3), w);
    build_node(graph, "Gemm", "x,w", "h");
    build_node(graph, "Relu", "h", "r");
    build_node(graph, "Gemm", "r,v", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 3));
    size_t size;
    uint8_t *bytes = build_bytes(model, &size);
    write_file(name, bytes, size);
    mary_free(bytes);
    mary_model_free(&model);
}

START_TEST(integer_activations_need_data_and_are_reported)
{
    prepare();
    write_layers("layers.onnx");
    expect_failure("convert layers.onnx out.onnx --activations 8", 2, "--calibration-data");
    expect_failure("convert layers.onnx out.onnx --activations 4", 2, "8 or float");
    expect_failure("convert layers.onnx out.onnx --activations 8 --calibration-data d.npz --calibration-method best", 2,
                   "'best' is unknown");
    expect_failure("convert layers.onnx out.onnx --activations 8 --calibration-data nothing.npz", 3, "nothing.npz");
    expect_status(
        "convert layers.onnx out.onnx --levels 256 --activations 8 --calibration-data d.npz:x_test --report r.json", 0);
    ck_assert_ptr_nonnull(strstr(out, "activations  3 tensors of 8 bits"));
    slurp(path_of("r.json"), out, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "\"zero_point\""));
    ck_assert_ptr_nonnull(strstr(out, "\"float_nodes\": []"));
    expect_status("inspect out.onnx", 0);
    ck_assert_ptr_nonnull(strstr(out, "MaryQLinearGemm"));
    expect_status("validate layers.onnx out.onnx --data d.npz --report v.json", 0);
    slurp(path_of("v.json"), out, sizeof out);
    ck_assert_ptr_nonnull(strstr(out, "\"MaryQLinearGemm\""));
    ck_assert_ptr_nonnull(strstr(out, "\"cosine\"")); /* of the layers' outputs, too */
    expect_status("dequantize out.onnx plain.onnx", 0);
    expect_status("inspect plain.onnx", 0);
    ck_assert_ptr_null(strstr(out, "MaryQLinearGemm"));
    remove_folder();
}
END_TEST

START_TEST(no_stray_files_are_left)
{
    prepare();
    mary("run abs.onnx -i x.npy -o y.npy");
    mary("validate abs.onnx neg.onnx --data d.npz --report r.html --report r.json");
    mary("validate abs.onnx neg.onnx --data d.npz --report x.npy/r.html");
    glob_t found;
    char pattern[128];
    snprintf(pattern, sizeof pattern, "%s/*.*.*", folder);
    int nothing = glob(pattern, 0, NULL, &found);
    ck_assert_int_eq(nothing, GLOB_NOMATCH);
    globfree(&found);
    remove_folder();
}
END_TEST

MARY_TEST_MAIN("cli/command", help_and_version_succeed_on_stdout, wrong_usage_is_status_2_and_one_line,
               unreadable_input_is_status_3_and_names_the_file, unsupported_models_are_status_4,
               a_missed_budget_is_status_5_and_the_report_is_still_written, outputs_that_cannot_be_written_are_status_6,
               accuracy_and_agreement_are_those_of_the_data, run_writes_what_numpy_and_onnx_read,
               bench_reports_one_model_and_two, integer_activations_need_data_and_are_reported, no_stray_files_are_left)
