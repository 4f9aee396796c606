/* The table of a search: what every layer costs and does to the outputs, with every M. */
#include <math.h>
#include <string.h>

#include "convert/layer.h"
#include "convert/mixed.h"
#include "onnx/names.h"
#include "search/search.h"

/* Codes are 1, 2, 4 or 8 bits wide in a plain file, so that M = 3 costs what 4 does. Packed, every M has its price. */
static const int plain_levels[] = {2, 4, 16, 256};
static const int packed_levels[] = {2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 32, 64, 256};

/* Up to this M layers are measured; above, what they do is proportional to the squared error of their weights, and too
 * little to be worth another run of the network. */
enum { MEASURED_PLAIN = 16, MEASURED_PACKED = 8 };

void mary_layer_table_free(mary_layer_table *table)
{
    for (size_t g = 0; table->weight != NULL && g < table->groups; g++)
        mary_free(table->weight[g]);
    mary_free(table->weight);
    mary_free(table->group_of);
    mary_free(table->node);
    mary_free(table->bytes);
    mary_free(table->losses);
    *table = (mary_layer_table){0};
}

mary_choices mary_layer_table_choices(const mary_layer_table *table)
{
    return (mary_choices){table->groups, table->candidates, table->bytes, table->losses};
}

void mary_layer_table_levels(const mary_layer_table *table, const uint8_t *picks, int *levels)
{
    for (size_t i = 0; i < table->layer_count; i++)
        levels[i] = table->group_of[i] == SIZE_MAX ? 0 : table->levels[picks[table->group_of[i]]];
}

/* ---- the layers ---- */

/* The float model as conversions have it when they choose levels; the report lists its layers. */
static mary_status make_base(mary_search *search, mary_convert_report **report)
{
    static const char *const all[] = {"*"};
    mary_convert_options options = search->convert;
    options.exclude = all;
    options.exclude_count = search->model->proto->graph->n_node > 0;
    options.include_count = options.op_type_count = options.activations = 0;
    options.method = options.importance = options.config = NULL;
    options.entropy = 0;
    MARY_TRY(mary_model_copy(search->model, &search->base));
    return mary_convert(search->base, &options, report);
}

static mary_status find_groups(mary_search *search, const mary_convert_report *report)
{
    mary_layer_table *table = &search->table;
    const Onnx__GraphProto *graph = search->base->proto->graph;
    const size_t count = mary_convert_layer_count(report);
    mary_names groups = {0};
    mary_status status = MARY_OK;
    table->group_of = mary_calloc(count + 1, sizeof *table->group_of);
    table->node = mary_calloc(count + 1, sizeof *table->node);
    table->weight = mary_calloc(count + 1, sizeof *table->weight);
    if (table->group_of == NULL || table->node == NULL || table->weight == NULL) {
        status = mary_fail_memory(count * sizeof *table->group_of);
        goto done;
    }
    for (size_t n = 0; n < graph->n_node; n++) {
        const mary_layer_report *layer = mary_convert_layer(report, table->layer_count);
        if (layer == NULL || mary_layer_kind_of(graph->node[n]) == MARY_LAYER_NONE)
            continue;
        const size_t i = table->layer_count++;
        bool added = false;
        table->node[i] = n;
        table->group_of[i] = SIZE_MAX;
        if (layer->weight[0] == '\0' || layer->weights == 0)
            continue;
        MARY_TRY_GOTO(mary_names_add(&groups, layer->weight, table->groups, &added), done);
        mary_names_get(&groups, layer->weight, &table->group_of[i]);
        if (added && (table->weight[table->groups++] = mary_strdup(layer->weight)) == NULL) {
            status = mary_fail_memory(strlen(layer->weight));
            goto done;
        }
    }
done:
    mary_names_free(&groups);
    return status;
}

/* ---- bytes ---- */

/* Tensors of a layer are named after its weight: "conv1.weight_codes". The longest weight that fits owns a tensor. */
static size_t owner_of(const mary_layer_table *table, const char *tensor)
{
    size_t found = SIZE_MAX, longest = 0;
    for (size_t g = 0; g < table->groups; g++) {
        const size_t length = strlen(table->weight[g]);
        if (length > longest && strncmp(tensor, table->weight[g], length) == 0 &&
            (tensor[length] == '_' || tensor[length] == '\0')) {
            found = g;
            longest = length;
        }
    }
    return found;
}

static void count_bytes(mary_layer_table *table, int candidate, const mary_trial *trial)
{
    uint64_t sum = 0;
    for (size_t i = 0; trial->packing == NULL && i < table->layer_count; i++) {
        const mary_layer_report *layer = mary_convert_layer(trial->report, i);
        if (table->group_of[i] == SIZE_MAX || layer->repeated)
            continue;
        table->bytes[table->group_of[i] * (size_t)table->candidates + (size_t)candidate] +=
            (uint64_t)layer->bytes_after;
        sum += (uint64_t)layer->bytes_after;
    }
    for (size_t i = 0; trial->packing != NULL && mary_pack_row(trial->packing, i) != NULL; i++) {
        const mary_packed_row *row = mary_pack_row(trial->packing, i);
        const size_t group = owner_of(table, row->name);
        if (group == SIZE_MAX)
            continue;
        table->bytes[group * (size_t)table->candidates + (size_t)candidate] += row->bytes_after;
        sum += row->bytes_after;
    }
    table->uniform_bytes[candidate] = trial->size;
    table->rest_bytes[candidate] = trial->size > sum ? trial->size - sum : 0;
}

/* ---- losses ---- */

/* What a group has become in one conversion: the first of its layers that has levels; NULL: it stays float. */
static const mary_layer_report *coded_layer(const mary_layer_table *table, const mary_convert_report *report,
                                            size_t group)
{
    for (size_t i = 0; i < table->layer_count; i++) {
        const mary_layer_report *layer = mary_convert_layer(report, i);
        if (table->group_of[i] == group && layer->bits > 0)
            return layer;
    }
    return NULL;
}

/* What was found out about a group with the candidate before. */
typedef struct known {
    int levels;
    bool shared, measured;
    double sqnr, loss;
} known;

static mary_status measure_group(mary_search *search, const mary_model *coded, const mary_layer_report *layer,
                                 size_t group, int wanted, known *last, double *loss)
{
    mary_model *model = NULL;
    mary_outcome outcome;
    *loss = 0;
    if (layer == NULL || isinf(layer->sqnr)) /* float, or exact */
        return MARY_OK;
    known now = {layer->levels, layer->shared, true, layer->sqnr, 0};
    if (last->measured && last->levels == now.levels && last->shared == now.shared && last->sqnr == now.sqnr) {
        *loss = last->loss; /* its levels are fixed, or more of them do not pay */
        return MARY_OK;
    }
    if (last->measured && wanted > (search->goal.pack ? MEASURED_PACKED : MEASURED_PLAIN)) {
        now.loss = last->loss * fmin(pow(10, (last->sqnr - now.sqnr) / 10), 1);
    } else {
        MARY_TRY(mary_swap_group(search, coded, group, &model));
        MARY_TRY(mary_judge_model(&search->judge, &model, MARY_SAMPLES_MEASURED, search->layer_runs, &outcome));
        now.loss = mary_outcome_loss(&outcome);
    }
    *last = now;
    *loss = now.loss;
    return MARY_OK;
}

/* The float values that weights have with the levels of a conversion, and its report of weights. Integer activations
 * are left out: what they do is the same with any M. */
static mary_status decode(const mary_search *search, const mary_trial *trial, const int *levels, mary_model **coded,
                          mary_convert_report **own)
{
    mary_convert_options options = search->convert;
    *own = NULL;
    if (options.activations == 0) {
        MARY_TRY(mary_model_copy(trial->model, coded));
        return mary_dequantize(*coded);
    }
    options.activations = 0;
    options.no_functions = true;
    options.no_bias_correction = true; /* as in MARY_TRIAL_OF_LAYERS */
    MARY_TRY(mary_model_copy(search->model, coded));
    MARY_TRY(mary_convert_mixed(*coded, &options, levels, search->table.layer_count, own));
    return mary_dequantize(*coded);
}

static mary_status fill_candidate(mary_search *search, int candidate, known *last)
{
    mary_layer_table *table = &search->table;
    mary_model *coded = NULL;
    mary_convert_report *own = NULL;
    mary_trial trial = {0}, whole = {0};
    mary_status status = MARY_OK;
    const uint64_t total = (uint64_t)table->candidates * table->groups;
    int *levels = mary_calloc(table->layer_count + 1, sizeof *levels);
    if (levels == NULL)
        return mary_fail_memory(table->layer_count * sizeof *levels);
    for (size_t i = 0; i < table->layer_count; i++)
        levels[i] = table->levels[candidate];
    MARY_TRY_GOTO(mary_trial_make(search, MARY_TRIAL_OF_LAYERS, levels, table->levels[candidate], &trial), done);
    count_bytes(table, candidate, &trial);
    MARY_TRY_GOTO(decode(search, &trial, levels, &coded, &own), done);
    if (search->goal.frontier > 0) {
        MARY_TRY_GOTO(mary_trial_make(search, MARY_TRIAL_OF_NETWORK, levels, table->levels[candidate], &whole), done);
        MARY_TRY_GOTO(mary_trial_judge(search, &whole), done);
    }
    for (size_t g = 0; g < table->groups; g++) {
        const mary_layer_report *layer = coded_layer(table, own != NULL ? own : trial.report, g);
        mary_search_progress(search, "measuring layers", (uint64_t)candidate * table->groups + g, total);
        MARY_TRY_GOTO(measure_group(search, coded, layer, g, table->levels[candidate], &last[g],
                                    &table->losses[g * (size_t)table->candidates + (size_t)candidate]),
                      done);
    }
done:
    mary_convert_report_free(&own);
    mary_model_free(&coded);
    mary_trial_free(&trial);
    mary_trial_free(&whole);
    mary_free(levels);
    return status;
}

mary_status mary_layer_table_create(mary_search *search)
{
    mary_layer_table *table = &search->table;
    mary_convert_report *report = NULL;
    known *last = NULL;
    mary_status status = MARY_OK;
    MARY_TRY_GOTO(make_base(search, &report), done);
    if (search->goal.float_bytes == 0)
        search->goal.float_bytes = mary_convert_totals_of(report)->file_before;
    MARY_TRY_GOTO(find_groups(search, report), done);
    if (table->groups == 0) {
        status = mary_fail(MARY_ERROR_UNSUPPORTED, "the model has no layer whose weights could get levels");
        goto done;
    }
    const int *list = search->goal.pack ? packed_levels : plain_levels;
    table->candidates = (int)(search->goal.pack ? sizeof packed_levels / sizeof *packed_levels
                                                : sizeof plain_levels / sizeof *plain_levels);
    for (int c = 0; c < table->candidates; c++)
        table->levels[c] = list[c];
    table->bytes = mary_calloc(table->groups * (size_t)table->candidates, sizeof *table->bytes);
    table->losses = mary_calloc(table->groups * (size_t)table->candidates, sizeof *table->losses);
    last = mary_calloc(table->groups, sizeof *last);
    if (table->bytes == NULL || table->losses == NULL || last == NULL) {
        status = mary_fail_memory(table->groups * sizeof *last);
        goto done;
    }
    for (int c = 0; c < table->candidates; c++)
        MARY_TRY_GOTO(fill_candidate(search, c, last), done);
done:
    mary_free(last);
    mary_convert_report_free(&report);
    return status;
}
