/* Workers spin for a moment between two parallel-fors, because the next operator follows at once, and sleep after that:
 * a pool that spins on (as OpenMP's does by default) takes the processor from whatever else runs on a busy machine, the
 * caller's own threads included. For the same reason nobody is waited for before it has begun: the caller takes every
 * piece that no worker has taken. */
#include "runtime/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "onnx/memory.h"
#include "ops/cpu.h"

enum { SPINS = 4000, MOST_THREADS = 256 };

struct mary_threads {
    mary_parallel parallel; /* first: operators hold a pointer to it */
    pthread_t *workers;
    int worker_count;
    pthread_mutex_t busy; /* held by the caller whose parallel-for is under way */

    /* The work at hand; written by the caller before `ticket` moves, read only by who has taken a piece. */
    mary_task *task;
    void *context;
    int64_t count;
    mary_cpu cpu;

    /* Generation (32 bits), number of pieces (16), next piece to take (16): one word, so that a worker that comes late
     * can neither take a piece of work that is over nor mistake one generation's pieces for another's. */
    _Atomic uint64_t ticket;
    _Atomic int unfinished; /* pieces of this generation */
    _Atomic bool stop;

    pthread_mutex_t lock; /* for sleeping only */
    pthread_cond_t wake;  /* workers: ticket moved */
    pthread_cond_t done;  /* caller: unfinished is 0 */
    _Atomic int sleepers;
    _Atomic bool caller_sleeps;
};

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Takes pieces until none is left. */
static void work(mary_threads *pool)
{
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    for (;;) {
        int piece = (int)(ticket & 0xffff), pieces = (int)(ticket >> 16 & 0xffff);
        if (piece >= pieces)
            return;
        if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket + 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        mary_cpu_set(pool->cpu); /* thread-local: workers use the caller's tier */
        int64_t count = pool->count;
        int64_t begin = count / pieces * piece + (piece < count % pieces ? piece : count % pieces);
        int64_t size = count / pieces + (piece < count % pieces);
        pool->task(pool->context, begin, begin + size, piece);
        if (atomic_fetch_sub(&pool->unfinished, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
        ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    }
}

static uint64_t generation(const mary_threads *pool)
{
    return atomic_load_explicit(&pool->ticket, memory_order_acquire) >> 32;
}

static void wait_for_work(mary_threads *pool, uint64_t seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (generation(pool) != seen || atomic_load_explicit(&pool->stop, memory_order_relaxed))
            return;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (generation(pool) == seen && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker(void *argument)
{
    mary_threads *pool = argument;
    uint64_t seen = 0;
    for (;;) {
        wait_for_work(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        seen = generation(pool);
        work(pool);
    }
}

static void wait_for_workers(mary_threads *pool)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->unfinished, memory_order_acquire) == 0)
            return;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->unfinished) != 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}

static void run(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context)
{
    mary_threads *pool = (mary_threads *)(uintptr_t)parallel; /* its first member */
    int64_t pieces = (count + grain - 1) / grain;
    if (pieces > parallel->threads)
        pieces = parallel->threads;
    if (pieces <= 1 || pthread_mutex_trylock(&pool->busy) != 0) {
        task(context, 0, count, 0);
        return;
    }
    uint64_t next = (generation(pool) + 1) << 32 | (uint64_t)pieces << 16;
    pool->task = task;
    pool->context = context;
    pool->count = count;
    pool->cpu = mary_cpu_current();
    atomic_store_explicit(&pool->unfinished, (int)pieces, memory_order_relaxed);
    atomic_store(&pool->ticket, next);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
    work(pool);
    wait_for_workers(pool);
    pthread_mutex_unlock(&pool->busy);
}

/* ---- life ---- */

static int processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count;
}

mary_status mary_threads_create(int threads, mary_threads **result)
{
    *result = NULL;
    if (threads <= 0)
        threads = processors();
    if (threads > MOST_THREADS)
        threads = MOST_THREADS;
    mary_threads *pool = mary_calloc(1, sizeof *pool);
    if (pool == NULL)
        return mary_fail_memory(sizeof *pool);
    pthread_mutex_init(&pool->busy, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->parallel = (mary_parallel){.threads = threads, .run = run};
    pool->workers = mary_calloc((size_t)threads, sizeof *pool->workers);
    if (pool->workers == NULL) {
        mary_threads_free(&pool);
        return mary_fail_memory((size_t)threads * sizeof *pool->workers);
    }
    /* Fewer workers than asked for, when the system gives no more, is slower and nothing else. */
    while (pool->worker_count < threads - 1 &&
           pthread_create(&pool->workers[pool->worker_count], NULL, worker, pool) == 0)
        pool->worker_count++;
    *result = pool;
    return MARY_OK;
}

void mary_threads_free(mary_threads **pool_pointer)
{
    mary_threads *pool = *pool_pointer;
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->worker_count; i++)
        pthread_join(pool->workers[i], NULL);
    mary_free(pool->workers);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->busy);
    mary_free(pool);
    *pool_pointer = NULL;
}

const mary_parallel *mary_threads_parallel(const mary_threads *pool)
{
    return &pool->parallel;
}
