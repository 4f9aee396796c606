/* mary: M-ary quantisation of ONNX models. The public header of libmary, all but for training (mary_train.h).
 *
 * Handles are opaque. Every function that can fail returns a mary_status; the text that explains the last
 * failure of the calling thread is mary_error_message(). Nothing here prints, exits or keeps global state.
 */
#ifndef MARY_H
#define MARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MARY_API __attribute__((visibility("default")))
#else
#define MARY_API
#endif

/* Status codes are the exit statuses of the `mary` command, too. */
typedef enum mary_status {
    MARY_OK = 0,
    MARY_ERROR_INTERNAL = 1,    /* a defect of mary, or memory ran out */
    MARY_ERROR_USAGE = 2,       /* the caller's arguments are wrong */
    MARY_ERROR_INVALID = 3,     /* an input file or value is unreadable or breaks the ONNX rules */
    MARY_ERROR_UNSUPPORTED = 4, /* valid, but not something mary can run or convert */
    MARY_ERROR_BUDGET = 5,      /* the accuracy budget (--max-drop) or the goal of a conversion was missed */
    MARY_ERROR_WRITE = 6        /* an output could not be written */
} mary_status;

/* One line about the last failure in this thread; "" when there was none. Valid until the next failure here. */
MARY_API const char *mary_error_message(void);

/* "1.2.3" */
MARY_API const char *mary_version(void);

/* Element types; the numbers are those of ONNX's TensorProto.DataType. */
typedef enum mary_type {
    MARY_UNDEFINED = 0,
    MARY_FLOAT = 1,
    MARY_UINT8 = 2,
    MARY_INT8 = 3,
    MARY_UINT16 = 4,
    MARY_INT16 = 5,
    MARY_INT32 = 6,
    MARY_INT64 = 7,
    MARY_STRING = 8,
    MARY_BOOL = 9,
    MARY_FLOAT16 = 10,
    MARY_DOUBLE = 11,
    MARY_UINT32 = 12,
    MARY_UINT64 = 13,
    MARY_BFLOAT16 = 16
} mary_type;

/* Bytes per element; 0 for a type that has no fixed size here (string, undefined, unknown). */
MARY_API size_t mary_type_size(mary_type type);
/* "float", "uint8", ...; "unknown" for anything else. */
MARY_API const char *mary_type_name(mary_type type);

#define MARY_MAX_RANK 8

/* A dense row-major array that the caller sees: `dims[0..rank-1]`, innermost last. rank 0 is a scalar. */
typedef struct mary_array {
    const char *name; /* the graph input or output that it belongs to */
    mary_type type;
    int rank;
    int64_t dims[MARY_MAX_RANK]; /* in descriptions of a session's inputs: -1 for a dimension that is symbolic */
    void *data;
    size_t bytes;
} mary_array;

/* ---- models ---- */

typedef struct mary_model mary_model;

/* Reads and checks an ONNX file, packed (see mary_pack) or not. *model is set to NULL on failure. */
MARY_API mary_status mary_model_load(const char *path, mary_model **model);
/* The same from memory; `bytes` is not needed after the call. External data is refused. */
MARY_API mary_status mary_model_load_memory(const void *bytes, size_t size, mary_model **model);
/* Writes atomically: a temporary file beside `path`, then rename. Over 2 GiB the weights go to "<path>.data". */
MARY_API mary_status mary_model_save(const mary_model *model, const char *path);
/* The same file in memory, external data embedded: *bytes is freed with mary_bytes_free, and NULL on failure. A model
 * of more than 2 GiB is MARY_ERROR_WRITE: only files can hold it. */
MARY_API mary_status mary_model_save_memory(const mary_model *model, void **bytes, size_t *size);
/* Frees what a function of this header says it is for; NULL is fine. */
MARY_API void mary_bytes_free(void *bytes);
/* Adds type and shape of every value that can be told, and that the model does not declare yet, to its value_info.
 * Dimensions that follow a symbolic one keep its name; what depends on data, or comes out of operators that mary does
 * not know, is left out. */
MARY_API mary_status mary_model_infer_shapes(mary_model *model);
/* Frees *model and clears it; a NULL *model is fine. */
MARY_API void mary_model_free(mary_model **model);

/* ---- converting ---- */

/* Which weights share levels. */
typedef enum mary_granularity {
    MARY_GRANULARITY_AUTO =
        0, /* every row (output channel) its own, unless shared ones cost fewer bytes for the same error */
    MARY_GRANULARITY_CHANNEL,
    MARY_GRANULARITY_TENSOR,
    MARY_GRANULARITY_MODEL /* one set for all layers of the same M, method and type */
} mary_granularity;

#define MARY_SAME_LEVELS (-1)

/* Sample inputs, for what is measured by running the float model. Every call gives the inputs of one run: a sample, or
 * a batch of them. A pass asks for 0, 1, ..., count - 1 in this order, and the next pass starts at 0 again. The arrays
 * belong to the callback and are valid until the next call. */
typedef struct mary_calibration {
    void *context;
    int64_t count; /* runs in a pass, >= 1 */
    mary_status (*sample)(void *context, int64_t index, const mary_array **inputs, int *input_count);
} mary_calibration;

/* `done` of `total` weights have their levels. Called from the converting thread. */
typedef void mary_convert_progress(void *context, uint64_t done, uint64_t total);

/* Zeroed is the default everywhere. Lists may be NULL when their count is 0. Node names are those of the model as it
 * was given; a node without a name goes by "OpType -> first output". */
typedef struct mary_convert_options {
    int levels;            /* M, 2..256; 0: 16 */
    int first_last_levels; /* M of layers with no quantisable layer before, or none after them; 0: 256;
                            * MARY_SAME_LEVELS: like the others */
    const char *method;    /* NULL: "magnitude"; see mary_convert_method */
    mary_granularity granularity;
    const char *const *include; /* globs of node names; when there are any, only these are quantised */
    int include_count;
    const char *const *exclude; /* globs of node names that stay float; a glob that matches nothing is an error */
    int exclude_count;
    const char *const *op_types; /* of "Conv", "ConvTranspose", "Gemm", "MatMul"; none: all of them */
    int op_type_count;
    const char
        *config; /* path of a JSON file with settings per layer (docs/operators.md, "Settings per layer"); NULL: none */
    const mary_calibration *calibration; /* NULL: none; a method that measures is then MARY_ERROR_USAGE */
    int activations;                     /* 0: activations stay float; 8: unsigned bytes, which needs `calibration` */
    const char *calibration_method; /* how ranges of activations are chosen: a name of mary_calibration_method, or NULL
                                     * or "auto": all of them are tried, and measured by the error of the outputs */
    const char *importance;  /* how often the squared error of a weight counts: "hessian", "fisher", "adam" (the root of
                              * that; all need `calibration`), "none"; NULL or "auto": as the method would have it */
    double entropy;          /* bits per weight that the codes of the method "ecsq" may have; 0: only M bounds them */
    bool no_bias_correction; /* leave the mean error that levels cause in the outputs of layers, and with float
                              * activations what they do to the spread; otherwise both are corrected where the outputs
                              * get better by it */
    bool no_equalization;    /* do not balance channels between one layer and the next */
    bool no_functions;       /* leave out the function bodies: smaller, but only mary (or its plugin) runs the file */
    bool no_fold_constants, no_fold_batchnorm, no_remove_identity, no_deduplicate, no_drop_unused;
    int threads;                     /* 0: one per processor; the result does not depend on it */
    uint64_t seed;                   /* for methods that draw numbers */
    mary_convert_progress *progress; /* may be NULL */
    void *progress_context;
} mary_convert_options;

/* What became of one layer. Strings live as long as the report. */
typedef struct mary_layer_report {
    const char *name; /* of the node, in the model as it was given */
    const char *op_type;
    const char *weight;                /* name of the weight tensor; "" when it is not a constant */
    const char *method;                /* "" when not quantised */
    const char *note;                  /* why it was skipped, or what was done other than asked; "" */
    int levels, bits;                  /* 0 when not quantised */
    bool shared;                       /* one set of levels for all rows */
    bool model_levels;                 /* which is that of other layers, too; its bytes count in the first of them */
    bool repeated;                     /* the weight is another layer's, counted there */
    int64_t rows, row_length;          /* of the weight matrix; 0 when unknown */
    int64_t weights;                   /* rows * row_length */
    int64_t bytes_before, bytes_after; /* of the weights; codes and levels */
    double sqnr;                       /* dB; infinite without error; 0 when not quantised */
} mary_layer_report;

typedef struct mary_convert_totals {
    uint64_t file_before, file_after;    /* bytes of the serialised models, external data included */
    uint64_t weights, weights_quantised; /* of the layers in the report, repeated ones once */
    uint64_t bytes_before, bytes_after;  /* of these */
    double bits_per_weight;              /* 8 * bytes_after / weights, float layers included; 0 without weights */
} mary_convert_totals;

/* Tensors that share a scale, when activations are integers. Strings live as long as the report. */
typedef struct mary_activation_report {
    const char *name;   /* of the first of them, as the graph has it */
    const char *method; /* that chose the range */
    const char *note;   /* what is worth knowing; "" */
    int tensors;        /* how many share it */
    double least, most; /* seen during calibration */
    double low, high;   /* the range that is stored: scale * (0 - zero_point) and scale * (255 - zero_point) */
    float scale;
    int zero_point;
} mary_activation_report;

/* A node that computes in float although activations are integers. */
typedef struct mary_float_node_report {
    const char *name, *op_type, *reason;
} mary_float_node_report;

typedef struct mary_calibration_report {
    int64_t runs;         /* 0: activations are float */
    const char *method;   /* of choosing ranges; "" */
    bool bias_correction; /* was applied */
    bool equalization;
    double error;     /* of the outputs on calibration samples: squared error over energy, summed over the outputs;
                       * negative: not measured */
    double agreement; /* part of these samples with the same best class; negative: not measured, or no class scores */
} mary_calibration_report;

typedef struct mary_convert_report mary_convert_report;

/* Converts in place. On failure the model may be half converted: it is good for mary_model_free only. A layer that
 * cannot be quantised stays float and says so in the report. `options` and `report` may be NULL; *report is the
 * caller's to free, and NULL on failure. */
MARY_API mary_status mary_convert(mary_model *model, const mary_convert_options *options, mary_convert_report **report);
MARY_API void mary_convert_report_free(mary_convert_report **report);
MARY_API size_t mary_convert_layer_count(const mary_convert_report *report);
/* In the order of the graph; NULL past the end. */
MARY_API const mary_layer_report *mary_convert_layer(const mary_convert_report *report, size_t index);
MARY_API const mary_convert_totals *mary_convert_totals_of(const mary_convert_report *report);
/* NULL past the end; there are none unless activations are integers. */
MARY_API const mary_activation_report *mary_convert_activation(const mary_convert_report *report, size_t index);
MARY_API const mary_float_node_report *mary_convert_float_node(const mary_convert_report *report, size_t index);
MARY_API const mary_calibration_report *mary_convert_calibration(const mary_convert_report *report);
/* Name and one-line description of the methods of choosing ranges; NULL past the end. */
MARY_API const char *mary_calibration_method(size_t index, const char **summary);
/* Things worth knowing, one line each; NULL past the end. */
MARY_API const char *mary_convert_warning(const mary_convert_report *report, size_t index);
/* Name and one-line description of the methods of choosing levels; NULL past the end. */
MARY_API const char *mary_convert_method(size_t index, const char **summary);

/* Back to a plain float model: the operators of ai.mary become the standard ones with decoded weights, exactly the
 * values that they stood for; their function bodies are removed. Other nodes stay as they are. */
MARY_API mary_status mary_dequantize(mary_model *model);

/* ---- packing: a smaller file that means the same ---- */

/* mary_model_load and mary_model_load_memory open packed models like any other; the two functions here work on the
 * bytes of files. A packed model is a valid ONNX model, with one operator that only mary knows. */

typedef struct mary_pack_options {
    const char *coder; /* of codes: "huffman", "arithmetic" or "auto", the smallest for each tensor; NULL: "auto" */
    int threads;       /* 0: one per processor; the result does not depend on it */
} mary_pack_options;

/* One tensor of the model. Strings live as long as the report. */
typedef struct mary_packed_row {
    const char *name;
    const char *kind; /* "codes", "levels", "biases" or "other" */
    const char
        *coder; /* "huffman", "huffman gaps", "binary", "symbols", "bytes", "planes", "raw"; "graph": left there */
    int64_t elements; /* codes or numbers */
    uint64_t bytes_before;
    uint64_t bytes_after; /* of its stream; 0 when it was left in the graph, whose bytes it is counted with */
    /* Parts of bytes_after, known when the model was packed just now: */
    uint64_t position_bytes, table_bytes;
    double entropy; /* order 0, bits per code; 0 for other tensors, and when it was not packed just now */
} mary_packed_row;

/* Every byte of the packed file is in exactly one of codes ... graph. */
typedef struct mary_pack_totals {
    uint64_t file_before, file_after;
    uint64_t codes, positions, tables; /* of codes of ai.mary operators; positions and tables: of Huffman streams */
    uint64_t levels, biases, other;    /* levels: scales of weights, too */
    uint64_t graph;                    /* nodes, names, small tensors, the directory and checksums, the wrapping */
    uint64_t weights;                  /* codes of all tensors */
} mary_pack_totals;

typedef struct mary_pack_report mary_pack_report;

/* Packs the bytes of a model file. Unpacking gives the same bytes again, whoever wrote them. *packed is freed with
 * mary_bytes_free. Data in other files is MARY_ERROR_INVALID, a model that is packed already MARY_ERROR_USAGE.
 * `options` and `report` may be NULL; *report is the caller's to free, and NULL on failure. */
MARY_API mary_status mary_pack(const void *bytes, size_t size, const mary_pack_options *options, void **packed,
                               size_t *packed_size, mary_pack_report **report);
/* The bytes that were packed. MARY_ERROR_USAGE when they are no packed model; damage is MARY_ERROR_INVALID. */
MARY_API mary_status mary_unpack(const void *bytes, size_t size, void **plain, size_t *plain_size);
/* What is in a packed model: the report again, as far as it can be told. *report is NULL when it is not packed. */
MARY_API mary_status mary_pack_describe(const void *bytes, size_t size, mary_pack_report **report);
MARY_API void mary_pack_report_free(mary_pack_report **report);
/* In the order of the file; NULL past the end. */
MARY_API const mary_packed_row *mary_pack_row(const mary_pack_report *report, size_t index);
MARY_API const mary_pack_totals *mary_pack_totals_of(const mary_pack_report *report);

/* ---- converting to a goal: a size, or a loss, instead of M ---- */

typedef enum mary_goal_kind {
    MARY_GOAL_BYTES = 0, /* least loss in a file of at most `value` bytes */
    MARY_GOAL_RATIO,     /* the same, of at most float_bytes / `value` bytes */
    MARY_GOAL_DROP       /* smallest file whose accuracy is at most `value` percentage points lower */
} mary_goal_kind;

/* `done` of `total` steps of a phase, "measuring layers" for example. Called from the calling thread. */
typedef void mary_goal_progress(void *context, const char *phase, uint64_t done, uint64_t total);

typedef struct mary_goal {
    mary_goal_kind kind;
    double value;         /* MARY_GOAL_BYTES: at least 1; MARY_GOAL_RATIO: above 0; MARY_GOAL_DROP: 0..100 */
    bool pack;            /* the file is packed (mary_pack), and the goal speaks of its size then */
    uint64_t float_bytes; /* of the float file; 0: what the model takes when it is serialised */
    /* Labels of the run that the calibration gave last: [count] true classes, or NULL when there are none; rows from
     * `count` on fill up a fixed batch and do not count. All runs have labels or none does. `context` is the
     * calibration's. NULL: there are none, and every row counts. */
    mary_status (*labels)(void *context, const int64_t **labels, int64_t *count);
    int frontier; /* so many more sizes between the smallest and the largest are converted for and measured */
    mary_goal_progress *progress; /* may be NULL */
    void *progress_context;
} mary_goal;

/* A model that was converted, with its size as a file, and how it does on the samples that judge. */
typedef struct mary_goal_point {
    int levels;        /* M of all layers; 0: mixed */
    bool ends_finer;   /* with `levels`: the first and the last layers have 256, as mary_convert has it by default */
    uint64_t bytes;    /* of the file */
    double divergence; /* mean Kullback-Leibler divergence of the class probabilities; negative: no class scores */
    double error;      /* squared error of the outputs over their energy, summed over the outputs */
    double agreement;  /* part of the samples with the same best class as in float; negative: no class scores */
    double accuracy;   /* part of the samples with the right class; negative: no labels */
    double drop;       /* percentage points of accuracy that are lost; without labels, of agreement, which is never
                        * less; negative: a gain. NaN without class scores */
    double drop_deviation; /* standard error of `drop`, in percentage points; NaN likewise */
} mary_goal_point;

typedef struct mary_goal_summary {
    int64_t samples;  /* in all */
    int64_t measured; /* that layers were measured with, and that methods which measure saw */
    int64_t judging;  /* that points are compared on: those held apart; all of them for MARY_GOAL_DROP */
    bool labelled, scored;
    uint64_t float_bytes, target_bytes; /* target_bytes: 0 for MARY_GOAL_DROP */
    double float_accuracy;              /* on the judging samples; negative: no labels */
    bool has_uniform;                   /* some single M meets the goal */
    mary_goal_point mixed, uniform;     /* uniform: the best that one M for all layers gives */
    bool took_uniform;                  /* it was better, so it is the result */
} mary_goal_summary;

typedef struct mary_goal_result mary_goal_result;

/* Chooses M for every layer by how much each M in each layer changes the outputs, converts, and checks the goal on the
 * file as it is. `options` as for mary_convert, except that `levels` must be 0 and `calibration` have two runs or more:
 * every other one is held apart. Layers whose levels options->config states keep them; first and last layers are like
 * all others, unless first_last_levels (here or there) says otherwise. A size that is too small for levels of rows and
 * tensors is met with one set of levels for all layers, if options->granularity lets it. `model` stays as it is. A goal
 * that cannot be met is MARY_ERROR_BUDGET, with the best that can be had in the message. The result does not depend on
 * threads; *result is the caller's to free, and NULL on failure. */
MARY_API mary_status mary_convert_to_goal(const mary_model *model, const mary_convert_options *options,
                                          const mary_goal *goal, mary_goal_result **result);
MARY_API void mary_goal_result_free(mary_goal_result **result);
/* The bytes of the file; like everything below they live as long as the result. */
MARY_API const void *mary_goal_file(const mary_goal_result *result, size_t *size);
MARY_API const mary_convert_report *mary_goal_report(const mary_goal_result *result);
MARY_API const mary_goal_summary *mary_goal_summary_of(const mary_goal_result *result);
/* All models that were converted and measured, by bytes; NULL past the end. */
MARY_API const mary_goal_point *mary_goal_frontier(const mary_goal_result *result, size_t index);

/* ---- sessions ---- */

typedef struct mary_session mary_session;

typedef struct mary_session_options {
    int threads;     /* 0: one per processor that this process may use */
    const char *cpu; /* NULL: the best of this machine, or $MARY_CPU; else "scalar", "avx2", "avxvnni",
                      * "avx512", "avx512vnni", "neon" */
    bool no_fusion;  /* run every node by itself, in the layout that ONNX prescribes */
    bool profile;    /* collect the time of every node; see mary_session_profile */
} mary_session_options;

/* Prepares a model for running. Takes over *model and clears it, on failure too, so that weights can be
 * dropped as soon as they are packed. `options` may be NULL. */
MARY_API mary_status mary_session_create(mary_model **model, const mary_session_options *options,
                                         mary_session **session);
MARY_API void mary_session_free(mary_session **session);

MARY_API int mary_session_input_count(const mary_session *session);
MARY_API int mary_session_output_count(const mary_session *session);
/* Describes input or output `index`: name, type, rank and dims (-1: symbolic; rank -1: unknown); data is NULL. */
MARY_API mary_status mary_session_input(const mary_session *session, int index, mary_array *description);
MARY_API mary_status mary_session_output(const mary_session *session, int index, mary_array *description);

/* The name of dimension `axis` of input or output `index` where it is symbolic; NULL where it is a number or nameless.
 */
MARY_API const char *mary_session_input_symbol(const mary_session *session, int index, int axis);
MARY_API const char *mary_session_output_symbol(const mary_session *session, int index, int axis);

/* Runs the graph once. `inputs` holds `input_count` arrays, found by name, in any order. On success
 * outputs[0..output_count-1] (in the session's order) hold arrays whose data the caller frees with
 * mary_array_free. Any number of threads may run the same session at the same time. */
MARY_API mary_status mary_session_run(mary_session *session, const mary_array *inputs, int input_count,
                                      mary_array *outputs, int output_count);
MARY_API void mary_array_free(mary_array *array);

typedef struct mary_profile_row {
    const char *node;    /* name of the node */
    const char *op_type; /* with what was fused into it: "Conv+Add+Relu" */
    const char *kernel;  /* which kernel ran, "" when there is only one */
    uint64_t calls;
    double seconds; /* summed over the calls */
} mary_profile_row;

/* Rows in execution order; *rows belongs to the session and lives until it is freed or asked again. */
MARY_API mary_status mary_session_profile(mary_session *session, const mary_profile_row **rows, int *count);

/* Called for every node output that a run computes, in execution order; the array is valid during the call. */
typedef mary_status mary_observer(void *context, const char *node, const mary_array *value);
/* Runs like mary_session_run, outputs not returned. Only values named in `names` are reported (NULL: all).
 * The session must have been created with no_fusion, else fused values are silently absent: that is refused. */
MARY_API mary_status mary_session_observe(mary_session *session, const mary_array *inputs, int input_count,
                                          const char *const *names, int name_count, mary_observer *observer,
                                          void *context);

/* ---- looking into models and comparing them ---- */

/* A model that is read when it is needed: a file, or, when `bytes` is not NULL, a file in memory, which must stay until
 * the call that takes it returns. */
typedef struct mary_model_source {
    const char *path; /* in memory: what messages call it; NULL: "<memory>" */
    const void *bytes;
    size_t size;
} mary_model_source;

/* What `mary inspect --json` prints: versions, inputs and outputs, operators, and for every layer the shape, levels,
 * bits and bytes of its weight (docs/cli.md). *json is freed with mary_bytes_free, and NULL on failure. */
MARY_API mary_status mary_inspect(const mary_model_source *source, char **json);

/* Inputs of one run. */
typedef struct mary_validation_batch {
    const mary_array *inputs;
    int input_count;
    int64_t rows;          /* samples in the arrays, >= 1 */
    int64_t size;          /* of these, how many count: the rest fills up a fixed batch. 0: the pass is over */
    const int64_t *labels; /* [size] true classes; NULL: unknown. All batches have them or none does */
} mary_validation_batch;

/* Where samples come from. What a batch points to belongs to the source and is valid until its next call. */
typedef struct mary_validation_data {
    void *context;
    /* A pass begins, at the first sample. `inputs` [input_count] is what the models take; -1 is a dimension that
     * neither of them fixes. It stays until mary_validate returns. Only `samples` are of interest; 0: all. */
    mary_status (*begin)(void *context, const mary_array *inputs, int input_count, int64_t samples);
    mary_status (*next)(void *context, mary_validation_batch *batch);
} mary_validation_data;

/* Zeroed is the default. */
typedef struct mary_validate_options {
    const char *scores;           /* the output with the class scores; NULL: the first float output [N, classes] */
    mary_session_options session; /* threads and kernels; no_fusion and profile are not for it */
    bool layers;                  /* list the layers, and with two models compare their outputs */
    int64_t layer_samples;        /* that this is done with; 0: 64 */
} mary_validate_options;

typedef struct mary_validation mary_validation;

/* Runs one model, or two, over the same samples. models[0] is the reference, models[1] what it became. *validation is
 * the caller's to free, and NULL on failure. `options` may be NULL. */
MARY_API mary_status mary_validate(const mary_model_source *models, int model_count, const mary_validation_data *data,
                                   const mary_validate_options *options, mary_validation **validation);
MARY_API void mary_validation_free(mary_validation **validation);

typedef struct mary_validation_totals {
    uint64_t samples, runs;
    uint64_t layer_samples;   /* that layers were compared with; 0: they were not */
    bool labelled;            /* there were labels */
    bool scored;              /* an output holds class scores */
    uint64_t agreement;       /* samples for which both models choose the same class */
    double agreement_percent; /* 0 unless there are two models and scores */
    double drop_points;       /* percentage points of top-1 that models[1] loses; 0 without labels or with one model */
} mary_validation_totals;

/* One of the models. Strings in these structs live as long as the validation. */
typedef struct mary_model_accuracy {
    const char *path;
    uint64_t file_bytes;          /* external data included */
    double create_seconds;        /* reading, planning, packing */
    double seconds_per_sample;    /* of the runs, without the first one */
    uint64_t samples, top1, top5; /* with labels; else 0 */
    uint64_t with_nan;            /* samples with a NaN among their scores; they count as wrong */
    double top1_percent, top5_percent;
} mary_model_accuracy;

/* How close an array is to its reference, over all samples. */
typedef struct mary_closeness {
    double cosine;       /* 1 for two zero arrays, 0 when only one is zero */
    double sqnr;         /* dB; infinite without error; NaN when nothing finite was compared */
    double max_abs;      /* largest difference of two finite elements */
    uint64_t elements;   /* compared */
    uint64_t not_finite; /* of these, finite in only one of the models, or different infinities: left out above */
} mary_closeness;

typedef struct mary_output_comparison {
    const char *name;
    mary_closeness closeness;
} mary_output_comparison;

/* A layer of the last model. */
typedef struct mary_layer_comparison {
    const char *node, *op_type, *output; /* `output`: the value by which layers of the two models are matched */
    bool coded;                          /* has codes and levels */
    bool shared;                         /* its weight is an earlier layer's, and counted there */
    bool levels_per_row;
    int levels, bits; /* 0 unless coded */
    uint64_t weights;
    uint64_t bytes_before, bytes_after;
    bool measured; /* `closeness` of its output is known: both models fed the same samples */
    mary_closeness closeness;
} mary_layer_comparison;

MARY_API void mary_validation_totals_of(const mary_validation *validation, mary_validation_totals *totals);
/* false, and nothing is written, past the end. Outputs are compared when there are two models. */
MARY_API bool mary_validation_model(const mary_validation *validation, size_t index, mary_model_accuracy *model);
MARY_API bool mary_validation_output(const mary_validation *validation, size_t index, mary_output_comparison *output);
MARY_API bool mary_validation_layer(const mary_validation *validation, size_t index, mary_layer_comparison *layer);
/* MARY_ERROR_BUDGET when top-1 falls by more than `max_drop` percentage points; MARY_ERROR_USAGE without labels or with
 * one model. */
MARY_API mary_status mary_validation_budget(const mary_validation *validation, double max_drop);

#ifdef __cplusplus
}
#endif
#endif
