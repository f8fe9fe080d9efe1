//===- Products.h - Matrix products of a step by cuBLASLt ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_PRODUCTS_H
#define FTC_LIB_RUNTIME_CUDA_PRODUCTS_H

#include "Libraries.h"

#include "ftc/Runtime/Device.h"
#include "ftrt/step.h"

#include <memory>
#include <string>
#include <vector>

namespace ftc::cuda {

/// "product 3 (512 x 2048 = 512 x 576 times 576 x 2048, bf16 times bf16 to fp32)"
std::string describeProduct(size_t index, const ftrt_matmul &product);

/// The same without the number, with transposes and addend: two products with one description are the same product.
std::string identifyProduct(const ftrt_matmul &product);

/// The library that multiplies: "cuBLASLt 13.1.0". Throws RunError(NoDevice) without it.
std::string libraryName();

/// How the operands of a product lie in all calls of it: the largest power of two, 256 at most, that divides every
/// address.
struct OperandAlignment {
  uint32_t a = 256, b = 256, addend = 256, d = 256;
};

/// A descriptor and an algorithm for each product of a step, chosen when it is made: the first of cuBLASLt's heuristic
/// that fits into the product's planned workspace and whose sums have a fixed order; or one that was kept from before;
/// or, by select, another one that is as good. Products are of operands as they are (fp32 without TF32), with sums in
/// fp32.
class Products {
public:
  /// With the step's context current. `kept` holds an algorithm for each product, of this version of the library on
  /// this kind of device, or is null. Throws RunError: NoDevice without cuBLASLt, Unsupported where it does not start,
  /// has no algorithm for a product, BadStep where it refuses one that was kept.
  Products(const std::string &path, const ftrt_step &step, const std::vector<OperandAlignment> &alignments,
           const ProductAlgorithms *kept = nullptr);
  ~Products();
  Products(const Products &) = delete;
  Products &operator=(const Products &) = delete;

  /// Queues product `index`; operands as in ftrt_device. Allocates nothing. cuBLASLt's status.
  LtStatus run(size_t index, Stream stream, Address a, Address b, Address addend, Address d, Address workspace) const;

  /// The algorithms that product `index` may be computed with, the library's first choice first; a few at most. Only
  /// the one that was kept, where one was.
  const std::vector<LtAlgorithm> &candidates(size_t index) const { return products[index].candidates; }
  /// From now on, product `index` is computed with its candidate `candidate`, at first the first one.
  void select(size_t index, size_t candidate) { products[index].selected = candidate; }
  const LtAlgorithm &selected(size_t index) const { return products[index].algorithm(); }

  std::string statusText(LtStatus status) const;
  /// "cuBLASLt 13.1.0 (/usr/local/cuda/lib64/libcublasLt.so.13)"
  std::string describe() const;

private:
  struct Product {
    LtMatmulDesc desc = nullptr;
    LtLayout a = nullptr, b = nullptr, d = nullptr;
    std::vector<LtAlgorithm> candidates;
    size_t selected = 0;
    uint64_t workspaceBytes = 0;
    bool hasAddend = false;

    const LtAlgorithm &algorithm() const { return candidates[selected]; }
  };

  void prepare(size_t index, const ftrt_matmul &wanted);
  /// Takes an algorithm that was kept.
  void keep(size_t index, const ftrt_matmul &wanted, const std::array<uint64_t, 8> &words);
  /// Asks the library's heuristic for candidates.
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
