/* Which coder a payload gets. */
#ifndef MARY_CONVERT_CODING_CHOOSE_H
#define MARY_CONVERT_CODING_CHOOSE_H

#include "convert/coding/coders.h"
#include "convert/coding/survey.h"

typedef enum mary_coder_choice { MARY_CHOOSE_AUTO, MARY_CHOOSE_HUFFMAN, MARY_CHOOSE_ARITHMETIC } mary_coder_choice;

/* A payload's stream. */
typedef struct mary_encoded {
    mary_buffer stream;
    mary_coder coder;
    bool in_text; /* nothing made it smaller: it stays in the text */
    int alphabet; /* codes */
    mary_stream_bits bits;
    double entropy; /* order 0, bits per code */
} mary_encoded;

/* Everything that may take part is tried, and the smallest taken; of the coders of codes those that decode 200 MB/s of
 * weights (as floats) on one core. Starts with a zeroed `encoded`, whose stream the caller frees, on failure, too. */
mary_status mary_encode_span(const uint8_t *bytes, const mary_span *span, mary_coder_choice choice,
                             mary_encoded *encoded);

#endif
