/* `mary pack` and `mary unpack` from outside. */
#include "tests/cli/command.h"

static void prepare(void)
{
    char command[1024];
    setup_folder();
    snprintf(command, sizeof command, "convert '%s/models/fashion-lenet5.onnx' m.onnx -q --levels 4",
             getenv("MARY_SOURCE_DIR"));
    expect_success(command);
}

static long number_behind(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    ck_assert_msg(at != NULL, "'%s' lacks '%s'", text, key);
    return strtol(at + strlen(key), NULL, 10);
}

START_TEST(unpack_gives_the_same_file_again_for_every_coder)
{
    static const char *const coders[] = {"huffman", "arithmetic", "auto"};
    prepare();
    for (int i = 0; i < 3; i++) {
        char arguments[128];
        snprintf(arguments, sizeof arguments, "pack m.onnx p.onnx --coder %s", coders[i]);
        expect_success(arguments);
        ck_assert(!same_files("m.onnx", "p.onnx"));
        expect_success("unpack p.onnx -o u.onnx");
        ck_assert(same_files("m.onnx", "u.onnx"));
    }
    remove_folder();
}
END_TEST

START_TEST(every_verb_opens_a_packed_model)
{
    static char plain[sizeof out];
    prepare();
    expect_success("pack m.onnx p.onnx -t 1");
    expect_success("run m.onnx --random -o m.npy");
    expect_success("run p.onnx --random -o p.npy");
    ck_assert(same_files("m.npy", "p.npy"));
    expect_success("bench p.onnx --runs 10");
    expect_success("dequantize p.onnx d.onnx");
    expect_success("dequantize m.onnx e.onnx");
    ck_assert(same_files("d.onnx", "e.onnx"));
    expect_success("inspect m.onnx");
    strcpy(plain, strstr(out, "layer "));
    *strstr(plain, "\nweights") = '\0';
    expect_success("inspect p.onnx");
    ck_assert_ptr_nonnull(strstr(out, plain)); /* the layers are those of the plain model */
    ck_assert_ptr_nonnull(strstr(out, "The file is packed"));
    ck_assert_ptr_nonnull(strstr(out, "symbols"));
    expect_success("inspect p.onnx --json");
    ck_assert_ptr_nonnull(strstr(out, "\"packed\": true"));
    remove_folder();
}
END_TEST

START_TEST(the_report_counts_every_byte_of_the_file)
{
    static const char *const parts[] = {
        "\"codes\":", "\"positions\":", "\"tables\":", "\"levels\":", "\"biases\":", "\"other\":", "\"graph\":"};
    char command[1024];
    prepare();
    for (int huffman = 0; huffman < 2; huffman++) {
        snprintf(command, sizeof command,
                 "pack m.onnx p.onnx --report r.json --original '%s/models/fashion-lenet5.onnx' %s",
                 getenv("MARY_SOURCE_DIR"), huffman ? "-c huffman" : "");
        expect_success(command);
        ck_assert_ptr_nonnull(strstr(out, "times smaller than fashion-lenet5.onnx"));
        slurp(path_of("r.json"), out, sizeof out);
        long sum = 0, size = 0;
        for (int i = 0; i < 7; i++)
            sum += number_behind(strstr(out, "\"bytes\":"), parts[i]);
        FILE *file = fopen(path_of("p.onnx"), "rb");
        fseek(file, 0, SEEK_END);
        size = ftell(file);
        fclose(file);
        ck_assert_int_eq(sum, size);
        ck_assert_int_eq(number_behind(out, "\"file_bytes_after\":"), size);
        ck_assert_int_eq(number_behind(out, "\"original_bytes\":"), 1725729);
        if (huffman)
            ck_assert_int_gt(number_behind(strstr(out, "\"bytes\":"), "\"tables\":"), 0);
    }
    remove_folder();
}
END_TEST

START_TEST(wrong_arguments_and_damage_are_one_line)
{
    prepare();
    expect_success("pack m.onnx p.onnx");
    expect_failure("pack m.onnx", 2, "which models?");
    expect_failure("pack m.onnx p.onnx q.onnx", 2, "too many");
    expect_failure("pack m.onnx q.onnx --coder lzma", 2, "coder 'lzma' is none of");
    expect_failure("pack p.onnx q.onnx", 2, "p.onnx: the model is packed already");
    expect_failure("unpack m.onnx q.onnx", 2, "m.onnx: the model is not packed");
    expect_failure("unpack absent.onnx q.onnx", 3, "absent.onnx");
    expect_failure("pack out.txt q.onnx", 3, "out.txt");
    expect_failure("pack m.onnx no/such/folder.onnx", 6, "no/such/folder.onnx");
    ck_assert_int_ne(access(path_of("q.onnx"), F_OK), 0);
    FILE *file = fopen(path_of("p.onnx"), "r+b");
    fseek(file, 50000, SEEK_SET); /* among the codes */
    int byte = fgetc(file);
    fseek(file, 50000, SEEK_SET);
    fputc(byte ^ 4, file);
    fclose(file);
    expect_failure("unpack p.onnx q.onnx", 3, "packed tensor");
    expect_failure("run p.onnx --random", 3, "p.onnx: packed tensor");
    remove_folder();
}
END_TEST

MARY_TEST_MAIN("cli/pack", unpack_gives_the_same_file_again_for_every_coder, every_verb_opens_a_packed_model,
               the_report_counts_every_byte_of_the_file, wrong_arguments_and_damage_are_one_line)
