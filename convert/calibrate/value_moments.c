#include "convert/calibrate/value_moments.h"

#include <string.h>

#include "convert/calibrate/arrays.h"

typedef struct collection {
    mary_value_moments *items;
    size_t count;
    int64_t run;
} collection;

mary_status mary_value_moments_add(mary_value_moments *item, const mary_array *array, const char *node, int64_t index)
{
    float *made;
    const float *values;
    mary_shape shape = mary_array_shape(array);
    if (shape.rank < 2 || shape.dims[1] != item->rows)
        return MARY_OK;
    MARY_TRY(mary_array_floats(array, "the output", node, index, &made, &values));
    mary_status status = mary_row_moments_add(&item->moments, shape.dims[0], item->rows,
                                              mary_shape_count_range(&shape, 2, shape.rank), values);
    mary_free(made);
    return status;
}

static mary_status see(void *context, const char *node, const mary_array *array)
{
    collection *c = context;
    for (size_t i = 0; i < c->count; i++) {
        if (c->items[i].value != NULL && strcmp(c->items[i].value, array->name) == 0)
            MARY_TRY(mary_value_moments_add(&c->items[i], array, node, c->run));
    }
    return MARY_OK;
}

mary_status mary_value_moments_collect(const mary_model *model, const mary_calibration *calibration, int threads,
                                       mary_value_moments *items, size_t count)
{
    mary_model *copy = NULL;
    mary_session *session = NULL;
    collection c = {.items = items, .count = count};
    mary_status status = MARY_OK;
    int name_count = 0;
    const char **names = mary_alloc((count + 1) * sizeof *names);
    if (names == NULL)
        return mary_fail_memory(count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        bool known = items[i].value == NULL;
        for (int k = 0; k < name_count && !known; k++)
            known = strcmp(names[k], items[i].value) == 0;
        if (!known)
            names[name_count++] = items[i].value;
    }
    MARY_TRY_GOTO(mary_model_copy(model, &copy), done);
    MARY_TRY_GOTO(mary_session_create(&copy, &(mary_session_options){.threads = threads, .no_fusion = true}, &session),
                  done);
    for (; c.run < calibration->count; c.run++) {
        const mary_array *inputs;
        int input_count;
        MARY_TRY_GOTO(calibration->sample(calibration->context, c.run, &inputs, &input_count), done);
        MARY_TRY_GOTO(mary_session_observe(session, inputs, input_count, names, name_count, see, &c), done);
    }
done:
    mary_session_free(&session);
    mary_model_free(&copy);
    mary_free(names);
    return status;
}
