/* The `mary` command: finds the verb and hands over. */
#include <string.h>

#include "cli/cli.h"
#include "cli/verbs.h"

/* One line a verb. */
static const struct {
    const char *name;
    mary_cli_verb *run;
    const char *summary;
} verbs[] = {
    {"convert", mary_cli_convert, "give every weight one of M levels and write a smaller ONNX file"},
    {"run", mary_cli_run, "run a model once and show or write its outputs"},
    {"validate", mary_cli_validate, "compare two models over real data: accuracy, agreement, error of every layer"},
    {"bench", mary_cli_bench, "measure latency, throughput and memory, of one model or two side by side"},
    {"inspect", mary_cli_inspect, "show what is in a model file: operators, bits and bytes of every layer"},
    {"tune", mary_cli_tune, "prune and train a model down to few values a layer, for the smallest files"},
    {"pack", mary_cli_pack, "write a model smaller still, weights entropy-coded; every verb reads it"},
    {"unpack", mary_cli_unpack, "write the very file again that was packed"},
    {"dequantize", mary_cli_dequantize, "write an M-ary model as a plain float one"},
    {NULL, NULL, NULL},
};

static void print_help(void)
{
    printf("Usage: mary VERB [OPTION...] ARGUMENTS...\n"
           "M-ary quantisation of ONNX models: every weight becomes one of M levels, and the file stays ONNX.\n\n");
    for (size_t i = 0; verbs[i].name != NULL; i++)
        printf("  %-12s %s\n", verbs[i].name, verbs[i].summary);
    printf("\n  mary VERB --help   explains a verb and its options\n"
           "  mary --version     prints the version\n\n"
           "Exit status: 0 success, 1 internal error, 2 wrong usage, 3 invalid or unreadable input,\n"
           "4 unsupported model, 5 accuracy budget missed, 6 an output could not be written.\n");
}

static int run_verb(const char *name, mary_cli_verb *run, int argc, char **argv)
{
    char *label = mary_asprintf("mary %s", name);
    if (label == NULL)
        return mary_cli_finish("mary", mary_fail_memory(strlen(name)));
    argv[0] = label;
    int status = run(argc, argv);
    mary_free(label);
    return status;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2)
        return mary_cli_finish("mary", mary_fail(MARY_ERROR_USAGE, "which verb? 'mary --help' lists them"));
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help();
        return MARY_OK;
    }
    if (strcmp(name, "--version") == 0) {
        printf("mary %s\n", mary_version());
        return MARY_OK;
    }
    for (size_t i = 0; verbs[i].name != NULL; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return run_verb(name, verbs[i].run, argc - 1, argv + 1);
    }
    return mary_cli_finish("mary", mary_fail(MARY_ERROR_USAGE, "unknown verb '%s'; 'mary --help' lists them", name));
}

int main(int argc, char **argv)
{
    int status = dispatch(argc, argv);
    /* A full disk or a closed pipe shows up only here. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == MARY_OK)
        status = mary_cli_finish("mary", mary_fail(MARY_ERROR_WRITE, "standard output could not be written"));
    return status;
}
