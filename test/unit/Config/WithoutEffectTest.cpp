//===- WithoutEffectTest.cpp - Keys that change nothing here, and loggers -===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"
#include "ftc/Config/Keys.h"

using namespace ftc;

namespace {

TEST(Recipe, KeysWithoutEffectGiveOneRemark) {
  Recipe r =
      good(std::string(minimal) + "compile: True\n"
                                  "profiler:\n  enabled: True\n  schedule: {wait: 1}\n"
                                  "metric_logger:\n  _component_: torchtune.training.metric_logging.WandBLogger\n"
                                  "ac_mode: full\n"
                                  "optimizer: {fused: True}\n");
  EXPECT_EQ(remarks(r),
            "r.yaml:12:1: remark: without effect here: 'profiler' (line 12), 'ac_mode' (line 17); docs/recipes.md says "
            "why, key by key\n"
            "r.yaml:15:1: remark: 'metric_logger' is without effect: metrics go to metrics.jsonl in the output folder, "
            "and to TensorBoard's events with metric_logger=torchtune.training.metric_logging.TensorBoardLogger "
            "metric_logger.log_dir=DIR, which 'wandb sync DIR' uploads; docs/running.md has a way for while it runs");
  EXPECT_EQ(remarks(good(minimal, {"ac_mode=full"})),
            "<command line>:1:1: remark: 'ac_mode' is without effect: belongs to recipes for several devices; use "
            "`activation_checkpointing: {mode: full|selective|auto, every: k}`");
}

/// What torchtune's recipes switch off, and what is always so, needs no word.
TEST(Recipe, KeysThatAskForNothingGiveNoRemark) {
  EXPECT_EQ(remarks(good(std::string(minimal) +
                         "compile: False\nlog_level: INFO\nlog_peak_memory_stats: True\ndevice: cpu\n"
                         "profiler: {_component_: torchtune.training.setup_torch_profiler, enabled: False, active: 2}\n"
                         "metric_logger: {_component_: torchtune.training.metric_logging.DiskLogger, log_dir: /logs}\n"
                         "checkpointer: {model_type: LLAMA3_2}\nfsdp_cpu_offload: False\nac_mode: null\n")),
            "");
  EXPECT_TRUE(contains(remarks(good(minimal, {"profiler.enabled=True"})), "'profiler' is without effect"));
  EXPECT_TRUE(contains(remarks(good(minimal, {"log_level=DEBUG"})), "'log_level' is without effect"));
}

TEST(Recipe, AnotherDeviceIsAWarning) {
  const Recipe r = good(std::string(minimal) + "device: cuda\n");
  ASSERT_EQ(r.remarks.size(), 1u);
  EXPECT_EQ(r.remarks[0].str(),
            "r.yaml:11:1: warning: 'device' is 'cuda', and without --target cuda this is a step for "
            "the CPU; compile with --target cuda --device h100 (or another of configs/devices)");
  EXPECT_TRUE(isAboutDevice(r.remarks[0]));
  EXPECT_FALSE(isAboutDevice({Severity::Warning, "r.yaml", 1, 1, "'seed' is 3"}));
}

TEST(Recipe, TensorBoard) {
  const std::string logger = "metric_logger: {_component_: torchtune.training.metric_logging.TensorBoardLogger";
  const auto made = [&](const std::string &rest) {
    return good(minimal + ("output_dir: /o\n" + logger + rest + "}\n"));
  };
  Recipe r = made(", log_dir: '${output_dir}/logs'");
  ASSERT_TRUE(r.tensorBoard);
  EXPECT_EQ(*r.tensorBoard, (TensorBoardConfig{"/o/logs", true}));
  EXPECT_EQ(remarks(r), "");
  EXPECT_EQ(good(r.normalizedYaml).tensorBoard, r.tensorBoard);
  std::vector<Diagnostic> diags;
  EXPECT_EQ(overrideRun(r.normalizedYaml, {"output_dir=/p"}, diags)->tensorBoard->logDir, "/p/logs");
  r = made(", log_dir: '/else \"where\"', organize_logs: False");
  EXPECT_EQ(*r.tensorBoard, (TensorBoardConfig{"/else \"where\"", false}));
  EXPECT_EQ(good(r.normalizedYaml).tensorBoard, r.tensorBoard);
  EXPECT_FALSE(overrideRun(r.normalizedYaml, {"metric_logger=null"}, diags)->tensorBoard);
  EXPECT_EQ(errors(minimal + (logger + "}\n")), "r.yaml:11:1: error: 'metric_logger.log_dir' must name the folder of "
                                                "the events, as in metric_logger.log_dir=out/logs");
  EXPECT_EQ(errors(minimal + (logger + ", log_dir: x, organize_logs: 3}\n")),
            "r.yaml:11:110: error: 'metric_logger.organize_logs' needs True or False, not '3'");
  EXPECT_EQ(errors(minimal + (logger + ", log_dri: x, log_dir: y, project: z}\n")),
            "r.yaml:11:83: error: unknown key 'metric_logger.log_dri'; did you mean 'metric_logger.log_dir'?");
  EXPECT_EQ(errors(minimal + (logger + ", nonsense: x, log_dir: y}\n")),
            "r.yaml:11:83: error: unknown key 'metric_logger.nonsense'; valid keys here: log_dir, organize_logs");
  // Named over another logger, it leaves that one's arguments where they are.
  r = good(minimal + std::string("metric_logger: {_component_: torchtune.training.metric_logging.WandBLogger, project: "
                                 "p, group: g}\n"),
           {"metric_logger=torchtune.training.metric_logging.TensorBoardLogger", "metric_logger.log_dir=/logs"});
  EXPECT_EQ(r.tensorBoard, (TensorBoardConfig{"/logs", true}));
  EXPECT_EQ(remarks(r), "r.yaml:11:1: remark: 'metric_logger.project', 'metric_logger.group': without effect, "
                        "TensorBoardLogger has log_dir and organize_logs alone");
  EXPECT_TRUE(contains(
      remarks(good(minimal +
                   std::string("metric_logger: {_component_: torchtune.training.metric_logging.TensorBordLogger}\n"))),
      "did you mean 'TensorBoardLogger'?"));
}

} // namespace
