//===- VerifyCopies.cpp - Nobody meets a copy that is under way -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/Transforms/VerifyCopies.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::plan;

const void *plan::memoryOf(SymbolTable &symbols, Value buffer) {
  buffer = partOf(buffer).whole;
  if (auto get = buffer.getDefiningOp<ReadVariableOp>())
    return symbols.lookup(get.getVariable());
  return buffer.getAsOpaquePointer();
}

Bytes plan::bytesIn(Value buffer) {
  int64_t begin = partOf(buffer).offset;
  return {begin, begin + bytesOf(buffer.getType())};
}

bool CopiesUnderWay::meet(Value a, Value b) {
  return memoryOf(symbols, a) == memoryOf(symbols, b) && bytesIn(a).meets(bytesIn(b));
}

bool CopiesUnderWay::access(Operation *op, Value buffer, bool writes) {
  for (const Copy &copy : copies) {
    bool target = meet(copy.to, buffer), source = writes && meet(copy.from, buffer);
    if (!target && !source)
      continue;
    InFlightDiagnostic diagnostic = op->emitError(target ? "uses the target of a copy" : "writes the source of a copy")
                                    << " that nobody has waited for";
    diagnostic.attachNote(copy.op->getLoc()) << "the copy begins here";
    return false;
  }
  return true;
}

bool CopiesUnderWay::begin(Operation *copy, Value from, Value to) {
  bool good = access(copy, from, /*writes=*/false) && access(copy, to, /*writes=*/true);
  copies.push_back({copy, from, to});
  return good;
}

void CopiesUnderWay::wait(Value event) {
  llvm::erase_if(copies, [&](const Copy &copy) { return copy.op->getResult(0) == event; });
}

bool CopiesUnderWay::finish() {
  for (const Copy &copy : copies)
    copy.op->emitError("begins a copy that nobody waits for");
  return copies.empty();
}
