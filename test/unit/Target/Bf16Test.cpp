//===- Bf16Test.cpp - bf16 of every target, bit by bit ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The CPU rounds in integers, a GPU by cvt.rn.bf16x2.f32. Both are held against the rule, for each of the 65536 upper
// halves of an f32 with each lower half at which the rule turns: NaNs, quiet ones or not, infinities and denormal
// numbers are among them.
//
//===----------------------------------------------------------------------===//

#include "EmulatedPlan.h"

#include <bit>
#include <cmath>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;
using reference::NamedTensors;
using reference::Tensor;

namespace {

constexpr int64_t count = 1 << 16;

/// out[i] = x[i], rows of so many columns, f32 to bf16. Numbers come in as integers: none passes through a processor's
/// registers, which would make its NaN a quiet one.
constexpr const char *round = R"(
  plan.kernel @k {
  ^bb0(%x: memref<$Rx$Cxi32>, %out: memref<$Rx$Cxbf16>):
    plan.rows $R per_task 1 parallel {
    ^bb0(%r: index):
      %0 = plan.load %x[%r] : memref<$Rx$Cxi32> -> tensor<$Cxi32>
      %1 = arith.bitcast %0 : tensor<$Cxi32> to tensor<$Cxf32>
      %2 = arith.truncf %1 : tensor<$Cxf32> to tensor<$Cxbf16>
      plan.store %2, %out[%r] : tensor<$Cxbf16>, memref<$Rx$Cxbf16>
    }
  }
  plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
    %x = plan.input "x" : memref<$Rx$Cxi32>
    %out = plan.alloc "out" : memref<$Rx$Cxbf16>
    plan.launch @k(%x, %out) "k" : memref<$Rx$Cxi32>, memref<$Rx$Cxbf16>
    plan.output "out", %out : memref<$Rx$Cxbf16>
  }
)";

/// The other way.
constexpr const char *widen = R"(
  plan.kernel @k {
  ^bb0(%x: memref<$Rx$Cxbf16>, %out: memref<$Rx$Cxf32>):
    plan.rows $R per_task 1 parallel {
    ^bb0(%r: index):
      %0 = plan.load %x[%r] : memref<$Rx$Cxbf16> -> tensor<$Cxbf16>
      %1 = arith.extf %0 : tensor<$Cxbf16> to tensor<$Cxf32>
      plan.store %1, %out[%r] : tensor<$Cxf32>, memref<$Rx$Cxf32>
    }
  }
  plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
    %x = plan.input "x" : memref<$Rx$Cxbf16>
    %out = plan.alloc "out" : memref<$Rx$Cxf32>
    plan.launch @k(%x, %out) "k" : memref<$Rx$Cxbf16>, memref<$Rx$Cxf32>
    plan.output "out", %out : memref<$Rx$Cxf32>
  }
)";

std::string sized(const char *text, int64_t columns) {
  std::string out;
  for (const char *at = text; *at; ++at) {
    if (*at == '$')
      out += std::to_string(*++at == 'R' ? count / columns : columns);
    else
      out += *at;
  }
  return out;
}

/// What a kernel makes of 65536 numbers' bits, on each target.
struct Targets {
  explicit Targets(const std::string &text)
      : plan(parsePlan(text)), oldCpu(*plan, "x86-64-v3"), cpu(*plan, "native"), gpu(*plan, "h100") {}
  OwningOpRef<ModuleOp> plan;
  CompiledPlan oldCpu, cpu;
  EmulatedPlan gpu;

  void expect(ArrayRef<uint32_t> bits, llvm::function_ref<uint32_t(uint32_t)> rule) {
    auto entry = plan->lookupSymbol<plan::EntryOp>("step");
    auto input = *entry.getBody().front().getOps<plan::InputOp>().begin();
    auto type = cast<MemRefType>(input.getBuffer().getType());
    Tensor x(RankedTensorType::get(type.getShape(), type.getElementType()));
    for (auto [to, from] : llvm::zip(x.integers, bits))
      to = static_cast<int32_t>(from);
    for (auto [to, from] : llvm::zip(x.reals, bits))
      to = std::bit_cast<float>(from);
    NamedTensors inputs{{"x", x}};
    for (auto [name, outputs] :
         {std::pair("x86-64-v3", oldCpu.run("step", inputs, 1)), std::pair("this machine", cpu.run("step", inputs, 1)),
          std::pair("GPU", gpu.run("step", inputs, /*backwards=*/false))})
      for (int64_t i = 0; i < count; ++i)
        ASSERT_EQ(std::bit_cast<uint32_t>(static_cast<float>(outputs["out"].reals[i])), rule(bits[i]))
            << name << ", bits " << bits[i];
  }
};

class Bf16 : public testing::TestWithParam<int64_t> {};
// Rows that threads take in vectors, and one column at a time.
INSTANTIATE_TEST_SUITE_P(Columns, Bf16, testing::Values(512, 1));

TEST_P(Bf16, RoundsEveryNumberByTheRule) {
  Targets targets(sized(round, GetParam()));
  for (uint32_t low : {0x0000u, 0x0001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
    std::vector<uint32_t> bits;
    for (uint32_t high = 0; high < count; ++high)
      bits.push_back(high << 16 | low);
    // The nearer neighbour, at a tie the even one; one NaN for all.
    targets.expect(bits, [](uint32_t number) -> uint32_t {
      if (std::isnan(std::bit_cast<float>(number)))
        return 0x7FFF0000u;
      uint32_t below = number & 0xFFFF0000u, rest = number & 0xFFFFu;
      return rest > 0x8000u || (rest == 0x8000u && (below & 0x10000u)) ? below + 0x10000u : below;
    });
    if (HasFatalFailure())
      return;
  }
}

TEST_P(Bf16, IsTheUpperHalfOfAnF32) {
  Targets targets(sized(widen, GetParam()));
  std::vector<uint32_t> bits;
  for (uint32_t high = 0; high < count; ++high)
    bits.push_back(high << 16);
  // The tensor that comes in has quiet NaNs alone.
  targets.expect(bits, [](uint32_t number) -> uint32_t {
    return std::isnan(std::bit_cast<float>(number)) ? number | 0x00400000u : number;
  });
}

TEST(Bf16Reference, HasTheSameNaN) {
  Type bf16 = BFloat16Type::get(&context());
  for (uint32_t nan : {0x7FC00000u, 0xFFC00000u, 0x7FFFFFFFu, 0xFFC12345u})
    EXPECT_EQ(std::bit_cast<uint32_t>(static_cast<float>(reference::roundTo(bf16, std::bit_cast<float>(nan)))),
              0x7FFF0000u);
}

} // namespace
