//===- Twins.cpp - Code that differs in numbers alone ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/Twins.h"

#include "mlir/IR/SymbolTable.h"

#include <map>

using namespace mlir;
using namespace ftc::target;

static arith::ConstantOp asNumber(Operation *op) {
  auto constant = dyn_cast<arith::ConstantOp>(op);
  return constant && (constant.getType().isInteger(64) || constant.getType().isInteger(32)) ? constant
                                                                                            : arith::ConstantOp();
}

static int64_t valueOf(arith::ConstantOp number) { return cast<IntegerAttr>(number.getValue()).getInt(); }

KernelCode::KernelCode(FunctionOpInterface first, function_ref<FunctionOpInterface(Operation *)> follow,
                       function_ref<bool(arith::ConstantOp)> isBound) {
  functions.push_back(first);
  llvm::hash_code code(0);
  for (size_t i = 0; i < functions.size(); ++i)
    functions[i].getFunctionBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
      code = llvm::hash_combine(code, op->getName(), op->getNumOperands(), op->getNumResults());
      if (auto number = asNumber(op)) {
        if (!isBound || !isBound(number))
          return numbers.push_back(number);
        code = llvm::hash_combine(code, valueOf(number));
      }
      if (FunctionOpInterface other = follow(op)) {
        size_t index = llvm::find(functions, other) - functions.begin();
        if (index == functions.size())
          functions.push_back(other);
        references.try_emplace(op, index);
      }
    });
  fingerprint = llvm::hash_combine(code, functions.size());
}

namespace {
/// Goes through two pieces of code side by side.
class Comparison {
public:
  Comparison(const KernelCode &a, const KernelCode &b) : a(a), b(b) {}

  bool compare() {
    if (a.fingerprint != b.fingerprint || a.functions.size() != b.functions.size() ||
        a.numbers.size() != b.numbers.size())
      return false;
    for (auto [x, y] : llvm::zip(a.numbers, b.numbers))
      free.insert({x, y});
    for (auto [x, y] : llvm::zip(a.functions, b.functions))
      if (!functionsMatch(x, y))
        return false;
    return true;
  }

private:
  bool functionsMatch(FunctionOpInterface x, FunctionOpInterface y) {
    auto rest = [](FunctionOpInterface function) {
      NamedAttrList attributes(function->getAttrDictionary());
      attributes.erase(SymbolTable::getSymbolAttrName());
      return attributes.getDictionary(function.getContext());
    };
    return x->getName() == y->getName() && rest(x) == rest(y) && regionsMatch(x.getFunctionBody(), y.getFunctionBody());
  }

  bool regionsMatch(Region &x, Region &y) {
    if (x.getBlocks().size() != y.getBlocks().size())
      return false;
    for (auto [p, q] : llvm::zip(x, y)) {
      if (p.getArgumentTypes() != q.getArgumentTypes())
        return false;
      blocks[&p] = &q;
      for (auto [v, w] : llvm::zip(p.getArguments(), q.getArguments()))
        values[v] = w;
    }
    for (auto [p, q] : llvm::zip(x, y)) {
      auto mine = p.begin(), other = q.begin();
      for (; mine != p.end() && other != q.end(); ++mine, ++other)
        if (!opsMatch(*mine, *other))
          return false;
      if (mine != p.end() || other != q.end())
        return false;
    }
    return true;
  }

  bool opsMatch(Operation &x, Operation &y) {
    if (x.getName() != y.getName() || x.getResultTypes() != y.getResultTypes() ||
        x.getNumOperands() != y.getNumOperands() || x.getNumSuccessors() != y.getNumSuccessors() ||
        x.getNumRegions() != y.getNumRegions())
      return false;
    // A value that comes later in the order of blocks has no counterpart yet: no twins, which is always safe.
    for (auto [v, w] : llvm::zip(x.getOperands(), y.getOperands()))
      if (values.lookup(v) != w)
        return false;
    for (auto [p, q] : llvm::zip(x.getSuccessors(), y.getSuccessors()))
      if (blocks.lookup(p) != q)
        return false;
    if (!attributesMatch(x, y))
      return false;
    for (auto [v, w] : llvm::zip(x.getResults(), y.getResults()))
      values[v] = w;
    for (auto [p, q] : llvm::zip(x.getRegions(), y.getRegions()))
      if (!regionsMatch(p, q))
        return false;
    return true;
  }

  bool attributesMatch(Operation &x, Operation &y) {
    if (x.getDiscardableAttrDictionary() != y.getDiscardableAttrDictionary())
      return false;
    auto mine = a.references.find(&x), other = b.references.find(&y);
    if (mine != a.references.end() || other != b.references.end())
      return mine != a.references.end() && other != b.references.end() && mine->second == other->second;
    if (free.contains({&x, &y}))
      return true;
    return x.getName().compareOpProperties(x.getPropertiesStorage(), y.getPropertiesStorage());
  }

  const KernelCode &a, &b;
  llvm::DenseSet<std::pair<Operation *, Operation *>> free; ///< numbers that may differ
  llvm::DenseMap<Value, Value> values;
  llvm::DenseMap<Block *, Block *> blocks;
};
} // namespace

bool ftc::target::areTwins(const KernelCode &a, const KernelCode &b) { return Comparison(a, b).compare(); }

/// Finds the numbers in which members differ.
static void findSizes(Family &family) {
  family.sizes.resize(family.members.size());
  std::map<SmallVector<int64_t>, unsigned> known;
  const KernelCode &first = *family.members.front();
  for (size_t i = 0; i < first.numbers.size(); ++i) {
    SmallVector<int64_t> values;
    for (const KernelCode *member : family.members)
      values.push_back(valueOf(member->numbers[i]));
    if (llvm::all_equal(values))
      continue;
    auto [size, isNew] = known.try_emplace(values, static_cast<unsigned>(known.size()));
    if (isNew)
      for (auto [list, value] : llvm::zip(family.sizes, values))
        list.push_back(value);
    family.uses.emplace_back(first.numbers[i], size->second);
  }
}

std::vector<Family> ftc::target::findFamilies(ArrayRef<KernelCode> codes) {
  std::vector<Family> families;
  llvm::DenseMap<size_t, SmallVector<size_t>> byFingerprint;
  for (const KernelCode &code : codes) {
    SmallVector<size_t> &candidates = byFingerprint[code.fingerprint];
    auto found = llvm::find_if(candidates, [&](size_t i) { return areTwins(*families[i].members.front(), code); });
    if (found != candidates.end()) {
      families[*found].members.push_back(&code);
      continue;
    }
    candidates.push_back(families.size());
    families.emplace_back().members.push_back(&code);
  }
  llvm::erase_if(families, [](const Family &family) { return family.members.size() < 2; });
  for (Family &family : families)
    findSizes(family);
  return families;
}
