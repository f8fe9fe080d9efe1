//===- AttentionBlocks.cpp - How attention is cut, and its scratch -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerAttention.h"

#include <numeric>

using namespace mlir;
using namespace ftc;
using namespace ftc::cpu;

template <typename Op> static AttentionShape shapeOf(Op op) {
  auto query = cast<MemRefType>(op.getQuery().getType());
  AttentionShape shape;
  shape.batch = op.getBatch();
  shape.sequence = query.getDimSize(0) / shape.batch;
  shape.heads = op.getNumHeads();
  shape.kvHeads = op.getNumKvHeads();
  shape.headDim = query.getDimSize(1) / shape.heads;
  shape.scale = op.getScale().convertToDouble();
  const int64_t window = op.getWindow().value_or(shape.sequence);
  shape.window = window < shape.sequence ? window : 0;
  shape.softcap = op.getSoftcap() ? op.getSoftcap()->convertToDouble() : 0;
  return shape;
}

AttentionShape cpu::attentionShape(plan::AttentionOp op) { return shapeOf(op); }
AttentionShape cpu::attentionShape(plan::AttentionGradOp op) { return shapeOf(op); }

//===----------------------------------------------------------------------===//
// Forward
//===----------------------------------------------------------------------===//

AttentionBlocks::AttentionBlocks(const AttentionShape &shape, const CpuTarget &target) {
  ProductTile tile = productTile(target);
  auto part = [](int64_t floats) { return static_cast<int64_t>(llvm::alignTo(floats, 16)); };
  keyPanels = llvm::divideCeil(shape.sequence, tile.mr);
  valuePanels = llvm::divideCeil(shape.headDim, tile.mr);
  packedKey = part(keyPanels * tile.mr * shape.headDim + 16);
  packedValue = part(valuePanels * tile.mr * shape.sequence + 16);
  // 16 MiB of packed heads; at least one pair.
  pairsAtOnce = std::clamp<int64_t>((int64_t(4) << 20) / perPair(), 1, shape.pairs());
  queries = part(tile.nr * shape.headDim + 16);
  // The first query of a panel sees window - 1 keys before it, and the first key may be the last of its panel.
  seenPanels = keyPanels;
  if (shape.window)
    seenPanels = std::min<int64_t>(keyPanels, llvm::divideCeil(tile.mr - 1 + shape.window - 1 + tile.nr, tile.mr));
  scores = part((seenPanels + 1) * tile.mr * tile.nr);
  output = part(valuePanels * tile.mr * tile.nr);
  rows = part(tile.nr * shape.headDim + 16);
  starts = positions = weights = logs = part(tile.nr);
}

int64_t AttentionBlocks::scratchFloats(const CpuTarget &target) const {
  return pairsAtOnce * perPair() + target.threads * perThread();
}

//===----------------------------------------------------------------------===//
// Gradient
//===----------------------------------------------------------------------===//

/// Tasks that a gradient is cut into where it has fewer heads.
static constexpr int64_t wantedTasks = 64;
/// Blocks of keys of a strip, on average, at least: packing queries for it is then a small part of its work.
static constexpr int64_t blocksOfStrip = 4;

AttentionGradBlocks::AttentionGradBlocks(const AttentionShape &shape, const CpuTarget &target) {
  ProductTile tile = productTile(target);
  auto part = [](int64_t floats) { return static_cast<int64_t>(llvm::alignTo(floats + 16, 16)); };
  // Whole panels of both kinds, about 96.
  int64_t common = std::lcm(tile.mr, tile.nr);
  block = llvm::alignTo(96, common);
  width = llvm::alignTo(shape.headDim, tile.nr);
  count = llvm::divideCeil(shape.sequence, block);

  // Strips of keys. The work of a block of keys: how many blocks of queries see it.
  auto endOfQueries = [&](int64_t endKey) {
    if (!shape.window)
      return count * block;
    return std::min<int64_t>(count * block, llvm::alignTo(endKey + shape.window - 1, block));
  };
  int64_t work = 0;
  for (int64_t i = 0; i < count; ++i)
    work += endOfQueries((i + 1) * block) / block - i;
  int64_t parts = std::max<int64_t>(std::min(wantedTasks / (shape.batch * shape.heads), count / blocksOfStrip), 1);
  queryParts = 0;
  for (int64_t i = 0, first = 0, done = 0; i < count; ++i) {
    int64_t endKey = (i + 1) * block, endQuery = endOfQueries(endKey);
    done += endQuery / block - i;
    if (done * parts < work * static_cast<int64_t>(strips.size() + 1))
      continue;
    strips.push_back({first, endKey, endQuery, queryParts});
    queryParts += part((endQuery - first) * width);
    first = endKey;
  }
  if (strips.size() == 1)
    queryParts = 0;

  packedBlock = part(block * shape.headDim);
  keysAlong = valuesAlong = count * packedBlock;
  keysAcross = part(shape.sequence * width);
  keySums = valueSums = part(count * block * width);
  queriesA = gradientsA = part(block * shape.headDim);
  queriesB = gradientsB = querySums = part(block * width);
  scores = slopes = packed = part(block * block);

  // Heads at once: two tasks a thread, or 4 MiB of sums. More, up to three times as many, where threads would wait: all
  // tasks take about the same time, so what counts is how many a thread does one after another.
  auto evenly = [](int64_t whole, int64_t most) -> int64_t {
    return llvm::divideCeil(whole, llvm::divideCeil(whole, std::min(whole, most)));
  };
  const int64_t group = shape.group(), threads = target.threads, numStrips = strips.size();
  const int64_t least = std::max<int64_t>(llvm::divideCeil(2 * threads, numStrips), (1 << 20) / perHead());
  int64_t fewest = 0;
  for (int64_t heads = least; heads <= std::min(3 * least, std::max(least, shape.batch * shape.heads)); ++heads) {
    int64_t somePairs = evenly(shape.pairs(), std::max<int64_t>(heads / group, 1)), someHeads = evenly(group, heads);
    int64_t turns = llvm::divideCeil(shape.pairs(), somePairs) * llvm::divideCeil(group, someHeads) *
                    llvm::divideCeil(somePairs * someHeads * numStrips, threads);
    if (fewest && turns * 10 > fewest * 9)
      continue;
    fewest = turns;
    pairsAtOnce = somePairs;
    headsAtOnce = someHeads;
  }
  carriedSums = headsAtOnce < group ? keySums + valueSums : 0;
}

int64_t AttentionGradBlocks::scratchFloats(const CpuTarget &target) const {
  return pairsAtOnce * (perPair() + headsAtOnce * perHead()) + carriedSums + target.threads * perThread();
}
