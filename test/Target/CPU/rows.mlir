// RUN: ftc-opt %s -cpu-lower-kernels="cpu=x86-64-v3" | FileCheck %s --check-prefixes=CHECK,V3
// RUN: ftc-opt %s -cpu-lower-kernels="cpu=znver5" | FileCheck %s --check-prefixes=CHECK,V4
// RUN: ftc-opt %s -cpu-lower-kernels="cpu=x86-64-v3" -convert-plan-to-llvm -cpu-lower-to-llvm | FileCheck %s --check-prefix=LLVM --implicit-check-not=llvm.intr.exp

// A normalization of short rows: no loop for the sum, whose partial results are the columns, one that loads the row again,
// exp left for the next pass.
// CHECK-NOT: plan.kernel
// CHECK: llvm.func internal @norm(
// CHECK: llvm.mlir.addressof @norm.task0
// CHECK: llvm.func internal @norm.task0(
// CHECK-NOT: llvm.alloca
// CHECK: scf.for
// CHECK-NOT: scf.for
// V3-COUNT-12: llvm.load {{.*}} -> vector<8xf32>
// V4-COUNT-6: llvm.load {{.*}} -> vector<16xf32>
// CHECK-NOT: llvm.load
// CHECK-NOT: math.exp
// CHECK: math.rsqrt
// CHECK: scf.for
// V3: math.exp {{.*}} : vector<8xf32>
// V4: math.exp {{.*}} : vector<16xf32>
// LLVM: llvm.func internal @norm.task0(
// LLVM: llvm.intr.sqrt
// LLVM: llvm.intr.fma
// LLVM: llvm.mlir.global external constant @ftrt_step_v1()
plan.kernel @norm {
^bb0(%x: memref<8x96xf32>, %y: memref<8x96xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x96xf32> -> tensor<96xf32>
    %1 = arith.mulf %0, %0 : tensor<96xf32>
    %s = plan.reduce add %1 : tensor<96xf32> -> f32
    %rs = math.rsqrt %s : f32
    %b = plan.broadcast %rs : f32 -> tensor<96xf32>
    %2 = arith.mulf %0, %b : tensor<96xf32>
    %e = math.exp %2 : tensor<96xf32>
    plan.store %e, %y[%r] : tensor<96xf32>, memref<8x96xf32>
  }
}

// Long rows: 128 partial results on the stack, of which a turn meets 32; then the rest of the row.
// CHECK: llvm.func internal @sum.task0(
// CHECK: llvm.alloca %{{.*}} x f32 {alignment = 64 : i64}
// CHECK: scf.for
// V3-COUNT-16: llvm.store {{.*}} : vector<8xf32>
// V4-COUNT-8: llvm.store {{.*}} : vector<16xf32>
// CHECK: scf.for
// CHECK: arith.andi
// V3-COUNT-2: llvm.load {{.*}} -> vector<8xf32>
// V4-COUNT-2: llvm.load {{.*}} -> vector<16xf32>
// CHECK: arith.addf
// CHECK-NEXT: %[[PLACE:.*]] = llvm.getelementptr
// CHECK-NEXT: llvm.store %{{.*}}, %[[PLACE]]
// CHECK-NOT: scf.for
// V3: vector.insert_strided_slice %{{.*}}, %{{.*}} {offsets = [0], strides = [1]} : vector<4xf32> into vector<8xf32>
// V4: vector.insert_strided_slice %{{.*}}, %{{.*}} {offsets = [0], strides = [1]} : vector<12xf32> into vector<16xf32>
plan.kernel @sum {
^bb0(%x: memref<8x604xf32>, %y: memref<8xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x604xf32> -> tensor<604xf32>
    %s = plan.reduce add %0 : tensor<604xf32> -> f32
    plan.store %s, %y[%r] : f32, memref<8xf32>
  }
}

// The widest rows: 4096 of them, set and combined by loops until 128 are left.
// CHECK: llvm.func internal @logits.task0(
// CHECK: %[[COUNT:.*]] = arith.constant 4096 : i64
// CHECK: llvm.alloca %[[COUNT]] x f32 {alignment = 64 : i64}
// CHECK: scf.for
// CHECK: scf.for
// CHECK: llvm.store
// CHECK: scf.for
// CHECK: arith.andi
// CHECK-COUNT-4: scf.for
// CHECK-NOT: scf.for
// V3-COUNT-16: llvm.load {{.*}} -> vector<8xf32>
// V4-COUNT-8: llvm.load {{.*}} -> vector<16xf32>
plan.kernel @logits {
^bb0(%x: memref<8x32768xf32>, %y: memref<8xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x32768xf32> -> tensor<32768xf32>
    %s = plan.reduce add %0 : tensor<32768xf32> -> f32
    plan.store %s, %y[%r] : f32, memref<8xf32>
  }
}

// Rows that are added into those of a table: where a run of them starts, 32 columns at a time, whose sums stay in registers.
// CHECK: llvm.func internal @scatter.task0(
// CHECK: scf.if
// CHECK: scf.for
// CHECK: llvm.load {{.*}} -> vector<32xbf16>
// CHECK: scf.while
// CHECK: llvm.load {{.*}} -> vector<32xbf16>
// CHECK: scf.yield
// CHECK: arith.truncf
// CHECK: llvm.store {{.*}} : vector<32xbf16>
plan.kernel @scatter {
^bb0(%ids: memref<9xi32>, %g: memref<9x150xbf16>, %table: memref<4x150xbf16>):
  plan.rows 9 per_task 9 sequential {
  ^bb0(%r: index):
    %id = plan.load %ids[%r] : memref<9xi32> -> i32
    %i = arith.index_cast %id : i32 to index
    %0 = plan.load %g[%r] : memref<9x150xbf16> -> tensor<150xbf16>
    %1 = arith.extf %0 : tensor<150xbf16> to tensor<150xf32>
    plan.scatter %1, %table[%i] : tensor<150xf32>, memref<4x150xbf16>
  }
}
