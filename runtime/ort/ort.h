/* What both plugins for ONNX Runtime share: its API, failures as OrtStatus, its types and its thread pool.
 *
 * ONNX Runtime hands a plugin its API on loading, as old or as new as the version that is asked for; each plugin asks
 * for the lowest that has what it needs, so that it works with every runtime since. */
#ifndef MARY_RUNTIME_ORT_ORT_H
#define MARY_RUNTIME_ORT_ORT_H

#include <onnxruntime_c_api.h>

#include "ops/op.h"

/* NULL for MARY_OK; else the thread's message as an OrtStatus, which ONNX Runtime frees. */
OrtStatus *mary_ort_status(const OrtApi *api, mary_status status);

/* A failure of ONNX Runtime as one of ours: takes `failure` over (NULL: MARY_OK), its message becomes the thread's. */
mary_status mary_ort_take(const OrtApi *api, OrtStatus *failure);

/* Element types have ONNX's numbers on both sides. MARY_UNDEFINED: one that mary does not have. */
mary_type mary_ort_type(ONNXTensorElementDataType type);

/* A dense tensor of ONNX Runtime's as ours: a view of its memory. `name` is for messages. */
mary_status mary_ort_tensor(const OrtApi *api, const OrtValue *value, const char *name, mary_tensor *tensor);

/* The parallel-for of one call of a kernel: runs on the pool of the session that the kernel belongs to, however many
 * threads that has. Valid as long as `context` is. */
typedef struct mary_ort_parallel {
    mary_parallel parallel; /* first: operators hold a pointer to it */
    const OrtApi *api;
    const OrtKernelContext *context;
} mary_ort_parallel;

/* `threads`: into how many pieces work is cut at most. */
void mary_ort_parallel_init(mary_ort_parallel *parallel, const OrtApi *api, const OrtKernelContext *context,
                            int threads);

#endif
