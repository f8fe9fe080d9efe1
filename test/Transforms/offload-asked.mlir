// Within a budget, what is marked leaves, and nothing else.
// RUN: ftc-opt %s --train-offload-activations="link-bytes-per-second=1e10" | FileCheck %s
// RUN: ftc-opt %s --train-offload-activations="link-bytes-per-second=1e10" --remark-format=emitRemark \
// RUN:   --remarks-filter=train-offload-activations 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// A slow link is waited for: copies back begin with the first gradient, one after the other.
// RUN: ftc-opt %s --train-offload-activations="link-bytes-per-second=1e9" | FileCheck %s --check-prefix=SLOW
// RUN: ftc-opt %s --train-offload-activations="link-bytes-per-second=1e9" --remark-format=emitRemark \
// RUN:   --remarks-filter=train-offload-activations 2>&1 >/dev/null | FileCheck %s --check-prefix=WAITS
// The first backward op waits for what must be gone by then.
// RUN: ftc-opt %s --train-offload-activations="link-bytes-per-second=1e9" --convert-train-to-plan \
// RUN:   --plan-assign-offsets --plan-verify | FileCheck %s --check-prefix=PLAN

// CHECK-LABEL: @step
// CHECK: %[[A:.*]] = train.matmul {{.*}}train.away
// CHECK-NEXT: %[[FA:.*]] = train.offload %[[A]] by_backward : tensor<64x64xf32>
// CHECK-NEXT: train.matmul %[[A]],
// CHECK-NEXT: train.fused
// CHECK: train.yield
// CHECK-NEXT: }
// CHECK-NEXT: %[[FC:.*]] = train.offload %{{.*}}#1 by_backward : tensor<64x64xf32>
// CHECK-NOT: train.offload
// CHECK: train.prefetch %[[FC]] until
// CHECK-NEXT: train.matmul
// CHECK-NEXT: %[[D3:.*]] = train.matmul
// CHECK-NEXT: train.prefetch %[[FA]] until %[[D3]] :
// REMARK-DAG: a result of train.matmul goes to the far tier", bytes_saved=16384, microseconds=1
// REMARK-DAG: a result of train.fused goes to the far tier", bytes_saved=16384, microseconds=1
// REMARK-DAG: a result of train.matmul stays near: the entry returns it or writes it to a variable", bytes=16384
// REMARK-DAG: waits for the link, by the time that is reserved for copies", bytes=32768, stall_microseconds=0

// SLOW-LABEL: @step
// SLOW: %[[FA:.*]] = train.offload
// SLOW: %[[FC:.*]] = train.offload
// SLOW: %[[DL:.*]] = train.add {{.*}}train.backward
// SLOW-NEXT: train.prefetch %[[FC]] until %[[DL]]
// SLOW: %[[D2:.*]] = train.matmul %{{.*}}, %{{.*}}#0 transpose_b
// SLOW-NEXT: train.prefetch %[[FA]] until %[[D2]]
// SLOW-NEXT: train.matmul %[[D2]]
// WAITS: waits for the link, by the time that is reserved for copies", bytes=32768, stall_microseconds=41
// PLAN: %[[FIRST:.*]] = plan.copy_out
// PLAN: %[[SECOND:.*]] = plan.copy_out
// PLAN: plan.wait %[[FIRST]]
// PLAN: plan.wait %[[SECOND]]
// PLAN-NEXT: plan.launch @add_64x64
// PLAN-NEXT: plan.view
// PLAN-NEXT: plan.copy_in
module attributes {train.offload_activations, train.remat = #train.remat<budget, every = 1, bytes = 1>} {
  train.entry @step kind(step) batch 2 sequence 32 inputs ["x", "w", "d"] outputs ["dx", "s"] {
  ^bb0(%x: tensor<64x64xf32>, %w: tensor<64x64xf32>, %d: tensor<64x64xf32>):
    %a = train.matmul %x, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.away = array<i64: 0>}
    %b = train.matmul %a, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %e, %c = train.fused(%g = %b) : (tensor<64x64xf32>) -> (tensor<64x64xf32>, tensor<64x64xf32>) {
      %h = train.add %g, %g : tensor<64x64xf32>
      %i = train.add %h, %h : tensor<64x64xf32> {train.away = array<i64: 0>}
      train.yield %h, %i : tensor<64x64xf32>, tensor<64x64xf32>
    }
    %out = train.matmul %e, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32> {train.away = array<i64: 0>}
    %last = train.matmul %out, %out : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %dl = train.add %last, %d : tensor<64x64xf32> {train.backward}
    %d0 = train.matmul %dl, %w transpose_b : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %d1 = train.matmul %d0, %out transpose_b : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %d2 = train.matmul %d1, %e transpose_b : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %d3 = train.matmul %d2, %c : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %d4 = train.matmul %d3, %b : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %d5 = train.matmul %d4, %a : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    train.return %d5, %out : tensor<64x64xf32>, tensor<64x64xf32>
  }
}
