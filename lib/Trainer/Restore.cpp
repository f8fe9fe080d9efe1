//===- Restore.cpp - Tensors of a step from and to checkpoints -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/Restore.h"

#include "ftc/Support/Reference.h"
#include "ftc/Trainer/Algorithms.h"
#include "ftc/Trainer/Metrics.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace fs = std::filesystem;

namespace ftc {
namespace {

TensorType typeOf(manifest::ElementType type) {
  switch (type) {
  case manifest::ElementType::F32:
    return TensorType::F32;
  case manifest::ElementType::BF16:
    return TensorType::BF16;
  case manifest::ElementType::I32:
    return TensorType::I32;
  case manifest::ElementType::I64:
    return TensorType::I64;
  case manifest::ElementType::U8:
    return TensorType::U8;
  }
  return TensorType::U8;
}

TensorSpec specOf(const manifest::Tensor &tensor) {
  TensorSpec spec;
  spec.name = tensor.name()->str();
  spec.type = typeOf(tensor.type());
  if (tensor.shape())
    spec.shape.assign(tensor.shape()->begin(), tensor.shape()->end());
  return spec;
}

std::vector<TensorView> viewsOf(Session &session, manifest::Role role) {
  std::vector<TensorView> views;
  for (const manifest::Tensor *tensor : *session.manifest().tensors())
    if (tensor->role() == role) {
      TensorView view{specOf(*tensor), session.data(*tensor)};
      if (!view.data) {
        view.read = [&session, tensor](uint64_t offset, void *to, uint64_t bytes) {
          session.read(*tensor, offset, to, bytes);
        };
        view.write = [&session, tensor](uint64_t offset, const void *from, uint64_t bytes) {
          session.write(*tensor, offset, from, bytes);
        };
      }
      views.push_back(std::move(view));
    }
  return views;
}

/// Weights in four bits, of the model or of its reference, with the spec of what they are quantized from. Those on a
/// device share one buffer here: at any time it holds one of them at most.
std::vector<TensorView> quantizedOf(Session &session, bool ofReference = false) {
  std::vector<const manifest::Tensor *> tensors;
  for (const manifest::Tensor *tensor : *session.manifest().tensors())
    if (tensor->encoding() != manifest::Encoding::None && isOfReference(tensor->name()->string_view()) == ofReference)
      tensors.push_back(tensor);
  auto room = std::make_shared<std::vector<std::byte>>();
  for (const manifest::Tensor *tensor : tensors)
    session.arraysOf(*tensor, *room); // the largest decides
  std::vector<TensorView> views;
  for (const manifest::Tensor *tensor : tensors) {
    TensorView &view = views.emplace_back();
    view.spec = {tensor->name()->str(), typeOf(tensor->decoded_type()), {}};
    view.spec.shape.assign(tensor->decoded_shape()->begin(), tensor->decoded_shape()->end());
    const Nf4Arrays arrays = session.arraysOf(*tensor, *room);
    view.nf4 = Nf4Weight{session.formatOf(*tensor), arrays};
    view.nf4->fetch = [&session, tensor, arrays, room] { session.readArrays(*tensor, arrays); };
    view.nf4->store = [&session, tensor, arrays, room] { session.writeArrays(*tensor, arrays); };
  }
  return views;
}

/// All weights of a reference, under names of its own.
std::vector<TensorView> referenceOf(Session &session) {
  std::vector<TensorView> views = viewsOf(session, manifest::Role::Reference);
  for (TensorView &weight : quantizedOf(session, /*ofReference=*/true))
    views.push_back(std::move(weight));
  return views;
}

/// Takes a prefix off the names of weights, which then are those of checkpoints.
void takeOff(std::string_view prefix, std::vector<TensorView> &views, const std::string &step, const char *whose) {
  for (TensorView &view : views) {
    if (!view.spec.name.starts_with(prefix))
      throw RunError(ExitCode::BadStep, fmt::format("{}: the {}'s '{}' is not called '{}...'; recompile it", step,
                                                    whose, view.spec.name, prefix));
    view.spec.name.erase(0, prefix.size());
  }
}

} // namespace

void tellRemarks(std::vector<Diagnostic> &diags) {
  for (const Diagnostic &diag : diags)
    if (diag.severity != Severity::Error) {
      std::string line = diag.str() + "\n";
      writeAll(STDERR_FILENO, line.data(), line.size());
    }
  std::erase_if(diags, [](const Diagnostic &diag) { return diag.severity != Severity::Error; });
}

void throwErrors(ExitCode code, const std::vector<Diagnostic> &diags) {
  std::string message;
  for (const Diagnostic &diag : diags) {
    if (diag.severity != Severity::Error)
      continue;
    message += message.empty() ? "" : "\n";
    message += diag.str();
  }
  throw RunError(code, message);
}

/// Fills `views` from a directory of weights; `node` is the recipe's that names it.
static void loadWeights(const std::vector<TensorView> &views, const std::string &directory,
                        const std::vector<std::string> &files, const ModelConfig &model, const std::string &node) {
  std::error_code error;
  if (!fs::is_directory(directory, error))
    throw RunError(ExitCode::NoFile, fmt::format("{}: no such directory; {}.checkpoint_dir names the folder that holds "
                                                 "the weights, such as model.safetensors",
                                                 directory, node));
  std::vector<Diagnostic> diags;
  // Readers do not know of which model's weights they read.
  auto tell = [&] {
    constexpr std::string_view usual = " checkpointer.";
    for (Diagnostic &diag : diags)
      for (size_t at = 0; (at = diag.message.find(usual, at)) != std::string::npos; at += node.size())
        diag.message.replace(at, usual.size(), " " + node + ".");
    tellRemarks(diags);
  };
  std::unique_ptr<CheckpointReader> reader = CheckpointReader::open(directory, files, diags, &model);
  tell();
  if (!reader)
    throwErrors(ExitCode::BadCheckpoint, diags);
  std::vector<TensorSpec> wanted;
  for (const TensorView &view : views)
    wanted.push_back(view.spec);
  bool good = reader->check(wanted, diags);
  // Shapes do not say how many heads there are, nor how positions are rotated.
  if (std::string config = fs::path(directory) / "config.json"; good && fs::exists(config, error))
    good = checkConfigJson(config, model, diags);
  else if (std::string params = fs::path(directory) / "params.json"; good && fs::exists(params, error))
    good = checkParamsJson(params, model, diags);
  tell();
  if (!good)
    throwErrors(ExitCode::BadCheckpoint, diags);
  if (const auto &others = reader->otherParts();
      !others.empty() && node == "checkpointer" && !isAroundTextPart(fs::path(directory) / "config.json", model)) {
    diags.push_back({Severity::Warning, directory, 0, 0,
                     fmt::format("has {} tensors beside the text part, such as '{}', which will not be in checkpoints: "
                                 "they are of the text part alone, since there is no config.json of the whole model",
                                 others.size(), others[0].entry->spec.name)});
    tell();
  }
  for (const TensorView &view : views)
    if (!(view.nf4 ? reader->quantize(view.spec, *view.nf4, diags) : reader->read(view, diags)))
      throwErrors(ExitCode::BadCheckpoint, diags);
}

void loadParameters(Session &session, const std::string &directory, const std::vector<std::string> &files,
                    const ModelConfig &model) {
  std::vector<TensorView> views = viewsOf(session, manifest::Role::Parameter);
  std::erase_if(views, [](const TensorView &view) { return isAdapterName(view.spec.name); });
  for (TensorView &weight : quantizedOf(session))
    views.push_back(std::move(weight));
  loadWeights(views, directory, files, model, "checkpointer");
}

void loadTeacher(Session &session, const DistillationConfig &distillation) {
  std::vector<TensorView> views = viewsOf(session, manifest::Role::Teacher);
  takeOff(teacherPrefix, views, session.step().path(), "teacher");
  const CheckpointerConfig &from = distillation.checkpointer;
  loadWeights(views, from.checkpointDir, from.checkpointFiles, distillation.teacher, "teacher_checkpointer");
}

void loadReference(Session &session, const Recipe &recipe) {
  std::vector<TensorView> views = referenceOf(session);
  takeOff(referencePrefix, views, session.step().path(), "reference");
  const CheckpointerConfig &from = recipe.referenceCheckpointer();
  const bool isNamed = &from != &recipe.checkpointer;
  loadWeights(views, from.checkpointDir, from.checkpointFiles, recipe.model,
              isNamed ? "ref_checkpointer" : "checkpointer");
}

void loadAdapters(Session &session, const std::string &path, const LoraConfig &lora, const ModelConfig &model) {
  std::vector<TensorView> views = viewsOf(session, manifest::Role::Parameter);
  std::erase_if(views, [](const TensorView &view) { return !isAdapterName(view.spec.name); });
  std::vector<TensorSpec> wanted;
  for (const TensorView &view : views)
    wanted.push_back(view.spec);
  std::error_code error;
  if (!fs::exists(path, error))
    throw RunError(ExitCode::NoFile, fmt::format("{}: no such file or folder; checkpointer.adapter_checkpoint names an "
                                                 "adapter in PEFT's format, or torchtune's",
                                                 path));
  std::vector<Diagnostic> diags;
  std::unique_ptr<AdapterReader> reader = AdapterReader::open(path, lora, model, diags);
  bool good = reader && reader->check(wanted, diags);
  tellRemarks(diags);
  if (!good)
    throwErrors(ExitCode::BadCheckpoint, diags);
  for (const TensorView &view : views)
    if (!reader->read(view, diags))
      throwErrors(ExitCode::BadCheckpoint, diags);
}

void loadStates(Session &session, const std::string &directory, const std::string &optimizers,
                const std::string &wayOut) {
  std::vector<TensorView> views = viewsOf(session, manifest::Role::State);
  std::vector<Diagnostic> diags;
  std::unique_ptr<SafetensorsFile> file = openOptimizerState(directory, diags);
  tellRemarks(diags);
  if (!file)
    throwErrors(ExitCode::BadCheckpoint, diags);
  std::set<std::string_view> kept;
  for (const TensorView &view : views)
    kept.insert(view.spec.name);
  for (const auto &[name, entry] : file->entries())
    if (!kept.contains(name))
      throw RunError(ExitCode::BadCheckpoint,
                     fmt::format("{}: state '{}' has no place in the step, and going on would drop it{}; {}",
                                 file->path(), name, optimizers, wayOut));
  for (const TensorView &view : views) {
    const SafetensorsFile::Entry *entry = file->find(view.spec.name);
    if (!entry)
      throw RunError(ExitCode::BadCheckpoint,
                     fmt::format("{}: there is no state '{}', which the step goes on from{}; {}", file->path(),
                                 view.spec.name, optimizers, wayOut));
    if (entry->spec.shape != view.spec.shape)
      throw RunError(ExitCode::BadCheckpoint,
                     fmt::format("{}: state '{}' has shape {}, the step needs {}", file->path(), view.spec.name,
                                 shapeText(entry->spec.shape), shapeText(view.spec.shape)));
    if (!file->read(*entry, view, diags))
      throwErrors(ExitCode::BadCheckpoint, diags);
  }
}

static uint64_t hashOf(std::vector<TensorView> weights) {
  std::ranges::sort(weights, {}, [](const TensorView &view) { return view.spec.name; });
  uint64_t hash = 0;
  auto take = [&](const void *data, int64_t bytes) {
    hash = XXH3_64bits_withSeed(data, static_cast<size_t>(bytes), hash);
  };
  // In parts of one size, so that it does not matter where a tensor lies.
  constexpr uint64_t most = 4 << 20;
  std::vector<char> part;
  for (const TensorView &weight : weights) {
    const std::string what =
        fmt::format("{} {} {}", weight.spec.name, typeName(weight.spec.type), shapeText(weight.spec.shape));
    take(what.data(), static_cast<int64_t>(what.size()));
    if (weight.nf4) {
      if (weight.nf4->fetch)
        weight.nf4->fetch();
      const Nf4Arrays &arrays = weight.nf4->arrays;
      const int64_t elements = weight.spec.elements();
      take(arrays.codes, nf4CodeBytes(elements));
      take(arrays.absmax, nf4Blocks(elements));
      take(arrays.nested, 4 * nf4NestedBlocks(elements));
      take(arrays.offset, 4);
      continue;
    }
    const auto bytes = static_cast<uint64_t>(weight.spec.bytes());
    for (uint64_t done = 0; done < bytes; done += most) {
      const uint64_t count = std::min(most, bytes - done);
      if (!weight.data) {
        part.resize(most);
        weight.read(done, part.data(), count);
      }
      take(weight.data ? static_cast<const char *>(weight.data) + done : part.data(), static_cast<int64_t>(count));
    }
  }
  return hash;
}

uint64_t hashFrozenWeights(Session &session) {
  std::vector<TensorView> weights = viewsOf(session, manifest::Role::Parameter);
  std::erase_if(weights, [](const TensorView &view) { return isAdapterName(view.spec.name); });
  for (TensorView &weight : quantizedOf(session))
    weights.push_back(std::move(weight));
  return hashOf(std::move(weights));
}

uint64_t hashTeacher(Session &session) { return hashOf(viewsOf(session, manifest::Role::Teacher)); }

uint64_t hashReference(Session &session) { return hashOf(referenceOf(session)); }

std::unique_ptr<CheckpointWriter> makeWriter(Session &session, const Recipe &recipe, const Tokenizer &tokenizer,
                                             const TrainingOrigin &origin, const std::string &outputDir,
                                             const std::string &resumedFrom) {
  CheckpointOptions options;
  options.origin = origin;
  options.outputDir = outputDir;
  options.model = recipe.model;
  options.dtype = recipe.dtype;
  options.ids = {tokenizer.bosId(), tokenizer.eosId(), tokenizer.padId()};
  options.parameters = viewsOf(session, manifest::Role::Parameter);
  for (TensorView &weight : quantizedOf(session)) {
    weight.spec.type = TensorType::BF16; // as torchtune writes them, whatever the dtype
    options.parameters.push_back(std::move(weight));
  }
  options.states = viewsOf(session, manifest::Role::State);
  options.sourceDir = recipe.checkpointer.checkpointDir;
  options.sourceFiles = recipe.checkpointer.checkpointFiles;
  if (std::error_code gone;
      !resumedFrom.empty() && !options.sourceDir.empty() && !fs::is_directory(options.sourceDir, gone)) {
    options.sourceDir = resumedFrom;
    options.sourceFiles.clear();
  }
  options.keepLast = static_cast<size_t>(recipe.checkpointer.keepLast);
  if (const Device *device = session.device();
      device && !(device->algorithms().products.empty() && device->algorithms().attentions.empty()))
    options.texts.emplace_back(algorithmsName, algorithmsText(device->algorithms()));
  if (recipe.lora) {
    // PEFT finds the frozen weights from wherever it is started. It opens Hugging Face's layout: Meta's own files lie
    // in `original`, one folder below that.
    std::error_code ignored;
    fs::path base = options.sourceDir.empty() ? "" : fs::absolute(options.sourceDir, ignored).lexically_normal();
    if (fs::path folder = base.has_filename() ? base : base.parent_path();
        folder.filename() == "original" && !fs::exists(folder / "config.json", ignored) &&
        fs::exists(folder.parent_path() / "config.json", ignored))
      base = folder.parent_path();
    options.adapter = AdapterOptions{*recipe.lora, base.native(), recipe.saveAdapterWeightsOnly};
  }
  std::vector<Diagnostic> diags;
  std::unique_ptr<CheckpointWriter> writer = CheckpointWriter::create(options, diags);
  tellRemarks(diags);
  if (!writer)
    throwErrors(ExitCode::WriteFailed, diags);
  return writer;
}

} // namespace ftc
