// RUN: ftc-opt %s --plan-assign-offsets=alignment=0 -verify-diagnostics

// expected-error @below {{alignment must be a power of two, not 0}}
module {
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16xf32>
}
}
