#include "cli/data/reader.h"
#include "tests/cli/data/files.h"

#define HEADER(descr, order, shape) "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }"

static const float six[6] = {0, 1, 2, 3, 4, 5};

START_TEST(npy_is_read_piece_by_piece)
{
    setup_folder();
    mary_reader reader;
    const char *path = write_npy("x.npy", HEADER("<f4", "False", "(2, 3)"), six, sizeof six);
    assert_ok(mary_reader_open_file(&reader, path));
    ck_assert_int_eq(reader.type, MARY_FLOAT);
    ck_assert_int_eq(reader.shape.rank, 2);
    ck_assert_int_eq(reader.shape.dims[1], 3);
    ck_assert_str_eq(reader.name, "x");
    float out[6] = {0};
    assert_ok(mary_reader_next(&reader, 2, out));
    assert_ok(mary_reader_next(&reader, 4, out + 2));
    ck_assert_mem_eq(out, six, sizeof six);
    assert_fails(mary_reader_next(&reader, 1, out), MARY_ERROR_INTERNAL, "past the end");
    mary_reader_close(&reader);
    remove_folder();
}
END_TEST

START_TEST(fortran_order_becomes_row_major)
{
    setup_folder();
    mary_reader reader;
    assert_ok(mary_reader_open_file(&reader, write_npy("x.npy", HEADER("<f4", "True", "(2, 3)"), six, sizeof six)));
    float out[6];
    assert_ok(mary_reader_next(&reader, 3, out));
    assert_ok(mary_reader_next(&reader, 3, out + 3));
    const float expected[6] = {0, 2, 4, 1, 3, 5};
    ck_assert_mem_eq(out, expected, sizeof expected);
    mary_reader_close(&reader);
    uint8_t stored[12], cube[12];
    for (int i = 0; i < 12; i++)
        stored[i] = (uint8_t)i;
    assert_ok(mary_reader_open_file(&reader, write_npy("c.npy", HEADER("|u1", "True", "(2, 3, 2)"), stored, 12)));
    assert_ok(mary_reader_next(&reader, 12, cube));
    for (int i = 0; i < 12; i++) /* element [a, b, c] was stored at a + 2b + 6c */
        ck_assert_int_eq(cube[i], i / 6 + i / 2 % 3 * 2 + i % 2 * 6);
    mary_reader_close(&reader);
    remove_folder();
}
END_TEST

START_TEST(big_endian_elements_are_swapped)
{
    setup_folder();
    mary_reader reader;
    const unsigned char stored[4] = {0x01, 0x02, 0xff, 0xfe};
    assert_ok(mary_reader_open_file(&reader, write_npy("x.npy", HEADER(">i2", "False", "(2,)"), stored, 4)));
    int16_t out[2];
    assert_ok(mary_reader_next(&reader, 2, out));
    ck_assert_int_eq(out[0], 0x0102);
    ck_assert_int_eq(out[1], -2);
    mary_reader_close(&reader);
    remove_folder();
}
END_TEST

START_TEST(hostile_npy_headers_are_refused)
{
    static const struct {
        const char *header;
        mary_status status;
        const char *text;
    } cases[] = {
        {"", MARY_ERROR_INVALID, "not a dict"},
        {"{", MARY_ERROR_INVALID, "string is missing"},
        {"{'descr': '<f4'}", MARY_ERROR_INVALID, "is missing"},
        {HEADER("<f4", "Maybe", "(2, 3)"), MARY_ERROR_INVALID, "neither True nor False"},
        {HEADER("|O", "False", "(2, 3)"), MARY_ERROR_UNSUPPORTED, "'|O'"},
        {HEADER("<U10", "False", "(2, 3)"), MARY_ERROR_UNSUPPORTED, "'<U10'"},
        {HEADER("<c16", "False", "(2, 3)"), MARY_ERROR_UNSUPPORTED, "'<c16'"},
        {HEADER("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "False", "()"), MARY_ERROR_INVALID, "does not end"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", MARY_ERROR_UNSUPPORTED, "structured"},
        {HEADER("<f4", "False", "(2, 4)"), MARY_ERROR_INVALID, "truncated"},
        {HEADER("<f4", "False", "(-2, 3)"), MARY_ERROR_INVALID, "not a number"},
        {HEADER("<f4", "False", "(99999999999999999999, 3)"), MARY_ERROR_INVALID, "too large"},
        {HEADER("<f4", "False", "(9000000000000000000, 3)"), MARY_ERROR_INVALID, ""},
        {HEADER("<f4", "False", "(4294967296, 4294967296)"), MARY_ERROR_INVALID, ""},
        {HEADER("<f4", "True", "(1000000000, 1000)"), MARY_ERROR_INVALID, "truncated"},
        {HEADER("<f4", "False", "(1,1,1,1,1,1,1,1,6)"), MARY_ERROR_UNSUPPORTED, "dimensions"},
        {HEADER("<f4", "False", "(2, 3"), MARY_ERROR_INVALID, "not a number"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", MARY_ERROR_INVALID, "repeated"},
    };
    setup_folder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mary_reader reader;
        const char *path = write_npy("x.npy", cases[i].header, six, sizeof six);
        assert_fails(mary_reader_open_file(&reader, path), cases[i].status, cases[i].text);
        assert_fails(mary_reader_open_file(&reader, path), cases[i].status, "x.npy");
    }
    remove_folder();
}
END_TEST

START_TEST(cut_off_npy_files_are_refused_at_every_length)
{
    setup_folder();
    char bytes[256];
    size_t size = make_npy(bytes, HEADER("<f4", "False", "(2, 3)"), six, sizeof six);
    for (size_t length = 0; length < size; length++) {
        mary_reader reader;
        mary_status status = mary_reader_open_file(&reader, write_file("x.npy", bytes, length));
        ck_assert_msg(status == MARY_ERROR_INVALID, "length %zu: status %d", length, (int)status);
    }
    remove_folder();
}
END_TEST

START_TEST(archives_hold_stored_and_deflated_members)
{
    setup_folder();
    add_member("a.npz", "x_test.npy", HEADER("<f4", "False", "(2, 3)"), six, sizeof six, true);
    const char *path = add_member("a.npz", "y_test.npy", HEADER("|u1", "False", "(2,)"), "\1\2", 2, false);
    mary_catalog catalog;
    assert_ok(mary_catalog_open(&catalog, path));
    ck_assert_int_eq(catalog.kind, MARY_CATALOG_ARCHIVE);
    ck_assert(mary_catalog_has(&catalog, "x_test"));
    mary_reader x, y;
    assert_ok(mary_catalog_read(&catalog, "x_test", &x));
    assert_ok(mary_catalog_read(&catalog, "y_test", &y));
    float out[6];
    uint8_t labels[2];
    assert_ok(mary_reader_next(&x, 3, out));
    assert_ok(mary_reader_next(&y, 2, labels));
    assert_ok(mary_reader_next(&x, 3, out + 3)); /* two members are open at once */
    ck_assert_mem_eq(out, six, sizeof six);
    ck_assert_int_eq(labels[1], 2);
    mary_reader_close(&x);
    mary_reader_close(&y);
    assert_fails(mary_catalog_read(&catalog, "z", &x), MARY_ERROR_INVALID, "x_test, y_test");
    mary_catalog_close(&catalog);
    remove_folder();
}
END_TEST

START_TEST(damaged_archives_are_refused)
{
    setup_folder();
    const char *path = add_member("a.npz", "x.npy", HEADER("<f4", "False", "(2, 3)"), six, sizeof six, true);
    char bytes[4096];
    FILE *file = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    mary_catalog catalog;
    assert_fails(mary_catalog_open(&catalog, write_file("cut.npz", bytes, size / 2)), MARY_ERROR_INVALID, "cut.npz");
    memset(bytes + 40, 0x55, 30); /* the compressed bytes */
    assert_ok(mary_catalog_open(&catalog, write_file("bad.npz", bytes, size)));
    mary_reader reader;
    float out[6];
    mary_status status = mary_catalog_read(&catalog, "x", &reader);
    if (status == MARY_OK) {
        status = mary_reader_next(&reader, 6, out);
        mary_reader_close(&reader);
    }
    ck_assert_int_eq(status, MARY_ERROR_INVALID);
    mary_catalog_close(&catalog);
    assert_fails(mary_catalog_open(&catalog, path_of("nowhere.npz")), MARY_ERROR_INVALID, "No such file");
    remove_folder();
}
END_TEST

static const unsigned char idx[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8};

START_TEST(idx_is_read_plain_and_gzipped)
{
    setup_folder();
    const char *paths[2] = {write_file("t10k-images-idx3-ubyte", idx, sizeof idx),
                            write_gzip("t10k-images-idx3-ubyte.gz", idx, sizeof idx)};
    for (int i = 0; i < 2; i++) {
        mary_reader reader;
        assert_ok(mary_reader_open_file(&reader, paths[i]));
        ck_assert_int_eq(reader.type, MARY_UINT8);
        ck_assert_int_eq(reader.shape.rank, 3);
        uint8_t out[8];
        assert_ok(mary_reader_next(&reader, 8, out));
        ck_assert_mem_eq(out, idx + 16, 8);
        mary_reader_close(&reader);
    }
    mary_catalog catalog;
    assert_ok(mary_catalog_open(&catalog, folder));
    ck_assert_int_eq(catalog.kind, MARY_CATALOG_IDX);
    ck_assert(mary_catalog_has(&catalog, "x_test"));
    mary_catalog_close(&catalog);
    remove_folder();
}
END_TEST

START_TEST(idx_with_wrong_sizes_or_types_is_refused)
{
    setup_folder();
    mary_reader reader;
    unsigned char bytes[sizeof idx];
    assert_fails(mary_reader_open_file(&reader, write_file("i", idx, sizeof idx - 1)), MARY_ERROR_INVALID, "truncated");
    memcpy(bytes, idx, sizeof idx);
    bytes[2] = 0x0a;
    assert_fails(mary_reader_open_file(&reader, write_file("i", bytes, sizeof idx)), MARY_ERROR_INVALID, "0x0a");
    bytes[2] = 8;
    bytes[3] = 9;
    assert_fails(mary_reader_open_file(&reader, write_file("i", bytes, sizeof idx)), MARY_ERROR_INVALID,
                 "9 dimensions");
    bytes[3] = 3;
    memset(bytes + 4, 0xff, 12);
    assert_fails(mary_reader_open_file(&reader, write_file("i", bytes, sizeof idx)), MARY_ERROR_INVALID, "");
    assert_fails(mary_reader_open_file(&reader, write_file("i", "hello", 5)), MARY_ERROR_INVALID, "neither");
    assert_fails(mary_reader_open_file(&reader, folder), MARY_ERROR_INVALID, "not a regular file");
    remove_folder();
}
END_TEST

START_TEST(cut_off_gzip_is_refused_when_reading)
{
    setup_folder();
    unsigned char random[4096 + 16];
    memcpy(random, (unsigned char[]){0, 0, 8, 1, 0, 0, 16, 0}, 8);
    srand(1);
    for (size_t i = 8; i < sizeof random; i++)
        random[i] = (unsigned char)rand();
    const char *path = write_gzip("x.gz", random, 4096 + 8);
    char bytes[8192];
    FILE *file = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    mary_reader reader;
    unsigned char out[4096];
    assert_ok(mary_reader_open_file(&reader, path));
    assert_ok(mary_reader_next(&reader, 4096, out));
    ck_assert_mem_eq(out, random + 8, 4096);
    mary_reader_close(&reader);
    mary_status status = mary_reader_open_file(&reader, write_file("cut.gz", bytes, size / 2));
    if (status == MARY_OK)
        status = mary_reader_next(&reader, 4096, out);
    ck_assert_int_eq(status, MARY_ERROR_INVALID);
    ck_assert_ptr_nonnull(strstr(mary_error_message(), "truncated"));
    mary_reader_close(&reader);
    remove_folder();
}
END_TEST

START_TEST(written_npy_files_read_back)
{
    setup_folder();
    const char *path = path_of("o.npy");
    FILE *file = fopen(path, "wb");
    mary_shape shape = {.rank = 2, .dims = {3, 2}};
    assert_ok(mary_npy_write(file, MARY_FLOAT, &shape, six));
    ck_assert_int_eq(ftell(file) % 64, sizeof six);
    fclose(file);
    mary_reader reader;
    assert_ok(mary_reader_open_file(&reader, path));
    ck_assert(mary_shape_equal(&reader.shape, &shape));
    float out[6];
    assert_ok(mary_reader_next(&reader, 6, out));
    ck_assert_mem_eq(out, six, sizeof six);
    mary_reader_close(&reader);
    file = fopen(path, "wb");
    shape.rank = 0;
    assert_ok(mary_npy_write(file, MARY_FLOAT, &shape, six));
    fclose(file);
    assert_ok(mary_reader_open_file(&reader, path));
    ck_assert_int_eq(reader.shape.rank, 0);
    mary_reader_close(&reader);
    remove_folder();
}
END_TEST

MARY_TEST_MAIN("cli/data/reader", npy_is_read_piece_by_piece, fortran_order_becomes_row_major,
               big_endian_elements_are_swapped, hostile_npy_headers_are_refused,
               cut_off_npy_files_are_refused_at_every_length, archives_hold_stored_and_deflated_members,
               damaged_archives_are_refused, idx_is_read_plain_and_gzipped, idx_with_wrong_sizes_or_types_is_refused,
               cut_off_gzip_is_refused_when_reading, written_npy_files_read_back)
