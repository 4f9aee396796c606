/* Equally spaced levels between the smallest and the largest weight: the baseline. */
#include "convert/quantize/method.h"

mary_status mary_quantize_spaced(const mary_quantize_input *input, int count, double *levels)
{
    double low = input->values[0], high = input->values[0];
    for (int64_t i = 1; i < input->count; i++) {
        if (input->values[i] < low)
            low = input->values[i];
        if (input->values[i] > high)
            high = input->values[i];
    }
    for (int m = 0; m < count; m++)
        levels[m] = m == count - 1 ? high : low + (high - low) * m / (count - 1);
    return MARY_OK;
}
