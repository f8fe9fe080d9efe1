//===- Host.cpp - The C face of a session: include/ftrt/host.h -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftrt/host.h"

#include "ftc/Runtime/RunError.h"
#include "ftc/Runtime/Session.h"

#include <exception>
#include <fmt/format.h>
#include <new>
#include <string>

using ftc::ExitCode;
using ftc::RunError;

struct ftrt_host {
  explicit ftrt_host(const char *path, uint32_t threads)
      : session(std::make_unique<ftc::LoadedStep>(path), {.threads = threads}) {}
  ftc::Session session;
  bool isFilled = false; ///< by ftrt_host_init
};

namespace {

thread_local std::string lastError;

int fail(ExitCode code, const std::string &message) {
  lastError = message;
  return static_cast<int>(code);
}

/// Runs `body`; no exception may cross into C.
template <typename F> int guarded(F &&body) {
  try {
    body();
    return 0;
  } catch (const RunError &error) {
    return fail(error.code(), error.what());
  } catch (const std::bad_alloc &) {
    return fail(ExitCode::NoMemory, "out of memory");
  } catch (const std::exception &error) {
    return fail(ExitCode::BadStep, error.what());
  }
}

void requireEntry(const ftrt_host *host, int entry) {
  if (entry < 0 || static_cast<uint32_t>(entry) >= host->session.manifest().entries()->size())
    throw RunError(ExitCode::Usage, fmt::format("there is no entry {}; the step has {}", entry,
                                                host->session.manifest().entries()->size()));
}

static_assert(FTRT_REFERENCE == static_cast<int>(ftc::manifest::Role::MAX) &&
                  FTRT_REFERENCE == static_cast<int>(ftc::manifest::Role::Reference) &&
                  FTRT_TEACHER == static_cast<int>(ftc::manifest::Role::Teacher) &&
                  FTRT_QUANTIZED == static_cast<int>(ftc::manifest::Role::Quantized) &&
                  FTRT_ACCUMULATOR == static_cast<int>(ftc::manifest::Role::Accumulator) &&
                  FTRT_OUTPUT == static_cast<int>(ftc::manifest::Role::Output),
              "host.h has the manifest's roles");

/// A parameter, state or constant that has bytes `offset` to `offset + bytes`.
const ftc::manifest::Tensor &requireBytes(const ftrt_host *host, const char *name, uint64_t offset, uint64_t bytes) {
  const auto *tensor = host->session.findTensor(name);
  if (!tensor)
    throw RunError(ExitCode::Usage, fmt::format("there is no parameter, state or constant '{}'", name));
  if (offset > tensor->bytes() || bytes > tensor->bytes() - offset)
    throw RunError(ExitCode::Usage, fmt::format("'{}' has {} bytes: there are no {} from byte {} on", name,
                                                tensor->bytes(), bytes, offset));
  return *tensor;
}

void describe(const ftrt_host *host, const ftc::manifest::Tensor *tensor, const char *name, ftrt_tensor *out) {
  if (!tensor)
    throw RunError(ExitCode::Usage, fmt::format("there is no tensor '{}' there", name));
  *out = {};
  out->name = tensor->name()->c_str();
  out->data = host->session.data(*tensor);
  out->bytes = tensor->bytes();
  out->type = static_cast<int32_t>(tensor->type());
  out->role = static_cast<int32_t>(tensor->role());
  out->rank = tensor->shape() ? tensor->shape()->size() : 0;
  out->shape = tensor->shape() ? tensor->shape()->data() : nullptr;
}

} // namespace

extern "C" {

const char *ftrt_host_error(void) { return lastError.c_str(); }

ftrt_host *ftrt_host_open(const char *path, uint32_t threads) {
  ftrt_host *host = nullptr;
  guarded([&] { host = new ftrt_host(path, threads); });
  return host;
}

void ftrt_host_close(ftrt_host *host) { delete host; }

int ftrt_host_init(ftrt_host *host, uint64_t seed) {
  return guarded([&] {
    host->session.initialize(seed);
    host->session.fillRowNorms();
    host->isFilled = true;
  });
}

int ftrt_host_parameters_changed(ftrt_host *host) {
  return guarded([&] { host->session.fillRowNorms(); });
}

uint64_t ftrt_host_planned_bytes(const ftrt_host *host) { return host->session.step().plannedBytes(); }

uint64_t ftrt_host_taken_bytes(const ftrt_host *host) { return host->session.bytesTaken(); }

uint64_t ftrt_host_far_bytes(const ftrt_host *host) { return host->session.step().plannedFarBytes(); }

uint32_t ftrt_host_threads(const ftrt_host *host) { return const_cast<ftrt_host *>(host)->session.pool().threads(); }

int ftrt_host_entry(const ftrt_host *host, int kind) {
  return host->session.step().findEntry(static_cast<ftc::manifest::EntryKind>(kind));
}

int ftrt_host_entry_for(const ftrt_host *host, int kind, int64_t tokens) {
  const ftc::LoadedStep &step = host->session.step();
  for (int entry : step.findEntries(static_cast<ftc::manifest::EntryKind>(kind)))
    if (step.manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(entry))->sequence() >= tokens)
      return entry;
  return -1;
}

int ftrt_host_entry_shape(const ftrt_host *host, int entry, int64_t *batch, int64_t *sequence) {
  return guarded([&] {
    requireEntry(host, entry);
    const auto *info = host->session.manifest().entries()->Get(static_cast<uint32_t>(entry));
    *batch = info->batch();
    *sequence = info->sequence();
  });
}

uint64_t ftrt_host_tensor_count(const ftrt_host *host) { return host->session.manifest().tensors()->size(); }

int ftrt_host_tensor_at(const ftrt_host *host, uint64_t index, ftrt_tensor *out) {
  return guarded([&] {
    const auto *tensors = host->session.manifest().tensors();
    if (index >= tensors->size())
      throw RunError(ExitCode::Usage, fmt::format("there is no tensor {}; the step has {}", index, tensors->size()));
    describe(host, tensors->Get(static_cast<uint32_t>(index)), "", out);
  });
}

int ftrt_host_tensor(const ftrt_host *host, const char *name, ftrt_tensor *out) {
  return guarded([&] { describe(host, host->session.findTensor(name), name, out); });
}

int ftrt_host_input(const ftrt_host *host, int entry, const char *name, ftrt_tensor *out) {
  return guarded([&] {
    requireEntry(host, entry);
    describe(host, host->session.findInput(entry, name), name, out);
  });
}

int ftrt_host_output(const ftrt_host *host, int entry, const char *name, ftrt_tensor *out) {
  return guarded([&] {
    requireEntry(host, entry);
    describe(host, host->session.findOutput(entry, name), name, out);
  });
}

int ftrt_host_read(ftrt_host *host, const char *name, uint64_t offset, void *to, uint64_t bytes) {
  return guarded([&] { host->session.read(requireBytes(host, name, offset, bytes), offset, to, bytes); });
}

int ftrt_host_write(ftrt_host *host, const char *name, uint64_t offset, const void *from, uint64_t bytes) {
  return guarded([&] { host->session.write(requireBytes(host, name, offset, bytes), offset, from, bytes); });
}

int ftrt_host_run(ftrt_host *host, int entry, const ftrt_scalars *scalars) {
  return guarded([&] {
    requireEntry(host, entry);
    // Not only parameters: without its constants (rotary tables, for one) a step computes something, and wrongly.
    if (!host->isFilled)
      throw RunError(ExitCode::Usage,
                     "parameters, states and constants are not filled; call ftrt_host_init first, also "
                     "where ftrt_host_write gives parameters of your own afterwards");
    host->session.run(entry, *scalars);
  });
}

} // extern "C"
