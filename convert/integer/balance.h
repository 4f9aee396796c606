/* Balancing channels between one layer and the next (cross-layer equalisation). */
#ifndef MARY_CONVERT_INTEGER_BALANCE_H
#define MARY_CONVERT_INTEGER_BALANCE_H

#include "convert/integer/plan.h"

/* Output channel c of one layer is divided by 2^exponents[c], input channel c of the next multiplied by it. What lies
 * between (ReLU, pools) passes positive factors through, and powers of two are exact: the float model computes the same
 * bits. */
typedef struct mary_balance {
    size_t from, to; /* indices of layers */
    int64_t channels;
    int *exponents;
} mary_balance;

typedef struct mary_balances {
    mary_balance *items;
    size_t count, capacity;
} mary_balances;

/* Every pair of layers where that is possible and changes something. 2^exponent is about sqrt(a / w), a the largest
 * activation of the channel, w the largest weight that it meets: both then have the range sqrt(a * w) (M. Nagel et al.,
 * Data-free quantization through weight equalization and bias correction, ICCV 2019, with activations in place of the
 * first weights). */
mary_status mary_balances_find(const mary_model *model, const mary_integer_plan *plan, const mary_layers *layers,
                               mary_balances *balances);
/* Changes the weights and biases of the model; undo: back again. */
mary_status mary_balances_apply(mary_model *model, const mary_layers *layers, const mary_balances *balances, bool undo);
void mary_balances_free(mary_balances *balances);

#endif
