//===- CudaStepTest.cpp - A step for a GPU, without one --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FakeGpu.h"

#include "ftc/Runtime/Session.h"
#include "ftrt/host.h"

#include <algorithm>
#include <cstring>

using namespace ftc;
using namespace ftc::test;

namespace {

std::string fake(const std::string &name) { return FTC_BINARY_DIR "/test/support/fake_" + name + ".so"; }

std::unique_ptr<Session> open(const std::string &name, SessionOptions options = {.threads = 1}) {
  return std::make_unique<Session>(std::make_unique<LoadedStep>(fake(name)), options);
}

std::vector<std::byte> bytesOf(const Session &session, const char *name) {
  const auto *tensor = session.findTensor(name);
  std::vector<std::byte> bytes(tensor->bytes());
  session.read(*tensor, 0, bytes.data(), bytes.size());
  return bytes;
}

/// Everything that ten steps, an evaluation and a row of logits leave.
struct Trace {
  std::vector<float> losses, logits;
  float lossSum = 0;
  int32_t valid = 0;
  std::vector<std::byte> weight, mean, square;
  bool operator==(const Trace &) const = default;
};

void writeBatch(Session &session, int entry) {
  for (const char *name : {"tokens", "labels", "positions", "segment_starts"})
    if (const auto *tensor = session.findInput(entry, name)) {
      auto *values = reinterpret_cast<int32_t *>(session.data(*tensor));
      for (int32_t at = 0; at < static_cast<int32_t>(tensor->bytes() / 4); ++at)
        values[at] = std::string(name) == "labels" ? (at % 64 == 63 ? -100 : (at + 1) * 7 % 50) : at * 7 % 50;
    }
}

template <typename T> T output(const Session &session, int entry, const char *name) {
  return *reinterpret_cast<const T *>(session.data(*session.findOutput(entry, name)));
}

Trace train(Session &session) {
  Trace trace;
  session.initialize(1);
  for (uint64_t step = 1; step <= 10; ++step) {
    writeBatch(session, 0);
    ftrt_scalars scalars{};
    scalars.learning_rate = 0.1f / static_cast<float>(step);
    scalars.inv_tokens = 1.0f / 126;
    scalars.step = step;
    session.run(0, scalars);
    trace.losses.push_back(output<float>(session, 0, "loss"));
  }
  writeBatch(session, 1);
  session.run(1, {});
  trace.lossSum = output<float>(session, 1, "loss_sum");
  trace.valid = output<int32_t>(session, 1, "valid_tokens");
  writeBatch(session, 2);
  ftrt_scalars scalars{};
  scalars.position = 13;
  session.run(2, scalars);
  const auto *logits = reinterpret_cast<const float *>(session.data(*session.findOutput(2, "logits")));
  trace.logits.assign(logits, logits + 320);
  trace.weight = bytesOf(session, "model.embed_tokens.weight");
  trace.mean = bytesOf(session, "model.embed_tokens.weight.exp_avg");
  trace.square = bytesOf(session, "model.embed_tokens.weight.exp_avg_sq");
  return trace;
}

Trace onTheHost() { return train(*open("good")); }

class CudaStep : public FakeGpuTest {};

TEST_F(CudaStep, TrainsToTheBitsOfTheHost) {
  const Trace host = onTheHost();
  EXPECT_LT(host.losses.back(), 0.95f * host.losses.front());
  EXPECT_TRUE(train(*open("cuda")) == host);
  EXPECT_TRUE(train(*open("cuda", {.threads = 3, .fillPattern = true})) == host);
  Variable oneByOne("FTRT_CUDA_GRAPH", "0");
  EXPECT_TRUE(train(*open("cuda")) == host);
}

TEST_F(CudaStep, MakesEverythingBeforeTheFirstStepAndReplays) {
  calls();
  auto session = open("cuda");
  const auto opening = calls();
  // Code, then slabs, then pinned memory; each entry runs once by itself and is then recorded.
  const auto first = [&](const char *start) {
    return std::find_if(opening.begin(), opening.end(), [&](const auto &line) { return line.starts_with(start); });
  };
  EXPECT_LT(first("cuModuleLoadDataEx"), first("cuMemAlloc"));
  EXPECT_LT(first("cuMemAlloc"), first("cuMemHostAlloc"));
  EXPECT_LT(first("run bigram_train"), first("cuStreamBeginCapture"));
  EXPECT_EQ(count(opening, "cuMemAlloc"), 1u);
  EXPECT_EQ(count(opening, "cuMemHostAlloc"), 1u);
  EXPECT_EQ(count(opening, "cuFuncLoad"), 6u);
  EXPECT_EQ(count(opening, "cuFuncSetAttribute bigram_train 8 65536"), 1u);
  EXPECT_EQ(count(opening, "run bigram_train"), 1u);
  EXPECT_EQ(count(opening, "cuStreamBeginCapture"), 3u);
  // Four inputs, three scalars, two kernels, one output.
  EXPECT_EQ(count(opening, "cuStreamEndCapture 10 works"), 1u);
  EXPECT_EQ(count(opening, "cuGraphUpload"), 3u);

  session->initialize(1);
  calls();
  for (uint64_t step = 1; step <= 3; ++step) {
    writeBatch(*session, 0);
    ftrt_scalars scalars{};
    scalars.step = step;
    session->run(0, scalars);
  }
  const std::vector<std::string> one{"cuGraphLaunch", "run bigram_train", "run bigram_loss"};
  std::vector<std::string> three;
  for (int step = 0; step < 3; ++step)
    three.insert(three.end(), one.begin(), one.end());
  EXPECT_EQ(calls(), three);
}

TEST_F(CudaStep, ReadsScalarsAndInputsAnewInEachReplay) {
  auto session = open("cuda");
  session->initialize(1);
  const auto before = bytesOf(*session, "model.embed_tokens.weight");
  ftrt_scalars scalars{};
  scalars.inv_tokens = 1.0f / 126;
  scalars.step = 1;
  writeBatch(*session, 0);
  session->run(0, scalars);
  const float loss = output<float>(*session, 0, "loss");
  EXPECT_EQ(bytesOf(*session, "model.embed_tokens.weight"), before); // a learning rate of 0
  scalars.learning_rate = 0.1f;
  scalars.inv_tokens = 0.5f / 126;
  session->run(0, scalars);
  EXPECT_NE(bytesOf(*session, "model.embed_tokens.weight"), before);
  EXPECT_EQ(output<float>(*session, 0, "loss"), 0.5f * loss);
  auto *labels = reinterpret_cast<int32_t *>(session->data(*session->findInput(0, "labels")));
  std::fill_n(labels, 128, -100);
  session->run(0, scalars);
  EXPECT_EQ(output<float>(*session, 0, "loss"), 0.0f);
}

TEST_F(CudaStep, TakesThePlanAndTellsTheRest) {
  auto session = open("cuda");
  const Device &device = *session->device();
  EXPECT_EQ(session->bytesTaken(), session->step().plannedBytes());
  EXPECT_EQ(session->memory().bytesTaken(), 0u);
  EXPECT_EQ(device.farBytes(), 0u);
  EXPECT_EQ(device.describe(),
            "Fake GPU (sm_90), driver 13.0, cuBLASLt 13.1.0 (" FTC_BINARY_DIR "/test/support/cuda/libcublasLt.so.13)");
  constexpr uint64_t page = 2 << 20;
  const uint64_t slabs = (session->step().plannedBytes() + page - 1) / page * page;
  const std::vector<std::pair<std::string, uint64_t>> expected{
      {"modules", page}, {"slabs", slabs}, {"cuBLASLt", 16 << 20}, {"first run", 0}, {"graphs", 3 * page}};
  ASSERT_EQ(device.measured().size(), expected.size());
  for (size_t index = 0; index < expected.size(); ++index) {
    EXPECT_EQ(device.measured()[index].what, expected[index].first);
    EXPECT_EQ(device.measured()[index].bytes, expected[index].second) << expected[index].first;
  }
  // Running takes nothing more.
  const uint64_t before = session->device()->freeBytes();
  train(*session);
  EXPECT_EQ(session->device()->freeBytes(), before);
}

TEST_F(CudaStep, KeepsStatesInTheFarTier) {
  const Trace host = onTheHost();
  calls();
  auto session = open("cuda_far");
  // Copies run on their own streams: in before the kernel, out behind it. Once to begin with, once recorded.
  const auto lines = calls();
  EXPECT_EQ(count(lines, "cuMemcpyHtoDAsync 409600 stream 1"), 4u);
  EXPECT_EQ(count(lines, "cuMemcpyDtoHAsync 409600 stream 2"), 4u);
  EXPECT_EQ(session->farBytesTaken(), session->step().plannedFarBytes());
  EXPECT_GT(session->farBytesTaken(), 0u);
  EXPECT_TRUE(train(*session) == host);
  session.reset();
  Variable oneByOne("FTRT_CUDA_GRAPH", "0");
  EXPECT_TRUE(train(*open("cuda_far")) == host);
}

/// A step that forgets to wait for its copies: what the fake driver is strict for.
TEST_F(CudaStep, AMissingEventIsSeen) {
  expectRefusal(ExitCode::StepFailed, {"entry 0 cannot be recorded", "STREAM_CAPTURE_UNJOINED"},
                [] { open("cuda_race"); });
  Variable oneByOne("FTRT_CUDA_GRAPH", "0");
  EXPECT_FALSE(train(*open("cuda_race")) == onTheHost());
}

TEST_F(CudaStep, FillsWeightsInFourBits) {
  auto host = open("nf4"), device = open("cuda_nf4");
  host->initialize(5);
  device->initialize(5);
  for (const char *suffix : {"", ".absmax", ".nested_absmax", ".offset"}) {
    const std::string name = std::string("model.layers.0.self_attn.q_proj.weight") + suffix;
    EXPECT_EQ(bytesOf(*host, name.c_str()), bytesOf(*device, name.c_str())) << name;
  }
  const auto codes = bytesOf(*device, "model.layers.0.self_attn.q_proj.weight");
  EXPECT_NE(codes.front(), codes.back());
  const auto &weight = *device->findTensor("model.layers.0.self_attn.q_proj.weight");
  std::vector<std::byte> room;
  const Nf4Arrays arrays = device->arraysOf(weight, room);
  device->readArrays(weight, arrays);
  EXPECT_EQ(std::memcmp(arrays.codes, codes.data(), codes.size()), 0);
  arrays.codes[0] ^= 0xff;
  device->writeArrays(weight, arrays);
  EXPECT_NE(bytesOf(*device, "model.layers.0.self_attn.q_proj.weight"), codes);
}

TEST_F(CudaStep, HighestByteWrittenLiesInThePlan) {
  auto session = open("cuda", {.threads = 1, .fillPattern = true});
  session->initialize(1);
  const uint64_t afterFilling = session->highestWritten(0);
  writeBatch(*session, 2);
  session->run(2, {});
  EXPECT_GT(session->highestWritten(0), afterFilling);
  EXPECT_LE(session->highestWritten(0), session->step().plannedBytes());
}

TEST_F(CudaStep, RefusesByName) {
  const auto step = [](const char *name) { return [name] { open(name); }; };
  {
    Variable none("FAKE_CUDA_DEVICES", "0");
    expectRefusal(ExitCode::NoDevice, {"no GPU is there", "CUDA_VISIBLE_DEVICES"}, step("cuda"));
  }
  {
    Variable old("FAKE_CUDA_ARCH", "80");
    expectRefusal(ExitCode::NoDevice,
                  {"compiled for sm_90a (h100)", "this GPU is sm_80 (Fake GPU)", "recompile with '--device a100'"},
                  step("cuda"));
  }
  {
    Variable small("FAKE_CUDA_MEMORY", "1000000");
    expectRefusal(ExitCode::NoMemory, {"the plan takes 1.19 MiB (1244928 bytes)", "Fake GPU has", "too little"},
                  step("cuda"));
  }
  const auto failing = [&](const char *what, ExitCode code, const std::vector<std::string> &parts) {
    Variable failure("FAKE_CUDA_FAIL", what);
    expectRefusal(code, parts, step("cuda"));
  };
  failing("cuInit=100", ExitCode::NoDevice, {"no GPU is there"});
  failing("cuInit=34", ExitCode::NoDevice, {"CUDA_ERROR_STUB_LIBRARY", "nvidia-smi"});
  failing("cuDevicePrimaryCtxRetain=201", ExitCode::NoDevice, {"cannot open the GPU", "another program"});
  failing("cuMemAlloc_v2=2", ExitCode::NoMemory, {"slab 'arena': Fake GPU refuses 1.19 MiB", "batch_size"});
  failing("cuMemHostAlloc=2", ExitCode::NoMemory, {"pinned host memory for the batch", "OUT_OF_MEMORY"});
  failing("cuFuncSetAttribute=1", ExitCode::Unsupported, {"kernel 'bigram_train' needs 65536 bytes of shared memory"});
  failing("cuLaunchKernel=1@2", ExitCode::StepFailed, {"kernel 'bigram_loss': CUDA_ERROR_INVALID_VALUE", "first run"});
  failing("cuGraphInstantiateWithFlags=900", ExitCode::StepFailed, {"FTRT_CUDA_GRAPH=0 runs without"});
  failing("cublasLtCreate=1", ExitCode::Unsupported, {"libcublasLt.so.13", "CUBLAS_STATUS_NOT_INITIALIZED"});
  failing(
      "cublasLtMatmul=13", ExitCode::StepFailed,
      {"product 0 (1 x 320 by 320 x 320, fp32 by fp32 to fp32): CUBLAS_STATUS_EXECUTION_FAILED", "cannot run here"});
  {
    Variable none("FAKE_LT_NONE", "1");
    expectRefusal(ExitCode::Unsupported, {"product 0", "no algorithm within 0 bytes of workspace"}, step("cuda"));
  }
  expectRefusal(ExitCode::Unsupported,
                {"does not take the step's code for sm_90a", "NO_BINARY_FOR_GPU", "at least as new"},
                step("cuda_code"));
  expectRefusal(ExitCode::BadStep, {"has no kernel 'no_such_kernel'", "recompile"}, step("cuda_kernel"));
  expectRefusal(ExitCode::BadStep, {"damaged", "entry 0", "it uploads 4 bytes"}, step("cuda_outside"));
  open("cuda"); // and nothing of all that is left behind
}

TEST_F(CudaStep, RunsFromC) {
  ftrt_host *host = ftrt_host_open(fake("cuda").c_str(), 1);
  ASSERT_NE(host, nullptr) << ftrt_host_error();
  EXPECT_EQ(ftrt_host_planned_bytes(host), ftrt_host_taken_bytes(host));
  EXPECT_EQ(ftrt_host_init(host, 1), 0);
  ftrt_tensor tensor;
  EXPECT_EQ(ftrt_host_tensor(host, "model.norm.weight", &tensor), 0);
  EXPECT_EQ(tensor.data, nullptr);
  float values[3] = {};
  EXPECT_EQ(ftrt_host_read(host, "model.norm.weight", 4, values, 8), 0);
  EXPECT_EQ(values[0], 1.0f);
  values[0] = 7;
  EXPECT_EQ(ftrt_host_write(host, "model.norm.weight", 8, values, 4), 0);
  EXPECT_EQ(ftrt_host_read(host, "model.norm.weight", 4, values, 12), 0);
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], 7.0f);
  EXPECT_EQ(values[2], 1.0f);
  EXPECT_NE(ftrt_host_read(host, "model.norm.weight", 1276, values, 8), 0);
  EXPECT_NE(std::string(ftrt_host_error()).find("has 1280 bytes"), std::string::npos) << ftrt_host_error();
  EXPECT_NE(ftrt_host_write(host, "nothing", 0, values, 4), 0);
  EXPECT_EQ(ftrt_host_input(host, 0, "tokens", &tensor), 0);
  EXPECT_NE(tensor.data, nullptr);
  ftrt_scalars scalars{};
  scalars.step = 1;
  EXPECT_EQ(ftrt_host_run(host, 0, &scalars), 0) << ftrt_host_error();
  ftrt_host_close(host);
}

TEST(Host, ReadsAndWritesOnTheHostToo) {
  ftrt_host *host = ftrt_host_open(fake("good").c_str(), 1);
  ASSERT_NE(host, nullptr) << ftrt_host_error();
  EXPECT_EQ(ftrt_host_init(host, 1), 0);
  float value = 3, back = 0;
  EXPECT_EQ(ftrt_host_write(host, "model.norm.weight", 40, &value, 4), 0);
  EXPECT_EQ(ftrt_host_read(host, "model.norm.weight", 40, &back, 4), 0);
  EXPECT_EQ(back, 3.0f);
  ftrt_host_close(host);
}

} // namespace
