// RUN: ftc-opt %s -split-input-file -cuda-lower-kernels -cuda-lower-to-nvvm -verify-diagnostics
// RUN: not ftc-opt %s -split-input-file -cuda-lower-kernels=device=h20 2>&1 | FileCheck %s --check-prefix=DEVICE
// RUN: not ftc-opt %s -split-input-file -cuda-emit-ptx=device=tpu 2>&1 | FileCheck %s --check-prefix=NONE

// DEVICE: unknown device 'h20'; did you mean 'h200'? known are 'a10', {{.*}}'rtx4090', and files that end in .yaml: for another GPU copy configs/devices/h100.yaml
// NONE: unknown device 'tpu'; known are 'a10', {{.*}}'rtx4090', and files that end in .yaml

// No double-precision exp: libdevice's has other bits than the CPU's.
plan.kernel @k {
^bb0(%x: memref<f64>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[] : memref<f64> -> f64
    // expected-error@+1 {{needs a library function, and a step calls none; the CUDA target has no expansion for this type}}
    %1 = math.exp %0 : f64
    plan.store %1, %x[] : f64, memref<f64>
  }
}

// -----

plan.kernel @k {
^bb0(%x: memref<4xf32>, %y: memref<4x8xf32>):
  // expected-error@+1 {{the CUDA target cannot run this: sequential rows read a scalar from a buffer that they write}}
  plan.rows 4 per_task 4 sequential {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<4xf32> -> f32
    %1 = plan.broadcast %0 : f32 -> tensor<8xf32>
    plan.store %1, %y[%r] : tensor<8xf32>, memref<4x8xf32>
    plan.store %0, %x[%r] : f32, memref<4xf32>
  }
}

// -----

plan.kernel @k {
^bb0(%x: memref<4x8xf32>):
  plan.rows 4 per_task 4 parallel {
  ^bb0(%r: index):
    // expected-error@+1 {{the CUDA target cannot run this inside plan.rows}}
    %0 = "vector.step"() : () -> vector<8xindex>
  }
}

// -----

plan.kernel @k {
^bb0(%a: memref<4x8xf32>, %w: memref<32xi8>, %x: memref<1xi8>, %n: memref<1xf32>, %o: memref<1xf32>, %c: memref<4x8xf32>):
  // expected-error@+1 {{the CUDA target multiplies with a weight in four bits only as the library can: the library has no product of these types}}
  plan.matmul %a, %w, %c decode_b <bitsandbytes, bf16> scales(%x, %n, %o : memref<1xi8>, memref<1xf32>, memref<1xf32>)
    transpose_b : memref<4x8xf32>, memref<32xi8>, memref<4x8xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @k {
^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>):
  // expected-error@+1 {{has no scratch memory; run cuda-plan-scratch first}}
  plan.matmul %a, %b, %c : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32> read_a {} read_b {} store_c {}
}

// -----

// expected-error@+1 {{attention with heads of 512 columns takes 281600 bytes of shared memory, and a block of device 'h100' has 232448}}
plan.kernel @k {
^bb0(%q: memref<4x512xf32>, %s: memref<4xi32>, %o: memref<4x512xf32>, %lse: memref<4x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 1 heads 1 kv_heads 1 scale 2.5e-01
    : memref<4x512xf32>, memref<4x512xf32>, memref<4x512xf32>, memref<4xi32>, memref<4x512xf32>, memref<4x1xf32>
}
