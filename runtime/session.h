/* What a program that embeds the runtime needs of a session beyond mary.h: threads of its own, and outputs in its own
 * memory. The plugins for ONNX Runtime use it. */
#ifndef MARY_RUNTIME_SESSION_H
#define MARY_RUNTIME_SESSION_H

#include "ops/op.h"

/* Like mary_session_create, but no thread is started, options->threads does not count, and the model is loaded in the
 * calling thread. Such a session runs with mary_session_run_on; mary_session_run uses one thread. */
mary_status mary_session_create_threadless(mary_model **model, const mary_session_options *options,
                                           mary_session **session);

/* Where the outputs of a run go. `place` is called once for each output, in any order, in the thread that runs:
 * `output` has name, type, rank, dims and bytes; it sets output->data to at least that many bytes, aligned as the type
 * asks. Outputs whose shape follows from the input shapes are asked for before the run, and most are then written in
 * place. */
typedef struct mary_outlet {
    mary_status (*place)(void *context, int index, mary_array *output);
    void *context;
} mary_outlet;

/* Runs like mary_session_run, on the caller's threads. `parallel` is used during the call only, and may be NULL: one
 * thread. A plan is made for each number of threads that comes along. */
mary_status mary_session_run_on(mary_session *session, const mary_array *inputs, int input_count,
                                const mary_parallel *parallel, const mary_outlet *outlet);

#endif
