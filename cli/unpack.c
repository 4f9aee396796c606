/* mary unpack: the file that was packed. */
#include "cli/verbs.h"
#include "onnx/read_file.h"

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
            return mary_cli_usage(state, "which models? mary unpack IN.onnx OUT.onnx");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "IN.onnx OUT.onnx",
    .doc =
        "Write the file again that 'mary pack' was given, byte for byte: for runtimes that do not read packed models.",
};

static mary_status unpack(const arguments *given)
{
    void *bytes = NULL, *plain = NULL;
    size_t size, plain_size;
    char before[32], after[32];
    mary_status status = MARY_OK;
    MARY_TRY(mary_file_read(given->input, &bytes, &size));
    status = mary_unpack(bytes, size, &plain, &plain_size);
    if (status != MARY_OK) {
        status = status == MARY_ERROR_INTERNAL ? status : mary_fail_context(status, "%s", given->input);
        goto done;
    }
    MARY_TRY_GOTO(mary_output_write(given->output, plain, plain_size), done);
    printf("file     %s (%s) -> %s (%s)\n", mary_cli_format_bytes((double)size, before, sizeof before),
           mary_cli_base_name(given->input), mary_cli_format_bytes((double)plain_size, after, sizeof after),
           mary_cli_base_name(given->output));
done:
    mary_bytes_free(plain);
    mary_free(bytes);
    return status;
}

int mary_cli_unpack(int argc, char **argv)
{
    arguments given = {0};
    mary_status status = mary_cli_parse(&argp, argc, argv, &given);
    if (status != MARY_OK)
        return status;
    return mary_cli_finish("mary unpack", unpack(&given));
}
