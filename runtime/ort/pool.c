#include "runtime/ort/pool.h"

#include <sched.h>
#include <time.h>

#define MILLISECOND INT64_C(1000000) /* in nanoseconds */

enum { MOST_THREADS = 256 };

static const int64_t wait = 2 * MILLISECOND; /* a sleeping worker takes some 0.05 ms to come */
static const int64_t first_pause = 200 * MILLISECOND, longest_pause = 60000 * MILLISECOND;

typedef struct roll_call {
    int most;
    _Atomic int present; /* threads inside the parallel-for */
    _Atomic bool over;
    int64_t start;
} roll_call;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 * MILLISECOND + time.tv_nsec;
}

/* A thread that waits here takes no second piece, so that those who are present are different threads. Once the waiting
 * is over, the pieces that are left do nothing. */
static void answer(void *data, size_t piece)
{
    roll_call *call = data;
    (void)piece;
    if (atomic_load(&call->over))
        return;
    if (atomic_fetch_add(&call->present, 1) + 1 >= call->most)
        atomic_store(&call->over, true);
    while (!atomic_load(&call->over)) {
        if (now() - call->start > wait)
            atomic_store(&call->over, true);
    }
}

static int count_threads(int most, const OrtApi *api, const OrtKernelContext *context)
{
    roll_call call = {.most = most, .start = now()};
    OrtStatus *failure = api->KernelContext_ParallelFor(context, answer, (size_t)most, (size_t)most, &call);
    if (failure != NULL)
        api->ReleaseStatus(failure);
    int present = atomic_load(&call.present);
    return present < 1 ? 1 : present > most ? most : present;
}

void mary_ort_pool_init(mary_ort_pool *pool, int threads)
{
    cpu_set_t set;
    int processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int most = threads > 0 ? threads : processors;
    *pool = (mary_ort_pool){.most = most < 1 ? 1 : most > MOST_THREADS ? MOST_THREADS : most};
    atomic_init(&pool->threads, threads > 0 ? pool->most : 1);
    atomic_init(&pool->next, 0);
    atomic_init(&pool->pause, first_pause);
}

/* True for one of the threads that come when it is time. */
static bool is_time(mary_ort_pool *pool)
{
    int64_t next = atomic_load(&pool->next), time = now();
    if (time < next)
        return false;
    int64_t pause = atomic_load(&pool->pause);
    if (!atomic_compare_exchange_strong(&pool->next, &next, time + pause))
        return false;
    atomic_store(&pool->pause, 2 * pause < longest_pause ? 2 * pause : longest_pause);
    return true;
}

int mary_ort_pool_threads(mary_ort_pool *pool, const OrtApi *api, const OrtKernelContext *context)
{
    int known = atomic_load(&pool->threads);
    if (known == pool->most || !is_time(pool))
        return known;
    int found = count_threads(pool->most, api, context);
    while (found > known && !atomic_compare_exchange_weak(&pool->threads, &known, found))
        continue;
    return found > known ? found : known;
}
