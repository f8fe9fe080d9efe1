//===- Api.h - What is used of the CUDA driver and of cuBLASLt -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The few functions and constants that the runtime calls, declared here, so that no header and no library of CUDA is
// needed to build it, and one ftrun runs with and without a GPU. Names, signatures and numbers are those of NVIDIA's
// documentation: "CUDA Driver API" (docs.nvidia.com/cuda/cuda-driver-api) and "cuBLAS", chapter "Using the cuBLASLt
// API" (docs.nvidia.com/cuda/cublas), versions 12 and 13, which agree in all of these. Where the toolkit's headers are
// installed, a unit test compares them.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_API_H
#define FTC_LIB_RUNTIME_CUDA_API_H

#include <cstddef>
#include <cstdint>

namespace ftc::cuda {

//===----------------------------------------------------------------------===//
// Driver
//===----------------------------------------------------------------------===//

using Result = int;        // CUresult
using DeviceOrdinal = int; // CUdevice
using Address = uint64_t;  // CUdeviceptr
using Context = struct ContextTag *;
using Module = struct ModuleTag *;
using Function = struct FunctionTag *;
using Stream = struct StreamTag *;
using HostFunction = void (*)(void *); // CUhostFn
using Event = struct EventTag *;
using Graph = struct GraphTag *;
using GraphExec = struct GraphExecTag *;

enum : Result {
  Success = 0,
  ErrorOutOfMemory = 2,
  ErrorStubLibrary = 34,
  ErrorNoDevice = 100,
  ErrorInvalidImage = 200,
  ErrorNoBinaryForGpu = 209,
  ErrorInvalidPtx = 218,
  ErrorUnsupportedPtxVersion = 222,
  ErrorNotFound = 500,
};

enum : int {
  AttributeMajor = 75,          // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  AttributeMinor = 76,          // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
  FunctionMaxDynamicShared = 8, // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
  JitErrorLog = 5,              // CU_JIT_ERROR_LOG_BUFFER
  JitErrorLogBytes = 6,         // CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES
  CaptureThreadLocal = 1,       // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
};
constexpr unsigned streamNonBlocking = 1;  // CU_STREAM_NON_BLOCKING
constexpr unsigned eventDisableTiming = 2; // CU_EVENT_DISABLE_TIMING

// F(member, symbol, parameters). The symbols' suffixes are what cuda.h maps the plain names to.
#define FTC_CUDA_DRIVER_FUNCTIONS(F)                                                                                   \
  F(init, cuInit, (unsigned flags))                                                                                    \
  F(driverGetVersion, cuDriverGetVersion, (int *version))                                                              \
  F(deviceGetCount, cuDeviceGetCount, (int *count))                                                                    \
  F(deviceGet, cuDeviceGet, (DeviceOrdinal * device, int ordinal))                                                     \
  F(deviceGetName, cuDeviceGetName, (char *name, int length, DeviceOrdinal device))                                    \
  F(deviceGetAttribute, cuDeviceGetAttribute, (int *value, int attribute, DeviceOrdinal device))                       \
  F(primaryCtxRetain, cuDevicePrimaryCtxRetain, (Context * context, DeviceOrdinal device))                             \
  F(primaryCtxRelease, cuDevicePrimaryCtxRelease_v2, (DeviceOrdinal device))                                           \
  F(ctxSetCurrent, cuCtxSetCurrent, (Context context))                                                                 \
  F(memGetInfo, cuMemGetInfo_v2, (size_t *free, size_t *total))                                                        \
  F(moduleLoadDataEx, cuModuleLoadDataEx,                                                                              \
    (Module * module, const void *image, unsigned options, int *names, void **values))                                 \
  F(moduleUnload, cuModuleUnload, (Module module))                                                                     \
  F(moduleGetFunction, cuModuleGetFunction, (Function * function, Module module, const char *name))                    \
  F(funcSetAttribute, cuFuncSetAttribute, (Function function, int attribute, int value))                               \
  F(memAlloc, cuMemAlloc_v2, (Address * address, size_t bytes))                                                        \
  F(memFree, cuMemFree_v2, (Address address))                                                                          \
  F(memHostAlloc, cuMemHostAlloc, (void **address, size_t bytes, unsigned flags))                                      \
  F(memFreeHost, cuMemFreeHost, (void *address))                                                                       \
  F(memcpyHtoDAsync, cuMemcpyHtoDAsync_v2, (Address to, const void *from, size_t bytes, Stream stream))                \
  F(memcpyDtoHAsync, cuMemcpyDtoHAsync_v2, (void *to, Address from, size_t bytes, Stream stream))                      \
  F(memcpyDtoDAsync, cuMemcpyDtoDAsync_v2, (Address to, Address from, size_t bytes, Stream stream))                    \
  F(memsetD8Async, cuMemsetD8Async, (Address to, unsigned char value, size_t bytes, Stream stream))                    \
  F(streamCreate, cuStreamCreate, (Stream * stream, unsigned flags))                                                   \
  F(streamDestroy, cuStreamDestroy_v2, (Stream stream))                                                                \
  F(streamSynchronize, cuStreamSynchronize, (Stream stream))                                                           \
  F(streamWaitEvent, cuStreamWaitEvent, (Stream stream, Event event, unsigned flags))                                  \
  F(eventCreate, cuEventCreate, (Event * event, unsigned flags))                                                       \
  F(eventRecord, cuEventRecord, (Event event, Stream stream))                                                          \
  F(eventSynchronize, cuEventSynchronize, (Event event))                                                               \
  F(eventElapsedTime, cuEventElapsedTime, (float *milliseconds, Event start, Event end))                               \
  F(eventDestroy, cuEventDestroy_v2, (Event event))                                                                    \
  F(launchKernel, cuLaunchKernel,                                                                                      \
    (Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,              \
     unsigned blockZ, unsigned sharedBytes, Stream stream, void **parameters, void **extra))                           \
  F(launchHostFunc, cuLaunchHostFunc, (Stream stream, HostFunction function, void *data))                              \
  F(streamBeginCapture, cuStreamBeginCapture_v2, (Stream stream, int mode))                                            \
  F(streamEndCapture, cuStreamEndCapture, (Stream stream, Graph * graph))                                              \
  F(graphInstantiate, cuGraphInstantiateWithFlags, (GraphExec * exec, Graph graph, unsigned long long flags))          \
  F(graphUpload, cuGraphUpload, (GraphExec exec, Stream stream))                                                       \
  F(graphLaunch, cuGraphLaunch, (GraphExec exec, Stream stream))                                                       \
  F(graphExecDestroy, cuGraphExecDestroy, (GraphExec exec))                                                            \
  F(graphDestroy, cuGraphDestroy, (Graph graph))                                                                       \
  F(getErrorName, cuGetErrorName, (Result error, const char **text))                                                   \
  F(getErrorString, cuGetErrorString, (Result error, const char **text))

struct DriverFunctions {
#define FTC_CUDA_MEMBER(member, symbol, parameters) Result(*member) parameters = nullptr;
  FTC_CUDA_DRIVER_FUNCTIONS(FTC_CUDA_MEMBER)
#undef FTC_CUDA_MEMBER
  /// cuFuncLoad, of drivers from 12.4 on; null with older ones. Loads a kernel's code at once.
  Result (*funcLoad)(Function function) = nullptr;
};

//===----------------------------------------------------------------------===//
// cuBLASLt
//===----------------------------------------------------------------------===//

using LtStatus = int; // cublasStatus_t, 0: success
using LtHandle = struct LtHandleTag *;
using LtMatmulDesc = struct LtMatmulDescTag *;
using LtLayout = struct LtLayoutTag *;
using LtPreference = struct LtPreferenceTag *;

/// cublasLtMatmulAlgo_t
struct LtAlgorithm {
  uint64_t data[8];
};

/// cublasLtMatmulHeuristicResult_t
struct LtHeuristic {
  LtAlgorithm algorithm;
  size_t workspaceBytes;
  LtStatus state;
  float waves;
  int reserved[4];
};

enum : int {
  LtReal32 = 0,                // CUDA_R_32F
  LtBFloat16 = 14,             // CUDA_R_16BF
  LtCompute32 = 68,            // CUBLAS_COMPUTE_32F: fp32 multiplications of fp32, no TF32
  LtPlain = 0,                 // CUBLAS_OP_N
  LtTransposed = 1,            // CUBLAS_OP_T
  LtDescTransA = 3,            // CUBLASLT_MATMUL_DESC_TRANSA
  LtDescTransB = 4,            // CUBLASLT_MATMUL_DESC_TRANSB
  LtPreferWorkspace = 1,       // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
  LtPreferReduction = 3,       // CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
  LtPreferAlignmentA = 5,      // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES; B, C, D follow
  LtReductionNone = 0,         // CUBLASLT_REDUCTION_SCHEME_NONE
  LtReductionComputeType = 2,  // CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
  LtConfigReductionScheme = 3, // CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME
};

#define FTC_CUBLASLT_FUNCTIONS(F)                                                                                      \
  F(create, cublasLtCreate, (LtHandle * handle))                                                                       \
  F(destroy, cublasLtDestroy, (LtHandle handle))                                                                       \
  F(layoutCreate, cublasLtMatrixLayoutCreate,                                                                          \
    (LtLayout * layout, int type, uint64_t rows, uint64_t columns, int64_t leading))                                   \
  F(layoutDestroy, cublasLtMatrixLayoutDestroy, (LtLayout layout))                                                     \
  F(descCreate, cublasLtMatmulDescCreate, (LtMatmulDesc * desc, int computeType, int scaleType))                       \
  F(descDestroy, cublasLtMatmulDescDestroy, (LtMatmulDesc desc))                                                       \
  F(descSetAttribute, cublasLtMatmulDescSetAttribute,                                                                  \
    (LtMatmulDesc desc, int attribute, const void *value, size_t bytes))                                               \
  F(preferenceCreate, cublasLtMatmulPreferenceCreate, (LtPreference * preference))                                     \
  F(preferenceDestroy, cublasLtMatmulPreferenceDestroy, (LtPreference preference))                                     \
  F(preferenceSetAttribute, cublasLtMatmulPreferenceSetAttribute,                                                      \
    (LtPreference preference, int attribute, const void *value, size_t bytes))                                         \
  F(getHeuristic, cublasLtMatmulAlgoGetHeuristic,                                                                      \
    (LtHandle handle, LtMatmulDesc desc, LtLayout a, LtLayout b, LtLayout c, LtLayout d, LtPreference preference,      \
     int wanted, LtHeuristic results[], int *found))                                                                   \
  F(algoCheck, cublasLtMatmulAlgoCheck,                                                                                \
    (LtHandle handle, LtMatmulDesc desc, LtLayout a, LtLayout b, LtLayout c, LtLayout d, const LtAlgorithm *algorithm, \
     LtHeuristic *result))                                                                                             \
  F(algoConfigGet, cublasLtMatmulAlgoConfigGetAttribute,                                                               \
    (const LtAlgorithm *algorithm, int attribute, void *value, size_t bytes, size_t *written))                         \
  F(matmul, cublasLtMatmul,                                                                                            \
    (LtHandle handle, LtMatmulDesc desc, const void *alpha, const void *a, LtLayout layoutA, const void *b,            \
     LtLayout layoutB, const void *beta, const void *c, LtLayout layoutC, void *d, LtLayout layoutD,                   \
     const LtAlgorithm *algorithm, void *workspace, size_t workspaceBytes, Stream stream))

struct LtFunctions {
#define FTC_CUBLASLT_MEMBER(member, symbol, parameters) LtStatus(*member) parameters = nullptr;
  FTC_CUBLASLT_FUNCTIONS(FTC_CUBLASLT_MEMBER)
#undef FTC_CUBLASLT_MEMBER
  const char *(*getStatusName)(LtStatus status) = nullptr; // cublasLtGetStatusName
  size_t (*getVersion)() = nullptr;                        // cublasLtGetVersion
};

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_API_H
