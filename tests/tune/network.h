/* A tiny network to tune, and its data. */
#ifndef MARY_TESTS_TUNE_NETWORK_H
#define MARY_TESTS_TUNE_NETWORK_H

#include <stdio.h>
#include <string.h>

#include "onnx/memory.h"
#include "tests/support/model_builder.h"
#include "tune/tune.h"

enum { SAMPLES = 400, FEATURES = 8, HIDDEN = 24, CLASSES = 3 };

static uint32_t state;

static float noise(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (float)(1 << 23) - 1;
}

/* The class is which of three features is the largest; the others say nothing. */
static mary_status sample(void *context, int64_t index, float *values, int64_t *label)
{
    (void)context;
    uint32_t before = state;
    state = (uint32_t)index * 2654435761u + 7;
    for (int k = 0; k < FEATURES; k++)
        values[k] = noise();
    *label = 0;
    for (int k = 1; k < CLASSES; k++)
        *label = values[k] > values[*label] ? k : *label;
    state = before;
    return MARY_OK;
}

static const mary_samples data = {.samples = SAMPLES, .rank = 1, .dims = {FEATURES}, .sample = sample};

static inline mary_model *network(int64_t batch)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    float w[FEATURES * HIDDEN];
    state = 1;
    for (int i = 0; i < FEATURES * HIDDEN; i++)
        w[i] = noise() * 0.4f;
    build_input(graph, "x", MARY_FLOAT, SHAPE(batch, FEATURES));
    build_floats(graph, "w1", SHAPE(FEATURES, HIDDEN), w);
    build_floats(graph, "b1", SHAPE(HIDDEN), w);
    build_floats(graph, "w2", SHAPE(HIDDEN, CLASSES), w + 11);
    build_floats(graph, "b2", SHAPE(CLASSES), w + 5);
    build_node(graph, "Gemm", "x,w1,b1", "h");
    build_node(graph, "Relu", "h", "r");
    build_node(graph, "Gemm", "r,w2,b2", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(batch, CLASSES));
    return model;
}

static const mary_tune_options usual = {
    .labels = true, .keep = 0.3, .levels = 4, .epochs = 12, .batch = 20, .rate = 0.01, .holdout = 0.25, .threads = 1};

/* The tuned model's file. */
static inline uint8_t *tuned(const mary_tune_options *options, mary_tune_result *result, size_t *size)
{
    mary_model *model = network(-1);
    assert_ok(mary_tune(&model, &data, options, result));
    uint8_t *bytes = build_bytes(model, size);
    mary_model_free(&model);
    return bytes;
}

static inline void assert_same_file(const mary_tune_options *options, const uint8_t *expected, size_t expected_size)
{
    size_t size;
    uint8_t *bytes = tuned(options, NULL, &size);
    ck_assert_uint_eq(size, expected_size);
    ck_assert_int_eq(memcmp(bytes, expected, size), 0);
    mary_free(bytes);
}

/* Distinct values of an initializer that are not zero, and how many elements are. */
static inline int distinct(const mary_model *model, const char *name, int64_t *kept)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    float seen[HIDDEN * FEATURES];
    int count = 0;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        if (strcmp(tensor->name, name) != 0)
            continue;
        for (size_t k = 0; k < tensor->raw_data.len / sizeof(float); k++) {
            float value;
            int at = 0;
            memcpy(&value, tensor->raw_data.data + k * sizeof value, sizeof value);
            *kept += value != 0;
            while (at < count && seen[at] != value)
                at++;
            if (value != 0 && at == count)
                seen[count++] = value;
        }
    }
    return count;
}

/* ---- the parts of a tuning ---- */

typedef struct parts {
    mary_trainer *trainer;
    mary_tuned_layers layers;
    mary_array input;
    mary_loss loss;
    float x[32 * FEATURES];
    int64_t labels[32];
} parts;

static inline void make_parts(parts *p)
{
    mary_model *model = network(-1), *copy = network(-1);
    *p = (parts){.input = {.name = "x", .type = MARY_FLOAT, .rank = 2, .dims = {32, FEATURES}}};
    for (int64_t i = 0; i < 32; i++)
        assert_ok(sample(NULL, i, p->x + i * FEATURES, &p->labels[i]));
    p->input.data = p->x;
    p->input.bytes = sizeof p->x;
    p->loss.labels = p->labels;
    assert_ok(mary_trainer_create(&model, &(mary_trainer_options){.threads = 1}, &p->trainer));
    assert_ok(mary_tuned_layers_create(copy, p->trainer, &p->layers));
    mary_model_free(&copy);
}

static inline void free_parts(parts *p)
{
    mary_trainer_free(&p->trainer);
    mary_tuned_layers_free(&p->layers);
}

#endif
