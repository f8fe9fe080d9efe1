//===- RecipeData.h - The data sets of a recipe ------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// How a recipe's data are read, for all who read them: what a step is compiled for is what it is trained with.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_DATA_RECIPEDATA_H
#define FTC_DATA_RECIPEDATA_H

#include "ftc/Data/DataSet.h"

#include <string>
#include <vector>

namespace ftc {

/// What makeTokenizer is to be asked for.
TokenizerConfig tokenizerOf(const Recipe &recipe);

/// The nodes of `dataset`, one or a list.
std::vector<DatasetConfig> trainedSets(const Recipe &recipe);

/// Gives the nodes of `dataset` the files that --data names: all to a single node, one to each of a list. Returns why
/// they do not fit, or which node has none, and the way out; "" where all have some. Their patterns are expanded.
std::string nameDataFiles(Recipe &recipe, const std::vector<std::string> &data);

/// Puts the files that match in place of each pattern, such as parts/*.jsonl, by name. Returns why there are none, with
/// the pattern; "" where there are.
std::string expandPatterns(std::vector<std::string> &paths);

/// The nodes of dataset_val. One that names no files, but a slice of the split that is trained, has those files;
/// another one has none. Patterns are as they are named: who reads a set expands them.
std::vector<DatasetConfig> heldOutSets(const Recipe &recipe);

/// All files that a model consists of as its recipe names them, those that are there: weights, adapters and the files
/// beside them, the teacher's too, and the tokenizer's.
std::vector<std::string> allModelFiles(const Recipe &recipe);

/// All files and folders that --data, `dataset` and `dataset_val` name, whichever of them are read; patterns expanded,
/// without those that match nothing.
std::vector<std::string> allDataFiles(const Recipe &recipe, const std::vector<std::string> &data);

/// How the data of a run are named to ftc: "--data a.jsonl dataset_val.data_files=b.jsonl", words of a shell. `data`:
/// what --data names, if anything; `heldOut`: what --held-out-data names, or "". Of a dataset_val that is a list
/// nothing is told. `recipe` is the one whose patterns are not expanded yet.
std::string dataWords(const Recipe &recipe, std::vector<std::string> data, const std::string &heldOut);

/// "PATH: cannot read the data: REASON" of the first of a node's files that has no name, is not there or cannot be
/// opened; "": none.
std::string whyUnreadable(const DatasetConfig &set);

/// How a node with files is read, with rows of `rowLength` tokens, and none held out. Ids are kept where the run
/// writes.
DataOptions dataOptions(const Recipe &recipe, const DatasetConfig &set, int64_t rowLength);

} // namespace ftc

#endif // FTC_DATA_RECIPEDATA_H
