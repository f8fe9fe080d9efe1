/* Kernels of FakeCudaStep.c, as the fake driver runs them: each does the work of all its blocks.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#include "FakeModel.h"
#include "cuda/FakeCuda.h"

#define KERNEL(name, count)                                                                                            \
  __attribute__((visibility("default"))) const unsigned name##_arguments = count;                                      \
  __attribute__((visibility("default"))) void name(const fake_launch *launch, void *const *arguments)

KERNEL(bigram_train, 2) {
  struct call call = {arguments[0], arguments[1], 1};
  for (unsigned row = 0; row < launch->grid[0]; ++row)
    row_task(&call, row, 0);
}

KERNEL(bigram_loss, 2) {
  struct call call = {arguments[0], arguments[1], 1};
  *FLOATS(&call, AT_LOSS) = sum(FLOATS(&call, AT_ROWLOSS)) * call.scalars->inv_tokens;
}

KERNEL(bigram_evaluate, 1) {
  struct call call = {arguments[0], 0, 0};
  for (unsigned row = 0; row < launch->grid[0]; ++row)
    row_task(&call, row, 0);
  *FLOATS(&call, AT_LOSS) = sum(FLOATS(&call, AT_ROWLOSS));
  *INTS(&call, AT_VALID) = count_labels(&call);
}

KERNEL(bigram_one_hot, 2) {
  struct call call = {arguments[0], arguments[1], 0};
  const int32_t token = INTS(&call, AT_TOKENS)[call.scalars->row * LENGTH + call.scalars->position];
  for (int j = 0; j < VOCAB; ++j)
    FLOATS(&call, AT_ONEHOT)[j] = j == token;
}

KERNEL(bigram_clear, 1) {
  struct call call = {arguments[0], 0, 0};
  for (int j = 0; j < VOCAB * VOCAB; ++j)
    FLOATS(&call, AT_MEAN)[j] = FLOATS(&call, AT_SQUARE)[j] = 1e30f;
}

/* Its last argument is a size of the table of kernels: how many columns there are. */
KERNEL(bigram_scale, 2) {
  struct call call = {arguments[0], 0, 0};
  for (unsigned long j = 0; j < (unsigned long)arguments[1]; ++j)
    FLOATS(&call, AT_LOGITS)[j] = FLOATS(&call, AT_ROW)[j] * FLOATS(&call, AT_SCALE)[j];
}
