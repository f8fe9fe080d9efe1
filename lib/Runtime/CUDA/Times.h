//===- Times.h - Where a step's time on a GPU goes -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_TIMES_H
#define FTC_LIB_RUNTIME_CUDA_TIMES_H

#include "Products.h"

#include "ftc/Schema/manifest_generated.h"

namespace ftc::cuda {

/// How long each kernel, each product and each attention of cuDNN took, over all calls. Works are timed one by one,
/// between two events, so their times add up to more than a step that runs as a graph.
class Times {
public:
  /// Times of no step; `enabled` is false.
  Times() = default;
  /// `file` gets the times in the end.
  Times(std::string file, const ftrt_step &step, const manifest::Manifest &manifest)
      : file(std::move(file)), step(&step), manifest(&manifest), kernels(step.kernel_count),
        products(step.product_count), attentions(step.attention_count) {}

  bool enabled() const { return step != nullptr; }
  void addKernel(size_t index, double milliseconds) { kernels[index].add(milliseconds); }
  void addProduct(size_t index, double milliseconds) { products[index].add(milliseconds); }
  void addAttention(size_t index, double milliseconds) { attentions[index].add(milliseconds); }

  /// Lines of microseconds in all, calls, bytes that a call of a row kernel has to read and write (nothing for others),
  /// and name, the longest first. False where the file cannot be written; `error`
  /// then says why.
  bool write(std::string &error) const;

private:
  struct Sum {
    uint64_t calls = 0;
    double milliseconds = 0;
    void add(double more) { ++calls, milliseconds += more; }
  };

  std::string file;
  const ftrt_step *step = nullptr;
  const manifest::Manifest *manifest = nullptr;
  std::vector<Sum> kernels, products, attentions;
};

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_TIMES_H
