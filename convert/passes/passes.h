/* Clean-up before levels are chosen. Each pass is one file, leaves a valid graph, and changes no result. What a pass
 * cannot do it leaves alone; what the user should know goes to the report. Only the main graph is rewritten; subgraphs'
 * references count as uses. */
#ifndef MARY_CONVERT_PASSES_H
#define MARY_CONVERT_PASSES_H

#include "convert/report.h"
#include "onnx/edit.h"

/* Initializers that are inputs, too, become plain initializers: all of them below IR version 4, where that is just how
 * initializers were written; else those of float type that Conv, ConvTranspose, Gemm, MatMul and BatchNormalization use
 * as parameters. */
mary_status mary_pass_inputs(mary_model *model, mary_convert_report *report);
/* Constant nodes become initializers; nodes whose inputs are all constant are evaluated, unless the result needs more
 * bytes than the constants that it replaces. */
mary_status mary_pass_fold_constants(mary_model *model, mary_convert_report *report);
/* Identity, and Dropout at inference. */
mary_status mary_pass_remove_identity(mary_model *model, mary_convert_report *report);
/* BatchNormalization, and Add and Mul of a constant per channel, into the Conv, ConvTranspose or Gemm before them. */
mary_status mary_pass_fold_batchnorm(mary_model *model, mary_convert_report *report);
/* One of each set of equal initializers stays. */
mary_status mary_pass_deduplicate(mary_model *model, mary_convert_report *report);
/* Initializers that nothing uses go. */
mary_status mary_pass_drop_unused(mary_model *model, mary_convert_report *report);

#endif
