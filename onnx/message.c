#include "onnx/message.h"

#include <string.h>

#define MEMBER(type, message, offset)       (*(type *)(void *)((char *)(message) + (offset)))
#define CONST_MEMBER(type, message, offset) (*(const type *)(const void *)((const char *)(message) + (offset)))

static mary_status copy_bytes(const void *bytes, size_t size, void **copy)
{
    *copy = mary_proto_allocator.alloc(NULL, size);
    if (*copy == NULL)
        return mary_fail_memory(size);
    if (size > 0)
        memcpy(*copy, bytes, size);
    return MARY_OK;
}

static size_t item_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default: /* 32-bit numbers and enums */
        return 4;
    }
}

/* One string, bytes field, message or number from `from` to the zeroed `to`. */
static mary_status copy_item(const ProtobufCFieldDescriptor *field, const void *from, void *to)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)from;
        if (text == NULL || text == field->default_value || text == protobuf_c_empty_string) {
            *(const char **)to = text;
            return MARY_OK;
        }
        return copy_bytes(text, strlen(text), to);
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *message = *(ProtobufCMessage *const *)from;
        return message == NULL ? MARY_OK : mary_message_copy(message, to);
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *bytes = from;
        ProtobufCBinaryData *copy = to;
        if (bytes->len == 0)
            return MARY_OK;
        void *data;
        MARY_TRY(copy_bytes(bytes->data, bytes->len, &data));
        *copy = (ProtobufCBinaryData){bytes->len, data};
        return MARY_OK;
    }
    default:
        memcpy(to, from, item_size(field->type));
        return MARY_OK;
    }
}

static mary_status copy_repeated(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *from,
                                 ProtobufCMessage *to)
{
    size_t count = CONST_MEMBER(size_t, from, field->quantifier_offset), size = item_size(field->type);
    if (count == 0)
        return MARY_OK;
    const char *items = CONST_MEMBER(char *, from, field->offset);
    char *copies = mary_calloc(count, size);
    if (copies == NULL)
        return mary_fail_memory(count * size);
    MEMBER(char *, to, field->offset) = copies;
    bool plain = field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE &&
                 field->type != PROTOBUF_C_TYPE_BYTES;
    if (plain) {
        memcpy(copies, items, count * size);
        MEMBER(size_t, to, field->quantifier_offset) = count;
        return MARY_OK;
    }
    for (size_t i = 0; i < count; i++) {
        MARY_TRY(copy_item(field, items + i * size, copies + i * size));
        MEMBER(size_t, to, field->quantifier_offset) = i + 1; /* so that a failure frees what is there */
    }
    return MARY_OK;
}

static mary_status copy_single(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *from,
                               ProtobufCMessage *to)
{
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        if (CONST_MEMBER(uint32_t, from, field->quantifier_offset) != field->id)
            return MARY_OK;
        MARY_TRY(copy_item(field, (const char *)from + field->offset, (char *)to + field->offset));
        MEMBER(uint32_t, to, field->quantifier_offset) = field->id;
        return MARY_OK;
    }
    bool has_flag = field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type != PROTOBUF_C_TYPE_STRING &&
                    field->type != PROTOBUF_C_TYPE_MESSAGE;
    if (has_flag)
        MEMBER(protobuf_c_boolean, to, field->quantifier_offset) =
            CONST_MEMBER(protobuf_c_boolean, from, field->quantifier_offset);
    return copy_item(field, (const char *)from + field->offset, (char *)to + field->offset);
}

static mary_status copy_unknown(const ProtobufCMessage *from, ProtobufCMessage *to)
{
    if (from->n_unknown_fields == 0)
        return MARY_OK;
    to->unknown_fields = mary_calloc(from->n_unknown_fields, sizeof *to->unknown_fields);
    if (to->unknown_fields == NULL)
        return mary_fail_memory(from->n_unknown_fields * sizeof *to->unknown_fields);
    for (unsigned i = 0; i < from->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &from->unknown_fields[i];
        void *data;
        MARY_TRY(copy_bytes(field->data, field->len, &data));
        to->unknown_fields[i] = *field;
        to->unknown_fields[i].data = data;
        to->n_unknown_fields = i + 1;
    }
    return MARY_OK;
}

mary_status mary_message_copy(const ProtobufCMessage *message, ProtobufCMessage **copy)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    *copy = NULL;
    ProtobufCMessage *made = mary_alloc(descriptor->sizeof_message);
    if (made == NULL)
        return mary_fail_memory(descriptor->sizeof_message);
    protobuf_c_message_init(descriptor, made);
    mary_status status = copy_unknown(message, made);
    for (unsigned i = 0; i < descriptor->n_fields && status == MARY_OK; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        status = field->label == PROTOBUF_C_LABEL_REPEATED ? copy_repeated(field, message, made)
                                                           : copy_single(field, message, made);
    }
    if (status == MARY_OK)
        *copy = made;
    else
        protobuf_c_message_free_unpacked(made, &mary_proto_allocator);
    return status;
}
