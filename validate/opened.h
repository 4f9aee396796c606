/* A model made ready for running, and what is known of it besides. */
#ifndef MARY_VALIDATE_OPENED_H
#define MARY_VALIDATE_OPENED_H

#include "onnx/model.h"
#include "onnx/status.h"

typedef struct mary_opened_model {
    const char *path; /* the caller's */
    mary_session *session;
    mary_array *inputs, *outputs; /* descriptions */
    int input_count, output_count;
    uint64_t bytes;        /* of the file, external data included */
    double create_seconds; /* reading, planning, packing */
} mary_opened_model;

/* Zeroes *model first; on failure nothing needs freeing. */
mary_status mary_opened_model_open(mary_opened_model *model, const mary_model_source *source,
                                   const mary_session_options *options);
void mary_opened_model_close(mary_opened_model *model);

mary_status mary_model_source_load(const mary_model_source *source, mary_model **model);
/* What messages call it. */
const char *mary_model_source_name(const mary_model_source *source);

/* Bytes of a model's file and of the external data files that it refers to; what it was loaded from must still be
 * there. `source` is that. */
mary_status mary_model_source_bytes(const mary_model_source *source, const mary_model *model, uint64_t *bytes);

/* Elements of a constant of any numeric type as floats, freed with mary_free. */
mary_status mary_constant_numbers(const mary_model *model, const Onnx__TensorProto *message, float **values,
                                  mary_shape *shape);

/* Seconds of a clock that only moves forward. */
double mary_now(void);

#endif
