//===- Documents.h - The documents of a batch ------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_DOCUMENTS_H
#define FTC_LIB_RUNTIME_CUDA_DOCUMENTS_H

#include <cstdint>
#include <vector>

namespace ftc::cuda {

/// Tokens of a batch, counted over its rows, that attend to each other.
struct Document {
  int64_t first;
  int32_t length;
};

/// Finds the documents of two tokens and more, in order; `starts` are `batch` rows of `sequence` segment starts (the
/// first position in the row that a token attends to). False where segments are no documents: where one begins before
/// its first token, so that it reaches into another.
inline bool findDocuments(const int32_t *starts, uint64_t batch, uint64_t sequence, std::vector<Document> &found) {
  found.clear();
  for (uint64_t row = 0; row < batch; ++row, starts += sequence)
    for (uint64_t first = 0, end = 0; first < sequence; first = end) {
      if (starts[first] != static_cast<int64_t>(first))
        return false;
      for (end = first + 1; end < sequence && starts[end] == starts[first];)
        ++end;
      if (end - first > 1)
        found.push_back({static_cast<int64_t>(row * sequence + first), static_cast<int32_t>(end - first)});
    }
  return true;
}

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_DOCUMENTS_H
