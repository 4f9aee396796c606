/* Weights that are trained one by one while the network sees them as levels, and the levels trained with them.
 *
 * The levels of a layer are a parameter of the trainer, so the optimiser moves them and a checkpoint holds them. Which
 * weight is which level is made anew now and then from both alone: a weight w goes to the level l with the least
 *   worth * (w - l)^2 / energy + lambda * bits(l)
 * where energy is the sum of the layer's squared weights (errors count as parts of their layer, as in prune.c), worth
 * what the network minds of them (importance.c) and bits(l) what l costs by how often it is taken: entropy-constrained
 * scalar quantisation (Chou, Lookabaugh and Gray 1989) in every layer, with one lambda for all of them, the smallest
 * with which the codes fit the budget. Zero is a level like the others then, so weights are pruned and come back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tune/tune.h"

enum { ROUNDS = 4, HALVINGS = 30, FITTINGS = 12 };
static const double least_lambda = 1e-12, most_lambda = 1.0;

/* ---- life ---- */

static mary_status add_levels(mary_trainer *trainer, int most, const mary_tuned_layer *layer, int *index)
{
    char name[512];
    mary_parameter weight;
    MARY_TRY(mary_trainer_parameter(trainer, layer->parameter, &weight));
    snprintf(name, sizeof name, "%s levels", weight.name);
    return mary_trainer_add_parameter(trainer, name, most, index);
}

mary_status mary_tuned_codings_create(mary_tuned_layers *layers, mary_trainer *trainer, int most, bool shared)
{
    mary_parameter parameter;
    for (int i = 0; i < layers->count; i++) {
        mary_tuned_layer *layer = &layers->items[i];
        layer->coding = mary_calloc(1, sizeof *layer->coding);
        if (layer->coding == NULL)
            return mary_fail_memory(sizeof *layer->coding);
        layer->coding->most = most;
        layer->coding->worth = 1;
        if (shared && i > 0)
            layer->coding->parameter = layers->items[0].coding->parameter;
        else
            MARY_TRY(add_levels(trainer, most, layer, &layer->coding->parameter));
    }
    for (int i = 0; i < layers->count; i++) { /* they may all have moved */
        mary_tuned_layer *layer = &layers->items[i];
        MARY_TRY(mary_trainer_parameter(trainer, layer->parameter, &parameter));
        layer->values = parameter.values;
        MARY_TRY(mary_trainer_parameter(trainer, layer->coding->parameter, &parameter));
        layer->coding->levels = parameter.values;
        layer->coding->gradient = parameter.gradient;
    }
    return MARY_OK;
}

void mary_tuned_codings_free(mary_tuned_layers *layers)
{
    for (int i = 0; i < layers->count; i++) {
        mary_free(layers->items[i].coding);
        layers->items[i].coding = NULL;
    }
}

/* ---- what the network sees ---- */

void mary_tuned_see_levels(mary_tuned_layer *layer, const float *values, float *effective, int64_t count)
{
    const mary_tuned_coding *coding = layer->coding;
    for (int64_t i = 0; i < count; i++) {
        if (!coding->zeros && layer->codes[i] == 0) {
            effective[i] = 0;
            continue;
        }
        int low = 0, high = coding->count - 1;
        while (low < high) {
            const int middle = (low + high + 1) / 2;
            if (values[i] >= coding->edges[middle])
                low = middle;
            else
                high = middle - 1;
        }
        layer->codes[i] = coding->codes[low];
        effective[i] = layer->codes[i] != 0 ? coding->levels[layer->codes[i] - 1] : 0.0f;
    }
}

void mary_tuned_pass_gradients(const mary_tuned_layer *layer, float *gradient, int64_t count)
{
    const mary_tuned_coding *coding = layer->coding;
    double sums[MARY_MOST_TUNED_LEVELS + 1] = {0};
    for (int64_t i = 0; i < count; i++) {
        sums[layer->codes[i]] += (double)gradient[i];
        if (layer->codes[i] == 0 && !coding->zeros)
            gradient[i] = 0;
    }
    for (int m = 0; m < coding->most; m++)
        coding->gradient[m] += (float)sums[m + 1];
}

/* ---- intervals ---- */

typedef struct candidate {
    double level, bits;
    uint8_t code;
} candidate;

/* One layer: its weights, ascending, and the levels that they may have. */
typedef struct problem {
    mary_tuned_coding *coding;
    float *weights; /* [count]; those of pruned weights are left out, unless they may come back */
    int64_t count;
    double scale;                                 /* a squared error of so much counts 1 */
    candidate levels[MARY_MOST_TUNED_LEVELS + 1]; /* ascending */
    int level_count;
} problem;

static int ascending_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int ascending_levels(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    return (x->code > y->code) - (x->code < y->code);
}

static void list_levels(problem *p)
{
    const mary_tuned_coding *coding = p->coding;
    p->level_count = 0;
    if (coding->zeros)
        p->levels[p->level_count++] = (candidate){.code = 0};
    for (int m = 0; m < coding->most; m++) {
        if (coding->levels[m] != 0)
            p->levels[p->level_count++] = (candidate){.level = (double)coding->levels[m], .code = (uint8_t)(m + 1)};
    }
    qsort(p->levels, (size_t)p->level_count, sizeof *p->levels, ascending_levels);
}

static mary_status create_problem(const mary_tuned_layer *layer, problem *p)
{
    mary_tuned_coding *coding = layer->coding;
    double energy = 0;
    *p = (problem){.coding = coding, .weights = mary_alloc((size_t)layer->count * sizeof(float))};
    if (p->weights == NULL)
        return mary_fail_memory((size_t)layer->count * sizeof(float));
    for (int64_t k = 0; k < layer->count; k++) {
        if (!coding->zeros && layer->codes[k] == 0)
            continue;
        p->weights[p->count++] = layer->values[k];
        energy += (double)layer->values[k] * (double)layer->values[k];
    }
    p->scale = energy > 0 ? energy / coding->worth : 1;
    qsort(p->weights, (size_t)p->count, sizeof *p->weights, ascending_floats);
    list_levels(p);
    return MARY_OK;
}

/* The interval of every level at a price per bit, by its level's bits: the lower envelope of parabolas of one width. */
static void find_edges(const problem *p, double price)
{
    mary_tuned_coding *coding = p->coding;
    int top = -1, stack[MARY_MOST_TUNED_LEVELS + 1];
    for (int m = 0; m < p->level_count; m++) {
        const candidate *next = &p->levels[m];
        float edge = -INFINITY;
        while (top >= 0) {
            const candidate *last = &p->levels[stack[top]];
            const double apart = next->level - last->level, dearer = price * (next->bits - last->bits);
            if (apart == 0 && dearer >= 0)
                break;
            edge = apart > 0 ? (float)((next->level + last->level + dearer / apart) / 2) : -INFINITY;
            if (edge > coding->edges[top])
                break;
            top--;
            edge = -INFINITY;
        }
        if (top >= 0 && edge == -INFINITY)
            continue; /* the same level again, and no cheaper */
        stack[++top] = m;
        coding->edges[top] = edge;
        coding->codes[top] = next->code;
    }
    coding->count = top + 1;
}

static int64_t first_not_below(const problem *p, float edge)
{
    int64_t low = 0, high = p->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (p->weights[middle] < edge)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first weight of interval m; that of the one behind the last is the end. */
static int64_t begin_of(const problem *p, int m)
{
    const mary_tuned_coding *coding = p->coding;
    return m == 0 ? 0 : m < coding->count ? first_not_below(p, coding->edges[m]) : p->count;
}

/* Bits of all codes as the intervals are now; what every level costs, by them. */
static double count_bits(problem *p)
{
    const mary_tuned_coding *coding = p->coding;
    double total = 0, bits[MARY_MOST_TUNED_LEVELS + 1];
    const double all = (double)p->count;
    for (int code = 0; code <= MARY_MOST_TUNED_LEVELS; code++)
        bits[code] = log2(2 * all + 1); /* that none has yet */
    for (int m = 0; m < coding->count; m++) {
        const int64_t begin = begin_of(p, m), end = begin_of(p, m + 1);
        if (end <= begin)
            continue;
        bits[coding->codes[m]] = log2(all / (double)(end - begin));
        total += bits[coding->codes[m]] * (double)(end - begin);
    }
    for (int m = 0; m < p->level_count; m++)
        p->levels[m].bits = bits[p->levels[m].code];
    return total;
}

static double code_at(problem *problems, int count, double lambda)
{
    double total = 0;
    for (int i = 0; i < count; i++) {
        problem *p = &problems[i];
        find_edges(p, 0);
        double bits = count_bits(p);
        for (int round = 0; lambda > 0 && round < ROUNDS; round++) {
            find_edges(p, lambda * p->scale);
            bits = count_bits(p);
        }
        total += bits;
    }
    return total;
}

/* With the smallest lambda that the budget allows; 0: any. */
static void code_within(problem *problems, int count, double budget)
{
    if (code_at(problems, count, 0) <= budget || budget <= 0)
        return;
    double low = log(least_lambda), high = log(most_lambda);
    for (int i = 0; i < HALVINGS; i++) {
        const double middle = (low + high) / 2;
        if (code_at(problems, count, exp(middle)) > budget)
            low = middle;
        else
            high = middle;
    }
    code_at(problems, count, exp(high));
}

static mary_status create_problems(mary_tuned_layers *layers, double budget, problem **problems)
{
    *problems = mary_calloc((size_t)layers->count, sizeof **problems);
    if (*problems == NULL)
        return mary_fail_memory((size_t)layers->count * sizeof **problems);
    for (int i = 0; i < layers->count; i++) {
        layers->items[i].coding->zeros = budget > 0;
        MARY_TRY(create_problem(&layers->items[i], &(*problems)[i]));
    }
    return MARY_OK;
}

static void free_problems(const mary_tuned_layers *layers, problem *problems)
{
    for (int i = 0; problems != NULL && i < layers->count; i++)
        mary_free(problems[i].weights);
    mary_free(problems);
}

mary_status mary_tuned_code(mary_tuned_layers *layers, double budget)
{
    problem *problems = NULL;
    mary_status status = create_problems(layers, budget, &problems);
    if (status == MARY_OK)
        code_within(problems, layers->count, budget);
    free_problems(layers, problems);
    return status;
}

/* ---- levels ---- */

/* What the weights of every level come to, each with what its error counts. */
typedef struct sums {
    double weights[MARY_MOST_TUNED_LEVELS + 1], counts[MARY_MOST_TUNED_LEVELS + 1];
} sums;

static void add_to_sums(const problem *p, sums *s)
{
    const mary_tuned_coding *coding = p->coding;
    for (int m = 0; m < coding->count; m++) {
        const int64_t begin = begin_of(p, m), end = begin_of(p, m + 1);
        double sum = 0;
        for (int64_t k = begin; k < end; k++)
            sum += (double)p->weights[k];
        s->weights[coding->codes[m]] += sum / p->scale;
        s->counts[coding->codes[m]] += (double)(end - begin) / p->scale;
    }
}

/* Levels become the means of their weights; those that nobody has stay. */
static void centre(problem *problems, int count)
{
    sums s = {0};
    for (int i = 0; i < count; i++) {
        const mary_tuned_coding *coding = problems[i].coding;
        add_to_sums(&problems[i], &s);
        if (i + 1 < count && problems[i + 1].coding->levels == coding->levels)
            continue; /* layers that share them */
        for (int m = 0; m < coding->most; m++) {
            if (s.counts[m + 1] > 0)
                coding->levels[m] = (float)(s.weights[m + 1] / s.counts[m + 1]);
        }
        s = (sums){0};
    }
    for (int i = 0; i < count; i++)
        list_levels(&problems[i]);
}

mary_status mary_tuned_fit_levels(mary_tuned_layers *layers, double budget)
{
    problem *problems = NULL;
    mary_status status = create_problems(layers, budget, &problems);
    for (int round = 0; status == MARY_OK && round < FITTINGS; round++) {
        code_within(problems, layers->count, budget);
        centre(problems, layers->count);
    }
    free_problems(layers, problems);
    return status;
}

mary_status mary_tuned_settle(mary_tuned_layers *layers, double budget)
{
    MARY_TRY(mary_tuned_code(layers, budget));
    for (int i = 0; i < layers->count; i++) {
        mary_tuned_layer *layer = &layers->items[i];
        mary_tuned_see_levels(layer, layer->values, layer->values, layer->count);
        layer->coding->count = 0;
    }
    return MARY_OK;
}
