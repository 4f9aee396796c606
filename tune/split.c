#include "tune/tune.h"

mary_status mary_split_create(const mary_samples *samples, double holdout, mary_split *split)
{
    *split = (mary_split){.all = *samples, .training = *samples};
    split->held_out = (int64_t)(holdout * (double)samples->samples);
    split->training.samples -= split->held_out;
    if (split->training.samples < 1)
        return mary_fail(MARY_ERROR_USAGE, "%lld samples, %lld of them held out, leave none to train with",
                         (long long)samples->samples, (long long)split->held_out);
    return MARY_OK;
}

int64_t mary_split_held_out(const mary_split *split, int64_t i)
{
    return (int64_t)(((__int128)i * split->all.samples + split->all.samples / 2) / split->held_out);
}

int64_t mary_split_training(const mary_split *split, int64_t i)
{
    int64_t low = 0, high = split->held_out; /* how many held-out ones come before it */
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (mary_split_held_out(split, middle) <= i + middle)
            low = middle + 1;
        else
            high = middle;
    }
    return i + low;
}
