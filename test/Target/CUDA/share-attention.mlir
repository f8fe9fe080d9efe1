// RUN: ftc-opt %s -cuda-plan-scratch=device=a100 -cuda-lower-kernels="device=a100 share" --remarks-filter=cuda-lower-kernels --remark-format=emitRemark -o %t.mlir 2> %t.remarks
// RUN: FileCheck %s < %t.mlir
// RUN: FileCheck %s --check-prefix=REMARK < %t.remarks

// Attention of several lengths is one function: how many blocks of queries a row has is a divisor where a block begins, and once
// more where keys are masked, which few turns of its loop do. 384 tokens have three blocks, 256 two, and 100 one.
// REMARK: remark: [Passed] share-code{{.*}}Remark="attention_384 and 2 more are one function", kernels=3
// CHECK: gpu.func @attention_384(
// CHECK-SAME: known_grid_size = array<i32: 12, 1, 1>
// CHECK-NOT: gpu.func
// CHECK: llvm.mlir.global internal constant @step.kernels()
plan.kernel @attention_384 {
^bb0(%q: memref<384x256xbf16>, %k: memref<384x128xbf16>, %v: memref<384x128xbf16>, %s: memref<384xi32>,
     %o: memref<384x256xbf16>, %lse: memref<384x4xf32>):
  plan.attention %q, %k, %v, %s, %o, %lse batch 1 heads 4 kv_heads 2 scale 1.25e-01
    : memref<384x256xbf16>, memref<384x128xbf16>, memref<384x128xbf16>, memref<384xi32>, memref<384x256xbf16>, memref<384x4xf32>
}
plan.kernel @attention_256 {
^bb0(%q: memref<256x256xbf16>, %k: memref<256x128xbf16>, %v: memref<256x128xbf16>, %s: memref<256xi32>,
     %o: memref<256x256xbf16>, %lse: memref<256x4xf32>):
  plan.attention %q, %k, %v, %s, %o, %lse batch 1 heads 4 kv_heads 2 scale 1.25e-01
    : memref<256x256xbf16>, memref<256x128xbf16>, memref<256x128xbf16>, memref<256xi32>, memref<256x256xbf16>, memref<256x4xf32>
}
plan.kernel @attention_100 {
^bb0(%q: memref<100x256xbf16>, %k: memref<100x128xbf16>, %v: memref<100x128xbf16>, %s: memref<100xi32>,
     %o: memref<100x256xbf16>, %lse: memref<100x4xf32>):
  plan.attention %q, %k, %v, %s, %o, %lse batch 1 heads 4 kv_heads 2 scale 1.25e-01
    : memref<100x256xbf16>, memref<100x128xbf16>, memref<100x128xbf16>, memref<100xi32>, memref<100x256xbf16>, memref<100x4xf32>
}
plan.entry @step kind(step) batch 1 sequence 384 flops 0.0 {
  %q = plan.alloc "q" : memref<384x256xbf16>
  %k = plan.alloc "k" : memref<384x128xbf16>
  %v = plan.alloc "v" : memref<384x128xbf16>
  %s = plan.alloc "s" : memref<384xi32>
  %o = plan.alloc "o" : memref<384x256xbf16>
  %lse = plan.alloc "lse" : memref<384x4xf32>
  plan.launch @attention_384(%q, %k, %v, %s, %o, %lse) "1" : memref<384x256xbf16>, memref<384x128xbf16>, memref<384x128xbf16>,
    memref<384xi32>, memref<384x256xbf16>, memref<384x4xf32>
}
plan.entry @step_256 kind(step) batch 1 sequence 256 flops 0.0 {
  %q = plan.alloc "q" : memref<256x256xbf16>
  %k = plan.alloc "k" : memref<256x128xbf16>
  %v = plan.alloc "v" : memref<256x128xbf16>
  %s = plan.alloc "s" : memref<256xi32>
  %o = plan.alloc "o" : memref<256x256xbf16>
  %lse = plan.alloc "lse" : memref<256x4xf32>
  plan.launch @attention_256(%q, %k, %v, %s, %o, %lse) "1" : memref<256x256xbf16>, memref<256x128xbf16>, memref<256x128xbf16>,
    memref<256xi32>, memref<256x256xbf16>, memref<256x4xf32>
}
plan.entry @step_100 kind(step) batch 1 sequence 100 flops 0.0 {
  %q = plan.alloc "q" : memref<100x256xbf16>
  %k = plan.alloc "k" : memref<100x128xbf16>
  %v = plan.alloc "v" : memref<100x128xbf16>
  %s = plan.alloc "s" : memref<100xi32>
  %o = plan.alloc "o" : memref<100x256xbf16>
  %lse = plan.alloc "lse" : memref<100x4xf32>
  plan.launch @attention_100(%q, %k, %v, %s, %o, %lse) "1" : memref<100x256xbf16>, memref<100x128xbf16>, memref<100x128xbf16>,
    memref<100xi32>, memref<100x256xbf16>, memref<100x4xf32>
}
