/* Peak memory of a model on its own: another process of this program runs it once and tells. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/peak.h"
#include "cli/report/json.h"

extern char **environ;

enum { MAX_ARGUMENTS = 16 + 2 * MARY_CLI_SHAPES };

/* "name:1,28,28" */
static char *format_shape(const mary_array *input)
{
    char dims[MARY_MAX_RANK * 24] = "";
    for (int i = 0; i < input->rank; i++)
        snprintf(dims + strlen(dims), sizeof dims - strlen(dims), "%s%lld", i == 0 ? "" : ",",
                 (long long)input->dims[i]);
    return mary_asprintf("%s:%s", input->name, dims);
}

/* Starts `arguments` with its output in a pipe; -1: it did not start. */
static pid_t start(char *const *arguments, int *output)
{
    int ends[2];
    pid_t child = -1;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    if (posix_spawn_file_actions_init(&actions) == 0) {
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ) != 0)
            child = -1;
        posix_spawn_file_actions_destroy(&actions);
    }
    close(ends[1]);
    if (child < 0)
        close(ends[0]);
    *output = ends[0];
    return child;
}

static uint64_t read_peak(int output)
{
    uint64_t peak = 0;
    FILE *stream = fdopen(output, "r");
    if (stream == NULL) {
        close(output);
        return 0;
    }
    json_error_t error;
    json_t *report = json_loadf(stream, 0, &error);
    const json_t *models = json_object_get(report, "models");
    const json_t *bytes = json_object_get(json_array_get(models, 0), "peak_memory_bytes");
    if (json_is_integer(bytes))
        peak = (uint64_t)json_integer_value(bytes);
    json_decref(report);
    fclose(stream);
    return peak;
}

uint64_t mary_cli_model_peak(const char *path, const mary_session_options *options, const mary_array *inputs,
                             int input_count)
{
    if (input_count > MARY_CLI_SHAPES)
        return 0;
    char threads[32];
    snprintf(threads, sizeof threads, "--threads=%d", options->threads);
    char cpu[32];
    snprintf(cpu, sizeof cpu, "--cpu=%s", options->cpu != NULL ? options->cpu : "");
    char *arguments[MAX_ARGUMENTS] = {"mary", "bench", "--runs=1", "--warmup=0", "--json", threads};
    int count = 6, shapes;
    if (options->cpu != NULL)
        arguments[count++] = cpu;
    shapes = count;
    uint64_t peak = 0;
    for (int i = 0; i < input_count; i++) {
        char *shape = format_shape(&inputs[i]);
        if (shape == NULL)
            goto done;
        arguments[count++] = mary_asprintf("--input-shape=%s", shape);
        mary_free(shape);
        if (arguments[count - 1] == NULL)
            goto done;
    }
    arguments[count] = "--";
    memcpy(&arguments[count + 1], &path, sizeof path); /* execve takes it as const */
    int output;
    fflush(stdout);
    pid_t child = start(arguments, &output);
    if (child >= 0) {
        peak = read_peak(output);
        int status;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    arguments[count] = NULL;
done:
    for (int i = shapes; i < count; i++)
        mary_free(arguments[i]);
    return peak;
}
