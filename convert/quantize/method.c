/* The table of methods: adding one is a file in this directory and a line here. */
#include "convert/quantize/method.h"

#include <string.h>

static const mary_quantize_method methods[] = {
    {"magnitude", "exact k-means in which large weights count more: best where levels are few",
     .choose = mary_quantize_magnitude},
    {"kmeans", "exact one-dimensional k-means: least squared error of all sets of M levels",
     .choose = mary_quantize_kmeans},
    {"hessian", "exact k-means in which a weight counts as the loss curves along it, over calibration data",
     .choose = mary_quantize_kmeans, .weighing = MARY_WEIGHING_REQUIRED},
    {"ecsq", "least error and entropy of the codes together; weights count as in hessian",
     .partition = mary_quantize_ecsq, .weighing = MARY_WEIGHING_HESSIAN},
    {"uniform", "equal thresholds, levels are the means between them; weights count as in hessian",
     .partition = mary_quantize_uniform, .weighing = MARY_WEIGHING_HESSIAN},
    {"spaced", "M equally spaced levels from the smallest to the largest weight", .choose = mary_quantize_spaced},
    {"feedback", "least error of each layer's outputs over calibration data: errors of weights make up for each other",
     .code = mary_quantize_feedback},
};

const mary_quantize_method *mary_quantize_method_at(size_t index)
{
    return index < sizeof methods / sizeof methods[0] ? &methods[index] : NULL;
}

const mary_quantize_method *mary_quantize_method_find(const char *name)
{
    if (name == NULL)
        return &methods[0];
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}
