/* The bytes that fuzz_node reads, and the words that they choose from. tests/fuzz/make_corpus.py reads this file too:
 * add at the ends.
 *
 * operator name, NUL (a name that mary does not know chooses one by its sum), opset byte, flags byte,
 * attribute count byte, then for each: name byte, kind byte (AttributeProto.AttributeType), value:
 *     INT: int byte; FLOAT: float byte; STRING: word byte; INTS and FLOATS: count byte, then bytes; TENSOR: tensor,
 * output count byte, input count byte, then for each: place byte (0 absent, 1 initializer, 2 graph input, 3 graph input
 * without shape), and a tensor: type byte, rank byte, a byte for each dimension, a byte for each element. Bytes after
 * the end read as 0. The extreme bytes stand for extreme values: see fuzz_node.c. */
#ifndef MARY_TESTS_FUZZ_NODE_FORMAT_H
#define MARY_TESTS_FUZZ_NODE_FORMAT_H

enum { FLAG_NO_FUSION = 1, FLAG_SCALAR = 2, FLAG_AVX2 = 4, FLAG_MARY_DOMAIN = 8, FLAG_RUN_TWICE = 16 };

/* clang-format off */
static const char *const attribute_names[] = {
    "axis", "axes", "keepdims", "alpha", "beta", "gamma", "auto_pad", "pads", "strides", "dilations", "group", "kernel_shape", "ceil_mode",
    "count_include_pad", "storage_order", "output_padding", "output_shape", "transA", "transB", "epsilon", "momentum", "spatial", "size",
    "bias", "min", "max", "mode", "value", "perm", "to", "shape", "starts", "ends", "steps", "split", "num_outputs", "blocksize", "k",
    "largest", "sorted", "p", "ratio", "training_mode", "exclusive", "reverse", "direction", "fmod", "approximate", "allowzero", "start",
    "end", "batch_dims", "reduction", "nearest_mode", "coordinate_transformation_mode", "cubic_coeff_a", "extrapolation_value",
    "antialias", "keep_aspect_ratio_policy", "exclude_outside", "scales", "height_scale", "width_scale", "block_size", "saturate",
    "output_dtype", "equation", "noop_with_empty_axes", "select_last_index", "stash_type", "weight_shape", "row_length", "bits",
    "broadcast", "to_type", "dtype", "value_float", "value_floats", "value_int", "value_ints", "is_test", "consumed_inputs", "scale",
    "precision", "opset", "channels_last",
};
static const char *const words[] = {
    "", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "constant", "reflect", "edge", "wrap", "nearest", "linear", "cubic", "bilinear",
    "asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel", "tf_crop_and_resize", "tf_half_pixel_for_nn", "half_pixel_symmetric",
    "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "stretch", "not_larger", "not_smaller", "DCR", "CRD", "LEFT", "RIGHT",
    "none", "tanh", "add", "mul", "max", "min", "ij,jk->ik", "...ij,...jk->...ik", "ii->i", "ij->ji", "i,j->ij", "bij,bjk", "ij->",
    "...->...", "abc,abc", "->", ",", "i->ii",
};
/* clang-format on */

#endif
