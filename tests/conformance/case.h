/* One ONNX backend test: a folder with model.onnx and test_data_set_N/{input,output}_i.pb. */
#ifndef MARY_TESTS_CONFORMANCE_CASE_H
#define MARY_TESTS_CONFORMANCE_CASE_H

#include "mary.h"

/* MARY_OK: every data set gave what it should: the same types and shapes, integers exact, floats within the test's
 * tolerance (1e-3 relative, 1e-7 absolute unless it has its own), NaN only where NaN is expected. Otherwise the status
 * of the call that failed, or MARY_ERROR_INTERNAL for a difference, and one line in `message`. */
mary_status case_run(const char *folder, const mary_session_options *session_options, char *message, size_t size);

#endif
