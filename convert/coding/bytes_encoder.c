#include "convert/coding/coders.h"
#include "convert/coding/range_encoder.h"
#include "onnx/coding/bytes_model.h"

#define BYTES_CODER              mary_range_encoder
#define BYTES_BIT(coder, p, bit) mary_range_encode(coder, p, bit)
#include "onnx/coding/bytes_template.h"

mary_status mary_bytes_encode(const mary_byte_array *array, mary_buffer *out)
{
    mary_bytes_model *model = NULL;
    mary_range_encoder encoder;
    const size_t element = (size_t)array->element, coded = (size_t)array->coded;
    MARY_TRY(mary_bytes_model_create(array, &model));
    if (element > 0) {
        mary_buffer_byte(out, (unsigned)coded);
        for (size_t at = 0; at < array->size && coded < element; at += element)
            mary_buffer_put(out, array->bytes + at, element - coded);
    }
    mary_range_encoder_start(&encoder, out);
    if (element == 0)
        walk_text(model, &encoder, array);
    else
        walk_numbers(model, &encoder, array);
    mary_range_encoder_finish(&encoder);
    mary_bytes_model_free(&model);
    return out->failed ? mary_fail_memory(out->capacity) : MARY_OK;
}
