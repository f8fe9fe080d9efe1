//===- FakeManifest.cpp - The manifest of the hand-written step ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// fake-manifest VARIANT HEADER
// fake-manifest seal STEP
//
// The second puts the checksum behind a step that was linked.
//
// Writes the manifest of FakeStep.c as a C array, and its offsets as macros. Variants other than `good`, `norm`,
// `large` and `nf4` have one thing wrong each. Variants that begin with `cuda` are for FakeCudaStep.c: the same model,
// seeds and order on a device; `cuda-far` keeps the optimizer's states in the far tier.
//
//===----------------------------------------------------------------------===//

#include "ftc/Schema/manifest_generated.h"
#include "ftc/Support/Seal.h"
#include "ftrt/step.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

using namespace ftc::manifest;

namespace {

constexpr int64_t Vocab = 320, Batch = 2, Length = 64, Threads = 4;

const char *const recipe = R"(output_dir: out
model:
  _component_: torchtune.models.llama3_2.llama3_2
  vocab_size: 320
  num_layers: 1
  num_heads: 4
  num_kv_heads: 2
  embed_dim: 64
  intermediate_dim: 128
  max_seq_len: 64
  rope_base: 10000
  scale_factor: 1
  norm_eps: 1e-5
tokenizer:
  _component_: ftc.tokenizers.byte
  max_seq_len: 64
dataset:
  _component_: torchtune.datasets.text_completion_dataset
  packed: True
seed: 7
shuffle: True
batch_size: 2
epochs: 1
gradient_accumulation_steps: 1
optimizer:
  _component_: torch.optim.AdamW
  lr: 0.05
  weight_decay: 0.01
loss:
  _component_: torch.nn.CrossEntropyLoss
dtype: fp32
)";

/// Places tensors one after another in slab 0.
struct Layout {
  std::ofstream header;
  uint64_t end = 0;

  TensorT place(const char *name, const char *macro, Role role, ElementType type, std::vector<int64_t> shape) {
    TensorT tensor;
    tensor.name = name;
    tensor.role = role;
    tensor.type = type;
    tensor.offset = end;
    tensor.bytes = 4;
    for (int64_t size : shape)
      tensor.bytes *= static_cast<uint64_t>(size);
    tensor.shape = std::move(shape);
    end = (end + tensor.bytes + 255) / 256 * 256;
    header << "#define AT_" << macro << " " << tensor.offset << "ul\n";
    return tensor;
  }
};

std::unique_ptr<TensorT> copy(const TensorT &tensor) { return std::make_unique<TensorT>(tensor); }

/// "model.layers.0.self_attn.q_proj.weight", 96 x 64, as bitsandbytes quantizes it.
std::vector<TensorT> quantized(Layout &layout) {
  constexpr int64_t rows = 96, columns = 64, blocks = rows * columns / 64;
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  const auto place = [&](const char *suffix, const char *macro, ElementType type, int64_t elements, uint64_t bytes) {
    TensorT tensor = layout.place("", macro, Role::Quantized, type, {elements});
    tensor.name = name + suffix;
    tensor.bytes = bytes;
    return tensor;
  };
  std::vector<TensorT> tensors{place("", "CODES", ElementType::U8, rows * columns / 2, rows * columns / 2),
                               place(".absmax", "ABSMAX", ElementType::U8, blocks, blocks),
                               place(".nested_absmax", "NESTED", ElementType::F32, 1, 4),
                               place(".offset", "OFFSET", ElementType::F32, 1, 4)};
  TensorT &codes = tensors[0];
  codes.init = InitKind::Normal;
  codes.value = 0.02;
  codes.encoding = Encoding::Nf4Bitsandbytes;
  codes.decoded_type = ElementType::F32;
  codes.decoded_shape = {rows, columns};
  return tensors;
}

} // namespace

static int seal(const char *path) {
  std::ifstream in(path, std::ios::binary);
  const std::string contents{std::istreambuf_iterator<char>(in), {}};
  return std::ofstream(path, std::ios::binary | std::ios::app) << ftc::sealOf(contents) ? 0 : 1;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: fake-manifest VARIANT HEADER | seal STEP\n");
    return 2;
  }
  const std::string variant = argv[1];
  if (variant == "seal")
    return seal(argv[2]);
  Layout layout{std::ofstream(argv[2])};
  layout.header << "#define VOCAB " << Vocab << "\n#define BATCH " << Batch << "\n#define LENGTH " << Length
                << "\n#define THREADS " << Threads << "\n";
  if (variant == "norm")
    layout.header << "#define WITH_NORM 1\n";

  ManifestT manifest;
  manifest.abi_version = FTRT_ABI_VERSION;
  manifest.compiler = "written by hand";
  manifest.target = "cpu";
  manifest.cpu = "x86-64";
  manifest.features = {"sse2", "cx8"};
  if (variant == "feature")
    manifest.features.push_back("avx9000");
  manifest.threads = Threads;
  const bool onDevice = variant.starts_with("cuda");
  if (onDevice) {
    manifest.target = "cuda";
    manifest.cpu = "";
    manifest.features.clear();
    manifest.device = "h100";
    manifest.architecture = "sm_90a";
  }
  manifest.recipe = recipe;

  TensorT weight =
      layout.place("model.embed_tokens.weight", "WEIGHT", Role::Parameter, ElementType::F32, {Vocab, Vocab});
  weight.init = InitKind::Normal;
  weight.value = 0.02;
  weight.trainable = true;
  TensorT scale = layout.place("model.norm.weight", "SCALE", Role::Parameter, ElementType::F32, {Vocab});
  scale.init = InitKind::Ones;
  TensorT mean =
      layout.place("model.embed_tokens.weight.exp_avg", "MEAN", Role::State, ElementType::F32, {Vocab, Vocab});
  mean.init = InitKind::Zeros;
  TensorT square =
      layout.place("model.embed_tokens.weight.exp_avg_sq", "SQUARE", Role::State, ElementType::F32, {Vocab, Vocab});
  square.init = InitKind::Zeros;
  TensorT adam = layout.place("fake.adam", "ADAM", Role::Constant, ElementType::F32, {4});
  const float constants[4] = {0.9f, 0.999f, 1e-8f, 0.01f};
  adam.data.resize(sizeof(constants));
  std::memcpy(adam.data.data(), constants, sizeof(constants));
  layout.place("scratch", "GRADIENT", Role::Input, ElementType::F32, {Threads, Vocab});
  layout.place("scratch", "ROWLOSS", Role::Input, ElementType::F32, {Vocab});
  layout.place("scratch", "ROWNORM", Role::Input, ElementType::F32, {Vocab});
  TensorT tokens = layout.place("tokens", "TOKENS", Role::Input, ElementType::I32, {Batch, Length});
  TensorT labels = layout.place("labels", "LABELS", Role::Input, ElementType::I32, {Batch, Length});
  TensorT positions = layout.place("positions", "POSITIONS", Role::Input, ElementType::I32, {Batch, Length});
  TensorT starts = layout.place("segment_starts", "STARTS", Role::Input, ElementType::I32, {Batch, Length});
  TensorT loss = layout.place("loss", "LOSS", Role::Output, ElementType::F32, {});
  TensorT norm = layout.place("grad_norm", "NORM", Role::Output, ElementType::F32, {});
  TensorT valid = layout.place("valid_tokens", "VALID", Role::Output, ElementType::I32, {});
  TensorT logits = layout.place("logits", "LOGITS", Role::Output, ElementType::F32, {Vocab});
  if (onDevice) {
    layout.place("scratch", "SCALARS", Role::Input, ElementType::I32, {sizeof(ftrt_scalars) / 4});
    layout.place("scratch", "ONEHOT", Role::Input, ElementType::F32, {Vocab});
    layout.place("scratch", "ROW", Role::Input, ElementType::F32, {Vocab});
  }
  if (variant == "cuda-far") {
    layout.header << "#define FAR_MEAN 0ul\n#define FAR_SQUARE " << mean.bytes << "ul\n";
    for (TensorT *tensor : {&mean, &square})
      tensor->slab = 1;
    mean.offset = 0;
    square.offset = mean.bytes;
  }
  for (const TensorT *tensor : {&adam, &weight, &mean, &square, &scale})
    manifest.tensors.push_back(copy(*tensor));
  if (variant.ends_with("nf4")) // a weight in four bits that nothing reads: it is only filled and saved
    for (TensorT &tensor : quantized(layout))
      manifest.tensors.push_back(copy(tensor));
  if (variant == "outside")
    manifest.tensors[1]->offset = layout.end;
  std::sort(manifest.tensors.begin(), manifest.tensors.end(),
            [](const auto &left, const auto &right) { return left->name < right->name; });

  auto slab = std::make_unique<SlabT>();
  slab->name = "arena";
  slab->bytes = variant == "huge" ? uint64_t(1) << 46 : variant == "large" ? uint64_t(256) << 20 : layout.end;
  slab->alignment = onDevice ? 256 : 64;
  manifest.slabs.push_back(std::move(slab));
  if (variant.ends_with("far")) {
    auto far = std::make_unique<SlabT>();
    far->name = "states";
    far->place = Place::Far;
    far->bytes = onDevice ? 2 * weight.bytes : 4096;
    far->alignment = 64;
    manifest.slabs.push_back(std::move(far));
  }

  auto addEntry = [&](EntryKind kind, int64_t batch, std::vector<TensorT> inputs, std::vector<TensorT> outputs) {
    auto entry = std::make_unique<EntryT>();
    entry->kind = kind;
    entry->batch = batch;
    entry->sequence = Length;
    entry->flops = 6.0 * static_cast<double>(batch * Length * Vocab);
    entry->peak_bytes = layout.end;
    for (TensorT &tensor : inputs) {
      tensor.shape[0] = batch;
      tensor.bytes = static_cast<uint64_t>(4 * batch * Length);
      entry->inputs.push_back(tensor.name);
      entry->input_tensors.push_back(copy(tensor));
    }
    for (const TensorT &tensor : outputs) {
      entry->outputs.push_back(tensor.name);
      entry->output_tensors.push_back(copy(tensor));
    }
    manifest.entries.push_back(std::move(entry));
  };
  TensorT lossSum = loss;
  lossSum.name = "loss_sum";
  std::vector<TensorT> stepOutputs{loss};
  if (variant == "norm")
    stepOutputs.push_back(norm);
  addEntry(EntryKind::Step, Batch, {tokens, labels, positions, starts}, stepOutputs);
  addEntry(EntryKind::Evaluate, Batch, {tokens, labels, positions, starts}, {lossSum, valid});
  addEntry(EntryKind::Logits, 1, {tokens, positions, starts}, {logits});

  auto row = std::make_unique<MemoryRowT>();
  row->what = "everything";
  row->bytes = layout.end;
  manifest.memory.push_back(std::move(row));
  manifest.peak_at = "the step";

  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(Manifest::Pack(builder, &manifest), ManifestIdentifier());
  layout.header << "static _Alignas(64) const unsigned char manifest[] = {";
  for (size_t index = 0; index < builder.GetSize(); ++index)
    layout.header << int(builder.GetBufferPointer()[index]) << ",";
  layout.header << "};\n";
  return 0;
}
