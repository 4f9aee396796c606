/* Sizes, clocks and the progress bar. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "validate/opened.h"

mary_status mary_cli_file_bytes(const char *path, uint64_t *bytes)
{
    struct stat information;
    if (stat(path, &information) != 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
    *bytes = (uint64_t)information.st_size;
    return MARY_OK;
}

char *mary_cli_format_bytes(double bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1000;
        unit++;
    }
    int decimals = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
    snprintf(text, size, "%.*f %s", decimals, bytes, units[unit]);
    return text;
}

uint64_t mary_cli_peak_memory(void)
{
    /* VmHWM belongs to this program alone; getrusage also remembers what the process was before exec. */
    unsigned long long kibibytes = 0;
    char line[128];
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmHWM: %llu", &kibibytes) == 1)
            break;
    }
    if (file != NULL)
        fclose(file);
    struct rusage usage;
    if (kibibytes == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        kibibytes = (unsigned long long)usage.ru_maxrss;
    return (uint64_t)kibibytes * 1024;
}

double mary_cli_now(void)
{
    return mary_now();
}

const char *mary_cli_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

void mary_progress_start(mary_progress *progress, const char *label, uint64_t total)
{
    *progress = (mary_progress){.label = label, .total = total, .shown = -1};
    progress->enabled = isatty(STDERR_FILENO) != 0;
    progress->started = mary_cli_now();
}

void mary_progress_update(mary_progress *progress, uint64_t done)
{
    enum { WIDTH = 32 };
    if (!progress->enabled)
        return;
    double now = mary_cli_now();
    if (now - progress->started < 0.3 || (progress->shown >= 0 && now - progress->shown < 0.1))
        return; /* short work shows nothing */
    progress->shown = now;
    if (progress->total == 0) {
        fprintf(stderr, "\r\033[K%s %llu", progress->label, (unsigned long long)done);
    } else {
        double part = done >= progress->total ? 1 : (double)done / (double)progress->total;
        char bar[WIDTH + 1];
        for (int i = 0; i < WIDTH; i++)
            bar[i] = i < (int)(part * WIDTH) ? '#' : '.';
        bar[WIDTH] = '\0';
        fprintf(stderr, "\r\033[K%s [%s] %3.0f %%", progress->label, bar, part * 100);
        if (part > 0.02)
            fprintf(stderr, "  %.0f s left", (now - progress->started) * (1 - part) / part);
    }
    fflush(stderr);
}

void mary_progress_finish(mary_progress *progress)
{
    if (progress->enabled && progress->shown >= 0)
        fprintf(stderr, "\r\033[K");
    progress->enabled = false;
}
