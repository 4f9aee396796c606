/* How many threads a session's pool has is found out without being told; ONNX Runtime's parallel-for is played here. */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "runtime/ort/pool.h"
#include "tests/support/suite.h"

enum { MOST_THREADS = 8 };

static int pool_threads; /* of the pool that is played */
static _Atomic int calls;

typedef struct share {
    void (*piece)(void *, size_t);
    void *data;
    _Atomic size_t *next;
    size_t total;
} share;

static void *serve(void *argument)
{
    const share *s = argument;
    for (size_t i; (i = atomic_fetch_add(s->next, 1)) < s->total;)
        s->piece(s->data, i);
    return NULL;
}

/* Every thread takes the next piece that nobody has; one thread: the caller, one after the other. */
static OrtStatus *parallel_for(const OrtKernelContext *context, void (*piece)(void *, size_t), size_t total,
                               size_t batches, void *data)
{
    pthread_t threads[MOST_THREADS];
    _Atomic size_t next = 0;
    share s = {.piece = piece, .data = data, .next = &next, .total = total};
    (void)context;
    (void)batches;
    atomic_fetch_add(&calls, 1);
    for (int i = 1; i < pool_threads; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, serve, &s), 0);
    serve(&s);
    for (int i = 1; i < pool_threads; i++)
        pthread_join(threads[i], NULL);
    return NULL;
}

static const OrtApi api = {.KernelContext_ParallelFor = parallel_for};

/* As if the process might use so many processors. */
static void init(mary_ort_pool *pool, int processors)
{
    mary_ort_pool_init(pool, 0);
    pool->most = processors;
}

START_TEST(one_thread_is_told_from_two)
{
    mary_ort_pool pool;
    pool_threads = 1;
    init(&pool, 2);
    ck_assert_int_eq(mary_ort_pool_threads(&pool, &api, NULL), 1);
    pool_threads = 2;
    init(&pool, 2);
    int found = 1; /* the second thread may be late on a busy machine: then it is found later */
    for (int i = 0; found == 1 && i < 100; i++) {
        atomic_store(&pool.next, 0);
        found = mary_ort_pool_threads(&pool, &api, NULL);
    }
    ck_assert_int_eq(found, 2);
}
END_TEST

START_TEST(no_more_threads_than_there_are_or_are_of_use)
{
    mary_ort_pool pool;
    pool_threads = 3;
    init(&pool, 8);
    ck_assert_int_le(mary_ort_pool_threads(&pool, &api, NULL), 3);
    pool_threads = 8;
    init(&pool, 2);
    for (int i = 0; i < 20; i++) {
        atomic_store(&pool.next, 0);
        ck_assert_int_le(mary_ort_pool_threads(&pool, &api, NULL), 2);
    }
}
END_TEST

START_TEST(looking_is_rare_and_ends_when_all_are_found)
{
    mary_ort_pool pool;
    pool_threads = 1;
    init(&pool, 2);
    atomic_store(&calls, 0);
    for (int i = 0; i < 1000; i++)
        mary_ort_pool_threads(&pool, &api, NULL);
    ck_assert_int_eq(atomic_load(&calls), 1);
    ck_assert_int_ge(atomic_load(&pool.pause), 400000000); /* the next but one is later still */
    atomic_store(&pool.next, 0);
    atomic_store(&pool.threads, 2);
    ck_assert_int_eq(mary_ort_pool_threads(&pool, &api, NULL), 2);
    ck_assert_int_eq(atomic_load(&calls), 1);
}
END_TEST

START_TEST(a_given_number_is_believed)
{
    mary_ort_pool pool;
    atomic_store(&calls, 0);
    mary_ort_pool_init(&pool, 5);
    ck_assert_int_eq(mary_ort_pool_threads(&pool, &api, NULL), 5);
    ck_assert_int_eq(atomic_load(&calls), 0);
}
END_TEST

/* The parallel-for of both plugins covers its range once, in no more pieces than it may. */
static void mark(void *context, int64_t begin, int64_t end, int thread)
{
    _Atomic int *marks = context;
    ck_assert_int_lt(thread, 3);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&marks[i], 1);
}

START_TEST(parallel_for_covers_its_range)
{
    mary_ort_parallel parallel;
    pool_threads = 3;
    mary_ort_parallel_init(&parallel, &api, NULL, 3);
    for (int64_t count = 0; count < 40; count++) {
        _Atomic int marks[40] = {0};
        mary_parallel_for(&parallel.parallel, count, 4, mark, marks);
        for (int64_t i = 0; i < 40; i++)
            ck_assert_int_eq(atomic_load(&marks[i]), i < count);
    }
}
END_TEST

MARY_TEST_MAIN("runtime/ort/provider/pool", one_thread_is_told_from_two, no_more_threads_than_there_are_or_are_of_use,
               looking_is_rare_and_ends_when_all_are_found, a_given_number_is_believed, parallel_for_covers_its_range)
