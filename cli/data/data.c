#include "cli/data/data.h"

#include <string.h>
#include <sys/stat.h>

#include "cli/data/choose.h"

typedef struct data_input {
    mary_reader reader;
    mary_fit fit;
    void *stored;     /* one batch as it is in the file */
    mary_array array; /* one batch as it is fed */
} data_input;

struct mary_data {
    mary_data_options options;
    const mary_array *descriptions; /* the caller's */
    int input_count;
    data_input *inputs;
    mary_array *arrays; /* what a batch shows: copies of inputs[i].array */
    mary_reader labels;
    bool has_labels;
    int64_t *label_values;
    int64_t count, position, rows;
    int64_t total; /* samples that there are; sample i of `count` is number i * total / count */
    bool tests;    /* ONNX test data: one record a batch */
    mary_catalog catalog;
    size_t next_record;
    mary_test_record record;
    char *description;
};

/* Samples that input i of the data set has. */
static int64_t input_samples(const data_input *input)
{
    return input->fit.single ? 1 : input->reader.shape.dims[0];
}

static mary_status count_samples(mary_data *data)
{
    data->count = -1;
    for (int i = 0; i < data->input_count; i++) {
        const data_input *input = &data->inputs[i];
        if (input->fit.sample.rank == 0 && data->descriptions[i].rank == 0)
            continue; /* a scalar is fed to every batch */
        int64_t samples = input_samples(input);
        if (data->count >= 0 && samples != data->count)
            return mary_fail(MARY_ERROR_INVALID, "%s has %lld samples, %s has %lld", input->reader.bytes.label,
                             (long long)samples, data->inputs[0].reader.bytes.label, (long long)data->count);
        data->count = samples;
    }
    if (data->count < 0)
        data->count = 1;
    if (data->has_labels && mary_shape_count(&data->labels.shape) != data->count)
        return mary_fail(MARY_ERROR_INVALID, "%s has %lld labels for %lld samples", data->labels.bytes.label,
                         (long long)mary_shape_count(&data->labels.shape), (long long)data->count);
    data->total = data->count;
    if (data->options.first > 0 && data->options.first < data->count)
        data->count = data->options.first;
    if (!data->options.spread)
        data->total = data->count;
    return MARY_OK;
}

/* Rows of one run: fixed by the model, asked for, or a default that keeps memory small. */
static mary_status choose_rows(mary_data *data)
{
    int64_t fixed = -1;
    for (int i = 0; i < data->input_count; i++) {
        const mary_array *wanted = &data->descriptions[i];
        if (wanted->rank <= 0 || wanted->dims[0] < 0)
            continue;
        if (data->options.batch > 0 && data->options.batch != wanted->dims[0])
            return mary_fail(MARY_ERROR_USAGE, "--batch %lld: input '%s' has a fixed batch of %lld",
                             (long long)data->options.batch, wanted->name, (long long)wanted->dims[0]);
        if (fixed >= 0 && fixed != wanted->dims[0])
            return mary_fail(
                MARY_ERROR_UNSUPPORTED,
                "inputs with different first dimensions (%lld and %lld) cannot be fed in batches; use ONNX "
                "test data",
                (long long)fixed, (long long)wanted->dims[0]);
        fixed = wanted->dims[0];
    }
    if (fixed == 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "an input with a batch of 0 cannot be fed");
    data->rows = data->options.usual_batch > 0 ? data->options.usual_batch : MARY_DATA_BATCH;
    if (fixed > 0 || data->options.batch > 0)
        data->rows = fixed > 0 ? fixed : data->options.batch;
    if (fixed < 0 && (data->rows > data->count || data->options.whole))
        data->rows = data->count > 0 ? data->count : 1;
    return MARY_OK;
}

static mary_status allocate(mary_data *data)
{
    for (int i = 0; i < data->input_count; i++) {
        data_input *input = &data->inputs[i];
        bool scalar = data->descriptions[i].rank == 0;
        mary_array *array = &input->array;
        array->name = data->descriptions[i].name;
        array->type = input->fit.to;
        array->rank = scalar ? 0 : input->fit.sample.rank + 1;
        array->dims[0] = data->rows;
        if (!scalar)
            memcpy(array->dims + 1, input->fit.sample.dims, sizeof array->dims[0] * (size_t)input->fit.sample.rank);
        mary_shape shape = {.rank = array->rank};
        memcpy(shape.dims, array->dims, sizeof shape.dims);
        MARY_TRY(mary_shape_check(&shape, array->name));
        size_t count = (size_t)mary_shape_count(&shape);
        array->bytes = count * mary_type_size(input->fit.to);
        array->data = mary_alloc_aligned(array->bytes);
        input->stored = mary_alloc_aligned(count * mary_type_size(input->fit.from));
        if (array->data == NULL || input->stored == NULL)
            return mary_fail_memory(array->bytes);
        data->arrays[i] = *array;
    }
    data->label_values = mary_calloc((size_t)data->rows, sizeof *data->label_values);
    return data->label_values != NULL ? MARY_OK : mary_fail_memory((size_t)data->rows * sizeof *data->label_values);
}

static mary_status describe(mary_data *data)
{
    const data_input *input = &data->inputs[0];
    mary_shape fed = {.rank = input->array.rank};
    memcpy(fed.dims, input->array.dims, sizeof fed.dims);
    char stored[128], wanted[128], more[32] = "";
    if (data->input_count > 1)
        snprintf(more, sizeof more, " and %d more", data->input_count - 1);
    data->description = mary_asprintf(
        "%s %s %s -> %s %s %s%s", input->reader.bytes.label,
        mary_shape_format(&input->reader.shape, stored, sizeof stored), mary_type_name(input->fit.from),
        input->array.name, mary_shape_format(&fed, wanted, sizeof wanted), mary_type_name(input->fit.to), more);
    return data->description != NULL ? MARY_OK : mary_fail_memory(256);
}

static mary_status open_tests(mary_data *data)
{
    data->tests = true;
    data->description = mary_strdup(data->catalog.path);
    if (data->description == NULL)
        return mary_fail_memory(strlen(data->catalog.path));
    if (data->options.first > 0 && (size_t)data->options.first < data->catalog.count)
        data->count = data->options.first; /* folders here, not samples */
    else
        data->count = (int64_t)data->catalog.count;
    if (data->options.labels != NULL)
        return mary_fail(MARY_ERROR_USAGE, "--labels does not go with ONNX test data");
    return MARY_OK;
}

static mary_status open_arrays(mary_data *data)
{
    for (int i = 0; i < data->input_count; i++) {
        data_input *input = &data->inputs[i];
        MARY_TRY(mary_choose_input(&data->options, data->descriptions, data->input_count, i, &input->reader));
        MARY_TRY(mary_fit_plan(&input->fit, input->reader.bytes.label, input->reader.type, &input->reader.shape,
                               &data->descriptions[i], &data->options));
    }
    MARY_TRY(mary_choose_labels(&data->options, data->inputs[0].reader.name, &data->labels, &data->has_labels));
    MARY_TRY(count_samples(data));
    MARY_TRY(choose_rows(data));
    MARY_TRY(allocate(data));
    return describe(data);
}

mary_status mary_data_open(const mary_data_options *options, const mary_array *inputs, int input_count,
                           mary_data **result)
{
    *result = NULL;
    if (options->source_count == 0)
        return mary_fail(MARY_ERROR_USAGE, "--data is missing");
    if (input_count <= 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "the model has no inputs that data could feed");
    mary_data *data = mary_calloc(1, sizeof *data);
    if (data == NULL)
        return mary_fail_memory(sizeof *data);
    mary_status status = MARY_OK;
    data->options = *options;
    data->descriptions = inputs;
    data->input_count = input_count;
    data->inputs = mary_calloc((size_t)input_count, sizeof *data->inputs);
    data->arrays = mary_calloc((size_t)input_count, sizeof *data->arrays);
    if (data->inputs == NULL || data->arrays == NULL) {
        status = mary_fail_memory((size_t)input_count * sizeof *data->inputs);
        goto error;
    }
    struct stat information;
    if (options->source_count == 1 && stat(options->sources[0], &information) == 0)
        MARY_TRY_GOTO(mary_catalog_open(&data->catalog, options->sources[0]), error);
    status = data->catalog.count > 0 && data->catalog.kind == MARY_CATALOG_TESTS ? open_tests(data) : open_arrays(data);
    if (status == MARY_OK) {
        *result = data;
        return MARY_OK;
    }
error:
    mary_data_close(&data);
    return status;
}

static mary_status next_record(mary_data *data, mary_batch *batch)
{
    mary_test_record_free(&data->record);
    if ((int64_t)data->next_record >= data->count)
        return MARY_OK;
    MARY_TRY(mary_test_record_read(&data->record, data->catalog.names[data->next_record++], data->descriptions,
                                   data->input_count));
    const mary_test_record *record = &data->record;
    batch->inputs = record->inputs;
    batch->input_count = record->input_count;
    batch->size = record->input_count > 0 && record->inputs[0].rank > 0 ? record->inputs[0].dims[0] : 1;
    if (batch->size == 0)
        batch->size = 1;
    batch->rows = batch->size;
    if (record->output_count > 0) {
        batch->expected = record->outputs;
        batch->expected_count = record->output_count;
    }
    return MARY_OK;
}

/* Number of the sample in the file that is sample i here. */
static int64_t place_of(const mary_data *data, int64_t i)
{
    return (int64_t)((__int128)i * data->total / data->count);
}

/* Samples [position, position + size) of `each` elements of `bytes` bytes, whatever lies between them passed over. */
static mary_status read_samples(const mary_data *data, mary_reader *reader, int64_t size, int64_t each, size_t bytes,
                                char *to)
{
    if (data->total == data->count)
        return mary_reader_next(reader, size * each, to);
    for (int64_t i = 0; i < size; i++, to += (size_t)each * bytes) {
        MARY_TRY(mary_reader_skip(reader, place_of(data, data->position + i) * each - reader->position));
        MARY_TRY(mary_reader_next(reader, each, to));
    }
    return MARY_OK;
}

static mary_status read_labels(mary_data *data, int64_t size)
{
    char stored[1024 * 8];
    mary_tensor tensor = {.type = data->labels.type, .shape = {.rank = 1}, .data = stored};
    for (int64_t done = 0; done < size;) {
        int64_t most = data->total == data->count ? 1024 : 1, piece = size - done < most ? size - done : most;
        if (data->total != data->count)
            MARY_TRY(mary_reader_skip(&data->labels, place_of(data, data->position + done) - data->labels.position));
        MARY_TRY(mary_reader_next(&data->labels, piece, stored));
        tensor.shape.dims[0] = piece;
        for (int64_t i = 0; i < piece; i++)
            data->label_values[done + i] = mary_tensor_int(&tensor, i);
        done += piece;
    }
    return MARY_OK;
}

mary_status mary_data_next(mary_data *data, mary_batch *batch)
{
    memset(batch, 0, sizeof *batch);
    if (data->tests)
        return next_record(data, batch);
    int64_t size = data->count - data->position;
    if (size > data->rows)
        size = data->rows;
    if (size <= 0)
        return MARY_OK;
    for (int i = 0; i < data->input_count; i++) {
        data_input *input = &data->inputs[i];
        bool scalar = input->array.rank == 0;
        if (scalar && data->position > 0)
            continue;
        if (scalar)
            MARY_TRY(mary_reader_next(&input->reader, 1, input->stored));
        else
            MARY_TRY(read_samples(data, &input->reader, size, input->fit.count, mary_type_size(input->fit.from),
                                  input->stored));
        MARY_TRY(mary_fit_apply(&input->fit, input->reader.bytes.label, input->stored, scalar ? 1 : size,
                                input->array.data));
        size_t sample = (size_t)input->fit.count * mary_type_size(input->fit.to);
        char *bytes = input->array.data;
        for (int64_t row = size; row < data->rows && !scalar; row++)
            memcpy(bytes + (size_t)row * sample, bytes + (size_t)(size - 1) * sample, sample);
        /* A model with a free batch runs what there is. */
        if (!scalar && data->descriptions[i].rank != 0 &&
            (data->descriptions[i].rank < 0 || data->descriptions[i].dims[0] < 0)) {
            data->arrays[i].dims[0] = size;
            data->arrays[i].bytes = (size_t)size * sample;
        }
    }
    if (data->has_labels)
        MARY_TRY(read_labels(data, size));
    data->position += size;
    batch->inputs = data->arrays;
    batch->input_count = data->input_count;
    batch->size = size;
    batch->rows = data->arrays[0].rank > 0 ? data->arrays[0].dims[0] : size;
    batch->labels = data->has_labels ? data->label_values : NULL;
    return MARY_OK;
}

void mary_data_close(mary_data **pointer)
{
    mary_data *data = *pointer;
    *pointer = NULL;
    if (data == NULL)
        return;
    for (int i = 0; i < data->input_count && data->inputs != NULL; i++) {
        mary_reader_close(&data->inputs[i].reader);
        mary_free(data->inputs[i].stored);
        mary_free(data->inputs[i].array.data);
    }
    mary_reader_close(&data->labels);
    mary_catalog_close(&data->catalog);
    mary_test_record_free(&data->record);
    mary_free(data->inputs);
    mary_free(data->arrays);
    mary_free(data->label_values);
    mary_free(data->description);
    mary_free(data);
}

int64_t mary_data_count(const mary_data *data)
{
    return data->tests ? 0 : data->count;
}

int64_t mary_data_batches(const mary_data *data)
{
    return data->tests ? data->count : data->count / data->rows + (data->count % data->rows != 0);
}

bool mary_data_has_labels(const mary_data *data)
{
    return data->has_labels;
}

const char *mary_data_description(const mary_data *data)
{
    return data->description;
}

bool mary_data_unscaled(const mary_data *data)
{
    for (int i = 0; i < data->input_count && !data->tests; i++) {
        const mary_fit *fit = &data->inputs[i].fit;
        if (fit->from == MARY_UINT8 && mary_type_is_float(fit->to) && !fit->pixels_apply)
            return true;
    }
    return false;
}
