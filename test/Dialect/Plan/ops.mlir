// RUN: ftc-opt %s | ftc-opt | FileCheck %s
// RUN: ftc-opt %s --mlir-print-op-generic | ftc-opt | FileCheck %s

// CHECK: plan.slab @near bytes 4096 alignment 64
plan.slab @near bytes 4096 alignment 64
// CHECK: plan.variable @w : memref<8x4xbf16> parameter init #train.ones trainable at @near[64]
plan.variable @w : memref<8x4xbf16> parameter init #train.ones trainable at @near[64]
// CHECK: plan.variable @m : memref<8x4xf32> state init #train.zeros{{$}}
plan.variable @m : memref<8x4xf32> state init #train.zeros
// CHECK: plan.slab @far far bytes 8192 alignment 4096
plan.slab @far far bytes 8192 alignment 4096
// CHECK: plan.variable @v : memref<8x4xf32> state init #train.zeros far at @far[4096]
plan.variable @v : memref<8x4xf32> state init #train.zeros far at @far[4096]

// CHECK-LABEL: plan.kernel @sums
plan.kernel @sums {
^bb0(%g: memref<16x8xf32>, %ids: memref<16xi32>, %table: memref<4x8xbf16>):
  plan.rows 16 per_task 16 sequential {
  ^bb0(%r: index):
    %id = plan.load %ids[%r] : memref<16xi32> -> i32
    %i = arith.index_cast %id : i32 to index
    %x = plan.load %g[%r] : memref<16x8xf32> -> tensor<8xf32>
    // CHECK: plan.scatter %{{.*}}, %{{.*}}[%{{.*}}] : tensor<8xf32>, memref<4x8xbf16>
    plan.scatter %x, %table[%i] : tensor<8xf32>, memref<4x8xbf16>
  }
}

// CHECK-LABEL: plan.kernel @rows
// CHECK: plan.rows 16 per_task 4 parallel
plan.kernel @rows {
^bb0(%a: memref<16x8xf32>, %ids: memref<16xi32>, %p: memref<4xf32>, %s: memref<f32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    // CHECK: plan.load %{{.*}}[%{{.*}}] offset 4 : memref<16x8xf32> -> tensor<4xf32>
    %x = plan.load %a[%r] offset 4 : memref<16x8xf32> -> tensor<4xf32>
    // CHECK: plan.load %{{.*}}[%{{.*}}] : memref<16xi32> -> i32
    %id = plan.load %ids[%r] : memref<16xi32> -> i32
    // CHECK: plan.column : tensor<4xi32>
    %c = plan.column : tensor<4xi32>
    // CHECK: plan.broadcast %{{.*}} : i32 -> tensor<4xi32>
    %b = plan.broadcast %id : i32 -> tensor<4xi32>
    // CHECK: %[[CODES:.*]] = plan.encode %{{.*}} with <format = torchao_8bit, isSigned = true> : tensor<4xf32> -> tensor<4xi8>
    %codes = plan.encode %x with <format = torchao_8bit, isSigned = true> : tensor<4xf32> -> tensor<4xi8>
    // CHECK: plan.decode %[[CODES]] with <format = bitsandbytes_8bit, isSigned = false> : tensor<4xi8> -> tensor<4xf32>
    %numbers = plan.decode %codes with <format = bitsandbytes_8bit, isSigned = false> : tensor<4xi8> -> tensor<4xf32>
    // CHECK: plan.reduce max %{{.*}} : tensor<4xf32> -> f32
    %m = plan.reduce max %x : tensor<4xf32> -> f32
    // CHECK: plan.accumulate %{{.*}}, %{{.*}} : f32, memref<4xf32>
    plan.accumulate %m, %p : f32, memref<4xf32>
    // CHECK: plan.store %{{.*}}, %{{.*}}[] : f32, memref<f32>
    plan.store %m, %s[] : f32, memref<f32>
  }
}

// CHECK-LABEL: plan.kernel @product
plan.kernel @product {
^bb0(%a: memref<16x4xf32>, %w: memref<8x4xbf16>, %c: memref<16x8xf32>, %s: memref<64xi8>):
  // CHECK: plan.matmul %{{.*}}, %{{.*}}, %{{.*}} extras(%{{.*}} : memref<16x8xf32>) scratch(%{{.*}} : memref<64xi8>) transpose_b
  plan.matmul %a, %w, %c extras(%c : memref<16x8xf32>) scratch(%s : memref<64xi8>) transpose_b
    : memref<16x4xf32>, memref<8x4xbf16>, memref<16x8xf32> read_a {
    } read_b {
    ^bb0(%e: bf16):
      %f = arith.extf %e : bf16 to f32
      plan.yield %f : f32
    } store_c {
    ^bb0(%sum: f32, %old: f32):
      %r = arith.addf %sum, %old : f32
      // CHECK: plan.yield %{{.*}} : f32
      plan.yield %r : f32
    }
}

// CHECK-LABEL: plan.kernel @attend
plan.kernel @attend {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %o: memref<8x8xf32>, %l: memref<8x2xf32>, %x: memref<64xi8>):
  // CHECK: plan.attention {{.*}} scratch(%{{.*}} : memref<64xi8>) batch 2 heads 2 kv_heads 1 scale 5.0
  plan.attention %q, %k, %k, %s, %o, %l scratch(%x : memref<64xi8>) batch 2 heads 2 kv_heads 1 scale 0.5
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>
}

// CHECK-LABEL: plan.kernel @attend_near_and_capped
plan.kernel @attend_near_and_capped {
^bb0(%q: memref<8x8xf32>, %k: memref<8x4xf32>, %s: memref<8xi32>, %o: memref<8x8xf32>, %l: memref<8x2xf32>):
  // CHECK: plan.attention {{.*}} scale 5.000000e-01 window 3 softcap 5.000000e+01 : memref<8x8xf32>
  plan.attention %q, %k, %k, %s, %o, %l batch 2 heads 2 kv_heads 1 scale 0.5 window 3 softcap 50.0
    : memref<8x8xf32>, memref<8x4xf32>, memref<8x4xf32>, memref<8xi32>, memref<8x8xf32>, memref<8x2xf32>
}

// CHECK-LABEL: plan.entry @step kind(step) batch 2 sequence 8 flops 4.2180000123456e+13
plan.entry @step kind(step) batch 2 sequence 8 flops 42180000123456.0 {
  // CHECK: plan.input "labels" : memref<16xi32> at @near[128]
  %t = plan.input "labels" : memref<16xi32> at @near[128]
  // CHECK: plan.get @m : memref<8x4xf32>
  %m = plan.get @m : memref<8x4xf32>
  // CHECK: plan.alloc "an activation" : memref<16x8xf32>
  %a = plan.alloc "an activation" : memref<16x8xf32>
  // CHECK: plan.view @near[256] "partial sums" : memref<4xf32>
  %p = plan.view @near[256] "partial sums" : memref<4xf32>
  // CHECK: %[[PART:.*]] = plan.slice %{{.*}}[4] : memref<16x8xf32> to memref<8x8xf32>
  %c = plan.slice %a[4] : memref<16x8xf32> to memref<8x8xf32>
  // CHECK: plan.slice %[[PART]][7] : memref<8x8xf32> to memref<1x8xf32>
  %cc = plan.slice %c[7] : memref<8x8xf32> to memref<1x8xf32>
  %s = plan.alloc "a sum" : memref<f32>
  // CHECK: plan.launch @rows(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) "sums" : memref<16x8xf32>, memref<16xi32>, memref<4xf32>, memref<f32>
  plan.launch @rows(%a, %t, %p, %s) "sums" : memref<16x8xf32>, memref<16xi32>, memref<4xf32>, memref<f32>
  // CHECK: plan.output "sum", %{{.*}} : memref<f32>
  plan.output "sum", %s : memref<f32>
}

// CHECK-LABEL: plan.entry @copies kind(evaluate) batch 2 sequence 8 flops 0.0e+0
plan.entry @copies kind(evaluate) batch 2 sequence 8 flops 0.0 {
  // CHECK: %[[V:.*]] = plan.get @v
  %v = plan.get @v : memref<8x4xf32>
  // CHECK: %[[X:.*]] = plan.alloc "x" : memref<8x4xf32>
  %x = plan.alloc "x" : memref<8x4xf32>
  // CHECK: %[[F:.*]] = plan.alloc far "f" : memref<8x4xf32>
  %f = plan.alloc far "f" : memref<8x4xf32>
  // CHECK: %[[E:.*]] = plan.copy_in %[[V]] to %[[X]] : memref<8x4xf32>
  %e = plan.copy_in %v to %x : memref<8x4xf32>
  // CHECK: plan.wait %[[E]]
  plan.wait %e
  // CHECK: %[[O:.*]] = plan.copy_out %[[X]] to %[[F]] : memref<8x4xf32>
  %o = plan.copy_out %x to %f : memref<8x4xf32>
  // CHECK: plan.wait %[[O]]
  plan.wait %o
}

// Without a buffer there are no types.
// CHECK-LABEL: plan.kernel @nothing
// CHECK-LABEL: plan.entry @no_buffers
// CHECK: plan.launch @nothing() "l"{{$}}
plan.kernel @nothing {
^bb0:
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
  }
}
plan.entry @no_buffers kind(step) batch 1 sequence 16 flops 0.0 {
  plan.launch @nothing() "l"
}
