/* Cast and CastLike between all numeric types and bool.
 *
 * Integer to integer keeps the low bits, as two's complement does. Float to integer truncates; ONNX leaves what is out
 * of range open: here it becomes the nearest value of the type, and NaN becomes 0. To bool: 0 is false, all else is
 * true (NaN too). To float16 and bfloat16 every source is rounded once, to nearest even, double and int64 too. */
#include "ops/copy.h"

#include <string.h>

typedef struct cast_state {
    mary_type type; /* MARY_UNDEFINED: that of input 1 (CastLike) */
} cast_state;

/* ---- conversions of one value ---- */

#define SATURATE(type, least, most, bound)                                                                             \
    static inline type##_t type##_from_double(double value)                                                            \
    {                                                                                                                  \
        if (value != value)                                                                                            \
            return 0;                                                                                                  \
        return value <= (double)(least) ? (least) : value >= (bound) ? (most) : (type##_t)value;                       \
    }
SATURATE(int8, INT8_MIN, INT8_MAX, 0x1p7)
SATURATE(uint8, 0, UINT8_MAX, 0x1p8)
SATURATE(int16, INT16_MIN, INT16_MAX, 0x1p15)
SATURATE(uint16, 0, UINT16_MAX, 0x1p16)
SATURATE(int32, INT32_MIN, INT32_MAX, 0x1p31)
SATURATE(uint32, 0, UINT32_MAX, 0x1p32)
SATURATE(int64, INT64_MIN, INT64_MAX, 0x1p63)
SATURATE(uint64, 0, UINT64_MAX, 0x1p64)

/* The float next to `value` towards zero with its last bit set when inexact ("round to odd"): rounding that again to a
 * shorter type gives what rounding `value` itself would. */
static float narrow_to_odd(double value)
{
    float result = (float)value;
    uint32_t bits;
    if (value != value || (double)result == value)
        return result;
    memcpy(&bits, &result, sizeof bits);
    if ((double)result > value ? value > 0 : value < 0) /* rounded away from zero */
        bits--;
    bits |= 1;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/* Exact enough for the same purpose: bits below a double's precision are gathered into one that it keeps. */
static double unsigned_to_odd(uint64_t value)
{
    if (value >> 53 != 0)
        value = (value & ~UINT64_C(0xfff)) | ((value & 0xfff) != 0 ? 0x1000 : 0);
    return (double)value;
}
static double signed_to_odd(int64_t value)
{
    return value < 0 ? -unsigned_to_odd(0 - (uint64_t)value) : unsigned_to_odd((uint64_t)value);
}

#define TO_FLOAT_ODD(value)                                                                                            \
    _Generic((value), float                                                                                            \
             : (float)(value), double                                                                                  \
             : narrow_to_odd((double)(value)), uint64_t                                                                \
             : narrow_to_odd(unsigned_to_odd((uint64_t)(value))), default                                              \
             : narrow_to_odd(signed_to_odd((int64_t)(value))))

#define TO_INTEGER(type, value)                                                                                        \
    _Generic((value), float                                                                                            \
             : type##_from_double((double)(value)), double                                                             \
             : type##_from_double((double)(value)), default                                                            \
             : (type##_t)(value))

/* ---- loops: one for every pair of types ---- */

typedef struct cast_job {
    mary_type from, to;
    const void *source;
    void *target;
} cast_job;

#define LOOP(target_type, expression)                                                                                  \
    do {                                                                                                               \
        target_type *out = job->target;                                                                                \
        for (int64_t i = begin; i < end; i++)                                                                          \
            out[i] = (target_type)(expression);                                                                        \
    } while (0)

#define CAST_FROM(name, source_type, load)                                                                             \
    static void cast_##name(const cast_job *job, int64_t begin, int64_t end)                                           \
    {                                                                                                                  \
        const source_type *in = job->source;                                                                           \
        switch (job->to) {                                                                                             \
        case MARY_FLOAT:                                                                                               \
            LOOP(float, (float)load(in[i]));                                                                           \
            break;                                                                                                     \
        case MARY_DOUBLE:                                                                                              \
            LOOP(double, (double)load(in[i]));                                                                         \
            break;                                                                                                     \
        case MARY_FLOAT16:                                                                                             \
            LOOP(uint16_t, mary_float_to_half(TO_FLOAT_ODD(load(in[i]))));                                             \
            break;                                                                                                     \
        case MARY_BFLOAT16:                                                                                            \
            LOOP(uint16_t, mary_float_to_bfloat(TO_FLOAT_ODD(load(in[i]))));                                           \
            break;                                                                                                     \
        case MARY_INT8:                                                                                                \
            LOOP(int8_t, TO_INTEGER(int8, load(in[i])));                                                               \
            break;                                                                                                     \
        case MARY_UINT8:                                                                                               \
            LOOP(uint8_t, TO_INTEGER(uint8, load(in[i])));                                                             \
            break;                                                                                                     \
        case MARY_INT16:                                                                                               \
            LOOP(int16_t, TO_INTEGER(int16, load(in[i])));                                                             \
            break;                                                                                                     \
        case MARY_UINT16:                                                                                              \
            LOOP(uint16_t, TO_INTEGER(uint16, load(in[i])));                                                           \
            break;                                                                                                     \
        case MARY_INT32:                                                                                               \
            LOOP(int32_t, TO_INTEGER(int32, load(in[i])));                                                             \
            break;                                                                                                     \
        case MARY_UINT32:                                                                                              \
            LOOP(uint32_t, TO_INTEGER(uint32, load(in[i])));                                                           \
            break;                                                                                                     \
        case MARY_INT64:                                                                                               \
            LOOP(int64_t, TO_INTEGER(int64, load(in[i])));                                                             \
            break;                                                                                                     \
        case MARY_UINT64:                                                                                              \
            LOOP(uint64_t, TO_INTEGER(uint64, load(in[i])));                                                           \
            break;                                                                                                     \
        default: /* bool */                                                                                            \
            LOOP(uint8_t, load(in[i]) != 0);                                                                           \
            break;                                                                                                     \
        }                                                                                                              \
    }

#define PLAIN(value) (value)
#define TRUTH(value) ((uint8_t)((value) != 0))
CAST_FROM(float, float, PLAIN)
CAST_FROM(double, double, PLAIN)
CAST_FROM(float16, uint16_t, mary_half_to_float)
CAST_FROM(bfloat16, uint16_t, mary_bfloat_to_float)
CAST_FROM(int8, int8_t, PLAIN)
CAST_FROM(uint8, uint8_t, PLAIN)
CAST_FROM(int16, int16_t, PLAIN)
CAST_FROM(uint16, uint16_t, PLAIN)
CAST_FROM(int32, int32_t, PLAIN)
CAST_FROM(uint32, uint32_t, PLAIN)
CAST_FROM(int64, int64_t, PLAIN)
CAST_FROM(uint64, uint64_t, PLAIN)
CAST_FROM(bool, uint8_t, TRUTH)

static void cast_task(void *context, int64_t begin, int64_t end, int thread)
{
    typedef void cast_function(const cast_job *job, int64_t begin, int64_t end);
    static cast_function *const functions[] = {
        [MARY_FLOAT] = cast_float,       [MARY_DOUBLE] = cast_double, [MARY_FLOAT16] = cast_float16,
        [MARY_BFLOAT16] = cast_bfloat16, [MARY_INT8] = cast_int8,     [MARY_UINT8] = cast_uint8,
        [MARY_INT16] = cast_int16,       [MARY_UINT16] = cast_uint16, [MARY_INT32] = cast_int32,
        [MARY_UINT32] = cast_uint32,     [MARY_INT64] = cast_int64,   [MARY_UINT64] = cast_uint64,
        [MARY_BOOL] = cast_bool};
    (void)thread;
    const cast_job *job = context;
    functions[job->from](job, begin, end);
}

/* ---- the operators ---- */

static mary_status cast_prepare(mary_op_node *node)
{
    int64_t type;
    MARY_TRY(mary_op_state(node, sizeof(cast_state)));
    cast_state *state = node->state;
    if (mary_attribute_find(node->proto, "to") == NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "attribute 'to' is missing");
    MARY_TRY(mary_attribute_int(node->proto, "to", 0, &type));
    if (type < 0 || type > 64 || mary_type_size((mary_type)type) == 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "casts to type %lld are not supported", (long long)type);
    state->type = (mary_type)type;
    return MARY_OK;
}

static mary_status like_prepare(mary_op_node *node)
{
    return mary_op_state(node, sizeof(cast_state));
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const cast_state *state = node->state;
    int inputs = state->type == MARY_UNDEFINED ? 2 : 1;
    MARY_TRY(mary_copy_expect(node, call, inputs, inputs, 1));
    mary_type type = state->type == MARY_UNDEFINED ? call->inputs[1]->type : state->type;
    if (mary_type_size(type) == 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "casts to type %s are not supported", mary_type_name(type));
    return mary_op_set_output(node, call, 0, type, &call->inputs[0]->shape);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    (void)node;
    const mary_tensor *input = call->inputs[0];
    mary_tensor *output = call->outputs[0];
    cast_job job = {.from = input->type, .to = output->type, .source = input->data, .target = output->data};
    int64_t count = (int64_t)(mary_tensor_bytes(output) / mary_type_size(output->type));
    if (job.source == job.target && job.from == job.to)
        return MARY_OK;
    if (job.from == job.to) /* NaN payloads and all */
        memcpy(job.target, job.source, mary_tensor_bytes(output));
    else
        mary_parallel_for(call->parallel, count, 16384, cast_task, &job);
    return MARY_OK;
}

const mary_op mary_ops_cast[] = {
    {.domain = "",
     .type = "Cast",
     .since = 6,
     .flags = MARY_OP_IN_PLACE | MARY_OP_HALF,
     .prepare = cast_prepare,
     .infer = infer,
     .run = run},
    {.domain = "",
     .type = "CastLike",
     .since = 15,
     .flags = MARY_OP_IN_PLACE | MARY_OP_HALF,
     .prepare = like_prepare,
     .infer = infer,
     .run = run},
    MARY_OP_END,
};
