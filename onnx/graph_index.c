/* Who makes and who uses a value. Names are copied, so that an index outlives edits until it is rebuilt. */
#include <string.h>

#include "onnx/edit.h"
#include "onnx/names.h"
#include "onnx/uses.h"

typedef struct record {
    char *name;
    ptrdiff_t producer, initializer;
    size_t uses;
    size_t first, consumers; /* range of index->consumers */
    size_t last_node;        /* while building: 1 + the node that was counted last */
    size_t next_suffix;      /* for unique names that start with this one */
    bool is_input, is_output;
} record;

struct mary_graph_index {
    mary_names ids;
    record *records;
    size_t count, capacity;
    size_t *consumers;
};

/* One (value, node) pair for each node that uses the value, in the order of nodes. */
typedef struct pair {
    size_t record, node;
} pair;

typedef struct index_builder {
    mary_graph_index *index;
    pair *pairs;
    size_t count, capacity;
    size_t node;
} index_builder;

/* Finds or makes the record of a name; *id is SIZE_MAX for an empty one. */
static mary_status intern(mary_graph_index *index, const char *name, size_t *id)
{
    *id = SIZE_MAX;
    if (name == NULL || *name == '\0' || mary_names_get(&index->ids, name, id))
        return MARY_OK;
    if (!mary_reserve((void **)&index->records, &index->capacity, index->count + 1, sizeof *index->records))
        return mary_fail_memory(index->count * sizeof *index->records);
    char *copy = mary_strdup(name);
    if (copy == NULL)
        return mary_fail_memory(strlen(name) + 1);
    index->records[index->count] = (record){.name = copy, .producer = -1, .initializer = -1};
    *id = index->count++;
    return mary_names_put(&index->ids, copy, *id);
}

static mary_status intern_only(mary_graph_index *index, const char *name)
{
    size_t id;
    return intern(index, name, &id);
}

/* Names inside subgraphs are only there to be avoided by unique names. */
static mary_status intern_subgraph(void *context, Onnx__GraphProto *graph)
{
    mary_graph_index *index = context;
    for (size_t i = 0; i < graph->n_input; i++)
        MARY_TRY(intern_only(index, graph->input[i]->name));
    for (size_t i = 0; i < graph->n_initializer; i++)
        MARY_TRY(intern_only(index, graph->initializer[i]->name));
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        MARY_TRY(intern_only(index, node->name));
        for (size_t j = 0; j < node->n_input; j++)
            MARY_TRY(intern_only(index, node->input[j]));
        for (size_t j = 0; j < node->n_output; j++)
            MARY_TRY(intern_only(index, node->output[j]));
        MARY_TRY(mary_node_visit_subgraphs(node, intern_subgraph, index));
    }
    return MARY_OK;
}

static mary_status count_use(void *context, char **slot)
{
    index_builder *builder = context;
    size_t id;
    MARY_TRY(intern(builder->index, *slot, &id));
    record *used = &builder->index->records[id];
    used->uses++;
    if (used->last_node == builder->node + 1)
        return MARY_OK;
    used->last_node = builder->node + 1;
    used->consumers++;
    if (!mary_reserve((void **)&builder->pairs, &builder->capacity, builder->count + 1, sizeof *builder->pairs))
        return mary_fail_memory(builder->count * sizeof *builder->pairs);
    builder->pairs[builder->count++] = (pair){id, builder->node};
    return MARY_OK;
}

static mary_status add_graph_values(mary_graph_index *index, const Onnx__GraphProto *graph)
{
    size_t id;
    for (size_t i = 0; i < graph->n_input; i++) {
        MARY_TRY(intern(index, graph->input[i]->name, &id));
        if (id != SIZE_MAX)
            index->records[id].is_input = true;
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        MARY_TRY(intern(index, graph->initializer[i]->name, &id));
        if (id != SIZE_MAX)
            index->records[id].initializer = (ptrdiff_t)i;
    }
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        if (graph->sparse_initializer[i]->values != NULL)
            MARY_TRY(intern_only(index, graph->sparse_initializer[i]->values->name));
    }
    for (size_t i = 0; i < graph->n_output; i++) {
        MARY_TRY(intern(index, graph->output[i]->name, &id));
        if (id != SIZE_MAX) {
            index->records[id].is_output = true;
            index->records[id].uses++;
        }
    }
    return MARY_OK;
}

static mary_status add_nodes(index_builder *builder, const Onnx__GraphProto *graph)
{
    mary_graph_index *index = builder->index;
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        MARY_TRY(intern_only(index, node->name));
        for (size_t j = 0; j < node->n_output; j++) {
            size_t id;
            MARY_TRY(intern(index, node->output[j], &id));
            if (id != SIZE_MAX)
                index->records[id].producer = (ptrdiff_t)i;
        }
        builder->node = i;
        MARY_TRY(mary_node_visit_uses(node, count_use, builder));
        MARY_TRY(mary_node_visit_subgraphs(node, intern_subgraph, index));
    }
    return MARY_OK;
}

/* The pairs, grouped by value. */
static mary_status group_consumers(index_builder *builder)
{
    mary_graph_index *index = builder->index;
    index->consumers = mary_calloc(builder->count, sizeof *index->consumers);
    if (index->consumers == NULL)
        return mary_fail_memory(builder->count * sizeof *index->consumers);
    size_t first = 0;
    for (size_t i = 0; i < index->count; i++) {
        index->records[i].first = first;
        first += index->records[i].consumers;
        index->records[i].consumers = 0;
    }
    for (size_t i = 0; i < builder->count; i++) {
        record *used = &index->records[builder->pairs[i].record];
        index->consumers[used->first + used->consumers++] = builder->pairs[i].node;
    }
    return MARY_OK;
}

mary_status mary_graph_index_create(const Onnx__GraphProto *graph, mary_graph_index **index)
{
    *index = NULL;
    mary_graph_index *made = mary_calloc(1, sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    index_builder builder = {.index = made};
    mary_status status = add_graph_values(made, graph);
    if (status == MARY_OK)
        status = add_nodes(&builder, graph);
    if (status == MARY_OK)
        status = group_consumers(&builder);
    mary_free(builder.pairs);
    if (status == MARY_OK)
        *index = made;
    else
        mary_graph_index_free(&made);
    return status;
}

void mary_graph_index_free(mary_graph_index **index)
{
    mary_graph_index *old = *index;
    if (old == NULL)
        return;
    for (size_t i = 0; i < old->count; i++)
        mary_free(old->records[i].name);
    mary_free(old->records);
    mary_free(old->consumers);
    mary_names_free(&old->ids);
    mary_free(old);
    *index = NULL;
}

static const record *find(const mary_graph_index *index, const char *value)
{
    size_t id;
    return value != NULL && mary_names_get(&index->ids, value, &id) ? &index->records[id] : NULL;
}

ptrdiff_t mary_graph_producer(const mary_graph_index *index, const char *value)
{
    const record *found = find(index, value);
    return found == NULL ? -1 : found->producer;
}

size_t mary_graph_use_count(const mary_graph_index *index, const char *value)
{
    const record *found = find(index, value);
    return found == NULL ? 0 : found->uses;
}

const size_t *mary_graph_consumers(const mary_graph_index *index, const char *value, size_t *count)
{
    const record *found = find(index, value);
    *count = found == NULL ? 0 : found->consumers;
    return found == NULL ? NULL : index->consumers + found->first;
}

ptrdiff_t mary_graph_initializer(const mary_graph_index *index, const char *value)
{
    const record *found = find(index, value);
    return found == NULL ? -1 : found->initializer;
}

bool mary_graph_is_output(const mary_graph_index *index, const char *value)
{
    const record *found = find(index, value);
    return found != NULL && found->is_output;
}

bool mary_graph_is_input(const mary_graph_index *index, const char *value)
{
    const record *found = find(index, value);
    return found != NULL && found->is_input;
}

char *mary_graph_unique_name(mary_graph_index *index, const char *stem)
{
    size_t base, unused;
    if (*stem == '\0')
        stem = "value";
    bool free_as_it_is = !mary_names_get(&index->ids, stem, NULL);
    if (intern(index, stem, &base) != MARY_OK)
        return NULL;
    if (free_as_it_is)
        return mary_strdup(stem);
    for (;;) {
        char *name = mary_asprintf("%s_%zu", stem, ++index->records[base].next_suffix);
        if (name == NULL)
            return NULL;
        if (!mary_names_get(&index->ids, name, NULL) && intern(index, name, &unused) == MARY_OK)
            return name;
        bool taken = mary_names_get(&index->ids, name, NULL);
        mary_free(name);
        if (!taken)
            return NULL; /* memory ran out */
    }
}
