/* The options that say what data to read and how to feed it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/data/data.h"

enum {
    KEY_LABELS = 0x2000,
    KEY_SPLIT,
    KEY_FIRST,
    KEY_BATCH,
    KEY_SCALE,
    KEY_MEAN,
    KEY_STD,
    KEY_NHWC,
    KEY_SIZE,
    KEY_RESIZE,
    KEY_CHANNEL_ORDER,
    KEY_CALIBRATION_DATA,
    KEY_CALIBRATION_SAMPLES
};

void mary_data_options_default(mary_data_options *options)
{
    memset(options, 0, sizeof *options);
    options->pixels.scale = 1;
}

/* "0.00392" or "1/255" */
static error_t parse_scale(const struct argp_state *state, const char *text, double *scale)
{
    char *end;
    double value = strtod(text, &end);
    bool good = end != text;
    if (good && *end == '/') {
        const char *below = end + 1;
        double divisor = strtod(below, &end);
        good = end != below && divisor != 0;
        value /= divisor;
    }
    if (!good || *end != '\0' || !isfinite(value))
        return mary_cli_usage(state, "--scale takes a number such as 0.5 or 1/255, not '%s'", text);
    *scale = value;
    return 0;
}

/* "224" or "HEIGHTxWIDTH" */
static error_t parse_size(const struct argp_state *state, const char *text, mary_data_options *options)
{
    char *end;
    long height = strtol(text, &end, 10), width = height;
    bool fine = end != text;
    if (fine && (*end == 'x' || *end == ',')) {
        const char *second = end + 1;
        width = strtol(second, &end, 10);
        fine = end != second;
    }
    if (!fine || *end != '\0' || height < 1 || width < 1 || height > 1 << 16 || width > 1 << 16)
        return mary_cli_usage(state, "--size takes HEIGHTxWIDTH in pixels, not '%s'", text);
    options->height = height;
    options->width = width;
    return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    mary_data_options *options = state->input;
    switch (key) {
    case 'd':
    case KEY_CALIBRATION_DATA:
        if (options->source_count == MARY_DATA_SOURCES)
            return mary_cli_usage(state, "--%s was given more than %d times", key == 'd' ? "data" : "calibration-data",
                                  MARY_DATA_SOURCES);
        options->sources[options->source_count++] = argument;
        return 0;
    case KEY_LABELS:
        options->labels = argument;
        return 0;
    case KEY_SPLIT:
        options->split = argument;
        return 0;
    case KEY_FIRST:
        return mary_cli_parse_int(state, "--first", argument, 1, INT64_MAX, &options->first);
    case KEY_CALIBRATION_SAMPLES:
        return mary_cli_parse_int(state, "--calibration-samples", argument, 1, INT64_MAX, &options->first);
    case KEY_BATCH:
        return mary_cli_parse_int(state, "--batch", argument, 1, 1 << 20, &options->batch);
    case KEY_SCALE:
        options->pixels.given = true;
        return parse_scale(state, argument, &options->pixels.scale);
    case KEY_MEAN:
        options->pixels.given = true;
        return mary_cli_parse_doubles(state, "--mean", argument, options->pixels.mean, MARY_DATA_CHANNELS,
                                      &options->pixels.mean_count);
    case KEY_STD: {
        options->pixels.given = true;
        error_t error = mary_cli_parse_doubles(state, "--std", argument, options->pixels.std, MARY_DATA_CHANNELS,
                                               &options->pixels.std_count);
        for (int i = 0; error == 0 && i < options->pixels.std_count; i++) {
            if (options->pixels.std[i] == 0)
                error = mary_cli_usage(state, "--std must not be 0");
        }
        return error;
    }
    case KEY_SIZE:
        return parse_size(state, argument, options);
    case KEY_RESIZE:
        return mary_cli_parse_int(state, "--resize", argument, 1, 1 << 16, &options->resize);
    case KEY_CHANNEL_ORDER:
        if (strcmp(argument, "rgb") != 0 && strcmp(argument, "bgr") != 0)
            return mary_cli_usage(state, "--channel-order is rgb or bgr, not '%s'", argument);
        options->bgr = strcmp(argument, "bgr") == 0;
        return 0;
    case KEY_NHWC:
        options->channels_last = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option source_options[] = {
    {NULL, 0, NULL, 0, "Data:", 10},
    {"data", 'd', "[INPUT=]PATH[:ARRAY]", 0,
     "What to feed: .npz, .npy, IDX files (or their folder), ONNX test data (a folder with test_data_set_N), a folder "
     "of "
     "PNG or JPEG files. Repeat it for several inputs",
     10},
    {"labels", KEY_LABELS, "PATH[:ARRAY]", 0,
     "True classes, or the name of an array beside the data (default: y_test, labels... when there is one)", 10},
    {0},
};

static const struct argp_option calibration_options[] = {
    {NULL, 0, NULL, 0, "Calibration:", 9},
    {"calibration-data", KEY_CALIBRATION_DATA, "[INPUT=]PATH[:ARRAY]", 0,
     "Sample inputs, as for 'mary validate --data'. Repeat it for several inputs", 9},
    {"calibration-samples", KEY_CALIBRATION_SAMPLES, "N", 0,
     "Use N of them, evenly spaced (default 500; 1000 for a goal)", 9},
    {"labels", KEY_LABELS, "PATH[:ARRAY]", 0, "True classes, for goals (default: y_train, labels... when there is one)",
     9},
    {"split", KEY_SPLIT, "NAME", 0, "Use the array x_NAME (default: train)", 9},
    {0},
};

static const struct argp_option fit_options[] = {
    {"split", KEY_SPLIT, "NAME", 0, "Use the arrays x_NAME and y_NAME (default: test)", 10},
    {"first", KEY_FIRST, "N", 0, "Use the first N samples only", 10},
    {"batch", KEY_BATCH, "N", 0, "Samples in one run (default: what the model fixes, else 32)", 10},
    {0},
};

static const struct argp_option pixel_options[] = {
    {NULL, 0, NULL, 0, "Pixels become (x*scale - mean)/std:", 11},
    {"scale", KEY_SCALE, "S", 0, "A number or a fraction such as 1/255", 11},
    {"mean", KEY_MEAN, "M[,M...]", 0, "One mean, or one per channel", 11},
    {"std", KEY_STD, "S[,S...]", 0, "One standard deviation, or one per channel", 11},
    {NULL, 0, NULL, 0, "Image files are scaled and cut to one size:", 12},
    {"size", KEY_SIZE, "HxW", 0, "Pixels of the middle that is cut out (default: what the model's input has)", 12},
    {"resize", KEY_RESIZE, "N", 0, "Pixels of the shorter side before that (default: as few as --size needs)", 12},
    {"channel-order", KEY_CHANNEL_ORDER, "rgb|bgr", 0, "Order of the channels (default: rgb)", 12},
    {"nhwc", KEY_NHWC, NULL, 0, "Arrays of images are stored [N,H,W,C] and the model wants [N,C,H,W]", 11},
    {0},
};

static const struct argp pixel_argp = {.options = pixel_options, .parser = parse};
static const struct argp batch_argp = {.options = fit_options, .parser = parse};
static const struct argp source_argp = {.options = source_options, .parser = parse};
static const struct argp calibration_argp = {.options = calibration_options, .parser = parse};

static const struct argp_child fit_children[] = {{&batch_argp, 0, NULL, 0}, {&pixel_argp, 0, NULL, 0}, {0}};
static const struct argp_child children[] = {{&source_argp, 0, NULL, 0}, {&mary_data_fit_argp, 0, NULL, 0}, {0}};
static const struct argp_child calibration_children[] = {
    {&calibration_argp, 0, NULL, 0}, {&pixel_argp, 0, NULL, 0}, {0}};

static error_t pass_input_on(int key, char *argument, struct argp_state *state)
{
    (void)argument;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = state->input;
        state->child_inputs[1] = state->input;
    }
    return ARGP_ERR_UNKNOWN;
}

const struct argp mary_data_argp = {.parser = pass_input_on, .children = children};
const struct argp mary_data_fit_argp = {.parser = pass_input_on, .children = fit_children};
const struct argp mary_data_calibration_argp = {.parser = pass_input_on, .children = calibration_children};
