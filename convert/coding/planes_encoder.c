#include "convert/coding/coders.h"

mary_status mary_planes_encode(const mary_byte_array *array, mary_buffer *out)
{
    const size_t element = (size_t)array->element, count = array->size / element, coded = (size_t)array->coded;
    mary_status status = MARY_OK;
    mary_buffer stream = {0};
    mary_code_matrix matrix = {.rows = (int64_t)(count / array->row_length),
                               .row_length = (int64_t)array->row_length,
                               .taps = 1,
                               .alphabet = 256,
                               .codes = mary_alloc(count)};
    if (matrix.codes == NULL)
        return mary_fail_memory(count);
    mary_buffer_byte(out, (unsigned)coded);
    for (size_t plane = 0; plane < coded; plane++) {
        for (size_t i = 0; i < count; i++)
            matrix.codes[i] = array->bytes[i * element + element - 1 - plane];
        stream.size = 0;
        MARY_TRY_GOTO(mary_symbols_encode(&matrix, 0, &stream), done);
        mary_buffer_varint(out, stream.size);
        mary_buffer_put(out, stream.bytes, stream.size);
    }
    for (size_t i = 0; i < count && coded < element; i++)
        mary_buffer_put(out, array->bytes + i * element, element - coded);
    if (out->failed)
        status = mary_fail_memory(out->capacity);
done:
    mary_buffer_free(&stream);
    mary_free(matrix.codes);
    return status;
}
