//===- CudnnApi.h - What is used of cuDNN ----------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// cuDNN 9's backend API: eight functions over descriptors, which are bags of numbered attributes. Names and numbers are
// those of NVIDIA's documentation ("cuDNN Backend API", docs.nvidia.com/deeplearning/cudnn/backend). Where its headers
// are installed, a unit test compares them.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_CUDNNAPI_H
#define FTC_LIB_RUNTIME_CUDA_CUDNNAPI_H

#include "Api.h"

namespace ftc::cuda {

using DnnStatus = int; // cudnnStatus_t, 0: success
using DnnHandle = struct DnnHandleTag *;
using DnnObject = void *; // cudnnBackendDescriptor_t

/// cudnnBackendDescriptorType_t
enum class DnnKind : int {
  Pointwise = 0,
  Engine = 2,
  EngineConfig = 3,
  Heuristic = 4,
  Plan = 5,
  Knob = 7,
  PointwiseOp = 13,
  Graph = 15,
  Pack = 16,
  Tensor = 17,
  Matmul = 18,
  MatmulOp = 19,
  Reduction = 21,
  ReductionOp = 22,
  ReshapeOp = 31,
  Device = 38,
};

/// cudnnBackendAttributeType_t
enum class DnnType : int {
  Handle = 0,
  DataType = 1,
  Boolean = 2,
  Int64 = 3,
  Float = 4,
  Pointer = 6,
  HeuristicMode = 8,
  KnobType = 9,
  PointwiseMode = 14,
  Descriptor = 15,
  ReductionMode = 18,
  Char = 24,
};

/// cudnnBackendAttributeName_t
enum class DnnName : int {
  PointwiseMode = 0,
  PointwisePrecision = 1,
  PointwiseAxis = 9,
  HeuristicMode = 200,
  HeuristicGraph = 201,
  HeuristicResults = 202,
  HeuristicDevice = 204,
  ConfigEngine = 300,
  ConfigKnobs = 302,
  PlanHandle = 400,
  PlanConfig = 401,
  PlanWorkspace = 402,
  KnobType = 600,
  KnobValue = 601,
  PointwiseOpOperator = 750,
  PointwiseOpX = 751,
  PointwiseOpB = 752,
  PointwiseOpY = 753,
  PointwiseOpAlpha1 = 754,
  PointwiseOpAlpha2 = 755,
  PointwiseOpT = 758,
  GraphHandle = 800,
  GraphOps = 801,
  TensorAlignment = 900,
  TensorType = 901,
  TensorSizes = 902,
  TensorStrides = 903,
  TensorId = 906,
  TensorIsVirtual = 907,
  TensorIsByValue = 908,
  TensorRaggedOffsets = 913,
  PackIds = 1000,
  PackPointers = 1001,
  PackWorkspace = 1003,
  EngineGraph = 1300,
  EngineIndex = 1301,
  EngineDevice = 1307,
  MatmulPrecision = 1500,
  MatmulOpA = 1520,
  MatmulOpB = 1521,
  MatmulOpC = 1522,
  MatmulOpOperator = 1523,
  MatmulOpRows = 1525,
  MatmulOpColumns = 1526,
  MatmulOpInner = 1527,
  ReductionOperator = 1600,
  ReductionPrecision = 1601,
  ReductionIsDeterministic = 1602,
  ReductionOpX = 1610,
  ReductionOpY = 1611,
  ReductionOpOperator = 1612,
  ReshapeOpX = 2200,
  ReshapeOpY = 2201,
  DeviceJson = 2702,
};

/// cudnnDataType_t
enum class DnnData : int { Real32 = 0, Int32 = 4, BFloat16 = 9, Int64 = 10, Boolean = 11 };

/// cudnnPointwiseMode_t
enum class DnnPointwise : int {
  Add = 0,
  Mul = 1,
  Div = 6,
  Sub = 9,
  Exp = 13,
  Log = 15,
  Identity = 21,
  GreaterEqual = 303,
  Less = 304,
  And = 400,
  Index = 501,
  Select = 601,
};

enum : int {
  DnnReduceAdd = 0,    // CUDNN_REDUCE_TENSOR_ADD
  DnnReduceMax = 3,    // CUDNN_REDUCE_TENSOR_MAX
  DnnHeuristicA = 3,   // CUDNN_HEUR_MODE_A
  DnnKnobStages = 14,  // CUDNN_KNOB_TYPE_STAGES
  DnnKnobKernel = 24,  // CUDNN_KNOB_TYPE_KERNEL_CFG
  DnnKnobCluster = 27, // CUDNN_KNOB_TYPE_TILE_CGA_M
  DnnKnobStreamK = 38, // CUDNN_KNOB_TYPE_STREAM_K
  DnnKnobTileM = 40,   // CUDNN_KNOB_TYPE_TILE_M
  DnnKnobTileN = 41,   // CUDNN_KNOB_TYPE_TILE_N
};

#define FTC_CUDNN_FUNCTIONS(F)                                                                                         \
  F(create, cudnnCreate, (DnnHandle * handle))                                                                         \
  F(destroy, cudnnDestroy, (DnnHandle handle))                                                                         \
  F(setStream, cudnnSetStream, (DnnHandle handle, Stream stream))                                                      \
  F(makeObject, cudnnBackendCreateDescriptor, (int kind, DnnObject *object))                                           \
  F(destroyObject, cudnnBackendDestroyDescriptor, (DnnObject object))                                                  \
  F(finalize, cudnnBackendFinalize, (DnnObject object))                                                                \
  F(setAttribute, cudnnBackendSetAttribute,                                                                            \
    (DnnObject object, int name, int type, int64_t count, const void *elements))                                       \
  F(getAttribute, cudnnBackendGetAttribute,                                                                            \
    (DnnObject object, int name, int type, int64_t asked, int64_t *count, void *elements))                             \
  F(execute, cudnnBackendExecute, (DnnHandle handle, DnnObject plan, DnnObject pack))

struct DnnFunctions {
#define FTC_CUDNN_MEMBER(member, symbol, parameters) DnnStatus(*member) parameters = nullptr;
  FTC_CUDNN_FUNCTIONS(FTC_CUDNN_MEMBER)
#undef FTC_CUDNN_MEMBER
  size_t (*getVersion)() = nullptr;                          // cudnnGetVersion: 91900 is 9.19.0
  const char *(*getErrorString)(DnnStatus status) = nullptr; // cudnnGetErrorString
  /// cudnnGetLastErrorString, of versions from 9 on; null without it. The cause of the thread's last error, which it
  /// forgets.
  void (*getLastError)(char *text, size_t bytes) = nullptr;
};

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_CUDNNAPI_H
