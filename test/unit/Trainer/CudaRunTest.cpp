//===- CudaRunTest.cpp - ftrun with a step for a GPU, on the fake driver ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FtrunHarness.h"

#include "ftc/Runtime/RunError.h"

#include <dlfcn.h>

using namespace ftc;
using namespace ftc::test;

namespace {

class CudaRun : public FtrunTest {
protected:
  void SetUp() override {
    FtrunTest::SetUp();
    setenv("FTRT_CUDA_LIBS", FTC_BINARY_DIR "/test/support/cuda", 1);
  }
  void TearDown() override {
    for (const char *name :
         {"FTRT_CUDA_LIBS", "FTRT_CUDA_GRAPH", "FAKE_CUDA_FAULT", "FAKE_CUDA_FAIL", "FAKE_CUDA_MEMORY"})
      unsetenv(name);
    FtrunTest::TearDown();
  }

  int train(const std::string &step, const std::string &out, std::vector<std::string> more,
            const std::string &preload = "") {
    std::vector<std::string> arguments{fakeStep(step), "--data", tokenFile(40 * BatchTokens), "--out", at(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments, preload);
  }
  void expectSaid(const std::string &part) { EXPECT_NE(said.find(part), std::string::npos) << said; }
};

TEST_F(CudaRun, TrainsResumesAndSamplesToTheBitsOfTheHost) {
  const std::vector<std::string> twenty{"--steps", "20", "--held-out", "0.1"};
  ASSERT_EQ(train("good", "host", twenty), 0) << said;
  const size_t heldOut = said.find("held-out loss");
  const std::string judged = said.substr(said.find("held-out loss", heldOut + 1), 40);
  ASSERT_EQ(train("cuda", "gpu", twenty), 0) << said;
  expectSaid(judged.substr(0, judged.find('\n')));
  expectSaid("Fake GPU (sm_90), driver 13.0, cuBLASLt 13.1.0");
  expectSaid("planned 1.19 MiB (1244928 bytes), taken 1244928 bytes of the device");
  expectSaid("slabs                 2097152 bytes of its free memory");
  expectSaid("first run                   0 bytes of its free memory");
  expectSaid("GB/s, read and written (608 KiB at once)");
  expectSaid("bytes of the device's free memory are gone, 0 of them since the first");
  expectSaid("TFLOP/s (320 x 320 by 320 x 320, fp32 by fp32 to fp32)"); // what fits into the slab
  expectEqual(at("host/step_20"), at("gpu/step_20"));
  for (const auto &line : metrics(at("gpu"))) {
    EXPECT_EQ(line["planned_bytes"], 1244928);
    EXPECT_EQ(line["peak_bytes"], 1244928);
    EXPECT_GT(line["share_of_peak"].get<double>(), 0);
  }

  ASSERT_EQ(train("cuda", "resumed", {"--steps", "9", "--held-out", "0.1"}), 0) << said;
  ASSERT_EQ(train("cuda", "resumed", {"--steps", "20", "--held-out", "0.1", "resume_from_checkpoint=True"}), 0) << said;
  expectEqual(at("host/step_20"), at("resumed/step_20"));
  ASSERT_EQ(train("cuda_far", "far", {"--steps", "9", "--held-out", "0.1"}), 0) << said;
  expectSaid("planned 800 KiB (819200 bytes) of the far tier, in pinned memory");
  ASSERT_EQ(train("cuda_far", "far", {"--steps", "20", "--held-out", "0.1", "resume_from_checkpoint=True"}), 0) << said;
  expectEqual(at("host/step_20"), at("far/step_20"));

  // Weights of a checkpoint begin another run, on either.
  const std::string weights = "checkpointer.checkpoint_dir=" + at("host/step_20");
  ASSERT_EQ(train("good", "host2", {"--steps", "3", weights}), 0) << said;
  ASSERT_EQ(train("cuda", "gpu2", {"--steps", "3", weights}), 0) << said;
  expectEqual(at("host2/step_3"), at("gpu2/step_3"));
}

TEST_F(CudaRun, AllocatesNothingBetweenTheFirstAndTheLastStep) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "the sanitizer has its own malloc";
#endif
#endif
  EXPECT_EQ(train("cuda", "out",
                  {"--steps", "50", "save_every_n_steps=10", "--held-out", "0.1", "run_val_every_n_steps=20"},
                  FTC_BINARY_DIR "/test/support/libno-alloc.so"),
            0)
      << said;
  expectSaid("the gate was closed and nothing was allocated");
  expectSaid("step 40/50  held-out loss");
}

TEST_F(CudaRun, ProvesThePlan) {
  ASSERT_EQ(train("cuda_far", "out", {"--steps", "2", "--prove-plan"}), 0) << said;
  for (const char *slab : {"slab 'arena': planned ", "slab 'states': planned "}) {
    const size_t planned = said.find(slab);
    ASSERT_NE(planned, std::string::npos) << said;
    const size_t written = said.find("highest byte written ", planned);
    EXPECT_GT(std::stoull(said.substr(written + 21)), 0u);
    EXPECT_LE(std::stoull(said.substr(written + 21)), std::stoull(said.substr(planned + strlen(slab))));
  }
}

/// A kernel that fails in the middle of a run: the checkpoint before it is whole, and a run without graphs tells which
/// kernel it was.
TEST_F(CudaRun, TellsOfAKernelThatFails) {
  setenv("FAKE_CUDA_FAULT", "bigram_train@6", 1); // once when it is opened, then step 5
  const std::vector<std::string> arguments{"--steps", "20", "save_every_n_steps=3"};
  EXPECT_EQ(train("cuda", "out", arguments), static_cast<int>(ExitCode::StepFailed));
  expectSaid("entry 'step' failed on Fake GPU: CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered); "
             "which kernel it was, FTRT_CUDA_GRAPH=0 tells");
  expectSaid("resume_from_checkpoint");
  setenv("FTRT_CUDA_GRAPH", "0", 1);
  EXPECT_EQ(train("cuda", "out", arguments), static_cast<int>(ExitCode::StepFailed));
  expectSaid("entry 'step' failed on Fake GPU: kernel 'bigram_train': CUDA_ERROR_ILLEGAL_ADDRESS");
  unsetenv("FAKE_CUDA_FAULT");
  EXPECT_EQ(train("cuda", "out", {"--steps", "20", "resume_from_checkpoint=True"}), 0) << said;
  ASSERT_EQ(train("good", "host", {"--steps", "20"}), 0) << said;
  expectEqual(at("host/step_20"), at("out/step_20"));
}

/// A device that fails while a checkpoint is read from it: nothing half-written is left under the checkpoint's name.
TEST_F(CudaRun, AFailureWhileSavingLeavesNoCheckpoint) {
  setenv("FAKE_CUDA_FAIL", "cuEventSynchronize=700", 1);
  EXPECT_EQ(train("cuda", "out", {"--steps", "3"}), static_cast<int>(ExitCode::StepFailed));
  expectSaid("cannot copy from the device (Fake GPU): CUDA_ERROR_ILLEGAL_ADDRESS");
  for (const auto &entry : fs::directory_iterator(at("out")))
    EXPECT_EQ(entry.path().filename(), "metrics.jsonl");
}

TEST_F(CudaRun, RefusesAMachineWithoutADriver) {
  if (dlopen("libcuda.so.1", RTLD_NOW))
    GTEST_SKIP() << "this machine has NVIDIA's driver";
  setenv("FTRT_CUDA_LIBS", folder.c_str(), 1);
  EXPECT_EQ(train("cuda", "out", {"--steps", "3"}), static_cast<int>(ExitCode::NoDevice));
  expectSaid("there is no driver here: libcuda.so.1 was looked for in " + folder.string() +
             ", the loader's path; install NVIDIA's driver, or recompile without '--target cuda'");
  textFile("no library", "libcuda.so.1");
  EXPECT_EQ(train("cuda", "out", {"--steps", "3"}), static_cast<int>(ExitCode::NoDevice));
  expectSaid("found, but: " + at("libcuda.so.1"));
  EXPECT_EQ(run({fakeStep("cuda"), "--info"}), 0) << said; // which needs none
  expectSaid("target      cuda, h100 (sm_90a)");
  expectSaid("code        6 kernels in 1 modules");
}

/// The libraries are looked for one by one.
TEST_F(CudaRun, RefusesAMachineWithoutCublasLt) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "a cuBLASLt that cannot start leaks";
#endif
#endif
  fs::create_symlink(FTC_BINARY_DIR "/test/support/cuda/libcuda.so.1", folder / "libcuda.so.1");
  textFile("no library", "libcublasLt.so.13");
  setenv("FTRT_CUDA_LIBS", folder.c_str(), 1);
  // Either there is none, or the toolkit's, which cannot start on the fake driver.
  const int code = train("cuda", "out", {"--steps", "3"});
  EXPECT_TRUE(code == static_cast<int>(ExitCode::NoDevice) || code == static_cast<int>(ExitCode::Unsupported)) << code;
  expectSaid("cuBLASLt");
  expectSaid("FTRT_CUDA_LIBS");
}

TEST_F(CudaRun, AProgramInCTrainsAStep) {
  const std::string text = textFile("hello hello hello ");
  std::string output[2];
  for (const char *step : {"good", "cuda"}) {
    Process embed(FTC_BINARY_DIR "/bin/embed", {fakeStep(step), text, "40", "0.05"}, folder / "output");
    ASSERT_EQ(embed.wait(), 0) << readText(folder / "output");
    said = readText(folder / "output");
    output[step == std::string("cuda")] = said.substr(said.find("step 1 loss"));
  }
  EXPECT_EQ(output[0], output[1]);
}

} // namespace
