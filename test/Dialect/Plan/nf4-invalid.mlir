// One case for each rule of products that decode their second factor.
// RUN: ftc-opt %s --split-input-file --verify-diagnostics

plan.kernel @decoded {
^bb0(%a: memref<4x64xf32>, %w: memref<256xi8>, %m: memref<8xi8>, %n: memref<1xf32>, %o: memref<1xf32>, %c: memref<4x8xf32>):
  // expected-error @below {{decodes to 'f16'; it must be f32 or bf16}}
  plan.matmul %a, %w, %c decode_b <bitsandbytes, f16> scales(%m, %n, %o : memref<8xi8>, memref<1xf32>, memref<1xf32>) transpose_b
    : memref<4x64xf32>, memref<256xi8>, memref<4x8xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @scales_of_nothing {
^bb0(%a: memref<4x64xf32>, %w: memref<8x64xf32>, %m: memref<8xi8>, %c: memref<4x8xf32>):
  // expected-error @below {{has scales but decodes nothing}}
  plan.matmul %a, %w, %c scales(%m : memref<8xi8>) transpose_b
    : memref<4x64xf32>, memref<8x64xf32>, memref<4x8xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @too_few_scales {
^bb0(%a: memref<4x64xf32>, %w: memref<256xi8>, %m: memref<8xi8>, %c: memref<4x8xf32>):
  // expected-error @below {{decodes b and needs three scales: absmax, their scales and their offset}}
  plan.matmul %a, %w, %c decode_b <bitsandbytes, f32> scales(%m : memref<8xi8>) transpose_b
    : memref<4x64xf32>, memref<256xi8>, memref<4x8xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @other_size {
^bb0(%a: memref<4x64xf32>, %w: memref<255xi8>, %m: memref<8xi8>, %n: memref<1xf32>, %o: memref<1xf32>, %c: memref<4x8xf32>):
  // expected-error @below {{decodes 512 elements from 'memref<255xi8>' where 'memref<256xi8>' holds them}}
  plan.matmul %a, %w, %c decode_b <bitsandbytes, f32> scales(%m, %n, %o : memref<8xi8>, memref<1xf32>, memref<1xf32>) transpose_b
    : memref<4x64xf32>, memref<255xi8>, memref<4x8xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @not_torchaos_size {
^bb0(%a: memref<4x64xf32>, %w: memref<256xi8>, %m: memref<8xi8>, %n: memref<1xf32>, %o: memref<1xf32>, %c: memref<4x8xf32>):
  // expected-error @below {{decodes 512 elements; torchao quantizes multiples of 16384}}
  plan.matmul %a, %w, %c decode_b <torchao, f32> scales(%m, %n, %o : memref<8xi8>, memref<1xf32>, memref<1xf32>) transpose_b
    : memref<4x64xf32>, memref<256xi8>, memref<4x8xf32> read_a {} read_b {} store_c {}
}

// -----

plan.kernel @read_twice {
^bb0(%a: memref<4x64xf32>, %w: memref<256xi8>, %m: memref<8xi8>, %n: memref<1xf32>, %o: memref<1xf32>, %c: memref<4x8xf32>):
  // expected-error @below {{decodes b, so read_b must be empty}}
  plan.matmul %a, %w, %c decode_b <bitsandbytes, f32> scales(%m, %n, %o : memref<8xi8>, memref<1xf32>, memref<1xf32>) transpose_b
    : memref<4x64xf32>, memref<256xi8>, memref<4x8xf32> read_a {} read_b {
    ^bb0(%e: f32):
      plan.yield %e : f32
    } store_c {}
}
