/* A step written by hand, of the model of FakeModel.h. It
 * obeys include/ftrt/step.h as a compiled step does: freestanding, threads through the services, results that do not
 * depend on their number. Offsets come from FakeManifest.cpp.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#include "FakeModel.h"

#ifndef FAKE_ABI
#define FAKE_ABI FTRT_ABI_VERSION
#endif
#ifndef FAKE_CUT
#define FAKE_CUT 0
#endif
#ifndef FAKE_SYMBOL
#define FAKE_SYMBOL ftrt_step_v1
#endif

static int32_t check(const ftrt_services *services) {
  if (services->abi_version != FTRT_ABI_VERSION || services->size != sizeof(ftrt_services))
    return FTRT_BAD_ABI;
  return services->threads == 0 || services->threads > THREADS ? FTRT_BAD_THREADS : FTRT_OK;
}

static int32_t step_entry(const ftrt_services *services, void *const *slabs, const ftrt_scalars *scalars) {
  int32_t code = check(services);
  if (code)
    return code;
  struct call call = {slabs[0], scalars, 1};
  services->parallel_for(services->context, row_task, &call, VOCAB);
  *FLOATS(&call, AT_LOSS) = sum(FLOATS(&call, AT_ROWLOSS)) * scalars->inv_tokens;
#ifdef WITH_NORM
  *FLOATS(&call, AT_NORM) = __builtin_sqrtf(sum(FLOATS(&call, AT_ROWNORM)));
#endif
  return FTRT_OK;
}

static int32_t evaluate_entry(const ftrt_services *services, void *const *slabs, const ftrt_scalars *scalars) {
  int32_t code = check(services);
  if (code)
    return code;
  struct call call = {slabs[0], scalars, 0};
  services->parallel_for(services->context, row_task, &call, VOCAB);
  *FLOATS(&call, AT_LOSS) = sum(FLOATS(&call, AT_ROWLOSS));
  *INTS(&call, AT_VALID) = count_labels(&call);
  return FTRT_OK;
}

static int32_t logits_entry(const ftrt_services *services, void *const *slabs, const ftrt_scalars *scalars) {
  int32_t code = check(services);
  if (code)
    return code;
  struct call call = {slabs[0], scalars, 0};
  int32_t token = INTS(&call, AT_TOKENS)[scalars->row * LENGTH + scalars->position];
  for (int j = 0; j < VOCAB; ++j)
    FLOATS(&call, AT_LOGITS)[j] = FLOATS(&call, AT_WEIGHT)[token * VOCAB + j] * FLOATS(&call, AT_SCALE)[j];
  return FTRT_OK;
}

static const ftrt_entry_fn entries[] = {step_entry, evaluate_entry, logits_entry};

__attribute__((visibility("default"))) const ftrt_step FAKE_SYMBOL = {
    .abi_version = FAKE_ABI,
    .size = sizeof(ftrt_step),
    .manifest = manifest,
    .manifest_size = sizeof(manifest) - FAKE_CUT,
    .entry_count = 3,
    .entries = entries,
};
