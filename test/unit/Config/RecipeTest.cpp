//===- RecipeTest.cpp - Recipes that are right ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"
#include "ftc/Config/Keys.h"
#include "ftc/Support/Files.h"

#include <algorithm>
#include <filesystem>
#include <limits>

using namespace ftc;

TEST(Recipe, DefaultsAreFilledIn) {
  Recipe r = good(minimal);
  EXPECT_EQ(r.model.family, "llama3_1");
  EXPECT_EQ(r.model.headDim, 16);
  EXPECT_EQ(r.model.intermediateDim, 256); // 4·int(2·64/3) = 168, rounded up to 256
  EXPECT_EQ(r.model.ropeBase, 500000);
  EXPECT_EQ(r.model.ropeScaling.factor, 8);
  EXPECT_EQ(r.model.normEps, 1e-5);
  EXPECT_FALSE(r.model.tiedEmbeddings);
  EXPECT_EQ(r.dtype, DType::F32);
  EXPECT_EQ(r.batchSize, 1);
  EXPECT_EQ(r.seqLen, 32);
  EXPECT_EQ(r.optimizer.kind, OptimizerConfig::Kind::AdamW);
  EXPECT_EQ(r.optimizer.lr, 1e-3);
  EXPECT_EQ(r.optimizer.weightDecay, 1e-2);
  EXPECT_EQ(r.scheduler.kind, SchedulerConfig::Kind::Constant);
  EXPECT_EQ(r.clipGradNorm, std::nullopt);
  EXPECT_EQ(r.ignoreIndex, -100);
  EXPECT_EQ(r.tokenizer, "byte");
  EXPECT_EQ(r.dataset.component, "torchtune.datasets.text_completion_dataset");
  EXPECT_FALSE(r.dataset.packed); // torchtune's default
  EXPECT_TRUE(r.dataset.splitAcrossPack);
  EXPECT_EQ(r.checkpointer.outputDir, r.outputDir);
  EXPECT_EQ(r.maxSteps, std::nullopt);
  EXPECT_EQ(remarks(r), "");
}

TEST(Recipe, QuotesAndBlanksAsOthersWriteThem) {
  EXPECT_EQ(good("\xef\xbb\xbf" + std::string(minimal) + "output_dir: \"\u00fc\\\"\"\nseed: 3\n").outputDir,
            "\u00fc\"");
  EXPECT_EQ(good(std::string(minimal) + "output_dir: 'it''s'\nseed: 3\n").outputDir, "it's");
  EXPECT_EQ(good(std::string(minimal) + "output_dir: ''\n", {"output_dir='x'"}).outputDir, "x");
  EXPECT_EQ(good(std::string(minimal) + "output_dir: 'a${ seed }'\nseed: 3\n").outputDir, "a3");
}

TEST(Recipe, NumbersAsPythonAndYamlWriteThem) {
  Recipe r = good(minimal, {"optimizer.lr=2e-5", "model.vocab_size=32_000", "clip_grad_norm=inf", "seed=7"});
  EXPECT_EQ(r.optimizer.lr, 2e-5);
  EXPECT_EQ(r.model.vocabSize, 32000);
  EXPECT_EQ(r.clipGradNorm, std::numeric_limits<double>::infinity());
  EXPECT_EQ(r.seed, 7u);
  EXPECT_EQ(good(minimal, {"clip_grad_norm=.inf"}).clipGradNorm, std::numeric_limits<double>::infinity());
  EXPECT_EQ(good(minimal, {"clip_grad_norm=None"}).clipGradNorm, std::nullopt);
}

TEST(Recipe, Overrides) {
  std::string text = std::string(minimal) + "optimizer:\n  _component_: bitsandbytes.optim.PagedAdamW8bit\n  lr: 2e-5\n"
                                            "output_dir: /tmp/x\n";
  // A component is rewritten, its other arguments stay.
  Recipe r = good(text, {"optimizer=torch.optim.AdamW", "optimizer.betas=[0.8,0.95]", "output_dir=a=b"});
  EXPECT_EQ(r.optimizer.lr, 2e-5);
  EXPECT_EQ(r.optimizer.beta1, 0.8);
  EXPECT_EQ(r.optimizer.beta2, 0.95);
  EXPECT_EQ(r.outputDir, "a=b");
  // A map is merged; in order, the last wins.
  r = good(text, {"optimizer={_component_: torch.optim.SGD, lr: 3}", "seed=1", "seed=2"});
  EXPECT_EQ(r.optimizer.kind, OptimizerConfig::Kind::SGD);
  EXPECT_EQ(r.optimizer.lr, 3);
  EXPECT_EQ(r.optimizer.weightDecay, 0);
  EXPECT_EQ(r.seed, 2u);
  // Removal, also of a whole node.
  EXPECT_EQ(good(text, {"~optimizer"}).optimizer.lr, 1e-3);
  EXPECT_EQ(good(text, {"~output_dir", "optimizer=torch.optim.AdamW"}).outputDir, "out");
  // Nodes that the file does not have come into being; null takes one away.
  std::string warmUp = "lr_scheduler.num_warmup_steps=10";
  r = good(minimal, {warmUp});
  EXPECT_EQ(r.scheduler.kind, SchedulerConfig::Kind::CosineWithWarmup);
  EXPECT_EQ(r.scheduler.numWarmupSteps, 10);
  EXPECT_EQ(good(minimal, {warmUp, "lr_scheduler=null"}).scheduler.kind, SchedulerConfig::Kind::Constant);
  EXPECT_EQ(
      good(minimal, {"checkpointer.checkpoint_dir=/m", "checkpointer.checkpoint_files=[a.safetensors, b.safetensors]"})
          .checkpointer.checkpointFiles,
      (std::vector<std::string>{"a.safetensors", "b.safetensors"}));
}

TEST(Recipe, Interpolation) {
  std::string text = std::string(minimal) + "base: /data\n"
                                            "output_dir: ${base}/run${seed}\n"
                                            "seed: 3\n"
                                            "batch_size: ${seed}\n"
                                            "checkpointer:\n"
                                            "  checkpoint_dir: /m\n"
                                            "  output_dir: ${output_dir}/ckpt\n"
                                            "dataset:\n"
                                            "  column: \\${plain}\n"
                                            "  data_files: ${.column}\n"
                                            "  source: ${..base}\n";
  Recipe r = good(text);
  EXPECT_EQ(r.outputDir, "/data/run3");
  EXPECT_EQ(r.checkpointer.outputDir, "/data/run3/ckpt");
  EXPECT_EQ(r.batchSize, 3);
  EXPECT_EQ(r.dataset.column, "${plain}");
  EXPECT_EQ(r.dataset.dataFiles, std::vector<std::string>{"${plain}"});
  EXPECT_EQ(r.dataset.source, "/data");
  // Overrides come first.
  EXPECT_EQ(good(text, {"base=/x"}).checkpointer.outputDir, "/x/run3/ckpt");
  // A whole node.
  r = good(std::string(minimal) + "mine: {lr: 0.5, weight_decay: 0}\noptimizer: ${mine}\n");
  EXPECT_EQ(r.optimizer.lr, 0.5);
}

TEST(Recipe, AnchorsAndMergeKeys) {
  Recipe r = good(std::string(minimal) + "seed: &s 4\nbatch_size: *s\n");
  EXPECT_EQ(r.batchSize, 4);
  // What the node says itself wins over what is merged in.
  r = good(std::string(minimal) + "base: &b {lr: 0.5, eps: 1e-6}\noptimizer:\n  <<: *b\n  lr: 2\n", {"~base"});
  EXPECT_EQ(r.optimizer.lr, 2);
  EXPECT_EQ(r.optimizer.eps, 1e-6);
}

TEST(Recipe, FormattedCheckpointFiles) {
  Recipe r =
      good(std::string(minimal) + "checkpointer:\n  checkpoint_dir: /m\n  checkpoint_files:\n"
                                  "    filename_format: model-{}-of-{}.safetensors\n    max_filename: \"00003\"\n");
  EXPECT_EQ(r.checkpointer.checkpointFiles,
            (std::vector<std::string>{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                      "model-00003-of-00003.safetensors"}));
  r = good(std::string(minimal) + "checkpointer:\n  checkpoint_dir: /m\n  checkpoint_files:\n"
                                  "    filename_format: pytorch_model-{}-of-{}.bin\n    max_filename: \"00002\"\n");
  EXPECT_EQ(r.checkpointer.checkpointFiles,
            (std::vector<std::string>{"pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"}));
}

TEST(Recipe, Checkpointers) {
  for (std::string name : {"FullModelHFCheckpointer", "FullModelMetaCheckpointer", "FullModelTorchTuneCheckpointer"})
    for (std::string file : {"a.safetensors", "consolidated.00.pth", "model.pt", "pytorch_model.bin"}) {
      Recipe r = good(minimal, {"checkpointer=torchtune.training." + name, "checkpointer.checkpoint_dir=/m",
                                "checkpointer.checkpoint_files=[" + file + "]"});
      EXPECT_EQ(r.checkpointer.checkpointFiles, std::vector<std::string>{file});
      const bool isTold = std::ranges::any_of(r.remarks, [](const Diagnostic &remark) {
        return remark.message.find("checkpoints are written in Hugging Face's layout") != std::string::npos;
      });
      EXPECT_EQ(isTold, name != "FullModelHFCheckpointer");
    }
}

TEST(Recipe, ChatData) {
  Recipe r = good(minimal, {"dataset=torchtune.datasets.chat_dataset", "dataset.conversation_style=openai",
                            "dataset.conversation_column=turns", "dataset.packed=True"});
  EXPECT_EQ(r.dataset.component, "torchtune.datasets.chat_dataset");
  EXPECT_EQ(r.dataset.column, "turns");
  EXPECT_FALSE(r.dataset.splitAcrossPack);
  EXPECT_EQ(good(minimal, {"dataset=torchtune.datasets.chat_dataset"}).dataset.column, "messages");
}

TEST(Recipe, LoraBuilders) {
  Recipe r = good(minimal, {"model=torchtune.models.llama3_1.lora_llama3_1", "model.apply_lora_to_mlp=True",
                            "model.lora_attn_modules=[output_proj,q_proj,q_proj]", "model.lora_rank=4",
                            "model.apply_lora_to_output=True", "model.lora_dropout=0.05",
                            "save_adapter_weights_only=True", "checkpointer.adapter_checkpoint=first"});
  ASSERT_TRUE(r.lora.has_value());
  EXPECT_EQ(r.lora->targets,
            (std::vector<std::string>{"q_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"}));
  EXPECT_EQ(r.lora->rank, 4);
  EXPECT_EQ(r.lora->dropout, 0.05);
  EXPECT_EQ(good(r.normalizedYaml).lora->dropout, 0.05);
  EXPECT_EQ(r.lora->scale(), 4.0);
  EXPECT_TRUE(r.saveAdapterWeightsOnly);
  EXPECT_EQ(r.checkpointer.adapterCheckpoint, "first");
  EXPECT_EQ(r.model.family, "llama3_1");
  EXPECT_EQ(r.model.numLayers, 2);
  EXPECT_EQ(r.model.ropeScaling.factor, 8);

  r = good("model: {_component_: torchtune.models.llama3_2.lora_llama3_2_1b, lora_attn_modules: [v_proj], "
           "tie_word_embeddings: False, apply_lora_to_output: True}\ntokenizer: {max_seq_len: 8}\n");
  EXPECT_EQ(r.lora->targets, (std::vector<std::string>{"v_proj", "lm_head"}));
  EXPECT_EQ(r.lora->scale(), 2.0);
  EXPECT_EQ(r.model.embedDim, 2048);
  EXPECT_FALSE(r.model.tiedEmbeddings);
  EXPECT_FALSE(r.quantizedBase.has_value());
  r = good("model: {_component_: torchtune.models.llama3_2.qlora_llama3_2_1b, lora_attn_modules: [v_proj]}\n"
           "tokenizer: {max_seq_len: 8}\n");
  EXPECT_EQ(r.quantizedBase, Nf4Quantizer::Torchao);
  EXPECT_EQ(r.model.embedDim, 2048);
  EXPECT_TRUE(r.model.tiedEmbeddings);
  EXPECT_EQ(good(r.normalizedYaml).quantizedBase, Nf4Quantizer::Torchao);
  EXPECT_EQ(good(r.normalizedYaml, {"model.quantize_base=False"}).quantizedBase, std::nullopt);
  EXPECT_FALSE(good(minimal).lora.has_value());
  EXPECT_EQ(remarks(good(minimal, {"save_adapter_weights_only=True"})),
            "<command line>:1:1: remark: 'save_adapter_weights_only' is without effect: there is no adapter in full "
            "fine-tuning");
}

TEST(Recipe, ChunkedLosses) {
  EXPECT_FALSE(good(minimal).chunksLoss());
  for (const char *name : {"CEWithChunkedOutputLoss", "LinearCrossEntropyLoss"}) {
    std::string component = std::string("torchtune.modules.loss.") + name;
    Recipe r = good(minimal, {"loss=" + component});
    EXPECT_TRUE(r.chunksLoss());
    EXPECT_EQ(r.lossComponent, component);
    EXPECT_EQ(r.lossChunks, 0);
    r = good(minimal, {"loss=" + component, "loss.num_output_chunks=8"});
    EXPECT_EQ(r.lossChunks, 8);
    EXPECT_EQ(remarks(r), "");
  }
}

TEST(Recipe, UpdatesAndBudget) {
  EXPECT_EQ(good(minimal).updates, UpdatePlacement::Auto);
  EXPECT_EQ(good(minimal, {"optimizer_in_bwd=null"}).updates, UpdatePlacement::Auto);
  EXPECT_EQ(good(minimal, {"optimizer_in_bwd=False", "gradient_accumulation_steps=2"}).updates, UpdatePlacement::End);
  Recipe r = good(minimal, {"optimizer_in_bwd=True", "clip_grad_norm=1", "memory_budget=1.5GiB"});
  EXPECT_EQ(r.updates, UpdatePlacement::Backward);
  EXPECT_EQ(r.memoryBudget, 3ull << 29);
  EXPECT_EQ(good(r.normalizedYaml).updates, UpdatePlacement::Backward);
  EXPECT_EQ(good(r.normalizedYaml).memoryBudget, 3ull << 29);
  EXPECT_EQ(remarks(r), "");
}

TEST(Recipe, SequenceLengths) {
  auto read = [](std::vector<std::string> overrides, const char *length = "1000") {
    overrides.push_back(std::string("tokenizer.max_seq_len=") + length);
    overrides.push_back("model.max_seq_len=131072");
    Recipe r = good(minimal, overrides);
    EXPECT_EQ(good(r.normalizedYaml).sequenceLengths, r.sequenceLengths);
    return r.sequenceLengths;
  };
  using Lengths = std::vector<int64_t>;
  const Lengths ladder = {64, 96, 128, 192, 256, 384, 512, 752, 1000};
  EXPECT_EQ(read({"dataset.packed=True"}), Lengths{1000});
  EXPECT_EQ(read({"dataset.packed=False"}), ladder);
  EXPECT_EQ(read({"dataset.packed=True", "sequence_lengths=auto"}), ladder);
  EXPECT_EQ(read({"dataset.packed=False", "sequence_lengths=1000"}), Lengths{1000});
  EXPECT_EQ(read({"dataset.packed=False", "sequence_lengths=[]"}), Lengths{1000});
  EXPECT_EQ(read({"sequence_lengths=[300, 1000, 20, 300]"}), (Lengths{20, 300, 1000}));
  EXPECT_EQ(read({"dataset.packed=False"}, "80"), (Lengths{64, 80}));
  EXPECT_EQ(read({"dataset.packed=False"}, "64"), Lengths{64});
  // However long: few enough to compile, each at most 1.5 times the one before.
  for (const char *longest : {"128", "1536", "4096", "100001", "131072"}) {
    Lengths lengths = read({"sequence_lengths=auto"}, longest);
    EXPECT_LE(lengths.size(), 9u);
    EXPECT_EQ(lengths.back(), std::stoll(longest));
    for (size_t i = 1; i < lengths.size(); ++i)
      EXPECT_LE(lengths[i], lengths[i - 1] * 3 / 2 + 16) << longest;
  }
}

TEST(Recipe, ActivationCheckpointing) {
  using Mode = CheckpointingConfig::Mode;
  auto read = [](const std::vector<std::string> &overrides) { return good(minimal, overrides).checkpointing; };
  auto expected = [](Mode mode, int64_t every) { return CheckpointingConfig{mode, every}; };
  EXPECT_EQ(read({}), expected(Mode::None, 1));
  EXPECT_EQ(read({"enable_activation_checkpointing=False"}), expected(Mode::None, 1));
  EXPECT_EQ(read({"enable_activation_checkpointing=True"}), expected(Mode::Full, 1));
  EXPECT_EQ(read({"activation_checkpointing.mode=full"}), expected(Mode::Full, 1));
  EXPECT_EQ(read({"activation_checkpointing.mode=selective"}), expected(Mode::Selective, 1));
  EXPECT_EQ(read({"activation_checkpointing.mode=auto", "memory_budget=1GiB"}), expected(Mode::Auto, 1));
  EXPECT_EQ(read({"activation_checkpointing.every=2"}), expected(Mode::Full, 2));
  EXPECT_EQ(read({"enable_activation_checkpointing=True", "activation_checkpointing={mode: selective, every: 2}"}),
            expected(Mode::Selective, 2));
  // torchtune offloads only with checkpointing; here it works alone too.
  EXPECT_TRUE(good(minimal, {"enable_activation_offloading=True"}).offloadActivations);
  EXPECT_FALSE(good(minimal, {}).offloadActivations);
  EXPECT_EQ(read({"enable_activation_offloading=True", "activation_checkpointing.mode=selective"}),
            expected(Mode::Selective, 1));
  EXPECT_EQ(remarks(good(minimal, {"activation_checkpointing.mode=full"})), "");
}

TEST(Recipe, NormalFormReadsBackEqual) {
  const std::vector<std::vector<std::string>> cases = {
      {},
      {"dtype=bf16", "clip_grad_norm=inf", "batch_size=3", "seed=9", "shuffle=False", "max_steps_per_epoch=12",
       "epochs=4"},
      {"optimizer=torch.optim.SGD", "optimizer.lr=0.1", "optimizer.weight_decay=1e-4", "save_every_n_steps=5"},
      {"model=torchtune.models.llama2.llama2", "model.norm_eps=1e-6", "model.rope_base=12345.678901234567"},
      {"model=torchtune.models.llama3_2.llama3_2", "model.tie_word_embeddings=False", "model.scale_factor=4"},
      {"dataset=torchtune.datasets.chat_dataset", "dataset.data_files=/x/y z", "lr_scheduler.num_warmup_steps=3"},
      {"output_dir='quo\"te \\ \\${seed} \u00fc: #'", "resume_from_checkpoint=True"},
      {"checkpointer.checkpoint_dir=/m", "checkpointer.checkpoint_files=['a, b.safetensors']",
       "checkpointer.output_dir=/o", "checkpointer.keep_last_n_checkpoints=3"},
      {"model=torchtune.models.llama3_2.lora_llama3_2", "model.lora_attn_modules=[k_proj,output_proj]",
       "model.lora_rank=3", "model.lora_alpha=7.5", "save_adapter_weights_only=True",
       "checkpointer.adapter_checkpoint=/a b/adapter_model.safetensors"},
      {"enable_activation_checkpointing=True"},
      {"activation_checkpointing={mode: selective, every: 2}"},
      {"activation_checkpointing={mode: auto, every: 2}", "memory_budget=1GiB"},
      {"loss=torchtune.modules.loss.LinearCrossEntropyLoss"},
      {"loss=torchtune.modules.loss.CEWithChunkedOutputLoss", "loss.num_output_chunks=3"},
      {"optimizer.betas=[0.1,0.2]", "optimizer.eps=1e-7", "dataset.packed=True", "dataset.add_eos=False"},
  };
  for (const std::vector<std::string> &overrides : cases) {
    Recipe a = good(minimal, overrides), b = good(a.normalizedYaml);
    EXPECT_EQ(a.normalizedYaml, b.normalizedYaml);
    EXPECT_TRUE(a.lora == b.lora && a.saveAdapterWeightsOnly == b.saveAdapterWeightsOnly) << a.normalizedYaml;
    EXPECT_TRUE(a.model == b.model && a.optimizer == b.optimizer && a.scheduler == b.scheduler &&
                a.checkpointer == b.checkpointer && a.dataset == b.dataset && a.checkpointing == b.checkpointing)
        << a.normalizedYaml;
    EXPECT_TRUE(a.dtype == b.dtype && a.batchSize == b.batchSize && a.seqLen == b.seqLen &&
                a.clipGradNorm == b.clipGradNorm && a.ignoreIndex == b.ignoreIndex &&
                a.lossComponent == b.lossComponent && a.lossChunks == b.lossChunks && a.seed == b.seed &&
                a.shuffle == b.shuffle && a.epochs == b.epochs && a.maxSteps == b.maxSteps &&
                a.outputDir == b.outputDir && a.saveEveryNSteps == b.saveEveryNSteps &&
                a.logEveryNSteps == b.logEveryNSteps && a.resumeFromCheckpoint == b.resumeFromCheckpoint)
        << a.normalizedYaml;
  }
  EXPECT_EQ(good(minimal, cases[6]).outputDir, "quo\"te \\ ${seed} \u00fc: #");
}

TEST(Recipe, ShippedConfigsParse) {
  size_t count = 0;
  for (const auto &file : std::filesystem::recursive_directory_iterator(FTC_SOURCE_DIR "/configs")) {
    if (file.path().extension() != ".yaml" || file.path().parent_path().filename() == "devices")
      continue;
    std::string text, error;
    ASSERT_TRUE(readFile(file.path(), text, error)) << error;
    std::vector<Diagnostic> diags;
    std::optional<Recipe> recipe = parseRecipe(text, file.path(), {}, diags);
    ASSERT_TRUE(recipe.has_value()) << (diags.empty() ? "" : diags[0].str());
    EXPECT_TRUE(recipe->remarks.empty()) << recipe->remarks[0].str();
    ++count;
  }
  EXPECT_GE(count, 3u);
}

TEST(OverrideRun, RunKeysChange) {
  Recipe r = good(minimal, {"lr_scheduler.num_warmup_steps=3"});
  std::vector<Diagnostic> diags;
  std::optional<Recipe> changed =
      overrideRun(r.normalizedYaml,
                  {"optimizer.lr=0.25", "seed=5", "output_dir=/elsewhere", "lr_scheduler=null", "epochs=3",
                   "dataset.data_files=/x", "checkpointer={checkpoint_dir: /m}", "shuffle=False"},
                  diags);
  ASSERT_TRUE(changed.has_value()) << diags[0].str();
  EXPECT_EQ(changed->optimizer.lr, 0.25);
  EXPECT_EQ(changed->seed, 5u);
  EXPECT_EQ(changed->outputDir, "/elsewhere");
  EXPECT_EQ(changed->checkpointer.outputDir, "/elsewhere");
  EXPECT_EQ(changed->checkpointer.checkpointDir, "/m");
  EXPECT_EQ(changed->scheduler.kind, SchedulerConfig::Kind::Constant);
  EXPECT_EQ(changed->epochs, 3);
  EXPECT_EQ(changed->dataset.dataFiles, std::vector<std::string>{"/x"});
  EXPECT_TRUE(changed->model == r.model);
  EXPECT_EQ(remarks(*changed), "");
  changed = overrideRun(r.normalizedYaml, {"low_cpu_ram=True", "fsdp_cpu_offload=True"}, diags);
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(remarks(*changed),
            "<command line>:1:18: remark: 'fsdp_cpu_offload' is without effect: there is one device");
}

TEST(OverrideRun, CompiledKeysAreRefused) {
  Recipe r = good(minimal);
  auto refused = [&](const std::string &change) {
    std::vector<Diagnostic> diags;
    EXPECT_FALSE(overrideRun(r.normalizedYaml, {change}, diags).has_value()) << change;
    return diags.empty() ? "" : diags[0].str();
  };
  EXPECT_EQ(refused("batch_size=8"),
            "<command line>:1:1: error: 'batch_size' is compiled into the step and cannot change here; recompile with "
            "batch_size=8 (ftc compile CONFIG -o step.so batch_size=8)");
  for (const char *change :
       {"optimizer=torch.optim.SGD", "optimizer.weight_decay=0", "model.num_layers=3", "tokenizer.max_seq_len=16",
        "dtype=bf16", "~clip_grad_norm", "clip_grad_norm=1", "~optimizer", "optimizer={lr: 1, eps: 1e-6}", "model=null",
        "loss.ignore_index=0", "gradient_accumulation_steps=2"})
    EXPECT_TRUE(contains(refused(change), std::string("recompile with ") + change));
  EXPECT_TRUE(contains(refused("sede=3"), "unknown key 'sede'; did you mean 'seed'?"));
  EXPECT_TRUE(contains(refused("optimizer.lr=fast"), "'optimizer.lr' needs a number, not 'fast'"));
}

TEST(Recipe, PrecisionOfUpdatesAndMomentum) {
  Recipe r = good(minimal, {"dtype=bf16", "master_weights=fp32", "optimizer_state_dtype=bf16",
                            "optimizer={_component_: torch.optim.SGD, momentum: 0.9, nesterov: True}"});
  EXPECT_TRUE(r.optimizer.masterWeights);
  EXPECT_FALSE(r.optimizer.stochasticRounding);
  EXPECT_EQ(r.optimizer.stateType, DType::BF16);
  EXPECT_EQ(r.optimizer.momentum, 0.9);
  EXPECT_EQ(r.optimizer.dampening, 0);
  EXPECT_TRUE(r.optimizer.nesterov);
  EXPECT_EQ(good(r.normalizedYaml).optimizer, r.optimizer);
  r = good(minimal, {"optimizer=bitsandbytes.optim.PagedAdamW", "dtype=bf16"});
  EXPECT_EQ(r.optimizer.kind, OptimizerConfig::Kind::AdamW);
  EXPECT_EQ(r.optimizer.stateType, DType::F32);
  EXPECT_TRUE(r.optimizer.paged);
  EXPECT_TRUE(r.remarks.empty());
  EXPECT_EQ(good(r.normalizedYaml).optimizer, r.optimizer);
  r = good(minimal, {"optimizer=bitsandbytes.optim.PagedAdamW8bit"});
  EXPECT_EQ(r.optimizer.quantizedStates, StateFormat::Bitsandbytes8);
  EXPECT_EQ(r.optimizer.stateType, DType::F32);
  EXPECT_TRUE(r.optimizer.paged);
  EXPECT_EQ(good(r.normalizedYaml).optimizer, r.optimizer);
  for (const std::string name : {"torchao.optim.AdamW8bit", "torchao.prototype.low_bit_optim.AdamW8bit",
                                 "torchao.optim.AdamW4bit", "torchao.prototype.low_bit_optim.AdamW4bit"}) {
    r = good(minimal, {"optimizer=" + name, "optimizer.eps=1e-6"});
    EXPECT_EQ(r.optimizer.quantizedStates, name.ends_with("4bit") ? StateFormat::Torchao4 : StateFormat::Torchao8);
    EXPECT_FALSE(r.optimizer.stateType);
    EXPECT_EQ(good(r.normalizedYaml).optimizer, r.optimizer);
  }
  r = good(minimal, {"dtype=bf16", "stochastic_rounding=True"});
  EXPECT_TRUE(r.optimizer.stochasticRounding);
  EXPECT_FALSE(r.optimizer.stateType);
  EXPECT_EQ(good(r.normalizedYaml).optimizer, r.optimizer);
}

TEST(Recipe, HuggingFacesTokenizer) {
  const std::string recipe = std::string(minimal) +
                             "  _component_: torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer\n"
                             "  tokenizer_json_path: /m/tokenizer.json\n"
                             "  tokenizer_config_json_path: /m/tokenizer_config.json\n"
                             "  generation_config_path: /m/generation_config.json\n"
                             "  prompt_template: null\n"
                             "  truncation_type: right\n"
                             "dataset:\n"
                             "  _component_: torchtune.datasets.text_completion_dataset\n";
  Recipe r = good(recipe, {"model.vocab_size=100"});
  EXPECT_EQ(remarks(r), "");
  EXPECT_EQ(r.tokenizer, "torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer");
  EXPECT_EQ(r.tokenizerPath, "/m/tokenizer.json");
  EXPECT_EQ(r.tokenizerConfigPath, "/m/tokenizer_config.json");
  EXPECT_EQ(r.generationConfigPath, "/m/generation_config.json");
  Recipe again = good(r.normalizedYaml);
  EXPECT_EQ(again.normalizedYaml, r.normalizedYaml);
  EXPECT_EQ(again.tokenizerConfigPath, r.tokenizerConfigPath);
  EXPECT_EQ(again.generationConfigPath, r.generationConfigPath);
  std::vector<Diagnostic> diags;
  std::optional<Recipe> changed =
      overrideRun(r.normalizedYaml, {"tokenizer.tokenizer_config_json_path=/n/tokenizer_config.json"}, diags);
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->tokenizerConfigPath, "/n/tokenizer_config.json");
  EXPECT_NE(
      errors(recipe, {"model.vocab_size=100", "tokenizer.path=/m/tokenizer.model"})
          .find("is not an argument of torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer, whose file "
                "is tokenizer.tokenizer_json_path; remove it"),
      std::string::npos);
  EXPECT_NE(errors(recipe, {"model.vocab_size=100", "tokenizer.prompt_template=torchtune.data.ChatMLTemplate"})
                .find("whose wording is the chat template of tokenizer.tokenizer_config_json_path; remove it "
                      "(~tokenizer.prompt_template)"),
            std::string::npos);
}

TEST(Recipe, TokenizersWithFilesAndDataSetsOfConversations) {
  Recipe r = good(std::string(minimal) + "  _component_: torchtune.models.llama3.llama3_tokenizer\n"
                                         "  path: /m/tokenizer.model\n"
                                         "  special_tokens_path: /m/tokenizer.json\n"
                                         "  prompt_template: null\n"
                                         "dataset:\n"
                                         "  _component_: torchtune.datasets.alpaca_cleaned_dataset\n"
                                         "  column_map: {input: prompt}\n"
                                         "  packed: True\n",
                  {"model.vocab_size=100"});
  EXPECT_EQ(remarks(r), "");
  EXPECT_EQ(r.tokenizer, "torchtune.models.llama3.llama3_tokenizer");
  EXPECT_EQ(r.tokenizerPath, "/m/tokenizer.model");
  EXPECT_EQ(r.specialTokensPath, "/m/tokenizer.json");
  EXPECT_TRUE(r.dataset.trainOnInput);
  EXPECT_FALSE(r.dataset.splitAcrossPack);
  EXPECT_EQ(r.dataset.instructionKey, "instruction");
  EXPECT_EQ(r.dataset.inputKey, "prompt");
  Recipe again = good(r.normalizedYaml);
  EXPECT_EQ(again.normalizedYaml, r.normalizedYaml);
  EXPECT_EQ(again.dataset, r.dataset);
  EXPECT_EQ(again.tokenizerPath, r.tokenizerPath);
  std::vector<Diagnostic> diags;
  std::optional<Recipe> changed =
      overrideRun(r.normalizedYaml, {"tokenizer.path=/n/t.model", "dataset.train_on_input=False"}, diags);
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->tokenizerPath, "/n/t.model");
  EXPECT_FALSE(changed->dataset.trainOnInput);

  Recipe chat = good(minimal, {"dataset=torchtune.datasets.chat_dataset", "dataset.conversation_style=sharegpt",
                               "dataset.conversation_column=conversations", "dataset.new_system_prompt=Be brief."});
  EXPECT_EQ(chat.dataset.conversationStyle, "sharegpt");
  EXPECT_EQ(chat.dataset.systemPrompt, "Be brief.");
  EXPECT_FALSE(chat.dataset.trainOnInput);
  EXPECT_EQ(good(chat.normalizedYaml).dataset, chat.dataset);

  auto bad = [](std::vector<std::string> overrides) {
    std::vector<Diagnostic> diags;
    EXPECT_FALSE(parseRecipe(minimal, "r.yaml", overrides, diags));
    return diags.empty() ? "" : diags.front().message;
  };
  EXPECT_EQ(bad({"dataset=torchtune.datasets.chat_dataset", "dataset.conversation_style=other"}),
            "'dataset.conversation_style' (command line) is 'other'; it is openai (role and content) or sharegpt (from "
            "and value)");
  EXPECT_EQ(
      bad({"dataset=torchtune.datasets.instruct_dataset", "dataset.column_map={inptu: x}"}),
      "'dataset.column_map.inptu' is nothing that torchtune.datasets.instruct_dataset reads; did you mean 'input'?; "
      "it reads input and output");
  EXPECT_EQ(bad({"dataset=torchtune.datasets.alpaca_dataset", "dataset.column_map=x"}),
            "'dataset.column_map' (command line) needs keys, such as {input: question, output: answer}");
  EXPECT_EQ(bad({"dataset=torchtune.datasets.alpaca_dataset", "dataset.column_map={output: [a]}"}),
            "'dataset.column_map.output' needs the key of a JSON line");
  EXPECT_NE(bad({"dataset=torchtune.datasets.chat_dataset", "dataset.column_map={output: a}"})
                .find("'dataset.column_map' is not an argument of"),
            std::string::npos);
  EXPECT_NE(remarks(good(minimal, {"tokenizer.path=/m/t.model"}))
                .find("'tokenizer.path' (command line) is without effect: the byte-level tokenizer needs no file"),
            std::string::npos);
}

// docs/recipes.md is written by hand but for its table, which is this.
TEST(Recipe, LengthsThatDataDecide) {
  const auto read = [](const std::vector<std::string> &overrides, OpenLengths &open) {
    std::vector<Diagnostic> diags;
    return parseRecipe(minimal, "r.yaml", overrides, diags, &open);
  };
  OpenLengths open;
  std::optional<Recipe> recipe = read({"tokenizer.max_seq_len=null"}, open);
  ASSERT_TRUE(recipe);
  EXPECT_TRUE(open.row && open.ladder);
  EXPECT_EQ(recipe->seqLen, 0);
  EXPECT_FALSE(recipe->truncates);
  // What the recipe says itself is not open.
  recipe = read({"tokenizer.max_seq_len=null", "sequence_lengths=[16]", "tokenizer.truncation=True"}, open = {});
  ASSERT_TRUE(recipe);
  EXPECT_TRUE(open.row && !open.ladder);
  EXPECT_TRUE(recipe->truncates);
  for (const char *lengths : {"auto", "null"}) {
    recipe = read({std::string("sequence_lengths=") + lengths}, open = {});
    ASSERT_TRUE(recipe);
    EXPECT_TRUE(!open.row && open.ladder);
    EXPECT_EQ(recipe->seqLen, 32);
    EXPECT_TRUE(recipe->truncates);
  }
  // Packed rows have one length, which is the recipe's.
  ASSERT_TRUE(read({"dataset.packed=True"}, open = {}));
  EXPECT_FALSE(open.row || open.ladder);
  EXPECT_FALSE(read({"dataset.packed=True", "tokenizer.max_seq_len=null"}, open = {}));
}

TEST(Recipe, Truncation) {
  EXPECT_TRUE(good(minimal).truncates);
  EXPECT_EQ(good(minimal).normalizedYaml.find("truncation:"), std::string::npos);
  const Recipe never = good(minimal, {"tokenizer.truncation=False"});
  EXPECT_FALSE(never.truncates);
  std::vector<Diagnostic> diags;
  std::optional<Recipe> again = parseRecipe(never.normalizedYaml, "n.yaml", {}, diags);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->truncates);
  EXPECT_EQ(again->normalizedYaml, never.normalizedYaml);
  // A run may allow it.
  again = overrideRun(never.normalizedYaml, {"tokenizer.truncation=True"}, diags);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->truncates);
}

TEST(Keys, DocumentationHoldsTheTable) {
  std::string text, error;
  ASSERT_TRUE(readFile(FTC_SOURCE_DIR "/docs/recipes.md", text, error)) << error;
  EXPECT_TRUE(text.find(keyTableMarkdown()) != std::string::npos) << "put this table into docs/recipes.md:\n"
                                                                  << keyTableMarkdown();
}

TEST(Keys, PathsAreDistinctAndNodesContiguous) {
  std::vector<std::string> seen, nodes;
  for (const KeyInfo &key : keyTable()) {
    EXPECT_EQ(std::count(seen.begin(), seen.end(), key.path), 0) << key.path;
    seen.push_back(key.path);
    std::string path = key.path, node = path.substr(0, path.find('.'));
    if (nodes.empty() || nodes.back() != node) {
      EXPECT_EQ(std::count(nodes.begin(), nodes.end(), node), 0) << key.path;
      nodes.push_back(node);
    }
  }
}
