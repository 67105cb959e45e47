#include "session.h"

#include <algorithm>
#include <functional>
#include <stdexcept>

#include "../phonemo.h"

namespace phonemo {
namespace {

// Values that are released at the end of a scope.
class Values {
 public:
  Values(const Library& library, std::size_t count) : library_(library), all(count, nullptr) {}
  ~Values() {
    for (ort::Value* value : all) {
      if (value != nullptr) library_.call<ort::kReleaseValue>()(value);
    }
  }
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;

 private:
  const Library& library_;

 public:
  std::vector<ort::Value*> all;
};

std::vector<std::int64_t> shape_of(const Library& library, const ort::TensorInfo* info) {
  std::size_t axes = 0;
  library.run<ort::kGetDimensionsCount>(info, &axes);
  std::vector<std::int64_t> shape(axes);
  library.run<ort::kGetDimensions>(info, shape.data(), axes);
  return shape;
}

template <ort::Place get_type>
std::vector<std::int64_t> declared_shape(const Library& library, const ort::Session* session, std::size_t at) {
  ort::TypeInfo* type = nullptr;
  library.run<get_type>(session, at, &type);
  const std::unique_ptr<ort::TypeInfo, void (*)(ort::TypeInfo*)> owner(type, library.call<ort::kReleaseTypeInfo>());
  const ort::TensorInfo* info = nullptr;
  library.run<ort::kCastTypeInfoToTensorInfo>(static_cast<const ort::TypeInfo*>(type), &info);
  return info == nullptr ? std::vector<std::int64_t>{} : shape_of(library, info);
}

template <ort::Place get_name>
std::string declared_name(const Library& library, const ort::Session* session, std::size_t at) {
  ort::Allocator* allocator = nullptr;
  library.run<ort::kGetAllocatorWithDefaultOptions>(&allocator);
  char* text = nullptr;
  library.run<get_name>(session, at, allocator, &text);
  std::string name = text;
  library.run<ort::kAllocatorFree>(allocator, static_cast<void*>(text));
  return name;
}

void set_options(const Library& library, ort::SessionOptions* options, int threads, bool is_optimized) {
  library.run<ort::kSetSessionLogSeverityLevel>(options, int{ort::kFatal});
  library.run<ort::kDisableMemPattern>(options);  // it would store a plan for every input length
  // weights outside the file would be looked up in the working folder
  library.run<ort::kAddSessionConfigEntry>(
      options, "session.model_external_initializers_file_folder_path", "/dev/null");
  if (!is_optimized) library.run<ort::kSetGraphOptimizationLevel>(options, 0);
  if (threads > 0) library.run<ort::kSetIntraOpNumThreads>(options, threads);
}

}  // namespace

Session::Session(const Library& library, std::string_view model, int threads, bool is_optimized)
    : library_(library) {
  try {
    ort::SessionOptions* options = nullptr;
    library.run<ort::kCreateSessionOptions>(&options);
    const std::unique_ptr<ort::SessionOptions, void (*)(ort::SessionOptions*)> owner(
        options, library.call<ort::kReleaseSessionOptions>());
    set_options(library, options, threads, is_optimized);
    library.run<ort::kCreateSessionFromArray>(library.environment(), static_cast<const void*>(model.data()),
                                              model.size(), static_cast<const ort::SessionOptions*>(options),
                                              &session_);
    read_names();
  } catch (const std::runtime_error& error) {
    if (session_ != nullptr) library.call<ort::kReleaseSession>()(session_);
    throw Error("CheckpointError", "onnxruntime " + library.version() + " cannot open the network (" +
                                       error.what() + "); update onnxruntime, or export the model again");
  }
}

Session::~Session() { library_.call<ort::kReleaseSession>()(session_); }

void Session::read_names() {
  const ort::Session* session = session_;
  std::size_t count = 0;
  library_.run<ort::kSessionGetInputCount>(session, &count);
  for (std::size_t at = 0; at < count; ++at) {
    inputs_[declared_name<ort::kSessionGetInputName>(library_, session, at)] =
        declared_shape<ort::kSessionGetInputTypeInfo>(library_, session, at);
  }
  library_.run<ort::kSessionGetOutputCount>(session, &count);
  for (std::size_t at = 0; at < count; ++at) {
    outputs_[declared_name<ort::kSessionGetOutputName>(library_, session, at)] =
        declared_shape<ort::kSessionGetOutputTypeInfo>(library_, session, at);
  }
}

std::vector<Tensor> Session::run(std::vector<Feed>& feeds, const std::vector<const char*>& names,
                                 const std::string& size) const {
  try {
    Values inputs(library_, feeds.size()), outputs(library_, names.size());
    std::vector<const char*> input_names;
    for (std::size_t at = 0; at < feeds.size(); ++at) {
      Feed& feed = feeds[at];
      input_names.push_back(feed.name);
      library_.run<ort::kCreateTensorWithData>(library_.memory(), feed.data, feed.bytes,
                                               static_cast<const std::int64_t*>(feed.shape.data()),
                                               feed.shape.size(), int{feed.type}, &inputs.all[at]);
    }
    const std::vector<const ort::Value*> given(inputs.all.begin(), inputs.all.end());
    library_.run<ort::kRun>(session_, static_cast<const ort::RunOptions*>(nullptr), input_names.data(),
                            given.data(), given.size(), names.data(), names.size(), outputs.all.data());
    std::vector<Tensor> tensors;
    for (ort::Value* value : outputs.all) tensors.push_back(tensor_of(value));
    return tensors;
  } catch (const std::runtime_error& error) {
    throw Error("ModelError", "onnxruntime fails on " + size + " (" + error.what() +
                                  "); free memory, or export the model again");
  }
}

Tensor Session::tensor_of(ort::Value* value) const {
  ort::TensorInfo* info = nullptr;
  library_.run<ort::kGetTensorTypeAndShape>(static_cast<const ort::Value*>(value), &info);
  const std::unique_ptr<ort::TensorInfo, void (*)(ort::TensorInfo*)> owner(
      info, library_.call<ort::kReleaseTensorInfo>());
  Tensor tensor;
  tensor.shape = shape_of(library_, info);
  int type = 0;
  library_.run<ort::kGetTensorElementType>(static_cast<const ort::TensorInfo*>(info), &type);
  void* data = nullptr;
  library_.run<ort::kGetTensorMutableData>(value, &data);
  std::size_t count = 1;
  for (const std::int64_t axis : tensor.shape) count *= static_cast<std::size_t>(axis);
  if (type == ort::kFloat) {
    tensor.floats.assign(static_cast<float*>(data), static_cast<float*>(data) + count);
  } else if (type == ort::kInt64) {
    const auto* first = static_cast<std::int64_t*>(data);
    tensor.wholes.assign(first, first + count);
  } else {
    throw std::runtime_error("an output of an unexpected type");
  }
  return tensor;
}

}  // namespace phonemo
