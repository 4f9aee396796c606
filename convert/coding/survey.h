/* Where the payloads of tensors lie in the bytes of a model, and what they are. */
#ifndef MARY_CONVERT_CODING_SURVEY_H
#define MARY_CONVERT_CODING_SURVEY_H

#include "onnx/coding/packed.h"

typedef enum mary_span_kind { MARY_SPAN_CODES, MARY_SPAN_LEVELS, MARY_SPAN_BIASES, MARY_SPAN_OTHER } mary_span_kind;

/* The payload of one initializer: raw_data, or a packed float_data. */
typedef struct mary_span {
    const char *name; /* the model's */
    size_t offset, size;
    mary_span_kind kind;
    /* codes: */
    int bits;
    int64_t rows, row_length, taps;
    /* all others: bytes of a number, 1, 2, 4 or 8, and numbers in a row */
    int element;
    size_t numbers_in_row;
} mary_span;

/* `bytes` are those that `model` was read from. *spans is freed with mary_free; in the order of the bytes. */
mary_status mary_survey(const uint8_t *bytes, size_t size, const mary_model *model, mary_span **spans, size_t *count);

#endif
