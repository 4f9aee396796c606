/* The `mary` command run from outside, in the test's folder. */
#ifndef TESTS_CLI_COMMAND_H
#define TESTS_CLI_COMMAND_H

#include <sys/wait.h>

#include "tests/cli/data/files.h"

/* What the last command printed. */
static char out[65536], err[8192];

static inline void slurp(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* Runs `mary ARGUMENTS` in the folder. */
static inline int mary(const char *arguments)
{
    char command[4096];
    snprintf(command, sizeof command, "cd '%s' && '%s/mary' %s > out.txt 2> err.txt", folder, getenv("MARY_BINARY_DIR"),
             arguments);
    int status = system(command);
    ck_assert_msg(WIFEXITED(status), "'%s' crashed", arguments);
    slurp(path_of("out.txt"), out, sizeof out);
    slurp(path_of("err.txt"), err, sizeof err);
    return WEXITSTATUS(status);
}

static inline void expect_success(const char *arguments)
{
    int status = mary(arguments);
    ck_assert_msg(status == 0, "mary %s: status %d: %s", arguments, status, err);
}

static inline void expect_failure(const char *arguments, int expected, const char *said)
{
    int status = mary(arguments);
    ck_assert_msg(status == expected, "mary %s: status %d, expected %d: %s", arguments, status, expected, err);
    ck_assert_msg(strncmp(err, "mary", 4) == 0, "mary %s: %s", arguments, err);
    ck_assert_msg(strchr(err, '\n') == err + strlen(err) - 1, "mary %s: not one line: %s", arguments, err);
    ck_assert_msg(strstr(err, said) != NULL, "mary %s: '%s' lacks '%s'", arguments, err, said);
}

static inline bool same_files(const char *a, const char *b)
{
    char command[512];
    snprintf(command, sizeof command, "cmp -s '%s' '%s'", path_of(a), path_of(b));
    return system(command) == 0;
}

#endif
