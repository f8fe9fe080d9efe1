//===- EmbedBinary.cpp - Machine code of the device inside a step --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Assumes what cuda-emit-ptx leaves: a gpu.binary with PTX. Promises one module for all kernels of a step, and the same
// bytes from the same assembler. Refuses to go on where there is none, and says what to install.
//
//===----------------------------------------------------------------------===//

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

static constexpr const char imageName[] = "step.image";

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
    if (binaries.size() > 1) {
      binaries[1].emitError("is the second module of device code; a step has one");
      return signalPassFailure();
    }
    auto object = cast<gpu::ObjectAttr>(binaries[0].getObjects()[0]);
    std::string error;
    std::optional<std::string> cubin = ftc::cuda::assemble(object.getObject().getValue().str(), *target, error);
    if (!cubin) {
      module.emitError(error);
      return signalPassFailure();
    }
    binaries[0].erase();
    embed(module, *cubin);
    remark::passed(module.getLoc(), remark::RemarkOpts::name("cubin").category("cuda-embed-binary"))
        << remark::add("kernels assembled for {0}", target->architecture)
        << remark::metric("bytes", static_cast<int64_t>(cubin->size()));
  }

  /// The image, and the table of modules with its address and size.
  void embed(ModuleOp module, const std::string &cubin) {
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    Location loc = module.getLoc();
    Type i8 = builder.getI8Type(), i64 = builder.getI64Type(), pointer = LLVM::LLVMPointerType::get(&getContext());
    auto bytes = RankedTensorType::get({static_cast<int64_t>(cubin.size())}, i8);
    auto image = DenseElementsAttr::getFromRawBuffer(bytes, ArrayRef<char>(cubin.data(), cubin.size()));
    LLVM::GlobalOp::create(builder, loc, LLVM::LLVMArrayType::get(i8, cubin.size()), /*isConstant=*/true,
                           LLVM::Linkage::Internal, imageName, image, /*alignment=*/64);
    auto entry = LLVM::LLVMStructType::getLiteral(&getContext(), {pointer, i64}); // ftrt_module
    auto table = LLVM::LLVMArrayType::get(entry, 1);
    auto global = LLVM::GlobalOp::create(builder, loc, table, /*isConstant=*/true, LLVM::Linkage::Internal, modulesName,
                                         Attribute(), /*alignment=*/8);
    OpBuilder inner(&getContext());
    inner.createBlock(&global.getInitializerRegion());
    Value size = LLVM::ConstantOp::create(inner, loc, i64, inner.getI64IntegerAttr(static_cast<int64_t>(cubin.size())));
    Value address = LLVM::AddressOfOp::create(inner, loc, pointer, imageName);
    Value row = LLVM::UndefOp::create(inner, loc, entry);
    row = LLVM::InsertValueOp::create(inner, loc, row, address, int64_t{0});
    row = LLVM::InsertValueOp::create(inner, loc, row, size, int64_t{1});
    Value all = LLVM::UndefOp::create(inner, loc, table);
    LLVM::ReturnOp::create(inner, loc, LLVM::InsertValueOp::create(inner, loc, all, row, int64_t{0}));
  }
};
} // namespace
