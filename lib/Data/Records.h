//===- Records.h - A record as a sample --------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_DATA_RECORDS_H
#define FTC_LIB_DATA_RECORDS_H

#include "TokenStore.h"

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace ftc {

/// Writes what a record stands for to `sample`, which is clear before; nothing where it has nothing to train. Returns
/// why it cannot be used, and what to do.
std::optional<std::string> encodeRecord(const nlohmann::json &record, const DataOptions &options,
                                        const Tokenizer &tokenizer, RecordCounts &counts, Sample &sample);

} // namespace ftc

#endif // FTC_LIB_DATA_RECORDS_H
