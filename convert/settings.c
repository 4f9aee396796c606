/* Options: defaults, checks, and which node gets what. */
#include "convert/settings.h"

#include <fnmatch.h>
#include <omp.h>
#include <string.h>

#include "convert/calibrate/range.h"

static bool matches(const char *glob, const char *name)
{
    return fnmatch(glob, name, 0) == 0;
}

static mary_status check_levels(int levels, const char *what)
{
    if (levels != 0 && (levels < 2 || levels > 256))
        return mary_fail(MARY_ERROR_USAGE, "%s is %d, it must be from 2 to 256", what, levels);
    return MARY_OK;
}

static mary_status check_op_types(const mary_convert_options *options)
{
    for (int i = 0; i < options->op_type_count; i++) {
        bool known = false;
        for (int kind = MARY_LAYER_CONV; kind <= MARY_LAYER_MATMUL; kind++)
            known = known || strcmp(options->op_types[i], mary_layer_op((mary_layer_kind)kind)) == 0;
        if (!known)
            return mary_fail(MARY_ERROR_USAGE, "operator type '%s' is none of Conv, ConvTranspose, Gemm, MatMul",
                             options->op_types[i]);
    }
    return MARY_OK;
}

static mary_status check_activations(const mary_convert_options *options)
{
    const char *method = options->calibration_method;
    if (options->activations != 0 && options->activations != 8)
        return mary_fail(MARY_ERROR_USAGE, "activations of %d bits: they are float (0) or of 8 bits",
                         options->activations);
    if (method != NULL && strcmp(method, "auto") != 0 && mary_range_method_find(method) == NULL)
        return mary_fail(MARY_ERROR_USAGE, "calibration method '%s' is unknown", method);
    if (options->activations == 8 && (options->calibration == NULL || options->calibration->count < 1))
        return mary_fail(MARY_ERROR_USAGE, "integer activations need calibration data: sample inputs, from which the "
                                           "range of every activation is measured");
    return MARY_OK;
}

static mary_status read_importance(const mary_convert_options *options, mary_importance *importance)
{
    static const char *const names[] = {"auto", "none", "hessian", "fisher", "adam"}; /* by mary_importance */
    *importance = MARY_IMPORTANCE_AUTO;
    if (options->importance == NULL)
        return MARY_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(options->importance, names[i]) == 0) {
            *importance = (mary_importance)i;
            return MARY_OK;
        }
    }
    return mary_fail(MARY_ERROR_USAGE, "importance '%s' is none of auto, none, hessian, fisher, adam",
                     options->importance);
}

static const mary_convert_options no_options;

mary_status mary_settings_create(const mary_convert_options *options, mary_settings *settings)
{
    mary_status status = MARY_OK;
    *settings = (mary_settings){.options = options == NULL ? &no_options : options};
    options = settings->options;
    MARY_TRY(check_levels(options->levels, "the number of levels"));
    if (options->first_last_levels != MARY_SAME_LEVELS)
        MARY_TRY(check_levels(options->first_last_levels, "the number of levels of first and last layers"));
    MARY_TRY(check_op_types(options));
    if (options->granularity < MARY_GRANULARITY_AUTO || options->granularity > MARY_GRANULARITY_MODEL)
        return mary_fail(MARY_ERROR_USAGE, "granularity %d is unknown", (int)options->granularity);
    if (options->threads < 0 || options->threads > 1024)
        return mary_fail(MARY_ERROR_USAGE, "the number of threads is %d, it must be from 0 to 1024", options->threads);
    MARY_TRY(check_activations(options));
    MARY_TRY(read_importance(options, &settings->importance));
    if (!(options->entropy >= 0 && options->entropy <= 8))
        return mary_fail(MARY_ERROR_USAGE, "the entropy is %g bits per weight, it must be from 0 to 8",
                         options->entropy);
    const mary_quantize_method *method = mary_quantize_method_find(options->method);
    if (method == NULL)
        return mary_fail(MARY_ERROR_USAGE, "method '%s' is unknown", options->method);

    settings->include_matched = mary_calloc((size_t)options->include_count + 1, sizeof(bool));
    settings->exclude_matched = mary_calloc((size_t)options->exclude_count + 1, sizeof(bool));
    if (settings->include_matched == NULL || settings->exclude_matched == NULL) {
        status = mary_fail_memory((size_t)options->include_count);
        goto failed;
    }
    if (options->config != NULL)
        MARY_TRY_GOTO(mary_settings_read_config(settings, options->config), failed);
    /* What the caller said wins over the file. */
    if (options->levels != 0 || settings->levels == 0)
        settings->levels = options->levels != 0 ? options->levels : 16;
    settings->first_last_stated = options->first_last_levels != 0 || settings->first_last_levels != 0;
    if (options->first_last_levels != 0 || settings->first_last_levels == 0)
        settings->first_last_levels = options->first_last_levels != 0 ? options->first_last_levels : 256;
    if (options->method != NULL || settings->method == NULL)
        settings->method = method;
    if (options->granularity != MARY_GRANULARITY_AUTO)
        settings->granularity = options->granularity;
    settings->threads = options->threads == 0 ? omp_get_num_procs() : options->threads;
    return MARY_OK;
failed:
    mary_settings_free(settings);
    return status;
}

void mary_settings_free(mary_settings *settings)
{
    for (size_t i = 0; i < settings->rule_count; i++)
        mary_free(settings->rules[i].glob);
    mary_free(settings->rules);
    mary_free(settings->include_matched);
    mary_free(settings->exclude_matched);
    *settings = (mary_settings){0};
}

void mary_settings_see(mary_settings *settings, const char *name)
{
    const mary_convert_options *options = settings->options;
    for (int i = 0; i < options->include_count; i++)
        settings->include_matched[i] = settings->include_matched[i] || matches(options->include[i], name);
    for (int i = 0; i < options->exclude_count; i++)
        settings->exclude_matched[i] = settings->exclude_matched[i] || matches(options->exclude[i], name);
    for (size_t i = 0; i < settings->rule_count; i++)
        settings->rules[i].matched = settings->rules[i].matched || matches(settings->rules[i].glob, name);
}

mary_status mary_settings_check_seen(const mary_settings *settings)
{
    const mary_convert_options *options = settings->options;
    for (int i = 0; i < options->include_count; i++) {
        if (!settings->include_matched[i])
            return mary_fail(MARY_ERROR_USAGE, "no node matches '%s', which was to be included", options->include[i]);
    }
    for (int i = 0; i < options->exclude_count; i++) {
        if (!settings->exclude_matched[i])
            return mary_fail(MARY_ERROR_USAGE, "no node matches '%s', which was to be excluded", options->exclude[i]);
    }
    for (size_t i = 0; i < settings->rule_count; i++) {
        if (!settings->rules[i].matched)
            return mary_fail(MARY_ERROR_USAGE, "%s: no node matches the layer '%s'", options->config,
                             settings->rules[i].glob);
    }
    return MARY_OK;
}

void mary_settings_for(const mary_settings *settings, const char *name, mary_layer_kind kind,
                       mary_layer_settings *result)
{
    const mary_convert_options *options = settings->options;
    *result = (mary_layer_settings){.levels = settings->levels,
                                    .method = settings->method,
                                    .granularity = settings->granularity,
                                    .entropy = options->entropy};
    bool wanted_type = options->op_type_count == 0, included = options->include_count == 0;
    for (int i = 0; i < options->op_type_count; i++)
        wanted_type = wanted_type || strcmp(options->op_types[i], mary_layer_op(kind)) == 0;
    for (int i = 0; i < options->include_count; i++)
        included = included || matches(options->include[i], name);
    if (!wanted_type)
        result->excluded = "not one of the operator types asked for";
    else if (!included)
        result->excluded = "not among the nodes to include";
    for (size_t i = 0; i < settings->rule_count; i++) { /* later rules win */
        const mary_layer_rule *rule = &settings->rules[i];
        if (!matches(rule->glob, name))
            continue;
        if (rule->levels != 0) {
            result->levels = rule->levels;
            result->levels_stated = true;
        }
        if (rule->method != NULL)
            result->method = rule->method;
        if (rule->has_granularity)
            result->granularity = rule->granularity;
        if (rule->has_exclude && wanted_type && included)
            result->excluded = rule->exclude ? "excluded by the configuration file" : NULL;
    }
    for (int i = 0; i < options->exclude_count; i++) {
        if (matches(options->exclude[i], name))
            result->excluded = "excluded by name";
    }
}
