//===- Wrap.h - Text in lines of a width ------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_WRAP_H
#define FTC_SUPPORT_WRAP_H

#include <cstddef>
#include <string>
#include <string_view>

namespace ftc {

/// `text` with the blanks between words made into ends of lines, so that each line has at most `width` bytes, unless a
/// word alone is longer. Ends of lines that are there stay.
std::string wrapped(std::string_view text, size_t width);

} // namespace ftc

#endif // FTC_SUPPORT_WRAP_H
