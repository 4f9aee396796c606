/* Bytes that serialised models are likely to have, above all the function bodies that `mary convert` writes: what a
 * packed graph repeats of them costs next to nothing. Part of the file format: a change needs a new version of it.
 * tests/convert/coding/test_dictionary.c writes it, and says when converters have moved away from it. */
#ifndef MARY_ONNX_CODING_DICTIONARY_H
#define MARY_ONNX_CODING_DICTIONARY_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t mary_dictionary[];
extern const size_t mary_dictionary_size;

#endif
