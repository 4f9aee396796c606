#include "convert/coding/coders.h"
#include "convert/coding/range_encoder.h"
#include "onnx/coding/binary_model.h"

typedef struct counting_encoder {
    mary_range_encoder range;
    uint64_t decisions;
} counting_encoder;

static inline int encode_bit(counting_encoder *encoder, unsigned p, int bit)
{
    encoder->decisions++;
    return mary_range_encode(&encoder->range, p, bit);
}

#define BINARY_WALK               encode
#define BINARY_CODER              counting_encoder
#define BINARY_BIT(coder, p, bit) encode_bit(coder, p, bit)
#define BINARY_CODE               row[k]
#include "onnx/coding/binary_template.h"

/* The tree with the fewest decisions, which the model has then. */
static int choose_offset(mary_binary_model *model, const uint64_t *counts)
{
    uint64_t fewest = UINT64_MAX;
    int chosen = 0;
    for (int offset = 0; offset < MARY_BINARY_OFFSETS; offset++) {
        uint64_t decisions = 0;
        mary_binary_model_tree(model, offset);
        for (int code = 0; code < model->alphabet; code++)
            decisions += code != model->common ? counts[code] * model->depth[code] : 0;
        if (decisions < fewest) {
            fewest = decisions;
            chosen = offset;
        }
    }
    mary_binary_model_tree(model, chosen);
    return chosen;
}

mary_status mary_binary_encode(const mary_code_matrix *matrix, mary_buffer *out, uint64_t *decisions)
{
    uint64_t counts[256];
    mary_binary_model *model = NULL;
    counting_encoder encoder = {0};
    mary_count_codes(matrix, counts);
    int common = mary_commonest_code(counts);
    MARY_TRY(mary_binary_model_create(matrix, common, &model));
    mary_buffer_byte(out, (unsigned)common);
    mary_range_encoder_start(&encoder.range, out);
    const int offset = choose_offset(model, counts);
    for (int bit = 1; bit < MARY_BINARY_OFFSETS; bit *= 2)
        mary_range_encode(&encoder.range, MARY_MIX_ONE / 2, (offset & bit) != 0);
    encode(model, &encoder, matrix); /* writes each code where it was read */
    mary_range_encoder_finish(&encoder.range);
    mary_binary_model_free(&model);
    *decisions = encoder.decisions;
    return out->failed ? mary_fail_memory(out->capacity) : MARY_OK;
}
