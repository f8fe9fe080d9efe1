//===- ScheduleTest.cpp - Learning rates and the metrics file --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/Schedule.h"
#include "ftc/Trainer/Metrics.h"

#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

using namespace ftc;

namespace {

std::string read(const std::string &path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Values of torchtune 0.6.1's get_cosine_schedule_with_warmup(num_warmup_steps=3, num_training_steps=10), steps 0 to 9.
TEST(Schedule, CosineWithWarmupIsTorchtunes) {
  SchedulerConfig scheduler{.kind = SchedulerConfig::Kind::CosineWithWarmup, .numWarmupSteps = 3, .numCycles = 0.5};
  const double expected[] = {0.0,
                             0.3333333333333333,
                             0.6666666666666666,
                             1.0,
                             0.9504844339512095,
                             0.8117449009293668,
                             0.6112604669781572,
                             0.38873953302184283,
                             0.1882550990706332,
                             0.04951556604879043};
  for (uint64_t step = 1; step <= 10; ++step)
    EXPECT_NEAR(learningRate(scheduler, 2.0, step, 10), 2.0 * expected[step - 1], 1e-15) << step;
}

TEST(Schedule, ConstantIsConstantAndCosineStaysAboveZero) {
  SchedulerConfig constant;
  EXPECT_EQ(learningRate(constant, 3e-4, 1, 10), 3e-4);
  EXPECT_EQ(learningRate(constant, 3e-4, 10, 10), 3e-4);
  SchedulerConfig waves{.kind = SchedulerConfig::Kind::CosineWithWarmup, .numWarmupSteps = 0, .numCycles = 1.5};
  for (uint64_t step = 1; step <= 30; ++step)
    EXPECT_GE(learningRate(waves, 1.0, step, 20), 0.0);
  // A run of no more steps than its warm-up divides by 1, not by 0.
  SchedulerConfig all{.kind = SchedulerConfig::Kind::CosineWithWarmup, .numWarmupSteps = 5};
  EXPECT_DOUBLE_EQ(learningRate(all, 1.0, 5, 5), 0.8);
}

TEST(MetricsLog, WritesOneObjectALine) {
  const std::string path = testing::TempDir() + "metrics-write.jsonl";
  {
    MetricsLog log(path, 0);
    StepMetrics metrics;
    metrics.step = 1;
    metrics.loss = 2.5f;
    metrics.learningRate = 3e-4f;
    metrics.tokens = 30;
    metrics.tokensPerSecond = 100;
    metrics.plannedBytes = metrics.takenBytes = 4096;
    metrics.residentBytes = 5000;
    log.add(metrics);
    metrics.step = 2;
    metrics.loss = NAN;
    metrics.gradNorm = 1.5f;
    metrics.shareOfPeak = 0.5;
    log.add(metrics);
    log.sync();
  }
  EXPECT_EQ(read(path),
            R"({"step":1,"loss":2.5,"lr":3e-04,"grad_norm":null,"tokens":30,"tokens_per_second":100,)"
            R"("planned_bytes":4096,"peak_bytes":4096,"far_bytes":0,"resident_bytes":5000,"share_of_peak":null,)"
            R"("skipped_batches":0})"
            "\n"
            R"({"step":2,"loss":null,"lr":3e-04,"grad_norm":1.5,"tokens":30,"tokens_per_second":100,)"
            R"("planned_bytes":4096,"peak_bytes":4096,"far_bytes":0,"resident_bytes":5000,"share_of_peak":0.5,)"
            R"("skipped_batches":0})"
            "\n");
}

TEST(MetricsLog, GoesOnWhereTheCheckpointWas) {
  const std::string path = testing::TempDir() + "metrics-resume.jsonl";
  const std::string lines = "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n";
  auto resume = [&](const std::string &before, uint64_t lastStep) {
    std::ofstream(path) << before;
    {
      MetricsLog log(path, lastStep);
    }
    return read(path);
  };
  EXPECT_EQ(resume(lines, 2), lines);
  EXPECT_EQ(resume(lines + "{\"step\":3,\"loss\":1}\n{\"step\":4,\"lo", 2), lines);
  EXPECT_EQ(resume(lines + "{\"step\":3,\"lo", 3), lines);
  EXPECT_EQ(resume(lines, 0), "");
}

} // namespace
