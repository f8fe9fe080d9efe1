// RUN: ftc-opt %s --plan-split-launches --verify-diagnostics

plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  // expected-error @below {{has no place in a slab; run plan-assign-offsets first}}
  %x = plan.alloc "x" : memref<16x4xf32>
  plan.output "x", %x : memref<16x4xf32>
}
