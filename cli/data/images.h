/* A folder of PNG and JPEG files as one array of bytes: [N, C, H, W], or [N, H, W, C] for a model that wants that.
 * Images are read one at a time. */
#ifndef MARY_CLI_DATA_IMAGES_H
#define MARY_CLI_DATA_IMAGES_H

#include "cli/data/data.h"

/* A decoded file: RGB, rows from the top, no gaps. */
typedef struct mary_picture {
    int64_t width, height;
    uint8_t *pixels; /* [height, width, 3] */
} mary_picture;

/* Most pixels of one file, so that a small damaged one cannot ask for all memory. */
#define MARY_PICTURE_PIXELS ((int64_t)1 << 26)

typedef struct mary_images mary_images;

bool mary_images_is_one(const char *name); /* by its ending: .png, .jpg, .jpeg */
/* The files named in `catalog` (MARY_CATALOG_IMAGES) for a model input of this description; fills in the reader, which
 * owns them. Without --size and without a fixed input size: MARY_ERROR_USAGE. */
mary_status mary_images_begin(mary_reader *reader, const mary_catalog *catalog, const mary_data_options *options,
                              const mary_array *input);
/* The next `count` bytes of the array; whole images. */
mary_status mary_images_next(mary_images *images, int64_t count, uint8_t *to);
mary_status mary_images_skip(mary_images *images, int64_t count);
void mary_images_free(mary_images **images);

/* ---- one file; errors name it ---- */
mary_status mary_picture_read(const char *path, mary_picture *picture);
void mary_picture_free(mary_picture *picture);
mary_status mary_picture_read_png(const char *path, mary_picture *picture);
mary_status mary_picture_read_jpeg(const char *path, mary_picture *picture);
/* Scales so that the shorter side has `resize` pixels (0: so that the picture just covers height x width), bilinear and
 * averaging what one pixel stands for, then cuts height x width out of the middle: to[height, width, 3]. A picture that
 * does not cover it is MARY_ERROR_INVALID. */
mary_status mary_picture_fit(const mary_picture *picture, int64_t resize, int64_t height, int64_t width, uint8_t *to);

#endif
