//===- KernelTable.h - Kernels under construction, each once ----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONVERSION_TRAINTOPLAN_KERNELTABLE_H
#define FTC_LIB_CONVERSION_TRAINTOPLAN_KERNELTABLE_H

#include "dialects/Plan/IR/Plan.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace ftc {

/// All kernels of a module. Kernels with the same body and the same argument types are one symbol.
class KernelTable {
public:
  /// New kernels go before `insertionPoint`, an op of the module's body. `partialSums`: see chooseRowsPerTask.
  KernelTable(mlir::Operation *insertionPoint, int64_t partialSums);

  /// An empty kernel whose work is still to be built; it has no final name yet.
  plan::KernelOp begin(mlir::Location loc);

  /// Gives `kernel` the name `base` (with a number if another body has it), or drops it for an equal one. Returns the
  /// kernel to launch.
  plan::KernelOp intern(plan::KernelOp kernel, llvm::StringRef base);

  const int64_t partialSums;

private:
  mlir::OpBuilder builder;
  llvm::StringMap<llvm::SmallVector<plan::KernelOp>> byBase;
  llvm::StringSet<> names;
};

/// A launch under construction: maps buffers of an entry to arguments of the kernel.
class LaunchBuilder {
public:
  LaunchBuilder(KernelTable &table, mlir::OpBuilder &entry, mlir::Location loc);

  /// The kernel's argument for `buffer`; the same buffer gives the same argument. `seenAs` is another shape of as many
  /// elements.
  mlir::Value argument(mlir::Value buffer, mlir::MemRefType seenAs = {});

  /// The builder inside the kernel.
  mlir::OpBuilder &body() { return bodyBuilder; }
  mlir::Location loc() const { return location; }

  /// Interns the kernel and emits the launch at the entry's builder.
  plan::LaunchOp finish(llvm::StringRef name, llvm::StringRef label);

private:
  KernelTable &table;
  mlir::OpBuilder &entry;
  mlir::Location location;
  plan::KernelOp kernel;
  mlir::OpBuilder bodyBuilder;
  llvm::MapVector<std::pair<mlir::Value, mlir::Type>, mlir::Value> arguments;
};

/// A launch of plan.rows: stores go to the end of the body, after everything a row reads.
class RowLaunch : public LaunchBuilder {
public:
  RowLaunch(KernelTable &table, mlir::OpBuilder &entry, mlir::Location loc, int64_t rows, int64_t perTask,
            plan::RowOrder order = plan::RowOrder::Parallel);

  mlir::Value row() { return rows.getRow(); }
  int64_t tasks() { return rows.getTasks(); }

  /// `buffer` as the rows of this body see it: [rows, columns] as one row value each, one element for rank 0.
  mlir::Value loadRow(mlir::Value buffer);
  /// Element `indices` of `buffer`.
  mlir::Value loadElement(mlir::Value buffer, mlir::ValueRange indices);

  /// Column `column` (an index) of the row of `buffer` that loadRow gives.
  mlir::Value loadColumn(mlir::Value buffer, mlir::Value column);

  /// Stores at the end of the body: a row value as row `row()` of `buffer`, a scalar as element `row()` (rank 1) or as
  /// the one element (rank 0).
  void storeRow(mlir::Value value, mlir::Value buffer);
  void storeAt(mlir::Value value, mlir::Value argument, mlir::ValueRange indices, int64_t offset = 0);
  void accumulate(mlir::Value value, mlir::Value partial);

  plan::LaunchOp finish(llvm::StringRef name, llvm::StringRef label);

private:
  int64_t rowColumns(mlir::MemRefType type);
  /// The argument for `buffer` as a matrix of this body's rows, and the indices of the current row.
  std::pair<mlir::Value, llvm::SmallVector<mlir::Value>> rowPlace(mlir::Value buffer);

  plan::RowsOp rows;
  llvm::DenseMap<mlir::Value, mlir::Value> loadedRows;
  llvm::SmallVector<std::function<void()>> atEnd;
};

/// Rows of one task: a function of rows and columns only, so that an op adds up in the same order alone and in a group,
/// in f32 and in bf16. About 64 KiB of traffic a task, at least 8 tasks where there is enough work to share.
int64_t chooseRowsPerTask(int64_t rows, int64_t columns);

/// The same of a kernel that keeps a partial sum for each task. With `partialSums` 0 it has at most 64; else so many,
/// or as many as rows: a GPU has no other work to do beside such a kernel.
int64_t chooseRowsPerPartialSum(int64_t rows, int64_t columns, int64_t partialSums);

/// "16x64", or "1" for rank 0; other element types than f32 follow: "16x64_bf16".
std::string shapeName(mlir::Type type);

} // namespace ftc

#endif // FTC_LIB_CONVERSION_TRAINTOPLAN_KERNELTABLE_H
