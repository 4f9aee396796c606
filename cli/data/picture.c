/* Decoding PNG and JPEG files with the system's libraries. */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "cli/data/images.h"

void mary_picture_free(mary_picture *picture)
{
    mary_free(picture->pixels);
    *picture = (mary_picture){0};
}

static mary_status make_room(const char *path, mary_picture *picture, int64_t width, int64_t height)
{
    if (width < 1 || height < 1 || width > MARY_PICTURE_PIXELS / height)
        return mary_fail(MARY_ERROR_INVALID, "%s: a picture of %lld x %lld pixels", path, (long long)width,
                         (long long)height);
    *picture = (mary_picture){width, height, mary_alloc((size_t)(width * height) * 3)};
    return picture->pixels == NULL ? mary_fail_memory((size_t)(width * height) * 3) : MARY_OK;
}

mary_status mary_picture_read_png(const char *path, mary_picture *picture)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    *picture = (mary_picture){0};
    if (!png_image_begin_read_from_file(&image, path)) {
        png_image_free(&image);
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", path, image.message);
    }
    image.format = PNG_FORMAT_RGBA; /* transparency is dropped, not blended with a background that nobody named */
    mary_status status = make_room(path, picture, image.width, image.height);
    uint8_t *rgba = status == MARY_OK ? mary_alloc(PNG_IMAGE_SIZE(image)) : NULL;
    if (status == MARY_OK && rgba == NULL)
        status = mary_fail_memory(PNG_IMAGE_SIZE(image));
    if (status == MARY_OK && !png_image_finish_read(&image, NULL, rgba, 0, NULL))
        status = mary_fail(MARY_ERROR_INVALID, "%s: %s", path, image.message);
    for (int64_t i = 0; status == MARY_OK && i < picture->width * picture->height; i++)
        memcpy(picture->pixels + 3 * i, rgba + 4 * i, 3);
    mary_free(rgba);
    png_image_free(&image);
    if (status != MARY_OK)
        mary_picture_free(picture);
    return status;
}

/* libjpeg reports through callbacks that must not return. */
typedef struct jpeg_errors {
    struct jpeg_error_mgr manager; /* first: libjpeg knows only this part */
    jmp_buf place;
    char message[JMSG_LENGTH_MAX];
} jpeg_errors;

static void jpeg_failed(j_common_ptr common)
{
    jpeg_errors *errors = (jpeg_errors *)common->err;
    common->err->format_message(common, errors->message);
    longjmp(errors->place, 1);
}

static void jpeg_silent(j_common_ptr common, int level)
{
    (void)common, (void)level;
}

mary_status mary_picture_read_jpeg(const char *path, mary_picture *picture)
{
    struct jpeg_decompress_struct jpeg;
    jpeg_errors errors;
    *picture = (mary_picture){0};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
    volatile mary_status status = MARY_OK;
    jpeg.err = jpeg_std_error(&errors.manager);
    errors.manager.error_exit = jpeg_failed;
    errors.manager.emit_message = jpeg_silent;
    if (setjmp(errors.place) != 0) {
        status = mary_fail(MARY_ERROR_INVALID, "%s: %s", path, errors.message);
        goto done;
    }
    jpeg_create_decompress(&jpeg);
    jpeg_stdio_src(&jpeg, file);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&jpeg);
    status = make_room(path, picture, jpeg.output_width, jpeg.output_height);
    while (status == MARY_OK && jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = picture->pixels + (size_t)jpeg.output_scanline * jpeg.output_width * 3;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    if (status == MARY_OK)
        jpeg_finish_decompress(&jpeg);
done:
    jpeg_destroy_decompress(&jpeg);
    fclose(file);
    if (status != MARY_OK)
        mary_picture_free(picture);
    return status;
}

mary_status mary_picture_read(const char *path, mary_picture *picture)
{
    unsigned char start[2] = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
    size_t got = fread(start, 1, sizeof start, file);
    fclose(file);
    if (got == sizeof start && start[0] == 0x89 && start[1] == 'P')
        return mary_picture_read_png(path, picture);
    if (got == sizeof start && start[0] == 0xff && start[1] == 0xd8)
        return mary_picture_read_jpeg(path, picture);
    return mary_fail(MARY_ERROR_INVALID, "%s: neither a PNG nor a JPEG file", path);
}
