#include <glob.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/write.h"
#include "tests/cli/data/files.h"

static int file_count(void)
{
    glob_t found;
    char pattern[128];
    snprintf(pattern, sizeof pattern, "%s/*", folder);
    int count = glob(pattern, 0, NULL, &found) == 0 ? (int)found.gl_pathc : 0;
    globfree(&found);
    return count;
}

START_TEST(a_file_appears_only_when_it_is_complete)
{
    setup_folder();
    const char *path = path_of("o.txt");
    mary_output output;
    assert_ok(mary_output_open(&output, path));
    fputs("hello", output.file);
    ck_assert_int_ne(access(path, F_OK), 0);
    assert_ok(mary_output_commit(&output));
    ck_assert_int_eq(access(path, R_OK), 0);
    ck_assert_int_eq(file_count(), 1);
    remove_folder();
}
END_TEST

START_TEST(discarding_keeps_the_old_file_and_leaves_nothing_else)
{
    setup_folder();
    const char *path = write_file("o.txt", "old", 3);
    mary_output output;
    assert_ok(mary_output_open(&output, path));
    fputs("new and longer", output.file);
    mary_output_discard(&output);
    mary_output_discard(&output); /* again does nothing */
    struct stat information;
    ck_assert_int_eq(stat(path, &information), 0);
    ck_assert_int_eq(information.st_size, 3);
    ck_assert_int_eq(file_count(), 1);
    remove_folder();
}
END_TEST

START_TEST(a_device_is_written_not_replaced)
{
    assert_ok(mary_output_write("/dev/null", "x", 1));
    struct stat information;
    ck_assert_int_eq(stat("/dev/null", &information), 0);
    ck_assert(S_ISCHR(information.st_mode));
}
END_TEST

START_TEST(new_files_have_the_permissions_that_the_user_wants)
{
    setup_folder();
    mode_t before = umask(027);
    const char *path = path_of("o.txt");
    assert_ok(mary_output_write(path, "x", 1));
    umask(before);
    struct stat information;
    ck_assert_int_eq(stat(path, &information), 0);
    ck_assert_int_eq(information.st_mode & 0777, 0640);
    remove_folder();
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_a_write_error)
{
    mary_output output;
    assert_fails(mary_output_open(&output, "/nowhere/at/all/o.txt"), MARY_ERROR_WRITE, "/nowhere/at/all/o.txt");
    mary_output_discard(&output);
}
END_TEST

START_TEST(many_outputs_get_a_file_each_whatever_their_names)
{
    enum { COUNT = 64 }; /* names that were compared with those before them, again for each, took 2^COUNT steps */
    static char names[COUNT][16];
    mary_array arrays[COUNT];
    float value = 1;
    setup_folder();
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "layer/%d", i);
        arrays[i] =
            (mary_array){.name = names[i], .type = MARY_FLOAT, .rank = 1, .dims = {1}, .data = &value, .bytes = 4};
    }
    arrays[1].name = "layer:0"; /* as a file the same as layer/0 */
    arrays[2].name = "";
    arrays[3].name = "output_2";
    arrays[4].name = "layer_0";
    assert_ok(mary_write_outputs(path_of(""), false, arrays, COUNT));
    ck_assert_int_eq(file_count(), COUNT);
    ck_assert_int_eq(access(path_of("layer_0.npy"), R_OK), 0);
    ck_assert_int_eq(access(path_of("output_1.npy"), R_OK), 0);
    ck_assert_int_eq(access(path_of("layer_63.npy"), R_OK), 0);
    assert_ok(mary_write_outputs(path_of("all.npz"), false, arrays, COUNT));
    ck_assert_int_eq(file_count(), COUNT + 1);
    remove_folder();
}
END_TEST

MARY_TEST_MAIN("cli/output", a_file_appears_only_when_it_is_complete,
               discarding_keeps_the_old_file_and_leaves_nothing_else, a_device_is_written_not_replaced,
               new_files_have_the_permissions_that_the_user_wants, a_folder_that_is_not_there_is_a_write_error,
               many_outputs_get_a_file_each_whatever_their_names)
