//===- Products.cpp - Matrix products and attention from train to plan ----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/EntryConverter.h"

using namespace mlir;
using namespace ftc;

/// Fills a seam of a product that changes element type from `from` to `to`; leaves it empty where they are equal.
static void fillSeam(Region &seam, Location loc, Type from, Type to) {
  if (from == to)
    return;
  OpBuilder b = OpBuilder::atBlockEnd(&seam.emplaceBlock());
  Value element = b.getInsertionBlock()->addArgument(from, loc);
  plan::YieldOp::create(b, loc, RowMath(b, loc).convert(element, to));
}

/// The seam of a product that is added to a stored element: rounded once.
static void fillSumSeam(Region &seam, Location loc, Type stored) {
  OpBuilder b = OpBuilder::atBlockEnd(&seam.emplaceBlock());
  Value sum = b.getInsertionBlock()->addArgument(b.getF32Type(), loc);
  Value element = b.getInsertionBlock()->addArgument(stored, loc);
  RowMath math(b, loc);
  Value all = math.add(math.convert(element, b.getF32Type()), sum);
  plan::YieldOp::create(b, loc, math.convert(all, stored));
}

static std::string suffixOf(std::initializer_list<Type> elements) {
  std::string suffix;
  if (llvm::all_of(elements, [](Type type) { return type.isF32(); }))
    return suffix;
  llvm::raw_string_ostream os(suffix);
  bool equal = llvm::all_equal(elements);
  for (Type type : llvm::ArrayRef<Type>(elements).take_front(equal ? 1 : elements.size()))
    os << '_' << type;
  return suffix;
}

SmallVector<std::pair<StringRef, MemRefType>, 4> ftc::piecesOf(RankedTensorType weight) {
  int64_t elements = weight.getNumElements();
  Type i8 = IntegerType::get(weight.getContext(), 8), f32 = Float32Type::get(weight.getContext());
  return {{"", MemRefType::get({nf4CodeBytes(elements)}, i8)},
          {".absmax", MemRefType::get({nf4Blocks(elements)}, i8)},
          {".nested_absmax", MemRefType::get({nf4NestedBlocks(elements)}, f32)},
          {".offset", MemRefType::get({1}, f32)}};
}

plan::Nf4Attr ftc::nf4AttrOf(train::Nf4Type type) {
  return plan::Nf4Attr::get(type.getContext(), static_cast<plan::Quantizer>(type.getQuantizer()), type.getDecoded());
}

static Type elementType(Value value) { return cast<ShapedType>(value.getType()).getElementType(); }

namespace {
/// What a product and a pair of products have in common.
struct Product {
  Value a, b, c, d; ///< c and d: of a second product, or null
  bool transposeA, transposeB, transposeD;
  Value onto; ///< or null
  int64_t m, n, k, pairK;
};
} // namespace

static Product partsOf(train::MatmulOp op) {
  return {op.getA(), op.getB(),    Value(),   Value(),   op.getTransposeA(), op.getTransposeB(),
          false,     op.getOnto(), op.getM(), op.getN(), op.getK(),          0};
}

static Product partsOf(train::MatmulPairOp op) {
  return {op.getA(),          op.getB(),    op.getC(), op.getD(), op.getTransposeA(), op.getTransposeB(),
          op.getTransposeD(), op.getOnto(), op.getM(), op.getN(), op.getK(),          op.getPairK()};
}

static std::string nameOf(const Product &parts, ArrayRef<Type> types, bool nf4) {
  std::string name = std::string("matmul_") + (parts.transposeA ? "t" : "n") + (parts.transposeB ? "t_" : "n_") +
                     std::to_string(parts.m) + "x" + std::to_string(parts.n) + "x" + std::to_string(parts.k);
  if (parts.c)
    name += std::string("_and_n") + (parts.transposeD ? "t_" : "n_") + std::to_string(parts.pairK);
  return name + suffixOf({types[0], types[1], types[2]}) + (nf4 ? "_nf4" : "") + (parts.onto ? "_onto" : "");
}

LogicalResult EntryConverter::convertMatmul(Operation *op) {
  Product parts =
      isa<train::MatmulOp>(op) ? partsOf(cast<train::MatmulOp>(op)) : partsOf(cast<train::MatmulPairOp>(op));
  auto result = cast<OpResult>(op->getResult(0));
  Type types[] = {elementType(parts.a), elementType(parts.b), elementType(result)};
  if (llvm::any_of(types, [](Type type) { return type.isF64(); }))
    return op->emitError("is a product in f64, which only the reference interpreter of the train dialect computes");
  std::string label = labelOf(op);
  Value a = bufferOf(parts.a), b = bufferOf(parts.b);
  // A weight in four bits is read straight from its variable.
  auto nf4 = dyn_cast<train::Nf4Type>(types[1]);
  SmallVector<Value> scales;
  if (nf4) {
    types[1] = nf4.getDecoded();
    auto read = parts.b.getDefiningOp<train::ReadOp>();
    if (!read)
      return op->emitError("multiplies with a weight in four bits that is no variable's");
    auto pieces = piecesOf(cast<RankedTensorType>(parts.b.getType()));
    for (auto &[suffix, type] : ArrayRef(pieces).drop_front())
      scales.push_back(variable((read.getVariable() + suffix).str(), type));
  }
  SmallVector<Value> pair;
  if (parts.c)
    pair = {bufferOf(parts.c), bufferOf(parts.d)};
  // A sum of products grows in one buffer.
  SmallVector<Value> reusable, extras;
  if (parts.onto && !llvm::is_contained({parts.a, parts.b, parts.c, parts.d}, parts.onto))
    reusable.push_back(parts.onto);
  Value onto = parts.onto ? bufferOf(parts.onto) : Value();
  Value c = resultBuffer(result, reusable, label);
  places[result].buffer = c;
  LaunchBuilder launch(kernels, builder, op->getLoc());
  Value aArgument = launch.argument(a), bArgument = launch.argument(b), cArgument = launch.argument(c);
  for (Value &scale : scales)
    scale = launch.argument(scale);
  for (Value &factor : pair)
    factor = launch.argument(factor);
  if (onto)
    extras.push_back(launch.argument(onto));
  auto product = plan::MatmulOp::create(launch.body(), op->getLoc(), aArgument, bArgument, cArgument, scales, pair,
                                        extras, Value(), parts.transposeA, parts.transposeB, parts.transposeD,
                                        nf4 ? nf4AttrOf(nf4) : plan::Nf4Attr());
  Type f32 = builder.getF32Type();
  fillSeam(product.getReadA(), op->getLoc(), types[0], f32);
  if (!nf4)
    fillSeam(product.getReadB(), op->getLoc(), types[1], f32);
  if (onto)
    fillSumSeam(product.getStoreC(), op->getLoc(), types[2]);
  else
    fillSeam(product.getStoreC(), op->getLoc(), f32, types[2]);
  launch.finish(nameOf(parts, types, nf4 != nullptr), label);
  return success();
}

/// Name of the kernel of an attention; what it hides and caps is in it too, so that tables tell layers apart.
template <typename Op> static std::string attentionName(const char *what, Op op) {
  std::string name = what + shapeName(op.getQuery().getType()) + "_heads" + std::to_string(op.getNumHeads()) + "_" +
                     std::to_string(op.getNumKvHeads());
  if (op.getWindow())
    name += "_window" + std::to_string(*op.getWindow());
  if (op.getSoftcap())
    name += "_capped";
  return name;
}

void EntryConverter::convertAttention(train::AttentionOp op) {
  std::string label = labelOf(op);
  SmallVector<Value> buffers;
  for (Value operand : op.getOperands())
    buffers.push_back(bufferOf(operand));
  for (OpResult result : op->getResults())
    buffers.push_back(places[result].buffer =
                          resultBuffer(result, {}, label + (result.getResultNumber() ? " log-sum-exp" : "")));
  LaunchBuilder launch(kernels, builder, op.getLoc());
  SmallVector<Value> arguments;
  for (Value buffer : buffers)
    arguments.push_back(launch.argument(buffer));
  plan::AttentionOp::create(launch.body(), op.getLoc(), arguments[0], arguments[1], arguments[2], arguments[3],
                            arguments[4], arguments[5], Value(), op.getBatchAttr(), op.getNumHeadsAttr(),
                            op.getNumKvHeadsAttr(), op.getScaleAttr(), op.getWindowAttr(), op.getSoftcapAttr());
  launch.finish(attentionName("attention_", op), label);
}

void EntryConverter::convertAttentionGrad(train::AttentionGradOp op) {
  static constexpr const char *names[] = {" of query", " of key", " of value"};
  std::string label = labelOf(op);
  SmallVector<Value> buffers;
  for (Value operand : op.getOperands())
    buffers.push_back(bufferOf(operand));
  for (OpResult result : op->getResults())
    buffers.push_back(places[result].buffer = resultBuffer(result, {}, label + names[result.getResultNumber()]));
  LaunchBuilder launch(kernels, builder, op.getLoc());
  SmallVector<Value> arguments;
  for (Value buffer : buffers)
    arguments.push_back(launch.argument(buffer));
  plan::AttentionGradOp::create(launch.body(), op.getLoc(), arguments[0], arguments[1], arguments[2], arguments[3],
                                arguments[4], arguments[5], arguments[6], arguments[7], arguments[8], arguments[9],
                                Value(), op.getBatchAttr(), op.getNumHeadsAttr(), op.getNumKvHeadsAttr(),
                                op.getScaleAttr(), op.getWindowAttr(), op.getSoftcapAttr());
  launch.finish(attentionName("attention_grad_", op), label);
}
