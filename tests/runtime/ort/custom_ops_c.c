/* A C program that uses the plugin: custom_ops_c LIBONNXRUNTIME PLUGIN MODEL INPUT DIMS X.raw Y.raw. Runs the model
 * once on the float values of X.raw, DIMS being its shape as 1,3,4, and writes its first output to Y.raw. The library
 * is loaded by hand only because tests have none to link with. */
#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>

static const OrtApi *api;

static void check(OrtStatus *status)
{
    if (status == NULL)
        return;
    fprintf(stderr, "%s\n", api->GetErrorMessage(status));
    api->ReleaseStatus(status);
    exit(1);
}

static void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

int main(int argc, char **argv)
{
    require(argc == 8, "usage: custom_ops_c LIBONNXRUNTIME PLUGIN MODEL INPUT DIMS X.raw Y.raw");
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    require(library != NULL, "cannot load the library");
    const OrtApiBase *(*get)(void) = (const OrtApiBase *(*)(void))dlsym(library, "OrtGetApiBase");
    require(get != NULL, "the library is not ONNX Runtime's");
    api = get()->GetApi(17);
    require(api != NULL, "ONNX Runtime is too old");

    OrtEnv *env;
    OrtSessionOptions *options;
    OrtSession *session;
    check(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "mary", &env));
    check(api->CreateSessionOptions(&options));
    check(api->AddSessionConfigEntry(options, "mary.operators", "all"));
    check(api->RegisterCustomOpsLibrary_V2(options, argv[2]));
    check(api->CreateSession(env, argv[3], options, &session));

    int64_t dims[8];
    size_t rank = 0, count = 1;
    for (char *at = argv[5]; rank < 8 && *at != '\0'; rank++) {
        dims[rank] = strtoll(at, &at, 10);
        count *= (size_t)dims[rank];
        at += *at == ',';
    }
    float *x = malloc(count * sizeof *x);
    FILE *file = fopen(argv[6], "rb");
    require(x != NULL && file != NULL && fread(x, sizeof *x, count, file) == count, "cannot read the input");
    fclose(file);

    OrtMemoryInfo *memory;
    OrtValue *input, *output = NULL;
    OrtAllocator *allocator;
    char *output_name;
    check(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    check(api->CreateTensorWithDataAsOrtValue(memory, x, count * sizeof *x, dims, rank,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
    check(api->GetAllocatorWithDefaultOptions(&allocator));
    check(api->SessionGetOutputName(session, 0, allocator, &output_name));
    check(api->Run(session, NULL, (const char *const[]){argv[4]}, (const OrtValue *const[]){input}, 1,
                   (const char *const[]){output_name}, 1, &output));

    OrtTensorTypeAndShapeInfo *info;
    void *y;
    check(api->GetTensorTypeAndShape(output, &info));
    check(api->GetTensorShapeElementCount(info, &count));
    check(api->GetTensorMutableData(output, &y));
    file = fopen(argv[7], "wb");
    require(file != NULL && fwrite(y, sizeof(float), count, file) == count && fclose(file) == 0,
            "cannot write the output");

    api->ReleaseTensorTypeAndShapeInfo(info);
    api->ReleaseValue(output);
    api->ReleaseValue(input);
    api->ReleaseMemoryInfo(memory);
    check(api->AllocatorFree(allocator, output_name));
    api->ReleaseSession(session);
    api->ReleaseSessionOptions(options);
    api->ReleaseEnv(env);
    free(x);
    return 0;
}
