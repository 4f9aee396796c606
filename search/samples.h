/* The calibration samples of a search: some to measure with, others held apart to compare on. */
#ifndef MARY_SEARCH_SAMPLES_H
#define MARY_SEARCH_SAMPLES_H

#include "onnx/memory.h"
#include "onnx/status.h"

/* Which runs: every other one is measured with, beginning with the first; the others are held apart. */
typedef enum mary_sample_part { MARY_SAMPLES_MEASURED, MARY_SAMPLES_APART, MARY_SAMPLES_ALL } mary_sample_part;

/* One run as it was read: copies. */
typedef struct mary_sample_run {
    mary_array *inputs;
    int input_count;
    int64_t *labels; /* [count]; NULL: none */
    int64_t count;   /* rows that count; negative: all that there are */
    size_t bytes;
} mary_sample_run;

typedef struct mary_search_samples {
    const mary_calibration *source;
    mary_status (*labels)(void *context, const int64_t **labels, int64_t *count);
    mary_sample_run *runs; /* [source->count] while `kept`: those that were read so far */
    bool kept;             /* they all fit `limit` bytes, until now */
    size_t bytes, limit;
    mary_sample_run current;   /* when they are not kept */
    int64_t next;              /* run that the source gives next */
    mary_calibration measured; /* the measured part as a source; points back here, so the struct must stay */
} mary_search_samples;

#define MARY_SAMPLES_KEPT ((size_t)512 << 20)

/* MARY_ERROR_USAGE with fewer than two runs. To be freed on failure, too. */
mary_status mary_search_samples_create(const mary_calibration *source, const mary_goal *goal,
                                       mary_search_samples *samples);
void mary_search_samples_free(mary_search_samples *samples);

/* Runs of a part, and which run of the source number i is. */
int64_t mary_search_samples_count(const mary_search_samples *samples, mary_sample_part part);
int64_t mary_search_samples_index(mary_sample_part part, int64_t i);
/* Run `index` of the source; valid until the next call. In rising order within a pass. */
mary_status mary_search_samples_read(mary_search_samples *samples, int64_t index, const mary_sample_run **run);

#endif
