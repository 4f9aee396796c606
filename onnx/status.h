/* How a failure travels: a mary_status up the call chain, and one line of text kept per thread. */
#ifndef MARY_ONNX_STATUS_H
#define MARY_ONNX_STATUS_H

#include "mary.h"

/* Records a message for this thread and returns `status`, so that `return mary_fail(...)` is the idiom.
 * The message is one line: file, node or tensor, value. No trailing newline, no "error:" prefix. */
mary_status mary_fail(mary_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the message that is already there; for callers that know the file or the node. */
mary_status mary_fail_context(mary_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The common out-of-memory failure (MARY_ERROR_INTERNAL). */
mary_status mary_fail_memory(size_t bytes);

/* Returns from the calling function when `expression` is not MARY_OK. For functions that own nothing yet. */
#define MARY_TRY(expression)                                                                                           \
    do {                                                                                                               \
        mary_status mary_try_status = (expression);                                                                    \
        if (mary_try_status != MARY_OK)                                                                                \
            return mary_try_status;                                                                                    \
    } while (0)

/* Jumps to `label` when it is not MARY_OK, with the function's own `status` variable set. */
#define MARY_TRY_GOTO(expression, label)                                                                               \
    do {                                                                                                               \
        status = (expression);                                                                                         \
        if (status != MARY_OK)                                                                                         \
            goto label;                                                                                                \
    } while (0)

#endif
