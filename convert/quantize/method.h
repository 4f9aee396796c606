/* Methods of choosing levels. One file a method in this directory, one line in method.c. */
#ifndef MARY_CONVERT_QUANTIZE_METHOD_H
#define MARY_CONVERT_QUANTIZE_METHOD_H

#include "onnx/memory.h"
#include "onnx/status.h"

/* The weights that one set of levels stands for: a row, or a whole tensor. */
typedef struct mary_quantize_input {
    const float *values; /* [count], finite */
    const float *
        importance; /* [count], non-negative and finite; NULL: all equal. A weight's squared error counts this often. */
    int64_t count;  /* >= 1 */
    double entropy; /* bits per weight that the codes may have, for methods that bound them; 0: no bound */
    uint64_t seed;  /* for methods that draw numbers; the same seed gives the same levels on any number of threads */
} mary_quantize_input;

/* What one layer is to get (convert/quantize/tensor.h). */
typedef struct mary_quantize_request mary_quantize_request;

/* What `importance` is, when the caller does not say. */
typedef enum mary_quantize_weighing {
    MARY_WEIGHING_NONE = 0, /* all weights count the same */
    MARY_WEIGHING_HESSIAN,  /* the Hessian's diagonal, where there is calibration data and the network allows it */
    MARY_WEIGHING_REQUIRED  /* it is the method: an error where it cannot be had */
} mary_quantize_weighing;

/* A method does one of three things: it chooses levels for weights as such, and every weight then gets the nearest; or
 * codes, too, which need not be the nearest; or levels and codes of a whole layer by what the layer's inputs look like.
 * The pointers of the other two are NULL. */
typedef struct mary_quantize_method {
    const char *name;    /* as the command line and the JSON config spell it */
    const char *summary; /* one line for --help and reports */
    /* Writes `count` ascending levels (2..256); a method that needs fewer repeats the last one. Re-entrant: rows are
     * done in parallel. */
    mary_status (*choose)(const mary_quantize_input *input, int count, double *levels);
    /* The same, and codes [count], each of a level below the repeated ones. */
    mary_status (*partition)(const mary_quantize_input *input, int count, double *levels, uint8_t *codes);
    /* Writes levels [rows or 1, request->levels], ascending and rounded to request->type,
     * and codes [rows, row_length]. request->feedback is there: such a method needs calibration data. */
    mary_status (*code)(const mary_quantize_request *request, float *levels, uint8_t *codes);
    mary_quantize_weighing weighing;
} mary_quantize_method;

/* NULL: no such method. A NULL name is the default. */
const mary_quantize_method *mary_quantize_method_find(const char *name);
/* Walks the table; NULL past the end. */
const mary_quantize_method *mary_quantize_method_at(size_t index);

/* ---- the methods; each is documented in its file ---- */
mary_status mary_quantize_kmeans(const mary_quantize_input *input, int count, double *levels);
mary_status mary_quantize_magnitude(const mary_quantize_input *input, int count, double *levels);
mary_status mary_quantize_spaced(const mary_quantize_input *input, int count, double *levels);
mary_status mary_quantize_uniform(const mary_quantize_input *input, int count, double *levels, uint8_t *codes);
mary_status mary_quantize_ecsq(const mary_quantize_input *input, int count, double *levels, uint8_t *codes);
mary_status mary_quantize_feedback(const mary_quantize_request *request, float *levels, uint8_t *codes);

#endif
