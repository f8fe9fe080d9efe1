//===- Products.h - Matrix products of a step by cuBLASLt ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_PRODUCTS_H
#define FTC_LIB_RUNTIME_CUDA_PRODUCTS_H

#include "Libraries.h"

#include "ftrt/step.h"

#include <memory>
#include <string>
#include <vector>

namespace ftc::cuda {

/// "product 3 (512 x 2048 = 512 x 576 times 576 x 2048, bf16 times bf16 to fp32)"
std::string describeProduct(size_t index, const ftrt_matmul &product);

/// How the operands of a product lie in all calls of it: the largest power of two, 256 at most, that divides every
/// address.
struct OperandAlignment {
  uint32_t a = 256, b = 256, addend = 256, d = 256;
};

/// A descriptor and an algorithm for each product of a step, chosen when it is made: the first of cuBLASLt's heuristic
/// that fits into the product's planned workspace and whose sums have a fixed order. Products are of operands as they
/// are (fp32 without TF32), with sums in fp32.
class Products {
public:
  /// With the step's context current. Throws RunError: NoDevice without cuBLASLt, Unsupported where it has no algorithm
  /// for a product.
  Products(const std::string &path, const ftrt_step &step, const std::vector<OperandAlignment> &alignments);
  ~Products();
  Products(const Products &) = delete;
  Products &operator=(const Products &) = delete;

  /// Queues product `index`; operands as in ftrt_device. Allocates nothing. cuBLASLt's status.
  LtStatus run(size_t index, Stream stream, Address a, Address b, Address addend, Address d, Address workspace) const;

  std::string statusText(LtStatus status) const;
  /// "cuBLASLt 13.1.0 (/usr/local/cuda/lib64/libcublasLt.so.13)"
  std::string describe() const;

private:
  struct Product {
    LtMatmulDesc desc = nullptr;
    LtLayout a = nullptr, b = nullptr, d = nullptr;
    LtAlgorithm algorithm{};
    uint64_t workspaceBytes = 0;
    bool hasAddend = false;
  };

  void prepare(size_t index, const ftrt_matmul &wanted, const OperandAlignment &alignment);
  void choose(size_t index, const ftrt_matmul &wanted, const OperandAlignment &alignment);
  void release();
  /// Throws unless `status` is success.
  void require(LtStatus status, const std::string &what) const;

  const std::string &path;
  const Lt &lt;
  LtHandle handle = nullptr;
  std::vector<Product> products;
};

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_PRODUCTS_H
