/* Comparing whole graphs up to renaming: rewrites are tested against the graph that they should give. */
#ifndef MARY_TESTS_GRAPH_MATCH_H
#define MARY_TESTS_GRAPH_MATCH_H

#include "onnx/model.h"

/* Do the main graphs of the two models compute the same in the same way? Inputs and outputs must agree in number, order
 * and name; from the outputs backwards, nodes must agree in domain, operator, attributes and inputs, constants in type,
 * shape and value (floats to 1e-6 of the largest); values in between may have any name, but the same one everywhere.
 * Nodes and initializers that no output needs must not be there. False: `where` (of `size`) says what differs first. */
bool graph_match(const mary_model *got, const mary_model *expected, char *where, size_t size);

/* graph_match as an assertion. */
#define assert_graph(got, expected)                                                                                    \
    do {                                                                                                               \
        char assert_where[512];                                                                                        \
        ck_assert_msg(graph_match(got, expected, assert_where, sizeof assert_where), "%s", assert_where);              \
    } while (0)

#endif
