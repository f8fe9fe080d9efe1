// RUN: ftc-opt %s -cuda-lower-kernels -cuda-lower-to-nvvm | FileCheck %s --check-prefix=NVVM --implicit-check-not=__nv_
// RUN: ftc-opt %s -cuda-lower-kernels=device=a100 -cuda-lower-to-nvvm -cuda-emit-ptx=device=a100 | %python %source/test/support/ptx.py | FileCheck %s --check-prefixes=PTX,A100
// RUN: ftc-opt %s -cuda-lower-kernels=device=h200 -cuda-lower-to-nvvm -cuda-emit-ptx=device=h200 | %python %source/test/support/ptx.py | FileCheck %s --check-prefixes=PTX,H200
// RUN: ftc-opt %s -cuda-lower-kernels=device=b200 -cuda-lower-to-nvvm -cuda-emit-ptx=device=b200 | %python %source/test/support/ptx.py | FileCheck %s --check-prefixes=PTX,B200

// NVVM: llvm.func @norm(
// NVVM-SAME: gpu.kernel
// NVVM-SAME: nvvm.kernel
// NVVM: nvvm.shfl.sync bfly
// NVVM: llvm.intr.sqrt
// NVVM: llvm.intr.fma

// A100: .version 8.0
// A100: .target sm_80
// H200: .version 8.0
// H200: .target sm_90a
// B200: .version 8.6
// B200: .target sm_100

// One access of 16 bytes where rows allow it (two numbers a register on sm_100). Sums and products are rounded by name, so ptxas fuses none of them.
// PTX-LABEL: .entry norm(
// PTX: .maxntid 32, 1, 1
// PTX-NOT: {{(mul|add|sub)\.f32}}
// PTX: ld.global.{{v4.b32|v2.b64}}
// PTX: mul.rn.f32
// PTX: add.rn.f32
// PTX-COUNT-8: shfl.sync.bfly.b32
// PTX: sqrt.rn.f32
// PTX: ld.global.{{v4.b32|v2.b64}}
// PTX: fma.rn.f32
// PTX-NOT: ex2.approx
// PTX: st.global.{{v4.b32|v2.b64}}
plan.kernel @norm {
^bb0(%x: memref<8x256xf32>, %y: memref<8x256xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x256xf32> -> tensor<256xf32>
    %1 = arith.mulf %0, %0 : tensor<256xf32>
    %s = plan.reduce add %1 : tensor<256xf32> -> f32
    %rs = math.sqrt %s : f32
    %b = plan.broadcast %rs : f32 -> tensor<256xf32>
    %2 = arith.mulf %0, %b : tensor<256xf32>
    %e = math.exp %2 : tensor<256xf32>
    plan.store %e, %y[%r] : tensor<256xf32>, memref<8x256xf32>
  }
}

// A row of a head: two rows a warp, each loaded once, four columns a lane.
// PTX-LABEL: .entry head(
// PTX: ld.global.{{v4.b16|v2.b32}}
// PTX-NOT: ld.global
// PTX-COUNT-7: shfl.sync.bfly.b32
// PTX-NOT: shfl
// PTX-NOT: ld.global
// PTX: st.global.v2.b32
plan.kernel @head {
^bb0(%x: memref<8x64xbf16>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x64xbf16> -> tensor<64xbf16>
    %1 = arith.extf %0 : tensor<64xbf16> to tensor<64xf32>
    %2 = arith.mulf %1, %1 : tensor<64xf32>
    %s = plan.reduce add %2 : tensor<64xf32> -> f32
    %b = plan.broadcast %s : f32 -> tensor<64xf32>
    %3 = arith.mulf %1, %b : tensor<64xf32>
    %4 = arith.truncf %3 : tensor<64xf32> to tensor<64xbf16>
    plan.store %4, %x[%r] : tensor<64xbf16>, memref<8x64xbf16>
  }
}

// Eight bf16 in one access; each is rounded where it is defined, two by one instruction, and taken apart by a shift or a mask.
// PTX-LABEL: .entry scale(
// PTX: ld.global.v4.b32
// PTX-NOT: {{cvt\.|prmt|mov.b32.*\{}}
// PTX-DAG: shl.b32 {{.*}}, 16;
// PTX-DAG: and.b32 {{.*}}, -65536;
// PTX: mul.rn.f32
// PTX-COUNT-4: cvt.rn.bf16x2.f32
// PTX-NOT: {{cvt\.|prmt|setp.nan}}
// PTX: st.global.v4.b32
plan.kernel @scale {
^bb0(%x: memref<8x256xbf16>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x256xbf16> -> tensor<256xbf16>
    %1 = arith.mulf %0, %0 : tensor<256xbf16>
    plan.store %1, %x[%r] : tensor<256xbf16>, memref<8x256xbf16>
  }
}

// No product and sum become one.
// PTX-LABEL: .entry separate(
// PTX-NOT: fma
// PTX: mul.rn.f32
// PTX-NOT: fma
// PTX: add.rn.f32
// PTX-NOT: fma
// PTX: ret;
plan.kernel @separate {
^bb0(%x: memref<8x256xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x256xf32> -> tensor<256xf32>
    %1 = arith.mulf %0, %0 : tensor<256xf32>
    %2 = arith.addf %1, %0 : tensor<256xf32>
    plan.store %2, %x[%r] : tensor<256xf32>, memref<8x256xf32>
  }
}

// One bf16 is rounded as a pair of which one half is dropped. The row's end has three columns.
// PTX-LABEL: .entry ends(
// PTX: cvt.rn.bf16x2.f32
// PTX-NOT: setp.nan
// PTX: ret;
plan.kernel @ends {
^bb0(%x: memref<8x7xf32>, %y: memref<8x7xbf16>, %z: memref<8xbf16>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x7xf32> -> tensor<7xf32>
    %1 = arith.truncf %0 : tensor<7xf32> to tensor<7xbf16>
    %2 = plan.reduce add %0 : tensor<7xf32> -> f32
    %3 = arith.truncf %2 : f32 to bf16
    plan.store %1, %y[%r] : tensor<7xbf16>, memref<8x7xbf16>
    plan.store %3, %z[%r] : bf16, memref<8xbf16>
  }
}
