/* Graph outputs that are written where the caller wants them, instead of being copied out of the arena at the end. Only
 * values that no step reads: kernels may load a little past the end of what they read, which the arena has room for and
 * the caller's memory has not. */
#include "runtime/plan.h"

static bool is_read(const mary_plan *plan, int root)
{
    for (size_t s = 0; s < plan->step_count; s++) {
        const mary_step *step = &plan->steps[s];
        for (int i = 0; i < step->input_count; i++) {
            if (step->inputs[i] >= 0 && mary_plan_root(plan, step->inputs[i], NULL) == root)
                return true;
        }
    }
    return false;
}

static bool is_output_twice(const mary_plan *plan, int root)
{
    int count = 0;
    for (int i = 0; i < plan->program->output_count; i++)
        count += mary_plan_root(plan, plan->outputs[i], NULL) == root;
    return count > 1;
}

void mary_plan_direct_outputs(mary_plan *plan)
{
    for (int i = 0; i < plan->program->output_count; i++) {
        size_t offset;
        int root = mary_plan_root(plan, plan->outputs[i], &offset);
        mary_slot *slot = &plan->slots[root];
        if (slot->place != MARY_PLACE_ARENA || offset != 0 || slot->tensor.layout != MARY_LAYOUT_PLAIN ||
            mary_tensor_bytes(&slot->tensor) != mary_tensor_bytes(&plan->slots[plan->outputs[i]].tensor) ||
            is_output_twice(plan, root) || is_read(plan, root))
            continue;
        slot->place = MARY_PLACE_OUTPUT;
        slot->index = i;
    }
}
