/* Pooling of plain tensors by the definition, for one element type: ops/pool.c includes this once a type.
 *
 *   POOL_TYPE, POOL_LOWEST, POOL_PLANE (the function's name)
 *
 * One [spatial...] plane; a row of outputs is summed tap by tap, so that the innermost loop runs along the row.
 */
static void POOL_PLANE(const pool_run *r, const void *from, void *to)
{
    const mary_window *w = &r->window;
    const POOL_TYPE *x = from;
    POOL_TYPE *y = to;
    for (int64_t od = 0; od < w->output[0]; od++) {
        for (int64_t oh = 0; oh < w->output[1]; oh++, y += w->output[2]) {
            for (int64_t i = 0; i < w->output[2]; i++)
                y[i] = r->kind == POOL_MAX ? POOL_LOWEST : 0;
            int64_t begin[2], end[2];
            mary_window_clip(w, 0, od, &begin[0], &end[0]);
            mary_window_clip(w, 1, oh, &begin[1], &end[1]);
            for (int64_t kd = begin[0]; kd < end[0]; kd++) {
                int64_t d = od * w->stride[0] - w->pad[0] + kd * w->dilation[0];
                for (int64_t kh = begin[1]; kh < end[1]; kh++) {
                    int64_t h = oh * w->stride[1] - w->pad[1] + kh * w->dilation[1];
                    const POOL_TYPE *line = x + (d * w->input[1] + h) * w->input[2];
                    for (int64_t kw = r->first_column; kw < r->last_column; kw++) {
                        int64_t first, last, stride = w->stride[2], shift = kw * w->dilation[2] - w->pad[2];
                        columns_inside(w, shift, &first, &last);
                        switch (r->kind) {
                        case POOL_MAX:
                            for (int64_t i = first; i < last; i++)
                                y[i] = line[i * stride + shift] > y[i] ? line[i * stride + shift] : y[i];
                            break;
                        case POOL_MEAN:
                            for (int64_t i = first; i < last; i++)
                                y[i] = (POOL_TYPE)(y[i] + line[i * stride + shift]);
                            break;
                        default:
                            for (int64_t i = first; i < last; i++)
                                y[i] = (POOL_TYPE)(y[i] + power(r, (double)line[i * stride + shift]));
                        }
                    }
                }
            }
            for (int64_t i = 0; i < w->output[2] && r->kind != POOL_MAX; i++)
                y[i] =
                    (POOL_TYPE)(r->kind == POOL_MEAN ? (double)y[i] * mean_scale(r, od, oh, i) : root(r, (double)y[i]));
        }
    }
}

#undef POOL_TYPE
#undef POOL_LOWEST
#undef POOL_PLANE
