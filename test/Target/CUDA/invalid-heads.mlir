// The same where a plan is made and where its kernels are.
// RUN: ftc-opt %s -split-input-file -verify-diagnostics -cuda-plan-scratch=device=a100
// RUN: ftc-opt %s -split-input-file -verify-diagnostics -cuda-lower-kernels=device=a100

// Three tiles of 64 rows of 256 columns in fp32 are too much for an A100. On tensor cores such heads fit.
// expected-error@+1 {{the gradient of attention with heads of 256 columns takes 217088 bytes of shared memory, and a block of device 'a100' has 166912; with dtype=bf16 tensor cores compute it, in less}}
plan.kernel @k {
^bb0(%q: memref<4x256xf32>, %s: memref<4xi32>, %o: memref<4x256xf32>, %lse: memref<4x1xf32>, %g: memref<4x256xf32>):
  plan.attention_grad %q, %q, %q, %s, %o, %lse, %o, %g, %g, %g batch 1 heads 1 kv_heads 1 scale 2.5e-01
    : memref<4x256xf32>, memref<4x256xf32>, memref<4x256xf32>, memref<4xi32>, memref<4x256xf32>, memref<4x1xf32>,
      memref<4x256xf32>, memref<4x256xf32>, memref<4x256xf32>, memref<4x256xf32>
}

// -----

// Where they have no such size either, there is no way out.
// expected-error-re@+1 {{heads of 272 columns takes {{[0-9]+}} bytes of shared memory, and a block of device 'a100' has 166912{{$}}}}
plan.kernel @k {
^bb0(%q: memref<4x272xf32>, %s: memref<4xi32>, %o: memref<4x272xf32>, %lse: memref<4x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 1 heads 1 kv_heads 1 scale 2.5e-01
    : memref<4x272xf32>, memref<4x272xf32>, memref<4x272xf32>, memref<4xi32>, memref<4x272xf32>, memref<4x1xf32>
}
