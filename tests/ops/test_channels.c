/* ops/channels.c and ops/mary/qchannels.c: between plain and channels last, every element where it belongs and nothing
 * else touched. */
#include "ops/channels.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ops/mary/qchannels.h"

static const int64_t channels[] = {1, 3, 4, 5, 8, 15, 16, 17, 31, 33, 64, 65, 130};
static const int64_t pixels[] = {1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 49, 100, 196};
enum { CASES = sizeof channels / sizeof *channels, BATCH = 3, GUARD = 64, GAP = 5 };

#define CHECK_BOTH_WAYS(type, to_last, to_plain)                                                                       \
    static void check_##type(int64_t c, int64_t p, int64_t stride)                                                     \
    {                                                                                                                  \
        size_t plain_count = (size_t)(BATCH * c * p), last_count = (size_t)(BATCH * p * stride) + GUARD;               \
        type *plain = malloc(plain_count * sizeof *plain), *last = malloc(last_count * sizeof *last);                  \
        type *back = malloc(plain_count * sizeof *back);                                                               \
        for (size_t i = 0; i < plain_count; i++)                                                                       \
            plain[i] = (type)(i % 251);                                                                                \
        for (size_t i = 0; i < last_count; i++)                                                                        \
            last[i] = 7;                                                                                               \
        to_last(plain, BATCH, c, p, last, stride, NULL);                                                               \
        for (int64_t at = 0; at < (int64_t)last_count; at++) {                                                         \
            int64_t pixel = at / stride, k = at % stride;                                                              \
            bool inside = pixel < BATCH * p && k < c;                                                                  \
            type wanted = inside ? plain[(pixel / p * c + k) * p + pixel % p] : 7;                                     \
            ck_assert_msg(last[at] == wanted, "%d channels, %d pixels, stride %d: element %d", (int)c, (int)p,         \
                          (int)stride, (int)at);                                                                       \
        }                                                                                                              \
        to_plain(last, stride, BATCH, c, p, back, NULL);                                                               \
        ck_assert_msg(memcmp(plain, back, plain_count * sizeof *plain) == 0, "%d channels, %d pixels: back", (int)c,   \
                      (int)p);                                                                                         \
        free(plain);                                                                                                   \
        free(last);                                                                                                    \
        free(back);                                                                                                    \
    }

CHECK_BOTH_WAYS(float, mary_channels_to_last, mary_channels_to_plain)
CHECK_BOTH_WAYS(uint8_t, mary_qchannels_to_last, mary_qchannels_to_plain)

START_TEST(every_element_moves_and_gaps_stay)
{
    for (int i = 0; i < CASES; i++) {
        for (int j = 0; j < CASES; j++) {
            for (int gap = 0; gap <= GAP; gap += GAP) {
                check_float(channels[i], pixels[j], channels[i] + gap);
                check_uint8_t(channels[i], pixels[j], channels[i] + gap);
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channels");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, every_element_moves_and_gaps_stay);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
