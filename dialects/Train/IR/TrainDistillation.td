//===- TrainDistillation.td - Losses of a student and its teacher -*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Part of TrainOps.td, which includes it. Knowledge distillation (Hinton, Vinyals and Dean, "Distilling the Knowledge in a
// Neural Network", 2015) trains a model, the student, to give the probabilities that another one, the teacher, gives to each
// next token, besides the token that is there.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_DISTILLATION_TD
#define FTC_TRAIN_DISTILLATION_TD

def DistillationLossOp : Train_PureOp<"distillation_loss", [
    AllTypesMatch<["logits", "teacher_logits"]>, AllTypesMatch<["inv_tokens", "loss", "class_loss", "kd_loss"]>,
    AllTypesMatch<["lse", "teacher_lse"]>, RowWise, Differentiable]> {
  let summary = "cross-entropies with labels and with a teacher's probabilities, summed over valid rows, times a scalar";
  let description = [{
    With lse the log-sum-exp of a row of `logits` in fp32, `teacher_lse` that of one of `teacher_logits`, and
    `p[r, c] = exp(teacher_logits[r, c] - teacher_lse[r])`, each over the rows with `labels[r] != ignore_index`,

    - `class_loss = inv_tokens * sum of (lse[r] - logits[r, labels[r]])`;
    - `kd_loss = inv_tokens * sum of p[r, c] * (lse[r] - logits[r, c])` over rows and columns: the forward Kullback-Leibler
      divergence of the student from the teacher but for the teacher's own entropy, which nothing trained changes. That is
      what torchtune's ForwardKLLoss computes;
    - `loss = (1 - ratio) * class_loss + ratio * kd_loss`.

    `count` is the number of valid rows. All but lse and teacher_lse are reductions over rows. The teacher's logits are
    constants: they have no gradient.

    ```mlir
    %loss, %class, %kd, %count, %lse, %tlse = train.distillation_loss %logits, %teacher, %labels, %inv ratio 0.5 ignore -100
      : tensor<16x320xf32>, tensor<16xi32>, tensor<f32> -> tensor<i32>, tensor<16xf32>
    ```
  }];
  let arguments = (ins Train_Matrix:$logits, Train_Matrix:$teacher_logits, Train_Ids:$labels, Train_Scalar:$inv_tokens,
                       F64Attr:$ratio, I64Attr:$ignore_index);
  let results = (outs Train_Scalar:$loss, Train_Scalar:$class_loss, Train_Scalar:$kd_loss, 0DTensorOf<[I32]>:$count,
                      Train_Numbers:$lse, Train_Numbers:$teacher_lse);
  let assemblyFormat = [{
    $logits `,` $teacher_logits `,` $labels `,` $inv_tokens `ratio` $ratio `ignore` $ignore_index `:` type($logits) `,`
    type($labels) `,` type($inv_tokens) `->` type($count) `,` type($lse) attr-dict
  }];
  let hasVerifier = 1;
}

def DistillationLossGradOp : Train_PureOp<"distillation_loss_grad", [
    AllTypesMatch<["logits", "teacher_logits", "result"]>, AllTypesMatch<["inv_tokens", "gradient"]>,
    AllTypesMatch<["lse", "teacher_lse"]>, RowWise]> {
  let summary = "gradient of the student's logits of train.distillation_loss";
  let description = [{
    With q the probabilities of `logits` and p those of `teacher_logits`,
    `gradient * inv_tokens * (q[r, c] - (1 - ratio) * onehot(labels[r]) - ratio * p[r, c])` for valid rows, zero for the
    others.

    ```mlir
    %d = train.distillation_loss_grad %logits, %teacher, %labels, %lse, %tlse, %inv, %one ratio 0.5 ignore -100
      : tensor<16x320xf32>, tensor<16xi32>, tensor<16xf32>, tensor<f32>
    ```
  }];
  let arguments = (ins Train_Matrix:$logits, Train_Matrix:$teacher_logits, Train_Ids:$labels, Train_Numbers:$lse,
                       Train_Numbers:$teacher_lse, Train_Scalar:$inv_tokens, Train_Scalar:$gradient, F64Attr:$ratio,
                       I64Attr:$ignore_index);
  let results = (outs Train_Matrix:$result);
  let assemblyFormat = [{
    $logits `,` $teacher_logits `,` $labels `,` $lse `,` $teacher_lse `,` $inv_tokens `,` $gradient `ratio` $ratio `ignore`
    $ignore_index `:` type($logits) `,` type($labels) `,` type($lse) `,` type($inv_tokens) attr-dict
  }];
  let hasVerifier = 1;
}

#endif // FTC_TRAIN_DISTILLATION_TD
