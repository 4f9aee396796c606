/* A Concat along channels whose inputs write their share of the output themselves has nothing left to copy. */
#include "runtime/plan.h"

/* Only kernels that store exactly C channels of each pixel may write between other values; element-wise ones run over
 * the gap. */
static bool writes_channels_only(const mary_plan *plan, int slot)
{
    const mary_step *producer = &plan->steps[plan->slots[slot].first];
    return producer->kind == MARY_STEP_NODE && (producer->call.op->flags & MARY_OP_CHANNELS_ONLY) != 0 &&
           producer->output_count == 1 && producer->outputs[0] == slot;
}

static bool may_join(const mary_plan *plan, int slot, int readers, const mary_slot *output)
{
    const mary_slot *input = &plan->slots[slot];
    return input->place == MARY_PLACE_ARENA && !input->shared && readers == 1 &&
           input->tensor.layout == MARY_LAYOUT_CHANNELS_LAST && input->tensor.type == output->tensor.type &&
           writes_channels_only(plan, slot);
}

void mary_plan_join(mary_plan *plan, const int *readers)
{
    const mary_step *step = &plan->steps[plan->step_count - 1];
    int target = step->outputs[0];
    mary_slot *output = &plan->slots[target];
    size_t offset = 0, element = mary_type_size(output->tensor.type);
    for (int i = 0; i < step->input_count; i++) {
        mary_slot *input = &plan->slots[step->inputs[i]];
        if (may_join(plan, step->inputs[i], readers[i], output)) {
            input->place = MARY_PLACE_ALIAS;
            input->index = target;
            input->offset = offset;
            input->tensor.pixel_stride = output->tensor.pixel_stride;
            if (input->first < output->first)
                output->first = input->first;
        }
        offset += (size_t)input->tensor.shape.dims[1] * element;
    }
}
