//===- ErrorTest.cpp - Recipes that are wrong, and what is said of them ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include <random>

using namespace ftc;

/// The errors of the minimal recipe with `lines` below it; these start at line 11.
static std::string below(const std::string &lines) { return errors(minimal + lines); }

TEST(Errors, UnknownKeys) {
  EXPECT_EQ(below("batchsize: 4\n"), "r.yaml:11:1: error: unknown key 'batchsize'; did you mean 'batch_size'?");
  EXPECT_EQ(
      below("optimizer:\n  _component_: torch.optim.AdamW\n  learning: 1\n  wieght_decay: 0\n"),
      "r.yaml:13:3: error: unknown key 'optimizer.learning'; valid keys here: _component_, lr, weight_decay, betas, "
      "eps, amsgrad, maximize, fused, foreach, capturable, differentiable\n"
      "r.yaml:14:3: error: unknown key 'optimizer.wieght_decay'; did you mean 'optimizer.weight_decay'?");
  EXPECT_EQ(below("lr: 1\n"), "r.yaml:11:1: error: unknown key 'lr'; did you mean 'optimizer.lr'?");
  EXPECT_EQ(below("packed: True\n"), "r.yaml:11:1: error: unknown key 'packed'; did you mean 'dataset.packed'?");
  EXPECT_EQ(below("zzz: 1\n"),
            "r.yaml:11:1: error: unknown key 'zzz'; docs/recipes.md lists the keys (remove it with ~zzz)");
  EXPECT_EQ(errors(minimal, {"seed=1", "optimizr.lr=1"}),
            "<command line>:1:8: error: unknown key 'optimizr'; did you mean 'optimizer'?");
}

TEST(Errors, ArgumentsOfAnotherComponent) {
  EXPECT_EQ(
      below("optimizer: {_component_: torch.optim.SGD, betas: [0.9, 0.9]}\n"),
      "r.yaml:11:43: error: 'optimizer.betas' is not an argument of torch.optim.SGD; remove it (~optimizer.betas)");
  EXPECT_EQ(
      errors("model:\n  _component_: torchtune.models.llama3_2.llama3_2_1b\n  num_layers: 3\n"
             "tokenizer: {max_seq_len: 8}\n"),
      "r.yaml:3:3: error: 'model.num_layers' is not an argument of torchtune.models.llama3_2.llama3_2_1b, whose sizes "
      "are fixed; for sizes of your own use torchtune.models.llama3_2.llama3_2");
  const std::string sized = "model: {_component_: torchtune.models.",
                    rest = ", embed_dim: 64}\ntokenizer: {max_seq_len: 8}\n";
  EXPECT_TRUE(contains(errors(sized + "qwen2_5.qwen2_5_0_5b" + rest), "use torchtune.models.qwen2.qwen2"));
  EXPECT_TRUE(contains(errors(sized + "gemma2.qlora_gemma2_2b, lora_attn_modules: [q_proj]" + rest),
                       "use torchtune.models.gemma2.lora_gemma2 with quantize_base: True"));
  EXPECT_EQ(errors(minimal, {"model.tie_word_embeddings=True"}),
            "<command line>:1:1: error: 'model.tie_word_embeddings' is not an argument of "
            "torchtune.models.llama3_1.llama3_1; "
            "remove it (~model.tie_word_embeddings)");
}

TEST(Errors, Types) {
  EXPECT_EQ(below("batch_size: four\n"), "r.yaml:11:13: error: 'batch_size' needs a whole number, not 'four'");
  EXPECT_EQ(below("batch_size: 4.5\n"), "r.yaml:11:13: error: 'batch_size' needs a whole number, not '4.5'");
  EXPECT_EQ(below("batch_size: \"4\"\n"),
            "r.yaml:11:13: error: 'batch_size' needs a whole number, not the text \"4\"; remove the quotes");
  EXPECT_EQ(below("batch_size: 99999999999999999999\n"),
            "r.yaml:11:13: error: 'batch_size' is '99999999999999999999', which is too large");
  EXPECT_EQ(below("batch_size: [4]\n"), "r.yaml:11:13: error: 'batch_size' needs a whole number, not a list");
  EXPECT_EQ(below("shuffle: maybe\n"), "r.yaml:11:10: error: 'shuffle' needs True or False, not 'maybe'");
  EXPECT_EQ(below("optimizer: torch.optim.AdamW\n"),
            "r.yaml:11:12: error: 'optimizer' needs keys of its own, not 'torch.optim.AdamW'; write 'optimizer: "
            "{_component_: torch.optim.AdamW}'");
  EXPECT_EQ(below("clip_grad_norm: abc\n"), "r.yaml:11:17: error: 'clip_grad_norm' needs a number, not 'abc'");
  EXPECT_EQ(errors(minimal, {"model.num_heads=x"}),
            "<command line>:1:17: error: 'model.num_heads' needs a whole number, not 'x'");
  EXPECT_EQ(errors(minimal, {"tokenizer.max_seq_len=x"}),
            "<command line>:1:23: error: 'tokenizer.max_seq_len' needs a whole number, not 'x'");
  EXPECT_TRUE(contains(below("optimizer: {betas: [0.9]}\n"), "needs a list of two numbers"));
  EXPECT_EQ(errors(minimal, {"batch_size=x=y"}),
            "<command line>:1:12: error: 'batch_size' needs a whole number, not 'x=y'");
}

TEST(Errors, Ranges) {
  EXPECT_EQ(below("batch_size: 0\n"), "r.yaml:11:13: error: 'batch_size' is 0; it must be at least 1");
  EXPECT_EQ(below("loss: {_component_: torchtune.modules.loss.LinearCrossEntropyLoss, num_output_chunks: 0}\n"),
            "r.yaml:11:87: error: 'loss.num_output_chunks' is 0; it must be at least 1");
  EXPECT_EQ(below("loss: {num_output_chunks: 8}\n"),
            "r.yaml:11:8: error: 'loss.num_output_chunks' is not an argument of torch.nn.CrossEntropyLoss; remove it "
            "(~loss.num_output_chunks)");
  EXPECT_EQ(below("seed: -1\n"), "r.yaml:11:7: error: 'seed' is -1; it must be at least 0");
  EXPECT_EQ(below("optimizer: {lr: -1}\n"),
            "r.yaml:11:17: error: 'optimizer.lr' is -1; it must be at least 0 and finite");
  EXPECT_TRUE(contains(below("optimizer: {lr: nan}\n"), "must be at least 0 and finite"));
  EXPECT_TRUE(contains(below("optimizer: {betas: [0.9, 1]}\n"), "must both be at least 0 and below 1"));
  EXPECT_TRUE(contains(errors(minimal, {"model.embed_dim=99999999999"}), "at most 16777216"));
  EXPECT_TRUE(contains(errors(minimal, {"batch_size=1000000", "tokenizer.max_seq_len=1048576"}), "error"));
}

TEST(Errors, ClippingByZero) {
  EXPECT_EQ(below("clip_grad_norm: 0\n"), "r.yaml:11:17: error: 'clip_grad_norm' is 0, which would stop all training; "
                                          "write null for no clipping, or inf to "
                                          "report the norm only");
  EXPECT_TRUE(contains(below("clip_grad_norm: -1\n"), "must be above 0"));
  EXPECT_TRUE(contains(below("clip_grad_norm: .nan\n"), "must be above 0"));
}

TEST(Errors, DataTypes) {
  EXPECT_EQ(below("dtype: fp16\n"),
            "r.yaml:11:8: error: 'dtype' is fp16, whose range is too small to train in; use bf16 or fp32");
  EXPECT_EQ(below("dtype: bfloat16\n"), "r.yaml:11:8: error: 'dtype' is 'bfloat16'; it must be fp32 or bf16");
  EXPECT_EQ(below("dtype: fb16\n"),
            "r.yaml:11:8: error: 'dtype' is 'fb16'; it must be fp32 or bf16; did you mean 'bf16'?");
}

TEST(Errors, LengthOfRows) {
  std::string model = "model: {_component_: torchtune.models.llama2.llama2_7b}\n";
  EXPECT_EQ(errors(model + "tokenizer:\n  max_seq_len: null\ndataset:\n  packed: True\n"),
            "r.yaml:3:3: error: 'tokenizer.max_seq_len' is null or absent: the memory of a step is planned for rows up "
            "to a length; "
            "'dataset.packed' (line 5) needs it too; override tokenizer.max_seq_len=N, N tokens a row");
  EXPECT_EQ(
      errors(model + "tokenizer: {max_seq_len: null}\ndataset: [{packed: True}, {packed: True}]\n"),
      "r.yaml:2:13: error: 'tokenizer.max_seq_len' is null or absent: the memory of a step is planned for rows up "
      "to a length; data sets that are packed need it too; override tokenizer.max_seq_len=N, N tokens a row");
  EXPECT_EQ(errors(model),
            "r.yaml:1:1: error: 'tokenizer.max_seq_len' is null or absent: the memory of a step is planned for rows up "
            "to a length; override tokenizer.max_seq_len=N, N tokens a row, or let the longest sample decide with "
            "--data FILE");
  EXPECT_EQ(errors(model + "tokenizer: {max_seq_len: 4097}\n"),
            "r.yaml:2:13: error: 'tokenizer.max_seq_len' (line 2) is 4097, above the model's longest sequence, 4096");
  EXPECT_EQ(
      errors(minimal, {"tokenizer.max_seq_len=129"}),
      "<command line>:1:1: error: 'tokenizer.max_seq_len' (command line) is 129, above 'model.max_seq_len' (line 8), "
      "128");
}

TEST(Errors, RowsOfOneToken) { // have nothing to predict
  EXPECT_EQ(errors(minimal, {"tokenizer.max_seq_len=1"}),
            "<command line>:1:23: error: 'tokenizer.max_seq_len' is 1; it must be at least 2");
}

TEST(Errors, SizesThatDoNotFit) {
  EXPECT_EQ(
      errors(minimal, {"model.num_heads=3"}),
      "r.yaml:6:3: error: 'model.num_kv_heads' (line 6) is 2, not a divisor of 'model.num_heads' (command line), 3\n"
      "r.yaml:7:3: error: 'model.embed_dim' (line 7) is 64, not a multiple of 'model.num_heads' (command line), 3");
  EXPECT_TRUE(contains(errors(minimal, {"model.num_heads=64"}), "heads of width 1 "));
  EXPECT_TRUE(contains(errors(minimal, {"model.head_dim=7"}), "'model.head_dim' is odd"));
  EXPECT_EQ(
      errors("tokenizer: {max_seq_len: 8}\nmodel: {embed_dim: 8}\n"),
      "r.yaml:2:1: error: 'model' (torchtune.models.llama3_2.llama3_2) lacks vocab_size, num_layers, num_heads, "
      "num_kv_heads, max_seq_len; give them, or name a builder by size, such as torchtune.models.llama3_2.llama3_2_1b");
  EXPECT_EQ(errors(minimal, {"model.vocab_size=258"}),
            "<command line>:1:1: error: 'model.vocab_size' (command line) is 258, below the 259 ids of the byte-level "
            "tokenizer of 'tokenizer' (line 9); set model.vocab_size=259 or more");
  EXPECT_EQ(good(minimal, {"model.vocab_size=259"}).model.vocabSize, 259);
}

TEST(Errors, NotBuiltYet) {
  EXPECT_EQ(
      errors("model:\n  _component_: torchtune.models.llama3_2.dora_llama3_2_1b\n"
             "  lora_attn_modules: [q_proj]\ntokenizer: {max_seq_len: 8}\n"),
      "r.yaml:2:16: error: 'torchtune.models.llama3_2.dora_llama3_2_1b' is no builder: DoRA is a key of those with "
      "adapters: override model=torchtune.models.llama3_2.lora_llama3_2_1b model.use_dora=True");
  EXPECT_TRUE(contains(errors(minimal, {"model=torchtune.models.clip.qdora_clip"}),
                       "with model.use_dora=True model.quantize_base=True"));
  EXPECT_TRUE(contains(errors(minimal, {"model=torchtune.models.clip.clip_vision_encoder"}),
                       "is not built yet; Llama 2 to 3.3, Mistral, Qwen2"));
  // Of a generation that is not known no other one is meant.
  for (const char *other : {"llama4.llama4_scout_17b_16e", "gemma3.gemma3_4b", "phi5.phi5_mini"})
    EXPECT_TRUE(
        contains(errors(minimal, {std::string("model=torchtune.models.") + other}), "is not built yet; Llama 2"))
        << other;
  EXPECT_TRUE(
      contains(errors(minimal, {"model=torchtune.models.llama3_2_vision.llama3_2_vision_11b"}), "is not built yet"));
  EXPECT_EQ(
      errors(minimal, {"model=torchtune.models.llama3_2.llama3_2_1bb"}),
      "<command line>:1:7: error: unknown component 'torchtune.models.llama3_2.llama3_2_1bb' for 'model'; did you mean "
      "'torchtune.models.llama3_2.llama3_2_1b'?");
  EXPECT_EQ(errors(minimal, {"model=torchtune.models.llama3_2.lama"}),
            "<command line>:1:7: error: unknown component 'torchtune.models.llama3_2.lama' for 'model'; did you mean "
            "'torchtune.models.llama3_2.llama3_2'?");
  EXPECT_TRUE(contains(errors(minimal, {"model=torchtune.models.gemma.gema_2b"}),
                       "did you mean 'torchtune.models.gemma.gemma_2b'?"));
  EXPECT_TRUE(contains(errors(minimal, {"tokenizer=torchtune.models.clip.clip_tokenizer"}),
                       "override tokenizer._component_=ftc.tokenizers.byte"));
  EXPECT_TRUE(contains(errors(minimal, {"tokenizer=torchtune.models.qwen2_5.qwen2_5_tokeniser"}),
                       "torchtune.models.qwen2_5.qwen2_5_tokenizer"));
  EXPECT_TRUE(contains(errors(minimal, {"optimizer=torchao.optim.AdamWFp8"}),
                       "is not built yet; what works: override optimizer=torch.optim.AdamW or torch.optim.SGD"));
  for (auto [name, near] : {std::pair("torch.optim.Adam", "torch.optim.AdamW"),
                            {"bitsandbytes.optim.Adam8bit", "bitsandbytes.optim.AdamW8bit"},
                            {"torchao.optim.Adam8bit", "torchao.optim.AdamW8bit"},
                            {"bitsandbytes.optim.PagedAdam", "bitsandbytes.optim.PagedAdamW"},
                            {"bitsandbytes.optim.Lion8bit", "bitsandbytes.optim.AdamW8bit"},
                            {"torchao.prototype.low_bit_optim.CPUOffloadOptimizer",
                             "bitsandbytes.optim.PagedAdamW or PagedAdamW8bit, whose states lie outside of the "
                             "device's memory"}})
    EXPECT_TRUE(errors(minimal, {std::string("optimizer=") + name})
                    .ends_with(std::string("is not built yet; what works: override optimizer=") + near))
        << name;
  EXPECT_TRUE(
      contains(errors(minimal, {"optimizer=my.Optimizer"}),
               "unknown component 'my.Optimizer' for 'optimizer': there is no Python here, so a module of your "
               "own cannot be used; what works: torch.optim.AdamW, torch.optim.SGD, bitsandbytes.optim.AdamW, "));
  EXPECT_TRUE(contains(errors(minimal, {"dataset=my_project.data.my_dataset"}),
                       "there is no Python here; write its records as JSON lines"));
  // Whatever the case, and with or without underscores.
  for (const char *name : {"paged_adamw", "PAGEDADAMW", "bitsandbytes.optim.paged_adamw"})
    EXPECT_TRUE(contains(errors(minimal, {std::string("optimizer=") + name}), "bitsandbytes.optim.PagedAdamW")) << name;
  EXPECT_TRUE(contains(errors(minimal, {"loss=cross_entropy_loss"}), "did you mean 'torch.nn.CrossEntropyLoss'?"));
  // Of many the first, and how many more there are.
  EXPECT_TRUE(contains(errors(minimal, {"model=transformer"}), " more (docs/recipes.md)"));
  EXPECT_TRUE(contains(errors(minimal, {"dataset=torchtune.datasets.multimodal.the_cauldron_dataset"}),
                       "text_completion_dataset"));
  EXPECT_TRUE(contains(errors(minimal, {"checkpointer=torchtune.training.DistributedCheckpointer"}),
                       "override checkpointer=torchtune.training.FullModelHFCheckpointer"));
  EXPECT_TRUE(contains(errors(minimal, {"checkpointer.checkpoint_dir=/m", "checkpointer.checkpoint_files=[a.h5]"}),
                       "names 'a.h5', and what is read are safetensors and PyTorch's .bin, .pt and .pth"));
  EXPECT_TRUE(contains(
      errors(minimal, {"checkpointer=torchtune.training.FullModelMetaCheckpointer", "checkpointer.checkpoint_dir=/m",
                       "checkpointer.checkpoint_files=[consolidated.00.pth,consolidated.01.pth]"}),
      "names 2 files of Meta's, which are parts of one model for as many devices"));
  EXPECT_EQ(
      errors(minimal, {"dataset.source=parquet"}),
      "<command line>:1:1: error: 'dataset.source' (command line) is 'parquet', and what is read are json, csv "
      "and text; write them anew once, in Python: datasets.load_dataset(…, split=\"train\").to_json(\"x.jsonl\"), "
      "and override dataset.source=json dataset.data_files=x.jsonl");
  EXPECT_EQ(good(minimal, {"dataset.source=tatsu-lab/alpaca"}).dataset.source, "tatsu-lab/alpaca");
  EXPECT_TRUE(
      contains(errors(minimal, {"checkpointer.recipe_checkpoint=recipe_state.pt", "resume_from_checkpoint=True"}),
               "start a run from what torchtune trained with checkpointer.checkpoint_dir=OUT/epoch_N"));
  EXPECT_EQ(good(minimal, {"checkpointer.recipe_checkpoint=null", "resume_from_checkpoint=True"}).resumeFromCheckpoint,
            true);
  EXPECT_TRUE(contains(errors(minimal, {"model.attn_dropout=0.1"}), "dropout is not built yet"));
  EXPECT_TRUE(contains(errors(minimal, {"optimizer.amsgrad=True"}), "only False works"));
  EXPECT_TRUE(contains(errors(minimal, {"optimizer.maximize=True"}), "'optimizer.maximize' is 'True', and only False"));
  EXPECT_EQ(good(minimal, {"optimizer.amsgrad=False", "model.attn_dropout=0", "gradient_accumulation_steps=8"})
                .gradientAccumulationSteps,
            8);
}

TEST(Errors, BitsandbytesNamesOfOptimizers) {
  // The same classes by other names, which is what a step is compiled for and says.
  for (auto [name, usual] : {std::pair("AdamW32bit", "AdamW"), {"PagedAdamW32bit", "PagedAdamW"}}) {
    const Recipe r = good(minimal, {std::string("optimizer=bitsandbytes.optim.") + name, "optimizer.betas=[0.8, 0.9]"});
    EXPECT_EQ(r.optimizer.component, std::string("bitsandbytes.optim.") + usual);
    EXPECT_EQ(r.optimizer.stateType, DType::F32);
    EXPECT_EQ(r.optimizer.paged, std::string(usual) == "PagedAdamW");
    EXPECT_FALSE(r.optimizer.quantizedStates);
  }
  EXPECT_EQ(errors(minimal, {"optimizer.bf16_stochastic_round=True"}),
            "<command line>:1:1: error: 'optimizer.bf16_stochastic_round' is not a key here: stochastic rounding has a "
            "key of its own: stochastic_rounding=True; remove it (~optimizer.bf16_stochastic_round)");
  EXPECT_TRUE(contains(errors(minimal, {"dataset.field=data"}), "is written as the list in it first"));
  EXPECT_TRUE(contains(errors(minimal, {"dataset.sample_by=document"}), "a text file is one document, or with"));
  EXPECT_TRUE(contains(errors(minimal, {"optimizer.optim_bits=8"}), "bitsandbytes.optim.AdamW8bit for 8"));
  EXPECT_TRUE(contains(errors(minimal, {"optimizer.is_paged=True"}), "bitsandbytes.optim.PagedAdamW or"));
}

TEST(Errors, OtherRecipes) {
  EXPECT_TRUE(contains(below("ref_policy_checkpointer: {}\n"), "recipes for reinforcement learning"));
  EXPECT_TRUE(contains(below("top_k: 300\n"), "recipes for generating text"));
  // One error for a recipe, however many of its keys and components say it.
  EXPECT_EQ(below("loss: {_component_: torchtune.rlhf.loss.PPOLoss}\nvalue_checkpointer: {}\nsede: 1\n"),
            "r.yaml:11:21: error: 'torchtune.rlhf.loss.PPOLoss' belongs to recipes for reinforcement learning, or with "
            "another loss of preferences than DPO's and RSO's, which are not built; full fine-tuning, LoRA, QLoRA, "
            "quantization-aware training, DPO, "
            "and knowledge distillation are: "
            "for one of these remove it (~value_checkpointer) and override loss=torch.nn.CrossEntropyLoss");
  EXPECT_TRUE(
      contains(below("temperature: 0.7\nref_policy_checkpointer: {}\n"
                     "loss: {_component_: torchtune.rlhf.loss.PPOLoss}\n"),
               "'ref_policy_checkpointer' belongs to recipes for reinforcement learning, or with another loss of "
               "preferences than DPO's and RSO's, which are not built; "
               "full fine-tuning, LoRA, QLoRA, quantization-aware training, DPO, and knowledge distillation "
               "are: for one of these remove them (~temperature "
               "~ref_policy_checkpointer) and override loss=torch.nn.CrossEntropyLoss"));
  EXPECT_EQ(
      below("quantizer: null\ntasks: [truthfulqa_mc2]\nlimit: null\n"),
      "r.yaml:12:1: error: 'tasks' belongs to recipes for evaluation, which are not built; full fine-tuning, LoRA, "
      "QLoRA, quantization-aware training, DPO, and knowledge distillation are: for one of these remove them "
      "(~tasks ~limit)");
  // A name of the recipe's own that it uses elsewhere is not meant.
  EXPECT_EQ(good(std::string(minimal) + "limit: 3\nepochs: ${limit}\n").epochs, 3);
}

TEST(Errors, Momentum) {
  const std::string sgd = "optimizer=torch.optim.SGD";
  EXPECT_EQ(errors(minimal, {sgd, "optimizer.nesterov=True"}),
            "<command line>:1:27: error: 'optimizer.nesterov' (command line) has a meaning only with "
            "'optimizer.momentum' (absent) above 0; set optimizer.momentum=0.9, or remove it (~optimizer.nesterov)");
  EXPECT_TRUE(contains(errors(minimal, {sgd, "optimizer.dampening=0.5"}), "only with 'optimizer.momentum' (absent)"));
  EXPECT_TRUE(
      contains(errors(minimal, {sgd, "optimizer.momentum=0.9", "optimizer.dampening=0.5", "optimizer.nesterov=True"}),
               "'optimizer.nesterov' (command line) does not go with 'optimizer.dampening' (command line)"));
  EXPECT_TRUE(contains(errors(minimal, {sgd, "optimizer.momentum=-1"}), "it must be at least 0 and at most 1"));
  EXPECT_TRUE(contains(errors(minimal, {"optimizer.momentum=0.9"}), "is not an argument of torch.optim.AdamW"));
}

TEST(Errors, PrecisionOfUpdates) {
  EXPECT_TRUE(contains(errors(minimal, {"optimizer_state_dtype=fp8"}), "it must be fp32 or bf16"));
  EXPECT_TRUE(contains(errors(minimal, {"optimizer=torch.optim.SGD", "optimizer_state_dtype=bf16"}),
                       "'optimizer_state_dtype' (command line) has a meaning only with states, and "
                       "'optimizer._component_' (command line), torch.optim.SGD, has none without "
                       "'optimizer.momentum' (absent)"));
  EXPECT_TRUE(contains(errors(minimal, {"dtype=bf16", "master_weights=bf16"}), "it must be fp32, or null for none"));
  EXPECT_TRUE(contains(errors(minimal, {"master_weights=fp32"}),
                       "'master_weights' (command line) has nothing to do where 'dtype' (absent) is fp32"));
  EXPECT_TRUE(contains(errors(minimal, {"stochastic_rounding=True"}),
                       "'stochastic_rounding' (command line) has nothing to do where 'dtype' (absent) is fp32"));
  EXPECT_TRUE(contains(errors(minimal, {"dtype=bf16", "master_weights=fp32", "stochastic_rounding=True"}),
                       "'stochastic_rounding' (command line) does not go with 'master_weights' (command line)"));
}

TEST(Errors, Qlora) {
  const std::string sizes =
      "model: {_component_: torchtune.models.llama3_1.lora_llama3_1, vocab_size: 512, num_layers: 1, "
      "num_heads: 4, num_kv_heads: 2, embed_dim: 64, max_seq_len: 64, intermediate_dim: 256,\n"
      "  lora_attn_modules: [q_proj], quantize_base: True}\ntokenizer: {max_seq_len: 8}\n";
  EXPECT_EQ(errors(sizes),
            "r.yaml:2:32: error: 'model.quantize_base' (line 2): q_proj has 64 x 64 elements, no multiple of 16384 as "
            "torchao's NF4 needs; set model.quantizer=bitsandbytes, which takes any size");
  EXPECT_EQ(good(sizes, {"model.quantizer=bitsandbytes"}).quantizedBase, Nf4Quantizer::Bitsandbytes);
  EXPECT_EQ(good(sizes, {"model.quantize_base=False"}).quantizedBase, std::nullopt);
  EXPECT_EQ(
      errors(sizes, {"model.quantizer=torcha"}),
      "<command line>:1:1: error: 'model.quantizer' is 'torcha'; it must be torchao or bitsandbytes; did you mean "
      "'torchao'?");
  EXPECT_TRUE(contains(errors(minimal, {"model.quantize_base=True"}), "it belongs to LoRA builders"));
}

TEST(Errors, Lora) {
  const std::string lora = "model:\n  _component_: torchtune.models.llama3_2.lora_llama3_2_1b\n"
                           "  lora_attn_modules: [q_proj, v_proj]\ntokenizer: {max_seq_len: 8}\n";
  EXPECT_EQ(errors(lora, {"model.lora_rank=0"}),
            "<command line>:1:17: error: 'model.lora_rank' is 0; it must be at least 1");
  EXPECT_TRUE(contains(errors(lora, {"model.lora_alpha=0"}), "'model.lora_alpha' is 0; it must be above 0 and finite"));
  EXPECT_TRUE(contains(errors(lora, {"model.lora_alpha=1e300"}), "is 1e300; it must be above 0 and finite in fp32"));
  EXPECT_TRUE(contains(errors(minimal, {"model.norm_eps=1e300"}),
                       "'model.norm_eps' is 1e300; it must be above 0 and finite in fp32"));
  EXPECT_EQ(errors(lora, {"model.lora_attn_modules=[q_proj,o_proj]"}),
            "<command line>:1:25: error: 'model.lora_attn_modules' names 'o_proj', which is none of q_proj, k_proj, "
            "v_proj, output_proj; did you mean 'output_proj'?");
  EXPECT_TRUE(contains(errors(lora, {"model.lora_attn_modules=[v_porj]"}), "did you mean 'v_proj'?"));
  EXPECT_TRUE(contains(errors(lora, {"model.lora_attn_modules=[up_proj]"}), "model.apply_lora_to_mlp=True"));
  EXPECT_TRUE(contains(errors(lora, {"model.lora_attn_modules=[]", "model.apply_lora_to_mlp=True"}),
                       "<command line>:1:25: error: 'model.lora_attn_modules' is empty"));
  EXPECT_TRUE(contains(errors(lora, {"~model.lora_attn_modules"}), "r.yaml:1:1: error: 'model' "
                                                                   "(torchtune.models.llama3_2.lora_llama3_2_1b) lacks "
                                                                   "lora_attn_modules"));
  EXPECT_TRUE(contains(errors(lora, {"model.apply_lora_to_output=True"}),
                       "is the embedding table itself (tied embeddings); set it to False, or "
                       "model.tie_word_embeddings=False"));
  // Gemma's builders have no such argument.
  const std::string gemma =
      errors(lora, {"model=torchtune.models.gemma.lora_gemma_2b", "model.apply_lora_to_output=True"});
  EXPECT_TRUE(contains(gemma, "(tied embeddings); set it to False"));
  EXPECT_EQ(gemma.find("tie_word_embeddings"), gemma.npos) << gemma;
  EXPECT_TRUE(contains(errors(lora, {"model.lora_dropout=1.0"}), "it must be at least 0 and below 1"));
  EXPECT_TRUE(contains(errors(lora, {"model.num_layers=2"}), "torchtune.models.llama3_2.lora_llama3_2"));
  EXPECT_EQ(good(lora, {"checkpointer.adapter_checkpoint=adapter_0.pt"}).checkpointer.adapterCheckpoint,
            "adapter_0.pt");
  EXPECT_TRUE(contains(errors(minimal, {"model.lora_rank=8"}), "it belongs to LoRA builders"));
  EXPECT_TRUE(contains(errors(minimal, {"checkpointer.adapter_checkpoint=/a"}), "needs a LoRA builder"));
}

TEST(Errors, Combinations) {
  EXPECT_EQ(
      below("memory_budget: 12 XB\n"),
      "r.yaml:11:16: error: 'memory_budget' is '12 XB'; it must be a number of bytes above 0, or one with a unit, such "
      "as 12GiB");
  EXPECT_TRUE(
      contains(below("gradient_accumulation_steps: 2\noptimizer_in_bwd: True\n"),
               "r.yaml:12:1: error: 'optimizer_in_bwd' (line 12) does not go with 'gradient_accumulation_steps' "
               "(line 11) above 1"));
  EXPECT_EQ(
      below("output_dir: /m/../m/out\ncheckpointer: {checkpoint_dir: /m/}\n"),
      "r.yaml:11:1: error: 'output_dir' (line 11) lies inside 'checkpointer.checkpoint_dir' (line 12), '/m/'; write "
      "somewhere else");
  EXPECT_EQ(good(minimal, {"output_dir=/models", "checkpointer.checkpoint_dir=/m"}).outputDir, "/models");
}

TEST(Errors, SequenceLengths) {
  // The length of a row of `minimal` is in its line 3.
  EXPECT_TRUE(contains(below("sequence_lengths: [2, 100000]\n"),
                       "r.yaml:11:23: error: 'sequence_lengths' has '100000'; each must be a whole number from 2 to "
                       "'tokenizer.max_seq_len'"));
  EXPECT_TRUE(contains(below("sequence_lengths: [1]\n"), "r.yaml:11:20: error: 'sequence_lengths' has '1'"));
  EXPECT_TRUE(contains(below("sequence_lengths: short\n"), "has 'short'; each must be a whole number"));
  EXPECT_TRUE(contains(below("sequence_lengths: {a: 1}\n"), "has a map; each must be a whole number"));
  EXPECT_TRUE(contains(below("sequence_lengths: [[3]]\n"), "has a list; each must be a whole number"));
}

TEST(Errors, ActivationCheckpointing) {
  EXPECT_EQ(
      below("activation_checkpointing:\n  mode: selectve\n"),
      "r.yaml:12:9: error: 'activation_checkpointing.mode' is 'selectve'; it must be full, selective or auto; did you "
      "mean 'selective'?");
  EXPECT_EQ(below("activation_checkpointing: {every: 0}\n"),
            "r.yaml:11:35: error: 'activation_checkpointing.every' is 0; it must be at least 1");
  EXPECT_EQ(below("activation_checkpointing: {every: 3}\n"),
            "r.yaml:11:35: error: 'activation_checkpointing.every' is 3; it must be at least 1 and at most 2");
  EXPECT_EQ(below("enable_activation_checkpointing: False\nactivation_checkpointing: {mode: selective}\n"),
            "r.yaml:12:28: error: 'activation_checkpointing.mode' (line 12) needs 'enable_activation_checkpointing' "
            "(line 11) to be True or absent; set enable_activation_checkpointing=True");
  EXPECT_EQ(below("activation_checkpointing: full\n"),
            "r.yaml:11:27: error: 'activation_checkpointing' needs keys of its own, not 'full'; see docs/recipes.md");
  EXPECT_TRUE(
      contains(below("activation_checkpointing: {mod: full}\n"), "did you mean 'activation_checkpointing.mode'?"));
}

TEST(Errors, Scheduler) {
  EXPECT_TRUE(
      contains(below("lr_scheduler: {num_cycles: 1}\n"), "r.yaml:11:1: error: 'lr_scheduler' lacks num_warmup_steps"));
  EXPECT_TRUE(contains(below("lr_scheduler: {num_warmup_steps: -1}\n"), "must be at least 0"));
  const auto schedule = [](const std::string &name, const std::string &rest) {
    return below("lr_scheduler: {_component_: transformers.get_" + name + ", num_warmup_steps: 3" + rest + "}\n");
  };
  const std::string low = "cosine_with_min_lr_schedule_with_warmup", end = "polynomial_decay_schedule_with_warmup";
  EXPECT_EQ(schedule(low, ""), "r.yaml:11:1: error: 'lr_scheduler' lacks min_lr or min_lr_rate; set one of them");
  EXPECT_TRUE(contains(schedule(low, ", min_lr: 0, min_lr_rate: 0"),
                       "error: 'lr_scheduler' has both min_lr and min_lr_rate; remove one of them"));
  EXPECT_TRUE(contains(schedule(low, ", min_lr_rate: 2"), "must be at least 0 and at most 1"));
  EXPECT_TRUE(contains(schedule(end, ", lr_end: 1"),
                       "error: 'lr_scheduler.lr_end' (line 11) is 1, which is not below "
                       "'optimizer.lr' (absent), 0.001, where the decay begins; lower it"));
  EXPECT_TRUE(contains(schedule("wsd_schedule", ""), "error: 'lr_scheduler' lacks num_decay_steps"));
  EXPECT_TRUE(contains(schedule("wsd_schedule", ", num_decay_steps: 3, decay_type: cosin"),
                       "'lr_scheduler.decay_type' is 'cosin'; it must be linear, cosine or 1-sqrt; did you mean "
                       "'cosine'?"));
  EXPECT_TRUE(contains(schedule("linear_schedule_with_warmup", ", num_cycles: 2"),
                       "'lr_scheduler.num_cycles' is not an argument of transformers.get_linear_schedule_with_warmup"));
  EXPECT_TRUE(contains(schedule("constant_schedule", ""), "'lr_scheduler.num_warmup_steps' is not an argument"));
  EXPECT_TRUE(contains(schedule("linear_schedule", ""),
                       "'transformers.get_linear_schedule' is not built; what works: torchtune.training.lr_schedulers."
                       "get_cosine_schedule_with_warmup, transformers' schedules such as "
                       "transformers.get_linear_schedule_with_warmup, or ~lr_scheduler for a constant rate"));
  EXPECT_TRUE(contains(below("lr_scheduler: {_component_: torch.optim.lr_scheduler.StepLR}\n"),
                       "'torch.optim.lr_scheduler.StepLR' is not built; what works: "));
}

TEST(Errors, OverridesThatAreNone) {
  EXPECT_EQ(errors(minimal, {"seed=1", "batch_size"}),
            "<command line>:1:8: error: 'batch_size' is not an override; write key=value, key.inner=value or ~key");
  EXPECT_EQ(errors(minimal, {"~batch_sze"}),
            "<command line>:1:1: error: cannot remove 'batch_sze': the recipe has no such key");
  EXPECT_EQ(errors(minimal, {"~model.num_layer"}),
            "<command line>:1:1: error: cannot remove 'model.num_layer': the recipe has no such key; did you mean "
            "'model.num_layers'?");
  EXPECT_TRUE(contains(errors(minimal, {"=1"}), "is not an override"));
  EXPECT_TRUE(contains(errors(minimal, {".a=1"}), "is not an override"));
  EXPECT_TRUE(contains(errors(minimal, {"model.num_layers.x=1"}), "'model.num_layers' is not a map"));
  EXPECT_TRUE(contains(errors(minimal, {"output_dir=[a"}), "<command line>:1:"));
  EXPECT_TRUE(contains(errors(minimal, {"output_dir=[a"}), "put the value in quotes"));
}

TEST(Errors, Interpolation) {
  EXPECT_EQ(below("output_dir: ${model_dir}/x\n"),
            "r.yaml:11:13: error: '${model_dir}' refers to 'model_dir', which the recipe does not have");
  EXPECT_EQ(below("seed: 1\noutput_dir: ${sead}\n"),
            "r.yaml:12:13: error: '${sead}' refers to 'sead', which the recipe does not have; did you mean 'seed'?");
  EXPECT_EQ(below("a: ${b}\nb: ${a}\n"), "r.yaml:11:4: error: interpolation goes in a circle: a -> b -> a");
  EXPECT_TRUE(contains(below("output_dir: ${seed\n"), "'${' without '}'"));
  EXPECT_TRUE(contains(below("output_dir: x${model}\n"), "its value is a map"));
  EXPECT_TRUE(contains(below("output_dir: ${oc.env:HOME}\n"), "resolvers are not supported"));
  EXPECT_TRUE(contains(below("optimizer: {lr: \"${optimizer}\"}\n"), "lies inside what it refers to"));
  EXPECT_TRUE(contains(below("a: {x: \"${b}\"}\nb: {y: \"${a}\"}\n"), "circle"));
}

TEST(Errors, Yaml) {
  EXPECT_EQ(errors(""), "r.yaml:1:1: error: the recipe is empty; start with 'model:', 'tokenizer:' and 'dataset:' (see "
                        "docs/recipes.md)");
  EXPECT_EQ(errors("- a\n"), "r.yaml:1:1: error: a recipe is a map of keys, such as 'batch_size: 4'");
  EXPECT_EQ(errors("seed: 1\nbatch_size: 2\nseed: 3\n"),
            "r.yaml:3:1: error: the key 'seed' is given twice, first in line 1; remove one of them");
  EXPECT_TRUE(contains(errors("a: [1, 2\nb: 3\n"), "r.yaml:2:"));
  EXPECT_EQ(errors("a: 1\nb: \x04\n"), "r.yaml:2:4: error: the control character 0x04 cannot stand in YAML; remove it");
  EXPECT_EQ(errors("a: \u00fc\xff\n"), "r.yaml:1:5: error: not UTF-8 text (byte 0xff); save it as UTF-8");
  EXPECT_EQ(good("\xef\xbb\xbf" + std::string(minimal)).seqLen, 32); // a byte order mark
  EXPECT_TRUE(contains(errors("a: 1\n---\nb: 2\n"),
                       "r.yaml:2:1: error: not YAML from here on: a second document, or a character out of place"));
  EXPECT_TRUE(contains(errors(","), "r.yaml:1:1: error: not YAML from here on"));
  EXPECT_TRUE(contains(errors("a: &x [*x]\n"), "nested more than 32 deep"));
  EXPECT_TRUE(contains(errors("a: " + std::string(5000, '[') + std::string(5000, ']')), "nested too deep"));
  EXPECT_EQ(errors("seed: 1\na: \"b\nc: 3\n"),
            "r.yaml:2:4: error: this quote is not closed; close it, or write two of the same kind for one in the text");
  EXPECT_TRUE(contains(errors("a: \u00fc\nb: 'it''s\n"), "r.yaml:2:4: error: this quote is not closed"));
  EXPECT_TRUE(contains(errors("a: \"b\\\"\n"), "r.yaml:1:4: error: this quote is not closed"));
  EXPECT_TRUE(contains(errors("a: !python/object 1\n"), "has no meaning in a recipe"));
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    std::string last = "*a" + std::to_string(i - 1), name = "a" + std::to_string(i);
    bomb += name + ": &" + name + " [" + last + "," + last + "," + last + "," + last + "," + last + "]\n";
  }
  EXPECT_TRUE(contains(errors(bomb), "more than 20000 values"));
  std::string copies = "b0: {x: 1, y: 1}\n";
  for (int i = 1; i < 40; ++i) {
    std::string last = "\"${b" + std::to_string(i - 1) + "}\"";
    copies += "b" + std::to_string(i) + ": {x: " + last + ", y: " + last + "}\n";
  }
  EXPECT_TRUE(contains(errors(copies), "interpolation copies more than 20000 values"));
}

/// Anything at all: a recipe or errors, never a crash, never neither.
static void parseAnything(const std::string &text, const std::vector<std::string> &overrides = {}) {
  std::vector<Diagnostic> diags;
  std::optional<Recipe> recipe = parseRecipe(text, "r.yaml", overrides, diags);
  EXPECT_EQ(recipe.has_value(), diags.empty()) << text;
  if (!recipe)
    return;
  std::optional<Recipe> again = parseRecipe(recipe->normalizedYaml, "n.yaml", {}, diags);
  ASSERT_TRUE(again.has_value()) << diags[0].str() << "\n" << recipe->normalizedYaml;
  EXPECT_EQ(again->normalizedYaml, recipe->normalizedYaml);
}

static const std::string full = std::string(minimal) +
                                "output_dir: \"o/${seed}\"\n"
                                "seed: 1\n"
                                "dataset: {packed: True, column: 'a b', data_files: [x]}\n"
                                "optimizer: {_component_: torch.optim.AdamW, betas: [0.9, 0.99]}\n"
                                "lr_scheduler:\n  num_warmup_steps: 2 # steps\n"
                                "clip_grad_norm: .inf\n"
                                "checkpointer: &c\n  checkpoint_dir: /m\n"
                                "  checkpoint_files: {filename_format: 'm{}-{}.safetensors', "
                                "max_filename: \"02\"}\n";

static const std::string lists =
    std::string(minimal) +
    "dataset:\n"
    "  - {_component_: torchtune.datasets.chat_dataset, split: 'train[:9%]', data_files: [a, b]}\n"
    "  - _component_: torchtune.datasets.alpaca_dataset\n"
    "    masking_strategy: train_on_last\n"
    "dataset_val: [{data_files: c, split: 'x[5:]'}, {packed: True}]\n"
    "run_val_every_n_steps: 3\n"
    "lr_scheduler: {_component_: transformers.get_wsd_schedule, num_warmup_steps: 1, num_decay_steps: 2}\n";

TEST(Fuzz, EveryPrefix) {
  for (const std::string &text : {full, lists})
    for (size_t length = 0; length <= text.size(); ++length)
      parseAnything(text.substr(0, length));
}

TEST(Fuzz, RandomChanges) {
  std::mt19937 random(1);
  const std::string letters = "abz019 :-#{}[],&*!|>'\"%@`$~?=.\n\t\\\x01\xff_";
  for (int round = 0; round < 3000; ++round) {
    std::string text = round % 2 ? full : lists;
    for (int change = 0; change < 1 + round % 4; ++change) {
      size_t at = random() % text.size();
      char letter = letters[random() % letters.size()];
      if (random() % 3 == 0)
        text.erase(at, 1 + random() % 8);
      else if (random() % 2 == 0)
        text.insert(at, 1, letter);
      else
        text[at] = letter;
    }
    parseAnything(text);
  }
}

TEST(Fuzz, RandomBytes) {
  std::mt19937 random(2);
  for (int round = 0; round < 500; ++round) {
    std::string text(random() % 100, ' ');
    for (char &c : text)
      c = static_cast<char>(random());
    parseAnything(text);
    for (char &c : text)
      c = static_cast<char>(c % 10 == 0 ? '\n' : ' ' + (c & 127) % 95);
    parseAnything(text);
    parseAnything(minimal, {text});
    parseAnything(minimal, {"output_dir=" + text});
  }
  parseAnything(std::string(100000, '['));
  parseAnything(std::string(100000, '{'));
  parseAnything("a: " + std::string(100000, '-'));
}
