/* What every test program starts with: libcheck, and a main that runs one suite. */
#ifndef MARY_TESTS_SUITE_H
#define MARY_TESTS_SUITE_H

#include <check.h>
#include <stdlib.h>

#include "mary.h"

/* ck_assert that a call succeeded, showing mary's own message when it did not. */
#define assert_ok(expression)                                                                                          \
    do {                                                                                                               \
        mary_status assert_status = (expression);                                                                      \
        ck_assert_msg(assert_status == MARY_OK, "%s: status %d: %s", #expression, (int)assert_status,                  \
                      mary_error_message());                                                                           \
    } while (0)

/* The call failed with exactly this status, and said something that contains `text`. */
#define assert_fails(expression, expected, text)                                                                       \
    do {                                                                                                               \
        mary_status assert_status = (expression);                                                                      \
        ck_assert_msg(assert_status == (expected), "%s: status %d, expected %d (%s)", #expression, (int)assert_status, \
                      (int)(expected), mary_error_message());                                                          \
        ck_assert_msg(strstr(mary_error_message(), (text)) != NULL, "message '%s' lacks '%s'", mary_error_message(),   \
                      (text));                                                                                         \
    } while (0)

/* main of a test program: MARY_TEST_MAIN("onnx/tensor", test_a, test_b) */
int mary_test_main(const char *name, const TTest *const *tests, size_t count);

#define MARY_TEST_MAIN(name, ...)                                                                                      \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const TTest *const tests[] = {__VA_ARGS__};                                                                    \
        return mary_test_main(name, tests, sizeof tests / sizeof tests[0]);                                            \
    }

#endif
