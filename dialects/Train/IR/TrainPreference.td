//===- TrainPreference.td - Losses of pairs of answers --------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Part of TrainOps.td, which includes it. Preference optimization (DPO, Rafailov et al., "Direct Preference Optimization:
// Your Language Model is Secretly a Reward Model", 2023) trains on pairs of answers, of which one is preferred: a batch of
// 2 N sequences is N chosen answers, then the N rejected ones, in the same order.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_PREFERENCE_TD
#define FTC_TRAIN_PREFERENCE_TD

def Train_Numbers : Train_StaticTensor<[F32, F64], [1], "vector of numbers that are kept in full precision">;

def LabelLogProbsOp : Train_PureOp<"label_log_probs", [RowWise, Differentiable]> {
  let summary = "the log-probability of each row's label";
  let description = [{
    `log_probs[r] = logits[r, labels[r]] - lse[r]`, where lse is the log-sum-exp of the row in fp32; 0 where labels[r] is
    `ignore_index`. Row by row, so that logits may be made and used by chunks of rows.

    ```mlir
    %p, %lse = train.label_log_probs %logits, %labels ignore -100
      : tensor<16x320xf32>, tensor<16xi32> -> tensor<16xf32>, tensor<16xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$logits, Train_Ids:$labels, I64Attr:$ignore_index);
  let results = (outs Train_Numbers:$log_probs, Train_Numbers:$lse);
  let assemblyFormat = [{
    $logits `,` $labels `ignore` $ignore_index `:` type($logits) `,` type($labels) `->` type($log_probs) `,` type($lse)
    attr-dict
  }];
  let hasVerifier = 1;
}

def LabelLogProbsGradOp : Train_PureOp<"label_log_probs_grad", [AllTypesMatch<["logits", "result"]>, RowWise]> {
  let summary = "gradient of the logits of train.label_log_probs";
  let description = [{
    `gradient[r] * (onehot(labels[r]) - exp(logits[r] - lse[r]))` for rows with a label, zero for the others.

    ```mlir
    %d = train.label_log_probs_grad %logits, %labels, %lse, %g ignore -100
      : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<16xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$logits, Train_Ids:$labels, Train_Numbers:$lse, Train_Numbers:$gradient,
                       I64Attr:$ignore_index);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = [{
    $logits `,` $labels `,` $lse `,` $gradient `ignore` $ignore_index `:` type($logits) `,` type($labels) `,` type($lse)
    `,` type($gradient) attr-dict
  }];
  let hasVerifier = 1;
}

def SequenceSumsOp : Train_PureOp<"sequence_sums", [AllTypesMatch<["sums", "counts"]>, Differentiable]> {
  let summary = "sums over the tokens of each sequence, and how many of them have a label";
  let description = [{
    Of `batch` sequences of as many tokens each: `sums[s] = sum over the tokens of sequence s of input[t]`, and `counts[s]` is
    the number of its tokens with `labels[t] != ignore_index`. What the input holds at tokens without a label is added too; of
    `train.label_log_probs` that is 0. The sums are the log-probabilities of whole answers.

    ```mlir
    %s, %n = train.sequence_sums %p, %labels batch 2 ignore -100 : tensor<16xf32>, tensor<16xi32> -> tensor<2xf32>
    ```
  }];
  let arguments = (ins Train_Numbers:$input, Train_Ids:$labels, I64Attr:$batch, I64Attr:$ignore_index);
  let results = (outs Train_Numbers:$sums, Train_Numbers:$counts);
  let assemblyFormat = [{
    $input `,` $labels `batch` $batch `ignore` $ignore_index `:` type($input) `,` type($labels) `->` type($sums) attr-dict
  }];
  let hasVerifier = 1;
}

def SequenceSpreadOp : Train_PureOp<"sequence_spread", []> {
  let summary = "a sequence's number for each of its tokens: the gradient of train.sequence_sums";
  let description = [{
    `result[t] = input[s]` for each token t of sequence s; the rows of the result are a multiple of those of the input.

    ```mlir
    %g = train.sequence_spread %d : tensor<2xf32> -> tensor<16xf32>
    ```
  }];
  let arguments = (ins Train_Numbers:$input);
  let results = (outs Train_Numbers:$result);
  let assemblyFormat = "$input `:` type($input) `->` type($result) attr-dict";
  let hasVerifier = 1;
}

def PreferenceLossOp : Train_PureOp<"preference_loss", [
    AllTypesMatch<["policy", "reference", "counts"]>, AllTypesMatch<["inv_pairs", "loss"]>, Differentiable]> {
  let summary = "the loss of pairs of answers, times a scalar";
  let description = [{
    `policy` and `reference` are log-probabilities of 2 N answers by the model that is trained and by the one that it started
    from: N chosen ones, then the N rejected. With `z = (policy[i] - policy[N + i]) - (reference[i] - reference[N + i])` and
    x = beta * z, a pair costs

    - `sigmoid`: `(1 - label_smoothing) * softplus(-x) + label_smoothing * softplus(x)` (DPO, Rafailov et al. 2023, equation 7;
      with smoothing Mitchell's conservative DPO, 2023), softplus(x) = log(1 + exp(x));
    - `hinge`: `max(0, 1 - x)` (RSO, Liu et al., "Statistical Rejection Sampling Improves Preference Optimization", 2023).

    `loss` is the sum over the pairs of which an answer has a label (`counts`, of train.sequence_sums, above 0), times
    `inv_pairs`; `pairs` is their number. Pairs without a label are padding.

    ```mlir
    %loss, %n = train.preference_loss sigmoid %policy, %reference, %counts, %inv beta 0.1 label_smoothing 0.0
      : tensor<8xf32>, tensor<f32> -> tensor<i32>
    ```
  }];
  let arguments = (ins Train_PreferenceKindAttr:$kind, Train_Numbers:$policy, Train_Numbers:$reference,
                       Train_Numbers:$counts, Train_Scalar:$inv_pairs, F64Attr:$beta, F64Attr:$label_smoothing);
  let results = (outs Train_Scalar:$loss, 0DTensorOf<[I32]>:$pairs);
  let assemblyFormat = [{
    $kind $policy `,` $reference `,` $counts `,` $inv_pairs `beta` $beta `label_smoothing` $label_smoothing `:`
    type($policy) `,` type($inv_pairs) `->` type($pairs) attr-dict
  }];
  let hasVerifier = 1;
}

def PreferenceLossGradOp : Train_PureOp<"preference_loss_grad", [
    AllTypesMatch<["policy", "reference", "counts", "result"]>, AllTypesMatch<["inv_pairs", "gradient"]>]> {
  let summary = "gradient of the policy's log-probabilities of train.preference_loss";
  let description = [{
    With x as there and d = gradient * inv_pairs * beta, `result[i] = d * slope` and `result[N + i] = -d * slope`, where slope is
    `label_smoothing * sigmoid(x) - (1 - label_smoothing) * sigmoid(-x)`, or of `hinge` -1 where x < 1, else 0. Zero for pairs
    without a label.

    ```mlir
    %d = train.preference_loss_grad sigmoid %policy, %reference, %counts, %inv, %one beta 0.1 label_smoothing 0.0
      : tensor<8xf32>, tensor<f32>
    ```
  }];
  let arguments = (ins Train_PreferenceKindAttr:$kind, Train_Numbers:$policy, Train_Numbers:$reference,
                       Train_Numbers:$counts, Train_Scalar:$inv_pairs, Train_Scalar:$gradient, F64Attr:$beta,
                       F64Attr:$label_smoothing);
  let results = (outs Train_Numbers:$result);
  let assemblyFormat = [{
    $kind $policy `,` $reference `,` $counts `,` $inv_pairs `,` $gradient `beta` $beta `label_smoothing` $label_smoothing
    `:` type($policy) `,` type($inv_pairs) attr-dict
  }];
  let hasVerifier = 1;
}

#endif // FTC_TRAIN_PREFERENCE_TD
