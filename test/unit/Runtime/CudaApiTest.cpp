//===- CudaApiTest.cpp - Our declarations beside NVIDIA's headers ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Runtime/CUDA/CudnnApi.h"

#include <gtest/gtest.h>
#include <type_traits>

using namespace ftc::cuda;

namespace {

#define FTC_SAME(ours, theirs) static_assert(static_cast<long>(ours) == static_cast<long>(theirs), #theirs)

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

} // namespace

#if __has_include(<cuda.h>) && __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <cuda.h>

namespace {

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

} // namespace

TEST(CudaApi, DeclaresWhatTheHeadersDeclare) { SUCCEED() << "checked when this was compiled"; }
#else
TEST(CudaApi, DeclaresWhatTheHeadersDeclare) { GTEST_SKIP() << "the CUDA toolkit's headers are not installed"; }
#endif

#if __has_include(<cudnn.h>) && __has_include(<cuda_runtime_api.h>)
#include <cudnn.h>

#if CUDNN_VERSION >= 90800
namespace {

#define FTC_CHECK(member, symbol, parameters)                                                                          \
  static_assert(SameCall<decltype(DnnFunctions::member), decltype(&::symbol)>::value, #symbol);
FTC_CUDNN_FUNCTIONS(FTC_CHECK)
#undef FTC_CHECK
static_assert(SameCall<decltype(DnnFunctions::getVersion), decltype(&::cudnnGetVersion)>::value);
static_assert(SameCall<decltype(DnnFunctions::getErrorString), decltype(&::cudnnGetErrorString)>::value);
FTC_SAME(DnnKind::Pointwise, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
FTC_SAME(DnnKind::Engine, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
FTC_SAME(DnnKind::EngineConfig, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
FTC_SAME(DnnKind::Heuristic, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
FTC_SAME(DnnKind::Plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
FTC_SAME(DnnKind::Knob, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
FTC_SAME(DnnKind::PointwiseOp, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
FTC_SAME(DnnKind::Graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
FTC_SAME(DnnKind::Pack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
FTC_SAME(DnnKind::Tensor, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
FTC_SAME(DnnKind::Matmul, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
FTC_SAME(DnnKind::MatmulOp, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
FTC_SAME(DnnKind::Reduction, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
FTC_SAME(DnnKind::ReductionOp, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
FTC_SAME(DnnKind::ReshapeOp, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
FTC_SAME(DnnKind::Device, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
FTC_SAME(DnnType::Handle, CUDNN_TYPE_HANDLE);
FTC_SAME(DnnType::DataType, CUDNN_TYPE_DATA_TYPE);
FTC_SAME(DnnType::Boolean, CUDNN_TYPE_BOOLEAN);
FTC_SAME(DnnType::Int64, CUDNN_TYPE_INT64);
FTC_SAME(DnnType::Float, CUDNN_TYPE_FLOAT);
FTC_SAME(DnnType::Pointer, CUDNN_TYPE_VOID_PTR);
FTC_SAME(DnnType::HeuristicMode, CUDNN_TYPE_HEUR_MODE);
FTC_SAME(DnnType::KnobType, CUDNN_TYPE_KNOB_TYPE);
FTC_SAME(DnnType::PointwiseMode, CUDNN_TYPE_POINTWISE_MODE);
FTC_SAME(DnnType::Descriptor, CUDNN_TYPE_BACKEND_DESCRIPTOR);
FTC_SAME(DnnType::ReductionMode, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE);
FTC_SAME(DnnType::Char, CUDNN_TYPE_CHAR);
FTC_SAME(DnnName::PointwiseMode, CUDNN_ATTR_POINTWISE_MODE);
FTC_SAME(DnnName::PointwisePrecision, CUDNN_ATTR_POINTWISE_MATH_PREC);
FTC_SAME(DnnName::PointwiseAxis, CUDNN_ATTR_POINTWISE_AXIS);
FTC_SAME(DnnName::HeuristicMode, CUDNN_ATTR_ENGINEHEUR_MODE);
FTC_SAME(DnnName::HeuristicGraph, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
FTC_SAME(DnnName::HeuristicResults, CUDNN_ATTR_ENGINEHEUR_RESULTS);
FTC_SAME(DnnName::HeuristicDevice, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
FTC_SAME(DnnName::ConfigEngine, CUDNN_ATTR_ENGINECFG_ENGINE);
FTC_SAME(DnnName::ConfigKnobs, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES);
FTC_SAME(DnnName::PlanHandle, CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
FTC_SAME(DnnName::PlanConfig, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
FTC_SAME(DnnName::PlanWorkspace, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
FTC_SAME(DnnName::KnobType, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE);
FTC_SAME(DnnName::KnobValue, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE);
FTC_SAME(DnnName::PointwiseOpOperator, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
FTC_SAME(DnnName::PointwiseOpX, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
FTC_SAME(DnnName::PointwiseOpB, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
FTC_SAME(DnnName::PointwiseOpY, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
FTC_SAME(DnnName::PointwiseOpAlpha1, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1);
FTC_SAME(DnnName::PointwiseOpAlpha2, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2);
FTC_SAME(DnnName::PointwiseOpT, CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
FTC_SAME(DnnName::GraphHandle, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
FTC_SAME(DnnName::GraphOps, CUDNN_ATTR_OPERATIONGRAPH_OPS);
FTC_SAME(DnnName::TensorAlignment, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
FTC_SAME(DnnName::TensorType, CUDNN_ATTR_TENSOR_DATA_TYPE);
FTC_SAME(DnnName::TensorSizes, CUDNN_ATTR_TENSOR_DIMENSIONS);
FTC_SAME(DnnName::TensorStrides, CUDNN_ATTR_TENSOR_STRIDES);
FTC_SAME(DnnName::TensorId, CUDNN_ATTR_TENSOR_UNIQUE_ID);
FTC_SAME(DnnName::TensorIsVirtual, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
FTC_SAME(DnnName::TensorIsByValue, CUDNN_ATTR_TENSOR_IS_BY_VALUE);
FTC_SAME(DnnName::TensorRaggedOffsets, CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC);
FTC_SAME(DnnName::PackIds, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
FTC_SAME(DnnName::PackPointers, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
FTC_SAME(DnnName::PackWorkspace, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
FTC_SAME(DnnName::EngineGraph, CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
FTC_SAME(DnnName::EngineIndex, CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
FTC_SAME(DnnName::EngineDevice, CUDNN_ATTR_ENGINE_DEVICEPROP);
FTC_SAME(DnnName::MatmulPrecision, CUDNN_ATTR_MATMUL_COMP_TYPE);
FTC_SAME(DnnName::MatmulOpA, CUDNN_ATTR_OPERATION_MATMUL_ADESC);
FTC_SAME(DnnName::MatmulOpB, CUDNN_ATTR_OPERATION_MATMUL_BDESC);
FTC_SAME(DnnName::MatmulOpC, CUDNN_ATTR_OPERATION_MATMUL_CDESC);
FTC_SAME(DnnName::MatmulOpOperator, CUDNN_ATTR_OPERATION_MATMUL_DESC);
FTC_SAME(DnnName::MatmulOpRows, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC);
FTC_SAME(DnnName::MatmulOpColumns, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC);
FTC_SAME(DnnName::MatmulOpInner, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC);
FTC_SAME(DnnName::ReductionOperator, CUDNN_ATTR_REDUCTION_OPERATOR);
FTC_SAME(DnnName::ReductionPrecision, CUDNN_ATTR_REDUCTION_COMP_TYPE);
FTC_SAME(DnnName::ReductionIsDeterministic, CUDNN_ATTR_REDUCTION_IS_DETERMINISTIC);
FTC_SAME(DnnName::ReductionOpX, CUDNN_ATTR_OPERATION_REDUCTION_XDESC);
FTC_SAME(DnnName::ReductionOpY, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
FTC_SAME(DnnName::ReductionOpOperator, CUDNN_ATTR_OPERATION_REDUCTION_DESC);
FTC_SAME(DnnName::ReshapeOpX, CUDNN_ATTR_OPERATION_RESHAPE_XDESC);
FTC_SAME(DnnName::ReshapeOpY, CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
FTC_SAME(DnnName::DeviceJson, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
FTC_SAME(DnnData::Real32, CUDNN_DATA_FLOAT);
FTC_SAME(DnnData::Int32, CUDNN_DATA_INT32);
FTC_SAME(DnnData::BFloat16, CUDNN_DATA_BFLOAT16);
FTC_SAME(DnnData::Int64, CUDNN_DATA_INT64);
FTC_SAME(DnnData::Boolean, CUDNN_DATA_BOOLEAN);
FTC_SAME(DnnPointwise::Add, CUDNN_POINTWISE_ADD);
FTC_SAME(DnnPointwise::Mul, CUDNN_POINTWISE_MUL);
FTC_SAME(DnnPointwise::Div, CUDNN_POINTWISE_DIV);
FTC_SAME(DnnPointwise::Sub, CUDNN_POINTWISE_SUB);
FTC_SAME(DnnPointwise::Exp, CUDNN_POINTWISE_EXP);
FTC_SAME(DnnPointwise::Log, CUDNN_POINTWISE_LOG);
FTC_SAME(DnnPointwise::Identity, CUDNN_POINTWISE_IDENTITY);
FTC_SAME(DnnPointwise::GreaterEqual, CUDNN_POINTWISE_CMP_GE);
FTC_SAME(DnnPointwise::Less, CUDNN_POINTWISE_CMP_LT);
FTC_SAME(DnnPointwise::And, CUDNN_POINTWISE_LOGICAL_AND);
FTC_SAME(DnnPointwise::Index, CUDNN_POINTWISE_GEN_INDEX);
FTC_SAME(DnnPointwise::Select, CUDNN_POINTWISE_BINARY_SELECT);
FTC_SAME(DnnReduceAdd, CUDNN_REDUCE_TENSOR_ADD);
FTC_SAME(DnnReduceMax, CUDNN_REDUCE_TENSOR_MAX);
FTC_SAME(DnnHeuristicA, CUDNN_HEUR_MODE_A);
FTC_SAME(DnnKnobStages, CUDNN_KNOB_TYPE_STAGES);
FTC_SAME(DnnKnobKernel, CUDNN_KNOB_TYPE_KERNEL_CFG);
FTC_SAME(DnnKnobCluster, CUDNN_KNOB_TYPE_TILE_CGA_M);
FTC_SAME(DnnKnobStreamK, CUDNN_KNOB_TYPE_STREAM_K);
FTC_SAME(DnnKnobTileM, CUDNN_KNOB_TYPE_TILE_M);
FTC_SAME(DnnKnobTileN, CUDNN_KNOB_TYPE_TILE_N);

} // namespace

TEST(CudnnApi, DeclaresWhatTheHeadersDeclare) { SUCCEED() << "checked when this was compiled"; }
#else
TEST(CudnnApi, DeclaresWhatTheHeadersDeclare) { GTEST_SKIP() << "cuDNN's headers are older than 9.8"; }
#endif
#else
TEST(CudnnApi, DeclaresWhatTheHeadersDeclare) { GTEST_SKIP() << "cuDNN's headers are not installed"; }
#endif
