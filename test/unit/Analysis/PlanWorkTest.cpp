//===- PlanWorkTest.cpp - What an entry computes and moves ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/PlanWork.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

using namespace ftc;
using namespace mlir;

namespace {

/// Two products, one sum of rows, one attention over rows of 8, and a copy each way.
constexpr const char *text = R"(
  plan.kernel @product {
  ^bb0(%a: memref<16x8xf32>, %b: memref<4x8xf32>, %c: memref<16x4xf32>):
    plan.matmul %a, %b, %c transpose_b : memref<16x8xf32>, memref<4x8xf32>, memref<16x4xf32> read_a {} read_b {} store_c {}
  }
  plan.kernel @sum {
  ^bb0(%x: memref<16x4xf32>, %y: memref<16x4xf32>, %z: memref<16x4xf32>):
    plan.rows 16 per_task 4 parallel {
    ^bb0(%r: index):
      %0 = plan.load %x[%r] : memref<16x4xf32> -> tensor<4xf32>
      %1 = plan.load %y[%r] : memref<16x4xf32> -> tensor<4xf32>
      %2 = arith.addf %0, %1 : tensor<4xf32>
      plan.store %2, %z[%r] : tensor<4xf32>, memref<16x4xf32>
    }
  }
  plan.kernel @attention {
  ^bb0(%q: memref<16x8xf32>, %k: memref<16x4xf32>, %v: memref<16x4xf32>, %s: memref<16xi32>, %o: memref<16x8xf32>, %l: memref<16x2xf32>):
    plan.attention %q, %k, %v, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 5.0e-01
      : memref<16x8xf32>, memref<16x4xf32>, memref<16x4xf32>, memref<16xi32>, memref<16x8xf32>, memref<16x2xf32>
  }
  plan.entry @step kind(step) batch 2 sequence 8 flops 2048.0 {
    %s = plan.input "segment_starts" : memref<16xi32>
    %a = plan.alloc "a" : memref<16x8xf32>
    %b = plan.alloc "b" : memref<4x8xf32>
    %c = plan.alloc "c" : memref<16x4xf32>
    %d = plan.alloc "d" : memref<16x4xf32>
    %e = plan.alloc "e" : memref<16x4xf32>
    %o = plan.alloc "o" : memref<16x8xf32>
    %l = plan.alloc "l" : memref<16x2xf32>
    %f = plan.alloc far "f" : memref<16x8xf32>
    plan.launch @product(%a, %b, %c) "c" : memref<16x8xf32>, memref<4x8xf32>, memref<16x4xf32>
    plan.launch @product(%a, %b, %d) "d" : memref<16x8xf32>, memref<4x8xf32>, memref<16x4xf32>
    %out = plan.copy_out %a to %f : memref<16x8xf32>
    plan.launch @sum(%c, %d, %e) "e" : memref<16x4xf32>, memref<16x4xf32>, memref<16x4xf32>
    plan.wait %out
    plan.launch @attention(%a, %c, %d, %s, %o, %l) "o" : memref<16x8xf32>, memref<16x4xf32>, memref<16x4xf32>, memref<16xi32>, memref<16x8xf32>, memref<16x2xf32>
    %in = plan.copy_in %f to %o : memref<16x8xf32>
    plan.wait %in
    %in2 = plan.copy_in %f to %a : memref<16x8xf32>
    plan.wait %in2
  }
)";

class PlanWorkTest : public ::testing::Test {
protected:
  PlanWorkTest() {
    context.loadDialect<plan::PlanDialect, arith::ArithDialect, memref::MemRefDialect>();
    module = parseSourceString<ModuleOp>(text, &context);
  }

  PlanWork work(const DeviceRates &rates = {}) { return workOf(*module->getOps<plan::EntryOp>().begin(), rates); }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};

// 2 m n k = 1024 for each product; two products over 36 pairs of 2 rows, 8 columns: 2 * 2 * 36 * 8 * 2.
constexpr double productFlops = 1024, attentionFlops = 2304;
constexpr double productBytes = 4 * (16 * 8 + 4 * 8 + 16 * 4), sumBytes = 4 * 3 * 16 * 4;
constexpr double attentionBytes = 4 * (16 * 8 + 2 * 16 * 4 + 16 * 8 + 16 * 2);
constexpr double copied = 4 * 16 * 8;

TEST_F(PlanWorkTest, AddsUpEveryLaunchAndCopy) {
  ASSERT_TRUE(module);
  PlanWork all = work();
  EXPECT_EQ(all.launches, 4);
  EXPECT_EQ(all.flops, 2 * productFlops + attentionFlops);
  EXPECT_EQ(all.necessaryFlops, 2048);
  EXPECT_EQ(all.bytes, 2 * productBytes + sumBytes + attentionBytes);
  EXPECT_EQ(all.bytesOut, copied);
  EXPECT_EQ(all.bytesIn, 2 * copied);
  EXPECT_EQ(all.seconds, 0);
}

TEST_F(PlanWorkTest, EachLaunchTakesTheLongerOfItsProductsAndItsBytes) {
  ASSERT_TRUE(module);
  // Products take 1024 / 1 and 896 / 1, the sum 768 bytes, attention 2304.
  EXPECT_EQ(work({1, 1, 0}).seconds, 2 * productFlops + sumBytes + attentionFlops);
  // With twice the rate of products, the bytes of the products count.
  EXPECT_EQ(work({2, 1, 0}).seconds, 2 * productBytes + sumBytes + attentionBytes);
}

TEST_F(PlanWorkTest, TheLinkRunsBesideLaunchesAndBothWays) {
  ASSERT_TRUE(module);
  PlanWork linked = work({1, 1, 1e-1});
  EXPECT_DOUBLE_EQ(linked.linkSeconds, 2 * copied / 1e-1);
  EXPECT_EQ(linked.seconds, linked.linkSeconds);
  EXPECT_EQ(work({1, 1, 1}).seconds, work({1, 1, 0}).seconds);
}

TEST_F(PlanWorkTest, EntriesOfAStepAddUp) {
  ASSERT_TRUE(module);
  PlanWork once = work({1, 1, 1}), twice = once;
  twice += once;
  EXPECT_EQ(twice.launches, 8);
  EXPECT_EQ(twice.flops, 2 * once.flops);
  EXPECT_EQ(twice.bytesIn, 2 * once.bytesIn);
  EXPECT_EQ(twice.seconds, 2 * once.seconds);
}

} // namespace
