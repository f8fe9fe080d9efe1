//===- CudaDevice.cpp - A step on an NVIDIA GPU: its entries ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What happens while a step runs. OpenDevice.cpp makes everything that is used here.
//
// An entry is recorded once as a CUDA graph: copies of its inputs from their mirrors, what the entry queues, copies of
// its outputs into their mirrors. `run` writes the scalars to where the graph reads them, launches the graph and waits.
// FTRT_CUDA_GRAPH=0 calls the entry each time instead and waits after every kernel and product, so that an error that
// the device reports late is that kernel's. FTRT_CUDA_TIMES=FILE does so too, and writes how long each of them took.
//
//===----------------------------------------------------------------------===//

#include "CudaDevice.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fmt/format.h>

namespace ftc::cuda {

std::string CudaDevice::describe() const {
  return fmt::format("{} ({}), driver {}.{}{}{}", name, architecture, driverVersion / 1000, driverVersion % 1000 / 10,
                     assembledHere ? ", which assembled the step's code" : "",
                     products ? ", " + products->describe() : "") +
         (attention && !attention->describe().empty() ? ", " + attention->describe() : "");
}

std::byte *CudaDevice::mirror(const manifest::Tensor &tensor) const {
  auto found = mirrors.find(&tensor);
  return found == mirrors.end() ? nullptr : found->second;
}

void CudaDevice::enter() const {
  require(cu.ctxSetCurrent(context), "cannot use the device's context", ExitCode::StepFailed);
}

void CudaDevice::require(Result result, std::string_view what, ExitCode code) const {
  if (result != Success)
    throw RunError(
        code, fmt::format("{}: {}{}: {}", path, what, name.empty() ? "" : " (" + name + ")", errorText(cu, result)));
}

//===----------------------------------------------------------------------===//
// Copies between calls
//===----------------------------------------------------------------------===//

void CudaDevice::write(uint32_t slab, uint64_t offset, const void *from, uint64_t bytes) {
  constexpr ExitCode code = ExitCode::StepFailed;
  enter();
  const auto *source = static_cast<const std::byte *>(from);
  for (uint64_t done = 0, part = 0; done < bytes; ++part) {
    const uint64_t half = part % 2, count = std::min(stagingBytes, bytes - done);
    if (part >= 2)
      require(cu.eventSynchronize(stagingFree[half]), "cannot copy to the device", code);
    std::memcpy(staging[half], source + done, count);
    require(cu.memcpyHtoDAsync(allocations[slab] + offset + done, staging[half], count, computeStream()),
            "cannot copy to the device", code);
    require(cu.eventRecord(stagingFree[half], computeStream()), "cannot copy to the device", code);
    done += count;
  }
  require(cu.streamSynchronize(computeStream()), "cannot copy to the device", code);
}

void CudaDevice::read(uint32_t slab, uint64_t offset, void *to, uint64_t bytes) {
  constexpr ExitCode code = ExitCode::StepFailed;
  enter();
  const uint64_t parts = (bytes + stagingBytes - 1) / stagingBytes;
  const auto countOf = [&](uint64_t part) { return std::min(stagingBytes, bytes - part * stagingBytes); };
  const auto begin = [&](uint64_t part) {
    require(cu.memcpyDtoHAsync(staging[part % 2], allocations[slab] + offset + part * stagingBytes, countOf(part),
                               computeStream()),
            "cannot copy from the device", code);
    require(cu.eventRecord(stagingFree[part % 2], computeStream()), "cannot copy from the device", code);
  };
  for (uint64_t part = 0; part < parts; ++part) {
    if (part == 0)
      begin(0);
    if (part + 1 < parts)
      begin(part + 1);
    require(cu.eventSynchronize(stagingFree[part % 2]), "cannot copy from the device", code);
    std::memcpy(static_cast<std::byte *>(to) + part * stagingBytes, staging[part % 2], countOf(part));
  }
}

void CudaDevice::zero(uint32_t slab, uint64_t offset, uint64_t bytes) {
  constexpr ExitCode code = ExitCode::StepFailed;
  enter();
  if (bytes == 0)
    return;
  require(cu.memsetD8Async(allocations[slab] + offset, 0, bytes, computeStream()), "cannot fill memory", code);
  require(cu.streamSynchronize(computeStream()), "cannot fill memory", code);
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

void CudaDevice::run(size_t index, const ftrt_scalars &values) {
  enter();
  *scalars = values;
  failure = {};
  const size_t variant = chooseVariant(index);
  if (graphs.empty())
    queueEntry(index, variant);
  else if (Result result = cu.graphLaunch(graphs[index][variant], computeStream()); result != Success)
    throwFailure(index, result);
  finish(index);
}

void CudaDevice::copyMirrors(size_t index, bool in) {
  const auto *entry = info.entries()->Get(static_cast<flatbuffers::uoffset_t>(index));
  const auto *list = in ? entry->input_tensors() : entry->output_tensors();
  if (!list)
    return;
  for (const manifest::Tensor *tensor : *list) {
    if (tensor->bytes() == 0)
      continue;
    const Address address = allocations[tensor->slab()] + tensor->offset();
    std::byte *host = mirrors.at(tensor);
    const Result result = in ? cu.memcpyHtoDAsync(address, host, tensor->bytes(), computeStream())
                             : cu.memcpyDtoHAsync(host, address, tensor->bytes(), computeStream());
    if (result != Success) {
      fail(Failure::Copy, 0, result);
      throwFailure(index, result);
    }
  }
}

size_t CudaDevice::chooseVariant(size_t index) {
  const manifest::Tensor *starts = attention ? attention->starts(index) : nullptr;
  return starts ? attention->choose(index, reinterpret_cast<const int32_t *>(mirrors.at(starts))) : 0;
}

void CudaDevice::queueEntry(size_t index, size_t variant) {
  copyMirrors(index, /*in=*/true);
  queuedEntry = index;
  queuedVariant = variant;
  if (Result result = attention ? attention->queueLists(index, variant) : Success; result != Success) {
    fail(Failure::Copy, 0, result);
    throwFailure(index, result);
  }
  const int32_t code = step.entries[index](&services, bases.data(), scalars);
  if (code != FTRT_OK && failure.kind == Failure::None)
    throw RunError(ExitCode::StepFailed, fmt::format("{}: entry {} returned {} though the device did all that it asked "
                                                     "for; recompile the step with this version's ftc",
                                                     path, index, code));
  if (failure.kind != Failure::None)
    throwFailure(index, failure.result);
  copyMirrors(index, /*in=*/false);
}

void CudaDevice::finish(size_t index) {
  for (Stream stream : streams)
    if (Result result = cu.streamSynchronize(stream); result != Success)
      throwFailure(index, result);
}

std::string CudaDevice::failureText() const {
  switch (failure.kind) {
  case Failure::Kernel:
    return fmt::format("kernel '{}': ", step.kernels[failure.index].name);
  case Failure::Product:
    return describeProduct(failure.index, step.products[failure.index]) + ": ";
  case Failure::Attention:
    return describeAttention(failure.index, step.attentions[failure.index]) + ": ";
  case Failure::Copy:
    return "a copy: ";
  case Failure::Order:
    return "an event: ";
  case Failure::None:
    break;
  }
  return "";
}

void CudaDevice::throwFailure(size_t index, Result result) const {
  static constexpr const char *kinds[] = {"step", "micro", "evaluate", "logits"};
  const auto kind = info.entries()->Get(static_cast<flatbuffers::uoffset_t>(index))->kind();
  const std::string cause = result != Success                    ? errorText(cu, result)
                            : failure.kind == Failure::Product   ? products->statusText(failure.lt)
                            : failure.kind == Failure::Attention ? failure.text
                                                                 : errorText(cu, result);
  throw RunError(
      ExitCode::StepFailed,
      fmt::format(
          "{}: entry '{}' failed on {}: {}{}; {}{}", path, kinds[static_cast<size_t>(kind)], name, failureText(), cause,
          failure.kind == Failure::None ? "which kernel it was, FTRT_CUDA_GRAPH=0 tells (kernels then run one by one); "
          : failure.kind == Failure::Attention ? "FTRT_CUDNN=0 leaves attention to the step's own kernels; "
                                               : "",
          started ? "the newest checkpoint is whole: go on from there with resume_from_checkpoint"
                  : "that was its first run, on zeros: the step cannot run here"));
}

int32_t CudaDevice::fail(Failure::Kind kind, uint32_t index, Result result, LtStatus status) {
  if (failure.kind == Failure::None)
    failure = {kind, index, result, status, {}};
  return 1;
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

/// Holds a stream until what is behind it is queued, so that the time between two events is the work's alone and not
/// that of the host, which takes some microseconds to launch it. Not for ever: what is queued might wait for the
/// stream.
static void holdStream(void *queued) {
  constexpr auto most = std::chrono::microseconds(500);
  const auto begin = std::chrono::steady_clock::now();
  while (!static_cast<std::atomic<bool> *>(queued)->load(std::memory_order_acquire) &&
         std::chrono::steady_clock::now() - begin < most)
    ;
}

int32_t CudaDevice::beforeWork(uint32_t stream) {
  if (!times.enabled())
    return 0;
  queued = false;
  Result result = cu.launchHostFunc(streams[stream], holdStream, &queued);
  if (result == Success)
    result = cu.eventRecord(clock[0], streams[stream]);
  return result == Success ? 0 : fail(Failure::Order, 0, result);
}

int32_t CudaDevice::afterWork(Failure::Kind kind, uint32_t index, uint32_t stream) {
  if (!oneByOne)
    return 0;
  Result result = times.enabled() ? cu.eventRecord(clock[1], streams[stream]) : Success;
  queued = true;
  if (result == Success)
    result = cu.streamSynchronize(streams[stream]);
  float milliseconds = 0;
  if (result == Success && times.enabled() && started) {
    result = cu.eventElapsedTime(&milliseconds, clock[0], clock[1]);
    kind == Failure::Kernel    ? times.addKernel(index, milliseconds)
    : kind == Failure::Product ? times.addProduct(index, milliseconds)
                               : times.addAttention(index, milliseconds);
  }
  return result == Success ? 0 : fail(kind, index, result);
}

int32_t CudaDevice::launch(uint32_t stream, uint32_t kernel, const uint64_t *addresses) {
  const ftrt_kernel &what = step.kernels[kernel];
  std::array<void *, maxArguments> parameters;
  for (uint32_t index = 0; index < what.argument_count; ++index)
    parameters[index] = const_cast<uint64_t *>(addresses + index);
  for (uint32_t index = 0; index < what.size_count; ++index)
    parameters[what.argument_count + index] = const_cast<uint64_t *>(what.sizes + index);
  if (int32_t code = beforeWork(stream))
    return code;
  const Result result =
      cu.launchKernel(kernels[kernel], what.grid[0], what.grid[1], what.grid[2], what.block[0], what.block[1],
                      what.block[2], what.shared_bytes, streams[stream], parameters.data(), nullptr);
  return result == Success ? afterWork(Failure::Kernel, kernel, stream) : fail(Failure::Kernel, kernel, result);
}

int32_t CudaDevice::matmul(uint32_t stream, uint32_t product, uint64_t a, uint64_t b, uint64_t addend, uint64_t d,
                           uint64_t workspace) {
  if (int32_t code = beforeWork(stream))
    return code;
  const LtStatus status = products->run(product, streams[stream], a, b, addend, d, workspace);
  return status == 0 ? afterWork(Failure::Product, product, stream) : fail(Failure::Product, product, Success, status);
}

int32_t CudaDevice::attend(uint32_t stream, uint32_t number, const uint64_t *addresses) {
  if (int32_t code = beforeWork(stream))
    return code;
  std::string error;
  const int32_t code =
      attention ? attention->attend(queuedEntry, queuedVariant, number, addresses, error) : FTRT_DECLINED;
  if (code == 0)
    return afterWork(Failure::Attention, number, stream);
  if (code != FTRT_DECLINED) {
    fail(Failure::Attention, number, Success);
    failure.text = std::move(error);
  }
  return code;
}

std::vector<std::string> CudaDevice::attentions() const {
  return attention ? attention->lines() : std::vector<std::string>();
}

void CudaDevice::fillTable() {
  table.size = sizeof(table);
  table.context = this;
  table.launch = [](void *context, uint32_t stream, uint32_t kernel, const uint64_t *addresses) {
    return static_cast<CudaDevice *>(context)->launch(stream, kernel, addresses);
  };
  table.matmul = [](void *context, uint32_t stream, uint32_t product, uint64_t a, uint64_t b, uint64_t addend,
                    uint64_t d, uint64_t workspace) {
    return static_cast<CudaDevice *>(context)->matmul(stream, product, a, b, addend, d, workspace);
  };
  table.attention = [](void *context, uint32_t stream, uint32_t number, const uint64_t *addresses) {
    return static_cast<CudaDevice *>(context)->attend(stream, number, addresses);
  };
  table.upload = [](void *context, uint32_t stream, uint64_t to, const void *from, uint64_t bytes) -> int32_t {
    auto *self = static_cast<CudaDevice *>(context);
    const Result result = self->cu.memcpyHtoDAsync(to, from, bytes, self->streams[stream]);
    return result == Success ? 0 : self->fail(Failure::Copy, 0, result);
  };
  table.far_write = [](void *context, uint32_t stream, uint32_t, uint64_t offset, uint64_t from,
                       uint64_t bytes) -> int32_t {
    auto *self = static_cast<CudaDevice *>(context);
    const Result result = self->cu.memcpyDtoHAsync(self->far + offset, from, bytes, self->streams[stream]);
    return result == Success ? 0 : self->fail(Failure::Copy, 0, result);
  };
  table.far_read = [](void *context, uint32_t stream, uint32_t, uint64_t offset, uint64_t to,
                      uint64_t bytes) -> int32_t {
    auto *self = static_cast<CudaDevice *>(context);
    const Result result = self->cu.memcpyHtoDAsync(to, self->far + offset, bytes, self->streams[stream]);
    return result == Success ? 0 : self->fail(Failure::Copy, 0, result);
  };
  table.record = [](void *context, uint32_t stream, uint32_t event) -> int32_t {
    auto *self = static_cast<CudaDevice *>(context);
    const Result result = self->cu.eventRecord(self->events[event], self->streams[stream]);
    return result == Success ? 0 : self->fail(Failure::Order, event, result);
  };
  table.wait = [](void *context, uint32_t stream, uint32_t event) -> int32_t {
    auto *self = static_cast<CudaDevice *>(context);
    const Result result = self->cu.streamWaitEvent(self->streams[stream], self->events[event], 0);
    return result == Success ? 0 : self->fail(Failure::Order, event, result);
  };
  services.abi_version = FTRT_ABI_VERSION;
  services.size = sizeof(services);
  services.threads = 1;
  services.device = &table;
}

} // namespace ftc::cuda
