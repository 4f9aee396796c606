#include "tune/identity.h"

#include <string.h>

#include "onnx/coding/crc.h"
#include "onnx/external.h"
#include "train/random.h"
#include "tune/settings.h"

static uint64_t add(uint64_t sum, const void *value, size_t size)
{
    uint64_t bits = 0;
    memcpy(&bits, value, size);
    return mary_random_mix(sum ^ bits);
}

static uint64_t add_options(uint64_t sum, const mary_tune_options *o, const mary_samples *samples)
{
    const double numbers[] = {o->temperature, o->keep,        o->rate,   o->level_rate, o->weight_decay, o->holdout,
                              o->entropy,     o->label_share, o->warmup, o->coded_rate, o->augment.mixup};
    const mary_augmentation *a = &o->augment;
    const int64_t schedule = (int64_t)strlen(o->schedule); /* of which all names have another length */
    const int64_t counts[] = {o->labels,
                              o->distil,
                              o->teacher != NULL,
                              o->per_layer,
                              o->coded_epochs,
                              o->relative,
                              o->no_levels,
                              o->per_model,
                              o->levels,
                              o->epochs,
                              o->level_epochs,
                              o->batch,
                              (int64_t)o->seed,
                              samples->samples,
                              schedule,
                              a->crop,
                              a->flip,
                              a->cutout,
                              mary_tune_importance_of(o)};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sum = add(sum, &numbers[i], sizeof numbers[i]);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        sum = add(sum, &counts[i], sizeof counts[i]);
    for (const char *at = o->method; *at != '\0'; at++)
        sum = add(sum, at, 1);
    for (const char *at = o->output; at != NULL && *at != '\0'; at++)
        sum = add(sum, at, 1);
    return sum;
}

/* Takes a message as it is packed, a piece at a time. */
typedef struct summing {
    ProtobufCBuffer buffer;
    uint64_t sum;
} summing;

static void add_piece(ProtobufCBuffer *buffer, size_t size, const uint8_t *bytes)
{
    summing *s = (summing *)(void *)buffer;
    uint32_t piece = mary_crc32(bytes, size);
    s->sum = add(s->sum, &piece, sizeof piece);
}

static mary_status add_model(const mary_model *model, uint64_t *sum)
{
    summing s = {.buffer = {.append = add_piece}, .sum = *sum};
    onnx__model_proto__pack_to_buffer(model->proto, &s.buffer);
    for (size_t i = 0; i < model->proto->graph->n_initializer; i++) {
        const Onnx__TensorProto *message = model->proto->graph->initializer[i];
        mary_constant constant;
        if (!mary_tensor_is_external(message))
            continue;
        MARY_TRY(mary_constant_decode(model, message, &constant));
        add_piece(&s.buffer, mary_tensor_bytes(&constant.tensor), constant.tensor.data);
        mary_constant_free(&constant);
    }
    *sum = s.sum;
    return MARY_OK;
}

mary_status mary_tune_identity(const mary_tune_options *o, const mary_samples *samples, const mary_model *model,
                               uint64_t *identity)
{
    *identity = add_options(0, o, samples);
    MARY_TRY(add_model(model, identity));
    return o->teacher != NULL ? add_model(o->teacher, identity) : MARY_OK;
}
