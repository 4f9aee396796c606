/* Identity: the same bytes under another name. */
#include "ops/gradient.h"

#include <string.h>

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    (void)node;
    memcpy(call->outputs[0]->data, call->inputs[0]->data, mary_tensor_bytes(call->outputs[0]));
    return MARY_OK;
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    (void)node;
    (void)call;
    *wants = false;
    return true;
}

const mary_op mary_ops_identity[] = {
    {.type = "Identity",
     .domain = "",
     .since = 1,
     .flags = MARY_OP_VIEW | MARY_OP_HALF,
     .infer = mary_op_infer_same,
     .run = run,
     .channels_last = channels_last,
     .gradient = &mary_gradient_view},
    MARY_OP_END,
};
