#include <glob.h>
#include <sys/stat.h>

#include "cli/cli.h"
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

MARY_TEST_MAIN("cli/output", a_file_appears_only_when_it_is_complete,
               discarding_keeps_the_old_file_and_leaves_nothing_else, a_device_is_written_not_replaced,
               new_files_have_the_permissions_that_the_user_wants, a_folder_that_is_not_there_is_a_write_error)
