// RUN: ftc-opt %s --split-input-file --train-offload-activations="link-bytes-per-second=1e10" | FileCheck %s
// RUN: ftc-opt %s --split-input-file --train-offload-activations="link-bytes-per-second=2e9" | FileCheck %s --check-prefix=SLOW
// RUN: ftc-opt %s --split-input-file --train-offload-activations="link-bytes-per-second=2e9" --remark-format=emitRemark \
// RUN:   --remarks-filter=train-offload-activations 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// Running the pass again changes nothing.
// RUN: ftc-opt %s --split-input-file --train-offload-activations="link-bytes-per-second=1e10" > %t.once
// RUN: ftc-opt %t.once --split-input-file --train-offload-activations="link-bytes-per-second=1e10" > %t.twice
// RUN: cmp %t.once %t.twice
// Copies and waits for them can be proven.
// RUN: ftc-opt %s --split-input-file --train-offload-activations="link-bytes-per-second=1e10" --convert-train-to-plan \
// RUN:   --plan-assign-offsets --plan-verify | FileCheck %s --check-prefix=PLAN

// Each goes right behind its op, and comes back one op ahead of its first reader; a second reader takes the same copy. A
// part of a value is read from near memory in the forward graph. A link that is slower brings back the first only.
// CHECK-LABEL: @step
// CHECK: %[[A:.*]] = train.matmul
// CHECK-NEXT: %[[FA:.*]] = train.offload %[[A]] : tensor<64x64xf32>
// CHECK-NEXT: %[[B:.*]] = train.matmul %[[A]],
// CHECK-NEXT: %[[FB:.*]] = train.offload %[[B]] : tensor<64x64xf32>
// CHECK-NEXT: train.slice_rows %[[B]]
// CHECK-NOT: train.offload
// CHECK: train.backward
// CHECK: %[[D0:.*]] = train.matmul
// CHECK-NEXT: %[[B1:.*]] = train.prefetch %[[FB]] until %[[D0]]
// CHECK-NEXT: %[[D1:.*]] = train.matmul %[[D0]]
// CHECK-NEXT: %[[A1:.*]] = train.prefetch %[[FA]] until %[[D1]]
// CHECK-NEXT: %[[D2:.*]] = train.matmul %[[D1]], %[[B1]] transpose_b
// CHECK-NEXT: %[[D3:.*]] = train.matmul %[[D2]], %[[A1]] :
// CHECK: train.matmul %{{.*}}, %[[A1]] :
// SLOW-LABEL: @step
// SLOW: %[[F:.*]] = train.offload
// SLOW-NOT: train.offload
// SLOW: train.prefetch %[[F]]
// SLOW-NOT: train.prefetch
// REMARK-DAG: Remark="a result of train.matmul goes to the far tier", bytes_saved=16384, microseconds=8
// REMARK-DAG: Remark="a result of train.matmul stays near: it is needed again before the link could bring it away and back", bytes=16384
// REMARK-DAG: Remark="a result of train.add stays near: it is among the smallest", bytes=256
// REMARK-DAG: Remark="a result of train.matmul stays near: the entry returns it or writes it to a variable", bytes=16384
// REMARK-DAG: Remark="a result of train.add stays near: it is needed again before the link could bring it away and back", bytes=16384
// PLAN: plan.slab @far far
// PLAN-LABEL: plan.entry @step
// PLAN: plan.launch {{.*}} "matmul"
// PLAN-NEXT: %[[FAR:.*]] = plan.view @far
// PLAN-NEXT: %[[OUT:.*]] = plan.copy_out %{{.*}} to %[[FAR]] : memref<64x64xf32>
// PLAN: plan.wait %[[OUT]]
// PLAN: %[[IN:.*]] = plan.copy_in %[[FAR]] to %[[BACK:.*]] : memref<64x64xf32>
// PLAN: plan.wait %[[IN]]
// PLAN: plan.launch {{.*}}%[[BACK]]
module attributes {train.offload_activations} {
  train.entry @step kind(step) batch 2 sequence 32 inputs ["x", "w", "d"] outputs ["dx", "s"] {
  ^bb0(%x: tensor<64x64xf32>, %w: tensor<64x64xf32>, %d: tensor<64x64xf32>):
    %a = train.matmul %x, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %b = train.matmul %a, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %s = train.slice_rows %b from 0 : tensor<64x64xf32> -> tensor<1x64xf32>
    %small = train.add %s, %s : tensor<1x64xf32>
    %c = train.add %b, %b : tensor<64x64xf32>
    %out = train.matmul %c, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %last = train.add %out, %out : tensor<64x64xf32>
    %dl = train.add %last, %d : tensor<64x64xf32> {train.backward}
    %d0 = train.matmul %dl, %w transpose_b : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %d1 = train.matmul %d0, %out transpose_b : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %d2 = train.matmul %d1, %b transpose_b : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %d3 = train.matmul %d2, %a : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
    %d4 = train.slice_rows %d3 from 0 : tensor<64x64xf32> -> tensor<1x64xf32>
    %d5 = train.add %d4, %small : tensor<1x64xf32>
    %d6 = train.matmul %d5, %a : tensor<1x64xf32>, tensor<64x64xf32> -> tensor<1x64xf32>
    train.return %d6, %out : tensor<1x64xf32>, tensor<64x64xf32>
  }
}

// -----

// Nobody asked.
// CHECK-LABEL: @alone
// CHECK-NOT: train.offload
// REMARK-NOT: remark
train.entry @alone kind(step) batch 2 sequence 32 inputs ["x", "w"] outputs ["d"] {
^bb0(%x: tensor<64x64xf32>, %w: tensor<64x64xf32>):
  %a = train.matmul %x, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %b = train.matmul %a, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %c = train.matmul %b, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %d = train.add %c, %x : tensor<64x64xf32> {train.backward}
  %e = train.matmul %d, %w : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %f = train.matmul %e, %a : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  train.return %f : tensor<64x64xf32>
}
