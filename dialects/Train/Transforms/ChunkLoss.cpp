//===- ChunkLoss.cpp - Head and loss by chunks of rows -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A value as large as the logits may exist only inside a chunk. So the chunked group is found from the logits: every op
// that makes or reads them, and, through row-wise ops, every op that makes or reads a value of their shape.
//
// Assumes: entries are differentiated, so that readers of the logits' gradient are in sight.
//
// The gradient of label log-probabilities is made of sums over all rows: there is no order of chunks in which each
// could make its gradient right behind its logits. Such a group is split: what leads to the logits is copied, and the
// copies are chunked with the gradient.
//
// Promises: each op of the group is computed once, but for those copies, for each row, from the same operands; only
// sums over rows (loss, count, gradients of weights) are added in another order. What lies outside stays as it is, and
// in order as far as dependences allow.
//
// Leaves whole: logits that something reads other than row by row (an output of the entry, a product that sums over
// columns of rows), groups with ops whose random bits depend on where a row stands, and groups that a path leaves and
// enters again.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Analysis/Link.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_CHUNKLOSSPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("chunk").category("train-chunk-loss");

/// Where the number of rows is left to the pass: at least so many,
constexpr int64_t minRows = 256;
/// a multiple of so many, for the tiles of products,
constexpr int64_t rowUnit = 64;
/// and so many that moving the head's weight and its gradient for each chunk takes at most this share of its products,
constexpr double trafficShare = 1.0 / 8;
/// but not more than this part of all rows.
constexpr int64_t mostOf = 4;
/// There are no more chunks than this: passes behind this one take time for each, and each is a launch or more.
constexpr int64_t mostChunks = 128;

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

int64_t bytesOf(RankedTensorType type) {
  return type.getNumElements() * static_cast<int64_t>(llvm::divideCeil(type.getElementTypeBitWidth(), 8));
}

RankedTensorType withRows(RankedTensorType type, int64_t rows) {
  SmallVector<int64_t> shape(type.getShape());
  shape.front() = rows;
  return type.clone(shape);
}

/// The logits that `op` makes a loss or a gradient of; null for other ops.
Value logitsOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<CrossEntropyOp, DistillationLossOp, LabelLogProbsOp, LabelLogProbsGradOp>(
          [](auto reader) { return reader.getLogits(); })
      .Default(Value());
}

/// What touches the logits of one loss.
class LossGroup {
public:
  explicit LossGroup(Value logits) : logits(logits), rows(typeOf(logits).getDimSize(0)) {
    collect();
    whyUncut = findUncut();
    if (whyUncut.empty())
      pathBack = findPathBack();
  }

  /// Why the logits have to be whole; empty where they need not.
  StringRef obstacle() const { return whyUncut.empty() ? pathBack : whyUncut; }
  /// Why they have to be whole even where the group is separated.
  StringRef obstacleApart() const { return whyUncut; }

  /// Rows of a chunk where the recipe names no number of chunks; see Passes.td.
  int64_t chooseRows() const;

  void chunk(int64_t chunkRows);

  /// Where the group has both label log-probabilities and their gradient: the logits that are made again for the
  /// gradient, which is then in a group of its own, and so is the rest of this one. Else null.
  Value separate();
  bool needsSeparation() const { return gradientApart() != nullptr; }

  bool contains(Operation *op) const { return inside.contains(op); }
  int64_t getRows() const { return rows; }
  Value getLogits() const { return logits; }
  int64_t logitsBytes(int64_t ofRows) const { return bytesOf(withRows(typeOf(logits), ofRows)); }

private:
  bool isBig(Value value) const { return big.contains(value); }
  void collect();
  std::string findUncut();
  std::string findPathBack();

  // How an op of the group is cut.
  bool isCutOperand(OpOperand &operand) const;
  bool isCutResult(OpResult result) const;
  /// Whether `op` sums over rows, so that its chunks add up.
  bool isSumOverRows(MatmulOp op) const { return !isBig(op.getResult()) && (op.getTransposeA() || !isBig(op.getA())); }

  void cloneChunk(OpBuilder &builder, int64_t first, int64_t chunkRows);
  Operation *gradientApart() const;

  Value logits;
  int64_t rows;
  llvm::SetVector<Value> big;   ///< values of the logits' shape
  SmallVector<Operation *> ops; ///< the group, in the order of the block
  llvm::DenseSet<Operation *> inside;
  SmallVector<Operation *> behind; ///< between the group's ops, but depending on them
  std::string whyUncut, pathBack;
  llvm::DenseMap<Value, SmallVector<Value>> pieces; ///< of each result of the group, one a chunk; of a product that
                                                    ///< sums over rows, the sum so far
};

int64_t LossGroup::chooseRows() const {
  int64_t entering = 0;
  if (auto product = logits.getDefiningOp<MatmulOp>())
    entering = bytesOf(product.getA().getType());
  // What a chunk moves whatever its size: weights that it reads, their gradients that it adds to.
  double fixedBytes = 0, flopsOfRow = 0;
  for (Operation *op : ops)
    if (auto product = dyn_cast<MatmulOp>(op)) {
      const bool isSum = isSumOverRows(product);
      fixedBytes += isSum ? 2.0 * bytesOf(product.getResult().getType()) : bytesOf(product.getB().getType());
      flopsOfRow += 2.0 * product.getM() * product.getN() * product.getK() / rows;
    }
  const LinkModel device = LinkModel::of(ops.front());
  const double trafficSeconds = fixedBytes / device.nearBytesPerSecond;
  const double secondsOfRow = flopsOfRow / device.flopsPerSecond;
  int64_t enough = 0;
  if (secondsOfRow > 0)
    enough = std::min(static_cast<int64_t>(std::ceil(trafficSeconds / trafficShare / secondsOfRow)), rows / mostOf);
  return std::max({minRows, entering / (bytesOf(typeOf(logits)) / rows), enough,
                   static_cast<int64_t>(llvm::divideCeil(rows, mostChunks))});
}

void LossGroup::collect() {
  big.insert(logits);
  for (size_t i = 0; i < big.size(); ++i) {
    Value value = big[i];
    SmallVector<Operation *> touching(value.getUsers());
    if (Operation *producer = value.getDefiningOp())
      touching.push_back(producer);
    for (Operation *op : touching) {
      if (!inside.insert(op).second)
        continue;
      ops.push_back(op);
      // Row-wise ops hand the shape on; products do not, but for what they add to.
      if (auto product = dyn_cast<MatmulOp>(op)) {
        if (product.getOnto() && (value == product.getOnto() || value == product.getResult())) {
          big.insert(product.getOnto());
          big.insert(product.getResult());
        }
        continue;
      }
      if (!isa<RowWiseOpInterface>(op))
        continue;
      SmallVector<Value> others(op->getOperands());
      llvm::append_range(others, op->getResults());
      for (Value other : others)
        if (typeOf(other).getShape() == typeOf(logits).getShape())
          big.insert(other);
    }
  }
  llvm::sort(ops, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
}

bool LossGroup::isCutOperand(OpOperand &operand) const {
  unsigned index = operand.getOperandNumber();
  if (auto product = dyn_cast<MatmulOp>(operand.getOwner()))
    return isSumOverRows(product) ? index < 2 : index != 1;
  return cast<RowWiseOpInterface>(operand.getOwner()).isRowOperand(index);
}

bool LossGroup::isCutResult(OpResult result) const {
  if (auto product = dyn_cast<MatmulOp>(result.getOwner()))
    return !isSumOverRows(product);
  return cast<RowWiseOpInterface>(result.getOwner()).isRowResult(result.getResultNumber());
}

/// What of the group cannot be cut into chunks of rows.
std::string LossGroup::findUncut() {
  if (!logits.getDefiningOp())
    return "the logits are an input";
  for (Operation *op : ops) {
    std::string name = op->getName().getStringRef().str();
    if (auto product = dyn_cast<MatmulOp>(op)) {
      bool a = isBig(product.getA()), b = isBig(product.getB()), result = isBig(product.getResult());
      // Along the rows of the logits: rows of the result, or summed over.
      bool byRows = (result || a) && !b && !product.getTransposeA();
      bool summed = !result && (a || b) && product.getTransposeA() && !product.getTransposeB();
      if (!byRows && !summed)
        return name + " does not take the logits row by row";
    } else if (isa<DropoutOp, StochasticRoundOp>(op)) {
      return name + " takes its random bits by the number of a row, which is another one in a chunk";
    } else if (auto rowWise = dyn_cast<RowWiseOpInterface>(op)) {
      if (rowWise.getRows() != rows)
        return name + " does not take the logits row by row";
      for (OpResult result : op->getResults())
        if (!result.use_empty() && !isCutResult(result) && !isa<CrossEntropyOp, DistillationLossOp>(op))
          return name + " sums over the rows";
    } else {
      return name + " needs the logits whole";
    }
  }
  for (Operation *op : ops)
    for (Value operand : op->getOperands())
      if (auto result = dyn_cast<OpResult>(operand); result && inside.contains(result.getOwner()))
        if (!isCutResult(result))
          return op->getName().getStringRef().str() + " reads a sum over all rows";
  return {};
}

/// Ops between those of the group that depend on it go behind it. None may feed it.
std::string LossGroup::findPathBack() {
  llvm::DenseSet<Operation *> dependent;
  for (Operation *op = ops.front(); op != ops.back()->getNextNode(); op = op->getNextNode()) {
    auto from = [&](const llvm::DenseSet<Operation *> &set) {
      return llvm::any_of(op->getOperands(), [&](Value operand) {
        Operation *producer = operand.getDefiningOp();
        return producer && set.contains(producer);
      });
    };
    if (inside.contains(op)) {
      if (from(dependent))
        return op->getName().getStringRef().str() + " reads something made of the whole loss";
    } else if (from(inside) || from(dependent)) {
      dependent.insert(op);
      behind.push_back(op);
    }
  }
  return {};
}

/// The first gradient of label log-probabilities, where they are in the group too.
Operation *LossGroup::gradientApart() const {
  if (llvm::none_of(ops, [](Operation *op) { return isa<LabelLogProbsOp>(op); }))
    return nullptr;
  auto found = llvm::find_if(ops, [](Operation *op) { return isa<LabelLogProbsGradOp>(op); });
  return found == ops.end() ? nullptr : *found;
}

Value LossGroup::separate() {
  Operation *gradient = gradientApart();
  if (!gradient)
    return {};
  // What depends on the gradient, inside of the group.
  llvm::DenseSet<Operation *> dependent{gradient};
  for (Operation *op = gradient; op; op = op->getNextNode())
    if (isa<LabelLogProbsGradOp>(op) && inside.contains(op))
      dependent.insert(op);
    else if (llvm::any_of(op->getOperands(),
                          [&](Value operand) { return dependent.contains(operand.getDefiningOp()); }))
      dependent.insert(op);
  OpBuilder builder(gradient);
  IRMapping again;
  for (Operation *op : ops) {
    if (dependent.contains(op) || isa<LabelLogProbsOp>(op))
      continue;
    Operation *copy = builder.clone(*op, again);
    copy->setAttr(TrainDialect::recomputeAttrName, builder.getUnitAttr());
    copy->setAttr(TrainDialect::backwardAttrName, builder.getUnitAttr());
  }
  for (Operation *op : ops)
    if (dependent.contains(op))
      for (OpOperand &operand : op->getOpOperands())
        if (isBig(operand.get()))
          operand.set(again.lookupOrDefault(operand.get()));
  return again.lookup(logits);
}

void LossGroup::cloneChunk(OpBuilder &builder, int64_t first, int64_t chunkRows) {
  IRMapping chunk;
  llvm::DenseMap<Value, Value> slices;
  for (Operation *op : ops) {
    for (OpOperand &operand : op->getOpOperands()) {
      Value value = operand.get();
      if (chunk.contains(value) || !isCutOperand(operand))
        continue;
      Value &slice = slices[value];
      if (!slice)
        slice = SliceRowsOp::create(builder, op->getLoc(), withRows(typeOf(value), chunkRows), value, first);
    }
    Operation *clone = op->clone(chunk);
    for (auto [operand, cloned] : llvm::zip(op->getOpOperands(), clone->getOpOperands()))
      if (!chunk.contains(operand.get()) && isCutOperand(operand))
        cloned.set(slices.lookup(operand.get()));
    for (auto [result, cloned] : llvm::zip(op->getResults(), clone->getResults()))
      if (isCutResult(result))
        cloned.setType(withRows(typeOf(result), chunkRows));
    builder.insert(clone);
    if (auto product = dyn_cast<MatmulOp>(clone); product && isSumOverRows(cast<MatmulOp>(op))) {
      Value result = cast<MatmulOp>(op).getResult();
      SmallVector<Value> &sum = pieces[result];
      if (!sum.empty())
        product.getOntoMutable().assign(sum.front());
      sum = {product.getResult()};
      continue;
    }
    for (auto [result, cloned] : llvm::zip(op->getResults(), clone->getResults())) {
      pieces[result].push_back(cloned);
      if (isCutResult(result))
        chunk.map(result, cloned);
    }
  }
}

void LossGroup::chunk(int64_t chunkRows) {
  Operation *end = ops.back();
  for (Operation *op : behind) {
    op->moveAfter(end);
    end = op;
  }
  OpBuilder builder(ops.back()->getContext());
  builder.setInsertionPointAfter(ops.back());
  for (int64_t first = 0; first < rows; first += chunkRows)
    cloneChunk(builder, first, std::min(chunkRows, rows - first));

  for (Operation *op : ops)
    for (OpResult result : op->getResults()) {
      bool isRead = llvm::any_of(result.getUsers(), [&](Operation *user) { return !inside.contains(user); });
      if (!isRead)
        continue;
      SmallVector<Value> &parts = pieces[result];
      Value whole;
      if (isCutResult(result))
        whole = ConcatRowsOp::create(builder, op->getLoc(), result.getType(), parts);
      else
        for (Value part : parts)
          whole = whole ? AddOp::create(builder, op->getLoc(), whole, part).getResult() : part;
      result.replaceAllUsesWith(whole);
    }
  for (Operation *op : llvm::reverse(ops)) {
    op->dropAllUses();
    op->erase();
  }
}

struct ChunkLossPass : impl::ChunkLossPassBase<ChunkLossPass> {
  void runOnOperation() override {
    auto wanted = getOperation()->getAttrOfType<IntegerAttr>(TrainDialect::lossChunksAttrName);
    if (!wanted)
      return markAllAnalysesPreserved();
    // Entries of shorter rows must not take more memory than the longest: their chunks are no larger.
    int64_t mostRows = 0, mostChunkRows = INT64_MAX;
    if (wanted.getInt() == 0)
      for (auto entry : getOperation().getOps<EntryOp>())
        for (Operation &op : entry.getBody().front())
          if (Value logits = logitsOf(&op); logits && typeOf(logits).getDimSize(0) > mostRows) {
            mostRows = typeOf(logits).getDimSize(0);
            mostChunkRows = chosenRows(LossGroup(logits), INT64_MAX);
          }
    for (auto entry : getOperation().getOps<EntryOp>()) {
      // Two losses of one matrix of logits are one group.
      SmallVector<Operation *> readers;
      for (Operation &op : entry.getBody().front())
        if (logitsOf(&op))
          readers.push_back(&op);
      while (!readers.empty()) {
        Location loc = readers.front()->getLoc();
        LossGroup group(logitsOf(readers.front()));
        llvm::erase_if(readers, [&](Operation *other) { return group.contains(other); });
        chunkBoth(loc, group, wanted.getInt(), mostChunkRows);
      }
    }
  }

  /// Rows of a chunk: at least as many as the rule asks for, spread evenly, and at most `most`.
  static int64_t chosenRows(const LossGroup &group, int64_t most) {
    const int64_t rows = group.getRows();
    const int64_t chunks = std::max<int64_t>(rows / group.chooseRows(), llvm::divideCeil(rows, std::min(rows, most)));
    return llvm::alignTo(llvm::divideCeil(rows, std::max<int64_t>(1, chunks)), rowUnit);
  }

  static void chunkBoth(Location loc, LossGroup &group, int64_t chunks, int64_t mostRows) {
    const int64_t chunkRows = chunks == 0 ? chosenRows(group, mostRows) : llvm::divideCeil(group.getRows(), chunks);
    if (!group.needsSeparation() || !group.obstacleApart().empty() || chunkRows >= group.getRows())
      return chunk(loc, group, chunkRows);
    Value logits = group.getLogits(), again = group.separate();
    for (Value each : {logits, again}) {
      LossGroup half(each);
      chunk(loc, half, chunkRows);
    }
  }

  static void chunk(Location loc, LossGroup &group, int64_t chunkRows) {
    int64_t rows = group.getRows();
    if (!group.obstacle().empty()) {
      remark::missed(loc, remarkOpts) << remark::add("the logits stay whole: {0}", group.obstacle().str());
      return;
    }
    if (chunkRows >= rows) {
      remark::missed(loc, remarkOpts) << remark::add("the logits stay whole: {0} rows are one chunk", rows);
      return;
    }
    int64_t saved = group.logitsBytes(rows) - group.logitsBytes(chunkRows);
    group.chunk(chunkRows);
    remark::passed(loc, remarkOpts) << remark::add("head and loss in {0} chunks of {1} rows",
                                                   llvm::divideCeil(rows, chunkRows), chunkRows)
                                    << remark::metric("bytes_saved", saved);
  }
};

} // namespace
} // namespace ftc::train
