#include "runtime/ort/pool.h"

#include <sched.h>
#include <time.h>

enum {
    MOST_THREADS = 256,
    WAIT_NANOSECONDS = 2000000, /* a sleeping worker takes some 50 us to come */
    RARER = 8                   /* the 1st, 8th, 64th, ... run looks again */
};

typedef struct roll_call {
    int most;
    _Atomic int present; /* threads that are in the parallel-for now */
    _Atomic bool over;
    struct timespec start;
} roll_call;

static int64_t nanoseconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)(now.tv_sec - start->tv_sec) * 1000000000 + (now.tv_nsec - start->tv_nsec);
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
        if (nanoseconds_since(&call->start) > WAIT_NANOSECONDS)
            atomic_store(&call->over, true);
        sched_yield();
    }
}

static int count_threads(int most, const OrtApi *api, const OrtKernelContext *context)
{
    roll_call call = {.most = most};
    clock_gettime(CLOCK_MONOTONIC, &call.start);
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
    atomic_init(&pool->runs, 0);
}

static bool looks_again(uint64_t run)
{
    while (run % RARER == 0)
        run /= RARER;
    return run == 1;
}

int mary_ort_pool_threads(mary_ort_pool *pool, const OrtApi *api, const OrtKernelContext *context)
{
    int known = atomic_load(&pool->threads);
    if (known == pool->most || !looks_again(atomic_fetch_add(&pool->runs, 1) + 1))
        return known;
    int found = count_threads(pool->most, api, context);
    while (found > known && !atomic_compare_exchange_weak(&pool->threads, &known, found))
        continue;
    return found > known ? found : known;
}
