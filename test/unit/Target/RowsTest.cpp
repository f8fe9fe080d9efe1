//===- RowsTest.cpp - Row kernels, compiled and run on every target ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CompiledPlan.h"
#include "EmulatedPlan.h"

using namespace ftc;
using namespace ftc::test;

namespace {

/// The interpreter's bits from the CPU's code and, emulated, from a GPU's.
void expectOnEveryTarget(const std::string &text, const reference::NamedTensors &inputs = {}) {
  expectAsInterpreted(text, inputs);
  expectEmulatedAsInterpreted(text, inputs);
}

/// One kernel over x, y and w, launched once; `body` is that of plan.rows, `rows` what follows "plan.rows".
std::string oneKernel(int rows, int columns, const std::string &order, const std::string &body,
                      const std::string &element = "f32") {
  std::string text = R"(
    plan.kernel @k {
    ^bb0(%x: memref<RxCxE>, %y: memref<RxCxE>, %w: memref<CxE>, %out: memref<RxCxE>, %stats: memref<Rxf32>):
      plan.rows R ORDER {
      ^bb0(%r: index):
        BODY
      }
    }
    plan.entry @step kind(step) batch 1 sequence R flops 0.0 {
      %x = plan.input "x" : memref<RxCxE>
      %y = plan.input "y" : memref<RxCxE>
      %w = plan.input "w" : memref<CxE>
      %out = plan.input "out" : memref<RxCxE>
      %stats = plan.input "stats" : memref<Rxf32>
      plan.launch @k(%x, %y, %w, %out, %stats) "k" : memref<RxCxE>, memref<RxCxE>, memref<CxE>, memref<RxCxE>, memref<Rxf32>
      plan.output "out", %out : memref<RxCxE>
      plan.output "stats", %stats : memref<Rxf32>
    }
  )";
  auto replace = [&](const std::string &from, const std::string &to) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  };
  replace("BODY", body);
  replace("ORDER", order);
  replace("RxCxE", std::to_string(rows) + "x" + std::to_string(columns) + "x" + element);
  replace("CxE", std::to_string(columns) + "x" + element);
  replace("Rxf32", std::to_string(rows) + "xf32");
  replace("rows R", "rows " + std::to_string(rows));
  replace("sequence R", "sequence " + std::to_string(rows));
  replace("tensor<C", "tensor<" + std::to_string(columns));
  return text;
}

/// Widths below, at and above those of vectors, steps, groups of four and all partial sums (128 columns), and of what a
/// warp loads together (256).
class Widths : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Rows, Widths,
                         testing::Values(1, 2, 3, 4, 6, 8, 15, 16, 31, 32, 33, 64, 77, 96, 124, 128, 130, 200, 255, 256,
                                         260, 389, 1100));

TEST_P(Widths, ElementWise) {
  expectOnEveryTarget(oneKernel(5, GetParam(), "per_task 2 parallel", R"(
    %0 = plan.load %x[%r] : memref<RxCxE> -> tensor<CxE>
    %1 = plan.load %y[%r] : memref<RxCxE> -> tensor<CxE>
    %2 = arith.mulf %0, %1 : tensor<CxE>
    %3 = plan.column : tensor<Cxi32>
    %4 = arith.sitofp %3 : tensor<Cxi32> to tensor<CxE>
    %5 = math.fma %2, %1, %4 : tensor<CxE>
    plan.store %5, %out[%r] : tensor<CxE>, memref<RxCxE>)"));
}

TEST_P(Widths, SumInTheStatedOrder) {
  expectOnEveryTarget(oneKernel(5, GetParam(), "per_task 2 parallel", R"(
    %0 = plan.load %x[%r] : memref<RxCxE> -> tensor<CxE>
    %1 = plan.reduce add %0 : tensor<CxE> -> f32
    plan.store %1, %stats[%r] : f32, memref<Rxf32>)"));
}

TEST_P(Widths, ThreePhases) {
  // Softmax without exp: a maximum, a sum that depends on it, a row that depends on both.
  expectOnEveryTarget(oneKernel(5, GetParam(), "per_task 2 parallel", R"(
    %0 = plan.load %x[%r] : memref<RxCxE> -> tensor<CxE>
    %m = plan.reduce max %0 : tensor<CxE> -> f32
    %mb = plan.broadcast %m : f32 -> tensor<CxE>
    %1 = arith.subf %0, %mb : tensor<CxE>
    %2 = arith.mulf %1, %1 : tensor<CxE>
    %s = plan.reduce add %2 : tensor<CxE> -> f32
    %one = arith.constant 1.0 : f32
    %s1 = arith.addf %s, %one : f32
    %sb = plan.broadcast %s1 : f32 -> tensor<CxE>
    %3 = arith.divf %2, %sb : tensor<CxE>
    plan.store %3, %out[%r] : tensor<CxE>, memref<RxCxE>
    plan.store %s1, %stats[%r] : f32, memref<Rxf32>)"));
}

TEST_P(Widths, InPlace) {
  // Reads what it overwrites in two phases: the store must wait for the second.
  expectOnEveryTarget(oneKernel(5, GetParam(), "per_task 2 parallel", R"(
    %0 = plan.load %out[%r] : memref<RxCxE> -> tensor<CxE>
    %1 = plan.load %x[%r] : memref<RxCxE> -> tensor<CxE>
    %2 = arith.addf %0, %1 : tensor<CxE>
    plan.store %2, %out[%r] : tensor<CxE>, memref<RxCxE>
    %3 = arith.mulf %2, %2 : tensor<CxE>
    %s = plan.reduce add %3 : tensor<CxE> -> f32
    %b = plan.broadcast %s : f32 -> tensor<CxE>
    %4 = arith.mulf %2, %b : tensor<CxE>
    plan.store %4, %x[%r] : tensor<CxE>, memref<RxCxE>)"));
}

TEST_P(Widths, SequentialRowsReadWhatEarlierOnesStored) {
  expectOnEveryTarget(oneKernel(5, GetParam(), "per_task 1 sequential", R"(
    %c0 = arith.constant 0 : index
    %0 = plan.load %x[%r] : memref<RxCxE> -> tensor<CxE>
    %1 = plan.load %out[%c0] : memref<RxCxE> -> tensor<CxE>
    %2 = arith.mulf %0, %1 : tensor<CxE>
    plan.store %2, %out[%c0] : tensor<CxE>, memref<RxCxE>)"));
}

TEST_P(Widths, SelectAndCompare) {
  expectOnEveryTarget(oneKernel(5, GetParam(), "per_task 4 parallel", R"(
    %0 = plan.load %x[%r] : memref<RxCxE> -> tensor<CxE>
    %1 = plan.load %y[%r] : memref<RxCxE> -> tensor<CxE>
    %2 = arith.cmpf ogt, %0, %1 : tensor<CxE>
    %3 = arith.select %2, %0, %1 : tensor<Cxi1>, tensor<CxE>
    %5 = math.sqrt %3 : tensor<CxE>
    plan.store %5, %out[%r] : tensor<CxE>, memref<RxCxE>)"));
}

TEST_P(Widths, Bf16RoundsWhereItIsDefined) {
  expectOnEveryTarget(oneKernel(5, GetParam(), "per_task 2 parallel", R"(
    %0 = plan.load %x[%r] : memref<RxCxE> -> tensor<CxE>
    %1 = plan.load %w[] : memref<CxE> -> tensor<CxE>
    %2 = arith.extf %0 : tensor<CxE> to tensor<Cxf32>
    %3 = arith.extf %1 : tensor<CxE> to tensor<Cxf32>
    %4 = arith.mulf %2, %3 : tensor<Cxf32>
    %s = plan.reduce add %4 : tensor<Cxf32> -> f32
    %5 = arith.truncf %4 : tensor<Cxf32> to tensor<CxE>
    %6 = arith.addf %5, %1 : tensor<CxE>
    plan.store %6, %out[%r] : tensor<CxE>, memref<RxCxE>
    plan.store %s, %stats[%r] : f32, memref<Rxf32>)",
                                "bf16"));
}

TEST(Rows, SumInDoublePrecision) {
  expectOnEveryTarget(R"(
    plan.kernel @k {
    ^bb0(%x: memref<3x150xf32>, %sums: memref<3xf64>):
      plan.rows 3 per_task 1 parallel {
      ^bb0(%r: index):
        %0 = plan.load %x[%r] : memref<3x150xf32> -> tensor<150xf32>
        %1 = arith.extf %0 : tensor<150xf32> to tensor<150xf64>
        %2 = arith.mulf %1, %1 : tensor<150xf64>
        %s = plan.reduce add %2 : tensor<150xf64> -> f64
        plan.store %s, %sums[%r] : f64, memref<3xf64>
      }
    }
    plan.entry @step kind(step) batch 1 sequence 3 flops 0.0 {
      %x = plan.input "x" : memref<3x150xf32>
      %sums = plan.alloc "sums" : memref<3xf64>
      plan.launch @k(%x, %sums) "k" : memref<3x150xf32>, memref<3xf64>
      plan.output "sums", %sums : memref<3xf64>
    }
  )");
}

TEST(Rows, ScalarsReadFromWhatIsWritten) {
  // Each row is divided by its own first element, in place: nobody may store before all have read it.
  expectOnEveryTarget(R"(
    plan.kernel @k {
    ^bb0(%x: memref<5x72xf32>, %total: memref<f32>):
      plan.rows 5 per_task 2 parallel {
      ^bb0(%r: index):
        %c0 = arith.constant 0 : index
        %first = plan.load %x[%r, %c0] : memref<5x72xf32> -> f32
        %0 = plan.load %x[%r] : memref<5x72xf32> -> tensor<72xf32>
        %b = plan.broadcast %first : f32 -> tensor<72xf32>
        %1 = arith.divf %0, %b : tensor<72xf32>
        plan.store %1, %x[%r] : tensor<72xf32>, memref<5x72xf32>
      }
    }
    plan.entry @step kind(step) batch 1 sequence 5 flops 0.0 {
      %x = plan.input "x" : memref<5x72xf32>
      %total = plan.alloc "total" : memref<f32>
      plan.launch @k(%x, %total) "k" : memref<5x72xf32>, memref<f32>
      plan.output "x", %x : memref<5x72xf32>
    }
  )");
}

TEST(Rows, UnalignedSlice) {
  // A slice that starts four bytes after a place: no vector of four fits.
  expectEmulatedAsInterpreted(R"(
    plan.kernel @k {
    ^bb0(%x: memref<4x16xf32>, %y: memref<4x16xf32>):
      plan.rows 4 per_task 1 parallel {
      ^bb0(%r: index):
        %0 = plan.load %x[%r] : memref<4x16xf32> -> tensor<16xf32>
        %1 = arith.addf %0, %0 : tensor<16xf32>
        plan.store %1, %y[%r] : tensor<16xf32>, memref<4x16xf32>
      }
    }
    plan.entry @step kind(step) batch 1 sequence 4 flops 0.0 {
      %x = plan.input "x" : memref<65xf32>
      %part = plan.slice %x[1] : memref<65xf32> to memref<64xf32>
      %y = plan.alloc "y" : memref<4x16xf32>
      plan.launch @k(%part, %y) "k" : memref<64xf32>, memref<4x16xf32>
      plan.output "y", %y : memref<4x16xf32>
    }
  )");
}

/// Rows that are reduced, in a slice that starts `first` elements after a place: groups of four in accesses of one or
/// two elements.
void expectSumsOfASlice(int first, int columns) {
  std::string n = std::to_string(columns), all = std::to_string(4 * columns), from = std::to_string(first),
              whole = std::to_string(first + 4 * columns);
  std::string matrix = "memref<4x" + n + "xf32>", row = "tensor<" + n + "xf32>";
  expectEmulatedAsInterpreted(
      "plan.kernel @k {\n^bb0(%x: " + matrix + ", %y: memref<4xf32>):\n" +
      "  plan.rows 4 per_task 1 parallel {\n  ^bb0(%r: index):\n    %0 = plan.load %x[%r] : " + matrix + " -> " + row +
      "\n    %s = plan.reduce add %0 : " + row + " -> f32\n    plan.store %s, %y[%r] : f32, memref<4xf32>\n  }\n}\n" +
      "plan.entry @step kind(step) batch 1 sequence 4 flops 0.0 {\n  %x = plan.input \"x\" : memref<" + whole +
      "xf32>\n  %part = plan.slice %x[" + from + "] : memref<" + whole + "xf32> to memref<" + all +
      "xf32>\n  %y = plan.alloc \"y\" : memref<4xf32>\n" + "  plan.launch @k(%part, %y) \"k\" : memref<" + all +
      "xf32>, memref<4xf32>\n  plan.output \"y\", %y : memref<4xf32>\n}\n");
}

TEST(Rows, SumsOfUnalignedSlices) {
  for (int columns : {16, 150, 512})
    for (int first : {0, 1, 2, 4}) {
      SCOPED_TRACE(std::to_string(columns) + " columns from element " + std::to_string(first));
      expectSumsOfASlice(first, columns);
    }
}

/// Rows of heads: several of them fill a warp, in rows apart and in tasks of as many rows each.
TEST(Rows, ShortRowsShareAWarp) {
  for (int columns : {3, 12, 20, 64, 128})
    for (const char *order : {"per_task 1 parallel", "per_task 4 parallel"}) {
      SCOPED_TRACE(std::to_string(columns) + " columns, " + order);
      expectOnEveryTarget(oneKernel(32, columns, order, R"(
        %0 = plan.load %x[%r] : memref<RxCxE> -> tensor<CxE>
        %1 = plan.load %y[%r] : memref<RxCxE> -> tensor<CxE>
        %2 = arith.mulf %0, %1 : tensor<CxE>
        %m = plan.reduce max %0 : tensor<CxE> -> f32
        %s = plan.reduce add %2 : tensor<CxE> -> f32
        %3 = arith.addf %m, %s : f32
        %b = plan.broadcast %3 : f32 -> tensor<CxE>
        %4 = arith.subf %0, %b : tensor<CxE>
        plan.store %4, %out[%r] : tensor<CxE>, memref<RxCxE>
        plan.store %s, %stats[%r] : f32, memref<Rxf32>)"));
    }
}

/// Tasks of short rows keep sums, in a warp together where each has as many rows, else in one of their own.
TEST(Rows, ShortRowsOfTasksAccumulate) {
  for (auto [rows, tasks] : {std::pair<int, int>{16, 8}, {15, 8}}) {
    std::string text = R"(
      plan.kernel @k {
      ^bb0(%x: memref<Rx40xf32>, %rows: memref<Tx40xf32>, %sums: memref<Txf32>):
        plan.rows R per_task 2 parallel {
        ^bb0(%r: index):
          %0 = plan.load %x[%r] : memref<Rx40xf32> -> tensor<40xf32>
          %s = plan.reduce add %0 : tensor<40xf32> -> f32
          %b = plan.broadcast %s : f32 -> tensor<40xf32>
          %1 = arith.mulf %0, %b : tensor<40xf32>
          plan.accumulate %1, %rows : tensor<40xf32>, memref<Tx40xf32>
          plan.accumulate %s, %sums : f32, memref<Txf32>
        }
      }
      plan.entry @step kind(step) batch 1 sequence R flops 0.0 {
        %x = plan.input "x" : memref<Rx40xf32>
        %rows = plan.alloc "rows" : memref<Tx40xf32>
        %sums = plan.alloc "sums" : memref<Txf32>
        plan.launch @k(%x, %rows, %sums) "k" : memref<Rx40xf32>, memref<Tx40xf32>, memref<Txf32>
        plan.output "rows", %rows : memref<Tx40xf32>
        plan.output "sums", %sums : memref<Txf32>
      }
    )";
    auto replace = [&](const std::string &from, const std::string &to) {
      for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    };
    replace("<Rx", "<" + std::to_string(rows) + "x");
    replace("<Tx", "<" + std::to_string(tasks) + "x");
    replace("rows R", "rows " + std::to_string(rows));
    replace("sequence R", "sequence " + std::to_string(rows));
    SCOPED_TRACE(text);
    expectOnEveryTarget(text);
  }
}

/// Rows with more partial results, which a block of a GPU reduces: its lanes have them once and not at all, or several
/// times; what they load together, less, and parts of it. In tasks of two rows, in place, and with a scalar of the row
/// that is rewritten.
TEST(Rows, WideRowsHaveABlock) {
  for (int columns : {16385, 20480, 37001}) {
    SCOPED_TRACE(columns);
    const std::string last = std::to_string(columns - 1);
    expectOnEveryTarget(oneKernel(3, columns, "per_task 2 parallel", R"(
      %last = arith.constant )" + last + R"( : index
      %0 = plan.load %x[%r] : memref<RxCxE> -> tensor<CxE>
      %e = plan.load %x[%r, %last] : memref<RxCxE> -> f32
      %m = plan.reduce max %0 : tensor<CxE> -> f32
      %mb = plan.broadcast %m : f32 -> tensor<CxE>
      %1 = arith.subf %0, %mb : tensor<CxE>
      %s = plan.reduce add %1 : tensor<CxE> -> f32
      %2 = arith.mulf %1, %1 : tensor<CxE>
      %q = plan.reduce add %2 : tensor<CxE> -> f32
      %t = arith.divf %s, %q : f32
      %u = arith.mulf %t, %e : f32
      %b = plan.broadcast %u : f32 -> tensor<CxE>
      %3 = arith.mulf %1, %b : tensor<CxE>
      plan.store %3, %x[%r] : tensor<CxE>, memref<RxCxE>
      plan.store %3, %out[%r] : tensor<CxE>, memref<RxCxE>
      plan.store %u, %stats[%r] : f32, memref<Rxf32>)"));
  }
}

TEST(Rows, WideRowsAccumulate) {
  expectOnEveryTarget(R"(
    plan.kernel @k {
    ^bb0(%x: memref<5x17000xbf16>, %rows: memref<3x17000xf32>, %sums: memref<3xf64>):
      plan.rows 5 per_task 2 parallel {
      ^bb0(%r: index):
        %0 = plan.load %x[%r] : memref<5x17000xbf16> -> tensor<17000xbf16>
        %1 = arith.extf %0 : tensor<17000xbf16> to tensor<17000xf32>
        %2 = arith.extf %0 : tensor<17000xbf16> to tensor<17000xf64>
        %m = plan.reduce max %1 : tensor<17000xf32> -> f32
        %s = plan.reduce add %2 : tensor<17000xf64> -> f64
        %b = plan.broadcast %m : f32 -> tensor<17000xf32>
        %3 = arith.divf %1, %b : tensor<17000xf32>
        plan.accumulate %3, %rows : tensor<17000xf32>, memref<3x17000xf32>
        plan.accumulate %s, %sums : f64, memref<3xf64>
      }
    }
    plan.entry @step kind(step) batch 1 sequence 5 flops 0.0 {
      %x = plan.input "x" : memref<5x17000xbf16>
      %rows = plan.alloc "rows" : memref<3x17000xf32>
      %sums = plan.alloc "sums" : memref<3xf64>
      plan.launch @k(%x, %rows, %sums) "k" : memref<5x17000xbf16>, memref<3x17000xf32>, memref<3xf64>
      plan.output "rows", %rows : memref<3x17000xf32>
      plan.output "sums", %sums : memref<3xf64>
    }
  )");
}

TEST(Rows, ColumnOffsets) {
  // Halves of a row trade places and signs, in place.
  expectOnEveryTarget(oneKernel(6, 40, "per_task 4 parallel", R"(
    %0 = plan.load %out[%r] : memref<RxCxE> -> tensor<20xf32>
    %1 = plan.load %out[%r] offset 20 : memref<RxCxE> -> tensor<20xf32>
    %2 = arith.negf %1 : tensor<20xf32>
    plan.store %2, %out[%r] : tensor<20xf32>, memref<RxCxE>
    plan.store %0, %out[%r] offset 20 : tensor<20xf32>, memref<RxCxE>)"));
}

TEST(Rows, AccumulateIntoPartialSums) {
  expectOnEveryTarget(R"(
    plan.kernel @k {
    ^bb0(%x: memref<7x40xf32>, %rows: memref<3x40xf32>, %sums: memref<3xf32>, %counts: memref<3xi32>):
      plan.rows 7 per_task 3 parallel {
      ^bb0(%r: index):
        %0 = plan.load %x[%r] : memref<7x40xf32> -> tensor<40xf32>
        %s = plan.reduce add %0 : tensor<40xf32> -> f32
        %c = arith.constant 1 : i32
        plan.accumulate %0, %rows : tensor<40xf32>, memref<3x40xf32>
        plan.accumulate %s, %sums : f32, memref<3xf32>
        plan.accumulate %c, %counts : i32, memref<3xi32>
      }
    }
    plan.entry @step kind(step) batch 1 sequence 7 flops 0.0 {
      %x = plan.input "x" : memref<7x40xf32>
      %rows = plan.alloc "rows" : memref<3x40xf32>
      %sums = plan.alloc "sums" : memref<3xf32>
      %counts = plan.alloc "counts" : memref<3xi32>
      plan.launch @k(%x, %rows, %sums, %counts) "k" : memref<7x40xf32>, memref<3x40xf32>, memref<3xf32>, memref<3xi32>
      plan.output "rows", %rows : memref<3x40xf32>
      plan.output "sums", %sums : memref<3xf32>
      plan.output "counts", %counts : memref<3xi32>
    }
  )");
}

TEST(Rows, SequentialScatter) {
  expectOnEveryTarget(R"(
    plan.kernel @k {
    ^bb0(%ids: memref<9xi32>, %g: memref<9x150xf32>, %table: memref<4x150xf32>):
      plan.rows 9 per_task 1 sequential {
      ^bb0(%r: index):
        %id = plan.load %ids[%r] : memref<9xi32> -> i32
        %i = arith.index_cast %id : i32 to index
        %0 = plan.load %g[%r] : memref<9x150xf32> -> tensor<150xf32>
        %1 = plan.load %table[%i] : memref<4x150xf32> -> tensor<150xf32>
        %2 = arith.addf %1, %0 : tensor<150xf32>
        plan.store %2, %table[%i] : tensor<150xf32>, memref<4x150xf32>
      }
    }
    plan.entry @step kind(step) batch 1 sequence 9 flops 0.0 {
      %ids = plan.input "ids" : memref<9xi32>
      %g = plan.input "g" : memref<9x150xf32>
      %table = plan.input "table" : memref<4x150xf32>
      plan.launch @k(%ids, %g, %table) "k" : memref<9xi32>, memref<9x150xf32>, memref<4x150xf32>
      plan.output "table", %table : memref<4x150xf32>
    }
  )");
}

/// Rows of `g`, of type `from`, are added into rows of a table of type `to`, by the number that stands beside each.
std::string scatterKernel(int rows, int columns, const std::string &from, const std::string &to) {
  std::string text = R"(
    plan.kernel @k {
    ^bb0(%ids: memref<Rxi32>, %g: memref<RxCxF>, %table: memref<5xCxT>):
      plan.rows R per_task R sequential {
      ^bb0(%r: index):
        %id = plan.load %ids[%r] : memref<Rxi32> -> i32
        %i = arith.index_cast %id : i32 to index
        %0 = plan.load %g[%r] : memref<RxCxF> -> tensor<CxF>
        WIDEN
        plan.scatter %1, %table[%i] : tensor<CxW>, memref<5xCxT>
      }
    }
    plan.entry @step kind(step) batch 1 sequence R flops 0.0 {
      %ids = plan.input "ids" : memref<Rxi32>
      %g = plan.input "g" : memref<RxCxF>
      %table = plan.input "table" : memref<5xCxT>
      plan.launch @k(%ids, %g, %table) "k" : memref<Rxi32>, memref<RxCxF>, memref<5xCxT>
      plan.output "table", %table : memref<5xCxT>
    }
  )";
  auto replace = [&](const std::string &what, const std::string &by) {
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
      text.replace(at, what.size(), by);
  };
  const std::string wide = from == "f64" ? "f64" : "f32";
  replace("WIDEN",
          from == wide ? "%1 = arith.negf %0 : tensor<CxF>" : "%1 = arith.extf %0 : tensor<CxF> to tensor<CxW>");
  replace("CxW", std::to_string(columns) + "x" + wide);
  replace("CxF", std::to_string(columns) + "x" + from);
  replace("CxT", std::to_string(columns) + "x" + to);
  for (const char *place : {"<Rx", "rows R", "per_task R", "sequence R"})
    replace(place, std::string(place).substr(0, std::string(place).find('R')) + std::to_string(rows) +
                       (std::string(place).back() == 'x' ? "x" : ""));
  return text;
}

/// Runs of one row, of fewer and more rows than are under way together, at the start, at the end; rows left out between
/// them; rows of the table that nobody names.
TEST_P(Widths, ScatterAddsRunsUp) {
  std::vector<int64_t> ids = {-1, -1, 3, 0, 0, -1};
  ids.insert(ids.end(), 19, 4);
  ids.push_back(1);
  auto numbers = integers("tensor<" + std::to_string(ids.size()) + "xi32>", ids);
  for (auto [from, to] : {std::pair<const char *, const char *>{"f32", "f32"}, {"bf16", "bf16"}, {"f32", "bf16"}}) {
    SCOPED_TRACE(std::string(from) + " into " + to);
    expectOnEveryTarget(scatterKernel(static_cast<int>(ids.size()), GetParam(), from, to), {{"ids", numbers}});
  }
}

TEST(Rows, ScatterOfOneRunOfOneRowAndOfNone) {
  for (const std::vector<int64_t> &ids : {std::vector<int64_t>(75, 2), std::vector<int64_t>(75, -1), {1}, {-1}}) {
    auto numbers = integers("tensor<" + std::to_string(ids.size()) + "xi32>", ids);
    expectOnEveryTarget(scatterKernel(static_cast<int>(ids.size()), 1160, "bf16", "bf16"), {{"ids", numbers}});
    expectOnEveryTarget(scatterKernel(static_cast<int>(ids.size()), 20, "f64", "f64"), {{"ids", numbers}});
  }
}

TEST(Rows, ScalarsAndPowers) {
  expectOnEveryTarget(R"(
    plan.kernel @k {
    ^bb0(%lr: memref<f32>, %step: memref<i64>, %out: memref<3xf64>):
      %half = arith.constant 0.5 : f64
      plan.rows 3 per_task 3 parallel {
      ^bb0(%r: index):
        %n = plan.load %step[] : memref<i64> -> i64
        %i = arith.index_cast %r : index to i64
        %m = arith.addi %n, %i : i64
        %p = math.fpowi %half, %m : f64, i64
        %l = plan.load %lr[] : memref<f32> -> f32
        %w = arith.extf %l : f32 to f64
        %c1 = arith.constant 1 : i64
        %first = arith.cmpi eq, %i, %c1 : i64
        %d = arith.divf %w, %p : f64
        %t = arith.subf %w, %p : f64
        %v = arith.select %first, %d, %t : f64
        plan.store %v, %out[%r] : f64, memref<3xf64>
      }
    }
    plan.entry @step kind(step) batch 1 sequence 3 flops 0.0 {
      %lr = plan.input "learning_rate" : memref<f32>
      %n = plan.input "step" : memref<i64>
      %out = plan.alloc "out" : memref<3xf64>
      plan.launch @k(%lr, %n, %out) "k" : memref<f32>, memref<i64>, memref<3xf64>
      plan.output "out", %out : memref<3xf64>
    }
  )",
                      {{"step", integers("tensor<i64>", {11})}});
}

TEST(Rows, Branches) {
  auto module = parsePlan(R"(
    plan.kernel @k {
    ^bb0(%x: memref<4xf32>, %out: memref<4xf32>):
      plan.rows 4 per_task 2 parallel {
      ^bb0(%r: index):
        %v = plan.load %x[%r] : memref<4xf32> -> f32
        %zero = arith.constant 0.0 : f32
        %positive = arith.cmpf ogt, %v, %zero : f32
        %w = scf.if %positive -> f32 {
          %root = math.sqrt %v : f32
          scf.yield %root : f32
        } else {
          %n = arith.negf %v : f32
          scf.yield %n : f32
        }
        scf.if %positive {
          plan.store %w, %out[%r] : f32, memref<4xf32>
        }
      }
    }
    plan.entry @step kind(step) batch 1 sequence 4 flops 0.0 {
      %x = plan.input "x" : memref<4xf32>
      %out = plan.input "out" : memref<4xf32>
      plan.launch @k(%x, %out) "k" : memref<4xf32>, memref<4xf32>
      plan.output "out", %out : memref<4xf32>
    }
  )");
  ASSERT_TRUE(module);
  CompiledPlan compiled(*module, "x86-64-v3");
  ASSERT_TRUE(compiled.ok());
  reference::Tensor x = numbers(mlir::MemRefType::get({4}, mlir::Float32Type::get(&context())), "x"), out = x;
  x.reals = {4, -4, 2.25, 0};
  out.reals = {7, 7, 7, 7};
  auto outputs = compiled.run("step", {{"x", x}, {"out", out}}, 2);
  EXPECT_EQ(outputs["out"].reals, (std::vector<double>{2, 7, 1.5, 7}));

  EmulatedPlan emulated(*module, "h100");
  ASSERT_TRUE(emulated.ok());
  for (bool backwards : {false, true})
    EXPECT_TRUE(emulated.run("step", {{"x", x}, {"out", out}}, backwards)["out"].isIdenticalTo(outputs["out"]));
}

} // namespace
