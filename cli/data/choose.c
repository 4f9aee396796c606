#include "cli/data/choose.h"

#include <string.h>
#include <sys/stat.h>

#include "cli/data/images.h"

/* A source taken apart. input and array are "" when they are not given. */
typedef struct source {
    char *text; /* owns the parts */
    const char *input, *path, *array;
} source;

static bool is_there(const char *path)
{
    struct stat information;
    return stat(path, &information) == 0;
}

/* "[INPUT=]PATH[:ARRAY]"; a path that exists as it stands is not cut. */
static mary_status source_parse(source *parts, const char *text, bool with_input)
{
    memset(parts, 0, sizeof *parts);
    parts->text = mary_strdup(text);
    if (parts->text == NULL)
        return mary_fail_memory(strlen(text));
    parts->input = parts->array = "";
    char *path = parts->text;
    char *equals = with_input && !is_there(path) ? strchr(path, '=') : NULL;
    if (equals != NULL) {
        *equals = '\0';
        parts->input = path;
        path = equals + 1;
    }
    if (!is_there(path)) {
        char *colon = strrchr(path, ':');
        if (colon != NULL) {
            *colon = '\0';
            if (is_there(path))
                parts->array = colon + 1;
            else
                *colon = ':';
        }
    }
    parts->path = path;
    return MARY_OK;
}

static void source_free(source *parts)
{
    mary_free(parts->text);
}

static bool looks_like_labels(const char *name)
{
    static const char *const names[] = {"y", "labels", "label", "targets", "target", "classes"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return strncmp(name, "y_", 2) == 0;
}

static const char *usual_split(const mary_data_options *options)
{
    return options->split != NULL ? options->split : options->training ? "train" : "test";
}

/* The array of `catalog` that feeds an input of this name; NULL with a message when that is not clear. */
static const char *find_array(const mary_catalog *catalog, const mary_data_options *options, const char *input,
                              int input_count, int index)
{
    if (mary_catalog_has(catalog, input))
        return input;
    if (catalog->count == 1 && input_count == 1 && options->split == NULL)
        return catalog->names[0];
    char list[256], wanted[64];
    if (input_count == 1) {
        static const char *const usual[] = {"x", "images", "data", "input", "inputs", "samples"};
        snprintf(wanted, sizeof wanted, "x_%s", usual_split(options));
        const char *only = NULL;
        int candidates = 0;
        for (size_t i = 0; i < catalog->count; i++) {
            if (strcmp(catalog->names[i], wanted) == 0)
                return catalog->names[i];
            if (!looks_like_labels(catalog->names[i])) {
                only = catalog->names[i];
                candidates++;
            }
        }
        if (options->split != NULL && catalog->kind != MARY_CATALOG_ARRAY) {
            mary_fail(MARY_ERROR_INVALID, "%s: has no array '%s' for --split %s; it has %s", catalog->path, wanted,
                      options->split, mary_catalog_list(catalog, list, sizeof list));
            return NULL;
        }
        if (candidates == 1)
            return only;
        for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
            if (mary_catalog_has(catalog, usual[i]))
                return usual[i];
        }
    } else {
        snprintf(wanted, sizeof wanted, "arr_%d", index); /* numpy.savez without names */
        if (mary_catalog_has(catalog, wanted)) {
            for (size_t i = 0; i < catalog->count; i++) {
                if (strcmp(catalog->names[i], wanted) == 0)
                    return catalog->names[i];
            }
        }
    }
    mary_fail(MARY_ERROR_INVALID, "%s: which array feeds input '%s'? say --data %s=%s:ARRAY; it has %s", catalog->path,
              input, input, catalog->path, mary_catalog_list(catalog, list, sizeof list));
    return NULL;
}

static mary_status open_source(const source *parts, const mary_data_options *options, const mary_array *input,
                               int input_count, int index, mary_reader *reader)
{
    mary_catalog catalog;
    MARY_TRY(mary_catalog_open(&catalog, parts->path));
    mary_status status = MARY_OK;
    const char *array = parts->array;
    if (catalog.kind == MARY_CATALOG_IMAGES) {
        status = mary_images_begin(reader, &catalog, options, input);
        if (status != MARY_OK)
            mary_reader_close(reader);
        mary_catalog_close(&catalog);
        return status;
    }
    if (array[0] == '\0' && catalog.kind == MARY_CATALOG_ARRAY)
        array = catalog.names[0];
    if (array[0] == '\0')
        array = find_array(&catalog, options, input->name, input_count, index);
    if (array == NULL)
        status = MARY_ERROR_INVALID;
    else
        status = mary_catalog_read(&catalog, array, reader);
    mary_catalog_close(&catalog);
    return status;
}

mary_status mary_choose_input(const mary_data_options *options, const mary_array *inputs, int input_count, int index,
                              mary_reader *reader)
{
    memset(reader, 0, sizeof *reader);
    source chosen = {0};
    mary_status status = MARY_OK;
    int unnamed = 0;
    for (int i = 0; i < options->source_count && chosen.text == NULL; i++) {
        source parts;
        MARY_TRY(source_parse(&parts, options->sources[i], true));
        bool known = parts.input[0] == '\0';
        for (int k = 0; k < input_count; k++)
            known |= strcmp(parts.input, inputs[k].name) == 0;
        if (!known) {
            status = is_there(parts.path) ? mary_fail(MARY_ERROR_USAGE, "the model has no input '%s'", parts.input)
                                          : mary_fail(MARY_ERROR_INVALID, "%s: No such file or directory", parts.path);
            source_free(&parts);
            return status;
        }
        if (strcmp(parts.input, inputs[index].name) == 0)
            chosen = parts;
        else
            source_free(&parts);
    }
    /* Sources without a name: one archive for all inputs, or one file an input in the model's order. */
    for (int i = 0; i < options->source_count && chosen.text == NULL; i++) {
        source parts;
        MARY_TRY(source_parse(&parts, options->sources[i], true));
        if (parts.input[0] == '\0' && (options->source_count == 1 || unnamed++ == index))
            chosen = parts;
        else
            source_free(&parts);
    }
    if (chosen.text == NULL)
        return mary_fail(MARY_ERROR_USAGE, "no --data for input '%s'", inputs[index].name);
    status = open_source(&chosen, options, &inputs[index], input_count, index, reader);
    source_free(&chosen);
    return status;
}

static mary_status check_labels(const mary_reader *reader)
{
    const mary_shape *shape = &reader->shape;
    char text[128];
    bool flat = shape->rank == 1 || (shape->rank == 2 && shape->dims[1] == 1);
    if (!flat || mary_type_is_float(reader->type))
        return mary_fail(MARY_ERROR_INVALID, "%s: labels must be integers of shape [N], not %s %s", reader->bytes.label,
                         mary_type_name(reader->type), mary_shape_format(shape, text, sizeof text));
    return MARY_OK;
}

/* Name of the labels that lie beside the samples in `catalog`; NULL: none. */
static const char *find_labels(const mary_catalog *catalog, const mary_data_options *options, const char *samples,
                               char *wanted, size_t size)
{
    if (options->labels != NULL)
        return options->labels;
    snprintf(wanted, size, "y_%s", usual_split(options));
    if (strncmp(samples, "x_", 2) == 0)
        snprintf(wanted, size, "y_%s", samples + 2);
    if (mary_catalog_has(catalog, wanted))
        return wanted;
    for (size_t i = 0; i < catalog->count; i++) {
        const char *name = catalog->names[i];
        if (looks_like_labels(name) && strncmp(name, "y_", 2) != 0 && strcmp(name, samples) != 0)
            return name;
    }
    return NULL;
}

/* t10k-images-idx3-ubyte.gz -> t10k-labels-idx1-ubyte.gz, when that is there. */
static char *sibling_labels(const char *path)
{
    const char *images = strstr(mary_cli_base_name(path), "images-idx3");
    if (images == NULL)
        return NULL;
    char *other = mary_asprintf("%.*slabels-idx1%s", (int)(images - path), path, images + strlen("images-idx3"));
    if (other != NULL && !is_there(other)) {
        mary_free(other);
        other = NULL;
    }
    return other;
}

static mary_status open_file_labels(const char *path, const char *array, mary_reader *reader)
{
    mary_catalog catalog;
    char list[256];
    MARY_TRY(mary_catalog_open(&catalog, path));
    const char *name = array;
    mary_status status = MARY_OK;
    if (name[0] == '\0') {
        name = catalog.count == 1 ? catalog.names[0] : NULL;
        for (size_t i = 0; i < catalog.count && name == NULL; i++) {
            if (looks_like_labels(catalog.names[i]))
                name = catalog.names[i];
        }
    } else if (catalog.kind == MARY_CATALOG_ARRAY) {
        name = catalog.names[0];
    }
    if (name == NULL || catalog.kind == MARY_CATALOG_TESTS || catalog.kind == MARY_CATALOG_IMAGES)
        status = mary_fail(MARY_ERROR_USAGE, "--labels %s: which array? it has %s", path,
                           mary_catalog_list(&catalog, list, sizeof list));
    else
        status = mary_catalog_read(&catalog, name, reader);
    mary_catalog_close(&catalog);
    return status;
}

mary_status mary_choose_labels(const mary_data_options *options, const char *samples, mary_reader *reader, bool *found)
{
    memset(reader, 0, sizeof *reader);
    *found = false;
    source parts = {0}, data = {0};
    mary_catalog catalog = {0};
    mary_status status = MARY_OK;
    char wanted[256];
    if (options->labels != NULL) {
        MARY_TRY(source_parse(&parts, options->labels, false));
        if (is_there(parts.path)) {
            status = open_file_labels(parts.path, parts.array, reader);
            goto opened;
        }
    }
    MARY_TRY_GOTO(source_parse(&data, options->sources[0], true), done);
    MARY_TRY_GOTO(mary_catalog_open(&catalog, data.path), done);
    const char *name = catalog.kind == MARY_CATALOG_ARRAY || catalog.kind == MARY_CATALOG_IMAGES
                           ? NULL
                           : find_labels(&catalog, options, samples, wanted, sizeof wanted);
    char *sibling = options->labels == NULL ? sibling_labels(data.path) : NULL;
    if (sibling != NULL) {
        status = mary_reader_open_file(reader, sibling);
        mary_free(sibling);
    } else if (name != NULL) {
        status = mary_catalog_read(&catalog, name, reader);
    } else {
        if (options->labels != NULL)
            status = mary_fail(MARY_ERROR_INVALID, "--labels %s: no such file", options->labels);
        goto done;
    }
opened:
    if (status == MARY_OK)
        status = check_labels(reader);
    if (status == MARY_OK)
        *found = true;
    else
        mary_reader_close(reader);
done:
    mary_catalog_close(&catalog);
    source_free(&parts);
    source_free(&data);
    return status;
}
