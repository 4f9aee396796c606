/* Equal thresholds, and the mean of what lies between two of them as level (Choi, El-Khamy and Lee 2017, section 4.1):
 * of all scalar quantisers the one with the least entropy for an error, where levels are many (Gish and Pierce 1968),
 * so the right one for codes that are packed afterwards. Empty intervals have no level. */
#include "convert/quantize/cells.h"

mary_status mary_quantize_uniform(const mary_quantize_input *input, int count, double *levels, uint8_t *codes)
{
    double low = input->values[0], high = input->values[0];
    for (int64_t i = 1; i < input->count; i++) {
        low = input->values[i] < low ? input->values[i] : low;
        high = input->values[i] > high ? input->values[i] : high;
    }
    double width = (high - low) / count;
    mary_cells cells = {0};
    for (int64_t i = 0; i < input->count; i++) {
        double interval = width > 0 ? ((double)input->values[i] - low) / width : 0;
        codes[i] = (uint8_t)(interval < count - 1 ? interval : count - 1);
        mary_cells_add(&cells, codes[i], input, i);
    }
    int used = 0;
    uint8_t number[256] = {0}; /* of the intervals that are kept */
    for (int m = 0; m < count; m++) {
        number[m] = (uint8_t)used;
        if (cells.members[m] > 0)
            levels[used++] = mary_cells_mean(&cells, m);
    }
    for (int64_t i = 0; i < input->count; i++)
        codes[i] = number[codes[i]];
    for (int m = used; m < count; m++)
        levels[m] = levels[used - 1];
    return MARY_OK;
}
