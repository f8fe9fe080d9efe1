// RUN: ftc-opt %s -cpu-plan-scratch="cpu=x86-64-v3 threads=2" -cpu-lower-kernels="cpu=x86-64-v3 threads=2" | FileCheck %s
// RUN: ftc-opt %s -cpu-plan-scratch="cpu=x86-64-v3 threads=1" | FileCheck %s --check-prefixes=SCRATCH,ONE
// RUN: ftc-opt %s -cpu-plan-scratch="cpu=x86-64-v3 threads=2" | FileCheck %s --check-prefixes=SCRATCH,TWO
// RUN: ftc-opt %s -cpu-plan-scratch="cpu=x86-64-v3 threads=64" | FileCheck %s --check-prefixes=SCRATCH,MANY

// The gradient of a multi-query model at batch 1. The one key head of 4096 keys is packed by 43 tasks, a block each; its
// 8 query heads have 8 strips of keys each. For one thread or two, the 8 tasks of a head are enough at a time, for 64 all
// heads are worked on at once. The last phase adds up dK and dV of 43 blocks of keys, and dQ of 43 blocks of queries for
// each of these heads.

// CHECK-LABEL: llvm.func internal @gradient(
// CHECK: scf.for %{{.*}} = %c0_i64 to %c1_i64 step
// CHECK: %[[COUNT:.*]] = arith.constant 43 : i64
// CHECK: %[[BLOCKS:.*]] = arith.muli %[[PAIRS:.*]], %[[COUNT]]
// CHECK: llvm.mlir.addressof @gradient.task0
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %[[BLOCKS]])
// CHECK: scf.for %[[HEAD:.*]] = %c0_i64 to %c8_i64 step
// CHECK: %[[MOST:.*]] = arith.constant 1 : i64
// CHECK: %[[LEFT:.*]] = arith.subi %c8_i64{{.*}}, %[[HEAD]]
// CHECK: %[[SOME:.*]] = arith.minsi %[[MOST]], %[[LEFT]]
// CHECK: %[[HEADS:.*]] = arith.muli %[[PAIRS]], %[[SOME]]
// CHECK: %[[STRIPS:.*]] = arith.constant 8 : i64
// CHECK: %[[TASKS:.*]] = arith.muli %[[HEADS]], %[[STRIPS]]
// CHECK: llvm.mlir.addressof @gradient.task1
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %[[TASKS]])
// CHECK: %[[QUERIES:.*]] = arith.muli %[[HEADS]], %{{.*}}
// CHECK: %[[SUMS:.*]] = arith.addi %[[BLOCKS]], %[[QUERIES]]
// CHECK: llvm.mlir.addressof @gradient.task2
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %[[SUMS]])

// SCRATCH-LABEL: plan.kernel @gradient
// ONE: scratch(%{{.*}} : memref<54151872xi8>)
// TWO: scratch(%{{.*}} : memref<54754496xi8>)
// MANY: scratch(%{{.*}} : memref<310749632xi8>)
plan.kernel @gradient {
^bb0(%q: memref<4096x2048xf32>, %k: memref<4096x256xf32>, %v: memref<4096x256xf32>, %starts: memref<4096xi32>,
     %o: memref<4096x2048xf32>, %lse: memref<4096x8xf32>, %do: memref<4096x2048xf32>, %dq: memref<4096x2048xf32>,
     %dk: memref<4096x256xf32>, %dv: memref<4096x256xf32>):
  plan.attention_grad %q, %k, %v, %starts, %o, %lse, %do, %dq, %dk, %dv batch 1 heads 8 kv_heads 1 scale 6.25e-02
    : memref<4096x2048xf32>, memref<4096x256xf32>, memref<4096x256xf32>, memref<4096xi32>, memref<4096x2048xf32>,
      memref<4096x8xf32>, memref<4096x2048xf32>, memref<4096x2048xf32>, memref<4096x256xf32>, memref<4096x256xf32>
}

// A row with heads enough keeps one strip: nothing of dQ waits, and the last phase has the blocks of keys alone.
// CHECK-LABEL: llvm.func internal @heads(
// CHECK: %[[COUNT:.*]] = arith.constant 2 : i64
// CHECK: %[[BLOCKS:.*]] = arith.muli %{{.*}}, %[[COUNT]]
// CHECK: llvm.mlir.addressof @heads.task0
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %[[BLOCKS]])
// CHECK: llvm.mlir.addressof @heads.task2
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %[[BLOCKS]])
plan.kernel @heads {
^bb0(%q: memref<256x64xf32>, %k: memref<256x32xf32>, %v: memref<256x32xf32>, %starts: memref<256xi32>,
     %o: memref<256x64xf32>, %lse: memref<256x4xf32>, %do: memref<256x64xf32>, %dq: memref<256x64xf32>,
     %dk: memref<256x32xf32>, %dv: memref<256x32xf32>):
  plan.attention_grad %q, %k, %v, %starts, %o, %lse, %do, %dq, %dk, %dv batch 2 heads 4 kv_heads 2 scale 2.5e-01
    : memref<256x64xf32>, memref<256x32xf32>, memref<256x32xf32>, memref<256xi32>, memref<256x64xf32>,
      memref<256x4xf32>, memref<256x64xf32>, memref<256x64xf32>, memref<256x32xf32>, memref<256x32xf32>
}

// Forward, a thread holds the scores of 16 queries with all keys that they see: a window makes them fewer.
// SCRATCH-LABEL: plan.kernel @whole
// ONE: scratch(%{{.*}} : memref<2406016xi8>)
plan.kernel @whole {
^bb0(%q: memref<4096x64xf32>, %k: memref<4096x64xf32>, %v: memref<4096x64xf32>, %starts: memref<4096xi32>,
     %o: memref<4096x64xf32>, %lse: memref<4096x1xf32>):
  plan.attention %q, %k, %v, %starts, %o, %lse batch 1 heads 1 kv_heads 1 scale 1.25e-01
    : memref<4096x64xf32>, memref<4096x64xf32>, memref<4096x64xf32>, memref<4096xi32>, memref<4096x64xf32>,
      memref<4096x1xf32>
}

// SCRATCH-LABEL: plan.kernel @windowed
// ONE: scratch(%{{.*}} : memref<2177920xi8>)
plan.kernel @windowed {
^bb0(%q: memref<4096x64xf32>, %k: memref<4096x64xf32>, %v: memref<4096x64xf32>, %starts: memref<4096xi32>,
     %o: memref<4096x64xf32>, %lse: memref<4096x1xf32>):
  plan.attention %q, %k, %v, %starts, %o, %lse batch 1 heads 1 kv_heads 1 scale 1.25e-01 window 512
    : memref<4096x64xf32>, memref<4096x64xf32>, memref<4096x64xf32>, memref<4096xi32>, memref<4096x64xf32>,
      memref<4096x1xf32>
}
