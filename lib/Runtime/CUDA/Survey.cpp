//===- Survey.cpp - What a step's entries ask of a device ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Survey.h"

#include "ftc/Runtime/RunError.h"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

namespace ftc::cuda {
namespace {

[[noreturn]] void refuse(const std::string &path, const std::string &why) {
  throw RunError(ExitCode::BadStep, fmt::format("{}: its code for the device is damaged: {}; recompile it", path, why));
}

uint64_t typeBytes(uint32_t type) { return type == FTRT_BF16 ? 2 : 4; }

/// The table's context while entries are looked at.
struct Observer {
  const ftrt_step &step;
  const manifest::Manifest &manifest;
  const std::vector<void *> &slabs;
  const ftrt_scalars *scalars;
  Survey found;
  size_t entry = 0;           ///< that is being looked at
  bool declines = true;       ///< attention
  std::vector<bool> recorded; ///< events of the entry that is being looked at
  std::string wrong;          ///< the first thing that is; then the entry was told to stop

  int32_t fail(std::string why) {
    wrong = std::move(why);
    return 1;
  }

  /// Whether [address, address + bytes) lies in a near slab.
  bool inSlab(uint64_t address, uint64_t bytes) const {
    for (size_t index = 0; index < slabs.size(); ++index) {
      const auto *slab = manifest.slabs()->Get(static_cast<flatbuffers::uoffset_t>(index));
      const uint64_t base = reinterpret_cast<uint64_t>(slabs[index]);
      if (slab->place() == manifest::Place::Near && address >= base && address - base <= slab->bytes() &&
          bytes <= slab->bytes() - (address - base))
        return true;
    }
    return false;
  }

  int32_t launch(uint32_t stream, uint32_t kernel, const uint64_t *addresses) {
    ++found.launches;
    if (stream >= FTRT_STREAM_COUNT || kernel >= step.kernel_count)
      return fail(fmt::format("it launches kernel {} on stream {}", kernel, stream));
    for (uint32_t index = 0; index < step.kernels[kernel].argument_count; ++index)
      if (!inSlab(addresses[index], 0))
        return fail(fmt::format("argument {} of kernel '{}', {:#x}, lies in no slab", index, step.kernels[kernel].name,
                                addresses[index]));
    return 0;
  }

  /// One operand: `rows` x `columns`, `leading` elements from row to row.
  bool operand(size_t product, const char *what, uint64_t address, uint64_t rows, uint64_t columns, uint64_t leading,
               uint32_t type, uint32_t &alignment) {
    const uint64_t bytes = ((rows - 1) * leading + columns) * typeBytes(type);
    if (!inSlab(address, bytes) || address % typeBytes(type) != 0) {
      fail(fmt::format("{}: operand {} at {:#x} ({} bytes) lies in no slab, or is not aligned to its type",
                       describeProduct(product, step.products[product]), what, address, bytes));
      return false;
    }
    const uint64_t places = address | leading * typeBytes(type);
    alignment = std::min<uint32_t>(alignment, uint32_t(1) << std::min(8, std::countr_zero(places)));
    return true;
  }

  int32_t matmul(uint32_t stream, uint32_t product, uint64_t a, uint64_t b, uint64_t addend, uint64_t d,
                 uint64_t workspace) {
    ++found.products;
    if (stream >= FTRT_STREAM_COUNT || product >= step.product_count)
      return fail(fmt::format("it asks for product {} on stream {}", product, stream));
    const ftrt_matmul &p = step.products[product];
    OperandAlignment &at = found.alignments[product];
    if (!operand(product, "a", a, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda, p.type_a, at.a) ||
        !operand(product, "b", b, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb, p.type_b, at.b) ||
        !operand(product, "d", d, p.m, p.n, p.ldd, p.type_d, at.d) ||
        (p.has_addend && !operand(product, "addend", addend, p.m, p.n, p.ldd, p.type_d, at.addend)))
      return 1;
    if (p.workspace_bytes && (!inSlab(workspace, p.workspace_bytes) || workspace % 256 != 0))
      return fail(fmt::format("{}: its workspace at {:#x} lies in no slab, or is not aligned to 256",
                              describeProduct(product, p), workspace));
    if (!found.places[product].d)
      found.places[product] = {a, b, addend, d, workspace};
    return 0;
  }

  int32_t attention(uint32_t stream, uint32_t number, const uint64_t *addresses) {
    if (stream != FTRT_STREAM_COMPUTE || number >= step.attention_count)
      return fail(fmt::format("it asks for attention {} on stream {}", number, stream));
    const ftrt_attention &a = step.attentions[number];
    const uint64_t tokens = a.batch * a.sequence, wide = tokens * a.heads * a.head_dim * 2;
    const uint64_t keys = tokens * a.key_heads * a.head_dim * 2;
    const uint64_t bytes[] = {wide, keys, keys, tokens * 4, wide, tokens * a.heads * 4, wide, wide, keys, keys};
    const uint32_t count = a.gradient ? 10 : 6;
    for (uint32_t index = 0; index < count; ++index)
      if (!inSlab(addresses[index], bytes[index]) || addresses[index] % 16 != 0)
        return fail(
            fmt::format("operand {} of attention {} at {:#x} ({} bytes) lies in no slab, or is not aligned to 16",
                        index, number, addresses[index], bytes[index]));
    if (!inSlab(addresses[count], a.workspace_bytes) || addresses[count] % 256 != 0)
      return fail(fmt::format("the workspace of attention {} at {:#x} lies in no slab, or is not aligned to 256",
                              number, addresses[count]));
    const auto same = [&](const Survey::Attends &x) {
      return x.entry == entry && x.attention == number && x.starts == addresses[3];
    };
    if (std::none_of(found.attends.begin(), found.attends.end(), same))
      found.attends.push_back({entry, number, addresses[3]});
    return declines ? FTRT_DECLINED : 0;
  }

  int32_t upload(uint32_t stream, uint64_t to, const void *from, uint64_t bytes) {
    ++found.copies;
    const auto *start = reinterpret_cast<const char *>(scalars), *place = static_cast<const char *>(from);
    if (stream >= FTRT_STREAM_COUNT || bytes > 8 || !inSlab(to, bytes) || place < start ||
        place + bytes > start + sizeof(ftrt_scalars))
      return fail(fmt::format("it uploads {} bytes to {:#x} that are not of its scalars, or not to a slab", bytes, to));
    return 0;
  }

  int32_t far(uint32_t stream, uint32_t expected, uint32_t slab, uint64_t offset, uint64_t near, uint64_t bytes) {
    ++found.copies;
    const auto *info = slab < manifest.slabs()->size() ? manifest.slabs()->Get(slab) : nullptr;
    if (stream != expected || !info || info->place() != manifest::Place::Far || offset > info->bytes() ||
        bytes > info->bytes() - offset || !inSlab(near, bytes))
      return fail(fmt::format("a copy of {} bytes between byte {} of far slab {} and {:#x} leaves a slab, or is on the "
                              "wrong stream",
                              bytes, offset, slab, near));
    return 0;
  }

  int32_t record(uint32_t stream, uint32_t event) {
    if (stream >= FTRT_STREAM_COUNT || event >= step.event_count)
      return fail(fmt::format("it records event {} on stream {}", event, stream));
    recorded[event] = true;
    return 0;
  }

  int32_t wait(uint32_t stream, uint32_t event) {
    if (stream >= FTRT_STREAM_COUNT || event >= step.event_count || !recorded[event])
      return fail(fmt::format("stream {} waits for event {}, which was not recorded before", stream, event));
    return 0;
  }
};

ftrt_device tableOf(Observer &observer) {
  ftrt_device table{};
  table.size = sizeof(table);
  table.context = &observer;
  table.launch = [](void *context, uint32_t stream, uint32_t kernel, const uint64_t *addresses) {
    return static_cast<Observer *>(context)->launch(stream, kernel, addresses);
  };
  table.matmul = [](void *context, uint32_t stream, uint32_t product, uint64_t a, uint64_t b, uint64_t addend,
                    uint64_t d, uint64_t workspace) {
    return static_cast<Observer *>(context)->matmul(stream, product, a, b, addend, d, workspace);
  };
  table.attention = [](void *context, uint32_t stream, uint32_t attention, const uint64_t *addresses) {
    return static_cast<Observer *>(context)->attention(stream, attention, addresses);
  };
  table.upload = [](void *context, uint32_t stream, uint64_t to, const void *from, uint64_t bytes) {
    return static_cast<Observer *>(context)->upload(stream, to, from, bytes);
  };
  table.far_write = [](void *context, uint32_t stream, uint32_t slab, uint64_t offset, uint64_t from, uint64_t bytes) {
    return static_cast<Observer *>(context)->far(stream, FTRT_STREAM_COPY_OUT, slab, offset, from, bytes);
  };
  table.far_read = [](void *context, uint32_t stream, uint32_t slab, uint64_t offset, uint64_t to, uint64_t bytes) {
    return static_cast<Observer *>(context)->far(stream, FTRT_STREAM_COPY_IN, slab, offset, to, bytes);
  };
  table.record = [](void *context, uint32_t stream, uint32_t event) {
    return static_cast<Observer *>(context)->record(stream, event);
  };
  table.wait = [](void *context, uint32_t stream, uint32_t event) {
    return static_cast<Observer *>(context)->wait(stream, event);
  };
  return table;
}

} // namespace

void checkTables(const std::string &path, const ftrt_step &step) {
  if ((step.kernel_count && !step.kernels) || (step.module_count && !step.modules) ||
      (step.product_count && !step.products) || (step.attention_count && !step.attentions))
    refuse(path, "a table is missing");
  for (uint64_t index = 0; index < step.module_count; ++index)
    if (!step.modules[index].image || step.modules[index].size < 4)
      refuse(path, fmt::format("module {} is empty", index));
  for (uint64_t index = 0; index < step.kernel_count; ++index) {
    const ftrt_kernel &kernel = step.kernels[index];
    const uint64_t threads = uint64_t(kernel.block[0]) * kernel.block[1] * kernel.block[2];
    if (!kernel.name || !kernel.function || kernel.module >= step.module_count)
      refuse(path, fmt::format("kernel {} has no name, no function or no module", index));
    if (!kernel.grid[0] || !kernel.grid[1] || !kernel.grid[2] || threads == 0 || threads > 1024 ||
        kernel.argument_count > maxArguments || kernel.size_count > maxArguments - kernel.argument_count ||
        (kernel.size_count && !kernel.sizes))
      refuse(path,
             fmt::format("kernel '{}' is launched with {} x {} x {} blocks of {} threads, {} arguments and {} "
                         "sizes{}",
                         kernel.name, kernel.grid[0], kernel.grid[1], kernel.grid[2], threads, kernel.argument_count,
                         kernel.size_count, kernel.sizes ? "" : " of which there is no list"));
  }
  for (uint64_t index = 0; index < step.product_count; ++index) {
    const ftrt_matmul &p = step.products[index];
    const auto known = [](uint32_t type) { return type == FTRT_F32 || type == FTRT_BF16; };
    constexpr uint64_t most = uint64_t(1) << 31;
    const auto size = [&](uint64_t value) { return value > 0 && value < most; };
    if (!known(p.type_a) || !known(p.type_b) || !known(p.type_d) || !size(p.m) || !size(p.n) || !size(p.k) ||
        p.lda < (p.transpose_a ? p.m : p.k) || p.ldb < (p.transpose_b ? p.k : p.n) || p.ldd < p.n || p.lda >= most ||
        p.ldb >= most || p.ldd >= most || p.transpose_a > 1 || p.transpose_b > 1 || p.has_addend > 1)
      refuse(path, fmt::format("{} has sizes or types that cannot be", describeProduct(index, p)));
  }
  for (uint64_t index = 0; index < step.attention_count; ++index) {
    const ftrt_attention &a = step.attentions[index];
    constexpr uint64_t most = uint64_t(1) << 31;
    const auto size = [&](uint64_t value) { return value > 0 && value < most; };
    if (!size(a.batch) || !size(a.sequence) || !size(a.heads) || !size(a.key_heads) || !size(a.head_dim) ||
        a.heads % a.key_heads != 0 || a.batch * a.sequence >= most || a.gradient > 1 || !(a.scale > 0))
      refuse(path, fmt::format("attention {} has sizes that cannot be", index));
  }
}

Survey surveyEntries(const std::string &path, const ftrt_step &step, const manifest::Manifest &manifest,
                     const std::vector<void *> &slabs, const ftrt_scalars *scalars) {
  Observer observer{step, manifest, slabs, scalars, {}, 0, true, {}, {}};
  observer.found.alignments.resize(step.product_count);
  observer.found.places.resize(step.product_count);
  const ftrt_device table = tableOf(observer);
  ftrt_services services{};
  services.abi_version = FTRT_ABI_VERSION;
  services.size = sizeof(services);
  services.threads = 1;
  services.device = &table;
  for (bool declines : {true, false})
    for (size_t index = 0; index < step.entry_count && (declines || step.attention_count); ++index) {
      observer.entry = index;
      observer.declines = declines;
      observer.recorded.assign(step.event_count, false);
      const int32_t code = step.entries[index](&services, slabs.data(), scalars);
      if (!observer.wrong.empty())
        refuse(path, fmt::format("entry {}: {}", index, observer.wrong));
      if (code != FTRT_OK)
        refuse(path, fmt::format("entry {} returned {}", index, code));
    }
  return observer.found;
}

} // namespace ftc::cuda
