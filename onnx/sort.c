#include "onnx/sort.h"

#include <string.h>

#include "onnx/names.h"
#include "onnx/uses.h"

/* Edges from each node to the nodes that it reads from: dependencies[first[i]..first[i+1]). */
typedef struct edge_list {
    mary_names producers;
    size_t *first;
    size_t *dependencies;
    size_t count, capacity;
} edge_list;

static mary_status add_edge(void *context, char **slot)
{
    edge_list *edges = context;
    size_t producer;
    if (!mary_names_get(&edges->producers, *slot, &producer))
        return MARY_OK; /* a graph input, an initializer or an outer value */
    if (!mary_reserve((void **)&edges->dependencies, &edges->capacity, edges->count + 1, sizeof(size_t)))
        return mary_fail_memory(edges->count * sizeof(size_t));
    edges->dependencies[edges->count++] = producer;
    return MARY_OK;
}

static mary_status collect(edge_list *edges, Onnx__NodeProto **nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < nodes[i]->n_output; j++) {
            if (*nodes[i]->output[j] != '\0')
                MARY_TRY(mary_names_put(&edges->producers, nodes[i]->output[j], i));
        }
    }
    for (size_t i = 0; i < count; i++) {
        edges->first[i] = edges->count;
        MARY_TRY(mary_node_visit_uses(nodes[i], add_edge, edges));
    }
    edges->first[count] = edges->count;
    return MARY_OK;
}

enum { UNSEEN = 0, OPEN, DONE };

/* Depth first with a stack of our own (a chain of nodes may be long): a node is emitted after what it depends on,
 * and roots are taken in file order, so that an ordered list comes out as it was. */
static mary_status visit(const edge_list *edges, Onnx__NodeProto **nodes, size_t root, unsigned char *state,
                         size_t *cursor, size_t *stack, size_t *order, size_t *emitted)
{
    size_t depth = 0;
    stack[depth++] = root;
    state[root] = OPEN;
    cursor[root] = edges->first[root];
    while (depth > 0) {
        size_t node = stack[depth - 1];
        if (cursor[node] == edges->first[node + 1]) {
            state[node] = DONE;
            order[(*emitted)++] = node;
            depth--;
            continue;
        }
        size_t next = edges->dependencies[cursor[node]++];
        if (state[next] == OPEN)
            return mary_fail(MARY_ERROR_INVALID, "node '%s' is part of a cycle", mary_node_label(nodes[next]));
        if (state[next] == UNSEEN) {
            state[next] = OPEN;
            cursor[next] = edges->first[next];
            stack[depth++] = next;
        }
    }
    return MARY_OK;
}

mary_status mary_nodes_sort(Onnx__NodeProto **nodes, size_t count)
{
    edge_list edges = {0};
    size_t *work = NULL;
    unsigned char *state = NULL;
    mary_status status = MARY_OK;
    edges.first = mary_calloc(count + 1, sizeof *edges.first);
    work = mary_calloc(count, 3 * sizeof *work);
    state = mary_calloc(count, 1);
    if (edges.first == NULL || work == NULL || state == NULL) {
        status = mary_fail_memory(count * 4 * sizeof *work);
        goto done;
    }
    MARY_TRY_GOTO(collect(&edges, nodes, count), done);
    size_t *cursor = work, *stack = work + count, *order = work + 2 * count, emitted = 0;
    for (size_t i = 0; i < count; i++) {
        if (state[i] == UNSEEN)
            MARY_TRY_GOTO(visit(&edges, nodes, i, state, cursor, stack, order, &emitted), done);
    }
    Onnx__NodeProto **sorted = (Onnx__NodeProto **)(void *)cursor; /* free by now, and as large */
    _Static_assert(sizeof(size_t) == sizeof(void *), "the cursor array is reused for pointers");
    for (size_t i = 0; i < count; i++)
        sorted[i] = nodes[order[i]];
    if (count > 0)
        memcpy(nodes, sorted, count * sizeof *nodes);
done:
    mary_names_free(&edges.producers);
    mary_free(edges.first);
    mary_free(edges.dependencies);
    mary_free(work);
    mary_free(state);
    return status;
}
