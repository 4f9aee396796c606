/* The list of operators, and what ONNX Runtime asks of each. */
#include <pthread.h>

#include "runtime/ort/custom_ops/custom_ops.h"

#define CODED MARY_UNDEFINED, MARY_UINT8, MARY_UNDEFINED
#define QUANTISED                                                                                                      \
    MARY_UINT8, MARY_FLOAT, MARY_UINT8, MARY_UINT8, MARY_INT8, MARY_FLOAT, MARY_INT8, MARY_FLOAT, MARY_UINT8
#define WEIGHT                                                                                                         \
    {"weight_shape", MARY_ORT_INTS}, {"row_length", MARY_ORT_INT},                                                     \
    {                                                                                                                  \
        "bits", MARY_ORT_INT                                                                                           \
    }
#define WINDOW                                                                                                         \
    {"auto_pad", MARY_ORT_STRING}, {"dilations", MARY_ORT_INTS}, {"group", MARY_ORT_INT},                              \
        {"kernel_shape", MARY_ORT_INTS}, {"pads", MARY_ORT_INTS},                                                      \
    {                                                                                                                  \
        "strides", MARY_ORT_INTS                                                                                       \
    }
#define PRODUCT                                                                                                        \
    {"alpha", MARY_ORT_FLOAT}, {"beta", MARY_ORT_FLOAT},                                                               \
    {                                                                                                                  \
        "transA", MARY_ORT_INT                                                                                         \
    }

static const mary_ort_definition definitions[] = {
    {.type = "MaryConv",
     .inputs = 4,
     .required = 3,
     .input_types = {CODED, MARY_UNDEFINED},
     .attributes = {WEIGHT, WINDOW}},
    {.type = "MaryConvTranspose",
     .inputs = 4,
     .required = 3,
     .input_types = {CODED, MARY_UNDEFINED},
     .attributes = {WEIGHT, WINDOW, {"output_padding", MARY_ORT_INTS}, {"output_shape", MARY_ORT_INTS}}},
    {.type = "MaryGemm",
     .inputs = 4,
     .required = 3,
     .input_types = {CODED, MARY_UNDEFINED},
     .wins = true,
     .attributes = {WEIGHT, PRODUCT}},
    {.type = "MaryMatMul", .inputs = 3, .required = 3, .input_types = {CODED}, .attributes = {WEIGHT}},
    {.type = "MaryQLinearConv",
     .inputs = 10,
     .required = 9,
     .input_types = {QUANTISED, MARY_INT32},
     .output_type = MARY_UINT8,
     .attributes = {WEIGHT, WINDOW}},
    {.type = "MaryQLinearGemm",
     .inputs = 10,
     .required = 9,
     .input_types = {QUANTISED, MARY_INT32},
     .output_type = MARY_UINT8,
     .wins = true,
     .attributes = {WEIGHT, PRODUCT}},
    {.type = "MaryQLinearMatMul",
     .wins = true,
     .inputs = 9,
     .required = 9,
     .input_types = {QUANTISED},
     .output_type = MARY_UINT8,
     .attributes = {WEIGHT}},
};

enum { DEFINITIONS = sizeof definitions / sizeof *definitions };
static const mary_type float_types[] = {MARY_FLOAT, MARY_FLOAT16, MARY_BFLOAT16, MARY_DOUBLE};
enum { FLOAT_TYPES = sizeof float_types / sizeof *float_types };

/* ---- what ONNX Runtime asks ---- */

static const mary_ort_definition *definition_of(const OrtCustomOp *op)
{
    return ((const mary_ort_operator *)op)->definition;
}

static ONNXTensorElementDataType resolve(const OrtCustomOp *op, mary_type type)
{
    if (type == MARY_UNDEFINED)
        type = ((const mary_ort_operator *)op)->type;
    return (ONNXTensorElementDataType)type; /* the numbers are ONNX's on both sides */
}

static const char *name_of(const OrtCustomOp *op)
{
    return definition_of(op)->type;
}

static const char *provider_of(const OrtCustomOp *op)
{
    (void)op;
    return NULL; /* the CPU's */
}

static ONNXTensorElementDataType input_type(const OrtCustomOp *op, size_t index)
{
    return resolve(op, definition_of(op)->input_types[index]);
}

static size_t input_count(const OrtCustomOp *op)
{
    return (size_t)definition_of(op)->inputs;
}

static ONNXTensorElementDataType output_type(const OrtCustomOp *op, size_t index)
{
    (void)index;
    return resolve(op, definition_of(op)->output_type);
}

static size_t output_count(const OrtCustomOp *op)
{
    (void)op;
    return 1;
}

static OrtCustomOpInputOutputCharacteristic input_characteristic(const OrtCustomOp *op, size_t index)
{
    return (int)index < definition_of(op)->required ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
}

static OrtCustomOpInputOutputCharacteristic output_characteristic(const OrtCustomOp *op, size_t index)
{
    (void)op, (void)index;
    return INPUT_OUTPUT_REQUIRED;
}

static OrtMemType memory_type(const OrtCustomOp *op, size_t index)
{
    (void)op, (void)index;
    return OrtMemTypeDefault;
}

static int variadic_minimum(const OrtCustomOp *op)
{
    (void)op;
    return 1;
}

static int variadic_homogeneous(const OrtCustomOp *op)
{
    (void)op;
    return 1;
}

static int version(const OrtCustomOp *op)
{
    (void)op;
    return 1; /* of the domain: docs/operators.md */
}

static int last_version(const OrtCustomOp *op)
{
    (void)op;
    return INT32_MAX; /* models that import a later version have told so: a new definition would end this one */
}

static const OrtCustomOp callbacks = {.version = MARY_ORT_API,
                                      .GetName = name_of,
                                      .GetExecutionProviderType = provider_of,
                                      .GetInputType = input_type,
                                      .GetInputTypeCount = input_count,
                                      .GetOutputType = output_type,
                                      .GetOutputTypeCount = output_count,
                                      .KernelDestroy = mary_ort_kernel_destroy,
                                      .GetInputCharacteristic = input_characteristic,
                                      .GetOutputCharacteristic = output_characteristic,
                                      .GetInputMemoryType = memory_type,
                                      .GetVariadicInputMinArity = variadic_minimum,
                                      .GetVariadicInputHomogeneity = variadic_homogeneous,
                                      .GetVariadicOutputMinArity = variadic_minimum,
                                      .GetVariadicOutputHomogeneity = variadic_homogeneous,
                                      .CreateKernelV2 = mary_ort_kernel_create,
                                      .KernelComputeV2 = mary_ort_kernel_compute,
                                      .GetStartVersion = version,
                                      .GetEndVersion = last_version};

const mary_ort_definition *mary_ort_definition_at(int index)
{
    return index < DEFINITIONS ? &definitions[index] : NULL;
}

int mary_ort_definition_index(const mary_ort_definition *definition)
{
    return (int)(definition - definitions);
}

static mary_ort_operator operators[DEFINITIONS * FLOAT_TYPES];
static size_t operator_total;

static void fill(void)
{
    for (size_t i = 0; i < DEFINITIONS; i++) {
        bool one = definitions[i].output_type != MARY_UNDEFINED; /* integers have no other type */
        for (size_t t = 0; t < (one ? 1 : FLOAT_TYPES); t++)
            operators[operator_total++] =
                (mary_ort_operator){.base = callbacks, .definition = &definitions[i], .type = float_types[t]};
    }
}

mary_ort_operator *mary_ort_operators(size_t *count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    *count = operator_total;
    return operators;
}
