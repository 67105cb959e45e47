// onnxruntime's shared library, opened at run time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "onnxruntime_table.h"

namespace phonemo {

// The opened library with an environment. It stays in the process until it ends.
class Library {
 public:
  // The process's library, opened by the first call; CheckpointError where there is none.
  static const Library& get(const std::string& path);

  template <ort::Place place>
  typename ort::Signature<place>::type call() const {
    return reinterpret_cast<typename ort::Signature<place>::type>(table_[place]);
  }

  // Call a function that returns a status; std::runtime_error with the first line of its message.
  template <ort::Place place, typename... Arguments>
  void run(Arguments... arguments) const {
    check(call<place>()(arguments...));
  }

  const std::string& version() const { return version_; }
  const ort::Env* environment() const { return environment_; }
  const ort::MemoryInfo* memory() const { return memory_; }

 private:
  explicit Library(const std::string& path);
  void check_table() const;
  void check(ort::Status* status) const;

  const void* const* table_ = nullptr;
  std::string version_;
  ort::Env* environment_ = nullptr;
  ort::MemoryInfo* memory_ = nullptr;
};

}  // namespace phonemo
