/* Bytes -> a model: loading, checking, the upgrade of its operators, the inlining of its functions, a copy. */
#include "onnx/model.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    mary_model *model = NULL, *copy = NULL;
    fuzz_begin();
    if (mary_model_load_memory(bytes, size, &model) == MARY_OK) {
        if (mary_model_copy(model, &copy) == MARY_OK)
            mary_model_inline_functions(copy, "ai.mary");
        mary_model_inline_functions(model, NULL);
        mary_model_upgrade(model, 13);
    }
    mary_model_free(&copy);
    mary_model_free(&model);
    return 0;
}
