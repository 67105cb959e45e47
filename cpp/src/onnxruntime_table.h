// The part of onnxruntime's C API that is used here: a table of functions at fixed places.
//
// onnxruntime keeps the order of the table: new functions are appended (the comments on versions in
// its onnxruntime_c_api.h, and its static assertions on the places of each version's last entry).
// Debian, PyPI and npm have the library without that header, so the places are declared here, and
// Library checks at its start that some of them behave as expected.
#pragma once

#include <cstddef>
#include <cstdint>

namespace phonemo::ort {

struct Status;
struct Env;
struct SessionOptions;
struct Session;
struct RunOptions;
struct MemoryInfo;
struct Value;
struct TypeInfo;
struct TensorInfo;
struct Allocator;

// Places in the table. The last entry of version 1 is 101, of version 2 118, of version 3 124.
enum Place : std::size_t {
  kCreateStatus = 0,
  kGetErrorCode = 1,
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kDisableTelemetryEvents = 6,
  kCreateSessionFromArray = 8,
  kRun = 9,
  kCreateSessionOptions = 10,
  kDisableMemPattern = 17,
  kSetSessionLogSeverityLevel = 22,
  kSetGraphOptimizationLevel = 23,
  kSetIntraOpNumThreads = 24,
  kSessionGetInputCount = 30,
  kSessionGetOutputCount = 31,
  kSessionGetInputTypeInfo = 33,
  kSessionGetOutputTypeInfo = 34,
  kSessionGetInputName = 36,
  kSessionGetOutputName = 37,
  kCreateTensorWithData = 49,
  kGetTensorMutableData = 51,
  kCastTypeInfoToTensorInfo = 55,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kCreateCpuMemoryInfo = 69,
  kAllocatorFree = 76,
  kGetAllocatorWithDefaultOptions = 78,
  kReleaseEnv = 92,
  kReleaseStatus = 93,
  kReleaseMemoryInfo = 94,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseTypeInfo = 98,
  kReleaseTensorInfo = 99,
  kReleaseSessionOptions = 100,
  kAddSessionConfigEntry = 130,
};

// The first version of the API that has all of them (onnxruntime 1.5); any later one does too.
constexpr std::uint32_t kApiVersion = 5;

// Element types of tensors, as in ONNX.
enum ElementType : int { kFloat = 1, kInt64 = 7, kBool = 9 };

constexpr int kFatal = 4;         // level of logging: errors are returned, so they are not logged
constexpr int kInvalidGraph = 10; // an error code, for the check of the table
constexpr int kArena = 1, kDefaultMemory = 0;

// The signature of each place.
template <Place place>
struct Signature;
#define PHONEMO_ORT(place, ...)        \
  template <>                          \
  struct Signature<place> {            \
    using type = __VA_ARGS__;          \
  }
PHONEMO_ORT(kCreateStatus, Status* (*)(int code, const char* message));
PHONEMO_ORT(kGetErrorCode, int (*)(const Status*));
PHONEMO_ORT(kGetErrorMessage, const char* (*)(const Status*));
PHONEMO_ORT(kCreateEnv, Status* (*)(int level, const char* name, Env**));
PHONEMO_ORT(kDisableTelemetryEvents, Status* (*)(const Env*));
PHONEMO_ORT(kCreateSessionFromArray,
            Status* (*)(const Env*, const void* model, std::size_t size, const SessionOptions*, Session**));
PHONEMO_ORT(kRun, Status* (*)(Session*, const RunOptions*, const char* const* inputs, const Value* const*,
                              std::size_t, const char* const* outputs, std::size_t, Value**));
PHONEMO_ORT(kCreateSessionOptions, Status* (*)(SessionOptions**));
PHONEMO_ORT(kDisableMemPattern, Status* (*)(SessionOptions*));
PHONEMO_ORT(kSetSessionLogSeverityLevel, Status* (*)(SessionOptions*, int));
PHONEMO_ORT(kSetGraphOptimizationLevel, Status* (*)(SessionOptions*, int));
PHONEMO_ORT(kSetIntraOpNumThreads, Status* (*)(SessionOptions*, int));
PHONEMO_ORT(kSessionGetInputCount, Status* (*)(const Session*, std::size_t*));
PHONEMO_ORT(kSessionGetOutputCount, Status* (*)(const Session*, std::size_t*));
PHONEMO_ORT(kSessionGetInputTypeInfo, Status* (*)(const Session*, std::size_t, TypeInfo**));
PHONEMO_ORT(kSessionGetOutputTypeInfo, Status* (*)(const Session*, std::size_t, TypeInfo**));
PHONEMO_ORT(kSessionGetInputName, Status* (*)(const Session*, std::size_t, Allocator*, char**));
PHONEMO_ORT(kSessionGetOutputName, Status* (*)(const Session*, std::size_t, Allocator*, char**));
PHONEMO_ORT(kCreateTensorWithData, Status* (*)(const MemoryInfo*, void* data, std::size_t bytes,
                                               const std::int64_t* shape, std::size_t, int type, Value**));
PHONEMO_ORT(kGetTensorMutableData, Status* (*)(Value*, void**));
PHONEMO_ORT(kCastTypeInfoToTensorInfo, Status* (*)(const TypeInfo*, const TensorInfo**));
PHONEMO_ORT(kGetTensorElementType, Status* (*)(const TensorInfo*, int*));
PHONEMO_ORT(kGetDimensionsCount, Status* (*)(const TensorInfo*, std::size_t*));
PHONEMO_ORT(kGetDimensions, Status* (*)(const TensorInfo*, std::int64_t*, std::size_t));
PHONEMO_ORT(kGetTensorTypeAndShape, Status* (*)(const Value*, TensorInfo**));
PHONEMO_ORT(kCreateCpuMemoryInfo, Status* (*)(int allocator, int memory, MemoryInfo**));
PHONEMO_ORT(kAllocatorFree, Status* (*)(Allocator*, void*));
PHONEMO_ORT(kGetAllocatorWithDefaultOptions, Status* (*)(Allocator**));
PHONEMO_ORT(kReleaseEnv, void (*)(Env*));
PHONEMO_ORT(kReleaseStatus, void (*)(Status*));
PHONEMO_ORT(kReleaseMemoryInfo, void (*)(MemoryInfo*));
PHONEMO_ORT(kReleaseSession, void (*)(Session*));
PHONEMO_ORT(kReleaseValue, void (*)(Value*));
PHONEMO_ORT(kReleaseTypeInfo, void (*)(TypeInfo*));
PHONEMO_ORT(kReleaseTensorInfo, void (*)(TensorInfo*));
PHONEMO_ORT(kReleaseSessionOptions, void (*)(SessionOptions*));
PHONEMO_ORT(kAddSessionConfigEntry, Status* (*)(SessionOptions*, const char* key, const char* value));
#undef PHONEMO_ORT

// What the library's one exported function, OrtGetApiBase, returns.
struct ApiBase {
  const void* const* (*get_api)(std::uint32_t version);
  const char* (*version)();
};

}  // namespace phonemo::ort
