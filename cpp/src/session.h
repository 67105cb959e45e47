// A network opened in onnxruntime.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "library.h"

namespace phonemo {

// A tensor of float32 or int64 values.
struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<float> floats;
  std::vector<std::int64_t> wholes;
};

// An input: data that stays with the caller.
struct Feed {
  const char* name;
  void* data;
  std::size_t bytes;
  std::vector<std::int64_t> shape;
  ort::ElementType type;
};

class Session {
 public:
  // Open the content of an ONNX file; CheckpointError where onnxruntime cannot.
  Session(const Library& library, std::string_view model, int threads, bool is_optimized = true);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Names with shapes; an axis of variable length is -1.
  const std::map<std::string, std::vector<std::int64_t>>& inputs() const { return inputs_; }
  const std::map<std::string, std::vector<std::int64_t>>& outputs() const { return outputs_; }

  // Compute outputs; ModelError where onnxruntime fails. Threads may call it at once.
  std::vector<Tensor> run(std::vector<Feed>& feeds, const std::vector<const char*>& names,
                          const std::string& size) const;

 private:
  void read_names();
  Tensor tensor_of(ort::Value* value) const;

  const Library& library_;
  ort::Session* session_ = nullptr;
  std::map<std::string, std::vector<std::int64_t>> inputs_, outputs_;
};

}  // namespace phonemo
