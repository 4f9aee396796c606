/* Equal, Greater, Less and their kin; And, Or, Xor; bitwise operators and BitShift. */
#include <string.h>

#include "ops/binary.h"

#define COMPARISON(name, operator)                                                                                     \
    MARY_BINARY_LOOP(name##_f32, float, uint8_t, a operator b)                                                         \
    MARY_BINARY_LOOP(name##_f64, double, uint8_t, a operator b)                                                        \
    MARY_BINARY_LOOP(name##_i8, int8_t, uint8_t, a operator b)                                                         \
    MARY_BINARY_LOOP(name##_i16, int16_t, uint8_t, a operator b)                                                       \
    MARY_BINARY_LOOP(name##_i32, int32_t, uint8_t, a operator b)                                                       \
    MARY_BINARY_LOOP(name##_i64, int64_t, uint8_t, a operator b)                                                       \
    MARY_BINARY_LOOP(name##_u8, uint8_t, uint8_t, a operator b)                                                        \
    MARY_BINARY_LOOP(name##_u16, uint16_t, uint8_t, a operator b)                                                      \
    MARY_BINARY_LOOP(name##_u32, uint32_t, uint8_t, a operator b)                                                      \
    MARY_BINARY_LOOP(name##_u64, uint64_t, uint8_t, a operator b)
COMPARISON(equal, ==)
COMPARISON(greater, >)
COMPARISON(greater_equal, >=)
COMPARISON(less, <)
COMPARISON(less_equal, <=)

MARY_BINARY_LOOP(equal_bool, uint8_t, uint8_t, (a != 0) == (b != 0))
MARY_BINARY_LOOP(and_bool, uint8_t, uint8_t, (a != 0) & (b != 0))
MARY_BINARY_LOOP(or_bool, uint8_t, uint8_t, (a != 0) | (b != 0))
MARY_BINARY_LOOP(xor_bool, uint8_t, uint8_t, (a != 0) ^ (b != 0))

#define SIGNED(name, expression)                                                                                       \
    MARY_BINARY_LOOP(name##_i8, int8_t, int8_t, expression)                                                            \
    MARY_BINARY_LOOP(name##_i16, int16_t, int16_t, expression)                                                         \
    MARY_BINARY_LOOP(name##_i32, int32_t, int32_t, expression)                                                         \
    MARY_BINARY_LOOP(name##_i64, int64_t, int64_t, expression)
#define UNSIGNED(name, expression)                                                                                     \
    MARY_BINARY_LOOP(name##_u8, uint8_t, uint8_t, expression)                                                          \
    MARY_BINARY_LOOP(name##_u16, uint16_t, uint16_t, expression)                                                       \
    MARY_BINARY_LOOP(name##_u32, uint32_t, uint32_t, expression)                                                       \
    MARY_BINARY_LOOP(name##_u64, uint64_t, uint64_t, expression)
#define INTEGERS(name, expression) SIGNED(name, expression) UNSIGNED(name, expression)
INTEGERS(bit_and, a &b)
INTEGERS(bit_or, a | b)
INTEGERS(bit_xor, a ^ b)

/* A shift by a negative number (huge as uint64_t), or by all bits or more, leaves only copies of the sign (right) or
 * zeros. */
#define IN_RANGE ((uint64_t)b < 8 * sizeof b)
INTEGERS(shift_left, IN_RANGE ? (uint64_t)a << b : 0)
SIGNED(shift_right, IN_RANGE ? a >> b : a < 0 ? -1 : 0)
UNSIGNED(shift_right, IN_RANGE ? a >> b : 0)

#define COMPARE(op_type, name)                                                                                         \
    {                                                                                                                  \
        .type = op_type, .result = MARY_BOOL, .loops = {                                                               \
            [MARY_FLOAT] = name##_f32,                                                                                 \
            [MARY_DOUBLE] = name##_f64,                                                                                \
            MARY_SIGNED_LOOPS(name),                                                                                   \
            MARY_UNSIGNED_LOOPS(name)                                                                                  \
        }                                                                                                              \
    }
#define BITWISE(op_type, name)                                                                                         \
    {                                                                                                                  \
        .type = op_type, .loops = { MARY_SIGNED_LOOPS(name), MARY_UNSIGNED_LOOPS(name) }                               \
    }

static const mary_binary list[] = {
    {.type = "Equal",
     .result = MARY_BOOL,
     .loops = {[MARY_FLOAT] = equal_f32,
               [MARY_DOUBLE] = equal_f64,
               [MARY_BOOL] = equal_bool,
               MARY_SIGNED_LOOPS(equal),
               MARY_UNSIGNED_LOOPS(equal)}},
    COMPARE("Greater", greater),
    COMPARE("GreaterOrEqual", greater_equal),
    COMPARE("Less", less),
    COMPARE("LessOrEqual", less_equal),
    {.type = "And", .loops[MARY_BOOL] = and_bool},
    {.type = "Or", .loops[MARY_BOOL] = or_bool},
    {.type = "Xor", .loops[MARY_BOOL] = xor_bool},
    BITWISE("BitwiseAnd", bit_and),
    BITWISE("BitwiseOr", bit_or),
    BITWISE("BitwiseXor", bit_xor),
    {0},
};

static const mary_binary left_shift = BITWISE("BitShift", shift_left);
static const mary_binary right_shift = BITWISE("BitShift", shift_right);

static mary_status prepare(mary_op_node *node)
{
    return mary_binary_prepare(node, list);
}

static mary_status prepare_shift(mary_op_node *node)
{
    const char *direction;
    MARY_TRY(mary_attribute_string(node->proto, "direction", "", &direction));
    bool left = strcmp(direction, "LEFT") == 0;
    if (!left && strcmp(direction, "RIGHT") != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "direction is '%s', it must be LEFT or RIGHT", direction);
    return mary_binary_prepare_as(node, left ? &left_shift : &right_shift);
}

#define OPERATOR(name, first, op_flags, preparation)                                                                   \
    {                                                                                                                  \
        .domain = "", .type = name, .since = first, .flags = op_flags, .prepare = preparation,                         \
        .infer = mary_binary_infer, .run = mary_binary_run, .channels_last = mary_broadcast_channels_last              \
    }

/* The first definitions; see mary_broadcast_align. */
#define EARLY(name)                                                                                                    \
    {                                                                                                                  \
        .domain = "", .type = name, .since = 1, .until = 6, .prepare = prepare, .infer = mary_binary_infer,            \
        .run = mary_binary_run                                                                                         \
    }

const mary_op mary_ops_compare[] = {
    EARLY("Equal"),
    EARLY("Greater"),
    EARLY("Less"),
    EARLY("And"),
    EARLY("Or"),
    EARLY("Xor"),
    OPERATOR("Equal", 7, 0, prepare),
    OPERATOR("Greater", 7, 0, prepare),
    OPERATOR("GreaterOrEqual", 12, 0, prepare),
    OPERATOR("Less", 7, 0, prepare),
    OPERATOR("LessOrEqual", 12, 0, prepare),
    OPERATOR("And", 7, MARY_OP_IN_PLACE, prepare),
    OPERATOR("Or", 7, MARY_OP_IN_PLACE, prepare),
    OPERATOR("Xor", 7, MARY_OP_IN_PLACE, prepare),
    OPERATOR("BitwiseAnd", 18, MARY_OP_IN_PLACE, prepare),
    OPERATOR("BitwiseOr", 18, MARY_OP_IN_PLACE, prepare),
    OPERATOR("BitwiseXor", 18, MARY_OP_IN_PLACE, prepare),
    OPERATOR("BitShift", 11, MARY_OP_IN_PLACE, prepare_shift),
    MARY_OP_END,
};
