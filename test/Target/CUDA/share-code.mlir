// RUN: ftc-opt %s -cuda-lower-kernels="device=h100 share" --remarks-filter=cuda-lower-kernels --remark-format=emitRemark -o %t.mlir 2> %t.remarks
// RUN: FileCheck %s < %t.mlir
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not="Passed] share-code" < %t.remarks
// RUN: ftc-opt %s -cuda-lower-kernels="device=h100" | FileCheck %s --check-prefix=APART

// Rows of two lengths: one function, with the largest grid, that takes how many rows there are behind its addresses.
// REMARK: remark: [Passed] share-code{{.*}}Remark="double_1000 and 1 more are one function", kernels=2, sizes=1
// CHECK: gpu.func @double_1000(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %[[ROWS:[a-z0-9]+]]: i64) kernel
// CHECK-SAME: known_grid_size = array<i32: [[GRID:[0-9]+]], 1, 1>
// CHECK: arith.cmpi slt, %{{.*}}, %[[ROWS]] : i64
// CHECK-NOT: gpu.func @double_200(
// Other columns are other accesses; a divisor of rows stays a constant, since each thread would divide by it.
// CHECK: gpu.func @double_wide(%{{[^,]*}}: !llvm.ptr, %{{[^,]*}}: !llvm.ptr) kernel
// CHECK: gpu.func @turns_1000(%{{[^,]*}}: !llvm.ptr, %{{[^,]*}}: !llvm.ptr) kernel
// CHECK: gpu.func @turns_200(%{{[^,]*}}: !llvm.ptr, %{{[^,]*}}: !llvm.ptr) kernel

// Each kernel keeps its name and its grid, and has its sizes.
// CHECK: llvm.mlir.global internal constant @step.kernel_name.0("double_1000\00")
// CHECK: llvm.mlir.global internal constant @step.kernel_sizes.0(dense<1000> : tensor<1xi64>)
// CHECK: llvm.mlir.global internal constant @step.kernel_name.1("double_200\00")
// CHECK: llvm.mlir.global internal constant @step.kernel_sizes.1(dense<200> : tensor<1xi64>)
// CHECK: llvm.mlir.global internal constant @step.kernels() {{.*}} !llvm.array<5 x struct<(ptr, ptr, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, ptr)>> {
// CHECK: llvm.mlir.addressof @step.kernel_name.0
// CHECK: llvm.mlir.addressof @step.kernel_name.0
// CHECK: llvm.mlir.addressof @step.kernel_sizes.0
// CHECK: llvm.mlir.addressof @step.kernel_name.1
// CHECK: llvm.mlir.addressof @step.kernel_name.0
// CHECK: llvm.mlir.addressof @step.kernel_sizes.1

// Nobody has asked for it.
// APART: gpu.func @double_1000(%{{[^,]*}}: !llvm.ptr, %{{[^,]*}}: !llvm.ptr) kernel
// APART: gpu.func @double_200(%{{[^,]*}}: !llvm.ptr, %{{[^,]*}}: !llvm.ptr) kernel
plan.kernel @double_1000 {
^bb0(%a: memref<1000x8xf32>, %b: memref<1000x8xf32>):
  plan.rows 1000 per_task 32 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<1000x8xf32> -> tensor<8xf32>
    %y = arith.addf %x, %x : tensor<8xf32>
    plan.store %y, %b[%r] : tensor<8xf32>, memref<1000x8xf32>
  }
}
plan.kernel @double_200 {
^bb0(%a: memref<200x8xf32>, %b: memref<200x8xf32>):
  plan.rows 200 per_task 32 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<200x8xf32> -> tensor<8xf32>
    %y = arith.addf %x, %x : tensor<8xf32>
    plan.store %y, %b[%r] : tensor<8xf32>, memref<200x8xf32>
  }
}
plan.kernel @double_wide {
^bb0(%a: memref<200x48xf32>, %b: memref<200x48xf32>):
  plan.rows 200 per_task 32 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<200x48xf32> -> tensor<48xf32>
    %y = arith.addf %x, %x : tensor<48xf32>
    plan.store %y, %b[%r] : tensor<48xf32>, memref<200x48xf32>
  }
}
plan.kernel @turns_1000 {
^bb0(%a: memref<1000x8xf32>, %b: memref<1000x8xf32>):
  plan.rows 1000 per_task 32 parallel {
  ^bb0(%r: index):
    %half = arith.constant 500 : index
    %t = arith.remui %r, %half : index
    %x = plan.load %a[%t] : memref<1000x8xf32> -> tensor<8xf32>
    plan.store %x, %b[%r] : tensor<8xf32>, memref<1000x8xf32>
  }
}
plan.kernel @turns_200 {
^bb0(%a: memref<200x8xf32>, %b: memref<200x8xf32>):
  plan.rows 200 per_task 32 parallel {
  ^bb0(%r: index):
    %half = arith.constant 100 : index
    %t = arith.remui %r, %half : index
    %x = plan.load %a[%t] : memref<200x8xf32> -> tensor<8xf32>
    plan.store %x, %b[%r] : tensor<8xf32>, memref<200x8xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 1000 flops 0.0 {
  %a = plan.alloc "a" : memref<1000x8xf32>
  plan.launch @double_1000(%a, %a) "1" : memref<1000x8xf32>, memref<1000x8xf32>
  plan.launch @turns_1000(%a, %a) "2" : memref<1000x8xf32>, memref<1000x8xf32>
}
plan.entry @step_200 kind(step) batch 1 sequence 200 flops 0.0 {
  %a = plan.alloc "a" : memref<200x8xf32>
  %b = plan.alloc "b" : memref<200x48xf32>
  plan.launch @double_200(%a, %a) "1" : memref<200x8xf32>, memref<200x8xf32>
  plan.launch @turns_200(%a, %a) "2" : memref<200x8xf32>, memref<200x8xf32>
  plan.launch @double_wide(%b, %b) "3" : memref<200x48xf32>, memref<200x48xf32>
}
