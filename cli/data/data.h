/* A data set as a stream of batches, ready for a session: which array feeds which input, shapes fitted, pixels scaled.
 * Memory depends on the batch, never on the number of samples. */
#ifndef MARY_CLI_DATA_DATA_H
#define MARY_CLI_DATA_DATA_H

#include "cli/data/reader.h"

enum { MARY_DATA_SOURCES = 16, MARY_DATA_CHANNELS = 256 };

/* (x * scale - mean) / std; one mean and std for all, or one per channel. */
typedef struct mary_pixels {
    bool given; /* any of the options was used */
    double scale;
    double mean[MARY_DATA_CHANNELS], std[MARY_DATA_CHANNELS];
    int mean_count, std_count; /* 0: mean 0, std 1 */
} mary_pixels;

typedef struct mary_data_options {
    const char *sources[MARY_DATA_SOURCES]; /* "[INPUT=]PATH[:ARRAY]" */
    int source_count;
    const char *labels;  /* "PATH[:ARRAY]", or the name of an array in the first source; NULL: found by name, or none */
    const char *split;   /* "test" prefers x_test and y_test */
    bool training;       /* without a split, x_train is preferred, not x_test: what calibrates must not be what tests */
    int64_t first;       /* only that many samples; 0: all */
    bool spread;         /* these are not the first, but evenly spaced: data sets are often sorted by class */
    int64_t batch;       /* 0: what the model fixes, else `usual_batch` */
    int64_t usual_batch; /* 0: MARY_DATA_BATCH */
    bool whole;          /* one batch of everything (`mary run`) */
    bool channels_last;  /* images are stored [N, H, W, C] */
    int64_t height, width; /* of images from files; 0: as the model has them */
    int64_t resize;        /* their shorter side before the middle is cut out; 0: what just covers height x width */
    bool bgr;              /* blue is the first channel */
    mary_pixels pixels;
} mary_data_options;

enum { MARY_DATA_BATCH = 32 };

/* argp child with --data (required key 'd'), --labels, --split, --first, --batch, --scale, --mean, --std, --nhwc; its
 * input is a mary_data_options that mary_data_options_default filled. */
extern const struct argp mary_data_argp;
/* The same without --data and --labels: for verbs that name their inputs themselves. */
extern const struct argp mary_data_fit_argp;
/* --calibration-data, --calibration-samples and --labels into `sources`, `first` and `labels`, --split and how pixels
 * are scaled. */
extern const struct argp mary_data_calibration_argp;
void mary_data_options_default(mary_data_options *options);

/* ---- fitting one array to one input ---- */

typedef struct mary_fit {
    mary_type from, to;
    mary_shape sample; /* of one sample as it is fed, without the batch dimension */
    int64_t count;     /* elements of one sample */
    bool single;       /* the array is one sample and has no batch dimension */
    bool transpose;    /* [H, W, C] is brought to [C, H, W] */
    bool pixels_apply;
    mary_pixels pixels;
} mary_fit;

/* `input` describes what the model wants (rank -1, dims -1: anything). A shape that does not fit is MARY_ERROR_INVALID
 * with both shapes in the message; `label` names the array. */
mary_status mary_fit_plan(mary_fit *fit, const char *label, mary_type type, const mary_shape *shape,
                          const mary_array *input, const mary_data_options *options);
/* [samples, sample...] of `from` elements to `to` elements. */
mary_status mary_fit_apply(const mary_fit *fit, const char *label, const void *from, int64_t samples, void *to);

/* ---- batches ---- */

typedef struct mary_data mary_data;

typedef struct mary_batch {
    const mary_array *inputs; /* each [rows, ...]; owned by the data set, valid until the next batch */
    int input_count;
    int64_t size; /* samples; 0: the end. rows beyond it (a model with a fixed batch) repeat the last sample */
    int64_t rows;
    const int64_t *labels;      /* [size]; NULL: none */
    const mary_array *expected; /* recorded outputs of ONNX test data, in the order of the files; NULL: none */
    int expected_count;
} mary_batch;

/* `inputs` describes the session's inputs; their names must outlive the data set. */
mary_status mary_data_open(const mary_data_options *options, const mary_array *inputs, int input_count,
                           mary_data **data);
mary_status mary_data_next(mary_data *data, mary_batch *batch);
void mary_data_close(mary_data **data);
/* Samples in all; 0 when that is not known beforehand (ONNX test data). */
int64_t mary_data_count(const mary_data *data);
/* Batches in all. */
int64_t mary_data_batches(const mary_data *data);
bool mary_data_has_labels(const mary_data *data);
/* One line for people: "mnist.npz:x_test [10000,28,28] uint8 -> input [32,1,28,28] float". Owned by the data set. */
const char *mary_data_description(const mary_data *data);
/* True when 8-bit data goes unscaled into a float input, which is rarely meant. */
bool mary_data_unscaled(const mary_data *data);

/* ---- one folder of ONNX test data ---- */

typedef struct mary_test_record {
    mary_array *inputs, *outputs; /* data owned by the record */
    int input_count, output_count;
} mary_test_record;

/* input_K.pb and output_K.pb of `folder`. Arrays are named after `inputs` by the name in the file or else by position.
 */
mary_status mary_test_record_read(mary_test_record *record, const char *folder, const mary_array *inputs,
                                  int input_count);
void mary_test_record_free(mary_test_record *record);

#endif
