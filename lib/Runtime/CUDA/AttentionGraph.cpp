//===- AttentionGraph.cpp - Attention in cuDNN's words ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// cuDNN has no "attention": it recognizes a graph of products, reductions and element-wise ops, and has a fused kernel
// for it, which never has the scores in memory. The graph has to be the one that it knows, op for op; it is described
// in NVIDIA's cuDNN frontend documentation, "Attention" (docs.nvidia.com/deeplearning/cudnn/frontend), and the unit
// tests ask the installed cuDNN, where there is one, whether it takes it.
//
// Sizes are those of a padded batch: documents x heads x tokens x columns, as if every document were as long as a row.
// Where a document really lies is said by its offset ("ragged" tensors), in elements from the tensor's start, and how
// long it is by its length, both read from memory when the kernel runs; so a recorded kernel follows the data. Columns
// of all heads lie side by side, documents one after the other, so that query, key, value and lse stay as the plan has
// them.
//
//===----------------------------------------------------------------------===//

#include "AttentionGraph.h"

namespace ftc::cuda {

/// cuDNN's kernels read 16 bytes at once.
constexpr int64_t alignment = 16;

AttentionGraph::AttentionGraph(const DnnFunctions &f, const ftrt_attention &shape, int64_t documents, bool sumsQueries,
                               DnnHandle handle)
    : f(f), shape(shape), documents(documents), length(static_cast<int64_t>(shape.sequence)), sumsQueries(sumsQueries) {
  queryOffsets = &list(DnnTensor::QueryOffsets, DnnData::Int64, documents + 1);
  keyOffsets = &list(DnnTensor::KeyOffsets, DnnData::Int64, documents + 1);
  lseOffsets = &list(DnnTensor::LseOffsets, DnnData::Int64, documents + 1);
  lengths = &list(DnnTensor::Lengths, DnnData::Int32, documents);
  shape.gradient ? gradient() : forward();
  whole.emplace(f, DnnKind::Graph);
  if (handle)
    whole->set(DnnName::GraphHandle, DnnType::Handle, 1, &handle);
  whole->set(DnnName::GraphOps, ops).finalize();
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

DnnOwner &AttentionGraph::tensor(DnnData type, const Sizes &sizes, const Sizes &strides, Place place, int64_t id,
                                 const DnnOwner *offsets) {
  DnnOwner &made = owners.emplace_back(f, DnnKind::Tensor);
  made.set(DnnName::TensorType, type)
      .set(DnnName::TensorSizes, sizes)
      .set(DnnName::TensorStrides, strides)
      .set(DnnName::TensorId, id)
      .set(DnnName::TensorAlignment, alignment);
  if (place == Place::Nowhere)
    made.set(DnnName::TensorIsVirtual, true);
  if (place == Place::Number)
    made.set(DnnName::TensorIsByValue, true);
  if (offsets)
    made.set(DnnName::TensorRaggedOffsets, *offsets);
  made.finalize();
  return made;
}

DnnOwner &AttentionGraph::heads(DnnTensor id, int64_t count, bool transposed) {
  const int64_t columns = static_cast<int64_t>(shape.head_dim), pitch = count * columns;
  const bool ofKeys =
      id == DnnTensor::Key || id == DnnTensor::Value || id == DnnTensor::KeyGradient || id == DnnTensor::ValueGradient;
  Sizes sizes{documents, count, length, columns}, strides{length * pitch, columns, pitch, 1};
  if (transposed) {
    std::swap(sizes[2], sizes[3]);
    std::swap(strides[2], strides[3]);
  }
  return inMemory(id, DnnData::BFloat16, sizes, strides, ofKeys ? keyOffsets : queryOffsets);
}

DnnOwner &AttentionGraph::scores(DnnData type, bool transposed) {
  const int64_t count = static_cast<int64_t>(shape.heads), whole = length * length;
  Sizes strides{count * whole, whole, length, 1};
  if (transposed)
    std::swap(strides[2], strides[3]);
  return tensor(type, {documents, count, length, length}, strides, Place::Nowhere, nextId++);
}

DnnOwner &AttentionGraph::queries() {
  const int64_t count = static_cast<int64_t>(shape.heads);
  return tensor(DnnData::Real32, {documents, count, length, 1}, {count * length, length, 1, 1}, Place::Nowhere,
                nextId++);
}

DnnOwner &AttentionGraph::number(DnnTensor id) {
  return tensor(DnnData::Real32, {1, 1, 1, 1}, {1, 1, 1, 1}, Place::Number, static_cast<int64_t>(id));
}

DnnOwner &AttentionGraph::list(DnnTensor id, DnnData type, int64_t size) {
  return inMemory(id, type, {size, 1, 1, 1}, {1, 1, 1, 1}, nullptr);
}

DnnOwner &AttentionGraph::inMemory(DnnTensor id, DnnData type, const Sizes &sizes, const Sizes &strides,
                                   const DnnOwner *offsets) {
  return tensor(type, sizes, strides, Place::Memory, static_cast<int64_t>(id), offsets);
}

DnnOwner &AttentionGraph::perQuery(DnnTensor id) {
  const int64_t count = static_cast<int64_t>(shape.heads);
  return inMemory(id, DnnData::Real32, {documents, count, length, 1}, {length * count, 1, count, 1}, lseOffsets);
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

void AttentionGraph::point(DnnPointwise mode, const DnnOwner &x, const DnnOwner *b, DnnOwner &y, const Options &options,
                           const DnnOwner *t) {
  DnnOwner &kind = owners.emplace_back(f, DnnKind::Pointwise);
  kind.set(DnnName::PointwiseMode, DnnType::PointwiseMode, static_cast<int>(mode))
      .set(DnnName::PointwisePrecision, options.precision);
  if (options.axis)
    kind.set(DnnName::PointwiseAxis, *options.axis);
  kind.finalize();
  DnnOwner &op = owners.emplace_back(f, DnnKind::PointwiseOp);
  op.set(DnnName::PointwiseOpOperator, kind).set(DnnName::PointwiseOpX, x).set(DnnName::PointwiseOpY, y);
  if (b)
    op.set(DnnName::PointwiseOpB, *b);
  if (t)
    op.set(DnnName::PointwiseOpT, *t);
  const float one = 1;
  op.set(DnnName::PointwiseOpAlpha1, DnnType::Float, 1, &one)
      .set(DnnName::PointwiseOpAlpha2, DnnType::Float, 1, &one)
      .finalize();
  ops.push_back(op.get());
}

DnnOwner &AttentionGraph::point(DnnPointwise mode, const DnnOwner &x, const DnnOwner *b) {
  DnnOwner &y = scores();
  point(mode, x, b, y, {});
  return y;
}

/// c = a b, of as many rows as the document has tokens, and columns or inner products likewise.
void AttentionGraph::multiply(const DnnOwner &a, const DnnOwner &b, DnnOwner &c, bool overKeys) {
  DnnOwner &kind = owners.emplace_back(f, DnnKind::Matmul);
  kind.set(DnnName::MatmulPrecision, DnnData::Real32).finalize();
  DnnOwner &op = owners.emplace_back(f, DnnKind::MatmulOp);
  op.set(DnnName::MatmulOpA, a)
      .set(DnnName::MatmulOpB, b)
      .set(DnnName::MatmulOpC, c)
      .set(DnnName::MatmulOpOperator, kind)
      .set(DnnName::MatmulOpRows, *lengths)
      .set(overKeys ? DnnName::MatmulOpInner : DnnName::MatmulOpColumns, *lengths)
      .finalize();
  ops.push_back(op.get());
}

void AttentionGraph::reduce(int mode, const DnnOwner &x, DnnOwner &y) {
  DnnOwner &kind = owners.emplace_back(f, DnnKind::Reduction);
  kind.set(DnnName::ReductionPrecision, DnnData::Real32)
      .set(DnnName::ReductionOperator, DnnType::ReductionMode, mode)
      .set(DnnName::ReductionIsDeterministic, false)
      .finalize();
  DnnOwner &op = owners.emplace_back(f, DnnKind::ReductionOp);
  op.set(DnnName::ReductionOpOperator, kind).set(DnnName::ReductionOpX, x).set(DnnName::ReductionOpY, y).finalize();
  ops.push_back(op.get());
}

void AttentionGraph::reshape(const DnnOwner &x, const DnnOwner &y) {
  DnnOwner &op = owners.emplace_back(f, DnnKind::ReshapeOp);
  op.set(DnnName::ReshapeOpX, x).set(DnnName::ReshapeOpY, y).finalize();
  ops.push_back(op.get());
}

/// x where `condition`, the number `otherwise` elsewhere.
DnnOwner &AttentionGraph::onlyWhere(const DnnOwner &x, const DnnOwner &condition, DnnTensor otherwise) {
  DnnOwner &y = scores(), &hidden = number(otherwise);
  point(DnnPointwise::Select, x, &hidden, y, {}, &condition);
  return y;
}

/// Scores of keys that a query must not see, and of tokens behind the document's end, become -inf.
DnnOwner &AttentionGraph::masked(const DnnOwner &x) {
  constexpr int64_t rows = 2, columns = 3; // axes
  DnnOwner &row = scores(DnnData::Int32), &column = scores(DnnData::Int32);
  point(DnnPointwise::Index, x, nullptr, row, {DnnData::Int32, rows});
  point(DnnPointwise::Index, x, nullptr, column, {DnnData::Int32, columns});
  DnnOwner &rowInside = scores(DnnData::Boolean), &columnInside = scores(DnnData::Boolean);
  point(DnnPointwise::Less, row, lengths, rowInside, {DnnData::Boolean});
  point(DnnPointwise::Less, column, lengths, columnInside, {DnnData::Boolean});
  DnnOwner &inside = scores(DnnData::Boolean);
  point(DnnPointwise::And, rowInside, &columnInside, inside, {DnnData::Boolean});
  DnnOwner &padded = onlyWhere(x, inside, DnnTensor::BehindEnd);
  DnnOwner &query = scores(DnnData::Int32), &key = scores(DnnData::Int32);
  point(DnnPointwise::Index, padded, nullptr, query, {DnnData::Real32, rows});
  point(DnnPointwise::Index, padded, nullptr, key, {DnnData::Real32, columns});
  DnnOwner &seen = scores(DnnData::Boolean);
  point(DnnPointwise::GreaterEqual, query, &key, seen, {DnnData::Boolean});
  return onlyWhere(padded, seen, DnnTensor::BehindDiagonal);
}

//===----------------------------------------------------------------------===//
// The two graphs
//===----------------------------------------------------------------------===//

void AttentionGraph::forward() {
  const int64_t count = static_cast<int64_t>(shape.heads), keyCount = static_cast<int64_t>(shape.key_heads);
  DnnOwner &scale = number(DnnTensor::Scale);
  DnnOwner &query = heads(DnnTensor::Query, count), &key = heads(DnnTensor::Key, keyCount, /*transposed=*/true);
  DnnOwner &value = heads(DnnTensor::Value, keyCount), &output = heads(DnnTensor::Output, count);
  DnnOwner &lse = perQuery(DnnTensor::Lse);

  DnnOwner &products = scores();
  multiply(query, key, products, /*overKeys=*/false);
  DnnOwner &visible = masked(point(DnnPointwise::Mul, products, &scale));
  DnnOwner &largest = queries(), &sum = queries(), &logarithm = queries();
  reduce(DnnReduceMax, visible, largest);
  DnnOwner &weights = point(DnnPointwise::Exp, point(DnnPointwise::Sub, visible, &largest));
  reduce(DnnReduceAdd, weights, sum);
  point(DnnPointwise::Log, sum, nullptr, logarithm, {});
  point(DnnPointwise::Add, largest, &logarithm, lse, {});
  DnnOwner &normal = scores(DnnData::BFloat16);
  point(DnnPointwise::Div, weights, &sum, normal, {});
  multiply(normal, value, output, /*overKeys=*/true);
}

void AttentionGraph::gradient() {
  const int64_t count = static_cast<int64_t>(shape.heads), keyCount = static_cast<int64_t>(shape.key_heads);
  const int64_t columns = static_cast<int64_t>(shape.head_dim), pitch = count * columns;
  const uint64_t tokens = shape.batch * shape.sequence, wideBytes = tokens * shape.heads * shape.head_dim * 4;
  const Sizes wide{documents, count, length, columns}, wideStrides{length * pitch, columns, pitch, 1};
  DnnOwner &scale = number(DnnTensor::Scale), &one = number(DnnTensor::One);
  DnnOwner &lse = perQuery(DnnTensor::Lse);
  DnnOwner &outputGradient = heads(DnnTensor::OutputGradient, count), &output = heads(DnnTensor::Output, count);
  DnnOwner &value = heads(DnnTensor::Value, keyCount, /*transposed=*/true);
  DnnOwner &key = heads(DnnTensor::Key, keyCount, /*transposed=*/true), &query = heads(DnnTensor::Query, count);
  DnnOwner &valueGradient = heads(DnnTensor::ValueGradient, keyCount);
  DnnOwner &keyGradient = heads(DnnTensor::KeyGradient, keyCount);
  DnnOwner &queryGradient = heads(DnnTensor::QueryGradient, count);

  // delta: for each query the inner product of output and its gradient.
  DnnOwner &terms =
      tensor(DnnData::Real32, wide, {length * pitch, length * columns, pitch, 1}, Place::Nowhere, nextId++);
  point(DnnPointwise::Mul, outputGradient, &output, terms, {});
  DnnOwner &inner = queries();
  reduce(DnnReduceAdd, terms, inner);
  inWorkspace.push_back({DnnTensor::Delta, tokens * shape.heads * 4});
  DnnOwner &delta = perQuery(DnnTensor::Delta);
  point(DnnPointwise::Mul, inner, &one, delta, {});

  // Weights again, and the value's gradient.
  DnnOwner &products = scores();
  multiply(query, key, products, /*overKeys=*/false);
  DnnOwner &scaled = point(DnnPointwise::Mul, products, &scale);
  DnnOwner &weights = point(DnnPointwise::Exp, masked(point(DnnPointwise::Sub, scaled, &lse)));
  // The gradients of key and value for all heads, added up over those that share a key head. Their offsets are those of
  // keys, times the heads of a group: cuDNN's own rule. As many bytes as its frontend gives them.
  const auto perKeyHead = [&](const DnnOwner &left, const DnnOwner &right, DnnTensor id, DnnOwner &result) {
    if (count == keyCount)
      return multiply(left, right, result, /*overKeys=*/true);
    inWorkspace.push_back({id, wideBytes});
    DnnOwner &all = inMemory(id, DnnData::BFloat16, wide, wideStrides, keyOffsets);
    multiply(left, right, all, /*overKeys=*/true);
    reduce(DnnReduceAdd, all, result);
  };
  DnnOwner &weightsTransposed = scores(DnnData::BFloat16, /*transposed=*/true);
  reshape(weights, weightsTransposed);
  perKeyHead(weightsTransposed, outputGradient, DnnTensor::ValueHeads, valueGradient);

  // slopes: the gradient of scores.
  DnnOwner &mixed = scores();
  multiply(outputGradient, value, mixed, /*overKeys=*/false);
  DnnOwner &steep = point(DnnPointwise::Mul, point(DnnPointwise::Sub, mixed, &delta), &weights);
  DnnOwner &slopes = point(DnnPointwise::Mul, steep, &scale);
  DnnOwner &slopesTransposed = scores(DnnData::BFloat16, /*transposed=*/true);
  reshape(slopes, slopesTransposed);
  perKeyHead(slopesTransposed, query, DnnTensor::KeyHeads, keyGradient);

  const int64_t keyPitch = keyCount * columns;
  DnnOwner &plainKey = tensor(DnnData::Real32, {documents, keyCount, length, columns},
                              {length * keyPitch, columns, keyPitch, 1}, Place::Nowhere, nextId++, keyOffsets);
  reshape(key, plainKey);
  if (!sumsQueries)
    return multiply(slopes, plainKey, queryGradient, /*overKeys=*/true);
  inWorkspace.push_back({DnnTensor::QuerySums, wideBytes});
  DnnOwner &sums = inMemory(DnnTensor::QuerySums, DnnData::Real32, wide, wideStrides, queryOffsets);
  multiply(slopes, plainKey, sums, /*overKeys=*/true);
  point(DnnPointwise::Identity, sums, nullptr, queryGradient, {});
}

} // namespace ftc::cuda
