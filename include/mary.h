/* mary: M-ary quantisation of ONNX models. The one public header of libmary.
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
    MARY_ERROR_BUDGET = 5,      /* the accuracy budget (--max-drop) was missed */
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
    MARY_GRANULARITY_TENSOR
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
    bool no_bias_correction;        /* leave the mean error that levels cause in the outputs of layers */
    bool no_equalization;           /* do not balance channels between one layer and the next */
    bool no_functions; /* leave out the function bodies: smaller, but only mary (or its plugin) runs the file */
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
MARY_API void mary_bytes_free(void *bytes);
/* What is in a packed model: the report again, as far as it can be told. *report is NULL when it is not packed. */
MARY_API mary_status mary_pack_describe(const void *bytes, size_t size, mary_pack_report **report);
MARY_API void mary_pack_report_free(mary_pack_report **report);
/* In the order of the file; NULL past the end. */
MARY_API const mary_packed_row *mary_pack_row(const mary_pack_report *report, size_t index);
MARY_API const mary_pack_totals *mary_pack_totals_of(const mary_pack_report *report);

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

#ifdef __cplusplus
}
#endif
#endif
