//===- RandomGraph.cpp - Random entries for tests of passes ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RandomGraph.h"

#include "ftc/Support/Random.h"

#include "dialects/Train/IR/Train.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

namespace {

constexpr int64_t shapes[][2] = {{4, 6}, {4, 8}, {1, 6}, {6, 4}};

class Generator {
public:
  Generator(test::RandomGraph &graph, MLIRContext &context, uint64_t seed)
      : graph(graph), random(seed, "graph"), builder(&context), loc(builder.getUnknownLoc()) {
    element = below(2) ? Type(builder.getF32Type()) : Type(builder.getBF16Type());
    scalarType = RankedTensorType::get({}, builder.getF32Type());
  }

  void build() {
    graph.module = ModuleOp::create(loc);
    builder.setInsertionPointToEnd(graph.module->getBody());
    for (auto [index, shape] : llvm::enumerate(shapes))
      VariableOp::create(builder, loc, variableName(index), matrix(shape[0], shape[1]), VariableRole::Parameter,
                         NormalInitAttr::get(builder.getContext(), builder.getF64FloatAttr(1)), true);
    auto entry = EntryOp::create(builder, loc, "step", EntryKind::Step, 1, 1, ArrayAttr(), ArrayAttr());
    Block &body = entry.getBody().emplaceBlock();
    auto input = [&](StringRef name, Type type) -> Value {
      inputNames.push_back(builder.getStringAttr(name));
      return body.addArgument(type, loc);
    };
    ids = input("ids", RankedTensorType::get({4}, builder.getI32Type()));
    time = input("step", RankedTensorType::get({}, builder.getI64Type()));
    for (int i = 0; i < 3; ++i)
      scalars.push_back(input("s" + std::to_string(i), scalarType));
    for (auto [index, shape] : llvm::enumerate(shapes))
      for (int i = 0; i < 2; ++i)
        values.push_back(input("x" + std::to_string(index) + std::to_string(i), matrix(shape[0], shape[1])));
    for (int64_t columns : {4, 6, 8})
      weights.push_back(input("w" + std::to_string(columns), vector(columns)));

    builder.setInsertionPointToEnd(&body);
    for (auto [index, shape] : llvm::enumerate(shapes))
      values.push_back(ReadOp::create(builder, loc, matrix(shape[0], shape[1]), variableName(index)));
    for (int64_t count = 8 + below(24); count > 0; --count)
      addOp();
    finish(entry, body);
  }

private:
  uint32_t below(uint32_t bound) { return random.below(next++, bound); }
  RankedTensorType matrix(int64_t rows, int64_t columns) { return RankedTensorType::get({rows, columns}, element); }
  RankedTensorType vector(int64_t columns) { return RankedTensorType::get({columns}, element); }
  static std::string variableName(size_t index) { return "v" + std::to_string(index); }
  static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

  /// A matrix made so far, recent ones more often; of type `type` if given.
  Value pick(Type type = {}) {
    SmallVector<Value> candidates;
    for (Value value : values)
      if (!type || value.getType() == type)
        candidates.push_back(value);
    size_t recent = std::min<size_t>(candidates.size(), 4);
    return below(3) ? candidates[candidates.size() - 1 - below(recent)] : candidates[below(candidates.size())];
  }
  Value pickScalar() { return scalars[below(scalars.size())]; }
  Value weightFor(Value x) {
    SmallVector<Value> fitting;
    for (Value weight : weights)
      if (weight.getType() == vector(typeOf(x).getDimSize(1)))
        fitting.push_back(weight);
    return fitting[below(fitting.size())];
  }

  void addOp() {
    Value x = pick();
    RankedTensorType type = typeOf(x);
    FloatAttr eps = builder.getF64FloatAttr(0.125);
    switch (below(16)) {
    case 0:
    case 1:
      values.push_back(AddOp::create(builder, loc, x, pick(type)));
      break;
    case 2:
      if (below(2))
        values.push_back(ScaleOp::create(builder, loc, type, x, pickScalar()));
      else
        values.push_back(SoftcapOp::create(builder, loc, x, builder.getF64FloatAttr(2.0)));
      break;
    case 3:
      if (below(2))
        values.push_back(SwiGLUOp::create(builder, loc, x, pick(type)));
      else
        values.push_back(GeGLUOp::create(builder, loc, x, pick(type)));
      break;
    case 4: {
      auto grad = SwiGLUGradOp::create(builder, loc, TypeRange{type, type}, x, pick(type), pick(type));
      values.append({grad.getGateGradient(), grad.getUpGradient()});
      break;
    }
    case 5:
      values.push_back(
          RmsNormOp::create(builder, loc, type, x, weightFor(x), eps, below(2) ? UnitAttr() : builder.getUnitAttr()));
      break;
    case 6: {
      Value weight = weightFor(x);
      auto grad = RmsNormGradOp::create(builder, loc, TypeRange{type, weight.getType()}, x, weight, pick(type), eps);
      values.push_back(grad.getInputGradient());
      weights.push_back(grad.getWeightGradient());
      break;
    }
    case 7: {
      auto wide = RankedTensorType::get(type.getShape(), builder.getF32Type());
      values.push_back(CastOp::create(builder, loc, type, CastOp::create(builder, loc, wide, x).getResult()));
      break;
    }
    case 8: {
      Value y = pick(type); // x * y^T * z, of x's shape
      auto square = matrix(type.getDimSize(0), type.getDimSize(0));
      Value p = MatmulOp::create(builder, loc, square, x, y, false, true);
      values.push_back(MatmulOp::create(builder, loc, type, p, pick(type), false, false));
      break;
    }
    case 9:
      scalars.push_back(SumSquaresOp::create(builder, loc, scalarType, x, pickScalar()));
      if (below(2))
        scalars.push_back(ClipFactorOp::create(builder, loc, TypeRange{scalarType, scalarType}, scalars.back(),
                                               builder.getF64FloatAttr(1.0))
                              .getFactor());
      break;
    case 10:
      if (type.getDimSize(0) == 4)
        addLoss(x);
      break;
    case 11:
      if (type.getDimSize(0) == 6) // ids are below six
        values.push_back(EmbeddingOp::create(builder, loc, matrix(4, type.getDimSize(1)), x, ids));
      break;
    case 12:
      addUpdate(x, type);
      break;
    case 13: {
      Value p =
          MatmulOp::create(builder, loc, matrix(type.getDimSize(0), type.getDimSize(0)), x, pick(type), false, true);
      values.push_back(MatmulOp::create(builder, loc, type, p, pick(type), false, false, pick(type)));
      break;
    }
    case 14:
      addParts(x, type);
      break;
    case 15: // a row of [4, 6] is a matrix that others take
      if (type == matrix(4, 6))
        values.push_back(SliceRowsOp::create(builder, loc, matrix(1, 6), x, below(4)));
      break;
    }
  }

  /// Cuts a matrix in two, works on one part or both, and puts them together, sometimes in another order.
  void addParts(Value x, RankedTensorType type) {
    int64_t rows = type.getDimSize(0);
    if (rows == 1)
      return;
    int64_t cut = 1 + below(rows - 1);
    Value top = SliceRowsOp::create(builder, loc, matrix(cut, type.getDimSize(1)), x, 0);
    Value bottom = SliceRowsOp::create(builder, loc, matrix(rows - cut, type.getDimSize(1)), x, cut);
    if (below(3))
      top = ScaleOp::create(builder, loc, top.getType(), top, pickScalar());
    if (below(2))
      bottom = AddOp::create(builder, loc, bottom, bottom);
    if (below(3) == 0)
      std::swap(top, bottom);
    values.push_back(ConcatRowsOp::create(builder, loc, type, ValueRange{top, bottom}));
  }

  void addLoss(Value logits) {
    auto count = RankedTensorType::get({}, builder.getI32Type());
    auto statistics = RankedTensorType::get({typeOf(logits).getDimSize(0)}, builder.getF32Type());
    auto loss =
        CrossEntropyOp::create(builder, loc, TypeRange{scalarType, count, statistics}, logits, ids, pickScalar(), -100);
    scalars.push_back(loss.getLoss());
    addPairs(logits);
    addTeacher(logits);
    if (below(4))
      values.push_back(CrossEntropyGradOp::create(builder, loc, logits.getType(), logits, ids, loss.getLse(),
                                                  pickScalar(), pickScalar(), -100));
  }

  /// A loss with a teacher, any matrix of the logits' shape, and its gradient.
  void addTeacher(Value logits) {
    if (below(2))
      return;
    auto type = cast<RankedTensorType>(logits.getType());
    auto count = RankedTensorType::get({}, builder.getI32Type());
    auto numbers = RankedTensorType::get({type.getDimSize(0)}, builder.getF32Type());
    Value teacher = pick(type), share = pickScalar();
    FloatAttr ratio = builder.getF64FloatAttr(0.25);
    IntegerAttr ignored = builder.getI64IntegerAttr(-100);
    auto loss =
        DistillationLossOp::create(builder, loc, TypeRange{scalarType, scalarType, scalarType, count, numbers, numbers},
                                   logits, teacher, ids, share, ratio, ignored);
    scalars.append({loss.getLoss(), loss.getKdLoss()});
    values.push_back(DistillationLossGradOp::create(builder, loc, type, logits, teacher, ids, loss.getLse(),
                                                    loss.getTeacherLse(), share, pickScalar(), ratio, ignored));
  }

  /// A loss of pairs and its gradient, where the rows are two answers.
  void addPairs(Value logits) {
    const int64_t rows = typeOf(logits).getDimSize(0);
    if (rows % 2 != 0 || below(2))
      return;
    auto count = RankedTensorType::get({}, builder.getI32Type());
    auto tokens = RankedTensorType::get({rows}, builder.getF32Type()), answers = tokens.clone({int64_t(2)});
    auto each =
        LabelLogProbsOp::create(builder, loc, TypeRange{tokens, tokens}, logits, ids, builder.getI64IntegerAttr(-100));
    auto sums = SequenceSumsOp::create(builder, loc, TypeRange{answers, answers}, each.getLogProbs(), ids,
                                       builder.getI64IntegerAttr(2), builder.getI64IntegerAttr(-100));
    auto kind = PreferenceKindAttr::get(builder.getContext(), PreferenceKind::Sigmoid);
    FloatAttr beta = builder.getF64FloatAttr(0.5), smoothing = builder.getF64FloatAttr(0.125);
    Value policy = sums.getSums(), counts = sums.getCounts(), share = pickScalar();
    auto loss = PreferenceLossOp::create(builder, loc, TypeRange{scalarType, count}, kind, policy, counts, counts,
                                         share, beta, smoothing);
    auto d = PreferenceLossGradOp::create(builder, loc, answers, kind, policy, counts, counts, share, pickScalar(),
                                          beta, smoothing);
    Value spread = SequenceSpreadOp::create(builder, loc, tokens, d.getResult());
    scalars.push_back(loss.getLoss());
    values.push_back(LabelLogProbsGradOp::create(builder, loc, logits.getType(), logits, ids, each.getLse(), spread,
                                                 builder.getI64IntegerAttr(-100)));
  }

  void addUpdate(Value x, RankedTensorType type) {
    if (below(2)) {
      auto sgd = SGDAttr::get(builder.getContext(), builder.getF64FloatAttr(0.25));
      values.push_back(SGDOp::create(builder, loc, type, x, pick(type), pickScalar(), pickScalar(), sgd));
      return;
    }
    auto number = [&](double value) { return builder.getF64FloatAttr(value); };
    auto attr = AdamWAttr::get(builder.getContext(), number(0.1), number(0.9), number(0.95), number(1e-3));
    auto adamw = AdamWOp::create(builder, loc, TypeRange{type, type, type}, x, pick(type), pick(type), pick(type),
                                 pickScalar(), time, pickScalar(), attr);
    values.append({adamw.getResult(), adamw.getNewExpAvg(), adamw.getNewExpAvgSq()});
  }

  /// Writes some variables and returns some values; the rest is dead.
  void finish(EntryOp entry, Block &body) {
    SmallVector<Value> returned{scalars.back(), weights.back()};
    for (auto [index, shape] : llvm::enumerate(shapes)) {
      Value value = pick(matrix(shape[0], shape[1]));
      if (below(2))
        WriteOp::create(builder, loc, variableName(index), value);
      returned.push_back(pick(matrix(shape[0], shape[1])));
    }
    for (Value value : values)
      if (value.use_empty() && below(3))
        returned.push_back(value);
    SmallVector<Attribute> names;
    for (size_t i = 0; i < returned.size(); ++i)
      names.push_back(builder.getStringAttr("y" + std::to_string(i)));
    ReturnOp::create(builder, loc, returned);
    entry.setInputNamesAttr(builder.getArrayAttr(inputNames));
    entry.setOutputNamesAttr(builder.getArrayAttr(names));
    for (auto [name, argument] : llvm::zip(inputNames, body.getArguments())) {
      std::string inputName = cast<StringAttr>(name).str();
      reference::Tensor tensor(typeOf(argument));
      for (size_t i = 0; i < tensor.reals.size(); ++i)
        tensor.set(i, CounterRandom(1, inputName).normal(i));
      for (size_t i = 0; i < tensor.integers.size(); ++i)
        tensor.integers[i] = inputName == "ids" ? (i == 2 ? 1 : i) : 3;
      graph.inputs[inputName] = std::move(tensor);
    }
  }

  test::RandomGraph &graph;
  CounterRandom random;
  uint64_t next = 0;
  OpBuilder builder;
  Location loc;
  Type element;
  RankedTensorType scalarType;
  Value ids, time;
  SmallVector<Value> values, scalars, weights; ///< matrices, rank-0 tensors, vectors
  SmallVector<Attribute> inputNames;
};

} // namespace

test::RandomGraph::RandomGraph(MLIRContext &context, uint64_t seed) { Generator(*this, context, seed).build(); }
