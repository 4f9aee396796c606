/* The gradient of Resize: every output hands its gradient to the inputs that it was made of, by their weights. */
#include "ops/resize.h"

typedef struct resize_back {
    const resize_axis *axes;
    int rank;
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
    const float *dy;
    float *dx;
    bool second;
} resize_back;

/* What the input of this tap counts for. Near the border several taps may name one input: its weight is their sum, and
 * the first of them stands for all. */
static float weight_of(const resize_axis *axis, int64_t o, int64_t tap, bool squared)
{
    const int64_t *index = axis->index + o * axis->taps;
    const float *weight = axis->weight + o * axis->taps;
    float sum = 0;
    for (int64_t t = 0; t < axis->taps; t++) {
        if (index[t] != index[tap])
            continue;
        if (t < tap)
            return 0;
        sum += weight[t];
    }
    return squared ? sum * sum : sum;
}

static void spread(const resize_back *r, int d, int64_t in, int64_t out, float weight)
{
    if (d == r->rank) {
        r->dx[in] += weight * r->dy[out];
        return;
    }
    const resize_axis *axis = &r->axes[d];
    for (int64_t o = 0; o < axis->output; o++, out += r->to[d]) {
        if (axis->same) {
            spread(r, d + 1, in + o * r->from[d], out, weight);
            continue;
        }
        for (int64_t t = 0; t < axis->taps && !axis->outside[o]; t++) {
            const float share = weight_of(axis, o, t, r->second);
            if (share != 0)
                spread(r, d + 1, in + axis->index[o * axis->taps + t] * r->from[d], out, weight * share);
        }
    }
}

void mary_resize_back(const resize_axis *axes, const mary_tensor *input, const mary_tensor *output, const float *dy,
                      float *dx, bool second)
{
    resize_back r = {.axes = axes, .rank = input->shape.rank, .dy = dy, .dx = dx, .second = second};
    mary_tensor_strides(input, r.from);
    mary_tensor_strides(output, r.to);
    spread(&r, 0, 0, 0, 1.0f);
}
