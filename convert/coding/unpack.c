/* Packed models back to the bytes that they were made of, and what they say about themselves. */
#include "convert/coding/report.h"
#include "onnx/wire.h"

/* The packed model's messages; *stream is NULL when it is not packed. */
static mary_status open_packed(const void *bytes, size_t size, Onnx__ModelProto **model,
                               const Onnx__TensorProto **stream)
{
    *stream = NULL;
    MARY_TRY(mary_wire_unpack(&onnx__model_proto__descriptor, bytes, size, false, (ProtobufCMessage **)(void *)model));
    *stream = mary_packed_stream(*model);
    return MARY_OK;
}

mary_status mary_unpack(const void *bytes, size_t size, void **plain, size_t *plain_size)
{
    Onnx__ModelProto *model;
    const Onnx__TensorProto *stream;
    *plain = NULL;
    MARY_TRY(open_packed(bytes, size, &model, &stream));
    mary_status status;
    if (stream == NULL)
        status = mary_fail(MARY_ERROR_USAGE, "the model is not packed");
    else
        status = mary_packed_expand(stream->raw_data.data, stream->raw_data.len, 0, (uint8_t **)plain, plain_size);
    onnx__model_proto__free_unpacked(model, &mary_proto_allocator);
    return status;
}

/* Spans of the original and tensors of the stream are both in the order of the bytes. */
static mary_status describe(const mary_packed *packed, const uint8_t *plain, size_t file_size,
                            mary_pack_report **report)
{
    mary_model *model = NULL;
    mary_span *spans = NULL;
    size_t count = 0, tensor = 0;
    mary_status status;
    MARY_TRY(mary_model_load_memory(plain, packed->plain_size, &model));
    MARY_TRY_GOTO(mary_survey(plain, packed->plain_size, model, &spans, &count), done);
    MARY_TRY_GOTO(mary_pack_report_create(count, report), done);
    for (size_t i = 0; i < count; i++) {
        const mary_packed_tensor *at = tensor < packed->tensor_count ? &packed->tensors[tensor] : NULL;
        bool coded = at != NULL && at->offset == spans[i].offset && at->size == spans[i].size;
        MARY_TRY_GOTO(mary_pack_report_add(*report, &spans[i], coded ? at->coder : MARY_CODER_RAW, !coded,
                                           coded ? at->stream_size : 0, NULL),
                      done);
        tensor += coded;
    }
    mary_pack_report_finish(*report, packed->plain_size, file_size);
done:
    if (status != MARY_OK)
        mary_pack_report_free(report);
    mary_free(spans);
    mary_model_free(&model);
    return status;
}

mary_status mary_pack_describe(const void *bytes, size_t size, mary_pack_report **report)
{
    Onnx__ModelProto *model;
    const Onnx__TensorProto *stream;
    mary_packed packed = {0};
    uint8_t *plain = NULL;
    *report = NULL;
    MARY_TRY(open_packed(bytes, size, &model, &stream));
    mary_status status = MARY_OK;
    if (stream == NULL)
        goto done;
    MARY_TRY_GOTO(mary_packed_read(stream->raw_data.data, stream->raw_data.len, &packed), done);
    plain = mary_alloc(packed.plain_size);
    if (plain == NULL) {
        status = mary_fail_memory(packed.plain_size);
        goto done;
    }
    MARY_TRY_GOTO(mary_packed_decode(&packed, 0, plain), done);
    status = describe(&packed, plain, size, report);
done:
    mary_free(plain);
    mary_packed_free(&packed);
    onnx__model_proto__free_unpacked(model, &mary_proto_allocator);
    return status;
}
