#include "convert/coding/survey.h"

#include <string.h>

#include "convert/layer.h"
#include "onnx/external.h"
#include "onnx/names.h"
#include "onnx/wire.h"

enum { MODEL_GRAPH = 7, GRAPH_INITIALIZER = 5, TENSOR_FLOAT_DATA = 4, TENSOR_RAW_DATA = 9 }; /* onnx.proto */

/* ---- what nodes use tensors for ---- */

typedef struct tensor_uses {
    mary_names kinds; /* name -> kind + 4 * position of the first node that uses it */
    const Onnx__GraphProto *graph;
} tensor_uses;

static mary_status use(tensor_uses *uses, size_t node, size_t slot, mary_span_kind kind)
{
    const Onnx__NodeProto *at = uses->graph->node[node];
    bool added;
    if (slot >= at->n_input || at->input[slot][0] == '\0')
        return MARY_OK;
    return mary_names_add(&uses->kinds, at->input[slot], (size_t)kind + 4 * node, &added);
}

static mary_status find_uses(tensor_uses *uses)
{
    for (size_t i = 0; i < uses->graph->n_node; i++) {
        const Onnx__NodeProto *node = uses->graph->node[i];
        if (mary_layer_kind_of_integer(node) != MARY_LAYER_NONE) {
            MARY_TRY(use(uses, i, 3, MARY_SPAN_CODES));
            MARY_TRY(use(uses, i, 4, MARY_SPAN_LEVELS));
            MARY_TRY(use(uses, i, 5, MARY_SPAN_LEVELS)); /* their scales */
            MARY_TRY(use(uses, i, 9, MARY_SPAN_BIASES));
        } else if (mary_layer_kind_of_mary(node) != MARY_LAYER_NONE) {
            MARY_TRY(use(uses, i, 1, MARY_SPAN_CODES));
            MARY_TRY(use(uses, i, 2, MARY_SPAN_LEVELS));
            MARY_TRY(use(uses, i, 3, MARY_SPAN_BIASES));
        } else if (mary_layer_kind_of(node) != MARY_LAYER_NONE) {
            MARY_TRY(use(uses, i, 2, MARY_SPAN_BIASES));
        }
    }
    return MARY_OK;
}

/* ---- what a tensor is ---- */

/* Codes that are what docs/operators.md says: anything else is numbers, which is never wrong. */
static bool describe_codes(const Onnx__TensorProto *tensor, const Onnx__NodeProto *node, mary_span *span)
{
    int64_t bits, row_length;
    const int64_t *shape;
    size_t rank, codes;
    if (mary_attribute_int(node, "bits", 0, &bits) != MARY_OK ||
        mary_attribute_int(node, "row_length", 0, &row_length) != MARY_OK ||
        mary_attribute_ints(node, "weight_shape", &shape, &rank) != MARY_OK)
        return false;
    if ((bits != 1 && bits != 2 && bits != 4 && bits != 8) || row_length < 1 ||
        row_length > (int64_t)MARY_PACKED_MOST || tensor->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__UINT8 ||
        tensor->n_dims != 2 || tensor->dims[0] < 1 ||
        !mary_size_mul((size_t)tensor->dims[0], (size_t)row_length, &codes) || codes > MARY_PACKED_MOST ||
        (size_t)tensor->dims[0] * mary_packed_row_bytes(row_length, (int)bits) != span->size)
        return false;
    span->bits = (int)bits;
    span->rows = tensor->dims[0];
    span->row_length = row_length;
    span->taps = 1;
    for (size_t i = 2; i < rank; i++) {
        if (shape[i] < 1 || __builtin_mul_overflow(span->taps, shape[i], &span->taps))
            return false;
    }
    if (span->taps > row_length)
        span->taps = 1;
    return true;
}

static void describe_numbers(const Onnx__TensorProto *tensor, mary_span *span)
{
    size_t element = mary_type_size((mary_type)tensor->data_type);
    span->element = element == 2 || element == 4 || element == 8 ? (int)element : 1;
    if (span->size % (size_t)span->element != 0)
        span->element = 1;
    /* Rows are what follows the first axis, as for weights and levels. */
    size_t count = span->size / (size_t)span->element, row = count;
    if (tensor->n_dims >= 2 && tensor->dims[0] > 1 && count % (size_t)tensor->dims[0] == 0)
        row = count / (size_t)tensor->dims[0];
    span->numbers_in_row = row > 0 ? row : 1;
}

static void describe(const tensor_uses *uses, const Onnx__TensorProto *tensor, mary_span *span)
{
    size_t value = MARY_SPAN_OTHER;
    span->name = tensor->name;
    bool used = mary_names_get(&uses->kinds, tensor->name, &value);
    span->kind = (mary_span_kind)(value % 4);
    if (used && span->kind == MARY_SPAN_CODES && describe_codes(tensor, uses->graph->node[value / 4], span))
        return;
    span->kind = span->kind == MARY_SPAN_CODES ? MARY_SPAN_OTHER : span->kind;
    describe_numbers(tensor, span);
}

/* The payload of a serialised tensor; size 0: none that could be cut out. The last of several fields is the one that
 * counts. */
static void find_payload(const uint8_t *bytes, const mary_wire_field *message, const Onnx__TensorProto *tensor,
                         mary_span *span)
{
    const uint8_t *at = message->payload, *end = at + message->size;
    mary_wire_field field;
    bool raw = tensor->has_raw_data && tensor->raw_data.len > 0;
    while (mary_wire_next(&at, end, &field)) {
        bool floats = field.number == TENSOR_FLOAT_DATA && !raw &&
                      tensor->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT &&
                      field.size == tensor->n_float_data * sizeof(float);
        if (field.has_payload && ((field.number == TENSOR_RAW_DATA && raw) || floats)) {
            span->offset = (size_t)(field.payload - bytes);
            span->size = field.size;
        }
    }
}

mary_status mary_survey(const uint8_t *bytes, size_t size, const mary_model *model, mary_span **spans, size_t *count)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    tensor_uses uses = {.graph = graph};
    const uint8_t *at = bytes, *end = bytes + size, *graph_at = NULL, *graph_end = NULL;
    mary_wire_field field;
    size_t index = 0;
    mary_status status = MARY_OK;
    *count = 0;
    *spans = mary_calloc(graph->n_initializer + 1, sizeof **spans);
    if (*spans == NULL)
        return mary_fail_memory(graph->n_initializer * sizeof **spans);
    MARY_TRY_GOTO(find_uses(&uses), done);
    while (graph_at == NULL && mary_wire_next(&at, end, &field)) {
        if (field.number == MODEL_GRAPH && field.has_payload)
            graph_at = field.payload, graph_end = field.payload + field.size;
    }
    while (graph_at != NULL && index < graph->n_initializer && mary_wire_next(&graph_at, graph_end, &field)) {
        if (field.number != GRAPH_INITIALIZER || !field.has_payload)
            continue;
        const Onnx__TensorProto *tensor = graph->initializer[index++];
        mary_span span = {0};
        find_payload(bytes, &field, tensor, &span);
        if (span.size > 0) {
            describe(&uses, tensor, &span);
            (*spans)[(*count)++] = span;
        }
    }
done:
    mary_names_free(&uses.kinds);
    if (status != MARY_OK) {
        mary_free(*spans);
        *spans = NULL;
    }
    return status;
}
