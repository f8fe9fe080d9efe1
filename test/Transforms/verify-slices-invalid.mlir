// RUN: ftc-opt %s -split-input-file -plan-verify -verify-diagnostics

// Parts that overlap, a part and its whole: other rows than those that are written would be read.
plan.slab @near bytes 1024 alignment 64
plan.kernel @copy {
^bb0(%a: memref<8x4xf32>, %b: memref<8x4xf32>):
  plan.rows 8 per_task 8 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<8x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<8x4xf32>
  }
}
plan.kernel @product {
^bb0(%a: memref<16x4xf32>, %b: memref<8x4xf32>, %c: memref<16x8xf32>):
  plan.matmul %a, %b, %c transpose_b : memref<16x4xf32>, memref<8x4xf32>, memref<16x8xf32> read_a {} read_b {} store_c {}
}
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<16x4xf32> at @near[0]
  %y = plan.view @near[256] "y" : memref<16x8xf32>
  %x0 = plan.slice %x[0] : memref<16x4xf32> to memref<8x4xf32>
  %x1 = plan.slice %x[7] : memref<16x4xf32> to memref<8x4xf32>
  // expected-error @below {{passes one buffer as 0 and 1 of @copy, which writes it while other rows may still read it}}
  plan.launch @copy(%x0, %x1) "overlap" : memref<8x4xf32>, memref<8x4xf32>
  // Two that are only read may overlap.
  plan.launch @product(%x, %x1, %y) "product" : memref<16x4xf32>, memref<8x4xf32>, memref<16x8xf32>
  plan.output "y", %y : memref<16x8xf32>
}

// -----

// One part is written, the whole and the other part are read.
plan.slab @near bytes 1024 alignment 64
plan.kernel @copy {
^bb0(%a: memref<8x4xf32>, %b: memref<8x4xf32>):
  plan.rows 8 per_task 8 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<8x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<8x4xf32>
  }
}
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<8x4xf32> at @near[0]
  %y = plan.view @near[256] "y" : memref<16x4xf32>
  %z = plan.view @near[512] "z" : memref<8x4xf32>
  %y0 = plan.slice %y[0] : memref<16x4xf32> to memref<8x4xf32>
  %middle = plan.slice %y[4] : memref<16x4xf32> to memref<8x4xf32>
  plan.launch @copy(%x, %y0) "half" : memref<8x4xf32>, memref<8x4xf32>
  // expected-error @below {{(middle) reads buffer 0, which nothing has written}}
  plan.launch @copy(%middle, %z) "middle" : memref<8x4xf32>, memref<8x4xf32>
  // expected-error @below {{"y" is a buffer that nothing has written}}
  plan.output "y", %y : memref<16x4xf32>
}

// -----

// A slice keeps its source alive.
plan.slab @near bytes 1024 alignment 64
plan.kernel @copy {
^bb0(%a: memref<8x4xf32>, %b: memref<8x4xf32>):
  plan.rows 8 per_task 8 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<8x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<8x4xf32>
  }
}
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<8x4xf32> at @near[0]
  // expected-note @below {{buffer "y" is here}}
  %y = plan.view @near[256] "y" : memref<16x4xf32>
  // expected-error @below {{buffer "z" overlaps buffer "y" in bytes 384 to 512 while both are live}}
  %z = plan.view @near[384] "z" : memref<8x4xf32>
  %y0 = plan.slice %y[0] : memref<16x4xf32> to memref<8x4xf32>
  plan.launch @copy(%x, %y0) "half" : memref<8x4xf32>, memref<8x4xf32>
  plan.launch @copy(%x, %z) "other" : memref<8x4xf32>, memref<8x4xf32>
  plan.launch @copy(%y0, %y0) "again" : memref<8x4xf32>, memref<8x4xf32>
  plan.output "z", %z : memref<8x4xf32>
}

// -----

// A slice of a constant is constant.
plan.slab @near bytes 1024 alignment 64
plan.kernel @copy {
^bb0(%a: memref<8x4xf32>, %b: memref<8x4xf32>):
  plan.rows 8 per_task 8 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<8x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<8x4xf32>
  }
}
plan.variable @cos : memref<16x4xf32> constant init #train.ones at @near[0]
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<8x4xf32> at @near[256]
  %c = plan.get @cos : memref<16x4xf32>
  %c0 = plan.slice %c[8] : memref<16x4xf32> to memref<8x4xf32>
  // expected-error @below {{writes constant "cos"}}
  plan.launch @copy(%x, %c0) "write" : memref<8x4xf32>, memref<8x4xf32>
}
