/* Into how many pieces a kernel cuts its work. ONNX Runtime lends its pool but does not tell how many threads it has,
 * and pieces that no thread of their own serves are not free: each decodes weights again. So a kernel learns it from
 * its own runs. */
#ifndef MARY_RUNTIME_ORT_CUSTOM_OPS_TEAM_H
#define MARY_RUNTIME_ORT_CUSTOM_OPS_TEAM_H

#include <stdatomic.h>

#include "runtime/ort/ort.h"

/* What a kernel knows of its session's pool; shared by all its runs. */
typedef struct mary_ort_learner {
    _Atomic int known;     /* most threads that served one run */
    _Atomic int trials;    /* runs that will still try more than that */
    _Atomic unsigned runs; /* so far */
    int processors;        /* never more than these */
} mary_ort_learner;

enum { MARY_ORT_MOST_THREADS = 256 };

/* The threads of one run. `parallel` is what the operator sees. */
typedef struct mary_ort_team {
    mary_parallel parallel; /* first: operators hold a pointer to it */
    mary_ort_parallel pool;
    mary_ort_learner *learner;
    bool watched; /* more pieces than known threads were on offer */
    _Atomic int count;
    _Atomic(const void *) members[MARY_ORT_MOST_THREADS];
} mary_ort_team;

void mary_ort_learner_init(mary_ort_learner *learner);
/* Pieces for the next run: as many as there are known threads, or up to twice as many when it is to find more. */
int mary_ort_learner_pieces(mary_ort_learner *learner);

void mary_ort_team_init(mary_ort_team *team, mary_ort_learner *learner, const OrtApi *api,
                        const OrtKernelContext *context, int pieces);
/* After the run: the learner takes note of who came. */
void mary_ort_team_done(mary_ort_team *team);

#endif
