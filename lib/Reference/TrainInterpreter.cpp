//===- TrainInterpreter.cpp - Runs train IR plainly --------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Reference/TrainInterpreter.h"

#include "TrainKernels.h"
#include "ftc/Support/Random.h"
#include "ftc/Support/Reference.h"
#include "ftc/Support/Rotary.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <memory>

using namespace mlir;
using namespace ftc::train;

namespace ftc::reference {

//===----------------------------------------------------------------------===//
// Variables
//===----------------------------------------------------------------------===//

TrainInterpreter::TrainInterpreter(ModuleOp module) : module(module) {
  for (auto variable : module.getOps<VariableOp>())
    variables.emplace(variable.getSymName().str(), Tensor(variable.getTensorType()));
}

/// Through four bits and back.
static void quantize(Tensor &weight) {
  auto nf4 = dyn_cast<Nf4Type>(weight.type.getElementType());
  if (!nf4)
    return;
  const int64_t elements = weight.size();
  std::vector<float> values(weight.reals.begin(), weight.reals.end());
  std::vector<uint8_t> codes(nf4CodeBytes(elements)), absmax(nf4Blocks(elements));
  std::vector<float> nested(nf4NestedBlocks(elements));
  float offset;
  Nf4Arrays arrays{codes.data(), absmax.data(), nested.data(), &offset};
  Nf4Encoder(formatOf(nf4), elements, arrays).append(values.data(), elements);
  nf4Decode(formatOf(nf4), arrays, 0, elements, values.data());
  weight.reals.assign(values.begin(), values.end());
}

void TrainInterpreter::initialize(uint64_t seed) {
  for (auto variable : module.getOps<VariableOp>()) {
    Tensor value(variable.getTensorType());
    TypeSwitch<Attribute>(variable.getInit())
        .Case([&](OnesInitAttr) {
          value.reals.assign(value.reals.size(), 1.0);
          value.integers.assign(value.integers.size(), 1);
        })
        .Case([&](NormalInitAttr init) {
          CounterRandom random(seed, parameterOf(variable.getSymName()));
          for (int64_t i = 0; i < value.size(); ++i)
            value.set(i, random.normal(i, init.getStddev().getValueAsDouble()));
        })
        .Case([&](UniformInitAttr init) {
          CounterRandom random(seed, parameterOf(variable.getSymName()));
          for (int64_t i = 0; i < value.size(); ++i)
            value.set(i, random.symmetric(i, init.getBound().getValueAsDouble()));
        })
        .Case([&](RotaryInitAttr init) {
          RotaryTables tables =
              rotaryTables(value.dim(0), init.getHeadDim(), init.getBase().getValueAsDouble(), scalingOf(init));
          for (int64_t i = 0; i < value.size(); ++i)
            value.set(i, init.getSine() ? tables.sin[i] : tables.cos[i]);
        });
    quantize(value);
    variables[variable.getSymName().str()] = std::move(value);
  }
  fillRowNorms();
}

void TrainInterpreter::fillRowNorms() {
  for (auto variable : module.getOps<VariableOp>()) {
    auto init = dyn_cast<RowNormsInitAttr>(variable.getInit());
    if (!init)
      continue;
    const Tensor &weight = variables[init.getParameter().getValue().str()];
    Tensor &norms = variables[variable.getSymName().str()];
    for (int64_t row = 0; row < weight.dim(0); ++row) {
      double squares = 0;
      for (int64_t column = 0; column < weight.dim(1); ++column)
        squares += weight.at(row, column) * weight.at(row, column);
      norms.set(row, std::sqrt(squares));
    }
  }
}

const Tensor *TrainInterpreter::find(StringRef name) const {
  auto found = variables.find(name.str());
  return found == variables.end() ? nullptr : &found->second;
}

static std::string print(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

llvm::Error TrainInterpreter::set(StringRef name, Tensor value) {
  auto found = variables.find(name.str());
  if (found == variables.end())
    return llvm::createStringError("the module has no variable '" + name + "'");
  if (auto nf4 = dyn_cast<Nf4Type>(found->second.type.getElementType());
      nf4 && value.type == found->second.type.clone(nf4.getDecoded())) {
    value.type = found->second.type;
    quantize(value);
  }
  if (found->second.type != value.type)
    return llvm::createStringError("variable '" + name + "' is " + print(found->second.type) + ", not " +
                                   print(value.type));
  found->second = std::move(value);
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

namespace {
/// One run of one entry.
class Run {
public:
  explicit Run(const NamedTensors &variables) : variables(variables) {}

  void bind(Value value, std::shared_ptr<const Tensor> tensor) { values[value] = std::move(tensor); }
  std::shared_ptr<const Tensor> get(Value value) const { return values.lookup(value); }

  /// Interprets all ops of a block but its terminator.
  llvm::Error runBlock(Block &block) {
    for (Operation &op : block.without_terminator())
      if (llvm::Error error = runOp(op))
        return error;
    return llvm::Error::success();
  }

  /// What train.write left: variables and their new values.
  std::vector<std::pair<std::string, std::shared_ptr<const Tensor>>> writes;

private:
  llvm::Error runOp(Operation &op) {
    if (auto read = dyn_cast<ReadOp>(op)) {
      // Writes are kept aside until the end of the entry, so this is the value at its start.
      bind(read.getValue(), std::make_shared<Tensor>(variables.at(read.getVariable().str())));
      return llvm::Error::success();
    }
    if (auto write = dyn_cast<WriteOp>(op)) {
      writes.emplace_back(write.getVariable().str(), get(write.getValue()));
      return llvm::Error::success();
    }
    if (auto delay = dyn_cast<DelayOp>(op)) {
      bind(delay.getResult(), get(delay.getValue()));
      return llvm::Error::success();
    }
    if (auto offload = dyn_cast<OffloadOp>(op)) {
      bind(offload.getResult(), get(offload.getValue()));
      return llvm::Error::success();
    }
    if (auto prefetch = dyn_cast<PrefetchOp>(op)) {
      bind(prefetch.getResult(), get(prefetch.getFar()));
      return llvm::Error::success();
    }
    if (isa<LossOp>(op)) // only a mark for differentiation
      return llvm::Error::success();
    if (isa<UpdateOp>(op))
      return errorAt(&op, "stands for any optimizer; run train-lower-optimizer first");
    if (auto fused = dyn_cast<FusedOp>(op))
      return runFused(fused);

    SmallVector<std::shared_ptr<const Tensor>> kept;
    SmallVector<const Tensor *> operands;
    for (Value operand : op.getOperands()) {
      kept.push_back(get(operand));
      operands.push_back(kept.back().get());
    }
    SmallVector<Tensor> results;
    for (Type type : op.getResultTypes())
      results.emplace_back(cast<RankedTensorType>(type));
    if (llvm::Error error = evaluate(&op, operands, results))
      return error;
    for (auto [value, tensor] : llvm::zip(op.getResults(), results))
      bind(value, std::make_shared<Tensor>(std::move(tensor)));
    return llvm::Error::success();
  }

  /// A fused group means what its ops mean one after the other.
  llvm::Error runFused(FusedOp op) {
    Block &body = op.getBody().front();
    for (auto [argument, input] : llvm::zip(body.getArguments(), op.getInputs()))
      bind(argument, get(input));
    if (llvm::Error error = runBlock(body))
      return error;
    for (auto [output, yielded] : llvm::zip(op.getOutputs(), body.getTerminator()->getOperands()))
      bind(output, get(yielded));
    return llvm::Error::success();
  }

  const NamedTensors &variables;
  llvm::DenseMap<Value, std::shared_ptr<const Tensor>> values;
};
} // namespace

llvm::Expected<NamedTensors> TrainInterpreter::run(StringRef name, const NamedTensors &inputs) {
  auto entry = module.lookupSymbol<EntryOp>(name);
  if (!entry)
    return llvm::createStringError("the module has no entry '" + name + "'");

  Run run(variables);
  Block &body = entry.getBody().front();
  for (auto [nameAttr, argument] : llvm::zip(entry.getInputNames(), body.getArguments())) {
    std::string inputName = cast<StringAttr>(nameAttr).str();
    auto found = inputs.find(inputName);
    if (found == inputs.end())
      return llvm::createStringError("entry '" + name + "' needs the input '" + inputName + "'");
    if (found->second.type != argument.getType())
      return llvm::createStringError("input '" + inputName + "' of entry '" + name + "' is " +
                                     print(argument.getType()) + ", not " + print(found->second.type));
    run.bind(argument, std::make_shared<Tensor>(found->second));
  }
  for (const auto &[inputName, tensor] : inputs)
    if (!entry.getInput(inputName))
      return llvm::createStringError("entry '" + name + "' has no input '" + inputName + "'");

  if (llvm::Error error = run.runBlock(body))
    return error;

  NamedTensors outputs;
  for (auto [nameAttr, value] : llvm::zip(entry.getOutputNames(), body.getTerminator()->getOperands()))
    outputs[cast<StringAttr>(nameAttr).str()] = *run.get(value);
  for (auto &[variable, value] : run.writes)
    variables[variable] = *value;
  return outputs;
}

} // namespace ftc::reference
