#include "tune/settings.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "convert/quantize/method.h"

#define MOST_RATE 1e6 /* of mary_schedule_rate */

#define CHECK(good, ...)                                                                                               \
    do {                                                                                                               \
        if (!(good))                                                                                                   \
            return mary_fail(MARY_ERROR_USAGE, __VA_ARGS__);                                                           \
    } while (0)

/* The spellings of `importance`, by mary_tune_importance; "auto" is none of them. */
static const char *const importances[] = {"none", "hessian", "fisher", "adam"};

static bool is_auto(const char *importance)
{
    return importance == NULL || strcmp(importance, "auto") == 0;
}

static mary_status check_method(const mary_tune_options *o)
{
    const mary_quantize_method *method = mary_quantize_method_find(o->method);
    CHECK(method != NULL, "there is no method '%s' of choosing levels", o->method);
    CHECK(method->code == NULL, "the method '%s' chooses codes by a layer's inputs: mary convert has it", o->method);
    bool known = is_auto(o->importance);
    for (size_t i = 0; i < sizeof importances / sizeof importances[0]; i++)
        known = known || strcmp(o->importance, importances[i]) == 0;
    CHECK(known, "the importance '%s' is none of hessian, fisher, adam, none and auto", o->importance);
    CHECK(o->entropy >= 0 && isfinite(o->entropy), "the entropy is %g bits", o->entropy);
    return MARY_OK;
}

mary_tune_importance mary_tune_importance_of(const mary_tune_options *o)
{
    for (size_t i = 0; !is_auto(o->importance) && i < sizeof importances / sizeof importances[0]; i++) {
        if (strcmp(o->importance, importances[i]) == 0)
            return (mary_tune_importance)i;
    }
    return mary_quantize_method_find(o->method)->weighing != MARY_WEIGHING_NONE ? MARY_TUNE_IMPORTANCE_HESSIAN
                                                                                : MARY_TUNE_IMPORTANCE_NONE;
}

static mary_status check(const mary_tune_options *o)
{
    mary_schedule schedule;
    CHECK(o->keep > 0 && o->keep <= 1, "the part of the weights to keep is above 0 and at most 1, not %g", o->keep);
    CHECK(o->levels >= 1 && o->levels <= 255, "levels besides zero: 1 to 255, not %d", o->levels);
    CHECK(o->epochs >= 0, "epochs: at least 0, not %lld", (long long)o->epochs);
    CHECK(o->level_epochs >= 0 && o->level_epochs <= o->epochs, "%lld of %lld epochs cannot train the levels",
          (long long)o->level_epochs, (long long)o->epochs);
    CHECK(o->coded_epochs >= 0 && o->coded_epochs <= o->epochs - o->level_epochs,
          "%lld of %lld epochs cannot train coded weights", (long long)o->coded_epochs, (long long)o->epochs);
    CHECK(o->coded_epochs == 0 || !o->no_levels, "without levels there are no coded weights to train");
    MARY_TRY(check_method(o));
    CHECK(o->precision >= 2 && o->precision <= 24, "significant bits of levels and biases: 2 to 24, not %d",
          o->precision);
    CHECK(o->batch >= 1 && o->batch <= 1 << 20, "a batch of %lld samples", (long long)o->batch);
    CHECK(o->rate > 0 && o->rate < MOST_RATE, "the rate is %g", o->rate);
    CHECK(o->coded_rate > 0 && o->coded_rate < MOST_RATE, "the rate of coded weights is %g", o->coded_rate);
    CHECK(o->level_rate > 0 && o->level_rate < MOST_RATE, "the rate of the levels is %g", o->level_rate);
    CHECK(!o->relative || !o->per_model, "levels of the whole model have no size relative to a layer's weights");
    CHECK(o->warmup >= 0 && o->warmup <= 1e6, "a warm-up of %g epochs", o->warmup);
    CHECK(o->weight_decay >= 0 && isfinite(o->weight_decay), "the weight decay is %g", o->weight_decay);
    CHECK(o->holdout >= 0 && o->holdout < 1, "the part that is held out is at least 0 and below 1, not %g", o->holdout);
    CHECK(o->temperature > 0 && isfinite(o->temperature), "the temperature is %g", o->temperature);
    CHECK(o->label_share >= 0 && o->label_share <= 1, "the share of the labels is 0 to 1, not %g", o->label_share);
    CHECK(o->label_share == 0 || (o->labels && o->distil), "a share of the labels needs labels and distillation");
    CHECK(o->augment.mixup == 0 || ((!o->labels || o->distil) && o->label_share == 0),
          "mixed samples belong to no class: they need distillation without a share of the labels");
    CHECK(!o->resume || o->checkpoint != NULL, "there is no checkpoint to resume from");
    return mary_tune_schedule(o, o->rate, 1, 1, &schedule);
}

mary_status mary_tune_settle(const mary_tune_options *given, mary_tune_options *o)
{
    *o = *given;
    if (o->keep == 0)
        o->keep = 0.1;
    if (o->levels == 0)
        o->levels = 15;
    if (o->method == NULL)
        o->method = "kmeans";
    if (o->epochs == 0)
        o->epochs = 20;
    if (o->epochs == MARY_NO_EPOCHS)
        o->epochs = 0;
    if (o->level_epochs == MARY_NO_EPOCHS || o->no_levels || o->epochs == 0)
        o->level_epochs = 0;
    else if (o->level_epochs == 0)
        o->level_epochs = o->epochs < 4 ? 1 : o->epochs / 4;
    if (o->batch == 0)
        o->batch = 64;
    if (o->rate == 0)
        o->rate = o->relative ? 1e-2 : 1e-3;
    if (o->coded_rate == 0)
        o->coded_rate = o->rate / 3;
    if (o->level_rate == 0)
        o->level_rate = o->rate / 10;
    if (o->precision == 0)
        o->precision = 10;
    if (o->temperature == 0)
        o->temperature = 2;
    if (o->schedule == NULL)
        o->schedule = "cosine";
    return check(o);
}

mary_status mary_tune_schedule(const mary_tune_options *o, double rate, int64_t epochs, int64_t epoch_steps,
                               mary_schedule *schedule)
{
    const int64_t steps = epochs * epoch_steps;
    const mary_schedule constant = {.rate = rate};
    *schedule = constant;
    if (strcmp(o->schedule, "cosine") == 0)
        *schedule = (mary_schedule){MARY_SCHEDULE_COSINE, rate, 0, steps, 0};
    else if (strcmp(o->schedule, "steps") == 0)
        *schedule = (mary_schedule){MARY_SCHEDULE_STEPS, rate, 0.1, (steps + 2) / 3, 0};
    else if (strcmp(o->schedule, "exponential") == 0)
        *schedule = (mary_schedule){MARY_SCHEDULE_EXPONENTIAL, rate, 0.01, steps, 0};
    else
        CHECK(strcmp(o->schedule, "constant") == 0,
              "the schedule '%s' is none of cosine, constant, steps and exponential", o->schedule);
    schedule->warmup = (int64_t)ceil(o->warmup * (double)epoch_steps);
    return MARY_OK;
}

bool mary_tune_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
