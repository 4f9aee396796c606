/* Which layers' weights count by the curvature of the loss, and what to do where it cannot be had. */
#include "convert/calibrate/curvature.h"
#include "convert/conversion.h"

/* Methods that choose codes by the layer's inputs have a Hessian of their own. */
static bool asks(const mary_settings *settings, const mary_layer *layer, bool calibrated)
{
    const mary_quantize_method *method = layer->settings.method;
    if (method->code != NULL || settings->importance == MARY_IMPORTANCE_NONE)
        return false;
    if (settings->importance != MARY_IMPORTANCE_AUTO || method->weighing == MARY_WEIGHING_REQUIRED)
        return true;
    return method->weighing == MARY_WEIGHING_HESSIAN && calibrated;
}

mary_status mary_conversion_weigh(mary_conversion *c)
{
    const mary_settings *settings = &c->settings;
    const mary_calibration *calibration = settings->options->calibration;
    bool calibrated = calibration != NULL && calibration->count >= 1, any = false, required = false;
    mary_status status = MARY_OK;
    bool *wanted = mary_calloc(c->layers.count + 1, sizeof *wanted);
    if (wanted == NULL)
        return mary_fail_memory(c->layers.count);
    for (size_t i = 0; i < c->layers.count; i++) {
        const mary_layer *layer = &c->layers.items[i];
        const mary_quantize_method *method = layer->settings.method;
        wanted[i] = layer->reason == NULL && asks(settings, layer, calibrated);
        any = any || wanted[i];
        required =
            required ||
            (wanted[i] && (settings->importance != MARY_IMPORTANCE_AUTO || method->weighing == MARY_WEIGHING_REQUIRED));
        if (wanted[i] && !calibrated) {
            status = settings->importance == MARY_IMPORTANCE_AUTO
                         ? mary_fail(MARY_ERROR_USAGE,
                                     "the method '%s' needs calibration data (--calibration-data PATH)", method->name)
                         : mary_fail(MARY_ERROR_USAGE,
                                     "the importance of weights is measured on calibration data (--calibration-data "
                                     "PATH)");
            goto done;
        }
    }
    if (!any)
        goto done;
    status = mary_curvature_measure(c->model, settings, wanted, &c->layers);
    if (status != MARY_ERROR_UNSUPPORTED)
        goto done;
    if (required)
        status = mary_fail_context(status, "the loss has no derivatives (do without them: --importance none)");
    else
        status = mary_convert_report_warn(
            c->report, "all weights count the same, because the loss has no derivatives: %s", mary_error_message());
done:
    mary_free(wanted);
    return status;
}
