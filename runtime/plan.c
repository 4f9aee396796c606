#include "runtime/plan.h"

#include <string.h>

#include "runtime/evaluate.h"

typedef struct planner {
    mary_plan *plan;
    const mary_program *program;
    int *plain;   /* per program value: its plain slot; -1: not made yet */
    int *blocked; /* per program value: its channels-last slot; -1: not made yet */
    int *users;   /* per program value: nodes and graph outputs that have still to read it */
    bool channels_last, every_value;
    const mary_parallel *parallel;
} planner;

/* ---- slots and steps ---- */

static mary_status add_slot(planner *p, const mary_tensor *tensor, mary_place place, int index, int *number)
{
    mary_plan *plan = p->plan;
    if (!mary_reserve((void **)&plan->slots, &plan->slot_capacity, plan->slot_count + 1, sizeof *plan->slots))
        return mary_fail_memory(plan->slot_capacity * 2 * sizeof *plan->slots);
    plan->slots[plan->slot_count] =
        (mary_slot){.tensor = *tensor, .place = place, .index = index, .first = (int)plan->step_count - 1};
    if (place == MARY_PLACE_ALIAS)
        plan->slots[index].shared = true;
    *number = (int)plan->slot_count++;
    return MARY_OK;
}

static mary_status add_step(planner *p, mary_step_kind kind, int node, int input_count, int output_count,
                            mary_step **step)
{
    mary_plan *plan = p->plan;
    if (!mary_reserve((void **)&plan->steps, &plan->step_capacity, plan->step_count + 1, sizeof *plan->steps))
        return mary_fail_memory(plan->step_capacity * 2 * sizeof *plan->steps);
    *step = &plan->steps[plan->step_count++];
    **step = (mary_step){
        .kind = kind, .node = node, .input_count = input_count, .output_count = output_count, .scratch = -1};
    (*step)->inputs = mary_calloc((size_t)input_count, sizeof(int));
    (*step)->outputs = mary_calloc((size_t)output_count, sizeof(int));
    if ((*step)->inputs == NULL || (*step)->outputs == NULL)
        return mary_fail_memory((size_t)(input_count + output_count) * sizeof(int));
    return MARY_OK;
}

int mary_plan_root(const mary_plan *plan, int slot, size_t *offset)
{
    size_t sum = 0;
    while (plan->slots[slot].place == MARY_PLACE_ALIAS) {
        sum += plan->slots[slot].offset;
        slot = plan->slots[slot].index;
    }
    if (offset != NULL)
        *offset = sum;
    return slot;
}

static void touch(planner *p, int slot)
{
    mary_slot *root = &p->plan->slots[mary_plan_root(p->plan, slot, NULL)];
    root->last = (int)p->plan->step_count - 1;
}

/* Pixels so many bytes apart that they fall into the same few sets of the first-level cache make a tile's rows evict
 * each other. */
static int64_t pixel_stride_for(const mary_tensor *tensor)
{
    int64_t channels = tensor->shape.dims[1];
    int64_t pixels = mary_shape_count_range(&tensor->shape, 2, tensor->shape.rank);
    size_t bytes = (size_t)channels * mary_type_size(tensor->type);
    return pixels > 1 && bytes > 0 && bytes % 2048 == 0 ? channels + 64 / (int64_t)mary_type_size(tensor->type)
                                                        : channels;
}

/* Fills in a step that makes a new slot out of one other. */
static mary_status finish_copy(planner *p, mary_step *step, int from, const mary_tensor *tensor, int *to)
{
    MARY_TRY(add_slot(p, tensor, MARY_PLACE_ARENA, 0, to));
    step->inputs[0] = from;
    step->outputs[0] = *to;
    touch(p, from);
    touch(p, *to);
    return MARY_OK;
}

static int64_t pixels_of(const mary_shape *shape)
{
    return mary_shape_count_range(shape, 2, shape->rank);
}

/* One step from a slot to a new slot of the same value. Layouts that hold the same bytes are an alias. */
static mary_status add_layout_copy(planner *p, int node, int from, mary_layout layout, int *to)
{
    mary_tensor tensor = p->plan->slots[from].tensor;
    bool same = tensor.shape.rank >= 2 && (pixels_of(&tensor.shape) == 1 || tensor.shape.dims[1] == 1);
    const mary_tensor *source = &p->plan->slots[from].tensor;
    tensor.data = NULL;
    tensor.layout = layout;
    tensor.pixel_stride =
        layout == MARY_LAYOUT_CHANNELS_LAST ? (same ? tensor.shape.dims[1] : pixel_stride_for(&tensor)) : 0;
    if (same && (source->layout == MARY_LAYOUT_PLAIN || source->pixel_stride == tensor.shape.dims[1]))
        return add_slot(p, &tensor, MARY_PLACE_ALIAS, from, to);
    mary_step *step;
    MARY_TRY(add_step(p, MARY_STEP_LAYOUT, node, 1, 1, &step));
    return finish_copy(p, step, from, &tensor, to);
}

/* The slot of a program value in the wanted layout, made when it is not there. */
static mary_status value_slot(planner *p, int node, int value, bool channels_last, int *slot)
{
    int *have = channels_last ? &p->blocked[value] : &p->plain[value];
    if (p->plain[value] < 0 && p->blocked[value] < 0) { /* a constant, or known since the shapes were inferred */
        MARY_TRY(add_slot(p, &p->plan->shapes.tensors[value], MARY_PLACE_CONSTANT, 0, &p->plain[value]));
    }
    if (*have < 0) {
        int other = channels_last ? p->plain[value] : p->blocked[value];
        mary_layout layout = channels_last ? MARY_LAYOUT_CHANNELS_LAST : MARY_LAYOUT_PLAIN;
        MARY_TRY(add_layout_copy(p, node, other, layout, have));
    }
    *slot = *have;
    return MARY_OK;
}

/* ---- one node ---- */

typedef struct node_plan {
    const mary_program_node *node;
    int position;
    mary_type half;
    bool channels_last, dynamic;
    const mary_tensor **inputs; /* as the operator will see them, for its callbacks */
    mary_tensor **outputs;
} node_plan;

/* Parameters (constants) and small tensors stay plain for channels-last nodes. */
static bool is_activation(const planner *p, int value)
{
    return value >= 0 && !p->program->values[value].constant && p->plan->shapes.tensors[value].data == NULL &&
           p->plan->shapes.tensors[value].shape.rank >= 3;
}

static mary_status choose_layout(planner *p, node_plan *n)
{
    const mary_op *op = n->node->node.op;
    if (!p->channels_last || n->dynamic || op->channels_last == NULL)
        return MARY_OK;
    bool wants = false, fed = false, any = false;
    const mary_shapes *shapes = &p->plan->shapes;
    for (int i = 0; i < n->node->input_count; i++) {
        int value = n->node->inputs[i];
        n->inputs[i] = value < 0 ? NULL : &shapes->tensors[value];
        if (!is_activation(p, value))
            continue;
        any = true;
        fed = fed || p->blocked[value] >= 0;
        if (shapes->tensors[value].shape.rank > 5)
            return MARY_OK;
    }
    for (int i = 0; i < n->node->output_count; i++) {
        int value = n->node->outputs[i];
        n->outputs[i] = value < 0 ? NULL : &shapes->tensors[value];
        if (value >= 0 && shapes->tensors[value].shape.rank < 3)
            return MARY_OK;
    }
    if (!any)
        return MARY_OK;
    mary_op_call call = {.inputs = n->inputs,
                         .input_count = n->node->input_count,
                         .outputs = n->outputs,
                         .output_count = n->node->output_count};
    n->channels_last = op->channels_last(&n->node->node, &call, &wants) && (wants || fed);
    return MARY_OK;
}

/* Slots for the node's inputs: the right layout, and float copies where the operator cannot take a half type. */
static mary_status prepare_inputs(planner *p, node_plan *n, int *slots)
{
    for (int i = 0; i < n->node->input_count; i++) {
        int value = n->node->inputs[i];
        slots[i] = -1;
        if (value < 0)
            continue;
        bool last = n->channels_last && is_activation(p, value);
        if (last && p->blocked[value] < 0 && (n->node->node.op->flags & MARY_OP_EITHER_LAYOUT))
            last = false;
        if (p->plain[value] < 0 && p->blocked[value] >= 0 && (n->node->node.op->flags & MARY_OP_READS_ANY_LAYOUT))
            last = true;
        MARY_TRY(value_slot(p, n->position, value, last, &slots[i]));
        mary_tensor tensor = p->plan->slots[slots[i]].tensor;
        if (n->half == MARY_UNDEFINED || n->dynamic || (tensor.type != MARY_FLOAT16 && tensor.type != MARY_BFLOAT16))
            continue;
        mary_step *step;
        MARY_TRY(add_step(p, MARY_STEP_CONVERT, n->position, 1, 1, &step));
        tensor.type = MARY_FLOAT;
        tensor.data = NULL;
        MARY_TRY(finish_copy(p, step, slots[i], &tensor, &slots[i]));
    }
    return MARY_OK;
}

/* May output 0 use the memory of input 0? Only when this node is its last reader and the memory is the arena's. */
static bool can_reuse(planner *p, const node_plan *n, int input_slot, const mary_tensor *output)
{
    if (p->every_value || input_slot < 0 || n->node->inputs[0] < 0 || !(n->node->node.op->flags & MARY_OP_IN_PLACE))
        return false;
    const mary_tensor *input = &p->plan->slots[input_slot].tensor;
    const mary_slot *root = &p->plan->slots[mary_plan_root(p->plan, input_slot, NULL)];
    if (root->place != MARY_PLACE_ARENA || root->shared || p->plan->slots[input_slot].shared ||
        p->users[n->node->inputs[0]] != 1)
        return false;
    return input->type == output->type && input->layout == output->layout &&
           input->pixel_stride == output->pixel_stride && mary_shape_equal(&input->shape, &output->shape);
}

static mary_status prepare_output(planner *p, node_plan *n, const int *input_slots, int index, int *slot)
{
    int value = n->node->outputs[index];
    mary_tensor tensor = p->plan->shapes.tensors[value];
    bool reuse = false;
    if (n->dynamic)
        return add_slot(p, &tensor, MARY_PLACE_DYNAMIC, 0, slot);
    if (n->channels_last) {
        tensor.layout = MARY_LAYOUT_CHANNELS_LAST;
        tensor.pixel_stride = pixel_stride_for(&tensor);
    }
    if (n->half != MARY_UNDEFINED && tensor.type == n->half)
        tensor.type = MARY_FLOAT; /* converted by a step behind the node */
    else if (index == 0)
        reuse = can_reuse(p, n, input_slots[0], &tensor);
    if (!reuse)
        return add_slot(p, &tensor, MARY_PLACE_ARENA, 0, slot);
    MARY_TRY(add_slot(p, &tensor, MARY_PLACE_ALIAS, input_slots[0], slot));
    p->plan->slots[input_slots[0]].shared = false; /* nobody reads the old value again */
    return MARY_OK;
}

static mary_status record_output(planner *p, node_plan *n, int value, int slot)
{
    if (n->half != MARY_UNDEFINED && !n->dynamic && p->plan->shapes.tensors[value].type == n->half) {
        mary_tensor tensor = p->plan->slots[slot].tensor;
        mary_step *step;
        MARY_TRY(add_step(p, MARY_STEP_CONVERT, n->position, 1, 1, &step));
        tensor.type = n->half;
        MARY_TRY(finish_copy(p, step, slot, &tensor, &slot));
    }
    if (n->channels_last)
        p->blocked[value] = slot;
    else
        p->plain[value] = slot;
    return MARY_OK;
}

/* Scratch is a slot that lives for one step. Its size is asked with the tensors as the step will have them. */
static mary_status add_scratch(planner *p, node_plan *n, mary_step *step)
{
    const mary_op *op = n->node->node.op;
    if (op->scratch == NULL)
        return MARY_OK;
    for (int i = 0; i < step->input_count; i++)
        n->inputs[i] = step->inputs[i] < 0 ? NULL : &p->plan->slots[step->inputs[i]].tensor;
    for (int i = 0; i < step->output_count; i++)
        n->outputs[i] = step->outputs[i] < 0 ? NULL : &p->plan->slots[step->outputs[i]].tensor;
    mary_op_call call = {.inputs = n->inputs,
                         .input_count = step->input_count,
                         .outputs = n->outputs,
                         .output_count = step->output_count,
                         .parallel = p->parallel};
    size_t bytes = 0;
    MARY_TRY(op->scratch(&step->call, &call, &bytes));
    if (bytes == 0)
        return MARY_OK;
    if (bytes > PTRDIFF_MAX / 4)
        return mary_op_fail(&step->call, MARY_ERROR_INVALID, "wants %zu bytes of scratch memory", bytes);
    mary_tensor tensor = {.type = MARY_UINT8, .shape = {1, {(int64_t)bytes}}};
    MARY_TRY(add_slot(p, &tensor, MARY_PLACE_ARENA, 0, &step->scratch));
    touch(p, step->scratch);
    return MARY_OK;
}

/* A view needs no step: its output is the input's memory with another shape. */
static mary_status plan_view(planner *p, node_plan *n, int input_slot)
{
    int value = n->node->outputs[0], slot;
    mary_tensor tensor = p->plan->shapes.tensors[value];
    if (n->channels_last) {
        tensor.layout = MARY_LAYOUT_CHANNELS_LAST;
        tensor.pixel_stride = p->plan->slots[input_slot].tensor.pixel_stride;
    }
    MARY_TRY(add_slot(p, &tensor, MARY_PLACE_ALIAS, input_slot, &slot));
    p->plan->slots[mary_plan_root(p->plan, input_slot, NULL)].shared = true;
    if (n->channels_last)
        p->blocked[value] = slot;
    else
        p->plain[value] = slot;
    if (!p->every_value)
        return MARY_OK;
    mary_step *step;
    MARY_TRY(add_step(p, MARY_STEP_VIEW, n->position, 1, 1, &step));
    step->inputs[0] = input_slot;
    step->outputs[0] = slot;
    touch(p, slot);
    return MARY_OK;
}

static mary_status join_channels(planner *p, node_plan *n, const mary_step *step)
{
    int *readers = mary_calloc((size_t)step->input_count, sizeof *readers);
    if (readers == NULL)
        return mary_fail_memory((size_t)step->input_count * sizeof *readers);
    for (int i = 0; i < step->input_count; i++) {
        int value = n->node->inputs[i];
        n->inputs[i] = value < 0 ? NULL : &p->plan->shapes.tensors[value];
        /* A value that exists in the plain layout, too, was read before in that form. */
        readers[i] = value < 0 || p->plain[value] >= 0 ? 2 : p->users[value];
    }
    mary_op_call call = {.inputs = n->inputs, .input_count = step->input_count};
    if (step->call.op->joins_channels(&step->call, &call))
        mary_plan_join(p->plan, readers);
    mary_free(readers);
    return MARY_OK;
}

static mary_status plan_step(planner *p, node_plan *n, const int *input_slots)
{
    mary_step *step;
    MARY_TRY(add_step(p, n->dynamic ? MARY_STEP_DYNAMIC : MARY_STEP_NODE, n->position, n->node->input_count,
                      n->node->output_count, &step));
    step->call = n->node->node;
    step->call.channels_last = n->channels_last;
    for (int i = 0; i < n->node->input_count; i++) {
        step->inputs[i] = input_slots[i];
        if (input_slots[i] >= 0)
            touch(p, input_slots[i]);
    }
    for (int i = 0; i < n->node->output_count; i++) {
        step->outputs[i] = -1;
        if (n->node->outputs[i] < 0)
            continue;
        MARY_TRY(prepare_output(p, n, input_slots, i, &step->outputs[i]));
        touch(p, step->outputs[i]);
    }
    if (!n->dynamic)
        MARY_TRY(add_scratch(p, n, step));
    if (n->channels_last && n->half == MARY_UNDEFINED && step->call.op->joins_channels != NULL)
        MARY_TRY(join_channels(p, n, step));
    /* Recording may add a conversion step and move the array of steps. */
    size_t here = p->plan->step_count - 1;
    for (int i = 0; i < n->node->output_count; i++) {
        if (n->node->outputs[i] >= 0)
            MARY_TRY(record_output(p, n, n->node->outputs[i], p->plan->steps[here].outputs[i]));
    }
    return MARY_OK;
}

static mary_status plan_node(planner *p, int position)
{
    const mary_program_node *node = &p->program->nodes[position];
    size_t total = (size_t)node->input_count + (size_t)node->output_count;
    node_plan n = {.node = node, .position = position};
    int *slots = mary_calloc((size_t)node->input_count, sizeof *slots);
    n.inputs = mary_calloc((size_t)node->input_count, sizeof *n.inputs);
    n.outputs = mary_calloc((size_t)node->output_count, sizeof *n.outputs);
    mary_status status = MARY_OK;
    if (slots == NULL || n.inputs == NULL || n.outputs == NULL) {
        status = mary_fail_memory(total * sizeof *slots);
        goto done;
    }
    mary_tensor *tensors = p->plan->shapes.tensors;
    for (int i = 0; i < node->input_count; i++) {
        n.inputs[i] = node->inputs[i] < 0 ? NULL : &tensors[node->inputs[i]];
        n.dynamic = n.dynamic || (n.inputs[i] != NULL && n.inputs[i]->type == MARY_UNDEFINED);
    }
    for (int i = 0; i < node->output_count; i++)
        n.dynamic = n.dynamic || (node->outputs[i] >= 0 && tensors[node->outputs[i]].type == MARY_UNDEFINED);
    n.half = mary_node_half(node, n.inputs);
    MARY_TRY_GOTO(choose_layout(p, &n), done);
    MARY_TRY_GOTO(prepare_inputs(p, &n, slots), done);
    if ((node->node.op->flags & MARY_OP_VIEW) && !n.dynamic && node->outputs[0] >= 0)
        status = plan_view(p, &n, slots[0]);
    else
        status = plan_step(p, &n, slots);
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0)
            p->users[node->inputs[i]]--;
    }
done:
    mary_free(slots);
    mary_free(n.inputs);
    mary_free(n.outputs);
    return status;
}

/* ---- the whole graph ---- */

static mary_status plan_outputs(planner *p)
{
    mary_plan *plan = p->plan;
    for (int i = 0; i < p->program->output_count; i++) {
        MARY_TRY(value_slot(p, -1, p->program->outputs[i].value, false, &plan->outputs[i]));
        plan->slots[mary_plan_root(plan, plan->outputs[i], NULL)].last = INT32_MAX; /* copied out after the last step */
    }
    return MARY_OK;
}

static mary_status plan_graph(planner *p)
{
    const mary_program *program = p->program;
    for (size_t i = 0; i < program->value_count; i++) {
        p->plain[i] = p->blocked[i] = -1;
        p->users[i] = program->values[i].uses;
    }
    for (int i = 0; i < program->input_count; i++) {
        int value = program->inputs[i].value;
        MARY_TRY(add_slot(p, &p->plan->shapes.tensors[value], MARY_PLACE_INPUT, i, &p->plain[value]));
    }
    for (size_t i = 0; i < program->node_count; i++) {
        if (!program->nodes[i].removed && !p->plan->shapes.known[i])
            MARY_TRY(plan_node(p, (int)i));
    }
    MARY_TRY(plan_outputs(p));
    if (!p->every_value)
        mary_plan_direct_outputs(p->plan);
    return mary_plan_place(p->plan);
}

mary_status mary_plan_create(const mary_program *program, const mary_tensor *inputs, bool channels_last,
                             bool every_value, const mary_parallel *parallel, mary_plan **result)
{
    mary_status status = MARY_OK;
    mary_plan *plan = mary_calloc(1, sizeof *plan);
    planner p = {.plan = plan,
                 .program = program,
                 .channels_last = channels_last && !every_value,
                 .every_value = every_value,
                 .parallel = parallel};
    *result = NULL;
    if (plan == NULL)
        return mary_fail_memory(sizeof *plan);
    plan->program = program;
    MARY_TRY_GOTO(mary_shapes_infer(program, inputs, false, parallel, &plan->shapes), done);
    plan->outputs = mary_calloc((size_t)program->output_count, sizeof *plan->outputs);
    p.plain = mary_calloc(program->value_count, sizeof *p.plain);
    p.blocked = mary_calloc(program->value_count, sizeof *p.blocked);
    p.users = mary_calloc(program->value_count, sizeof *p.users);
    if (plan->outputs == NULL || p.plain == NULL || p.blocked == NULL || p.users == NULL)
        status = mary_fail_memory(program->value_count * sizeof *p.plain);
    else
        status = plan_graph(&p);
done:
    mary_free(p.plain);
    mary_free(p.blocked);
    mary_free(p.users);
    if (status != MARY_OK)
        mary_plan_free(&plan);
    *result = plan;
    return status;
}

void mary_plan_free(mary_plan **plan_pointer)
{
    mary_plan *plan = *plan_pointer;
    if (plan == NULL)
        return;
    for (size_t i = 0; i < plan->step_count; i++) {
        mary_free(plan->steps[i].inputs);
        mary_free(plan->steps[i].outputs);
    }
    mary_free(plan->steps);
    mary_free(plan->slots);
    mary_free(plan->outputs);
    mary_shapes_free(&plan->shapes);
    mary_free(plan);
    *plan_pointer = NULL;
}
