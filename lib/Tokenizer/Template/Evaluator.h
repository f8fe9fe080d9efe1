//===- Evaluator.h - A template is written ------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_TEMPLATE_EVALUATOR_H
#define FTC_LIB_TOKENIZER_TEMPLATE_EVALUATOR_H

#include "Ast.h"

#include "ftc/Tokenizer/ChatTemplate.h"

namespace ftc::jinja {

/// What a template writes for these variables. Throws.
RenderedChat renderTemplate(const Body &body, std::vector<std::pair<std::string, Value>> variables);

} // namespace ftc::jinja

#endif // FTC_LIB_TOKENIZER_TEMPLATE_EVALUATOR_H
