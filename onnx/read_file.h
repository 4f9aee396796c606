/* A whole file in memory. */
#ifndef MARY_ONNX_READ_FILE_H
#define MARY_ONNX_READ_FILE_H

#include "onnx/memory.h"
#include "onnx/status.h"

/* *bytes is freed with mary_free, and NULL on failure; what is no regular file is MARY_ERROR_INVALID. */
mary_status mary_file_read(const char *path, void **bytes, size_t *size);

#endif
