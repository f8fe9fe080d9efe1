// One case for each rule of the verifiers of attention.
// RUN: ftc-opt %s --split-input-file --verify-diagnostics

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>):
  // expected-error@+1 {{rows 16 are not a multiple of batch 3}}
  %y:2 = train.attention %q, %k, %k, %s batch 3 heads 4 kv_heads 2 scale 0.25 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>):
  // expected-error@+1 {{heads 4 are not a multiple of kv_heads 3}}
  %y:2 = train.attention %q, %k, %k, %s batch 2 heads 4 kv_heads 3 scale 0.25 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x16xf32>, %s: tensor<16xi32>):
  // expected-error@+1 {{columns of query 'tensor<16x64xf32>' and key 'tensor<16x16xf32>' do not agree with heads and kv_heads}}
  %y:2 = train.attention %q, %k, %k, %s batch 2 heads 4 kv_heads 2 scale 0.25 : tensor<16x64xf32>, tensor<16x16xf32>, tensor<16xi32> -> tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<8xi32>):
  // expected-error@+1 {{segment_starts is [rows] and lse is [rows, heads]}}
  %y:2 = train.attention %q, %k, %k, %s batch 2 heads 4 kv_heads 2 scale 0.25 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<8xi32> -> tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>):
  // expected-error@+1 {{segment_starts is [rows] and lse is [rows, heads]}}
  %y:2 = train.attention %q, %k, %k, %s batch 2 heads 4 kv_heads 2 scale 0.25 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<4x16xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>):
  // expected-error@+1 {{lse of 'tensor<16x64xf32>' cannot be 'tensor<16x4xf64>'; it is f64 for f64 and f32 otherwise}}
  %y:2 = train.attention %q, %k, %k, %s batch 2 heads 4 kv_heads 2 scale 0.25 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf64>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xbf16>, %s: tensor<16xi32>):
  // expected-error@+1 {{elements of query are 'f32' but those of key 'bf16'}}
  %y:2 = train.attention %q, %k, %k, %s batch 2 heads 4 kv_heads 2 scale 0.25 : tensor<16x64xf32>, tensor<16x32xbf16>, tensor<16xi32> -> tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>):
  // expected-error@+1 {{window 0 hides a token from itself; it must be at least 1}}
  %y:2 = train.attention %q, %k, %k, %s batch 2 heads 4 kv_heads 2 scale 0.25 window 0 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>):
  // expected-error@+1 {{softcap 0.000000e+00 is not a positive number}}
  %y:2 = train.attention %q, %k, %k, %s batch 2 heads 4 kv_heads 2 scale 0.25 softcap 0.0 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>):
  // expected-error@+1 {{softcap INF is not a positive number}}
  %y:2 = train.attention %q, %k, %k, %s batch 2 heads 4 kv_heads 2 scale 0.25 softcap 0x7FF0000000000000 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32> -> tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s", "l"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>, %l: tensor<16x4xf32>):
  // expected-error@+1 {{window -3 hides a token from itself; it must be at least 1}}
  %y:3 = train.attention_grad %q, %k, %k, %s, %q, %l, %q batch 2 heads 4 kv_heads 2 scale 0.25 window -3 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32>, tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s", "l"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>, %l: tensor<16x4xf32>):
  // expected-error@+1 {{softcap -5.000000e+00 is not a positive number}}
  %y:3 = train.attention_grad %q, %k, %k, %s, %q, %l, %q batch 2 heads 4 kv_heads 2 scale 0.25 softcap -5.0 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32>, tensor<16x4xf32>
  train.return
}

// -----

train.entry @e kind(step) batch 2 sequence 8 inputs ["q", "k", "s", "l"] outputs [] {
^bb0(%q: tensor<16x64xf32>, %k: tensor<16x32xf32>, %s: tensor<16xi32>, %l: tensor<16x4xf32>):
  // expected-error@+1 {{rows 16 are not a multiple of batch 3}}
  %y:3 = train.attention_grad %q, %k, %k, %s, %q, %l, %q batch 3 heads 4 kv_heads 2 scale 0.25 : tensor<16x64xf32>, tensor<16x32xf32>, tensor<16xi32>, tensor<16x4xf32>
  train.return
}

