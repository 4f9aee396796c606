/* The threads of a session. */
#ifndef MARY_RUNTIME_THREADS_H
#define MARY_RUNTIME_THREADS_H

#include "ops/op.h"

/* A pool that serves one parallel-for at a time. Whoever comes while it is busy (another run of the same session) works
 * alone. */
typedef struct mary_threads mary_threads;

/* threads <= 0: one per processor that this process may use. The calling thread counts as one of them. */
mary_status mary_threads_create(int threads, mary_threads **pool);
void mary_threads_free(mary_threads **pool);
/* What operators see of it. */
const mary_parallel *mary_threads_parallel(const mary_threads *pool);

#endif
