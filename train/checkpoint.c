/* A checkpoint file, little-endian as all of mary:
 *
 *   "MARYCKP1", progress (epoch, batch, step, seed: 8 bytes each), steps of the optimiser, length of its method's name
 *   and the name (none: 0), number of its arrays, number of parameters, then for each parameter the length of its name,
 *   the name, its number of elements; then the values of all parameters, then the optimiser's arrays one after the
 * other; and a checksum of everything before (FNV-1a, 64 bits). Numbers are 8 bytes.
 *
 * It is read as a whole and checked before anything is changed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "onnx/memory.h"
#include "onnx/save.h"
#include "train/optimise.h"

static const char magic[8] = {'M', 'A', 'R', 'Y', 'C', 'K', 'P', '1'};

static uint64_t checksum(uint64_t sum, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ at[i]) * 0x100000001b3u;
    return sum;
}

#define CHECKSUM_START 0xcbf29ce484222325u

/* ---- writing ---- */

typedef struct writer {
    mary_atomic_file file;
    uint64_t sum;
} writer;

static void put(writer *w, const void *bytes, size_t size)
{
    w->sum = checksum(w->sum, bytes, size);
    mary_atomic_file_write(&w->file, bytes, size);
}

static void put_number(writer *w, int64_t number)
{
    put(w, &number, sizeof number);
}

static void put_text(writer *w, const char *text)
{
    put_number(w, (int64_t)strlen(text));
    put(w, text, strlen(text));
}

static void put_arrays(writer *w, const mary_trainer *trainer, const float *arrays)
{
    for (int i = 0; i < trainer->parameter_count; i++)
        put(w, arrays + trainer->parameters[i].offset, (size_t)trainer->parameters[i].count * sizeof(float));
}

mary_status mary_checkpoint_save(const char *path, const mary_trainer *trainer, const mary_optimiser *optimiser,
                                 const mary_training_place *progress)
{
    writer w = {.sum = CHECKSUM_START};
    mary_status status = mary_atomic_file_open(&w.file, path);
    if (status != MARY_OK)
        goto done;
    put(&w, magic, sizeof magic);
    put_number(&w, progress->epoch);
    put_number(&w, progress->batch);
    put_number(&w, progress->step);
    put(&w, &progress->seed, sizeof progress->seed);
    put_number(&w, optimiser != NULL ? optimiser->steps : 0);
    put_text(&w, optimiser != NULL ? optimiser->kind->name : "");
    put_number(&w, optimiser != NULL ? optimiser->kind->states : 0);
    put_number(&w, trainer->parameter_count);
    for (int i = 0; i < trainer->parameter_count; i++) {
        put_text(&w, mary_trained_name(trainer, i));
        put_number(&w, trainer->parameters[i].count);
    }
    put_arrays(&w, trainer, trainer->values);
    for (int k = 0; optimiser != NULL && k < optimiser->kind->states; k++)
        put_arrays(&w, trainer, optimiser->states[k]);
    mary_atomic_file_write(&w.file, &w.sum, sizeof w.sum);
    MARY_TRY_GOTO(mary_atomic_file_finish(&w.file), done);
    status = mary_atomic_file_commit(&w.file);
done:
    mary_atomic_file_close(&w.file);
    return status;
}

/* ---- reading ---- */

typedef struct reader {
    const char *path;
    const uint8_t *at, *end;
} reader;

static mary_status take(reader *r, size_t size, const void **bytes)
{
    if (size > (size_t)(r->end - r->at))
        return mary_fail(MARY_ERROR_INVALID, "%s: the checkpoint ends early", r->path);
    *bytes = r->at;
    r->at += size;
    return MARY_OK;
}

static mary_status take_number(reader *r, int64_t *number)
{
    const void *bytes = NULL;
    MARY_TRY(take(r, sizeof *number, &bytes));
    memcpy(number, bytes, sizeof *number);
    return MARY_OK;
}

/* A text that must be this one. */
static mary_status expect_text(reader *r, const char *text, const char *what)
{
    int64_t length = 0;
    const void *bytes = NULL;
    MARY_TRY(take_number(r, &length));
    if (length < 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: a name of %lld bytes", r->path, (long long)length);
    MARY_TRY(take(r, (size_t)length, &bytes));
    if ((size_t)length != strlen(text) || memcmp(bytes, text, strlen(text)) != 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s is '%.*s', '%s' was expected", r->path, what,
                         length < 100 ? (int)length : 100, (const char *)bytes, text);
    return MARY_OK;
}

static mary_status expect_number(reader *r, int64_t expected, const char *what)
{
    int64_t number = 0;
    MARY_TRY(take_number(r, &number));
    if (number != expected)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s is %lld, %lld was expected", r->path, what, (long long)number,
                         (long long)expected);
    return MARY_OK;
}

static mary_status read_file(const char *path, uint8_t **bytes, size_t *size)
{
    mary_status status = MARY_OK;
    size_t capacity = 0, got = 1;
    *bytes = NULL;
    *size = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
    while (got > 0) {
        if (!mary_reserve((void **)bytes, &capacity, *size + (1 << 16), 1)) {
            status = mary_fail_memory(capacity * 2);
            goto done;
        }
        got = fread(*bytes + *size, 1, capacity - *size, file);
        *size += got;
    }
    if (ferror(file))
        status = mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
done:
    fclose(file);
    if (status != MARY_OK) {
        mary_free(*bytes);
        *bytes = NULL;
    }
    return status;
}

/* Everything but the arrays. */
static mary_status read_head(reader *r, const mary_trainer *trainer, const mary_optimiser *optimiser,
                             mary_training_place *progress, int64_t *steps)
{
    int64_t seed;
    MARY_TRY(take_number(r, &progress->epoch));
    MARY_TRY(take_number(r, &progress->batch));
    MARY_TRY(take_number(r, &progress->step));
    MARY_TRY(take_number(r, &seed));
    memcpy(&progress->seed, &seed, sizeof seed);
    MARY_TRY(take_number(r, steps));
    MARY_TRY(expect_text(r, optimiser != NULL ? optimiser->kind->name : "", "the optimiser"));
    MARY_TRY(expect_number(r, optimiser != NULL ? optimiser->kind->states : 0, "the number of its arrays"));
    MARY_TRY(expect_number(r, trainer->parameter_count, "the number of parameters"));
    for (int i = 0; i < trainer->parameter_count; i++) {
        const mary_trained *p = &trainer->parameters[i];
        MARY_TRY(expect_text(r, mary_trained_name(trainer, i), "a parameter"));
        MARY_TRY(expect_number(r, p->count, mary_trained_name(trainer, i)));
    }
    return MARY_OK;
}

static void get_arrays(reader *r, const mary_trainer *trainer, float *arrays)
{
    for (int i = 0; i < trainer->parameter_count; i++) {
        const size_t bytes = (size_t)trainer->parameters[i].count * sizeof(float);
        memcpy(arrays + trainer->parameters[i].offset, r->at, bytes);
        r->at += bytes;
    }
}

mary_status mary_checkpoint_load(const char *path, mary_trainer *trainer, mary_optimiser *optimiser,
                                 mary_training_place *progress)
{
    uint8_t *bytes;
    size_t size, floats = 0;
    mary_training_place found;
    int64_t steps;
    mary_status status;
    uint64_t sum;
    MARY_TRY(read_file(path, &bytes, &size));
    if (size < sizeof magic + sizeof sum || memcmp(bytes, magic, sizeof magic) != 0) {
        status = mary_fail(MARY_ERROR_INVALID, "%s is not a checkpoint of mary", path);
        goto done;
    }
    memcpy(&sum, bytes + size - sizeof sum, sizeof sum);
    if (checksum(CHECKSUM_START, bytes, size - sizeof sum) != sum) {
        status = mary_fail(MARY_ERROR_INVALID, "%s: the checkpoint is damaged", path);
        goto done;
    }
    reader r = {path, bytes + sizeof magic, bytes + size - sizeof sum};
    MARY_TRY_GOTO(read_head(&r, trainer, optimiser, &found, &steps), done);
    for (int i = 0; i < trainer->parameter_count; i++)
        floats += (size_t)trainer->parameters[i].count;
    const int states = optimiser != NULL ? optimiser->kind->states : 0;
    if ((size_t)(r.end - r.at) != floats * sizeof(float) * (size_t)(1 + states) || steps < 0 || found.epoch < 0 ||
        found.batch < 0 || found.step < 0) {
        status = mary_fail(MARY_ERROR_INVALID, "%s: the checkpoint has the wrong size", path);
        goto done;
    }
    get_arrays(&r, trainer, trainer->values);
    for (int k = 0; k < states; k++)
        get_arrays(&r, trainer, optimiser->states[k]);
    if (optimiser != NULL)
        optimiser->steps = steps;
    *progress = found;
done:
    mary_free(bytes);
    return status;
}
