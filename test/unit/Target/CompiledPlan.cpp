//===- CompiledPlan.cpp - A plan compiled to a step and run ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CompiledPlan.h"

#include "dialects/Plan/Transforms/Passes.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"
#include "ftc/Pipelines/Register.h"
#include "ftc/Support/Random.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <thread>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;
using reference::NamedTensors;
using reference::Tensor;

MLIRContext &test::context() {
  static MLIRContext instance([] {
    DialectRegistry registry;
    registerDialects(registry);
    return registry;
  }());
  return instance;
}

OwningOpRef<ModuleOp> test::parsePlan(llvm::StringRef text, const std::string &device) {
  auto module = parseSourceString<ModuleOp>(text, &context());
  EXPECT_TRUE(module) << text.str();
  if (!module)
    return {};
  PassManager passes(&context());
  passes.addPass(createConvertTrainToPlanPass());
  if (!device.empty())
    passes.addPass(createCudaPlanScratchPass({.device = device}));
  passes.addPass(plan::createPlanAssignOffsetsPass({.alignment = device.empty() ? 64u : 256u}));
  EXPECT_TRUE(succeeded(passes.run(*module)));
  return module;
}

//===----------------------------------------------------------------------===//
// Services
//===----------------------------------------------------------------------===//

static void parallelFor(void *context, ftrt_task_fn body, void *args, uint64_t tasks) {
  auto threads = static_cast<unsigned>(reinterpret_cast<uintptr_t>(context));
  std::atomic<int64_t> next{static_cast<int64_t>(tasks) - 1};
  auto work = [&](uint32_t thread) {
    for (int64_t task = next--; task >= 0; task = next--)
      body(args, static_cast<uint64_t>(task), thread);
  };
  std::vector<std::thread> others;
  for (unsigned thread = 1; thread < threads; ++thread)
    others.emplace_back(work, thread);
  work(0);
  for (std::thread &other : others)
    other.join();
}

/// The far slab of the plan that runs.
static uint8_t *farSlab = nullptr;

ftrt_services test::services(unsigned threads) {
  ftrt_services services{};
  services.abi_version = FTRT_ABI_VERSION;
  services.size = sizeof(ftrt_services);
  services.context = reinterpret_cast<void *>(static_cast<uintptr_t>(threads));
  services.threads = threads;
  services.parallel_for = parallelFor;
  // The far tier of these tests is memory, and its copies are over when they begin.
  services.far_write = [](void *, uint32_t slab, uint64_t offset, const void *from, uint64_t bytes) -> uint64_t {
    std::memcpy(farSlab + offset, from, bytes);
    return 0;
  };
  services.far_read = [](void *, uint32_t slab, uint64_t offset, void *to, uint64_t bytes) -> uint64_t {
    std::memcpy(to, farSlab + offset, bytes);
    return 0;
  };
  services.far_wait = [](void *, uint64_t) -> int32_t { return 0; };
  return services;
}

//===----------------------------------------------------------------------===//
// Bytes and tensors
//===----------------------------------------------------------------------===//

void test::toBytes(const Tensor &tensor, uint8_t *to) {
  Type element = tensor.type.getElementType();
  for (int64_t i = 0; i < tensor.size(); ++i) {
    if (element.isF32()) {
      auto value = static_cast<float>(tensor.reals[i]);
      std::memcpy(to + 4 * i, &value, 4);
    } else if (element.isBF16()) {
      auto value = static_cast<float>(tensor.reals[i]);
      std::memcpy(to + 2 * i, reinterpret_cast<const uint8_t *>(&value) + 2, 2);
    } else if (element.isF64()) {
      std::memcpy(to + 8 * i, &tensor.reals[i], 8);
    } else {
      unsigned bytes = element.getIntOrFloatBitWidth() / 8;
      std::memcpy(to + bytes * i, &tensor.integers[i], bytes);
    }
  }
}

Tensor test::fromBytes(MemRefType type, const uint8_t *from) {
  Tensor tensor(RankedTensorType::get(type.getShape(), type.getElementType()));
  Type element = type.getElementType();
  for (int64_t i = 0; i < tensor.size(); ++i) {
    if (element.isF32()) {
      float value;
      std::memcpy(&value, from + 4 * i, 4);
      tensor.reals[i] = value;
    } else if (element.isBF16()) {
      uint32_t bits = 0;
      std::memcpy(reinterpret_cast<uint8_t *>(&bits) + 2, from + 2 * i, 2);
      float value;
      std::memcpy(&value, &bits, 4);
      tensor.reals[i] = value;
    } else if (element.isF64()) {
      std::memcpy(&tensor.reals[i], from + 8 * i, 8);
    } else if (element.isInteger(8)) {
      tensor.integers[i] = static_cast<int8_t>(from[i]);
    } else if (element.isInteger(32)) {
      int32_t value;
      std::memcpy(&value, from + 4 * i, 4);
      tensor.integers[i] = value;
    } else {
      std::memcpy(&tensor.integers[i], from + 8 * i, 8);
    }
  }
  return tensor;
}

Tensor test::numbers(Type type, llvm::StringRef name, int64_t bound) {
  auto shaped = cast<ShapedType>(type);
  Tensor tensor(RankedTensorType::get(shaped.getShape(), shaped.getElementType()));
  CounterRandom random(11, name.str());
  for (int64_t i = 0; i < tensor.size(); ++i) {
    if (tensor.isReal())
      tensor.set(i, random.normal(i));
    else
      tensor.integers[i] = random.below(i, static_cast<uint32_t>(bound));
  }
  return tensor;
}

Tensor test::integers(llvm::StringRef type, std::vector<int64_t> values) {
  Tensor tensor(cast<RankedTensorType>(parseType(type, &context())));
  EXPECT_EQ(tensor.integers.size(), values.size());
  tensor.integers = std::move(values);
  return tensor;
}

//===----------------------------------------------------------------------===//
// CompiledPlan
//===----------------------------------------------------------------------===//

CompiledPlan::CompiledPlan(ModuleOp source) : owner(source.clone()), plan(*owner) {}

CompiledPlan::CompiledPlan(ModuleOp source, const std::string &cpu, unsigned threads) : CompiledPlan(source) {
  std::string error;
  std::unique_ptr<TargetBackend> backend = createCpuBackend(cpu, threads, error);
  EXPECT_TRUE(backend) << error;
  if (backend)
    build(*backend, [&](ModuleOp module) {
      PassManager passes(module.getContext());
      backend->addLoweringPasses(passes);
      return passes.run(module);
    });
}

ftrt_services CompiledPlan::servicesFor(unsigned threads) { return services(threads); }

void CompiledPlan::build(TargetBackend &host, llvm::function_ref<LogicalResult(ModuleOp)> lower) {
  OwningOpRef<ModuleOp> lowered(plan.clone());
  if (failed(lower(*lowered))) {
    ADD_FAILURE() << "lowering failed";
    return;
  }
  FailureOr<std::string> object = host.emitObject(*lowered);
  if (failed(object)) {
    ADD_FAILURE() << "no object";
    return;
  }
  FailureOr<std::string> linked = host.link(plan.getLoc(), *object);
  if (failed(linked)) {
    ADD_FAILURE() << "not linked";
    return;
  }
  image = std::move(*linked);
  llvm::SmallString<128> name;
  int descriptor = -1;
  if (llvm::sys::fs::createTemporaryFile("ftc-test", "so", descriptor, name)) {
    ADD_FAILURE() << "no temporary file";
    return;
  }
  path = name.str().str();
  {
    llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
    stream << image;
  }
  library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    ADD_FAILURE() << dlerror();
    return;
  }
  step = static_cast<const ftrt_step *>(dlsym(library, FTRT_STEP_SYMBOL));
  EXPECT_TRUE(step);
  for (auto slab : plan.getOps<plan::SlabOp>()) {
    slabs.push_back(std::aligned_alloc(slab.getAlignment(), llvm::alignTo(slab.getBytes(), slab.getAlignment())));
    std::memset(slabs.back(), 0xA5, slab.getBytes());
  }
}

CompiledPlan::~CompiledPlan() {
  for (void *slab : slabs)
    std::free(slab);
  if (library)
    dlclose(library);
  if (!path.empty())
    llvm::sys::fs::remove(path);
}

uint8_t *CompiledPlan::address(llvm::StringRef name, uint64_t offset) const {
  size_t index = 0;
  for (auto slab : plan.getOps<plan::SlabOp>()) {
    if (slab.getSymName() == name)
      break;
    ++index;
  }
  return static_cast<uint8_t *>(slabs[index]) + offset;
}

uint8_t *CompiledPlan::address(Value buffer) const {
  Operation *op = buffer.getDefiningOp();
  if (auto slice = dyn_cast<plan::SliceOp>(op))
    return address(slice.getSource()) + slice.getByteOffset();
  if (auto view = dyn_cast<plan::ViewOp>(op))
    return address(view.getSlab(), view.getOffset());
  if (auto input = dyn_cast<plan::InputOp>(op))
    return address(*input.getSlab(), *input.getOffset());
  auto variable = plan.lookupSymbol<plan::VariableOp>(cast<plan::ReadVariableOp>(op).getVariable());
  return address(*variable.getSlab(), *variable.getOffset());
}

void CompiledPlan::set(llvm::StringRef name, const Tensor &value) {
  auto variable = plan.lookupSymbol<plan::VariableOp>(name);
  toBytes(value, address(*variable.getSlab(), *variable.getOffset()));
}

Tensor CompiledPlan::get(llvm::StringRef name) const {
  auto variable = plan.lookupSymbol<plan::VariableOp>(name);
  return fromBytes(variable.getBufferType(), address(*variable.getSlab(), *variable.getOffset()));
}

int32_t CompiledPlan::call(size_t entry, const ftrt_services &services, const ftrt_scalars &scalars) {
  size_t index = 0;
  for (auto slab : plan.getOps<plan::SlabOp>()) {
    if (slab.getFar())
      farSlab = static_cast<uint8_t *>(slabs[index]);
    ++index;
  }
  return step->entries[entry](&services, slabs.data(), &scalars);
}

NamedTensors CompiledPlan::run(llvm::StringRef name, const NamedTensors &inputs, unsigned threads) {
  size_t index = 0;
  for (auto entry : plan.getOps<plan::EntryOp>()) {
    if (entry.getSymName() != name) {
      ++index;
      continue;
    }
    ftrt_scalars scalars{};
    Block &body = entry.getBody().front();
    for (auto input : body.getOps<plan::InputOp>()) {
      const Tensor &value = inputs.at(input.getName().str());
      if (input.getName() == "learning_rate")
        scalars.learning_rate = static_cast<float>(value.reals[0]);
      else if (input.getName() == "inv_tokens")
        scalars.inv_tokens = static_cast<float>(value.reals[0]);
      else if (input.getName() == "step")
        scalars.step = value.integers[0];
      else if (input.getName() == "micro")
        scalars.micro = value.integers[0];
      else if (input.getName() == "seed")
        scalars.seed = static_cast<uint64_t>(value.integers[0]);
      else if (input.getName() == "row")
        scalars.row = value.integers[0];
      else if (input.getName() == "position")
        scalars.position = value.integers[0];
      else
        toBytes(value, address(input.getBuffer()));
    }
    EXPECT_EQ(call(index, servicesFor(threads), scalars), FTRT_OK);
    NamedTensors outputs;
    for (auto output : body.getOps<plan::OutputOp>())
      outputs[output.getName().str()] =
          fromBytes(cast<MemRefType>(output.getBuffer().getType()), address(output.getBuffer()));
    return outputs;
  }
  ADD_FAILURE() << "no entry " << name.str();
  return {};
}

//===----------------------------------------------------------------------===//
// Comparison
//===----------------------------------------------------------------------===//

static void expectNear(const Tensor &actual, const Tensor &expected, Tolerance tolerance, const std::string &what) {
  ASSERT_EQ(actual.type, expected.type) << what;
  if (tolerance.ulps == 0 || !expected.isReal()) {
    EXPECT_TRUE(actual.isIdenticalTo(expected)) << what;
    if (!actual.isIdenticalTo(expected) && expected.isReal())
      for (int64_t i = 0; i < expected.size(); ++i)
        if (!(actual.reals[i] == expected.reals[i])) {
          ADD_FAILURE() << what << "[" << i << "]: " << actual.reals[i] << " instead of " << expected.reals[i];
          break;
        }
    return;
  }
  double epsilon = expected.type.getElementType().isBF16() ? 0x1p-8 : 0x1p-23;
  for (int64_t i = 0; i < expected.size(); ++i) {
    double bound = tolerance.ulps * epsilon * std::max(std::abs(expected.reals[i]), tolerance.scale);
    if (std::isnan(expected.reals[i]) && std::isnan(actual.reals[i]))
      continue;
    ASSERT_LE(std::abs(actual.reals[i] - expected.reals[i]), bound)
        << what << "[" << i << "]: " << actual.reals[i] << " instead of " << expected.reals[i];
  }
}

void test::expectAsInterpreted(llvm::StringRef text, const NamedTensors &given, Tolerance tolerance) {
  OwningOpRef<ModuleOp> module = parsePlan(text);
  ASSERT_TRUE(module);
  reference::PlanInterpreter interpreter(*module);
  std::map<std::string, Tensor> variables;
  for (auto variable : module->getOps<plan::VariableOp>()) {
    std::string name = variable.getSymName().str();
    auto found = given.find(name);
    variables[name] = found != given.end() ? found->second : numbers(variable.getType(), name);
    ASSERT_FALSE(static_cast<bool>(interpreter.set(name, variables[name])));
  }
  std::vector<std::pair<std::string, NamedTensors>> calls;
  for (auto entry : module->getOps<plan::EntryOp>()) {
    NamedTensors inputs;
    for (auto input : entry.getBody().front().getOps<plan::InputOp>()) {
      std::string name = input.getName().str();
      auto found = given.find(name);
      inputs[name] = found != given.end() ? found->second : numbers(input.getBuffer().getType(), name);
    }
    calls.emplace_back(entry.getSymName().str(), std::move(inputs));
  }
  std::vector<NamedTensors> expected;
  for (auto &[entry, inputs] : calls) {
    auto outputs = interpreter.run(entry, inputs);
    ASSERT_TRUE(static_cast<bool>(outputs)) << llvm::toString(outputs.takeError());
    expected.push_back(std::move(*outputs));
  }

  for (const char *cpu : {"x86-64-v3", "native"}) {
    std::vector<Tensor> oneThread;
    for (unsigned threads : {1u, 2u}) {
      CompiledPlan compiled(*module, cpu);
      ASSERT_TRUE(compiled.ok());
      for (auto &[name, value] : variables)
        compiled.set(name, value);
      std::vector<Tensor> all;
      std::string where = std::string(cpu) + ", " + std::to_string(threads) + " threads, ";
      for (auto [call, wanted] : llvm::zip(calls, expected)) {
        NamedTensors outputs = compiled.run(call.first, call.second, threads);
        for (auto &[name, value] : wanted) {
          expectNear(outputs[name], value, tolerance, where + name);
          all.push_back(outputs[name]);
        }
      }
      for (auto &[name, value] : variables) {
        auto wanted = interpreter.get(name);
        ASSERT_TRUE(static_cast<bool>(wanted));
        expectNear(compiled.get(name), *wanted, tolerance, where + name);
        all.push_back(compiled.get(name));
      }
      if (threads == 1) {
        oneThread = std::move(all);
        continue;
      }
      for (auto [one, two] : llvm::zip(oneThread, all))
        EXPECT_TRUE(one.isIdenticalTo(two)) << where << "differs from one thread";
    }
  }
}
