//===- LaunchList.h - The launches of a step, as data -----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An entry launches thousands of kernels, one after another, at addresses that are known but for the slabs' bases. As
// code, a call for each, they would be most of what a step takes to compile and a good part of its size. So they are
// three constants that all entries share, and one function that goes through a part of them:
//
//   @step.drivers    the kernels' drivers: pointers
//   @step.places     where buffers lie: pairs of i64, the number of a slab and the offset in it
//   @step.launches   i32: the number of a driver, how many buffers it gets, and for each the number of its place
//   @step.run(%host, %slabs, %first: i64, %end: i64) -> i32     launches words [first, end) of @step.launches
//
// `host` is what drivers get before the addresses: the services, or ftrt_device. There the function ends with the code
// of the first driver that does not return 0.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONVERSION_PLANTOLLVM_LAUNCHLIST_H
#define FTC_LIB_CONVERSION_PLANTOLLVM_LAUNCHLIST_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"

#include <set>

namespace ftc {

class LaunchList {
public:
  /// Where a buffer lies: the number of a slab, and bytes from its start.
  struct Place {
    int64_t slab, offset;
  };

  /// Adds the launch of a driver at the end.
  void add(mlir::LLVM::LLVMFuncOp driver, llvm::ArrayRef<Place> buffers);

  /// Words so far: where the next launch begins.
  int64_t size() const { return static_cast<int64_t>(words.size()); }

  /// Calls what launches words [first, end); its code (i32), 0 where drivers return nothing.
  mlir::Value emitRun(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value host, mlir::Value slabs, int64_t first,
                      int64_t end) const;

  /// Writes the constants and the function to the end of the module; with `device`, drivers return a code.
  void write(mlir::ModuleOp module, bool device) const;

private:
  void writeTables(mlir::OpBuilder &builder, mlir::Location loc) const;
  void writeFunction(mlir::OpBuilder &builder, mlir::Location loc, bool device) const;

  llvm::MapVector<mlir::Operation *, int32_t> drivers;
  llvm::MapVector<std::pair<int64_t, int64_t>, int32_t> places; ///< by slab and offset
  llvm::SmallVector<int32_t> words;
  std::set<int32_t> counts; ///< of buffers
};

} // namespace ftc

#endif // FTC_LIB_CONVERSION_PLANTOLLVM_LAUNCHLIST_H
