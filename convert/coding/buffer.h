/* Bytes that grow, for everything that encodes. */
#ifndef MARY_CONVERT_CODING_BUFFER_H
#define MARY_CONVERT_CODING_BUFFER_H

#include <string.h>

#include "onnx/memory.h"

/* Starts zeroed. When memory ran out, `failed` is set and what is written is lost: checked once, at the end. */
typedef struct mary_buffer {
    uint8_t *bytes;
    size_t size, capacity;
    bool failed;
} mary_buffer;

static inline void mary_buffer_put(mary_buffer *buffer, const void *bytes, size_t size)
{
    size_t needed;
    if (buffer->failed || !mary_size_add(buffer->size, size, &needed) ||
        !mary_reserve((void **)&buffer->bytes, &buffer->capacity, needed, 1)) {
        buffer->failed = true;
        return;
    }
    if (size > 0)
        memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size = needed;
}

static inline void mary_buffer_byte(mary_buffer *buffer, unsigned byte)
{
    uint8_t value = (uint8_t)byte;
    if (!buffer->failed && buffer->size < buffer->capacity)
        buffer->bytes[buffer->size++] = value;
    else
        mary_buffer_put(buffer, &value, 1);
}

/* As protobuf does: seven bits a byte, low ones first. */
static inline void mary_buffer_varint(mary_buffer *buffer, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        mary_buffer_byte(buffer, (unsigned)(value & 127) | 128);
    mary_buffer_byte(buffer, (unsigned)value);
}

/* `bytes` low bytes, little end first. */
static inline void mary_buffer_integer(mary_buffer *buffer, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        mary_buffer_byte(buffer, (unsigned)(value >> (8 * i)) & 255);
}

static inline void mary_buffer_free(mary_buffer *buffer)
{
    mary_free(buffer->bytes);
    *buffer = (mary_buffer){0};
}

#endif
