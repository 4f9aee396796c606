/* Runs a fuzz target over files and folders of files: what libFuzzer does with a corpus, for any compiler. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        if (file != NULL)
            fclose(file);
        return 1;
    }
    const long size = ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(size > 0 ? (size_t)size : 1); /* exactly as large as the file: a sanitizer guards its end */
    int result = 1;
    if (bytes != NULL && fread(bytes, 1, (size_t)size, file) == (size_t)size) {
        LLVMFuzzerTestOneInput(bytes, (size_t)size);
        result = 0;
    }
    free(bytes);
    fclose(file);
    return result;
}

int main(int argc, char **argv)
{
    int failures = 0, replayed = 0;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        DIR *folder = stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode) ? opendir(argv[i]) : NULL;
        if (folder == NULL) {
            failures += replay_file(argv[i]);
            replayed++;
            continue;
        }
        for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            failures += replay_file(path);
            replayed++;
        }
        closedir(folder);
    }
    printf("%d files replayed\n", replayed);
    return failures == 0 && replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
