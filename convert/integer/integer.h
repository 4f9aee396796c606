/* Conversion to integer activations, from calibration to the finished graph. Called by mary_convert in this order:
 * prepare, quantize for each layer that is taken, finish. */
#ifndef MARY_CONVERT_INTEGER_INTEGER_H
#define MARY_CONVERT_INTEGER_INTEGER_H

#include "convert/integer/emit.h"
#include "convert/levels.h"

#define MARY_INTEGER_OPSET 13 /* DequantizeLinear with an axis, in the function bodies */

typedef struct mary_integers {
    mary_statistics statistics;
    mary_integer_plan plan;
    mary_integer_layer *layers; /* [layer_count] */
    size_t layer_count;
    bool *taken;                 /* [layer_count]: becomes MaryQLinear* */
    size_t first_info, end_info; /* the value_info that was inferred for the way */
    bool balanced;               /* channels were balanced (trial.c) */
    bool corrects;               /* some layer has a correction of its bias */
} mary_integers;

/* Runs the float model on the calibration samples and plans. The model has opset MARY_INTEGER_OPSET at least; only
 * value_info is added to it. */
mary_status mary_integers_prepare(mary_model *model, const mary_settings *settings, mary_layers *layers,
                                  mary_convert_report *report, mary_integers *integer);
/* Runs the model on all samples and plans: fills statistics and plan, which are empty. */
mary_status mary_integers_measure(mary_integers *integer, const mary_model *model, const mary_settings *settings,
                                  const mary_layers *layers);
/* Balances channels between layers where that makes the outputs better; the float model computes the same as before. */
mary_status mary_integers_balance(mary_integers *integer, mary_model *model, const mary_settings *settings,
                                  mary_layers *layers);
void mary_integers_free(mary_integers *integer);
/* Stores the weight of layer `position`, whose float matrix is given; fills in the report. A layer whose weight is that
 * of an earlier one (layer.same_as) shares its codes and levels and has matrix == NULL, measured == NULL. The node is
 * left as it is: it is to read layers[position].codes. */
mary_status mary_integers_quantize(mary_integers *integer, mary_model *model, mary_graph_index *index,
                                   const mary_settings *settings, mary_layers *layers, size_t position,
                                   const float *matrix, mary_measured *measured, mary_layer_report *done);
/* Chooses ranges and rewrites the graph; adds activations and float nodes to the report. */
mary_status mary_integers_finish(mary_integers *integer, mary_model *model, const mary_settings *settings,
                                 const mary_original_names *names, const mary_layers *layers,
                                 mary_convert_report *report);

/* Function bodies and opset import for the kinds of layers that are taken (none when the settings say so). */
mary_status mary_integers_declare(const mary_integers *integer, const mary_layers *layers, mary_model *model,
                                  bool functions);

#endif
