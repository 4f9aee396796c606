#include "cli/goal.h"

#include <string.h>

#include "cli/calibration.h"

enum { KEY_RATIO = 0x5000, KEY_BYTES, KEY_DROP, KEY_PACK };

enum { FRONTIER_POINTS = 6 }; /* between the smallest and the largest, for --report */

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "A goal instead of M (needs --calibration-data):", 6},
    {"target-ratio", KEY_RATIO, "R", 0,
     "The most accurate file that is R times smaller than the float one: M is chosen for every layer", 6},
    {"target-bytes", KEY_BYTES, "N", 0, "The same, of at most N bytes", 6},
    {"max-drop", KEY_DROP, "POINTS", 0,
     "The smallest file that loses at most POINTS percentage points of accuracy on the calibration data; without "
     "labels, "
     "that changes the best class of at most so many percent",
     6},
    {"pack", KEY_PACK, NULL, 0,
     "Write the file packed, as 'mary pack' would make it; a goal speaks of the packed size then", 6},
    {0},
};

static error_t set_kind(mary_cli_goal *goal, const struct argp_state *state, const char *option, mary_goal_kind kind)
{
    if (goal->option != NULL)
        return mary_cli_usage(state, "%s and %s exclude each other: one goal at a time", goal->option, option);
    goal->option = option;
    goal->goal.kind = kind;
    return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    mary_cli_goal *goal = state->input;
    switch (key) {
    case KEY_RATIO:
        if (set_kind(goal, state, "--target-ratio", MARY_GOAL_RATIO) != 0)
            return EINVAL;
        return mary_cli_parse_double(state, "--target-ratio", argument, 0.01, 1e6, &goal->goal.value);
    case KEY_BYTES: {
        int64_t bytes = 0;
        if (set_kind(goal, state, "--target-bytes", MARY_GOAL_BYTES) != 0)
            return EINVAL;
        error_t error = mary_cli_parse_int(state, "--target-bytes", argument, 1, (int64_t)1 << 50, &bytes);
        goal->goal.value = (double)bytes;
        return error;
    }
    case KEY_DROP:
        if (set_kind(goal, state, "--max-drop", MARY_GOAL_DROP) != 0)
            return EINVAL;
        return mary_cli_parse_double(state, "--max-drop", argument, 0, 100, &goal->goal.value);
    case KEY_PACK:
        goal->goal.pack = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp mary_cli_goal_argp = {.options = options, .parser = parse};

error_t mary_cli_goal_check(const mary_cli_goal *goal, const struct argp_state *state,
                            const mary_convert_options *convert, bool calibrated)
{
    if (goal->option == NULL)
        return 0;
    if (convert->levels != 0)
        return mary_cli_usage(state, "%s chooses M for every layer: it excludes --levels and --bits", goal->option);
    if (!calibrated)
        return mary_cli_usage(
            state,
            "%s needs --calibration-data PATH: some hundred sample inputs (.npz, .npy, IDX, ONNX test "
            "data or a folder of images), on which models are compared",
            goal->option);
    return 0;
}

static void show_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    mary_cli_goal *goal = context;
    if (goal->phase == NULL || strcmp(goal->phase, phase) != 0) {
        if (goal->phase != NULL)
            mary_progress_finish(&goal->progress);
        goal->phase = phase;
        mary_progress_start(&goal->progress, phase, total);
    }
    mary_progress_update(&goal->progress, done);
}

void mary_cli_goal_prepare(mary_cli_goal *goal, uint64_t float_bytes, bool quiet, bool frontier)
{
    goal->goal.float_bytes = float_bytes;
    goal->goal.labels = mary_cli_calibration_labels;
    goal->goal.frontier = frontier ? FRONTIER_POINTS : 0;
    if (quiet)
        return;
    goal->goal.progress = show_progress;
    goal->goal.progress_context = goal;
}

void mary_cli_goal_progress_finish(mary_cli_goal *goal)
{
    if (goal->phase != NULL)
        mary_progress_finish(&goal->progress);
}
