// RUN: ftc-opt %s --split-input-file --verify-diagnostics

%x = arith.constant dense<0.0> : tensor<8xf32>
// expected-error@+1 {{requires the same shape for all operands and results}}
%c = plan.encode %x with <format = torchao_8bit, isSigned = true> : tensor<8xf32> -> tensor<4xi8>

// -----

%x = arith.constant dense<0> : tensor<8xi8>
// expected-error@+1 {{requires the same shape for all operands and results}}
%c = plan.decode %x with <format = torchao_8bit, isSigned = true> : tensor<8xi8> -> tensor<4xf32>
