// RUN: ftc-opt %s -split-input-file -plan-verify -verify-diagnostics

// A launch has written the rows that its kernel stores to, and no others.
plan.slab @near bytes 65536 alignment 64
plan.kernel @half {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 8 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %b[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.kernel @all {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %b[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  %t = plan.view @near[4096] "t" : memref<16x64xf32>
  %y = plan.view @near[8192] "y" : memref<16x64xf32>
  plan.launch @half(%x, %t) "t" : memref<16x64xf32>, memref<16x64xf32>
  // expected-error @below {{(y) reads buffer 0, which nothing has written, or not all of it}}
  plan.launch @all(%t, %y) "y" : memref<16x64xf32>, memref<16x64xf32>
  plan.output "y", %y : memref<16x64xf32>
}

// -----

// Half of the columns of each row.
plan.slab @near bytes 65536 alignment 64
plan.kernel @left {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<32xf32>
    %y = plan.load %a[%r] offset 32 : memref<16x64xf32> -> tensor<32xf32>
    plan.store %x, %b[%r] : tensor<32xf32>, memref<16x64xf32>
    plan.store %y, %b[%r] : tensor<32xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  %t = plan.view @near[4096] "t" : memref<16x64xf32>
  plan.launch @left(%x, %t) "t" : memref<16x64xf32>, memref<16x64xf32>
  // expected-error @below {{"y" is a buffer that nothing has written, or not all of it}}
  plan.output "y", %t : memref<16x64xf32>
}

// -----

// Places that depend on no data are inside of their buffers.
plan.slab @near bytes 65536 alignment 64
plan.kernel @k {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %c = arith.constant 100 : index
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    // expected-error @below {{is at 100 in row 0, outside of}}
    plan.store %x, %b[%c] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  %y = plan.view @near[4096] "y" : memref<16x64xf32>
  plan.launch @k(%x, %y) "t" : memref<16x64xf32>, memref<16x64xf32>
  plan.output "y", %y : memref<16x64xf32>
}

// -----

plan.slab @near bytes 65536 alignment 64
plan.kernel @k {
^bb0(%a: memref<16x64xf32>, %b: memref<8xf32>, %c: memref<16xf32>):
  %three = arith.constant 3 : index
  %two = arith.constant 2 : index
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %half = arith.divui %r, %two : index
    %h = plan.load %b[%half] : memref<8xf32> -> f32
    %third = arith.addi %half, %three : index
    // expected-error @below {{is at 8 in row 10, outside of 'memref<8xf32>'}}
    %t = plan.load %b[%third] : memref<8xf32> -> f32
    %s = arith.addf %h, %t : f32
    plan.store %s, %c[%r] : f32, memref<16xf32>
  }
}

// -----

// A product or attention reads nothing that it writes.
plan.slab @near bytes 65536 alignment 64
plan.kernel @k {
^bb0(%a: memref<16x16xf32>, %b: memref<16x16xf32>):
  // expected-error @below {{writes its operand 2, which is its operand 0 too}}
  plan.matmul %a, %b, %a : memref<16x16xf32>, memref<16x16xf32>, memref<16x16xf32> read_a {} read_b {} store_c {}
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x16xf32> at @near[0]
  %y = plan.input "y" : memref<16x16xf32> at @near[4096]
  plan.launch @k(%x, %y) "t" : memref<16x16xf32>, memref<16x16xf32>
  plan.output "y", %x : memref<16x16xf32>
}

// -----

plan.slab @near bytes 65536 alignment 64
plan.kernel @k {
^bb0(%q: memref<16x64xf32>, %k: memref<16x32xf32>, %v: memref<16x32xf32>, %s: memref<16xi32>, %l: memref<16x4xf32>):
  // expected-error @below {{writes its operand 4, which is its operand 0 too}}
  plan.attention %q, %k, %v, %s, %q, %l batch 2 heads 4 kv_heads 2 scale 2.5e-01
      : memref<16x64xf32>, memref<16x32xf32>, memref<16x32xf32>, memref<16xi32>, memref<16x64xf32>, memref<16x4xf32>
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %q = plan.input "q" : memref<16x64xf32> at @near[0]
  %k = plan.input "k" : memref<16x32xf32> at @near[4096]
  %v = plan.input "v" : memref<16x32xf32> at @near[8192]
  %s = plan.input "s" : memref<16xi32> at @near[12288]
  %l = plan.view @near[16384] "l" : memref<16x4xf32>
  plan.launch @k(%q, %k, %v, %s, %l) "t" : memref<16x64xf32>, memref<16x32xf32>, memref<16x32xf32>, memref<16xi32>, memref<16x4xf32>
  plan.output "y", %q : memref<16x64xf32>
}

// -----

// Tasks run in any order, so none writes what another one reads or writes.
plan.slab @near bytes 65536 alignment 64
plan.kernel @race {
^bb0(%a: memref<16x64xf32>, %b: memref<64xf32>):
  %c0 = arith.constant 0 : index
  plan.rows 16 per_task 1 parallel {
  ^bb0(%r: index):
    // expected-note @below {{which is here}}
    %x = plan.load %a[%c0] : memref<16x64xf32> -> tensor<64xf32>
    %y = arith.addf %x, %x : tensor<64xf32>
    // expected-error @below {{stores in task }}
    plan.store %y, %a[%r] : tensor<64xf32>, memref<16x64xf32>
    // expected-error @below {{stores in task 1 to what task 0 stores to, at any time}}
    // expected-note @below {{which is here}}
    plan.store %y, %b[] : tensor<64xf32>, memref<64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  %y = plan.view @near[8192] "y" : memref<64xf32>
  plan.launch @race(%x, %y) "t" : memref<16x64xf32>, memref<64xf32>
  plan.output "y", %y : memref<64xf32>
}

// -----

// One buffer under two names: what a row has stored, it does not load.
plan.slab @near bytes 16384 alignment 64
plan.kernel @k {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %c = arith.constant dense<0.0> : tensor<64xf32>
    plan.store %c, %b[%r] : tensor<64xf32>, memref<16x64xf32>
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    %y = arith.addf %x, %x : tensor<64xf32>
    plan.store %y, %b[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  // expected-error @below {{passes one buffer as 0 and 1 of @k, which writes it while other rows may still read it}}
  plan.launch @k(%x, %x) "t" : memref<16x64xf32>, memref<16x64xf32>
  plan.output "y", %x : memref<16x64xf32>
}

// -----

plan.kernel @stored_then_loaded {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %b[%r] : tensor<64xf32>, memref<16x64xf32>
    // expected-error @below {{loads from a buffer that the same row has stored to}}
    %y = plan.load %b[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %y, %b[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}

// -----

// Copies write as launches do.
plan.slab @near bytes 16384 alignment 64
plan.slab @far far bytes 16384 alignment 4096
plan.variable @c : memref<16x64xf32> constant init #train.ones far at @far[0]
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  %g = plan.get @c : memref<16x64xf32>
  // expected-error @below {{writes constant "c"}}
  %e = plan.copy_out %x to %g : memref<16x64xf32>
  plan.wait %e
  plan.output "y", %x : memref<16x64xf32>
}

// -----

// Quantized weights change nowhere, and nothing does where nothing is trained.
plan.slab @near bytes 65536 alignment 64
plan.variable @q : memref<16x64xf32> quantized init #train.ones at @near[4096]
plan.variable @p : memref<16x64xf32> parameter init #train.ones at @near[8192]
plan.kernel @k {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %b[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @evaluate kind(evaluate) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  %g = plan.get @q : memref<16x64xf32>
  %p = plan.get @p : memref<16x64xf32>
  // expected-error @below {{writes quantized "q"}}
  plan.launch @k(%x, %g) "t" : memref<16x64xf32>, memref<16x64xf32>
  // expected-error @below {{writes "p" in an entry that does not train}}
  plan.launch @k(%x, %p) "t" : memref<16x64xf32>, memref<16x64xf32>
  plan.output "y", %x : memref<16x64xf32>
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32> at @near[0]
  %p = plan.get @p : memref<16x64xf32>
  // expected-error @below {{writes frozen "p"}}
  plan.launch @k(%x, %p) "t" : memref<16x64xf32>, memref<16x64xf32>
  plan.output "y", %x : memref<16x64xf32>
}

// -----

plan.slab @near bytes 65537 alignment 1
plan.kernel @all {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %b[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  // expected-error @below {{buffer "x" has elements of 4 bytes, and its slab @near an alignment of 1}}
  %x = plan.input "x" : memref<16x64xf32> at @near[1]
  // expected-error @below {{buffer "y" has elements of 4 bytes, and its slab @near an alignment of 1}}
  %y = plan.view @near[8193] "y" : memref<16x64xf32>
  plan.launch @all(%x, %y) "y" : memref<16x64xf32>, memref<16x64xf32>
  plan.output "y", %y : memref<16x64xf32>
}

// -----

plan.slab @near bytes 65536 alignment 64
plan.slab @near2 bytes 65536 alignment 64
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %q = plan.input "q" : memref<16x64xf32> at @near[0]
  // expected-error @below {{"q" is the name of two inputs}}
  %k = plan.input "q" : memref<16x32xf32> at @near2[4096]
  plan.output "y", %q : memref<16x64xf32>
  // expected-error @below {{"y" is the name of two outputs}}
  plan.output "y", %q : memref<16x64xf32>
}
