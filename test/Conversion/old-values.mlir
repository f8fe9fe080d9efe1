// RUN: ftc-opt %s -split-input-file -convert-train-to-plan -plan-assign-offsets -plan-verify | FileCheck %s

// The old value of a variable goes to another one before the new value is there.
// CHECK-LABEL: plan.entry @step
// CHECK: %[[V:.*]] = plan.get @v
// CHECK: plan.launch @{{add.*}}(%[[V]], %{{.*}}, %[[NEW:.*]]) "add"
// CHECK: plan.launch @{{copy.*}}(%[[V]], %[[OLD:.*]]) "new u"
// CHECK: plan.launch @{{copy.*}}(%[[OLD]], %{{.*}}) "write u"
// CHECK: plan.launch @{{copy.*}}(%[[NEW]], %{{.*}}) "write v"
train.variable @v : tensor<16x64xf32> state init #train.zeros
train.variable @u : tensor<16x64xf32> state init #train.zeros
train.entry @step kind(step) batch 1 sequence 16 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>):
  %v = train.read @v : tensor<16x64xf32>
  train.write @u, %v : tensor<16x64xf32>
  %n = train.add %v, %x : tensor<16x64xf32>
  train.write @v, %n : tensor<16x64xf32>
  train.return %x : tensor<16x64xf32>
}

// -----

// So does a part of it.
// CHECK-LABEL: plan.entry @step
// CHECK: plan.launch @{{add.*}} "add"
// CHECK: plan.launch @{{copy.*}}(%{{.*}}, %[[OLD:.*]]) "new u"
// CHECK: plan.launch @{{copy.*}}(%[[OLD]], %{{.*}}) "write u"
// CHECK: plan.launch @{{copy.*}} "write v"
train.variable @v : tensor<16x64xf32> state init #train.zeros
train.variable @u : tensor<8x64xf32> state init #train.zeros
train.entry @step kind(step) batch 1 sequence 16 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>):
  %v = train.read @v : tensor<16x64xf32>
  %s = train.slice_rows %v from 8 : tensor<16x64xf32> -> tensor<8x64xf32>
  train.write @u, %s : tensor<8x64xf32>
  %n = train.add %v, %x : tensor<16x64xf32>
  train.write @v, %n : tensor<16x64xf32>
  train.return %x : tensor<16x64xf32>
}

// -----

// A copy to the far tier reads it until somebody waits.
// CHECK-LABEL: plan.entry @step
// CHECK: %[[E:.*]] = plan.copy_out
// CHECK: plan.launch @{{add.*}} "add"
// CHECK: plan.wait %[[E]]
// CHECK: plan.launch @{{copy.*}} "write v"
train.variable @v : tensor<16x64xf32> state init #train.zeros
train.entry @step kind(step) batch 1 sequence 16 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>):
  %v = train.read @v : tensor<16x64xf32>
  %f = train.offload %v : tensor<16x64xf32>
  %n = train.add %v, %x : tensor<16x64xf32>
  train.write @v, %n : tensor<16x64xf32>
  %b = train.prefetch %f until %n : tensor<16x64xf32>, tensor<16x64xf32>
  %d = train.multiply %b, %x : tensor<16x64xf32>
  train.return %d : tensor<16x64xf32>
}

// -----

// What comes back from the far tier is written to a variable, or is part of something larger, as any other value.
// CHECK-LABEL: plan.entry @step
// CHECK: plan.copy_in %{{.*}} to %[[NEAR:.*]] :
// CHECK: plan.launch @{{copy.*}}(%[[NEAR]], %{{.*}}) "write v"
train.variable @v : tensor<16x64xf32> state init #train.zeros
train.entry @step kind(step) batch 1 sequence 16 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>):
  %a = train.add %x, %x : tensor<16x64xf32>
  %f = train.offload %a : tensor<16x64xf32>
  %d = train.multiply %a, %x : tensor<16x64xf32>
  %b = train.prefetch %f until %d : tensor<16x64xf32>, tensor<16x64xf32>
  train.write @v, %b : tensor<16x64xf32>
  train.return %d : tensor<16x64xf32>
}

// -----

// CHECK-LABEL: plan.entry @step
// CHECK: plan.copy_in %{{.*}} to %[[NEAR:.*]] :
// CHECK: plan.wait
// CHECK: plan.slice %{{.*}}[0]
// CHECK: plan.launch @{{copy.*}}(%[[NEAR]],
train.entry @step kind(step) batch 1 sequence 16 inputs ["x"] outputs ["y"] {
^bb0(%x: tensor<16x64xf32>):
  %a = train.add %x, %x : tensor<16x64xf32>
  %f = train.offload %a : tensor<16x64xf32>
  %d = train.multiply %a, %x : tensor<16x64xf32>
  %b = train.prefetch %f until %d : tensor<16x64xf32>, tensor<16x64xf32>
  %c = train.concat_rows %b, %d : tensor<16x64xf32>, tensor<16x64xf32> -> tensor<32x64xf32>
  train.return %c : tensor<32x64xf32>
}
