/* What an operator is: one mary_op per (domain, op_type, range of opsets), found through ops/table.c.
 *
 * The life of a node:  prepare (attributes, at load) -> pack (constant inputs, at load) -> infer (shapes, when a plan
 * is made, or just before run when shapes depend on data) -> scratch (when a plan is made) -> run (any number of times,
 * from any number of threads: node is const). See docs/adding-an-operator.md.
 */
#ifndef MARY_OPS_OP_H
#define MARY_OPS_OP_H

#include "onnx/model.h"

typedef struct mary_op mary_op;
typedef struct mary_op_node mary_op_node;
typedef struct mary_op_call mary_op_call;
typedef struct mary_op_gradient mary_op_gradient; /* ops/gradient.h */

/* Internal: infer returns it when an output's shape depends on an input value that is not known yet. The planner then
 * runs infer again just before run, with every input's data there. Never leaves the runtime; no message. */
#define MARY_DEFERRED ((mary_status)100)

/* ---- threads ---- */
/* One parallel-for. `task(context, begin, end, thread)` is called for disjoint ranges that cover [0, count); thread is
 * in [0, threads). Results must not depend on how the range is cut. Tasks report failure through their own context. */
typedef void mary_task(void *context, int64_t begin, int64_t end, int thread);
typedef struct mary_parallel mary_parallel;
struct mary_parallel {
    int threads; /* >= 1 */
    void (*run)(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context);
};
/* Cuts [0, count) into pieces of at least `grain` items (pieces are contiguous and balanced); runs in the calling
 * thread when one piece is left or parallel is NULL. */
void mary_parallel_for(const mary_parallel *parallel, int64_t count, int64_t grain, mary_task *task, void *context);

/* ---- what follows a convolution or matrix product while its result is still in registers ---- */
typedef enum mary_activation_kind {
    MARY_ACTIVATION_NONE = 0,
    MARY_ACTIVATION_CLIP,       /* min(max(x, alpha), beta); Relu is [0, inf] */
    MARY_ACTIVATION_LEAKY_RELU, /* x < 0 ? alpha * x : x */
    MARY_ACTIVATION_SIGMOID,
    MARY_ACTIVATION_SILU,         /* x * sigmoid(x) */
    MARY_ACTIVATION_HARD_SWISH,   /* x * clip(alpha * x + beta, 0, 1) */
    MARY_ACTIVATION_HARD_SIGMOID, /* clip(alpha * x + beta, 0, 1) */
    MARY_ACTIVATION_TANH
} mary_activation_kind;

typedef struct mary_epilogue {
    mary_activation_kind activation;
    float alpha, beta;
    int residual; /* index of the call's input that is added before the activation (same shape as output 0); -1: none */
} mary_epilogue;

/* Where the runtime puts a residual: behind every input that an operator with MARY_OP_EPILOGUE defines; absent ones
 * between are NULL. */
#define MARY_RESIDUAL_INPUT 4

/* ---- nodes ---- */
struct mary_op_node {
    const mary_op *op;
    const Onnx__NodeProto *proto; /* lives as long as the node; attributes are read in prepare */
    const mary_model *model;      /* for tensors in attributes; only valid during prepare and pack */
    const char *name;             /* for messages; never empty */
    int opset;                    /* of the operator's domain */
    int input_count, output_count;
    bool channels_last;     /* set by the runtime when `channels_last` said yes: tensors come that way */
    mary_epilogue epilogue; /* set by the runtime before pack on operators with MARY_OP_EPILOGUE; residual = -1 */
    void *state;            /* made by prepare and pack, freed by release */
};

/* One evaluation. inputs[i] is NULL for an absent optional input, outputs[i] for an unused optional output. */
struct mary_op_call {
    const mary_tensor *const *inputs;
    int input_count;
    mary_tensor *const *outputs; /* infer sets type, shape (layout and pixel_stride belong to the runtime) */
    int output_count;
    void *scratch;                 /* as many bytes as `scratch` asked for, MARY_ALIGNMENT aligned */
    const mary_parallel *parallel; /* may be NULL: one thread */
};

enum {
    MARY_OP_VIEW = 1, /* output 0 has the bytes of input 0 (Reshape, Identity): the runtime aliases, run is skipped */
    MARY_OP_IN_PLACE = 2,         /* output 0 may be the memory of input 0 when type and byte size agree */
    MARY_OP_EPILOGUE = 4,         /* honours node->epilogue */
    MARY_OP_NONDETERMINISTIC = 8, /* never folded */
    MARY_OP_HALF = 16, /* takes float16 and bfloat16 as they are; for others the runtime converts to float and back */
    MARY_OP_EITHER_LAYOUT = 64, /* with node->channels_last, inputs may come plain as well: outputs are channels last */
    MARY_OP_READS_ANY_LAYOUT = 256, /* inputs may be channels last even where the node is not */
    MARY_OP_CHANNELS_ONLY = 128, /* channels last, it stores exactly C channels of each pixel, never what is between */
    MARY_OP_SHAPE_ONLY = 32      /* the result depends on input shapes only, never on their data (Shape, Size) */
};

struct mary_op {
    const char *domain; /* "" is ai.onnx */
    const char *type;
    int since; /* first opset version of this definition */
    int until; /* last one; 0: still current */
    unsigned flags;
    mary_status (*prepare)(mary_op_node *node); /* may be NULL */
    /* constants[i] is non-NULL for inputs whose value never changes. What it does not copy it may not keep, but for
     * inputs that it took over it returns a bit set in *consumed (1 << i): the runtime then drops that constant's
     * memory when no other node uses it; run sees a tensor with shape and data == NULL there. May be NULL. */
    mary_status (*pack)(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed);
    mary_status (*infer)(const mary_op_node *node, mary_op_call *call);
    /* Bytes of scratch for one run with these shapes; may be NULL. */
    mary_status (*scratch)(const mary_op_node *node, const mary_op_call *call, size_t *bytes);
    mary_status (*run)(const mary_op_node *node, mary_op_call *call);
    void (*release)(mary_op_node *node); /* frees state; may be NULL: then mary_free(state) */
    /* May this node take and give all its rank >= 3 data tensors channels last (inputs that are parameters stay plain)?
     * Shapes are known in `call`; NULL: never. `wants` is set when it is faster that way (Conv), else it merely can
     * (Relu). */
    bool (*channels_last)(const mary_op_node *node, const mary_op_call *call, bool *wants);
    /* Channels last only: output 0 is the inputs side by side along the channel axis. The runtime may then let a
     * producer write straight into the output, and run finds that input's data already where it belongs. May be NULL.
     */
    bool (*joins_channels)(const mary_op_node *node, const mary_op_call *call);
    /* Unary element-wise operators that a MARY_OP_EPILOGUE can absorb describe themselves; constants as in pack. false:
     * not with these attributes. May be NULL. */
    bool (*activation)(const mary_op_node *node, const mary_tensor *const *constants, mary_epilogue *epilogue);
    /* Name of the kernel that this node runs, for profiles; may be NULL. */
    const char *(*kernel)(const mary_op_node *node);
    const mary_op_gradient *gradient; /* how gradients flow back through it; NULL: they do not */
};

/* Each file of ops/ exports one array, ended by a zeroed entry, and is listed in ops/table.c. */
#define MARY_OP_END                                                                                                    \
    {                                                                                                                  \
        0                                                                                                              \
    }

/* The domain of operators that only the runtime puts into a graph. */
#define MARY_INTERNAL_DOMAIN "ai.mary.internal"

/* The definition that holds for this operator at this opset version; NULL: not supported. */
const mary_op *mary_op_find(const char *domain, const char *type, int64_t opset);
/* Walks the table: the first entry for NULL, then the next; NULL at the end. */
const mary_op *mary_op_next(const mary_op *previous);

/* ---- helpers for infer ---- */
/* MARY_ERROR_INVALID/UNSUPPORTED with the node's name and operator in front. */
mary_status mary_op_fail(const mary_op_node *node, mary_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Checks the number of inputs and that the first `required` are present. */
mary_status mary_op_expect_inputs(const mary_op_node *node, const mary_op_call *call, int required, int most);
/* Output `index` := type and shape, checked with mary_shape_check; absent outputs are ignored. */
mary_status mary_op_set_output(const mary_op_node *node, mary_op_call *call, int index, mary_type type,
                               const mary_shape *shape);
/* infer of an operator whose output 0 is like input 0. */
mary_status mary_op_infer_same(const mary_op_node *node, mary_op_call *call);
/* The ints of a 1-D (or scalar) integer tensor into values[0..most); MARY_DEFERRED when its data is not known. */
mary_status mary_op_ints(const mary_op_node *node, const mary_tensor *tensor, const char *what, int64_t *values,
                         int most, int *count);

#endif
