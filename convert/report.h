/* What a conversion did: filled by convert/, read through the mary_convert_* accessors of mary.h. */
#ifndef MARY_CONVERT_REPORT_H
#define MARY_CONVERT_REPORT_H

#include "onnx/memory.h"
#include "onnx/status.h"

struct mary_convert_report {
    mary_layer_report *layers; /* their strings are owned copies */
    size_t layer_count, layer_capacity;
    char **warnings;
    size_t warning_count, warning_capacity;
    mary_convert_totals totals;
    mary_activation_report *activations;
    size_t activation_count, activation_capacity;
    mary_float_node_report *floats;
    size_t float_count, float_capacity;
    mary_calibration_report calibration; /* its method is a static string, or NULL */
};

mary_status mary_convert_report_create(mary_convert_report **report);
/* Copies the layer and its strings (NULL counts as ""). */
mary_status mary_convert_report_add(mary_convert_report *report, const mary_layer_report *layer);
mary_status mary_convert_report_warn(mary_convert_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Both copy their strings. */
mary_status mary_convert_report_add_activation(mary_convert_report *report, const mary_activation_report *activation);
mary_status mary_convert_report_add_float(mary_convert_report *report, const char *name, const char *op_type,
                                          const char *reason);
/* Sums the layers up into `totals`; the file sizes are not touched. */
void mary_convert_report_sum(mary_convert_report *report);

#endif
