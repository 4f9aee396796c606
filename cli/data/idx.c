/* The IDX format of MNIST: two zero bytes, the element type, the rank, big-endian 32-bit dimensions, big-endian
 * elements. http://yann.lecun.com/exdb/mnist/ */
#include "cli/data/reader.h"

mary_status mary_idx_begin(mary_reader *reader)
{
    mary_bytes *bytes = &reader->bytes;
    unsigned char start[4];
    MARY_TRY(mary_bytes_read(bytes, start, sizeof start));
    if (start[0] != 0 || start[1] != 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: neither .npy, .npz nor IDX data", bytes->label);
    switch (start[2]) {
    case 0x08:
        reader->type = MARY_UINT8;
        break;
    case 0x09:
        reader->type = MARY_INT8;
        break;
    case 0x0b:
        reader->type = MARY_INT16;
        break;
    case 0x0c:
        reader->type = MARY_INT32;
        break;
    case 0x0d:
        reader->type = MARY_FLOAT;
        break;
    case 0x0e:
        reader->type = MARY_DOUBLE;
        break;
    default:
        return mary_fail(MARY_ERROR_INVALID, "%s: IDX element type 0x%02x is unknown", bytes->label, start[2]);
    }
    reader->swap = mary_type_size(reader->type) > 1;
    if (start[3] < 1 || start[3] > MARY_MAX_RANK)
        return mary_fail(MARY_ERROR_INVALID, "%s: IDX data of %d dimensions", bytes->label, start[3]);
    reader->shape.rank = start[3];
    for (int i = 0; i < reader->shape.rank; i++) {
        unsigned char dim[4];
        MARY_TRY(mary_bytes_read(bytes, dim, sizeof dim));
        reader->shape.dims[i] = (int64_t)dim[0] << 24 | (int64_t)dim[1] << 16 | (int64_t)dim[2] << 8 | dim[3];
    }
    MARY_TRY(mary_shape_check(&reader->shape, bytes->label));
    size_t size = (size_t)mary_shape_count(&reader->shape) * mary_type_size(reader->type);
    if (bytes->left != UINT64_MAX && size > bytes->left) {
        char text[128];
        return mary_fail(MARY_ERROR_INVALID, "%s: truncated: %llu bytes of elements, the shape %s needs %zu",
                         bytes->label, (unsigned long long)bytes->left,
                         mary_shape_format(&reader->shape, text, sizeof text), size);
    }
    return MARY_OK;
}
