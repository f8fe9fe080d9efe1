// RUN: ftc-opt %s -split-input-file "--plan-stream-far-variables=part-bytes=65536 ahead=1" -verify-diagnostics

plan.variable @c : memref<16x64xf32> state init #train.ones far
plan.kernel @k {
^bb0(%a: memref<16x64xf32>, %b: memref<16x64xf32>):
  plan.rows 16 per_task 4 parallel {
  ^bb0(%r: index):
    %x = plan.load %a[%r] : memref<16x64xf32> -> tensor<64xf32>
    plan.store %x, %b[%r] : tensor<64xf32>, memref<16x64xf32>
  }
}
plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
  %x = plan.input "x" : memref<16x64xf32>
  %f = plan.alloc far "f" : memref<16x64xf32>
  // expected-error @below {{passes as buffer 1 one of the far tier that is no variable; copy it to near memory}}
  plan.launch @k(%x, %f) "t" : memref<16x64xf32>, memref<16x64xf32>
  plan.output "y", %x : memref<16x64xf32>
}

// -----

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
  %g = plan.get @s : memref<512x64xf32>
  // expected-error @below {{passes 8 buffers to @k, which takes 2}}
  plan.launch @k(%x, %x, %g, %g, %x, %x, %x, %g) "t" : memref<512x64xf32>, memref<512x64xf32>, memref<512x64xf32>, memref<512x64xf32>, memref<512x64xf32>, memref<512x64xf32>, memref<512x64xf32>, memref<512x64xf32>
  plan.output "y", %x : memref<512x64xf32>
}
