#include "runtime/ort/ort.h"

#include "ops/cpu.h"

OrtStatus *mary_ort_status(const OrtApi *api, mary_status status)
{
    static const OrtErrorCode codes[] = {[MARY_ERROR_INTERNAL] = ORT_EP_FAIL,
                                         [MARY_ERROR_USAGE] = ORT_INVALID_ARGUMENT,
                                         [MARY_ERROR_INVALID] = ORT_INVALID_GRAPH,
                                         [MARY_ERROR_UNSUPPORTED] = ORT_NOT_IMPLEMENTED};
    if (status == MARY_OK)
        return NULL;
    OrtErrorCode code = ORT_FAIL;
    if ((size_t)status < sizeof codes / sizeof *codes && codes[status] != ORT_OK)
        code = codes[status];
    return api->CreateStatus(code, mary_error_message());
}

mary_status mary_ort_take(const OrtApi *api, OrtStatus *failure)
{
    if (failure == NULL)
        return MARY_OK;
    mary_status status = mary_fail(MARY_ERROR_INTERNAL, "ONNX Runtime: %s", api->GetErrorMessage(failure));
    api->ReleaseStatus(failure);
    return status;
}

mary_type mary_ort_type(ONNXTensorElementDataType type)
{
    return mary_type_size((mary_type)type) > 0 ? (mary_type)type : MARY_UNDEFINED;
}

/* ---- threads ---- */

typedef struct piecework {
    mary_task *task;
    void *context;
    int64_t count, pieces;
    mary_cpu cpu;
} piecework;

static void run_piece(void *data, size_t piece)
{
    const piecework *work = data;
    int64_t index = (int64_t)piece, more = work->count % work->pieces;
    int64_t begin = work->count / work->pieces * index + (index < more ? index : more);
    int64_t size = work->count / work->pieces + (index < more);
    mary_cpu before = mary_cpu_current();
    mary_cpu_set(work->cpu); /* thread-local: the pool's threads use the caller's tier */
    work->task(work->context, begin, begin + size, (int)index);
    mary_cpu_set(before);
}

static void run(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context)
{
    const mary_ort_parallel *self = (const mary_ort_parallel *)parallel; /* its first member */
    int64_t pieces = (count + grain - 1) / grain;
    if (pieces > parallel->threads)
        pieces = parallel->threads;
    if (pieces <= 1) {
        task(context, 0, count, 0);
        return;
    }
    piecework work = {.task = task, .context = context, .count = count, .pieces = pieces, .cpu = mary_cpu_current()};
    OrtStatus *failure =
        self->api->KernelContext_ParallelFor(self->context, run_piece, (size_t)pieces, (size_t)pieces, &work);
    if (failure != NULL) { /* refused before it began: the work is done here */
        self->api->ReleaseStatus(failure);
        task(context, 0, count, 0);
    }
}

void mary_ort_parallel_init(mary_ort_parallel *parallel, const OrtApi *api, const OrtKernelContext *context,
                            int threads)
{
    *parallel = (mary_ort_parallel){
        .parallel = {.threads = threads < 1 ? 1 : threads, .run = run}, .api = api, .context = context};
}
