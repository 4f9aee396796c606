/* Writing function bodies: a builder that adds nodes with standard operators, and the decoding of codes that all bodies
 * begin with. */
#ifndef MARY_CONVERT_BODY_BUILDER_H
#define MARY_CONVERT_BODY_BUILDER_H

#include "convert/layer.h"
#include "onnx/edit.h"

/* A function under construction; the first failure sticks. */
typedef struct mary_body {
    Onnx__FunctionProto *function;
    Onnx__NodeProto *last; /* the node added last, for its attributes */
    mary_status status;
} mary_body;

#define INT        ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT
#define INTS       ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS
#define FLOATS_ONE ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT
#define STRING     ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING

/* `inputs` and `attributes` are names separated by spaces. */
void mary_body_inputs(mary_body *b, const char *inputs);
void mary_body_attributes(mary_body *b, const char *attributes);
void mary_body_node(mary_body *b, const char *op, const char *inputs, const char *output);
/* Attributes of the node added last; the third takes the value of an attribute of the function. */
void mary_body_set_int(mary_body *b, const char *name, int64_t value);
void mary_body_set_ints(mary_body *b, const char *name, const int64_t *values, size_t count);
void mary_body_set_string(mary_body *b, const char *name, const char *value);
void mary_body_set_reference(mary_body *b, const char *name, const char *reference,
                             Onnx__AttributeProto__AttributeType type);
/* Constants. */
void mary_body_scalar(mary_body *b, const char *output, int64_t value);
void mary_body_vector(mary_body *b, const char *output, int64_t first, int64_t second, int64_t third, size_t count);
void mary_body_from_attribute(mary_body *b, const char *output, const char *attribute,
                              Onnx__AttributeProto__AttributeType type);
/* codes, levels and the attributes bits, row_length, weight_shape to W, [R, row_length]; leaves zero, one, shape
 * defined. */
void mary_body_decode(mary_body *b);
/* The attributes of Conv, or of ConvTranspose, that the function has, too. */
void mary_body_convolution(mary_body *b, bool transposed);
/* An empty function with one output, Y, that says in its doc_string what it is: the standard operator `standard` with
 * the weights that `weights` gives in terms of levels and codes. Freed by mary_body_finish. */
void mary_body_begin(mary_body *b, const char *name, int64_t opset, const char *standard, const char *weights);
/* Adds the function to the model unless there is one of its name that takes the same; one that does not is
 * MARY_ERROR_UNSUPPORTED. Returns the first failure since mary_body_begin. */
mary_status mary_body_finish(mary_body *b, mary_model *model);

#endif
