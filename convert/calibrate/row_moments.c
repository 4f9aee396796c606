/* Levels near zero for many weights and far from it for few make every row a little shorter than it was (a level is the
 * mean of its weights), and a network without normalisation multiplies what each layer loses: ResNet-32 with exact
 * k-means at M = 8 has logits of 66 % of the size where means alone are corrected. Least squares would shrink rows
 * further; what later layers need is the spread that they were trained with. */
#include "convert/calibrate/row_moments.h"

#include <math.h>

#define LEAST_FACTOR 0.25 /* beyond these, a row hardly varied, and says nothing about its factor */
#define MOST_FACTOR  4.0

void mary_row_moments_free(mary_row_moments *moments)
{
    mary_free(moments->sums);
    mary_free(moments->squares);
    *moments = (mary_row_moments){0};
}

mary_status mary_row_moments_add(mary_row_moments *moments, int64_t batch, int64_t rows, int64_t positions,
                                 const float *values)
{
    if (moments->sums == NULL) {
        moments->rows = rows;
        moments->sums = mary_calloc((size_t)rows, sizeof *moments->sums);
        moments->squares = mary_calloc((size_t)rows, sizeof *moments->squares);
        if (moments->sums == NULL || moments->squares == NULL) {
            mary_row_moments_free(moments);
            return mary_fail_memory((size_t)rows * sizeof *moments->sums);
        }
    }
    if (moments->rows != rows)
        return mary_fail(MARY_ERROR_INTERNAL, "outputs of another layer");
    for (int64_t row = 0; row < rows; row++) {
        double sum = 0, square = 0;
        for (int64_t image = 0; image < batch; image++) {
            const float *from = values + (image * rows + row) * positions;
            for (int64_t i = 0; i < positions; i++) {
                sum += (double)from[i];
                square += (double)from[i] * (double)from[i];
            }
        }
        moments->sums[row] += sum;
        moments->squares[row] += square;
    }
    moments->count += (double)(batch * positions);
    return MARY_OK;
}

void mary_output_match_free(mary_output_match *match)
{
    mary_row_moments_free(&match->wanted);
    mary_row_moments_free(&match->made);
    mary_row_moments_free(&match->wanted_sum);
    mary_row_moments_free(&match->made_sum);
}

static double mean(const mary_row_moments *moments, int64_t row)
{
    return moments->sums[row] / moments->count;
}

/* Squared distances from the mean, summed. */
static double spread(const mary_row_moments *moments, int64_t row)
{
    return fmax(moments->squares[row] - mean(moments, row) * moments->sums[row], 0);
}

static double factor_of(double wanted, double made)
{
    double factor = sqrt(wanted / made);
    return factor >= LEAST_FACTOR && factor <= MOST_FACTOR ? factor : 1; /* not where one of them is zero, either */
}

void mary_output_match_solve(const mary_output_match *match, mary_factor_per per, const float *bias, double *factors,
                             float *shifts)
{
    double wanted = 0, made = 0;
    for (int64_t row = 0; row < match->made.rows; row++) {
        double row_wanted = spread(&match->wanted, row), row_made = spread(&match->made, row);
        factors[row] = per == MARY_FACTOR_PER_ROW ? factor_of(row_wanted, row_made) : 1;
        wanted += row_wanted;
        made += row_made;
    }
    for (int64_t row = 0; row < match->made.rows; row++) {
        if (per == MARY_FACTOR_PER_LAYER)
            factors[row] = factor_of(wanted, made);
        bool sum = match->made_sum.sums != NULL;
        double lacks =
            mean(sum ? &match->wanted_sum : &match->wanted, row) - mean(sum ? &match->made_sum : &match->made, row);
        double own = mean(&match->made, row) - (bias != NULL ? (double)bias[row] : 0);
        shifts[row] = (float)(lacks + (1 - factors[row]) * own);
    }
}
