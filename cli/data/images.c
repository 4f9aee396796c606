/* Image folders. */
#include "cli/data/images.h"

#include <string.h>
#include <strings.h>

struct mary_images {
    char **paths;
    size_t count, next;
    int64_t height, width, channels, resize;
    bool last, bgr;  /* channels last; blue first */
    uint8_t *fitted; /* [height, width, 3] */
};

bool mary_images_is_one(const char *name)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t length = strlen(name), ending = strlen(endings[i]);
        if (length > ending && strcasecmp(name + length - ending, endings[i]) == 0)
            return true;
    }
    return false;
}

void mary_images_free(mary_images **pointer)
{
    mary_images *images = *pointer;
    *pointer = NULL;
    if (images == NULL)
        return;
    for (size_t i = 0; i < images->count; i++)
        mary_free(images->paths[i]);
    mary_free(images->paths);
    mary_free(images->fitted);
    mary_free(images);
}

static bool is_colours(int64_t dim)
{
    return dim == 1 || dim == 3;
}

/* Channels, height and width: as asked for, else as the model has them. */
static mary_status choose_shape(mary_images *images, const mary_data_options *options, const mary_array *input)
{
    int64_t channels = -1, height = -1, width = -1;
    if (input->rank >= 0 && input->rank != 4)
        return mary_fail(MARY_ERROR_INVALID, "input '%s' has rank %d: images feed [N,C,H,W] or [N,H,W,C]", input->name,
                         input->rank);
    if (input->rank == 4) {
        images->last = is_colours(input->dims[3]) && !is_colours(input->dims[1]);
        channels = input->dims[images->last ? 3 : 1];
        height = input->dims[images->last ? 1 : 2];
        width = input->dims[images->last ? 2 : 3];
    }
    images->channels = channels < 0 ? 3 : channels;
    images->height = options->height > 0 ? options->height : height;
    images->width = options->width > 0 ? options->width : width;
    images->resize = options->resize;
    images->bgr = options->bgr;
    if (!is_colours(images->channels))
        return mary_fail(MARY_ERROR_INVALID, "input '%s' has %lld channels: images have 1 or 3", input->name,
                         (long long)images->channels);
    if (images->height <= 0 || images->width <= 0)
        return mary_fail(MARY_ERROR_USAGE, "input '%s' has no fixed size: which one do the images get? say --size HxW",
                         input->name);
    return MARY_OK;
}

mary_status mary_images_begin(mary_reader *reader, const mary_catalog *catalog, const mary_data_options *options,
                              const mary_array *input)
{
    mary_images *images = mary_calloc(1, sizeof *images);
    mary_status status = MARY_OK;
    if (images == NULL)
        return mary_fail_memory(sizeof *images);
    MARY_TRY_GOTO(choose_shape(images, options, input), failed);
    reader->type = MARY_UINT8;
    reader->shape = (mary_shape){4, {(int64_t)catalog->count, images->channels, images->height, images->width}};
    if (images->last)
        reader->shape = (mary_shape){4, {(int64_t)catalog->count, images->height, images->width, images->channels}};
    MARY_TRY_GOTO(mary_shape_check(&reader->shape, catalog->path), failed);
    images->paths = mary_calloc(catalog->count, sizeof *images->paths);
    images->fitted = mary_alloc((size_t)(images->height * images->width) * 3);
    reader->name = mary_strdup("images");
    reader->bytes.label = mary_strdup(catalog->path);
    if (images->paths == NULL || images->fitted == NULL || reader->name == NULL || reader->bytes.label == NULL) {
        status = mary_fail_memory((size_t)(images->height * images->width) * 3);
        goto failed;
    }
    for (; images->count < catalog->count; images->count++) {
        images->paths[images->count] = mary_asprintf("%s/%s", catalog->path, catalog->names[images->count]);
        if (images->paths[images->count] == NULL) {
            status = mary_fail_memory(1);
            goto failed;
        }
    }
    reader->images = images;
    return MARY_OK;
failed:
    mary_images_free(&images);
    return status;
}

static mary_status read_one(mary_images *images, uint8_t *to)
{
    const char *path = images->paths[images->next++];
    mary_picture picture;
    MARY_TRY(mary_picture_read(path, &picture));
    mary_status status = mary_picture_fit(&picture, images->resize, images->height, images->width, images->fitted);
    mary_picture_free(&picture);
    if (status != MARY_OK)
        return mary_fail_context(status, "%s", path);
    int64_t pixels = images->height * images->width;
    for (int64_t i = 0; i < pixels; i++) {
        const uint8_t *rgb = images->fitted + 3 * i;
        if (images->channels == 1) /* ITU-R BT.601, as JPEG's own luminance */
            to[i] = (uint8_t)((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
        for (int64_t c = 0; images->channels == 3 && c < 3; c++)
            to[images->last ? 3 * i + c : c * pixels + i] = rgb[images->bgr ? 2 - c : c];
    }
    return MARY_OK;
}

mary_status mary_images_next(mary_images *images, int64_t count, uint8_t *to)
{
    int64_t size = images->channels * images->height * images->width;
    for (; count >= size; count -= size, to += size)
        MARY_TRY(read_one(images, to));
    return count == 0 ? MARY_OK : mary_fail(MARY_ERROR_INTERNAL, "a part of an image was asked for");
}

mary_status mary_images_skip(mary_images *images, int64_t count)
{
    int64_t size = images->channels * images->height * images->width;
    if (count % size != 0 || (uint64_t)(count / size) > images->count - images->next)
        return mary_fail(MARY_ERROR_INTERNAL, "a part of an image was asked for");
    images->next += (size_t)(count / size);
    return MARY_OK;
}
