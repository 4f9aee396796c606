/* One run of a plan: an arena, and every tensor and call made ready, so that running is a loop over steps that
 * allocates nothing (but for nodes whose shapes depend on data). A run belongs to one thread at a time and is used
 * again. */
#ifndef MARY_RUNTIME_RUN_H
#define MARY_RUNTIME_RUN_H

#include "runtime/plan.h"

typedef struct mary_run {
    mary_parallel parallel;       /* first: what the calls hold; passes everything on to `threads` */
    const mary_parallel *threads; /* of the run that is under way */
    const mary_plan *plan;
    void *arena;
    mary_tensor *tensors; /* per slot */
    mary_op_call *calls;  /* per step */
    void **pointers;      /* what the calls' inputs and outputs point into */
    int *floating; /* slots whose address is known only during the run: views of inputs, of outputs and of dynamic
                    * values */
    size_t floating_count;
    double *seconds;       /* per step, of the last run; NULL: not measured */
    struct mary_run *next; /* in the session's list of idle runs */
} mary_run;

/* Every execution must bring as many threads as the plan was made for. */
mary_status mary_run_create(const mary_plan *plan, bool timed, mary_run **run);
void mary_run_free(mary_run **run);

/* What an observer sees; NULL: nobody looks. */
typedef struct mary_run_observer {
    mary_observer *function;
    void *context;
    const char *const *names; /* NULL: all values */
    int name_count;
} mary_run_observer;

/* The root slot of output i is in the caller's memory. */
static inline bool mary_run_output_is_direct(const mary_run *run, int i)
{
    return run->plan->slots[mary_plan_root(run->plan, run->plan->outputs[i], NULL)].place == MARY_PLACE_OUTPUT;
}

/* `inputs`: data pointers, one per program input; `outputs`: one per program output, looked at where the output is
 * direct. Afterwards run->tensors[plan->outputs[i]] holds output i until the next run. `parallel` may be NULL: one
 * thread. */
mary_status mary_run_execute(mary_run *run, void *const *inputs, void *const *outputs, const mary_parallel *parallel,
                             const mary_run_observer *observer);

#endif
