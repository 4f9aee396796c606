/* The coder of levels and biases: floats of which only what can be told in advance is coded, the rest is stored.
 *
 * Tables of levels have padding behind the last level, which repeats it; rows are sorted, so signs and exponents are
 * those of the row above but for its scale; often one level is zero. The lower bits of mantissas are noise. So a number
 * is some decisions: does it repeat the one before? is it zero? how far is its exponent from the one above? (Here three
 * predictions are mixed.) Its sign, its first bits. Everything else lies in a second stream, bit behind bit.
 *
 * Numbers are taken as bits: whatever they stand for comes back. */
#ifndef MARY_ONNX_CODING_FLOATS_MODEL_H
#define MARY_ONNX_CODING_FLOATS_MODEL_H

#include "onnx/coding/bytes_model.h"

enum {
    MARY_FLOATS_MANTISSA = 23,
    MARY_FLOATS_FIRST = 2, /* bits of the mantissa that are predicted */
    MARY_FLOATS_UNARY = 8, /* an exponent further away is written as it is */
    MARY_FLOATS_FAR = 3,   /* from here on a step of exponents is like any larger one */
    MARY_FLOATS_STEPS = 2 * MARY_FLOATS_FAR + 3,
    MARY_FLOATS_COLUMNS = 32, /* all further ones are alike */
    MARY_FLOATS_NODES = 2 + MARY_FLOATS_UNARY,
    MARY_FLOATS_INPUTS = 3,
    MARY_FLOATS_RATE = 13,  /* of the mixture */
    MARY_FLOATS_LIMIT = 127 /* of the adaptive means */
};

typedef struct mary_floats_model {
    const mary_logistic *tables;
    mary_bit_model repeats[3][2]; /* [the number above repeats; 2: there is none above][the one before does] */
    mary_bit_model zeros[3][3];   /* [the one above is zero][the one before is negative, positive, none] */
    mary_bit_model signs[3][3];   /* [above][before] */
    /* The step from one exponent to another: is there one? down? another one? By what the last step was; by the column;
     * by how far the exponent before is. */
    mary_bit_model last[MARY_FLOATS_STEPS][MARY_FLOATS_NODES], columns[MARY_FLOATS_COLUMNS][MARY_FLOATS_NODES],
        sides[MARY_FLOATS_STEPS][MARY_FLOATS_NODES];
    int32_t weights[MARY_FLOATS_NODES][MARY_FLOATS_INPUTS];
    mary_bit_model first[5][5][1 << MARY_FLOATS_FIRST]; /* [of that above][before]; 4: another exponent or sign */
} mary_floats_model;

void mary_floats_model_create(mary_floats_model *model);

/* A stream: how many of the last bits of all mantissas are zero, varint length of the first part, that part; the bits.
 * array->element is 4. */
mary_status mary_floats_decode(const uint8_t *bytes, size_t size, mary_byte_array *array);

#endif
