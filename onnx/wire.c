#include "onnx/wire.h"

#include <string.h>
#include <sys/mman.h>

#define MAX_DEPTH 100
#define LARGE     ((size_t)1 << 20)

typedef struct wire_cursor {
    const uint8_t *at, *end;
} wire_cursor;

static bool read_varint(wire_cursor *cursor, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        uint8_t byte = *cursor->at++;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return false;
}

static bool skip(wire_cursor *cursor, uint64_t count)
{
    if (count > (uint64_t)(cursor->end - cursor->at))
        return false;
    cursor->at += count;
    return true;
}

/* "onnx.NodeProto" -> "NodeProto" */
static const char *type_name(const ProtobufCMessageDescriptor *type)
{
    const char *dot = strrchr(type->name, '.');
    return dot == NULL ? type->name : dot + 1;
}

static mary_status fail_cut(const ProtobufCMessageDescriptor *type)
{
    return mary_fail(MARY_ERROR_INVALID, "not an ONNX model, or cut short (in a %s)", type_name(type));
}

static mary_status check(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size, int depth);

static mary_status check_payload(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
                                 const uint8_t *bytes, size_t size, uint64_t *seen, int depth)
{
    if (field->type == PROTOBUF_C_TYPE_STRING && size > 0 && memchr(bytes, '\0', size) != NULL)
        return mary_fail(MARY_ERROR_INVALID, "field '%s' of a %s has a NUL after '%s'", field->name, type_name(type),
                         (const char *)bytes);
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return MARY_OK;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        uint64_t bit = (uint64_t)1 << ((field - type->fields) % 64);
        if (*seen & bit)
            return mary_fail(MARY_ERROR_INVALID, "field '%s' of a %s comes twice", field->name, type_name(type));
        *seen |= bit;
    }
    return check(field->descriptor, bytes, size, depth + 1);
}

static mary_status check(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size, int depth)
{
    if (depth > MAX_DEPTH)
        return mary_fail(MARY_ERROR_INVALID, "messages are nested deeper than %d", MAX_DEPTH);
    wire_cursor cursor = {bytes, bytes + size};
    uint64_t seen = 0;
    while (cursor.at < cursor.end) {
        uint64_t tag, length = 0;
        if (!read_varint(&cursor, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
            return fail_cut(type);
        switch (tag & 7) {
        case PROTOBUF_C_WIRE_TYPE_VARINT:
            if (!read_varint(&cursor, &length))
                return fail_cut(type);
            continue;
        case PROTOBUF_C_WIRE_TYPE_64BIT:
            if (!skip(&cursor, 8))
                return fail_cut(type);
            continue;
        case PROTOBUF_C_WIRE_TYPE_32BIT:
            if (!skip(&cursor, 4))
                return fail_cut(type);
            continue;
        case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
            if (!read_varint(&cursor, &length) || !skip(&cursor, length))
                return fail_cut(type);
            break;
        default: /* groups: no longer part of protobuf */
            return fail_cut(type);
        }
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
        if (field != NULL)
            MARY_TRY(check_payload(type, field, cursor.at - length, (size_t)length, &seen, depth));
    }
    return MARY_OK;
}

mary_status mary_wire_check(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size)
{
    return check(type, bytes, size, 0);
}

/* One byte more than asked, zero: every bytes field of a message (string attributes above all) ends in a NUL. */
static void *proto_alloc(void *context, size_t size)
{
    (void)context;
    size_t total;
    if (!mary_size_add(size, 1, &total))
        return NULL;
    char *block = mary_alloc(total);
    if (block != NULL)
        block[size] = '\0';
    return block;
}

static void proto_free(void *context, void *block)
{
    (void)context;
    mary_free(block);
}

ProtobufCAllocator mary_proto_allocator = {proto_alloc, proto_free, NULL};

typedef struct unpacking {
    bool out_of_memory; /* protobuf-c reports that like a broken message */
    void *mapping;      /* of a file; NULL: not one */
    size_t size;
} unpacking;

/* The allocator while a message is unpacked. A large block is where a tensor's data goes next: what came before it has
 * been copied. Pages that are needed all the same come back from the file. */
static void *watched_alloc(void *context, size_t size)
{
    unpacking *state = context;
    if (size >= LARGE && state->mapping != NULL)
        (void)madvise(state->mapping, state->size, MADV_DONTNEED);
    void *block = proto_alloc(NULL, size);
    state->out_of_memory |= block == NULL;
    return block;
}

mary_status mary_wire_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
                             bool is_mapped_file, ProtobufCMessage **message)
{
    unpacking state = {.mapping = is_mapped_file ? (void *)(uintptr_t)bytes : NULL, .size = size};
    ProtobufCAllocator watched = {watched_alloc, proto_free, &state};
    *message = NULL;
    MARY_TRY(mary_wire_check(type, bytes, size));
    *message = protobuf_c_message_unpack(type, &watched, size, bytes);
    if (*message != NULL)
        return MARY_OK;
    return state.out_of_memory ? mary_fail_memory(size) : fail_cut(type);
}

bool mary_wire_payload(const ProtobufCMessageUnknownField *field, const uint8_t **bytes, size_t *size)
{
    if (field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        return false;
    wire_cursor cursor = {field->data, field->data + field->len};
    uint64_t length;
    if (!read_varint(&cursor, &length) || length != (uint64_t)(cursor.end - cursor.at))
        return false;
    *bytes = cursor.at;
    *size = (size_t)length;
    return true;
}

bool mary_wire_next(const uint8_t **at, const uint8_t *end, mary_wire_field *field)
{
    wire_cursor cursor = {*at, end};
    uint64_t tag, length = 0;
    if (cursor.at == end || !read_varint(&cursor, &tag))
        return false;
    *field = (mary_wire_field){.number = (unsigned)(tag >> 3)};
    switch (tag & 7) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!read_varint(&cursor, &length))
            return false;
        break;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        if (!skip(&cursor, (tag & 7) == PROTOBUF_C_WIRE_TYPE_64BIT ? 8 : 4))
            return false;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(&cursor, &length))
            return false;
        field->has_payload = true;
        field->payload = cursor.at;
        field->size = (size_t)length;
        if (!skip(&cursor, length))
            return false;
        break;
    default:
        return false;
    }
    *at = cursor.at;
    return true;
}
