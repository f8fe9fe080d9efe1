//===- CudaApiTest.cpp - Our declarations beside NVIDIA's headers ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Runtime/CUDA/Api.h"

#include <gtest/gtest.h>
#include <type_traits>

#if __has_include(<cuda.h>) && __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <cuda.h>

using namespace ftc::cuda;

namespace {

/// Whether two types are passed alike: both pointers, or both numbers of one size.
template <typename A, typename B>
constexpr bool alike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
                       std::is_floating_point_v<A> == std::is_floating_point_v<B>;
template <typename A, typename B> struct SameCall : std::false_type {};
template <typename A, typename... As, typename B, typename... Bs> struct SameCall<A (*)(As...), B (*)(Bs...)> {
  static constexpr bool value = [] {
    if constexpr (sizeof...(As) != sizeof...(Bs))
      return false;
    else
      return alike<A, B> && (alike<As, Bs> && ...);
  }();
};

// The toolkit's macros turn plain names into those with suffixes; these are declared too.
#define FTC_CHECK(member, symbol, parameters)                                                                          \
  static_assert(SameCall<decltype(DriverFunctions::member), decltype(&::symbol)>::value, #symbol);
FTC_CUDA_DRIVER_FUNCTIONS(FTC_CHECK)
#undef FTC_CHECK
#define FTC_CHECK(member, symbol, parameters)                                                                          \
  static_assert(SameCall<decltype(LtFunctions::member), decltype(&::symbol)>::value, #symbol);
FTC_CUBLASLT_FUNCTIONS(FTC_CHECK)
#undef FTC_CHECK
static_assert(SameCall<decltype(DriverFunctions::funcLoad), decltype(&::cuFuncLoad)>::value);
static_assert(SameCall<decltype(LtFunctions::getStatusName), decltype(&::cublasLtGetStatusName)>::value);
static_assert(SameCall<decltype(LtFunctions::getVersion), decltype(&::cublasLtGetVersion)>::value);

static_assert(sizeof(LtAlgorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(LtHeuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(LtHeuristic, workspaceBytes) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(LtHeuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));

#define FTC_SAME(ours, theirs) static_assert(static_cast<long>(ours) == static_cast<long>(theirs), #theirs)
FTC_SAME(Success, CUDA_SUCCESS);
FTC_SAME(ErrorNoDevice, CUDA_ERROR_NO_DEVICE);
FTC_SAME(AttributeMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
FTC_SAME(AttributeMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
FTC_SAME(FunctionMaxDynamicShared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
FTC_SAME(JitErrorLog, CU_JIT_ERROR_LOG_BUFFER);
FTC_SAME(JitErrorLogBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
FTC_SAME(CaptureThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
FTC_SAME(streamNonBlocking, CU_STREAM_NON_BLOCKING);
FTC_SAME(eventDisableTiming, CU_EVENT_DISABLE_TIMING);
FTC_SAME(LtReal32, CUDA_R_32F);
FTC_SAME(LtBFloat16, CUDA_R_16BF);
FTC_SAME(LtCompute32, CUBLAS_COMPUTE_32F);
FTC_SAME(LtPlain, CUBLAS_OP_N);
FTC_SAME(LtTransposed, CUBLAS_OP_T);
FTC_SAME(LtDescTransA, CUBLASLT_MATMUL_DESC_TRANSA);
FTC_SAME(LtDescTransB, CUBLASLT_MATMUL_DESC_TRANSB);
FTC_SAME(LtPreferWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
FTC_SAME(LtPreferReduction, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
FTC_SAME(LtPreferAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
FTC_SAME(LtPreferAlignmentA + 3, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
FTC_SAME(LtReductionNone, CUBLASLT_REDUCTION_SCHEME_NONE);
FTC_SAME(LtReductionComputeType, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
FTC_SAME(LtConfigReductionScheme, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
#undef FTC_SAME

} // namespace

TEST(CudaApi, DeclaresWhatTheHeadersDeclare) { SUCCEED() << "checked when this was compiled"; }
#else
TEST(CudaApi, DeclaresWhatTheHeadersDeclare) { GTEST_SKIP() << "the CUDA toolkit's headers are not installed"; }
#endif
