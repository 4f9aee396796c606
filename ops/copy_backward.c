/* The adjoint of the strided copy, and the gradients that are nothing else. */
#include <string.h>

#include "ops/copy.h"
#include "ops/gradient.h"

void mary_copy_add_back(const mary_copy *copy, const float *target, float *source, float scale)
{
    int64_t index[MARY_COPY_RANK] = {0};
    const int inner = copy->rank - 1;
    const int64_t length = inner >= 0 ? copy->dims[inner] : 1;
    const int64_t from = inner >= 0 ? copy->from[inner] : 0, to = inner >= 0 ? copy->to[inner] : 0;
    for (int i = 0; i < copy->rank; i++) {
        if (copy->dims[i] == 0)
            return;
    }
    for (;;) {
        if (from == 0) {
            double sum = 0;
            for (int64_t i = 0; i < length; i++)
                sum += (double)target[i * to];
            *source += scale * (float)sum;
        } else {
            for (int64_t i = 0; i < length; i++)
                source[i * from] += scale * target[i * to];
        }
        int axis = inner - 1;
        for (; axis >= 0; axis--) {
            source += copy->from[axis];
            target += copy->to[axis];
            if (++index[axis] < copy->dims[axis])
                break;
            source -= copy->from[axis] * copy->dims[axis];
            target -= copy->to[axis] * copy->dims[axis];
            index[axis] = 0;
        }
        if (axis < 0)
            return;
    }
}

float *mary_copy_gradient(const mary_gradient_call *call, int input)
{
    float *to = mary_gradient_of(call, input);
    if (to != NULL && !call->accumulate[input])
        memset(to, 0, mary_tensor_bytes(call->input_gradients[input]));
    return to;
}
