#include "runtime/run.h"

#include <string.h>
#include <time.h>

#include "runtime/evaluate.h"
#include "runtime/relayout.h"

static mary_status create_tensors(mary_run *run)
{
    const mary_plan *plan = run->plan;
    run->arena = mary_alloc_aligned(plan->arena_bytes);
    run->tensors = mary_calloc(plan->slot_count, sizeof *run->tensors);
    run->floating = mary_calloc(plan->slot_count, sizeof *run->floating);
    if (run->arena == NULL || run->tensors == NULL || run->floating == NULL)
        return mary_fail_memory(plan->arena_bytes);
    for (size_t i = 0; i < plan->slot_count; i++) {
        size_t offset;
        const mary_slot *root = &plan->slots[mary_plan_root(plan, (int)i, &offset)];
        run->tensors[i] = plan->slots[i].tensor;
        if (root->place == MARY_PLACE_ARENA)
            run->tensors[i].data = (char *)run->arena + root->offset + offset;
        else if (root->place == MARY_PLACE_CONSTANT)
            run->tensors[i].data = root->tensor.data;
        else if (plan->slots[i].place == MARY_PLACE_ALIAS)
            run->floating[run->floating_count++] = (int)i;
    }
    return MARY_OK;
}

/* Calls are made once and hold one parallel-for; which threads serve it is decided by every execution. */
static void pass_on(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context)
{
    const mary_run *run = (const mary_run *)parallel; /* its first member */
    run->threads->run(run->threads, count, grain, task, context);
}

static mary_status create_calls(mary_run *run)
{
    const mary_plan *plan = run->plan;
    size_t total = 0;
    for (size_t s = 0; s < plan->step_count; s++)
        total += (size_t)plan->steps[s].input_count + (size_t)plan->steps[s].output_count;
    run->calls = mary_calloc(plan->step_count, sizeof *run->calls);
    run->pointers = mary_calloc(total, sizeof *run->pointers);
    if (run->calls == NULL || run->pointers == NULL)
        return mary_fail_memory(total * sizeof *run->pointers);
    void **next = run->pointers;
    for (size_t s = 0; s < plan->step_count; s++) {
        const mary_step *step = &plan->steps[s];
        mary_op_call *call = &run->calls[s];
        *call = (mary_op_call){.inputs = (const mary_tensor *const *)next,
                               .input_count = step->input_count,
                               .outputs = (mary_tensor *const *)(next + step->input_count),
                               .output_count = step->output_count,
                               .scratch = run->arena, /* of no bytes: never NULL, so that adding 0 to it is defined */
                               .parallel = &run->parallel};
        for (int i = 0; i < step->input_count; i++)
            *next++ = step->inputs[i] < 0 ? NULL : &run->tensors[step->inputs[i]];
        for (int i = 0; i < step->output_count; i++)
            *next++ = step->outputs[i] < 0 ? NULL : &run->tensors[step->outputs[i]];
        if (step->scratch >= 0)
            call->scratch = run->tensors[step->scratch].data;
    }
    return MARY_OK;
}

mary_status mary_run_create(const mary_plan *plan, bool timed, mary_run **result)
{
    mary_status status = MARY_OK;
    mary_run *run = mary_calloc(1, sizeof *run);
    *result = NULL;
    if (run == NULL)
        return mary_fail_memory(sizeof *run);
    run->plan = plan;
    run->parallel = (mary_parallel){.threads = 1, .run = pass_on};
    if (timed) {
        run->seconds = mary_calloc(plan->step_count, sizeof *run->seconds);
        if (run->seconds == NULL)
            status = mary_fail_memory(plan->step_count * sizeof *run->seconds);
    }
    if (status == MARY_OK)
        status = create_tensors(run);
    if (status == MARY_OK)
        status = create_calls(run);
    if (status != MARY_OK)
        mary_run_free(&run);
    *result = run;
    return status;
}

static void free_dynamic(mary_run *run)
{
    for (size_t i = 0; run->tensors != NULL && i < run->plan->slot_count; i++) {
        if (run->plan->slots[i].place == MARY_PLACE_DYNAMIC) {
            mary_free(run->tensors[i].data);
            run->tensors[i].data = NULL;
        }
    }
}

void mary_run_free(mary_run **run_pointer)
{
    mary_run *run = *run_pointer;
    if (run == NULL)
        return;
    free_dynamic(run);
    mary_free(run->arena);
    mary_free(run->tensors);
    mary_free(run->calls);
    mary_free(run->pointers);
    mary_free(run->floating);
    mary_free(run->seconds);
    mary_free(run);
    *run_pointer = NULL;
}

/* ---- running ---- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void refresh_floating(mary_run *run)
{
    for (size_t i = 0; i < run->floating_count; i++)
        run->tensors[run->floating[i]].data = run->tensors[mary_plan_root(run->plan, run->floating[i], NULL)].data;
}

static mary_status run_step(mary_run *run, size_t s, const mary_parallel *parallel)
{
    const mary_step *step = &run->plan->steps[s];
    mary_op_call *call = &run->calls[s];
    switch (step->kind) {
    case MARY_STEP_NODE:
        return step->call.op->run(&step->call, call);
    case MARY_STEP_LAYOUT:
        mary_relayout(call->inputs[0], call->outputs[0], parallel);
        return MARY_OK;
    case MARY_STEP_CONVERT: {
        size_t size = mary_type_size(call->inputs[0]->type);
        mary_convert_half(call->inputs[0]->data, call->inputs[0]->type, call->outputs[0]->data, call->outputs[0]->type,
                          (int64_t)(mary_tensor_bytes(call->inputs[0]) / size));
        return MARY_OK;
    }
    case MARY_STEP_DYNAMIC:
        MARY_TRY(mary_node_evaluate(&run->plan->program->nodes[step->node], call->inputs, call->outputs, parallel));
        refresh_floating(run);
        return MARY_OK;
    case MARY_STEP_VIEW:
        return MARY_OK;
    }
    return mary_fail(MARY_ERROR_INTERNAL, "step of unknown kind");
}

static bool is_wanted(const mary_run_observer *observer, const char *name)
{
    for (int i = 0; i < observer->name_count; i++) {
        if (strcmp(observer->names[i], name) == 0)
            return true;
    }
    return observer->names == NULL;
}

static mary_status observe_step(const mary_run *run, size_t s, const mary_run_observer *observer)
{
    const mary_step *step = &run->plan->steps[s];
    if (step->kind == MARY_STEP_LAYOUT || step->kind == MARY_STEP_CONVERT)
        return MARY_OK;
    const mary_program_node *node = &run->plan->program->nodes[step->node];
    for (int i = 0; i < step->output_count; i++) {
        if (step->outputs[i] < 0)
            continue;
        const char *name = run->plan->program->values[node->outputs[i]].name;
        const mary_tensor *tensor = &run->tensors[step->outputs[i]];
        if (!is_wanted(observer, name))
            continue;
        mary_array array = {.name = name,
                            .type = tensor->type,
                            .rank = tensor->shape.rank,
                            .data = tensor->data,
                            .bytes = mary_tensor_bytes(tensor)};
        memcpy(array.dims, tensor->shape.dims, sizeof array.dims);
        MARY_TRY(observer->function(observer->context, node->name, &array));
    }
    return MARY_OK;
}

mary_status mary_run_execute(mary_run *run, void *const *inputs, void *const *outputs, const mary_parallel *parallel,
                             const mary_run_observer *observer)
{
    const mary_plan *plan = run->plan;
    run->threads = parallel;
    run->parallel.threads = parallel != NULL ? parallel->threads : 1;
    free_dynamic(run);
    for (int i = 0; i < plan->program->output_count; i++) {
        int root = mary_plan_root(plan, plan->outputs[i], NULL);
        if (plan->slots[root].place == MARY_PLACE_OUTPUT)
            run->tensors[root].data = outputs[i];
    }
    for (size_t i = 0; i < (size_t)plan->program->input_count; i++)
        run->tensors[i].data = inputs[i]; /* a plan's first slots are the graph's inputs */
    refresh_floating(run);
    for (size_t s = 0; s < plan->step_count; s++) {
        double start = run->seconds != NULL ? now() : 0;
        MARY_TRY(run_step(run, s, parallel));
        if (run->seconds != NULL)
            run->seconds[s] = now() - start;
        if (observer != NULL)
            MARY_TRY(observe_step(run, s, observer));
    }
    return MARY_OK;
}
