/* MaryPacked, the one node of a packed model (docs/compression.md): the model that its first input stands for is
 * expanded when ONNX Runtime makes the kernel, and runs in a session of ours. */
#include "onnx/coding/packed.h"
#include "onnx/edit.h"
#include "runtime/ort/custom_ops/custom_ops.h"
#include "runtime/ort/runner.h"

static const mary_ort_definition definition = {.type = MARY_PACKED_OP}; /* no attributes */

/* ---- making a kernel ---- */

/* Threads are ONNX Runtime's alone: none is started to decode. */
static mary_status expand(const mary_tensor *stream, mary_model **model)
{
    uint8_t *plain;
    size_t size;
    MARY_TRY(mary_packed_expand(stream->data, mary_tensor_bytes(stream), 1, &plain, &size));
    mary_status status = mary_model_load_bytes(plain, size, "the packed model", model);
    mary_free(plain);
    if (status == MARY_OK && (*model)->packed) {
        mary_model_free(model);
        status = mary_fail(MARY_ERROR_UNSUPPORTED, "the packed model is packed once more");
    }
    return status;
}

static mary_status read_model(const OrtApi *api, const OrtKernelInfo *info, mary_model **model)
{
    int constant = 0;
    const OrtValue *value = NULL;
    mary_tensor stream;
    MARY_TRY(mary_ort_take(api, api->KernelInfoGetConstantInput_tensor(info, 0, &constant, &value)));
    if (!constant || value == NULL)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "the packed bytes, its first input, must be a constant");
    MARY_TRY(mary_ort_tensor(api, value, "packed", &stream));
    return expand(&stream, model);
}

/* The node lists inputs and outputs in the order of the model, under whatever names. */
static mary_status check_counts(const OrtApi *api, const OrtKernelInfo *info, const mary_ort_runner *r)
{
    size_t inputs, outputs;
    MARY_TRY(mary_ort_take(api, api->KernelInfo_GetInputCount(info, &inputs)));
    MARY_TRY(mary_ort_take(api, api->KernelInfo_GetOutputCount(info, &outputs)));
    if (inputs != (size_t)r->input_count + 1 || outputs != (size_t)r->output_count)
        return mary_fail(MARY_ERROR_INVALID, "%zu inputs and %zu outputs, the packed model takes %d and gives %d",
                         inputs - 1, outputs, r->input_count, r->output_count);
    return MARY_OK;
}

static mary_status prepare(mary_ort_runner *r, const OrtApi *api, const OrtKernelInfo *info)
{
    Onnx__NodeProto *node;
    mary_model *model = NULL;
    MARY_TRY(mary_ort_node_create(api, info, &definition, &node));
    mary_status status = read_model(api, info, &model);
    if (status == MARY_OK)
        status = mary_ort_runner_init(r, api, mary_node_label(node), &model, 1, 0);
    if (status == MARY_OK)
        status = check_counts(api, info, r);
    if (status != MARY_OK)
        mary_fail_context(status, "node '%s' (" MARY_PACKED_OP ")", mary_node_label(node));
    mary_node_free(node);
    return status;
}

static void destroy(void *kernel)
{
    if (kernel == NULL)
        return;
    mary_ort_runner_free(kernel);
    mary_free(kernel);
}

static OrtStatus *create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **kernel)
{
    (void)op;
    mary_ort_runner *r = mary_calloc(1, sizeof *r);
    *kernel = NULL;
    if (r == NULL)
        return mary_ort_status(api, mary_fail_memory(sizeof *r));
    OrtStatus *failure = mary_ort_status(api, prepare(r, api, info));
    if (failure == NULL)
        *kernel = r;
    else
        destroy(r);
    return failure;
}

static OrtStatus *compute(void *kernel, OrtKernelContext *context)
{
    mary_ort_runner *r = kernel;
    return mary_ort_status(r->api, mary_ort_runner_run(r, context));
}

/* ---- what ONNX Runtime asks ---- */

static const char *name_of(const OrtCustomOp *op)
{
    (void)op;
    return definition.type;
}

static const char *provider_of(const OrtCustomOp *op)
{
    (void)op;
    return NULL; /* the CPU's */
}

/* The stream, then the graph's inputs. */
static size_t input_count(const OrtCustomOp *op)
{
    (void)op;
    return 2;
}

static ONNXTensorElementDataType input_type(const OrtCustomOp *op, size_t index)
{
    (void)op;
    return index == 0 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

static OrtCustomOpInputOutputCharacteristic input_characteristic(const OrtCustomOp *op, size_t index)
{
    (void)op;
    return index == 0 ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_VARIADIC;
}

static size_t output_count(const OrtCustomOp *op)
{
    (void)op;
    return 1;
}

/* Of any type: graphs say what their outputs are. */
static ONNXTensorElementDataType output_type(const OrtCustomOp *op, size_t index)
{
    (void)op, (void)index;
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

static OrtCustomOpInputOutputCharacteristic output_characteristic(const OrtCustomOp *op, size_t index)
{
    (void)op, (void)index;
    return INPUT_OUTPUT_VARIADIC;
}

static OrtMemType memory_type(const OrtCustomOp *op, size_t index)
{
    (void)op, (void)index;
    return OrtMemTypeDefault;
}

static int input_minimum(const OrtCustomOp *op)
{
    (void)op;
    return 0; /* graphs without inputs exist */
}

static int output_minimum(const OrtCustomOp *op)
{
    (void)op;
    return 1;
}

static int homogeneous(const OrtCustomOp *op)
{
    (void)op;
    return 0;
}

static int version(const OrtCustomOp *op)
{
    (void)op;
    return 1; /* of the domain: docs/operators.md */
}

static int last_version(const OrtCustomOp *op)
{
    (void)op;
    return INT32_MAX;
}

const OrtCustomOp mary_ort_packed = {.version = MARY_ORT_API,
                                     .GetName = name_of,
                                     .GetExecutionProviderType = provider_of,
                                     .GetInputType = input_type,
                                     .GetInputTypeCount = input_count,
                                     .GetOutputType = output_type,
                                     .GetOutputTypeCount = output_count,
                                     .KernelDestroy = destroy,
                                     .GetInputCharacteristic = input_characteristic,
                                     .GetOutputCharacteristic = output_characteristic,
                                     .GetInputMemoryType = memory_type,
                                     .GetVariadicInputMinArity = input_minimum,
                                     .GetVariadicInputHomogeneity = homogeneous,
                                     .GetVariadicOutputMinArity = output_minimum,
                                     .GetVariadicOutputHomogeneity = homogeneous,
                                     .CreateKernelV2 = create,
                                     .KernelComputeV2 = compute,
                                     .GetStartVersion = version,
                                     .GetEndVersion = last_version};
