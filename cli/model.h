/* A model file opened for running, and what the verbs say about it. */
#ifndef MARY_CLI_MODEL_H
#define MARY_CLI_MODEL_H

#include "cli/cli.h"
#include "validate/opened.h"

typedef mary_opened_model mary_cli_model;

/* Zeroes *model first; on failure nothing needs freeing. */
mary_status mary_cli_model_open(mary_cli_model *model, const char *path, const mary_session_options *options);
void mary_cli_model_close(mary_cli_model *model);

/* Bytes of a loaded model's file and of the external data files that it refers to. */
mary_status mary_cli_model_bytes(const mary_model *model, const char *path, uint64_t *bytes);

/* ---- inputs made up ---- */

enum { MARY_CLI_SHAPES = 64 };

/* What --input-shape gave: "name:1,3,224,224". */
typedef struct mary_cli_shapes {
    const char *texts[MARY_CLI_SHAPES];
    int count;
} mary_cli_shapes;

/* Adds one; a malformed one is a usage error. */
error_t mary_cli_shapes_add(mary_cli_shapes *shapes, const struct argp_state *state, const char *text);
/* `description` with its symbolic dimensions filled: from --input-shape, else `batch` for the first one. A dimension
 * that stays open is MARY_ERROR_USAGE, and so is a shape that contradicts the model. */
mary_status mary_cli_shapes_apply(const mary_cli_shapes *shapes, const mary_array *description, int64_t batch,
                                  mary_array *array);
/* Checks that every shape names an input. */
mary_status mary_cli_shapes_check(const mary_cli_shapes *shapes, const mary_array *inputs, int input_count);

/* Fills an array of this type and shape: normal values for floats, 0 or 1 for integers (they may be indices). The same
 * seed and position give the same numbers everywhere. Freed with mary_free(array->data). */
mary_status mary_random_array(mary_array *array, uint64_t seed, int position);

#endif
