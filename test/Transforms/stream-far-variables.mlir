// RUN: ftc-opt %s --split-input-file --plan-stream-far-variables="part-bytes=4096 ahead=1" | FileCheck %s
// RUN: ftc-opt %s --split-input-file --plan-stream-far-variables="part-bytes=4096 ahead=1" --remark-format=emitRemark \
// RUN:   --remarks-filter=plan-stream-far-variables 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// What it makes can be placed, and proven.
// RUN: ftc-opt %s --split-input-file --plan-stream-far-variables="part-bytes=4096 ahead=1" --plan-assign-offsets --plan-verify
// RUN: ftc-opt %s --split-input-file --plan-stream-far-variables="part-bytes=1024 ahead=3" --plan-assign-offsets --plan-verify
// RUN: ftc-opt %s --split-input-file --plan-stream-far-variables --plan-assign-offsets --plan-verify
// Running it again changes nothing.
// RUN: ftc-opt %s --split-input-file --plan-stream-far-variables="part-bytes=4096 ahead=1" > %t.once
// RUN: ftc-opt %t.once --split-input-file --plan-stream-far-variables="part-bytes=4096 ahead=1" > %t.twice
// RUN: cmp %t.once %t.twice

// Rows 0 to 15, 16 to 31 and 32 to 39. The second part is on its way while the first is computed, and the first is
// written back while the second is. The scale is not of a row: all parts get it whole.
// CHECK: plan.kernel @scale_40x64 {
// CHECK: plan.kernel @scale_40x64_rows8 {
// CHECK: plan.kernel @scale_40x64_rows16 {
// CHECK-NEXT: ^bb0(%{{.*}}: memref<16x64xf32>, %{{.*}}: memref<16x64xf32>, %{{.*}}: memref<f32>):
// CHECK: plan.rows 16 per_task 4 parallel
// CHECK-LABEL: plan.entry @step
// CHECK: %[[S:.*]] = plan.input "s"
// CHECK: %[[M0:.*]] = plan.slice %[[M:.*]][0] : memref<40x64xf32> to memref<16x64xf32>
// CHECK: %[[N0:.*]] = plan.alloc "near part of m" : memref<16x64xf32> {plan.ring}
// CHECK: %[[I0:.*]] = plan.copy_in %[[M0]] to %[[N0]]
// CHECK: plan.wait %[[I0]]
// CHECK: %[[M1:.*]] = plan.slice %[[M]][16]
// CHECK: %[[I1:.*]] = plan.copy_in %[[M1]] to %[[N1:.*]] : memref<16x64xf32>
// CHECK: plan.launch @scale_40x64_rows16(%[[W0:.*]], %[[N0]], %[[S]]) "update"
// CHECK: %[[O0:.*]] = plan.copy_out %[[N0]] to %[[M0]]
// CHECK: plan.wait %[[O0]]
// CHECK: plan.wait %[[I1]]
// CHECK: %[[M2:.*]] = plan.slice %[[M]][32] : memref<40x64xf32> to memref<8x64xf32>
// CHECK: %[[I2:.*]] = plan.copy_in %[[M2]]
// CHECK: plan.launch @scale_40x64_rows16(%{{.*}}, %[[N1]], %[[S]]) "update"
// CHECK: %[[O1:.*]] = plan.copy_out %[[N1]] to %[[M1]]
// CHECK: plan.wait %[[O1]]
// CHECK: plan.wait %[[I2]]
// CHECK: plan.launch @scale_40x64_rows8(
// CHECK: %[[O2:.*]] = plan.copy_out
// CHECK-NEXT: plan.wait %[[O2]]
// CHECK-NEXT: plan.output
// REMARK: Remark="a state passes through near memory in parts", bytes=10240, microseconds=6, parts=3
plan.variable @w : memref<40x64xf32> parameter init #train.zeros trainable
plan.variable @m : memref<40x64xf32> state init #train.zeros far
plan.kernel @scale_40x64 {
^bb0(%w: memref<40x64xf32>, %m: memref<40x64xf32>, %s: memref<f32>):
  plan.rows 40 per_task 4 parallel {
  ^bb0(%r: index):
    %0 = plan.load %w[%r] : memref<40x64xf32> -> tensor<64xf32>
    %1 = plan.load %m[%r] : memref<40x64xf32> -> tensor<64xf32>
    %2 = plan.load %s[] : memref<f32> -> f32
    %3 = plan.broadcast %2 : f32 -> tensor<64xf32>
    %4 = arith.addf %0, %1 : tensor<64xf32>
    %5 = arith.mulf %4, %3 : tensor<64xf32>
    plan.store %5, %m[%r] : tensor<64xf32>, memref<40x64xf32>
    plan.store %4, %w[%r] : tensor<64xf32>, memref<40x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
  %s = plan.input "s" : memref<f32>
  %w = plan.get @w : memref<40x64xf32>
  %m = plan.get @m : memref<40x64xf32>
  plan.launch @scale_40x64(%w, %m, %s) "update" : memref<40x64xf32>, memref<40x64xf32>, memref<f32>
  plan.output "w", %w : memref<40x64xf32>
}

// -----

// Rows that use their number for more than their place, and sums over rows, get the variable whole. The second launch
// needs what the first has written: its copy in stands behind the wait for that.
// CHECK-LABEL: plan.entry @step
// CHECK: %[[I0:.*]] = plan.copy_in %{{.*}} to %[[N0:.*]] : memref<40x64xf32>
// CHECK: plan.wait %[[I0]]
// CHECK: plan.launch @numbers(%[[N0]])
// CHECK: %[[O0:.*]] = plan.copy_out %[[N0]] to %[[M:.*]] : memref<40x64xf32>
// CHECK: plan.wait %[[O0]]
// CHECK: %[[I1:.*]] = plan.copy_in %[[M]] to %[[N1:.*]] : memref<40x64xf32>
// CHECK: plan.wait %[[I1]]
// CHECK: plan.launch @sums(%[[N1]]
// CHECK-NOT: plan.copy_out
// REMARK: bytes=10240, microseconds=6, parts=2
plan.variable @m : memref<40x64xf32> state init #train.zeros far
plan.kernel @numbers {
^bb0(%m: memref<40x64xf32>):
  plan.rows 40 per_task 4 parallel {
  ^bb0(%r: index):
    %0 = arith.index_cast %r : index to i32
    %1 = arith.sitofp %0 : i32 to f32
    %2 = plan.broadcast %1 : f32 -> tensor<64xf32>
    plan.store %2, %m[%r] : tensor<64xf32>, memref<40x64xf32>
  }
}
plan.kernel @sums {
^bb0(%m: memref<40x64xf32>, %p: memref<10x64xf32>):
  plan.rows 40 per_task 4 parallel {
  ^bb0(%r: index):
    %0 = plan.load %m[%r] : memref<40x64xf32> -> tensor<64xf32>
    plan.accumulate %0, %p : tensor<64xf32>, memref<10x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
  %m = plan.get @m : memref<40x64xf32>
  plan.launch @numbers(%m) "numbers" : memref<40x64xf32>
  %p = plan.alloc "p" : memref<10x64xf32>
  plan.launch @sums(%m, %p) "sums" : memref<40x64xf32>, memref<10x64xf32>
  plan.output "p", %p : memref<10x64xf32>
}

// -----

// The kernel sees each row of @w as two: a part has an even number of its rows, and half as many of @w.
// CHECK-LABEL: plan.entry @blocks
// CHECK: %[[M0:.*]] = plan.slice %[[M:.*]][0] : memref<80x32xf32> to memref<32x32xf32>
// CHECK: plan.copy_in %[[M0]] to %[[N0:.*]] :
// CHECK: %[[W0:.*]] = plan.slice %[[W:.*]][0] : memref<40x64xf32> to memref<16x64xf32>
// CHECK: plan.launch @blocks_80x32_rows32(%[[W0]], %[[N0]])
// CHECK: %[[W1:.*]] = plan.slice %[[W]][16] : memref<40x64xf32> to memref<16x64xf32>
// CHECK: plan.launch @blocks_80x32_rows32(%[[W1]],
// CHECK: %[[W2:.*]] = plan.slice %[[W]][32] : memref<40x64xf32> to memref<8x64xf32>
// CHECK: plan.launch @blocks_80x32_rows16(%[[W2]],
// REMARK: a state passes through near memory in parts", bytes=10240, microseconds=6, parts=3
plan.variable @w : memref<40x64xf32> parameter init #train.zeros trainable
plan.variable @m : memref<80x32xf32> state init #train.zeros far
plan.kernel @blocks_80x32 {
^bb0(%w: memref<80x32xf32>, %m: memref<80x32xf32>):
  plan.rows 80 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %w[%r] : memref<80x32xf32> -> tensor<32xf32>
    %1 = plan.load %m[%r] : memref<80x32xf32> -> tensor<32xf32>
    %2 = arith.addf %0, %1 : tensor<32xf32>
    plan.store %2, %m[%r] : tensor<32xf32>, memref<80x32xf32>
    plan.store %2, %w[%r] : tensor<32xf32>, memref<80x32xf32>
  }
}
plan.entry @blocks kind(step) batch 1 sequence 1 flops 0.0 {
  %w = plan.get @w : memref<40x64xf32>
  %m = plan.get @m : memref<80x32xf32>
  plan.launch @blocks_80x32(%w, %m) "update" : memref<40x64xf32>, memref<80x32xf32>
}

// -----

// No row of the kernel but the last ends where a row of @w does: there is one part.
// CHECK-LABEL: plan.entry @together
// CHECK: plan.copy_in %{{.*}} to %[[N:.*]] : memref<64x33xf32>
// CHECK: plan.launch @together_64x33(%{{.*}}, %[[N]])
// REMARK: a state passes through near memory whole", bytes=8448, microseconds=5, parts=1
plan.variable @w : memref<33x64xf32> parameter init #train.zeros trainable
plan.variable @m : memref<64x33xf32> state init #train.zeros far
plan.kernel @together_64x33 {
^bb0(%w: memref<64x33xf32>, %m: memref<64x33xf32>):
  plan.rows 64 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %w[%r] : memref<64x33xf32> -> tensor<33xf32>
    %1 = plan.load %m[%r] : memref<64x33xf32> -> tensor<33xf32>
    %2 = arith.addf %0, %1 : tensor<33xf32>
    plan.store %2, %m[%r] : tensor<33xf32>, memref<64x33xf32>
    plan.store %2, %w[%r] : tensor<33xf32>, memref<64x33xf32>
  }
}
plan.entry @together kind(step) batch 1 sequence 1 flops 0.0 {
  %w = plan.get @w : memref<33x64xf32>
  %m = plan.get @m : memref<64x33xf32>
  plan.launch @together_64x33(%w, %m) "update" : memref<33x64xf32>, memref<64x33xf32>
}

// -----

// Near variables are left alone.
// CHECK-LABEL: plan.entry @alone
// CHECK-NEXT: plan.get
// CHECK-NEXT: plan.output
// REMARK-NOT: remark
plan.variable @w : memref<40x64xf32> parameter init #train.zeros trainable
plan.entry @alone kind(step) batch 1 sequence 1 flops 0.0 {
  %w = plan.get @w : memref<40x64xf32>
  plan.output "w", %w : memref<40x64xf32>
}
