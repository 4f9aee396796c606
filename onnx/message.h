/* Deep copies of protobuf-c messages of any type. */
#ifndef MARY_ONNX_MESSAGE_H
#define MARY_ONNX_MESSAGE_H

#include "onnx/model.h"

/* Field by field, unknown fields included: unlike serialising and parsing it needs no buffer and has no limit of 2 GiB.
 * The copy is freed with the message type's free_unpacked and mary_proto_allocator. */
mary_status mary_message_copy(const ProtobufCMessage *message, ProtobufCMessage **copy);

/* copy = mary_message_copy(message) with the right types: MARY_COPY(Onnx__NodeProto, node, &copy) */
#define MARY_COPY(type, message, copy)                                                                                 \
    mary_message_copy(&(message)->base, (ProtobufCMessage **)(void *)(type **){(copy)})

#endif
