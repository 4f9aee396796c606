/* Times a model with libmary's public API, a batch at a time when told to, so that a caller can take turns with other
 * programs.
 *
 *     time_model MODEL THREADS DIMS INPUT OUTPUT
 *
 * DIMS is "1,3,224,224"; INPUT holds that many floats. After "ready SECONDS", the time that loading took, each line "N"
 * on stdin is answered by the seconds of N runs, a line each, and "memory" by the most bytes that were ever resident.
 * The first output is left in OUTPUT.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mary.h"

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void check(mary_status status)
{
    if (status == MARY_OK)
        return;
    fprintf(stderr, "time_model: %s\n", mary_error_message());
    exit(status);
}

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* Fills dims, rank, data and bytes from "1,3,224,224" and a file of floats. */
static void read_input(mary_array *input, const char *dims, const char *path)
{
    input->bytes = sizeof(float);
    input->rank = 0;
    for (const char *at = dims; *at != '\0' && input->rank < MARY_MAX_RANK;) {
        char *end;
        const int64_t dim = strtoll(at, &end, 10);
        input->dims[input->rank++] = dim;
        input->bytes *= (size_t)dim;
        at = *end == ',' ? end + 1 : end;
    }
    input->data = malloc(input->bytes);
    FILE *file = fopen(path, "rb");
    if (input->data == NULL || file == NULL || fread(input->data, 1, input->bytes, file) != input->bytes)
        die(path);
    fclose(file);
}

static void print_peak_memory(void)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long kilobytes = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmHWM: %lu", &kilobytes) == 1)
            break;
    }
    if (file != NULL)
        fclose(file);
    printf("%lu\n", kilobytes * 1024);
}

int main(int argc, char **argv)
{
    mary_model *model = NULL;
    mary_session *session = NULL;
    mary_array input, output = {0};
    char line[64];
    if (argc != 6) {
        fprintf(stderr, "usage: time_model MODEL THREADS DIMS INPUT OUTPUT\n");
        return MARY_ERROR_USAGE;
    }
    const mary_session_options options = {.threads = atoi(argv[2])};
    const double start_of_load = now();
    check(mary_model_load(argv[1], &model));
    check(mary_session_create(&model, &options, &session));
    const double loading = now() - start_of_load;
    check(mary_session_input(session, 0, &input));
    read_input(&input, argv[3], argv[4]);
    check(mary_session_run(session, &input, 1, &output, 1));
    FILE *file = fopen(argv[5], "wb");
    if (file == NULL || fwrite(output.data, 1, output.bytes, file) != output.bytes || fclose(file) != 0)
        die(argv[5]);
    mary_array_free(&output);

    printf("ready %.9f\n", loading);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strncmp(line, "memory", 6) == 0)
            print_peak_memory();
        for (long runs = strtol(line, NULL, 10); runs > 0; runs--) {
            const double start = now();
            check(mary_session_run(session, &input, 1, &output, 1));
            printf("%.9f\n", now() - start);
            mary_array_free(&output);
        }
        fflush(stdout);
    }
    free(input.data);
    mary_session_free(&session);
    return EXIT_SUCCESS;
}
