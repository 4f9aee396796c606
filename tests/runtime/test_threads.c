/* The pool covers every range exactly once, whoever comes, and however many threads come at once. */
#include "tests/support/suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "runtime/threads.h"

enum { ITEMS = 1000 };

typedef struct cover {
    _Atomic int hits[ITEMS];
    _Atomic unsigned long used; /* thread numbers that were seen at work, as bits */
    _Atomic bool clash;         /* two pieces with one number at the same time */
    _Atomic int at_work[64];
} cover;

static void touch(void *context, int64_t begin, int64_t end, int thread)
{
    cover *c = context;
    if (atomic_fetch_add(&c->at_work[thread], 1) != 0)
        c->clash = true;
    atomic_fetch_or(&c->used, 1ul << thread);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&c->hits[i], 1);
    atomic_fetch_sub(&c->at_work[thread], 1);
}

static void check_cover(const mary_parallel *parallel, int64_t count, int64_t grain)
{
    cover c;
    memset(&c, 0, sizeof c);
    mary_parallel_for(parallel, count, grain, touch, &c);
    for (int i = 0; i < ITEMS; i++)
        ck_assert_int_eq(c.hits[i], i < count ? 1 : 0);
    ck_assert(!c.clash);
    ck_assert_uint_lt(c.used, 1ul << parallel->threads);
}

START_TEST(every_item_is_done_once)
{
    for (int threads = 1; threads <= 7; threads++) {
        mary_threads *pool;
        assert_ok(mary_threads_create(threads, &pool));
        for (int64_t count = 0; count <= ITEMS; count += 1 + count / 3)
            for (int64_t grain = 1; grain < 40; grain += 13)
                check_cover(mary_threads_parallel(pool), count, grain);
        mary_threads_free(&pool);
        ck_assert_ptr_null(pool);
    }
}
END_TEST

static void *come_often(void *parallel)
{
    for (int i = 0; i < 300; i++)
        check_cover(parallel, 1 + i % ITEMS, 1);
    return NULL;
}

START_TEST(callers_that_come_at_once_do_not_disturb_each_other)
{
    mary_threads *pool;
    pthread_t callers[4];
    assert_ok(mary_threads_create(3, &pool));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, come_often, (void *)(uintptr_t)mary_threads_parallel(pool)),
                         0);
    for (int i = 0; i < 4; i++)
        pthread_join(callers[i], NULL);
    mary_threads_free(&pool);
}
END_TEST

static void nest(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        check_cover(context, 50, 1); /* the pool is busy: the piece works alone */
}

START_TEST(parallel_for_inside_a_piece_works_alone)
{
    mary_threads *pool;
    assert_ok(mary_threads_create(2, &pool));
    mary_parallel_for(mary_threads_parallel(pool), 8, 1, nest, (void *)(uintptr_t)mary_threads_parallel(pool));
    mary_threads_free(&pool);
}
END_TEST

MARY_TEST_MAIN("runtime/threads", every_item_is_done_once, callers_that_come_at_once_do_not_disturb_each_other,
               parallel_for_inside_a_piece_works_alone)
