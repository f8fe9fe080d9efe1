#!/usr/bin/env python3
# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What transformers' Jinja writes for the templates and expressions of chat_templates.py, for the unit tests of ours.

usage: golden_chat.py OUT_FOLDER     (in the environment of requirements-torch.txt)

Writes templates.json: a list of {"template", "variables" (a number: one of "variables"), "text"}, without a text where transformers fails, or with "says" where
the template itself raises.
"""
import json
import os
import sys

import jinja2
from chat_templates import CHATS, EXPRESSIONS, STATEMENTS, TEMPLATES, TOOLS, VARIABLES
from transformers.utils import chat_template_utils


def rendered(template, variables):
    """{"text"} or {"says"} or {}."""
    # The date does not change from run to run.
    fixed = dict(variables, strftime_now=lambda form: __import__("datetime").datetime(2024, 7, 26).strftime(form))
    try:
        return {"text": chat_template_utils._compile_jinja_template(template).render(**fixed)}
    except jinja2.exceptions.TemplateSyntaxError:
        return {}
    except jinja2.exceptions.TemplateError as error:
        return {"says": str(error)} if type(error) is jinja2.exceptions.TemplateError else {}
    except (TypeError, ValueError, ZeroDivisionError, OverflowError, AttributeError, KeyError, IndexError, RecursionError, SyntaxError):
        return {}


def cases():
    variables, entries = [VARIABLES], []
    for line in EXPRESSIONS.strip().split("\n"):
        for expression in line.split(" | "):
            entries.append({"template": "{{ " + expression + " }}", "variables": 0})
    entries += [{"template": statement, "variables": 0} for statement in STATEMENTS]
    for chat in CHATS:
        messages = [{"role": role, "content": words} for role, words in chat]
        for prompts in (False, True):
            variables.append({"messages": messages, "add_generation_prompt": prompts, "bos_token": "<s>", "eos_token": "</s>", "tools": None})
            entries += [{"template": name, "variables": len(variables) - 1} for name in TEMPLATES]
    calls = [{"role": "user", "content": "Look."}, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {"what": "é", "n": 1}}}]}]
    variables.append({"messages": calls, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", "tools": TOOLS})
    entries += [{"template": name, "variables": len(variables) - 1} for name in ("llama3", "qwen2.5")]
    variables.append({"messages": [{"role": "user", "content": [{"type": "text", "text": " one "}, {"type": "text", "text": "two"}]}], "add_generation_prompt": True, "bos_token": "<s>"})
    entries += [{"template": name, "variables": len(variables) - 1} for name in ("gemma3", "macros")]
    for entry in entries:
        entry.update(rendered(TEMPLATES.get(entry["template"], entry["template"]), variables[entry["variables"]]))
    return {"templates": TEMPLATES, "variables": variables, "cases": entries}


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    with open(os.path.join(sys.argv[1], "templates.json"), "w", encoding="utf-8") as file:
        json.dump(cases(), file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")
