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

// Learning rates of transformers 5.23.0's functions of these names, with torch.optim.SGD(lr=2e-3) and
// num_training_steps=12, at steps 1 to 12.
TEST(Schedule, TransformersSchedules) {
  struct Case {
    const char *schedule;
    double rates[12];
  };
  // clang-format off
  const Case cases[] = {
    {"get_constant_schedule",
     {0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002}},
    {"get_constant_schedule_with_warmup, num_warmup_steps: 3",
     {0.0, 0.0006666666666666666, 0.0013333333333333333, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002}},
    {"get_linear_schedule_with_warmup, num_warmup_steps: 3",
     {0.0, 0.0006666666666666666, 0.0013333333333333333, 0.002, 0.0017777777777777776, 0.0015555555555555557, 0.0013333333333333333, 0.0011111111111111111, 0.0008888888888888888, 0.0006666666666666666, 0.0004444444444444444, 0.0002222222222222222}},
    {"get_linear_schedule_with_warmup, num_warmup_steps: 0",
     {0.002, 0.0018333333333333333, 0.0016666666666666668, 0.0015, 0.0013333333333333333, 0.0011666666666666668, 0.001, 0.0008333333333333334, 0.0006666666666666666, 0.0005, 0.0003333333333333333, 0.00016666666666666666}},
    {"get_cosine_schedule_with_warmup, num_warmup_steps: 3, num_cycles: 1.25",
     {0.0, 0.0006666666666666666, 0.0013333333333333333, 0.002, 0.0016427876096865395, 0.0008263518223330699, 0.00013397459621556152, 6.030737921409146e-05, 0.0006579798566743315, 0.0014999999999999994, 0.001984807753012208, 0.0017660444431189788}},
    {"get_cosine_with_min_lr_schedule_with_warmup, num_warmup_steps: 3, min_lr_rate: 0.1",
     {0.0, 0.0006666666666666666, 0.0013333333333333333, 0.002, 0.0019457233587073174, 0.00178943999880708, 0.0015500000000000002, 0.0012562833599002374, 0.0009437166400997627, 0.0006500000000000003, 0.0004105600011929199, 0.00025427664129268253}},
    {"get_cosine_with_min_lr_schedule_with_warmup, num_warmup_steps: 2, min_lr: 0.0005",
     {0.0, 0.001, 0.002, 0.0019632923872213654, 0.0018567627457812105, 0.001690838939219355, 0.0014817627457812106, 0.00125, 0.0010182372542187896, 0.0008091610607806452, 0.0006432372542187895, 0.0005367076127786349}},
    {"get_cosine_with_hard_restarts_schedule_with_warmup, num_warmup_steps: 2, num_cycles: 3",
     {0.0, 0.001, 0.002, 0.001587785252292473, 0.0006909830056250524, 4.894348370484658e-05, 0.001809016994374947, 0.001, 0.0001909830056250529, 0.0019510565162951538, 0.0013090169943749464, 0.00041221474770752653}},
    {"get_polynomial_decay_schedule_with_warmup, num_warmup_steps: 3, lr_end: 1e-05, power: 2.0",
     {0.0, 0.0006666666666666666, 0.0013333333333333333, 0.002, 0.0015823456790123457, 0.0012138271604938272, 0.0008944444444444446, 0.0006241975308641976, 0.00040308641975308644, 0.00023111111111111116, 0.00010827160493827162, 3.456790123456793e-05}},
    {"get_polynomial_decay_schedule_with_warmup, num_warmup_steps: 0",
     {0.002, 0.0018333416666666668, 0.0016666833333333336, 0.001500025, 0.001333366666666667, 0.0011667083333333334, 0.0010000500000000002, 0.0008333916666666666, 0.0006667333333333335, 0.000500075, 0.00033341666666666665, 0.00016675833333333343}},
    {"get_wsd_schedule, num_warmup_steps: 3, num_decay_steps: 4",
     {0.0, 0.0006666666666666666, 0.0013333333333333333, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.0017071067811865474, 0.001, 0.00029289321881345256}},
    {"get_wsd_schedule, num_warmup_steps: 3, num_decay_steps: 4, num_stable_steps: 2, warmup_type: cosine, decay_type: 1-sqrt, min_lr_ratio: 0.1",
     {0.0002, 0.00065, 0.00155, 0.002, 0.002, 0.002, 0.0011, 0.0007272077938642143, 0.00044115427318801054, 0.0002, 0.0002, 0.0002}},
    {"get_wsd_schedule, num_warmup_steps: 3, num_decay_steps: 5, warmup_type: 1-sqrt, decay_type: linear, min_lr_ratio: 0.05",
     {0.0001, 0.0004486564962373205, 0.0009030344885397108, 0.002, 0.002, 0.002, 0.002, 0.002, 0.0016200000000000001, 0.00124, 0.00086, 0.0004799999999999999}},
  };
  // clang-format on
  for (const Case &each : cases) {
    std::vector<Diagnostic> diags;
    const std::string text =
        "model: {_component_: torchtune.models.llama3_2.llama3_2_1b}\ntokenizer: {max_seq_len: 8}\n"
        "optimizer: {lr: 2e-3}\nlr_scheduler: {_component_: transformers." +
        std::string(each.schedule) + "}\n";
    const std::optional<Recipe> recipe = parseRecipe(text, "r.yaml", {}, diags);
    ASSERT_TRUE(recipe) << each.schedule << diags[0].str();
    for (uint64_t step = 1; step <= 12; ++step)
      EXPECT_NEAR(learningRate(recipe->scheduler, recipe->optimizer.lr, step, 12), each.rates[step - 1], 1e-17)
          << each.schedule << ", step " << step;
    // The normalized recipe has the same schedule.
    const std::optional<Recipe> again = parseRecipe(recipe->normalizedYaml, "r.yaml", {}, diags);
    ASSERT_TRUE(again) << recipe->normalizedYaml;
    EXPECT_EQ(again->scheduler, recipe->scheduler) << each.schedule;
  }
}

TEST(MetricsLog, WritesOneObjectALine) {
  const std::string path = testing::TempDir() + "metrics-write.jsonl";
  {
    MetricsLog log(path, 0);
    StepMetrics metrics;
    metrics.step = 1;
    metrics.epoch = 1;
    metrics.seconds = 0.25;
    metrics.loss = 2.5f;
    metrics.learningRate = 3e-4f;
    metrics.tokens = 30;
    metrics.paddedTokens = 48;
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
            R"({"step":1,"epoch":1,"loss":2.5,"lr":3e-04,"grad_norm":null,"tokens":30,"padded_tokens":48,)"
            R"("tokens_per_second":100,"seconds":0.25,)"
            R"("planned_bytes":4096,"peak_bytes":4096,"far_bytes":0,"resident_bytes":5000,"share_of_peak":null,)"
            R"("skipped_batches":0})"
            "\n"
            R"({"step":2,"epoch":1,"loss":null,"lr":3e-04,"grad_norm":1.5,"tokens":30,"padded_tokens":48,)"
            R"("tokens_per_second":100,"seconds":0.25,)"
            R"("planned_bytes":4096,"peak_bytes":4096,"far_bytes":0,"resident_bytes":5000,"share_of_peak":0.5,)"
            R"("skipped_batches":0})"
            "\n");
}

std::string lineOf(const StepMetrics &metrics, double secondsLeft, size_t width) {
  char text[512];
  return {text, progressLine(metrics, 90, 2, secondsLeft, width, text, sizeof(text))};
}

/// What matters least goes first, and the step and its loss never.
TEST(Progress, FitsATerminal) {
  StepMetrics metrics;
  metrics.step = 30;
  metrics.epoch = 1;
  metrics.loss = 2.3456f;
  metrics.learningRate = 1e-4f;
  metrics.gradNorm = 0.72f;
  metrics.tokensPerSecond = 2035;
  metrics.seconds = 1.9;
  metrics.shareOfPeak = 0.731;
  const std::string whole = "step 30/90  epoch 1/2  loss 2.3456  lr 1.00e-04  grad norm 0.720  2035 tokens/s  "
                            "73.1% of peak  1.90 s  ETA 1:52";
  EXPECT_EQ(lineOf(metrics, 112, 0), whole);
  EXPECT_EQ(lineOf(metrics, 112, whole.size()), whole);
  EXPECT_EQ(lineOf(metrics, 112, 79), "step 30/90  epoch 1/2  loss 2.3456  lr 1.00e-04  2035 tokens/s  ETA 1:52");
  EXPECT_EQ(lineOf(metrics, 112, 40), "step 30/90  loss 2.3456  ETA 1:52");
  EXPECT_EQ(lineOf(metrics, 112, 12), "step 30/90  ");
  EXPECT_TRUE(lineOf(metrics, 3725, 0).ends_with("  ETA 1:02:05"));
  EXPECT_TRUE(lineOf(metrics, -1, 0).ends_with("  1.90 s"));
  metrics.pairs = PairMeans{};
  metrics.loss = NAN;
  metrics.step = UINT64_MAX;
  for (size_t width = 1; width < 200; ++width)
    EXPECT_LE(lineOf(metrics, 1e30, width).size(), width);
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
