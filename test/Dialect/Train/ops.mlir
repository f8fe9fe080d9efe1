// Every op of the dialect, as its description shows it, printed and parsed again.
// RUN: ftc-opt %s > %t.once
// RUN: ftc-opt %t.once > %t.twice
// RUN: cmp %t.once %t.twice
// RUN: FileCheck %s < %t.once

// CHECK: train.variable @model.norm.weight : tensor<64xf32> parameter init #train.ones trainable
train.variable @"model.norm.weight" : tensor<64xf32> parameter init #train.ones trainable
// CHECK: train.variable @rotary.cos : tensor<128x8xf32> constant init #train.rotary<sine = false, headDim = 16, base = 5.000000e+05 : f64,
train.variable @"rotary.cos" : tensor<128x8xf32> constant init #train.rotary<sine = false, headDim = 16,
  base = 5.0e+05 : f64, factor = 3.2e+01 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 8192>
// CHECK: train.variable @rotary.of.a.part : tensor<128x2xf32> constant init #train.rotary<{{.*}}oldContext = 4096, divisors = [1.000000e+00, 1.250000e+00], amplitude = 1.190000e+00 : f64>
train.variable @"rotary.of.a.part" : tensor<128x2xf32> constant init #train.rotary<sine = true, headDim = 4, base = 1.0e+04 : f64,
  factor = 1.0 : f64, lowFactor = 1.0 : f64, highFactor = 4.0 : f64, oldContext = 4096, divisors = [1.0, 1.25], amplitude = 1.19 : f64>
// CHECK: train.variable @w : tensor<64xf32> parameter init #train.normal<2.000000e-02 : f64>
train.variable @w : tensor<64xf32> parameter init #train.normal<2.0e-02 : f64> trainable
// CHECK: train.variable @w.lora_A.weight : tensor<8x64xf32> parameter init #train.uniform<1.250000e-01 : f64> trainable
train.variable @"w.lora_A.weight" : tensor<8x64xf32> parameter init #train.uniform<1.25e-01 : f64> trainable
// CHECK: train.variable @w.exp_avg : tensor<64xf32> state init #train.zeros
train.variable @"w.exp_avg" : tensor<64xf32> state init #train.zeros

// CHECK: train.entry @structure kind({{ ?}}step) batch 2 sequence 8 inputs ["tokens", "labels", "learning_rate"] outputs ["loss"] {
train.entry @structure kind(step) batch 2 sequence 8 inputs ["tokens", "labels", "learning_rate"] outputs ["loss"] {
^bb0(%tokens: tensor<16xi32>, %labels: tensor<16xi32>, %s: tensor<f32>):
  // CHECK: %[[W:.*]] = train.read @model.norm.weight : tensor<64xf32>
  %w = train.read @"model.norm.weight" : tensor<64xf32>
  // CHECK: %[[ONE:.*]] = train.constant dense<1.000000e+00> : tensor<f32>
  %one = train.constant dense<1.0> : tensor<f32>
  // CHECK: train.write @w.exp_avg, %[[W]] : tensor<64xf32>
  train.write @"w.exp_avg", %w : tensor<64xf32>
  // CHECK: train.loss %[[ONE]] : tensor<f32>
  train.loss %one : tensor<f32>
  // CHECK: train.update @w, %[[W]] : tensor<64xf32>
  train.update @w, %w : tensor<64xf32>
  // CHECK: train.update @w, %[[W]] scale %{{.*}} : tensor<64xf32>, tensor<f32>
  train.update @w, %w scale %s : tensor<64xf32>, tensor<f32>
  // CHECK: train.return %[[ONE]] : tensor<f32>
  train.return %one : tensor<f32>
}

// CHECK: train.entry @element_wise kind({{ ?}}evaluate)
train.entry @element_wise kind(evaluate) batch 1 sequence 1 inputs ["a", "b", "x", "y", "w", "gate", "up", "d", "s", "micro"] outputs ["n"] {
^bb0(%a: tensor<16x64xf32>, %b: tensor<16x64xf32>, %x: tensor<16x64xf32>, %y: tensor<16x64xf32>, %w: tensor<64xf32>,
     %gate: tensor<16x128xf32>, %up: tensor<16x128xf32>, %d: tensor<16x128xf32>, %s: tensor<f32>, %micro: tensor<i64>):
  // CHECK: train.delay %{{.*}} until %{{.*}} : tensor<16x64xf32>, tensor<16x128xf32>
  %later = train.delay %x until %d : tensor<16x64xf32>, tensor<16x128xf32>
  // CHECK: %[[FAR:.*]] = train.offload %{{.*}} : tensor<16x64xf32>
  %far = train.offload %x : tensor<16x64xf32>
  // CHECK: train.prefetch %[[FAR]] until %{{.*}} : tensor<16x64xf32>, tensor<16x128xf32>
  %back = train.prefetch %far until %d : tensor<16x64xf32>, tensor<16x128xf32>
  // CHECK: train.add %{{.*}}, %{{.*}} : tensor<16x64xf32>
  %c = train.add %a, %b : tensor<16x64xf32>
  // CHECK: train.cast %{{.*}} : tensor<16x64xf32> to tensor<16x64xbf16>
  %bf = train.cast %a : tensor<16x64xf32> to tensor<16x64xbf16>
  // CHECK: train.scale %{{.*}} by %{{.*}} : tensor<16x64xf32>, tensor<f32>
  %sb = train.scale %a by %s : tensor<16x64xf32>, tensor<f32>
  // CHECK: train.dropout %{{.*}} probability 1.000000e-01 stream "a.lora_dropout" seed %{{.*}} step %{{.*}} micro %{{.*}} : tensor<16x64xf32>, tensor<i64>
  %dropped = train.dropout %a probability 0.1 stream "a.lora_dropout" seed %micro step %micro micro %micro
    : tensor<16x64xf32>, tensor<i64>
  // CHECK: train.accumulate %{{.*}} onto %{{.*}} at %{{.*}} : tensor<16x64xf32>, tensor<i64>
  %sum = train.accumulate %a onto %sb at %micro : tensor<16x64xf32>, tensor<i64>
  // CHECK: train.swiglu %{{.*}}, %{{.*}} : tensor<16x128xf32>
  %sw = train.swiglu %gate, %up : tensor<16x128xf32>
  // CHECK: train.swiglu_grad %{{.*}}, %{{.*}}, %{{.*}} : tensor<16x128xf32>
  %dg, %du = train.swiglu_grad %gate, %up, %d : tensor<16x128xf32>
  // CHECK: train.geglu %{{.*}}, %{{.*}} : tensor<16x128xf32>
  %ge = train.geglu %gate, %up : tensor<16x128xf32>
  // CHECK: train.geglu_grad %{{.*}}, %{{.*}}, %{{.*}} : tensor<16x128xf32>
  %dgg, %dgu = train.geglu_grad %gate, %up, %d : tensor<16x128xf32>
  // CHECK: train.softcap %{{.*}} cap 3.000000e+01 : tensor<16x128xf32>
  %capped = train.softcap %gate cap 3.0e+01 : tensor<16x128xf32>
  // CHECK: train.softcap_grad %{{.*}}, %{{.*}} cap 3.000000e+01 : tensor<16x128xf32>
  %dcapped = train.softcap_grad %capped, %d cap 3.0e+01 : tensor<16x128xf32>
  // CHECK: %[[F:.*]]:2 = train.fused(%[[A:.*]] = %{{.*}}, %[[B:.*]] = %{{.*}}, %[[C:.*]] = %{{.*}}) : (tensor<16x64xf32>, tensor<16x64xf32>, tensor<64xf32>) -> (tensor<16x64xf32>, tensor<16x64xf32>) {
  %h, %n = train.fused(%fa = %x, %fb = %y, %fs = %w)
      : (tensor<16x64xf32>, tensor<16x64xf32>, tensor<64xf32>) -> (tensor<16x64xf32>, tensor<16x64xf32>) {
    // CHECK-NEXT: %[[S:.*]] = train.add %[[A]], %[[B]]
    %0 = train.add %fa, %fb : tensor<16x64xf32>
    // CHECK-NEXT: %[[N:.*]] = train.rms_norm %[[S]], %[[C]]
    %1 = train.rms_norm %0, %fs eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
    // CHECK-NEXT: train.yield %[[S]], %[[N]]
    train.yield %0, %1 : tensor<16x64xf32>, tensor<16x64xf32>
  }
  train.return %n : tensor<16x64xf32>
}

// CHECK: train.entry @products kind({{ ?}}logits)
train.entry @products kind(logits) batch 2 sequence 8 inputs ["x", "w", "d", "table", "base", "ids", "i"] outputs [] {
^bb0(%x: tensor<16x64xf32>, %w: tensor<128x64xf32>, %d: tensor<16x64xf32>, %table: tensor<320x64xf32>,
     %base: tensor<320x64xf32>, %ids: tensor<16xi32>, %i: tensor<i64>):
  // CHECK: train.matmul %{{.*}}, %{{.*}} transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
  %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
  // CHECK: train.matmul %{{.*}}, %{{.*}} : tensor<16x128xf32>, tensor<128x64xf32> -> tensor<16x64xf32>
  %dx = train.matmul %y, %w : tensor<16x128xf32>, tensor<128x64xf32> -> tensor<16x64xf32>
  // CHECK: train.matmul %{{.*}}, %{{.*}} transpose_a : tensor<16x128xf32>, tensor<16x64xf32> -> tensor<128x64xf32>
  %dw = train.matmul %y, %x transpose_a : tensor<16x128xf32>, tensor<16x64xf32> -> tensor<128x64xf32>
  // CHECK: train.matmul %{{.*}}, %{{.*}} transpose_a transpose_b : tensor<16x64xf32>, tensor<128x16xf32> -> tensor<64x128xf32>
  %z = train.constant dense<0.0> : tensor<128x16xf32>
  %tt = train.matmul %x, %z transpose_a transpose_b : tensor<16x64xf32>, tensor<128x16xf32> -> tensor<64x128xf32>
  // CHECK: train.matmul %{{.*}}, %{{.*}} transpose_a onto %{{.*}} : tensor<128x64xf32>, tensor<16x128xf32>, tensor<16x64xf32> -> tensor<128x64xf32>
  %sum = train.matmul %y, %x transpose_a onto %dw
    : tensor<128x64xf32>, tensor<16x128xf32>, tensor<16x64xf32> -> tensor<128x64xf32>
  // CHECK: train.matmul_pair %{{.*}}, %{{.*}} transpose_b and %{{.*}}, %{{.*}} transpose_d onto %{{.*}} : tensor<16x128xf32>, (tensor<16x64xf32>, tensor<128x64xf32>), (tensor<16x4xf32>, tensor<128x4xf32>) -> tensor<16x128xf32>
  %xa = train.constant dense<0.0> : tensor<16x4xf32>
  %lb = train.constant dense<0.0> : tensor<128x4xf32>
  %pair = train.matmul_pair %x, %w transpose_b and %xa, %lb transpose_d onto %y : tensor<16x128xf32>,
    (tensor<16x64xf32>, tensor<128x64xf32>), (tensor<16x4xf32>, tensor<128x4xf32>) -> tensor<16x128xf32>
  // CHECK: train.matmul_pair %{{.*}}, %{{.*}} transpose_a and %{{.*}}, %{{.*}} : (tensor<16x128xf32>, tensor<16x64xf32>), (tensor<128x4xf32>, tensor<4x64xf32>) -> tensor<128x64xf32>
  %la = train.constant dense<0.0> : tensor<4x64xf32>
  %pair2 = train.matmul_pair %y, %x transpose_a and %lb, %la
    : (tensor<16x128xf32>, tensor<16x64xf32>), (tensor<128x4xf32>, tensor<4x64xf32>) -> tensor<128x64xf32>
  // CHECK: %[[TOP:.*]] = train.slice_rows %{{.*}} from 4 : tensor<16x64xf32> -> tensor<4x64xf32>
  %top = train.slice_rows %x from 4 : tensor<16x64xf32> -> tensor<4x64xf32>
  // CHECK: train.slice_rows %{{.*}} from 15 : tensor<16xi32> -> tensor<1xi32>
  %last = train.slice_rows %ids from 15 : tensor<16xi32> -> tensor<1xi32>
  // CHECK: train.concat_rows %[[TOP]], %{{.*}} : tensor<4x64xf32>, tensor<16x64xf32> -> tensor<20x64xf32>
  %both = train.concat_rows %top, %x : tensor<4x64xf32>, tensor<16x64xf32> -> tensor<20x64xf32>
  // CHECK: train.matmul %{{.*}} : tensor<16x64xbf16>, tensor<16x64xbf16> -> tensor<16x16xf32>
  %xb = train.cast %x : tensor<16x64xf32> to tensor<16x64xbf16>
  %wide = train.matmul %xb, %xb transpose_b : tensor<16x64xbf16>, tensor<16x64xbf16> -> tensor<16x16xf32>
  // CHECK: train.embedding %{{.*}}, %{{.*}} : tensor<320x64xf32>, tensor<16xi32> -> tensor<16x64xf32>
  %e = train.embedding %table, %ids : tensor<320x64xf32>, tensor<16xi32> -> tensor<16x64xf32>
  // CHECK: train.embedding_grad %{{.*}}, %{{.*}} : tensor<16xi32>, tensor<16x64xf32> -> tensor<320x64xf32>
  %dt = train.embedding_grad %ids, %d : tensor<16xi32>, tensor<16x64xf32> -> tensor<320x64xf32>
  // CHECK: train.embedding_grad %{{.*}}, %{{.*}} onto %{{.*}} : tensor<320x64xf32>, tensor<16xi32>, tensor<16x64xf32> -> tensor<320x64xf32>
  %dt1 = train.embedding_grad %ids, %d onto %base : tensor<320x64xf32>, tensor<16xi32>, tensor<16x64xf32> -> tensor<320x64xf32>
  // CHECK: train.gather_row %{{.*}}, %{{.*}} : tensor<16x64xf32>, tensor<i64> -> tensor<1x64xf32>
  %g = train.gather_row %x, %i : tensor<16x64xf32>, tensor<i64> -> tensor<1x64xf32>
  train.return
}

// CHECK: train.entry @layers kind({{ ?}}micro)
train.entry @layers kind(micro) batch 2 sequence 8
    inputs ["x", "w", "d", "positions", "segment_starts", "cos", "sin", "k", "v"] outputs [] {
^bb0(%x: tensor<16x64xf32>, %w: tensor<64xf32>, %d: tensor<16x64xf32>, %pos: tensor<16xi32>, %starts: tensor<16xi32>,
     %cos: tensor<128x8xf32>, %sin: tensor<128x8xf32>, %k: tensor<16x32xf32>, %v: tensor<16x32xf32>):
  // CHECK: train.rms_norm %{{.*}}, %{{.*}} eps 1.000000e-05 : tensor<16x64xf32>, tensor<64xf32>
  %n = train.rms_norm %x, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
  // CHECK: train.rms_norm_grad %{{.*}}, %{{.*}}, %{{.*}} eps 1.000000e-05 : tensor<16x64xf32>, tensor<64xf32>
  %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
  // CHECK: train.multiply %{{.*}}, %{{.*}} : tensor<64xf32>
  %ww = train.multiply %w, %w : tensor<64xf32>
  // CHECK: train.rms_norm %{{.*}}, %{{.*}} eps {{.*}} : tensor<16x64xf32>, tensor<8xf32>
  %h8 = train.constant dense<1.0> : tensor<8xf32>
  %hn = train.rms_norm %x, %h8 eps 1.0e-6 : tensor<16x64xf32>, tensor<8xf32>
  // CHECK: train.rms_norm %{{.*}}, %{{.*}} eps {{.*}} zero_centered : tensor<16x64xf32>, tensor<64xf32>
  %zn = train.rms_norm %x, %w eps 1.0e-6 zero_centered : tensor<16x64xf32>, tensor<64xf32>
  // CHECK: train.rms_norm_grad %{{.*}}, %{{.*}}, %{{.*}} eps {{.*}} zero_centered : tensor<16x64xf32>, tensor<64xf32>
  %dzx, %dzw = train.rms_norm_grad %x, %w, %d eps 1.0e-6 zero_centered : tensor<16x64xf32>, tensor<64xf32>
  // CHECK: train.add_bias %{{.*}}, %{{.*}} : tensor<16x64xf32>, tensor<64xf32>
  %ab = train.add_bias %x, %ww : tensor<16x64xf32>, tensor<64xf32>
  // CHECK: train.column_sums %{{.*}} : tensor<16x64xf32> -> tensor<64xf32>
  %cs = train.column_sums %x : tensor<16x64xf32> -> tensor<64xf32>
  // CHECK: train.scale_columns %{{.*}} by %{{.*}} : tensor<16x64xf32>, tensor<64xf32>
  %sc = train.scale_columns %x by %ww : tensor<16x64xf32>, tensor<64xf32>
  // CHECK: train.scale_columns_grad %{{.*}}, %{{.*}}, %{{.*}} : tensor<16x64xf32>, tensor<64xf32>
  %dsc, %dww = train.scale_columns_grad %x, %ww, %d : tensor<16x64xf32>, tensor<64xf32>
  // CHECK: train.rotary %{{.*}} head_dim 16 : tensor<16x64xf32>, tensor<16xi32>, tensor<128x8xf32>, tensor<128x8xf32>
  %q = train.rotary %x, %pos, %cos, %sin head_dim 16 : tensor<16x64xf32>, tensor<16xi32>, tensor<128x8xf32>, tensor<128x8xf32>
  // CHECK: train.rotary %{{.*}} head_dim 16 inverse : tensor<16x64xf32>
  %back = train.rotary %q, %pos, %cos, %sin head_dim 16 inverse : tensor<16x64xf32>, tensor<16xi32>, tensor<128x8xf32>, tensor<128x8xf32>
  // CHECK: train.attention %{{.*}} batch 2 heads 4 kv_heads 2 scale 2.500000e-01 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
  %o, %lse = train.attention %q, %k, %v, %starts batch 2 heads 4 kv_heads 2 scale 0.25
    : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
  // CHECK: train.attention_grad %{{.*}} batch 2 heads 4 kv_heads 2 scale 2.500000e-01 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32>, tensor<16x4xf32>
  %dq, %dk, %dv = train.attention_grad %q, %k, %v, %starts, %o, %lse, %d batch 2 heads 4 kv_heads 2 scale 0.25
    : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32>, tensor<16x4xf32>
  // CHECK: train.attention %{{.*}} scale 2.500000e-01 window 4 softcap 5.000000e+01 : tensor<16x64xf32>
  %o2, %lse2 = train.attention %q, %k, %v, %starts batch 2 heads 4 kv_heads 2 scale 0.25 window 4 softcap 50.0
    : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
  // CHECK: train.attention_grad %{{.*}} scale 2.500000e-01 window 4 : tensor<16x64xf32>
  %dq2, %dk2, %dv2 = train.attention_grad %q, %k, %v, %starts, %o, %lse, %d batch 2 heads 4 kv_heads 2 scale 0.25 window 4
    : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32>, tensor<16x4xf32>
  // CHECK: train.attention_grad %{{.*}} scale 2.500000e-01 softcap 3.000000e+01 : tensor<16x64xf32>
  %dq3, %dk3, %dv3 = train.attention_grad %q, %k, %v, %starts, %o, %lse, %d batch 2 heads 4 kv_heads 2 scale 0.25 softcap 30.0
    : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32>, tensor<16x4xf32>
  train.return
}

// CHECK: train.entry @loss_and_updates kind({{ ?}}step)
train.entry @loss_and_updates kind(step) batch 2 sequence 8
    inputs ["logits", "labels", "inv_tokens", "p", "g", "m", "v", "learning_rate", "step", "base"] outputs [] {
^bb0(%logits: tensor<16x320xf32>, %labels: tensor<16xi32>, %inv: tensor<f32>, %p: tensor<64xf32>, %g: tensor<64xf32>,
     %m: tensor<64xf32>, %v: tensor<64xf32>, %lr: tensor<f32>, %step: tensor<i64>, %base: tensor<f32>):
  %one = train.constant dense<1.0> : tensor<f32>
  // CHECK: train.cross_entropy %{{.*}} ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  %loss, %count, %lse = train.cross_entropy %logits, %labels, %inv ignore -100
    : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<16xf32>
  // CHECK: train.cross_entropy_grad %{{.*}} ignore -100 : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>, tensor<f32>
  %d = train.cross_entropy_grad %logits, %labels, %lse, %inv, %one ignore -100
    : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>, tensor<f32>
  // CHECK: train.sum_squares %{{.*}} onto %{{.*}} : tensor<64xf32>, tensor<f32> -> tensor<f32>
  %s = train.sum_squares %g onto %base : tensor<64xf32>, tensor<f32> -> tensor<f32>
  // CHECK: train.clip_factor %{{.*}} max_norm 1.000000e+00 : tensor<f32> -> tensor<f32>, tensor<f32>
  %norm, %scale = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
  // CHECK: train.clip_factor %{{.*}} max_norm 0x7FF0000000000000 : tensor<f32>
  %norm1, %scale1 = train.clip_factor %s max_norm 0x7FF0000000000000 : tensor<f32> -> tensor<f32>, tensor<f32>
  // CHECK: train.sgd %{{.*}} with <weightDecay = 0.000000e+00 : f64> : tensor<64xf32>, tensor<f32>, tensor<f32>
  %p0 = train.sgd %p, %g, %lr, %scale with <weightDecay = 0.0 : f64>
    : tensor<64xf32>, tensor<f32>, tensor<f32>
  // CHECK: train.sgd_momentum %{{.*}} with <weightDecay = 0.000000e+00 : f64, momentum = 9.000000e-01 : f64, dampening = 0.000000e+00 : f64, nesterov = false> : tensor<64xf32>, tensor<64xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  %p2, %b2 = train.sgd_momentum %p, %g, %m, %lr, %step, %scale
    with <weightDecay = 0.0 : f64, momentum = 0.9 : f64, dampening = 0.0 : f64, nesterov = false>
    : tensor<64xf32>, tensor<64xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  // CHECK: train.first_step %{{.*}}, %{{.*}} at %{{.*}} : tensor<64xf32>, tensor<i64>
  %first = train.first_step %p, %m at %step : tensor<64xf32>, tensor<i64>
  // CHECK: train.stochastic_round %{{.*}}, %{{.*}}, %{{.*}} stream 7 : tensor<64xf32>, tensor<i64>, tensor<i64> -> tensor<64xbf16>
  %rounded = train.stochastic_round %p, %step, %step stream 7 : tensor<64xf32>, tensor<i64>, tensor<i64> -> tensor<64xbf16>
  // CHECK: train.adamw %{{.*}} with <weightDecay = 1.000000e-02 : f64, beta1 = 9.000000e-01 : f64, beta2 = {{[^ ]*}} : f64, eps = 1.000000e-08 : f64> : tensor<64xf32>, tensor<64xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  %p1, %m1, %v1 = train.adamw %p, %g, %m, %v, %lr, %step, %scale
    with <weightDecay = 0.01 : f64, beta1 = 0.9 : f64, beta2 = 0.999 : f64, eps = 1.0e-8 : f64>
    : tensor<64xf32>, tensor<64xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return
}

// CHECK-LABEL: train.entry @states
// CHECK: train.adamw_quantized %{{.*}} torchao_8bit with <weightDecay = 1.000000e-02 : f64, {{.*}}> : tensor<64x128xf32>, tensor<32x256xi8>, tensor<32xf32>, tensor<f32>, tensor<i64>, tensor<f32>
train.variable @states.codes : tensor<32x256xi8> state init #train.zeros
train.entry @states kind(step) batch 1 sequence 1 inputs ["p", "ms", "learning_rate", "step", "s"] outputs ["o"] {
^bb0(%p: tensor<64x128xf32>, %ms: tensor<32xf32>, %lr: tensor<f32>, %step: tensor<i64>, %s: tensor<f32>):
  %m = train.read @states.codes : tensor<32x256xi8>
  %o:5 = train.adamw_quantized %p, %p, %m, %ms, %m, %ms, %lr, %step, %s torchao_8bit
    with <weightDecay = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8>
    : tensor<64x128xf32>, tensor<32x256xi8>, tensor<32xf32>, tensor<f32>, tensor<i64>, tensor<f32>
  train.return %o#0 : tensor<64x128xf32>
}
