#include "cli/model.h"

mary_status mary_cli_model_open(mary_cli_model *model, const char *path, const mary_session_options *options)
{
    return mary_opened_model_open(model, &(mary_model_source){.path = path}, options);
}

void mary_cli_model_close(mary_cli_model *model)
{
    mary_opened_model_close(model);
}

mary_status mary_cli_model_bytes(const mary_model *model, const char *path, uint64_t *bytes)
{
    return mary_model_source_bytes(&(mary_model_source){.path = path}, model, bytes);
}
