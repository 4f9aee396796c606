/* Training with libmary: gradients over ONNX graphs, optimisers, mini-batches, checkpoints; and mary_tune, which prunes
 * a network and trains it down to a few values. The rules of mary.h hold here, too.
 */
#ifndef MARY_TRAIN_H
#define MARY_TRAIN_H

#include "mary.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- training ---- */

/* Gradients over an ONNX graph. A trainer owns a model and its parameters: the float initializers with at least one dim
 * that a node can give a gradient (weights, biases, scales; not running means and variances, nor Constant nodes). The
 * network runs as for inference: dropout is the identity, BatchNormalization uses its statistics, unless its own
 * training_mode says otherwise. See docs/training.md. */
typedef struct mary_trainer mary_trainer;

typedef struct mary_trainer_options {
    int threads;         /* 0: one per processor; no result depends on it */
    const char *cpu;     /* as in mary_session_options */
    const char *output;  /* graph output that the loss is taken of; NULL: the first */
    int64_t micro_batch; /* samples that go through the network together; 0: as many as suit the caches */
} mary_trainer_options;

/* Takes over *model and clears it, on failure too. A node through which gradients would have to flow, and cannot, is
 * MARY_ERROR_UNSUPPORTED, at the first mary_trainer_gradient. */
MARY_API mary_status mary_trainer_create(mary_model **model, const mary_trainer_options *options,
                                         mary_trainer **trainer);
MARY_API void mary_trainer_free(mary_trainer **trainer);

/* What a parameter's Hessian is estimated by; see mary_trainer_gradient. */
typedef enum mary_curvature {
    MARY_CURVATURE_NONE = 0,
    MARY_CURVATURE_HESSIAN, /* its diagonal by second-order back-propagation (Becker and LeCun 1989) */
    MARY_CURVATURE_FISHER   /* empirical Fisher: mean over samples of the squared gradient of one sample's loss */
} mary_curvature;

typedef struct mary_parameter {
    const char *name; /* of the initializer */
    int rank;
    int64_t dims[MARY_MAX_RANK];
    int64_t count;          /* of elements */
    float *values;          /* the caller may change them between two calls */
    float *gradient;        /* of the last mary_trainer_gradient; may be changed before mary_optimiser_step */
    const float *curvature; /* of the last one that was asked for it; else zero */
} mary_parameter;

MARY_API int mary_trainer_parameter_count(const mary_trainer *trainer);
/* Pointers stay valid as long as the trainer. */
MARY_API mary_status mary_trainer_parameter(const mary_trainer *trainer, int index, mary_parameter *parameter);

/* One more, of zeros, that no node uses: what hooks compute with, and optimisers and checkpoints look after; its
 * gradient is zero but for what hooks add. Before there is an optimiser; pointers to parameters are invalid after it.
 */
MARY_API mary_status mary_trainer_add_parameter(mary_trainer *trainer, const char *name, int64_t count, int *index);

/* Lets something else than `values` take part in forward and backward passes: quantised weights, say. `effective` fills
 * `effective` from `values`, before every pass; `gradient` turns the gradient by the effective weights, in place, into
 * that by the values (NULL: they are the same, straight through). Both hold `count` elements. */
typedef struct mary_parameter_hook {
    void *context;
    mary_status (*effective)(void *context, int parameter, const float *values, float *effective, int64_t count);
    mary_status (*gradient)(void *context, int parameter, const float *values, float *gradient, int64_t count);
} mary_parameter_hook;
/* hook NULL: none. */
MARY_API mary_status mary_trainer_hook(mary_trainer *trainer, int parameter, const mary_parameter_hook *hook);

typedef enum mary_loss_kind {
    MARY_LOSS_CROSS_ENTROPY = 0, /* of the softmax of the outputs, and labels */
    MARY_LOSS_DIVERGENCE,        /* T^2 KL(softmax(targets / T) || softmax(outputs / T)); targets are logits */
    MARY_LOSS_SQUARED_ERROR      /* mean over all elements of (output - target)^2 */
} mary_loss_kind;

/* The mean over samples (and pixels) of an output [N, classes, pixels...]. Logits, not probabilities, for the first
 * two. The float model's own outputs as targets need no labels. */
typedef struct mary_loss {
    mary_loss_kind kind;
    const int64_t *labels; /* N * pixels */
    const float *targets;  /* like the output */
    float temperature;     /* 0: 1 */
    int64_t target_count;  /* elements of `targets`: others than the output has are an error; 0: not checked */
} mary_loss;

typedef struct mary_loss_result {
    double loss;
    int64_t samples, correct; /* positions; those whose largest output is the label, or the largest target */
} mary_loss_result;

/* Loss and gradients of a batch; every input has the batch as its first dim. A batch is cut into parts that depend on
 * the model and the batch only, and whose sums are added in a fixed order. With MARY_CURVATURE_FISHER samples run one
 * by one. `result` may be NULL. */
MARY_API mary_status mary_trainer_gradient(mary_trainer *trainer, const mary_array *inputs, int input_count,
                                           const mary_loss *loss, mary_curvature curvature, mary_loss_result *result);
/* The loss alone. */
MARY_API mary_status mary_trainer_loss(mary_trainer *trainer, const mary_array *inputs, int input_count,
                                       const mary_loss *loss, mary_loss_result *result);
/* A copy of the model as it was given, with the present values; those that take part (see mary_trainer_hook), if
 * `effective`. */
MARY_API mary_status mary_trainer_model(mary_trainer *trainer, bool effective, mary_model **model);

/* ---- optimisers ---- */

/* Changes a trainer's values by its gradients; must be freed before the trainer. */
typedef struct mary_optimiser mary_optimiser;

typedef struct mary_optimiser_options {
    const char *method;  /* NULL: "adam"; see mary_optimiser_method */
    double momentum;     /* sgd only: v = momentum v + g, w -= rate v; 0: none */
    double beta1, beta2; /* adam, amsgrad; 0: 0.9 and 0.999 */
    double epsilon;      /* 0: 1e-8 */
    double weight_decay; /* times the value is added to the gradient */
    bool relative;       /* the rate is times the root mean square of each parameter's values that are not zero, which
                          * is at least 1e-3: a step is a part of the weights' own size (Shazeer and Stern, Adafactor,
                          * 2018). Networks with folded BatchNormalization have layers a factor of ten apart. */
} mary_optimiser_options;

MARY_API mary_status mary_optimiser_create(mary_trainer *trainer, const mary_optimiser_options *options,
                                           mary_optimiser **optimiser);
MARY_API void mary_optimiser_free(mary_optimiser **optimiser);
/* One step with the gradients of the last mary_trainer_gradient. */
MARY_API mary_status mary_optimiser_step(mary_optimiser *optimiser, double rate);
/* Adam's second moment of a parameter (AMSGrad's largest), bias corrected, into `moment` (`count` floats): its square
 * root stands in for the Hessian's diagonal. MARY_ERROR_USAGE where the method has none, or before the first step. */
MARY_API mary_status mary_optimiser_moment(const mary_optimiser *optimiser, int parameter, float *moment);
/* Name and one-line description of the methods; NULL past the end. */
MARY_API const char *mary_optimiser_method(size_t index, const char **summary);

/* Learning rates over the steps of a training. */
typedef enum mary_schedule_kind {
    MARY_SCHEDULE_CONSTANT = 0,
    MARY_SCHEDULE_STEPS,       /* times `factor` after every `period` steps */
    MARY_SCHEDULE_EXPONENTIAL, /* the same, smoothly: rate * factor^(step / period) */
    MARY_SCHEDULE_COSINE       /* from rate down to rate * factor over `period` steps, then flat */
} mary_schedule_kind;

typedef struct mary_schedule {
    mary_schedule_kind kind;
    double rate, factor;
    int64_t period; /* >= 1 unless constant */
    int64_t warmup; /* so many first steps rise linearly to what they would be */
} mary_schedule;

/* The rate of step 0, 1, ...; MARY_ERROR_USAGE when the schedule makes no sense. */
MARY_API mary_status mary_schedule_rate(const mary_schedule *schedule, int64_t step, double *rate);

/* ---- mini-batches ---- */

/* Samples that are read one by one, from disk or wherever they are. `sample` fills `values` (`count` floats) and
 * *label; it may be called from several threads at once. */
typedef struct mary_samples {
    void *context;
    int64_t samples;
    int rank; /* of one sample */
    int64_t dims[MARY_MAX_RANK];
    mary_status (*sample)(void *context, int64_t index, float *values, int64_t *label);
} mary_samples;

/* How samples differ from one time to the next. Zeroed: not at all. All but `mixup` is for images [C, H, W], whose
 * sides are longer than `crop` and `cutout`. */
typedef struct mary_augmentation {
    int64_t crop;   /* shifted by -crop..crop pixels on both axes, zeros come in */
    bool flip;      /* left and right are swapped, every other time */
    int64_t cutout; /* a square of so many pixels, somewhere, is zero; it may reach over the border */
    double mixup;   /* this part of the samples, 0..1, is mixed with another one, of which 0 to 0.5 shows through. The
                     * label is of the one that shows more */
} mary_augmentation;

typedef struct mary_batch_options {
    int64_t batch;  /* samples; the last batch of an epoch may have fewer */
    bool shuffle;   /* another order every epoch */
    bool drop_last; /* leave a smaller last batch out */
    uint64_t seed;  /* of the order and of the augmentation */
    mary_augmentation augment;
} mary_batch_options;

typedef struct mary_batches mary_batches;
MARY_API mary_status mary_batches_create(const mary_samples *samples, const mary_batch_options *options,
                                         mary_batches **batches);
MARY_API void mary_batches_free(mary_batches **batches);
/* In one epoch. */
MARY_API int64_t mary_batches_count(const mary_batches *batches);
/* Batch `number` of epoch `epoch`: up to options.batch samples into `values` (dense) and `labels`. What comes depends
 * on the seed, epoch and number only, so training goes on anywhere. indices[i] is the sample that was read; NULL: not
 * wanted. */
MARY_API mary_status mary_batches_read(mary_batches *batches, int64_t epoch, int64_t number, float *values,
                                       int64_t *labels, int64_t *indices, int64_t *count);

/* ---- checkpoints ---- */

/* Values, what the optimiser has gathered, and where the training was. Written atomically; reading gives back every
 * bit. `optimiser` may be NULL. */
typedef struct mary_training_place {
    int64_t epoch, batch; /* the next one */
    int64_t step;
    uint64_t seed;
} mary_training_place;
MARY_API mary_status mary_checkpoint_save(const char *path, const mary_trainer *trainer,
                                          const mary_optimiser *optimiser, const mary_training_place *progress);
/* Into a trainer of the same model and an optimiser of the same method; what does not fit is MARY_ERROR_INVALID and
 * changes nothing. */
MARY_API mary_status mary_checkpoint_load(const char *path, mary_trainer *trainer, mary_optimiser *optimiser,
                                          mary_training_place *progress);

/* ---- tuning: pruned, and trained down to a few values ---- */

/* What Choi, El-Khamy and Lee (Towards the limit of network quantization, ICLR 2017) do to make a file small: prune by
 * magnitude and train on, give what is left of every layer a few shared values, train these. docs/compression.md. */

/* After every epoch. */
typedef struct mary_tune_epoch {
    const char *phase;     /* "prune", "train", "coded" or "levels" */
    int64_t epoch, epochs; /* this one, from 0, and all */
    double rate;           /* of the last step */
    double loss;           /* mean over the training samples, as they went by */
    double kept;           /* part of the weights that is not zero */
    double accuracy;       /* part of the held-out samples that are right; negative: none are held out */
} mary_tune_epoch;

typedef void mary_tune_progress(void *context, const mary_tune_epoch *epoch);

#define MARY_NO_EPOCHS (-1)

/* Zeroed is the default. */
typedef struct mary_tune_options {
    const char *output;        /* graph output with the logits; NULL: the first */
    bool labels;               /* samples have true classes; else what the teacher says is what is learnt */
    bool distil;               /* learn what the teacher says although there are labels */
    const mary_model *teacher; /* inputs, and the output that is learnt, as the model's; the caller's. NULL: the model
                                * as it is given */
    double temperature;        /* of that; 0: 2 */
    double label_share;        /* of that: the true class's part of what is learnt, 0..1 (needs `labels`) */
    double keep;               /* part of the weights that is not pruned, above 0; 0: 0.1. 1: nothing is */
    bool per_layer;            /* that part of every layer, not of the model */
    bool no_levels;            /* what comes out is the pruned float model, trained on */
    int levels;                /* values of a layer besides zero, 1..255; 0: 15 */
    const char *method;        /* that chooses them: as in mary_convert_options, but for "feedback"; NULL: "kmeans" */
    const char *importance;    /* what a weight's squared error counts for the method, measured on training samples:
                                * "hessian", "fisher", "adam" (square root of its second moment, of the training before),
                                * "none"; NULL or "auto": as the method would have it */
    double entropy;            /* as in mary_convert_options; with coded epochs a budget of the model, see there */
    bool per_model;            /* one set of levels for all layers */
    int precision;             /* significant bits that levels, biases and whatever else was trained are rounded to in
                                * the end, 2..24; 0: 10, an error of a thousandth. 24: floats as they are */
    int64_t epochs;            /* 0: 20; MARY_NO_EPOCHS: none */
    int64_t coded_epochs;      /* so many before the last ones train weights and levels together: the network sees a
                                * weight as its level, and both learn (straight-through: Bengio, Leonard and Courville
                                * 2013). Eight times an epoch a weight gets the nearest level; with `entropy`, the one
                                * with the best of error and bits, zero among them, so that all codes take what `keep`
                                * of the weights at that entropy and their places would. Then `method` says where levels
                                * begin only, and layers get bits by what errors in them cost (Fisher information) */
    int64_t level_epochs;    /* the last of these train the levels; 0: a quarter, at least one; MARY_NO_EPOCHS: none */
    int64_t batch;           /* samples in a step; 0: 64 */
    double rate, level_rate; /* Adam's; 0: 1e-3 (relative: 1e-2), and a tenth of `rate` */
    double coded_rate;       /* 0: a third of `rate` */
    bool relative;           /* rates are relative, as in mary_optimiser_options; not with `per_model` */
    double warmup;           /* so many epochs first rise to the rate, before the levels and again with them */
    const char *schedule;    /* of the rate over pruning and training, and again over the levels: "cosine" to zero,
                              * "constant", "steps" (three, a tenth each) or "exponential" (to a hundredth);
                              * NULL: "cosine" */
    double weight_decay;
    double holdout;            /* part of the samples that is not trained with, below 1 */
    mary_augmentation augment; /* mixed samples belong to no class: what is learnt must be the teacher's alone */
    uint64_t seed;
    int threads;                  /* 0: one per processor; no result depends on it */
    bool no_functions;            /* as in mary_convert_options */
    const char *checkpoint;       /* written after every epoch; NULL: none */
    bool resume;                  /* go on where `checkpoint` ends; when it is not there, from the beginning */
    mary_tune_progress *progress; /* may be NULL */
    void *progress_context;
} mary_tune_options;

typedef struct mary_tune_result {
    uint64_t weights, kept;    /* of the layers that were tuned; kept: not zero */
    int layers;                /* that were tuned */
    int64_t samples, held_out; /* trained with, and not */
    /* Accuracy on what was held out: as given, pruned and trained, with levels, with trained levels. Those that a
     * resumed training does not come by are negative; all are without held-out samples. */
    double before, trained, chosen, after;
} mary_tune_result;

/* *model becomes one with M-ary operators, whose levels mary_pack makes small; NULL on failure. It has one float input
 * [N, ...], to which the samples belong. `result` may be NULL. */
MARY_API mary_status mary_tune(mary_model **model, const mary_samples *samples, const mary_tune_options *options,
                               mary_tune_result *result);

#ifdef __cplusplus
}
#endif
#endif
