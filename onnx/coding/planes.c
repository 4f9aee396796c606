#include "onnx/coding/planes.h"

#include "onnx/coding/matrix.h"
#include "onnx/coding/varint.h"

mary_status mary_planes_decode(const uint8_t *bytes, size_t size, mary_byte_array *array)
{
    const size_t element = (size_t)array->element, count = array->size / element;
    const uint8_t *at = bytes, *end = bytes + size;
    const size_t coded = size > 0 ? *at++ : 0;
    mary_status status = MARY_OK;
    mary_code_matrix matrix = {.rows = (int64_t)(count / array->row_length),
                               .row_length = (int64_t)array->row_length,
                               .taps = 1,
                               .alphabet = 256};
    if (coded < 1 || coded > element || count % array->row_length != 0)
        return mary_fail(MARY_ERROR_INVALID, "not a stream of planes");
    matrix.codes = mary_alloc(count);
    if (matrix.codes == NULL)
        return mary_fail_memory(count);
    for (size_t plane = 0; plane < coded; plane++) {
        uint64_t length;
        if (!mary_varint_read(&at, end, &length) || length > (size_t)(end - at)) {
            status = mary_fail(MARY_ERROR_INVALID, "a plane is cut short");
            goto done;
        }
        MARY_TRY_GOTO(mary_symbols_decode(at, (size_t)length, &matrix), done);
        at += length;
        for (size_t i = 0; i < count; i++)
            array->bytes[i * element + element - 1 - plane] = matrix.codes[i];
    }
    if ((size_t)(end - at) != count * (element - coded)) {
        status = mary_fail(MARY_ERROR_INVALID, "the planes that are stored as they are have the wrong size");
        goto done;
    }
    for (size_t i = 0; i < count && coded < element; i++, at += element - coded)
        memcpy(array->bytes + i * element, at, element - coded);
done:
    mary_free(matrix.codes);
    return status;
}
