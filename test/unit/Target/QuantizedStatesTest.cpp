//===- QuantizedStatesTest.cpp - Quantized moments against their libraries --===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// test/oracle/goldens/states.safetensors holds 50 steps of both libraries (test/oracle/golden_states.py). Each step is
// made from the library's own state before it.
//
//===----------------------------------------------------------------------===//

#include "CompiledPlan.h"

#include "ftc/Checkpoint/Safetensors.h"
#include "ftc/Reference/TrainInterpreter.h"
#include "ftc/Support/QuantizedStates.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Parser/Parser.h"

#include <cmath>

using namespace ftc;
using namespace ftc::test;
using reference::NamedTensors;
using reference::Tensor;

namespace {

constexpr int64_t steps = 50, elements = 4096, gradientRow = 256;

struct Format {
  std::string name; ///< in the IR and in the goldens
  StateFormat format;

  int64_t block() const { return stateBlock(format); }
  int64_t bytes() const { return stateBlockBytes(format); }
  int64_t rows() const { return elements / block(); }
  bool isPacked() const { return bytes() != block(); }
  std::string codesType() const { return std::to_string(rows()) + "x" + std::to_string(bytes()) + "xi8"; }
  std::string scalesType() const { return std::to_string(rows()) + "xf32"; }

  /// The code of element `e` in our bytes.
  int ours(const std::vector<int64_t> &codes, int64_t e) const {
    int64_t place = e % block();
    int byte = static_cast<uint8_t>(codes[e / block() * bytes() + place % bytes()]);
    return !isPacked() ? byte : place < bytes() ? byte >> 4 : byte & 15;
  }
  void setOurs(std::vector<int64_t> &codes, int64_t e, int code) const {
    int64_t place = e % block(), &byte = codes[e / block() * bytes() + place % bytes()];
    byte = static_cast<int8_t>(!isPacked() ? code : place < bytes() ? (byte & 15) | code << 4 : (byte & 0xf0) | code);
  }
  /// The same in torchao's, which packs neighbours.
  int theirs(const uint8_t *codes, int64_t e) const {
    return !isPacked() ? codes[e] : e % 2 ? codes[e / 2] & 15 : codes[e / 2] >> 4;
  }
};

void PrintTo(const Format &format, std::ostream *out) { *out << format.name; }

std::string replaced(std::string text, const std::string &what, const std::string &by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

std::string stepText(const Format &format, const std::string &shape = "16x256", const std::string &type = "f32") {
  std::string text = R"(
    train.variable @p : tensor<P> parameter init #train.zeros trainable
    train.variable @m : tensor<C> state init #train.zeros
    train.variable @ms : tensor<S> state init #train.zeros
    train.variable @v : tensor<C> state init #train.zeros
    train.variable @vs : tensor<S> state init #train.zeros
    train.entry @step kind(step) batch 1 sequence 1 inputs ["g", "learning_rate", "step", "s"] outputs [] {
    ^bb0(%g: tensor<P>, %lr: tensor<f32>, %step: tensor<i64>, %s: tensor<f32>):
      %p = train.read @p : tensor<P>
      %m = train.read @m : tensor<C>
      %ms = train.read @ms : tensor<S>
      %v = train.read @v : tensor<C>
      %vs = train.read @vs : tensor<S>
      %p1, %m1, %ms1, %v1, %vs1 = train.adamw_quantized %p, %g, %m, %ms, %v, %vs, %lr, %step, %s FORMAT
        with <weightDecay = 0.1, beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8>
        : tensor<P>, tensor<C>, tensor<S>, tensor<f32>, tensor<i64>, tensor<f32>
      train.write @p, %p1 : tensor<P>
      train.write @m, %m1 : tensor<C>
      train.write @ms, %ms1 : tensor<S>
      train.write @v, %v1 : tensor<C>
      train.write @vs, %vs1 : tensor<S>
      train.return
    }
  )";
  text = replaced(text, "tensor<P>", "tensor<" + shape + "x" + type + ">");
  text = replaced(text, "tensor<C>", "tensor<" + format.codesType() + ">");
  text = replaced(text, "tensor<S>", "tensor<" + format.scalesType() + ">");
  return replaced(text, "FORMAT", format.name);
}

class States : public testing::TestWithParam<Format> {
protected:
  States() : file(SafetensorsFile::open(FTC_SOURCE_DIR "/test/oracle/goldens/states.safetensors", diags)) {}

  template <typename T> std::vector<T> read(const std::string &name, TensorType type) {
    const auto *entry = file->find(name);
    if (!entry) {
      ADD_FAILURE() << "no " << name;
      return {};
    }
    std::vector<T> values(static_cast<size_t>(entry->spec.elements()));
    EXPECT_TRUE(file->read(*entry, type, values.data(), diags)) << name;
    return values;
  }

  std::vector<Diagnostic> diags;
  std::unique_ptr<SafetensorsFile> file;
};

INSTANTIATE_TEST_SUITE_P(Libraries, States,
                         testing::Values(Format{"bitsandbytes_8bit", StateFormat::Bitsandbytes8},
                                         Format{"torchao_8bit", StateFormat::Torchao8},
                                         Format{"torchao_4bit", StateFormat::Torchao4}),
                         [](const auto &info) { return info.param.name; });

mlir::RankedTensorType typeOf(const std::string &text) {
  return mlir::cast<mlir::RankedTensorType>(mlir::parseType("tensor<" + text + ">", &context()));
}

TEST_P(States, FollowTheLibrary) {
  ASSERT_TRUE(file);
  const Format format = GetParam();
  const int64_t rows = format.rows(), bytes = format.rows() * format.bytes();
  std::vector<int8_t> gradients = read<int8_t>("gradient", TensorType::I8);
  const char *names[] = {"exp_avg", "exp_avg_sq"}, *codeVariables[] = {"m", "v"}, *scaleVariables[] = {"ms", "vs"};
  std::vector<uint8_t> codes[2];
  std::vector<float> scales[2];
  for (int i : {0, 1}) {
    codes[i] = read<uint8_t>(format.name + "." + names[i] + ".codes", TensorType::U8);
    scales[i] = read<float>(format.name + "." + names[i] + ".scale", TensorType::F32);
    ASSERT_EQ(codes[i].size(), static_cast<size_t>(steps * bytes));
    ASSERT_EQ(scales[i].size(), static_cast<size_t>(steps * rows));
  }
  std::vector<float> last = read<float>(format.name + ".parameter", TensorType::F32);

  auto train = mlir::parseSourceString<mlir::ModuleOp>(stepText(format), &context());
  auto plan = parsePlan(stepText(format));
  ASSERT_TRUE(train && plan);
  reference::TrainInterpreter interpreter(*train);
  interpreter.initialize(0);
  CompiledPlan compiled(*plan, "x86-64-v3");
  ASSERT_TRUE(compiled.ok());

  int64_t differing[2] = {0, 0}, changed = 0;
  for (int64_t step = 0; step < steps; ++step) {
    SCOPED_TRACE("step " + std::to_string(step + 1));
    for (int i : {0, 1}) {
      Tensor before(typeOf(format.codesType())), scale(typeOf(format.scalesType()));
      for (int64_t e = 0; step > 0 && e < elements; ++e)
        format.setOurs(before.integers, e, format.theirs(&codes[i][(step - 1) * bytes], e));
      for (int64_t r = 0; step > 0 && r < rows; ++r)
        scale.reals[r] = scales[i][(step - 1) * rows + r];
      compiled.set(codeVariables[i], before);
      compiled.set(scaleVariables[i], scale);
      ASSERT_FALSE(bool(interpreter.set(codeVariables[i], before)));
      ASSERT_FALSE(bool(interpreter.set(scaleVariables[i], scale)));
    }
    NamedTensors inputs{{"step", integers("tensor<i64>", {step + 1})}};
    Tensor g(typeOf("16x256xf32")), rate(typeOf("f32")), one(typeOf("f32"));
    for (int64_t e = 0; e < elements; ++e) {
      double q = gradients[step * elements + e];
      g.set(e, std::ldexp(q * std::abs(q), -14 - static_cast<int>(e / gradientRow)));
    }
    rate.set(0, 1e-3);
    one.set(0, 1);
    inputs["g"] = g;
    inputs["learning_rate"] = rate;
    inputs["s"] = one;
    compiled.run("step", inputs, 2);
    auto outputs = interpreter.run("step", inputs);
    ASSERT_TRUE(bool(outputs)) << llvm::toString(outputs.takeError());

    for (int way : {0, 1})
      for (int i : {0, 1}) {
        Tensor ours = way ? *interpreter.find(codeVariables[i]) : compiled.get(codeVariables[i]);
        Tensor scale = way ? *interpreter.find(scaleVariables[i]) : compiled.get(scaleVariables[i]);
        for (int64_t e = 0; e < elements; ++e) {
          int theirs = format.theirs(&codes[i][step * bytes], e), own = format.ours(ours.integers, e);
          differing[way] += own != theirs;
          ASSERT_LE(std::abs(own - theirs), 1) << names[i] << " element " << e << (way ? ", interpreted" : "");
          changed += way == 0 && step > 0 && theirs != format.theirs(&codes[i][(step - 1) * bytes], e);
        }
        for (int64_t r = 0; r < rows; ++r)
          ASSERT_NEAR(scale.reals[r], scales[i][step * rows + r], 4e-7 * scales[i][step * rows + r]) << names[i];
      }
  }
  // At most one code in ten thousand, and the states moved.
  for (int64_t count : differing)
    EXPECT_LE(count, 2 * steps * elements / 10000);
  EXPECT_GT(changed, steps * elements / 4);
  RecordProperty("codes_differing", static_cast<int>(differing[0]));
  for (const Tensor &p : {compiled.get("p"), *interpreter.find("p")})
    for (int64_t e = 0; e < elements; ++e)
      ASSERT_NEAR(p.reals[e], last[e], 1e-6 + 1e-5 * std::abs(last[e])) << "element " << e;
}

/// Whatever the parameter's shape and type, and on every CPU, codes are those of the interpreted plan.
TEST_P(States, AnyShape) {
  for (const char *shape : {"16x256", "4096", "64x64", "2x2048"})
    for (const char *type : {"f32", "bf16"}) {
      SCOPED_TRACE(std::string(shape) + " " + type);
      NamedTensors inputs{{"step", integers("tensor<i64>", {3})}};
      for (const char *scale : {"ms", "vs"}) {
        Tensor value(typeOf(GetParam().scalesType()));
        for (int64_t r = 0; r < value.size(); ++r)
          value.set(r, std::ldexp(1.0, static_cast<int>(-r % 16)));
        inputs[scale] = value;
      }
      expectAsInterpreted(stepText(GetParam(), shape, type), inputs);
    }
}

} // namespace
