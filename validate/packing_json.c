/* A packing report as JSON; docs/cli.md lists the fields. */
#include "validate/packing_json.h"

#include "validate/json.h"

static json_t *bytes_json(uint64_t bytes)
{
    return json_integer((json_int_t)bytes);
}

static json_t *row_json(const mary_packed_row *row)
{
    json_t *object = json_object();
    json_object_set_new(object, "name", mary_json_text(row->name));
    json_object_set_new(object, "kind", json_string(row->kind));
    json_object_set_new(object, "coder", json_string(row->coder));
    json_object_set_new(object, "elements", json_integer(row->elements));
    json_object_set_new(object, "bytes_before", bytes_json(row->bytes_before));
    json_object_set_new(object, "bytes_after", bytes_json(row->bytes_after));
    json_object_set_new(object, "position_bytes", bytes_json(row->position_bytes));
    json_object_set_new(object, "table_bytes", bytes_json(row->table_bytes));
    if (row->entropy > 0)
        json_object_set_new(object, "entropy_bits", mary_json_real(row->entropy));
    return object;
}

json_t *mary_pack_report_json(const mary_pack_report *report, const mary_pack_files *files)
{
    const mary_pack_totals *t = mary_pack_totals_of(report);
    json_t *root = json_object(), *parts = json_object(), *tensors = json_array();
    json_object_set_new(root, "mary", mary_json_text(mary_version()));
    json_object_set_new(root, "input", mary_json_text(files->input));
    json_object_set_new(root, "output", mary_json_text(files->output));
    json_object_set_new(root, "file_bytes_before", bytes_json(t->file_before));
    json_object_set_new(root, "file_bytes_after", bytes_json(t->file_after));
    json_object_set_new(root, "ratio", mary_json_real((double)t->file_before / (double)t->file_after));
    if (files->original != NULL) {
        json_object_set_new(root, "original", mary_json_text(files->original));
        json_object_set_new(root, "original_bytes", bytes_json(files->original_bytes));
        json_object_set_new(root, "original_ratio",
                            mary_json_real((double)files->original_bytes / (double)t->file_after));
    }
    json_object_set_new(parts, "codes", bytes_json(t->codes));
    json_object_set_new(parts, "positions", bytes_json(t->positions));
    json_object_set_new(parts, "tables", bytes_json(t->tables));
    json_object_set_new(parts, "levels", bytes_json(t->levels));
    json_object_set_new(parts, "biases", bytes_json(t->biases));
    json_object_set_new(parts, "other", bytes_json(t->other));
    json_object_set_new(parts, "graph", bytes_json(t->graph));
    json_object_set_new(root, "bytes", parts);
    json_object_set_new(root, "weights", bytes_json(t->weights));
    for (size_t i = 0; mary_pack_row(report, i) != NULL; i++)
        json_array_append_new(tensors, row_json(mary_pack_row(report, i)));
    json_object_set_new(root, "tensors", tensors);
    return root;
}
