/* mary inspect: what is in a model file, without running it. */
#include <inttypes.h>

#include "cli/pack_report.h"
#include "cli/report/json.h"
#include "cli/report/table.h"
#include "cli/verbs.h"
#include "validate/inspection.h"

typedef struct arguments {
    const char *model;
    bool json;
} arguments;

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "Print JSON", 1},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        return 0;
    case 'j':
        given->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (given->model != NULL)
            return mary_cli_usage(state, "one model only: '%s' is too many", argument);
        given->model = argument;
        return 0;
    case ARGP_KEY_END:
        if (given->model == NULL)
            return mary_cli_usage(state, "which model? mary inspect MODEL.onnx");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "MODEL.onnx",
    .doc = "Show what is in a model: versions, inputs and outputs, operators, and for every layer with weights its "
           "shape, levels, bits per weight and bytes.",
};

/* ---- output ---- */

static void print_values(const char *title, Onnx__ValueInfoProto *const *values, size_t count)
{
    char text[256];
    for (size_t i = 0; i < count; i++)
        printf("%-9s %s %s\n", i == 0 ? title : "", values[i]->name,
               mary_inspection_value(values[i], text, sizeof text));
}

static mary_status print(const mary_inspection *in)
{
    const Onnx__ModelProto *proto = in->model->proto;
    char text[64], other[64];
    printf("file      %s, %s\n", mary_cli_base_name(in->path),
           mary_cli_format_bytes((double)in->file_bytes, text, sizeof text));
    printf("format    IR version %" PRId64, proto->ir_version);
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        const char *domain = proto->opset_import[i]->domain;
        printf(", %s opset %" PRId64, domain == NULL || domain[0] == '\0' ? "ai.onnx" : domain,
               proto->opset_import[i]->version);
    }
    if (proto->producer_name != NULL && proto->producer_name[0] != '\0')
        printf(", made by %s %s", proto->producer_name, proto->producer_version == NULL ? "" : proto->producer_version);
    printf("\n");
    print_values("inputs", proto->graph->input, proto->graph->n_input);
    print_values("outputs", proto->graph->output, proto->graph->n_output);
    printf("operators ");
    for (size_t i = 0; i < in->op_count; i++)
        printf("%s%s %zu", i == 0 ? "" : ", ", in->ops[i].type, in->ops[i].count);
    printf("\n");
    if (proto->n_functions > 0) {
        printf("functions ");
        for (size_t i = 0; i < proto->n_functions; i++)
            printf("%s%s.%s", i == 0 ? "" : ", ", proto->functions[i]->domain, proto->functions[i]->name);
        printf("\n");
    }
    printf("\n");
    mary_table table;
    mary_table_begin(&table, "<layer|<operator|<weight|>weights|>M|<levels per|>bits/weight|>bytes");
    for (size_t i = 0; i < in->count; i++) {
        const mary_inspected_layer *l = &in->layers[i];
        mary_table_cell(&table, "%s", mary_node_label(l->node));
        mary_table_cell(&table, "%s", l->node->op_type);
        mary_table_cell(&table, "%s", mary_shape_format(&l->shape, text, sizeof text));
        mary_table_cell(&table, "%" PRId64, l->weights);
        if (l->bits > 0)
            mary_table_cell(&table, "%d", l->levels);
        else
            mary_table_cell(&table, "%s", mary_type_name(l->type));
        mary_table_cell(&table, "%s", l->bits == 0 ? "" : l->shared_levels ? "tensor" : "row");
        mary_table_cell(&table, "%.2f", l->weights == 0 ? 0.0 : 8.0 * (double)l->bytes / (double)l->weights);
        mary_table_cell(&table, "%s%s", mary_cli_format_bytes((double)l->bytes, text, sizeof text),
                        l->repeated ? " (shared)" : "");
    }
    MARY_TRY(mary_table_end(&table, stdout));
    printf("\nweights   %" PRIu64 " in %s, %.2f bits each; all tensors %s\n", in->weights,
           mary_cli_format_bytes((double)in->weight_bytes, text, sizeof text), mary_inspection_bits_per_weight(in),
           mary_cli_format_bytes((double)in->tensor_bytes, other, sizeof other));
    if (in->packing == NULL)
        return MARY_OK;
    printf("\nThe file is packed; the sizes above are those of the model that it stands for, %s.\n\n",
           mary_cli_format_bytes((double)mary_pack_totals_of(in->packing)->file_before, text, sizeof text));
    MARY_TRY(mary_pack_report_print(in->packing));
    putchar('\n');
    mary_pack_totals_print(in->packing);
    return MARY_OK;
}

static mary_status inspect(const arguments *given)
{
    mary_inspection in;
    mary_status status = mary_inspection_open(&in, &(mary_model_source){.path = given->model});
    if (status == MARY_OK)
        status = given->json ? mary_json_write(mary_inspection_json(&in), NULL) : print(&in);
    mary_inspection_close(&in);
    return status;
}

int mary_cli_inspect(int argc, char **argv)
{
    arguments given = {0};
    mary_status status = mary_cli_parse(&argp, argc, argv, &given);
    if (status != MARY_OK)
        return status;
    return mary_cli_finish("mary inspect", inspect(&given));
}
