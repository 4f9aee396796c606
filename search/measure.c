#include "search/measure.h"

#include <inttypes.h>
#include <math.h>

#include "convert/calibrate/scores.h"

void mary_judge_free(mary_judge *judge)
{
    for (int64_t r = 0; judge->references != NULL && r < judge->samples->source->count; r++) {
        for (int o = 0; o < judge->output_count; o++)
            mary_array_free(&judge->references[r * judge->output_count + o]);
    }
    mary_session_free(&judge->session);
    mary_free(judge->references);
    mary_free(judge->known);
    *judge = (mary_judge){0};
}

mary_status mary_judge_create(const mary_model *model, mary_search_samples *samples, int threads, mary_judge *judge)
{
    mary_model *copy = NULL;
    const size_t runs = (size_t)samples->source->count;
    *judge = (mary_judge){.samples = samples, .threads = threads, .limit = MARY_REFERENCES_KEPT};
    MARY_TRY(mary_model_copy(model, &copy));
    mary_status status = mary_session_create(&copy, &(mary_session_options){.threads = threads}, &judge->session);
    if (status != MARY_OK)
        return mary_fail_context(status, "the model does not run, so nothing can be compared with it");
    judge->output_count = mary_session_output_count(judge->session);
    judge->references = mary_calloc(runs * (size_t)judge->output_count + 1, sizeof *judge->references);
    judge->known = mary_calloc(runs, sizeof *judge->known);
    return judge->references != NULL && judge->known != NULL ? MARY_OK : mary_fail_memory(runs * sizeof(mary_array));
}

/* What sums up while a model runs. */
typedef struct tally {
    mary_outcome outcome;
    double *errors, *energies; /* [output_count] */
    double divergence;
    int scores; /* output that holds them; -1: none yet */
} tally;

static void free_all(mary_array *arrays, int count)
{
    for (int i = 0; i < count; i++)
        mary_array_free(&arrays[i]);
}

/* Labels that the model has no class for are never right. */
static mary_status count_rows(tally *t, const mary_sample_run *run, const mary_array *got, const mary_array *wanted)
{
    const int64_t classes = wanted->dims[1], rows = wanted->dims[0];
    const int64_t count = run->count >= 0 ? run->count : rows;
    mary_outcome *outcome = &t->outcome;
    if (count > rows)
        return mary_fail(MARY_ERROR_INVALID, "%" PRId64 " labels for %" PRId64 " rows of output '%s'", count, rows,
                         wanted->name);
    outcome->labelled = run->labels != NULL;
    for (int64_t row = 0; row < count; row++) {
        const float *a = (const float *)got->data + row * classes, *b = (const float *)wanted->data + row * classes;
        const double divergence = mary_score_divergence(a, b, classes);
        const int64_t best = mary_best_class(a, classes), float_best = mary_best_class(b, classes);
        const bool finite = isfinite(divergence);
        t->divergence += divergence;
        outcome->agreed += finite && best == float_best;
        if (run->labels != NULL) {
            const bool right = finite && best == run->labels[row], was = float_best == run->labels[row];
            outcome->right += right;
            outcome->float_right += was;
            outcome->lost += was && !right;
            outcome->gained += right && !was;
        }
    }
    outcome->samples += count;
    return MARY_OK;
}

static mary_status compare(tally *t, int output, const mary_sample_run *run, const mary_array *got,
                           const mary_array *wanted)
{
    if (wanted->type != MARY_FLOAT)
        return MARY_OK;
    if (got->type != MARY_FLOAT || got->bytes != wanted->bytes) { /* its shape depends on the values */
        t->errors[output] = INFINITY;
        return MARY_OK;
    }
    const float *values = wanted->data;
    for (size_t i = 0; i < wanted->bytes / sizeof *values; i++)
        t->energies[output] += isfinite(values[i]) ? (double)values[i] * (double)values[i] : 0;
    t->errors[output] += mary_squared_difference(got, wanted);
    if (!mary_holds_scores(wanted) || (t->scores >= 0 && t->scores != output))
        return MARY_OK;
    t->scores = output;
    return count_rows(t, run, got, wanted);
}

/* One run of both models. `outputs`: [2 * output_count], empty before and after. */
static mary_status run_both(mary_judge *judge, mary_session *session, int64_t index, mary_array *outputs, tally *t)
{
    const int count = judge->output_count;
    mary_array *got = outputs, *fresh = outputs + count, *kept = judge->references + index * count;
    const mary_sample_run *run;
    mary_status status = MARY_OK;
    MARY_TRY(mary_search_samples_read(judge->samples, index, &run));
    if (!judge->known[index]) {
        size_t bytes = 0;
        status = mary_session_run(judge->session, run->inputs, run->input_count, fresh, count);
        if (status != MARY_OK)
            return mary_fail_context(status, "calibration run %" PRId64, index);
        for (int o = 0; o < count; o++)
            bytes += fresh[o].bytes;
        if (judge->bytes + bytes <= judge->limit) {
            judge->bytes += bytes;
            judge->known[index] = true;
            for (int o = 0; o < count; o++) {
                kept[o] = fresh[o];
                fresh[o] = (mary_array){0};
            }
        }
    }
    const mary_array *wanted = judge->known[index] ? kept : fresh;
    MARY_TRY_GOTO(mary_session_run(session, run->inputs, run->input_count, got, count), done);
    for (int o = 0; o < count; o++)
        MARY_TRY_GOTO(compare(t, o, run, &got[o], &wanted[o]), done);
    if (t->scores < 0)
        t->outcome.samples += run->count >= 0 ? run->count : run->inputs[0].rank > 0 ? run->inputs[0].dims[0] : 1;
done:
    free_all(got, count);
    free_all(fresh, count);
    return status;
}

mary_status mary_judge_model(mary_judge *judge, mary_model **model, mary_sample_part part, int64_t most,
                             mary_outcome *outcome)
{
    const size_t outputs = (size_t)judge->output_count;
    int64_t runs = mary_search_samples_count(judge->samples, part);
    mary_session *session = NULL;
    tally t = {.errors = mary_calloc(outputs + 1, sizeof *t.errors),
               .energies = mary_calloc(outputs + 1, sizeof *t.energies),
               .scores = -1};
    mary_array *arrays = mary_calloc(2 * outputs + 1, sizeof *arrays);
    mary_status status = MARY_OK;
    if (t.errors == NULL || t.energies == NULL || arrays == NULL) {
        status = mary_fail_memory(outputs * sizeof *arrays);
        goto done;
    }
    MARY_TRY_GOTO(mary_session_create(model, &(mary_session_options){.threads = judge->threads}, &session), done);
    if (mary_session_output_count(session) != judge->output_count) {
        status = mary_fail(MARY_ERROR_INTERNAL, "the converted model has other outputs");
        goto done;
    }
    runs = most > 0 && most < runs ? most : runs;
    for (int64_t i = 0; i < runs; i++)
        MARY_TRY_GOTO(run_both(judge, session, mary_search_samples_index(part, i), arrays, &t), done);
    t.outcome.scored = t.scores >= 0;
    t.outcome.divergence = t.outcome.scored && t.outcome.samples > 0 ? t.divergence / (double)t.outcome.samples : -1;
    for (size_t o = 0; o < outputs; o++)
        t.outcome.error += t.energies[o] > 0 ? t.errors[o] / t.energies[o] : t.errors[o];
    *outcome = t.outcome;
done:
    mary_session_free(&session);
    mary_model_free(model);
    mary_free(t.errors);
    mary_free(t.energies);
    mary_free(arrays);
    return status;
}

double mary_outcome_loss(const mary_outcome *outcome)
{
    const double loss = outcome->scored ? outcome->divergence : outcome->error;
    return isfinite(loss) ? fmax(loss, 0) : 1e30;
}

double mary_outcome_drop(const mary_outcome *outcome, double *deviation)
{
    const double samples = (double)outcome->samples;
    *deviation = NAN;
    if (!outcome->scored || outcome->samples == 0)
        return NAN;
    if (!outcome->labelled) {
        const double changed = 1 - (double)outcome->agreed / samples;
        *deviation = 100 * sqrt(changed * (1 - changed) / samples);
        return 100 * changed;
    }
    const double lost = (double)outcome->lost, gained = (double)outcome->gained, net = lost - gained;
    *deviation = 100 * sqrt(fmax(lost + gained - net * net / samples, 0)) / samples;
    return 100 * net / samples;
}
