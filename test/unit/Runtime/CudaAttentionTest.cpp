//===- CudaAttentionTest.cpp - Attention by cuDNN, without a GPU -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step that is attention and its gradient, on the fake driver and the fake cuDNN, which computes whatever graph it is
// given. Results are compared with plain loops.
//
//===----------------------------------------------------------------------===//

#include "FakeGpu.h"

#include "ftc/Runtime/Device.h"
#include "lib/Runtime/CUDA/Documents.h"

#include <cmath>
#include <cstring>
#include <random>
#include <thread>

using namespace ftc;
using namespace ftc::test;

namespace {

float widen(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}
uint16_t narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

constexpr uint64_t batch = 2, sequence = 12, heads = 4, keyHeads = 2, columns = 16, tokens = batch * sequence;
constexpr uint64_t wide = tokens * heads * columns, slim = tokens * keyHeads * columns;
constexpr float scale = 0.3f;
constexpr uint16_t untouched = 0x4040; ///< 3: what results hold before

enum Buffer { Query, Key, Value, Starts, Output, Lse, OutputGradient, QueryGradient, KeyGradient, ValueGradient, Work };
constexpr uint64_t bytesOf[] = {wide * 2, slim * 2, slim * 2, tokens * 4, wide * 2, tokens * heads * 4,
                                wide * 2, wide * 2, slim * 2, slim * 2,   1 << 20};

uint64_t offsetOf(int buffer) {
  uint64_t offset = 0;
  for (int before = 0; before < buffer; ++before)
    offset += (bytesOf[before] + 255) / 256 * 256;
  return offset;
}

/// How often each of the two was declined.
int declined[2];
/// How long our own kernels take.
std::chrono::milliseconds slowKernel[2];

int32_t entry(const ftrt_services *services, void *const *slabs, const ftrt_scalars *) {
  const ftrt_device &device = *services->device;
  const auto at = [&](int buffer) { return reinterpret_cast<uint64_t>(slabs[0]) + offsetOf(buffer); };
  const uint64_t forward[] = {at(Query), at(Key), at(Value), at(Starts), at(Output), at(Lse), at(Work)};
  const uint64_t gradient[] = {
      at(Query),          at(Key),           at(Value),       at(Starts),        at(Output), at(Lse),
      at(OutputGradient), at(QueryGradient), at(KeyGradient), at(ValueGradient), at(Work)};
  for (uint32_t which : {0, 1}) {
    const int32_t code = device.attention(device.context, FTRT_STREAM_COMPUTE, which, which ? gradient : forward);
    if (code == FTRT_DECLINED) {
      ++declined[which];
      std::this_thread::sleep_for(slowKernel[which]);
    } else if (code)
      return FTRT_DEVICE_FAILED;
  }
  return FTRT_OK;
}

const ftrt_entry_fn entries[] = {entry};
const ftrt_attention attentions[] = {{batch, sequence, heads, keyHeads, columns, bytesOf[Work], scale, 0},
                                     {batch, sequence, heads, keyHeads, columns, bytesOf[Work], scale, 1}};

class CudaAttention : public FakeGpuTest {
protected:
  CudaAttention() {
    manifest::ManifestT made;
    made.abi_version = FTRT_ABI_VERSION;
    made.target = "cuda";
    made.architecture = "sm_90a";
    auto slab = std::make_unique<manifest::SlabT>();
    slab->name = "near";
    slab->bytes = offsetOf(Work + 1);
    slab->alignment = 256;
    made.slabs.push_back(std::move(slab));
    auto described = std::make_unique<manifest::EntryT>();
    auto starts = std::make_unique<manifest::TensorT>();
    starts->name = "segment_starts";
    starts->type = manifest::ElementType::I32;
    starts->offset = offsetOf(Starts);
    starts->bytes = bytesOf[Starts];
    described->input_tensors.push_back(std::move(starts));
    made.entries.push_back(std::move(described));
    builder.Finish(manifest::Manifest::Pack(builder, &made));
    info = manifest::GetManifest(builder.GetBufferPointer());
    step.abi_version = FTRT_ABI_VERSION;
    step.size = sizeof(step);
    step.entry_count = 1;
    step.entries = entries;
    step.attention_count = 2;
    step.attentions = attentions;
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (auto [buffer, count] : {std::pair(Query, wide), {Key, slim}, {Value, slim}, {OutputGradient, wide}})
      for (uint64_t index = 0; index < count; ++index)
        numbers[buffer].push_back(narrow(normal(random)));
  }
  ~CudaAttention() override {
    for (const char *name : {"FTRT_CUDNN", "FAKE_DNN_NONE", "FAKE_DNN_VERSION", "FAKE_DNN_REFUSE", "FTRT_CUDA_GRAPH"})
      unsetenv(name);
  }

  std::unique_ptr<Device> open(const ProductAlgorithms *kept = nullptr) {
    DeviceOptions options;
    options.algorithms = kept;
    auto device = openCudaDevice("attention.so", step, *info, options);
    declined[0] = declined[1] = 0;
    return device;
  }

  struct Results {
    std::vector<uint16_t> output, queryGradient, keyGradient, valueGradient;
    std::vector<float> lse;
    bool operator==(const Results &) const = default;
  };

  /// Writes operands and segment starts, runs, reads.
  Results run(Device &device, const std::vector<int32_t> &starts) {
    for (auto &[buffer, values] : numbers)
      device.write(0, offsetOf(buffer), values.data(), values.size() * 2);
    const std::vector<uint16_t> before(wide * 2, untouched);
    for (int buffer : {Output, Lse, QueryGradient, KeyGradient, ValueGradient})
      device.write(0, offsetOf(buffer), before.data(), bytesOf[buffer]);
    const auto *mirrored = info->entries()->Get(0)->input_tensors()->Get(0);
    std::memcpy(device.mirror(*mirrored), starts.data(), starts.size() * 4);
    device.run(0, {});
    Results results;
    const auto read = [&](int buffer, auto &to) {
      to.resize(bytesOf[buffer] / sizeof(to[0]));
      device.read(0, offsetOf(buffer), to.data(), bytesOf[buffer]);
    };
    read(Output, results.output);
    read(Lse, results.lse);
    read(QueryGradient, results.queryGradient);
    read(KeyGradient, results.keyGradient);
    read(ValueGradient, results.valueGradient);
    return results;
  }

  /// Compares with plain loops in double; tokens that are alone must be as they were.
  void expectRight(const Results &results, const std::vector<int32_t> &starts) {
    const auto get = [&](Buffer buffer, uint64_t token, uint64_t head, uint64_t column) -> double {
      const uint64_t count = buffer == Key || buffer == Value ? keyHeads : heads;
      return widen(numbers[buffer][(token * count + head) * columns + column]);
    };
    std::vector<double> keyGradient(slim), valueGradient(slim);
    std::vector<bool> alone(tokens, true);
    const auto check = [](double expected, double actual, const char *what, uint64_t index) {
      EXPECT_NEAR(actual, expected, 0.02 * std::abs(expected) + 0.02) << what << " " << index;
    };
    for (uint64_t token = 0; token < tokens; ++token) {
      const uint64_t first = token / sequence * sequence + static_cast<uint64_t>(starts[token]);
      if (first < token)
        for (uint64_t other = first; other <= token; ++other)
          alone[other] = false;
      for (uint64_t head = 0; head < heads; ++head) {
        const uint64_t keyHead = head / (heads / keyHeads);
        std::vector<double> weights;
        double sum = 0, delta = 0;
        for (uint64_t key = first; key <= token; ++key) {
          double score = 0;
          for (uint64_t column = 0; column < columns; ++column)
            score += get(Query, token, head, column) * get(Key, key, keyHead, column);
          sum += weights.emplace_back(std::exp(double(scale) * score));
        }
        const bool last = token % sequence == sequence - 1 || starts[token + 1] != starts[token];
        if (first == token && last)
          continue;
        check(std::log(sum), results.lse[token * heads + head], "lse", token);
        std::vector<double> query(columns);
        for (uint64_t column = 0; column < columns; ++column) {
          double mixed = 0;
          for (uint64_t key = first; key <= token; ++key)
            mixed += weights[key - first] / sum * get(Value, key, keyHead, column);
          const uint64_t index = (token * heads + head) * columns + column;
          check(mixed, widen(results.output[index]), "output", index);
          delta += mixed * get(OutputGradient, token, head, column);
        }
        for (uint64_t key = first; key <= token; ++key) {
          const double weight = weights[key - first] / sum;
          double product = 0;
          for (uint64_t column = 0; column < columns; ++column)
            product += get(OutputGradient, token, head, column) * get(Value, key, keyHead, column);
          const double slope = double(scale) * weight * (product - delta);
          for (uint64_t column = 0; column < columns; ++column) {
            const uint64_t at = (key * keyHeads + keyHead) * columns + column;
            query[column] += slope * get(Key, key, keyHead, column);
            keyGradient[at] += slope * get(Query, token, head, column);
            valueGradient[at] += weight * get(OutputGradient, token, head, column);
          }
        }
        for (uint64_t column = 0; column < columns; ++column) {
          const uint64_t index = (token * heads + head) * columns + column;
          check(query[column], widen(results.queryGradient[index]), "gradient of query", index);
        }
      }
    }
    uint64_t left = 0;
    for (uint64_t token = 0; token < tokens; ++token)
      for (uint64_t index = token * keyHeads * columns; index < (token + 1) * keyHeads * columns; ++index)
        if (alone[token]) {
          left += results.keyGradient[index] == untouched && results.valueGradient[index] == untouched &&
                  results.output[2 * index] == untouched && results.queryGradient[2 * index] == untouched;
        } else {
          check(keyGradient[index], widen(results.keyGradient[index]), "gradient of key", index);
          check(valueGradient[index], widen(results.valueGradient[index]), "gradient of value", index);
        }
    EXPECT_EQ(left, static_cast<uint64_t>(std::count(alone.begin(), alone.end(), true)) * keyHeads * columns)
        << "a token that is alone is the step's";
  }

  ftrt_step step{};
  flatbuffers::FlatBufferBuilder builder;
  const manifest::Manifest *info = nullptr;
  std::map<Buffer, std::vector<uint16_t>> numbers;
};

/// Rows are one document.
const std::vector<int32_t> whole(tokens, 0);

/// Documents of 5, 3 and 4 tokens; of 7, and padding of 5.
const std::vector<int32_t> several = {0, 0, 0, 0, 0, 5, 5, 5, 8, 8, 8,  8, //
                                      0, 0, 0, 0, 0, 0, 0, 7, 8, 9, 10, 11};

/// Only padding: nothing is left for cuDNN.
const std::vector<int32_t> padding = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

/// The last token sees the middle of the document before it.
const std::vector<int32_t> window = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

TEST_F(CudaAttention, IsThatOfPlainLoops) {
  auto device = open();
  for (const auto *starts : {&whole, &several, &padding, &whole}) {
    SCOPED_TRACE(starts == &whole ? "whole rows" : starts == &several ? "documents" : "padding");
    expectRight(run(*device, *starts), *starts);
  }
  EXPECT_EQ(declined[0] + declined[1], 0);
  EXPECT_NE(device->describe().find("cuDNN 9.26.0 ("), std::string::npos) << device->describe();
  const std::vector<std::string> lines = device->attentions();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "attention 0 (forward, 2 x 12 tokens, 4 heads and 2 of keys of 16 columns): eng2_k24=7 up to 2 "
                      "documents, eng2_k24=7 up to 12 documents, then our own kernels");
  EXPECT_NE(lines[1].find("(gradient, 2 x 12 tokens"), std::string::npos) << lines[1];
  EXPECT_NE(lines[1].find("eng6_"), std::string::npos) << lines[1];
}

TEST_F(CudaAttention, RecordingsAreChosenByTheBatch) {
  auto device = open();
  calls();
  run(*device, whole);
  auto made = calls();
  EXPECT_EQ(count(made, "cuGraphLaunch"), 1u);
  EXPECT_EQ(count(made, "cudnnBackendExecute"), 0u) << "recorded, not asked for again";
  EXPECT_EQ(count(made, "run attention gradient"), 1u);
  EXPECT_EQ(count(made, "run attention"), 2u);
  run(*device, window);
  made = calls();
  EXPECT_EQ(count(made, "cuGraphLaunch"), 1u);
  EXPECT_EQ(count(made, "run attention"), 0u) << "segments that are no documents are our own kernels'";
  EXPECT_EQ(declined[0] + declined[1], 0) << "recorded, too";
  expectRight(run(*device, several), several);
}

TEST_F(CudaAttention, HasTheSameBitsWithoutGraphs) {
  const Results recorded = run(*open(), several);
  Variable oneByOne("FTRT_CUDA_GRAPH", "0");
  auto device = open();
  EXPECT_TRUE(run(*device, several) == recorded);
  EXPECT_EQ(declined[0], 0);
  run(*device, window);
  EXPECT_EQ(declined[0], 1);
  EXPECT_EQ(declined[1], 1);
}

TEST_F(CudaAttention, IsDeclinedWhereItCannotBe) {
  const auto expectOwn = [&](const char *name, const char *value, int forward, const char *why) {
    Variable variable(name, value);
    auto device = open();
    SCOPED_TRACE(std::string(name) + "=" + value);
    Variable oneByOne("FTRT_CUDA_GRAPH", "0");
    auto here = open();
    run(*here, several);
    EXPECT_EQ(declined[0], forward);
    EXPECT_EQ(declined[1], 1);
    EXPECT_NE(here->attentions()[1].find(why), std::string::npos) << here->attentions()[1];
    EXPECT_NE(here->attentions()[1].find("our own kernels, since "), std::string::npos);
  };
  expectOwn("FTRT_CUDNN", "0", 1, "FTRT_CUDNN=0");
  expectOwn("FAKE_DNN_NONE", "1", 1, "cannot start: CUDNN_STATUS_NOT_INITIALIZED");
  expectOwn("FAKE_DNN_VERSION", "91800", 1, "cuDNN 9.18 is older than 9.19");
  expectOwn("FAKE_DNN_VERSION", "91900", 1, "cuDNN 9.19 has no gradient in a fixed order on Hopper");
  expectOwn("FAKE_DNN_REFUSE", "gradient", 0, "eng6_k40=2_k41=1_k24=2_k38=0_k27=0_k14=4: CUDNN_STATUS_NOT_SUPPORTED");
}

// A list has documents without tokens where a batch has fewer than the plan is for.
TEST_F(CudaAttention, OlderVersionsAreNotAskedAboutEmptyDocuments) {
  Variable old("FAKE_DNN_VERSION", "91900");
  auto here = open();
  EXPECT_EQ(here->algorithms().attentions[0].plans.size(), 1u);
  EXPECT_NE(here->attentions()[0].find("of " + std::to_string(batch) + " documents, then our own"), std::string::npos)
      << here->attentions()[0];
  run(*here, whole);
  EXPECT_EQ(declined[0], 0);
  Variable oneByOne("FTRT_CUDA_GRAPH", "0");
  run(*open(), several);
  EXPECT_EQ(declined[0], 1);
}

TEST_F(CudaAttention, IsRefusedWhereItWasAskedFor) {
  Variable wish("FTRT_CUDNN", "1");
  EXPECT_NO_THROW(open());
  Variable old("FAKE_DNN_VERSION", "91900");
  expectRefusal(ExitCode::Unsupported,
                {"attention.so: attention 1 (gradient, ", "FTRT_CUDNN=1 asks for cuDNN", "cuDNN 9.19 has no gradient"},
                [&] { open(); });
  Variable none("FAKE_DNN_NONE", "1");
  expectRefusal(ExitCode::Unsupported, {"attention 0 (forward, ", "cannot start"}, [&] { open(); });
}

TEST_F(CudaAttention, TakesThePlansThatWereKept) {
  ProductAlgorithms kept = open()->algorithms();
  EXPECT_EQ(kept.attentionLibrary, "cuDNN 9.26.0");
  EXPECT_EQ(kept.device, "Fake GPU (sm_90)");
  ASSERT_EQ(kept.attentions.size(), 2u);
  EXPECT_EQ(kept.attentions[0].plans, (std::vector<std::string>{"eng2_k24=7", "eng2_k24=7"}));
  calls();
  kept.attentions[0].plans[1] = "eng2_k24=5";
  kept.attentions[1].plans.clear();
  auto device = open(&kept);
  EXPECT_EQ(device->algorithms().attentions[0].plans, kept.attentions[0].plans);
  EXPECT_TRUE(device->algorithms().attentions[1].plans.empty());
  EXPECT_NE(device->attentions()[1].find("so it was chosen before"), std::string::npos);
  expectRefusal(ExitCode::BadStep,
                {"attention 0", "plan eng9_k24=7, which was kept for it, is none that cuDNN 9.26.0 has here"}, [&] {
                  kept.attentions[0].plans[0] = "eng9_k24=7";
                  open(&kept);
                });
  expectRefusal(ExitCode::BadStep, {"plan no plan, which was kept"}, [&] {
    kept.attentions[0].plans[0] = "no plan";
    open(&kept);
  });
  // Those of another version are not.
  Variable newer("FAKE_DNN_VERSION", "92700");
  EXPECT_EQ(open(&kept)->algorithms().attentionLibrary, "cuDNN 9.27.0");
}

TEST_F(CudaAttention, IsLeftToOurOwnKernelsWhereTheseAreFaster) {
  slowKernel[0] = std::chrono::milliseconds(100);
  DeviceOptions options;
  options.tune = true;
  auto device = openCudaDevice("attention.so", step, *info, options);
  slowKernel[0] = {};
  const ProductAlgorithms tuned = device->algorithms();
  EXPECT_EQ(tuned.attentions[0].plans.size(), 2u);
  EXPECT_TRUE(tuned.attentions[1].plans.empty());
  EXPECT_NE(device->attentions()[1].find("our own kernels, since they are faster: with them an entry takes "),
            std::string::npos)
      << device->attentions()[1];
  calls();
  run(*device, whole);
  EXPECT_EQ(count(calls(), "run attention"), 1u);
  auto again = open(&tuned);
  EXPECT_TRUE(again->algorithms().attentions[1].plans.empty());
}

TEST_F(CudaAttention, TellsWhatFails) {
  Variable oneByOne("FTRT_CUDA_GRAPH", "0");
  auto device = open();
  Variable failure("FAKE_CUDA_FAIL", "cudnnBackendExecute=1");
  expectRefusal(ExitCode::StepFailed,
                {"entry 'step' failed on Fake GPU: attention 0 (forward, ",
                 "CUDNN_STATUS_EXECUTION_FAILED; FTRT_CUDNN=0 leaves attention to "},
                [&] { run(*device, whole); });
}

TEST(Documents, AreFoundInSegmentStarts) {
  std::vector<cuda::Document> found;
  ASSERT_TRUE(cuda::findDocuments(several.data(), batch, sequence, found));
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[2].first, 8);
  EXPECT_EQ(found[2].length, 4);
  EXPECT_EQ(found[3].first, 12);
  EXPECT_EQ(found[3].length, 7);
  ASSERT_TRUE(cuda::findDocuments(padding.data(), batch, sequence, found));
  EXPECT_TRUE(found.empty());
  EXPECT_FALSE(cuda::findDocuments(window.data(), batch, sequence, found));
}

} // namespace
