/* Settings per layer from a JSON file:
 *
 *   { "levels": 4, "method": "kmeans", "granularity": "channel", "first_last": "same",
 *     "layers": { "features.*": { "levels": 3 }, "classifier.Gemm": { "exclude": true } } }
 *
 * Keys of "layers" are globs of node names; later ones win. */
#include "convert/settings.h"

#include <jansson.h>
#include <string.h>

static mary_status read_levels(const char *path, const char *where, const json_t *value, int *levels)
{
    if (!json_is_integer(value) || json_integer_value(value) < 2 || json_integer_value(value) > 256)
        return mary_fail(MARY_ERROR_USAGE, "%s: %s must be an integer from 2 to 256", path, where);
    *levels = (int)json_integer_value(value);
    return MARY_OK;
}

static mary_status read_method(const char *path, const char *where, const json_t *value,
                               const mary_quantize_method **method)
{
    *method = json_is_string(value) ? mary_quantize_method_find(json_string_value(value)) : NULL;
    if (*method == NULL)
        return mary_fail(MARY_ERROR_USAGE, "%s: %s is not the name of a method", path, where);
    return MARY_OK;
}

static mary_status read_granularity(const char *path, const char *where, const json_t *value,
                                    mary_granularity *granularity)
{
    static const char *const names[] = {"auto", "channel", "tensor", "model"};
    for (int i = 0; i < 4; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), names[i]) == 0) {
            *granularity = (mary_granularity)i;
            return MARY_OK;
        }
    }
    return mary_fail(MARY_ERROR_USAGE, "%s: %s must be \"auto\", \"channel\", \"tensor\" or \"model\"", path, where);
}

static mary_status read_rule(mary_settings *settings, const char *path, const char *glob, json_t *object)
{
    mary_status status = MARY_OK;
    if (!json_is_object(object))
        return mary_fail(MARY_ERROR_USAGE, "%s: layer '%s' is not an object", path, glob);
    if (!mary_reserve((void **)&settings->rules, &settings->rule_capacity, settings->rule_count + 1,
                      sizeof *settings->rules))
        return mary_fail_memory(sizeof *settings->rules);
    mary_layer_rule *rule = &settings->rules[settings->rule_count];
    *rule = (mary_layer_rule){.glob = mary_strdup(glob)};
    if (rule->glob == NULL)
        return mary_fail_memory(strlen(glob) + 1);
    settings->rule_count++;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char where[256];
        snprintf(where, sizeof where, "'%s' of layer '%s'", key, glob);
        if (strcmp(key, "levels") == 0) {
            status = read_levels(path, where, value, &rule->levels);
        } else if (strcmp(key, "method") == 0) {
            status = read_method(path, where, value, &rule->method);
        } else if (strcmp(key, "granularity") == 0) {
            rule->has_granularity = true;
            status = read_granularity(path, where, value, &rule->granularity);
        } else if (strcmp(key, "exclude") == 0) {
            rule->has_exclude = true;
            rule->exclude = json_is_true(value);
            if (!json_is_boolean(value))
                status = mary_fail(MARY_ERROR_USAGE, "%s: %s must be true or false", path, where);
        } else {
            status = mary_fail(MARY_ERROR_USAGE, "%s: %s is no setting of a layer", path, where);
        }
        if (status != MARY_OK)
            return status;
    }
    return MARY_OK;
}

static mary_status read_root(mary_settings *settings, const char *path, json_t *root)
{
    const char *key, *glob;
    json_t *value, *layer;
    if (!json_is_object(root))
        return mary_fail(MARY_ERROR_USAGE, "%s: the top level is not an object", path);
    json_object_foreach(root, key, value)
    {
        char where[128];
        snprintf(where, sizeof where, "'%s'", key);
        if (strcmp(key, "levels") == 0) {
            MARY_TRY(read_levels(path, where, value, &settings->levels));
        } else if (strcmp(key, "method") == 0) {
            MARY_TRY(read_method(path, where, value, &settings->method));
        } else if (strcmp(key, "granularity") == 0) {
            MARY_TRY(read_granularity(path, where, value, &settings->granularity));
        } else if (strcmp(key, "first_last") == 0) {
            if (json_is_string(value) && strcmp(json_string_value(value), "same") == 0)
                settings->first_last_levels = MARY_SAME_LEVELS;
            else
                MARY_TRY(read_levels(path, where, value, &settings->first_last_levels));
        } else if (strcmp(key, "layers") == 0 && json_is_object(value)) {
            json_object_foreach(value, glob, layer) MARY_TRY(read_rule(settings, path, glob, layer));
        } else {
            return mary_fail(MARY_ERROR_USAGE, "%s: %s is no setting", path, where);
        }
    }
    return MARY_OK;
}

mary_status mary_settings_read_config(mary_settings *settings, const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        if (error.line < 1)
            return mary_fail(MARY_ERROR_INVALID, "%s: %s", path, error.text);
        return mary_fail(MARY_ERROR_USAGE, "%s:%d: %s", path, error.line, error.text);
    }
    mary_status status = read_root(settings, path, root);
    json_decref(root);
    return status;
}
