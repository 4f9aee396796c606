/* Reading one stored array from front to back, without holding it: .npy files, members of .npz archives, IDX files
 * (plain or gzip). Every file is taken as hostile: sizes and types are checked before anything is allocated for them.
 */
#ifndef MARY_CLI_DATA_READER_H
#define MARY_CLI_DATA_READER_H

#include <zip.h>
#include <zlib.h>

#include "cli/cli.h"
#include "onnx/tensor.h"

/* ---- a stream of bytes: a file, gzip or not, or a member of a zip archive ---- */
typedef struct mary_bytes {
    gzFile file;
    zip_t *archive;
    zip_file_t *member;
    char *label;   /* "t10k-images.gz" or "mnist.npz:x_test", for messages */
    bool stored;   /* a member that is not deflated: it can be sought in */
    uint64_t left; /* bytes not read yet, UINT64_MAX when that is unknown (gzip) */
} mary_bytes;

mary_status mary_bytes_open_file(mary_bytes *bytes, const char *path);
/* `name` is the member's name in the archive, "x_test.npy". */
mary_status mary_bytes_open_member(mary_bytes *bytes, const char *path, const char *name);
/* All `size` bytes, or MARY_ERROR_INVALID ("ends early", damaged data). */
mary_status mary_bytes_read(mary_bytes *bytes, void *to, size_t size);
/* Passes over `size` bytes, without reading them where the file allows that. */
mary_status mary_bytes_skip(mary_bytes *bytes, uint64_t size);
void mary_bytes_close(mary_bytes *bytes); /* fine on a zeroed struct */

/* ---- an array ---- */
struct mary_images;

typedef struct mary_reader {
    mary_bytes bytes;
    struct mary_images *images; /* a folder of images (cli/data/images.h) instead of bytes */
    char *name;                 /* "x_test" */
    mary_type type;
    mary_shape shape; /* of the whole array; dims[0] counts the samples */
    bool swap;        /* stored with the other byte order */
    bool fortran;     /* stored first index fastest: read as a whole, then reordered */
    char *whole;      /* that, once it was read */
    int64_t position; /* elements read so far */
} mary_reader;

/* Both expect `reader->bytes` opened and at the beginning; they read the header. */
mary_status mary_npy_begin(mary_reader *reader);
mary_status mary_idx_begin(mary_reader *reader);
/* Looks at the first bytes of a file and calls the right one of them; MARY_ERROR_INVALID when it is neither. */
mary_status mary_reader_open_file(mary_reader *reader, const char *path);
mary_status mary_reader_open_member(mary_reader *reader, const char *path, const char *array);
/* The next `count` elements in row-major order and this machine's byte order; they must be there. */
mary_status mary_reader_next(mary_reader *reader, int64_t count, void *to);
/* Passes over them. */
mary_status mary_reader_skip(mary_reader *reader, int64_t count);
void mary_reader_close(mary_reader *reader);

/* Writes a dense array in .npy's format. */
mary_status mary_npy_write(FILE *file, mary_type type, const mary_shape *shape, const void *data);

/* ---- what arrays a path holds ---- */
typedef enum mary_catalog_kind {
    MARY_CATALOG_ARRAY,   /* one array: .npy or IDX */
    MARY_CATALOG_ARCHIVE, /* .npz */
    MARY_CATALOG_TESTS,   /* a folder of ONNX test data: input_0.pb, or test_data_set_N/input_0.pb */
    MARY_CATALOG_IDX,     /* a folder of IDX files named as MNIST's: t10k-images-idx3-ubyte[.gz] ... */
    MARY_CATALOG_IMAGES   /* a folder of PNG and JPEG files, or of such folders */
} mary_catalog_kind;

typedef struct mary_catalog {
    mary_catalog_kind kind;
    char *path;
    char **names; /* arrays; for MARY_CATALOG_TESTS the folders to visit, in order; for MARY_CATALOG_IMAGES the files */
    size_t count, capacity;
} mary_catalog;

mary_status mary_catalog_open(mary_catalog *catalog, const char *path);
void mary_catalog_close(mary_catalog *catalog);
bool mary_catalog_has(const mary_catalog *catalog, const char *name);
mary_status mary_catalog_read(const mary_catalog *catalog, const char *name, mary_reader *reader);
/* "x_test, y_test" into `text`, for messages. */
char *mary_catalog_list(const mary_catalog *catalog, char *text, size_t size);

#endif
