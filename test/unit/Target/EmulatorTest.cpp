//===- EmulatorTest.cpp - The emulation refuses what a GPU would not see --===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Emulator.h"
#include "CompiledPlan.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace ftc::test;

namespace {

/// Runs a block of 64 threads, of which thread %i (i64) has `body`, on a buffer %x of 64 numbers of f32 that the
/// function is said to have `bytes` of.
std::string run(const std::string &body, size_t bytes = 256, bool backwards = false) {
  context().loadDialect<gpu::GPUDialect, NVVM::NVVMDialect, LLVM::LLVMDialect>();
  std::string text = R"(
    gpu.module @kernels {
      gpu.func @k(%x: !llvm.ptr) kernel attributes {known_block_size = array<i32: 64, 1, 1>, known_grid_size = array<i32: 1, 1, 1>} {
        %t = gpu.thread_id x
        %i = arith.index_cast %t : index to i64
        %zero = arith.constant 0 : i64
        %one = arith.constant 1 : i64
        %last = arith.constant 63 : i64
        %number = arith.constant 1.0 : f32
)" + body + R"(
        gpu.return
      }
    })";
  auto module = parseSourceString<ModuleOp>(text, &context());
  if (!module)
    return "not parsed";
  Emulator emulator(*module);
  alignas(16) float buffer[64] = {};
  return emulator.run("k", {buffer}, {bytes}, backwards);
}

const char storeOwn[] = "%p = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32\n"
                        "llvm.store %number, %p {alignment = 4 : i64} : f32, !llvm.ptr\n";

TEST(Emulator, AccessesStayInTheirBuffers) {
  EXPECT_EQ(run(storeOwn), "");
  EXPECT_EQ(run(storeOwn, 252), "k: thread 63 of block 0 accesses 4 bytes outside of the kernel's buffers");
  EXPECT_EQ(run("%b = arith.subi %i, %one : i64\n"
                "%p = llvm.getelementptr %x[%b] : (!llvm.ptr, i64) -> !llvm.ptr, f32\n"
                "%v = llvm.load %p {alignment = 4 : i64} : !llvm.ptr -> f32\n"),
            "k: thread 0 of block 0 accesses 4 bytes outside of the kernel's buffers");
  // The last vector reaches beyond.
  EXPECT_EQ(run("%p = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32\n"
                "%v = llvm.load %p {alignment = 4 : i64} : !llvm.ptr -> vector<4xf32>\n"),
            "k: thread 61 of block 0 accesses 16 bytes outside of the kernel's buffers");
}

TEST(Emulator, AccessesAreAlignedAsTheySay) {
  EXPECT_EQ(run("%p = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, f32\n"
                "llvm.store %number, %p {alignment = 8 : i64} : f32, !llvm.ptr\n"),
            "k: thread 1 of block 0 accesses 4 bytes that are not aligned");
}

TEST(Emulator, LanesMeet) {
  // Half a warp shuffles.
  EXPECT_EQ(run("%half = arith.constant 16 : i64\n%c = arith.cmpi slt, %i, %half : i64\nscf.if %c {\n"
                "%d = arith.constant 1 : i32\n%w = arith.constant 32 : i32\n"
                "%s, %valid = gpu.shuffle xor %number, %d, %w : f32\n}\n"),
            "k: lanes of a warp do not meet at the same shuffle, product, barrier or end");
  // One warp has a barrier more.
  EXPECT_EQ(run("%w = arith.constant 32 : i64\n%c = arith.cmpi slt, %i, %w : i64\nscf.if %c {\ngpu.barrier\n}\n"),
            "k: warps of a block do not meet at the same barrier or end");
}

} // namespace
