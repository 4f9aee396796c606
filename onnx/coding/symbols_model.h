/* The model of the symbol coder of weights: distributions over up to 16 classes of codes, chosen by context and
 * averaged.
 *
 * A distribution counts; its cumulative frequencies are worked out again after so many symbols, more and more rarely,
 * so that a code costs one look at each of up to four of them. The averages are sums: the totals add up to 2^14. */
#ifndef MARY_ONNX_CODING_SYMBOLS_MODEL_H
#define MARY_ONNX_CODING_SYMBOLS_MODEL_H

#include <string.h>

#include "onnx/coding/matrix.h"

enum {
    MARY_SYMBOLS_SCALE = 14,          /* frequencies add up to 2^14 */
    MARY_SYMBOLS_CLASSES = 16,        /* at most, one vector register of 16-bit numbers, or two */
    MARY_SYMBOLS_PART = 4096,         /* what a distribution adds up to: four of them are summed */
    MARY_SYMBOLS_STEP = 32,           /* what a symbol adds to its count */
    MARY_SYMBOLS_MOST = 32768,        /* counts are halved when their sum gets there */
    MARY_SYMBOLS_LEAST_STATE = 65536, /* of the coder, which moves 16 bits at a time */
    MARY_SYMBOLS_BLOCK = 65536,       /* weights between two final states */
    MARY_SYMBOLS_CONTEXTS = 6         /* sets of contexts, below */
};

/* Compiles to whatever vectors the target has; the numbers do not depend on it. */
typedef int16_t mary_lanes __attribute__((vector_size(32)));

typedef struct mary_distribution {
    int16_t starts[MARY_SYMBOLS_CLASSES]; /* cumulative; PART from the last class on */
    uint16_t counts[MARY_SYMBOLS_CLASSES];
    uint16_t total, seen; /* of counts; symbols, at most 1024 */
    uint16_t wait;        /* symbols until starts are worked out again */
    uint16_t padding;
} mary_distribution;

/* How codes become classes: the class is coded first, then which code of the class, when it has several. */
typedef struct mary_symbols_model {
    int common; /* the code that is a class of its own; -1: none */
    int step;   /* codes in a class */
    int classes;
    uint8_t class_of[257]; /* of a code; 16 behind the last: there is none */
    uint8_t place[256];    /* in its class */
    mary_distribution all, row, places[MARY_SYMBOLS_CLASSES];
    mary_distribution *channels;       /* [row_length / taps + 1]: of the kernels of the rows so far */
    mary_distribution *before, *above; /* [17]: by the neighbour's class; the last: it has none */
    mary_distribution *before_above;   /* [17, 17] */
    void *memory;
} mary_symbols_model;

/* Does this set know a row and channels of its own? It takes up to twice as long as the others. */
static inline bool mary_symbols_by_row(int contexts)
{
    return contexts == 2 || contexts == 5;
}

/* `contexts`: the set that will be used, which decides what is there; `isolate`: the commonest code, or -1. */
mary_status mary_symbols_model_create(const mary_code_matrix *matrix, int contexts, int isolate,
                                      mary_symbols_model **model);
void mary_symbols_model_free(mary_symbols_model **model);
/* How many codes a class has when `isolate` is a class of its own, or not (-1). */
int mary_symbols_step(int alphabet, int isolate);
void mary_distribution_init(mary_distribution *distribution, int classes);
void mary_distribution_rebuild(mary_distribution *distribution, int classes);

static inline void mary_distribution_update(mary_distribution *d, int symbol, int classes)
{
    d->counts[symbol] = (uint16_t)(d->counts[symbol] + MARY_SYMBOLS_STEP);
    d->total = (uint16_t)(d->total + MARY_SYMBOLS_STEP);
    if (--d->wait == 0)
        mary_distribution_rebuild(d, classes);
}

/* A row begins with what the whole tensor looked like so far, as if sixteen codes of it had been seen. */
void mary_symbols_begin_row(mary_symbols_model *model);

/* sum += times * the distribution's starts. Vectors go by pointer: how they are passed depends on the target. */
static inline __attribute__((always_inline)) void mary_lanes_add(mary_lanes *sum, const mary_distribution *d, int times)
{
    mary_lanes lanes;
    memcpy(&lanes, d->starts, sizeof lanes);
    *sum += lanes * (int16_t)times;
}

#endif
