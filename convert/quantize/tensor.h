/* One tensor of weights to levels and codes, whatever the method. */
#ifndef MARY_CONVERT_QUANTIZE_TENSOR_H
#define MARY_CONVERT_QUANTIZE_TENSOR_H

#include "convert/quantize/feedback.h"
#include "convert/quantize/method.h"
#include "onnx/tensor.h"

/* One set of levels, ready to be stored, and codes. */
typedef struct mary_quantized_set {
    int used;          /* distinct levels, at most M */
    float levels[256]; /* [used], ascending, rounded to the type that they are stored as */
    uint8_t *codes;    /* [count] */
} mary_quantized_set;

struct mary_quantize_request {
    const float *weights;     /* [rows, row_length], finite */
    const float *importance;  /* the same shape, non-negative; NULL: all equal */
    int64_t rows, row_length; /* both >= 1 */
    const mary_quantize_method *method;
    int levels;     /* M, 2..256 */
    bool shared;    /* one set of levels for all rows */
    mary_type type; /* float16, bfloat16, float or double: levels are rounded to it */
    int threads;    /* >= 1; the result does not depend on it */
    uint64_t seed;
    double entropy;                  /* as in mary_quantize_input */
    const mary_quantized_set *given; /* levels and codes that are settled already; NULL: none. Then `shared` */
    const mary_feedback *feedback;   /* the layer as its inputs see it; needed by methods that have `code` */
};

typedef struct mary_quantized {
    int64_t rows, row_length;
    int levels, bits; /* entries M..2^bits-1 of a row of levels repeat the last level */
    bool shared;
    uint8_t *codes;   /* packed, [rows, mary_codes_row_bytes(row_length, bits)] */
    float *values;    /* levels, [rows or 1, 2^bits], ascending */
    double energy;    /* sum of squared weights */
    double error;     /* sum of squared differences, unweighted */
    double row_error; /* mean over rows of error / energy: sees rows of small weights, but not dead ones */
} mary_quantized;

/* What is left of `value` when it is stored as `type`. */
float mary_quantize_round(double value, mary_type type);
/* One set of levels for `input`, with codes [input->count] that the caller provides. The method has no `code`. */
mary_status mary_quantize_set(const mary_quantize_method *method, const mary_quantize_input *input, int levels,
                              mary_type type, mary_quantized_set *set);
mary_status mary_quantize_tensor(const mary_quantize_request *request, mary_quantized *quantized);
void mary_quantized_free(mary_quantized *quantized);
/* What the codes stand for: matrix [rows, row_length]. */
mary_status mary_quantized_decode(const mary_quantized *quantized, float *matrix);
/* Signal to quantisation noise in dB; infinite when there is no error. */
double mary_quantized_sqnr(const mary_quantized *quantized);
/* Bytes of codes and of levels when these are stored as `type`. */
int64_t mary_quantized_code_bytes(int64_t rows, int64_t row_length, int bits);
int64_t mary_quantized_level_bytes(int64_t rows, int bits, bool shared, mary_type type);

#endif
