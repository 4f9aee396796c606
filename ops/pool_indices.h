/* MaxPool with its second output, for one element type: ops/pool.c includes this once a type (POOL_TYPE, POOL_INDICES).
 */
static void POOL_INDICES(const pool_run *r, const void *from, void *to, int64_t *indices, int64_t first_index)
{
    const mary_window *w = &r->window;
    const POOL_TYPE *x = from;
    POOL_TYPE *y = to;
    int64_t o[MARY_WINDOW_AXES], begin[MARY_WINDOW_AXES], end[MARY_WINDOW_AXES], at = 0;
    for (o[0] = 0; o[0] < w->output[0]; o[0]++) {
        for (o[1] = 0; o[1] < w->output[1]; o[1]++) {
            for (o[2] = 0; o[2] < w->output[2]; o[2]++, at++) {
                for (int axis = 0; axis < MARY_WINDOW_AXES; axis++)
                    mary_window_clip(w, axis, o[axis], &begin[axis], &end[axis]);
                int64_t best = -1, position = 0;
                for (int64_t kd = begin[0]; kd < end[0]; kd++) {
                    int64_t d = o[0] * w->stride[0] - w->pad[0] + kd * w->dilation[0];
                    for (int64_t kh = begin[1]; kh < end[1]; kh++) {
                        int64_t h = o[1] * w->stride[1] - w->pad[1] + kh * w->dilation[1];
                        for (int64_t kw = begin[2]; kw < end[2]; kw++) {
                            int64_t i = o[2] * w->stride[2] - w->pad[2] + kw * w->dilation[2];
                            int64_t offset = (d * w->input[1] + h) * w->input[2] + i;
                            if (best >= 0 && !(x[offset] > x[best]))
                                continue;
                            best = offset;
                            position = r->column_major ? d + (h + i * w->input[1]) * w->input[0] : offset;
                        }
                    }
                }
                y[at] = best >= 0 ? x[best] : POOL_LOWEST;
                indices[at] = best >= 0 ? first_index + position : -1;
            }
        }
    }
}

#undef POOL_TYPE
#undef POOL_LOWEST
#undef POOL_INDICES
