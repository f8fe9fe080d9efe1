// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels | FileCheck %s
// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels -cuda-lower-to-nvvm -cuda-emit-ptx=device=a100 | %python %source/test/support/ptx.py | FileCheck %s --check-prefix=PTX
// RUN: ftc-opt %s -cuda-plan-scratch -cuda-lower-kernels --remarks-filter=cuda-lower-kernels --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// 260 tokens a row are three blocks of 128 queries: 2 rows x 4 heads x 3 blocks. A row of 64 columns takes 144 bytes: 128 of
// queries, 64 of keys, 64 of values.
// REMARK: forward is computed on tensor cores
// CHECK: gpu.func @forward(
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>, known_grid_size = array<i32: 24, 1, 1>, nvvm.minctasm = 2 : i32, plan.shared_bytes = 36864 : i32
// Blocks start in order: the last queries of all 8 heads, which have most keys, then those in front of them.
// CHECK: %[[BLOCK:.*]] = llvm.inline_asm has_side_effects "mov.u32 $0, %ctaid.x;"
// CHECK: %[[TILE:.*]] = arith.divui %[[BLOCK]], %c8_i32
// CHECK: arith.subi %c2_i32, %[[TILE]]
// Filling: 8 x 16 bytes of queries for each thread, 4 of keys, 4 of values, 4 of the next keys.
// CHECK-COUNT-12: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache = cg
// CHECK: nvvm.cp.async.commit.group
// CHECK: scf.for
// CHECK: nvvm.cp.async.wait.group 0
// CHECK-NEXT: gpu.barrier
// CHECK-COUNT-4: nvvm.cp.async.shared.global
// CHECK-NOT: nvvm.cp.async.shared
// Scores: 2 x 8 products of 16 x 8 for each of four steps over the columns.
// CHECK-COUNT-64: nvvm.mma.sync {{.*}} shape = #nvvm.shape<m = 16, n = 8, k = 16>
// CHECK-NOT: nvvm.mma.sync
// Masks, where they are needed.
// CHECK: scf.if
// CHECK: nvvm.cp.async.wait.group 0
// CHECK-NEXT: gpu.barrier
// CHECK-COUNT-4: nvvm.cp.async.shared.global
// Values, transposed while they are loaded: 2 x 8 products for each of four steps over keys.
// CHECK: nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<col>
// CHECK-COUNT-64: nvvm.mma.sync
// CHECK-NOT: nvvm.mma.sync
// The output goes out by way of the tile of queries, 16 bytes at a time.
// CHECK: gpu.barrier
// CHECK: llvm.store %{{.*}} {alignment = 16 : i64} : vector<4xi32>, !llvm.ptr

// PTX-LABEL: .entry forward(
// PTX: cp.async.cg.shared.global
// PTX: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// PTX: ex2.approx.ftz.f32
// PTX: cvt.rn.bf16x2.f32
// PTX: ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16
// PTX: st.global.v4.b32
plan.kernel @forward {
^bb0(%q: memref<520x256xbf16>, %k: memref<520x128xbf16>, %v: memref<520x128xbf16>, %s: memref<520xi32>,
     %o: memref<520x256xbf16>, %lse: memref<520x4xf32>):
  plan.attention %q, %k, %v, %s, %o, %lse batch 2 heads 4 kv_heads 2 scale 1.25e-01
    : memref<520x256xbf16>, memref<520x128xbf16>, memref<520x128xbf16>, memref<520xi32>, memref<520x256xbf16>, memref<520x4xf32>
}

// Two tiles of the block's own rows, and two stages of two others; $key_value has lse and delta of 64 queries in a stage too.
// REMARK: backward is computed on tensor cores
// CHECK: gpu.func @backward$delta(
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>, known_grid_size = array<i32: 130, 1, 1>}
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr -> vector<8xbf16>
// CHECK-COUNT-3: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: gpu.func @backward$query(
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>, known_grid_size = array<i32: 24, 1, 1>, nvvm.minctasm = 2 : i32, plan.shared_bytes = 73728 : i32
// Of 32 keys at a time: scores, then products of values and gradients, then those of ds and keys.
// CHECK: scf.for
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK-COUNT-96: nvvm.mma.sync
// CHECK-NOT: nvvm.mma.sync
// CHECK: gpu.func @backward$key_value(
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>, known_grid_size = array<i32: 12, 1, 1>, nvvm.minctasm = 2 : i32, plan.shared_bytes = 74752 : i32
// CHECK: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 4, cache = ca
// CHECK: scf.for
// CHECK-COUNT-128: nvvm.mma.sync
// CHECK-NOT: nvvm.mma.sync
// No sum is added in memory.
// CHECK-NOT: atomic
plan.kernel @backward {
^bb0(%q: memref<520x256xbf16>, %k: memref<520x128xbf16>, %v: memref<520x128xbf16>, %s: memref<520xi32>,
     %o: memref<520x256xbf16>, %lse: memref<520x4xf32>, %do: memref<520x256xbf16>, %dq: memref<520x256xbf16>,
     %dk: memref<520x128xbf16>, %dv: memref<520x128xbf16>):
  plan.attention_grad %q, %k, %v, %s, %o, %lse, %do, %dq, %dk, %dv batch 2 heads 4 kv_heads 2 scale 1.25e-01
    : memref<520x256xbf16>, memref<520x128xbf16>, memref<520x128xbf16>, memref<520xi32>, memref<520x256xbf16>, memref<520x4xf32>,
      memref<520x256xbf16>, memref<520x256xbf16>, memref<520x128xbf16>, memref<520x128xbf16>
}

// Heads of 256 columns do not fit into a thread's registers twice: two warps share rows of keys, and have half the columns of
// both results each. Products of scores are computed by both.
// REMARK: wide is computed on tensor cores
// CHECK: gpu.func @wide$delta(
// CHECK: gpu.func @wide$key_value(
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>, known_grid_size = array<i32: 2, 1, 1>, nvvm.minctasm = 1 : i32, plan.shared_bytes = 135680 : i32
plan.kernel @wide {
^bb0(%q: memref<70x256xbf16>, %s: memref<70xi32>, %lse: memref<70x1xf32>, %do: memref<70x256xbf16>,
     %dq: memref<70x256xbf16>, %dk: memref<70x256xbf16>, %dv: memref<70x256xbf16>):
  plan.attention_grad %q, %q, %q, %s, %q, %lse, %do, %dq, %dk, %dv batch 1 heads 1 kv_heads 1 scale 1.25e-01
    : memref<70x256xbf16>, memref<70x256xbf16>, memref<70x256xbf16>, memref<70xi32>, memref<70x256xbf16>, memref<70x1xf32>,
      memref<70x256xbf16>, memref<70x256xbf16>, memref<70x256xbf16>, memref<70x256xbf16>
}

// A cap is computed where scores are: 2^x and 1 / x of each, before masks.
// REMARK: capped is computed on tensor cores
// CHECK: gpu.func @capped(
// CHECK: scf.for
// CHECK: nvvm.mma.sync
// CHECK: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f32"
// CHECK: llvm.call_intrinsic "llvm.nvvm.rcp.approx.ftz.f"
// CHECK: scf.if
plan.kernel @capped {
^bb0(%q: memref<70x16xbf16>, %s: memref<70xi32>, %o: memref<70x16xbf16>, %lse: memref<70x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 1 heads 1 kv_heads 1 scale 1.25e-01 window 20 softcap 50.0
    : memref<70x16xbf16>, memref<70x16xbf16>, memref<70x16xbf16>, memref<70xi32>, memref<70x16xbf16>, memref<70x1xf32>
}

// What is left to the other cores.
// REMARK: odd is computed in fp32, not on tensor cores: heads of 10 columns are no multiple of 16
// CHECK: gpu.func @odd(
// CHECK-NOT: nvvm.mma.sync
plan.kernel @odd {
^bb0(%q: memref<70x10xbf16>, %s: memref<70xi32>, %o: memref<70x10xbf16>, %lse: memref<70x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 1 heads 1 kv_heads 1 scale 1.25e-01
    : memref<70x10xbf16>, memref<70x10xbf16>, memref<70x10xbf16>, memref<70xi32>, memref<70x10xbf16>, memref<70x1xf32>
}
// REMARK: between is computed in fp32, not on tensor cores: heads of 144 columns are above 256, or above 128 and no multiple of 32
plan.kernel @between {
^bb0(%q: memref<70x144xbf16>, %s: memref<70xi32>, %o: memref<70x144xbf16>, %lse: memref<70x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 1 heads 1 kv_heads 1 scale 1.25e-01
    : memref<70x144xbf16>, memref<70x144xbf16>, memref<70x144xbf16>, memref<70xi32>, memref<70x144xbf16>, memref<70x1xf32>
}
// REMARK: negative is computed in fp32, not on tensor cores: its scale is not above 0
plan.kernel @negative {
^bb0(%q: memref<70x16xbf16>, %s: memref<70xi32>, %o: memref<70x16xbf16>, %lse: memref<70x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 1 heads 1 kv_heads 1 scale -1.25e-01
    : memref<70x16xbf16>, memref<70x16xbf16>, memref<70x16xbf16>, memref<70xi32>, memref<70x16xbf16>, memref<70x1xf32>
}
// REMARK: fp32 is computed in fp32, not on tensor cores: its elements are not bf16
// CHECK: gpu.func @fp32(
// CHECK-NOT: nvvm.mma.sync
plan.kernel @fp32 {
^bb0(%q: memref<70x16xf32>, %s: memref<70xi32>, %o: memref<70x16xf32>, %lse: memref<70x1xf32>):
  plan.attention %q, %q, %q, %s, %o, %lse batch 1 heads 1 kv_heads 1 scale 1.25e-01
    : memref<70x16xf32>, memref<70x16xf32>, memref<70x16xf32>, memref<70xi32>, memref<70x16xf32>, memref<70x1xf32>
}
