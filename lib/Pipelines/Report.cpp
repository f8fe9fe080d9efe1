//===- Report.cpp - The memory table as people read it -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Pipelines/Report.h"

#include "ftc/Support/Units.h"

#include "llvm/Support/Format.h"

using namespace ftc;

std::string ftc::formatMemoryTable(const MemoryTable &table, int64_t most, const std::string &owner) {
  std::string text;
  llvm::raw_string_ostream out(text);
  auto line = [&](llvm::StringRef what, int64_t bytes, int64_t far) {
    double share = table.total > 0 ? 100.0 * static_cast<double>(bytes) / static_cast<double>(table.total) : 0.0;
    out << "  " << llvm::left_justify(what, 28) << llvm::right_justify(formatBytes(static_cast<uint64_t>(bytes)), 12)
        << llvm::format(" %15lld B  %5.1f %%", static_cast<long long>(bytes), share);
    // The far tier has a column where anything lies there.
    if (table.farTotal > 0)
      out << llvm::right_justify(formatBytes(static_cast<uint64_t>(far)), 12)
          << llvm::format(" %15lld B far", static_cast<long long>(far));
    out << "\n";
  };
  out << "memory of the step\n";
  for (const MemoryRow &row : table.rows)
    line(row.what, row.bytes, row.far);
  line("total", table.total, table.farTotal);
  auto bytes = [](int64_t count) { return formatBytes(static_cast<uint64_t>(count)); };
  if (table.total <= most)
    out << "fits: " << bytes(table.total) << " of " << bytes(most) << " of " << owner << "\n";
  out << "peak in '" << table.peakEntry << "' at launch " << table.peakNumber << ": " << table.peakLaunch << "\n";
  for (const MemoryRow &row : table.workspaces)
    out << row.what << " has a workspace of up to " << formatBytes(static_cast<uint64_t>(row.bytes))
        << ", of one launch at a time\n";
  if (!table.largest.empty())
    out << "largest buffers there\n";
  for (const MemoryRow &row : table.largest)
    out << llvm::right_justify(formatBytes(static_cast<uint64_t>(row.bytes)), 12)
        << llvm::format("  %5.1f %%  ", 100.0 * static_cast<double>(row.bytes) / static_cast<double>(table.total))
        << (row.count > 1 ? std::to_string(row.count) + " x " : "") << row.what << "\n";
  return text;
}

std::string ftc::formatWork(const PlanWork &work, int64_t tokens, llvm::StringRef device) {
  std::string text;
  llvm::raw_string_ostream out(text);
  auto line = [&](llvm::StringRef what) -> llvm::raw_ostream & { return out << "  " << llvm::left_justify(what, 28); };
  auto bytes = [](double count) { return formatBytes(static_cast<uint64_t>(count)); };
  out << "work of a step of " << tokens << " tokens\n";
  line("products and attention") << formatFlops(work.flops);
  // Less than a thousandth is a rounding error of the sums.
  if (double again = work.flops - work.necessaryFlops; again > 1e-3 * work.flops)
    out << ", of them " << formatFlops(again) << " again";
  out << "\n";
  line("near memory") << bytes(work.bytes) << " read and written, " << work.launches << " launches\n";
  if (work.bytesOut + work.bytesIn > 0)
    line("far tier") << bytes(work.bytesOut) << " out, " << bytes(work.bytesIn) << " in\n";
  if (work.seconds > 0) {
    line("at best") << formatSeconds(work.seconds) << ", " << formatCount(static_cast<double>(tokens) / work.seconds)
                    << " tokens/s, at the rates of device '" << device << "'";
    if (work.linkSeconds > 0)
      out << ": " << formatSeconds(work.launchSeconds) << " of launches beside " << formatSeconds(work.linkSeconds)
          << " of the link";
    out << "\n";
  }
  return text;
}
