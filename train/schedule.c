/* Learning rates. */
#include <math.h>

#include "mary_train.h"
#include "onnx/status.h"

mary_status mary_schedule_rate(const mary_schedule *schedule, int64_t step, double *rate)
{
    const mary_schedule *s = schedule;
    if (!(s->rate >= 0 && s->rate < 1e6) || s->warmup < 0 || step < 0)
        return mary_fail(MARY_ERROR_USAGE, "rate %g, warm-up of %lld steps, step %lld", s->rate, (long long)s->warmup,
                         (long long)step);
    if (s->kind != MARY_SCHEDULE_CONSTANT && (s->period < 1 || !(s->factor >= 0 && s->factor <= 1)))
        return mary_fail(MARY_ERROR_USAGE, "the schedule has a factor of %g and a period of %lld steps", s->factor,
                         (long long)s->period);
    const double periods = s->kind == MARY_SCHEDULE_CONSTANT ? 0 : (double)step / (double)s->period;
    double factor = 1;
    switch (s->kind) {
    case MARY_SCHEDULE_CONSTANT:
        break;
    case MARY_SCHEDULE_STEPS:
        factor = pow(s->factor, floor(periods));
        break;
    case MARY_SCHEDULE_EXPONENTIAL:
        factor = pow(s->factor, periods);
        break;
    case MARY_SCHEDULE_COSINE:
        factor = s->factor + (1 - s->factor) * 0.5 * (1 + cos(3.14159265358979323846 * fmin(periods, 1)));
        break;
    default:
        return mary_fail(MARY_ERROR_USAGE, "there is no schedule number %d", (int)s->kind);
    }
    if (step < s->warmup)
        factor *= (double)(step + 1) / (double)s->warmup;
    *rate = s->rate * factor;
    return MARY_OK;
}
