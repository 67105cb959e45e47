#include "library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "../phonemo.h"
#include "text.h"

#ifndef PHONEMO_ONNXRUNTIME
#define PHONEMO_ONNXRUNTIME ""
#endif

namespace phonemo {
namespace {

constexpr const char* kAdvice =
    "install onnxruntime, or name its library: --onnxruntime FILE, or PHONEMO_ONNXRUNTIME=FILE";

std::vector<std::string> candidates(const std::string& path) {
  if (!path.empty()) return {path};
  const char* chosen = std::getenv("PHONEMO_ONNXRUNTIME");
  if (chosen != nullptr && *chosen != '\0') return {chosen};
  std::vector<std::string> names;
  if (*PHONEMO_ONNXRUNTIME != '\0') names.emplace_back(PHONEMO_ONNXRUNTIME);
#ifdef __APPLE__
  names.insert(names.end(), {"libonnxruntime.1.dylib", "libonnxruntime.dylib"});
#else
  names.insert(names.end(), {"libonnxruntime.so.1", "libonnxruntime.so"});
#endif
  return names;
}

const ort::ApiBase* open_library(const std::string& path) {
  std::string reason = "no library";
  for (const std::string& name : candidates(path)) {
    void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    void* found = handle == nullptr ? nullptr : dlsym(handle, "OrtGetApiBase");
    if (found != nullptr) return reinterpret_cast<const ort::ApiBase* (*)()>(found)();
    const char* error = dlerror();
    reason = error == nullptr ? "it does not export OrtGetApiBase" : error;
  }
  throw Error("CheckpointError", "expected onnxruntime's library (" + safe_name(reason) + "); " + kAdvice);
}

}  // namespace

const Library& Library::get(const std::string& path) {
  static const Library* const library = new Library(path);  // never closed: it owns threads
  return *library;
}

Library::Library(const std::string& path) {
  // Without it, 1.32 stores a device id and an event database in the user's cache folder.
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
  const ort::ApiBase* base = open_library(path);
  version_ = base->version();
  table_ = base->get_api(ort::kApiVersion);
  if (table_ == nullptr || version_.rfind("1.", 0) != 0) {
    throw Error("CheckpointError", "expected onnxruntime 1.5 or later, got " + version_ + "; " + kAdvice);
  }
  check_table();
  try {
    run<ort::kCreateEnv>(int{ort::kFatal}, "phonemo", &environment_);
    run<ort::kDisableTelemetryEvents>(static_cast<const ort::Env*>(environment_));
    run<ort::kCreateCpuMemoryInfo>(int{ort::kArena}, int{ort::kDefaultMemory}, &memory_);
  } catch (const std::runtime_error& error) {
    throw Error("CheckpointError", "onnxruntime " + version_ + " cannot start (" + error.what() + "); free memory");
  }
}

// Whether functions at the ends of the table's first part do what they should.
void Library::check_table() const {
  ort::Status* status = call<ort::kCreateStatus>()(ort::kInvalidGraph, "phonemo");
  const bool is_right = status != nullptr && call<ort::kGetErrorCode>()(status) == ort::kInvalidGraph &&
                        std::strcmp(call<ort::kGetErrorMessage>()(status), "phonemo") == 0;
  if (!is_right) {
    throw Error("CheckpointError", "expected the C API of onnxruntime 1.5 to 1.32, got another in " +
                                       version_ + "; update phonemo");
  }
  call<ort::kReleaseStatus>()(status);
}

void Library::check(ort::Status* status) const {
  if (status == nullptr) return;
  std::string message = call<ort::kGetErrorMessage>()(status);
  call<ort::kReleaseStatus>()(status);
  throw std::runtime_error(message.substr(0, message.find('\n')));
}

}  // namespace phonemo
