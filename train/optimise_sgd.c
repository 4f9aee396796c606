/* Gradient descent with momentum. */
#include "train/optimise.h"

static void step(const mary_optimiser_slice *s)
{
    const float rate = (float)s->rate, momentum = (float)s->options->momentum, decay = (float)s->options->weight_decay;
    for (int64_t i = 0; i < s->count; i++) {
        const float gradient = s->gradients[i] + decay * s->values[i];
        s->states[0][i] = momentum * s->states[0][i] + gradient;
        s->values[i] -= rate * s->states[0][i];
    }
}

const mary_optimiser_kind mary_optimise_sgd = {
    .name = "sgd", .summary = "gradient descent with momentum", .states = 1, .moment = -1, .step = step};
