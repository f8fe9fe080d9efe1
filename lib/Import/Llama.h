//===- Llama.h - Forward graphs of the Llama family ---------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_IMPORT_LLAMA_H
#define FTC_LIB_IMPORT_LLAMA_H

#include "dialects/Train/IR/Train.h"
#include "ftc/Config/Recipe.h"
#include "ftc/Support/Reference.h"

#include "llvm/ADT/StringMap.h"

namespace ftc {

/// Inputs of a forward graph that the layers read. All are [batch * sequence] of i32.
struct LlamaInputs {
  mlir::Value tokens, positions, segmentStarts;
};

/// Builds Llama models (Touvron et al. 2023; grouped-query attention, rotary embedding, SwiGLU, RMSNorm before each
/// block), Mistral's, which are the same, Qwen2's (Yang et al. 2024: a bias for queries, keys and values), Qwen3's
/// (Yang et al. 2025: a norm for each head of queries and keys), Gemma's (Gemma Team 2024a: GeGLU, norms that multiply
/// by 1 + weight, scaled embeddings), Gemma 2's (2024b: also norms behind each block, capped scores and logits,
/// windows in every other layer), Gemma 3's (Gemma Team 2025: Qwen3's norms of heads in place of caps, windows in five
/// of six layers, which have rotary tables of their own), SmolLM3's (2025: no rotary embedding in every fourth layer),
/// OLMo 2's (Team OLMo 2024: norms behind each block alone, and over all heads of queries and of keys) and Granite's
/// (IBM 2024: factors of embeddings, of scores, of what a block adds, and of logits), and Phi-3's (Microsoft 2024), of
/// which some turn a part of each head by LongRoPE's angles, with the names and the half-split
/// rotary layout of Hugging Face checkpoints. OLMo 2's norms are rounded as Llama's: before their weight, too.
class LlamaBuilder {
public:
  /// A builder of the model that is trained.
  LlamaBuilder(mlir::ModuleOp module, const Recipe &recipe)
      : LlamaBuilder(module, recipe, recipe.model, train::VariableRole::Parameter, "") {}

  /// A builder of the recipe's teacher, whose weights are of the role `teacher` and have `teacherPrefix` in front of
  /// their names; it has no layers in the sense of `train.layer`.
  static LlamaBuilder ofTeacher(mlir::ModuleOp module, const Recipe &recipe) {
    return {module, recipe, recipe.distillation->teacher, train::VariableRole::Teacher, teacherPrefix};
  }

  /// A builder of the recipe's reference: the model that is trained as it was before, over variables of the role
  /// `reference`, which have `referencePrefix` in front of their names. It reads that model's rotary tables, and its
  /// ops are marked as with setReference(true).
  static LlamaBuilder ofReference(mlir::ModuleOp module, const Recipe &recipe) {
    LlamaBuilder builder(module, recipe, recipe.model, train::VariableRole::Reference, referencePrefix);
    builder.isReference = true;
    return builder;
  }

  /// Declares every parameter and the rotary tables, in the order of a checkpoint.
  void declareVariables();

  /// Hidden states after the final norm, [batch * sequence, embed_dim].
  mlir::Value buildHidden(mlir::OpBuilder &builder, const LlamaInputs &inputs, int64_t batch);

  /// What is built from now on has locations inside of `entry`'s.
  void buildInside(train::EntryOp entry) { location = entry.getLoc(); }

  /// Logits of rows of hidden states, [rows, vocab_size].
  mlir::Value buildHead(mlir::OpBuilder &builder, mlir::Value hidden);

  /// Marks the ops of graphs that are built from now on as those of the model before training (`train.reference`),
  /// which gets no adapters, and of no layer.
  void setReference(bool reference) { isReference = reference; }

  mlir::Type getElementType() const { return elementType; }

private:
  LlamaBuilder(mlir::ModuleOp module, const Recipe &recipe, const ModelConfig &model, train::VariableRole role,
               llvm::StringRef prefix);
  bool isTrained() const { return role == train::VariableRole::Parameter; }
  /// The variable of the recipe's model, or of this one, that its `name` is.
  std::string variableOf(llvm::StringRef name) const;
  void declare(mlir::OpBuilder &builder, llvm::StringRef name, llvm::ArrayRef<int64_t> shape, mlir::Attribute init);
  mlir::Value read(mlir::OpBuilder &builder, llvm::StringRef name);
  mlir::Value linear(mlir::OpBuilder &builder, mlir::Value input, llvm::StringRef weight);
  /// The rotary tables of layers that hasLocalRotary(), or of the others.
  void declareTables(mlir::OpBuilder &builder, bool local);
  mlir::Value embed(mlir::OpBuilder &builder, mlir::Value tokens);
  /// `x` times a factor of IEEE single precision; itself where that is 1.
  mlir::Value scale(mlir::OpBuilder &builder, mlir::Value x, const llvm::APFloat &factor, const llvm::Twine &where);
  /// The residual stream behind `block`, which gives `x`.
  mlir::Value addToStream(mlir::OpBuilder &builder, mlir::Value stream, mlir::Value x, const std::string &block);
  mlir::Value norm(mlir::OpBuilder &builder, mlir::Value input, llvm::StringRef weight);
  mlir::Value attentionBlock(mlir::OpBuilder &builder, mlir::Value input, int64_t layer, const LlamaInputs &inputs,
                             int64_t batch);
  mlir::Value feedForwardBlock(mlir::OpBuilder &builder, mlir::Value input, int64_t layer);
  /// Marks `first` and what stands behind it as the reference's, if this is its graph.
  void markReference(mlir::Operation *first);
  /// A location that says where in the model an op comes from, e.g. "layers.3.attention".
  mlir::Location at(const llvm::Twine &where);

  mlir::ModuleOp module;
  const Recipe &recipe;
  const ModelConfig &model;
  train::VariableRole role; ///< of weights
  std::string prefix;       ///< of variables and locations
  mlir::Type elementType;
  mlir::Location location;
  llvm::StringMap<mlir::RankedTensorType> types;
  bool isReference = false;
};

} // namespace ftc

#endif // FTC_LIB_IMPORT_LLAMA_H
