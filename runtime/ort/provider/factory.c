/* What ONNX Runtime finds in the library: a factory of execution providers. */
#include "runtime/ort/provider/provider.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct factory {
    OrtEpFactory base; /* first: ONNX Runtime holds a pointer to it */
    const OrtApi *api;
    const OrtEpApi *ep_api;
    bool one_round; /* see mary_ort_provider */
} factory;

#define ENTRY __attribute__((visibility("default")))

/* ---- a provider ---- */

static const char *ORT_API_CALL provider_name(const OrtEp *self)
{
    (void)self;
    return MARY_ORT_PROVIDER_NAME;
}

/* The value of a session's option; "" where it is not set, cut to `size`. */
static mary_status read_option(const OrtApi *api, const OrtSessionOptions *session, const char *key, char *value,
                               size_t size)
{
    int there = 0;
    value[0] = '\0';
    MARY_TRY(mary_ort_take(api, api->HasSessionConfigEntry(session, key, &there)));
    return there ? mary_ort_take(api, api->GetSessionConfigEntry(session, key, value, &size)) : MARY_OK;
}

static mary_status read_options(const OrtApi *api, const OrtSessionOptions *session, mary_ort_options *options)
{
    char text[256], *end;
    *options = (mary_ort_options){0};
    MARY_TRY(read_option(api, session, "ep.context_enable", text, sizeof text));
    if (strcmp(text, "1") == 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "compiled models (ep.context_enable) are not supported: the model "
                                                 "itself is the small file, and is packed when it is loaded");
    MARY_TRY(read_option(api, session, "ep.maryexecutionprovider.claim", text, sizeof text));
    options->claim_all = strcmp(text, "all") == 0;
    if (text[0] != '\0' && !options->claim_all && strcmp(text, "coded") != 0)
        return mary_fail(MARY_ERROR_USAGE, "option claim is '%s', it must be 'coded' or 'all'", text);
    MARY_TRY(read_option(api, session, "ep.maryexecutionprovider.threads", text, sizeof text));
    long threads = strtol(text, &end, 10);
    if (*end != '\0' || threads < 0 || threads > 256)
        return mary_fail(MARY_ERROR_USAGE, "option threads is '%s', it must be from 0 to 256", text);
    options->threads = (int)threads;
    return MARY_OK;
}

static OrtStatus *ORT_API_CALL create_provider(OrtEpFactory *self, const OrtHardwareDevice *const *devices,
                                               const OrtKeyValuePairs *const *metadata, size_t device_count,
                                               const OrtSessionOptions *session, const OrtLogger *logger,
                                               OrtEp **result)
{
    const factory *f = (const factory *)self; /* its first member */
    (void)devices;
    (void)metadata;
    (void)logger;
    *result = NULL;
    if (device_count != 1)
        return f->api->CreateStatus(ORT_INVALID_ARGUMENT, MARY_ORT_PROVIDER_NAME ": runs on one device, the processor");
    mary_ort_options options;
    mary_status status = read_options(f->api, session, &options);
    mary_ort_provider *provider = status == MARY_OK ? mary_calloc(1, sizeof *provider) : NULL;
    if (status == MARY_OK && provider == NULL)
        status = mary_fail_memory(sizeof *provider);
    if (status != MARY_OK)
        return mary_ort_status(f->api, mary_fail_context(status, MARY_ORT_PROVIDER_NAME));
    *provider = (mary_ort_provider){.base = {.ort_version_supported = MARY_ORT_API_VERSION,
                                             .GetName = provider_name,
                                             .GetCapability = mary_ort_get_capability,
                                             .Compile = mary_ort_compile,
                                             .ReleaseNodeComputeInfos = mary_ort_release_infos},
                                    .api = f->api,
                                    .ep_api = f->ep_api,
                                    .options = options,
                                    .one_round = f->one_round};
    *result = &provider->base;
    return NULL;
}

static void ORT_API_CALL release_provider(OrtEpFactory *self, OrtEp *provider)
{
    (void)self;
    mary_free(provider);
}

/* ---- the factory ---- */

static const char *ORT_API_CALL factory_name(const OrtEpFactory *self)
{
    (void)self;
    return MARY_ORT_PROVIDER_NAME;
}

static const char *ORT_API_CALL factory_vendor(const OrtEpFactory *self)
{
    (void)self;
    return "mary";
}

static uint32_t ORT_API_CALL factory_vendor_id(const OrtEpFactory *self)
{
    (void)self;
    return 0; /* no vendor of hardware */
}

static const char *ORT_API_CALL factory_version(const OrtEpFactory *self)
{
    (void)self;
    return MARY_VERSION;
}

static OrtStatus *ORT_API_CALL supported_devices(OrtEpFactory *self, const OrtHardwareDevice *const *devices,
                                                 size_t device_count, OrtEpDevice **ep_devices, size_t most,
                                                 size_t *count)
{
    factory *f = (factory *)self; /* its first member */
    *count = 0;
    for (size_t i = 0; i < device_count && *count < most; i++) {
        if (f->api->HardwareDevice_Type(devices[i]) != OrtHardwareDeviceType_CPU)
            continue;
        OrtStatus *failure = f->ep_api->CreateEpDevice(self, devices[i], NULL, NULL, &ep_devices[*count]);
        if (failure != NULL)
            return failure;
        (*count)++;
        break; /* sockets are not told apart */
    }
    return NULL;
}

/* Memory is ONNX Runtime's own, of the processor: no allocators, nothing to transfer, no streams. */
static OrtStatus *ORT_API_CALL no_allocator(OrtEpFactory *self, const OrtMemoryInfo *memory,
                                            const OrtKeyValuePairs *options, OrtAllocator **allocator)
{
    (void)self;
    (void)memory;
    (void)options;
    *allocator = NULL;
    return NULL;
}

static void ORT_API_CALL release_no_allocator(OrtEpFactory *self, OrtAllocator *allocator)
{
    (void)self;
    (void)allocator;
}

static OrtStatus *ORT_API_CALL no_data_transfer(OrtEpFactory *self, OrtDataTransferImpl **transfer)
{
    (void)self;
    *transfer = NULL;
    return NULL;
}

static bool ORT_API_CALL is_stream_aware(const OrtEpFactory *self)
{
    (void)self;
    return false;
}

/* 23 for "1.23.2". */
static int minor_version(const OrtApiBase *base)
{
    int major = 0, minor = 0;
    return sscanf(base->GetVersionString(), "%d.%d", &major, &minor) == 2 && major == 1 ? minor : INT_MAX;
}

ENTRY OrtStatus *CreateEpFactories(const char *registered_name, const OrtApiBase *base, const OrtLogger *logger,
                                   OrtEpFactory **factories, size_t most, size_t *count);
ENTRY OrtStatus *ReleaseEpFactory(OrtEpFactory *factory);

OrtStatus *CreateEpFactories(const char *registered_name, const OrtApiBase *base, const OrtLogger *logger,
                             OrtEpFactory **factories, size_t most, size_t *count)
{
    (void)registered_name;
    (void)logger;
    *count = 0;
    const OrtApi *api = base->GetApi(MARY_ORT_API_VERSION);
    if (api == NULL) { /* the oldest API has the same way of making a status */
        const OrtApi *old = base->GetApi(1);
        return old != NULL ? old->CreateStatus(ORT_NOT_IMPLEMENTED,
                                               MARY_ORT_PROVIDER_NAME ": ONNX Runtime 1.23 or later is needed")
                           : NULL;
    }
    if (most < 1)
        return api->CreateStatus(ORT_INVALID_ARGUMENT, MARY_ORT_PROVIDER_NAME ": there is no room for a factory");
    factory *f = mary_calloc(1, sizeof *f);
    if (f == NULL)
        return mary_ort_status(api, mary_fail_memory(sizeof *f));
    *f = (factory){.base = {.ort_version_supported = MARY_ORT_API_VERSION,
                            .GetName = factory_name,
                            .GetVendor = factory_vendor,
                            .GetVendorId = factory_vendor_id,
                            .GetVersion = factory_version,
                            .GetSupportedDevices = supported_devices,
                            .CreateEp = create_provider,
                            .ReleaseEp = release_provider,
                            .CreateAllocator = no_allocator,
                            .ReleaseAllocator = release_no_allocator,
                            .CreateDataTransfer = no_data_transfer,
                            .IsStreamAware = is_stream_aware},
                   .api = api,
                   .ep_api = api->GetEpApi(),
                   .one_round = minor_version(base) < 25};
    factories[0] = &f->base;
    *count = 1;
    return NULL;
}

OrtStatus *ReleaseEpFactory(OrtEpFactory *self)
{
    mary_free(self);
    return NULL;
}
