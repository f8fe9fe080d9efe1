// RUN: ftc-opt %s --train-insert-remat | FileCheck %s
// RUN: ftc-opt %s --train-insert-remat --remarks-filter=train-insert-remat --remark-format=emitRemark 2>&1 >/dev/null \
// RUN:   | FileCheck %s --check-prefix=REMARK
// The mark survives the forming of kernels: what is marked leaves, and its remark is the other pass's.
// RUN: ftc-opt %s --train-insert-remat --train-form-kernels --train-offload-activations | FileCheck %s --check-prefix=FORMED
// RUN: ftc-opt %s --train-insert-remat --train-form-kernels --train-offload-activations --remark-format=emitRemark \
// RUN:   --remarks-filter=train-offload-activations 2>&1 >/dev/null | FileCheck %s --check-prefix=AWAY
// With a link that is too slow, with room for all, or where nobody allows it, nothing leaves.
// RUN: sed 's/1.0e12/1.0e6/' %s | ftc-opt --train-insert-remat | FileCheck %s --check-prefix=SLOW
// RUN: sed 's/bytes = 20480/bytes = 1000000/' %s | ftc-opt --train-insert-remat | FileCheck %s --check-prefix=ROOM
// RUN: sed 's/train.offload_activations, //' %s | ftc-opt --train-insert-remat | FileCheck %s --check-prefix=SLOW
// As few bytes as can be: all that may leaves, and what may not is computed again where that helps.
// RUN: sed 's/, bytes = 20480//' %s | ftc-opt --train-insert-remat | FileCheck %s --check-prefix=LEAST

// Two layers keep a norm, a product and their output, 24576 bytes together. For 20480 one of them leaves, of the first
// layer: to copy it both ways takes less of the memory's time than the norm takes to compute.
// CHECK-LABEL: @step
// CHECK: train.rms_norm %arg0, {{.*}}train.away = array<i64: 0>
// CHECK-NOT: train.away
// CHECK-NOT: train.recompute
// REMARK-NOT: is computed again
// REMARK: what is computed again and what leaves for the far tier is what costs least within the budget", bound_microseconds=8, bytes_saved=4096, copy_microseconds=8, far_bytes=4096, kept_bytes=20480, recompute_microseconds=0, stall_microseconds=0
// REMARK-NOT: a result of train.rms_norm is kept{{.*}}model.first

// FORMED-LABEL: @step
// FORMED: %[[N:.*]] = train.rms_norm %arg0
// FORMED-NEXT: %[[F:.*]] = train.offload %[[N]] by_backward : tensor<16x64xf32>
// FORMED-NOT: train.offload
// FORMED: train.prefetch %[[F]]
// AWAY: a result of train.rms_norm goes to the far tier", bytes_saved=4096, microseconds=0
// AWAY: waits for the link, by the time that is reserved for copies", bytes=4096, stall_microseconds=0
// AWAY-NOT: stays near

// SLOW-LABEL: @step
// SLOW-NOT: train.away
// SLOW: train.rms_norm {{.*}}train.recompute
// SLOW-NOT: train.away
// ROOM-LABEL: @step
// ROOM-NOT: train.away
// ROOM-NOT: train.recompute
// LEAST-LABEL: @step
// LEAST: train.rms_norm %arg0, {{.*}}train.away
// LEAST: train.matmul {{.*}}train.away
// LEAST: train.add {{.*}}train.away
module attributes {train.remat = #train.remat<budget, every = 1, bytes = 20480>, train.offload_activations, ftc.link = array<f64: 1.0e9, 1.0e9, 1.0e12>} {
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
