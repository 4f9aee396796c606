/* How many threads the pool of an ONNX Runtime session has: it does not tell its kernels, but work that is cut into
 * more pieces than that decodes weights more often than it must. */
#ifndef MARY_RUNTIME_ORT_POOL_H
#define MARY_RUNTIME_ORT_POOL_H

#include <stdatomic.h>

#include "runtime/ort/ort.h"

typedef struct mary_ort_pool {
    int most;              /* pieces that are of use: processors of this process; or what the user said */
    _Atomic int threads;   /* found so far, 1 to `most` */
    _Atomic int64_t next;  /* when to look again while some are missing, nanoseconds of CLOCK_MONOTONIC */
    _Atomic int64_t pause; /* after which the next look but one comes */
} mary_ort_pool;

/* `threads` > 0: the user's word, nothing is looked for. */
void mary_ort_pool_init(mary_ort_pool *pool, int threads);

/* Into how many pieces work is best cut. The first call counts the threads that come to a parallel-for when each waits
 * up to 2 ms for the others. While threads are missing (there are no more, or they were busy) later calls look again,
 * after 0.2 s, then after ever longer pauses, so that looking takes less than a hundredth of the time. Any number of
 * threads may call. */
int mary_ort_pool_threads(mary_ort_pool *pool, const OrtApi *api, const OrtKernelContext *context);

#endif
