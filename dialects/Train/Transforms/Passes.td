//===- Passes.td - Passes over the train dialect --------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_TRANSFORMS_PASSES_TD
#define FTC_TRAIN_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def AttachAdaptersPass : Pass<"train-attach-adapters", "::mlir::ModuleOp"> {
  let summary = "puts low-rank adapters beside the chosen projections and freezes the rest";
  let description = [{
    Reads the module's `train.adapters` (`#train.lora`); without that attribute the pass does nothing. Every parameter
    becomes frozen. A linear layer `y = x W^T` whose weight `<module>.weight` is a target (the module's last word is in
    `targets`) becomes `y = x W^T + (scale * x A^T) B^T`, in every entry, with the new trainable parameters
    `<module>.lora_A.weight`, `[rank, inputs]`, uniform in ±1/sqrt(inputs), and `<module>.lora_B.weight`,
    `[outputs, rank]`, zero (Hu et al. 2021; names and initialization as in PEFT). The scale multiplies the narrow factor,
    so it costs no pass over memory as wide as y. Runs before `train-differentiate`, which then gives frozen weights
    neither gradients nor states, and keeps no activation that only they would need.

    Ops marked `train.reference`, the model as it was before training, get no adapters: with `train.preference_loss` both stand in
    one entry, over the same frozen weights.

    With a `dropout`, entries of kind `step` and `micro` put `train.dropout` in front of A, with the stream
    `<module>.lora_dropout`; their inputs `seed`, `step` and `micro` feed it. Other entries do not drop anything.

    With `magnitudes` (DoRA, Liu et al. 2024), y is then scaled column by column by `m / ||W + scale * B A||`: the new trainable
    `<module>.lora_magnitude_vector`, `[outputs]`, starts as the norms of W's rows, and the norm is taken from three small
    products (`train.inverse_norm`), so the adapted weight is never made. The constant `<module>.weight_norm` keeps the norms
    of W's rows.

    Before:

    ```mlir
    module attributes {train.adapters = #train.lora<rank = 8, scale = 2.0, targets = ["q_proj"]>} {
    train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02> trainable
    ...
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    ```

    After:

    ```mlir
    train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02>
    train.variable @q_proj.lora_A.weight : tensor<8x64xf32> parameter init #train.uniform<0.125> trainable
    train.variable @q_proj.lora_B.weight : tensor<128x8xf32> parameter init #train.zeros trainable
    ...
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %y0 = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %a = train.read @q_proj.lora_A.weight : tensor<8x64xf32>
    %b = train.read @q_proj.lora_B.weight : tensor<128x8xf32>
    %xa = train.matmul %x, %a transpose_b : tensor<16x64xf32>, tensor<8x64xf32> -> tensor<16x8xf32>
    %two = train.constant dense<2.0> : tensor<f32>
    %sxa = train.scale %xa by %two : tensor<16x8xf32>, tensor<f32>
    %d = train.matmul %sxa, %b transpose_b : tensor<16x8xf32>, tensor<128x8xf32> -> tensor<16x128xf32>
    %y = train.add %y0, %d : tensor<16x128xf32>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def FakeQuantizePass : Pass<"train-fake-quantize", "::mlir::ModuleOp"> {
  let summary = "lets linear layers compute in the numbers of a quantized model";
  let description = [{
    Reads the module's `train.fake_quantize` (`#train.qat`); without that attribute the pass does nothing. Of a linear layer `y = x W^T` the
    product reads `train.fake_quantize` of W, by groups of a row, and where the attribute says `activations`, of x, by rows. Nothing
    else does: x goes to an adapter as it is, and W is trained and kept as it is. Gradients go straight through.

    With `train.adapters` these are the layers that have adapters, as torchtune's `qat_lora_finetune_distributed` has it; each must have a
    multiple of `group` inputs. Without, as torchtune's `qat_distributed`, all whose weight is not the table of embeddings too and that
    have no bias; one with int4_symmetric weights whose inputs are not a multiple of `group` stays as it is.

    With `after`, entries of kind `step` and `micro` compute without in the first steps; their input `step` says which it is. Other
    entries always compute with. Runs behind `train-attach-adapters` and before `train-differentiate`.

    Before:

    ```mlir
    module attributes {train.fake_quantize = #train.qat<weights = int4_symmetric, group = 32, activations = true>} {
    ...
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    ```

    After:

    ```mlir
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %xq = train.fake_quantize %x int8_asymmetric group 64 : tensor<16x64xf32>
    %wq = train.fake_quantize %w int4_symmetric group 32 : tensor<128x64xf32>
    %y = train.matmul %xq, %wq transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def QuantizeFrozenPass : Pass<"train-quantize-frozen", "::mlir::ModuleOp"> {
  let summary = "keeps frozen weights in four bits";
  let description = [{
    Reads the module's `train.quantize` (`#train.quantize`); without that attribute the pass does nothing. Each frozen matrix
    `<module>.weight` whose module's last word is a target gets elements of type `!train.nf4` (QLoRA, Dettmers et al. 2023).
    Products read it as it is: it is decoded while it is packed, and never whole. With `reference = true` the weights are those
    of variables of that role, which are frozen beside parameters that are trained. Runs behind `train-attach-adapters`, which
    freezes, and before `train-differentiate`.

    Before:

    ```mlir
    module attributes {train.quantize = #train.quantize<bitsandbytes, targets = ["q_proj"]>} {
    train.variable @q_proj.weight : tensor<128x64xf32> parameter init #train.normal<0.02>
    ...
    %w = train.read @q_proj.weight : tensor<128x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    ```

    After:

    ```mlir
    train.variable @q_proj.weight : tensor<128x64x!train.nf4<bitsandbytes, f32>> parameter init #train.normal<0.02>
    ...
    %w = train.read @q_proj.weight : tensor<128x64x!train.nf4<bitsandbytes, f32>>
    %y = train.matmul %x, %w transpose_b
      : tensor<16x64xf32>, tensor<128x64x!train.nf4<bitsandbytes, f32>> -> tensor<16x128xf32>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def DifferentiatePass : Pass<"train-differentiate", "::mlir::ModuleOp"> {
  let summary = "builds the backward graph of each train.loss";
  let description = [{
    Replaces each `train.loss` by the gradients of all trainable variables, in reverse order of the forward ops, and a
    `train.update` for each. What it builds is marked `train.backward`. Ops state their own vector-Jacobian products (`DifferentiableOpInterface`). Only what leads
    from a trainable variable to the loss is differentiated: frozen variables get no gradient, and no value is kept that
    only they would need. A value used more than once gets the sum of its uses' gradients, last use first.

    Before:

    ```mlir
    %w = train.read @w : tensor<128x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %loss, %n, %lse = train.cross_entropy %y, %labels, %inv ignore -100 : ...
    train.loss %loss : tensor<f32>
    ```

    After:

    ```mlir
    %w = train.read @w : tensor<128x64xf32>
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %loss, %n, %lse = train.cross_entropy %y, %labels, %inv ignore -100 : ...
    %one = train.constant dense<1.0> : tensor<f32>
    %dy = train.cross_entropy_grad %y, %labels, %lse, %inv, %one ignore -100 : ...
    %dw = train.matmul %dy, %x transpose_a : tensor<16x128xf32>, tensor<16x64xf32> -> tensor<128x64xf32>
    train.update @w, %dw : tensor<128x64xf32>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def ChunkLossPass : Pass<"train-chunk-loss", "::mlir::ModuleOp"> {
  let summary = "computes head and loss by chunks of rows: the logits are never whole";
  let description = [{
    Runs behind differentiation, where everything that touches the logits is in sight: the product of the head, the
    cross-entropy, its gradient, and the products that take the gradient to the hidden states and to the weight. All of
    these are done for one chunk of rows before the next begins, so one chunk of logits is alive at a time, forward and
    backward, and the product of the head is computed once. Values that have a row for each token are cut
    (`train.slice_rows`) and put together again (`train.concat_rows`); neither moves data. Sums over rows grow chunk by
    chunk: the weight's gradient by `train.matmul ... onto`, loss and count of tokens by `train.add`. Adapters beside the
    head and casts of the logits are chunked with it. An entry without gradients gets the forward part alone.

    The gradient of `train.label_log_probs` depends on sums over all its rows (a preference's slope), so its chunks can begin only
    when the last chunk of log-probabilities is made. The product of the head, and what else leads to the logits, is then copied for
    the backward chunks (`train.recompute`): one more product of the head, instead of logits that stay whole.

    The module's `train.loss_chunks` is the number of chunks; without it the pass does nothing. Chunks have
    rows / chunks rows, rounded up; the last may have fewer. 0 leaves the number to the pass: as many rows as make a chunk
    of logits about as large as all the rows that enter the head; at least 256, since products of fewer rows are slower; and so
    many that reading the head's weight, and reading and writing its gradient, for each chunk takes at most an eighth of the time
    of its products on the device that the module is for (`ftc.link`), up to a quarter of all rows. On an H200 these are some
    2200 rows in bf16, on a CPU fewer than 256. Then rounded up to a multiple of 64. Of entries that differ in their rows, those
    with fewer take chunks that are no larger than those of the one with most, so that they take no more memory.

    Sums over rows are added in another order: loss and gradients agree with the whole loss within 1e-6 relative in fp32. In
    bf16 the weight's gradient is rounded once a chunk, as where a framework accumulates it.

    Told as a remark with the bytes of logits saved; where something else needs the logits whole, they stay whole, and the
    remark says why.

    Before, with `train.loss_chunks = 2`:

    ```mlir
    %y = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<320x64xf32> -> tensor<16x320xf32>
    %loss, %n, %lse = train.cross_entropy %y, %labels, %inv ignore -100 : ...
    %dy = train.cross_entropy_grad %y, %labels, %lse, %inv, %one ignore -100 : ...
    %dx = train.matmul %dy, %w : tensor<16x320xf32>, tensor<320x64xf32> -> tensor<16x64xf32>
    %dw = train.matmul %dy, %x transpose_a : tensor<16x320xf32>, tensor<16x64xf32> -> tensor<320x64xf32>
    ```

    After:

    ```mlir
    %x0 = train.slice_rows %x from 0 : tensor<16x64xf32> -> tensor<8x64xf32>
    %y0 = train.matmul %x0, %w transpose_b : tensor<8x64xf32>, tensor<320x64xf32> -> tensor<8x320xf32>
    %l0 = train.slice_rows %labels from 0 : tensor<16xi32> -> tensor<8xi32>
    %loss0, %n0, %lse0 = train.cross_entropy %y0, %l0, %inv ignore -100 : ...
    %dy0 = train.cross_entropy_grad %y0, %l0, %lse0, %inv, %one ignore -100 : ...
    %dx0 = train.matmul %dy0, %w : tensor<8x320xf32>, tensor<320x64xf32> -> tensor<8x64xf32>
    %dw0 = train.matmul %dy0, %x0 transpose_a : tensor<8x320xf32>, tensor<8x64xf32> -> tensor<320x64xf32>
    %x1 = train.slice_rows %x from 8 : tensor<16x64xf32> -> tensor<8x64xf32>
    ...
    %dw = train.matmul %dy1, %x1 transpose_a onto %dw0
      : tensor<320x64xf32>, tensor<8x320xf32>, tensor<8x64xf32> -> tensor<320x64xf32>
    %loss = train.add %loss0, %loss1 : tensor<f32>
    %n = train.add %n0, %n1 : tensor<i32>
    %dx = train.concat_rows %dx0, %dx1 : tensor<8x64xf32>, tensor<8x64xf32> -> tensor<16x64xf32>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def AccumulateGradientsPass : Pass<"train-accumulate-gradients", "::mlir::ModuleOp"> {
  let summary = "sums gradients over the micro-batches of a step";
  let description = [{
    Where the module has a `micro` entry: every parameter that is updated gets an accumulator `<parameter>.grad` of its type.
    The `micro` entry writes the sum of its gradient and those before it; the `step` entry, which runs the last
    micro-batch, adds its own gradient and updates with the total. The first micro-batch overwrites. Runs before
    clipping, which then sees whole gradients. Without a `micro` entry the pass does nothing.

    Before:

    ```mlir
    train.entry @micro kind(micro) ... {
      train.update @w, %dw : tensor<64xf32>
    }
    train.entry @step kind(step) ... {
      train.update @w, %dw : tensor<64xf32>
    }
    ```

    After:

    ```mlir
    train.variable @w.grad : tensor<64xf32> accumulator init #train.zeros
    train.entry @micro kind(micro) ... {
      %s = train.read @w.grad : tensor<64xf32>
      %s1 = train.accumulate %dw onto %s at %micro : tensor<64xf32>, tensor<i64>
      train.write @w.grad, %s1 : tensor<64xf32>
    }
    train.entry @step kind(step) ... {
      %s = train.read @w.grad : tensor<64xf32>
      %total = train.accumulate %dw onto %s at %micro : tensor<64xf32>, tensor<i64>
      train.update @w, %total : tensor<64xf32>
    }
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def ClipGradientsPass : Pass<"train-clip-gradients", "::mlir::ModuleOp"> {
  let summary = "scales all updates by the clipping factor of the global norm";
  let description = [{
    In each entry with `train.update`s: chains `train.sum_squares` over all gradients, computes the norm and the factor,
    gives the factor to every update, and returns the norm as output `grad_norm`. All gradients are alive at once then.
    The bound is the module's `train.clip_grad_norm` (infinite: the norm is computed and nothing is scaled); without
    that attribute the pass does nothing.

    Before:

    ```mlir
    train.update @w, %dw : tensor<128x64xf32>
    train.return %loss : tensor<f32>
    ```

    After:

    ```mlir
    %zero = train.constant dense<0.0> : tensor<f32>
    %s = train.sum_squares %dw onto %zero : tensor<128x64xf32>, tensor<f32> -> tensor<f32>
    %norm, %factor = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
    train.update @w, %dw scale %factor : tensor<128x64xf32>, tensor<f32>
    train.return %loss, %norm : tensor<f32>, tensor<f32>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def FuseUpdatesPass : Pass<"train-fuse-updates", "::mlir::ModuleOp"> {
  let summary = "places updates among the gradients, so that a gradient need not wait for the others";
  let description = [{
    Reads the module's `train.updates` (`#train.updates`); without that attribute the pass does nothing.

    - `backward`: an update stands right behind its gradient, which dies there, and behind what still reads the variable, so
      that the new value can take the old one's place. Under clipping the factor is known only when
      all gradients are, so updates that have a scale stay behind it, and their gradients are held. Where the norm is only
      reported (an infinite bound), squares are summed next to each gradient, and updates need not wait.
    - `end`: all updates stand behind the last gradient, and all gradients are held until then.
    - `two_passes`: as `backward`, but where updates have a scale the backward graph runs twice: each gradient is made,
      reduced to its sum of squares and dropped; when the factor is known, it is made again and updates its variable at
      once. Activations are kept for both; what `train-insert-remat` computes again is computed in both, and of a loss in
      chunks the logits are made in both.

    No placement changes a bit: sums of squares are added in the same order, and both passes compute the same gradients.
    Copies read activations through `train.delay ... until` the factor, so that they stay apart from the first pass, and are
    marked `train.recompute`.

    Runs behind `train-insert-remat` and in front of `train-lower-optimizer`. Each gradient is told as a remark, with its
    bytes; the second pass with the operations that it costs.

    Before (`two_passes`):

    ```mlir
    %dy = train.cross_entropy_grad %y, ... {train.backward} : ...
    %dw = train.matmul %dy, %x transpose_a {train.backward} : ...
    %s = train.sum_squares %dw onto %zero : tensor<128x64xf32>, tensor<f32> -> tensor<f32>
    %norm, %factor = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
    train.update @w, %dw scale %factor : tensor<128x64xf32>, tensor<f32>
    ```

    After:

    ```mlir
    %dy = train.cross_entropy_grad %y, ... {train.backward} : ...
    %dw = train.matmul %dy, %x transpose_a {train.backward} : ...
    %s = train.sum_squares %dw onto %zero : tensor<128x64xf32>, tensor<f32> -> tensor<f32>
    %norm, %factor = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
    %y1 = train.delay %y until %factor : tensor<16x128xf32>, tensor<f32>
    %dy1 = train.cross_entropy_grad %y1, ... {train.backward, train.recompute} : ...
    %dw1 = train.matmul %dy1, %x transpose_a {train.backward, train.recompute} : ...
    train.update @w, %dw1 scale %factor : tensor<128x64xf32>, tensor<f32>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def LowerOptimizerPass : Pass<"train-lower-optimizer", "::mlir::ModuleOp"> {
  let summary = "replaces updates by the optimizer's op, declaring its states";
  let description = [{
    Reads the module's `train.optimizer` (`#train.sgd`, `#train.sgd_momentum` or `#train.adamw`). States are variables
    called `<parameter>.exp_avg` and `<parameter>.exp_avg_sq`, or `<parameter>.momentum_buffer`, zero at the start, of the
    type that is updated as in PyTorch, or of `train.state_type`. The entry's `learning_rate` and `step` inputs feed the op.

    With `train.quantized_states`, a moment of 4096 elements or more, in whole blocks of 256 (128 for four bits), is `<moment>.codes` and
    `<moment>.scale`, and the op is `train.adamw_quantized`.

    A bf16 parameter is updated in f32 and rounded afterwards in two cases. `train.master_weights`: the unrounded value is
    a state, `<parameter>.master`, which starts as the parameter. `train.stochastic_rounding`: there is no such state, and
    the rounding is random, by the entry's `seed` and `step` and the parameter's name. Parameters of other types have
    nothing to round, and are updated as always. A remark on each entry sums up which states it keeps.

    Before:

    ```mlir
    train.update @w, %dw : tensor<128x64xf32>
    ```

    After:

    ```mlir
    %m = train.read @w.exp_avg : tensor<128x64xf32>
    %v = train.read @w.exp_avg_sq : tensor<128x64xf32>
    %p, %m1, %v1 = train.adamw %w, %dw, %m, %v, %lr, %step, %one with <...> : ...
    train.write @w, %p : tensor<128x64xf32>
    train.write @w.exp_avg, %m1 : tensor<128x64xf32>
    train.write @w.exp_avg_sq, %v1 : tensor<128x64xf32>
    ```

    With master weights, for a bf16 parameter:

    ```mlir
    %w32 = train.cast %w : tensor<128x64xbf16> to tensor<128x64xf32>
    %dw32 = train.cast %dw : tensor<128x64xbf16> to tensor<128x64xf32>
    %kept = train.read @w.master : tensor<128x64xf32>
    %master = train.first_step %w32, %kept at %step : tensor<128x64xf32>, tensor<i64>
    %p, %m1, %v1 = train.adamw %master, %dw32, ...
    train.write @w.master, %p : tensor<128x64xf32>
    %w1 = train.cast %p : tensor<128x64xf32> to tensor<128x64xbf16>
    train.write @w, %w1 : tensor<128x64xbf16>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def FuseSumsPass : Pass<"train-fuse-sums", "::mlir::ModuleOp"> {
  let summary = "adds products where they are stored";
  let description = [{
    A `train.matmul` whose one reader is a `train.add` becomes a `train.matmul ... onto` of the other operand, if that exists
    by then: sums of gradients, residual streams, adapters. The product is not written and read again, and what it is added
    to may be overwritten in place. The sum is rounded once, not twice: the same bits in fp32 on the CPU, half a unit in the
    last place closer in bf16.

    A `train.embedding_grad` that is only added to a table becomes one `onto` that table, as of tied embeddings: there is no second
    table. The rows are added to the table one by one instead of to zeros: in fp32 sums differ by as many units in the last place
    as a row has terms, in bf16 likewise.

    Each sum of a product is told as a remark with the bytes of memory traffic saved, each product that stays apart with the reason.

    Before:

    ```mlir
    %d = train.matmul %x, %b transpose_b : tensor<16x8xf32>, tensor<128x8xf32> -> tensor<16x128xf32>
    %y = train.add %y0, %d : tensor<16x128xf32>
    ```

    After:

    ```mlir
    %y = train.matmul %x, %b transpose_b onto %y0
      : tensor<16x128xf32>, tensor<16x8xf32>, tensor<128x8xf32> -> tensor<16x128xf32>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def PairProductsPass : Pass<"train-pair-products", "::mlir::ModuleOp"> {
  let summary = "puts products of a few terms into the wide products that they are added to";
  let description = [{
    Two `train.matmul`, one of which is `onto` the other, become one `train.matmul_pair` if the narrower has at most 64 terms
    and a quarter of the other's: a low-rank adapter beside its layer, forward and backward. The result is written once, not written, read and written again.
    It is rounded once, not twice: the same bits in fp32 on the CPU where nothing else is added.

    Each pair is told as a remark with the bytes of memory traffic saved, each narrow product that stays apart with the
    reason. For targets whose products take a second one: the CPU's.

    Before:

    ```mlir
    %y0 = train.matmul %x, %w transpose_b : tensor<16x64xf32>, tensor<128x64xf32> -> tensor<16x128xf32>
    %y = train.matmul %xa, %b transpose_b onto %y0
      : tensor<16x128xf32>, tensor<16x8xf32>, tensor<128x8xf32> -> tensor<16x128xf32>
    ```

    After:

    ```mlir
    %y = train.matmul_pair %x, %w transpose_b and %xa, %b transpose_d
      : (tensor<16x64xf32>, tensor<128x64xf32>), (tensor<16x8xf32>, tensor<128x8xf32>) -> tensor<16x128xf32>
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def InsertRematPass : Pass<"train-insert-remat", "::mlir::ModuleOp"> {
  let summary = "computes activations again in the backward graph instead of keeping them";
  let description = [{
    Activation checkpointing. A value of a layer's forward graph (`train.layer`) that a backward op reads would be kept from
    one pass to the other. Of the layers that the module's `train.remat` chooses, the pass copies the ops that make such
    values to right before the first backward op that reads them:

    - `full`: all ops of the layer that lead to one. What ops outside the layer read too (its output, the next layer's input)
      is kept, so that one value a layer remains.
    - `selective`: row-wise ops and rotary, which cost no more than the memory traffic of their operands, where these are
      kept anyway or are themselves computed again. Products and attention are kept.
    - `budget, bytes = N`: what costs the least time among all choices that keep at most N bytes of all layers for the backward
      graph, products and attention included. For each distinct layer the corners of its trade of bytes for seconds are found as
      minimum cuts; one corner is taken for each layer so that all together cost least. What is told has the time estimated for
      the copies and a bound below which no choice can be. With the module's `train.offload_activations`, values may leave for
      the far tier as well: a byte that does makes room for another, at the price of what two copies take of the computation's time,
      and of waiting where the link, either way, has no time left beside the computation. Those that do are marked
      (`train.away`) for `train-offload-activations`; those of the first layers, which have most time.
    - `every = k`: of each k layers the last; what the other layers keep stays kept.

    What is fake-quantized of a variable in any layer is always computed again: the variable is there, and all of these together
    would be a second copy of the weights. Without the attribute, and without such a value, the pass does nothing. What no
    backward op needs is not copied: frozen parameters have no gradient that would ask for it.

    A copy reads kept values through `train.delay`, which makes it depend on the gradient that is there when it is needed. So
    CSE does not find the original again, and `train-form-kernels` cannot group the copy with forward ops, whatever runs
    afterwards. No result changes in any bit. Copies are marked `train.recompute`. Each is told as a remark with the bytes
    that need not be kept and the operations that it costs, each value that is kept with the reason.

    Before (`selective`):

    ```mlir
    %n = train.rms_norm %x, %w eps 1.0e-5 {train.layer = 0 : i64} : tensor<16x64xf32>, tensor<64xf32>
    %y = train.matmul %n, %v transpose_b {train.layer = 0 : i64} : ...
    ...
    %dv = train.matmul %dy, %n transpose_a {train.backward} : ...
    %dx, %dw = train.rms_norm_grad %x, %w, %dn eps 1.0e-5 {train.backward} : ...
    ```

    After:

    ```mlir
    %n = train.rms_norm %x, %w eps 1.0e-5 {train.layer = 0 : i64} : tensor<16x64xf32>, tensor<64xf32>
    %y = train.matmul %n, %v transpose_b {train.layer = 0 : i64} : ...
    ...
    %x1 = train.delay %x until %dy : tensor<16x64xf32>, tensor<16x128xf32>
    %n1 = train.rms_norm %x1, %w eps 1.0e-5 {train.recompute} : tensor<16x64xf32>, tensor<64xf32>
    %dv = train.matmul %dy, %n1 transpose_a {train.backward} : ...
    %dx, %dw = train.rms_norm_grad %x, %w, %dn eps 1.0e-5 {train.backward} : ...
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def FormKernelsPass : Pass<"train-form-kernels", "::mlir::ModuleOp"> {
  let summary = "groups row-wise ops that hand values to each other into train.fused";
  let description = [{
    Ops with `RowWiseOpInterface` that agree on rows and on columns become one kernel where a value passes between them:
    it stays in registers or cache, and reaches memory only if an op outside reads it. Legal when

    - every value that passes inside the group is a row result read as a row operand (a norm's weight gradient or a sum of
      squares may end a group, but nothing in it reads them);
    - no path leads out of the group and back in;
    - the group has at most one optimizer op: updates of different parameters stay apart.

    A row-wise op that shares no value with another stays as it is. No result changes in any bit. Each group is told as a
    remark with the bytes of memory traffic that it saves, each value that still passes through memory with the reason.

    Before:

    ```mlir
    %h = train.add %x, %y : tensor<16x64xf32>
    %n = train.rms_norm %h, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
    ```

    After, where `%h` is read elsewhere too:

    ```mlir
    %f:2 = train.fused(%a = %x, %b = %y, %c = %w)
        : (tensor<16x64xf32>, tensor<16x64xf32>, tensor<64xf32>) -> (tensor<16x64xf32>, tensor<16x64xf32>) {
      %h = train.add %a, %b : tensor<16x64xf32>
      %n = train.rms_norm %h, %c eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
      train.yield %h, %n : tensor<16x64xf32>, tensor<16x64xf32>
    }
    ```
  }];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def PageStatesPass : Pass<"train-page-states", "::mlir::ModuleOp"> {
  let summary = "moves large optimizer states to the far tier";
  let description = [{
    Paged optimizers. With the module's `train.page_states`, every state of at least `min-elements` elements becomes `far`;
    bitsandbytes pages states of 100 000 elements and more. Nothing else changes: `plan-stream-far-variables` puts near
    buffers around their uses. Each state is told as a remark: moved, with the bytes that leave near memory, or too small.

    Before:

    ```mlir
    train.variable @w.exp_avg : tensor<4096x64xf32> state init #train.zeros
    ```

    After:

    ```mlir
    train.variable @w.exp_avg : tensor<4096x64xf32> state init #train.zeros far
    ```
  }];
  let options = [Option<"minElements", "min-elements", "int64_t", "100000", "elements of the smallest state that moves">];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

def OffloadActivationsPass : Pass<"train-offload-activations", "::mlir::ModuleOp"> {
  let summary = "brings activations to the far tier between forward and backward";
  let description = [{
    With the module's `train.offload_activations`: of the values that forward ops make and backward ops read, those go to the far
    tier behind their op that are large and that the link can bring away and back in time; they come back early enough for
    their first backward reader, and not earlier. What is needed at once (the last layers), the smallest, and what the entry
    returns stay. Analysis/Offload.h says which, with the times of Analysis/Link.h.

    Within a budget (`train.remat`), `train-insert-remat` has chosen instead: what it has marked (`train.away`) leaves, no more
    and no less. The first backward op then waits until all is gone (`by_backward`), copies back begin as late as the link's
    queue lets them, and how long the entry waits for the link is told.

    Runs behind `train-form-kernels`: the order of the ops is taken for the order of launches. Works alone, and behind
    `train-insert-remat`, whose copies read what comes back. No result changes in any bit. Each value is told as a remark with
    its bytes and the microseconds that the link needs for it, each that stays with the reason.

    Before:

    ```mlir
    %n = train.rms_norm %x, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
    %y = train.matmul %n, %v transpose_b : ...
    ...
    %dy = train.add %da, %db : tensor<16x128xf32> {train.backward}
    ...
    %dv = train.matmul %dy, %n transpose_a {train.backward} : ...
    ```

    After:

    ```mlir
    %n = train.rms_norm %x, %w eps 1.0e-5 : tensor<16x64xf32>, tensor<64xf32>
    %f = train.offload %n : tensor<16x64xf32>
    %y = train.matmul %n, %v transpose_b : ...
    ...
    %dy = train.add %da, %db : tensor<16x128xf32> {train.backward}
    %n1 = train.prefetch %f until %dy : tensor<16x64xf32>, tensor<16x128xf32>
    ...
    %dv = train.matmul %dy, %n1 transpose_a {train.backward} : ...
    ```
  }];
  let options = [Option<"linkRate", "link-bytes-per-second", "double", "0", "rate of the link; 0: that of Analysis/Link.h">];
  let dependentDialects = ["::ftc::train::TrainDialect"];
}

#endif // FTC_TRAIN_TRANSFORMS_PASSES_TD
