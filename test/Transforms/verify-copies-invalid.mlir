// RUN: ftc-opt %s -split-input-file -plan-verify -verify-diagnostics

// From a copy to the wait for it, its source is not written.
plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.kernel @copy {
^bb0(%a: memref<16x4xf32>, %b: memref<16x4xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<16x4xf32>
  }
}
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<16x4xf32> at @near[0]
  %y = plan.view @near[256] "y" : memref<16x4xf32>
  %f = plan.view @far[0] "f" : memref<16x4xf32>
  plan.launch @copy(%x, %y) "y" : memref<16x4xf32>, memref<16x4xf32>
  // expected-note @below {{the copy begins here}}
  %e = plan.copy_out %y to %f : memref<16x4xf32>
  // expected-error @below {{writes the source of a copy that nobody has waited for}}
  plan.launch @copy(%x, %y) "again" : memref<16x4xf32>, memref<16x4xf32>
  plan.wait %e
}

// -----

// Its target is neither read nor written; reading its source is fine.
plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.variable @m : memref<16x4xf32> state init #train.zeros far at @far[0]
plan.kernel @copy {
^bb0(%a: memref<16x4xf32>, %b: memref<16x4xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<16x4xf32>
  }
}
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %m = plan.get @m : memref<16x4xf32>
  %y = plan.view @near[0] "y" : memref<16x4xf32>
  %z = plan.view @near[256] "z" : memref<16x4xf32>
  // expected-note @below {{the copy begins here}}
  %e = plan.copy_in %m to %y : memref<16x4xf32>
  // expected-error @below {{uses the target of a copy that nobody has waited for}}
  plan.launch @copy(%y, %z) "z" : memref<16x4xf32>, memref<16x4xf32>
  plan.wait %e
}

// -----

// A far buffer is not read before it is whole: the two copies run on threads of their own.
plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<16x4xf32> at @near[0]
  %y = plan.view @near[256] "y" : memref<16x4xf32>
  %f = plan.view @far[0] "f" : memref<16x4xf32>
  // expected-note @below {{the copy begins here}}
  %e = plan.copy_out %x to %f : memref<16x4xf32>
  // expected-error @below {{uses the target of a copy that nobody has waited for}}
  %i = plan.copy_in %f to %y : memref<16x4xf32>
  plan.wait %e
  plan.wait %i
}

// -----

// Rows of one variable are told apart; the same rows are not.
plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.variable @m : memref<32x4xf32> state init #train.zeros far at @far[0]
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %m = plan.get @m : memref<32x4xf32>
  %m0 = plan.slice %m[0] : memref<32x4xf32> to memref<16x4xf32>
  %m1 = plan.slice %m[16] : memref<32x4xf32> to memref<16x4xf32>
  %again = plan.get @m : memref<32x4xf32>
  %m8 = plan.slice %again[8] : memref<32x4xf32> to memref<16x4xf32>
  %y = plan.input "y" : memref<16x4xf32> at @near[0]
  %z = plan.input "z" : memref<16x4xf32> at @near[256]
  // expected-note @below {{the copy begins here}}
  %e = plan.copy_out %y to %m0 : memref<16x4xf32>
  %i = plan.copy_out %z to %m1 : memref<16x4xf32>
  // expected-error @below {{uses the target of a copy that nobody has waited for}}
  %o = plan.copy_out %z to %m8 : memref<16x4xf32>
  plan.wait %e
  plan.wait %i
  plan.wait %o
}

// -----

plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<16x4xf32> at @near[0]
  %f = plan.view @far[0] "f" : memref<16x4xf32>
  // expected-error @below {{begins a copy that nobody waits for}}
  %e = plan.copy_out %x to %f : memref<16x4xf32>
}

// -----

plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %y = plan.view @near[0] "y" : memref<16x4xf32>
  %f = plan.view @far[0] "f" : memref<16x4xf32>
  // expected-error @below {{copies a buffer that nothing has written}}
  %e = plan.copy_in %f to %y : memref<16x4xf32>
  plan.wait %e
}

// -----

// Copies go from one tier to the other.
plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<16x4xf32> at @near[0]
  %y = plan.view @near[256] "y" : memref<16x4xf32>
  // expected-error @below {{takes a near buffer for the far tier}}
  %e = plan.copy_out %x to %y : memref<16x4xf32>
  plan.wait %e
}

// -----

plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.variable @m : memref<16x4xf32> state init #train.zeros far at @far[0]
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %m = plan.get @m : memref<16x4xf32>
  %f = plan.view @far[4096] "f" : memref<16x4xf32>
  // expected-error @below {{takes a buffer of the far tier for near memory}}
  %e = plan.copy_in %m to %f : memref<16x4xf32>
  plan.wait %e
}

// -----

// Kernels and the host see near memory only.
plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.variable @m : memref<16x4xf32> state init #train.zeros far at @far[0]
plan.kernel @copy {
^bb0(%a: memref<16x4xf32>, %b: memref<16x4xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<16x4xf32>
  }
}
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %m = plan.get @m : memref<16x4xf32>
  %y = plan.view @near[0] "y" : memref<16x4xf32>
  // expected-error @below {{passes as buffer 0 one of the far tier, which kernels cannot see}}
  plan.launch @copy(%m, %y) "y" : memref<16x4xf32>, memref<16x4xf32>
  // expected-error @below {{"m" lies in the far tier, where the host cannot read it}}
  plan.output "m", %m : memref<16x4xf32>
}

// -----

plan.slab @far far bytes 8192 alignment 4096
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  // expected-error @below {{buffer "x" is an input and lies in the far tier, where the host cannot write it}}
  %x = plan.input "x" : memref<16x4xf32> at @far[0]
}

// -----

plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
// expected-error @below {{is of the far tier but lies in near memory}}
plan.variable @m : memref<16x4xf32> state init #train.zeros far at @near[0]
// expected-error @below {{is near but lies in the far tier}}
plan.variable @n : memref<16x4xf32> state init #train.zeros at @far[0]

// -----

// A copy keeps its buffers until somebody waits for it: nothing else may lie there before.
plan.slab @near bytes 1024 alignment 64
plan.slab @far far bytes 8192 alignment 4096
plan.kernel @copy {
^bb0(%a: memref<16x4xf32>, %b: memref<16x4xf32>):
  plan.rows 16 per_task 16 parallel {
  ^bb0(%r: index):
    %0 = plan.load %a[%r] : memref<16x4xf32> -> tensor<4xf32>
    plan.store %0, %b[%r] : tensor<4xf32>, memref<16x4xf32>
  }
}
plan.entry @step kind(step) batch 2 sequence 8 flops 0.0 {
  %x = plan.input "x" : memref<16x4xf32> at @near[0]
  // expected-note @below {{buffer "y" is here}}
  %y = plan.view @near[256] "y" : memref<16x4xf32>
  %f = plan.view @far[0] "f" : memref<16x4xf32>
  // expected-error @below {{buffer "z" overlaps buffer "y" in bytes 256 to 512 while both are live}}
  %z = plan.view @near[256] "z" : memref<16x4xf32>
  plan.launch @copy(%x, %y) "y" : memref<16x4xf32>, memref<16x4xf32>
  %e = plan.copy_out %y to %f : memref<16x4xf32>
  plan.launch @copy(%x, %z) "z" : memref<16x4xf32>, memref<16x4xf32>
  plan.wait %e
  plan.output "z", %z : memref<16x4xf32>
}
