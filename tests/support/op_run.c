#include "tests/support/op_run.h"

#include <math.h>
#include <stdio.h>

#include "onnx/memory.h"

enum { MOST = 17, GUARD = 128, GUARD_BYTE = 0xa5 };

struct op_case {
    const char *domain, *type;
    int opset;
    Onnx__AttributeProto attributes[MOST];
    Onnx__AttributeProto *attribute_list[MOST];
    Onnx__NodeProto proto;
    char *names[2 * MOST];
    mary_tensor inputs[MOST]; /* data == NULL: absent */
    bool constant[MOST];
    int input_count, output_count;
    mary_epilogue epilogue;
    double tolerance;
    mary_tensor results[MOST]; /* of the first plain run */
    bool ran_channels_last;
    uint32_t seed;
};

typedef enum variant { PLAIN, THREADS, IN_PLACE, LAST, LAST_PADDED, VARIANTS } variant;
static const char *const variant_names[VARIANTS] = {"plain", "threads", "in place", "channels last",
                                                    "channels last, padded"};

static void *test_alloc(size_t size)
{
    void *block = aligned_alloc(MARY_ALIGNMENT, (size + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT);
    ck_assert_ptr_nonnull(block);
    return block;
}

op_case *op_case_new_in(const char *domain, const char *type, int opset)
{
    op_case *c = calloc(1, sizeof *c);
    ck_assert_ptr_nonnull(c);
    *c = (op_case){.domain = domain, .type = type, .opset = opset, .output_count = 1, .epilogue.residual = -1};
    c->tolerance = 1e-5;
    c->seed = 1;
    onnx__node_proto__init(&c->proto);
    c->proto.attribute = c->attribute_list;
    return c;
}

op_case *op_case_new(const char *type, int opset)
{
    return op_case_new_in("", type, opset);
}

void op_case_free(op_case *c)
{
    for (int i = 0; i < MOST; i++) {
        free(c->inputs[i].data);
        free(c->results[i].data);
        free(c->attributes[i].name);
        free(c->attributes[i].ints);
        free(c->attributes[i].floats);
        free(c->attributes[i].s.data);
    }
    free(c);
}

/* ---- attributes ---- */

static Onnx__AttributeProto *add_attribute(op_case *c, const char *name, Onnx__AttributeProto__AttributeType type)
{
    size_t n = c->proto.n_attribute++;
    ck_assert(n < MOST);
    Onnx__AttributeProto *attribute = &c->attributes[n];
    onnx__attribute_proto__init(attribute);
    attribute->name = strdup(name);
    attribute->type = type;
    attribute->has_type = 1;
    c->attribute_list[n] = attribute;
    return attribute;
}

static void *copy_of(const void *values, size_t size)
{
    void *copy = test_alloc(size + 1);
    if (size > 0)
        memcpy(copy, values, size);
    ((char *)copy)[size] = '\0';
    return copy;
}

void op_attribute_int(op_case *c, const char *name, int64_t value)
{
    Onnx__AttributeProto *attribute = add_attribute(c, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    attribute->i = value;
    attribute->has_i = 1;
}

void op_attribute_float(op_case *c, const char *name, float value)
{
    Onnx__AttributeProto *attribute = add_attribute(c, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    attribute->f = value;
    attribute->has_f = 1;
}

void op_attribute_string(op_case *c, const char *name, const char *value)
{
    Onnx__AttributeProto *attribute = add_attribute(c, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    attribute->s.data = copy_of(value, strlen(value));
    attribute->s.len = strlen(value);
    attribute->has_s = 1;
}

void op_attribute_ints(op_case *c, const char *name, int count, const int64_t *values)
{
    Onnx__AttributeProto *attribute = add_attribute(c, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    attribute->ints = copy_of(values, sizeof *values * (size_t)count);
    attribute->n_ints = (size_t)count;
}

void op_attribute_floats(op_case *c, const char *name, int count, const float *values)
{
    Onnx__AttributeProto *attribute = add_attribute(c, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS);
    attribute->floats = copy_of(values, sizeof *values * (size_t)count);
    attribute->n_floats = (size_t)count;
}

void op_attribute_tensor(op_case *c, const char *name, Onnx__TensorProto *value)
{
    add_attribute(c, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR)->t = value;
}

/* ---- inputs ---- */

static uint32_t next_random(op_case *c)
{
    c->seed = c->seed * 1664525u + 1013904223u;
    return c->seed >> 8;
}

static void fill_random(op_case *c, const mary_tensor *tensor)
{
    int64_t count = mary_shape_count(&tensor->shape);
    size_t size = mary_type_size(tensor->type);
    bool is_unsigned = tensor->type == MARY_UINT8 || tensor->type == MARY_UINT16 || tensor->type == MARY_UINT32 ||
                       tensor->type == MARY_UINT64;
    for (int64_t i = 0; i < count; i++) {
        uint32_t random = next_random(c);
        float real = (float)random / 4194304.0f - 2.0f;
        double wide = (double)real;
        int64_t integer = tensor->type == MARY_BOOL ? (int64_t)(random >> 4 & 1)
                          : is_unsigned             ? (int64_t)(random >> 4 & 7)
                                                    : (int64_t)(random >> 4 & 15) - 8;
        uint16_t half = tensor->type == MARY_FLOAT16 ? mary_float_to_half(real) : mary_float_to_bfloat(real);
        const void *value = tensor->type == MARY_FLOAT         ? (const void *)&real
                            : tensor->type == MARY_DOUBLE      ? (const void *)&wide
                            : mary_type_is_float(tensor->type) ? (const void *)&half
                                                               : (const void *)&integer;
        memcpy((char *)tensor->data + (size_t)i * size, value, size); /* little-endian, as everything here */
    }
}

static mary_tensor make_tensor(mary_type type, int rank, const int64_t *dims)
{
    mary_tensor tensor = {.type = type, .shape.rank = rank};
    ck_assert(rank <= MARY_MAX_RANK && mary_type_size(type) > 0);
    for (int i = 0; i < rank; i++)
        tensor.shape.dims[i] = dims[i];
    return tensor;
}

void op_input(op_case *c, mary_type type, int rank, const int64_t *dims, const void *values)
{
    ck_assert(c->input_count < MOST);
    mary_tensor *tensor = &c->inputs[c->input_count++];
    *tensor = make_tensor(type, rank, dims);
    size_t size = mary_tensor_bytes(tensor);
    tensor->data = test_alloc(size + 1);
    if (values == NULL)
        fill_random(c, tensor);
    else if (size > 0)
        memcpy(tensor->data, values, size);
}

void op_constant(op_case *c, mary_type type, int rank, const int64_t *dims, const void *values)
{
    op_input(c, type, rank, dims, values);
    c->constant[c->input_count - 1] = true;
}

void op_absent(op_case *c)
{
    ck_assert(c->input_count < MOST);
    c->input_count++;
}

void op_outputs(op_case *c, int count)
{
    ck_assert(count >= 1 && count <= MOST);
    c->output_count = count;
}

void op_epilogue(op_case *c, mary_epilogue epilogue)
{
    c->epilogue = epilogue;
}
void op_tolerance(op_case *c, double tolerance)
{
    c->tolerance = tolerance;
}
bool op_ran_channels_last(const op_case *c)
{
    return c->ran_channels_last;
}
const mary_tensor *op_input_tensor(const op_case *c, int index)
{
    return &c->inputs[index];
}

const Onnx__NodeProto *op_node(op_case *c, int *opset)
{
    c->proto.op_type = (char *)(uintptr_t)c->type;
    c->proto.domain = (char *)(uintptr_t)c->domain;
    *opset = c->opset;
    return &c->proto;
}

int op_input_count(const op_case *c)
{
    return c->input_count;
}

int op_output_count(const op_case *c)
{
    return c->output_count;
}

bool op_input_is_constant(const op_case *c, int index)
{
    return c->constant[index];
}

const mary_tensor *op_output(const op_case *c, int index)
{
    ck_assert_msg(index < c->output_count && c->results[index].data != NULL, "there is no output %d", index);
    return &c->results[index];
}

/* ---- layouts ---- */

/* Copies between plain and channels last; both tensors have memory. */
static void relayout(const mary_tensor *from, const mary_tensor *to)
{
    size_t size = mary_type_size(from->type);
    int64_t channels = from->shape.dims[1], pixels = mary_shape_count_range(&from->shape, 2, from->shape.rank);
    for (int64_t n = 0; n < from->shape.dims[0]; n++) {
        for (int64_t ch = 0; ch < channels; ch++) {
            for (int64_t p = 0; p < pixels; p++) {
                int64_t plain = (n * channels + ch) * pixels + p;
                int64_t a = from->layout == MARY_LAYOUT_PLAIN ? plain : (n * pixels + p) * from->pixel_stride + ch;
                int64_t b = to->layout == MARY_LAYOUT_PLAIN ? plain : (n * pixels + p) * to->pixel_stride + ch;
                memcpy((char *)to->data + (size_t)b * size, (const char *)from->data + (size_t)a * size, size);
            }
        }
    }
}

static void set_layout(mary_tensor *tensor, int64_t gap)
{
    if (tensor->shape.rank < 3)
        return;
    tensor->layout = MARY_LAYOUT_CHANNELS_LAST;
    tensor->pixel_stride = tensor->shape.dims[1] + gap;
}

/* Memory with guards; filled with 0xff, which is NaN in every float type. */
static char *guarded_alloc(size_t size)
{
    char *block = test_alloc(size + 2 * GUARD);
    memset(block, GUARD_BYTE, size + 2 * GUARD);
    memset(block + GUARD, 0xff, size);
    return block;
}

static void check_guards(const op_case *c, const char *block, size_t size, const char *what, int index, variant v)
{
    for (size_t i = 0; i < GUARD; i++) {
        ck_assert_msg((unsigned char)block[i] == GUARD_BYTE, "%s (%s, %s): wrote %zu bytes before %s %d", c->type,
                      variant_names[v], mary_cpu_name(mary_cpu_current()), GUARD - i, what, index);
        ck_assert_msg((unsigned char)block[GUARD + size + i] == GUARD_BYTE, "%s (%s, %s): wrote %zu bytes behind %s %d",
                      c->type, variant_names[v], mary_cpu_name(mary_cpu_current()), i + 1, what, index);
    }
}

/* ---- comparing ---- */

static bool values_agree(mary_type type, double a, double b, double tolerance)
{
    if (!mary_type_is_float(type))
        return false; /* bytes differed already */
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b))
        return a == b;
    return fabs(a - b) <= tolerance * fmax(1.0, fmax(fabs(a), fabs(b)));
}

static void compare(const op_case *c, int index, const mary_tensor *expected, const mary_tensor *got, double tolerance,
                    const char *how)
{
    char a[128], b[128];
    ck_assert_msg(expected->type == got->type, "%s output %d (%s): type %s, expected %s", c->type, index, how,
                  mary_type_name(got->type), mary_type_name(expected->type));
    ck_assert_msg(mary_shape_equal(&expected->shape, &got->shape), "%s output %d (%s): shape %s, expected %s", c->type,
                  index, how, mary_shape_format(&got->shape, a, sizeof a),
                  mary_shape_format(&expected->shape, b, sizeof b));
    size_t size = mary_type_size(expected->type);
    for (int64_t i = 0; i < mary_shape_count(&expected->shape); i++) {
        size_t at = (size_t)i * size;
        if (memcmp((const char *)expected->data + at, (const char *)got->data + at, size) == 0)
            continue;
        double want = mary_tensor_double(expected, i), have = mary_tensor_double(got, i);
        ck_assert_msg(values_agree(expected->type, want, have, tolerance),
                      "%s output %d (%s): element %lld of %s is %.9g, expected %.9g", c->type, index, how, (long long)i,
                      mary_shape_format(&got->shape, a, sizeof a), have, want);
    }
}

void op_expect_near(const op_case *c, int index, mary_type type, int rank, const int64_t *dims, const void *values,
                    double tolerance)
{
    mary_tensor expected = make_tensor(type, rank, dims);
    expected.data = (void *)(uintptr_t)values;
    compare(c, index, &expected, op_output(c, index), tolerance, "expected values");
}

void op_expect(const op_case *c, int index, mary_type type, int rank, const int64_t *dims, const void *values)
{
    op_expect_near(c, index, type, rank, dims, values, 1e-6);
}

/* ---- running ---- */

/* Cuts into as many pieces as the grain allows, at most 7, and runs them from the last to the first. */
static void run_pieces(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context)
{
    int64_t pieces = count / grain < 1 ? 1 : count / grain > 7 ? 7 : count / grain;
    for (int64_t i = pieces - 1; i >= 0; i--)
        task(context, count * i / pieces, count * (i + 1) / pieces, (int)(i % parallel->threads));
}

/* One evaluation under way. */
typedef struct evaluation {
    mary_op_node node;
    mary_op_call call;
    mary_tensor inputs[MOST], outputs[MOST];
    const mary_tensor *input_list[MOST];
    mary_tensor *output_list[MOST];
    mary_model model;
    bool prepared;
} evaluation;

static mary_status start(op_case *c, evaluation *e)
{
    *e = (evaluation){.model.path = (char *)"<test>"};
    e->node = (mary_op_node){.proto = &c->proto, .model = &e->model, .name = "node", .opset = c->opset};
    e->node.input_count = c->input_count;
    e->node.output_count = c->output_count;
    e->node.epilogue = c->epilogue;
    e->node.op = mary_op_find(c->domain, c->type, c->opset);
    ck_assert_msg(e->node.op != NULL, "no operator %s at opset %d", c->type, c->opset);
    c->proto.op_type = (char *)(uintptr_t)c->type;
    c->proto.domain = (char *)(uintptr_t)c->domain;
    e->prepared = true;
    if (e->node.op->prepare != NULL)
        MARY_TRY(e->node.op->prepare(&e->node));
    for (int i = 0; i < c->input_count; i++) {
        e->inputs[i] = c->inputs[i];
        e->input_list[i] = c->inputs[i].data != NULL ? &e->inputs[i] : NULL;
    }
    for (int i = 0; i < c->output_count; i++)
        e->output_list[i] = &e->outputs[i];
    e->call = (mary_op_call){.inputs = e->input_list, .input_count = c->input_count};
    e->call.outputs = e->output_list;
    e->call.output_count = c->output_count;
    if (e->node.op->pack == NULL)
        return MARY_OK;
    /* pack sees copies that are gone afterwards. */
    mary_tensor copies[MOST];
    const mary_tensor *constants[MOST] = {NULL};
    for (int i = 0; i < c->input_count; i++) {
        if (!c->constant[i])
            continue;
        copies[i] = c->inputs[i];
        copies[i].data = copy_of(c->inputs[i].data, mary_tensor_bytes(&c->inputs[i]));
        constants[i] = &copies[i];
    }
    uint64_t consumed = 0;
    mary_status status = e->node.op->pack(&e->node, constants, &consumed);
    for (int i = 0; i < c->input_count; i++) {
        if (constants[i] != NULL)
            free(copies[i].data);
        else
            ck_assert_msg(!(consumed >> i & 1), "%s: pack consumed input %d, which is no constant", c->type, i);
        if (consumed >> i & 1)
            e->inputs[i].data = NULL;
    }
    return status;
}

static void finish(evaluation *e)
{
    if (!e->prepared)
        return;
    if (e->node.op->release != NULL)
        e->node.op->release(&e->node);
    else
        mary_free(e->node.state);
}

static bool applicable(op_case *c, evaluation *e, variant v)
{
    const mary_op *op = e->node.op;
    bool wants = false;
    if (v == IN_PLACE)
        return (op->flags & MARY_OP_IN_PLACE) && c->input_count > 0 && !c->constant[0] && e->input_list[0] != NULL &&
               e->inputs[0].type == e->outputs[0].type &&
               mary_tensor_bytes(&e->inputs[0]) == mary_tensor_bytes(&e->outputs[0]);
    if (v == LAST || v == LAST_PADDED)
        return op->channels_last != NULL && op->channels_last(&e->node, &e->call, &wants);
    return true;
}

/* Runs one variant; results[i] (dense, malloc'ed) are set when it ran. */
static mary_status evaluate(op_case *c, variant v, mary_tensor *results, bool *ran)
{
    static const mary_parallel pieces = {.threads = 3, .run = run_pieces};
    evaluation e;
    char *input_blocks[MOST] = {NULL}, *input_copies[MOST] = {NULL}, *output_blocks[MOST] = {NULL}, *scratch = NULL;
    size_t scratch_bytes = 0;
    *ran = false;
    mary_status status = start(c, &e);
    const mary_op *op = e.node.op;
    MARY_TRY_GOTO(status, end);
    MARY_TRY_GOTO(op->infer(&e.node, &e.call), end);
    if (!applicable(c, &e, v))
        goto end;
    bool last = v == LAST || v == LAST_PADDED;
    e.node.channels_last = last;
    e.call.parallel = v == THREADS ? &pieces : NULL;
    for (int i = 0; i < c->input_count; i++) {
        if (e.inputs[i].data == NULL)
            continue;
        if (last && !c->constant[i])
            set_layout(&e.inputs[i], v == LAST ? 0 : 3 + i);
        size_t bytes = mary_tensor_bytes(&e.inputs[i]);
        input_blocks[i] = guarded_alloc(bytes);
        e.inputs[i].data = input_blocks[i] + GUARD;
        if (e.inputs[i].layout == MARY_LAYOUT_PLAIN)
            memcpy(e.inputs[i].data, c->inputs[i].data, bytes);
        else
            relayout(&c->inputs[i], &e.inputs[i]);
        input_copies[i] = copy_of(e.inputs[i].data, bytes);
    }
    for (int i = 0; i < c->output_count; i++) {
        ck_assert_msg(mary_type_size(e.outputs[i].type) > 0, "%s: infer left output %d without a type", c->type, i);
        if (last)
            set_layout(&e.outputs[i], v == LAST ? 0 : op->flags & MARY_OP_VIEW ? 3 : 5 + i); /* a view has one stride */
        output_blocks[i] = guarded_alloc(mary_tensor_bytes(&e.outputs[i]));
        e.outputs[i].data = v == IN_PLACE && i == 0 ? e.inputs[0].data : output_blocks[i] + GUARD;
    }
    if (op->scratch != NULL)
        MARY_TRY_GOTO(op->scratch(&e.node, &e.call, &scratch_bytes), end);
    scratch = guarded_alloc(scratch_bytes);
    e.call.scratch = scratch + GUARD;
    MARY_TRY_GOTO(op->run(&e.node, &e.call), end);
    *ran = true;

    check_guards(c, scratch, scratch_bytes, "scratch", 0, v);
    for (int i = 0; i < c->input_count; i++) {
        if (input_blocks[i] == NULL)
            continue;
        size_t bytes = mary_tensor_bytes(&e.inputs[i]);
        check_guards(c, input_blocks[i], bytes, "input", i, v);
        ck_assert_msg((v == IN_PLACE && i == 0) || memcmp(input_copies[i], e.inputs[i].data, bytes) == 0,
                      "%s (%s): input %d was changed", c->type, variant_names[v], i);
    }
    for (int i = 0; i < c->output_count; i++) {
        check_guards(c, output_blocks[i], mary_tensor_bytes(&e.outputs[i]), "output", i, v);
        results[i] = e.outputs[i];
        results[i].layout = MARY_LAYOUT_PLAIN;
        size_t bytes = mary_tensor_bytes(&results[i]);
        results[i].data = test_alloc(bytes + 1);
        if (e.outputs[i].layout == MARY_LAYOUT_PLAIN)
            memcpy(results[i].data, e.outputs[i].data, bytes);
        else
            relayout(&e.outputs[i], &results[i]);
    }
end:
    finish(&e);
    for (int i = 0; i < MOST; i++) {
        free(input_blocks[i]);
        free(input_copies[i]);
        free(output_blocks[i]);
    }
    free(scratch);
    return status;
}

static void forget_results(op_case *c)
{
    for (int i = 0; i < MOST; i++)
        free(c->results[i].data);
    memset(c->results, 0, sizeof c->results);
    c->ran_channels_last = false;
}

mary_status op_try(op_case *c)
{
    bool ran;
    forget_results(c);
    return evaluate(c, PLAIN, c->results, &ran);
}

mary_status op_infer_unknown(op_case *c, int unknown)
{
    evaluation e;
    mary_status status = start(c, &e);
    for (int i = 0; i < c->input_count; i++) {
        if (!c->constant[i] && (unknown < 0 || unknown == i))
            e.inputs[i].data = NULL;
    }
    if (status == MARY_OK)
        status = e.node.op->infer(&e.node, &e.call);
    finish(&e);
    return status;
}

void op_run(op_case *c)
{
    mary_cpu before = mary_cpu_current();
    bool have = false;
    forget_results(c);
    for (int cpu = MARY_CPU_SCALAR; cpu <= (int)mary_cpu_best(); cpu++) {
        if (!mary_cpu_supported((mary_cpu)cpu))
            continue;
        mary_cpu_set((mary_cpu)cpu);
        mary_tensor plain[MOST] = {{0}};
        for (variant v = PLAIN; v < VARIANTS; v++) {
            mary_tensor results[MOST] = {{0}};
            char how[64];
            bool ran;
            snprintf(how, sizeof how, "%s, %s", variant_names[v], mary_cpu_name((mary_cpu)cpu));
            mary_status status = evaluate(c, v, results, &ran);
            ck_assert_msg(status == MARY_OK, "%s (%s): status %d: %s", c->type, how, (int)status, mary_error_message());
            if (!ran)
                continue;
            c->ran_channels_last |= v == LAST;
            /* Threads must not change a bit; tiers and layouts may round differently. */
            for (int i = 0; i < c->output_count; i++) {
                if (v == THREADS)
                    compare(c, i, &plain[i], &results[i], 0, how);
                else if (have)
                    compare(c, i, &c->results[i], &results[i], c->tolerance, how);
                if (v == PLAIN) {
                    plain[i] = results[i];
                    if (!have)
                        c->results[i] = results[i];
                } else {
                    free(results[i].data);
                }
            }
            have = true;
        }
        for (int i = 0; i < c->output_count; i++) {
            if (plain[i].data != c->results[i].data)
                free(plain[i].data);
        }
    }
    mary_cpu_set(before);
}
