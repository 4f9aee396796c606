/* Binary probabilities that adapt, and their mixture in the logistic domain, in integers only: encoder and decoder must
 * agree to the bit on every machine.
 *
 * Mixing: Mattoon's and Mahoney's logistic mixing, p = squash(sum of w_i * stretch(p_i)), stretch(p) = ln(p / (1 - p)),
 * weights trained online on the coding cost. Rates that fall as 1/n: the estimate is a mean until `limit` is reached.
 */
#ifndef MARY_ONNX_CODING_LOGISTIC_H
#define MARY_ONNX_CODING_LOGISTIC_H

#include <stddef.h>
#include <stdint.h>

/* stretch and squash, 8 fractional bits in the logistic domain: +-2047 is +-8. */
typedef struct mary_logistic {
    int16_t stretch[4096];     /* of a probability in 4096ths */
    uint16_t squash[4096];     /* of x + 2048, in 65536ths, never 0 */
    uint32_t reciprocal[1024]; /* 16384 / (2n + 3) */
} mary_logistic;

/* The tables, made at the first call; constant from then on. */
const mary_logistic *mary_logistic_tables(void);

/* A probability of a 1 and how often it was updated: 22 bits and 10. */
typedef uint32_t mary_bit_model;

#define MARY_BIT_MODEL_HALF 0x80000000u /* one half, never updated */

static inline void mary_bit_model_init(mary_bit_model *models, size_t count)
{
    for (size_t i = 0; i < count; i++)
        models[i] = MARY_BIT_MODEL_HALF;
}

/* In 4096ths. */
static inline unsigned mary_bit_model_predict(mary_bit_model model)
{
    return model >> 20;
}

static inline void mary_bit_model_update(mary_bit_model *model, int bit, unsigned limit, const mary_logistic *tables)
{
    const uint32_t state = *model, count = state & 1023;
    const uint32_t far = (bit ? ~state : state) >> 13, step = far * tables->reciprocal[count] & 0xfffffc00u;
    *model = (bit ? state + step : state - step) + (count < limit);
}

/* The same probability, as if it were the mean of at most `count` updates. */
static inline mary_bit_model mary_bit_model_forget(mary_bit_model model, unsigned count)
{
    return (model & 1023) > count ? (model & ~1023u) | count : model;
}

enum { MARY_MIX_ONE = 65536 };

/* Probability of a 1 in 65536ths, within [16, 65520]. `inputs` are stretched. */
static inline unsigned mary_mix(const mary_logistic *tables, const int32_t *weights, const int32_t *inputs, int count)
{
    int64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += (int64_t)weights[i] * inputs[i];
    sum >>= 16;
    sum = sum > 2047 ? 2047 : sum < -2047 ? -2047 : sum;
    return tables->squash[sum + 2048];
}

/* `shift`: the learning rate is 2^(8 - shift) in the units of probabilities and natural logarithms. */
static inline void mary_mix_update(int32_t *weights, const int32_t *inputs, int count, unsigned p, int bit, int shift)
{
    int32_t error = (bit << 16) - (int32_t)p;
    for (int i = 0; i < count; i++)
        weights[i] += (inputs[i] * (error >> 1) + (1 << (shift - 2))) >> (shift - 1);
}

/* The mixture of what `count` models predict, as mary_mix gives it; `inputs` are filled. */
static inline __attribute__((always_inline)) unsigned mary_mix_predict(const mary_logistic *tables,
                                                                       const int32_t *weights,
                                                                       mary_bit_model *const *models, int32_t *inputs,
                                                                       int count)
{
    for (int i = 0; i < count; i++)
        inputs[i] = tables->stretch[mary_bit_model_predict(*models[i])];
    return mary_mix(tables, weights, inputs, count);
}

/* After `bit`, of which `p` was the probability: weights (by `shift`) and models (up to `limit`) learn it. */
static inline __attribute__((always_inline)) void mary_mix_learn(const mary_logistic *tables, int32_t *weights,
                                                                 mary_bit_model *const *models, const int32_t *inputs,
                                                                 int count, unsigned p, int bit, int shift,
                                                                 unsigned limit)
{
    mary_mix_update(weights, inputs, count, p, bit, shift);
    for (int i = 0; i < count; i++)
        mary_bit_model_update(models[i], bit, limit, tables);
}

#endif
