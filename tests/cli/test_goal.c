/* `mary convert` with goals and --pack, from outside. */
#include "tests/cli/command.h"

enum { TRAIN = 48 };

static void prepare(void)
{
    static float images[TRAIN * 784];
    static int64_t classes[TRAIN];
    char command[1024];
    uint32_t state = 3;
    setup_folder();
    for (int i = 0; i < TRAIN * 784; i++) {
        state = state * 1664525u + 1013904223u;
        images[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    for (int i = 0; i < TRAIN; i++)
        classes[i] = i % 10;
    add_member("d.npz", "x_train.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (48, 1, 28, 28), }", images,
               sizeof images, false);
    add_member("d.npz", "y_train.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (48,), }", classes,
               sizeof classes, false);
    add_member("u.npz", "x_train.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (48, 1, 28, 28), }", images,
               sizeof images, false);
    snprintf(command, sizeof command, "cp '%s/models/fashion-lenet5.onnx' '%s'", getenv("MARY_SOURCE_DIR"),
             path_of("f.onnx"));
    ck_assert_int_eq(system(command), 0);
}

static long size_of(const char *name)
{
    FILE *file = fopen(path_of(name), "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    fclose(file);
    return size;
}

static void expect_said(const char *said)
{
    ck_assert_msg(strstr(out, said) != NULL, "'%s' lacks '%s'", out, said);
}

START_TEST(the_file_fits_and_the_baseline_is_printed)
{
    prepare();
    expect_success("convert f.onnx o.onnx --target-ratio 12 --calibration-data d.npz --report r.json");
    ck_assert_int_le(size_of("o.onnx") * 12, size_of("f.onnx"));
    expect_said("--target-ratio 12: the best file of at most 143810 bytes");
    expect_said("M per layer");
    expect_said("M = 4");
    expect_said("48: layers were measured with 24, and what follows is of 24 held apart");
    slurp(path_of("r.json"), out, sizeof out);
    expect_said("\"goal\": {");
    expect_said("\"frontier\": [");
    expect_said("\"labelled\": true");
    expect_success("run o.onnx --random");
    expect_success("convert f.onnx o.onnx -q --target-bytes 90000 --pack --calibration-data u.npz -t 1");
    ck_assert_str_eq(out, "");
    ck_assert_int_le(size_of("o.onnx"), 90000);
    ck_assert_int_ge(size_of("o.onnx"), 70000);
    expect_success("run o.onnx --random");
    expect_success("unpack o.onnx p.onnx");
    expect_success("inspect o.onnx");
    expect_said("The file is packed");
    remove_folder();
}
END_TEST

START_TEST(the_drop_is_of_accuracy_or_without_labels_of_agreement)
{
    prepare();
    expect_success("convert f.onnx o.onnx --max-drop 10 --calibration-data d.npz");
    expect_said("loses at most 10 points of accuracy");
    expect_said("what follows is of all, one of them is 2.08 points");
    const long accuracy = size_of("o.onnx");
    expect_success("convert f.onnx o.onnx --max-drop 10 --calibration-data u.npz");
    expect_said("loses at most 10 points of agreement, which accuracy cannot lose more of");
    ck_assert_int_ge(size_of("o.onnx"), accuracy);
    expect_success("convert f.onnx o.onnx --max-drop 10 --calibration-data u.npz --labels d.npz:y_train");
    ck_assert_int_eq(size_of("o.onnx"), accuracy);
    remove_folder();
}
END_TEST

START_TEST(pack_is_what_mary_pack_makes_of_it)
{
    prepare();
    expect_success("convert f.onnx m.onnx -q --levels 4");
    expect_success("pack m.onnx p.onnx");
    expect_success("convert f.onnx o.onnx --levels 4 --pack");
    ck_assert(same_files("p.onnx", "o.onnx"));
    char said[64];
    snprintf(said, sizeof said, "%.2f times smaller", (double)size_of("f.onnx") / (double)size_of("o.onnx"));
    expect_said(said);
    remove_folder();
}
END_TEST

START_TEST(what_does_not_go_together_is_one_line)
{
    static const struct {
        const char *arguments, *said;
    } bad[] = {
        {"--target-ratio 8", "--target-ratio needs --calibration-data"},
        {"--target-bytes 80000", "--target-bytes needs --calibration-data"},
        {"--max-drop 1", "--max-drop needs --calibration-data"},
        {"--target-ratio 8 --target-bytes 80000 --calibration-data d.npz", "exclude each other"},
        {"--max-drop 1 --target-ratio 8 --calibration-data d.npz", "exclude each other"},
        {"--max-drop 1 --max-drop 2 --calibration-data d.npz", "exclude each other"},
        {"--target-ratio 8 --levels 4 --calibration-data d.npz", "excludes --levels and --bits"},
        {"--bits 2 --max-drop 1 --calibration-data d.npz", "excludes --levels and --bits"},
        {"--target-ratio 0 --calibration-data d.npz", "--target-ratio"},
        {"--target-ratio -8 --calibration-data d.npz", "--target-ratio"},
        {"--target-ratio nan --calibration-data d.npz", "--target-ratio takes a number"},
        {"--target-ratio inf --calibration-data d.npz", "--target-ratio takes a number"},
        {"--target-ratio 1e300 --calibration-data d.npz", "out of range"},
        {"--target-ratio 8x --calibration-data d.npz", "--target-ratio takes a number"},
        {"--target-bytes 0 --calibration-data d.npz", "--target-bytes"},
        {"--target-bytes -1 --calibration-data d.npz", "--target-bytes"},
        {"--target-bytes 1e5 --calibration-data d.npz", "--target-bytes takes a whole number"},
        {"--target-bytes 99999999999999999999 --calibration-data d.npz", "--target-bytes"},
        {"--max-drop -1 --calibration-data d.npz", "--max-drop"},
        {"--max-drop 101 --calibration-data d.npz", "--max-drop"},
        {"--max-drop nan --calibration-data d.npz", "--max-drop takes a number"},
        {"--target-ratio 8 --calibration-data d.npz --calibration-samples 8", "two runs or more"},
        {"--target-ratio 8 --calibration-data d.npz --nodes-to-exclude nowhere", "no node matches 'nowhere'"},
    };
    char arguments[512];
    prepare();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(arguments, sizeof arguments, "convert f.onnx o.onnx %s", bad[i].arguments);
        expect_failure(arguments, 2, bad[i].said);
    }
    expect_failure("convert f.onnx o.onnx --target-bytes 1000 --calibration-data d.npz", 5,
                   "no file of at most 1000 bytes can be made: the smallest one has");
    expect_failure("convert f.onnx o.onnx --target-ratio 900000 --calibration-data d.npz", 5,
                   "no file of at most 1 bytes");
    expect_failure("convert f.onnx o.onnx --target-ratio 8 --calibration-data absent.npz", 3, "absent.npz");
    ck_assert_int_ne(access(path_of("o.onnx"), F_OK), 0);
    expect_failure("convert f.onnx no/such/o.onnx --target-ratio 8 --calibration-data d.npz", 6, "no/such/o.onnx");
    remove_folder();
}
END_TEST

MARY_TEST_MAIN("cli/goal", the_file_fits_and_the_baseline_is_printed,
               the_drop_is_of_accuracy_or_without_labels_of_agreement, pack_is_what_mary_pack_makes_of_it,
               what_does_not_go_together_is_one_line)
