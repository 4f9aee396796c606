#include "train/loss.h"

#include <math.h>

/* One position: its classes lie `step` apart. */
typedef struct position {
    const float *z, *target;
    float *gradient, *second; /* second: NULL */
    int64_t classes, step;
    double weight; /* of this position in the mean */
} position;

static int64_t largest(const float *values, int64_t count, int64_t step)
{
    int64_t best = 0;
    for (int64_t c = 1; c < count; c++) {
        if (values[c * step] > values[best * step])
            best = c;
    }
    return best;
}

/* log of the sum of exp(values / temperature); the largest is taken out. */
static double log_sum(const float *values, int64_t count, int64_t step, double temperature)
{
    const double most = (double)values[largest(values, count, step) * step];
    double sum = 0;
    for (int64_t c = 0; c < count; c++)
        sum += exp(((double)values[c * step] - most) / temperature);
    return most / temperature + log(sum);
}

static double cross_entropy(const position *p, int64_t label)
{
    const double total = log_sum(p->z, p->classes, p->step, 1);
    for (int64_t c = 0; c < p->classes; c++) {
        const double probability = exp((double)p->z[c * p->step] - total);
        p->gradient[c * p->step] = (float)((probability - (c == label)) * p->weight);
        if (p->second != NULL)
            p->second[c * p->step] = (float)(probability * (1 - probability) * p->weight);
    }
    return (total - (double)p->z[label * p->step]) * p->weight;
}

/* T^2 times the divergence of the softened distributions (Hinton, Vinyals and Dean 2015): its gradient does not fade as
 * T grows. */
static double divergence(const position *p, double t)
{
    const double z_total = log_sum(p->z, p->classes, p->step, t),
                 target_total = log_sum(p->target, p->classes, p->step, t);
    double sum = 0;
    for (int64_t c = 0; c < p->classes; c++) {
        const double log_q = (double)p->z[c * p->step] / t - z_total;
        const double log_p = (double)p->target[c * p->step] / t - target_total;
        const double q = exp(log_q), wanted = exp(log_p);
        sum += wanted * (log_p - log_q);
        p->gradient[c * p->step] = (float)(t * (q - wanted) * p->weight);
        if (p->second != NULL)
            p->second[c * p->step] = (float)(q * (1 - q) * p->weight);
    }
    return t * t * sum * p->weight;
}

static double squared_error(const position *p)
{
    double sum = 0;
    const double weight = p->weight / (double)p->classes;
    for (int64_t c = 0; c < p->classes; c++) {
        const double d = (double)p->z[c * p->step] - (double)p->target[c * p->step];
        sum += d * d;
        p->gradient[c * p->step] = (float)(2 * d * weight);
        if (p->second != NULL)
            p->second[c * p->step] = (float)(2 * weight);
    }
    return sum * weight;
}

static void split(const mary_shape *shape, int64_t *samples, int64_t *classes, int64_t *pixels)
{
    *samples = shape->dims[0];
    *classes = shape->rank > 1 ? shape->dims[1] : 1;
    *pixels = shape->rank > 2 ? mary_shape_count_range(shape, 2, shape->rank) : 1;
}

mary_status mary_loss_check(const mary_loss *loss, const mary_shape *output)
{
    char text[128];
    int64_t samples, classes, pixels;
    if (output->rank < 1 || mary_shape_count(output) == 0)
        return mary_fail(MARY_ERROR_USAGE, "no loss can be taken of an output of shape %s",
                         mary_shape_format(output, text, sizeof text));
    split(output, &samples, &classes, &pixels);
    if (loss->kind == MARY_LOSS_CROSS_ENTROPY) {
        if (loss->labels == NULL)
            return mary_fail(MARY_ERROR_USAGE, "cross-entropy needs labels");
        for (int64_t i = 0; i < samples * pixels; i++) {
            if (loss->labels[i] < 0 || loss->labels[i] >= classes)
                return mary_fail(MARY_ERROR_INVALID, "label %lld of sample %lld is not one of %lld classes",
                                 (long long)loss->labels[i], (long long)(i / pixels), (long long)classes);
        }
        return MARY_OK;
    }
    if (loss->kind != MARY_LOSS_DIVERGENCE && loss->kind != MARY_LOSS_SQUARED_ERROR)
        return mary_fail(MARY_ERROR_USAGE, "there is no loss number %d", (int)loss->kind);
    if (loss->targets == NULL)
        return mary_fail(MARY_ERROR_USAGE, "this loss needs targets");
    if (loss->target_count != 0 && loss->target_count != mary_shape_count(output))
        return mary_fail(MARY_ERROR_INVALID, "%lld targets for an output of shape %s", (long long)loss->target_count,
                         mary_shape_format(output, text, sizeof text));
    if (loss->kind == MARY_LOSS_DIVERGENCE && !(loss->temperature >= 0.0f && loss->temperature < 1e6f))
        return mary_fail(MARY_ERROR_USAGE, "the temperature is %g", (double)loss->temperature);
    return MARY_OK;
}

mary_status mary_loss_run(mary_loss_part *part)
{
    const mary_loss *loss = part->loss;
    const float *z = part->output->data;
    int64_t samples, classes, pixels;
    split(&part->output->shape, &samples, &classes, &pixels);
    const double temperature = loss->temperature > 0.0f ? (double)loss->temperature : 1;
    part->value = 0;
    part->correct = 0;
    for (int64_t n = 0; n < samples; n++) {
        for (int64_t i = 0; i < pixels; i++) {
            const int64_t at = n * classes * pixels + i, whole = at + part->first * classes * pixels;
            const position p = {.z = z + at,
                                .target = loss->targets != NULL ? loss->targets + whole : NULL,
                                .gradient = part->gradient + at,
                                .second = part->second != NULL ? part->second + at : NULL,
                                .classes = classes,
                                .step = pixels,
                                .weight = 1 / ((double)part->total * (double)pixels)};
            int64_t wanted;
            if (loss->kind == MARY_LOSS_CROSS_ENTROPY) {
                wanted = loss->labels[(part->first + n) * pixels + i];
                part->value += cross_entropy(&p, wanted);
            } else {
                wanted = largest(p.target, classes, pixels);
                part->value += loss->kind == MARY_LOSS_DIVERGENCE ? divergence(&p, temperature) : squared_error(&p);
            }
            part->correct += largest(p.z, classes, pixels) == wanted;
        }
    }
    return MARY_OK;
}
