/* Equal initializers become one. */
#include <stdlib.h>
#include <string.h>

#include "convert/passes/passes.h"

typedef struct candidate {
    uint64_t hash;
    size_t position; /* in graph->initializer */
} candidate;

static uint64_t hash_bytes(const unsigned char *bytes, size_t size, uint64_t hash)
{
    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    for (; size > 0; size--)
        hash = (hash ^ *bytes++) * 0x100000001b3u;
    return hash;
}

static int compare(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

static mary_status equal(const mary_model *model, const Onnx__TensorProto *a, const Onnx__TensorProto *b, bool *same)
{
    mary_constant x = {0}, y = {0};
    *same = false;
    mary_status status = mary_constant_decode(model, a, &x);
    if (status == MARY_OK)
        status = mary_constant_decode(model, b, &y);
    if (status == MARY_OK)
        *same = x.tensor.type == y.tensor.type && mary_shape_equal(&x.tensor.shape, &y.tensor.shape) &&
                memcmp(x.tensor.data, y.tensor.data, mary_tensor_bytes(&x.tensor)) == 0;
    mary_constant_free(&x);
    mary_constant_free(&y);
    return status;
}

/* What two equal tensors have in common and is cheap to know; the content only where that is shared. */
static uint64_t hash_header(const Onnx__TensorProto *tensor)
{
    uint64_t hash = (uint64_t)(uint32_t)tensor->data_type * 0x9e3779b97f4a7c15u;
    return hash_bytes((const unsigned char *)tensor->dims, tensor->n_dims * sizeof *tensor->dims, hash);
}

static mary_status hash_content(const mary_model *model, const Onnx__TensorProto *tensor, uint64_t *hash)
{
    mary_constant constant;
    MARY_TRY(mary_constant_decode(model, tensor, &constant));
    *hash = hash_bytes(constant.tensor.data, mary_tensor_bytes(&constant.tensor), *hash);
    mary_constant_free(&constant);
    return MARY_OK;
}

mary_status mary_pass_deduplicate(mary_model *model, mary_convert_report *report)
{
    (void)report;
    Onnx__GraphProto *graph = model->proto->graph;
    mary_graph_index *index = NULL;
    candidate *list = NULL;
    bool *removed = NULL;
    size_t count = 0;
    mary_status status = MARY_OK;
    MARY_TRY(mary_graph_index_create(graph, &index));
    list = mary_calloc(graph->n_initializer + 1, sizeof *list);
    removed = mary_calloc(graph->n_initializer + 1, sizeof *removed);
    if (list == NULL || removed == NULL) {
        status = mary_fail_memory(graph->n_initializer * sizeof *list);
        goto done;
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        /* Inputs may be given other values, outputs are known by name, strings have no fixed size. */
        if (mary_graph_is_input(index, tensor->name) || mary_graph_is_output(index, tensor->name) ||
            mary_type_size((mary_type)tensor->data_type) == 0)
            continue;
        list[count++] = (candidate){hash_header(tensor), i};
    }
    qsort(list, count, sizeof *list, compare);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && list[end].hash == list[i].hash;)
            end++;
        for (size_t k = i; end - i > 1 && k < end; k++)
            MARY_TRY_GOTO(hash_content(model, graph->initializer[list[k].position], &list[k].hash), done);
    }
    qsort(list, count, sizeof *list, compare);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = i + 1; k < count && list[k].hash == list[i].hash && !removed[list[i].position]; k++) {
            const Onnx__TensorProto *kept = graph->initializer[list[i].position];
            const Onnx__TensorProto *other = graph->initializer[list[k].position];
            bool same = false;
            if (removed[list[k].position])
                continue;
            MARY_TRY_GOTO(equal(model, kept, other, &same), done);
            if (!same)
                continue;
            MARY_TRY_GOTO(mary_graph_rename_uses(graph, other->name, kept->name), done);
            removed[list[k].position] = true;
        }
    }
    for (size_t i = graph->n_initializer; i-- > 0;) {
        if (removed[i])
            mary_graph_remove_initializer(graph, i);
    }
done:
    mary_graph_index_free(&index);
    mary_free(list);
    mary_free(removed);
    return status;
}
