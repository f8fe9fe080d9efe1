// RUN: ftc-opt %s --train-insert-remat | FileCheck %s
// RUN: ftc-opt %s --train-insert-remat --remarks-filter=train-insert-remat --remark-format=emitRemark 2>&1 >/dev/null \
// RUN:   | FileCheck %s --check-prefix=REMARK
// RUN: sed 's/bytes = 20480/bytes = 1000000/' %s | ftc-opt --train-insert-remat | FileCheck %s --check-prefix=ALL
// RUN: sed 's/bytes = 20480/bytes = 1000000/' %s | ftc-opt --train-insert-remat --remarks-filter=train-insert-remat \
// RUN:   --remark-format=emitRemark 2>&1 >/dev/null | FileCheck %s --check-prefix=ROOM
// RUN: sed 's/, bytes = 20480//' %s | ftc-opt --train-insert-remat | FileCheck %s --check-prefix=LEAST

// Two layers keep a norm, a product and their output, 24576 bytes together. For 20480 a norm is what costs least.
// CHECK-LABEL: @step
// CHECK-NOT: train.recompute
// CHECK: %[[DX:.*]], %{{.*}} = train.rms_norm_grad
// CHECK-NEXT: %[[X:.*]] = train.delay %arg0 until %[[DX]]
// CHECK-NEXT: %[[N:.*]] = train.rms_norm %[[X]], %arg1 eps {{.*}} {train.recompute}
// CHECK-NEXT: train.swiglu_grad %{{.*}}, %[[N]], %[[DX]]
// CHECK-NOT: train.recompute
// CHECK: train.return
// REMARK: what is computed again is what costs least within the budget", bound_microseconds=0, bytes_saved=4096, kept_bytes=20480, recompute_microseconds=0

// There is room for all.
// ALL-LABEL: @step
// ALL-NOT: train.recompute
// ROOM: nothing is computed again: all that the backward pass reads is within the budget

// As few as can be: the products too.
// LEAST-LABEL: @step
// LEAST: train.matmul {{.*}}train.recompute
// LEAST: train.matmul {{.*}}train.recompute
module attributes {train.remat = #train.remat<budget, every = 1, bytes = 20480>} {
  train.entry @step kind(step) batch 2 sequence 8 inputs ["in", "w", "v", "d"] outputs ["d0"] {
  ^bb0(%in: tensor<16x64xf32>, %w: tensor<64xf32>, %v: tensor<64x64xf32>, %d: tensor<16x64xf32>):
    %n0 = train.rms_norm %in, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32> {train.layer = 0 : i64}
    %p0 = train.matmul %n0, %v : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.layer = 0 : i64}
    %s0 = train.swiglu %p0, %n0 : tensor<16x64xf32> {train.layer = 0 : i64}
    %y0 = train.add %in, %s0 : tensor<16x64xf32> {train.layer = 0 : i64}
    %n1 = train.rms_norm %y0, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32> {train.layer = 1 : i64}
    %p1 = train.matmul %n1, %v : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.layer = 1 : i64}
    %s1 = train.swiglu %p1, %n1 : tensor<16x64xf32> {train.layer = 1 : i64}
    %y1 = train.add %y0, %s1 : tensor<16x64xf32> {train.layer = 1 : i64}
    %dy = train.add %d, %y1 : tensor<16x64xf32> {train.backward}
    %dg1, %du1 = train.swiglu_grad %p1, %n1, %dy : tensor<16x64xf32> {train.backward}
    %e1 = train.matmul %dg1, %v transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.backward}
    %f1 = train.add %e1, %du1 : tensor<16x64xf32> {train.backward}
    %dx1, %dw1 = train.rms_norm_grad %y0, %w, %f1 eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32> {train.backward}
    %dg0, %du0 = train.swiglu_grad %p0, %n0, %dx1 : tensor<16x64xf32> {train.backward}
    %e0 = train.matmul %dg0, %v transpose_b : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32> {train.backward}
    %f0 = train.add %e0, %du0 : tensor<16x64xf32> {train.backward}
    train.return %f0 : tensor<16x64xf32>
  }
}
