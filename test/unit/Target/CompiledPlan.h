//===- CompiledPlan.h - A plan compiled to a step and run ---------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_COMPILEDPLAN_H
#define FTC_TEST_UNIT_TARGET_COMPILEDPLAN_H

#include "dialects/Plan/IR/Plan.h"
#include "ftc/Reference/PlanInterpreter.h"
#include "ftc/Target/TargetBackend.h"
#include "ftrt/step.h"

#include "mlir/IR/OwningOpRef.h"
#include "gtest/gtest.h"

namespace ftc::test {

/// A context with every dialect of ftc.
mlir::MLIRContext &context();

/// Parses plan or train IR; train IR is brought to plan. The result has places for all buffers. A failure fails the
/// test.
/// `device`: with the working memory that the CUDA target asks for.
mlir::OwningOpRef<mlir::ModuleOp> parsePlan(llvm::StringRef text, const std::string &device = "");

/// A module of plan ops with places, compiled for `cpu`, loaded, with slabs of its own.
class CompiledPlan {
public:
  CompiledPlan(mlir::ModuleOp plan, const std::string &cpu, unsigned threads = 2);
  virtual ~CompiledPlan();
  CompiledPlan(const CompiledPlan &) = delete;
  CompiledPlan &operator=(const CompiledPlan &) = delete;

  bool ok() const { return step != nullptr; }
  /// The file's bytes.
  const std::string &bytes() const { return image; }

  void set(llvm::StringRef variable, const reference::Tensor &value);
  reference::Tensor get(llvm::StringRef variable) const;

  /// Fills the inputs of the entry `name`, runs it on `threads` threads, returns its outputs.
  reference::NamedTensors run(llvm::StringRef name, const reference::NamedTensors &inputs, unsigned threads);

  /// The plan as it was compiled, and where a buffer of it lies.
  mlir::ModuleOp module() const { return plan; }
  uint8_t *place(mlir::Value buffer) const { return address(buffer); }

  /// The entry's code for the services as given.
  virtual int32_t call(size_t entry, const ftrt_services &services, const ftrt_scalars &scalars);

protected:
  /// For targets of another kind: build() makes the step.
  explicit CompiledPlan(mlir::ModuleOp plan);
  /// Lowers a clone of the plan by `lower` to the llvm dialect, compiles and loads it.
  void build(TargetBackend &host, llvm::function_ref<mlir::LogicalResult(mlir::ModuleOp)> lower);
  virtual ftrt_services servicesFor(unsigned threads);

  uint8_t *address(mlir::Value buffer) const;
  uint8_t *address(llvm::StringRef slab, uint64_t offset) const;

  mlir::OwningOpRef<mlir::ModuleOp> owner;
  mutable mlir::ModuleOp plan;
  std::string image, path;
  void *library = nullptr;
  const ftrt_step *step = nullptr;
  std::vector<void *> slabs;
};

/// Services that run tasks on this many threads, the last task first.
ftrt_services services(unsigned threads);

/// How far a result may be from the interpreter's, in units of `ulps` of the larger of |expected| and `scale`.
struct Tolerance {
  double ulps = 0;
  double scale = 0;
};

/// Compiles `text` for x86-64-v3 and for this machine, runs every entry with normal numbers (variables too; `inputs`
/// replaces those it names), with one thread and with two, and compares outputs and variables with the interpreter's.
/// One and two threads must agree bit for bit.
void expectAsInterpreted(llvm::StringRef text, const reference::NamedTensors &inputs = {}, Tolerance tolerance = {});

/// Normal numbers for float types, numbers from 0 to `bound` - 1 for integer types; the same for the same name.
reference::Tensor numbers(mlir::Type type, llvm::StringRef name, int64_t bound = 4);

/// The bytes of a tensor in a buffer of its type, and back.
void toBytes(const reference::Tensor &tensor, uint8_t *to);
reference::Tensor fromBytes(mlir::MemRefType type, const uint8_t *from);

/// A tensor of integers.
reference::Tensor integers(llvm::StringRef type, std::vector<int64_t> values);

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_COMPILEDPLAN_H
