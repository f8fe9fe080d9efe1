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
static constexpr const char imageName[] = "step.image.";

namespace {
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
    embed(module, cubins);
    remark::passed(module.getLoc(), remark::RemarkOpts::name("cubin").category("cuda-embed-binary"))
        << remark::add("kernels assembled for {0}", target->architecture) << remark::metric("bytes", bytes)
        << remark::metric("modules", static_cast<int64_t>(cubins.size()));
  }

  /// The images, and the table of modules with their addresses and sizes.
  void embed(ModuleOp module, ArrayRef<std::optional<std::string>> cubins) {
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    Location loc = module.getLoc();
    Type i8 = builder.getI8Type(), i64 = builder.getI64Type(), pointer = LLVM::LLVMPointerType::get(&getContext());
    for (auto [number, cubin] : llvm::enumerate(cubins)) {
      auto bytes = RankedTensorType::get({static_cast<int64_t>(cubin->size())}, i8);
      auto image = DenseElementsAttr::getFromRawBuffer(bytes, ArrayRef<char>(cubin->data(), cubin->size()));
      LLVM::GlobalOp::create(builder, loc, LLVM::LLVMArrayType::get(i8, cubin->size()), /*isConstant=*/true,
                             LLVM::Linkage::Internal, imageName + std::to_string(number), image, /*alignment=*/64);
    }
    auto entry = LLVM::LLVMStructType::getLiteral(&getContext(), {pointer, i64}); // ftrt_module
    auto table = LLVM::LLVMArrayType::get(entry, cubins.size());
    auto global = LLVM::GlobalOp::create(builder, loc, table, /*isConstant=*/true, LLVM::Linkage::Internal, modulesName,
                                         Attribute(), /*alignment=*/8);
    OpBuilder inner(&getContext());
    inner.createBlock(&global.getInitializerRegion());
    Value all = LLVM::UndefOp::create(inner, loc, table);
    for (auto [number, cubin] : llvm::enumerate(cubins)) {
      auto bytes = static_cast<int64_t>(cubin->size());
      Value size = LLVM::ConstantOp::create(inner, loc, i64, inner.getI64IntegerAttr(bytes));
      Value address = LLVM::AddressOfOp::create(inner, loc, pointer, imageName + std::to_string(number));
      Value row = LLVM::UndefOp::create(inner, loc, entry);
      row = LLVM::InsertValueOp::create(inner, loc, row, address, int64_t{0});
      row = LLVM::InsertValueOp::create(inner, loc, row, size, int64_t{1});
      all = LLVM::InsertValueOp::create(inner, loc, all, row, static_cast<int64_t>(number));
    }
    LLVM::ReturnOp::create(inner, loc, all);
  }
};
} // namespace
