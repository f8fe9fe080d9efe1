//===- AttentionGraph.h - Attention in cuDNN's words -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_ATTENTIONGRAPH_H
#define FTC_LIB_RUNTIME_CUDA_ATTENTIONGRAPH_H

#include "CudnnObject.h"

#include "ftrt/step.h"

#include <deque>
#include <optional>

namespace ftc::cuda {

/// Tensors of the graph that have an address, by the number that cuDNN knows them under.
enum class DnnTensor : int64_t {
  // As ftrt_device.attention gets them; segment_starts, the fourth, is not one of cuDNN's.
  Query = 1,
  Key = 2,
  Value = 3,
  Output = 5,
  Lse = 6,
  OutputGradient = 7,
  QueryGradient = 8,
  KeyGradient = 9,
  ValueGradient = 10,
  // Of documents: where each begins, in elements of a query, of a key and of lse (int64, one more than documents), and
  // how many tokens it has (int32).
  QueryOffsets = 20,
  KeyOffsets = 21,
  LseOffsets = 22,
  Lengths = 23,
  // Numbers.
  Scale = 30,
  One = 31,
  BehindEnd = 32,      ///< -inf, where a document has ended
  BehindDiagonal = 33, ///< -inf, where a key is behind the query
  // In the workspace.
  Delta = 40,
  QuerySums = 41,
  KeyHeads = 42,
  ValueHeads = 43,
};

/// The graph of an attention over `documents` documents, any of which may be empty: a gradient where `shape.gradient`
/// is set. It is what cuDNN's fused kernels are recognized by, op for op: scores, scaled; masked to the lengths, then
/// to the diagonal; softmax; values. The gradient computes the scores anew and takes lse for the softmax.
class AttentionGraph {
public:
  /// `sumsQueries`: whether the query's gradient is added up in memory in fp32, as kernels for Hopper do. Without a
  /// handle for a device that is only described (AttentionPlan.h). `shape` has to live as long. Throws DnnError.
  AttentionGraph(const DnnFunctions &f, const ftrt_attention &shape, int64_t documents, bool sumsQueries,
                 DnnHandle handle);

  const DnnOwner &graph() const { return *whole; }

  /// A tensor in the workspace, and its bytes.
  struct Part {
    DnnTensor tensor;
    uint64_t bytes;
  };
  /// What has to lie in the workspace beside what the kernels themselves need.
  const std::vector<Part> &parts() const { return inWorkspace; }

private:
  using Sizes = std::array<int64_t, 4>; ///< document, head, token, column
  enum class Place { Memory, Nowhere, Number };

  DnnOwner &tensor(DnnData type, const Sizes &sizes, const Sizes &strides, Place place, int64_t id,
                   const DnnOwner *offsets = nullptr);
  DnnOwner &inMemory(DnnTensor id, DnnData type, const Sizes &sizes, const Sizes &strides, const DnnOwner *offsets);
  /// A matrix of `heads` heads side by side; `transposed`: columns and tokens change places.
  DnnOwner &heads(DnnTensor id, int64_t count, bool transposed = false);
  /// A number for each query and key, in no memory.
  DnnOwner &scores(DnnData type = DnnData::Real32, bool transposed = false);
  /// A number for each query: in no memory; or as lse lies there.
  DnnOwner &queries();
  DnnOwner &perQuery(DnnTensor id);
  DnnOwner &number(DnnTensor id);
  DnnOwner &list(DnnTensor id, DnnData type, int64_t size);

  struct Options {
    DnnData precision = DnnData::Real32;
    std::optional<int64_t> axis = std::nullopt;
  };
  void point(DnnPointwise mode, const DnnOwner &x, const DnnOwner *b, DnnOwner &y, const Options &options,
             const DnnOwner *t = nullptr);
  DnnOwner &point(DnnPointwise mode, const DnnOwner &x, const DnnOwner *b = nullptr);
  void multiply(const DnnOwner &a, const DnnOwner &b, DnnOwner &c, bool overKeys);
  void reduce(int mode, const DnnOwner &x, DnnOwner &y);
  void reshape(const DnnOwner &x, const DnnOwner &y);
  DnnOwner &masked(const DnnOwner &x);
  DnnOwner &onlyWhere(const DnnOwner &x, const DnnOwner &condition, DnnTensor otherwise);
  void forward();
  void gradient();

  const DnnFunctions &f;
  const ftrt_attention &shape;
  const int64_t documents, length;
  const bool sumsQueries;
  int64_t nextId = 100;
  std::deque<DnnOwner> owners; ///< tensors, operators, ops
  std::vector<DnnObject> ops;
  DnnOwner *queryOffsets = nullptr, *keyOffsets = nullptr, *lseOffsets = nullptr, *lengths = nullptr;
  std::vector<Part> inWorkspace;
  std::optional<DnnOwner> whole;
};

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_ATTENTIONGRAPH_H
