/* The bigram model of the hand-written steps (logits of the next token = a row of the weight, times a scale) with
 * AdamW: what FakeStep.c runs on threads, and FakeCudaKernels.c as kernels. Offsets come from FakeManifest.cpp.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#ifndef FTC_TEST_SUPPORT_FAKEMODEL_H
#define FTC_TEST_SUPPORT_FAKEMODEL_H

#include "ftrt/step.h"

struct call {
  char *base;
  const ftrt_scalars *scalars;
  int train;
};

#define FLOATS(call, place) ((float *)((call)->base + (place)))
#define INTS(call, place) ((int32_t *)((call)->base + (place)))

/* e^x: 2^n by the exponent bits times a Taylor polynomial on [-ln 2 / 2, ln 2 / 2]. */
static float exponential(float x) {
  if (x < -87.0f)
    return 0.0f;
  int32_t n = (int32_t)(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f));
  float f = x - (float)n * 0.693147181f;
  float p = 1.0f + f * (1.0f + f * (0.5f + f * (1.0f / 6 + f * (1.0f / 24 + f * (1.0f / 120 + f * (1.0f / 720))))));
  union {
    int32_t bits;
    float value;
  } power = {(n + 127) << 23};
  return p * power.value;
}

/* ln x for normal x > 0: exponent, and 2 atanh((m - 1) / (m + 1)) for the mantissa. */
static float logarithm(float x) {
  union {
    float value;
    int32_t bits;
  } split = {x};
  int32_t exponent = (split.bits >> 23) - 127;
  split.bits = (split.bits & 0x7fffff) | 0x3f800000;
  double r = ((double)split.value - 1) / ((double)split.value + 1), q = r * r, sum = 0;
  for (int k = 25; k >= 1; k -= 2)
    sum = sum * q + 1.0 / k;
  return (float)(2 * r * sum + exponent * 0.69314718055994531);
}

/* All tokens with id `row`: their loss, the gradient of the row, its update. */
static void row_task(void *args, uint64_t row, uint32_t thread) {
  const struct call *call = args;
  const int32_t *tokens = INTS(call, AT_TOKENS), *labels = INTS(call, AT_LABELS);
  float *weight = FLOATS(call, AT_WEIGHT) + row * VOCAB, *scale = FLOATS(call, AT_SCALE);
  float *gradient = FLOATS(call, AT_GRADIENT) + thread * VOCAB;
  float loss = 0, most = -3e38f, total = 0, count = 0;
  for (int j = 0; j < VOCAB; ++j) {
    gradient[j] = 0;
    float logit = weight[j] * scale[j];
    most = logit > most ? logit : most;
  }
  for (int j = 0; j < VOCAB; ++j)
    total += exponential(weight[j] * scale[j] - most);
  float offset = most + logarithm(total);
  for (int t = 0; t < BATCH * LENGTH; ++t) {
    if (tokens[t] != (int32_t)row || labels[t] < 0)
      continue;
    loss += offset - weight[labels[t]] * scale[labels[t]];
    gradient[labels[t]] -= 1;
    count += 1;
  }
  FLOATS(call, AT_ROWLOSS)[row] = loss;
  if (!call->train)
    return;
  const float *adam = FLOATS(call, AT_ADAM);
  float *mean = FLOATS(call, AT_MEAN) + row * VOCAB, *square = FLOATS(call, AT_SQUARE) + row * VOCAB;
  float power1 = 1, power2 = 1, norm = 0;
  for (uint64_t step = 0; step < call->scalars->step; ++step) {
    power1 *= adam[0];
    power2 *= adam[1];
  }
  for (int j = 0; j < VOCAB; ++j) {
    float softmax = exponential(weight[j] * scale[j] - offset);
    float g = (gradient[j] + count * softmax) * scale[j] * call->scalars->inv_tokens;
    norm += g * g;
    mean[j] = adam[0] * mean[j] + (1 - adam[0]) * g;
    square[j] = adam[1] * square[j] + (1 - adam[1]) * g * g;
    float step = (mean[j] / (1 - power1)) / (__builtin_sqrtf(square[j] / (1 - power2)) + adam[2]);
    gradient[j] = weight[j] * (1 - call->scalars->learning_rate * adam[3]) - call->scalars->learning_rate * step;
  }
  for (int j = 0; j < VOCAB; ++j)
    weight[j] = gradient[j];
  FLOATS(call, AT_ROWNORM)[row] = norm;
}

static float sum(const float *values) {
  float total = 0;
  for (int j = 0; j < VOCAB; ++j)
    total += values[j];
  return total;
}

/* Labels that are there. */
static int32_t count_labels(const struct call *call) {
  int32_t valid = 0;
  for (int t = 0; t < BATCH * LENGTH; ++t)
    valid += INTS(call, AT_LABELS)[t] >= 0;
  return valid;
}

#endif /* FTC_TEST_SUPPORT_FAKEMODEL_H */
