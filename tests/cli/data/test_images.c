/* Folders of images: both formats, order of files, scaling, channels; damaged files are refused by name. */
#include <math.h>
#include <stdio.h>

#include <jpeglib.h>
#include <png.h>
#include <sys/stat.h>

#include "cli/data/images.h"
#include "tests/cli/data/files.h"

/* rgb[height, width, 3] */
static void write_png(const char *name, int width, int height, const uint8_t *rgb)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = PNG_FORMAT_RGB};
    ck_assert(png_image_write_to_file(&image, path_of(name), 0, rgb, 0, NULL));
}

static void write_jpeg(const char *name, int width, int height, const uint8_t *rgb)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path_of(name), "wb");
    ck_assert_ptr_nonnull(file);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + (size_t)jpeg.next_scanline * (size_t)width * 3);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

static void fill(uint8_t *rgb, int pixels, uint8_t red, uint8_t green, uint8_t blue)
{
    for (int i = 0; i < pixels; i++) {
        rgb[3 * i] = red;
        rgb[3 * i + 1] = green;
        rgb[3 * i + 2] = blue;
    }
}

static mary_data_options options_for(const char *source)
{
    mary_data_options options;
    mary_data_options_default(&options);
    options.sources[options.source_count++] = source;
    return options;
}

static mary_array input_of(int64_t channels, int64_t height, int64_t width)
{
    return (mary_array){.name = "x", .type = MARY_FLOAT, .rank = 4, .dims = {-1, channels, height, width}};
}

static uint8_t rgb[64 * 64 * 3];

START_TEST(both_formats_give_channels_first)
{
    setup_folder();
    fill(rgb, 8 * 8, 200, 100, 50);
    write_png("a.png", 8, 8, rgb);
    write_jpeg("b.JPG", 8, 8, rgb);
    write_file("notes.txt", "x", 1);
    mary_data_options options = options_for(folder);
    mary_array input = input_of(3, 8, 8);
    mary_data *data;
    mary_batch batch;
    assert_ok(mary_data_open(&options, &input, 1, &data));
    ck_assert_int_eq(mary_data_count(data), 2);
    assert_ok(mary_data_next(data, &batch));
    ck_assert_int_eq(batch.size, 2);
    const float *values = batch.inputs[0].data;
    const float expected[] = {200, 100, 50};
    for (int n = 0; n < 2; n++) {
        for (int c = 0; c < 3; c++) {
            for (int i = 0; i < 64; i++)
                ck_assert_float_le(fabsf(values[(n * 3 + c) * 64 + i] - expected[c]), n == 0 ? 0 : 2);
        }
    }
    mary_data_close(&data);
    options.bgr = true;
    assert_ok(mary_data_open(&options, &input, 1, &data));
    assert_ok(mary_data_next(data, &batch));
    ck_assert_float_eq(((const float *)batch.inputs[0].data)[0], 50);
    mary_data_close(&data);
    input = input_of(1, 8, 8); /* luminance */
    assert_ok(mary_data_open(&options, &input, 1, &data));
    assert_ok(mary_data_next(data, &batch));
    ck_assert_float_eq(((const float *)batch.inputs[0].data)[0], 124);
    mary_data_close(&data);
    remove_folder();
}
END_TEST

START_TEST(folders_of_classes_are_interleaved)
{
    setup_folder();
    for (int c = 0; c < 3; c++) {
        char name[64];
        snprintf(name, sizeof name, "class%d", c);
        ck_assert_int_eq(mkdir(path_of(name), 0777), 0);
        for (int i = 0; i < 2; i++) {
            snprintf(name, sizeof name, "class%d/%d.png", c, i + 9); /* 9 before 10 */
            fill(rgb, 4, (uint8_t)(10 * c + i), 0, 0);
            write_png(name, 2, 2, rgb);
        }
    }
    mary_data_options options = options_for(folder);
    mary_array input = input_of(3, 2, 2);
    mary_data *data;
    mary_batch batch;
    assert_ok(mary_data_open(&options, &input, 1, &data));
    assert_ok(mary_data_next(data, &batch));
    const float expected[] = {0, 10, 20, 1, 11, 21};
    for (int n = 0; n < 6; n++)
        ck_assert_float_eq(((const float *)batch.inputs[0].data)[n * 12], expected[n]);
    mary_data_close(&data);
    remove_folder();
}
END_TEST

START_TEST(scaling_keeps_the_ratio_and_cuts_the_middle)
{
    uint8_t to[8 * 8 * 3];
    mary_picture picture = {.width = 32, .height = 16, .pixels = rgb};
    for (int y = 0; y < 16; y++) { /* black edges, a white middle of 16 x 16 */
        for (int x = 0; x < 32; x++)
            memset(rgb + (y * 32 + x) * 3, x >= 8 && x < 24 ? 255 : 0, 3);
    }
    assert_ok(mary_picture_fit(&picture, 0, 8, 8,
                               to)); /* scaled to 16 x 8, the middle 8 x 8 is white but for a blurred edge */
    for (int y = 0; y < 8; y++) {
        for (int x = 1; x < 7; x++)
            ck_assert_uint_eq(to[(y * 8 + x) * 3], 255);
    }
    assert_ok(mary_picture_fit(&picture, 16, 8, 8, to)); /* not scaled */
    for (int i = 0; i < 8 * 8 * 3; i++)
        ck_assert_uint_eq(to[i], 255);
    assert_fails(mary_picture_fit(&picture, 4, 8, 8, to), MARY_ERROR_INVALID, "does not cover");
    picture = (mary_picture){.width = 1, .height = 1, .pixels = rgb}; /* growing */
    memset(rgb, 77, 3);
    assert_ok(mary_picture_fit(&picture, 0, 8, 8, to));
    for (int i = 0; i < 8 * 8 * 3; i++)
        ck_assert_uint_eq(to[i], 77);
}
END_TEST

START_TEST(a_size_is_needed_where_the_model_has_none)
{
    setup_folder();
    fill(rgb, 16, 1, 2, 3);
    write_png("a.png", 4, 4, rgb);
    mary_data_options options = options_for(folder);
    mary_array input = input_of(3, -1, -1);
    mary_data *data;
    assert_fails(mary_data_open(&options, &input, 1, &data), MARY_ERROR_USAGE, "--size");
    options.height = 2;
    options.width = 3;
    assert_ok(mary_data_open(&options, &input, 1, &data));
    mary_batch batch;
    assert_ok(mary_data_next(data, &batch));
    ck_assert_int_eq(batch.inputs[0].dims[2], 2);
    ck_assert_int_eq(batch.inputs[0].dims[3], 3);
    mary_data_close(&data);
    input = input_of(5, 4, 4);
    assert_fails(mary_data_open(&options, &input, 1, &data), MARY_ERROR_INVALID, "5 channels");
    remove_folder();
}
END_TEST

START_TEST(damaged_files_are_refused_by_name)
{
    setup_folder();
    fill(rgb, 64 * 64, 9, 8, 7);
    mary_picture picture;
    for (int format = 0; format < 2; format++) {
        const char *name = format == 0 ? "a.png" : "a.jpg";
        if (format == 0)
            write_png(name, 64, 64, rgb);
        else
            write_jpeg(name, 64, 64, rgb);
        struct stat information;
        ck_assert_int_eq(stat(path_of(name), &information), 0);
        assert_ok(mary_picture_read(path_of(name), &picture));
        mary_picture_free(&picture);
        for (off_t size = 0; size < information.st_size;
             size += 1 + size / 3) { /* cut off: an error or a grey rest, no crash */
            ck_assert_int_eq(truncate(path_of(name), size), 0);
            if (mary_picture_read(path_of(name), &picture) != MARY_OK)
                ck_assert_ptr_nonnull(strstr(mary_error_message(), name));
            mary_picture_free(&picture);
            if (format == 0)
                write_png(name, 64, 64, rgb);
            else
                write_jpeg(name, 64, 64, rgb);
        }
    }
    write_file("b.png", "GIF89a", 6);
    assert_fails(mary_picture_read(path_of("b.png"), &picture), MARY_ERROR_INVALID, "neither a PNG nor a JPEG");
    assert_fails(mary_picture_read(path_of("c.png"), &picture), MARY_ERROR_INVALID, "No such file");
    remove_folder();
}
END_TEST

MARY_TEST_MAIN("cli/data/images", both_formats_give_channels_first, folders_of_classes_are_interleaved,
               scaling_keeps_the_ratio_and_cuts_the_middle, a_size_is_needed_where_the_model_has_none,
               damaged_files_are_refused_by_name)
