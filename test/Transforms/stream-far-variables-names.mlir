// RUN: ftc-opt %s -split-input-file "--plan-stream-far-variables=part-bytes=65536 ahead=1" | FileCheck %s

// A kernel that has the name of a part is another one.
// CHECK: plan.kernel @[[PART:k_rows256_[0-9]+]]
// CHECK: plan.load
// CHECK: plan.load
// CHECK: arith.addf
// CHECK: plan.kernel @k_rows256
// CHECK-LABEL: plan.entry @step
// CHECK: plan.launch @[[PART]]
// CHECK: plan.launch @[[PART]]
// CHECK-NOT: plan.launch
plan.variable @s : memref<512x64xf32> state init #train.ones far
plan.kernel @k {
^bb0(%a: memref<512x64xf32>, %b: memref<512x64xf32>):
  plan.rows 512 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<512x64xf32> -> tensor<64xf32>
    %y = plan.load %b[%r] : memref<512x64xf32> -> tensor<64xf32>
    %z = arith.addf %x, %y : tensor<64xf32>
    plan.store %z, %b[%r] : tensor<64xf32>, memref<512x64xf32>
  }
}
plan.kernel @k_rows256 {
^bb0(%a: memref<256x64xf32>, %b: memref<256x64xf32>):
  plan.rows 256 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<256x64xf32> -> tensor<64xf32>
    plan.store %x, %b[%r] : tensor<64xf32>, memref<256x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<512x64xf32>
  %g = plan.get @s : memref<512x64xf32>
  plan.launch @k(%x, %g) "t" : memref<512x64xf32>, memref<512x64xf32>
  plan.output "y", %x : memref<512x64xf32>
}

// -----

// An output may stand before launches.
// CHECK-LABEL: plan.entry @step
// CHECK: plan.output
// CHECK: plan.launch
// CHECK: plan.launch
// CHECK: %[[OUT:.*]] = plan.copy_out
// CHECK: plan.wait %[[OUT]]
plan.variable @s : memref<512x64xf32> state init #train.ones far
plan.kernel @k {
^bb0(%a: memref<512x64xf32>, %b: memref<512x64xf32>):
  plan.rows 512 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<512x64xf32> -> tensor<64xf32>
    %y = plan.load %b[%r] : memref<512x64xf32> -> tensor<64xf32>
    %z = arith.addf %x, %y : tensor<64xf32>
    plan.store %z, %b[%r] : tensor<64xf32>, memref<512x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<512x64xf32>
  plan.output "y", %x : memref<512x64xf32>
  %g = plan.get @s : memref<512x64xf32>
  plan.launch @k(%x, %g) "t" : memref<512x64xf32>, memref<512x64xf32>
}

// -----

// A scalar has no rows, and stays whole.
// CHECK-LABEL: plan.entry @step
// CHECK: plan.copy_in %{{.*}} to %[[NEAR:.*]] : memref<f32>
// CHECK: plan.launch @k(%{{.*}}, %[[NEAR]])
// CHECK: plan.copy_out %[[NEAR]]
plan.variable @s : memref<f32> state init #train.ones far
plan.kernel @k {
^bb0(%a: memref<1xf32>, %b: memref<1xf32>):
  plan.rows 1 per_task 1 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<1xf32> -> f32
    plan.store %x, %b[%r] : f32, memref<1xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<1xf32>
  %g = plan.get @s : memref<f32>
  plan.launch @k(%x, %g) "t" : memref<1xf32>, memref<f32>
  plan.output "y", %x : memref<1xf32>
}
