/* Sessions inside another program: its threads, its memory, its weights. */
#include <dirent.h>
#include <math.h>
#include <string.h>

#include "runtime/session.h"
#include "tests/support/model_builder.h"

enum { CHANNELS = 48, SIDE = 24, PIXELS = SIDE * SIDE, MOST_OUTPUTS = 3 };

/* A coded Conv (packed, and with much scratch for each thread), Mul by a constant that is read during runs, and an
 * output that other nodes read, too. */
static mary_model *network(void)
{
    static float weights[CHANNELS * CHANNELS * 9], sum[CHANNELS];
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        weights[i] = (float)((int)(i * 7 % 11) - 5) / 64;
    for (int i = 0; i < CHANNELS; i++)
        sum[i] = (float)i / 8;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_floats(graph, "w", SHAPE(CHANNELS, CHANNELS, 3, 3), weights);
    build_floats(graph, "sum", SHAPE(CHANNELS, 1, 1), sum);
    Onnx__NodeProto *conv = build_node(graph, "Conv", "x,w", "c");
    assert_ok(mary_node_set_ints(conv, "pads", (int64_t[]){1, 1, 1, 1}, 4));
    build_node(graph, "Mul", "c,sum", "scaled");
    build_node(graph, "Tanh", "scaled", "y");
    build_node(graph, "Identity", "x", "same");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "scaled", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "same", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    const mary_convert_options options = {.levels = 4, .first_last_levels = MARY_SAME_LEVELS, .threads = 1};
    assert_ok(mary_convert(model, &options, NULL));
    return model;
}

/* ---- the other program's side ---- */

typedef struct own_parallel {
    mary_parallel parallel;
    int calls, most_pieces;
} own_parallel;

/* In pieces, last first, all in the calling thread. */
static void run_backwards(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context)
{
    own_parallel *own = (own_parallel *)(uintptr_t)parallel;
    int64_t pieces = count / grain < parallel->threads ? count / grain : parallel->threads;
    pieces = pieces < 1 ? 1 : pieces;
    own->calls++;
    own->most_pieces = pieces > own->most_pieces ? (int)pieces : own->most_pieces;
    for (int64_t i = pieces; i-- > 0;)
        task(context, count * i / pieces, count * (i + 1) / pieces, (int)i);
}

typedef struct own_memory {
    char *blocks[MOST_OUTPUTS];
    mary_array outputs[MOST_OUTPUTS];
    int calls, refuse_at; /* the call that fails; 0: none */
} own_memory;

enum { GUARD = 64 + 4 }; /* what follows is aligned for floats, and to nothing more */

static mary_status place(void *context, int index, mary_array *output)
{
    own_memory *memory = context;
    if (++memory->calls == memory->refuse_at)
        return mary_fail(MARY_ERROR_USAGE, "no place for '%s'", output->name);
    ck_assert_ptr_null(memory->blocks[index]); /* asked once */
    memory->blocks[index] = malloc(output->bytes + 2 * GUARD);
    memset(memory->blocks[index], 0x5a, output->bytes + 2 * GUARD);
    output->data = memory->blocks[index] + GUARD;
    memory->outputs[index] = *output;
    return MARY_OK;
}

static void check_and_free(own_memory *memory)
{
    for (int i = 0; i < MOST_OUTPUTS; i++) {
        for (int k = 0; memory->blocks[i] != NULL && k < GUARD; k++) {
            ck_assert_int_eq(memory->blocks[i][k], 0x5a);
            ck_assert_int_eq(memory->blocks[i][GUARD + memory->outputs[i].bytes + (size_t)k], 0x5a);
        }
        free(memory->blocks[i]);
        memory->blocks[i] = NULL;
    }
    memory->calls = 0;
}

static mary_array images(int64_t batch)
{
    static float x[4 * CHANNELS * PIXELS];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)((int)(i * 5 % 13) - 6) / 8;
    return (mary_array){.name = "x",
                        .type = MARY_FLOAT,
                        .rank = 4,
                        .dims = {batch, CHANNELS, SIDE, SIDE},
                        .data = x,
                        .bytes = sizeof(float) * (size_t)batch * CHANNELS * PIXELS};
}

/* What an ordinary session gives. */
static void expected(int64_t batch, mary_array *outputs)
{
    mary_model *model = network();
    mary_session *session = NULL;
    mary_array input = images(batch);
    assert_ok(mary_session_create(&model, &(mary_session_options){.threads = 1}, &session));
    assert_ok(mary_session_run(session, &input, 1, outputs, MOST_OUTPUTS));
    mary_session_free(&session);
}

static void check_run(mary_session *session, int64_t batch, const mary_parallel *parallel)
{
    static const char *const names[MOST_OUTPUTS] = {"y", "scaled", "same"};
    own_memory memory = {0};
    mary_array input = images(batch), wanted[MOST_OUTPUTS];
    expected(batch, wanted);
    assert_ok(mary_session_run_on(session, &input, 1, parallel, &(mary_outlet){place, &memory}));
    for (int i = 0; i < MOST_OUTPUTS; i++) {
        ck_assert_str_eq(memory.outputs[i].name, names[i]);
        ck_assert_uint_eq(memory.outputs[i].bytes, wanted[i].bytes);
        ck_assert_int_eq(memory.outputs[i].dims[0], batch);
        ck_assert_mem_eq(memory.outputs[i].data, wanted[i].data, wanted[i].bytes);
        mary_array_free(&wanted[i]);
    }
    check_and_free(&memory);
}

static mary_session *threadless(mary_model *model)
{
    mary_session *session = NULL;
    assert_ok(mary_session_create_threadless(&model, NULL, &session));
    ck_assert_ptr_null(model);
    return session;
}

/* ---- tests ---- */

START_TEST(every_run_may_bring_other_threads)
{
    mary_session *session = threadless(network());
    const int threads[] = {4, 1, 2, 4, 3, 16, 1};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        own_parallel own = {.parallel = {.threads = threads[i], .run = run_backwards}};
        check_run(session, 1 + (int64_t)i % 2, &own.parallel);
        ck_assert_int_le(own.most_pieces, threads[i]);
        ck_assert(threads[i] == 1 || own.most_pieces > 1); /* they were used */
    }
    check_run(session, 2, NULL);
    mary_session_free(&session);
}
END_TEST

static int thread_count(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = -2; /* "." and ".." */
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

START_TEST(a_session_without_threads_starts_none)
{
    int before = thread_count();
    mary_session *session = threadless(network());
    mary_array input = images(2), outputs[MOST_OUTPUTS];
    check_run(session, 2, NULL);
    assert_ok(mary_session_run(session, &input, 1, outputs, MOST_OUTPUTS)); /* the ordinary way works, too */
    for (int i = 0; i < MOST_OUTPUTS; i++)
        mary_array_free(&outputs[i]);
    ck_assert_int_eq(thread_count(), before);
    mary_session_free(&session);
}
END_TEST

START_TEST(an_outlet_that_refuses_ends_the_run)
{
    mary_session *session = threadless(network());
    mary_array input = images(1);
    for (int at = 1; at <= MOST_OUTPUTS; at++) {
        own_memory memory = {.refuse_at = at};
        ck_assert_int_eq(mary_session_run_on(session, &input, 1, NULL, &(mary_outlet){place, &memory}),
                         MARY_ERROR_USAGE);
        ck_assert_ptr_nonnull(strstr(mary_error_message(), "no place for '"));
        check_and_free(&memory);
    }
    check_run(session, 1, NULL);
    mary_session_free(&session);
}
END_TEST

/* Moves the bytes of all initializers into one block that the model does not own. */
static char *lend(mary_model *model)
{
    Onnx__GraphProto *graph = model->proto->graph;
    size_t bytes = 0, offset = 0;
    for (size_t i = 0; i < graph->n_initializer; i++)
        bytes += (graph->initializer[i]->raw_data.len + 63) / 64 * 64;
    char *block = aligned_alloc(64, bytes);
    for (size_t i = 0; i < graph->n_initializer; i++) {
        ProtobufCBinaryData *data = &graph->initializer[i]->raw_data;
        memcpy(block + offset, data->data, data->len);
        mary_free(data->data);
        data->data = (uint8_t *)block + offset;
        offset += (data->len + 63) / 64 * 64;
    }
    model->lent = true;
    return block;
}

START_TEST(lent_weights_are_not_needed_once_a_session_is_made)
{
    mary_model *model = network();
    char *block = lend(model), copy[64];
    memcpy(copy, block, sizeof copy);
    mary_session *session = threadless(model);
    ck_assert_mem_eq(copy, block, sizeof copy); /* and are not changed */
    memset(block, 0xff, 64);
    free(block);
    check_run(session, 2, NULL);
    mary_session_free(&session);
}
END_TEST

START_TEST(lent_weights_are_not_freed_when_loading_fails)
{
    mary_model *model = network();
    mary_session *session = NULL;
    build_node(model->proto->graph, "NoSuchOperator", "c", "z");
    char *block = lend(model);
    ck_assert_int_eq(mary_session_create_threadless(&model, NULL, &session), MARY_ERROR_UNSUPPORTED);
    ck_assert_ptr_null(model);
    ck_assert_ptr_null(session);
    free(block); /* a second time, had they been */
    model = network();
    block = lend(model);
    mary_model_free(&model);
    free(block);
}
END_TEST

MARY_TEST_MAIN("runtime/embedding", every_run_may_bring_other_threads, a_session_without_threads_starts_none,
               an_outlet_that_refuses_ends_the_run, lent_weights_are_not_needed_once_a_session_is_made,
               lent_weights_are_not_freed_when_loading_fails)
