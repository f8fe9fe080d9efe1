//===- Remat.h - Which activations are computed again -------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_REMAT_H
#define FTC_ANALYSIS_REMAT_H

#include "dialects/Train/IR/Train.h"

#include "llvm/ADT/DenseSet.h"

#include <string>
#include <vector>

namespace ftc {

/// A forward op that is computed again in the backward graph.
struct Recomputation {
  mlir::Operation *op = nullptr;
  mlir::Operation *before = nullptr; ///< the backward op that its copy goes right before
  mlir::Value until;                 ///< a gradient that exists there: the copy must not be computed before it
  int64_t bytesFreed = 0;            ///< of its results that need no longer be kept from forward to backward
  double flops = 0;                  ///< what the copy costs, see flopsOf
};

/// A forward value of a chosen layer that is kept for the backward graph, and why.
struct KeptActivation {
  mlir::Value value;
  std::string reason;
  int64_t bytes = 0;
  double flops = 0; ///< what it would cost to compute it again from its op's operands
};

/// A forward op of a layer, as a choice within a budget sees it.
struct RematCandidate {
  mlir::Operation *op = nullptr;
  int64_t layer = 0;
  bool mayBeAgain = false;         ///< nothing stands against computing it again
  std::vector<bool> read;          ///< for each result whether a backward op reads it
  std::vector<mlir::Value> needed; ///< what would have to be kept, or computed again itself, to compute it again
};

/// Takes the forward ops of all layers in the block's order, and returns those that are computed again.
using RematSelector = llvm::function_ref<llvm::DenseSet<mlir::Operation *>(llvm::ArrayRef<RematCandidate>)>;

struct RematChoice {
  /// In the order in which copies are made: operands first, and places from the top of the block to its bottom.
  std::vector<Recomputation> recomputed;
  std::vector<KeptActivation> kept; ///< in the block's order
  /// The ops that read the copies from now on: what is marked `train.backward` and all that depends on it.
  llvm::DenseSet<mlir::Operation *> backward;
};

/// Chooses what to compute again in an entry that is differentiated. Layers are those of `train.layer`; an op without
/// the attribute belongs to layer N if an operand comes from layer N and all its forward users belong to layer N. Of
/// each `every` layers the last is chosen (layer numbers every - 1, 2 every - 1, ...).
///
/// A value of a chosen layer is computed again if a backward op reads it, no forward op outside its layer does, its op
/// has no effect on memory, and
///   - Full: always;
///   - Selective: its op is row-wise or rotary, and each of its operands is an input or a variable, kept for the
///     backward graph anyway, or computed again;
///   - Budget: `select` returns its op.
/// What is fake-quantized of a variable is computed again in every layer, chosen or not.
/// The answer depends on the block, and with Budget on `select`; nothing is changed.
RematChoice chooseRemat(mlir::Block &block, train::RematMode mode, int64_t every, RematSelector select = {});

} // namespace ftc

#endif // FTC_ANALYSIS_REMAT_H
