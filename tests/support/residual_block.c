#include "tests/support/residual_block.h"

#include <math.h>
#include <string.h>

static uint32_t state = 1;

static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

void block_floats(Onnx__GraphProto *graph, const char *name, mary_shape shape)
{
    static float values[1 << 14];
    for (int64_t i = 0; i < mary_shape_count(&shape); i++)
        values[i] = draw();
    build_floats(graph, name, shape, values);
}

/* x [N,4,6,6]: a residual block (grouped and transposed convolutions beside it), then Gemm and MatMul to y: class
 * scores [N,5], or [N,5,1], for which corrections are always kept. */
static mary_model *build_block(bool scores)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    state = 7;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, BLOCK_CHANNELS, BLOCK_SIDE, BLOCK_SIDE));
    build_output(graph, "y", MARY_FLOAT, scores ? SHAPE(-1, 5) : SHAPE(-1, 5, 1));
    block_floats(graph, "a.w", SHAPE(12, BLOCK_CHANNELS, 3, 3));
    block_floats(graph, "a.b", SHAPE(12));
    block_floats(graph, "b.w", SHAPE(12, 3, 3, 3));
    block_floats(graph, "c.w", SHAPE(12, BLOCK_CHANNELS, 1, 1));
    block_floats(graph, "c.b", SHAPE(12));
    block_floats(graph, "up.w", SHAPE(12, 5, 2, 2));
    block_floats(graph, "gemm.w", SHAPE(20, 5 * 4 * BLOCK_SIDE * BLOCK_SIDE));
    block_floats(graph, "gemm.b", SHAPE(20));
    block_floats(graph, "last.w", SHAPE(20, 5));
    const int64_t pads[4] = {1, 1, 1, 1}, strides[2] = {2, 2};
    assert_ok(mary_node_set_ints(build_node(graph, "Conv", "x,a.w,a.b", "a"), "pads", pads, 4));
    build_node(graph, "Relu", "a", "a.relu");
    Onnx__NodeProto *b = build_node(graph, "Conv", "a.relu,b.w", "b");
    assert_ok(mary_node_set_ints(b, "pads", pads, 4));
    assert_ok(mary_node_set_int(b, "group", 4));
    build_node(graph, "Conv", "x,c.w,c.b", "c");
    build_node(graph, "Add", "b,c", "sum");
    build_node(graph, "Relu", "sum", "sum.relu");
    Onnx__NodeProto *up = build_node(graph, "ConvTranspose", "sum.relu,up.w", "up");
    assert_ok(mary_node_set_ints(up, "strides", strides, 2));
    build_node(graph, "Flatten", "up", "flat");
    Onnx__NodeProto *gemm = build_node(graph, "Gemm", "flat,gemm.w,gemm.b", "gemm");
    assert_ok(mary_node_set_int(gemm, "transB", 1));
    assert_ok(mary_node_set_float(gemm, "alpha", 0.125f));
    build_node(graph, "MatMul", "gemm,last.w", scores ? "y" : "matmul");
    if (!scores) {
        build_ints(graph, "axes", SHAPE(1), &(int64_t){2});
        build_node(graph, "Unsqueeze", "matmul,axes", "y");
    }
    return model;
}

mary_model *block(void)
{
    return build_block(true);
}

mary_model *block_without_scores(void)
{
    return build_block(false);
}

mary_status block_give(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    block_samples *s = context;
    ck_assert_int_lt(index, BLOCK_RUNS);
    s->asked++;
    s->array = (mary_array){.name = "x",
                            .type = MARY_FLOAT,
                            .rank = 4,
                            .dims = {BLOCK_BATCH, BLOCK_CHANNELS, BLOCK_SIDE, BLOCK_SIDE},
                            .data = s->values + index * BLOCK_BATCH * BLOCK_SAMPLE,
                            .bytes = BLOCK_BATCH * BLOCK_SAMPLE * sizeof(float)};
    *inputs = &s->array;
    *input_count = 1;
    return MARY_OK;
}

/* Images in which neighbours are alike, so that there is something to make up for. */
void block_fill(block_samples *s)
{
    state = 4321;
    s->asked = 0;
    for (int i = 0; i < BLOCK_RUNS * BLOCK_BATCH; i++) {
        float level = draw();
        for (int k = 0; k < BLOCK_SAMPLE; k++)
            s->values[i * BLOCK_SAMPLE + k] = level + 0.3f * draw();
    }
}

float *block_outputs(const mary_model *model, block_samples *s, const char *name, size_t *count)
{
    mary_model *copy;
    mary_session *session;
    mary_array y;
    assert_ok(mary_model_copy(model, &copy));
    if (name != NULL)
        assert_ok(mary_edit_string(&copy->proto->graph->output[0]->name, name));
    assert_ok(mary_session_create(&copy, &(mary_session_options){.threads = 1}, &session));
    mary_array x = {.name = "x",
                    .type = MARY_FLOAT,
                    .rank = 4,
                    .dims = {BLOCK_RUNS * BLOCK_BATCH, BLOCK_CHANNELS, BLOCK_SIDE, BLOCK_SIDE},
                    .data = s->values,
                    .bytes = sizeof s->values};
    assert_ok(mary_session_run(session, &x, 1, &y, 1));
    mary_session_free(&session);
    *count = y.bytes / sizeof(float);
    return y.data;
}

/* Squared error of y relative to its energy, after a conversion with these options. */
double block_loss(mary_convert_options options, block_samples *s)
{
    mary_model *model = block_without_scores();
    size_t count;
    float *expected = block_outputs(model, s, NULL, &count);
    assert_ok(mary_convert(model, &options, NULL));
    float *got = block_outputs(model, s, NULL, &count);
    double error = 0, energy = 0;
    for (size_t i = 0; i < count; i++) {
        error += pow((double)got[i] - (double)expected[i], 2);
        energy += pow((double)expected[i], 2);
    }
    free(got);
    free(expected);
    mary_model_free(&model);
    return error / energy;
}

mary_convert_options block_feedback_at(int levels, const mary_calibration *calibration)
{
    return (mary_convert_options){.levels = levels,
                                  .first_last_levels = MARY_SAME_LEVELS,
                                  .granularity = MARY_GRANULARITY_CHANNEL,
                                  .method = "feedback",
                                  .calibration = calibration,
                                  .threads = 1};
}

block_samples block_data;
const mary_calibration block_calibration = {&block_data, BLOCK_RUNS, block_give};

/* Mean of every channel of value [N,C,H,W]. */
void block_channel_means(const mary_model *model, const char *value, int64_t channels, double *means)
{
    size_t count;
    float *values = block_outputs(model, &block_data, value, &count);
    size_t pixels = count / (size_t)(BLOCK_RUNS * BLOCK_BATCH * channels);
    memset(means, 0, (size_t)channels * sizeof *means);
    for (size_t i = 0; i < count; i++)
        means[i / pixels % (size_t)channels] += (double)values[i] / (double)(count / (size_t)channels);
    free(values);
}

mary_convert_options block_nearest_at(int levels, const char *method)
{
    mary_convert_options options = block_feedback_at(levels, &block_calibration);
    options.method = method;
    return options;
}
