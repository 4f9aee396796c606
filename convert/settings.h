/* The options of a conversion, those of its JSON file included, resolved for one node at a time. */
#ifndef MARY_CONVERT_SETTINGS_H
#define MARY_CONVERT_SETTINGS_H

#include "convert/layer.h"
#include "convert/quantize/method.h"

/* Settings that a group of nodes gets from the JSON file; unset fields keep what was there. */
typedef struct mary_layer_rule {
    char *glob;
    int levels;                         /* 0: unset */
    const mary_quantize_method *method; /* NULL: unset */
    bool has_granularity, has_exclude, exclude;
    mary_granularity granularity;
    bool matched;
} mary_layer_rule;

/* What the caller wants a weight's error to count. */
typedef enum mary_importance {
    MARY_IMPORTANCE_AUTO = 0, /* as each method would have it */
    MARY_IMPORTANCE_NONE,
    MARY_IMPORTANCE_HESSIAN,
    MARY_IMPORTANCE_FISHER,
    MARY_IMPORTANCE_ADAM
} mary_importance;

typedef struct mary_settings {
    const mary_convert_options *options;
    int levels, first_last_levels; /* resolved: 2..256; first_last_levels may be MARY_SAME_LEVELS */
    const mary_quantize_method *method;
    mary_granularity granularity;
    mary_importance importance;
    int threads;
    bool first_last_stated;  /* by the caller or the JSON file; else first_last_levels is the default */
    const int *mixed_levels; /* [mixed_count]: as in mary_convert_mixed; borrowed */
    size_t mixed_count;
    mary_layer_rule *rules;
    size_t rule_count, rule_capacity;
    bool *include_matched, *exclude_matched;
} mary_settings;

/* What one node gets. */
typedef struct mary_layer_settings {
    int levels;
    bool levels_stated; /* by a rule: the first-and-last rule does not apply */
    const mary_quantize_method *method;
    mary_granularity granularity;
    double entropy;       /* as in mary_convert_options */
    const char *excluded; /* why the node stays float; NULL: it does not */
} mary_layer_settings;

/* Checks the options (MARY_ERROR_USAGE) and reads the JSON file when there is one (MARY_ERROR_USAGE naming file, line
 * and key; MARY_ERROR_INVALID when it cannot be read). */
mary_status mary_settings_create(const mary_convert_options *options, mary_settings *settings);
void mary_settings_free(mary_settings *settings);
/* Marks the globs that match this name. To be called for every node of the graph, quantisable or not. */
void mary_settings_see(mary_settings *settings, const char *name);
/* MARY_ERROR_USAGE naming the first glob that no node matched. */
mary_status mary_settings_check_seen(const mary_settings *settings);
void mary_settings_for(const mary_settings *settings, const char *name, mary_layer_kind kind,
                       mary_layer_settings *result);

/* convert/config.c: adds the rules and defaults of a JSON file. */
mary_status mary_settings_read_config(mary_settings *settings, const char *path);

#endif
