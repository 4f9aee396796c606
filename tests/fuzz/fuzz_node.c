/* Bytes -> a model of one node with small tensors -> a session -> a run. The format of the bytes is in node_format.h.
 */
#include <math.h>
#include <string.h>

#include "onnx/memory.h"
#include "ops/op.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node_format.h"

enum { MOST_ATTRIBUTES = 12, MOST_INPUTS = 16, MOST_OUTPUTS = 6, MOST_INTS = 16, MOST_ELEMENTS = 2048, MOST_RANK = 9 };

typedef struct reader {
    const uint8_t *bytes;
    size_t size;
    size_t position;
} reader;

typedef struct tensor_bytes {
    Onnx__TensorProto message;
    int64_t dims[MOST_RANK];
    uint64_t data[MOST_ELEMENTS]; /* as wide as the widest type */
} tensor_bytes;

typedef struct attribute_bytes {
    Onnx__AttributeProto message;
    int64_t ints[MOST_INTS];
    float floats[MOST_INTS];
    tensor_bytes tensor;
} attribute_bytes;

typedef struct value_info {
    Onnx__ValueInfoProto message;
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dims[MOST_RANK];
    Onnx__TensorShapeProto__Dimension *dim_list[MOST_RANK];
} value_info;

/* Everything that the messages of one case point to. */
typedef struct node_case {
    char op_type[64];
    const char *domain;
    unsigned flags;
    int opset;
    attribute_bytes attributes[MOST_ATTRIBUTES];
    tensor_bytes inputs[MOST_INPUTS];
    value_info infos[MOST_INPUTS + MOST_OUTPUTS];
    Onnx__AttributeProto *attribute_list[MOST_ATTRIBUTES];
    char *input_names[MOST_INPUTS];
    char *output_names[MOST_OUTPUTS];
    Onnx__TensorProto *initializers[MOST_INPUTS];
    Onnx__ValueInfoProto *graph_inputs[MOST_INPUTS];
    Onnx__ValueInfoProto *graph_outputs[MOST_OUTPUTS];
    mary_array arrays[MOST_INPUTS];
    int array_count;
    Onnx__NodeProto node;
    Onnx__NodeProto *node_list[1];
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opsets[2];
    Onnx__OperatorSetIdProto *opset_list[2];
    Onnx__ModelProto model;
} node_case;

static uint8_t next(reader *input)
{
    return input->position < input->size ? input->bytes[input->position++] : 0;
}

static int64_t int_of(uint8_t byte)
{
    switch (byte) {
    case 0x80:
        return INT64_MIN;
    case 0x7f:
        return INT64_MAX;
    case 0x7e:
        return INT64_C(1) << 31;
    case 0x81:
        return -(INT64_C(1) << 40);
    default:
        return (int8_t)byte;
    }
}

static float float_of(uint8_t byte)
{
    switch (byte) {
    case 0x80:
        return NAN;
    case 0x7f:
        return INFINITY;
    case 0x81:
        return -INFINITY;
    case 0x7e:
        return 3e38f;
    case 0x7d:
        return 1e-40f;
    default:
        return (float)(int8_t)byte / 8;
    }
}

/* One element of `type` at `place`. */
static void write_element(mary_type type, uint8_t byte, uint8_t *place)
{
    const int64_t integer = int_of(byte);
    const float real = float_of(byte);
    const double wide = real;
    uint16_t half;
    switch (type) {
    case MARY_FLOAT:
        memcpy(place, &real, sizeof real);
        break;
    case MARY_DOUBLE:
        memcpy(place, &wide, sizeof wide);
        break;
    case MARY_FLOAT16:
        half = mary_float_to_half(real);
        memcpy(place, &half, sizeof half);
        break;
    case MARY_BFLOAT16:
        half = mary_float_to_bfloat(real);
        memcpy(place, &half, sizeof half);
        break;
    case MARY_BOOL:
        *place = byte & 1;
        break;
    default: /* the low bytes of the integer */
        memcpy(place, &integer, mary_type_size(type));
    }
}

/* Fills `result`; its raw_data is written to `data`. Returns the number of bytes. */
static size_t read_tensor(reader *input, char *name, tensor_bytes *result)
{
    static const mary_type types[] = {MARY_FLOAT,  MARY_UINT8,  MARY_INT8,    MARY_UINT16,  MARY_INT16,
                                      MARY_INT32,  MARY_INT64,  MARY_BOOL,    MARY_FLOAT16, MARY_DOUBLE,
                                      MARY_UINT32, MARY_UINT64, MARY_BFLOAT16};
    const mary_type type = types[next(input) % (sizeof types / sizeof types[0])];
    const int rank = next(input) % (MOST_RANK + 1);
    const size_t width = mary_type_size(type);
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        const uint8_t byte = next(input);
        result->dims[i] = byte < 128 ? byte : byte % 7;
        if (count * result->dims[i] > MOST_ELEMENTS)
            result->dims[i] = 1;
        count *= result->dims[i];
    }
    for (int64_t i = 0; i < count; i++) {
        const uint8_t byte = input->position < input->size ? next(input) : (uint8_t)(i % 7 - 3);
        write_element(type, byte, (uint8_t *)result->data + (size_t)i * width);
    }
    onnx__tensor_proto__init(&result->message);
    result->message.name = name;
    result->message.has_data_type = 1;
    result->message.data_type = (int32_t)type;
    result->message.n_dims = (size_t)rank;
    result->message.dims = result->dims;
    result->message.has_raw_data = 1;
    result->message.raw_data.data = (uint8_t *)result->data;
    result->message.raw_data.len = (size_t)count * width;
    return (size_t)count * width;
}

static void read_attribute(reader *input, attribute_bytes *result)
{
    Onnx__AttributeProto *message = &result->message;
    onnx__attribute_proto__init(message);
    message->name = (char *)attribute_names[next(input) % (sizeof attribute_names / sizeof attribute_names[0])];
    message->has_type = 1;
    size_t count;
    switch (next(input) % 8) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        message->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
        message->has_f = 1;
        message->f = float_of(next(input));
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING: {
        const char *word = words[next(input) % (sizeof words / sizeof words[0])];
        message->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
        message->has_s = 1;
        message->s = (ProtobufCBinaryData){strlen(word), (uint8_t *)word};
        break;
    }
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
        message->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
        read_tensor(input, (char *)"t", &result->tensor);
        message->t = &result->tensor.message;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        message->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
        count = next(input) % (MOST_INTS + 1);
        for (size_t i = 0; i < count; i++)
            result->floats[i] = float_of(next(input));
        message->n_floats = count;
        message->floats = result->floats;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        message->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
        count = next(input) % (MOST_INTS + 1);
        for (size_t i = 0; i < count; i++)
            result->ints[i] = int_of(next(input));
        message->n_ints = count;
        message->ints = result->ints;
        break;
    default:
        message->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        message->has_i = 1;
        message->i = int_of(next(input));
    }
}

/* A graph input or output; `tensor` may be NULL: neither type nor shape. */
static void describe(value_info *info, const char *name, const tensor_bytes *tensor, bool with_shape)
{
    onnx__value_info_proto__init(&info->message);
    info->message.name = (char *)name;
    if (tensor == NULL)
        return;
    onnx__type_proto__init(&info->type);
    onnx__type_proto__tensor__init(&info->tensor);
    onnx__tensor_shape_proto__init(&info->shape);
    info->message.type = &info->type;
    info->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    info->type.tensor_type = &info->tensor;
    info->tensor.has_elem_type = 1;
    info->tensor.elem_type = tensor->message.data_type;
    if (!with_shape)
        return;
    info->tensor.shape = &info->shape;
    info->shape.n_dim = tensor->message.n_dims;
    info->shape.dim = info->dim_list;
    for (size_t i = 0; i < tensor->message.n_dims; i++) {
        onnx__tensor_shape_proto__dimension__init(&info->dims[i]);
        info->dims[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        info->dims[i].dim_value = tensor->dims[i];
        info->dim_list[i] = &info->dims[i];
    }
}

/* The operator's name, or when mary has none of that name one of those that it has. */
static void read_operator(reader *input, node_case *made)
{
    size_t length = 0;
    unsigned sum = 0;
    for (uint8_t byte = next(input); byte != 0; byte = next(input)) {
        if (length + 1 < sizeof made->op_type)
            made->op_type[length++] = (char)byte;
        sum += byte;
    }
    unsigned count = 0;
    for (const mary_op *op = mary_op_next(NULL); op != NULL; op = mary_op_next(op)) {
        if (strcmp(op->type, made->op_type) == 0) {
            made->domain = op->domain;
            return;
        }
        count++;
    }
    const mary_op *chosen = mary_op_next(NULL);
    for (unsigned i = 0; i < sum % count; i++)
        chosen = mary_op_next(chosen);
    snprintf(made->op_type, sizeof made->op_type, "%s", chosen->type);
    made->domain = chosen->domain;
}

static void read_inputs(reader *input, node_case *made)
{
    static const char *const names[MOST_INPUTS] = {"i0", "i1", "i2",  "i3",  "i4",  "i5",  "i6",  "i7",
                                                   "i8", "i9", "i10", "i11", "i12", "i13", "i14", "i15"};
    const size_t count = next(input) % (MOST_INPUTS + 1);
    made->node.n_input = count;
    for (size_t i = 0; i < count; i++) {
        tensor_bytes *tensor = &made->inputs[i];
        const int place = next(input) % 4;
        made->input_names[i] = (char *)(place == 0 ? "" : names[i]);
        if (place == 0)
            continue;
        const size_t bytes = read_tensor(input, made->input_names[i], tensor);
        if (place == 1) {
            made->initializers[made->graph.n_initializer++] = &tensor->message;
            continue;
        }
        describe(&made->infos[i], names[i], tensor, place == 2);
        made->graph_inputs[made->graph.n_input++] = &made->infos[i].message;
        if (tensor->message.n_dims > MARY_MAX_RANK)
            continue;
        mary_array *array = &made->arrays[made->array_count++];
        *array = (mary_array){.name = names[i],
                              .type = (mary_type)tensor->message.data_type,
                              .rank = (int)tensor->message.n_dims,
                              .data = tensor->data,
                              .bytes = bytes};
        memcpy(array->dims, tensor->dims, (size_t)array->rank * sizeof array->dims[0]);
    }
}

/* Bytes to messages; all of them live in `made`. */
static void read_case(reader *input, node_case *made)
{
    static const char *const names[MOST_OUTPUTS] = {"o0", "o1", "o2", "o3", "o4", "o5"};
    onnx__node_proto__init(&made->node);
    onnx__graph_proto__init(&made->graph);
    onnx__model_proto__init(&made->model);
    read_operator(input, made);
    made->opset = 7 + next(input) % 20;
    made->flags = next(input);
    made->node.op_type = made->op_type;
    made->node.domain = (char *)(made->flags & FLAG_MARY_DOMAIN ? "ai.mary" : made->domain);
    made->node.n_attribute = next(input) % (MOST_ATTRIBUTES + 1);
    made->node.attribute = made->attribute_list;
    for (size_t i = 0; i < made->node.n_attribute; i++) {
        read_attribute(input, &made->attributes[i]);
        made->attribute_list[i] = &made->attributes[i].message;
    }
    made->node.n_output = 1 + next(input) % MOST_OUTPUTS;
    made->node.output = made->output_names;
    made->node.input = made->input_names;
    made->graph.input = made->graph_inputs;
    made->graph.initializer = made->initializers;
    read_inputs(input, made);
    made->graph.n_output = made->node.n_output;
    made->graph.output = made->graph_outputs;
    for (size_t i = 0; i < made->node.n_output; i++) {
        made->output_names[i] = (char *)names[i];
        describe(&made->infos[MOST_INPUTS + i], names[i], NULL, false);
        made->graph_outputs[i] = &made->infos[MOST_INPUTS + i].message;
    }
    made->node_list[0] = &made->node;
    made->graph.n_node = 1;
    made->graph.node = made->node_list;
    made->graph.name = (char *)"one";
    for (int i = 0; i < 2; i++) {
        onnx__operator_set_id_proto__init(&made->opsets[i]);
        made->opsets[i].has_version = 1;
        made->opset_list[i] = &made->opsets[i];
    }
    made->opsets[0].version = made->opset;
    made->opsets[1].domain = (char *)"ai.mary";
    made->opsets[1].version = 1;
    made->model.has_ir_version = 1;
    made->model.ir_version = 8;
    made->model.n_opset_import = 2;
    made->model.opset_import = made->opset_list;
    made->model.graph = &made->graph;
}

static void run_case(mary_model **model, node_case *made)
{
    mary_session *session = NULL;
    const mary_session_options options = {.threads = 1,
                                          .no_fusion = (made->flags & FLAG_NO_FUSION) != 0,
                                          .cpu = (made->flags & FLAG_SCALAR) ? "scalar"
                                                 : (made->flags & FLAG_AVX2) ? "avx2"
                                                                             : NULL};
    if (mary_session_create(model, &options, &session) != MARY_OK)
        return;
    for (int run = 0; run < ((made->flags & FLAG_RUN_TWICE) ? 2 : 1); run++) {
        mary_array outputs[MOST_OUTPUTS] = {0};
        const int count = mary_session_output_count(session);
        if (mary_session_run(session, made->arrays, made->array_count, outputs, count) != MARY_OK)
            break;
        for (int i = 0; i < count; i++) {
            fuzz_touch(outputs[i].data, outputs[i].bytes);
            mary_array_free(&outputs[i]);
        }
    }
    mary_session_free(&session);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    reader input = {bytes, size, 0};
    mary_model *model = NULL;
    fuzz_begin();
    node_case *made = calloc(1, sizeof *made);
    if (made == NULL)
        return 0;
    read_case(&input, made);
    const size_t packed_size = onnx__model_proto__get_packed_size(&made->model);
    uint8_t *packed = malloc(packed_size);
    if (packed != NULL) {
        onnx__model_proto__pack(&made->model, packed);
        if (mary_model_load_memory(packed, packed_size, &model) == MARY_OK)
            run_case(&model, made);
        mary_model_free(&model);
    }
    free(packed);
    free(made);
    return 0;
}
