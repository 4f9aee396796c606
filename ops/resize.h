/* Resize in three parts: what the node asks for (resize.c), where each output coordinate comes from (resize_axis.c),
 * and the loops (resize_run.c). Every mode is separable, so one table per axis is all that the loops know. */
#ifndef MARY_OPS_RESIZE_H
#define MARY_OPS_RESIZE_H

#include "ops/copy.h"

typedef enum resize_mode { RESIZE_NEAREST, RESIZE_LINEAR, RESIZE_CUBIC } resize_mode;

typedef enum resize_coordinates {
    RESIZE_HALF_PIXEL,
    RESIZE_HALF_PIXEL_SYMMETRIC,
    RESIZE_PYTORCH_HALF_PIXEL,
    RESIZE_ALIGN_CORNERS,
    RESIZE_ASYMMETRIC,
    RESIZE_CROP,
    RESIZE_TF_HALF_PIXEL /* opset 11; files of later ones have it, too */
} resize_coordinates;

typedef enum resize_rounding {
    RESIZE_PREFER_FLOOR,
    RESIZE_PREFER_CEIL,
    RESIZE_FLOOR,
    RESIZE_CEIL,
    RESIZE_SIMPLE /* Resize of opset 10: floor going up, ceil going down */
} resize_rounding;

typedef struct resize_rule {
    resize_mode mode;
    resize_coordinates coordinates;
    resize_rounding rounding;
    double cubic; /* the coefficient a */
    bool exclude_outside;
    bool antialias;
    double extrapolation;
} resize_rule;

/* One axis: output o = sum over t of weight[o*taps + t] * input[index[o*taps + t]], or the extrapolation value where
 * outside[o]. */
typedef struct resize_axis {
    int64_t input, output;
    double scale;
    double start, end; /* the region of interest, for RESIZE_CROP */
    bool same;         /* nothing happens here; no table */
    int64_t taps;
    int64_t *index;
    float *weight;
    uint8_t *outside;
    bool any_outside;
} resize_axis;

/* Works out `taps`; then how many bytes the axis's table takes (a multiple of 64). */
mary_status mary_resize_axis_size(const mary_op_node *node, const resize_rule *rule, resize_axis *axis, size_t *bytes);
/* Places the table at `memory` and fills it. */
void mary_resize_axis_fill(const resize_rule *rule, resize_axis *axis, void *memory);

/* Both tensors have elements; axes[i] belongs to axis i in ONNX's order, tables filled; when channels last, axis 1 is
 * `same`. */
void mary_resize_run(const resize_rule *rule, const resize_axis *axes, const mary_tensor *input, mary_tensor *output,
                     const mary_parallel *parallel);
/* Adds to dx, like `input`, what dy, like `output`, means for it. */
void mary_resize_back(const resize_axis *axes, const mary_tensor *input, const mary_tensor *output, const float *dy,
                      float *dx, bool second);

#endif
