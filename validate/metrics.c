#include "validate/metrics.h"

#include <math.h>
#include <string.h>

#include "onnx/tensor.h"

static void add_pair(mary_similarity *similarity, double reference, double other)
{
    similarity->count++;
    if (!isfinite(reference) || !isfinite(other)) {
        bool same = reference == other || (isnan(reference) && isnan(other));
        similarity->not_finite += !same;
        return;
    }
    double error = reference - other;
    similarity->dot += reference * other;
    similarity->reference_squared += reference * reference;
    similarity->other_squared += other * other;
    similarity->error_squared += error * error;
    if (fabs(error) > similarity->max_abs)
        similarity->max_abs = fabs(error);
}

mary_status mary_similarity_add(mary_similarity *similarity, const mary_array *reference, const mary_array *other)
{
    mary_shape a = {.rank = reference->rank}, b = {.rank = other->rank};
    memcpy(a.dims, reference->dims, sizeof a.dims);
    memcpy(b.dims, other->dims, sizeof b.dims);
    if (!mary_shape_equal(&a, &b) || reference->type != other->type) {
        char left[128], right[128];
        return mary_fail(MARY_ERROR_INVALID, "'%s' is %s %s in one and %s %s in the other", reference->name,
                         mary_type_name(reference->type), mary_shape_format(&a, left, sizeof left),
                         mary_type_name(other->type), mary_shape_format(&b, right, sizeof right));
    }
    if (mary_type_size(reference->type) == 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "'%s' has elements of type %s, which cannot be compared",
                         reference->name, mary_type_name(reference->type));
    int64_t count = mary_shape_count(&a);
    if (reference->type == MARY_FLOAT) {
        const float *left = reference->data, *right = other->data;
        for (int64_t i = 0; i < count; i++)
            add_pair(similarity, left[i], right[i]);
        return MARY_OK;
    }
    mary_tensor left = {.type = reference->type, .shape = a, .data = reference->data};
    mary_tensor right = {.type = other->type, .shape = b, .data = other->data};
    for (int64_t i = 0; i < count; i++)
        add_pair(similarity, mary_tensor_double(&left, i), mary_tensor_double(&right, i));
    return MARY_OK;
}

double mary_similarity_cosine(const mary_similarity *similarity)
{
    if (similarity->reference_squared == 0 && similarity->other_squared == 0)
        return 1;
    if (similarity->reference_squared == 0 || similarity->other_squared == 0)
        return 0;
    double cosine = similarity->dot / (sqrt(similarity->reference_squared) * sqrt(similarity->other_squared));
    return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
}

double mary_similarity_sqnr(const mary_similarity *similarity)
{
    if (similarity->count == similarity->not_finite)
        return NAN;
    if (similarity->error_squared == 0)
        return INFINITY;
    return 10 * log10(similarity->reference_squared / similarity->error_squared);
}

bool mary_scores_view(const mary_array *output, int64_t rows, mary_scores *scores)
{
    if (output->type != MARY_FLOAT || output->rank < 2 || output->dims[0] != rows || output->dims[1] < 2)
        return false;
    for (int i = 2; i < output->rank; i++) {
        if (output->dims[i] != 1)
            return false;
    }
    *scores = (mary_scores){output->data, rows, output->dims[1]};
    return true;
}

int64_t mary_scores_rank(const mary_scores *scores, int64_t row, int64_t label)
{
    const float *values = scores->values + row * scores->classes;
    int64_t better = 0;
    for (int64_t i = 0; i < scores->classes; i++) {
        if (isnan(values[i]))
            return -1;
        better += values[i] > values[label] || (values[i] == values[label] && i < label);
    }
    return better;
}

int64_t mary_scores_best(const mary_scores *scores, int64_t row)
{
    const float *values = scores->values + row * scores->classes;
    int64_t best = 0;
    for (int64_t i = 0; i < scores->classes; i++) {
        if (isnan(values[i]))
            return -1;
        if (values[i] > values[best])
            best = i;
    }
    return best;
}

mary_status mary_accuracy_add(mary_accuracy *accuracy, const mary_scores *scores, int64_t size, const int64_t *labels)
{
    for (int64_t i = 0; i < size; i++) {
        if (labels[i] < 0 || labels[i] >= scores->classes)
            return mary_fail(MARY_ERROR_INVALID, "label %lld of sample %llu: the model has %lld classes",
                             (long long)labels[i], (unsigned long long)accuracy->samples, (long long)scores->classes);
        int64_t rank = mary_scores_rank(scores, i, labels[i]);
        accuracy->samples++;
        accuracy->not_a_number += rank < 0;
        accuracy->top1 += rank == 0;
        accuracy->top5 += rank >= 0 && rank < 5;
    }
    return MARY_OK;
}

uint64_t mary_scores_agreement(const mary_scores *a, const mary_scores *b, int64_t size)
{
    uint64_t same = 0;
    for (int64_t i = 0; i < size; i++) {
        int64_t best = mary_scores_best(a, i);
        same += best >= 0 && best == mary_scores_best(b, i);
    }
    return same;
}

double mary_percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}
