#include "tests/support/graph_match.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "onnx/edit.h"

/* A value of the one graph that was found to be a value of the other. */
typedef struct pair {
    const char *got, *expected;
} pair;

typedef struct matcher {
    const mary_model *got, *expected;
    mary_graph_index *got_index, *expected_index;
    pair *pairs;
    size_t count, capacity;
    size_t nodes, constants; /* matched so far */
    char *where;
    size_t size;
} matcher;

static bool differ(matcher *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool differ(matcher *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(m->where, m->size, format, arguments);
    va_end(arguments);
    return false;
}

static bool same_constant(matcher *m, const Onnx__TensorProto *got, const Onnx__TensorProto *expected)
{
    mary_constant a = {0}, b = {0};
    char text[96], other[96];
    bool same = false;
    if (mary_constant_decode(m->got, got, &a) != MARY_OK ||
        mary_constant_decode(m->expected, expected, &b) != MARY_OK) {
        differ(m, "constant '%s': %s", got->name, mary_error_message());
        goto done;
    }
    if (a.tensor.type != b.tensor.type || !mary_shape_equal(&a.tensor.shape, &b.tensor.shape)) {
        differ(m, "constant '%s' is %s %s, expected '%s' %s %s", got->name, mary_type_name(a.tensor.type),
               mary_shape_format(&a.tensor.shape, text, sizeof text), expected->name, mary_type_name(b.tensor.type),
               mary_shape_format(&b.tensor.shape, other, sizeof other));
        goto done;
    }
    int64_t count = mary_shape_count(&a.tensor.shape);
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(mary_tensor_double(&b.tensor, i)));
    for (int64_t i = 0; i < count; i++) {
        double x = mary_tensor_double(&a.tensor, i), y = mary_tensor_double(&b.tensor, i);
        if (!(fabs(x - y) <= (mary_type_is_float(a.tensor.type) ? 1e-6 * largest : 0))) {
            differ(m, "constant '%s' has %g at %lld, expected %g", got->name, x, (long long)i, y);
            goto done;
        }
    }
    same = true;
done:
    mary_constant_free(&a);
    mary_constant_free(&b);
    return same;
}

static bool same_attribute(const Onnx__AttributeProto *a, const Onnx__AttributeProto *b)
{
    size_t size = onnx__attribute_proto__get_packed_size(a);
    if (size != onnx__attribute_proto__get_packed_size(b))
        return false;
    uint8_t *x = mary_alloc(size), *y = mary_alloc(size);
    onnx__attribute_proto__pack(a, x);
    onnx__attribute_proto__pack(b, y);
    bool same = memcmp(x, y, size) == 0;
    mary_free(x);
    mary_free(y);
    return same;
}

static bool match_value(matcher *m, const char *got, const char *expected);

static const char *domain_of(const Onnx__NodeProto *node)
{
    return node->domain == NULL ? "" : node->domain;
}

static bool match_node(matcher *m, const Onnx__NodeProto *got, const Onnx__NodeProto *expected)
{
    if (strcmp(got->op_type, expected->op_type) != 0 || strcmp(domain_of(got), domain_of(expected)) != 0)
        return differ(m, "'%s' comes from %s.%s, expected %s.%s", got->output[0], domain_of(got), got->op_type,
                      domain_of(expected), expected->op_type);
    if (got->n_attribute != expected->n_attribute)
        return differ(m, "%s of '%s' has %zu attributes, expected %zu", got->op_type, got->output[0], got->n_attribute,
                      expected->n_attribute);
    for (size_t i = 0; i < expected->n_attribute; i++) {
        const Onnx__AttributeProto *other = mary_attribute_find(got, expected->attribute[i]->name);
        if (other == NULL || !same_attribute(other, expected->attribute[i]))
            return differ(m, "%s of '%s': attribute '%s' is missing or differs", got->op_type, got->output[0],
                          expected->attribute[i]->name);
    }
    if (got->n_input != expected->n_input || got->n_output != expected->n_output)
        return differ(m, "%s of '%s' has %zu inputs and %zu outputs, expected %zu and %zu", got->op_type,
                      got->output[0], got->n_input, got->n_output, expected->n_input, expected->n_output);
    for (size_t i = 0; i < got->n_input; i++) {
        if (!match_value(m, got->input[i], expected->input[i]))
            return false;
    }
    return true;
}

static bool match_value(matcher *m, const char *got, const char *expected)
{
    if (got[0] == '\0' || expected[0] == '\0')
        return got[0] == expected[0] ? true : differ(m, "'%s' where '%s' is expected", got, expected);
    for (size_t i = 0; i < m->count; i++) {
        bool a = strcmp(m->pairs[i].got, got) == 0, b = strcmp(m->pairs[i].expected, expected) == 0;
        if (a && b)
            return true;
        if (a || b)
            return differ(m, "'%s' where '%s' is expected, but '%s' was '%s' before", got, expected, m->pairs[i].got,
                          m->pairs[i].expected);
    }
    if (!mary_reserve((void **)&m->pairs, &m->capacity, m->count + 1, sizeof *m->pairs))
        return differ(m, "out of memory");
    m->pairs[m->count++] = (pair){got, expected};

    const Onnx__GraphProto *a = m->got->proto->graph, *b = m->expected->proto->graph;
    bool input = mary_graph_is_input(m->got_index, got);
    if (input || mary_graph_is_input(m->expected_index, expected))
        return input && strcmp(got, expected) == 0
                   ? true
                   : differ(m, "'%s' where '%s' is expected: not the same input", got, expected);
    ptrdiff_t constant = mary_graph_initializer(m->got_index, got);
    ptrdiff_t expected_constant = mary_graph_initializer(m->expected_index, expected);
    if ((constant < 0) != (expected_constant < 0))
        return differ(m, "'%s' %s a constant, expected '%s'", got, constant < 0 ? "is not" : "is", expected);
    if (constant >= 0) {
        m->constants++;
        return same_constant(m, a->initializer[constant], b->initializer[expected_constant]);
    }
    ptrdiff_t producer = mary_graph_producer(m->got_index, got);
    ptrdiff_t expected_producer = mary_graph_producer(m->expected_index, expected);
    if (producer < 0 || expected_producer < 0)
        return differ(m, "'%s' or '%s' comes from nowhere", got, expected);
    const Onnx__NodeProto *node = a->node[producer], *other = b->node[expected_producer];
    size_t slot = 0;
    while (strcmp(node->output[slot], got) != 0)
        slot++;
    if (slot >= other->n_output || strcmp(other->output[slot], expected) != 0)
        return differ(m, "'%s' is output %zu of its node, expected '%s'", got, slot, expected);
    for (size_t i = 0; i < node->n_output; i++) { /* a node is matched when the first of its outputs is */
        for (size_t k = 0; i != slot && k + 1 < m->count; k++) {
            if (strcmp(m->pairs[k].got, node->output[i]) == 0)
                return true;
        }
    }
    m->nodes++;
    return match_node(m, node, other);
}

static bool match_interface(matcher *m, Onnx__ValueInfoProto *const *got, size_t got_count,
                            Onnx__ValueInfoProto *const *expected, size_t expected_count, const char *what)
{
    if (got_count != expected_count)
        return differ(m, "%zu %ss, expected %zu", got_count, what, expected_count);
    for (size_t i = 0; i < got_count; i++) {
        if (strcmp(got[i]->name, expected[i]->name) != 0)
            return differ(m, "%s %zu is '%s', expected '%s'", what, i, got[i]->name, expected[i]->name);
    }
    return true;
}

static bool match(matcher *m)
{
    const Onnx__GraphProto *a = m->got->proto->graph, *b = m->expected->proto->graph;
    if (!match_interface(m, a->input, a->n_input, b->input, b->n_input, "input") ||
        !match_interface(m, a->output, a->n_output, b->output, b->n_output, "output"))
        return false;
    for (size_t i = 0; i < a->n_output; i++) {
        if (!match_value(m, a->output[i]->name, b->output[i]->name))
            return false;
    }
    if (m->nodes != a->n_node || m->nodes != b->n_node)
        return differ(m, "%zu nodes and %zu expected, of which the outputs need %zu", a->n_node, b->n_node, m->nodes);
    if (m->constants != a->n_initializer || m->constants != b->n_initializer)
        return differ(m, "%zu initializers and %zu expected, of which the outputs need %zu", a->n_initializer,
                      b->n_initializer, m->constants);
    return true;
}

bool graph_match(const mary_model *got, const mary_model *expected, char *where, size_t size)
{
    matcher m = {.got = got, .expected = expected, .where = where, .size = size};
    where[0] = '\0';
    bool same = mary_graph_index_create(got->proto->graph, &m.got_index) == MARY_OK &&
                mary_graph_index_create(expected->proto->graph, &m.expected_index) == MARY_OK && match(&m);
    mary_graph_index_free(&m.got_index);
    mary_graph_index_free(&m.expected_index);
    mary_free(m.pairs);
    return same;
}
