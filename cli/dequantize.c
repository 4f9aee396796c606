/* mary dequantize: an M-ary model back to a plain float one. */
#include "cli/model.h"
#include "cli/verbs.h"

typedef struct arguments {
    const char *input, *output;
} arguments;

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "Where to write; the second argument does the same", 1},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        return 0;
    case 'o':
        given->output = argument;
        return 0;
    case ARGP_KEY_ARG:
        return mary_cli_take_path(state, argument, &given->input, &given->output);
    case ARGP_KEY_END:
        if (given->input == NULL || given->output == NULL)
            return mary_cli_usage(state, "which models? mary dequantize IN.onnx OUT.onnx");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "IN.onnx OUT.onnx",
    .doc = "Write a model that 'mary convert' made as a plain float model: the standard operators, with exactly the "
           "weights that the codes and levels stand for. For tools that know only those.",
};

static mary_status dequantize(const arguments *given)
{
    mary_model *model = NULL;
    uint64_t before = 0;
    char in_text[32], out_text[32];
    mary_status status = mary_model_load(given->input, &model);
    if (status != MARY_OK)
        return status;
    MARY_TRY_GOTO(mary_cli_model_bytes(model, given->input, &before), done);
    MARY_TRY_GOTO(mary_dequantize(model), done);
    MARY_TRY_GOTO(mary_model_save(model, given->output), done);
    uint64_t after = before;
    MARY_TRY_GOTO(mary_cli_file_bytes(given->output, &after), done);
    printf("file     %s (%s) -> %s (%s)\n", mary_cli_format_bytes((double)before, in_text, sizeof in_text),
           mary_cli_base_name(given->input), mary_cli_format_bytes((double)after, out_text, sizeof out_text),
           mary_cli_base_name(given->output));
done:
    mary_model_free(&model);
    return status;
}

int mary_cli_dequantize(int argc, char **argv)
{
    arguments given = {0};
    mary_status status = mary_cli_parse(&argp, argc, argv, &given);
    if (status != MARY_OK)
        return status;
    return mary_cli_finish("mary dequantize", dequantize(&given));
}
