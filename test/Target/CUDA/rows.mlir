// RUN: ftc-opt %s -cuda-lower-kernels | FileCheck %s
// RUN: ftc-opt %s -cuda-lower-kernels --remarks-filter=cuda-lower-kernels --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// CHECK-NOT: plan.kernel @norm
// CHECK: gpu.module @kernels

// A row that is reduced: a warp, whose lanes have four partial sums each and load four columns at once, twice before they
// add; then halves, the first two of them traded. Vectors where nothing is reduced.
// CHECK-LABEL: gpu.func @norm(
// CHECK-SAME: %[[X:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr) kernel attributes {known_block_size = array<i32: 32, 1, 1>, known_grid_size = array<i32: 8, 1, 1>}
// CHECK: %[[START:.*]] = arith.constant -0.000000e+00 : f32
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[START]], %{{.*}} = %[[START]], %{{.*}} = %[[START]], %{{.*}} = %[[START]]) -> (f32, f32, f32, f32)
// CHECK: llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr -> vector<4xf32>
// CHECK: llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr -> vector<4xf32>
// CHECK-COUNT-8: arith.addf {{.*}} : f32
// CHECK-NOT: llvm.load
// CHECK: scf.yield
// CHECK: %[[KEEP:.*]] = arith.select %[[UPPER:.*]], %[[P2:.*]], %[[P0:.*]] : f32
// CHECK: %[[SEND:.*]] = arith.select %[[UPPER]], %[[P0]], %[[P2]] : f32
// CHECK: %[[SENT:.*]], %{{.*}} = gpu.shuffle xor %[[SEND]], %{{.*}}, %{{.*}} : f32
// CHECK: arith.addf %[[KEEP]], %[[SENT]] : f32
// CHECK-COUNT-7: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: math.sqrt
// CHECK: llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr -> vector<4xf32>
// CHECK: math.exp {{.*}} : vector<4xf32>
// CHECK: llvm.store {{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr
// REMARK: norm has 32 lanes a unit, 4 columns a lane, 1 parts a row{{.*}}blocks=8{{.*}}threads=32
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

// The same columns of bf16 are accesses of eight bytes.
// CHECK-LABEL: gpu.func @squares(
// CHECK: scf.for
// CHECK-COUNT-2: llvm.load {{.*}} {alignment = 8 : i64} : !llvm.ptr -> vector<4xbf16>
// CHECK-NOT: llvm.load
// CHECK: scf.yield
plan.kernel @squares {
^bb0(%x: memref<8x256xbf16>, %y: memref<8xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x256xbf16> -> tensor<256xbf16>
    %1 = arith.extf %0 : tensor<256xbf16> to tensor<256xf32>
    %2 = arith.mulf %1, %1 : tensor<256xf32>
    %s = plan.reduce add %2 : tensor<256xf32> -> f32
    plan.store %s, %y[%r] : f32, memref<8xf32>
  }
}

// A row of 134 columns: all lanes have four, lane 0 four more, lane 1 two more. Rows begin at eight bytes.
// CHECK-LABEL: gpu.func @cut(
// CHECK-NOT: scf.for
// CHECK: llvm.load {{.*}} {alignment = 8 : i64} : !llvm.ptr -> vector<4xf32>
// CHECK: scf.if
// CHECK: llvm.load {{.*}} {alignment = 8 : i64} : !llvm.ptr -> vector<4xf32>
// CHECK: scf.if
// CHECK: llvm.load {{.*}} {alignment = 8 : i64} : !llvm.ptr -> vector<2xf32>
// CHECK-COUNT-2: arith.maximumf {{.*}} : f32
// CHECK-NOT: arith.maximumf
// CHECK: scf.yield
// CHECK-COUNT-8: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
plan.kernel @cut {
^bb0(%x: memref<8x134xf32>, %y: memref<8xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x134xf32> -> tensor<134xf32>
    %m = plan.reduce max %0 : tensor<134xf32> -> f32
    plan.store %m, %y[%r] : f32, memref<8xf32>
  }
}

// Heads of 64 columns: 16 lanes a row, each with the same four columns in both phases; two rows a warp.
// REMARK: heads has 16 lanes a unit, 4 columns a lane, 1 parts a row{{.*}}blocks=4{{.*}}threads=32
// CHECK-LABEL: gpu.func @heads(
// CHECK-NOT: scf.if
// CHECK: llvm.load {{.*}} {alignment = 8 : i64} : !llvm.ptr -> vector<4xbf16>
// CHECK-COUNT-7: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: llvm.load {{.*}} {alignment = 8 : i64} : !llvm.ptr -> vector<4xbf16>
// CHECK: llvm.store {{.*}} {alignment = 8 : i64} : vector<4xbf16>, !llvm.ptr
plan.kernel @heads {
^bb0(%x: memref<8x64xbf16>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x64xbf16> -> tensor<64xbf16>
    %1 = arith.extf %0 : tensor<64xbf16> to tensor<64xf32>
    %m = plan.reduce max %1 : tensor<64xf32> -> f32
    %b = plan.broadcast %m : f32 -> tensor<64xf32>
    %2 = arith.divf %1, %b : tensor<64xf32>
    %3 = arith.truncf %2 : tensor<64xf32> to tensor<64xbf16>
    plan.store %3, %x[%r] : tensor<64xbf16>, memref<8x64xbf16>
  }
}

// Logits: a row has a block of 1024 threads, whose lanes load four columns at once, four times before they combine them. Warps
// trade partial results through shared memory, between two barriers, and then in themselves. The scalar of a row that is
// rewritten is read before a barrier too.
// REMARK: logits has 1024 lanes a unit, 8 columns a lane, 1 parts a row{{.*}}blocks=8{{.*}}threads=1024
// CHECK-LABEL: gpu.func @logits(
// CHECK-SAME: known_block_size = array<i32: 1024, 1, 1>, known_grid_size = array<i32: 8, 1, 1>, nvvm.minctasm = 1 : i32, plan.shared_bytes = 17920
// CHECK: scf.for
// CHECK-COUNT-4: llvm.load {{.*}} {alignment = 8 : i64} : !llvm.ptr -> vector<4xbf16>
// CHECK-COUNT-16: arith.maximumf
// CHECK: scf.yield
// CHECK: llvm.store {{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<3>
// CHECK-NEXT: gpu.barrier
// CHECK-COUNT-6: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: llvm.store {{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<3>
// CHECK: gpu.barrier
// CHECK-COUNT-8: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: gpu.barrier
// CHECK: llvm.store {{.*}} {alignment = 16 : i64} : vector<8xbf16>, !llvm.ptr
plan.kernel @logits {
^bb0(%x: memref<8x32768xbf16>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %c9 = arith.constant 9 : index
    %e = plan.load %x[%r, %c9] : memref<8x32768xbf16> -> bf16
    %0 = plan.load %x[%r] : memref<8x32768xbf16> -> tensor<32768xbf16>
    %1 = arith.extf %0 : tensor<32768xbf16> to tensor<32768xf32>
    %m = plan.reduce max %1 : tensor<32768xf32> -> f32
    %f = arith.extf %e : bf16 to f32
    %n = arith.divf %f, %m : f32
    %b = plan.broadcast %n : f32 -> tensor<32768xf32>
    %2 = arith.divf %1, %b : tensor<32768xf32>
    %3 = arith.truncf %2 : tensor<32768xf32> to tensor<32768xbf16>
    plan.store %3, %x[%r] : tensor<32768xbf16>, memref<8x32768xbf16>
  }
}

// Seven such rows fill no warp: each has one.
// REMARK: few has 32 lanes a unit, 4 columns a lane, 1 parts a row{{.*}}blocks=7{{.*}}threads=32
// CHECK-LABEL: gpu.func @few(
// CHECK-COUNT-8: gpu.shuffle xor
plan.kernel @few {
^bb0(%x: memref<7x64xf32>, %y: memref<7xf32>):
  plan.rows 7 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<7x64xf32> -> tensor<64xf32>
    %m = plan.reduce max %0 : tensor<64xf32> -> f32
    plan.store %m, %y[%r] : f32, memref<7xf32>
  }
}

// A wide row of bf16: eight columns a lane, several warps a row, nothing behind its end.
// CHECK-LABEL: gpu.func @wide(
// CHECK: %[[INSIDE:.*]] = arith.cmpi slt, %{{.*}}, %{{.*}} : i64
// CHECK: scf.if %[[INSIDE]]
// CHECK: llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr -> vector<8xbf16>
// CHECK-NOT: gpu.shuffle
// REMARK: wide has 32 lanes a unit, 8 columns a lane, 3 parts a row{{.*}}blocks=24{{.*}}threads=32
plan.kernel @wide {
^bb0(%x: memref<8x3000xbf16>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x3000xbf16> -> tensor<3000xbf16>
    %1 = arith.addf %0, %0 : tensor<3000xbf16>
    plan.store %1, %x[%r] : tensor<3000xbf16>, memref<8x3000xbf16>
  }
}

// Narrow rows share a warp. A launch on a slice that starts at four bytes leaves no vector.
// REMARK: narrow has 4 lanes a unit, 4 columns a lane, 1 parts a row{{.*}}blocks=1{{.*}}threads=32
// REMARK: unaligned has 16 lanes a unit, 1 columns a lane, 1 parts a row{{.*}}blocks=4{{.*}}threads=32
// CHECK-LABEL: gpu.func @narrow(
// CHECK: llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr -> vector<4xf32>
// CHECK-LABEL: gpu.func @unaligned(
// CHECK: llvm.load {{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<1xf32>
plan.kernel @narrow {
^bb0(%x: memref<8x16xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x16xf32> -> tensor<16xf32>
    plan.store %0, %x[%r] : tensor<16xf32>, memref<8x16xf32>
  }
}
plan.kernel @unaligned {
^bb0(%x: memref<8x16xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x16xf32> -> tensor<16xf32>
    plan.store %0, %x[%r] : tensor<16xf32>, memref<8x16xf32>
  }
}

// Enough rows for every multiprocessor: four warps a block, and registers for eight blocks, which are more than seven for each.
// REMARK: many has 32 lanes a unit, 4 columns a lane, 1 parts a row{{.*}}blocks=1024{{.*}}threads=128
// CHECK-LABEL: gpu.func @many(
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>, known_grid_size = array<i32: 1024, 1, 1>, nvvm.minctasm = 8 : i32
plan.kernel @many {
^bb0(%x: memref<4096x128xf32>):
  plan.rows 4096 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<4096x128xf32> -> tensor<128xf32>
    plan.store %0, %x[%r] : tensor<128xf32>, memref<4096x128xf32>
  }
}

// Rows of a task are added in order, by the same lanes.
// CHECK-LABEL: gpu.func @sums(
// CHECK: scf.for
// CHECK: arith.cmpi eq
// CHECK: arith.select
// CHECK: llvm.store {{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr
// REMARK: sums has 8 lanes a unit, 4 columns a lane, 1 parts a row{{.*}}blocks=1{{.*}}threads=32
plan.kernel @sums {
^bb0(%x: memref<8x32xf32>, %partial: memref<3x32xf32>):
  plan.rows 8 per_task 3 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x32xf32> -> tensor<32xf32>
    plan.accumulate %0, %partial : tensor<32xf32>, memref<3x32xf32>
  }
}

// Rows that add into rows of a table: a unit has the run that starts with its row, one chunk of columns in registers. Of its
// rows eight are under way before the first of them is added; the table's is loaded and stored once, rounded there.
// CHECK-LABEL: gpu.func @scatter(
// CHECK-SAME: nvvm.minctasm = 32 : i32
// CHECK: arith.cmpi ne
// CHECK: %[[STARTS:.*]] = arith.andi
// CHECK: %[[UNIT:.*]] = arith.andi %[[STARTS]], %{{.*}} : i1
// CHECK: scf.if %[[UNIT]]
// CHECK: llvm.load {{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<2xbf16>
// CHECK-NEXT: arith.extf
// CHECK: llvm.load {{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<2xbf16>
// CHECK: arith.addf
// CHECK: scf.while
// CHECK-NOT: arith.addf
// CHECK: scf.condition
// CHECK-COUNT-8: llvm.load {{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<2xbf16>
// CHECK-NOT: llvm.load
// CHECK-COUNT-8: arith.addf {{.*}} : vector<2xf32>
// CHECK-NOT: llvm.store
// CHECK: scf.yield
// CHECK: arith.truncf {{.*}} : vector<2xf32> to vector<2xbf16>
// CHECK-NEXT: llvm.store {{.*}} {alignment = 4 : i64} : vector<2xbf16>
// CHECK-NOT: gpu.shuffle
// REMARK: scatter has 32 lanes a unit, 2 columns a lane, 3 parts a row, runs of rows{{.*}}blocks=27{{.*}}threads=32
plan.kernel @scatter {
^bb0(%ids: memref<9xi32>, %g: memref<9x150xbf16>, %table: memref<4x150xbf16>):
  plan.rows 9 per_task 9 sequential {
  ^bb0(%r: index):
    %id = plan.load %ids[%r] : memref<9xi32> -> i32
    %i = arith.index_cast %id : i32 to index
    %0 = plan.load %g[%r] : memref<9x150xbf16> -> tensor<150xbf16>
    %1 = arith.extf %0 : tensor<150xbf16> to tensor<150xf32>
    plan.scatter %1, %table[%i] : tensor<150xf32>, memref<4x150xbf16>
  }
}

// Other sequential rows: a thread a column.
// CHECK-LABEL: gpu.func @shift(
// CHECK: scf.for
// CHECK: llvm.load {{.*}} : !llvm.ptr -> vector<1xf32>
// REMARK: shift has 1 lanes a unit, 1 columns a lane, 150 parts a row{{.*}}blocks=5{{.*}}threads=32
plan.kernel @shift {
^bb0(%ids: memref<9xi32>, %table: memref<9x150xf32>):
  plan.rows 9 per_task 9 sequential {
  ^bb0(%r: index):
    %id = plan.load %ids[%r] : memref<9xi32> -> i32
    %i = arith.index_cast %id : i32 to index
    %0 = plan.load %table[%i] : memref<9x150xf32> -> tensor<150xf32>
    plan.store %0, %table[%r] : tensor<150xf32>, memref<9x150xf32>
  }
}

// A scalar that is read where the row is rewritten: the lanes wait.
// CHECK-LABEL: gpu.func @first(
// CHECK: llvm.load {{.*}} -> f32
// CHECK: nvvm.bar.warp.sync
// CHECK: llvm.store
plan.kernel @first {
^bb0(%x: memref<5x72xf32>):
  plan.rows 5 per_task 2 parallel {
  ^bb0(%r: index):
    %c0 = arith.constant 0 : index
    %s = plan.load %x[%r, %c0] : memref<5x72xf32> -> f32
    %0 = plan.load %x[%r] : memref<5x72xf32> -> tensor<72xf32>
    %b = plan.broadcast %s : f32 -> tensor<72xf32>
    %1 = arith.divf %0, %b : tensor<72xf32>
    plan.store %1, %x[%r] : tensor<72xf32>, memref<5x72xf32>
  }
}

plan.entry @step kind(step) batch 1 sequence 4 flops 0.0 {
  %x = plan.input "x" : memref<129xf32>
  %part = plan.slice %x[1] : memref<129xf32> to memref<128xf32>
  plan.launch @unaligned(%part) "u" : memref<128xf32>
}

// All operands are on their way before a division, whose branches ptxas moves no load across, and none is loaded behind a store. What
// a loop over columns counts has 32 bits, and LLVM does not see that addresses follow from it.
// CHECK-LABEL: gpu.func @gate(
// CHECK: scf.for %[[BASE:.*]] = %{{.*}} to %{{.*}} step %{{.*}} : i32
// CHECK-NEXT: %[[FURTHER:.*]] = llvm.inline_asm "mov.b32 $0, $1;", "=r,r" %[[BASE]] : (i32) -> i32
// CHECK: llvm.getelementptr %{{.*}}[%[[FURTHER]]] : (!llvm.ptr, i32) -> !llvm.ptr, bf16
// CHECK-NEXT: llvm.load {{.*}} vector<8xbf16>
// CHECK-NOT: arith.divf
// CHECK: llvm.load {{.*}} vector<8xbf16>
// CHECK: arith.divf
// CHECK: llvm.store
// CHECK: llvm.load {{.*}} vector<8xbf16>
// CHECK: llvm.store
plan.kernel @gate {
^bb0(%x: memref<8x1024xbf16>, %y: memref<8x1024xbf16>, %z: memref<8x1024xbf16>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x1024xbf16> -> tensor<1024xbf16>
    %1 = arith.divf %0, %0 : tensor<1024xbf16>
    %2 = plan.load %y[%r] : memref<8x1024xbf16> -> tensor<1024xbf16>
    %3 = arith.mulf %1, %2 : tensor<1024xbf16>
    plan.store %3, %y[%r] : tensor<1024xbf16>, memref<8x1024xbf16>
    %4 = plan.load %y[%r] : memref<8x1024xbf16> -> tensor<1024xbf16>
    plan.store %4, %z[%r] : tensor<1024xbf16>, memref<8x1024xbf16>
  }
}

// A row that does not fit 32 bits is counted in 64.
// CHECK-LABEL: gpu.func @huge(
// CHECK: scf.for {{.*}} : i64
// CHECK-NOT: llvm.inline_asm
// CHECK: gpu.return
plan.kernel @huge {
^bb0(%x: memref<1x2147483648xf32>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<1x2147483648xf32> -> tensor<2147483648xf32>
    plan.store %0, %x[%r] : tensor<2147483648xf32>, memref<1x2147483648xf32>
  }
}

// A sum over rows reads what the task's earlier rows have left together with its operands, and nothing in the first of them.
// CHECK-LABEL: gpu.func @column_sums(
// CHECK: scf.for
// CHECK: %[[AGAIN:.*]] = arith.cmpi ne
// CHECK: scf.if %[[AGAIN]] -> (vector<4xf32>)
// CHECK: llvm.load {{.*}} vector<4xf32>
// CHECK: } else {
// CHECK: llvm.load {{.*}} vector<4xf32>
// CHECK: arith.divf
// CHECK-NOT: llvm.load
// CHECK: llvm.store
plan.kernel @column_sums {
^bb0(%x: memref<8x128xf32>, %sums: memref<4x128xf32>):
  plan.rows 8 per_task 2 parallel {
  ^bb0(%r: index):
    %0 = plan.load %x[%r] : memref<8x128xf32> -> tensor<128xf32>
    %1 = arith.divf %0, %0 : tensor<128xf32>
    plan.accumulate %1, %sums : tensor<128xf32>, memref<4x128xf32>
  }
}

// One row that is the sum of many: one column a lane, as many warps as that gives, and the loads in groups of up to 128 bytes.
// REMARK: total has 32 lanes a unit, 1 columns a lane, 16 parts a row{{.*}}blocks=16{{.*}}threads=32
// CHECK-LABEL: gpu.func @total(
// CHECK-COUNT-16: llvm.load {{.*}} vector<1xf32>
// CHECK-COUNT-15: arith.addf {{.*}} : vector<1xf32>
plan.kernel @total {
^bb0(%x: memref<16x512xf32>, %y: memref<512xf32>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
    %c0 = arith.constant 0 : index
    %0 = plan.load %x[%c0] : memref<16x512xf32> -> tensor<512xf32>
    %c1 = arith.constant 1 : index
    %1 = plan.load %x[%c1] : memref<16x512xf32> -> tensor<512xf32>
    %s1 = arith.addf %0, %1 : tensor<512xf32>
    %c2 = arith.constant 2 : index
    %2 = plan.load %x[%c2] : memref<16x512xf32> -> tensor<512xf32>
    %s2 = arith.addf %s1, %2 : tensor<512xf32>
    %c3 = arith.constant 3 : index
    %3 = plan.load %x[%c3] : memref<16x512xf32> -> tensor<512xf32>
    %s3 = arith.addf %s2, %3 : tensor<512xf32>
    %c4 = arith.constant 4 : index
    %4 = plan.load %x[%c4] : memref<16x512xf32> -> tensor<512xf32>
    %s4 = arith.addf %s3, %4 : tensor<512xf32>
    %c5 = arith.constant 5 : index
    %5 = plan.load %x[%c5] : memref<16x512xf32> -> tensor<512xf32>
    %s5 = arith.addf %s4, %5 : tensor<512xf32>
    %c6 = arith.constant 6 : index
    %6 = plan.load %x[%c6] : memref<16x512xf32> -> tensor<512xf32>
    %s6 = arith.addf %s5, %6 : tensor<512xf32>
    %c7 = arith.constant 7 : index
    %7 = plan.load %x[%c7] : memref<16x512xf32> -> tensor<512xf32>
    %s7 = arith.addf %s6, %7 : tensor<512xf32>
    %c8 = arith.constant 8 : index
    %8 = plan.load %x[%c8] : memref<16x512xf32> -> tensor<512xf32>
    %s8 = arith.addf %s7, %8 : tensor<512xf32>
    %c9 = arith.constant 9 : index
    %9 = plan.load %x[%c9] : memref<16x512xf32> -> tensor<512xf32>
    %s9 = arith.addf %s8, %9 : tensor<512xf32>
    %c10 = arith.constant 10 : index
    %10 = plan.load %x[%c10] : memref<16x512xf32> -> tensor<512xf32>
    %s10 = arith.addf %s9, %10 : tensor<512xf32>
    %c11 = arith.constant 11 : index
    %11 = plan.load %x[%c11] : memref<16x512xf32> -> tensor<512xf32>
    %s11 = arith.addf %s10, %11 : tensor<512xf32>
    %c12 = arith.constant 12 : index
    %12 = plan.load %x[%c12] : memref<16x512xf32> -> tensor<512xf32>
    %s12 = arith.addf %s11, %12 : tensor<512xf32>
    %c13 = arith.constant 13 : index
    %13 = plan.load %x[%c13] : memref<16x512xf32> -> tensor<512xf32>
    %s13 = arith.addf %s12, %13 : tensor<512xf32>
    %c14 = arith.constant 14 : index
    %14 = plan.load %x[%c14] : memref<16x512xf32> -> tensor<512xf32>
    %s14 = arith.addf %s13, %14 : tensor<512xf32>
    %c15 = arith.constant 15 : index
    %15 = plan.load %x[%c15] : memref<16x512xf32> -> tensor<512xf32>
    %s15 = arith.addf %s14, %15 : tensor<512xf32>
    plan.store %s15, %y[] : tensor<512xf32>, memref<512xf32>
  }
}
