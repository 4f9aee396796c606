/* The parallel-for that operators see; the runtime supplies the threads. */
#include "ops/op.h"

void mary_parallel_for(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context)
{
    if (count <= 0)
        return;
    if (parallel == NULL || parallel->threads <= 1 || count <= grain)
        task(context, 0, count, 0);
    else
        parallel->run(parallel, count, grain < 1 ? 1 : grain, task, context);
}
