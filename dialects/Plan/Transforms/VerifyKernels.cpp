//===- VerifyKernels.cpp - Where a kernel reads and writes -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Accesses of plan.rows name their places by indices. Most are the row itself, and then all rows of a buffer are told
// apart at once. Others are constants, or computed from the row by a few operations of arith; those are computed here
// for each row. Whatever is loaded, or counts a loop, is unknown.
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/Transforms/VerifyKernels.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::plan;

namespace {

/// A load or store of plan.rows.
struct Access {
  Operation *op;
  Value buffer;
  ValueRange indices;
  int64_t offset = 0, width = 1; ///< columns; one for an element
  bool isStore = false;

  MemRefType type() const { return cast<MemRefType>(buffer.getType()); }
  bool isOwnRow(RowsOp rows) const { return indices.size() == 1 && indices.front() == rows.getRow(); }
  /// Elements from one row of the first dimension to the next.
  int64_t rowElements() const { return type().getNumElements() / type().getDimSize(0); }
};

std::optional<Access> accessOf(Operation *op) {
  auto width = [](Type type) {
    auto row = dyn_cast<RankedTensorType>(type);
    return row ? row.getDimSize(0) : 1;
  };
  if (auto load = dyn_cast<LoadOp>(op))
    return Access{
        op, load.getBuffer(), load.getIndices(), static_cast<int64_t>(load.getOffset()), width(load.getType()), false};
  if (auto store = dyn_cast<StoreOp>(op))
    return Access{op,
                  store.getBuffer(),
                  store.getIndices(),
                  static_cast<int64_t>(store.getOffset()),
                  width(store.getValue().getType()),
                  true};
  return std::nullopt;
}

/// `value`, an index or an integer, in row `number`; nullopt where it is not made of that and constants.
std::optional<int64_t> valueIn(RowsOp rows, Value value, int64_t number) {
  if (value == rows.getRow())
    return number;
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto integer = dyn_cast<IntegerAttr>(constant.getValue());
    return integer ? std::optional(integer.getValue().getSExtValue()) : std::nullopt;
  }
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp, arith::ExtUIOp>(op))
    return valueIn(rows, op->getOperand(0), number);
  if (!isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::DivUIOp, arith::DivSIOp, arith::RemUIOp, arith::RemSIOp>(
          op))
    return std::nullopt;
  std::optional<int64_t> a = valueIn(rows, op->getOperand(0), number), b = valueIn(rows, op->getOperand(1), number);
  if (!a || !b)
    return std::nullopt;
  int64_t result = 0;
  return TypeSwitch<Operation *, std::optional<int64_t>>(op)
      .Case([&](arith::AddIOp) { return llvm::AddOverflow(*a, *b, result) ? std::nullopt : std::optional(result); })
      .Case([&](arith::SubIOp) { return llvm::SubOverflow(*a, *b, result) ? std::nullopt : std::optional(result); })
      .Case([&](arith::MulIOp) { return llvm::MulOverflow(*a, *b, result) ? std::nullopt : std::optional(result); })
      .Case<arith::DivUIOp, arith::DivSIOp>(
          [&](auto) { return *a >= 0 && *b > 0 ? std::optional(*a / *b) : std::nullopt; })
      .Default([&](Operation *) { return *a >= 0 && *b > 0 ? std::optional(*a % *b) : std::nullopt; });
}

/// Bounds of what `valueIn` gives over all rows, both included; nullopt where they are not found this way, which is
/// quick.
std::optional<std::pair<int64_t, int64_t>> boundsOf(RowsOp rows, Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || op->getNumOperands() == 0) {
    auto first = valueIn(rows, value, 0), last = valueIn(rows, value, static_cast<int64_t>(rows.getRows()) - 1);
    return first && last ? std::optional(std::pair(*first, *last)) : std::nullopt;
  }
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp, arith::ExtUIOp>(op))
    return boundsOf(rows, op->getOperand(0));
  if (op->getNumOperands() != 2)
    return std::nullopt;
  auto a = boundsOf(rows, op->getOperand(0)), b = boundsOf(rows, op->getOperand(1));
  if (!a || !b || a->first < 0 || b->first != b->second || b->first < 1)
    return std::nullopt;
  if (isa<arith::DivUIOp, arith::DivSIOp>(op))
    return std::pair(a->first / b->first, a->second / b->first);
  if (isa<arith::RemUIOp, arith::RemSIOp>(op))
    return std::pair(int64_t(0), b->first - 1);
  return std::nullopt;
}

/// Where an access begins in row `number`, in elements of the buffer. Nullopt where that is unknown, or outside, in
/// which case `outside` is the index.
std::optional<int64_t> placeIn(RowsOp rows, const Access &access, int64_t number,
                               std::optional<int64_t> *outside = nullptr) {
  int64_t place = 0;
  for (auto [dimension, index] : llvm::enumerate(access.indices)) {
    std::optional<int64_t> value = valueIn(rows, index, number);
    if (!value)
      return std::nullopt;
    int64_t size = access.type().getDimSize(dimension);
    if (*value < 0 || *value >= size) {
      if (outside)
        *outside = *value;
      return std::nullopt;
    }
    place = place * size + *value;
  }
  // A row access leaves out the last dimension.
  return (static_cast<int64_t>(access.indices.size()) < access.type().getRank()
              ? place * access.type().getShape().back() + access.offset
              : place);
}

/// Ranges in ascending order; those that touch become one.
void unite(SmallVector<Bytes> &ranges) {
  llvm::sort(ranges, [](Bytes a, Bytes b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  SmallVector<Bytes> united;
  for (Bytes range : ranges)
    if (!united.empty() && range.begin <= united.back().end)
      united.back().end = std::max(united.back().end, range.end);
    else
      united.push_back(range);
  ranges = std::move(united);
}

//===----------------------------------------------------------------------===//
// Row kernels
//===----------------------------------------------------------------------===//

class RowsVerifier {
public:
  explicit RowsVerifier(RowsOp rows) : rows(rows), number(rows.getRows()) {
    rows.getBody().walk([&](Operation *op) {
      if (std::optional<Access> access = accessOf(op))
        accesses[access->buffer].push_back(*access);
    });
  }

  bool run() {
    bool good = true;
    for (auto &[buffer, all] : accesses) {
      bool inside = true;
      for (const Access &access : all)
        inside &= verifyInside(access);
      good &= inside && (rows.getOrder() == RowOrder::Sequential || (verifyOrder(all) && verifyTasks(all)));
    }
    return good;
  }

private:
  bool verifyInside(const Access &access) {
    if (access.isOwnRow(rows))
      return true; // plan.rows has looked at it
    bool inside = true;
    for (auto [dimension, index] : llvm::enumerate(access.indices)) {
      auto bounds = boundsOf(rows, index);
      inside &= bounds && bounds->first >= 0 && bounds->second < access.type().getDimSize(dimension);
    }
    for (int64_t row = 0; !inside && row < number; ++row) {
      std::optional<int64_t> outside;
      if (placeIn(rows, access, row, &outside))
        continue;
      if (!outside)
        return true; // depends on data
      access.op->emitOpError("is at ") << *outside << " in row " << row << ", outside of " << access.type();
      return false;
    }
    return true;
  }

  /// Rows read all that they need before they store.
  bool verifyOrder(ArrayRef<Access> all) {
    bool stored = false;
    for (const Access &access : all) {
      if (!access.isStore && stored) {
        access.op->emitOpError("loads from a buffer that the same row has stored to");
        return false;
      }
      stored |= access.isStore;
    }
    return true;
  }

  struct Touched {
    int64_t begin, end, task;
    bool isStore;
    Operation *op;
  };

  static bool tellRace(const Touched &store, const Touched &other) {
    InFlightDiagnostic diagnostic = store.op->emitOpError("stores in task ")
                                    << store.task << " to what task " << other.task
                                    << (other.isStore ? " stores to" : " loads") << ", at any time";
    diagnostic.attachNote(other.op->getLoc()) << "which is here";
    return false;
  }

  /// No task writes what another one reads or writes.
  bool verifyTasks(ArrayRef<Access> all) {
    if (rows.getTasks() == 1 || llvm::none_of(all, [](const Access &access) { return access.isStore; }) ||
        llvm::all_of(all, [&](const Access &access) { return access.isOwnRow(rows); }))
      return true;
    SmallVector<Touched> touched;
    for (const Access &access : all)
      for (int64_t row = 0; row < number; ++row) {
        std::optional<int64_t> place = placeIn(rows, access, row);
        if (!place)
          break; // depends on data
        touched.push_back(
            {*place, *place + access.width, row / static_cast<int64_t>(rows.getPerTask()), access.isStore, access.op});
      }
    llvm::sort(touched, [](const Touched &a, const Touched &b) {
      return std::tie(a.begin, a.end, a.task, a.isStore) < std::tie(b.begin, b.end, b.task, b.isStore);
    });
    // Of what begins before, the access that ends last is enough to be compared with, and the one of another task.
    using Furthest = std::array<const Touched *, 2>;
    Furthest stores{}, any{};
    auto note = [](Furthest &furthest, const Touched &one) {
      if (!furthest[0] || one.end > furthest[0]->end) {
        if (furthest[0] && furthest[0]->task != one.task)
          furthest[1] = furthest[0];
        furthest[0] = &one;
      } else if (one.task != furthest[0]->task && (!furthest[1] || one.end > furthest[1]->end)) {
        furthest[1] = &one;
      }
    };
    for (const Touched &one : touched) {
      for (const Touched *before : one.isStore ? any : stores)
        if (before && before->task != one.task && one.begin < before->end)
          return tellRace(one.isStore ? one : *before, one.isStore ? *before : one);
      note(any, one);
      if (one.isStore)
        note(stores, one);
    }
    return true;
  }

  RowsOp rows;
  int64_t number;
  llvm::MapVector<Value, SmallVector<Access>> accesses;
};

/// Whether all accesses to an argument are whole rows, at the row that runs.
bool isOwnRowOnly(RowsOp rows, Value argument) {
  return rows.getOrder() == RowOrder::Parallel && llvm::all_of(argument.getUsers(), [&](Operation *user) {
           std::optional<Access> access = accessOf(user);
           if (!access)
             return false;
           bool isRow = static_cast<int64_t>(access->indices.size()) < access->type().getRank();
           if (isRow && (access->offset != 0 || access->width != access->type().getShape().back()))
             return false;
           return access->indices.empty() ? rows.getRows() == 1 : access->isOwnRow(rows);
         });
}

//===----------------------------------------------------------------------===//
// Products and attention
//===----------------------------------------------------------------------===//

/// A buffer that the work of a kernel writes has no other part in it, but for an extra of a product that is c.
bool verifyOperands(Operation *work) {
  auto product = dyn_cast<MatmulOp>(work);
  auto isWritten = [&](OpOperand &operand) {
    unsigned number = operand.getOperandNumber();
    if (product)
      return number == 2 || (product.getScratch() && number + 1 == work->getNumOperands());
    return number >= (isa<AttentionOp>(work) ? 4u : 7u);
  };
  auto isExtra = [&](OpOperand &operand) {
    return product && operand.getOperandNumber() > 2 && llvm::is_contained(product.getExtras(), operand.get()) &&
           !llvm::is_contained(product.getScales(), operand.get()) &&
           !llvm::is_contained(product.getPair(), operand.get()) && operand.get() != product.getScratch();
  };
  for (OpOperand &written : work->getOpOperands()) {
    if (!isWritten(written))
      continue;
    for (OpOperand &other : work->getOpOperands()) {
      if (&other == &written || other.get() != written.get() ||
          (product && written.getOperandNumber() == 2 && isExtra(other)))
        continue;
      work->emitOpError("writes its operand ")
          << written.getOperandNumber() << ", which is its operand " << other.getOperandNumber() << " too";
      return false;
    }
  }
  return true;
}

} // namespace

bool plan::verifyKernel(KernelOp kernel) {
  bool good = true;
  kernel.getBody().walk([&](Operation *op) {
    if (isa_and_nonnull<PlanDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect>(op->getDialect()))
      return;
    op->emitError("is not of a dialect that bodies of kernels are made of; it could allocate");
    good = false;
  });
  if (auto rows = dyn_cast<RowsOp>(kernel.getWork()))
    return RowsVerifier(rows).run() && good;
  return verifyOperands(kernel.getWork()) && good;
}

bool plan::mayBeOneBuffer(KernelOp kernel, unsigned i, unsigned j) {
  Value a = kernel.getBuffers()[i], b = kernel.getBuffers()[j];
  if (auto rows = dyn_cast<RowsOp>(kernel.getWork())) {
    if (a.getType() != b.getType() || !isOwnRowOnly(rows, a) || !isOwnRowOnly(rows, b))
      return false;
    // A row that is stored to is not loaded any more, under either name.
    bool stored = false, inOrder = true;
    rows.getBody().walk([&](Operation *op) {
      std::optional<Access> access = accessOf(op);
      if (!access || (access->buffer != a && access->buffer != b))
        return;
      inOrder &= access->isStore || !stored;
      stored |= access->isStore;
    });
    return inOrder;
  }
  auto product = dyn_cast<MatmulOp>(kernel.getWork());
  if (!product)
    return false;
  if (b == product.getC())
    std::swap(a, b);
  return a == product.getC() && a.hasOneUse() && llvm::all_of(b.getUses(), [&](OpOperand &use) {
           return llvm::is_contained(product.getExtras(), use.get()) && use.getOperandNumber() > 2;
         });
}

SmallVector<Bytes> plan::bytesWritten(KernelOp kernel, unsigned index) {
  Value argument = kernel.getBuffers()[index];
  auto type = cast<MemRefType>(argument.getType());
  SmallVector<Bytes> whole{{0, bytesOf(type)}};
  if (!kernel.writes(index) || type.getNumElements() == 0)
    return {};
  auto rows = dyn_cast<RowsOp>(kernel.getWork());
  if (!rows)
    return whole;
  const int64_t number = rows.getRows();
  SmallVector<Bytes> elements, columns; // columns: of the rows' own row, whatever it is
  for (Operation *user : argument.getUsers()) {
    if (isa<AccumulateOp>(user))
      return whole; // a row a task, as its verifier says
    std::optional<Access> access = accessOf(user);
    if (!access || !access->isStore || user->getParentOp() != rows)
      continue; // what stands in a condition or a loop may not happen
    if (access->isOwnRow(rows)) {
      columns.push_back({access->offset, access->offset + access->width});
      continue;
    }
    for (int64_t row = 0; row < number; ++row) {
      std::optional<int64_t> place = placeIn(rows, *access, row);
      if (!place)
        return whole; // depends on data
      elements.push_back({*place, *place + access->width});
      if (access->indices.empty())
        break;
    }
  }
  if (!columns.empty()) {
    unite(columns);
    int64_t rowElements = type.getNumElements() / type.getDimSize(0);
    if (columns.size() == 1 && columns.front().begin == 0 && columns.front().end == rowElements)
      elements.push_back({0, number * rowElements});
    else
      for (int64_t row = 0; row < number; ++row)
        for (Bytes part : columns)
          elements.push_back({row * rowElements + part.begin, row * rowElements + part.end});
  }
  unite(elements);
  int64_t elementBytes = bytesOf(type) / type.getNumElements();
  for (Bytes &range : elements)
    range = {range.begin * elementBytes, range.end * elementBytes};
  return elements;
}
