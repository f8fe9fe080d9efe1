//===- Times.cpp - Where a step's time on a GPU goes -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Times.h"

#include "Attentions.h"

#include "ftc/Support/Files.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>

namespace ftc::cuda {

bool Times::write(std::string &error) const {
  std::unordered_map<std::string_view, uint64_t> bytes;
  if (const auto *known = manifest->kernels())
    for (const manifest::Kernel *kernel : *known)
      bytes[kernel->name()->string_view()] = kernel->read_bytes() + kernel->written_bytes();
  std::vector<std::pair<Sum, std::string>> rows;
  for (size_t index = 0; index < kernels.size(); ++index)
    rows.emplace_back(kernels[index], step->kernels[index].name);
  for (size_t index = 0; index < products.size(); ++index)
    rows.emplace_back(products[index], describeProduct(index, step->products[index]));
  for (size_t index = 0; index < attentions.size(); ++index)
    rows.emplace_back(attentions[index], describeAttention(index, step->attentions[index]));
  std::erase_if(rows, [](const auto &row) { return row.first.calls == 0; });
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto &x, const auto &y) { return x.first.milliseconds > y.first.milliseconds; });
  std::string text = "microseconds\tcalls\tbytes\tname\n";
  for (const auto &[sum, name] : rows) {
    const auto found = bytes.find(name);
    text += fmt::format("{:.1f}\t{}\t{}\t{}\n", sum.milliseconds * 1e3, sum.calls,
                        found == bytes.end() ? "" : std::to_string(found->second), name);
  }
  return writeFileAtomically(file, text, error);
}

} // namespace ftc::cuda
