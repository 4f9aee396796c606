// The same as custom_ops_c.c in C++, with ONNX Runtime's own C++ interface: custom_ops_cpp LIBONNXRUNTIME PLUGIN MODEL INPUT DIMS X.raw Y.raw
#define ORT_API_MANUAL_INIT // the library is loaded by hand only because tests have none to link with
#include <dlfcn.h>
#include <onnxruntime_cxx_api.h>

#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

static int run(char **argv)
{
    Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "mary");
    Ort::SessionOptions options;
    options.AddConfigEntry("mary.operators", "all");
    options.RegisterCustomOpsLibrary(argv[2]);
    Ort::Session session(env, argv[3], options);

    std::vector<int64_t> dims;
    std::stringstream list(argv[5]);
    size_t count = 1;
    for (std::string dim; std::getline(list, dim, ',');) {
        dims.push_back(std::stoll(dim));
        count *= static_cast<size_t>(dims.back());
    }
    std::vector<float> x(count);
    const auto bytes = static_cast<std::streamsize>(count * sizeof(float));
    if (!std::ifstream(argv[6], std::ios::binary).read(reinterpret_cast<char *>(x.data()), bytes))
        throw std::runtime_error("cannot read the input");

    Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    Ort::Value input = Ort::Value::CreateTensor<float>(memory, x.data(), x.size(), dims.data(), dims.size());
    Ort::AllocatorWithDefaultOptions allocator;
    const auto name = session.GetOutputNameAllocated(0, allocator);
    const char *inputs[] = {argv[4]}, *outputs[] = {name.get()};
    auto results = session.Run(Ort::RunOptions(), inputs, &input, 1, outputs, 1);
    const size_t size = results[0].GetTensorTypeAndShapeInfo().GetElementCount() * sizeof(float);
    std::ofstream file(argv[7], std::ios::binary);
    file.write(reinterpret_cast<const char *>(results[0].GetTensorData<float>()), static_cast<std::streamsize>(size));
    file.close();
    if (!file)
        throw std::runtime_error("cannot write the output");
    return 0;
}

int main(int argc, char **argv)
{
    void *library = argc == 8 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
    auto *get = library != nullptr ? reinterpret_cast<const OrtApiBase *(*)()>(dlsym(library, "OrtGetApiBase")) : nullptr;
    if (get == nullptr) {
        std::cerr << "usage: custom_ops_cpp LIBONNXRUNTIME PLUGIN MODEL INPUT DIMS X.raw Y.raw\n";
        return 1;
    }
    Ort::InitApi(get()->GetApi(ORT_API_VERSION));
    try {
        return run(argv);
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
