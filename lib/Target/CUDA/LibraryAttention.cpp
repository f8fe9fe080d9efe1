//===- LibraryAttention.cpp - Attention that cuDNN computes --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A driver asks the host first (ftrt_device.attention). The host knows what the compiler cannot: whether there is a
// cuDNN, whether it has a plan for these sizes, and how many documents a batch has. Where it declines, the driver goes
// on with the kernels that LowerAttentionMma.cpp has emitted; so those are in every step.
//
// To cuDNN a batch is a list of documents, each a part of a row. Padding attends to itself, so each of its tokens is a
// document of one; a row may have thousands. Those are left out of the list, and a function of our own writes what they
// give, a warp a token:
//
//   NAME$alone   of attention:    output = value, lse = scale * query . key
//                of its gradient: the value's is the sum of the output's over the heads of a group; the others are zero
//
// Assumes verified plan IR, and scratch memory of libraryWorkspaceBytes. Promises nothing that depends on what the host
// answers but the last bits of results. Refuses nothing: what the library cannot do stays with our own kernels
// (cuda-plan-scratch tells why).
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LibraryAttention.h"

using namespace mlir;
using namespace ftc;
using cuda::AttentionShape;
using cuda::CudaTarget;
using cuda::Driver;
using cuda::KernelTables;
using cuda::Numbers;
using cuda::TileCode;

static constexpr int64_t aloneThreads = 128;

int64_t cuda::libraryWorkspaceBytes(const AttentionShape &shape, bool gradient) {
  const int64_t tokens = shape.batch * shape.sequence;
  if (!gradient)
    return int64_t(1) << 20;
  // Sums of the query's gradient in fp32; those of key and value for all heads; a number for each token and head; where
  // blocks wait for their turn, two numbers for each 64 tokens of each of 64 documents a row; and tables.
  const int64_t sums = 3 * 4 * tokens * shape.pitch(), delta = 4 * tokens * shape.heads;
  const int64_t turns = shape.batch * shape.heads * 64 * (shape.sequence / 8 + 64);
  return llvm::alignTo(sums + delta + turns + (int64_t(1) << 20), CudaTarget::slabAlignment);
}

std::optional<ftrt_attention> cuda::asLibraryAttention(const AttentionShape &shape, bool gradient,
                                                       const CudaTarget &target, std::string &reason) {
  const int64_t bytes = libraryWorkspaceBytes(shape, gradient);
  auto unless = [&](bool good, std::string why) {
    if (!good)
      reason += (reason.empty() ? "" : ", ") + why;
  };
  unless(shape.element.isBF16(), "the library has none of these elements");
  unless(shape.headDim % 16 == 0 && shape.headDim <= 128,
         "heads of " + std::to_string(shape.headDim) + " columns are no multiple of 16 up to 128");
  unless(shape.scale > 0, "its scale is not above 0");
  unless(shape.window == 0, "it has a window of " + std::to_string(shape.window) + " tokens");
  unless(shape.softcap == 0, "its scores are capped");
  unless(shape.sequence >= 2, "its rows are one token long");
  if (target.attentionWorkspaceBytes == 0)
    unless(false, "the device file gives it no workspace");
  else
    unless(bytes <= target.attentionWorkspaceBytes,
           "it may need " + std::to_string(bytes) + " bytes of workspace, more than the device file gives it");
  if (!reason.empty())
    return std::nullopt;
  auto number = [](int64_t value) { return static_cast<uint64_t>(value); };
  return ftrt_attention{number(shape.batch),   number(shape.sequence), number(shape.heads), number(shape.kvHeads),
                        number(shape.headDim), number(bytes),          float(shape.scale),  gradient};
}

namespace {
/// The code of NAME$alone: of one warp, which has one token.
struct AloneCode {
  AttentionShape shape;
  Value token, lane; ///< i64

  /// Calls `body` with the columns of a head that this lane has, one after the other.
  void columns(TileCode &code, llvm::function_ref<void(TileCode, Value)> body) const {
    code.loop(lane, code.number(shape.headDim), CudaTarget::warp, {}, [&](TileCode inner, Value column, ValueRange) {
      body(inner, column);
      return Numbers();
    });
  }
  /// Element `column` of head `head` of this token, in a row of `pitch` elements.
  Value at(TileCode &code, Value head, Value column, int64_t pitch) const {
    return code.add(code.add(code.times(token, pitch), code.times(head, shape.headDim)), column);
  }
  Value load(TileCode &code, Value pointer, Value index) const {
    return code.widen(code.load(shape.element, pointer, index));
  }
  void store(TileCode &code, Value value, Value pointer, Value index) const {
    code.store(code.narrow(value, shape.element), pointer, index);
  }
};
} // namespace

/// Adds NAME$alone; `body` writes what a warp does with a token that is alone. Arguments are `count` pointers, the one
/// with number `starts` that of the segment starts.
static gpu::GPUFuncOp emitAlone(plan::KernelOp kernel, const AttentionShape &shape, unsigned count, unsigned starts,
                                KernelTables &tables,
                                llvm::function_ref<void(TileCode &, const AloneCode &, ValueRange)> body) {
  const int64_t tokens = shape.batch * shape.sequence, tokensABlock = aloneThreads / CudaTarget::warp;
  Location loc = kernel.getLoc();
  gpu::GPUFuncOp function = tables.addFunction(loc, (kernel.getSymName() + "$alone").str(), count,
                                               {(tokens + tokensABlock - 1) / tokensABlock, aloneThreads, 0});
  cuda::emitFunction(function, [&](OpBuilder &builder, ValueRange arguments) {
    TileCode code(builder, loc);
    Value block = cuda::blockNumber(builder, loc);
    Value token = code.add(code.times(block, tokensABlock), code.div(code.thread, CudaTarget::warp));
    code.when(code.less(token, code.number(tokens)), [&](TileCode inner) {
      Type i32 = inner.b.getI32Type(), i64 = inner.b.getI64Type();
      auto startOf = [&](Value of) -> Value {
        return arith::ExtSIOp::create(inner.b, loc, i64, inner.load(i32, arguments[starts], of));
      };
      Value position = inner.rem(token, shape.sequence);
      Value isLast = inner.less(inner.number(shape.sequence - 2), position);
      // The next token begins a segment, or is one of another row.
      Value next = inner.select(isLast, token, inner.add(token, 1));
      Value nextBegins = inner.less(position, startOf(next));
      Value ends = arith::OrIOp::create(inner.b, loc, isLast, nextBegins);
      Value begins = inner.less(inner.sub(position, inner.number(1)), startOf(token));
      inner.when(inner.both(begins, ends), [&](TileCode then) {
        body(then, {shape, token, then.rem(then.thread, CudaTarget::warp)}, arguments);
      });
    });
  });
  return function;
}

/// Arguments: query, key, value, segment starts, output, lse.
static void emitForwardAlone(TileCode &code, const AloneCode &alone, ValueRange arguments) {
  const AttentionShape &shape = alone.shape;
  code.loop(code.number(0), code.number(shape.heads), 1, {}, [&](TileCode inner, Value head, ValueRange) {
    Value keyHead = inner.div(head, shape.group());
    alone.columns(inner, [&](TileCode each, Value column) {
      Value value = alone.load(each, arguments[2], alone.at(each, keyHead, column, shape.keyPitch()));
      alone.store(each, value, arguments[4], alone.at(each, head, column, shape.pitch()));
    });
    Numbers sum =
        inner.loop(alone.lane, inner.number(shape.headDim), CudaTarget::warp, {inner.real(0)},
                   [&](TileCode each, Value column, ValueRange before) -> Numbers {
                     Value query = alone.load(each, arguments[0], alone.at(each, head, column, shape.pitch()));
                     Value key = alone.load(each, arguments[1], alone.at(each, keyHead, column, shape.keyPitch()));
                     return {each.fma(query, key, before[0])};
                   });
    Value score = sum[0];
    for (int32_t distance = CudaTarget::warp / 2; distance >= 1; distance /= 2)
      score = inner.addf(score, inner.fromLane(score, distance));
    inner.when(inner.less(alone.lane, inner.number(1)), [&](TileCode then) {
      then.store(then.mulf(score, then.real(shape.scale)), arguments[5],
                 then.add(then.times(alone.token, shape.heads), head));
    });
    return Numbers();
  });
}

/// Arguments: segment starts, the gradients of output, query, key and value.
static void emitGradientAlone(TileCode &code, const AloneCode &alone, ValueRange arguments) {
  const AttentionShape &shape = alone.shape;
  code.loop(code.number(0), code.number(shape.kvHeads), 1, {}, [&](TileCode inner, Value keyHead, ValueRange) {
    alone.columns(inner, [&](TileCode each, Value column) {
      Value sum = each.real(0), zero = each.real(0);
      for (int64_t member = 0; member < shape.group(); ++member) {
        Value head = each.add(each.times(keyHead, shape.group()), member);
        Value at = alone.at(each, head, column, shape.pitch());
        sum = each.addf(sum, alone.load(each, arguments[1], at));
        alone.store(each, zero, arguments[2], at);
      }
      Value at = alone.at(each, keyHead, column, shape.keyPitch());
      alone.store(each, zero, arguments[3], at);
      alone.store(each, sum, arguments[4], at);
    });
    return Numbers();
  });
}

/// The number of the attention in the table; nullopt where our own kernels are all there is.
template <typename Op> static std::optional<uint32_t> askFor(Op op, const CudaTarget &target, KernelTables &tables) {
  std::string reason;
  std::optional<ftrt_attention> attention = cuda::asLibraryAttention(op, target, reason);
  // Without working memory nobody has planned to ask.
  return attention && op.getScratch() ? std::optional(tables.addAttention(*attention)) : std::nullopt;
}

static SmallVector<Value> addressesOf(Driver &driver, ArrayRef<Value> buffers) {
  return llvm::map_to_vector(buffers, [&](Value buffer) { return driver.address(buffer); });
}

void cuda::attendByLibrary(Driver &driver, plan::KernelOp kernel, plan::AttentionOp op, const CudaTarget &target,
                           KernelTables &tables) {
  std::optional<uint32_t> number = askFor(op, target, tables);
  if (!number)
    return;
  Value buffers[] = {op.getQuery(), op.getKey(), op.getValue(), op.getSegmentStarts(), op.getOutput(), op.getLse()};
  gpu::GPUFuncOp alone =
      emitAlone(kernel, attentionShape(op, target), std::size(buffers), /*starts=*/3, tables, emitForwardAlone);
  SmallVector<Value> addresses = addressesOf(driver, buffers), all = addresses;
  all.push_back(driver.address(op.getScratch()));
  driver.attend(*number, all, [&] { driver.launch(alone, addresses); });
}

void cuda::attendByLibrary(Driver &driver, plan::KernelOp kernel, plan::AttentionGradOp op, const CudaTarget &target,
                           KernelTables &tables) {
  std::optional<uint32_t> number = askFor(op, target, tables);
  if (!number)
    return;
  Value buffers[] = {op.getSegmentStarts(), op.getGradient(), op.getQueryGradient(), op.getKeyGradient(),
                     op.getValueGradient()};
  gpu::GPUFuncOp alone =
      emitAlone(kernel, attentionShape(op, target), std::size(buffers), /*starts=*/0, tables, emitGradientAlone);
  SmallVector<Value> addresses = addressesOf(driver, buffers);
  driver.attend(*number,
                addressesOf(driver, {op.getQuery(), op.getKey(), op.getValue(), op.getSegmentStarts(), op.getOutput(),
                                     op.getLse(), op.getGradient(), op.getQueryGradient(), op.getKeyGradient(),
                                     op.getValueGradient(), op.getScratch()}),
                [&] { driver.launch(alone, addresses); });
}
