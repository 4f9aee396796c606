/* One batch through a trainer: cut into parts, parts shared out to lanes, lanes to threads.
 *
 * A part is as many samples as suit the caches; it goes forward and back through the whole network in one thread, with
 * the weights that all share. A lane is a row of parts, one after the other, with gradients of its own, and the batch's
 * gradient is the sum of the lanes' in their order. Parts and lanes follow from the model and the batch alone, so no
 * result depends on the number of threads. Where samples of a batch meet, or where gradients are so large that lanes
 * would not fit, there is one lane, and threads work together on each operator.
 */
#include <stdio.h>
#include <string.h>

#include "onnx/memory.h"
#include "runtime/inputs.h"
#include "train/trainer.h"

enum {
    LANES = 16,
    MOST_PREPARED = 8,         /* tapes; a pass needs three */
    PART_BYTES = 16 << 20,     /* of a part's arena, about */
    MOST_PART_BYTES = 1 << 30, /* of the only lane's */
    LANE_FLOATS = 64 << 20     /* of all lanes' gradients */
};

/* ---- weights ---- */

typedef struct packing {
    mary_trainer *trainer;
    bool second, all;
    mary_status *statuses; /* per node */
} packing;

static mary_status pack_node(const packing *p, size_t number)
{
    mary_trainer *trainer = p->trainer;
    mary_program_node *node = &trainer->program->nodes[number];
    const mary_op_gradient *gradient = node->node.op->gradient;
    bool changed = p->all;
    if (node->removed || gradient == NULL || gradient->pack == NULL)
        return MARY_OK;
    for (int i = 0; i < node->input_count; i++)
        changed = changed || (node->inputs[i] >= 0 && trainer->in_use[node->inputs[i]] != NULL);
    if (!changed)
        return MARY_OK;
    size_t count = (size_t)node->input_count;
    mary_tensor *tensors = mary_calloc(count, sizeof *tensors);
    const mary_tensor **constants = mary_calloc(count, sizeof *constants);
    mary_status status = MARY_OK;
    if (tensors == NULL || constants == NULL) {
        status = mary_fail_memory(count * sizeof *tensors);
        goto done;
    }
    for (int i = 0; i < node->input_count; i++) {
        int value = node->inputs[i];
        if (value < 0)
            continue;
        tensors[i] = trainer->program->values[value].tensor;
        if (trainer->in_use[value] != NULL)
            tensors[i].data = trainer->in_use[value];
        else if (!trainer->program->values[value].constant)
            continue;
        constants[i] = &tensors[i];
    }
    bool weights = node->input_count > 1 && constants[1] != NULL && constants[1]->type == MARY_FLOAT;
    if (weights)
        status = gradient->pack(&node->node, constants, p->second);
done:
    mary_free(tensors);
    mary_free(constants);
    return status;
}

static void pack_task(void *context, int64_t begin, int64_t end, int thread)
{
    const packing *p = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        p->statuses[i] = pack_node(p, (size_t)i);
}

mary_status mary_trainer_load(mary_trainer *trainer, bool second)
{
    for (int i = 0; i < trainer->parameter_count; i++) {
        const mary_trained *p = &trainer->parameters[i];
        float *values = trainer->values + p->offset, *effective = trainer->effective + p->offset;
        if (p->value >= 0)
            trainer->in_use[p->value] = p->hooked ? effective : values;
        if (p->hooked)
            MARY_TRY(p->hook.effective(p->hook.context, i, values, effective, p->count));
    }
    size_t nodes = trainer->program->node_count;
    packing p = {trainer, second, !trainer->packed || (second && !trainer->second), NULL};
    p.statuses = mary_calloc(nodes, sizeof *p.statuses);
    if (p.statuses == NULL)
        return mary_fail_memory(nodes * sizeof *p.statuses);
    mary_parallel_for(mary_threads_parallel(trainer->threads), (int64_t)nodes, 1, pack_task, &p);
    mary_status status = MARY_OK;
    for (size_t i = 0; i < nodes && status == MARY_OK; i++)
        status = p.statuses[i];
    mary_free(p.statuses);
    if (status != MARY_OK)
        return mary_fail(status, "weights could not be packed"); /* the thread that said more may be another */
    trainer->packed = true;
    trainer->second = trainer->second || second;
    return MARY_OK;
}

/* ---- tapes ---- */

/* The tape for `samples` samples of inputs like these. Those used last are kept, the first in the list. */
static mary_status prepare(mary_trainer *trainer, const mary_tensor *inputs, int64_t samples, bool second,
                           const mary_parallel *parallel, mary_prepared **result)
{
    size_t count = (size_t)trainer->program->input_count;
    mary_status status = MARY_OK;
    mary_prepared *made = mary_calloc(1, sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    made->second = second;
    made->inputs = mary_calloc(count, sizeof *made->inputs);
    made->runs = mary_calloc((size_t)trainer->thread_count, sizeof(mary_tape_run *));
    if (made->inputs == NULL || made->runs == NULL) {
        status = mary_fail_memory(count * sizeof *made->inputs);
        goto error;
    }
    for (size_t i = 0; i < count; i++) {
        made->inputs[i] = (mary_tensor){.type = inputs[i].type, .shape = inputs[i].shape};
        made->inputs[i].shape.dims[0] = samples;
    }
    int kept = 0;
    for (mary_prepared **link = &trainer->prepared; *link != NULL; link = &(*link)->next, kept++) {
        mary_prepared *p = *link;
        bool same = p->second == second;
        for (size_t i = 0; same && i < count; i++)
            same = p->inputs[i].type == made->inputs[i].type &&
                   mary_shape_equal(&p->inputs[i].shape, &made->inputs[i].shape);
        if (same) {
            *link = p->next;
            p->next = trainer->prepared;
            trainer->prepared = *result = p;
            goto error; /* not one, but what was made is not needed */
        }
        if (p->next == NULL && kept + 1 >= MOST_PREPARED) {
            *link = NULL;
            mary_prepared_free(p, trainer->thread_count);
            break;
        }
    }
    MARY_TRY_GOTO(mary_tape_create(trainer->program, made->inputs, trainer->output, second, parallel, &made->tape),
                  error);
    made->next = trainer->prepared;
    trainer->prepared = made;
    *result = made;
    return MARY_OK;
error:
    mary_free(made->inputs);
    mary_free(made->runs);
    mary_free(made);
    return status;
}

typedef struct cut {
    int64_t batch, part; /* samples */
    int64_t parts, lanes;
    bool whole; /* one lane, all threads on each operator */
} cut;

/* Depends on the model and the batch only. */
static mary_status plan_cut(mary_trainer *trainer, const mary_tensor *inputs, mary_curvature curvature, cut *c)
{
    const bool second = curvature == MARY_CURVATURE_HESSIAN;
    mary_prepared *one = NULL;
    c->batch = inputs[0].shape.dims[0];
    c->part = c->batch;
    c->lanes = 1;
    bool fixed = false; /* a declared batch size cannot be cut */
    for (int i = 0; i < trainer->program->input_count; i++) {
        mary_type type;
        mary_shape shape;
        MARY_TRY(mary_port_describe(trainer->program->inputs[i].info, &type, &shape));
        fixed = fixed || (shape.rank > 0 && shape.dims[0] >= 0);
    }
    fixed = fixed && c->batch > 1;
    const mary_parallel *parallel = mary_threads_parallel(trainer->threads);
    if (!fixed) {
        MARY_TRY(prepare(trainer, inputs, 1, second, parallel, &one));
        const int64_t floats = (int64_t)trainer->total * (curvature == MARY_CURVATURE_NONE ? 1 : 2) + 1;
        const int64_t bytes = (int64_t)one->tape->arena_bytes + 1, most = LANE_FLOATS / floats;
        if (curvature == MARY_CURVATURE_FISHER && one->tape->batch)
            return mary_fail(MARY_ERROR_UNSUPPORTED,
                             "samples of a batch meet in this model: none has its own gradient");
        c->lanes = one->tape->batch || most < 2 ? 1 : most < LANES ? most : LANES;
        if (curvature == MARY_CURVATURE_FISHER)
            c->part = 1;
        else if (one->tape->batch)
            c->part = c->batch;
        else if (trainer->micro_batch > 0)
            c->part = trainer->micro_batch;
        else
            c->part = (c->lanes > 1 ? PART_BYTES : MOST_PART_BYTES) / bytes;
        const int64_t share = (c->batch + c->lanes - 1) / c->lanes;
        if (c->part > share)
            c->part = share;
        if (c->part < 1)
            c->part = 1;
    } else if (curvature == MARY_CURVATURE_FISHER) {
        return mary_fail(MARY_ERROR_UNSUPPORTED, "the model has a fixed batch size: no sample has its own gradient");
    }
    c->parts = (c->batch + c->part - 1) / c->part;
    if (c->lanes > c->parts)
        c->lanes = c->parts;
    c->whole = c->lanes == 1;
    return MARY_OK;
}

/* ---- a batch ---- */

typedef struct lane {
    double loss;
    int64_t correct;
    mary_status status;
    char message[256];
} lane;

typedef struct pass {
    mary_trainer *trainer;
    const mary_loss *loss;
    const mary_tensor *inputs;
    void *const *data;
    mary_curvature curvature;
    bool backward;
    cut cut;
    mary_prepared *full, *rest; /* tapes for whole parts and for the last one */
    lane *lanes;
    float *memory; /* lanes * (1 or 2) * total: gradients, then curvatures; then, for Fisher, threads * total */
    float ***gradients, ***seconds; /* per lane, and for Fisher per thread behind: per program value */
    float **pointers;
} pass;

static float *lane_memory(const pass *p, int64_t number)
{
    return p->memory + (size_t)number * p->trainer->total;
}

static mary_status run_part(const pass *p, int64_t number, int64_t part, int thread)
{
    const mary_trainer *trainer = p->trainer;
    const int64_t first = part * p->cut.part;
    const int64_t samples = p->cut.batch - first < p->cut.part ? p->cut.batch - first : p->cut.part;
    mary_prepared *prepared = samples == p->cut.part ? p->full : p->rest;
    mary_tape_run *run = prepared->runs[thread];
    void *inputs[64];
    const mary_tensor *output;
    for (int i = 0; i < trainer->program->input_count; i++) {
        size_t bytes = mary_tensor_bytes(&p->inputs[i]) / (size_t)p->cut.batch;
        inputs[i] = (char *)p->data[i] + bytes * (size_t)first;
    }
    MARY_TRY(mary_tape_forward(run, inputs, trainer->in_use, &output));
    mary_loss_part loss = {.loss = p->loss,
                           .output = output,
                           .first = first,
                           .total = p->cut.batch,
                           .gradient = mary_tape_output_gradient(run, false),
                           .second = prepared->second ? mary_tape_output_gradient(run, true) : NULL};
    MARY_TRY(mary_loss_run(&loss));
    p->lanes[number].loss += loss.value;
    p->lanes[number].correct += loss.correct;
    if (!p->backward)
        return MARY_OK;
    if (p->curvature != MARY_CURVATURE_FISHER)
        return mary_tape_reverse(run, p->gradients[number], p->curvature ? p->seconds[number] : NULL);
    const int64_t own = p->cut.lanes * 2 + thread;
    float *sample = lane_memory(p, own), *sum = lane_memory(p, number),
          *squares = lane_memory(p, p->cut.lanes + number);
    memset(sample, 0, trainer->total * sizeof(float));
    MARY_TRY(mary_tape_reverse(run, p->gradients[p->cut.lanes + thread], NULL));
    const float batch = (float)p->cut.batch; /* the loss is a mean: sample holds 1 / batch of its gradient */
    for (size_t i = 0; i < trainer->total; i++) {
        sum[i] += sample[i];
        squares[i] += batch * sample[i] * sample[i];
    }
    return MARY_OK;
}

static void lanes_task(void *context, int64_t begin, int64_t end, int thread)
{
    const pass *p = context;
    mary_cpu before = mary_cpu_current();
    mary_cpu_set(p->trainer->program->cpu);
    for (int64_t number = begin; number < end; number++) {
        lane *l = &p->lanes[number];
        const int64_t first = p->cut.parts * number / p->cut.lanes, last = p->cut.parts * (number + 1) / p->cut.lanes;
        const size_t bytes = p->trainer->total * sizeof(float);
        if (p->backward)
            memset(lane_memory(p, number), 0, bytes);
        if (p->backward && p->curvature != MARY_CURVATURE_NONE)
            memset(lane_memory(p, p->cut.lanes + number), 0, bytes);
        for (int64_t part = first; part < last && l->status == MARY_OK; part++)
            l->status = run_part(p, number, part, thread);
        if (l->status != MARY_OK)
            snprintf(l->message, sizeof l->message, "%s", mary_error_message());
    }
    mary_cpu_set(before);
}

typedef struct reduction {
    const pass *p;
    int64_t first; /* lane memory of lane 0 */
    float *to;
} reduction;

static void reduce_task(void *context, int64_t begin, int64_t end, int thread)
{
    enum { BLOCK = 1024 };
    const reduction *r = context;
    (void)thread;
    for (int64_t at = begin; at < end; at += BLOCK) {
        const int64_t last = at + BLOCK < end ? at + BLOCK : end;
        memcpy(r->to + at, lane_memory(r->p, r->first) + at, sizeof(float) * (size_t)(last - at));
        for (int64_t number = 1; number < r->p->cut.lanes; number++) {
            const float *from = lane_memory(r->p, r->first + number);
            for (int64_t i = at; i < last; i++)
                r->to[i] += from[i];
        }
    }
}

/* Lists of pointers to the gradients of every parameter, one list for each lane (and thread). */
static mary_status create_memory(pass *p)
{
    mary_trainer *trainer = p->trainer;
    const bool fisher = p->curvature == MARY_CURVATURE_FISHER;
    const size_t lanes = (size_t)p->cut.lanes, threads = fisher ? (size_t)trainer->thread_count : 0;
    const size_t copies = lanes * (p->curvature != MARY_CURVATURE_NONE ? 2 : 1) + threads;
    const size_t values = trainer->program->value_count;
    p->lanes = mary_calloc(lanes, sizeof *p->lanes);
    if (p->lanes == NULL)
        return mary_fail_memory(lanes * sizeof *p->lanes);
    if (!p->backward)
        return MARY_OK;
    size_t bytes;
    if (!mary_size_mul(copies, trainer->total * sizeof(float), &bytes))
        return mary_fail_memory(SIZE_MAX);
    if (bytes > trainer->lane_bytes) {
        mary_free(trainer->lane_memory);
        trainer->lane_memory = mary_alloc_aligned(bytes);
        trainer->lane_bytes = trainer->lane_memory != NULL ? bytes : 0;
    }
    p->memory = trainer->lane_memory;
    p->gradients = mary_calloc(lanes + threads, sizeof *p->gradients);
    p->seconds = mary_calloc(lanes, sizeof *p->seconds);
    p->pointers = mary_calloc((2 * lanes + threads) * values, sizeof *p->pointers);
    if (p->memory == NULL || p->gradients == NULL || p->seconds == NULL || p->pointers == NULL)
        return mary_fail_memory(bytes);
    for (size_t i = 0; i < 2 * lanes + threads; i++) {
        float **list = p->pointers + i * values;
        if (i < lanes)
            p->gradients[i] = list;
        else if (i < 2 * lanes)
            p->seconds[i - lanes] = list;
        else
            p->gradients[i - lanes] = list;
        for (int k = 0; k < trainer->parameter_count && i < copies; k++) {
            if (trainer->parameters[k].value >= 0)
                list[trainer->parameters[k].value] = lane_memory(p, (int64_t)i) + trainer->parameters[k].offset;
        }
    }
    return MARY_OK;
}

static mary_status create_runs(pass *p)
{
    const mary_trainer *trainer = p->trainer;
    const mary_parallel *parallel = p->cut.whole ? mary_threads_parallel(trainer->threads) : NULL;
    mary_prepared *both[2] = {p->full, p->rest};
    const int count = p->cut.whole ? 1 : trainer->thread_count;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; both[k] != NULL && i < count && i < p->cut.lanes; i++) {
            if (both[k]->runs[i] == NULL)
                MARY_TRY(mary_tape_run_create(both[k]->tape, parallel, &both[k]->runs[i]));
        }
    }
    return MARY_OK;
}

static mary_status run_pass(pass *p)
{
    mary_trainer *trainer = p->trainer;
    const bool second = p->curvature == MARY_CURVATURE_HESSIAN;
    const mary_parallel *parallel = mary_threads_parallel(trainer->threads);
    MARY_TRY(mary_trainer_load(trainer, second));
    MARY_TRY(plan_cut(trainer, p->inputs, p->curvature, &p->cut));
    const int64_t left = p->cut.batch % p->cut.part;
    MARY_TRY(prepare(trainer, p->inputs, p->cut.part, second, parallel, &p->full));
    if (left > 0)
        MARY_TRY(prepare(trainer, p->inputs, left, second, parallel, &p->rest));
    mary_shape output = p->full->tape->slots[p->full->tape->output].tensor.shape;
    if (output.rank < 1 || output.dims[0] != p->cut.part)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "the first dim of the output is not the batch");
    output.dims[0] = p->cut.batch;
    MARY_TRY(mary_loss_check(p->loss, &output));
    MARY_TRY(create_memory(p));
    MARY_TRY(create_runs(p));
    if (p->cut.whole)
        lanes_task(p, 0, 1, 0);
    else
        mary_parallel_for(parallel, p->cut.lanes, 1, lanes_task, p);
    for (int64_t i = 0; i < p->cut.lanes; i++) {
        if (p->lanes[i].status != MARY_OK)
            return mary_fail(p->lanes[i].status, "%s", p->lanes[i].message);
    }
    if (!p->backward)
        return MARY_OK;
    reduction gradients = {p, 0, trainer->gradients}, seconds = {p, p->cut.lanes, trainer->curvature};
    mary_parallel_for(parallel, (int64_t)trainer->total, 65536, reduce_task, &gradients);
    if (p->curvature != MARY_CURVATURE_NONE)
        mary_parallel_for(parallel, (int64_t)trainer->total, 65536, reduce_task, &seconds);
    for (int i = 0; i < trainer->parameter_count; i++) {
        const mary_trained *t = &trainer->parameters[i];
        if (t->hooked && t->hook.gradient != NULL)
            MARY_TRY(t->hook.gradient(t->hook.context, i, trainer->values + t->offset, trainer->gradients + t->offset,
                                      t->count));
    }
    return MARY_OK;
}

static mary_status start_pass(mary_trainer *trainer, const mary_array *inputs, int input_count, const mary_loss *loss,
                              mary_curvature curvature, bool backward, mary_loss_result *result)
{
    size_t count = (size_t)trainer->program->input_count;
    mary_tensor *tensors = mary_calloc(count, sizeof *tensors);
    void **data = mary_calloc(count, sizeof *data);
    pass p = {.trainer = trainer, .loss = loss, .curvature = curvature, .backward = backward};
    mary_cpu before = mary_cpu_current();
    mary_status status = MARY_OK;
    mary_cpu_set(trainer->program->cpu);
    if (tensors == NULL || data == NULL) {
        status = mary_fail_memory(count * sizeof *tensors);
        goto done;
    }
    if (count < 1 || count > 64) {
        status = mary_fail(MARY_ERROR_UNSUPPORTED, "the model has %zu inputs", count);
        goto done;
    }
    MARY_TRY_GOTO(mary_inputs_sort(trainer->program, inputs, input_count, tensors, data), done);
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].shape.rank < 1 || tensors[i].shape.dims[0] != tensors[0].shape.dims[0] ||
            tensors[i].shape.dims[0] < 1) {
            status = mary_fail(MARY_ERROR_USAGE, "the inputs do not have one batch size, of at least 1");
            goto done;
        }
    }
    p.inputs = tensors;
    p.data = data;
    status = run_pass(&p);
    if (status == MARY_OK && result != NULL) {
        const mary_shape *output = &p.full->tape->slots[p.full->tape->output].tensor.shape;
        *result = (mary_loss_result){0};
        result->samples = p.cut.batch * (output->rank > 2 ? mary_shape_count_range(output, 2, output->rank) : 1);
        for (int64_t i = 0; i < p.cut.lanes; i++) {
            result->loss += p.lanes[i].loss;
            result->correct += p.lanes[i].correct;
        }
    }
done:
    mary_cpu_set(before);
    mary_free(p.lanes);
    mary_free(p.gradients);
    mary_free(p.seconds);
    mary_free(p.pointers);
    mary_free(tensors);
    mary_free(data);
    return status;
}

mary_status mary_trainer_gradient(mary_trainer *trainer, const mary_array *inputs, int input_count,
                                  const mary_loss *loss, mary_curvature curvature, mary_loss_result *result)
{
    return start_pass(trainer, inputs, input_count, loss, curvature, true, result);
}

mary_status mary_trainer_loss(mary_trainer *trainer, const mary_array *inputs, int input_count, const mary_loss *loss,
                              mary_loss_result *result)
{
    return start_pass(trainer, inputs, input_count, loss, MARY_CURVATURE_NONE, false, result);
}
