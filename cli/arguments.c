#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "ops/cpu.h"

mary_status mary_cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    error_t error = argp_parse(argp, argc, argv, 0, NULL, input);
    return error == 0 ? MARY_OK : MARY_ERROR_USAGE;
}

void mary_cli_parse_begin(struct argp_state *state)
{
    /* argp would add a second line ("Try ...") and exit by itself. Without a stream it does neither; unknown options
     * are reported in one line by getopt, wrong values by mary_cli_usage. */
    state->err_stream = NULL;
}

error_t mary_cli_usage(const struct argp_state *state, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mary_cli_finish(state->name, mary_fail(MARY_ERROR_USAGE, "%s", text));
    return EINVAL;
}

error_t mary_cli_take_path(const struct argp_state *state, const char *argument, const char **input,
                           const char **output)
{
    if (*input != NULL && *output != NULL)
        return mary_cli_usage(state, "one model in, one out: '%s' is too many", argument);
    *(*input == NULL ? input : output) = argument;
    return 0;
}

error_t mary_cli_parse_int(const struct argp_state *state, const char *option, const char *text, int64_t least,
                           int64_t most, int64_t *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || number < least || number > most) {
        if (most == INT64_MAX)
            return mary_cli_usage(state, "%s takes a whole number of at least %lld, not '%s'", option, (long long)least,
                                  text);
        return mary_cli_usage(state, "%s takes a whole number from %lld to %lld, not '%s'", option, (long long)least,
                              (long long)most, text);
    }
    *value = number;
    return 0;
}

error_t mary_cli_parse_double(const struct argp_state *state, const char *option, const char *text, double least,
                              double most, double *value)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number))
        return mary_cli_usage(state, "%s takes a number, not '%s'", option, text);
    if (number < least || number > most)
        return mary_cli_usage(state, "%s: %s is out of range, it must be from %g to %g", option, text, least, most);
    *value = number;
    return 0;
}

error_t mary_cli_parse_doubles(const struct argp_state *state, const char *option, const char *text, double *values,
                               int most, int *count)
{
    int found = 0;
    for (const char *at = text;;) {
        char *end;
        double number = strtod(at, &end);
        if (end == at || !isfinite(number) || (*end != ',' && *end != '\0'))
            return mary_cli_usage(state, "%s takes numbers separated by commas, not '%s'", option, text);
        if (found == most)
            return mary_cli_usage(state, "%s takes at most %d numbers", option, most);
        values[found++] = number;
        if (*end == '\0')
            break;
        at = end + 1;
    }
    *count = found;
    return 0;
}

enum { KEY_CPU = 0x1000 };

static error_t parse_session(int key, char *argument, struct argp_state *state)
{
    mary_session_options *options = state->input;
    switch (key) {
    case 't': {
        int64_t threads = 0;
        error_t error = mary_cli_parse_int(state, "--threads", argument, 0, 1024, &threads);
        if (error == 0)
            options->threads = (int)threads;
        return error;
    }
    case KEY_CPU:
        if (!mary_cpu_known(argument))
            return mary_cli_usage(state, "--cpu takes %s, not '%s'", mary_cpu_names(), argument);
        options->cpu = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option session_options[] = {
    {"threads", 't', "N", 0, "Threads to run with (0, the default: one per processor)", 0},
    {"cpu", KEY_CPU, "TIER", 0,
     "Kernels to use: scalar, avx2, avxvnni, avx512, avx512vnni or neon (default: the best that this machine has)", 0},
    {0},
};

const struct argp mary_cli_session_argp = {.options = session_options, .parser = parse_session};

int mary_cli_finish(const char *verb, mary_status status)
{
    if (status != MARY_OK)
        fprintf(stderr, "%s: %s\n", verb, mary_error_message());
    return status;
}

void mary_cli_warn(const char *verb, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *at = text; *at != '\0'; at++) { /* names come from files: no terminal escapes, no second line */
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    fprintf(stderr, "%s: %s\n", verb, text);
}
