#include "tests/support/gradient_check.h"

#include <math.h>
#include <stdio.h>

#include "onnx/memory.h"

enum { MOST = 17, GUARD = 64, GUARD_BYTE = 0x5a, MOST_ELEMENTS = 160 };

static bool ran_last;

/* The node with inputs of one type, prepared; run as often as wanted. */
typedef struct side {
    mary_op_node node;
    mary_model model;
    mary_op_call call;
    mary_tensor inputs[MOST], outputs[MOST];
    const mary_tensor *input_list[MOST];
    mary_tensor *output_list[MOST];
    void *scratch;
} side;

typedef struct check {
    op_case *c;
    const mary_op_gradient *gradient;
    side single, precise; /* float, double */
    float *first[MOST],
        *second[MOST];         /* per output: random gradient and second derivative of a loss; NULL: not float */
    double *expected[2][MOST]; /* per input: gradient, second derivative; of the elements that are checked */
    uint32_t seed;
    double worst;
    char where[200];
} check;

int64_t gradient_random(uint32_t *seed, int64_t least, int64_t most)
{
    *seed = *seed * 1664525u + 1013904223u;
    return least + (int64_t)(*seed >> 8) % (most - least + 1);
}

static float next_float(check *k)
{
    return (float)gradient_random(&k->seed, 1, 2000) / 1000.0f - 1.0f;
}

static void *test_alloc(size_t size)
{
    void *block = aligned_alloc(MARY_ALIGNMENT, (size + MARY_ALIGNMENT) / MARY_ALIGNMENT * MARY_ALIGNMENT);
    ck_assert_ptr_nonnull(block);
    memset(block, 0xff, (size + MARY_ALIGNMENT) / MARY_ALIGNMENT * MARY_ALIGNMENT); /* NaN in floats */
    return block;
}

/* ---- running one side ---- */

static void start(check *k, side *s, bool precise)
{
    int opset;
    *s = (side){.model.path = (char *)"<test>"};
    s->node = (mary_op_node){.model = &s->model, .name = "node", .epilogue.residual = -1};
    s->node.proto = op_node(k->c, &opset);
    s->node.opset = opset;
    s->node.input_count = op_input_count(k->c);
    s->node.output_count = op_output_count(k->c);
    s->node.op = mary_op_find(s->node.proto->domain, s->node.proto->op_type, opset);
    ck_assert_ptr_nonnull(s->node.op);
    if (s->node.op->prepare != NULL)
        assert_ok(s->node.op->prepare(&s->node));
    for (int i = 0; i < s->node.input_count; i++) {
        const mary_tensor *from = op_input_tensor(k->c, i);
        if (from->data == NULL)
            continue;
        s->inputs[i] = *from;
        s->input_list[i] = &s->inputs[i];
        const int64_t count = mary_shape_count(&from->shape);
        s->inputs[i].type = from->type == MARY_FLOAT && precise ? MARY_DOUBLE : from->type;
        s->inputs[i].data = test_alloc(mary_tensor_bytes(&s->inputs[i]));
        for (int64_t e = 0; e < count && s->inputs[i].type == MARY_DOUBLE; e++)
            ((double *)s->inputs[i].data)[e] = (double)((const float *)from->data)[e];
        if (s->inputs[i].type == from->type)
            memcpy(s->inputs[i].data, from->data, mary_tensor_bytes(from));
    }
    for (int i = 0; i < s->node.output_count; i++)
        s->output_list[i] = &s->outputs[i];
    s->call = (mary_op_call){.inputs = s->input_list,
                             .input_count = s->node.input_count,
                             .outputs = s->output_list,
                             .output_count = s->node.output_count};
    if (!precise && k->gradient->pack != NULL) {
        const mary_tensor *constants[MOST] = {NULL};
        bool any = false;
        for (int i = 0; i < s->node.input_count; i++) {
            constants[i] = op_input_is_constant(k->c, i) ? s->input_list[i] : NULL;
            any = any || (i == 1 && constants[i] != NULL);
        }
        /* Twice: the second time, memory is there already. */
        if (any) {
            assert_ok(k->gradient->pack(&s->node, constants, false));
            assert_ok(k->gradient->pack(&s->node, constants, true));
        }
    }
    assert_ok(s->node.op->infer(&s->node, &s->call));
    for (int i = 0; i < s->node.output_count; i++)
        s->outputs[i].data = test_alloc(mary_tensor_bytes(&s->outputs[i]));
}

static void run(side *s)
{
    const mary_op *op = s->node.op;
    size_t bytes = 0;
    if (op->flags & MARY_OP_VIEW) {
        memcpy(s->outputs[0].data, s->inputs[0].data, mary_tensor_bytes(&s->inputs[0]));
        return;
    }
    if (op->scratch != NULL)
        assert_ok(op->scratch(&s->node, &s->call, &bytes));
    s->call.scratch = test_alloc(bytes);
    assert_ok(op->run(&s->node, &s->call));
    free(s->call.scratch);
    s->call.scratch = NULL;
}

static void stop(side *s)
{
    for (int i = 0; i < MOST; i++) {
        free(s->inputs[i].data);
        free(s->outputs[i].data);
    }
    if (s->node.op->release != NULL)
        s->node.op->release(&s->node);
    else
        mary_free(s->node.state);
}

/* ---- the numerical side ---- */

/* At most MOST_ELEMENTS of a tensor are checked, spread over it. */
static int64_t checked(int64_t count)
{
    return count < MOST_ELEMENTS ? count : MOST_ELEMENTS;
}

static int64_t element(int64_t number, int64_t count)
{
    return number * (count / checked(count));
}

static bool wanted(const check *k, int i)
{
    return k->single.input_list[i] != NULL && k->single.inputs[i].type == MARY_FLOAT &&
           (k->gradient->inputs >> i & 1) && mary_shape_count(&k->single.inputs[i].shape) > 0;
}

static double *all_outputs(const side *s)
{
    size_t total = 0;
    for (int i = 0; i < s->node.output_count; i++)
        total += (size_t)mary_shape_count(&s->outputs[i].shape);
    double *values = test_alloc(total * sizeof(double)), *to = values;
    for (int i = 0; i < s->node.output_count; i++) {
        for (int64_t e = 0; e < mary_shape_count(&s->outputs[i].shape); e++)
            *to++ = mary_tensor_double(&s->outputs[i], e);
    }
    return values;
}

static void differences(check *k, int input)
{
    side *s = &k->precise;
    const int64_t count = mary_shape_count(&s->inputs[input].shape), points = checked(count);
    double *x = s->inputs[input].data;
    k->expected[0][input] = test_alloc((size_t)points * sizeof(double));
    k->expected[1][input] = test_alloc((size_t)points * sizeof(double));
    for (int64_t p = 0; p < points; p++) {
        const double step = 1e-4, middle = x[element(p, count)];
        double *values[3];
        for (int side_of = 0; side_of < 3; side_of++) {
            x[element(p, count)] = middle + (side_of - 1) * step;
            run(s);
            values[side_of] = all_outputs(s);
        }
        x[element(p, count)] = middle;
        double first = 0, second = 0;
        int64_t at = 0;
        for (int i = 0; i < s->node.output_count; i++) {
            for (int64_t e = 0; e < mary_shape_count(&s->outputs[i].shape); e++, at++) {
                if (k->first[i] == NULL)
                    continue;
                const double slope = (values[2][at] - values[0][at]) / (2 * step);
                const double curve = (values[2][at] - 2 * values[1][at] + values[0][at]) / (step * step);
                first += (double)k->first[i][e] * slope;
                second += (double)k->second[i][e] * slope * slope + (double)k->first[i][e] * curve;
            }
        }
        k->expected[0][input][p] = first;
        k->expected[1][input][p] = second;
        for (int side_of = 0; side_of < 3; side_of++)
            free(values[side_of]);
    }
}

/* ---- the operator's side ---- */

static void run_pieces(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context)
{
    int64_t pieces = count / grain < 1 ? 1 : count / grain > 5 ? 5 : count / grain;
    for (int64_t i = pieces - 1; i >= 0; i--)
        task(context, count * i / pieces, count * (i + 1) / pieces, (int)(i % parallel->threads));
}

static int64_t position(const mary_tensor *tensor, int64_t plain)
{
    if (tensor->layout == MARY_LAYOUT_PLAIN)
        return plain;
    const int64_t channels = tensor->shape.dims[1],
                  pixels = mary_shape_count_range(&tensor->shape, 2, tensor->shape.rank);
    const int64_t pixel = plain % pixels, c = plain / pixels % channels, n = plain / pixels / channels;
    return (n * pixels + pixel) * tensor->pixel_stride + c;
}

/* `from` is plain; the tensor has its layout. */
static mary_tensor laid_out(const mary_tensor *tensor, const float *from)
{
    mary_tensor copy = *tensor;
    copy.data = test_alloc(mary_tensor_bytes(tensor));
    for (int64_t e = 0; e < mary_shape_count(&tensor->shape); e++)
        ((float *)copy.data)[position(tensor, e)] = from[e];
    return copy;
}

static void set_layout(mary_tensor *tensor)
{
    mary_tensor old = *tensor;
    if (tensor->shape.rank < 3 || tensor->type != MARY_FLOAT)
        return;
    tensor->layout = MARY_LAYOUT_CHANNELS_LAST;
    tensor->pixel_stride = tensor->shape.dims[1];
    *tensor = laid_out(tensor, old.data);
    free(old.data);
}

static void compare(check *k, int input, bool second, const mary_tensor *gradient, const float *before, const char *how)
{
    const int64_t count = mary_shape_count(&gradient->shape), points = checked(count);
    const double *expected = k->expected[second][input];
    double scale = 1e-3;
    for (int64_t p = 0; p < points; p++)
        scale = fmax(scale, fabs(expected[p]));
    for (int64_t p = 0; p < points; p++) {
        const int64_t at = position(gradient, element(p, count));
        const double got = (double)((const float *)gradient->data)[at] - (before != NULL ? (double)before[at] : 0);
        const double error = fabs(got - expected[p]) / scale;
        if (error > k->worst || isnan(got)) {
            k->worst = isnan(got) ? INFINITY : error;
            snprintf(k->where, sizeof k->where, "%s (%s%s): input %d, element %lld: %.9g, expected %.9g",
                     k->single.node.op->type, how, second ? ", second" : "", input, (long long)element(p, count), got,
                     expected[p]);
        }
    }
}

static void backward(check *k, bool second, bool accumulate, const mary_parallel *parallel, const char *how)
{
    side *s = &k->single;
    mary_tensor gradients[MOST], firsts[MOST], results[MOST];
    const mary_tensor *gradient_list[MOST] = {NULL}, *first_list[MOST] = {NULL};
    mary_tensor *result_list[MOST] = {NULL};
    char *blocks[MOST] = {NULL};
    float *before[MOST] = {NULL};
    bool add[MOST];
    for (int i = 0; i < s->node.output_count; i++) {
        if (k->first[i] == NULL)
            continue;
        firsts[i] = laid_out(&s->outputs[i], k->first[i]);
        gradients[i] = laid_out(&s->outputs[i], second ? k->second[i] : k->first[i]);
        gradient_list[i] = &gradients[i];
        first_list[i] = &firsts[i];
    }
    for (int i = 0; i < s->node.input_count; i++) {
        add[i] = accumulate;
        if (!wanted(k, i))
            continue;
        results[i] = s->inputs[i];
        const size_t bytes = mary_tensor_bytes(&results[i]);
        blocks[i] = test_alloc(bytes + 2 * GUARD);
        memset(blocks[i], GUARD_BYTE, GUARD);
        memset(blocks[i] + GUARD + bytes, GUARD_BYTE, GUARD);
        results[i].data = blocks[i] + GUARD;
        if (accumulate) {
            before[i] = test_alloc(bytes);
            for (size_t e = 0; e < bytes / sizeof(float); e++)
                ((float *)results[i].data)[e] = before[i][e] = next_float(k);
        }
        result_list[i] = &results[i];
    }
    mary_gradient_call call = {.forward = &s->call,
                               .output_gradients = gradient_list,
                               .output_firsts = first_list,
                               .input_gradients = result_list,
                               .accumulate = add,
                               .second = second,
                               .parallel = parallel};
    size_t bytes = 0;
    if (k->gradient->scratch != NULL)
        assert_ok(k->gradient->scratch(&s->node, &call, &bytes));
    char *scratch = test_alloc(bytes + GUARD);
    memset(scratch + bytes, GUARD_BYTE, GUARD);
    call.scratch = scratch;
    assert_ok(k->gradient->backward(&s->node, &call));
    for (int g = 0; g < GUARD; g++)
        ck_assert_msg(scratch[bytes + (size_t)g] == GUARD_BYTE, "%s (%s): wrote behind scratch", s->node.op->type, how);
    free(scratch);
    for (int i = 0; i < s->node.input_count; i++) {
        if (result_list[i] == NULL)
            continue;
        const size_t size = mary_tensor_bytes(&results[i]);
        for (int g = 0; g < GUARD; g++)
            ck_assert_msg(blocks[i][g] == GUARD_BYTE && blocks[i][GUARD + size + (size_t)g] == GUARD_BYTE,
                          "%s (%s): wrote beside the gradient of input %d", s->node.op->type, how, i);
        compare(k, i, second, &results[i], before[i], how);
        free(blocks[i]);
        free(before[i]);
    }
    for (int i = 0; i < s->node.output_count; i++) {
        if (k->first[i] != NULL) {
            free(firsts[i].data);
            free(gradients[i].data);
        }
    }
}

static void all_ways(check *k, const char *layout)
{
    static const mary_parallel pieces = {.threads = 3, .run = run_pieces};
    char how[80];
    for (int way = 0; way < 8; way++) {
        const bool second = way & 1, accumulate = way & 2, threads = way & 4;
        snprintf(how, sizeof how, "%s%s%s", layout, accumulate ? ", added" : "", threads ? ", threads" : "");
        backward(k, second, accumulate, threads ? &pieces : NULL, how);
    }
}

double gradient_error(op_case *c, const mary_op_gradient *gradient)
{
    int opset;
    const Onnx__NodeProto *proto = op_node(c, &opset);
    const mary_op *op = mary_op_find(proto->domain, proto->op_type, opset);
    check *k = calloc(1, sizeof *k);
    ck_assert_ptr_nonnull(k);
    ck_assert_ptr_nonnull(op);
    k->c = c;
    k->gradient = gradient != NULL ? gradient : op->gradient;
    k->seed = 7;
    ck_assert_msg(k->gradient != NULL, "%s has no gradient", proto->op_type);
    start(k, &k->single, false);
    start(k, &k->precise, true);
    if (k->gradient->check != NULL)
        assert_ok(k->gradient->check(&k->single.node));
    for (int i = 0; i < k->single.node.output_count; i++) {
        const int64_t count = mary_shape_count(&k->single.outputs[i].shape);
        if (k->single.outputs[i].type != MARY_FLOAT)
            continue;
        k->first[i] = test_alloc((size_t)count * sizeof(float));
        k->second[i] = test_alloc((size_t)count * sizeof(float));
        for (int64_t e = 0; e < count; e++) {
            k->first[i][e] = next_float(k);
            k->second[i][e] = fabsf(next_float(k));
        }
    }
    for (int i = 0; i < k->single.node.input_count; i++) {
        if (wanted(k, i))
            differences(k, i);
    }
    bool wants, last = (k->gradient->flags & MARY_GRADIENT_ANY_LAYOUT) && op->channels_last != NULL &&
                       op->channels_last(&k->single.node, &k->single.call, &wants);
    const bool only_last = last && wants;
    for (int i = 0; i < k->single.node.output_count; i++)
        last = last && k->single.outputs[i].shape.rank >= 3;
    if (!only_last) {
        run(&k->single);
        all_ways(k, "plain");
    }
    if (last) {
        for (int i = 0; i < k->single.node.input_count; i++) {
            if (k->single.input_list[i] != NULL && !op_input_is_constant(c, i))
                set_layout(&k->single.inputs[i]);
        }
        for (int i = 0; i < k->single.node.output_count; i++)
            set_layout(&k->single.outputs[i]);
        k->single.node.channels_last = true;
        run(&k->single);
        all_ways(k, "channels last");
    }
    ran_last = last;
    const double worst = k->worst;
    if (worst > 1e-4)
        fprintf(stderr, "%s: error %g\n", k->where, worst);
    for (int i = 0; i < MOST; i++) {
        free(k->first[i]);
        free(k->second[i]);
        free(k->expected[0][i]);
        free(k->expected[1][i]);
    }
    stop(&k->single);
    stop(&k->precise);
    free(k);
    return worst;
}

void gradient_check(op_case *c)
{
    int opset;
    const double error = gradient_error(c, NULL);
    ck_assert_msg(error <= 1e-4, "%s: a gradient is off by %g", op_node(c, &opset)->op_type, error);
}

bool gradient_checked_channels_last(void)
{
    return ran_last;
}
