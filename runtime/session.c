/* Sessions: the public face of the runtime. Keeps plans for the input shapes it has seen, and idle runs for each. */
#include <pthread.h>
#include <string.h>

#include "runtime/session.h"
#include "runtime/inputs.h"
#include "runtime/run.h"
#include "runtime/threads.h"

enum { MOST_PLANS = 8, MOST_IDLE_RUNS = 8 };

typedef struct cached_plan {
    mary_plan *plan;
    mary_tensor *inputs; /* types and shapes that it was made for */
    int threads;         /* that it was made for */
    bool every_value;
    mary_run *idle;
    int idle_count;
    int users;      /* runs that are under way */
    uint64_t stamp; /* of the last use */
    struct cached_plan *next;
} cached_plan;

typedef struct node_time {
    double seconds;
    uint64_t calls;
} node_time;

struct mary_session {
    mary_program *program;
    mary_threads *threads; /* NULL: every run brings its own */
    bool fusion, profile;
    pthread_mutex_t lock; /* guards what follows */
    cached_plan *plans;
    uint64_t clock;
    node_time *times; /* per node, then per node for layout copies and conversions made for it, then one for outputs */
    mary_profile_row *rows;
};

static const mary_parallel *own_threads(const mary_session *session)
{
    return session->threads != NULL ? mary_threads_parallel(session->threads) : NULL;
}

/* ---- creating ---- */

static mary_status create(mary_model **model, const mary_session_options *options, bool with_threads,
                          mary_session **result)
{
    static const mary_session_options defaults;
    mary_cpu cpu = mary_cpu_best(), before = mary_cpu_current();
    mary_status status = MARY_OK;
    *result = NULL;
    if (options == NULL)
        options = &defaults;
    mary_session *session = mary_calloc(1, sizeof *session);
    if (session == NULL) {
        mary_model_free(model);
        return mary_fail_memory(sizeof *session);
    }
    pthread_mutex_init(&session->lock, NULL);
    session->fusion = !options->no_fusion;
    session->profile = options->profile;
    if (with_threads)
        MARY_TRY_GOTO(mary_threads_create(options->threads, &session->threads), error);
    if (options->cpu != NULL)
        MARY_TRY_GOTO(mary_cpu_parse(options->cpu, &cpu), error);
    mary_cpu_set(cpu);
    status = mary_program_create(model, cpu, session->fusion, own_threads(session), &session->program);
    mary_cpu_set(before);
    if (status != MARY_OK)
        goto error;
    if (session->profile) {
        size_t count = session->program->node_count * 2 + 1;
        session->times = mary_calloc(count, sizeof *session->times);
        session->rows = mary_calloc(count, sizeof *session->rows);
        if (session->times == NULL || session->rows == NULL) {
            status = mary_fail_memory(count * sizeof *session->rows);
            goto error;
        }
    }
    *result = session;
    return MARY_OK;
error:
    mary_model_free(model);
    mary_session_free(&session);
    return status;
}

mary_status mary_session_create(mary_model **model, const mary_session_options *options, mary_session **session)
{
    return create(model, options, true, session);
}

mary_status mary_session_create_threadless(mary_model **model, const mary_session_options *options,
                                           mary_session **session)
{
    return create(model, options, false, session);
}

static void free_cached(cached_plan *cached)
{
    while (cached->idle != NULL) {
        mary_run *run = cached->idle;
        cached->idle = run->next;
        mary_run_free(&run);
    }
    mary_plan_free(&cached->plan);
    mary_free(cached->inputs);
    mary_free(cached);
}

void mary_session_free(mary_session **session_pointer)
{
    mary_session *session = *session_pointer;
    if (session == NULL)
        return;
    while (session->plans != NULL) {
        cached_plan *next = session->plans->next;
        free_cached(session->plans);
        session->plans = next;
    }
    mary_program_free(&session->program);
    mary_threads_free(&session->threads);
    mary_free(session->times);
    mary_free(session->rows);
    pthread_mutex_destroy(&session->lock);
    mary_free(session);
    *session_pointer = NULL;
}

/* ---- describing ---- */

int mary_session_input_count(const mary_session *session)
{
    return session->program->input_count;
}
int mary_session_output_count(const mary_session *session)
{
    return session->program->output_count;
}

static mary_status describe(const mary_program_port *ports, int count, int index, mary_array *description)
{
    mary_shape shape;
    if (index < 0 || index >= count)
        return mary_fail(MARY_ERROR_USAGE, "there is no input or output number %d", index);
    *description = (mary_array){.name = ports[index].name};
    MARY_TRY(mary_port_describe(ports[index].info, &description->type, &shape));
    description->rank = shape.rank;
    for (int i = 0; i < shape.rank; i++)
        description->dims[i] = shape.dims[i];
    return MARY_OK;
}

mary_status mary_session_input(const mary_session *session, int index, mary_array *description)
{
    return describe(session->program->inputs, session->program->input_count, index, description);
}

mary_status mary_session_output(const mary_session *session, int index, mary_array *description)
{
    return describe(session->program->outputs, session->program->output_count, index, description);
}

static const char *symbol(const mary_program_port *ports, int count, int index, int axis)
{
    if (index < 0 || index >= count || axis < 0)
        return NULL;
    const Onnx__TypeProto *type = ports[index].info->type;
    if (type == NULL || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || type->tensor_type->shape == NULL ||
        (size_t)axis >= type->tensor_type->shape->n_dim)
        return NULL;
    const Onnx__TensorShapeProto__Dimension *dim = type->tensor_type->shape->dim[axis];
    bool named = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    return named && dim->dim_param[0] != '\0' ? dim->dim_param : NULL;
}

const char *mary_session_input_symbol(const mary_session *session, int index, int axis)
{
    return symbol(session->program->inputs, session->program->input_count, index, axis);
}

const char *mary_session_output_symbol(const mary_session *session, int index, int axis)
{
    return symbol(session->program->outputs, session->program->output_count, index, axis);
}

/* ---- plans and runs ---- */

static bool same_inputs(const mary_program *program, const mary_tensor *a, const mary_tensor *b)
{
    for (int i = 0; i < program->input_count; i++) {
        if (a[i].type != b[i].type || !mary_shape_equal(&a[i].shape, &b[i].shape))
            return false;
    }
    return true;
}

/* Drops the plan that was not used for the longest time when there are too many. Called with the lock held. */
static void evict(mary_session *session)
{
    int count = 0;
    cached_plan **oldest = NULL;
    for (cached_plan **link = &session->plans; *link != NULL; link = &(*link)->next) {
        count++;
        if ((*link)->users == 0 && (oldest == NULL || (*link)->stamp < (*oldest)->stamp))
            oldest = link;
    }
    if (count <= MOST_PLANS || oldest == NULL)
        return;
    cached_plan *gone = *oldest;
    *oldest = gone->next;
    free_cached(gone);
}

static mary_status create_cached(mary_session *session, const mary_tensor *inputs, const mary_parallel *parallel,
                                 bool every_value, cached_plan **result)
{
    size_t count = (size_t)session->program->input_count;
    cached_plan *cached = mary_calloc(1, sizeof *cached);
    mary_tensor *copy = mary_calloc(count, sizeof *copy);
    if (cached == NULL || copy == NULL) {
        mary_free(cached);
        mary_free(copy);
        return mary_fail_memory(sizeof *cached + count * sizeof *copy);
    }
    memcpy(copy, inputs, count * sizeof *copy);
    cached->inputs = copy;
    cached->every_value = every_value;
    cached->threads = parallel != NULL ? parallel->threads : 1;
    mary_status status =
        mary_plan_create(session->program, inputs, session->fusion, every_value, parallel, &cached->plan);
    if (status != MARY_OK) {
        free_cached(cached);
        return status;
    }
    *result = cached;
    return MARY_OK;
}

/* An idle run for these shapes, or a new one. Planning happens under the lock: threads that come with the same new
 * shape wait and share the plan. */
static mary_status acquire(mary_session *session, const mary_tensor *inputs, const mary_parallel *parallel,
                           bool every_value, cached_plan **plan, mary_run **run)
{
    mary_status status = MARY_OK;
    int threads = parallel != NULL ? parallel->threads : 1;
    *run = NULL;
    pthread_mutex_lock(&session->lock);
    cached_plan *cached = session->plans;
    while (cached != NULL && (cached->every_value != every_value || cached->threads != threads ||
                              !same_inputs(session->program, cached->inputs, inputs)))
        cached = cached->next;
    if (cached == NULL) {
        status = create_cached(session, inputs, parallel, every_value, &cached);
        if (status == MARY_OK) {
            cached->next = session->plans;
            session->plans = cached;
        }
    }
    if (status == MARY_OK) {
        cached->users++;
        cached->stamp = ++session->clock;
        evict(session);
        if (cached->idle != NULL) {
            *run = cached->idle;
            cached->idle = (*run)->next;
            cached->idle_count--;
        }
    }
    pthread_mutex_unlock(&session->lock);
    if (status != MARY_OK)
        return status;
    *plan = cached;
    if (*run != NULL)
        return MARY_OK;
    status = mary_run_create(cached->plan, session->profile, run);
    if (status != MARY_OK) {
        pthread_mutex_lock(&session->lock);
        cached->users--;
        pthread_mutex_unlock(&session->lock);
    }
    return status;
}

static void add_times(mary_session *session, const mary_run *run)
{
    size_t nodes = session->program->node_count;
    for (size_t s = 0; s < run->plan->step_count; s++) {
        const mary_step *step = &run->plan->steps[s];
        bool own = step->kind == MARY_STEP_NODE || step->kind == MARY_STEP_DYNAMIC;
        size_t row = step->node < 0 ? nodes * 2 : own ? (size_t)step->node : nodes + (size_t)step->node;
        session->times[row].seconds += run->seconds[s];
        session->times[row].calls++;
    }
}

static void release(mary_session *session, cached_plan *cached, mary_run *run, bool succeeded)
{
    pthread_mutex_lock(&session->lock);
    if (succeeded && run->seconds != NULL)
        add_times(session, run);
    cached->users--;
    if (cached->idle_count < MOST_IDLE_RUNS) {
        run->next = cached->idle;
        cached->idle = run;
        cached->idle_count++;
        run = NULL;
    }
    pthread_mutex_unlock(&session->lock);
    mary_run_free(&run);
}

/* ---- outputs ---- */

static mary_status place_output(const mary_session *session, const mary_run *run, int i, const mary_outlet *outlet,
                                void **data)
{
    const mary_tensor *tensor = &run->tensors[run->plan->outputs[i]];
    mary_array output = {.name = session->program->outputs[i].name,
                         .type = tensor->type,
                         .rank = tensor->shape.rank,
                         .bytes = mary_tensor_bytes(tensor)};
    memcpy(output.dims, tensor->shape.dims, sizeof output.dims[0] * (size_t)tensor->shape.rank);
    MARY_TRY(outlet->place(outlet->context, i, &output));
    *data = output.data;
    return MARY_OK;
}

/* Before the run: those that it writes where they belong. After it: the others, copied. */
static mary_status place_outputs(const mary_session *session, const mary_run *run, const mary_outlet *outlet,
                                 bool direct, void **data)
{
    for (int i = 0; outlet != NULL && i < session->program->output_count; i++) {
        if (mary_run_output_is_direct(run, i) != direct)
            continue;
        MARY_TRY(place_output(session, run, i, outlet, &data[i]));
        const mary_tensor *tensor = &run->tensors[run->plan->outputs[i]];
        size_t bytes = mary_tensor_bytes(tensor);
        if (!direct && bytes > 0)
            memcpy(data[i], tensor->data, bytes);
    }
    return MARY_OK;
}

static mary_status allocate_output(void *context, int index, mary_array *output)
{
    mary_array *arrays = context;
    output->data = mary_alloc_aligned(output->bytes);
    if (output->data == NULL)
        return mary_fail_memory(output->bytes);
    arrays[index] = *output;
    return MARY_OK;
}

/* ---- running ---- */

static mary_status run_once(mary_session *session, const mary_array *inputs, int input_count,
                            const mary_parallel *parallel, const mary_outlet *outlet, const mary_run_observer *observer)
{
    size_t count = (size_t)session->program->input_count, ports = count + (size_t)session->program->output_count;
    mary_tensor *tensors = mary_calloc(count, sizeof *tensors);
    void **data = mary_calloc(ports, sizeof *data), **outputs = NULL;
    mary_cpu before = mary_cpu_current();
    cached_plan *plan = NULL;
    mary_run *run = NULL;
    mary_status status = MARY_OK;
    mary_cpu_set(session->program->cpu);
    if (tensors == NULL || data == NULL) {
        status = mary_fail_memory(count * sizeof *tensors + ports * sizeof *data);
        goto done;
    }
    outputs = data + count;
    MARY_TRY_GOTO(mary_inputs_sort(session->program, inputs, input_count, tensors, data), done);
    MARY_TRY_GOTO(acquire(session, tensors, parallel, observer != NULL, &plan, &run), done);
    status = place_outputs(session, run, outlet, true, outputs);
    if (status == MARY_OK)
        status = mary_run_execute(run, data, outputs, parallel, observer);
    if (status == MARY_OK)
        status = place_outputs(session, run, outlet, false, outputs);
    release(session, plan, run, status == MARY_OK);
done:
    mary_cpu_set(before);
    mary_free(tensors);
    mary_free(data);
    return status;
}

mary_status mary_session_run(mary_session *session, const mary_array *inputs, int input_count, mary_array *outputs,
                             int output_count)
{
    if (output_count != session->program->output_count)
        return mary_fail(MARY_ERROR_USAGE, "the model has %d outputs, room was given for %d",
                         session->program->output_count, output_count);
    if (output_count > 0)
        memset(outputs, 0, sizeof *outputs * (size_t)output_count);
    const mary_outlet outlet = {allocate_output, outputs};
    mary_status status = run_once(session, inputs, input_count, own_threads(session), &outlet, NULL);
    for (int i = 0; status != MARY_OK && i < output_count; i++)
        mary_array_free(&outputs[i]);
    return status;
}

mary_status mary_session_run_on(mary_session *session, const mary_array *inputs, int input_count,
                                const mary_parallel *parallel, const mary_outlet *outlet)
{
    return run_once(session, inputs, input_count, parallel, outlet, NULL);
}

mary_status mary_session_observe(mary_session *session, const mary_array *inputs, int input_count,
                                 const char *const *names, int name_count, mary_observer *function, void *context)
{
    mary_run_observer observer = {function, context, names, name_count};
    if (session->fusion)
        return mary_fail(MARY_ERROR_USAGE, "observing needs a session without fusion");
    return run_once(session, inputs, input_count, own_threads(session), NULL, &observer);
}

void mary_array_free(mary_array *array)
{
    mary_free(array->data);
    array->data = NULL;
    array->bytes = 0;
}

/* ---- profile ---- */

mary_status mary_session_profile(mary_session *session, const mary_profile_row **rows, int *count)
{
    if (!session->profile)
        return mary_fail(MARY_ERROR_USAGE, "the session was created without profile");
    const mary_program *program = session->program;
    size_t nodes = program->node_count;
    *count = 0;
    pthread_mutex_lock(&session->lock);
    for (size_t i = 0; i <= nodes; i++) {
        const node_time *copies = &session->times[nodes + i];
        if (copies->calls > 0)
            session->rows[(*count)++] = (mary_profile_row){i < nodes ? program->nodes[i].name : "outputs", "(layout)",
                                                           "", copies->calls, copies->seconds};
        if (i == nodes || session->times[i].calls == 0)
            continue;
        const mary_program_node *node = &program->nodes[i];
        const char *kernel = node->node.op->kernel != NULL ? node->node.op->kernel(&node->node) : "";
        session->rows[(*count)++] =
            (mary_profile_row){node->name, node->label, kernel, session->times[i].calls, session->times[i].seconds};
    }
    pthread_mutex_unlock(&session->lock);
    *rows = session->rows;
    return MARY_OK;
}
