/* Writing arrays: .npz, .npy and ONNX test data. */
#ifndef MARY_CLI_WRITE_H
#define MARY_CLI_WRITE_H

#include "cli/cli.h"

/* `path` ends in .npz: all arrays in one archive; in .npy: the one array; else a folder, made when it is not there,
 * that gets NAME.npy, or output_N.pb when `pb`. Names that make bad file names are changed. Files appear complete or
 * not at all. */
mary_status mary_write_outputs(const char *path, bool pb, const mary_array *arrays, int count);

#endif
