/* Levels and biases to fewer significant bits. Beside the error of few levels theirs is nothing, and in a packed file
 * every bit of them is a bit: their last ones are noise to any coder. */
#include <math.h>
#include <string.h>

#include "tune/tune.h"

enum { SIGNIFICANT = 24 }; /* of a float */

/* To the nearest, halves away from zero. What would no longer be finite, or is not, stays. */
static float round_to(float value, int bits)
{
    const int dropped = SIGNIFICANT - bits;
    uint32_t number;
    float rounded;
    if (dropped == 0 || !isfinite(value))
        return value;
    memcpy(&number, &value, sizeof number);
    number += 1u << (dropped - 1); /* carries from the mantissa go to the exponent, as they should */
    number &= ~((1u << dropped) - 1);
    memcpy(&rounded, &number, sizeof rounded);
    return isfinite(rounded) ? rounded : value;
}

mary_status mary_tuned_round(mary_trainer *trainer, int bits)
{
    mary_parameter parameter;
    for (int i = 0; i < mary_trainer_parameter_count(trainer); i++) {
        MARY_TRY(mary_trainer_parameter(trainer, i, &parameter));
        for (int64_t k = 0; k < parameter.count; k++)
            parameter.values[k] = round_to(parameter.values[k], bits);
    }
    return MARY_OK;
}
