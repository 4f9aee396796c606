/* What every verb of the `mary` command shares. A verb is one file, cli/VERB.c, that exports mary_cli_VERB and has one
 * line in the table of cli/main.c. Exit statuses are mary_status; results go to stdout, everything else to stderr. */
#ifndef MARY_CLI_CLI_H
#define MARY_CLI_CLI_H

#include <argp.h>
#include <stdio.h>

#include "onnx/memory.h"
#include "onnx/status.h"

/* argv[0] is "mary VERB", so that argp's and getopt's messages begin the way ours do. */
typedef int mary_cli_verb(int argc, char **argv);

/* ---- arguments ---- */

/* Parses with argp and in any order. MARY_ERROR_USAGE: one line was already printed on stderr, so return it as it is.
 * --help prints to stdout and exits 0. */
mary_status mary_cli_parse(const struct argp *argp, int argc, char **argv, void *input);
/* To be called first in every verb's parser, under ARGP_KEY_INIT: keeps errors to one line. */
void mary_cli_parse_begin(struct argp_state *state);
/* Prints "mary VERB: ..." and returns the error_t that a parser returns for a wrong argument. */
error_t mary_cli_usage(const struct argp_state *state, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An argument of a verb that reads one model and writes one: goes to the first of the two that is not there yet. */
error_t mary_cli_take_path(const struct argp_state *state, const char *argument, const char **input,
                           const char **output);
/* These print and return an error when `text` is not wholly a number within [least, most]; `option` is for the message.
 */
error_t mary_cli_parse_int(const struct argp_state *state, const char *option, const char *text, int64_t least,
                           int64_t most, int64_t *value);
error_t mary_cli_parse_double(const struct argp_state *state, const char *option, const char *text, double least,
                              double most, double *value);
/* "0.485,0.456,0.406" into values[0..most); the number of them in *count. */
error_t mary_cli_parse_doubles(const struct argp_state *state, const char *option, const char *text, double *values,
                               int most, int *count);

/* --threads and --cpu, as a child of a verb's argp; its input is a mary_session_options. */
extern const struct argp mary_cli_session_argp;

/* Prints "mary VERB: " and the thread's message on stderr when `status` is a failure; returns the exit status. */
int mary_cli_finish(const char *verb, mary_status status);
/* A line "mary VERB: ..." on stderr for what is worth knowing but no failure. */
void mary_cli_warn(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- output files: complete under their name, or not there at all ---- */

typedef struct mary_output {
    FILE *file; /* write here */
    char *path;
    char *temporary; /* NULL when `path` is not a regular file (a device or pipe) and is written directly */
} mary_output;

mary_status mary_output_open(mary_output *output, const char *path);
/* Flushes, checks for write errors, and renames; closes in any case. */
mary_status mary_output_commit(mary_output *output);
/* Removes what was written; does nothing after a commit or on a zeroed struct. */
void mary_output_discard(mary_output *output);
/* open + write + commit. */
mary_status mary_output_write(const char *path, const void *bytes, size_t size);

/* ---- files and sizes ---- */

/* Size of a file on disk; MARY_ERROR_INVALID naming the file when it cannot be read. */
mary_status mary_cli_file_bytes(const char *path, uint64_t *bytes);
/* "1.72 MB" (decimal units) into `text`, which is returned. */
char *mary_cli_format_bytes(double bytes, char *text, size_t size);
/* Most memory that this process ever had resident, in bytes. */
uint64_t mary_cli_peak_memory(void);
/* Seconds of a clock that only moves forward. */
double mary_cli_now(void);
/* "folder/model.onnx" -> "model.onnx"; points into `path`. */
const char *mary_cli_base_name(const char *path);

/* ---- progress, on stderr and only when that is a terminal ---- */

typedef struct mary_progress {
    const char *label;
    uint64_t total; /* 0: unknown */
    double shown;   /* when it was last drawn; negative: never */
    double started;
    bool enabled;
} mary_progress;

void mary_progress_start(mary_progress *progress, const char *label, uint64_t total);
void mary_progress_update(mary_progress *progress, uint64_t done);
void mary_progress_finish(mary_progress *progress); /* clears the line */

#endif
