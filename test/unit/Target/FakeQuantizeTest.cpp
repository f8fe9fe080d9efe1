//===- FakeQuantizeTest.cpp - Fake quantization against torchao --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// test/oracle/goldens/fake_quantize.safetensors holds rows of many magnitudes, what torchao's fake quantizers of linear
// layers make of them in fp32 and bf16, and the gradients that autograd finds (test/oracle/torchtune_qat.py). The
// interpreter, the CPU and an emulated GPU must have all its bits.
//
//===----------------------------------------------------------------------===//

#include "EmulatedPlan.h"

#include "dialects/Train/IR/Train.h"
#include "ftc/Checkpoint/Safetensors.h"
#include "ftc/Reference/TrainInterpreter.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Parser/Parser.h"

using namespace ftc;
using namespace ftc::test;
using reference::NamedTensors;
using reference::Tensor;

namespace {

struct Case {
  std::string scheme;
  int64_t group;
  bool bf16;
};

void PrintTo(const Case &which, std::ostream *out) { *out << which.scheme << (which.bf16 ? " bf16" : " fp32"); }

std::string replaced(std::string text, const std::string &what, const std::string &by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

class FakeQuantization : public testing::TestWithParam<Case> {
protected:
  FakeQuantization()
      : file(SafetensorsFile::open(FTC_SOURCE_DIR "/test/oracle/goldens/fake_quantize.safetensors", diags)) {}

  std::string type() const { return GetParam().bf16 ? "tensor<24x64xbf16>" : "tensor<24x64xf32>"; }

  Tensor golden(const std::string &name) {
    Tensor result(mlir::cast<mlir::RankedTensorType>(mlir::parseType(type(), &context())));
    const auto *entry = file->find((GetParam().bf16 ? "bf16." : "fp32.") + name);
    std::vector<float> values(static_cast<size_t>(result.size()));
    if (!entry || !file->read(*entry, TensorType::F32, values.data(), diags))
      ADD_FAILURE() << name;
    for (int64_t i = 0; i < result.size(); ++i)
      result.set(i, values[static_cast<size_t>(i)]);
    return result;
  }

  /// An entry that returns what `options` make of x.
  std::string text(const std::string &options) const {
    return R"(
      train.entry @step kind(step) batch 1 sequence 24 inputs ["x", "step"] outputs ["y"] {
      ^bb0(%x: T, %step: tensor<i64>):
        %y = train.fake_quantize %x )" +
           options + (options.find("%step") == std::string::npos ? " : T" : " : T, tensor<i64>") + R"(
        train.return %y : T
      })";
  }

  std::vector<Diagnostic> diags;
  std::unique_ptr<SafetensorsFile> file;
};

INSTANTIATE_TEST_SUITE_P(Schemes, FakeQuantization,
                         testing::Values(Case{"int8_asymmetric", 64, false}, Case{"int8_asymmetric", 64, true},
                                         Case{"int4_symmetric", 32, false}, Case{"int4_symmetric", 32, true},
                                         Case{"int4_asymmetric", 32, false}, Case{"int4_asymmetric", 32, true}),
                         [](const auto &info) { return info.param.scheme + (info.param.bf16 ? "_bf16" : "_fp32"); });

TEST_P(FakeQuantization, HasTorchaosBits) {
  ASSERT_TRUE(file);
  const std::string group = GetParam().scheme + " group " + std::to_string(GetParam().group);
  const Tensor x = golden("x"), quantized = golden(GetParam().scheme);
  ASSERT_FALSE(quantized.isIdenticalTo(x));
  // In step 7: begun, and not yet.
  for (const auto &[options, expected] :
       {std::pair(group, quantized), std::pair(group + " after 6 of %step", quantized),
        std::pair(group + " after 7 of %step", x)}) {
    SCOPED_TRACE(options);
    const std::string body = replaced(text(options), "T", type());
    NamedTensors inputs{{"x", x}, {"step", integers("tensor<i64>", {7})}};
    auto train = mlir::parseSourceString<mlir::ModuleOp>(body, &context());
    auto plan = parsePlan(body);
    ASSERT_TRUE(train && plan);
    reference::TrainInterpreter interpreter(*train);
    auto interpreted = interpreter.run("step", inputs);
    ASSERT_TRUE(bool(interpreted)) << llvm::toString(interpreted.takeError());
    EXPECT_TRUE(interpreted->at("y").isIdenticalTo(expected)) << "interpreted";
    for (const char *cpu : {"x86-64-v3", "native"}) {
      CompiledPlan compiled(*plan, cpu);
      ASSERT_TRUE(compiled.ok());
      EXPECT_TRUE(compiled.run("step", inputs, 2)["y"].isIdenticalTo(expected)) << cpu;
    }
    EmulatedPlan emulated(*plan, "h100");
    ASSERT_TRUE(emulated.ok());
    for (bool backwards : {false, true})
      EXPECT_TRUE(emulated.run("step", inputs, backwards)["y"].isIdenticalTo(expected)) << "on a GPU";
  }
}

/// Straight through: autograd finds the gradient of the result, clamped or not, and so does the op.
TEST_P(FakeQuantization, HasTorchaosGradient) {
  ASSERT_TRUE(file);
  EXPECT_TRUE(golden(GetParam().scheme + ".gradient").isIdenticalTo(golden("d")));
  auto module = mlir::parseSourceString<mlir::ModuleOp>(
      replaced(text(GetParam().scheme + " group 32 after 6 of %step"), "T", type()), &context());
  ASSERT_TRUE(module);
  auto entry = module->lookupSymbol<train::EntryOp>("step");
  auto op = mlir::cast<train::FakeQuantizeOp>(entry.getBody().front().front());
  mlir::OpBuilder builder(entry.getBody().front().getTerminator());
  auto gradients = op.buildVjp(builder, {op.getResult()}, {true, false});
  EXPECT_EQ(gradients[0], op.getResult());
  EXPECT_FALSE(gradients[1]);
}

/// Groups of any size and number, on every CPU and on an emulated GPU, as interpreted; a NaN makes its group so.
TEST_P(FakeQuantization, AnyGroups) {
  const std::string element = GetParam().bf16 ? "xbf16>" : "xf32>";
  for (const auto &[shape, group] : {std::pair("3x2", 2), std::pair("5x96", 48), std::pair("1x640", 128),
                                     std::pair("37x70", 70), std::pair("2x2050", 1025)}) {
    SCOPED_TRACE(std::string(shape) + " by " + std::to_string(group));
    const std::string shaped = "tensor<" + std::string(shape) + element;
    const std::string body = replaced(text(GetParam().scheme + " group " + std::to_string(group)), "T", shaped);
    Tensor x = numbers(mlir::parseType(shaped, &context()), "x");
    for (bool odd : {false, true}) {
      if (odd)
        x.set(1, NAN);
      expectAsInterpreted(body, {{"x", x}});
      expectEmulatedAsInterpreted(body, {{"x", x}});
    }
  }
}

} // namespace
