/* Exact k-means in which a weight's squared error counts 1 + c w^2 / s^2 times; s^2 is the mean square of the row.
 *
 * Training makes weights large where they matter, and large weights meet the inputs that vary together: their errors
 * add up where those of small ones cancel. Plain k-means puts its levels where most weights are and clips the tails,
 * which costs most when levels are few. c was chosen on training images only; docs/levels.md has
 * the figures. */
#include "convert/quantize/method.h"

static double factor(int levels)
{
    return levels < 4 ? 0.1 : 1.0 / levels;
}

mary_status mary_quantize_magnitude(const mary_quantize_input *input, int count, double *levels)
{
    double square = 0;
    for (int64_t i = 0; i < input->count; i++)
        square += (double)input->values[i] * (double)input->values[i];
    double scale = square > 0 ? factor(count) * (double)input->count / square : 0;
    float *importance = mary_alloc((size_t)input->count * sizeof *importance);
    if (importance == NULL)
        return mary_fail_memory((size_t)input->count * sizeof *importance);
    for (int64_t i = 0; i < input->count; i++) {
        double given = input->importance != NULL ? (double)input->importance[i] : 1.0;
        importance[i] = (float)(given * (1.0 + scale * (double)input->values[i] * (double)input->values[i]));
    }
    mary_quantize_input weighted = *input;
    weighted.importance = importance;
    mary_status status = mary_quantize_kmeans(&weighted, count, levels);
    mary_free(importance);
    return status;
}
