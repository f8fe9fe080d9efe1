// RUN: ftc-opt %s -split-input-file -cpu-lower-kernels="cpu=x86-64-v3" -convert-plan-to-llvm -cpu-lower-to-llvm -verify-diagnostics

// No double-precision exp: it would become a call of the C library.
plan.kernel @k {
^bb0(%x: memref<f64>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[] : memref<f64> -> f64
    // expected-error@+1 {{needs a library function, and a step calls none}}
    %1 = math.exp %0 : f64
    plan.store %1, %x[] : f64, memref<f64>
  }
}

// -----

plan.slab @near bytes 64 alignment 64
plan.kernel @k {
^bb0(%x: memref<f32>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[] : memref<f32> -> f32
    plan.store %0, %x[] : f32, memref<f32>
  }
}
plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
  // expected-error@+1 {{has no place in a slab; run plan-assign-offsets first}}
  %a = plan.alloc "a" : memref<f32>
  plan.launch @k(%a) "k" : memref<f32>
}
