//===- TrainKernels.cpp - The arithmetic of train ops ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One function an op, by the formulas in TrainOps.td. Sums run in the order of the elements, in double.
//
//===----------------------------------------------------------------------===//

#include "TrainKernels.h"

#include "ftc/Support/QuantizedStates.h"
#include "ftc/Support/Random.h"

#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <bit>
#include <cmath>

#pragma STDC FP_CONTRACT OFF

using namespace mlir;
using namespace ftc::train;

namespace ftc::reference {

llvm::Error errorAt(Operation *op, const llvm::Twine &message) {
  std::string text;
  llvm::raw_string_ostream(text) << op->getLoc() << ": " << op->getName() << ": " << message;
  return llvm::createStringError(text);
}

static double scalar(const Tensor *tensor) { return tensor->reals.front(); }

llvm::Error checkIndex(Operation *op, StringRef what, int64_t at, int64_t index, int64_t bound) {
  if (index >= 0 && index < bound)
    return llvm::Error::success();
  return errorAt(op, what + "[" + llvm::Twine(at) + "] is " + llvm::Twine(index) + "; it must be from 0 to " +
                         llvm::Twine(bound - 1));
}

//===----------------------------------------------------------------------===//
// Constants and element-wise ops
//===----------------------------------------------------------------------===//

static llvm::Error constant(ConstantOp op, Operands, Results results) {
  auto dense = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!dense)
    return errorAt(op, "has a value that is not dense");
  if (results[0].isReal()) {
    for (auto [index, value] : llvm::enumerate(dense.getValues<APFloat>())) {
      APFloat wide = value;
      bool inexact;
      wide.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &inexact);
      results[0].reals[index] = wide.convertToDouble();
    }
  } else {
    for (auto [index, value] : llvm::enumerate(dense.getValues<APInt>()))
      results[0].integers[index] = value.getSExtValue();
  }
  return llvm::Error::success();
}

static llvm::Error add(AddOp, Operands x, Results results) {
  for (size_t i = 0; i < results[0].integers.size(); ++i)
    results[0].integers[i] = x[0]->integers[i] + x[1]->integers[i];
  if (!results[0].isReal())
    return llvm::Error::success();
  for (int64_t i = 0; i < results[0].size(); ++i)
    results[0].set(i, x[0]->reals[i] + x[1]->reals[i]);
  return llvm::Error::success();
}

static llvm::Error multiply(MultiplyOp, Operands x, Results results) {
  for (int64_t i = 0; i < results[0].size(); ++i)
    results[0].set(i, x[0]->reals[i] * x[1]->reals[i]);
  return llvm::Error::success();
}

static llvm::Error cast(CastOp, Operands x, Results results) {
  for (int64_t i = 0; i < results[0].size(); ++i)
    results[0].set(i, x[0]->reals[i]);
  return llvm::Error::success();
}

static llvm::Error dropout(DropoutOp op, Operands x, Results results) {
  const double probability = op.getProbability().convertToDouble();
  const auto scale = static_cast<double>(static_cast<float>(1.0 / (1.0 - probability)));
  const uint32_t threshold = dropoutThreshold(probability);
  const int64_t columns = columnsOf(op.getType());
  for (int64_t i = 0; i < x[0]->size(); ++i) {
    const uint64_t key =
        dropoutKey(static_cast<uint64_t>(x[1]->integers[0]), hashName(op.getStream().str()),
                   static_cast<uint64_t>(x[2]->integers[0]), static_cast<uint64_t>(x[3]->integers[0]), i / columns);
    const bool kept = keepsElement(key, static_cast<uint32_t>(i % columns), threshold);
    results[0].set(i, kept ? x[0]->reals[i] * scale : 0.0);
  }
  return llvm::Error::success();
}

static llvm::Error scale(ScaleOp, Operands x, Results results) {
  for (int64_t i = 0; i < results[0].size(); ++i)
    results[0].set(i, x[0]->reals[i] * scalar(x[1]));
  return llvm::Error::success();
}

static llvm::Error accumulate(AccumulateOp, Operands x, Results results) {
  bool first = x[2]->integers[0] == 0;
  for (int64_t i = 0; i < results[0].size(); ++i)
    results[0].set(i, first ? x[0]->reals[i] : x[1]->reals[i] + x[0]->reals[i]);
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Products and rows of tables
//===----------------------------------------------------------------------===//

static llvm::Error matmul(MatmulOp op, Operands x, Results results) {
  const Tensor &a = *x[0], &b = *x[1];
  for (int64_t i = 0; i < op.getM(); ++i)
    for (int64_t j = 0; j < op.getN(); ++j) {
      double sum = op.getOnto() ? x[2]->at(i, j) : 0;
      for (int64_t k = 0; k < op.getK(); ++k)
        sum += (op.getTransposeA() ? a.at(k, i) : a.at(i, k)) * (op.getTransposeB() ? b.at(j, k) : b.at(k, j));
      results[0].set(i, j, sum);
    }
  return llvm::Error::success();
}

static llvm::Error matmulPair(MatmulPairOp op, Operands x, Results results) {
  const Tensor &a = *x[0], &b = *x[1], &c = *x[2], &d = *x[3];
  for (int64_t i = 0; i < op.getM(); ++i)
    for (int64_t j = 0; j < op.getN(); ++j) {
      double sum = op.getOnto() ? x[4]->at(i, j) : 0;
      for (int64_t k = 0; k < op.getK(); ++k)
        sum += (op.getTransposeA() ? a.at(k, i) : a.at(i, k)) * (op.getTransposeB() ? b.at(j, k) : b.at(k, j));
      for (int64_t k = 0; k < op.getPairK(); ++k)
        sum += c.at(i, k) * (op.getTransposeD() ? d.at(j, k) : d.at(k, j));
      results[0].set(i, j, sum);
    }
  return llvm::Error::success();
}

/// Rows lie one after the other: a slice and a whole are consecutive elements.
static llvm::Error sliceRows(SliceRowsOp op, Operands x, Results results) {
  int64_t size = results[0].size(), first = op.getFirst() * (size / results[0].dim(0));
  if (results[0].isReal())
    std::copy_n(x[0]->reals.begin() + first, size, results[0].reals.begin());
  else
    std::copy_n(x[0]->integers.begin() + first, size, results[0].integers.begin());
  return llvm::Error::success();
}

static llvm::Error concatRows(ConcatRowsOp, Operands x, Results results) {
  int64_t first = 0;
  for (const Tensor *part : x) {
    std::copy(part->reals.begin(), part->reals.end(), results[0].reals.begin() + (part->isReal() ? first : 0));
    std::copy(part->integers.begin(), part->integers.end(), results[0].integers.begin() + (part->isReal() ? 0 : first));
    first += part->size();
  }
  return llvm::Error::success();
}

static llvm::Error embedding(EmbeddingOp op, Operands x, Results results) {
  const Tensor &table = *x[0], &ids = *x[1];
  for (int64_t row = 0; row < ids.size(); ++row) {
    if (llvm::Error error = checkIndex(op, "ids", row, ids.integers[row], table.dim(0)))
      return error;
    for (int64_t c = 0; c < table.dim(1); ++c)
      results[0].set(row, c, table.at(ids.integers[row], c));
  }
  return llvm::Error::success();
}

static llvm::Error embeddingGrad(EmbeddingGradOp op, Operands x, Results results) {
  const Tensor &ids = *x[0], &gradient = *x[1];
  Tensor &sum = results[0];
  if (op.getBase())
    sum.reals = x[2]->reals;
  // Sums are fp32, whatever the table's type.
  Type element = sum.type.getElementType();
  Type compute = element.isF64() ? element : Float32Type::get(op.getContext());
  for (int64_t row = 0; row < ids.size(); ++row) {
    int64_t id = ids.integers[row];
    if (llvm::Error error = checkIndex(op, "ids", row, id, sum.dim(0)))
      return error;
    for (int64_t c = 0; c < sum.dim(1); ++c) {
      double &total = sum.reals[id * sum.dim(1) + c];
      total = roundTo(compute, total + gradient.at(row, c));
    }
  }
  for (double &total : sum.reals)
    total = roundTo(element, total);
  return llvm::Error::success();
}

static llvm::Error gatherRow(GatherRowOp op, Operands x, Results results) {
  int64_t index = x[1]->integers.front();
  if (llvm::Error error = checkIndex(op, "index", 0, index, x[0]->dim(0)))
    return error;
  for (int64_t c = 0; c < x[0]->dim(1); ++c)
    results[0].set(0, c, x[0]->at(index, c));
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Norm and rotary
//===----------------------------------------------------------------------===//

/// 1 / sqrt(mean of squares + eps) of `columns` columns of one row, from `first` on.
static double inverseRms(const Tensor &x, int64_t row, int64_t first, int64_t columns, double eps) {
  double squares = 0;
  for (int64_t c = 0; c < columns; ++c)
    squares += x.at(row, first + c) * x.at(row, first + c);
  return 1 / std::sqrt(squares / columns + eps);
}

static llvm::Error rmsNorm(RmsNormOp op, Operands operands, Results results) {
  const Tensor &x = *operands[0], &weight = *operands[1];
  const int64_t columns = weight.dim(0); // of a head, or of the row
  for (int64_t row = 0; row < x.dim(0); ++row)
    for (int64_t first = 0; first < x.dim(1); first += columns) {
      double r = inverseRms(x, row, first, columns, op.getEps().convertToDouble());
      for (int64_t c = 0; c < columns; ++c)
        results[0].set(row, first + c,
                       op.getZeroCentered()
                           ? x.at(row, first + c) * r * (1 + weight.reals[c])
                           : roundTo(x.type.getElementType(), x.at(row, first + c) * r) * weight.reals[c]);
    }
  return llvm::Error::success();
}

static llvm::Error rmsNormGrad(RmsNormGradOp op, Operands operands, Results results) {
  const Tensor &x = *operands[0], &weight = *operands[1], &d = *operands[2];
  const int64_t columns = weight.dim(0);
  const double center = op.getZeroCentered() ? 1 : 0;
  std::vector<double> weightGradient(columns, 0.0);
  for (int64_t row = 0; row < x.dim(0); ++row)
    for (int64_t first = 0; first < x.dim(1); first += columns) {
      double r = inverseRms(x, row, first, columns, op.getEps().convertToDouble()), mean = 0;
      for (int64_t c = 0; c < columns; ++c)
        mean += d.at(row, first + c) * (center + weight.reals[c]) * x.at(row, first + c) / columns;
      for (int64_t c = 0; c < columns; ++c) {
        const double value = x.at(row, first + c), gradient = d.at(row, first + c);
        results[0].set(row, first + c, r * gradient * (center + weight.reals[c]) - value * r * r * r * mean);
        weightGradient[c] += gradient * value * r;
      }
    }
  for (int64_t c = 0; c < columns; ++c)
    results[1].set(c, weightGradient[c]);
  return llvm::Error::success();
}

static llvm::Error addBias(AddBiasOp, Operands operands, Results results) {
  const Tensor &x = *operands[0], &bias = *operands[1];
  for (int64_t row = 0; row < x.dim(0); ++row)
    for (int64_t c = 0; c < x.dim(1); ++c)
      results[0].set(row, c, x.at(row, c) + bias.reals[c]);
  return llvm::Error::success();
}

static llvm::Error columnSums(ColumnSumsOp, Operands operands, Results results) {
  const Tensor &x = *operands[0];
  for (int64_t c = 0; c < x.dim(1); ++c) {
    double sum = 0;
    for (int64_t row = 0; row < x.dim(0); ++row)
      sum += x.at(row, c);
    results[0].set(c, sum);
  }
  return llvm::Error::success();
}

static llvm::Error scaleColumns(ScaleColumnsOp, Operands operands, Results results) {
  const Tensor &x = *operands[0], &factors = *operands[1];
  for (int64_t row = 0; row < x.dim(0); ++row)
    for (int64_t c = 0; c < x.dim(1); ++c)
      results[0].set(row, c, x.at(row, c) * factors.reals[c]);
  return llvm::Error::success();
}

static llvm::Error scaleColumnsGrad(ScaleColumnsGradOp, Operands operands, Results results) {
  const Tensor &x = *operands[0], &factors = *operands[1], &d = *operands[2];
  for (int64_t c = 0; c < x.dim(1); ++c) {
    double sum = 0;
    for (int64_t row = 0; row < x.dim(0); ++row) {
      results[0].set(row, c, d.at(row, c) * factors.reals[c]);
      sum += d.at(row, c) * x.at(row, c);
    }
    results[1].set(c, sum);
  }
  return llvm::Error::success();
}

static llvm::Error inverseNorm(InverseNormOp op, Operands operands, Results results) {
  const Tensor &base = *operands[0], &b = *operands[1], &p = *operands[2], &q = *operands[3];
  const double scale = op.getScale().convertToDouble();
  for (int64_t row = 0; row < base.size(); ++row) {
    double squares = base.reals[row] * base.reals[row];
    for (int64_t k = 0; k < op.getRank(); ++k)
      squares += b.at(row, k) * (2 * scale * p.at(k, row) + scale * scale * q.at(row, k));
    results[0].set(row, 1 / std::sqrt(squares));
  }
  return llvm::Error::success();
}

static llvm::Error rotary(RotaryOp op, Operands operands, Results results) {
  const Tensor &x = *operands[0], &positions = *operands[1], &cos = *operands[2], &sin = *operands[3];
  int64_t headDim = op.getHeadDim(), half = cos.dim(1);
  for (int64_t row = 0; row < x.dim(0); ++row) {
    int64_t position = positions.integers[row];
    if (llvm::Error error = checkIndex(op, "positions", row, position, cos.dim(0)))
      return error;
    for (int64_t head = 0; head < x.dim(1); head += headDim) {
      for (int64_t i = 2 * half; i < headDim; ++i)
        results[0].set(row, head + i, x.at(row, head + i));
      for (int64_t i = 0; i < half; ++i) {
        double c = cos.at(position, i), s = op.getInverse() ? -sin.at(position, i) : sin.at(position, i);
        double x1 = x.at(row, head + i), x2 = x.at(row, head + half + i);
        results[0].set(row, head + i, x1 * c - x2 * s);
        results[0].set(row, head + half + i, x2 * c + x1 * s);
      }
    }
  }
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Loss
//===----------------------------------------------------------------------===//

double logSumExp(const Tensor &matrix, int64_t row) {
  auto begin = matrix.reals.begin() + row * matrix.dim(1), end = begin + matrix.dim(1);
  double largest = *std::max_element(begin, end), exponentials = 0;
  for (auto it = begin; it != end; ++it)
    exponentials += std::exp(*it - largest);
  return largest + std::log(exponentials);
}

static llvm::Error crossEntropy(CrossEntropyOp op, Operands operands, Results results) {
  const Tensor &logits = *operands[0], &labels = *operands[1];
  double sum = 0;
  for (int64_t row = 0; row < logits.dim(0); ++row) {
    double lse = logSumExp(logits, row);
    results[2].set(row, lse);
    int64_t label = labels.integers[row];
    if (label == int64_t(op.getIgnoreIndex()))
      continue;
    if (llvm::Error error = checkIndex(op, "labels", row, label, logits.dim(1)))
      return error;
    sum += lse - logits.at(row, label);
    ++results[1].integers.front();
  }
  results[0].set(0, sum * scalar(operands[2]));
  return llvm::Error::success();
}

static llvm::Error crossEntropyGrad(CrossEntropyGradOp op, Operands operands, Results results) {
  const Tensor &logits = *operands[0], &labels = *operands[1], &lse = *operands[2];
  double factor = scalar(operands[4]) * scalar(operands[3]);
  for (int64_t row = 0; row < logits.dim(0); ++row) {
    int64_t label = labels.integers[row];
    if (label == int64_t(op.getIgnoreIndex()))
      continue; // results start as zeros
    if (llvm::Error error = checkIndex(op, "labels", row, label, logits.dim(1)))
      return error;
    for (int64_t c = 0; c < logits.dim(1); ++c)
      results[0].set(row, c, factor * (std::exp(logits.at(row, c) - lse.reals[row]) - (c == label ? 1 : 0)));
  }
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Gradient norm and optimizers
//===----------------------------------------------------------------------===//

static llvm::Error sumSquares(SumSquaresOp, Operands x, Results results) {
  double sum = 0;
  for (double value : x[0]->reals)
    sum += value * value;
  results[0].set(0, scalar(x[1]) + sum);
  return llvm::Error::success();
}

static llvm::Error clipFactor(ClipFactorOp op, Operands x, Results results) {
  double norm = std::sqrt(scalar(x[0])), limit = op.getMaxNorm().convertToDouble();
  results[0].set(0, norm);
  double quotient = limit / (norm + 1e-6);
  // A norm that is not a number must not look like one that needs no clipping.
  double factor = std::isnan(quotient) ? quotient : std::min(1.0, quotient);
  results[1].set(0, std::isinf(limit) ? 1.0 : factor);
  return llvm::Error::success();
}

static llvm::Error sgd(SGDOp op, Operands x, Results results) {
  double decay = op.getOptimizer().getWeightDecay().getValueAsDouble(), lr = scalar(x[2]), factor = scalar(x[3]);
  for (int64_t i = 0; i < results[0].size(); ++i) {
    double p = x[0]->reals[i];
    results[0].set(i, p - lr * (factor * x[1]->reals[i] + decay * p));
  }
  return llvm::Error::success();
}

static llvm::Error sgdMomentum(SGDMomentumOp op, Operands x, Results results) {
  SGDMomentumAttr attr = op.getOptimizer();
  double decay = attr.getWeightDecay().getValueAsDouble(), momentum = attr.getMomentum().getValueAsDouble();
  double dampening = attr.getDampening().getValueAsDouble(), lr = scalar(x[3]), factor = scalar(x[5]);
  bool first = x[4]->integers.front() == 1;
  for (int64_t i = 0; i < results[0].size(); ++i) {
    double p = x[0]->reals[i], g = factor * x[1]->reals[i] + decay * p;
    double buffer = first ? g : momentum * x[2]->reals[i] + (1 - dampening) * g;
    results[0].set(i, p - lr * (attr.getNesterov() ? g + momentum * buffer : buffer));
    results[1].set(i, buffer);
  }
  return llvm::Error::success();
}

static llvm::Error firstStep(FirstStepOp, Operands x, Results results) {
  results[0].reals = x[x[2]->integers.front() == 1 ? 0 : 1]->reals;
  return llvm::Error::success();
}

static llvm::Error stochasticRound(StochasticRoundOp op, Operands x, Results results) {
  int64_t columns = op.getInput().getType().getShape().back();
  for (int64_t i = 0; i < results[0].size(); ++i) {
    auto value = static_cast<float>(x[0]->reals[i]);
    auto bits = std::bit_cast<uint32_t>(value), below = bits & 0xffff0000u, cut = bits & 0xffffu;
    uint32_t random = roundingBits(x[1]->integers.front(), x[2]->integers.front(), op.getStream(), i / columns,
                                   static_cast<uint32_t>(i % columns));
    results[0].set(i, std::isnan(value) ? value : std::bit_cast<float>(random < cut ? below + 0x10000u : below));
  }
  return llvm::Error::success();
}

static llvm::Error adamw(AdamWOp op, Operands x, Results results) {
  AdamWAttr attr = op.getOptimizer();
  double decay = attr.getWeightDecay().getValueAsDouble(), eps = attr.getEps().getValueAsDouble();
  double beta1 = attr.getBeta1().getValueAsDouble(), beta2 = attr.getBeta2().getValueAsDouble();
  double lr = scalar(x[4]), t = static_cast<double>(x[5]->integers.front()), factor = scalar(x[6]);
  double correction1 = 1 - std::pow(beta1, t), correction2 = std::sqrt(1 - std::pow(beta2, t));
  for (int64_t i = 0; i < results[0].size(); ++i) {
    double p = x[0]->reals[i], g = factor * x[1]->reals[i], m = x[2]->reals[i], v = x[3]->reals[i];
    m += (1 - beta1) * (g - m);
    v = beta2 * v + (1 - beta2) * g * g;
    results[0].set(i, p * (1 - lr * decay) - lr / correction1 * m / (std::sqrt(v) / correction2 + eps));
    results[1].set(i, m);
    results[2].set(i, v);
  }
  return llvm::Error::success();
}

/// The code of element `i` of a block, whose bytes begin at `at`: four bits apart, the first half of the block is in
/// the upper ones.
static int64_t codeOf(StateFormat format, const Tensor &codes, int64_t at, int64_t i) {
  const int64_t bytes = stateBlockBytes(format), byte = codes.integers[at + i % bytes] & 255;
  return bytes == stateBlock(format) ? byte : i < bytes ? byte >> 4 : byte & 15;
}

static void setCode(StateFormat format, Tensor &codes, int64_t at, int64_t i, int64_t code) {
  const int64_t bytes = stateBlockBytes(format);
  int64_t &byte = codes.integers[at + i % bytes];
  if (bytes != stateBlock(format))
    code = i < bytes ? code << 4 : (byte & 0xf0) | code;
  byte = static_cast<int8_t>(code);
}

static llvm::Error adamwQuantized(AdamWQuantizedOp op, Operands x, Results results) {
  AdamWAttr attr = op.getOptimizer();
  const auto format = static_cast<StateFormat>(op.getFormat());
  const int64_t size = stateBlock(format), bytes = stateBlockBytes(format);
  double decay = attr.getWeightDecay().getValueAsDouble(), eps = attr.getEps().getValueAsDouble();
  double beta1 = attr.getBeta1().getValueAsDouble(), beta2 = attr.getBeta2().getValueAsDouble();
  double lr = scalar(x[6]), t = static_cast<double>(x[7]->integers.front()), factor = scalar(x[8]);
  double correction1 = 1 - std::pow(beta1, t), correction2 = std::sqrt(1 - std::pow(beta2, t));
  for (int64_t block = 0; block < results[2].size(); ++block) {
    std::vector<double> moments[2] = {std::vector<double>(size), std::vector<double>(size)};
    for (int64_t i = 0; i < size; ++i) {
      int64_t at = block * size + i;
      double p = x[0]->reals[at], g = factor * x[1]->reals[at];
      double &m = moments[0][i], &v = moments[1][i];
      m = stateMap(format, true).values[codeOf(format, *x[2], block * bytes, i)] * x[3]->reals[block];
      v = stateMap(format, false).values[codeOf(format, *x[4], block * bytes, i)] * x[5]->reals[block];
      m += (1 - beta1) * (g - m);
      v = beta2 * v + (1 - beta2) * g * g;
      results[0].set(at, p * (1 - lr * decay) - lr / correction1 * m / (std::sqrt(v) / correction2 + eps));
    }
    for (int which : {0, 1}) {
      Tensor &codes = results[1 + 2 * which], &scales = results[2 + 2 * which];
      double largest = 0;
      for (double value : moments[which])
        largest = std::isnan(value) || std::abs(value) > largest ? std::abs(value) : largest;
      if (format != StateFormat::Bitsandbytes8 && largest < 1e-12)
        largest = 1e-12;
      scales.set(block, largest);
      for (int64_t i = 0; i < size; ++i) {
        // NaN in a block of zeros, unless torchao's: code 0.
        auto scaled = static_cast<float>(moments[which][i] / scales.reals[block]);
        setCode(format, codes, block * bytes, i, stateMap(format, which == 0).code(scaled));
      }
    }
  }
  return llvm::Error::success();
}

llvm::Error evaluate(Operation *op, Operands operands, Results results) {
  auto call = [&](auto function) { return [=](auto typed) { return function(typed, operands, results); }; };
  return TypeSwitch<Operation *, llvm::Error>(op)
      .Case<ConstantOp>(call(constant))
      .Case<AddOp>(call(add))
      .Case<MultiplyOp>(call(multiply))
      .Case<CastOp>(call(cast))
      .Case<ScaleOp>(call(scale))
      .Case<DropoutOp>(call(dropout))
      .Case<AccumulateOp>(call(accumulate))
      .Case<SwiGLUOp>(call(evaluateSwiGLU))
      .Case<SwiGLUGradOp>(call(evaluateSwiGLUGrad))
      .Case<GeGLUOp>(call(evaluateGeGLU))
      .Case<GeGLUGradOp>(call(evaluateGeGLUGrad))
      .Case<SoftcapOp>(call(evaluateSoftcap))
      .Case<SoftcapGradOp>(call(evaluateSoftcapGrad))
      .Case<FakeQuantizeOp>(call(evaluateFakeQuantize))
      .Case<MatmulOp>(call(matmul))
      .Case<MatmulPairOp>(call(matmulPair))
      .Case<SliceRowsOp>(call(sliceRows))
      .Case<ConcatRowsOp>(call(concatRows))
      .Case<EmbeddingOp>(call(embedding))
      .Case<EmbeddingGradOp>(call(embeddingGrad))
      .Case<GatherRowOp>(call(gatherRow))
      .Case<RmsNormOp>(call(rmsNorm))
      .Case<RmsNormGradOp>(call(rmsNormGrad))
      .Case<AddBiasOp>(call(addBias))
      .Case<ColumnSumsOp>(call(columnSums))
      .Case<ScaleColumnsOp>(call(scaleColumns))
      .Case<ScaleColumnsGradOp>(call(scaleColumnsGrad))
      .Case<InverseNormOp>(call(inverseNorm))
      .Case<RotaryOp>(call(rotary))
      .Case<AttentionOp>(call(evaluateAttention))
      .Case<AttentionGradOp>(call(evaluateAttentionGrad))
      .Case<CrossEntropyOp>(call(crossEntropy))
      .Case<CrossEntropyGradOp>(call(crossEntropyGrad))
      .Case<DistillationLossOp>(call(evaluateDistillationLoss))
      .Case<DistillationLossGradOp>(call(evaluateDistillationLossGrad))
      .Case<LabelLogProbsOp>(call(evaluateLabelLogProbs))
      .Case<LabelLogProbsGradOp>(call(evaluateLabelLogProbsGrad))
      .Case<SequenceSumsOp>(call(evaluateSequenceSums))
      .Case<SequenceSpreadOp>(call(evaluateSequenceSpread))
      .Case<PreferenceLossOp>(call(evaluatePreferenceLoss))
      .Case<PreferenceLossGradOp>(call(evaluatePreferenceLossGrad))
      .Case<SumSquaresOp>(call(sumSquares))
      .Case<ClipFactorOp>(call(clipFactor))
      .Case<SGDOp>(call(sgd))
      .Case<SGDMomentumOp>(call(sgdMomentum))
      .Case<AdamWOp>(call(adamw))
      .Case<AdamWQuantizedOp>(call(adamwQuantized))
      .Case<FirstStepOp>(call(firstStep))
      .Case<StochasticRoundOp>(call(stochasticRound))
      .Default([](Operation *unknown) { return errorAt(unknown, "cannot be interpreted"); });
}

} // namespace ftc::reference
