/* A trainer's life, and its parameters. */
#include "train/trainer.h"

#include <string.h>

#include "onnx/edit.h"
#include "onnx/memory.h"

static mary_status find_output(mary_trainer *trainer, const char *name)
{
    const mary_program *program = trainer->program;
    if (program->output_count < 1)
        return mary_fail(MARY_ERROR_INVALID, "the model has no output");
    for (int i = 0; i < program->output_count; i++) {
        if (name == NULL || strcmp(program->outputs[i].name, name) == 0) {
            trainer->output = program->outputs[i].value;
            return MARY_OK;
        }
    }
    return mary_fail(MARY_ERROR_USAGE, "the model has no output '%s'", name);
}

static size_t padded(int64_t count)
{
    enum { ALIGN = MARY_ALIGNMENT / sizeof(float) };
    return ((size_t)count + ALIGN - 1) / ALIGN * ALIGN;
}

static mary_status create_parameters(mary_trainer *trainer)
{
    const mary_program *program = trainer->program;
    trainer->parameters = mary_calloc(program->value_count, sizeof *trainer->parameters);
    trainer->in_use = mary_calloc(program->value_count, sizeof *trainer->in_use);
    if (trainer->parameters == NULL || trainer->in_use == NULL)
        return mary_fail_memory(program->value_count * sizeof *trainer->parameters);
    for (size_t i = 0; i < program->value_count; i++) {
        if (!program->values[i].parameter || program->values[i].uses == 0)
            continue;
        const mary_shape *shape = &program->values[i].tensor.shape;
        int64_t count = mary_shape_count(shape);
        trainer->parameters[trainer->parameter_count++] =
            (mary_trained){.value = (int)i, .shape = *shape, .count = count, .offset = trainer->total};
        trainer->total += padded(count);
    }
    size_t bytes = trainer->total * sizeof(float);
    float **arrays[] = {&trainer->values, &trainer->effective, &trainer->gradients, &trainer->curvature};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *arrays[i] = mary_alloc_aligned(bytes);
        if (*arrays[i] == NULL)
            return mary_fail_memory(bytes);
        memset(*arrays[i], 0, bytes);
    }
    for (int i = 0; i < trainer->parameter_count; i++) {
        const mary_trained *p = &trainer->parameters[i];
        memcpy(trainer->values + p->offset, program->values[p->value].tensor.data, (size_t)p->count * sizeof(float));
    }
    return MARY_OK;
}

mary_status mary_trainer_create(mary_model **model, const mary_trainer_options *options, mary_trainer **result)
{
    static const mary_trainer_options defaults;
    mary_cpu cpu = mary_cpu_best(), before = mary_cpu_current();
    mary_status status = MARY_OK;
    mary_model *copy = NULL;
    *result = NULL;
    if (options == NULL)
        options = &defaults;
    mary_trainer *trainer = mary_calloc(1, sizeof *trainer);
    if (trainer == NULL) {
        mary_model_free(model);
        return mary_fail_memory(sizeof *trainer);
    }
    trainer->model = *model;
    *model = NULL;
    if (options->micro_batch < 0) {
        status = mary_fail(MARY_ERROR_USAGE, "micro_batch is %lld", (long long)options->micro_batch);
        goto error;
    }
    trainer->micro_batch = options->micro_batch;
    if (options->cpu != NULL)
        MARY_TRY_GOTO(mary_cpu_parse(options->cpu, &cpu), error);
    MARY_TRY_GOTO(mary_threads_create(options->threads, &trainer->threads), error);
    trainer->thread_count = mary_threads_parallel(trainer->threads)->threads;
    MARY_TRY_GOTO(mary_model_copy(trainer->model, &copy), error);
    mary_cpu_set(cpu);
    status = mary_program_create_training(&copy, cpu, mary_threads_parallel(trainer->threads), &trainer->program);
    mary_cpu_set(before);
    if (status != MARY_OK)
        goto error;
    MARY_TRY_GOTO(find_output(trainer, options->output), error);
    MARY_TRY_GOTO(create_parameters(trainer), error);
    *result = trainer;
    return MARY_OK;
error:
    mary_trainer_free(&trainer);
    return status;
}

void mary_prepared_free(mary_prepared *prepared, int threads)
{
    for (int i = 0; prepared->runs != NULL && i < threads; i++)
        mary_tape_run_free(&prepared->runs[i]);
    mary_free(prepared->runs);
    mary_free(prepared->inputs);
    mary_tape_free(&prepared->tape);
    mary_free(prepared);
}

void mary_trainer_free(mary_trainer **trainer_pointer)
{
    mary_trainer *trainer = *trainer_pointer;
    if (trainer == NULL)
        return;
    while (trainer->prepared != NULL) {
        mary_prepared *next = trainer->prepared->next;
        mary_prepared_free(trainer->prepared, trainer->thread_count);
        trainer->prepared = next;
    }
    mary_program_free(&trainer->program);
    mary_model_free(&trainer->model);
    mary_threads_free(&trainer->threads);
    for (int i = 0; i < trainer->parameter_count; i++)
        mary_free(trainer->parameters[i].name);
    mary_free(trainer->parameters);
    mary_free(trainer->in_use);
    mary_free(trainer->values);
    mary_free(trainer->effective);
    mary_free(trainer->gradients);
    mary_free(trainer->curvature);
    mary_free(trainer->lane_memory);
    mary_free(trainer);
    *trainer_pointer = NULL;
}

int mary_trainer_parameter_count(const mary_trainer *trainer)
{
    return trainer->parameter_count;
}

const char *mary_trained_name(const mary_trainer *trainer, int index)
{
    const mary_trained *p = &trainer->parameters[index];
    return p->value >= 0 ? trainer->program->values[p->value].name : p->name;
}

static mary_status check_index(const mary_trainer *trainer, int index)
{
    if (index < 0 || index >= trainer->parameter_count)
        return mary_fail(MARY_ERROR_USAGE, "there is no parameter number %d", index);
    return MARY_OK;
}

mary_status mary_trainer_parameter(const mary_trainer *trainer, int index, mary_parameter *parameter)
{
    MARY_TRY(check_index(trainer, index));
    const mary_trained *p = &trainer->parameters[index];
    *parameter = (mary_parameter){.name = mary_trained_name(trainer, index),
                                  .rank = p->shape.rank,
                                  .count = p->count,
                                  .values = trainer->values + p->offset,
                                  .gradient = trainer->gradients + p->offset,
                                  .curvature = trainer->curvature + p->offset};
    memcpy(parameter->dims, p->shape.dims, sizeof p->shape.dims[0] * (size_t)p->shape.rank);
    return MARY_OK;
}

mary_status mary_trainer_add_parameter(mary_trainer *trainer, const char *name, int64_t count, int *index)
{
    float **arrays[] = {&trainer->values, &trainer->effective, &trainer->gradients, &trainer->curvature};
    const size_t total = trainer->total + padded(count), bytes = total * sizeof(float);
    float *grown[4] = {NULL};
    mary_status status = MARY_OK;
    if (count < 1 || count > INT32_MAX)
        return mary_fail(MARY_ERROR_USAGE, "a parameter of %lld elements", (long long)count);
    mary_trained *parameters = mary_calloc((size_t)trainer->parameter_count + 1, sizeof *parameters);
    char *own = mary_strdup(name);
    for (int i = 0; i < 4; i++)
        grown[i] = mary_alloc_aligned(bytes);
    if (parameters == NULL || own == NULL || !grown[0] || !grown[1] || !grown[2] || !grown[3]) {
        status = mary_fail_memory(bytes);
        goto done;
    }
    memcpy(parameters, trainer->parameters, (size_t)trainer->parameter_count * sizeof *parameters);
    parameters[trainer->parameter_count] = (mary_trained){
        .value = -1, .name = own, .shape = {.rank = 1, .dims = {count}}, .count = count, .offset = trainer->total};
    mary_free(trainer->parameters);
    trainer->parameters = parameters;
    *index = trainer->parameter_count++;
    parameters = NULL;
    own = NULL;
    for (int i = 0; i < 4; i++) {
        float *old = *arrays[i];
        memcpy(grown[i], old, trainer->total * sizeof(float));
        memset(grown[i] + trainer->total, 0, (total - trainer->total) * sizeof(float));
        *arrays[i] = grown[i];
        grown[i] = old;
    }
    trainer->total = total;
done:
    for (int i = 0; i < 4; i++)
        mary_free(grown[i]);
    mary_free(parameters);
    mary_free(own);
    return status;
}

mary_status mary_trainer_hook(mary_trainer *trainer, int index, const mary_parameter_hook *hook)
{
    MARY_TRY(check_index(trainer, index));
    mary_trained *p = &trainer->parameters[index];
    if (hook != NULL && hook->effective == NULL)
        return mary_fail(MARY_ERROR_USAGE, "the hook of parameter %d has no function `effective`", index);
    p->hooked = hook != NULL;
    if (hook != NULL)
        p->hook = *hook;
    return MARY_OK;
}

static mary_status write_parameter(mary_model *model, const char *name, const mary_tensor *tensor)
{
    Onnx__GraphProto *graph = model->proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        if (strcmp(graph->initializer[i]->name, name) != 0)
            continue;
        Onnx__TensorProto *message;
        MARY_TRY(mary_constant_encode(tensor, name, &message));
        onnx__tensor_proto__free_unpacked(graph->initializer[i], &mary_proto_allocator);
        graph->initializer[i] = message;
        return MARY_OK;
    }
    return mary_fail(MARY_ERROR_INTERNAL, "the model lost its initializer '%s'", name);
}

mary_status mary_trainer_model(mary_trainer *trainer, bool effective, mary_model **model)
{
    mary_status status = MARY_OK;
    *model = NULL;
    if (effective)
        MARY_TRY(mary_trainer_load(trainer, false));
    MARY_TRY(mary_model_copy(trainer->model, model));
    for (int i = 0; i < trainer->parameter_count; i++) {
        const mary_trained *p = &trainer->parameters[i];
        if (p->value < 0)
            continue;
        float *values = effective ? trainer->in_use[p->value] : trainer->values + p->offset;
        const mary_tensor tensor = {.type = MARY_FLOAT, .shape = p->shape, .data = values};
        MARY_TRY_GOTO(write_parameter(*model, trainer->program->values[p->value].name, &tensor), error);
    }
    return MARY_OK;
error:
    mary_model_free(model);
    return status;
}
