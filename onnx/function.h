/* Model-local functions: found by domain, name and overload. */
#ifndef MARY_ONNX_FUNCTION_H
#define MARY_ONNX_FUNCTION_H

#include "onnx/model.h"
#include "onnx/names.h"

/* A look-up table; starts zeroed. */
typedef struct mary_functions {
    mary_names positions; /* in model->proto->functions */
    char **keys;
    size_t count;
} mary_functions;

/* Duplicates and functions without a name are MARY_ERROR_INVALID. */
mary_status mary_functions_index(mary_functions *functions, const mary_model *model);
void mary_functions_free(mary_functions *functions);
/* *function is NULL when the node does not call one of the model's functions. */
mary_status mary_functions_find(const mary_functions *functions, const mary_model *model, const Onnx__NodeProto *node,
                                Onnx__FunctionProto **function);

/* The default of an attribute of the function (a field that the packaged schema does not have yet); *attribute is NULL
 * when there is none, else the caller's. */
mary_status mary_function_default(const Onnx__FunctionProto *function, const char *name,
                                  Onnx__AttributeProto **attribute);

/* Version that the function imports of a domain; 0: it does not. */
int64_t mary_function_opset(const Onnx__FunctionProto *function, const char *domain);

#endif
