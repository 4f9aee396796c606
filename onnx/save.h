/* Inside of mary_model_save. */
#ifndef MARY_ONNX_SAVE_H
#define MARY_ONNX_SAVE_H

#include "onnx/model.h"

/* mary_model_save with another limit than protobuf's 2 GiB on the size of the model file, for tests. */
mary_status mary_model_save_limited(const mary_model *model, const char *path, size_t limit);

/* ---- a file that appears whole or not at all (onnx/atomic_file.c) ---- */
typedef struct mary_atomic_file {
    ProtobufCBuffer base; /* so that messages can be packed into it */
    const char *path;     /* borrowed */
    char *temporary;
    int file;
    int error; /* errno of the first failed write; 0: none */
    size_t written;
    size_t used; /* of buffer */
    uint8_t *buffer;
} mary_atomic_file;

/* A temporary file beside `path`. */
mary_status mary_atomic_file_open(mary_atomic_file *file, const char *path);
void mary_atomic_file_write(mary_atomic_file *file, const void *bytes, size_t size); /* errors are kept for later */
/* Everything is on the disk, but not yet under its name. */
mary_status mary_atomic_file_finish(mary_atomic_file *file);
/* Gives the finished file its name. */
mary_status mary_atomic_file_commit(mary_atomic_file *file);
/* Removes what was not committed and frees; a zeroed file is fine. */
void mary_atomic_file_close(mary_atomic_file *file);

/* ---- the same model with other tensors (onnx/save_tensors.c) ---- */
/* A shallow copy of the messages between a model and its tensors; everything else is shared. */
typedef struct mary_shallow {
    Onnx__ModelProto *proto;
    void *blocks; /* every allocation, in a list */
} mary_shallow;

/* Changes one tensor of the copy in place; what it needs it allocates with mary_shallow_alloc. */
typedef mary_status mary_tensor_change(void *context, mary_shallow *shallow, Onnx__TensorProto *tensor,
                                       bool is_initializer);
mary_status mary_shallow_copy(mary_shallow *shallow, const Onnx__ModelProto *model, mary_tensor_change *change,
                              void *context);
void *mary_shallow_alloc(mary_shallow *shallow, size_t size); /* NULL when memory ran out */
void mary_shallow_free(mary_shallow *shallow);

#endif
