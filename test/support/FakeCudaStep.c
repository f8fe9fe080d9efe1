/* The model of FakeModel.h as a step for a GPU, written by hand: its entries only call ftrt_device, as compiled ones
 * do. The same arithmetic in the same order as FakeStep.c, so it trains to the same bits.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#include "ftrt/step.h"

#ifndef FAKE_ARCHITECTURE
#define FAKE_ARCHITECTURE "sm_90a"
#endif
#ifndef FAKE_TRAIN_KERNEL
#define FAKE_TRAIN_KERNEL "bigram_train"
#endif
#ifndef FAKE_SCALARS
#define FAKE_SCALARS AT_SCALARS
#endif

static const char image[] = "ftc test module\n" FAKE_ARCHITECTURE "\n" FAKE_KERNELS "\n";
static const ftrt_module modules[] = {{image, sizeof(image), 0, 0}};

enum { TRAIN, LOSS, EVALUATE, ONE_HOT, SCALE, CLEAR };
static const uint64_t columns[] = {VOCAB};
static const ftrt_kernel kernels[] = {
    [TRAIN] = {FAKE_TRAIN_KERNEL, FAKE_TRAIN_KERNEL, 0, 2, {VOCAB, 1, 1}, {32, 1, 1}, 64 << 10, 0, 0},
    [LOSS] = {"bigram_loss", "bigram_loss", 0, 2, {1, 1, 1}, {32, 1, 1}, 0, 0, 0},
    [EVALUATE] = {"bigram_evaluate", "bigram_evaluate", 0, 1, {VOCAB, 1, 1}, {32, 1, 1}, 0, 0, 0},
    [ONE_HOT] = {"bigram_one_hot", "bigram_one_hot", 0, 2, {1, 1, 1}, {32, 1, 1}, 0, 0, 0},
    [SCALE] = {"bigram_scale", "bigram_scale", 0, 1, {1, 1, 1}, {32, 1, 1}, 0, 1, columns},
    [CLEAR] = {"bigram_clear", "bigram_clear", 0, 1, {1, 1, 1}, {32, 1, 1}, 0, 0, 0},
};

/* The row of the weight that the one-hot row chooses. */
static const ftrt_matmul products[] = {{.m = 1,
                                        .n = VOCAB,
                                        .k = VOCAB,
                                        .lda = VOCAB,
                                        .ldb = VOCAB,
                                        .ldd = VOCAB,
                                        .type_a = FTRT_F32,
                                        .type_b = FTRT_F32,
                                        .type_d = FTRT_F32}};

#define TRY(call)                                                                                                      \
  do {                                                                                                                 \
    if (call)                                                                                                          \
      return FTRT_DEVICE_FAILED;                                                                                       \
  } while (0)

static int32_t check(const ftrt_services *services) {
  if (services->abi_version != FTRT_ABI_VERSION || services->size != sizeof(ftrt_services))
    return FTRT_BAD_ABI;
  return services->device && services->device->size == sizeof(ftrt_device) ? FTRT_OK : FTRT_NO_DEVICE;
}

/* Uploads one field of the scalars to the same place of the copy on the device. */
static int32_t upload(const ftrt_device *device, uint64_t base, const ftrt_scalars *scalars, const void *field,
                      uint64_t bytes) {
  const uint64_t offset = (uint64_t)((const char *)field - (const char *)scalars);
  return device->upload(device->context, FTRT_STREAM_COMPUTE, base + FAKE_SCALARS + offset, field, bytes);
}

static int32_t step_entry(const ftrt_services *services, void *const *slabs, const ftrt_scalars *scalars) {
  const int32_t code = check(services);
  if (code)
    return code;
  const ftrt_device *device = services->device;
  void *context = device->context;
  const uint64_t base = (uint64_t)slabs[0], arguments[] = {base, base + AT_SCALARS};
  TRY(upload(device, base, scalars, &scalars->learning_rate, 4));
  TRY(upload(device, base, scalars, &scalars->inv_tokens, 4));
  TRY(upload(device, base, scalars, &scalars->step, 8));
#ifdef FAR_MEAN
  TRY(device->launch(context, FTRT_STREAM_COMPUTE, CLEAR, arguments)); /* the memory has served something else */
  TRY(device->record(context, FTRT_STREAM_COMPUTE, 0));
  TRY(device->wait(context, FTRT_STREAM_COPY_IN, 0));
  TRY(device->far_read(context, FTRT_STREAM_COPY_IN, 1, FAR_MEAN, base + AT_MEAN, 4 * VOCAB * VOCAB));
  TRY(device->far_read(context, FTRT_STREAM_COPY_IN, 1, FAR_SQUARE, base + AT_SQUARE, 4 * VOCAB * VOCAB));
#ifndef FAKE_NO_WAIT
  TRY(device->record(context, FTRT_STREAM_COPY_IN, 1));
  TRY(device->wait(context, FTRT_STREAM_COMPUTE, 1));
#endif
#endif
  TRY(device->launch(context, FTRT_STREAM_COMPUTE, TRAIN, arguments));
#ifdef FAR_MEAN
  TRY(device->record(context, FTRT_STREAM_COMPUTE, 2));
  TRY(device->wait(context, FTRT_STREAM_COPY_OUT, 2));
  TRY(device->far_write(context, FTRT_STREAM_COPY_OUT, 1, FAR_MEAN, base + AT_MEAN, 4 * VOCAB * VOCAB));
  TRY(device->far_write(context, FTRT_STREAM_COPY_OUT, 1, FAR_SQUARE, base + AT_SQUARE, 4 * VOCAB * VOCAB));
  TRY(device->record(context, FTRT_STREAM_COPY_OUT, 3));
#endif
  TRY(device->launch(context, FTRT_STREAM_COMPUTE, LOSS, arguments));
#ifdef FAR_MEAN
  TRY(device->wait(context, FTRT_STREAM_COMPUTE, 3));
#endif
  return FTRT_OK;
}

static int32_t evaluate_entry(const ftrt_services *services, void *const *slabs, const ftrt_scalars *scalars) {
  const int32_t code = check(services);
  if (code)
    return code;
  const uint64_t base = (uint64_t)slabs[0];
  TRY(services->device->launch(services->device->context, FTRT_STREAM_COMPUTE, EVALUATE, &base));
  return FTRT_OK;
}

static int32_t logits_entry(const ftrt_services *services, void *const *slabs, const ftrt_scalars *scalars) {
  const int32_t code = check(services);
  if (code)
    return code;
  const ftrt_device *device = services->device;
  const uint64_t base = (uint64_t)slabs[0], arguments[] = {base, base + AT_SCALARS};
  TRY(upload(device, base, scalars, &scalars->row, 8));
  TRY(upload(device, base, scalars, &scalars->position, 8));
  TRY(device->launch(device->context, FTRT_STREAM_COMPUTE, ONE_HOT, arguments));
  TRY(device->matmul(device->context, FTRT_STREAM_COMPUTE, 0, base + AT_ONEHOT, base + AT_WEIGHT, 0, base + AT_ROW, 0));
  TRY(device->launch(device->context, FTRT_STREAM_COMPUTE, SCALE, arguments));
  return FTRT_OK;
}

static const ftrt_entry_fn entries[] = {step_entry, evaluate_entry, logits_entry};

__attribute__((visibility("default"))) const ftrt_step ftrt_step_v1 = {
    .abi_version = FTRT_ABI_VERSION,
    .size = sizeof(ftrt_step),
    .manifest = manifest,
    .manifest_size = sizeof(manifest),
    .entry_count = 3,
    .entries = entries,
    .module_count = 1,
    .kernel_count = sizeof(kernels) / sizeof(*kernels),
    .product_count = 1,
    .event_count = 4,
    .modules = modules,
    .kernels = kernels,
    .products = products,
};
