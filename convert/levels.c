/* Which coding of a layer pays.
 *
 * A row's own levels cost 2^bits values; for short rows (depthwise convolutions, first layers at M = 256) that is more
 * than the codes, even more than the float weights. So, unless the caller fixed the granularity, other codings are
 * tried when it is: levels shared by all rows, and fewer levels per row. One is taken when its error is no worse than
 * what M levels do to a long row: sqrt(3)*pi/2 / M^2 of the energy for Gaussian weights (Panter and Dite 1951), but
 * errors below -30 dB are good enough for anybody. The error is the mean over rows of each row's relative error, so
 * that rows of small weights count. */
#include "convert/levels.h"

#include <math.h>

#include "convert/codes.h"

enum { NODE_OVERHEAD = 96 }; /* bytes that the attributes and names of a coded layer add to the file */

typedef struct coding {
    int levels;
    bool shared;
} coding;

static int64_t coded_bytes(const mary_layer *layer, coding c)
{
    int bits = mary_codes_bits(c.levels);
    return mary_quantized_code_bytes(layer->layout.rows, layer->layout.row_length, bits) +
           mary_quantized_level_bytes(layer->layout.rows, bits, c.shared, layer->type) + NODE_OVERHEAD;
}

static bool pays(const mary_layer *layer, coding c)
{
    int64_t plain = layer->layout.rows * layer->layout.row_length * (int64_t)mary_type_size(layer->type);
    return coded_bytes(layer, c) < plain;
}

bool mary_layer_pays_for_codes(const mary_layer *layer)
{
    coding shared = {layer->settings.levels, true};
    int64_t plain = layer->layout.rows * layer->layout.row_length * (int64_t)mary_type_size(layer->type);
    return coded_bytes(layer, shared) -
               mary_quantized_level_bytes(1, mary_codes_bits(shared.levels), true, layer->type) <
           plain;
}

static double tolerated_error(int levels)
{
    return fmax(1e-3, 2.7207 / ((double)levels * levels));
}

typedef struct coder {
    const mary_layer *layer;
    const float *matrix;
    const mary_feedback *feedback;
    int threads;
    uint64_t seed;
} coder;

static mary_status code(const coder *with, coding c, mary_quantized *quantized)
{
    mary_quantize_request request = {.weights = with->matrix,
                                     .importance = with->layer->importance,
                                     .rows = with->layer->layout.rows,
                                     .row_length = with->layer->layout.row_length,
                                     .method = with->layer->settings.method,
                                     .levels = c.levels,
                                     .shared = c.shared,
                                     .type = with->layer->type,
                                     .threads = with->threads,
                                     .seed = with->seed,
                                     .entropy = with->layer->settings.entropy,
                                     .given = with->layer->given,
                                     .feedback = with->feedback};
    return mary_quantize_tensor(&request, quantized);
}

/* What to try when levels per row at the wanted M do not pay, or when they are 256: cheapest first. */
static int alternatives(const mary_layer *layer, int wanted, coding *list)
{
    int count = 0;
    list[count++] = (coding){256, true};
    if (wanted > 128)
        list[count - 1].levels = wanted;
    for (int levels = 16; levels >= 2; levels = levels == 16 ? 4 : levels == 4 ? 2 : 0) {
        if (levels < wanted)
            list[count++] = (coding){levels, false};
    }
    for (int i = 1; i < count; i++) {
        for (int j = i; j > 0 && coded_bytes(layer, list[j]) < coded_bytes(layer, list[j - 1]); j--) {
            coding swap = list[j];
            list[j] = list[j - 1];
            list[j - 1] = swap;
        }
    }
    return count;
}

static mary_status code_automatically(mary_layer *layer, const coder *with, mary_quantized *quantized)
{
    int wanted = layer->settings.levels;
    coding own = {wanted, false};
    bool own_pays = pays(layer, own);
    if (own_pays && mary_codes_bits(wanted) < 8)
        return code(with, own, quantized);
    coding list[8];
    int count = alternatives(layer, wanted, list);
    for (int i = 0; i < count; i++) {
        if (!pays(layer, list[i]) || (own_pays && coded_bytes(layer, own) <= coded_bytes(layer, list[i])))
            continue;
        MARY_TRY(code(with, list[i], quantized));
        if (quantized->row_error <= tolerated_error(wanted)) {
            if (list[i].levels != wanted)
                return mary_layer_say(&layer->note, "M = %d instead of %d: rows of %lld weights do not pay for more",
                                      list[i].levels, wanted, (long long)layer->layout.row_length);
            return MARY_OK;
        }
        mary_quantized_free(quantized);
    }
    if (own_pays)
        return code(with, own, quantized);
    return mary_layer_say(&layer->reason, "coding does not pay: rows of %lld weights",
                          (long long)layer->layout.row_length);
}

mary_status mary_layer_quantize(mary_layer *layer, const float *matrix, const mary_feedback *feedback, int threads,
                                uint64_t seed, mary_quantized *quantized)
{
    coder with = {layer, matrix, feedback, threads, seed};
    *quantized = (mary_quantized){0};
    if (layer->settings.granularity == MARY_GRANULARITY_AUTO) {
        mary_status status = code_automatically(layer, &with, quantized);
        if (status != MARY_OK)
            mary_quantized_free(quantized);
        return status;
    }
    coding asked = {layer->settings.levels, layer->settings.granularity != MARY_GRANULARITY_CHANNEL};
    if (layer->given != NULL)
        return code(&with, asked, quantized);
    if (!pays(layer, asked))
        return mary_layer_say(&layer->reason, "coding does not pay: %s levels for %lld rows of %lld weights",
                              asked.shared ? "shared" : "a row's own", (long long)layer->layout.rows,
                              (long long)layer->layout.row_length);
    return code(&with, asked, quantized);
}
