/* The model of the byte coder: every bit is predicted in contexts of what came before, and the predictions are mixed.
 *
 * Two kinds of bytes: the serialised graph, where names and whole messages repeat (contexts of one to six bytes, and
 * the longest match with what came before, the dictionary included); and numbers, where the highest byte of an element
 * comes first and what helps is the same byte of the element before, that of the row above, and the higher bytes. */
#ifndef MARY_ONNX_CODING_BYTES_MODEL_H
#define MARY_ONNX_CODING_BYTES_MODEL_H

#include <string.h>

#include "onnx/coding/logistic.h"
#include "onnx/memory.h"
#include "onnx/status.h"

enum {
    MARY_BYTES_CONTEXTS = 4,                     /* of text */
    MARY_BYTES_NUMBER_CONTEXTS = 4,              /* of numbers */
    MARY_BYTES_INPUTS = MARY_BYTES_CONTEXTS + 1, /* and the bits of this byte alone */
    MARY_BYTES_SETS = 8,                         /* of mixer weights */
    MARY_BYTES_MATCH_LEAST = 3,
    MARY_BYTES_MATCH_MOST = 63,
    MARY_BYTES_MATCH_BITS = 14, /* of the table of places */
    MARY_BYTES_MATCH_INPUTS = 3,
    MARY_BYTES_MATCH_SETS = 3, /* by length */
    MARY_BYTES_PAIR_BITS = 12
};

/* What is coded. */
typedef struct mary_byte_array {
    uint8_t *bytes;
    size_t size;
    int element;       /* bytes of a number, little end first; 0: text */
    int coded;         /* of them, the highest ones; the others are stored as they are */
    size_t row_length; /* in numbers */
} mary_byte_array;

typedef struct mary_bytes_model {
    const mary_logistic *tables;
    int bits;              /* log2 of the slots of a context */
    mary_bit_model *slots; /* [CONTEXTS, 2^bits] */
    uint32_t hashes[MARY_BYTES_CONTEXTS];
    mary_bit_model alone[MARY_BYTES_SETS][256];
    int32_t weights[MARY_BYTES_SETS][MARY_BYTES_INPUTS];
    /* text: the dictionary, then what was coded */
    uint8_t *history;
    size_t at;
    uint32_t *places; /* [2^MATCH_BITS]: behind where such bytes were last */
    size_t match_at;  /* in history, of the byte that is expected; with match_length > 0 */
    int match_length;
    /* Does the match go on? By its length; [set][byte that is expected]; by that and the byte before. */
    mary_bit_model hits[MARY_BYTES_MATCH_MOST + 1], hits_of[MARY_BYTES_MATCH_SETS][256],
        hits_after[1 << MARY_BYTES_PAIR_BITS];
    int32_t hit_weights[MARY_BYTES_MATCH_SETS][MARY_BYTES_MATCH_INPUTS];
} mary_bytes_model;

mary_status mary_bytes_model_create(const mary_byte_array *array, mary_bytes_model **model);
void mary_bytes_model_free(mary_bytes_model **model);

/* Sets the contexts of the next byte of text. Returns the set of mixer weights. */
int mary_bytes_text_contexts(mary_bytes_model *model);
/* The same for byte `plane` of number `index`; plane 0 is the highest byte. */
int mary_bytes_number_contexts(mary_bytes_model *model, const mary_byte_array *array, size_t index, size_t plane);
/* The byte of text was coded. */
void mary_bytes_append(mary_bytes_model *model, uint8_t byte);

/* A stream of numbers is how many bytes of each are coded, the others, number by number, and the coded ones. */
mary_status mary_bytes_decode(const uint8_t *bytes, size_t size, mary_byte_array *array);

#endif
