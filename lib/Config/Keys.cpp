//===- Keys.cpp - The one table of recipe keys ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Config/Keys.h"

namespace ftc {

static constexpr KeyClass C = KeyClass::Compiled;
static constexpr KeyClass R = KeyClass::Run;
static constexpr KeyClass N = KeyClass::NoEffect;

static constexpr const char *explicitBuilders =
    "llama2 llama3 llama3_1 llama3_2 mistral qwen2 qwen3 gemma gemma2 phi3 gemma3 smollm3 olmo2 granite";
static constexpr const char *lora = "lora_*";
static constexpr const char *textCompletion = "text_completion_dataset wikitext_dataset cnn_dailymail_articles_dataset";
static constexpr const char *chat = "chat_dataset";
static constexpr const char *chatOrShareGpt = "chat_dataset slimorca_dataset";
static constexpr const char *prompted = "chat_dataset slimorca_dataset instruct_dataset grammar_dataset samsum_dataset "
                                        "preference_dataset hh_rlhf_helpful_dataset";
static constexpr const char *mapped =
    "instruct_dataset grammar_dataset samsum_dataset alpaca_dataset alpaca_cleaned_dataset slimorca_dataset "
    "preference_dataset stack_exchange_paired_dataset hh_rlhf_helpful_dataset";
static constexpr const char *conversations =
    "chat_dataset slimorca_dataset instruct_dataset grammar_dataset samsum_dataset alpaca_dataset "
    "alpaca_cleaned_dataset preference_dataset stack_exchange_paired_dataset hh_rlhf_helpful_dataset";

static constexpr const char *warmedUp =
    "get_cosine_schedule_with_warmup get_linear_schedule_with_warmup get_constant_schedule_with_warmup "
    "get_cosine_with_min_lr_schedule_with_warmup get_cosine_with_hard_restarts_schedule_with_warmup "
    "get_polynomial_decay_schedule_with_warmup get_wsd_schedule";
static constexpr const char *waves = "get_cosine_schedule_with_warmup get_cosine_with_min_lr_schedule_with_warmup "
                                     "get_cosine_with_hard_restarts_schedule_with_warmup get_wsd_schedule";
static constexpr const char *minLr = "get_cosine_with_min_lr_schedule_with_warmup";
static constexpr const char *polynomial = "get_polynomial_decay_schedule_with_warmup";
static constexpr const char *wsd = "get_wsd_schedule";

static constexpr const char *activationQuantizers =
    "Int8DynActInt4WeightQATQuantizer Int8DynActInt4WeightQATQuantizerModuleSwap";
static constexpr const char *weightQuantizers = "Int4WeightOnlyQATQuantizer Int4WeightOnlyQATQuantizerModuleSwap";

using enum ValueType;

// For keys without effect, `fallback` is a value that needs no remark ("*": none does, since what they may ask for is
// always so), and `meaning` is the reason that the remark gives.
// clang-format off
static const std::vector<KeyInfo> table = {
  {"output_dir", R, Text, "out", "", nullptr, "where everything is written; `ftrun --out` wins"},

  {"model._component_", C, Text, "torchtune.models.llama3_2.llama3_2", "", nullptr, "builder: by size (`torchtune.models.llama3_2.llama3_2_1b`) or with the arguments below (`torchtune.models.llama3_1.llama3_1`)"},
  {"model.path", C, Text, "", "from_config lora_from_config qlora_from_config", nullptr, "folder of the `config.json` that names the model, or that file; absent: `checkpointer.checkpoint_dir`"},
  {"model.vocab_size", C, Int, "", explicitBuilders, nullptr, "rows of the embedding table (required)"},
  {"model.num_layers", C, Int, "", explicitBuilders, nullptr, "transformer layers (required)"},
  {"model.num_heads", C, Int, "", explicitBuilders, nullptr, "query heads (required)"},
  {"model.num_kv_heads", C, Int, "", explicitBuilders, nullptr, "key and value heads, a divisor of `num_heads` (required; null: as many)"},
  {"model.embed_dim", C, Int, "", explicitBuilders, nullptr, "width of the residual stream (required)"},
  {"model.head_dim", C, Int, "", explicitBuilders, nullptr, "width of a head, even; absent: `embed_dim / num_heads` (ftc's own key; torchtune's too for qwen3, gemma and gemma2; gemma, gemma2 and gemma3 require it)"},
  {"model.intermediate_dim", C, Int, "", explicitBuilders, nullptr, "feed-forward width; absent: 8/3 of `embed_dim`, rounded up to a multiple of 256, as torchtune computes it (required: gemma, gemma2, gemma3)"},
  {"model.max_seq_len", C, Int, "", explicitBuilders, nullptr, "longest sequence of the model (required); `tokenizer.max_seq_len` may not be above it"},
  {"model.norm_eps", C, Float, "", explicitBuilders, nullptr, "epsilon of RMSNorm; absent: 1e-5, or 1e-6 (gemma, gemma2, gemma3, smollm3, granite)"},
  {"model.rope_base", C, Float, "", explicitBuilders, nullptr, "rotary base; absent: 10000 (llama2, mistral, gemma, gemma2, phi3, olmo2, granite), 500000 (llama3 and later), 1000000 (qwen2, qwen3, gemma3), 2000000 (smollm3)"},
  {"model.scale_factor", C, Float, "", "llama3_1 llama3_2 gemma3", nullptr, "Llama 3's rotary scaling, or what positions are divided by in layers without a window (gemma3); absent: 8 (llama3_1), 32 (llama3_2), 1 (gemma3); 1 is no scaling"},
  {"model.tie_word_embeddings", C, Bool, "", "llama3_2 llama3_2_1b llama3_2_3b qwen2 qwen3 phi3 smollm3 olmo2 granite", nullptr, "one table for embedding and head; absent: True (llama3_2, smollm3), False (qwen2, qwen3, phi3, olmo2, granite)"},
  {"model.partial_rotary_factor", C, Float, "1.0", "phi3", nullptr, "ftc's own key: part of each head, from its first column on, that the rotary embedding turns (Phi-4 mini: 0.75)"},
  {"model.rope_short_factor", C, FloatList, "null", "phi3", nullptr, "ftc's own key: LongRoPE: what the angle of each pair of columns is divided by (Phi-4 mini, Phi-3 with 128k positions); null: positions are as they are"},
  {"model.rope_long_factor", C, FloatList, "null", "phi3", nullptr, "ftc's own key: the same of rows longer than `original_max_seq_len`, which are not built; it goes with `rope_short_factor`, and to checkpoints"},
  {"model.original_max_seq_len", C, Int, "null", "phi3", nullptr, "ftc's own key: with `rope_short_factor`: the longest sequence before LongRoPE, and the longest row here"},
  {"model.hidden_capping_value", C, Float, "50", "gemma2", nullptr, "scores of attention are capped to it: `cap * tanh(score / cap)`; null: not at all"},
  {"model.final_capping_value", C, Float, "30", "gemma2", nullptr, "logits are capped to it; null: not at all"},
  {"model.sliding_window_size", C, Int, "", "mistral gemma2 phi3 gemma3", nullptr, "positions that a token sees, itself included, in every layer (ftc's own key for mistral, phi3), every other one, from the first on (gemma2), or those that `sliding_window_pattern` leaves (gemma3); absent: all of them (mistral, phi3), 4096 (gemma2, gemma3)"},
  {"model.sliding_window_pattern", C, Int, "6", "gemma3", nullptr, "each so many-th layer has no window and `rope_base`, the others have the window and `rope_local_base_freq`; null: all are others"},
  {"model.rope_local_base_freq", C, Float, "10000.0", "gemma3", nullptr, "rotary base of layers with a window, which is not scaled"},
  {"model.no_rope_layer_interval", C, Int, "4", "smollm3", nullptr, "each so many-th layer has no rotary embedding; null: all layers have it"},
  {"model.embedding_multiplier", C, Float, "1.0", "granite", nullptr, "factor of embeddings"},
  {"model.residual_multiplier", C, Float, "1.0", "granite", nullptr, "factor of what attention and feed-forward block add to the residual stream"},
  {"model.attention_multiplier", C, Float, "1.0", "granite", nullptr, "factor of scores of attention, in place of `head_dim^-0.5`"},
  {"model.logits_scaling", C, Float, "1.0", "granite", nullptr, "what logits are divided by"},
  {"model.query_pre_attn_scalar", C, Int, "null", "gemma2 gemma3", nullptr, "scores of attention are divided by its root; null: by that of `head_dim`"},
  {"model.attn_dropout", C, Float, "0.0", explicitBuilders, "dropout is not built yet; set it to 0", "dropout of attention weights"},

  {"model.lora_attn_modules", C, TextList, "", lora, nullptr, "projections of attention that get an adapter, some of `q_proj`, `k_proj`, `v_proj`, `output_proj` (required)"},
  {"model.apply_lora_to_mlp", C, Bool, "False", lora, nullptr, "adapters for the three projections of the feed-forward block"},
  {"model.apply_lora_to_output", C, Bool, "False", lora, nullptr, "an adapter for the head; not with tied embeddings"},
  {"model.lora_rank", C, Int, "8", lora, nullptr, "rank of the adapters, at least 1"},
  {"model.lora_alpha", C, Float, "16", lora, nullptr, "adapters are scaled by `lora_alpha / lora_rank`"},
  {"model.lora_dropout", C, Float, "0.0", lora, nullptr, "part of an adapter's inputs that training drops, at least 0 and below 1"},
  {"model.use_dora", C, Bool, "False", lora, nullptr, "DoRA: a trained magnitude for each output of a projection with an adapter, apart from its direction"},
  {"model.quantize_base", C, Bool, "False", lora, nullptr, "QLoRA: the projections of attention and feed-forward blocks in NF4, whether they have adapters or not; absent with a `qlora_*` builder: True"},
  {"model.quantizer", C, Text, "torchao", lora, nullptr, "ftc's own key: whose NF4, `torchao` (torchtune's; weights of a multiple of 16384 elements) or `bitsandbytes`"},

  {"tokenizer._component_", C, Text, "ftc.tokenizers.byte", "", nullptr, "the byte-level tokenizer: ids 0–255 are bytes, 256 begin of text, 257 end of text, 258 padding; `vocab_size` is 259 or more. Or torchtune's for Llama 3, Llama 2, Mistral, Qwen2, Qwen2.5, Qwen3, Gemma, Phi-3 and Phi-4, with their files, for the same ids as torchtune gives; or any model's by Hugging Face's files (`HuggingFaceModelTokenizer`)"},
  {"tokenizer.max_seq_len", C, Int, "", "", nullptr, "tokens a row: the step is compiled for it (required where rows are packed, and without `--data`); null: as many as the longest sample of `ftc compile --data FILE` has"},
  {"tokenizer.truncation", R, Bool, "True", "", nullptr, "ftc's own key: samples longer than a row are cut to its length, as torchtune does with a `max_seq_len`; False: they are an error. Absent where `max_seq_len` is null: False, since torchtune cuts nothing then"},
  {"tokenizer.truncation_type", C, Text, "right", "", "only truncation at the right is built", "which end of a long sample is cut"},
  {"tokenizer.prompt_template", R, Any, "", "", nullptr, "words around the messages of a role, `{user: [BEFORE, AFTER]}` or one of torchtune's (`torchtune.data.SummarizeTemplate`, `QuestionAnswerTemplate`, `GrammarErrorCorrectionTemplate`, `ChatMLTemplate`); of Llama 2 and Mistral in place of their `[INST]`, and null is a wording without it; absent: the tokenizer's own wording"},
  {"tokenizer.path", R, Text, "null", "", nullptr, "file of Llama 3's tokenizer (byte pairs in tiktoken's format, `original/tokenizer.model`, or Hugging Face's `tokenizer.json`), Llama 2's, Mistral's, Gemma's or Phi-3's (SentencePiece, `tokenizer.model`) or Qwen's (`vocab.json` with `merges_file`, or `tokenizer.json`); where it does not exist, data are token files"},
  {"tokenizer.merges_file", R, Text, "null", "", nullptr, "`merges.txt` of Qwen's tokenizers, which goes with `vocab.json`"},
  {"tokenizer.vocab_path", R, Text, "null", "phi4_tokenizer", nullptr, "`vocab.json` of Phi-4's tokenizer, which goes with `merges_path`, for torchtune's ids; or its `tokenizer.json`, for Hugging Face's"},
  {"tokenizer.merges_path", R, Text, "null", "phi4_tokenizer", nullptr, "`merges.txt` of Phi-4's tokenizer"},
  {"tokenizer.special_tokens_path", R, Text, "null", "", nullptr, "JSON with a list `added_tokens` of {`id`, `content`}, such as Hugging Face's `tokenizer.json`, in place of Llama 3's, Qwen's or Phi's own special tokens"},
  {"tokenizer.tokenizer_json_path", R, Text, "null", "HuggingFaceModelTokenizer", nullptr, "Hugging Face's `tokenizer.json` of any model; where it does not exist, data are token files"},
  {"tokenizer.tokenizer_config_json_path", R, Text, "null", "HuggingFaceModelTokenizer", nullptr, "`tokenizer_config.json`, with the tokens that begin and end a text and the chat template; null: the one beside `tokenizer.json`, if there is one"},
  {"tokenizer.generation_config_path", R, Text, "null", "HuggingFaceModelTokenizer", nullptr, "`generation_config.json`: the begin and the end of a text where `tokenizer_config.json` names none, and the tokens that answers end with"},

  {"dataset._component_", R, Text, "torchtune.datasets.text_completion_dataset", "", nullptr, "`text_completion_dataset`, `chat_dataset`, `instruct_dataset`, `alpaca_dataset` `alpaca_cleaned_dataset`, `grammar_dataset`, `samsum_dataset`, `slimorca_dataset`, `wikitext_dataset` or `cnn_dailymail_articles_dataset`, with torchtune's wording and masks; with a loss of preferences `preference_dataset`, `stack_exchange_paired_dataset` or `hh_rlhf_helpful_dataset` (docs/data.md)"},
  {"dataset.source", R, Text, "", "", nullptr, "what the files hold: `json`, `csv` or `text` (a sample a line), where their endings do not say it; other names, of data sets on a hub, say nothing: nothing is downloaded"},
  {"dataset.data_files", R, TextList, "", "", nullptr, "a file or folder, a pattern such as `parts/*.jsonl`, or a list of them, which are one data set; `ftrun --data` wins"},
  {"dataset.column", R, Text, "", textCompletion, nullptr, "key of a JSON line that holds the text; absent: `text`, `wikitext_dataset`: `page`, `cnn_dailymail_articles_dataset`: `article`"},
  {"dataset.conversation_column", R, Text, "", chatOrShareGpt, nullptr, "key of a JSON line that holds the conversation; absent: `messages`, `slimorca_dataset`: `conversations`"},
  {"dataset.conversation_style", R, Text, "openai", chat, nullptr, "`openai` (`role` and `content`) or `sharegpt` (`from` and `value`)"},
  {"dataset.column_map", R, Any, "null", mapped, nullptr, "the keys of a JSON line that stand for `input` and `output`, for `instruction` of `alpaca_dataset`, and for `conversations` of `slimorca_dataset`: `{input: question, output: answer}`; for `chosen` and `rejected` of the data sets of pairs, and `prompt` of `stack_exchange_paired_dataset`"},
  {"dataset.train_on_input", R, Bool, "False", conversations, nullptr, "train on what the user says too; `alpaca_dataset`: True"},
  {"dataset.masking_strategy", R, Text, "", conversations, nullptr, "later torchtune's key in place of `train_on_input`: `train_on_assistant`, `train_on_all` (but for system prompts, which `train_on_input` trains) or `train_on_last`, the assistant's last turn"},
  {"dataset.new_system_prompt", R, Text, "null", prompted, nullptr, "system prompt before each conversation, in place of its own"},
  {"dataset.packed", R, Bool, "False", "", nullptr, "fill rows with several samples, attention within each; False: a row a sample, padded (see `sequence_lengths`)"},
  {"dataset.add_eos", R, Bool, "True", textCompletion, nullptr, "end each document with the id of the end of text"},
  {"dataset.split_across_pack", R, Bool, "True", textCompletion, nullptr, "continue a document in the next row; False: start it there if it fits"},
  {"dataset.split", R, Text, "train", "", nullptr, "part of the records, as Hugging Face writes it: `train[:95%]`, `train[95%:]`, `train[100:200]`. The name in front of it says nothing here: the files are that split"},
  {"dataset.filter_fn", R, Any, "null", "", "there is no Python here; filter the files", "filter of samples"},
  {"dataset.subset", N, Text, "null", "wikitext_dataset", nullptr, "nothing is downloaded; `ftrun --data` names the files"},
  {"dataset.name", N, Text, "null", "", nullptr, "nothing is downloaded; `ftrun --data` names the files"},
  {"dataset.data_dir", N, Text, "null", "", nullptr, "nothing is downloaded; `ftrun --data` names the files"},

  {"seed", R, Int, "0", "", nullptr, "of the initial parameters and the order of data; null is 0; `ftrun --seed` wins"},
  {"shuffle", R, Bool, "True", "", nullptr, "shuffle each epoch; False: the order of the data"},
  {"batch_size", C, Int, "1", "", nullptr, "rows a step; with a loss of preferences pairs, which are two rows each"},

  {"checkpointer._component_", R, Text, "torchtune.training.FullModelHFCheckpointer", "", nullptr, "or `FullModelMetaCheckpointer`, `FullModelTorchTuneCheckpointer`; the names of the weights decide whose they are, and safetensors in Hugging Face's layout are written"},
  {"checkpointer.checkpoint_dir", R, Text, "", "", nullptr, "folder of the initial parameters; absent: random ones"},
  {"checkpointer.checkpoint_files", R, TextList, "", "", nullptr, "files in it, or {filename_format, max_filename}; `.safetensors`, or torch.save's `.bin`, `.pt`, `.pth`; absent: `model.safetensors` or its index's, else `pytorch_model.bin` or its index's, else `consolidated.00.pth`"},
  {"checkpointer.output_dir", R, Text, "", "", nullptr, "absent: `output_dir`"},
  {"checkpointer.safe_serialization", R, Bool, "True", "", "only safetensors are written; remove the key", "write safetensors"},
  {"checkpointer.adapter_checkpoint", R, Text, "null", "", nullptr, "adapter to start from, PEFT's or torchtune's: a file (`.safetensors`, `.bin`, `.pt`, `.pth`) or the folder of `adapter_model` in one of these; absent: a new one; for LoRA builders. A path that does not exist is looked for in `checkpointer.output_dir` too, as torchtune does, but is used whether `resume_from_checkpoint` is set or not"},
  {"checkpointer.resume_from_checkpoint", R, Bool, "False", "", "use the top-level key resume_from_checkpoint", "old place of `resume_from_checkpoint`"},
  {"checkpointer.should_load_recipe_state", R, Bool, "False", "", "use the top-level key resume_from_checkpoint", "old name of `resume_from_checkpoint`"},
  {"checkpointer.model_type", N, Text, "*", "", nullptr, "the model's builder says it"},
  {"checkpointer.recipe_checkpoint", N, Text, "null", "", nullptr, "torchtune's file of a run's state, which is not read; `resume_from_checkpoint` finds the newest whole checkpoint of ftrun's own"},
  {"checkpointer.keep_last_n_checkpoints", R, Int, "null", "", nullptr, "checkpoints in the folder that are kept, the newest ones; null: all"},
  {"resume_from_checkpoint", R, Bool, "False", "", nullptr, "go on from the newest whole checkpoint of the output folder"},
  {"save_adapter_weights_only", R, Bool, "False", "", nullptr, "checkpoints without the merged weights; for LoRA builders"},

  {"epochs", R, Int, "1", "", nullptr, "passes over the data"},
  {"max_steps_per_epoch", R, Int, "null", "", nullptr, "updates an epoch, at most; null: as many as the data gives"},
  {"gradient_accumulation_steps", C, Int, "1", "", nullptr, "micro-batches an update"},

  {"optimizer._component_", C, Text, "torch.optim.AdamW", "", nullptr, "`torch.optim.AdamW`, `torch.optim.SGD`, or with fp32 moments whatever `dtype` is `bitsandbytes.optim.AdamW` (also called `AdamW32bit`); with 8-bit moments `bitsandbytes.optim.AdamW8bit` and `torchao.optim.AdamW8bit`, with 4-bit ones `torchao.optim.AdamW4bit`; `bitsandbytes.optim.PagedAdamW` and `PagedAdamW8bit` keep large states in the far tier"},
  {"optimizer.lr", R, Float, "0.001", "", nullptr, "peak learning rate"},
  {"optimizer.weight_decay", C, Float, "", "", nullptr, "AdamW: decoupled, absent 0.01; SGD: added to the gradient, absent 0"},
  {"optimizer.betas", C, FloatPair, "[0.9, 0.999]", "AdamW PagedAdamW AdamW8bit PagedAdamW8bit AdamW4bit", nullptr, "decay of the two moments"},
  {"optimizer.eps", C, Float, "1e-8", "AdamW PagedAdamW AdamW8bit PagedAdamW8bit AdamW4bit", nullptr, "outside the root, as PyTorch's"},
  {"optimizer.amsgrad", C, Bool, "False", "AdamW PagedAdamW AdamW8bit PagedAdamW8bit AdamW4bit", "not built; remove the key", "largest second moment so far"},
  {"optimizer.momentum", C, Float, "0", "SGD", nullptr, "share of the last step's direction that is kept; 0: none, and no state"},
  {"optimizer.dampening", C, Float, "0", "SGD", nullptr, "share of the gradient that is kept out of the momentum, from the second step on; needs `momentum`"},
  {"optimizer.nesterov", C, Bool, "False", "SGD", nullptr, "Nesterov's momentum; needs `momentum`, and no `dampening`"},
  {"optimizer.maximize", C, Bool, "False", "", "not built; remove the key", "ascend instead"},
  {"optimizer.fused", N, Bool, "*", "", nullptr, "the compiled update is always one kernel"},
  {"optimizer.foreach", N, Bool, "*", "", nullptr, "the compiled update is always one kernel"},
  {"optimizer.capturable", N, Bool, "False", "", nullptr, "the compiled update is always one kernel"},
  {"optimizer.differentiable", N, Bool, "False", "", nullptr, "nothing differentiates the update"},
  {"optimizer_in_bwd", C, Bool, "null", "", nullptr, "True: an update follows its gradient at once, and the gradient's memory is free again; False: gradients are held until the last is there; null: the compiler's choice"},
  {"optimizer_state_dtype", C, Text, "", "", nullptr, "ftc's own key: storage of the optimizer's moments, `fp32` or `bf16`; absent: the type of what is updated, as PyTorch's (`dtype`; fp32 with `master_weights` or `stochastic_rounding`), or fp32 with bitsandbytes' optimizers. With 8-bit moments, of those of small parameters"},
  {"master_weights", C, Text, "null", "", nullptr, "ftc's own key: `fp32`: the optimizer updates an fp32 copy of each parameter, kept as a state `<parameter>.master`, and the parameter is it, rounded; needs `dtype: bf16`"},
  {"stochastic_rounding", C, Bool, "False", "", nullptr, "ftc's own key: parameters are updated in fp32 and rounded at random (by `seed`, step, name and element), so that small updates count in the mean; needs `dtype: bf16`, not with `master_weights`"},

  {"lr_scheduler._component_", R, Text, "torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup", "", nullptr, "cosine with warm-up; or transformers' `transformers.get_linear_schedule_with_warmup` and others, with their arguments below. Without this node the rate is constant"},
  {"lr_scheduler.num_warmup_steps", R, Int, "", warmedUp, nullptr, "steps of linear warm-up, the first at rate 0 (required)"},
  {"lr_scheduler.num_cycles", R, Float, "", waves, nullptr, "waves of the cosine; absent: 0.5, and 1 with hard restarts"},
  {"lr_scheduler.min_lr", R, Float, "null", minLr, nullptr, "lowest rate, behind the warm-up"},
  {"lr_scheduler.min_lr_rate", R, Float, "null", minLr, nullptr, "the same as a share of `optimizer.lr`; one of the two is required"},
  {"lr_scheduler.lr_end", R, Float, "1e-7", polynomial, nullptr, "rate behind the last step, below `optimizer.lr`"},
  {"lr_scheduler.power", R, Float, "1.0", polynomial, nullptr, "exponent of what is left of the steps"},
  {"lr_scheduler.num_decay_steps", R, Int, "", wsd, nullptr, "steps of the decay (required)"},
  {"lr_scheduler.num_stable_steps", R, Int, "null", wsd, nullptr, "steps at `optimizer.lr` before the decay; null: what warm-up and decay leave of the run"},
  {"lr_scheduler.warmup_type", R, Text, "linear", wsd, nullptr, "curve of the warm-up: `linear`, `cosine` or `1-sqrt`"},
  {"lr_scheduler.decay_type", R, Text, "cosine", wsd, nullptr, "curve of the decay: `linear`, `cosine` or `1-sqrt`"},
  {"lr_scheduler.min_lr_ratio", R, Float, "0", wsd, nullptr, "share of `optimizer.lr` at which the warm-up begins and the decay ends"},
  {"loss._component_", C, Text, "torch.nn.CrossEntropyLoss", "", nullptr, "cross-entropy: `torch.nn.CrossEntropyLoss`; or with head and loss computed by chunks of rows, so that the logits are never whole: `torchtune.modules.loss.LinearCrossEntropyLoss`, `torchtune.modules.loss.CEWithChunkedOutputLoss`. Of pairs of answers: `torchtune.rlhf.loss.DPOLoss`, `torchtune.rlhf.loss.RSOLoss`"},
  {"loss.beta", C, Float, "0.1", "DPOLoss", nullptr, "how much a pair's log-ratio counts, above 0: small values let the model move far from where it started"},
  {"loss.gamma", C, Float, "0.1", "RSOLoss", nullptr, "the same of RSO's hinge"},
  {"loss.ignore_index", C, Int, "-100", "", "ftrun marks masked and padded tokens with it", "label that does not count"},
  {"loss.reduction", C, Text, "mean", "CrossEntropyLoss", "only the mean over valid tokens is built", "how losses are joined"},
  {"loss.label_smoothing", C, Float, "0.0", "CrossEntropyLoss DPOLoss", nullptr, "`DPOLoss`: how likely a pair is the wrong way round, at least 0 and below 1; `CrossEntropyLoss`: only 0 is built"},
  {"loss.weight", C, Any, "null", "CrossEntropyLoss", "class weights are not built; remove the key", "weights of classes"},
  {"loss.num_output_chunks", C, Int, "", "CEWithChunkedOutputLoss LinearCrossEntropyLoss DPOLoss RSOLoss", nullptr, "chunks of head and loss (ftc's own key for `DPOLoss` and `RSOLoss`); absent: the compiler's choice, at least 256 rows each"},
  {"ref_checkpointer", R, Any, "null", "", nullptr, "full preference optimization: where the reference's weights are, with the keys `_component_`, `checkpoint_dir` and `checkpoint_files` of `checkpointer`; null, or without a folder: those that `checkpointer` names, or where that names none the same random ones. They are read by every run, and never written"},
  {"ref_quantizer", C, Text, "null", "", nullptr, "ftc's own key: the reference's projections of attention and feed-forward blocks are kept in NF4, as `torchao` or `bitsandbytes` quantizes them; null: all of it is stored as `dtype` says"},
  {"teacher_model", C, Any, "null", "", nullptr, "knowledge distillation: the model that is learned from, with the keys of `model` (`_component_`, and for builders that take them sizes), without adapters; as many ids as `model`. It is frozen, and stored as `dtype` says; null: none"},
  {"teacher_checkpointer", R, Any, "null", "", nullptr, "where the teacher's weights are, with the keys `_component_`, `checkpoint_dir` and `checkpoint_files` of `checkpointer`; without a folder they are random. They are read by every run, and never written"},
  {"kd_loss._component_", C, Text, "", "", nullptr, "`torchtune.modules.loss.ForwardKLWithChunkedOutputLoss`, or `torchtune.modules.loss.ForwardKLLoss` where `loss` takes the logits whole; absent: the one that goes with `loss`"},
  {"kd_loss.ignore_index", C, Int, "-100", "", "ftrun marks masked and padded tokens with it", "label that does not count"},
  {"kd_loss.num_output_chunks", C, Int, "", "ForwardKLWithChunkedOutputLoss", nullptr, "that of `loss`, if given"},
  {"kd_ratio", C, Float, "0.5", "", nullptr, "share of `kd_loss` in the loss, from 0 to 1; that of `loss` is the rest"},
  {"quantizer._component_", C, Text, "", "", nullptr, "quantization-aware training, with torchao's fake quantization: `torchtune.training.quantization.Int8DynActInt4WeightQATQuantizer` (activations int8 for each token, weights int4) or `torchtune.training.quantization.Int4WeightOnlyQATQuantizer`. Of a LoRA builder the frozen projections with adapters, else all projections without a bias and a head of its own; `quantizer: null` or absent: none"},
  {"quantizer.groupsize", C, Int, "256", "", nullptr, "neighbouring weights of an output that share a scale; projections whose inputs are no multiple of it stay as they are, with adapters or `Int4WeightOnlyQATQuantizer` they are an error"},
  {"quantizer.padding_allowed", C, Bool, "False", activationQuantizers, nullptr, "True: inputs that are no multiple of `groupsize` are an error in any case"},
  {"quantizer.inner_k_tiles", C, Int, "8", weightQuantizers, nullptr, "2, 4 or 8: without adapters, inputs must be a multiple of 16 times as many"},
  {"fake_quant_after_n_steps", C, Int, "null", "", nullptr, "steps that train without fake quantization at first; null: none. Not with adapters, for which torchtune does not read it"},
  {"clip_grad_norm", C, Float, "null", "", nullptr, "largest global norm of the gradients; `inf`: the norm is reported, nothing is clipped; null: neither"},
  {"dtype", C, Text, "fp32", "", nullptr, "storage of parameters and activations: `fp32` or `bf16`"},

  {"sequence_lengths", C, Any, "null", "", nullptr, "ftc's own key: lengths of rows that the step is compiled for, as `[128, 256]`; a batch is padded to the shortest that holds its longest sample, and `tokenizer.max_seq_len` is always one of them; `auto`: those that compute least for the data of `ftc compile --data`, without it from a sixteenth of the longest on, each about 1.33 or 1.5 times the one before (multiples of 16), and none below 64; null: `auto` where rows are not packed, else `tokenizer.max_seq_len` alone"},
  {"memory_budget", C, Text, "null", "", nullptr, "ftc's own key: most memory that the step may take, in bytes or with a unit (`12GiB`, `800 MB`); a step that needs more is an error; null: no limit"},
  {"enable_activation_checkpointing", C, Bool, "False", "", nullptr, "keep each layer's input only and compute its other activations again in the backward pass; results are the same"},
  {"activation_checkpointing.mode", C, Text, "full", "", nullptr, "ftc's own key, absent unless `enable_activation_checkpointing`: `full`; `selective`: compute again what is cheap (norms, gated activations, casts), keep products and attention; or `auto`: compute again what costs least for the step to fit into `memory_budget` (absent: a GPU's memory), nothing if it fits; with `enable_activation_offloading`, keep in the far tier what is cheaper to copy"},
  {"activation_checkpointing.every", C, Int, "1", "", nullptr, "ftc's own key: of each so many layers the last is treated so; 1: all layers"},
  {"enable_activation_offloading", C, Bool, "False", "", nullptr, "bring activations that the backward pass needs to the far tier (a file) and back, as far as that can be hidden behind computation; with activation checkpointing or alone; with its mode `auto`: no more than `memory_budget` asks for, where that is cheaper than to compute again; results are the same"},
  {"offload_with_streams", N, Bool, "*", "", nullptr, "copies to and from the far tier always run on threads of their own"},
  {"activation_offloading_use_streams", N, Bool, "*", "", nullptr, "copies to and from the far tier always run on threads of their own"},
  {"ac_mode", N, Any, "null", "", nullptr, "belongs to recipes for several devices; use `activation_checkpointing: {mode: full|selective|auto, every: k}`"},
  {"ac_option", N, Any, "null", "", nullptr, "belongs to recipes for several devices; use `activation_checkpointing: {mode: full|selective|auto, every: k}`"},
  {"device", N, Text, "cpu", "", nullptr, "`ftc compile --target` says what the step is compiled for; `cuda` without `--target cuda` is a warning"},
  {"compile", N, Any, "*", "", nullptr, "ftc always compiles"},
  {"low_cpu_ram", N, Bool, "*", "", nullptr, "checkpoints are always streamed"},
  {"fsdp_cpu_offload", N, Bool, "False", "", nullptr, "there is one device"},
  {"fsdp", N, Any, "null", "", nullptr, "there is one device"},
  {"tensor_parallel_dim", N, Int, "1", "", nullptr, "there is one device"},
  {"tensor_parallel_plan", N, Any, "null", "", nullptr, "there is one device"},
  {"memory_efficient_fsdp_wrap", N, Bool, "False", "", nullptr, "there is one device"},
  {"custom_sharded_layers", N, Any, "null", "", nullptr, "there is one device"},
  {"cudnn_deterministic_mode", N, Any, "*", "", nullptr, "results are always reproducible"},
  {"enable_async_checkpointing", N, Bool, "False", "", nullptr, "a checkpoint is whole before training goes on"},
  {"resize_token_embeddings", C, Bool, "False", "", "not built; set it to False", "grow the vocabulary"},
  {"collate_fn", C, Text, "torchtune.data.padded_collate_sft", "", "other collate functions are not built; remove the key", "how samples become a batch"},

  {"log_every_n_steps", R, Int, "1", "", nullptr, "steps between progress lines"},
  {"save_every_n_steps", R, Int, "null", "", nullptr, "steps between checkpoints; null: one at the end of each epoch"},
  {"run_val_every_n_steps", R, Int, "null", "", nullptr, "steps between evaluations of the held-out data, which go to the log and to metrics.jsonl as `val_loss`; null: only before the first step and behind the last"},
  {"dataset_val", R, Any, "null", "", nullptr, "what is held out, with the keys of `dataset`, or a list of such nodes; without a `_component_` it is read as `dataset` is, and without `data_files` a `split` with a slice is taken from what is trained on. `ftrun --held-out-data` names the files, and `--held-out` takes a share of the data instead"},
  {"batch_size_val", N, Int, "null", "", nullptr, "the held-out loss is the mean over all its labels, whatever the batch; it is computed in batches of `batch_size`"},
  {"log_peak_memory_stats", N, Bool, "*", "", nullptr, "planned and measured memory are always reported"},
  {"log_level", N, Text, "INFO", "", nullptr, "not built yet"},
  {"metric_logger", R, Any, "null", "", nullptr, "metrics go to metrics.jsonl in the output folder; `torchtune.training.metric_logging.TensorBoardLogger` with `log_dir` (and `organize_logs`) writes TensorBoard's events besides; Weights & Biases take either ([running.md](running.md#what-it-writes)), other loggers are not built"},
  {"profiler", N, Any, "null", "", nullptr, "not built yet"},
};
// clang-format on

const std::vector<KeyInfo> &keyTable() { return table; }

const char *keyClassName(KeyClass keyClass) { return keyClass == C ? "compiled" : keyClass == R ? "run" : "no effect"; }

std::string keyTableMarkdown() {
  std::string result = "| key | class | value | when absent | meaning |\n|---|---|---|---|---|\n";
  static const char *const types[] = {"integer",      "number",      "True/False", "text",
                                      "text or list", "two numbers", "numbers",    "any"};
  for (const KeyInfo &key : table) {
    std::string fallback = key.fallback;
    result += std::string("| `") + key.path + "` | " + keyClassName(key.keyClass) + " | " +
              types[static_cast<int>(key.type)] + " | " +
              (fallback.empty() || key.keyClass == N ? "" : "`" + fallback + "`") + " | " + key.meaning;
    if (key.onlyFallback)
      result += std::string("; only `") + fallback + "` works: " + key.onlyFallback;
    if (*key.components) {
      std::string names = key.components;
      for (size_t at = 0; (at = names.find(' ', at)) != std::string::npos; at += 2)
        names.replace(at, 1, ", ");
      result += "; for " + names;
    }
    result += " |\n";
  }
  return result;
}

} // namespace ftc
