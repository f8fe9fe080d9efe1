//===- Remarks.h - What the passes decided ------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_PIPELINES_REMARKS_H
#define FTC_LIB_PIPELINES_REMARKS_H

#include "mlir/IR/Remarks.h"

#include <string>
#include <utility>
#include <vector>

namespace ftc {

/// One decision of a pass, as it was told.
struct RemarkRecord {
  std::string pass;
  std::string where;                                    ///< name of the op in the model; empty where there is none
  std::string text;                                     ///< what was decided, in words
  std::vector<std::pair<std::string, int64_t>> metrics; ///< numbers that belong to it, in order
  bool done = false;                                    ///< something was changed; else it was left as it is
  std::string entry{};                                  ///< that the op is of; empty where that is not known

  /// Words and numbers in one line.
  std::string message() const;
  /// The metric `bytes_saved` or `bytes`; 0 without either.
  int64_t bytes() const;
  /// Whether it is of an entry for shorter rows ("step_256"), which repeats what was decided for the longest.
  bool isOfShorterRows() const;
};

/// Collects remarks in the order in which passes tell them.
class RemarkCollector final : public mlir::remark::detail::MLIRRemarkStreamerBase {
public:
  explicit RemarkCollector(std::vector<RemarkRecord> &records) : records(records) {}
  void streamOptimizationRemark(const mlir::remark::detail::Remark &remark) override;

private:
  std::vector<RemarkRecord> &records;
};

/// Whether it tells the place of a buffer, or that the plan was proven: there are many, and the memory table sums them
/// up.
bool isPlacement(const RemarkRecord &record);

/// A summary for people: decisions of one pass that say the same are one line, with their number and the sums of their
/// metrics, over the entry `step` alone where there is one. At most `most` lines a pass, those with most bytes first.
/// Without placements, and without entries for shorter rows.
std::string summarizeRemarks(const std::vector<RemarkRecord> &records, size_t most);

/// Every decision with its place, in order.
std::string listRemarks(const std::vector<RemarkRecord> &records);

} // namespace ftc

#endif // FTC_LIB_PIPELINES_REMARKS_H
