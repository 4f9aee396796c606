/* Quantising on the way to channels last: as QuantizeLinear, then a transposition. */
#include <math.h>
#include <stdlib.h>

#include "ops/qlinear_kernels.h"
#include "ops/quantize_channels.h"
#include "tests/support/suite.h"

START_TEST(images_are_quantised_on_their_way_to_channels_last)
{
    static const struct {
        int batch, channels, pixels, stride;
    } cases[] = {{1, 3, 1000, 4}, {2, 3, 257, 4},  {1, 4, 256, 4}, {1, 1, 33, 4},  {2, 3, 100, 3},
                 {1, 5, 70, 8},   {1, 40, 31, 48}, {1, 3, 0, 4},   {1, 3, 300, 64}};
    const mary_quantisation to = {0.03f, 120};
    const mary_requantisation how = mary_requantisation_to(to.zero);
    for (int cpu = 0; cpu < MARY_CPU_COUNT; cpu++) {
        for (size_t i = 0; mary_cpu_supported((mary_cpu)cpu) && i < sizeof cases / sizeof cases[0]; i++) {
            int n = cases[i].batch, c = cases[i].channels, p = cases[i].pixels, stride = cases[i].stride;
            float *plain = malloc(sizeof(float) * (size_t)(n * c * p + 1));
            uint8_t *last = malloc((size_t)(n * p * stride) + 1);
            for (int k = 0; k < n * c * p; k++)
                plain[k] = (float)((k * 37) % 1000 - 500) * 0.011f;
            last[n * p * stride] = 77;
            mary_quantize_to_channels_last((mary_cpu)cpu, plain, n, c, p, to, last, stride, NULL);
            ck_assert_int_eq(last[n * p * stride], 77);
            for (int k = 0; k < n * p * stride; k++) {
                int channel = k % stride, pixel = k / stride % p, image = k / stride / p;
                if (channel < c)
                    ck_assert_int_eq(last[k],
                                     mary_requantise(plain[(image * c + channel) * p + pixel] / to.scale, &how));
                else if (stride == 4)
                    ck_assert_int_eq(last[k], to.zero);
            }
            free(plain);
            free(last);
        }
    }
}
END_TEST

MARY_TEST_MAIN("ops/quantize_channels", images_are_quantised_on_their_way_to_channels_last)
