/* Bytes -> a model -> a converted one, with settings that a sum of the bytes chooses, and back to float. */
#include "mary.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    unsigned choice = 0;
    for (size_t i = 0; i < size; i++)
        choice = choice * 31 + bytes[i];
    static const int levels[] = {2, 3, 4, 16, 17, 200, 256, 5};
    const mary_convert_options options = {.levels = levels[choice & 7],
                                          .first_last_levels = (choice & 8) ? MARY_SAME_LEVELS : 0,
                                          .method = (choice & 16) ? "uniform" : NULL,
                                          .granularity = (mary_granularity)(choice >> 5 & 1),
                                          .threads = 1};
    mary_model *model = NULL;
    mary_convert_report *report = NULL;
    fuzz_begin();
    if (mary_model_load_memory(bytes, size, &model) == MARY_OK && mary_convert(model, &options, &report) == MARY_OK)
        mary_dequantize(model);
    mary_convert_report_free(&report);
    mary_model_free(&model);
    return 0;
}
