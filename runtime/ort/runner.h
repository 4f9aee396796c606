/* A session of ours behind one node of ONNX Runtime's: it runs on ONNX Runtime's threads and in its memory. The
 * execution provider has one for each group that it claims, the custom operator MaryPacked one for each node. */
#ifndef MARY_RUNTIME_ORT_RUNNER_H
#define MARY_RUNTIME_ORT_RUNNER_H

#include "runtime/ort/pool.h"

typedef struct mary_ort_runner {
    const OrtApi *api;
    char *name; /* of the node, for messages */
    mary_session *session;
    mary_array *inputs; /* names, types and declared shapes; copied for every run */
    int input_count, output_count;
    int first_input; /* the node's input that is the session's first; the others follow */
    mary_ort_pool pool;
} mary_ort_runner;

/* Takes *model over, whether or not it succeeds. `name` is copied; `threads` is mary_ort_pool_init's. On failure there
 * is nothing to free. */
mary_status mary_ort_runner_init(mary_ort_runner *runner, const OrtApi *api, const char *name, mary_model **model,
                                 int first_input, int threads);
/* A zeroed one may be freed, too. */
void mary_ort_runner_free(mary_ort_runner *runner);

/* Inputs are read in place, outputs are those of the node. Any number of threads may run it at once. */
mary_status mary_ort_runner_run(mary_ort_runner *runner, OrtKernelContext *context);

#endif
