// RUN: ftc-opt %s -split-input-file -cpu-lower-kernels="cpu=x86-64-v3" -cpu-share-code | FileCheck %s
// RUN: ftc-opt %s -split-input-file -cpu-lower-kernels="cpu=x86-64-v3" -cpu-share-code --remarks-filter=cpu-share-code --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// Two lengths of rows: one code, each with its numbers. What differs here: the tasks, and where the last one ends.
// REMARK: remark: [Passed] share-code{{.*}}Remark="double_60 and 1 more are one code", kernels=2, sizes=2
// REMARK-NOT: remark:
// CHECK: llvm.mlir.global internal constant @double_60.sizes(dense<[2, 60]> : tensor<2xi64>)
// CHECK: llvm.func internal @double_60(%[[SERVICES:.*]]: !llvm.ptr, %[[A:.*]]: !llvm.ptr, %[[B:.*]]: !llvm.ptr) {
// CHECK-NEXT: %[[SIZES:.*]] = llvm.mlir.addressof @double_60.sizes
// CHECK-NEXT: llvm.call @double_60.shared(%[[SERVICES]], %[[A]], %[[B]], %[[SIZES]])
// CHECK-NEXT: llvm.return
// CHECK: llvm.mlir.global internal constant @double_100.sizes(dense<[4, 100]> : tensor<2xi64>)
// CHECK: llvm.func internal @double_100(
// CHECK: llvm.call @double_60.shared(
// CHECK: llvm.func internal @double_60.shared({{.*}}, %[[SIZES:[a-z0-9]+]]: !llvm.ptr) attributes {no_inline}
// CHECK-DAG: %[[TASKS:.*]] = llvm.load %{{.*}} invariant {alignment = 8 : i64} : !llvm.ptr -> i64
// CHECK-DAG: llvm.alloca %{{.*}} x !llvm.struct<(ptr, ptr, ptr)>
// CHECK-DAG: llvm.store %[[SIZES]], %{{.*}} : !llvm.ptr, !llvm.ptr
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %[[TASKS]])
// CHECK: llvm.func internal @double_60.task0(
// CHECK: %[[PLACE:.*]] = llvm.getelementptr %{{.*}}[0, 2] : (!llvm.ptr) -> !llvm.ptr, !llvm.struct<(ptr, ptr, ptr)>
// CHECK: %[[SIZES:.*]] = llvm.load %[[PLACE]]
// CHECK: llvm.getelementptr %[[SIZES]][1]
// CHECK: %[[ROWS:.*]] = llvm.load %{{.*}} invariant
// CHECK: arith.minsi %{{.*}}, %[[ROWS]]
// CHECK-NOT: llvm.func internal @double_100.task0

// What has no twin stays as it is: another width has other vectors, whole tasks need no end, and a sum is no product.
// CHECK: llvm.func internal @double_wide(%{{[^,]*}}, %{{[^,]*}}, %{{[^,]*}}) {
// CHECK: llvm.func internal @double_wide.task0(
// CHECK: llvm.func internal @double_64(
// CHECK: llvm.func internal @double_64.task0(
// CHECK: llvm.func internal @square_60(
// CHECK: llvm.func internal @square_60.task0(
plan.kernel @double_60 {
^bb0(%a: memref<60x16xf32>, %b: memref<60x16xf32>):
  plan.rows 60 per_task 32 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<60x16xf32> -> tensor<16xf32>
    %y = arith.addf %x, %x : tensor<16xf32>
    plan.store %y, %b[%r] : tensor<16xf32>, memref<60x16xf32>
  }
}
plan.kernel @double_100 {
^bb0(%a: memref<100x16xf32>, %b: memref<100x16xf32>):
  plan.rows 100 per_task 32 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<100x16xf32> -> tensor<16xf32>
    %y = arith.addf %x, %x : tensor<16xf32>
    plan.store %y, %b[%r] : tensor<16xf32>, memref<100x16xf32>
  }
}
plan.kernel @double_wide {
^bb0(%a: memref<60x20xf32>, %b: memref<60x20xf32>):
  plan.rows 60 per_task 32 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<60x20xf32> -> tensor<20xf32>
    %y = arith.addf %x, %x : tensor<20xf32>
    plan.store %y, %b[%r] : tensor<20xf32>, memref<60x20xf32>
  }
}
plan.kernel @double_64 {
^bb0(%a: memref<64x16xf32>, %b: memref<64x16xf32>):
  plan.rows 64 per_task 32 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<64x16xf32> -> tensor<16xf32>
    %y = arith.addf %x, %x : tensor<16xf32>
    plan.store %y, %b[%r] : tensor<16xf32>, memref<64x16xf32>
  }
}
plan.kernel @square_60 {
^bb0(%a: memref<60x16xf32>, %b: memref<60x16xf32>):
  plan.rows 60 per_task 32 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<60x16xf32> -> tensor<16xf32>
    %y = arith.mulf %x, %x : tensor<16xf32>
    plan.store %y, %b[%r] : tensor<16xf32>, memref<60x16xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
  %a = plan.alloc "a" : memref<60x16xf32>
  %b = plan.alloc "b" : memref<100x16xf32>
  %c = plan.alloc "c" : memref<60x20xf32>
  %d = plan.alloc "d" : memref<64x16xf32>
  plan.launch @double_60(%a, %a) "1" : memref<60x16xf32>, memref<60x16xf32>
  plan.launch @double_100(%b, %b) "2" : memref<100x16xf32>, memref<100x16xf32>
  plan.launch @double_wide(%c, %c) "3" : memref<60x20xf32>, memref<60x20xf32>
  plan.launch @double_64(%d, %d) "4" : memref<64x16xf32>, memref<64x16xf32>
  plan.launch @square_60(%a, %a) "5" : memref<60x16xf32>, memref<60x16xf32>
}

// -----

// A divisor in a loop of a task stays a constant, so these two are not one; one outside of loops may be a number.
// CHECK-LABEL: llvm.func internal @divides_6(
// CHECK-NOT: @divides_6.shared
// CHECK: llvm.func internal @divides_10(
// CHECK: arith.constant 10 : i64
llvm.func internal @divides_6(%services: !llvm.ptr, %a: !llvm.ptr) {
  %one = llvm.mlir.constant(1 : i64) : i64
  %frame = llvm.alloca %one x !llvm.struct<(ptr)> : (i64) -> !llvm.ptr
  %task = llvm.mlir.addressof @divides_6.task0 : !llvm.ptr
  %tasks = arith.constant 4 : i64
  llvm.call %services(%services, %task, %frame, %tasks) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> ()
  llvm.return
}
llvm.func internal @divides_6.task0(%frame: !llvm.ptr, %task: i64, %thread: i32) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %six = arith.constant 6 : i64
  scf.for %i = %zero to %task step %one : i64 {
    %q = arith.divsi %i, %six : i64
    llvm.store %q, %frame : i64, !llvm.ptr
  }
  llvm.return
}
llvm.func internal @divides_10(%services: !llvm.ptr, %a: !llvm.ptr) {
  %one = llvm.mlir.constant(1 : i64) : i64
  %frame = llvm.alloca %one x !llvm.struct<(ptr)> : (i64) -> !llvm.ptr
  %task = llvm.mlir.addressof @divides_10.task0 : !llvm.ptr
  %tasks = arith.constant 4 : i64
  llvm.call %services(%services, %task, %frame, %tasks) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> ()
  llvm.return
}
llvm.func internal @divides_10.task0(%frame: !llvm.ptr, %task: i64, %thread: i32) {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %ten = arith.constant 10 : i64
  scf.for %i = %zero to %task step %one : i64 {
    %q = arith.divsi %i, %ten : i64
    llvm.store %q, %frame : i64, !llvm.ptr
  }
  llvm.return
}
plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
  %a = plan.alloc "a" : memref<4xf32>
  plan.launch @divides_6(%a) "1" : memref<4xf32>
  plan.launch @divides_10(%a) "2" : memref<4xf32>
}
