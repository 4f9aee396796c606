/* numpy's .npy format: magic, version, the length of a Python dict literal, that dict, then the elements.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#include <ctype.h>
#include <string.h>

#include "cli/data/reader.h"

static const char magic[6] = "\x93NUMPY";
enum { MAX_HEADER = 1 << 16 };

typedef struct cursor {
    const char *at;
    const char *label;
} cursor;

static void skip_space(cursor *text)
{
    while (isspace((unsigned char)*text->at))
        text->at++;
}

static bool accept(cursor *text, char wanted)
{
    skip_space(text);
    if (*text->at != wanted)
        return false;
    text->at++;
    return true;
}

static mary_status malformed(const cursor *text, const char *what)
{
    return mary_fail(MARY_ERROR_INVALID, "%s: malformed .npy header: %s", text->label, what);
}

/* A quoted Python string without escapes, into word[0..size). */
static mary_status parse_string(cursor *text, char *word, size_t size)
{
    skip_space(text);
    char quote = *text->at;
    if (quote != '\'' && quote != '"')
        return malformed(text, "a string is missing");
    const char *begin = ++text->at;
    while (*text->at != quote && *text->at != '\0' && *text->at != '\\')
        text->at++;
    size_t length = (size_t)(text->at - begin);
    if (*text->at != quote || length >= size)
        return malformed(text, "a string does not end");
    memcpy(word, begin, length);
    word[length] = '\0';
    text->at++;
    return MARY_OK;
}

static mary_status parse_shape(cursor *text, mary_shape *shape)
{
    shape->rank = 0;
    if (!accept(text, '('))
        return malformed(text, "the shape is not a tuple");
    while (!accept(text, ')')) {
        skip_space(text);
        if (!isdigit((unsigned char)*text->at))
            return malformed(text, "a dimension is not a number");
        int64_t dim = 0;
        for (; isdigit((unsigned char)*text->at); text->at++) {
            if (__builtin_mul_overflow(dim, 10, &dim) || __builtin_add_overflow(dim, *text->at - '0', &dim))
                return malformed(text, "a dimension is too large");
        }
        if (*text->at == 'L') /* Python 2 wrote long integers so */
            text->at++;
        if (shape->rank == MARY_MAX_RANK)
            return mary_fail(MARY_ERROR_UNSUPPORTED, "%s: more than %d dimensions", text->label, MARY_MAX_RANK);
        shape->dims[shape->rank++] = dim;
        if (!accept(text, ',')) {
            if (!accept(text, ')'))
                return malformed(text, "the shape does not end");
            break;
        }
    }
    return mary_shape_check(shape, text->label);
}

static mary_status parse_descr(const mary_reader *reader, const char *descr, mary_type *type, bool *swap)
{
    static const struct {
        const char *code;
        mary_type type;
    } types[] = {{"b1", MARY_BOOL},   {"i1", MARY_INT8},    {"u1", MARY_UINT8},  {"i2", MARY_INT16},
                 {"u2", MARY_UINT16}, {"i4", MARY_INT32},   {"u4", MARY_UINT32}, {"i8", MARY_INT64},
                 {"u8", MARY_UINT64}, {"f2", MARY_FLOAT16}, {"f4", MARY_FLOAT},  {"f8", MARY_DOUBLE}};
    const char *code = descr;
    char order = '=';
    if (*code == '<' || *code == '>' || *code == '|' || *code == '=')
        order = *code++;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(code, types[i].code) == 0) {
            *type = types[i].type;
            *swap = order == '>' && mary_type_size(*type) > 1; /* mary runs on little-endian machines */
            return MARY_OK;
        }
    }
    return mary_fail(MARY_ERROR_UNSUPPORTED, "%s: element type '%s' is not one that mary reads", reader->bytes.label,
                     descr);
}

static mary_status parse_header(mary_reader *reader, const char *header)
{
    cursor text = {header, reader->bytes.label};
    bool have_descr = false, have_order = false, have_shape = false;
    if (!accept(&text, '{'))
        return malformed(&text, "it is not a dict");
    while (!accept(&text, '}')) {
        char key[32];
        MARY_TRY(parse_string(&text, key, sizeof key));
        if (!accept(&text, ':'))
            return malformed(&text, "a ':' is missing");
        skip_space(&text);
        if (strcmp(key, "descr") == 0 && !have_descr) {
            if (*text.at == '[')
                return mary_fail(MARY_ERROR_UNSUPPORTED, "%s: structured element types are not read",
                                 reader->bytes.label);
            char descr[32];
            MARY_TRY(parse_string(&text, descr, sizeof descr));
            MARY_TRY(parse_descr(reader, descr, &reader->type, &reader->swap));
            have_descr = true;
        } else if (strcmp(key, "fortran_order") == 0 && !have_order) {
            reader->fortran = strncmp(text.at, "True", 4) == 0;
            if (!reader->fortran && strncmp(text.at, "False", 5) != 0)
                return malformed(&text, "fortran_order is neither True nor False");
            text.at += reader->fortran ? 4 : 5;
            have_order = true;
        } else if (strcmp(key, "shape") == 0 && !have_shape) {
            MARY_TRY(parse_shape(&text, &reader->shape));
            have_shape = true;
        } else {
            return malformed(&text, "an unexpected or repeated key");
        }
        if (!accept(&text, ',')) {
            if (!accept(&text, '}'))
                return malformed(&text, "the dict does not end");
            break;
        }
    }
    if (!have_descr || !have_order || !have_shape)
        return malformed(&text, "descr, fortran_order or shape is missing");
    return MARY_OK;
}

mary_status mary_npy_begin(mary_reader *reader)
{
    mary_bytes *bytes = &reader->bytes;
    unsigned char start[8], length_bytes[4] = {0};
    MARY_TRY(mary_bytes_read(bytes, start, sizeof start));
    if (memcmp(start, magic, sizeof magic) != 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: not in .npy format", bytes->label);
    if (start[6] < 1 || start[6] > 3)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "%s: .npy version %d", bytes->label, start[6]);
    MARY_TRY(mary_bytes_read(bytes, length_bytes, start[6] == 1 ? 2 : 4));
    size_t length = (size_t)length_bytes[0] | (size_t)length_bytes[1] << 8 | (size_t)length_bytes[2] << 16 |
                    (size_t)length_bytes[3] << 24;
    if (length > MAX_HEADER)
        return mary_fail(MARY_ERROR_INVALID, "%s: malformed .npy header: %zu bytes long", bytes->label, length);
    char *header = mary_alloc(length + 1);
    if (header == NULL)
        return mary_fail_memory(length + 1);
    mary_status status = mary_bytes_read(bytes, header, length);
    header[length] = '\0'; /* an embedded NUL ends the text early, which then does not parse */
    if (status == MARY_OK)
        status = parse_header(reader, header);
    mary_free(header);
    if (status != MARY_OK)
        return status;
    size_t size = (size_t)mary_shape_count(&reader->shape) * mary_type_size(reader->type);
    if (bytes->left != UINT64_MAX && size > bytes->left) {
        char text[128];
        return mary_fail(MARY_ERROR_INVALID, "%s: truncated: %llu bytes of elements, the shape %s needs %zu",
                         bytes->label, (unsigned long long)bytes->left,
                         mary_shape_format(&reader->shape, text, sizeof text), size);
    }
    return MARY_OK;
}

mary_status mary_npy_write(FILE *file, mary_type type, const mary_shape *shape, const void *data)
{
    const char *descr;
    switch (type) {
    case MARY_BOOL:
        descr = "|b1";
        break;
    case MARY_INT8:
        descr = "|i1";
        break;
    case MARY_UINT8:
        descr = "|u1";
        break;
    case MARY_INT16:
        descr = "<i2";
        break;
    case MARY_UINT16:
        descr = "<u2";
        break;
    case MARY_INT32:
        descr = "<i4";
        break;
    case MARY_UINT32:
        descr = "<u4";
        break;
    case MARY_INT64:
        descr = "<i8";
        break;
    case MARY_UINT64:
        descr = "<u8";
        break;
    case MARY_FLOAT16:
        descr = "<f2";
        break;
    case MARY_FLOAT:
        descr = "<f4";
        break;
    case MARY_DOUBLE:
        descr = "<f8";
        break;
    default:
        return mary_fail(MARY_ERROR_UNSUPPORTED, ".npy cannot hold elements of type %s", mary_type_name(type));
    }
    char dims[MARY_MAX_RANK * 24 + 1] = "", header[512];
    for (int i = 0; i < shape->rank; i++)
        snprintf(dims + strlen(dims), sizeof dims - strlen(dims), "%lld, ", (long long)shape->dims[i]);
    if (shape->rank > 1) /* (3,) keeps its comma, (3, 4) does not end with one */
        dims[strlen(dims) - 2] = '\0';
    int length =
        snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, dims);
    int padded = (length + 1 + 10 + 63) / 64 * 64 - 10; /* elements begin at a multiple of 64 bytes */
    fwrite(magic, 1, sizeof magic, file);
    fputc(1, file);
    fputc(0, file);
    fputc(padded & 255, file);
    fputc(padded >> 8, file);
    fprintf(file, "%s%*s\n", header, padded - 1 - length, "");
    fwrite(data, mary_type_size(type), (size_t)mary_shape_count(shape), file); /* the caller checks ferror */
    return MARY_OK;
}
