#include "onnx/coding/dictionary.h"
const uint8_t mary_dictionary[] = {0};
const size_t mary_dictionary_size = 0;
