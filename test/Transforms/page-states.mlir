// RUN: ftc-opt %s --split-input-file --train-page-states | FileCheck %s
// RUN: ftc-opt %s --split-input-file --train-page-states="min-elements=64" | FileCheck %s --check-prefix=SMALL
// RUN: ftc-opt %s --split-input-file --train-page-states --remarks-filter=train-page-states --remark-format=emitRemark \
// RUN:   2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

// States from bitsandbytes' bound of 100 000 elements on; nothing else, whatever its size.
// CHECK-LABEL: module attributes {train.page_states}
// CHECK: train.variable @w : tensor<400x250xf32> parameter init #train.zeros trainable{{$}}
// CHECK: train.variable @w.exp_avg : tensor<400x250xf32> state init #train.zeros far
// CHECK: train.variable @v.exp_avg : tensor<99999xf32> state init #train.zeros{{$}}
// CHECK: train.variable @w.grad : tensor<400x250xf32> accumulator init #train.zeros{{$}}
// SMALL: train.variable @v.exp_avg : tensor<99999xf32> state init #train.zeros far
// REMARK: [Passed] page | Category:train-page-states | Remark="a state lives in the far tier", bytes_saved=400000, microseconds=266
// REMARK: [Missed] page | Category:train-page-states | Remark="a state stays near: it has less than 100000 elements", bytes=399996
module attributes {train.page_states} {
  train.variable @w : tensor<400x250xf32> parameter init #train.zeros trainable
  train.variable @w.exp_avg : tensor<400x250xf32> state init #train.zeros
  train.variable @v.exp_avg : tensor<99999xf32> state init #train.zeros
  train.variable @w.grad : tensor<400x250xf32> accumulator init #train.zeros
}

// -----

// Nobody asked.
// CHECK-LABEL: module @near
// CHECK: train.variable @w.exp_avg : tensor<400x250xf32> state init #train.zeros{{$}}
// REMARK-NOT: remark
module @near {
  train.variable @w.exp_avg : tensor<400x250xf32> state init #train.zeros
}
