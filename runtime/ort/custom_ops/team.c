#include "runtime/ort/custom_ops/team.h"

#include <sched.h>
#include <unistd.h>

/* A run that found nobody new is repeated so often at once, because threads may have been late; after that every so
 * many runs. */
enum { TRIALS = 8, RUNS_BETWEEN_TRIALS = 16 };

static int processors(void)
{
    cpu_set_t set;
    long count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > MARY_ORT_MOST_THREADS ? MARY_ORT_MOST_THREADS : (int)count;
}

void mary_ort_learner_init(mary_ort_learner *learner)
{
    *learner = (mary_ort_learner){.processors = processors()};
    atomic_init(&learner->known, 1);
    atomic_init(&learner->trials, TRIALS);
    atomic_init(&learner->runs, 0);
}

int mary_ort_learner_pieces(mary_ort_learner *learner)
{
    int known = atomic_load_explicit(&learner->known, memory_order_relaxed);
    unsigned run = atomic_fetch_add_explicit(&learner->runs, 1, memory_order_relaxed);
    if (atomic_load_explicit(&learner->trials, memory_order_relaxed) <= 0 && run % RUNS_BETWEEN_TRIALS != 0)
        return known;
    return 2 * known < learner->processors ? 2 * known : learner->processors;
}

/* ---- who serves ---- */

static void enlist(mary_ort_team *team)
{
    static _Thread_local char self; /* its address tells threads apart */
    for (int i = 0; i < MARY_ORT_MOST_THREADS; i++) {
        const void *member = atomic_load_explicit(&team->members[i], memory_order_relaxed);
        if (member == NULL && atomic_compare_exchange_strong(&team->members[i], &member, &self)) {
            atomic_fetch_add(&team->count, 1);
            return;
        }
        if (member == &self)
            return;
    }
}

typedef struct watch {
    mary_ort_team *team;
    mary_task *task;
    void *context;
} watch;

static void watched_task(void *data, int64_t begin, int64_t end, int thread)
{
    const watch *w = data;
    enlist(w->team);
    w->task(w->context, begin, end, thread);
}

static void run(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context)
{
    mary_ort_team *team = (mary_ort_team *)parallel; /* its first member; the run's own, never const */
    const mary_parallel *pool = &team->pool.parallel;
    int known = atomic_load_explicit(&team->learner->known, memory_order_relaxed);
    if (pool->threads <= known || count / grain <= known) {
        pool->run(pool, count, grain, task, context);
        return;
    }
    watch w = {.team = team, .task = task, .context = context};
    team->watched = true;
    pool->run(pool, count, grain, watched_task, &w);
}

void mary_ort_team_init(mary_ort_team *team, mary_ort_learner *learner, const OrtApi *api,
                        const OrtKernelContext *context, int pieces)
{
    team->learner = learner;
    team->watched = false;
    team->parallel = (mary_parallel){.threads = pieces, .run = run};
    mary_ort_parallel_init(&team->pool, api, context, pieces);
    atomic_init(&team->count, 0);
    for (int i = 0; i < MARY_ORT_MOST_THREADS && pieces > atomic_load_explicit(&learner->known, memory_order_relaxed);
         i++)
        atomic_init(&team->members[i], NULL);
}

void mary_ort_team_done(mary_ort_team *team)
{
    if (!team->watched)
        return;
    mary_ort_learner *learner = team->learner;
    int known = atomic_load_explicit(&learner->known, memory_order_relaxed), came = atomic_load(&team->count);
    if (came > known) { /* another run may write a smaller number at the same time: the next trial puts that right */
        atomic_store_explicit(&learner->known, came, memory_order_relaxed);
        atomic_store_explicit(&learner->trials, TRIALS, memory_order_relaxed);
    } else if (atomic_load_explicit(&learner->trials, memory_order_relaxed) > 0) {
        atomic_fetch_sub_explicit(&learner->trials, 1, memory_order_relaxed);
    }
}
