//===- Products.cpp - Matrix products of a step by cuBLASLt ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// cuBLASLt's matrices are column-major, a step's are row-major. A row-major matrix, read as column-major, is its
// transpose; so d = op(a) op(b) is asked for as d' = op(b)' op(a)': b comes first, nothing is copied or transposed.
//
//===----------------------------------------------------------------------===//

#include "Products.h"

#include "ftc/Runtime/RunError.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace ftc::cuda {
namespace {

const char *typeName(uint32_t type) { return type == FTRT_F32 ? "fp32" : type == FTRT_BF16 ? "bf16" : "unknown"; }
int ltType(uint32_t type) { return type == FTRT_F32 ? LtReal32 : LtBFloat16; }

constexpr int algorithmsAsked = 16;
constexpr size_t mostCandidates = 8;

} // namespace

std::string describeProduct(size_t index, const ftrt_matmul &product) {
  return fmt::format("product {} ({} x {} by {} x {}, {} by {} to {})", index, product.m, product.k, product.k,
                     product.n, typeName(product.type_a), typeName(product.type_b), typeName(product.type_d));
}

std::string identifyProduct(const ftrt_matmul &p) {
  return fmt::format("{}{} x {} (pitch {}) by {}{} x {} (pitch {}), {} by {} to {} (pitch {}){}, workspace {}",
                     p.transpose_a ? "transposed " : "", p.m, p.k, p.lda, p.transpose_b ? "transposed " : "", p.k, p.n,
                     p.ldb, typeName(p.type_a), typeName(p.type_b), typeName(p.type_d), p.ldd,
                     p.has_addend ? ", added" : "", p.workspace_bytes);
}

Products::Products(const std::string &path, const ftrt_step &step, const std::vector<OperandAlignment> &alignments,
                   const ProductAlgorithms *kept)
    : path(path), lt(openLt()), products(step.product_count) {
  LtStatus status = lt.functions.create(&handle);
  if (status != 0)
    throw RunError(ExitCode::Unsupported,
                   fmt::format("{}: cuBLASLt ({}) cannot start on this device: {}; it may be older than the GPU, or "
                               "newer than the driver: install another one, and name its folder in FTRT_CUDA_LIBS",
                               path, lt.path, statusText(status)));
  try {
    for (size_t index = 0; index < products.size(); ++index) {
      prepare(index, step.products[index]);
      if (kept)
        keep(index, step.products[index], kept->products[index].words);
      else
        choose(index, step.products[index], alignments[index]);
    }
  } catch (...) {
    release();
    throw;
  }
}

Products::~Products() { release(); }

void Products::release() {
  for (const Product &product : products) {
    for (LtLayout layout : {product.a, product.b, product.d})
      if (layout)
        lt.functions.layoutDestroy(layout);
    if (product.desc)
      lt.functions.descDestroy(product.desc);
  }
  if (handle)
    lt.functions.destroy(handle);
}

void Products::require(LtStatus status, const std::string &what) const {
  if (status != 0)
    throw RunError(ExitCode::Unsupported, fmt::format("{}: {}: cuBLASLt says {}", path, what, statusText(status)));
}

void Products::prepare(size_t index, const ftrt_matmul &wanted) {
  Product &product = products[index];
  const std::string what = describeProduct(index, wanted);
  const LtFunctions &f = lt.functions;
  require(f.descCreate(&product.desc, LtCompute32, LtReal32), what);
  // Our b is cuBLASLt's A, and our a its B.
  const int transA = wanted.transpose_b ? LtTransposed : LtPlain;
  const int transB = wanted.transpose_a ? LtTransposed : LtPlain;
  require(f.descSetAttribute(product.desc, LtDescTransA, &transA, sizeof(transA)), what);
  require(f.descSetAttribute(product.desc, LtDescTransB, &transB, sizeof(transB)), what);
  const auto layout = [&](LtLayout &out, uint32_t type, uint64_t rows, uint64_t columns, uint64_t leading) {
    require(f.layoutCreate(&out, ltType(type), columns, rows, static_cast<int64_t>(leading)), what);
  };
  const uint64_t m = wanted.m, n = wanted.n, k = wanted.k;
  layout(product.a, wanted.type_b, wanted.transpose_b ? n : k, wanted.transpose_b ? k : n, wanted.ldb);
  layout(product.b, wanted.type_a, wanted.transpose_a ? k : m, wanted.transpose_a ? m : k, wanted.lda);
  layout(product.d, wanted.type_d, m, n, wanted.ldd);
  product.workspaceBytes = wanted.workspace_bytes;
  product.hasAddend = wanted.has_addend;
}

void Products::keep(size_t index, const ftrt_matmul &wanted, const std::array<uint64_t, 8> &words) {
  Product &product = products[index];
  LtAlgorithm algorithm{};
  std::copy(words.begin(), words.end(), algorithm.data);
  LtHeuristic result{};
  const LtStatus status =
      lt.functions.algoCheck(handle, product.desc, product.a, product.b, product.d, product.d, &algorithm, &result);
  if (status != 0 || result.workspaceBytes > wanted.workspace_bytes)
    throw RunError(ExitCode::BadStep,
                   fmt::format("{}: {}: the algorithm that was kept for it is none that {} has here{}; remove the file "
                               "with the algorithms, or tune again",
                               path, describeProduct(index, wanted), libraryName(),
                               status != 0 ? fmt::format(" ({})", statusText(status)) : ""));
  product.candidates = {algorithm};
}

void Products::choose(size_t index, const ftrt_matmul &wanted, const OperandAlignment &alignment) {
  Product &product = products[index];
  const std::string what = describeProduct(index, wanted);
  const LtFunctions &f = lt.functions;
  LtPreference preference = nullptr;
  require(f.preferenceCreate(&preference), what);
  std::array<LtHeuristic, algorithmsAsked> found{};
  int count = 0;
  const auto set = [&](int attribute, const auto &value) {
    return f.preferenceSetAttribute(preference, attribute, &value, sizeof(value));
  };
  // A sum that is cut along k either stays whole or is joined in fp32 from the workspace, in a fixed order: never added
  // up in place by whoever comes first, and never rounded to the output's type in between.
  const uint32_t reduction = LtReductionNone | LtReductionComputeType;
  LtStatus status = set(LtPreferWorkspace, wanted.workspace_bytes);
  if (status == 0)
    status = set(LtPreferReduction, reduction);
  const uint32_t addend = wanted.has_addend ? alignment.addend : alignment.d;
  int attribute = LtPreferAlignmentA;
  for (uint32_t bytes : {alignment.b, alignment.a, addend, alignment.d})
    if (status == 0)
      status = set(attribute++, bytes);
  if (status == 0)
    status = f.getHeuristic(handle, product.desc, product.a, product.b, product.d, product.d, preference,
                            algorithmsAsked, found.data(), &count);
  f.preferenceDestroy(preference);
  for (int at = 0; status == 0 && at < count && product.candidates.size() < mostCandidates; ++at) {
    const LtHeuristic &candidate = found[static_cast<size_t>(at)];
    uint32_t scheme = 0;
    size_t written = 0;
    if (candidate.state != 0 || candidate.workspaceBytes > wanted.workspace_bytes ||
        f.algoConfigGet(&candidate.algorithm, LtConfigReductionScheme, &scheme, sizeof(scheme), &written) != 0 ||
        (scheme & ~reduction))
      continue;
    product.candidates.push_back(candidate.algorithm);
  }
  if (!product.candidates.empty())
    return;
  throw RunError(
      ExitCode::Unsupported,
      fmt::format("{}: {}: cuBLASLt {} has no algorithm within {} bytes of workspace whose sums have a fixed "
                  "order{}; use a newer cuBLASLt (FTRT_CUDA_LIBS), or recompile with other sizes",
                  path, what, f.getVersion(), wanted.workspace_bytes,
                  status != 0 ? fmt::format(" ({})", statusText(status)) : ""));
}

LtStatus Products::run(size_t index, Stream stream, Address a, Address b, Address addend, Address d,
                       Address workspace) const {
  const Product &product = products[index];
  const float alpha = 1, beta = product.hasAddend ? 1 : 0;
  const auto pointer = [](Address address) { return reinterpret_cast<void *>(address); };
  return lt.functions.matmul(handle, product.desc, &alpha, pointer(b), product.a, pointer(a), product.b, &beta,
                             pointer(product.hasAddend ? addend : d), product.d, pointer(d), product.d,
                             &product.algorithm(), pointer(workspace), product.workspaceBytes, stream);
}

std::string Products::statusText(LtStatus status) const {
  const char *name = lt.functions.getStatusName(status);
  return name ? name : fmt::format("status {}", status);
}

std::string libraryName() {
  // 130100 is 13.1.0.
  const size_t version = openLt().functions.getVersion();
  return fmt::format("cuBLASLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::string Products::describe() const { return fmt::format("{} ({})", libraryName(), lt.path); }

} // namespace ftc::cuda
