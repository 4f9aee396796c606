/* Finds out what a --data path is: one array, an archive of arrays, a folder of ONNX test data or of IDX files. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/data/images.h"

static mary_status add(mary_catalog *catalog, const char *name)
{
    if (!mary_reserve((void **)&catalog->names, &catalog->capacity, catalog->count + 1, sizeof *catalog->names))
        return mary_fail_memory(sizeof *catalog->names);
    char *copy = mary_strdup(name);
    if (copy == NULL)
        return mary_fail_memory(strlen(name));
    catalog->names[catalog->count++] = copy;
    return MARY_OK;
}

static bool exists(const char *folder, const char *name)
{
    char *path = mary_asprintf("%s/%s", folder, name);
    struct stat information;
    bool found = path != NULL && stat(path, &information) == 0;
    mary_free(path);
    return found;
}

static const struct {
    const char *array, *file;
} idx_files[] = {
    {"x_test", "t10k-images-idx3-ubyte"},
    {"y_test", "t10k-labels-idx1-ubyte"},
    {"x_train", "train-images-idx3-ubyte"},
    {"y_train", "train-labels-idx1-ubyte"},
};

static mary_status list_idx(mary_catalog *catalog)
{
    for (size_t i = 0; i < sizeof idx_files / sizeof idx_files[0]; i++) {
        char packed[64];
        snprintf(packed, sizeof packed, "%s.gz", idx_files[i].file);
        if (exists(catalog->path, idx_files[i].file) || exists(catalog->path, packed))
            MARY_TRY(add(catalog, idx_files[i].array));
    }
    return MARY_OK;
}

/* test_data_set_2 before test_data_set_10. */
static int compare_names(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

static mary_status list_tests(mary_catalog *catalog)
{
    if (exists(catalog->path, "input_0.pb"))
        return add(catalog, catalog->path);
    DIR *folder = opendir(catalog->path);
    if (folder == NULL)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", catalog->path, strerror(errno));
    mary_status status = MARY_OK;
    for (const struct dirent *entry; status == MARY_OK && (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, "test_data_set_", 14) != 0)
            continue;
        char *path = mary_asprintf("%s/%s", catalog->path, entry->d_name);
        if (path == NULL)
            status = mary_fail_memory(strlen(catalog->path));
        else if (exists(path, "input_0.pb"))
            status = add(catalog, path);
        mary_free(path);
    }
    closedir(folder);
    if (status == MARY_OK && catalog->count > 1)
        qsort(catalog->names, catalog->count, sizeof *catalog->names, compare_names);
    return status;
}

/* Files of one folder, `prefix` ("" or "cats/") in front of their names; folders in it once more when `deeper`. */
static mary_status list_images(mary_catalog *catalog, const char *prefix, bool deeper)
{
    char *path = mary_asprintf("%s/%s", catalog->path, prefix);
    DIR *folder = path == NULL ? NULL : opendir(path);
    mary_status status = MARY_OK;
    if (folder == NULL)
        status = path == NULL ? mary_fail_memory(strlen(prefix))
                              : mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
    for (const struct dirent *entry; status == MARY_OK && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        char *name = mary_asprintf("%s%s", prefix, entry->d_name),
             *below = mary_asprintf("%s%s/", prefix, entry->d_name);
        if (name == NULL || below == NULL)
            status = mary_fail_memory(strlen(entry->d_name));
        else if (mary_images_is_one(name))
            status = add(catalog, name);
        else if (deeper && exists(path, entry->d_name) && entry->d_type == DT_DIR)
            status = list_images(catalog, below, false);
        mary_free(name);
        mary_free(below);
    }
    if (folder != NULL)
        closedir(folder);
    mary_free(path);
    return status;
}

/* A sorted name, and how many of its folder come before it. */
typedef struct ranked_name {
    char *name;
    size_t rank, position;
} ranked_name;

static int compare_ranks(const void *a, const void *b)
{
    const ranked_name *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

/* The first of every folder, then the second of every folder ...: where folders are classes, the first N files are of
 * all classes. */
static mary_status interleave(mary_catalog *catalog)
{
    ranked_name *ranked = mary_calloc(catalog->count, sizeof *ranked);
    if (ranked == NULL)
        return mary_fail_memory(catalog->count * sizeof *ranked);
    for (size_t i = 0; i < catalog->count; i++) {
        ranked[i] = (ranked_name){catalog->names[i], 0, i};
        const char *slash = strrchr(catalog->names[i], '/'), *before = i > 0 ? strrchr(ranked[i - 1].name, '/') : NULL;
        if (i == 0)
            continue;
        size_t length = slash == NULL ? 0 : (size_t)(slash - catalog->names[i]);
        size_t other = before == NULL ? 0 : (size_t)(before - ranked[i - 1].name);
        if (length == other && strncmp(catalog->names[i], ranked[i - 1].name, length) == 0)
            ranked[i].rank = ranked[i - 1].rank + 1;
    }
    qsort(ranked, catalog->count, sizeof *ranked, compare_ranks);
    for (size_t i = 0; i < catalog->count; i++)
        catalog->names[i] = ranked[i].name;
    mary_free(ranked);
    return MARY_OK;
}

static mary_status open_folder(mary_catalog *catalog)
{
    catalog->kind = MARY_CATALOG_IDX;
    MARY_TRY(list_idx(catalog));
    if (catalog->count > 0)
        return MARY_OK;
    catalog->kind = MARY_CATALOG_TESTS;
    MARY_TRY(list_tests(catalog));
    if (catalog->count > 0)
        return MARY_OK;
    catalog->kind = MARY_CATALOG_IMAGES;
    MARY_TRY(list_images(catalog, "", true));
    if (catalog->count > 0) {
        qsort(catalog->names, catalog->count, sizeof *catalog->names, compare_names);
        return interleave(catalog);
    }
    return mary_fail(MARY_ERROR_INVALID,
                     "%s: a folder with neither ONNX test data (test_data_set_0/input_0.pb) nor IDX files "
                     "(t10k-images-idx3-ubyte.gz) nor images (.png, .jpg)",
                     catalog->path);
}

static mary_status open_archive(mary_catalog *catalog)
{
    int code = 0;
    zip_t *archive = zip_open(catalog->path, ZIP_RDONLY, &code);
    if (archive == NULL) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        mary_status status = mary_fail(MARY_ERROR_INVALID, "%s: %s", catalog->path, zip_error_strerror(&error));
        zip_error_fini(&error);
        return status;
    }
    mary_status status = MARY_OK;
    zip_int64_t entries = zip_get_num_entries(archive, 0);
    for (zip_int64_t i = 0; i < entries && status == MARY_OK; i++) {
        const char *member = zip_get_name(archive, (zip_uint64_t)i, 0);
        size_t length = member != NULL ? strlen(member) : 0;
        if (length <= 4 || strcmp(member + length - 4, ".npy") != 0)
            continue;
        char *name = mary_strdup(member);
        if (name == NULL) {
            status = mary_fail_memory(length);
        } else {
            name[length - 4] = '\0';
            status = add(catalog, name);
        }
        mary_free(name);
    }
    zip_discard(archive);
    if (status == MARY_OK && catalog->count == 0)
        status = mary_fail(MARY_ERROR_INVALID, "%s: an archive without arrays (.npy members)", catalog->path);
    return status;
}

mary_status mary_catalog_open(mary_catalog *catalog, const char *path)
{
    memset(catalog, 0, sizeof *catalog);
    mary_status status = MARY_OK;
    struct stat information;
    catalog->path = mary_strdup(path);
    if (catalog->path == NULL)
        return mary_fail_memory(strlen(path));
    if (stat(path, &information) != 0) {
        status = mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
    } else if (S_ISDIR(information.st_mode)) {
        status = open_folder(catalog);
    } else {
        char start[4] = "";
        FILE *file = fopen(path, "rb");
        size_t got = file != NULL ? fread(start, 1, sizeof start, file) : 0;
        if (file == NULL)
            status = mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
        else
            fclose(file);
        if (status == MARY_OK && got == 4 && start[0] == 'P' && start[1] == 'K') {
            catalog->kind = MARY_CATALOG_ARCHIVE;
            status = open_archive(catalog);
        } else if (status == MARY_OK) {
            catalog->kind = MARY_CATALOG_ARRAY;
            mary_reader reader;
            status = mary_reader_open_file(&reader, path);
            if (status == MARY_OK)
                status = add(catalog, reader.name);
            mary_reader_close(&reader);
        }
    }
    if (status != MARY_OK)
        mary_catalog_close(catalog);
    return status;
}

void mary_catalog_close(mary_catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        mary_free(catalog->names[i]);
    mary_free(catalog->names);
    mary_free(catalog->path);
    memset(catalog, 0, sizeof *catalog);
}

bool mary_catalog_has(const mary_catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->count; i++) {
        if (strcmp(catalog->names[i], name) == 0)
            return true;
    }
    return false;
}

char *mary_catalog_list(const mary_catalog *catalog, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < catalog->count && used + 1 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? "" : ", ", catalog->names[i]);
    return text;
}

static mary_status read_idx(const mary_catalog *catalog, const char *name, mary_reader *reader)
{
    for (size_t i = 0; i < sizeof idx_files / sizeof idx_files[0]; i++) {
        if (strcmp(name, idx_files[i].array) != 0)
            continue;
        bool plain = exists(catalog->path, idx_files[i].file);
        char *path = mary_asprintf("%s/%s%s", catalog->path, idx_files[i].file, plain ? "" : ".gz");
        if (path == NULL)
            return mary_fail_memory(strlen(catalog->path));
        mary_status status = mary_reader_open_file(reader, path);
        mary_free(path);
        return status;
    }
    return mary_fail(MARY_ERROR_INVALID, "%s: has no array '%s'", catalog->path, name);
}

mary_status mary_catalog_read(const mary_catalog *catalog, const char *name, mary_reader *reader)
{
    memset(reader, 0, sizeof *reader);
    if (catalog->kind != MARY_CATALOG_TESTS && !mary_catalog_has(catalog, name)) {
        char list[256];
        return mary_fail(MARY_ERROR_INVALID, "%s: has no array '%s'; it has %s", catalog->path, name,
                         mary_catalog_list(catalog, list, sizeof list));
    }
    switch (catalog->kind) {
    case MARY_CATALOG_ARRAY:
        return mary_reader_open_file(reader, catalog->path);
    case MARY_CATALOG_ARCHIVE:
        return mary_reader_open_member(reader, catalog->path, name);
    case MARY_CATALOG_IDX:
        return read_idx(catalog, name, reader);
    case MARY_CATALOG_TESTS:
    case MARY_CATALOG_IMAGES:
        break;
    }
    return mary_fail(MARY_ERROR_INTERNAL, "%s: holds no arrays", catalog->path);
}
