// RUN: ftc-opt %s -split-input-file -plan-verify -verify-diagnostics

// expected-error @below {{variable w has no place; run plan-assign-offsets}}
plan.variable @w : memref<8xf32> parameter init #train.ones

// -----

// expected-error @below {{variable w lies in @far, which is no slab of the module}}
plan.variable @w : memref<8xf32> parameter init #train.ones at @far[0]

// -----

plan.slab @near bytes 64 alignment 64
// expected-error @below {{variable w takes 64 bytes from byte 64 of slab @near, which has 64}}
plan.variable @w : memref<16xf32> parameter init #train.ones at @near[64]

// -----

plan.slab @near bytes 64 alignment 64
// expected-error @below {{variable w takes 64 bytes from byte 9223372036854775744 of slab @near, which has 64}}
plan.variable @w : memref<16xf32> parameter init #train.ones at @near[9223372036854775744]

// -----

plan.slab @near bytes 128 alignment 64
// expected-error @below {{variable w begins at byte 32, no multiple of the slab's alignment of 64}}
plan.variable @w : memref<8xf32> parameter init #train.ones at @near[32]

// -----

plan.slab @near bytes 256 alignment 64
// expected-note @below {{variable v is here}}
plan.variable @v : memref<32xf32> parameter init #train.ones at @near[0]
// expected-error @below {{variable w overlaps variable v in bytes 64 to 128 while both are live}}
plan.variable @w : memref<32xf32> parameter init #train.ones at @near[64]

// -----

plan.slab @near bytes 256 alignment 64
plan.kernel @fill {
^bb0(%a: memref<16xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = arith.constant 1.0 : f32
    plan.store %0, %a[%r] : f32, memref<16xf32>
  }
}
// expected-note @below {{variable v is here}}
plan.variable @v : memref<16xf32> parameter init #train.ones at @near[0]
plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  // expected-error @below {{buffer "a" overlaps variable v in bytes 0 to 64 while both are live}}
  %a = plan.view @near[0] "a" : memref<16xf32>
  plan.launch @fill(%a) "fill" : memref<16xf32>
}

// -----

// Two buffers that meet at one launch only.
plan.slab @near bytes 256 alignment 64
plan.kernel @copy {
^bb0(%a: memref<16xf32>, %b: memref<16xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16xf32> -> f32
    plan.store %0, %b[%r] : f32, memref<16xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  // expected-note @below {{buffer "x" is here}}
  %x = plan.input "x" : memref<16xf32> at @near[0]
  // expected-error @below {{buffer "y" overlaps buffer "x" in bytes 0 to 64 while both are live}}
  %y = plan.view @near[0] "y" : memref<16xf32>
  plan.launch @copy(%x, %y) "copy" : memref<16xf32>, memref<16xf32>
}

// -----

// Inputs live from the start, outputs to the end, used or not.
plan.slab @near bytes 256 alignment 64
plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  // expected-note @below {{buffer "a" is here}}
  %a = plan.input "a" : memref<16xf32> at @near[0]
  // expected-error @below {{buffer "b" overlaps buffer "a" in bytes 0 to 64 while both are live}}
  %b = plan.input "b" : memref<16xf32> at @near[0]
}

// -----

plan.slab @near bytes 256 alignment 64
plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  // expected-error @below {{buffer "a" has no place; run plan-assign-offsets}}
  %a = plan.alloc "a" : memref<16xf32>
}

// -----

plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  // expected-error @below {{buffer "a" has no place; run plan-assign-offsets}}
  %a = plan.input "a" : memref<16xf32>
  // expected-error @below {{names no kernel: @missing}}
  plan.launch @missing(%a) "nothing" : memref<16xf32>
}

// -----

plan.slab @near bytes 256 alignment 64
plan.kernel @add {
^bb0(%a: memref<16xf32>, %b: memref<16xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16xf32> -> f32
    %1 = plan.load %b[%r] : memref<16xf32> -> f32
    %2 = arith.addf %0, %1 : f32
    plan.store %2, %b[%r] : f32, memref<16xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  %a = plan.input "a" : memref<16xf32> at @near[0]
  %i = plan.input "i" : memref<16xi32> at @near[128]
  %b = plan.view @near[64] "b" : memref<16xf32>
  // expected-error @below {{passes 1 buffers to @add, which takes 2}}
  plan.launch @add(%a) "add" : memref<16xf32>
  // expected-error @below {{passes 'memref<16xi32>' as buffer 0 of @add, which takes 'memref<16xf32>'}}
  plan.launch @add(%i, %b) "add" : memref<16xi32>, memref<16xf32>
  // expected-error @below {{(add) reads buffer 1, which nothing has written}}
  plan.launch @add(%a, %b) "add" : memref<16xf32>, memref<16xf32>
}

// -----

// A row that is read by other rows is not written in place.
plan.slab @near bytes 1024 alignment 64
plan.kernel @reverse {
^bb0(%a: memref<16xf32>, %b: memref<16xf32>):
  plan.rows 16 per_task 1 parallel {
  ^bb0(%r: index):
    %last = arith.constant 15 : index
    %i = arith.subi %last, %r : index
    %0 = plan.load %a[%i] : memref<16xf32> -> f32
    plan.store %0, %b[%r] : f32, memref<16xf32>
  }
}
plan.variable @w : memref<16xf32> parameter init #train.ones trainable at @near[0]
plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  %a = plan.input "a" : memref<16xf32> at @near[64]
  // expected-error @below {{passes one buffer as 0 and 1 of @reverse, which writes it while other rows may still read it}}
  plan.launch @reverse(%a, %a) "in place" : memref<16xf32>, memref<16xf32>
  // Two reads of one variable are one buffer.
  %w0 = plan.get @w : memref<16xf32>
  %w1 = plan.get @w : memref<16xf32>
  // expected-error @below {{passes one buffer as 0 and 1 of @reverse}}
  plan.launch @reverse(%w0, %w1) "in place" : memref<16xf32>, memref<16xf32>
}

// -----

// A product reads all of a before c is whole.
plan.slab @near bytes 1024 alignment 64
plan.kernel @product {
^bb0(%a: memref<4x4xf32>, %b: memref<4x4xf32>, %c: memref<4x4xf32>):
  plan.matmul %a, %b, %c : memref<4x4xf32>, memref<4x4xf32>, memref<4x4xf32> read_a {} read_b {} store_c {}
}
plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  %a = plan.input "a" : memref<4x4xf32> at @near[64]
  // expected-error @below {{passes one buffer as 0 and 2 of @product}}
  plan.launch @product(%a, %a, %a) "square" : memref<4x4xf32>, memref<4x4xf32>, memref<4x4xf32>
}

// -----

plan.slab @near bytes 1024 alignment 64
plan.kernel @fill {
^bb0(%a: memref<16xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = arith.constant 1.0 : f32
    plan.store %0, %a[%r] : f32, memref<16xf32>
  }
}
plan.variable @cos : memref<16xf32> constant init #train.ones at @near[0]
plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  %c = plan.get @cos : memref<16xf32>
  // expected-error @below {{writes constant "cos"}}
  plan.launch @fill(%c) "fill" : memref<16xf32>
  // expected-error @below {{names no variable of type 'memref<16xf32>': @sin}}
  %s = plan.get @sin : memref<16xf32>
  %o = plan.view @near[64] "o" : memref<16xf32>
  // expected-error @below {{"o" is a buffer that nothing has written}}
  plan.output "o", %o : memref<16xf32>
}

// -----

plan.slab @near bytes 1024 alignment 64
plan.kernel @fill {
^bb0(%a: memref<16xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = arith.constant 1.0 : f32
    plan.store %0, %a[%r] : f32, memref<16xf32>
  }
}
plan.variable @teacher.norm : memref<16xf32> teacher init #train.ones at @near[0]
plan.variable @reference.norm : memref<16xf32> reference init #train.ones at @near[128]
plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  %c = plan.get @teacher.norm : memref<16xf32>
  // expected-error @below {{writes the teacher's "teacher.norm"}}
  plan.launch @fill(%c) "fill" : memref<16xf32>
  %r = plan.get @reference.norm : memref<16xf32>
  // expected-error @below {{writes the reference's "reference.norm"}}
  plan.launch @fill(%r) "fill" : memref<16xf32>
  // expected-error @below {{names no variable of type 'memref<16xf32>': @sin}}
  %s = plan.get @sin : memref<16xf32>
  %o = plan.view @near[64] "o" : memref<16xf32>
  // expected-error @below {{"o" is a buffer that nothing has written}}
  plan.output "o", %o : memref<16xf32>
}

// -----

plan.entry @step kind(step) batch 1 sequence 8 flops 0.0 {
  // expected-error @below {{is no buffer, launch, copy or output; entries hold nothing else}}
  %c = arith.constant 1.0 : f32
}

// -----

plan.kernel @allocates {
^bb0(%a: memref<1xf32>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
    // expected-error @below {{is not of a dialect that bodies of kernels are made of; it could allocate}}
    %0 = llvm.mlir.zero : !llvm.ptr
  }
}
