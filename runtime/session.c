/* Sessions: the public face of the runtime. Keeps plans for the input shapes it has seen, and idle runs for each. */
#include <pthread.h>
#include <string.h>

#include "runtime/inputs.h"
#include "runtime/run.h"
#include "runtime/threads.h"

enum { MOST_PLANS = 8, MOST_IDLE_RUNS = 8 };

typedef struct cached_plan {
    mary_plan *plan;
    mary_tensor *inputs; /* types and shapes that it was made for */
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
    mary_threads *threads;
    bool fusion, profile;
    pthread_mutex_t lock; /* guards what follows */
    cached_plan *plans;
    uint64_t clock;
    node_time *times; /* per node, then per node for layout copies and conversions made for it, then one for outputs */
    mary_profile_row *rows;
};

/* ---- creating ---- */

mary_status mary_session_create(mary_model **model, const mary_session_options *options, mary_session **result)
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
    MARY_TRY_GOTO(mary_threads_create(options->threads, &session->threads), error);
    if (options->cpu != NULL)
        MARY_TRY_GOTO(mary_cpu_parse(options->cpu, &cpu), error);
    mary_cpu_set(cpu);
    status =
        mary_program_create(model, cpu, session->fusion, mary_threads_parallel(session->threads), &session->program);
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

static mary_status create_cached(mary_session *session, const mary_tensor *inputs, bool every_value,
                                 cached_plan **result)
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
    mary_status status = mary_plan_create(session->program, inputs, session->fusion, every_value,
                                          mary_threads_parallel(session->threads), &cached->plan);
    if (status != MARY_OK) {
        free_cached(cached);
        return status;
    }
    *result = cached;
    return MARY_OK;
}

/* An idle run for these shapes, or a new one. Planning happens under the lock: threads that come with the same new
 * shape wait and share the plan. */
static mary_status acquire(mary_session *session, const mary_tensor *inputs, bool every_value, cached_plan **plan,
                           mary_run **run)
{
    mary_status status = MARY_OK;
    *run = NULL;
    pthread_mutex_lock(&session->lock);
    cached_plan *cached = session->plans;
    while (cached != NULL &&
           (cached->every_value != every_value || !same_inputs(session->program, cached->inputs, inputs)))
        cached = cached->next;
    if (cached == NULL) {
        status = create_cached(session, inputs, every_value, &cached);
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
    status = mary_run_create(cached->plan, mary_threads_parallel(session->threads), session->profile, run);
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

static mary_status copy_outputs(const mary_session *session, const mary_run *run, mary_array *outputs, int output_count)
{
    for (int i = 0; i < output_count; i++) {
        const mary_tensor *tensor = &run->tensors[run->plan->outputs[i]];
        size_t bytes = mary_tensor_bytes(tensor);
        outputs[i] = (mary_array){.name = session->program->outputs[i].name,
                                  .type = tensor->type,
                                  .rank = tensor->shape.rank,
                                  .bytes = bytes};
        memcpy(outputs[i].dims, tensor->shape.dims, sizeof outputs[i].dims[0] * (size_t)tensor->shape.rank);
        outputs[i].data = mary_alloc_aligned(bytes);
        if (outputs[i].data == NULL)
            return mary_fail_memory(bytes);
        memcpy(outputs[i].data, tensor->data, bytes);
    }
    return MARY_OK;
}

static mary_status run_once(mary_session *session, const mary_array *inputs, int input_count, mary_array *outputs,
                            int output_count, const mary_run_observer *observer)
{
    size_t count = (size_t)session->program->input_count;
    mary_tensor *tensors = mary_calloc(count, sizeof *tensors);
    void **data = mary_calloc(count, sizeof *data);
    mary_cpu before = mary_cpu_current();
    cached_plan *plan = NULL;
    mary_run *run = NULL;
    mary_status status = MARY_OK;
    mary_cpu_set(session->program->cpu);
    if (tensors == NULL || data == NULL) {
        status = mary_fail_memory(count * sizeof *tensors);
        goto done;
    }
    MARY_TRY_GOTO(mary_inputs_sort(session->program, inputs, input_count, tensors, data), done);
    MARY_TRY_GOTO(acquire(session, tensors, observer != NULL, &plan, &run), done);
    status = mary_run_execute(run, data, mary_threads_parallel(session->threads), observer);
    if (status == MARY_OK)
        status = copy_outputs(session, run, outputs, output_count);
    if (status != MARY_OK) {
        for (int i = 0; i < output_count; i++)
            mary_array_free(&outputs[i]);
    }
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
    return run_once(session, inputs, input_count, outputs, output_count, NULL);
}

mary_status mary_session_observe(mary_session *session, const mary_array *inputs, int input_count,
                                 const char *const *names, int name_count, mary_observer *function, void *context)
{
    mary_run_observer observer = {function, context, names, name_count};
    if (session->fusion)
        return mary_fail(MARY_ERROR_USAGE, "observing needs a session without fusion");
    return run_once(session, inputs, input_count, NULL, 0, &observer);
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
