/* Adam (Kingma and Ba 2015) and AMSGrad (Reddi, Kale and Kumar 2018), which divides by the largest second moment so
 * far. */
#include <math.h>

#include "train/optimise.h"

static void run(const mary_optimiser_slice *s, bool largest)
{
    const double steps = (double)s->step, beta1 = s->options->beta1, beta2 = s->options->beta2;
    const float rate = (float)(s->rate / (1 - pow(beta1, steps)));
    const float correction = (float)(1 / sqrt(1 - pow(beta2, steps))), epsilon = (float)s->options->epsilon;
    const float keep1 = (float)beta1, take1 = (float)(1 - beta1), keep2 = (float)beta2, take2 = (float)(1 - beta2);
    const float decay = (float)s->options->weight_decay;
    float *first = s->states[0], *second = s->states[1], *most = s->states[2];
    for (int64_t i = 0; i < s->count; i++) {
        const float gradient = s->gradients[i] + decay * s->values[i];
        first[i] = keep1 * first[i] + take1 * gradient;
        second[i] = keep2 * second[i] + take2 * gradient * gradient;
        float moment = second[i];
        if (largest) {
            most[i] = most[i] > moment ? most[i] : moment;
            moment = most[i];
        }
        s->values[i] -= rate * first[i] / (sqrtf(moment) * correction + epsilon);
    }
}

static void adam(const mary_optimiser_slice *s)
{
    run(s, false);
}

static void amsgrad(const mary_optimiser_slice *s)
{
    run(s, true);
}

const mary_optimiser_kind mary_optimise_adam = {.name = "adam",
                                                .summary = "steps scaled by running first and second moments",
                                                .states = 2,
                                                .moment = 1,
                                                .step = adam};
const mary_optimiser_kind mary_optimise_amsgrad = {.name = "amsgrad",
                                                   .summary = "Adam with the largest second moment so far",
                                                   .states = 3,
                                                   .moment = 2,
                                                   .step = amsgrad};
