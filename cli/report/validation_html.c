/* The outcome of a validation as one HTML file that needs nothing else: no scripts, no network. */
#include <math.h>

#include "cli/report/html.h"

static const char style[] =
    ":root{--bg:#fff;--card:#f5f6f8;--text:#1b1f24;--muted:#5d6673;--line:#d9dde3;--bins:#9db8dd;--level:#d2541b;"
    "--threshold:#5d6673;--after:#2f6fc4;--before:#b9c0ca;--good:#2f8f5b;--bad:#c0362c}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1e2329;--text:#e4e7eb;--muted:#98a2b0;--line:#343b44;"
    "--bins:#3f6291;--level:#ff9458;--threshold:#98a2b0;--after:#6aa5f2;--before:#4b5562;--good:#5cc48c;--bad:#ff7a6e}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:72rem;background:var(--bg);color:var(--text);"
    "font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:1.5rem;line-height:1.3;margin:0 0 .3rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2.2rem 0 "
    ".6rem}"
    "p{margin:.3rem 0;max-width:60rem}.muted{color:var(--muted)}.arrow{color:var(--muted);font-weight:400}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.7rem;margin:1.2rem 0}"
    ".card{background:var(--card);border-radius:.5rem;padding:.7rem .9rem}.card b{display:block;font-size:1.45rem;"
    "font-weight:600;line-height:1.3}.card span{color:var(--muted);font-size:.85rem}"
    ".good{color:var(--good)}.bad{color:var(--bad)}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{padding:.3rem .5rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}"
    "th{color:var(--muted);font-weight:500;font-size:.85rem;vertical-align:bottom}"
    "th.t,td.t{text-align:left}td.name{max-width:18rem;overflow:hidden;text-overflow:ellipsis}"
    ".bar{display:block;width:5rem;height:.45rem;margin:.12rem 0;background:var(--card);border-radius:.2rem}"
    ".bar i{display:block;height:100%;min-width:1px;border-radius:.2rem}"
    ".before i{background:var(--before)}.after i{background:var(--after)}.sqnr i{background:var(--good)}"
    ".layers{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr));gap:1rem}"
    "figure{margin:0;background:var(--card);border-radius:.5rem;padding:.7rem .9rem}figcaption{overflow-wrap:anywhere;"
    "font-size:.9rem}svg{display:block;width:100%;height:auto;margin-top:.4rem}"
    "svg text{fill:var(--muted);font:15px system-ui,sans-serif}.bins{fill:var(--bins)}"
    ".axis{stroke:var(--muted);stroke-width:1;fill:none}"
    ".threshold{stroke:var(--threshold);stroke-width:1;stroke-dasharray:3 "
    "3}.level{stroke:var(--level);stroke-width:1.6}"
    ".spread{fill:var(--level);opacity:.35}.dot{fill:var(--level)}"
    ".keys span{white-space:nowrap}.keys i{display:inline-block;width:1.1rem;height:0;border-top:2px solid "
    "var(--level);vertical-align:middle;margin:0 "
    ".3rem}"
    ".keys .dashed{border-top:1px dashed var(--threshold)}.keys .box{height:.6rem;border:0;background:var(--bins)}"
    ".keys .range{height:.4rem;border:0;border-radius:.2rem;background:var(--level);opacity:.35}"
    "code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}";

static void card(FILE *file, const char *class, const char *value, const char *label)
{
    fprintf(file, "<div class=\"card\"><b class=\"%s\">", class);
    mary_html_text(file, value);
    fputs("</b><span>", file);
    mary_html_text(file, label);
    fputs("</span></div>", file);
}

/* "26.3", or words where there is no number. */
static const char *decibel(double value, char *text, size_t size)
{
    if (isnan(value))
        snprintf(text, size, "–");
    else if (isinf(value))
        snprintf(text, size, value > 0 ? "exact" : "−∞");
    else
        snprintf(text, size, "%.1f", value);
    return text;
}

static void write_header(FILE *file, const mary_validation *validation)
{
    fputs("<header><h1>", file);
    for (int m = 0; m < validation->model_count; m++) {
        if (m == 1)
            fputs(" <span class=\"arrow\">→</span> ", file);
        mary_html_text(file, mary_cli_base_name(validation->models[m].path));
    }
    fprintf(file, "</h1><p class=\"muted\">mary %s · %llu samples: <code>", mary_version(),
            (unsigned long long)validation->samples);
    mary_html_text(file, validation->data);
    fputs("</code></p></header>", file);
}

static void write_cards(FILE *file, const mary_validation *validation)
{
    char value[64], label[128], before[32], after[32];
    const mary_validated_model *models = validation->models;
    const mary_accuracy *a = &models[0].accuracy, *b = &models[validation->model_count - 1].accuracy;
    bool two = validation->model_count == 2;
    fputs("<div class=\"cards\">", file);
    if (two) {
        snprintf(value, sizeof value, "%.2f×", (double)models[0].bytes / (double)models[1].bytes);
        snprintf(label, sizeof label, "smaller: %s → %s",
                 mary_cli_format_bytes((double)models[0].bytes, before, sizeof before),
                 mary_cli_format_bytes((double)models[1].bytes, after, sizeof after));
        card(file, "", value, label);
    }
    if (validation->labelled) {
        snprintf(value, sizeof value, "%.2f %%", mary_percent(b->top1, b->samples));
        if (two)
            snprintf(label, sizeof label, "top-1 (was %.2f %%, %+.2f points)", mary_percent(a->top1, a->samples),
                     mary_validation_change(validation));
        else
            snprintf(label, sizeof label, "top-1");
        card(file, validation->max_drop < 0 ? "" : mary_validation_missed(validation) ? "bad" : "good", value, label);
        snprintf(value, sizeof value, "%.2f %%", mary_percent(b->top5, b->samples));
        if (two)
            snprintf(label, sizeof label, "top-5 (was %.2f %%)", mary_percent(a->top5, a->samples));
        else
            snprintf(label, sizeof label, "top-5");
        card(file, "", value, label);
    }
    if (two && validation->scored) {
        snprintf(value, sizeof value, "%.2f %%", mary_percent(validation->agreement, validation->samples));
        card(file, "", value, "agreement: same best class");
    }
    if (two && validation->output_count > 0) {
        double sqnr = mary_similarity_sqnr(&validation->outputs[0].similarity);
        snprintf(value, sizeof value, "%s%s", decibel(sqnr, before, sizeof before), isfinite(sqnr) ? " dB" : "");
        snprintf(label, sizeof label, "SQNR of the output, cosine %.5f",
                 mary_similarity_cosine(&validation->outputs[0].similarity));
        card(file, "", value, label);
    }
    fputs("</div>", file);
    if (validation->max_drop >= 0)
        fprintf(file, "<p class=\"%s\">--max-drop %g points: %s (%+.2f)</p>",
                mary_validation_missed(validation) ? "bad" : "good", validation->max_drop,
                mary_validation_missed(validation) ? "missed" : "kept", mary_validation_change(validation));
}

static void write_models(FILE *file, const mary_validation *validation)
{
    char text[32];
    fputs("<h2>Models</h2><div class=\"wide\"><table><tr><th class=\"t\">model<th>bytes", file);
    if (validation->labelled)
        fputs("<th>top-1 %<th>top-5 %<th>NaN samples", file);
    fputs("<th>ms per sample<th>start-up ms<th>peak memory</tr>", file);
    for (int m = 0; m < validation->model_count; m++) {
        const mary_validated_model *model = &validation->models[m];
        const mary_accuracy *accuracy = &model->accuracy;
        fputs("<tr><td class=\"t name\">", file);
        mary_html_text(file, model->path);
        fprintf(file, "<td>%llu", (unsigned long long)model->bytes);
        if (validation->labelled)
            fprintf(file, "<td>%.2f<td>%.2f<td>%llu", mary_percent(accuracy->top1, accuracy->samples),
                    mary_percent(accuracy->top5, accuracy->samples), (unsigned long long)accuracy->not_a_number);
        fprintf(file, "<td>%.3f<td>%.1f<td>%s</tr>",
                model->timed_samples > 0 ? model->run_seconds * 1e3 / (double)model->timed_samples : 0,
                model->create_seconds * 1e3,
                model->peak > 0 ? mary_cli_format_bytes((double)model->peak, text, sizeof text) : "–");
    }
    fprintf(file,
            "</table></div><p class=\"muted\">Timed while validating, %lld samples in a run; <code>mary bench</code> "
            "measures more carefully. Memory is that of a process that only runs the model once.</p>",
            (long long)validation->rows);
}

static void write_outputs(FILE *file, const mary_validation *validation)
{
    char text[32];
    if (validation->output_count == 0)
        return;
    fputs("<h2>Outputs</h2><div class=\"wide\"><table><tr><th class=\"t\">output<th>cosine<th>SQNR dB"
          "<th>largest difference<th>not finite</tr>",
          file);
    for (int i = 0; i < validation->output_count; i++) {
        const mary_similarity *similarity = &validation->outputs[i].similarity;
        fputs("<tr><td class=\"t name\">", file);
        mary_html_text(file, validation->outputs[i].name);
        fprintf(file, "<td>%.6f<td>%s<td>%.4g<td>%llu</tr>", mary_similarity_cosine(similarity),
                decibel(mary_similarity_sqnr(similarity), text, sizeof text), similarity->max_abs,
                (unsigned long long)similarity->not_finite);
    }
    fputs("</table></div>", file);
}

static void write_layer_row(FILE *file, const mary_compared_layer *layer, double largest, double best)
{
    char text[32];
    fputs("<tr><td class=\"t name\" title=\"", file);
    mary_html_text(file, layer->node);
    fputs("\">", file);
    mary_html_text(file, layer->node);
    fputs("<td class=\"t\">", file);
    mary_html_text(file, layer->op);
    if (layer->mary)
        fprintf(file, "<td>%d<td>%d", layer->levels, layer->bits);
    else
        fputs("<td>float<td>–", file);
    fprintf(file, "<td>%llu", (unsigned long long)layer->weights);
    fprintf(file, "<td>%s", mary_cli_format_bytes((double)layer->bytes_before, text, sizeof text));
    fprintf(file, "<td>%s<td>",
            layer->shared ? "shared" : mary_cli_format_bytes((double)layer->bytes_after, text, sizeof text));
    mary_svg_bar(file, largest > 0 ? (double)layer->bytes_before / largest : 0, "before");
    mary_svg_bar(file, largest > 0 ? (double)layer->bytes_after / largest : 0, "after");
    double sqnr = layer->measured ? mary_similarity_sqnr(&layer->similarity) : NAN;
    fprintf(file, "<td>%s<td>", decibel(sqnr, text, sizeof text));
    if (!isnan(sqnr))
        mary_svg_bar(file, isinf(sqnr) ? sqnr > 0 : best > 0 ? sqnr / best : 0, "sqnr");
    fputs("</tr>\n", file);
}

static void write_layers(FILE *file, const mary_validation *validation)
{
    double largest = 0, best = 0, before = 0, after = 0;
    bool measured = validation->layer_samples > 0;
    if (validation->layer_count == 0)
        return;
    for (size_t i = 0; i < validation->layer_count; i++) {
        const mary_compared_layer *layer = &validation->layers[i];
        double sqnr = layer->measured ? mary_similarity_sqnr(&layer->similarity) : 0;
        largest = fmax(largest, (double)layer->bytes_before);
        best = isfinite(sqnr) ? fmax(best, sqnr) : best;
        before += (double)layer->bytes_before;
        after += (double)layer->bytes_after;
    }
    char text[32], other[32];
    fprintf(file, "<h2>Layers</h2><p class=\"muted\">Weights: %s before, %s after.",
            mary_cli_format_bytes(before, text, sizeof text), mary_cli_format_bytes(after, other, sizeof other));
    if (measured)
        fprintf(
            file,
            " SQNR is that of each layer's output when both models see the same %llu samples: it holds the error of "
            "the layers before it, too.",
            (unsigned long long)validation->layer_samples);
    fputs("</p><div class=\"wide\"><table><tr><th class=\"t\">layer<th class=\"t\">operator<th>M<th>bits<th>weights"
          "<th>before<th>after<th class=\"t\">bytes<th>SQNR dB<th></tr>\n",
          file);
    for (size_t i = 0; i < validation->layer_count; i++)
        write_layer_row(file, &validation->layers[i], largest, best);
    fputs("</table></div>", file);
}

static void write_histograms(FILE *file, const mary_validation *validation)
{
    bool any = false;
    for (size_t i = 0; i < validation->layer_count; i++)
        any |= validation->layers[i].histogram;
    if (!any)
        return;
    fputs("<h2>Weights and levels</h2><p class=\"muted keys\"><span><i class=\"box\"></i>float weights</span> "
          "<span><i></i>level (mean over the rows)</span> <span><i class=\"range\"></i>from the smallest row to the "
          "largest</span> "
          "<span><i class=\"dashed\"></i>threshold</span></p><div class=\"layers\">",
          file);
    for (size_t i = 0; i < validation->layer_count; i++) {
        const mary_compared_layer *layer = &validation->layers[i];
        if (!layer->histogram)
            continue;
        fputs("<figure><figcaption><b>", file);
        mary_html_text(file, layer->node);
        fputs("</b> <span class=\"muted\">", file);
        if (layer->mary && layer->per_row)
            fprintf(file, "M = %d, %lld rows with levels of their own", layer->levels, (long long)layer->rows);
        else if (layer->mary)
            fprintf(file, "M = %d, one set of levels", layer->levels);
        else
            fputs("stays float", file);
        fputs("</span></figcaption>", file);
        mary_svg_histogram(file, layer);
        fputs("</figure>\n", file);
    }
    fputs("</div>", file);
}

mary_status mary_validation_write_html(const mary_validation *validation, const char *path)
{
    mary_output output;
    MARY_TRY(mary_output_open(&output, path));
    FILE *file = output.file;
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
          "content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light "
          "dark\"><title>mary: ",
          file);
    mary_html_text(file, mary_cli_base_name(validation->models[validation->model_count - 1].path));
    fprintf(file, "</title><style>%s</style></head>\n<body>", style);
    write_header(file, validation);
    write_cards(file, validation);
    write_models(file, validation);
    write_outputs(file, validation);
    write_layers(file, validation);
    write_histograms(file, validation);
    fputs("</body></html>\n", file);
    return mary_output_commit(&output);
}
