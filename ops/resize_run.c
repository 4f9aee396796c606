/* The loops of Resize.
 *
 * In the order of memory a tensor is [outer..., line, run]: `line` is the last axis that is resized, `run` what lies
 * contiguous behind it (channels, when they are last). One item of work is one output [line, run]; it reads input
 * lines, one for each combination of the outer axes' taps. */
#include "ops/resize.h"

#include <math.h>
#include <string.h>

typedef struct resize_job {
    const resize_rule *rule;
    mary_type type;
    size_t element;
    const char *source;
    char *target;
    int outer;                              /* axes in front of the line */
    const resize_axis *axes[MARY_MAX_RANK]; /* in the order of memory: outer ones, then the line's */
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
    int64_t run;
    int64_t repeat; /* nearest: every input element of the line is written so often in a row; 0: no such pattern */
    unsigned char extrapolation[8]; /* the value in the tensor's type */
} resize_job;

/* One input line and its weight. */
typedef struct tap_walk {
    int64_t at[MARY_MAX_RANK]; /* which output index of each outer axis */
    int64_t tap[MARY_MAX_RANK];
} tap_walk;

static void first_tap(const resize_job *job, int64_t line, tap_walk *walk, int64_t *target, bool *outside)
{
    *target = 0;
    *outside = false;
    for (int d = job->outer - 1; d >= 0; d--) {
        const resize_axis *axis = job->axes[d];
        walk->at[d] = line % axis->output;
        walk->tap[d] = 0;
        line /= axis->output;
        *target += walk->at[d] * job->to[d];
        *outside = *outside || (!axis->same && axis->outside[walk->at[d]]);
    }
}

static int64_t tap_source(const resize_job *job, const tap_walk *walk, float *weight)
{
    int64_t source = 0;
    *weight = 1;
    for (int d = 0; d < job->outer; d++) {
        const resize_axis *axis = job->axes[d];
        if (axis->same) {
            source += walk->at[d] * job->from[d];
            continue;
        }
        int64_t entry = walk->at[d] * axis->taps + walk->tap[d];
        source += axis->index[entry] * job->from[d];
        *weight *= axis->weight[entry];
    }
    return source;
}

static bool next_tap(const resize_job *job, tap_walk *walk)
{
    for (int d = job->outer - 1; d >= 0; d--) {
        if (!job->axes[d]->same && ++walk->tap[d] < job->axes[d]->taps)
            return true;
        walk->tap[d] = 0;
    }
    return false;
}

static void fill(const resize_job *job, char *target, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(target + i * (int64_t)job->element, job->extrapolation, job->element);
}

/* Output positions of the line that lie outside of the region of interest. */
static void fill_outside(const resize_job *job, char *target)
{
    const resize_axis *line = job->axes[job->outer];
    if (!line->any_outside)
        return;
    for (int64_t o = 0; o < line->output; o++) {
        if (line->outside[o])
            fill(job, target + o * job->to[job->outer] * (int64_t)job->element, job->run);
    }
}

/* ---- nearest: only moves elements ---- */

#define PICK(type)                                                                                                     \
    do {                                                                                                               \
        const type *in = (const type *)(const void *)source;                                                           \
        type *restrict out = (type *)(void *)target;                                                                   \
        if (job->repeat == 2) {                                                                                        \
            for (int64_t i = 0; i < line->input; i++)                                                                  \
                out[2 * i] = out[2 * i + 1] = in[i];                                                                   \
        } else {                                                                                                       \
            for (int64_t o = 0; o < line->output; o++)                                                                 \
                out[o] = in[line->index[o]];                                                                           \
        }                                                                                                              \
    } while (0)

static void nearest_line(const resize_job *job, const char *source, char *target)
{
    const resize_axis *line = job->axes[job->outer];
    int64_t element = (int64_t)job->element, from = job->from[job->outer] * element, to = job->to[job->outer] * element;
    if (job->run > 1 || job->from[job->outer] != 1 || job->to[job->outer] != 1) {
        for (int64_t o = 0; o < line->output; o++)
            memcpy(target + o * to, source + (line->same ? o : line->index[o]) * from, (size_t)(job->run * element));
    } else if (line->same) {
        memcpy(target, source, (size_t)(line->output * element));
    } else if (element == 4) {
        PICK(uint32_t);
    } else if (element == 1) {
        PICK(uint8_t);
    } else if (element == 2) {
        PICK(uint16_t);
    } else {
        PICK(uint64_t);
    }
}

static int64_t repeat_of(const resize_axis *line)
{
    int64_t repeat = line->same || line->input == 0 ? 0 : line->output / line->input;
    if (repeat * line->input != line->output)
        return 0;
    for (int64_t o = 0; o < line->output && repeat > 0; o++) {
        if (line->index[o] != o / repeat)
            return 0;
    }
    return repeat;
}

static void nearest_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const resize_job *job = context;
    const resize_axis *line = job->axes[job->outer];
    /* A line that is like the one before is copied from there: it is in cache, and whole. */
    bool dense = job->to[job->outer] == job->run;
    int64_t previous = -1;
    const char *previous_target = NULL;
    for (int64_t item = begin; item < end; item++) {
        tap_walk walk;
        int64_t at;
        bool outside;
        float weight;
        first_tap(job, item, &walk, &at, &outside);
        char *target = job->target + at * (int64_t)job->element;
        if (outside) {
            for (int64_t o = 0; o < line->output; o++)
                fill(job, target + o * job->to[job->outer] * (int64_t)job->element, job->run);
            continue;
        }
        int64_t source = tap_source(job, &walk, &weight);
        if (dense && source == previous) {
            memcpy(target, previous_target, (size_t)(line->output * job->run) * job->element);
            continue;
        }
        nearest_line(job, job->source + source * (int64_t)job->element, target);
        fill_outside(job, target);
        previous = source;
        previous_target = target;
    }
}

/* ---- linear and cubic, float ---- */

/* out[o, r] (+)= weight * sum over the line's taps. */
static void add_line(const resize_job *job, const float *source, float weight, float *target, bool first)
{
    const resize_axis *line = job->axes[job->outer];
    int64_t from = job->from[job->outer], to = job->to[job->outer], taps = line->same ? 1 : line->taps;
    for (int64_t o = 0; o < line->output; o++) {
        float *out = target + o * to;
        for (int64_t t = 0; t < taps; t++) {
            const float *in = source + (line->same ? o : line->index[o * taps + t]) * from;
            float factor = weight * (line->same ? 1 : line->weight[o * taps + t]);
            if (first && t == 0) {
                for (int64_t r = 0; r < job->run; r++)
                    out[r] = factor * in[r];
            } else {
                for (int64_t r = 0; r < job->run; r++)
                    out[r] += factor * in[r];
            }
        }
    }
}

/* Two input lines, two taps each: what bilinear interpolation of images is. */
static void bilinear_line(const resize_job *job, const float *upper, float upper_weight, const float *lower,
                          float lower_weight, float *restrict target)
{
    const resize_axis *line = job->axes[job->outer];
    int64_t from = job->from[job->outer], to = job->to[job->outer];
    for (int64_t o = 0; o < line->output; o++) {
        int64_t left = line->index[2 * o] * from, right = line->index[2 * o + 1] * from;
        float left_weight = line->weight[2 * o], right_weight = line->weight[2 * o + 1];
        float a = upper_weight * left_weight, b = upper_weight * right_weight;
        float c = lower_weight * left_weight, d = lower_weight * right_weight;
        float *restrict out = target + o * to;
        for (int64_t r = 0; r < job->run; r++)
            out[r] = a * upper[left + r] + b * upper[right + r] + c * lower[left + r] + d * lower[right + r];
    }
}

/* The same with single elements: the two lines' mix is what both taps read. */
static void bilinear_elements(const resize_axis *line, const float *upper, float upper_weight, const float *lower,
                              float lower_weight, float *restrict target)
{
    for (int64_t o = 0; o < line->output; o++) {
        int64_t left = line->index[2 * o], right = line->index[2 * o + 1];
        float a = upper_weight * upper[left] + lower_weight * lower[left];
        float b = upper_weight * upper[right] + lower_weight * lower[right];
        target[o] = line->weight[2 * o] * a + line->weight[2 * o + 1] * b;
    }
}

static bool is_bilinear(const resize_job *job)
{
    const resize_axis *line = job->axes[job->outer];
    int64_t combinations = 1;
    for (int d = 0; d < job->outer; d++)
        combinations *= job->axes[d]->same || combinations > 2 ? 1 : job->axes[d]->taps;
    return !line->same && line->taps == 2 && combinations == 2;
}

static void float_line(const resize_job *job, tap_walk *walk, float *target)
{
    const resize_axis *line = job->axes[job->outer];
    const float *source = (const float *)(const void *)job->source;
    float weight, other_weight;
    if (is_bilinear(job)) {
        const float *upper = source + tap_source(job, walk, &weight);
        next_tap(job, walk);
        const float *lower = source + tap_source(job, walk, &other_weight);
        if (job->run == 1 && job->from[job->outer] == 1 && job->to[job->outer] == 1)
            bilinear_elements(line, upper, weight, lower, other_weight, target);
        else
            bilinear_line(job, upper, weight, lower, other_weight, target);
        return;
    }
    bool first = true;
    do {
        const float *in = source + tap_source(job, walk, &weight);
        add_line(job, in, weight, target, first);
        first = false;
    } while (next_tap(job, walk));
}

static void float_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const resize_job *job = context;
    for (int64_t item = begin; item < end; item++) {
        tap_walk walk;
        int64_t at;
        bool outside;
        first_tap(job, item, &walk, &at, &outside);
        char *target = job->target + at * (int64_t)job->element;
        if (outside) {
            for (int64_t o = 0; o < job->axes[job->outer]->output; o++)
                fill(job, target + o * job->to[job->outer] * (int64_t)job->element, job->run);
            continue;
        }
        float_line(job, &walk, (float *)(void *)target);
        fill_outside(job, target);
    }
}

/* ---- bilinear, uint8: in float, rounded half to even; what it gives does not depend on scale and zero point ---- */

static void bilinear_bytes(const resize_job *job, const uint8_t *upper, float upper_weight, const uint8_t *lower,
                           float lower_weight, uint8_t *restrict target)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: the sum has no fraction left */
    const resize_axis *line = job->axes[job->outer];
    int64_t from = job->from[job->outer], to = job->to[job->outer];
    for (int64_t o = 0; o < line->output; o++) {
        const uint8_t *left = upper + line->index[2 * o] * from, *right = upper + line->index[2 * o + 1] * from;
        const uint8_t *low_left = lower + line->index[2 * o] * from, *low_right = lower + line->index[2 * o + 1] * from;
        float left_weight = line->weight[2 * o], right_weight = line->weight[2 * o + 1];
        float a = upper_weight * left_weight, b = upper_weight * right_weight;
        float c = lower_weight * left_weight, d = lower_weight * right_weight;
        uint8_t *restrict out = target + o * to;
        for (int64_t r = 0; r < job->run; r++) {
            float value = a * (float)left[r] + b * (float)right[r] + c * (float)low_left[r] + d * (float)low_right[r];
            value = value > 0 ? value : 0;
            value = value < 255 ? value : 255;
            out[r] = (uint8_t)(int32_t)((value + shift) - shift);
        }
    }
}

static void bytes_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const resize_job *job = context;
    const uint8_t *source = (const uint8_t *)job->source;
    for (int64_t item = begin; item < end; item++) {
        tap_walk walk;
        int64_t at;
        bool outside;
        float weight, other_weight;
        first_tap(job, item, &walk, &at, &outside);
        char *target = job->target + at;
        if (outside) {
            for (int64_t o = 0; o < job->axes[job->outer]->output; o++)
                fill(job, target + o * job->to[job->outer], job->run);
            continue;
        }
        const uint8_t *upper = source + tap_source(job, &walk, &weight);
        next_tap(job, &walk);
        const uint8_t *lower = source + tap_source(job, &walk, &other_weight);
        bilinear_bytes(job, upper, weight, lower, other_weight, (uint8_t *)target);
        fill_outside(job, target);
    }
}

/* ---- linear and cubic, any other type: element by element in double, integers rounded to even and saturated ---- */

static void store(const resize_job *job, char *target, double value)
{
    double low = 0, high = 0;
    switch (job->type) {
    case MARY_DOUBLE:
        memcpy(target, &value, sizeof value);
        return;
    case MARY_INT8:
        low = INT8_MIN, high = INT8_MAX;
        break;
    case MARY_UINT8:
        high = UINT8_MAX;
        break;
    case MARY_INT16:
        low = INT16_MIN, high = INT16_MAX;
        break;
    case MARY_UINT16:
        high = UINT16_MAX;
        break;
    case MARY_INT32:
        low = INT32_MIN, high = INT32_MAX;
        break;
    case MARY_UINT32:
        high = UINT32_MAX;
        break;
    case MARY_BOOL:
        high = 1;
        break;
    default: /* 64 bits: what a double holds exactly on both sides */
        low = job->type == MARY_INT64 ? -0x1p62 : 0, high = 0x1p62;
        break;
    }
    value = value != value ? 0 : rint(value); /* an extrapolation value may be NaN */
    int64_t integer = (int64_t)(value < low ? low : value > high ? high : value);
    memcpy(target, &integer, job->element); /* little-endian */
}

static void any_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const resize_job *job = context;
    const resize_axis *line = job->axes[job->outer];
    mary_tensor source = {.type = job->type, .data = (void *)(uintptr_t)job->source};
    int64_t from = job->from[job->outer], to = job->to[job->outer], taps = line->same ? 1 : line->taps;
    for (int64_t item = begin; item < end; item++) {
        tap_walk start;
        int64_t at;
        bool outside;
        first_tap(job, item, &start, &at, &outside);
        for (int64_t o = 0; o < line->output; o++) {
            for (int64_t r = 0; r < job->run; r++) {
                char *target = job->target + (at + o * to + r) * (int64_t)job->element;
                if (outside || (!line->same && line->outside[o])) {
                    fill(job, target, 1);
                    continue;
                }
                tap_walk walk = start;
                double sum = 0;
                do {
                    float weight;
                    int64_t base = tap_source(job, &walk, &weight) + r;
                    for (int64_t t = 0; t < taps; t++) {
                        int64_t index = line->same ? o : line->index[o * taps + t];
                        double factor = line->same ? 1 : (double)line->weight[o * taps + t];
                        sum += (double)weight * factor * mary_tensor_double(&source, base + index * from);
                    }
                } while (next_tap(job, &walk));
                store(job, target, sum);
            }
        }
    }
}

void mary_resize_run(const resize_rule *rule, const resize_axis *axes, const mary_tensor *input, mary_tensor *output,
                     const mary_parallel *parallel)
{
    int rank = output->shape.rank, order[MARY_MAX_RANK], last = 0;
    bool channels_last = output->layout == MARY_LAYOUT_CHANNELS_LAST;
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK], lines = 1;
    resize_job job = {.rule = rule,
                      .type = output->type,
                      .element = mary_type_size(output->type),
                      .source = input->data,
                      .target = output->data,
                      .run = 1};
    mary_tensor_strides(input, from);
    mary_tensor_strides(output, to);
    for (int i = 0; i < rank; i++)
        order[i] = !channels_last || i == 0 ? i : i + 1 < rank ? i + 1 : 1;
    for (int i = 0; i < rank; i++) {
        if (!axes[order[i]].same)
            last = i;
    }
    if (channels_last) /* pixels have gaps between them: only the channels are contiguous */
        last = rank - 2;
    job.outer = last;
    for (int i = 0; i <= last; i++) {
        job.axes[i] = &axes[order[i]];
        job.from[i] = from[order[i]];
        job.to[i] = to[order[i]];
    }
    for (int i = 0; i < last; i++)
        lines *= axes[order[i]].output;
    for (int i = last + 1; i < rank; i++)
        job.run *= axes[order[i]].output;
    float value = (float)rule->extrapolation;
    if (output->type == MARY_FLOAT)
        memcpy(job.extrapolation, &value, sizeof value);
    else
        store(&job, (char *)job.extrapolation, rule->extrapolation);
    job.repeat = rule->mode == RESIZE_NEAREST ? repeat_of(job.axes[last]) : 0;
    int64_t size = job.run * job.axes[last]->output;
    mary_task *task = rule->mode == RESIZE_NEAREST                      ? nearest_task
                      : output->type == MARY_FLOAT                      ? float_task
                      : output->type == MARY_UINT8 && is_bilinear(&job) ? bytes_task
                                                                        : any_task;
    mary_parallel_for(parallel, lines, 8192 / size + 1, task, &job);
}
