//===- PlanMemory.h - Bytes that the plan interpreter works on --*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_REFERENCE_PLANMEMORY_H
#define FTC_LIB_REFERENCE_PLANMEMORY_H

#include "ftc/Reference/Tensor.h"

#include "dialects/Plan/IR/Plan.h"
#include "llvm/Support/Error.h"

#include <map>
#include <memory>
#include <string>

namespace ftc::reference {

/// One element: `real` for float types, `integer` for the others.
struct Cell {
  double real = 0;
  int64_t integer = 0;
};

/// Bytes, each with a mark whether something wrote it.
struct MarkedBytes {
  explicit MarkedBytes(int64_t size) : data(size), written(size) {}
  std::vector<uint8_t> data, written;
};

/// A buffer: a type at an offset of some bytes.
struct BufferRef {
  MarkedBytes *bytes = nullptr;
  int64_t offset = 0;
  mlir::MemRefType type;

  /// Reads or writes element `index`, counted in row-major order. Fails outside of the buffer or its bytes, and where a
  /// read meets a byte that nothing has written.
  llvm::Error read(int64_t index, Cell &cell) const;
  llvm::Error write(int64_t index, const Cell &cell) const;

  llvm::Expected<Tensor> readAll() const;
  /// `value` has as many elements, of the same type.
  llvm::Error writeAll(const Tensor &value) const;
};

/// The memory of a module: its slabs, and bytes of their own for buffers that have no place yet.
class PlanMemory {
public:
  explicit PlanMemory(mlir::ModuleOp module);

  /// The buffer of a variable; no bytes if there is none of this name.
  BufferRef variable(llvm::StringRef name) const;
  /// The buffer that a plan.alloc, plan.view or plan.input stands for.
  llvm::Expected<BufferRef> transient(mlir::Operation *op);
  /// Marks everything but the variables as never written: an entry begins.
  void forgetTransients();

private:
  MarkedBytes *place(std::optional<llvm::StringRef> slab, llvm::StringRef key, int64_t bytes);

  std::map<std::string, std::unique_ptr<MarkedBytes>> slabs, own;
  std::map<std::string, BufferRef> variables;
};

} // namespace ftc::reference

#endif // FTC_LIB_REFERENCE_PLANMEMORY_H
