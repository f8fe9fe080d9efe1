//===- PlanInterpreter.cpp - Runs plan IR plainly -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Reference/PlanInterpreter.h"

#include "PlanBody.h"
#include "PlanMemory.h"
#include "TrainKernels.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

#pragma STDC FP_CONTRACT OFF

using namespace mlir;

namespace ftc::reference {

static RankedTensorType tensorType(MemRefType type) {
  return RankedTensorType::get(type.getShape(), type.getElementType());
}

static std::string print(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

namespace {
/// One launch of one kernel.
class KernelRun {
public:
  KernelRun(plan::KernelOp kernel, ArrayRef<BufferRef> arguments, bool reverseTasks)
      : kernel(kernel), reverseTasks(reverseTasks) {
    for (auto [argument, buffer] : llvm::zip(kernel.getBuffers(), arguments))
      buffers[argument] = buffer;
  }

  llvm::Error run() {
    return llvm::TypeSwitch<Operation *, llvm::Error>(kernel.getWork())
        .Case([&](plan::RowsOp op) { return runRows(op); })
        .Case([&](plan::MatmulOp op) { return runMatmul(op); })
        .Case([&](plan::AttentionOp op) {
          return runOnTensors(op, op->getOperands().slice(0, 4), op->getOperands().slice(4, 2),
                              [&](Operands in, Results out) { return evaluatePlanAttention(op, in, out); });
        })
        .Case([&](plan::AttentionGradOp op) {
          return runOnTensors(op, op->getOperands().slice(0, 7), op->getOperands().slice(7, 3),
                              [&](Operands in, Results out) { return evaluatePlanAttentionGrad(op, in, out); });
        })
        .Default([](Operation *op) { return errorAt(op, "is no work of a kernel"); });
  }

private:
  llvm::Error runRows(plan::RowsOp rows) {
    PlanBody body(buffers, rows.getPerTask());
    int64_t tasks = rows.getTasks();
    bool reverse = reverseTasks && rows.getOrder() == plan::RowOrder::Parallel;
    for (int64_t i = 0; i < tasks; ++i) {
      int64_t begin = (reverse ? tasks - 1 - i : i) * rows.getPerTask();
      for (int64_t row = begin, end = std::min<int64_t>(begin + rows.getPerTask(), rows.getRows()); row < end; ++row) {
        body.setRow(rows.getRow(), row);
        for (Operation &op : kernel.getBody().front())
          if (&op != rows.getOperation())
            if (llvm::Error error = body.run(&op))
              return error;
        for (Operation &op : rows.getBody().front())
          if (llvm::Error error = body.run(&op))
            return error;
      }
    }
    return llvm::Error::success();
  }

  /// The value that a seam of a product makes of `inputs`.
  llvm::Expected<Cell> runSeam(Region &seam, ArrayRef<Cell> inputs) {
    if (seam.empty())
      return inputs.front();
    PlanBody body(buffers, 1);
    for (Operation &op : kernel.getBody().front())
      if (op.hasTrait<OpTrait::ConstantLike>())
        if (llvm::Error error = body.run(&op))
          return error;
    for (auto [argument, cell] : llvm::zip(seam.front().getArguments(), inputs))
      body.bind(argument, {cell});
    for (Operation &op : seam.front().without_terminator())
      if (llvm::Error error = body.run(&op))
        return error;
    return body.get(cast<plan::YieldOp>(seam.front().getTerminator()).getValue()).front();
  }

  /// Matrix `buffer` through its seam, transposed if asked, as f32 in row-major order.
  llvm::Expected<std::vector<float>> readMatrix(Operation *op, const BufferRef &buffer, bool transpose, Region &seam) {
    int64_t stored = buffer.type.getDimSize(0), columns = buffer.type.getDimSize(1);
    std::vector<float> matrix(stored * columns);
    for (int64_t i = 0; i < stored; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        Cell cell;
        if (llvm::Error error = buffer.read(i * columns + j, cell))
          return errorAt(op, llvm::toString(std::move(error)));
        auto read = runSeam(seam, cell);
        if (!read)
          return read.takeError();
        matrix[transpose ? j * stored + i : i * columns + j] = static_cast<float>(read->real);
      }
    return matrix;
  }

  /// The second factor from four bits, transposed if asked, as f32 in row-major order.
  llvm::Expected<std::vector<float>> decodeMatrix(plan::MatmulOp op, plan::Nf4Attr nf4) {
    std::vector<Tensor> arrays;
    for (Value buffer : {Value(op.getB()), op.getScales()[0], op.getScales()[1], op.getScales()[2]}) {
      auto value = buffers[buffer].readAll();
      if (!value)
        return errorAt(op, llvm::toString(value.takeError()));
      arrays.push_back(std::move(*value));
    }
    std::vector<uint8_t> codes(arrays[0].integers.begin(), arrays[0].integers.end()),
        absmax(arrays[1].integers.begin(), arrays[1].integers.end());
    std::vector<float> nested(arrays[2].reals.begin(), arrays[2].reals.end());
    auto offset = static_cast<float>(arrays[3].reals[0]);
    int64_t n = op.getN(), k = op.getK();
    std::vector<float> stored(n * k), matrix(n * k);
    nf4Decode(plan::formatOf(nf4), {codes.data(), absmax.data(), nested.data(), &offset}, 0, n * k, stored.data());
    for (int64_t i = 0; i < n * k; ++i)
      matrix[op.getTransposeB() ? i % k * n + i / k : i] = stored[i];
    return matrix;
  }

  llvm::Error runMatmul(plan::MatmulOp op) {
    int64_t m = op.getM(), n = op.getN(), k = op.getK();
    auto a = readMatrix(op, buffers[op.getA()], op.getTransposeA(), op.getReadA());
    if (!a)
      return a.takeError();
    auto b = op.getDecodeB() ? decodeMatrix(op, *op.getDecodeB())
                             : readMatrix(op, buffers[op.getB()], op.getTransposeB(), op.getReadB());
    if (!b)
      return b.takeError();
    std::vector<float> left, right;
    if (!op.getPair().empty()) {
      Region plain;
      auto c = readMatrix(op, buffers[op.getPair()[0]], false, plain);
      if (!c)
        return c.takeError();
      auto d = readMatrix(op, buffers[op.getPair()[1]], op.getTransposePair(), plain);
      if (!d)
        return d.takeError();
      left = std::move(*c);
      right = std::move(*d);
    }
    auto multiply = [n](const std::vector<float> &x, const std::vector<float> &y, int64_t terms, int64_t i, int64_t j) {
      float sum = 0;
      for (int64_t l = 0; l < terms; ++l)
        sum = std::fma(x[i * terms + l], y[l * n + j], sum);
      return sum;
    };
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        float sum = multiply(*a, *b, k, i, j);
        if (!left.empty())
          sum += multiply(left, right, op.getPairK(), i, j);
        SmallVector<Cell> inputs{Cell{sum, 0}};
        for (Value extra : op.getExtras())
          if (llvm::Error error = buffers[extra].read(i * n + j, inputs.emplace_back()))
            return errorAt(op, llvm::toString(std::move(error)));
        auto stored = runSeam(op.getStoreC(), inputs);
        if (!stored)
          return stored.takeError();
        if (llvm::Error error = buffers[op.getC()].write(i * n + j, *stored))
          return errorAt(op, llvm::toString(std::move(error)));
      }
    return llvm::Error::success();
  }

  llvm::Error runOnTensors(Operation *op, ValueRange inputs, ValueRange outputs,
                           function_ref<llvm::Error(Operands, Results)> evaluate) {
    std::vector<Tensor> values;
    for (Value input : inputs) {
      auto value = buffers[input].readAll();
      if (!value)
        return errorAt(op, llvm::toString(value.takeError()));
      values.push_back(std::move(*value));
    }
    SmallVector<const Tensor *> operands;
    for (const Tensor &value : values)
      operands.push_back(&value);
    SmallVector<Tensor> results;
    for (Value output : outputs)
      results.emplace_back(tensorType(cast<MemRefType>(output.getType())));
    if (llvm::Error error = evaluate(operands, results))
      return error;
    for (auto [output, value] : llvm::zip(outputs, results))
      if (llvm::Error error = buffers[output].writeAll(value))
        return errorAt(op, llvm::toString(std::move(error)));
    return llvm::Error::success();
  }

  plan::KernelOp kernel;
  llvm::DenseMap<Value, BufferRef> buffers;
  bool reverseTasks;
};
} // namespace

//===----------------------------------------------------------------------===//
// PlanInterpreter
//===----------------------------------------------------------------------===//

PlanInterpreter::PlanInterpreter(ModuleOp module) : module(module), memory(std::make_unique<PlanMemory>(module)) {}
PlanInterpreter::~PlanInterpreter() = default;

llvm::Error PlanInterpreter::set(StringRef name, const Tensor &value) {
  BufferRef buffer = memory->variable(name);
  if (!buffer.bytes)
    return llvm::createStringError("the module has no variable '" + name + "'");
  if (tensorType(buffer.type) != value.type)
    return llvm::createStringError("variable '" + name + "' is " + print(buffer.type) + ", not " + print(value.type));
  return buffer.writeAll(value);
}

llvm::Expected<Tensor> PlanInterpreter::get(StringRef name) const {
  BufferRef buffer = memory->variable(name);
  if (!buffer.bytes)
    return llvm::createStringError("the module has no variable '" + name + "'");
  return buffer.readAll();
}

llvm::Expected<NamedTensors> PlanInterpreter::run(StringRef name, const NamedTensors &inputs) {
  SymbolTable symbols(module);
  auto entry = symbols.lookup<plan::EntryOp>(name);
  if (!entry)
    return llvm::createStringError("the module has no entry '" + name + "'");
  llvm::StringSet<> wanted;
  for (auto input : entry.getBody().front().getOps<plan::InputOp>())
    wanted.insert(input.getName());
  for (auto &[given, value] : inputs)
    if (!wanted.contains(given))
      return llvm::createStringError("entry '" + name + "' has no input '" + given + "'");

  memory->forgetTransients();
  llvm::DenseMap<Value, BufferRef> buffers;
  llvm::DenseMap<Value, std::pair<BufferRef, BufferRef>> underWay; // from and to, by event
  auto finishCopy = [&](Value event) -> llvm::Error {
    auto found = underWay.find(event);
    if (found == underWay.end())
      return llvm::Error::success();
    auto [from, to] = found->second;
    underWay.erase(found);
    auto value = from.readAll();
    return value ? to.writeAll(*value) : value.takeError();
  };
  NamedTensors outputs;
  // The host writes all inputs before the first launch.
  for (auto input : entry.getBody().front().getOps<plan::InputOp>()) {
    auto found = inputs.find(input.getName().str());
    if (found == inputs.end())
      return llvm::createStringError("entry '" + name + "' needs input '" + input.getName() + "'");
    auto buffer = memory->transient(input);
    if (!buffer)
      return buffer.takeError();
    if (tensorType(buffer->type) != found->second.type)
      return llvm::createStringError("input '" + input.getName() + "' is " + print(buffer->type) + ", not " +
                                     print(found->second.type));
    if (llvm::Error error = buffer->writeAll(found->second))
      return error;
    buffers[input.getBuffer()] = *buffer;
  }
  for (Operation &op : entry.getBody().front()) {
    if (auto get = dyn_cast<plan::ReadVariableOp>(op)) {
      buffers[get.getBuffer()] = memory->variable(get.getVariable());
      if (!buffers[get.getBuffer()].bytes)
        return errorAt(&op, "names no variable of the module");
    } else if (isa<plan::AllocOp, plan::ViewOp>(op)) {
      auto buffer = memory->transient(&op);
      if (!buffer)
        return buffer.takeError();
      buffers[op.getResult(0)] = *buffer;
    } else if (auto slice = dyn_cast<plan::SliceOp>(op)) {
      BufferRef part = buffers[slice.getSource()];
      part.offset += slice.getByteOffset();
      part.type = cast<MemRefType>(slice.getBuffer().getType());
      buffers[slice.getBuffer()] = part;
    } else if (auto launch = dyn_cast<plan::LaunchOp>(op)) {
      auto kernel = symbols.lookup<plan::KernelOp>(launch.getKernel());
      if (!kernel || kernel.getBuffers().size() != launch.getBuffers().size())
        return errorAt(&op, "does not fit a kernel of the module");
      SmallVector<BufferRef> arguments;
      for (auto [value, argument] : llvm::zip(launch.getBuffers(), kernel.getBuffers())) {
        // The kernel may see the buffer in another shape of as many elements.
        arguments.push_back(buffers[value]);
        auto type = cast<MemRefType>(argument.getType());
        if (plan::bytesOf(type) != plan::bytesOf(value.getType()))
          return errorAt(&op, "passes a buffer of another size than the kernel's argument");
        arguments.back().type = type;
      }
      if (llvm::Error error = KernelRun(kernel, arguments, reverseTasks).run())
        return errorAt(&op, "(" + launch.getLabel() + "): " + llvm::toString(std::move(error)));
    } else if (auto out = dyn_cast<plan::CopyOutOp>(op)) {
      underWay[out.getEvent()] = {buffers[out.getNear()], buffers[out.getFar()]};
      if (!lateCopies)
        if (llvm::Error error = finishCopy(out.getEvent()))
          return errorAt(&op, llvm::toString(std::move(error)));
    } else if (auto in = dyn_cast<plan::CopyInOp>(op)) {
      underWay[in.getEvent()] = {buffers[in.getFar()], buffers[in.getNear()]};
      if (!lateCopies)
        if (llvm::Error error = finishCopy(in.getEvent()))
          return errorAt(&op, llvm::toString(std::move(error)));
    } else if (auto wait = dyn_cast<plan::WaitOp>(op)) {
      if (llvm::Error error = finishCopy(wait.getEvent()))
        return errorAt(&op, llvm::toString(std::move(error)));
    }
  }
  for (auto output : entry.getBody().front().getOps<plan::OutputOp>()) {
    auto value = buffers[output.getBuffer()].readAll();
    if (!value)
      return errorAt(output, llvm::toString(value.takeError()));
    outputs.emplace(output.getName().str(), std::move(*value));
  }
  return outputs;
}

} // namespace ftc::reference
