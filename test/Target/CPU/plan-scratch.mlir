// RUN: ftc-opt %s -cpu-plan-scratch="cpu=x86-64-v3" | FileCheck %s

// CHECK: plan.kernel @product
// CHECK: ^bb0(%{{.*}}: memref<64x64xf32>, %{{.*}}: memref<64x64xf32>, %{{.*}}: memref<64x64xf32>, %[[S:.*]]: memref<[[N:[0-9]+]]xi8>):
// CHECK: scratch(%[[S]] : memref<[[N]]xi8>)
plan.kernel @product {
^bb0(%a: memref<64x64xf32>, %b: memref<64x64xf32>, %c: memref<64x64xf32>):
  plan.matmul %a, %b, %c : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32> read_a {} read_b {} store_c {}
}

// CHECK: plan.entry
// CHECK: %[[B:.*]] = plan.alloc "scratch of product" : memref<[[N]]xi8>
// CHECK: plan.launch @product(%{{.*}}, %{{.*}}, %{{.*}}, %[[B]]) "product"
plan.entry @step kind(step) batch 1 sequence 64 flops 0.0 {
  %a = plan.alloc "a" : memref<64x64xf32>
  %b = plan.alloc "b" : memref<64x64xf32>
  %c = plan.alloc "c" : memref<64x64xf32>
  plan.launch @product(%a, %b, %c) "product" : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32>
}

// A kernel that has less gets more, in the same place; one that has enough stays as it is.
// CHECK: plan.kernel @grows
// CHECK-NEXT: ^bb0(%{{.*}}: memref<64x64xf32>, %{{.*}}: memref<64x64xf32>, %{{.*}}: memref<64x64xf32>, %[[G:.*]]: memref<[[N]]xi8>):
plan.kernel @grows {
^bb0(%a: memref<64x64xf32>, %b: memref<64x64xf32>, %c: memref<64x64xf32>, %s: memref<256xi8>):
  plan.matmul %a, %b, %c scratch(%s : memref<256xi8>) : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32> read_a {} read_b {} store_c {}
}
// CHECK: plan.kernel @stays
// CHECK: memref<33554432xi8>
plan.kernel @stays {
^bb0(%a: memref<64x64xf32>, %b: memref<64x64xf32>, %c: memref<64x64xf32>, %s: memref<33554432xi8>):
  plan.matmul %a, %b, %c scratch(%s : memref<33554432xi8>) : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32> read_a {} read_b {} store_c {}
}
// CHECK: plan.entry @evaluate
// CHECK-NOT: memref<256xi8>
// CHECK: %[[B:.*]] = plan.alloc "scratch of grows" : memref<[[N]]xi8>
// CHECK-NEXT: plan.launch @grows(%{{.*}}, %{{.*}}, %{{.*}}, %[[B]]) "grows"
// CHECK-NEXT: plan.launch @stays(%{{.*}}, %{{.*}}, %{{.*}}, %[[L:.*]]) "stays"
plan.entry @evaluate kind(evaluate) batch 1 sequence 64 flops 0.0 {
  %a = plan.alloc "a" : memref<64x64xf32>
  %b = plan.alloc "b" : memref<64x64xf32>
  %c = plan.alloc "c" : memref<64x64xf32>
  %s = plan.alloc "s" : memref<256xi8>
  %l = plan.alloc "l" : memref<33554432xi8>
  plan.launch @grows(%a, %b, %c, %s) "grows" : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32>, memref<256xi8>
  plan.launch @stays(%a, %b, %c, %l) "stays" : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32>, memref<33554432xi8>
}
