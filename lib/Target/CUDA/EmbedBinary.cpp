//===- EmbedBinary.cpp - Machine code of the device inside a step --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Assumes what cuda-emit-ptx leaves: a gpu.binary with PTX for each module, in the order that the table of kernels
// counts. Promises the same bytes from the same assembler, whatever the number of cores that assemble. Refuses to go on
// where there is no assembler, and says what to install.
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Parallel.h"
#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"
#include "lib/Target/CUDA/Cubin.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Remarks.h"

namespace ftc {
#define GEN_PASS_DEF_CUDAEMBEDBINARYPASS
#include "lib/Target/CUDA/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

/// Followed by the number of the module.
static constexpr const char imageName[] = "step.image.", textName[] = "step.text.";

namespace {
/// PTX with the one 0 at its end that the driver reads up to.
StringRef ended(const std::string &text) {
  const size_t length = std::min(text.find('\0'), text.size());
  return {text.c_str(), length + 1};
}

struct CudaEmbedBinaryPass : ftc::impl::CudaEmbedBinaryPassBase<CudaEmbedBinaryPass> {
  using CudaEmbedBinaryPassBase::CudaEmbedBinaryPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    std::optional<ftc::cuda::CudaTarget> target = ftc::cuda::resolveDevice(getOperation(), device);
    if (!target)
      return signalPassFailure();
    auto binaries = llvm::to_vector(module.getOps<gpu::BinaryOp>());
    if (binaries.empty())
      return markAllAnalysesPreserved();
    std::vector<std::string> texts;
    for (gpu::BinaryOp binary : binaries)
      texts.push_back(cast<gpu::ObjectAttr>(binary.getObjects()[0]).getObject().getValue().str());
    std::vector<std::string> errors(texts.size());
    std::vector<std::optional<std::string>> cubins(texts.size());
    parallelFor(texts.size(),
                [&](size_t index) { cubins[index] = ftc::cuda::assemble(texts[index], *target, errors[index]); });
    int64_t bytes = 0;
    for (auto [cubin, error] : llvm::zip(cubins, errors)) {
      if (!cubin) {
        module.emitError(error);
        return signalPassFailure();
      }
      bytes += static_cast<int64_t>(cubin->size());
    }
    for (gpu::BinaryOp binary : binaries)
      binary.erase();
    embed(module, cubins, texts);
    remark::passed(module.getLoc(), remark::RemarkOpts::name("cubin").category("cuda-embed-binary"))
        << remark::add("kernels assembled for {0}", target->architecture) << remark::metric("bytes", bytes)
        << remark::metric("modules", static_cast<int64_t>(cubins.size()));
  }

  /// The images, with their texts for drivers that are older than the assembler, and the table of modules with
  /// addresses and sizes of both.
  void embed(ModuleOp module, ArrayRef<std::optional<std::string>> cubins, ArrayRef<std::string> texts) {
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    Location loc = module.getLoc();
    Type i8 = builder.getI8Type(), i64 = builder.getI64Type(), pointer = LLVM::LLVMPointerType::get(&getContext());
    auto addBytes = [&](std::string name, StringRef content) {
      auto bytes = RankedTensorType::get({static_cast<int64_t>(content.size())}, i8);
      auto image = DenseElementsAttr::getFromRawBuffer(bytes, ArrayRef<char>(content.data(), content.size()));
      LLVM::GlobalOp::create(builder, loc, LLVM::LLVMArrayType::get(i8, content.size()), /*isConstant=*/true,
                             LLVM::Linkage::Internal, name, image, /*alignment=*/64);
    };
    for (auto [number, cubin] : llvm::enumerate(cubins)) {
      addBytes(imageName + std::to_string(number), *cubin);
      addBytes(textName + std::to_string(number), ended(texts[number]));
    }
    auto entry = LLVM::LLVMStructType::getLiteral(&getContext(), {pointer, i64, pointer, i64}); // ftrt_module
    auto table = LLVM::LLVMArrayType::get(entry, cubins.size());
    auto global = LLVM::GlobalOp::create(builder, loc, table, /*isConstant=*/true, LLVM::Linkage::Internal, modulesName,
                                         Attribute(), /*alignment=*/8);
    OpBuilder inner(&getContext());
    inner.createBlock(&global.getInitializerRegion());
    Value all = LLVM::UndefOp::create(inner, loc, table);
    for (auto [number, cubin] : llvm::enumerate(cubins)) {
      Value row = LLVM::UndefOp::create(inner, loc, entry);
      int64_t field = 0;
      auto put = [&](std::string name, size_t bytes) {
        Value address = LLVM::AddressOfOp::create(inner, loc, pointer, name);
        Value size = LLVM::ConstantOp::create(inner, loc, i64, inner.getI64IntegerAttr(static_cast<int64_t>(bytes)));
        row = LLVM::InsertValueOp::create(inner, loc, row, address, field++);
        row = LLVM::InsertValueOp::create(inner, loc, row, size, field++);
      };
      put(imageName + std::to_string(number), cubin->size());
      put(textName + std::to_string(number), ended(texts[number]).size());
      all = LLVM::InsertValueOp::create(inner, loc, all, row, static_cast<int64_t>(number));
    }
    LLVM::ReturnOp::create(inner, loc, all);
  }
};
} // namespace
