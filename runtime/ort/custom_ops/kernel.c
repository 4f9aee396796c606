/* One kernel of a session: its node's weights are packed when it is made; a run only computes. Several threads may run
 * it at once. */
#include <pthread.h>
#include <string.h>

#include "onnx/edit.h"
#include "onnx/memory.h"
#include "runtime/evaluate.h"
#include "runtime/ort/custom_ops/custom_ops.h"
#include "runtime/ort/custom_ops/team.h"

enum { SMALL_SCRATCH = 16384 }; /* bytes: up to so many are on the stack */

typedef struct kernel {
    const OrtApi *api;
    OrtMemoryInfo *memory; /* of ONNX Runtime's arena, where scratch comes from */
    Onnx__NodeProto *proto;
    char *name;
    mary_op_node node;
    mary_type half;    /* of X and Y when that is not float; else undefined */
    int input_count;   /* that ONNX Runtime has */
    uint64_t consumed; /* inputs that pack took over: of those only type and shape are known */
    uint64_t owned;    /* constants whose value is a copy of the kernel's */
    mary_tensor constants[MARY_ORT_MOST_INPUTS]; /* zeroed for inputs that are not constant */
    int source[MARY_ORT_MOST_INPUTS];            /* which of ONNX Runtime's inputs each of the node's is */
    mary_ort_learner learner;
    const mary_ort_operator *op;
    /* Weights that are no constants, though they hardly ever change: packed when they are first seen, and again when
     * they are others. */
    bool late;
    pthread_mutex_t lock;                   /* held by the run, when late */
    mary_tensor seen[MARY_ORT_MOST_INPUTS]; /* copies of what was packed, all inputs but X */
} kernel;

static bool is_half(mary_type type)
{
    return type == MARY_FLOAT16 || type == MARY_BFLOAT16;
}

static void release(mary_op_node *node)
{
    if (node->op->release != NULL)
        node->op->release(node);
    else
        mary_free(node->state);
    node->state = NULL;
}

/* ---- making one ---- */

/* A constant of a half type becomes a float copy. */
static mary_status take_half(kernel *k, int i)
{
    mary_tensor *constant = &k->constants[i];
    if (!is_half(constant->type))
        return MARY_OK;
    int64_t count = mary_shape_count(&constant->shape);
    float *copy = mary_alloc((size_t)count * sizeof(float));
    if (copy == NULL)
        return mary_fail_memory((size_t)count * sizeof(float));
    mary_convert_half(constant->data, constant->type, copy, MARY_FLOAT, count);
    constant->type = MARY_FLOAT;
    constant->data = copy;
    k->owned |= UINT64_C(1) << i;
    return MARY_OK;
}

/* constants[i] := input i when it is a constant, half types as a float copy that the kernel owns; `there` says which
 * are. */
static mary_status read_constants(kernel *k, const OrtKernelInfo *info, const mary_tensor **there)
{
    const OrtApi *api = k->api;
    for (int i = 0; i < k->input_count; i++) {
        int is_constant = 0;
        const OrtValue *value = NULL;
        mary_tensor *constant = &k->constants[i];
        MARY_TRY(mary_ort_take(api, api->KernelInfoGetConstantInput_tensor(info, (size_t)i, &is_constant, &value)));
        if (!is_constant || value == NULL)
            continue;
        MARY_TRY(mary_ort_tensor(api, value, k->name, constant));
        MARY_TRY(take_half(k, i));
        there[i] = constant;
    }
    return MARY_OK;
}

/* Of what pack took over only type and shape are left; the other constants' values stay where they are, ONNX Runtime's
 * as long as the session. */
static void drop_consumed(kernel *k)
{
    for (int i = 0; i < k->node.input_count; i++) {
        if (!(k->consumed >> i & 1))
            continue;
        if (k->owned >> i & 1)
            mary_free(k->constants[i].data);
        k->owned &= ~(UINT64_C(1) << i);
        k->constants[i].data = NULL;
    }
}

static void free_constants(kernel *k)
{
    for (int i = 0; i < MARY_ORT_MOST_INPUTS; i++) {
        mary_free(k->owned >> i & 1 ? k->constants[i].data : NULL);
        k->constants[i] = (mary_tensor){0};
    }
    k->owned = 0;
}

/* MaryGemm or MaryMatMul becomes an ordinary product: A, codes, levels, C? -> A, B, C?. */
static mary_status expand(kernel *k, const mary_tensor *const *there, mary_type type)
{
    const bool is_gemm = strcmp(k->node.op->type, "MaryGemm") == 0;
    mary_tensor b = {0};
    mary_op_node plain = k->node;
    plain.op = mary_op_find("", is_gemm ? "Gemm" : "MatMul", 13);
    plain.opset = 13;
    plain.input_count = k->node.input_count - 1;
    plain.state = NULL;
    uint64_t consumed = 0;
    mary_status status = mary_ort_expand(&k->node, there[1], there[2], type, &b);
    if (status == MARY_OK && is_gemm)
        status = mary_node_set_int(k->proto, "transB", 1);
    else if (status == MARY_OK)
        status = mary_ort_transpose_doubles(&b);
    release(&k->node);
    if (status == MARY_OK && plain.op->prepare != NULL)
        status = plain.op->prepare(&plain);
    k->node = plain;
    if (status == MARY_OK && plain.op->pack != NULL)
        status = plain.op->pack(&k->node, (const mary_tensor *[MARY_ORT_MOST_INPUTS]){NULL, &b}, &consumed);
    for (int i = 1; i < 3; i++)
        mary_free(k->owned >> i & 1 ? k->constants[i].data : NULL);
    k->constants[1] = b;
    k->constants[2] = k->constants[3]; /* zeroed when there is no C, or it is not constant */
    k->constants[3] = (mary_tensor){0};
    k->owned = k->owned >> 3 << 2 | 1u << 1;
    k->consumed = consumed;
    k->source[2] = 3;
    return status;
}

/* The node, with its weights packed; `there` holds all constants. */
static mary_status build(kernel *k, const mary_tensor *const *there)
{
    const mary_ort_definition *definition = k->op->definition;
    k->consumed = 0;
    for (int i = 0; i < MARY_ORT_MOST_INPUTS; i++)
        k->source[i] = i;
    k->node = (mary_op_node){.op = mary_op_find("ai.mary", definition->type, 1),
                             .proto = k->proto,
                             .name = k->name,
                             .opset = 1,
                             .input_count = k->input_count,
                             .output_count = 1,
                             .epilogue = {.residual = -1}};
    MARY_TRY(k->node.op->prepare(&k->node));
    if (there == NULL)
        return MARY_OK;
    if (mary_ort_is_expanded(&k->node, k->op->type))
        MARY_TRY(expand(k, there, k->op->type == MARY_DOUBLE ? MARY_DOUBLE : MARY_FLOAT));
    else
        MARY_TRY(k->node.op->pack(&k->node, there, &k->consumed));
    drop_consumed(k);
    return MARY_OK;
}

/* Is an input that should be a constant there without being one? ONNX Runtime 1.17 puts a Cast behind half levels at
 * times; and a file may have its codes as an input. The function body would run it, so this does. */
static mary_status find_late(kernel *k, const OrtKernelInfo *info, const mary_tensor *const *there)
{
    const mary_ort_definition *definition = k->op->definition;
    const bool all = definition->output_type == MARY_UINT8; /* B, too */
    for (int i = 1; i < (all ? k->input_count : definition->required); i++) {
        size_t size = 0; /* with the terminating zero; an absent input has no name */
        MARY_TRY(mary_ort_take(k->api, k->api->KernelInfo_GetInputName(info, (size_t)i, NULL, &size)));
        k->late = k->late || (there[i] == NULL && size > 1);
    }
    return MARY_OK;
}

static mary_status create(kernel *k, const OrtKernelInfo *info)
{
    const mary_tensor *there[MARY_ORT_MOST_INPUTS] = {0};
    const mary_ort_definition *definition = k->op->definition;
    size_t inputs;
    MARY_TRY(mary_ort_node_create(k->api, info, definition, &k->proto));
    k->name = mary_strdup(mary_node_label(k->proto));
    if (k->name == NULL)
        return mary_fail_memory(strlen(mary_node_label(k->proto)));
    MARY_TRY(mary_ort_take(k->api, k->api->KernelInfo_GetInputCount(info, &inputs)));
    MARY_TRY(mary_ort_take(k->api, k->api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &k->memory)));
    k->half = is_half(k->op->type) ? k->op->type : MARY_UNDEFINED;
    k->input_count = inputs < (size_t)definition->inputs ? (int)inputs : definition->inputs;
    mary_status status = read_constants(k, info, there);
    if (status == MARY_OK)
        status = find_late(k, info, there);
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", k->name, definition->type);
    return build(k, k->late ? NULL : there);
}

OrtStatus *mary_ort_kernel_create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **result)
{
    kernel *k = mary_calloc(1, sizeof *k);
    *result = NULL;
    if (k == NULL)
        return mary_ort_status(api, mary_fail_memory(sizeof *k));
    k->api = api;
    k->op = (const mary_ort_operator *)op;
    mary_ort_learner_init(&k->learner);
    pthread_mutex_init(&k->lock, NULL);
    mary_status status = create(k, info);
    if (status == MARY_OK)
        *result = k;
    OrtStatus *failure = mary_ort_status(api, status);
    if (status != MARY_OK)
        mary_ort_kernel_destroy(k);
    return failure;
}

void mary_ort_kernel_destroy(void *data)
{
    kernel *k = data;
    if (k == NULL)
        return;
    if (k->node.op != NULL)
        release(&k->node);
    free_constants(k);
    for (int i = 0; i < MARY_ORT_MOST_INPUTS; i++)
        mary_free(k->seen[i].data);
    pthread_mutex_destroy(&k->lock);
    if (k->memory != NULL)
        k->api->ReleaseMemoryInfo(k->memory);
    if (k->proto != NULL)
        mary_node_free(k->proto);
    mary_free(k->name);
    mary_free(k);
}

/* ---- weights that are no constants ---- */

static mary_status read_late(const kernel *k, const OrtKernelContext *context, mary_tensor *now)
{
    for (int i = 1; i < k->input_count; i++) {
        const OrtValue *value = NULL;
        MARY_TRY(mary_ort_take(k->api, k->api->KernelContext_GetInput(context, (size_t)i, &value)));
        if (value != NULL)
            MARY_TRY(mary_ort_tensor(k->api, value, k->name, &now[i]));
    }
    return MARY_OK;
}

static bool same(const mary_tensor *a, const mary_tensor *b)
{
    return a->type == b->type && mary_shape_equal(&a->shape, &b->shape) && (a->data == NULL) == (b->data == NULL) &&
           (a->data == NULL || memcmp(a->data, b->data, mary_tensor_bytes(a)) == 0);
}

/* Called with the lock held. */
static mary_status pack_late(kernel *k, const OrtKernelContext *context)
{
    mary_tensor now[MARY_ORT_MOST_INPUTS] = {{0}};
    const mary_tensor *there[MARY_ORT_MOST_INPUTS] = {0};
    bool changed = false;
    MARY_TRY(read_late(k, context, now));
    for (int i = 1; i < k->input_count; i++)
        changed = changed || !same(&now[i], &k->seen[i]);
    if (!changed)
        return MARY_OK;
    release(&k->node);
    free_constants(k);
    for (int i = 1; i < k->input_count; i++) {
        mary_free(k->seen[i].data);
        k->seen[i] = (mary_tensor){0};
    }
    for (int i = 1; i < k->input_count; i++) {
        if (now[i].data == NULL)
            continue;
        k->seen[i] = now[i];
        k->seen[i].data = mary_alloc(mary_tensor_bytes(&now[i]));
        if (k->seen[i].data == NULL)
            return mary_fail_memory(mary_tensor_bytes(&now[i]));
        memcpy(k->seen[i].data, now[i].data, mary_tensor_bytes(&now[i]));
        k->constants[i] = k->seen[i];
        MARY_TRY(take_half(k, i));
        there[i] = &k->constants[i];
    }
    mary_status status = build(k, there);
    if (status != MARY_OK) /* tried again by the next run */
        k->seen[1].type = MARY_UNDEFINED;
    return status;
}

/* ---- running it ---- */

/* One run: tensors as the operator sees them, and memory for what is not ONNX Runtime's. */
typedef struct evaluation {
    const kernel *k;
    OrtKernelContext *context;
    mary_tensor inputs[MARY_ORT_MOST_INPUTS], output;
    const mary_tensor *input_pointers[MARY_ORT_MOST_INPUTS];
    mary_tensor *output_pointer;
    mary_op_call call;
    mary_ort_team team;
    /* Bytes of memory: floats of each input that comes as half, of the output, then the operator's scratch. */
    size_t input_bytes[MARY_ORT_MOST_INPUTS], output_bytes, scratch_bytes;
} evaluation;

static mary_status read_inputs(evaluation *e)
{
    const kernel *k = e->k;
    for (int i = 0; i < k->node.input_count; i++) {
        const OrtValue *value = NULL;
        e->input_pointers[i] = &e->inputs[i];
        e->inputs[i] = k->constants[i];
        if (k->consumed >> i & 1 || e->inputs[i].data != NULL)
            continue;
        MARY_TRY(mary_ort_take(k->api, k->api->KernelContext_GetInput(e->context, (size_t)k->source[i], &value)));
        if (value != NULL)
            MARY_TRY(mary_ort_tensor(k->api, value, k->name, &e->inputs[i]));
        else
            e->input_pointers[i] = NULL;
    }
    return MARY_OK;
}

static mary_status aligned_bytes(const mary_shape *shape, size_t *bytes, size_t *total)
{
    *bytes = ((size_t)mary_shape_count(shape) * sizeof(float) + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
    return mary_size_add(*total, *bytes, total) ? MARY_OK : mary_fail_memory(SIZE_MAX);
}

/* Types as the operator sees them, shapes of outputs, sizes of memory. */
static mary_status plan(evaluation *e, size_t *total)
{
    const kernel *k = e->k;
    *total = MARY_ALIGNMENT;
    for (int i = 0; i < k->node.input_count; i++) {
        if (e->input_pointers[i] == NULL || !is_half(e->inputs[i].type))
            continue;
        MARY_TRY(aligned_bytes(&e->inputs[i].shape, &e->input_bytes[i], total));
        e->inputs[i].type = MARY_FLOAT;
    }
    MARY_TRY(k->node.op->infer(&k->node, &e->call));
    if (k->half != MARY_UNDEFINED)
        MARY_TRY(aligned_bytes(&e->output.shape, &e->output_bytes, total));
    if (k->node.op->scratch != NULL)
        MARY_TRY(k->node.op->scratch(&k->node, &e->call, &e->scratch_bytes));
    return mary_size_add(*total, e->scratch_bytes, total) ? MARY_OK : mary_fail_memory(SIZE_MAX);
}

/* With `memory` there for all that plan counted. */
static mary_status run(evaluation *e, void *memory, void *y)
{
    const kernel *k = e->k;
    char *free_memory = (char *)memory + (MARY_ALIGNMENT - (uintptr_t)memory % MARY_ALIGNMENT) % MARY_ALIGNMENT;
    for (int i = 0; i < k->node.input_count; i++) {
        if (e->input_bytes[i] == 0)
            continue;
        mary_convert_half(e->inputs[i].data, k->half, free_memory, MARY_FLOAT, mary_shape_count(&e->inputs[i].shape));
        e->inputs[i].data = free_memory;
        free_memory += e->input_bytes[i];
    }
    e->output.data = e->output_bytes > 0 ? free_memory : y;
    e->call.scratch = free_memory + e->output_bytes;
    MARY_TRY(k->node.op->run(&k->node, &e->call));
    if (e->output_bytes > 0)
        mary_convert_half(e->output.data, MARY_FLOAT, y, k->half, mary_shape_count(&e->output.shape));
    return MARY_OK;
}

static mary_status evaluate(evaluation *e)
{
    const kernel *k = e->k;
    const OrtApi *api = k->api;
    OrtAllocator *allocator = NULL;
    OrtValue *output = NULL;
    void *memory = NULL, *y = NULL;
    size_t total;
    _Alignas(MARY_ALIGNMENT) char small[SMALL_SCRATCH];
    mary_status status;
    MARY_TRY_GOTO(read_inputs(e), done);
    MARY_TRY_GOTO(plan(e, &total), done);
    const mary_shape *shape = &e->output.shape;
    MARY_TRY_GOTO(
        mary_ort_take(api, api->KernelContext_GetOutput(e->context, 0, shape->dims, (size_t)shape->rank, &output)),
        done);
    MARY_TRY_GOTO(mary_ort_take(api, api->GetTensorMutableData(output, &y)), done);
    if (mary_shape_count(shape) == 0)
        goto done;
    if (total <= sizeof small) {
        status = run(e, small, y);
        goto done;
    }
    MARY_TRY_GOTO(mary_ort_take(api, api->KernelContext_GetAllocator(e->context, k->memory, &allocator)), done);
    MARY_TRY_GOTO(mary_ort_take(api, api->AllocatorAlloc(allocator, total, &memory)), done);
    status = run(e, memory, y);
done:
    if (memory != NULL)
        (void)mary_ort_take(api, api->AllocatorFree(allocator, memory));
    if (allocator != NULL)
        api->ReleaseAllocator(allocator);
    return status;
}

OrtStatus *mary_ort_kernel_compute(void *data, OrtKernelContext *context)
{
    kernel *k = data;
    evaluation e;
    e.k = k;
    e.context = context;
    e.output = (mary_tensor){0};
    e.output_pointer = &e.output;
    memset(e.input_bytes, 0, sizeof e.input_bytes);
    e.output_bytes = e.scratch_bytes = 0;
    mary_ort_team_init(&e.team, &k->learner, k->api, context, mary_ort_learner_pieces(&k->learner));
    e.call = (mary_op_call){.inputs = e.input_pointers,
                            .input_count = k->node.input_count,
                            .outputs = &e.output_pointer,
                            .output_count = 1,
                            .parallel = &e.team.parallel};
    mary_status status = MARY_OK;
    if (k->late) {
        pthread_mutex_lock(&k->lock);
        status = pack_late(k, context);
        e.call.input_count = k->node.input_count;
    }
    if (status == MARY_OK)
        status = evaluate(&e);
    if (k->late)
        pthread_mutex_unlock(&k->lock);
    mary_ort_team_done(&e.team);
    return mary_ort_status(k->api, status);
}
