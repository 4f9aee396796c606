/* The report of a conversion: layers, warnings, totals. */
#include "convert/report.h"

#include <stdarg.h>
#include <stdio.h>

mary_status mary_convert_report_create(mary_convert_report **report)
{
    *report = mary_calloc(1, sizeof **report);
    if (*report == NULL)
        return mary_fail_memory(sizeof **report);
    (*report)->calibration = (mary_calibration_report){.method = "", .error = -1, .agreement = -1};
    return MARY_OK;
}

static void layer_clear(mary_layer_report *layer)
{
    mary_free((char *)(uintptr_t)layer->name);
    mary_free((char *)(uintptr_t)layer->op_type);
    mary_free((char *)(uintptr_t)layer->weight);
    mary_free((char *)(uintptr_t)layer->method);
    mary_free((char *)(uintptr_t)layer->note);
}

static void activation_clear(mary_activation_report *activation)
{
    mary_free((char *)(uintptr_t)activation->name);
    mary_free((char *)(uintptr_t)activation->method);
    mary_free((char *)(uintptr_t)activation->note);
}

static void float_clear(mary_float_node_report *node)
{
    mary_free((char *)(uintptr_t)node->name);
    mary_free((char *)(uintptr_t)node->op_type);
    mary_free((char *)(uintptr_t)node->reason);
}

void mary_convert_report_free(mary_convert_report **report)
{
    if (report == NULL || *report == NULL)
        return;
    for (size_t i = 0; i < (*report)->layer_count; i++)
        layer_clear(&(*report)->layers[i]);
    for (size_t i = 0; i < (*report)->warning_count; i++)
        mary_free((*report)->warnings[i]);
    for (size_t i = 0; i < (*report)->activation_count; i++)
        activation_clear(&(*report)->activations[i]);
    for (size_t i = 0; i < (*report)->float_count; i++)
        float_clear(&(*report)->floats[i]);
    mary_free((*report)->activations);
    mary_free((*report)->floats);
    mary_free((*report)->layers);
    mary_free((*report)->warnings);
    mary_free(*report);
    *report = NULL;
}

mary_status mary_convert_report_add(mary_convert_report *report, const mary_layer_report *layer)
{
    if (!mary_reserve((void **)&report->layers, &report->layer_capacity, report->layer_count + 1,
                      sizeof *report->layers))
        return mary_fail_memory(sizeof *report->layers);
    mary_layer_report copy = *layer;
    copy.name = mary_strdup(layer->name == NULL ? "" : layer->name);
    copy.op_type = mary_strdup(layer->op_type == NULL ? "" : layer->op_type);
    copy.weight = mary_strdup(layer->weight == NULL ? "" : layer->weight);
    copy.method = mary_strdup(layer->method == NULL ? "" : layer->method);
    copy.note = mary_strdup(layer->note == NULL ? "" : layer->note);
    if (copy.name == NULL || copy.op_type == NULL || copy.weight == NULL || copy.method == NULL || copy.note == NULL) {
        layer_clear(&copy);
        return mary_fail_memory(1);
    }
    report->layers[report->layer_count++] = copy;
    return MARY_OK;
}

mary_status mary_convert_report_add_activation(mary_convert_report *report, const mary_activation_report *activation)
{
    if (!mary_reserve((void **)&report->activations, &report->activation_capacity, report->activation_count + 1,
                      sizeof *report->activations))
        return mary_fail_memory(sizeof *report->activations);
    mary_activation_report copy = *activation;
    copy.name = mary_strdup(activation->name);
    copy.method = mary_strdup(activation->method);
    copy.note = mary_strdup(activation->note);
    if (copy.name == NULL || copy.method == NULL || copy.note == NULL) {
        activation_clear(&copy);
        return mary_fail_memory(1);
    }
    report->activations[report->activation_count++] = copy;
    return MARY_OK;
}

mary_status mary_convert_report_add_float(mary_convert_report *report, const char *name, const char *op_type,
                                          const char *reason)
{
    if (!mary_reserve((void **)&report->floats, &report->float_capacity, report->float_count + 1,
                      sizeof *report->floats))
        return mary_fail_memory(sizeof *report->floats);
    mary_float_node_report copy = {mary_strdup(name), mary_strdup(op_type), mary_strdup(reason)};
    if (copy.name == NULL || copy.op_type == NULL || copy.reason == NULL) {
        float_clear(&copy);
        return mary_fail_memory(1);
    }
    report->floats[report->float_count++] = copy;
    return MARY_OK;
}

mary_status mary_convert_report_warn(mary_convert_report *report, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!mary_reserve((void **)&report->warnings, &report->warning_capacity, report->warning_count + 1,
                      sizeof *report->warnings))
        return mary_fail_memory(sizeof *report->warnings);
    char *copy = mary_strdup(text);
    if (copy == NULL)
        return mary_fail_memory(sizeof text);
    report->warnings[report->warning_count++] = copy;
    return MARY_OK;
}

void mary_convert_report_sum(mary_convert_report *report)
{
    mary_convert_totals *totals = &report->totals;
    totals->weights = totals->weights_quantised = totals->bytes_before = totals->bytes_after = 0;
    for (size_t i = 0; i < report->layer_count; i++) {
        const mary_layer_report *layer = &report->layers[i];
        if (layer->repeated)
            continue;
        totals->weights += (uint64_t)layer->weights;
        totals->weights_quantised += layer->bits > 0 ? (uint64_t)layer->weights : 0;
        totals->bytes_before += (uint64_t)layer->bytes_before;
        totals->bytes_after += (uint64_t)layer->bytes_after;
    }
    totals->bits_per_weight = totals->weights == 0 ? 0 : 8.0 * (double)totals->bytes_after / (double)totals->weights;
}

size_t mary_convert_layer_count(const mary_convert_report *report)
{
    return report->layer_count;
}

const mary_layer_report *mary_convert_layer(const mary_convert_report *report, size_t index)
{
    return index < report->layer_count ? &report->layers[index] : NULL;
}

const mary_convert_totals *mary_convert_totals_of(const mary_convert_report *report)
{
    return &report->totals;
}

const char *mary_convert_warning(const mary_convert_report *report, size_t index)
{
    return index < report->warning_count ? report->warnings[index] : NULL;
}

const mary_activation_report *mary_convert_activation(const mary_convert_report *report, size_t index)
{
    return index < report->activation_count ? &report->activations[index] : NULL;
}

const mary_float_node_report *mary_convert_float_node(const mary_convert_report *report, size_t index)
{
    return index < report->float_count ? &report->floats[index] : NULL;
}

const mary_calibration_report *mary_convert_calibration(const mary_convert_report *report)
{
    return &report->calibration;
}
