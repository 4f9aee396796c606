/* Which tensors are new is told by comparing the graph with what it was: no pass has to keep account of what it does.
 */
#include "convert/declare_shapes.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/edit.h"
#include "onnx/memory.h"
#include "onnx/names.h"

/* FNV-1a, 64 bits (Fowler, Noll, Vo), over the string and its end. */
static uint64_t mix(uint64_t hash, const char *text)
{
    text = text == NULL ? "" : text;
    do {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    } while (*text++ != '\0');
    return hash;
}

static uint64_t fingerprint(const Onnx__NodeProto *node, const char *output)
{
    uint64_t hash = mix(mix(mix(UINT64_C(0xcbf29ce484222325), output), node->domain), node->op_type);
    for (size_t i = 0; i < node->n_input; i++)
        hash = mix(hash, node->input[i]);
    return hash;
}

static int by_value(const void *first, const void *second)
{
    uint64_t a = *(const uint64_t *)first, b = *(const uint64_t *)second;
    return (a > b) - (a < b);
}

mary_status mary_producers_take(const Onnx__GraphProto *graph, mary_producers *producers)
{
    size_t count = 0;
    for (size_t n = 0; n < graph->n_node; n++)
        count += graph->node[n]->n_output;
    producers->prints = mary_calloc(count, sizeof *producers->prints);
    if (producers->prints == NULL && count > 0)
        return mary_fail_memory(count * sizeof *producers->prints);
    for (size_t n = 0; n < graph->n_node; n++) {
        for (size_t i = 0; i < graph->node[n]->n_output; i++)
            producers->prints[producers->count++] = fingerprint(graph->node[n], graph->node[n]->output[i]);
    }
    if (count > 0)
        qsort(producers->prints, count, sizeof *producers->prints, by_value);
    return MARY_OK;
}

void mary_producers_free(mary_producers *producers)
{
    mary_free(producers->prints);
    *producers = (mary_producers){0};
}

static bool was_made_so(const mary_producers *before, const Onnx__NodeProto *node, const char *output)
{
    uint64_t print = fingerprint(node, output);
    return before->count > 0 &&
           bsearch(&print, before->prints, before->count, sizeof *before->prints, by_value) != NULL;
}

mary_status mary_declare_shapes(mary_model *model, const mary_producers *before)
{
    Onnx__GraphProto *graph = model->proto->graph;
    size_t declared = graph->n_value_info;
    mary_names made = {0}; /* output -> whether it is new */
    mary_status status = mary_model_infer_shapes(model), inferred = status;
    if (status == MARY_ERROR_INTERNAL)
        goto done;
    status = MARY_OK;
    for (size_t n = 0; n < graph->n_node; n++) {
        const Onnx__NodeProto *node = graph->node[n];
        for (size_t i = 0; i < node->n_output; i++)
            MARY_TRY_GOTO(mary_names_put(&made, node->output[i], !was_made_so(before, node, node->output[i])), done);
    }
    for (size_t i = graph->n_value_info; i-- > 0;) {
        size_t is_new = false;
        bool exists = mary_names_get(&made, graph->value_info[i]->name, &is_new);
        if (!exists || (i >= declared && (inferred != MARY_OK || !is_new)))
            mary_graph_remove_value_info(graph, i);
    }
done:
    mary_names_free(&made);
    return status;
}
