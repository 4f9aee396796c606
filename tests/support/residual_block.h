/* A small network with all that conversions measure, and samples for it. */
#ifndef MARY_TESTS_RESIDUAL_BLOCK_H
#define MARY_TESTS_RESIDUAL_BLOCK_H

#include "tests/support/model_builder.h"

enum {
    BLOCK_RUNS = 6,
    BLOCK_BATCH = 8,
    BLOCK_CHANNELS = 4,
    BLOCK_SIDE = 6,
    BLOCK_SAMPLE = BLOCK_CHANNELS * BLOCK_SIDE * BLOCK_SIDE
};

/* x [N,4,6,6]: a residual block (grouped and transposed convolutions beside it), then Gemm and MatMul to y: class
 * scores [N,5]. The same every time. */
mary_model *block(void);
/* y is [N,5,1], for which corrections are always kept. */
mary_model *block_without_scores(void);
/* An initializer of values between -1 and 1; which ones, the calls before say. */
void block_floats(Onnx__GraphProto *graph, const char *name, mary_shape shape);

typedef struct block_samples {
    float values[BLOCK_RUNS * BLOCK_BATCH * BLOCK_SAMPLE];
    mary_array array;
    int64_t asked;
} block_samples;

extern block_samples block_data;
extern const mary_calibration block_calibration; /* gives block_data, BLOCK_BATCH samples a run */

mary_status block_give(void *context, int64_t index, const mary_array **inputs, int *input_count);
/* Images in which neighbours are alike, so that there is something to make up for. */
void block_fill(block_samples *s);
/* Value `name`, or NULL: y, of all samples; to be freed. */
float *block_outputs(const mary_model *model, block_samples *s, const char *name, size_t *count);
/* Mean of every channel of value [N,C,H,W]. */
void block_channel_means(const mary_model *model, const char *value, int64_t channels, double *means);
/* Squared error of y relative to its energy, after a conversion with these options. */
double block_loss(mary_convert_options options, block_samples *s);

mary_convert_options block_feedback_at(int levels, const mary_calibration *calibration);
mary_convert_options block_nearest_at(int levels, const char *method);

#endif
