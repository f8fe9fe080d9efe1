// RUN: ftc-opt %s -split-input-file -plan-verify | FileCheck %s
// RUN: ftc-opt %s -split-input-file -cse -plan-verify | FileCheck %s

// Two buffers with one place and one label stay two, or one would live as long as both.
// CHECK-LABEL: plan.entry @step
// CHECK: plan.view @near[0] "matmul"
// CHECK: plan.view @near[0] "add"
// CHECK: plan.view @near[0] "matmul"
plan.slab @near bytes 8192 alignment 64
plan.kernel @set {
^bb0(%a: memref<16x64xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %c = arith.constant dense<0.0> : tensor<64xf32>
    plan.store %c, %a[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %a = plan.view @near[0] "matmul" : memref<16x64xf32>
  plan.launch @set(%a) "1" : memref<16x64xf32>
  %b = plan.view @near[0] "add" : memref<16x64xf32>
  plan.launch @set(%b) "2" : memref<16x64xf32>
  %c = plan.view @near[0] "matmul" : memref<16x64xf32>
  plan.launch @set(%c) "3" : memref<16x64xf32>
}

// -----

// Halves of the columns are a row, a row in a place of its own is one of a buffer, and places that depend on data are
// trusted. One task alone may read and write as it likes.
// CHECK-LABEL: plan.entry @step
plan.slab @near bytes 65536 alignment 64
plan.kernel @halves {
^bb0(%a: memref<16x64xf32>, %ids: memref<16xi32>, %b: memref<16x64xf32>, %c: memref<2x64xf32>, %d: memref<16xf32>):
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %id = plan.load %ids[%r] : memref<16xi32> -> i32
    %i = arith.index_cast %id : i32 to index
    %x = plan.load %a[%i] : memref<16x64xf32> -> tensor<32xf32>
    %y = plan.load %a[%r] offset 32 : memref<16x64xf32> -> tensor<32xf32>
    %z = plan.load %a[%zero] : memref<16x64xf32> -> tensor<32xf32>
    %s = plan.load %a[%i, %one] : memref<16x64xf32> -> f32
    plan.store %x, %b[%r] : tensor<32xf32>, memref<16x64xf32>
    plan.store %y, %b[%r] offset 32 : tensor<32xf32>, memref<16x64xf32>
    plan.store %z, %c[%zero] : tensor<32xf32>, memref<2x64xf32>
    plan.store %z, %c[%zero] offset 32 : tensor<32xf32>, memref<2x64xf32>
    plan.store %z, %c[%one] : tensor<32xf32>, memref<2x64xf32>
    plan.store %z, %c[%one] offset 32 : tensor<32xf32>, memref<2x64xf32>
    plan.store %s, %d[%i] : f32, memref<16xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  %ids = plan.input "ids" : memref<16xi32> at @near[4096]
  %b = plan.view @near[8192] "b" : memref<16x64xf32>
  %c = plan.view @near[12288] "c" : memref<2x64xf32>
  %d = plan.view @near[16384] "d" : memref<16xf32>
  plan.launch @halves(%x, %ids, %b, %c, %d) "t" : memref<16x64xf32>, memref<16xi32>, memref<16x64xf32>, memref<2x64xf32>, memref<16xf32>
  plan.output "b", %b : memref<16x64xf32>
  plan.output "c", %c : memref<2x64xf32>
  plan.output "d", %d : memref<16xf32>
}
