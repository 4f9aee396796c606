/* mary pack: a model file made smaller by entropy coding. */
#include "cli/pack_report.h"
#include "cli/report/json.h"
#include "cli/verbs.h"
#include "onnx/read_file.h"
#include "validate/packing_json.h"

typedef struct arguments {
    mary_pack_files files;
    const char *report;
    mary_pack_options options;
} arguments;

enum { OPTION_ORIGINAL = 1000, OPTION_REPORT };

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "Where to write; the second argument does the same", 1},
    {"coder", 'c', "NAME", 0,
     "Of the codes of weights: 'huffman', 'arithmetic', or 'auto', which takes what is smallest for each tensor (the "
     "default)",
     1},
    {"threads", 't', "N", 0, "Threads; the file does not depend on it", 1},
    {"original", OPTION_ORIGINAL, "FLOAT.onnx", 0, "Compare with this file's size, too", 2},
    {"report", OPTION_REPORT, "FILE.json", 0, "Write every byte by what it is for, and every tensor, as JSON", 2},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    int64_t threads;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        return 0;
    case 'o':
        given->files.output = argument;
        return 0;
    case 'c':
        given->options.coder = argument;
        return 0;
    case 't':
        if (mary_cli_parse_int(state, "--threads", argument, 1, 1024, &threads) != 0)
            return EINVAL;
        given->options.threads = (int)threads;
        return 0;
    case OPTION_ORIGINAL:
        given->files.original = argument;
        return 0;
    case OPTION_REPORT:
        given->report = argument;
        return 0;
    case ARGP_KEY_ARG:
        return mary_cli_take_path(state, argument, &given->files.input, &given->files.output);
    case ARGP_KEY_END:
        if (given->files.input == NULL || given->files.output == NULL)
            return mary_cli_usage(state, "which models? mary pack IN.onnx OUT.onnx");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "IN.onnx OUT.onnx",
    .doc = "Write a model smaller: codes of weights, levels, biases and the graph itself are entropy-coded. The result "
           "is still an ONNX model, which mary's verbs and library open like any other; other runtimes need it "
           "unpacked. 'mary unpack' gives the same bytes again.",
};

static mary_status print(const mary_pack_report *report, const mary_pack_files *files)
{
    const mary_pack_totals *totals = mary_pack_totals_of(report);
    char before[32], after[32];
    MARY_TRY(mary_pack_report_print(report));
    putchar('\n');
    mary_pack_totals_print(report);
    printf("file     %s (%s) -> %s (%s), %.2f times smaller\n",
           mary_cli_format_bytes((double)totals->file_before, before, sizeof before), mary_cli_base_name(files->input),
           mary_cli_format_bytes((double)totals->file_after, after, sizeof after), mary_cli_base_name(files->output),
           (double)totals->file_before / (double)totals->file_after);
    if (files->original != NULL)
        printf("         %.2f times smaller than %s (%s)\n", (double)files->original_bytes / (double)totals->file_after,
               mary_cli_base_name(files->original),
               mary_cli_format_bytes((double)files->original_bytes, before, sizeof before));
    return MARY_OK;
}

static mary_status pack(arguments *given)
{
    void *bytes = NULL, *packed = NULL;
    size_t size, packed_size;
    mary_pack_report *report = NULL;
    mary_status status = MARY_OK;
    if (given->files.original != NULL)
        MARY_TRY(mary_cli_file_bytes(given->files.original, &given->files.original_bytes));
    MARY_TRY(mary_file_read(given->files.input, &bytes, &size));
    status = mary_pack(bytes, size, &given->options, &packed, &packed_size, &report);
    if (status != MARY_OK) {
        status = status == MARY_ERROR_INTERNAL ? status : mary_fail_context(status, "%s", given->files.input);
        goto done;
    }
    MARY_TRY_GOTO(mary_output_write(given->files.output, packed, packed_size), done);
    if (given->report != NULL)
        MARY_TRY_GOTO(mary_json_write(mary_pack_report_json(report, &given->files), given->report), done);
    status = print(report, &given->files);
done:
    mary_pack_report_free(&report);
    mary_bytes_free(packed);
    mary_free(bytes);
    return status;
}

int mary_cli_pack(int argc, char **argv)
{
    arguments given = {0};
    mary_status status = mary_cli_parse(&argp, argc, argv, &given);
    if (status != MARY_OK)
        return status;
    return mary_cli_finish("mary pack", pack(&given));
}
