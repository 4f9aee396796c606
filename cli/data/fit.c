/* Bringing stored samples into the shape and the type that a model wants. */
#include <math.h>
#include <string.h>

#include "cli/data/data.h"

/* `sample` against the model's dims [1..rank); -1 takes anything. */
static bool matches(const mary_shape *sample, const mary_shape *wanted)
{
    if (sample->rank != wanted->rank)
        return false;
    for (int i = 0; i < sample->rank; i++) {
        if (wanted->dims[i] >= 0 && wanted->dims[i] != sample->dims[i])
            return false;
    }
    return true;
}

static mary_shape without_ones(const mary_shape *shape)
{
    mary_shape result = {0};
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] != 1)
            result.dims[result.rank++] = shape->dims[i];
    }
    return result;
}

/* Finds the fed shape of one stored sample; false when it cannot be made to fit. */
static bool fit_sample(const mary_shape *stored, const mary_shape *wanted, bool channels_last, mary_shape *fed)
{
    mary_shape sample = *stored;
    if (channels_last) {
        if (stored->rank < 2)
            return false;
        sample.dims[0] = stored->dims[stored->rank - 1];
        for (int i = 1; i < stored->rank; i++)
            sample.dims[i] = stored->dims[i - 1];
    }
    *fed = sample;
    if (matches(&sample, wanted))
        return true;
    if (channels_last)
        return false;
    if (sample.rank + 1 == wanted->rank) { /* [28,28] is [1,28,28] */
        fed->rank = wanted->rank;
        fed->dims[0] = 1;
        memcpy(fed->dims + 1, sample.dims, sizeof sample.dims[0] * (size_t)sample.rank);
        if (matches(fed, wanted))
            return true;
    }
    for (int i = 0; i < wanted->rank; i++) {
        if (wanted->dims[i] < 0)
            return false;
    }
    *fed = *wanted;
    int64_t count = mary_shape_count(&sample);
    if (wanted->rank == 1) /* [28,28] is [784] */
        return wanted->dims[0] == count;
    mary_shape a = without_ones(&sample), b = without_ones(wanted);
    return mary_shape_equal(&a, &b);
}

/* Like mary_shape_format, with N for the batch and ? for what is symbolic. */
static void format_wanted(const mary_array *input, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < input->rank && used < size; i++) {
        const char *comma = i == 0 ? "" : ",";
        if (input->dims[i] < 0)
            used += (size_t)snprintf(text + used, size - used, "%s%s", comma, i == 0 ? "N" : "?");
        else
            used += (size_t)snprintf(text + used, size - used, "%s%lld", comma, (long long)input->dims[i]);
    }
    if (used < size)
        snprintf(text + used, size - used, "]");
}

static bool is_integer(mary_type type)
{
    return !mary_type_is_float(type) && mary_type_size(type) > 0;
}

static mary_status plan_types(mary_fit *fit, const char *label, const mary_array *input,
                              const mary_data_options *options)
{
    if (mary_type_size(fit->from) == 0 || mary_type_size(fit->to) == 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "%s: %s cannot be fed to input '%s' of type %s", label,
                         mary_type_name(fit->from), input->name, mary_type_name(fit->to));
    if (is_integer(fit->to) && !is_integer(fit->from))
        return mary_fail(MARY_ERROR_INVALID, "%s: holds %s, but input '%s' wants %s", label, mary_type_name(fit->from),
                         input->name, mary_type_name(fit->to));
    fit->pixels_apply = options->pixels.given && mary_type_is_float(fit->to);
    if (!fit->pixels_apply)
        return MARY_OK;
    fit->pixels = options->pixels;
    int64_t channels = fit->sample.rank > 0 ? fit->sample.dims[0] : 1;
    int counts[] = {options->pixels.mean_count, options->pixels.std_count};
    for (int i = 0; i < 2; i++) {
        if (counts[i] > 1 && counts[i] != channels)
            return mary_fail(MARY_ERROR_USAGE, "%s has %d values, but input '%s' has %lld channels",
                             i == 0 ? "--mean" : "--std", counts[i], input->name, (long long)channels);
    }
    return MARY_OK;
}

mary_status mary_fit_plan(mary_fit *fit, const char *label, mary_type type, const mary_shape *shape,
                          const mary_array *input, const mary_data_options *options)
{
    memset(fit, 0, sizeof *fit);
    fit->from = type;
    fit->to = input->type != MARY_UNDEFINED ? input->type : type;
    mary_shape stored = {.rank = shape->rank - 1};
    if (shape->rank > 1)
        memcpy(stored.dims, shape->dims + 1, sizeof stored.dims[0] * (size_t)stored.rank);
    bool found = false;
    if (input->rank < 0) { /* the model does not say: feed what there is */
        mary_shape anything = {.rank = stored.rank};
        memset(anything.dims, 0xff, sizeof anything.dims);
        found = shape->rank > 0 && fit_sample(&stored, &anything, options->channels_last, &fit->sample);
    } else if (input->rank == 0) {
        found = fit->single = shape->rank == 0;
        fit->sample.rank = 0;
    } else {
        mary_shape wanted = {.rank = input->rank - 1};
        memcpy(wanted.dims, input->dims + 1, sizeof wanted.dims[0] * (size_t)wanted.rank);
        found = shape->rank > 0 && fit_sample(&stored, &wanted, options->channels_last, &fit->sample);
        if (!found) /* one image without its batch dimension */
            found = fit->single = fit_sample(shape, &wanted, options->channels_last, &fit->sample);
        if (!found) {
            char have[128], want[128];
            mary_shape ignored;
            bool other = !options->channels_last && shape->rank > 0 && fit_sample(&stored, &wanted, true, &ignored);
            format_wanted(input, want, sizeof want);
            return mary_fail(MARY_ERROR_INVALID, "%s: shape %s does not fit input '%s' of shape %s%s", label,
                             mary_shape_format(shape, have, sizeof have), input->name, want,
                             other ? " (it would with --nhwc)" : "");
        }
    }
    if (!found) {
        char have[128];
        return mary_fail(MARY_ERROR_INVALID, "%s: shape %s does not fit input '%s'%s", label,
                         mary_shape_format(shape, have, sizeof have), input->name,
                         input->rank == 0 ? ", a scalar" : "");
    }
    fit->transpose = options->channels_last && fit->sample.rank >= 2;
    fit->count = mary_shape_count(&fit->sample);
    return plan_types(fit, label, input, options);
}

static mary_status store_integer(mary_type type, int64_t value, char *to, const char *label)
{
    bool fits = true;
    switch (type) {
    case MARY_BOOL:
        *(uint8_t *)to = value != 0;
        break;
    case MARY_UINT8:
        fits = value >= 0 && value <= UINT8_MAX;
        *(uint8_t *)to = (uint8_t)value;
        break;
    case MARY_INT8:
        fits = value >= INT8_MIN && value <= INT8_MAX;
        *(int8_t *)to = (int8_t)value;
        break;
    case MARY_UINT16:
        fits = value >= 0 && value <= UINT16_MAX;
        *(uint16_t *)to = (uint16_t)value;
        break;
    case MARY_INT16:
        fits = value >= INT16_MIN && value <= INT16_MAX;
        *(int16_t *)to = (int16_t)value;
        break;
    case MARY_UINT32:
        fits = value >= 0 && value <= UINT32_MAX;
        *(uint32_t *)to = (uint32_t)value;
        break;
    case MARY_INT32:
        fits = value >= INT32_MIN && value <= INT32_MAX;
        *(int32_t *)to = (int32_t)value;
        break;
    case MARY_UINT64:
        fits = value >= 0;
        *(uint64_t *)to = (uint64_t)value;
        break;
    default:
        *(int64_t *)to = value;
        break;
    }
    if (!fits)
        return mary_fail(MARY_ERROR_INVALID, "%s: %lld does not fit the input's type %s", label, (long long)value,
                         mary_type_name(type));
    return MARY_OK;
}

static void store_float(mary_type type, double value, char *to)
{
    uint16_t half;
    float single = (float)value;
    switch (type) {
    case MARY_DOUBLE:
        memcpy(to, &value, sizeof value);
        break;
    case MARY_FLOAT16:
    case MARY_BFLOAT16:
        half = type == MARY_FLOAT16 ? mary_float_to_half(single) : mary_float_to_bfloat(single);
        memcpy(to, &half, sizeof half);
        break;
    default:
        memcpy(to, &single, sizeof single);
        break;
    }
}

/* Channel c of one sample: `inner` elements, `stride` apart in `from`, consecutive in `to`. */
static mary_status apply_channel(const mary_fit *fit, const char *label, const mary_tensor *from, int64_t first,
                                 int64_t stride, int64_t inner, int channel, char *to)
{
    size_t size = mary_type_size(fit->to);
    const mary_pixels *pixels = &fit->pixels;
    double scale = 1, shift = 0, std = 1;
    if (fit->pixels_apply) {
        scale = pixels->scale;
        shift = pixels->mean_count > 0 ? pixels->mean[pixels->mean_count > 1 ? channel : 0] : 0;
        std = pixels->std_count > 0 ? pixels->std[pixels->std_count > 1 ? channel : 0] : 1;
    }
    if (fit->from == MARY_UINT8 && fit->to == MARY_FLOAT) {
        float table[256];
        const uint8_t *bytes = (const uint8_t *)from->data + first;
        float *values = (float *)to;
        for (int i = 0; i < 256; i++)
            table[i] = (float)((i * scale - shift) / std);
        for (int64_t i = 0; i < inner; i++)
            values[i] = table[bytes[i * stride]];
        return MARY_OK;
    }
    if (is_integer(fit->to)) {
        for (int64_t i = 0; i < inner; i++)
            MARY_TRY(store_integer(fit->to, mary_tensor_int(from, first + i * stride), to + (size_t)i * size, label));
        return MARY_OK;
    }
    for (int64_t i = 0; i < inner; i++)
        store_float(fit->to, (mary_tensor_double(from, first + i * stride) * scale - shift) / std,
                    to + (size_t)i * size);
    return MARY_OK;
}

mary_status mary_fit_apply(const mary_fit *fit, const char *label, const void *from, int64_t samples, void *to)
{
    size_t size = mary_type_size(fit->to);
    if (fit->from == fit->to && !fit->transpose && !fit->pixels_apply) {
        memcpy(to, from, (size_t)(samples * fit->count) * size);
        return MARY_OK;
    }
    if (fit->count == 0)
        return MARY_OK;
    bool by_channel = fit->transpose || fit->pixels.mean_count > 1 || fit->pixels.std_count > 1;
    int64_t channels = by_channel ? fit->sample.dims[0] : 1, inner = fit->count / channels;
    mary_tensor tensor = {.type = fit->from, .shape = {.rank = 1, .dims = {samples * fit->count}}};
    memcpy(&tensor.data, &from, sizeof from); /* read only */
    for (int64_t i = 0; i < samples; i++) {
        for (int64_t c = 0; c < channels; c++) {
            int64_t first = i * fit->count + (fit->transpose ? c : c * inner);
            int channel = c < MARY_DATA_CHANNELS ? (int)c : 0;
            MARY_TRY(apply_channel(fit, label, &tensor, first, fit->transpose ? channels : 1, inner, channel,
                                   (char *)to + (size_t)(i * fit->count + c * inner) * size));
        }
    }
    return MARY_OK;
}
