//===- Algorithms.h - Which algorithms multiply, from run to run ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A device's library has many algorithms for a product, and bits depend on which one is taken. A checkpoint holds those
// of its run, and a run that goes on takes them again. `ftrun --tune` leaves the fastest beside the step, for every run
// of it. They hold for one version of the library on one kind of device.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_ALGORITHMS_H
#define FTC_TRAINER_ALGORITHMS_H

#include "ftc/Runtime/Device.h"

#include <optional>
#include <string>

namespace ftc {

/// Name of the file in a checkpoint.
inline constexpr const char *algorithmsName = "algorithms.json";

/// The file beside a step: "step.so.algorithms.json".
std::string algorithmsBeside(const std::string &step);

/// JSON: "library", "device", and a list of "products" with "product", "algorithm" (eight words in hexadecimal) and,
/// where they were measured, "microseconds" and "first_microseconds". With attention, "attention_library", and a list
/// of "attentions" with "attention" and "plans".
std::string algorithmsText(const ProductAlgorithms &algorithms);

/// Reads such a file. Nothing where there is none, and where it is damaged; then `problem` says how.
std::optional<ProductAlgorithms> readAlgorithms(const std::string &path, std::string &problem);

/// Whether both are the same algorithms of the same library on the same device.
bool sameAlgorithms(const ProductAlgorithms &x, const ProductAlgorithms &y);

} // namespace ftc

#endif // FTC_TRAINER_ALGORITHMS_H
