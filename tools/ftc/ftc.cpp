//===- ftc.cpp - Compiles a recipe into a training step ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Config/Recipe.h"
#include "ftc/Pipelines/Pipeline.h"
#include "ftc/Support/Files.h"
#include "ftc/Support/Units.h"

#include <CLI/CLI.hpp>
#include <cstdio>

using namespace ftc;

namespace {
/// The command line.
struct Arguments {
  std::string config, output, report, emit = "step";
  std::vector<std::string> overrides;
  CompileOptions options;
  bool timing = false;
};

void addCommonOptions(CLI::App &command, Arguments &arguments) {
  command.add_option("config", arguments.config, "The recipe, YAML as torchtune writes it")->required();
  command.add_option("overrides", arguments.overrides,
                     "key=value sets a key of the recipe, ~key removes one, in order");
  command
      .add_option(
          "--mcpu", arguments.options.cpu,
          "CPU to compile for: native, or LLVM's name, e.g. x86-64-v3 (which is what native means beside a GPU)")
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("--threads", arguments.options.threads,
                  "Most threads that the step may run on; memory is planned for so many")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--target", arguments.options.target, "What to compile for")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command
      .add_option(
          "--device", arguments.options.device,
          "GPU to compile for, with --target cuda: a100, h100, h200, b200, or a file like configs/devices/h100.yaml")
      ->type_name("NAME|FILE.yaml");
  command.add_option("--dump-ir", arguments.options.dumpFolder, "Write one numbered file a stage into this folder")
      ->type_name("DIR");
  command
      .add_option(
          "--report", arguments.report,
          "Write the memory table and every decision of the passes, with place, bytes and reason, into this file")
      ->type_name("FILE");
  command.add_flag("--timing", arguments.timing, "Tell how long each stage took");
}

void print(const std::vector<Diagnostic> &diagnostics) {
  for (const Diagnostic &diagnostic : diagnostics)
    std::fprintf(stderr, "%s\n", diagnostic.str().c_str());
}

int complain(const std::string &message) {
  std::fprintf(stderr, "ftc: error: %s\n", message.c_str());
  return 1;
}

/// Reads the recipe and compiles it. 0, or the exit code.
int run(Arguments &arguments) {
  std::string text, error;
  if (!readFile(arguments.config, text, error))
    return complain(error);
  std::vector<Diagnostic> diagnostics;
  std::optional<Recipe> recipe = parseRecipe(text, arguments.config, arguments.overrides, diagnostics);
  print(diagnostics);
  if (!recipe)
    return 1;
  print(recipe->remarks);
  diagnostics.clear();
  std::optional<CompileResult> result = compile(*recipe, arguments.options, diagnostics);
  print(diagnostics);
  if (!result)
    return 1;

  // The report goes where the output does not.
  bool toStdout = arguments.output.empty() || arguments.output == "-";
  bool hasOutput = arguments.options.stopAfter != Stage::Plan || arguments.emit == "plan";
  FILE *report = toStdout && hasOutput ? stderr : stdout;
  std::fputs(result->memoryReport.c_str(), report);
  std::fputs(result->decisions.c_str(), report);
  if (!arguments.report.empty() &&
      !writeFileAtomically(arguments.report, result->memoryReport + result->decisions + result->allDecisions, error))
    return complain(error);
  if (arguments.timing)
    for (const auto &[stage, seconds] : result->seconds)
      std::fprintf(report, "  %-28s %s\n", stage.c_str(), formatSeconds(seconds).c_str());
  if (!hasOutput)
    return 0;
  if (toStdout) {
    std::fwrite(result->output.data(), 1, result->output.size(), stdout);
    return std::fflush(stdout) == 0 ? 0 : complain("cannot write the output");
  }
  if (!writeFileAtomically(arguments.output, result->output, error))
    return complain(error);
  if (arguments.options.stopAfter == Stage::Step)
    std::fprintf(report, "wrote %s: %s of code and tables for %s, %s of memory\n", arguments.output.c_str(),
                 formatBytes(result->output.size()).c_str(), result->cpu.c_str(),
                 formatBytes(result->totalBytes).c_str());
  return 0;
}
} // namespace

int main(int argc, char **argv) {
  CLI::App app{"Compiles a fine-tuning recipe into one native training step.", "ftc"};
  app.set_version_flag("--version", std::string(compilerName()));
  app.require_subcommand(1);
  Arguments arguments;
  CLI::App *compileCommand = app.add_subcommand("compile", "Compile a recipe; prints the memory table");
  addCommonOptions(*compileCommand, arguments);
  compileCommand->add_option("-o,--output", arguments.output,
                             "File to write, whole or not at all; '-' is standard output, the default with --emit");
  compileCommand
      ->add_option("--emit", arguments.emit,
                   "Stop after a stage and write it: its IR, an object, the manifest, a GPU's kernels")
      ->check(CLI::IsMember({"train", "train-opt", "plan", "manifest", "ptx", "llvm", "obj", "step"}))
      ->capture_default_str();
  CLI::App *planCommand = app.add_subcommand("plan", "Print the memory table of a recipe, without making code");
  addCommonOptions(*planCommand, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (planCommand->parsed()) {
    arguments.options.stopAfter = Stage::Plan;
    arguments.emit.clear();
    return run(arguments);
  }
  arguments.options.stopAfter = *stageFromName(arguments.emit);
  bool binary = arguments.emit == "step" || arguments.emit == "obj";
  if (binary && arguments.output.empty())
    return complain("give the file to write, e.g. '-o step.so'");
  return run(arguments);
}
