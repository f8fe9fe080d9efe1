// RUN: ftc-opt %s -plan-assign-offsets -verify-diagnostics

// expected-error @below {{is already in the module; plan-assign-offsets runs once, on buffers without a place}}
plan.slab @near bytes 64 alignment 64
plan.variable @w : memref<8xf32> parameter init #train.ones
