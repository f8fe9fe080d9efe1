// RUN: ftc-opt %s -split-input-file -convert-train-to-plan | FileCheck %s

// A window and a cap go where the op goes, and into the kernel's name. Of 8 tokens a window of 3 leaves 1 + 2 + 3 + 5 x 3 =
// 21 pairs: 2 products forward and 4 backward, 2 x 21 x 4 for each of 2 heads of 2 rows.
// CHECK: plan.kernel @attention_16x8_heads2_1_window3_capped
// CHECK: plan.attention %{{.*}} batch 2 heads 2 kv_heads 1 scale 5.000000e-01 window 3 softcap 5.000000e+01
// CHECK: plan.kernel @attention_grad_16x8_heads2_1_window3_capped
// CHECK: plan.attention_grad %{{.*}} batch 2 heads 2 kv_heads 1 scale 5.000000e-01 window 3 softcap 5.000000e+01
// CHECK: plan.entry @windowed kind({{ ?}}step) batch 2 sequence 8 flops 4.032e+3
train.entry @windowed kind(step) batch 2 sequence 8 inputs ["q", "k", "s", "d"] outputs ["dq", "dk", "dv"] {
^bb0(%q: tensor<16x8xf32>, %k: tensor<16x4xf32>, %s: tensor<16xi32>, %d: tensor<16x8xf32>):
  %o, %lse = train.attention %q, %k, %k, %s batch 2 heads 2 kv_heads 1 scale 0.5 window 3 softcap 50.0
    : tensor<16x8xf32>, tensor<16x4xf32>, tensor<16xi32> -> tensor<16x2xf32>
  %dq, %dk, %dv = train.attention_grad %q, %k, %k, %s, %o, %lse, %d batch 2 heads 2 kv_heads 1 scale 0.5 window 3 softcap 50.0
    : tensor<16x8xf32>, tensor<16x4xf32>, tensor<16xi32>, tensor<16x2xf32>
  train.return %dq, %dk, %dv : tensor<16x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>
}

// -----

// Another window is another kernel, and one as long as the row costs what none costs: 36 pairs.
// CHECK: plan.kernel @attention_16x8_heads2_1_window8
// CHECK: plan.entry @whole kind({{ ?}}evaluate) batch 2 sequence 8 flops 2.304e+3
train.entry @whole kind(evaluate) batch 2 sequence 8 inputs ["q", "k", "s"] outputs ["o"] {
^bb0(%q: tensor<16x8xf32>, %k: tensor<16x4xf32>, %s: tensor<16xi32>):
  %o, %lse = train.attention %q, %k, %k, %s batch 2 heads 2 kv_heads 1 scale 0.5 window 8
    : tensor<16x8xf32>, tensor<16x4xf32>, tensor<16xi32> -> tensor<16x2xf32>
  train.return %o : tensor<16x8xf32>
}
