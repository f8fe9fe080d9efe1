//===- Manifest.cpp - What a step tells its host -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Pipelines/Manifest.h"

#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Train/IR/Train.h"
#include "ftc/Analysis/KernelTraffic.h"
#include "ftc/Pipelines/Pipeline.h"
#include "ftc/Schema/manifest_generated.h"
#include "ftc/Support/Rotary.h"
#include "ftrt/step.h"

#include "llvm/Config/llvm-config.h"

using namespace mlir;
using namespace ftc;

namespace {
/// Builds the manifest's tables from the ops of a plan.
class ManifestBuilder {
public:
  explicit ManifestBuilder(ModuleOp module) : module(module), symbols(module) {
    for (auto slab : module.getOps<plan::SlabOp>())
      slabs.try_emplace(slab.getSymName(), static_cast<uint32_t>(slabs.size()));
  }

  LogicalResult addSlabs(manifest::ManifestT &out);
  LogicalResult addVariables(manifest::ManifestT &out);
  LogicalResult addEntries(manifest::ManifestT &out);

private:
  FailureOr<std::unique_ptr<manifest::TensorT>> describe(Operation *op, StringRef name, MemRefType type,
                                                         manifest::Role role, StringRef slab, uint64_t offset);
  LogicalResult describeInit(plan::VariableOp variable, manifest::TensorT &tensor);
  LogicalResult describeEncoding(plan::VariableOp variable, manifest::TensorT &tensor);
  LogicalResult fillRotary(plan::VariableOp variable, train::RotaryInitAttr init, manifest::TensorT &tensor);
  LogicalResult addInput(plan::InputOp input, plan::EntryOp entry, manifest::EntryT &out);
  LogicalResult addOutput(plan::OutputOp output, manifest::EntryT &out);
  uint64_t highestByte(plan::EntryOp entry);
  FailureOr<std::pair<StringRef, uint64_t>> placeOf(Operation *user, Value buffer);
  LogicalResult addLaunch(plan::EntryOp entry, StringRef of, manifest::EntryT &out);

  ModuleOp module;
  SymbolTable symbols;
  llvm::StringMap<uint32_t> slabs;
};
} // namespace

static std::optional<manifest::ElementType> elementTypeOf(Type type) {
  if (type.isF32())
    return manifest::ElementType::F32;
  if (type.isBF16())
    return manifest::ElementType::BF16;
  if (type.isInteger(32))
    return manifest::ElementType::I32;
  if (type.isInteger(64))
    return manifest::ElementType::I64;
  if (type.isInteger(8))
    return manifest::ElementType::U8;
  return std::nullopt;
}

FailureOr<std::unique_ptr<manifest::TensorT>> ManifestBuilder::describe(Operation *op, StringRef name, MemRefType type,
                                                                        manifest::Role role, StringRef slab,
                                                                        uint64_t offset) {
  std::optional<manifest::ElementType> element = elementTypeOf(type.getElementType());
  if (!element)
    return op->emitOpError("has elements of type ") << type.getElementType() << ", which the manifest cannot name",
           failure();
  auto found = slabs.find(slab);
  if (found == slabs.end())
    return op->emitOpError("lies in the slab '") << slab << "', which does not exist", failure();
  auto tensor = std::make_unique<manifest::TensorT>();
  tensor->name = name.str();
  tensor->role = role;
  tensor->type = *element;
  tensor->shape.assign(type.getShape().begin(), type.getShape().end());
  tensor->slab = found->second;
  tensor->offset = offset;
  tensor->bytes = static_cast<uint64_t>(plan::bytesOf(type));
  return tensor;
}

LogicalResult ManifestBuilder::addSlabs(manifest::ManifestT &out) {
  for (auto slab : module.getOps<plan::SlabOp>()) {
    auto table = std::make_unique<manifest::SlabT>();
    table->name = slab.getSymName().str();
    table->place = slab.getFar() ? manifest::Place::Far : manifest::Place::Near;
    table->bytes = slab.getBytes();
    table->alignment = slab.getAlignment();
    out.slabs.push_back(std::move(table));
  }
  return success();
}

LogicalResult ManifestBuilder::fillRotary(plan::VariableOp variable, train::RotaryInitAttr init,
                                          manifest::TensorT &tensor) {
  MemRefType type = variable.getBufferType();
  if (!type.getElementType().isF32() || type.getRank() != 2 || type.getDimSize(1) * 2 != init.getHeadDim())
    return variable.emitOpError("of type ") << type << " cannot hold a rotary table of head_dim " << init.getHeadDim();
  RotaryTables tables =
      rotaryTables(type.getDimSize(0), init.getHeadDim(), init.getBase().getValueAsDouble(), train::scalingOf(init));
  const std::vector<float> &values = init.getSine() ? tables.sin : tables.cos;
  tensor.data.resize(values.size() * sizeof(float));
  std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
  return success();
}

LogicalResult ManifestBuilder::describeInit(plan::VariableOp variable, manifest::TensorT &tensor) {
  tensor.trainable = variable.getTrainable();
  return llvm::TypeSwitch<Attribute, LogicalResult>(variable.getInit())
      .Case([&](train::ZerosInitAttr) {
        tensor.init = manifest::InitKind::Zeros;
        return success();
      })
      .Case([&](train::OnesInitAttr) {
        tensor.init = manifest::InitKind::Ones;
        return success();
      })
      .Case([&](train::NormalInitAttr normal) {
        tensor.init = manifest::InitKind::Normal;
        tensor.value = normal.getStddev().getValueAsDouble();
        return success();
      })
      .Case([&](train::UniformInitAttr uniform) {
        tensor.init = manifest::InitKind::Uniform;
        tensor.value = uniform.getBound().getValueAsDouble();
        return success();
      })
      .Case([&](train::RowNormsInitAttr norms) {
        tensor.init = manifest::InitKind::RowNorms;
        tensor.source = norms.getParameter().getValue().str();
        return success();
      })
      .Case([&](train::RotaryInitAttr rotary) { return fillRotary(variable, rotary, tensor); })
      .Default([&](Attribute init) {
        return variable.emitOpError("has the initialization ") << init << ", which the manifest cannot describe";
      });
}

LogicalResult ManifestBuilder::describeEncoding(plan::VariableOp variable, manifest::TensorT &tensor) {
  auto nf4 = variable->getAttrOfType<plan::Nf4Attr>("plan.nf4");
  if (!nf4)
    return success();
  auto matrix = variable->getAttrOfType<TypeAttr>("plan.matrix");
  auto type = matrix ? dyn_cast<RankedTensorType>(matrix.getValue()) : RankedTensorType();
  std::optional<manifest::ElementType> element = type ? elementTypeOf(type.getElementType()) : std::nullopt;
  if (!element)
    return variable.emitOpError("is in four bits but does not say of what matrix (plan.matrix)");
  tensor.encoding = nf4.getQuantizer() == plan::Quantizer::Torchao ? manifest::Encoding::Nf4Torchao
                                                                   : manifest::Encoding::Nf4Bitsandbytes;
  tensor.decoded_type = *element;
  tensor.decoded_shape.assign(type.getShape().begin(), type.getShape().end());
  return success();
}

LogicalResult ManifestBuilder::addVariables(manifest::ManifestT &out) {
  for (auto variable : module.getOps<plan::VariableOp>()) {
    if (!variable.getSlab() || !variable.getOffset())
      return variable.emitOpError("has no place in a slab; run plan-assign-offsets first");
    manifest::Role role = variable.getRole() == plan::Role::Parameter     ? manifest::Role::Parameter
                          : variable.getRole() == plan::Role::Quantized   ? manifest::Role::Quantized
                          : variable.getRole() == plan::Role::State       ? manifest::Role::State
                          : variable.getRole() == plan::Role::Accumulator ? manifest::Role::Accumulator
                          : variable.getRole() == plan::Role::Teacher     ? manifest::Role::Teacher
                          : variable.getRole() == plan::Role::Reference   ? manifest::Role::Reference
                                                                          : manifest::Role::Constant;
    auto tensor = describe(variable, variable.getSymName(), variable.getBufferType(), role, *variable.getSlab(),
                           *variable.getOffset());
    if (failed(tensor) || failed(describeInit(variable, **tensor)) || failed(describeEncoding(variable, **tensor)))
      return failure();
    out.tensors.push_back(std::move(*tensor));
  }
  llvm::sort(out.tensors, [](const auto &a, const auto &b) { return a->name < b->name; });
  return success();
}

LogicalResult ManifestBuilder::addInput(plan::InputOp input, plan::EntryOp entry, manifest::EntryT &out) {
  if (plan::InputOp::isScalarName(input.getName()))
    return success();
  if (!input.getSlab() || !input.getOffset())
    return input.emitOpError("has no place in a slab; run plan-assign-offsets first");
  auto type = cast<MemRefType>(input.getBuffer().getType());
  auto tensor = describe(input, input.getName(), type, manifest::Role::Input, *input.getSlab(), *input.getOffset());
  if (failed(tensor))
    return failure();
  // The graph sees rows; the host, rows of a batch.
  int64_t batch = entry.getBatch(), sequence = entry.getSequence();
  if (type.getRank() == 1 && type.getDimSize(0) == batch * sequence)
    (*tensor)->shape = {batch, sequence};
  out.inputs.push_back((*tensor)->name);
  out.input_tensors.push_back(std::move(*tensor));
  return success();
}

/// Slab and offset of a buffer that `user` uses.
FailureOr<std::pair<StringRef, uint64_t>> ManifestBuilder::placeOf(Operation *user, Value buffer) {
  plan::BufferPart part = plan::partOf(buffer);
  Operation *source = part.whole.getDefiningOp();
  auto offset = static_cast<uint64_t>(part.offset);
  if (auto view = dyn_cast<plan::ViewOp>(source))
    return std::pair(view.getSlab(), view.getOffset() + offset);
  if (auto input = dyn_cast<plan::InputOp>(source); input && input.getSlab())
    return std::pair(*input.getSlab(), *input.getOffset() + offset);
  if (auto get = dyn_cast<plan::ReadVariableOp>(source)) {
    auto variable = symbols.lookup<plan::VariableOp>(get.getVariable());
    if (variable && variable.getSlab())
      return std::pair(*variable.getSlab(), *variable.getOffset() + offset);
  }
  return user->emitOpError("names a buffer without a place; run plan-assign-offsets first"), failure();
}

LogicalResult ManifestBuilder::addOutput(plan::OutputOp output, manifest::EntryT &out) {
  auto type = cast<MemRefType>(output.getBuffer().getType());
  FailureOr<std::pair<StringRef, uint64_t>> place = placeOf(output, output.getBuffer());
  if (failed(place))
    return failure();
  auto tensor = describe(output, output.getName(), type, manifest::Role::Output, place->first, place->second);
  if (failed(tensor))
    return failure();
  out.outputs.push_back((*tensor)->name);
  out.output_tensors.push_back(std::move(*tensor));
  return success();
}

/// What an entry of one launch or copy does.
LogicalResult ManifestBuilder::addLaunch(plan::EntryOp entry, StringRef of, manifest::EntryT &out) {
  auto table = std::make_unique<manifest::LaunchT>();
  table->entry = of;
  auto addBuffer = [&](Operation *user, Value buffer, bool written, bool working) -> LogicalResult {
    FailureOr<std::pair<StringRef, uint64_t>> place = placeOf(user, buffer);
    if (failed(place))
      return failure();
    // Places are checked by what describes the tensors.
    auto tensor =
        describe(user, "", cast<MemRefType>(buffer.getType()), manifest::Role::Input, place->first, place->second);
    if (failed(tensor))
      return failure();
    table->buffers.emplace_back((*tensor)->offset, (*tensor)->bytes, (*tensor)->slab, (*tensor)->type, written,
                                working);
    return success();
  };
  for (Operation &op : entry.getBody().front()) {
    if (auto launch = dyn_cast<plan::LaunchOp>(op)) {
      auto kernel = symbols.lookup<plan::KernelOp>(launch.getKernel());
      if (!kernel)
        return launch.emitOpError("launches '") << launch.getKernel() << "', which does not exist";
      table->kernel = launch.getKernel().str();
      table->label = launch.getLabel().str();
      Value working = llvm::TypeSwitch<Operation *, Value>(kernel.getWork())
                          .Case<plan::MatmulOp, plan::AttentionOp, plan::AttentionGradOp>(
                              [](auto work) { return work.getScratch(); })
                          .Default(Value());
      for (auto [index, buffer] : llvm::enumerate(launch.getBuffers()))
        if (failed(addBuffer(launch, buffer, kernel.writes(index), kernel.getBuffers()[index] == working)))
          return failure();
    } else if (isa<plan::CopyInOp, plan::CopyOutOp>(op)) {
      table->kernel = isa<plan::CopyInOp>(op) ? "copy_in" : "copy_out";
      table->label = "a copy of the far tier";
      if (failed(addBuffer(&op, op.getOperand(0), false, false)) ||
          failed(addBuffer(&op, op.getOperand(1), true, false)))
        return failure();
    }
  }
  out.launch = std::move(table);
  return success();
}

uint64_t ManifestBuilder::highestByte(plan::EntryOp entry) {
  uint64_t highest = 0;
  auto reach = [&](std::optional<uint64_t> offset, Type type) {
    if (offset)
      highest = std::max(highest, *offset + static_cast<uint64_t>(plan::bytesOf(type)));
  };
  for (Operation &op : entry.getBody().front()) {
    llvm::TypeSwitch<Operation *>(&op)
        .Case([&](plan::ViewOp view) {
          if (!plan::isFar(symbols, view.getBuffer()))
            reach(view.getOffset(), view.getBuffer().getType());
        })
        .Case([&](plan::InputOp input) { reach(input.getOffset(), input.getBuffer().getType()); })
        .Case([&](plan::ReadVariableOp get) {
          auto variable = symbols.lookup<plan::VariableOp>(get.getVariable());
          if (variable && !variable.getFar())
            reach(variable.getOffset(), variable.getType());
        });
  }
  return highest;
}

LogicalResult ManifestBuilder::addEntries(manifest::ManifestT &out) {
  for (auto entry : module.getOps<plan::EntryOp>()) {
    auto table = std::make_unique<manifest::EntryT>();
    table->kind = static_cast<manifest::EntryKind>(entry.getKind());
    table->batch = entry.getBatch();
    table->sequence = entry.getSequence();
    table->flops = entry.getFlops().convertToDouble();
    for (auto input : entry.getBody().front().getOps<plan::InputOp>())
      if (failed(addInput(input, entry, *table)))
        return failure();
    for (auto output : entry.getBody().front().getOps<plan::OutputOp>())
      if (failed(addOutput(output, *table)))
        return failure();
    // A vector of tables with a key must be sorted by it.
    auto byName = [](const auto &a, const auto &b) { return a->name < b->name; };
    llvm::sort(table->input_tensors, byName);
    llvm::sort(table->output_tensors, byName);
    table->peak_bytes = highestByte(entry);
    if (auto of = entry->getAttrOfType<StringAttr>(plan::partOfAttrName); of && failed(addLaunch(entry, of, *table)))
      return failure();
    out.entries.push_back(std::move(table));
  }
  return success();
}

const char *ftc::compilerName() { return "ftc " FTC_VERSION " (LLVM " LLVM_VERSION_STRING ")"; }

FailureOr<std::string> ftc::buildManifest(ModuleOp module, const TargetDescription &target, const MemoryTable &memory,
                                          const std::string &recipeYaml, llvm::ArrayRef<RemarkRecord> remarks) {
  manifest::ManifestT out;
  out.abi_version = FTRT_ABI_VERSION;
  out.compiler = compilerName();
  out.target = target.target;
  out.cpu = target.cpu;
  out.features = target.features;
  out.threads = target.threads;
  out.device = target.device;
  out.architecture = target.architecture;
  out.device_file = target.deviceFile;
  out.assembler = target.assembler;
  out.recipe = recipeYaml;
  ManifestBuilder builder(module);
  if (failed(builder.addSlabs(out)) || failed(builder.addVariables(out)) || failed(builder.addEntries(out)))
    return failure();
  // What only an entry that compares answers gives.
  for (const auto &entry : out.entries)
    out.pairs |= llvm::is_contained(entry->outputs, "reference_log_probs");
  if (target.target == "cuda")
    for (auto kernel : module.getOps<plan::KernelOp>())
      if (std::optional<KernelTraffic> traffic = trafficOfRows(kernel); traffic && traffic->whole) {
        auto table = std::make_unique<manifest::KernelT>();
        table->name = kernel.getSymName();
        table->read_bytes = static_cast<uint64_t>(traffic->read);
        table->written_bytes = static_cast<uint64_t>(traffic->written);
        out.kernels.push_back(std::move(table));
      }
  for (const MemoryRow &row : memory.rows) {
    auto table = std::make_unique<manifest::MemoryRowT>();
    table->what = row.what;
    table->bytes = static_cast<uint64_t>(row.bytes);
    table->far_bytes = static_cast<uint64_t>(row.far);
    out.memory.push_back(std::move(table));
  }
  out.peak_at = memory.peakEntry + ": " + memory.peakLaunch;
  for (const RemarkRecord &remark : remarks) {
    // Places are in the tensors; those of the buffers between would be most of the manifest.
    if (isPlacement(remark) || remark.isOfShorterRows())
      continue;
    auto table = std::make_unique<manifest::RemarkT>();
    table->pass = remark.pass;
    table->where = remark.where;
    table->message = remark.message();
    table->bytes = remark.bytes();
    out.remarks.push_back(std::move(table));
  }
  flatbuffers::FlatBufferBuilder fbb(1 << 16);
  fbb.Finish(manifest::Manifest::Pack(fbb, &out), manifest::ManifestIdentifier());
  return std::string(reinterpret_cast<const char *>(fbb.GetBufferPointer()), fbb.GetSize());
}
