// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels | FileCheck %s
// RUN: ftc-opt %s -cuda-plan-scratch=device=h200 | FileCheck %s --check-prefix=SCRATCH
// RUN: ftc-opt %s -cuda-plan-scratch=device=a100 -cuda-lower-kernels=device=a100 | FileCheck %s --check-prefix=WITHOUT
// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels --remarks-filter=cuda-attention --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: ftc-opt %s -cuda-plan-scratch=device=a100 -cuda-lower-kernels=device=a100 --remarks-filter=cuda-attention --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK-WITHOUT

// Without workspace in the device file nobody is asked.
// WITHOUT-NOT: $alone
// WITHOUT-NOT: step.attentions
// REMARK-WITHOUT: cuDNN is not asked for forward: the device file gives it no workspace

// A warp a token: the value is the output, and scale * query . key is lse.
// CHECK: gpu.func @forward$alone(
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>, known_grid_size = array<i32: 130, 1, 1>}
// CHECK: scf.if
// CHECK-NOT: math.exp
// CHECK: gpu.return

// A driver asks the host first. -1: it declines, and our own kernel follows; 0: what is left are tokens that are alone.
// SCRATCH-LABEL: plan.kernel @forward
// SCRATCH: scratch(%{{.*}} : memref<1048576xi8>)
// REMARK: cuDNN is asked for forward before our own kernels
// CHECK-LABEL: llvm.func internal @forward(
// CHECK-SAME: %[[DEVICE:[a-z0-9]+]]: !llvm.ptr
// CHECK: %[[ADDRESSES:.*]] = llvm.alloca %{{.*}} x !llvm.array<7 x i64>
// CHECK: llvm.getelementptr %[[DEVICE]][0, 10] : (!llvm.ptr) -> !llvm.ptr, !llvm.struct<(i32, i32, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr)>
// CHECK: %[[CODE:.*]] = llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %[[ADDRESSES]]) : !llvm.ptr, (!llvm.ptr, i32, i32, !llvm.ptr) -> i32
// CHECK: %[[DECLINES:.*]] = llvm.mlir.constant(-1 : i32)
// CHECK: %[[DECLINED:.*]] = llvm.icmp "eq" %[[CODE]], %[[DECLINES]]
// CHECK: llvm.cond_br %[[DECLINED]], ^[[OWN:.*]], ^[[ASKED:[a-z0-9]+]]
// CHECK: ^[[ASKED]]:
// CHECK: %[[GOOD:.*]] = llvm.icmp "eq" %[[CODE]]
// CHECK: llvm.cond_br %[[GOOD]], ^[[ALONE:[a-z0-9]+]], ^[[FAILED:[a-z0-9]+]](%[[CODE]] : i32)
// CHECK: ^[[OWN]]:
// CHECK: llvm.array<6 x i64>
// CHECK: ^[[ALONE]]:
// CHECK: llvm.array<6 x i64>
// CHECK: ^[[FAILED]](
plan.kernel @forward {
^bb0(%q: memref<520x256xbf16>, %k: memref<520x128xbf16>, %v: memref<520x128xbf16>, %s: memref<520xi32>,
     %o: memref<520x256xbf16>, %lse: memref<520x4xf32>):
  plan.attention %q, %k, %v, %s, %o, %lse batch 2 heads 4 kv_heads 2 scale 1.25e-01
    : memref<520x256xbf16>, memref<520x128xbf16>, memref<520x128xbf16>, memref<520xi32>, memref<520x256xbf16>, memref<520x4xf32>
}

// The workspace of a gradient is the library's, which is larger than what our own kernels need.
// SCRATCH-LABEL: plan.kernel @backward
// SCRATCH: scratch(%{{.*}} : memref<2703616xi8>)
// REMARK: cuDNN is asked for backward before our own kernels
// CHECK-LABEL: llvm.func internal @backward(
// CHECK: llvm.array<11 x i64>
plan.kernel @backward {
^bb0(%q: memref<520x256xbf16>, %k: memref<520x128xbf16>, %v: memref<520x128xbf16>, %s: memref<520xi32>,
     %o: memref<520x256xbf16>, %lse: memref<520x4xf32>, %do: memref<520x256xbf16>, %dq: memref<520x256xbf16>,
     %dk: memref<520x128xbf16>, %dv: memref<520x128xbf16>):
  plan.attention_grad %q, %k, %v, %s, %o, %lse, %do, %dq, %dk, %dv batch 2 heads 4 kv_heads 2 scale 1.25e-01
    : memref<520x256xbf16>, memref<520x128xbf16>, memref<520x128xbf16>, memref<520xi32>, memref<520x256xbf16>, memref<520x4xf32>,
      memref<520x256xbf16>, memref<520x256xbf16>, memref<520x128xbf16>, memref<520x128xbf16>
}

// The same sizes again are the same attention.
// CHECK-LABEL: llvm.func internal @again(
plan.kernel @again {
^bb0(%q: memref<520x256xbf16>, %k: memref<520x128xbf16>, %v: memref<520x128xbf16>, %s: memref<520xi32>,
     %o: memref<520x256xbf16>, %lse: memref<520x4xf32>):
  plan.attention %q, %k, %v, %s, %o, %lse batch 2 heads 4 kv_heads 2 scale 1.25e-01
    : memref<520x256xbf16>, memref<520x128xbf16>, memref<520x128xbf16>, memref<520xi32>, memref<520x256xbf16>, memref<520x4xf32>
}

// What is left to our own kernels.
// REMARK: cuDNN is not asked for wide: heads of 256 columns are no multiple of 16 up to 128
// CHECK-LABEL: llvm.func internal @wide(
// CHECK-NOT: llvm.array<7 x i64>
plan.kernel @wide {
^bb0(%q: memref<70x256xbf16>, %s: memref<70xi32>, %lse: memref<70x1xf32>):
  plan.attention %q, %q, %q, %s, %q, %lse batch 1 heads 1 kv_heads 1 scale 1.25e-01
    : memref<70x256xbf16>, memref<70x256xbf16>, memref<70x256xbf16>, memref<70xi32>, memref<70x256xbf16>, memref<70x1xf32>
}
// REMARK: cuDNN is not asked for single: its rows are one token long
plan.kernel @single {
^bb0(%q: memref<3x16xbf16>, %s: memref<3xi32>, %o: memref<3x16xbf16>, %lse: memref<3x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 3 heads 1 kv_heads 1 scale 1.25e-01
    : memref<3x16xbf16>, memref<3x16xbf16>, memref<3x16xbf16>, memref<3xi32>, memref<3x16xbf16>, memref<3x1xf32>
}
// REMARK: cuDNN is not asked for near: it has a window of 2 tokens
// CHECK-LABEL: llvm.func internal @near(
// CHECK-NOT: llvm.array<7 x i64>
plan.kernel @near {
^bb0(%q: memref<3x16xbf16>, %s: memref<3xi32>, %o: memref<3x16xbf16>, %lse: memref<3x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 1 heads 1 kv_heads 1 scale 1.25e-01 window 2
    : memref<3x16xbf16>, memref<3x16xbf16>, memref<3x16xbf16>, memref<3xi32>, memref<3x16xbf16>, memref<3x1xf32>
}
// REMARK: cuDNN is not asked for capped: its scores are capped
plan.kernel @capped {
^bb0(%q: memref<3x16xbf16>, %s: memref<3xi32>, %lse: memref<3x1xf32>):
  plan.attention_grad %q, %q, %q, %s, %q, %lse, %q, %q, %q, %q batch 1 heads 1 kv_heads 1 scale 1.25e-01 softcap 50.0
    : memref<3x16xbf16>, memref<3x16xbf16>, memref<3x16xbf16>, memref<3xi32>, memref<3x16xbf16>, memref<3x1xf32>,
      memref<3x16xbf16>, memref<3x16xbf16>, memref<3x16xbf16>, memref<3x16xbf16>
}
// All of the reasons are told.
// REMARK: cuDNN is not asked for several: the library has none of these elements, heads of 10 columns are no multiple of 16 up to 128, it has a window of 2 tokens, its scores are capped
// REMARK-WITHOUT: cuDNN is not asked for several: the library has {{.*}}, its scores are capped, the device file gives it no workspace
plan.kernel @several {
^bb0(%q: memref<3x10xf32>, %s: memref<3xi32>, %o: memref<3x10xf32>, %lse: memref<3x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 1 heads 1 kv_heads 1 scale 1.25e-01 window 2 softcap 50.0
    : memref<3x10xf32>, memref<3x10xf32>, memref<3x10xf32>, memref<3xi32>, memref<3x10xf32>, memref<3x1xf32>
}
// A window that hides nothing is none.
// REMARK: cuDNN is asked for whole before our own kernels
// CHECK-LABEL: llvm.func internal @whole(
// CHECK: llvm.array<7 x i64>
plan.kernel @whole {
^bb0(%q: memref<520x256xbf16>, %k: memref<520x128xbf16>, %v: memref<520x128xbf16>, %s: memref<520xi32>,
     %o: memref<520x256xbf16>, %lse: memref<520x4xf32>):
  plan.attention %q, %k, %v, %s, %o, %lse batch 2 heads 4 kv_heads 2 scale 1.25e-01 window 260
    : memref<520x256xbf16>, memref<520x128xbf16>, memref<520x128xbf16>, memref<520xi32>, memref<520x256xbf16>, memref<520x4xf32>
}
// More than a device file gives it: the gradient of 131072 tokens of 32 heads. It gets what our own kernels need.
// REMARK: cuDNN is not asked for long: it may need {{[0-9]+}} bytes of workspace, more than the device file gives it
// SCRATCH-LABEL: plan.kernel @long
// SCRATCH: scratch(%{{.*}} : memref<16777216xi8>)
plan.kernel @long {
^bb0(%q: memref<131072x4096xbf16>, %k: memref<131072x1024xbf16>, %s: memref<131072xi32>, %lse: memref<131072x32xf32>):
  plan.attention_grad %q, %k, %k, %s, %q, %lse, %q, %q, %k, %k batch 1 heads 32 kv_heads 8 scale 1.25e-01
    : memref<131072x4096xbf16>, memref<131072x1024xbf16>, memref<131072x1024xbf16>, memref<131072xi32>, memref<131072x4096xbf16>, memref<131072x32xf32>,
      memref<131072x4096xbf16>, memref<131072x4096xbf16>, memref<131072x1024xbf16>, memref<131072x1024xbf16>
}

// The table: rows and tokens of a row; heads, those of keys, columns; workspace; the scale's bits; whether a gradient.
// CHECK: llvm.mlir.global internal constant @step.attentions() {{.*}} : !llvm.array<2 x struct<(i64, i64, i64, i64, i64, i64, i32, i32)>> {
// CHECK-DAG: llvm.mlir.constant(260 : i64)
// CHECK-DAG: llvm.mlir.constant(2703616 : i64)
// CHECK-DAG: llvm.mlir.constant(1040187392 : i32)
