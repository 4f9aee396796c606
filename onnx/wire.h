/* A look at serialised messages before protobuf-c unpacks them: it recurses without limit and drops what follows a NUL
 * in a string. */
#ifndef MARY_ONNX_WIRE_H
#define MARY_ONNX_WIRE_H

#include "onnx/model.h"

/* Nesting is at most as deep as protobuf's own parsers allow (100 messages), every length is inside its message,
 * strings have no NUL, and singular messages come once. */
mary_status mary_wire_check(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size);

/* Checks, then unpacks with mary_proto_allocator. `is_mapped_file`: the bytes are a mapping of a file, whose pages may
 * be dropped as the data is copied out of them, so that the process does not hold everything twice. */
mary_status mary_wire_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
                             bool is_mapped_file, ProtobufCMessage **message);

/* The payload of a length-prefixed unknown field; false when it is not one. */
bool mary_wire_payload(const ProtobufCMessageUnknownField *field, const uint8_t **bytes, size_t *size);

/* One field of a serialised message. */
typedef struct mary_wire_field {
    unsigned number;
    bool has_payload; /* length-prefixed: */
    const uint8_t *payload;
    size_t size;
} mary_wire_field;

/* The field at *at, which moves behind it; false at `end`, or when what follows is no field. */
bool mary_wire_next(const uint8_t **at, const uint8_t *end, mary_wire_field *field);

#endif
