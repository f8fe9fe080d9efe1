//===- EmulatedPlan.cpp - A plan of row kernels on an emulated GPU -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmulatedPlan.h"

#include <cstring>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;
using reference::NamedTensors;
using reference::Tensor;

EmulatedPlan::EmulatedPlan(ModuleOp source, const std::string &device) : plan(source), emulator(source, device) {
  for (auto slab : plan.getOps<plan::SlabOp>()) {
    void *bytes = std::aligned_alloc(slab.getAlignment(), llvm::alignTo(slab.getBytes(), slab.getAlignment()));
    std::memset(bytes, 0xA5, slab.getBytes());
    slabs[slab.getSymName().str()] = bytes;
  }
}

EmulatedPlan::~EmulatedPlan() {
  for (auto &[name, bytes] : slabs)
    std::free(bytes);
}

uint8_t *EmulatedPlan::address(Value buffer) const {
  Operation *op = buffer.getDefiningOp();
  auto at = [&](StringRef slab, uint64_t offset) { return static_cast<uint8_t *>(slabs.at(slab.str())) + offset; };
  if (auto slice = dyn_cast<plan::SliceOp>(op))
    return address(slice.getSource()) + slice.getByteOffset();
  if (auto view = dyn_cast<plan::ViewOp>(op))
    return at(view.getSlab(), view.getOffset());
  auto input = cast<plan::InputOp>(op);
  return at(*input.getSlab(), *input.getOffset());
}

NamedTensors EmulatedPlan::run(llvm::StringRef name, const NamedTensors &inputs, bool backwards) {
  auto entry = plan.lookupSymbol<plan::EntryOp>(name);
  NamedTensors outputs;
  for (Operation &op : entry.getBody().front()) {
    if (auto input = dyn_cast<plan::InputOp>(op)) {
      toBytes(inputs.at(input.getName().str()), address(input.getBuffer()));
    } else if (auto launch = dyn_cast<plan::LaunchOp>(op)) {
      std::vector<void *> buffers;
      std::vector<size_t> bytes;
      for (Value buffer : launch.getBuffers()) {
        buffers.push_back(address(buffer));
        bytes.push_back(plan::bytesOf(buffer.getType()));
      }
      EXPECT_EQ(emulator.run(launch.getKernel().str(), buffers, bytes, backwards), "");
    } else if (auto output = dyn_cast<plan::OutputOp>(op)) {
      outputs[output.getName().str()] =
          fromBytes(cast<MemRefType>(output.getBuffer().getType()), address(output.getBuffer()));
    }
  }
  return outputs;
}

void test::expectEmulatedAsInterpreted(llvm::StringRef text, const NamedTensors &given) {
  OwningOpRef<ModuleOp> module = parsePlan(text);
  ASSERT_TRUE(module);
  reference::PlanInterpreter interpreter(*module);
  for (auto entry : module->getOps<plan::EntryOp>()) {
    NamedTensors inputs;
    for (auto input : entry.getBody().front().getOps<plan::InputOp>()) {
      std::string name = input.getName().str();
      auto found = given.find(name);
      inputs[name] = found != given.end() ? found->second : numbers(input.getBuffer().getType(), name);
    }
    auto expected = interpreter.run(entry.getSymName(), inputs);
    ASSERT_TRUE(static_cast<bool>(expected)) << llvm::toString(expected.takeError());
    EmulatedPlan emulated(*module, "h100");
    ASSERT_TRUE(emulated.ok());
    for (bool backwards : {false, true}) {
      NamedTensors outputs = emulated.run(entry.getSymName(), inputs, backwards);
      EXPECT_EQ(outputs.size(), expected->size());
      for (auto &[name, value] : *expected)
        EXPECT_TRUE(outputs[name].isIdenticalTo(value)) << name << (backwards ? ", last lane first" : "");
    }
  }
}
