//===- ftc.cpp - Compiles a recipe into a training step ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataLengths.h"

#include "ftc/Pipelines/Pipeline.h"
#include "ftc/Support/Files.h"
#include "ftc/Support/Suggest.h"
#include "ftc/Support/Units.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

using namespace ftc;
namespace fs = std::filesystem;

namespace {
/// The command line.
struct Arguments {
  std::string config, output, report, map, emit = "step";
  std::vector<std::string> overrides, data;
  CompileOptions options;
  bool timing = false;
};

void addCommonOptions(CLI::App &command, Arguments &arguments) {
  command.add_option("config", arguments.config, "The recipe, YAML as torchtune writes it")->required();
  command.add_option("overrides", arguments.overrides,
                     "key=value sets a key of the recipe, ~key removes one, in order");
  command
      .add_option(
          "--data", arguments.data,
          "What will be trained, as for ftrun: lets the data decide tokenizer.max_seq_len where it is null, and "
          "the lengths of rows. Given several times as there")
      ->type_name("PATH")
      ->allow_extra_args(false);
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
      ->type_name("DIR")
      ->check(CLI::Validator([](std::string &name) { return name.empty() ? "needs the name of a folder" : ""; }, ""));
  command
      .add_option(
          "--report", arguments.report,
          "Write the memory table and every decision of the passes, with place, bytes and reason, into this file "
          "('-': standard output)")
      ->type_name("FILE");
  command
      .add_option("--map", arguments.map,
                  "Write a page for a browser into this file that draws the memory: each buffer's bytes over the "
                  "launches during which it lives ('-': standard output)")
      ->type_name("FILE.html");
  command.add_flag("--timing", arguments.timing, "Tell how long each stage took");
}

void print(const std::vector<Diagnostic> &diagnostics) {
  for (const Diagnostic &diagnostic : diagnostics)
    std::fprintf(stderr, "%s\n", diagnostic.str().c_str());
}

int complain(const std::string &message) {
  std::fflush(stdout); // what was said before stands before
  std::fprintf(stderr, "ftc: error: %s\n", message.c_str());
  return 1;
}

/// Whether both names lead to one file, or will once it is there.
bool isSameFile(const std::string &a, const std::string &b) {
  std::error_code error;
  if (fs::equivalent(a, b, error))
    return true;
  return fs::weakly_canonical(a, error) == fs::weakly_canonical(b, error);
}

/// Whether `path` can be written to when all is done, and is none of `others` (what it is called, and its name). What
/// is no file, such as /dev/null or a pipe, is taken as it is.
bool canWrite(const std::string &option, const std::string &path,
              const std::vector<std::pair<std::string, std::string>> &others, std::string &message) {
  std::error_code ignored;
  if (path.empty() || path == "-" || (fs::exists(path, ignored) && fs::is_other(path, ignored)))
    return true;
  for (const auto &[what, other] : others)
    if (!other.empty() && other != "-" && isSameFile(path, other)) {
      message = option + " " + path + " would overwrite " + what + "; name another file";
      return false;
    }
  const AtomicFile probe(path); // removed again
  message = probe.error();
  return probe.ok();
}

/// Reads the recipe and compiles it. 0, or the exit code.
int run(Arguments &arguments) {
  std::string text, error;
  if (!readFile(arguments.config, text, error))
    return complain(error);
  std::vector<Diagnostic> diagnostics;
  DataLengths lengths;
  std::optional<Recipe> recipe =
      arguments.data.empty()
          ? parseRecipe(text, arguments.config, arguments.overrides, diagnostics)
          : parseRecipeFor(arguments.data, text, arguments.config, arguments.overrides, lengths, diagnostics);
  print(diagnostics);
  if (!recipe)
    return 1;
  print(recipe->remarks);
  bool binary = arguments.emit == "step" || arguments.emit == "obj";
  if (binary && arguments.output.empty())
    return complain("give the file to write, e.g. '-o step.so'");
  if (!arguments.report.empty() && arguments.options.stopAfter < Stage::Plan)
    return complain("--report tells of a plan, and --emit=" + arguments.emit +
                    " stops before it; leave one of them out");
  if (!arguments.map.empty() && arguments.options.stopAfter < Stage::Plan)
    return complain("--map draws a plan, and --emit=" + arguments.emit + " stops before it; leave one of them out");
  arguments.options.wantMap = !arguments.map.empty();
  for (std::string *path : {&arguments.report, &arguments.map})
    if (*path == "-")
      *path = "/dev/stdout";
  diagnostics.clear();
  std::vector<std::pair<std::string, std::string>> inputs{{"the recipe", arguments.config},
                                                          {"the device file", arguments.options.device}};
  for (const std::string &path : arguments.data)
    inputs.emplace_back("the data", path);
  if (!canWrite("--report", arguments.report, inputs, error))
    return complain(error);
  inputs.emplace_back("the report", arguments.report);
  if (!canWrite("--map", arguments.map, inputs, error))
    return complain(error);
  inputs.emplace_back("the map", arguments.map);
  if (!canWrite("-o", arguments.output, inputs, error))
    return complain(error);
  std::optional<CompileResult> result = compile(*recipe, arguments.options, diagnostics);
  print(diagnostics);
  if (!result)
    return 1;

  // The report goes where the output does not.
  bool toStdout = arguments.output.empty() || arguments.output == "-";
  bool hasOutput = arguments.options.stopAfter != Stage::Plan || arguments.emit == "plan";
  FILE *told = toStdout && hasOutput ? stderr : stdout;
  result->memoryReport += lengths.table;
  std::fputs(result->memoryReport.c_str(), told);
  std::fputs(result->decisions.c_str(), told);
  std::fflush(told); // the files may be where that goes
  if (!arguments.report.empty() &&
      !writeFileAtomically(arguments.report, result->memoryReport + result->decisions + result->allDecisions, error))
    return complain(error);
  if (!arguments.map.empty() && !writeFileAtomically(arguments.map, result->memoryMap, error))
    return complain(error);
  if (arguments.timing && !arguments.data.empty())
    std::fprintf(told, "  %-28s %s\n", "data", formatSeconds(lengths.seconds).c_str());
  if (arguments.timing)
    for (const auto &[stage, seconds] : result->seconds)
      std::fprintf(told, "  %-28s %s\n", stage.c_str(), formatSeconds(seconds).c_str());
  if (!hasOutput)
    return 0;
  if (toStdout) {
    std::fwrite(result->output.data(), 1, result->output.size(), stdout);
    return 0;
  }
  if (!writeFileAtomically(arguments.output, result->output, error))
    return complain(error);
  if (arguments.options.stopAfter == Stage::Step)
    std::fprintf(told, "wrote %s: %s of code and tables for %s, %s of memory\n", arguments.output.c_str(),
                 formatBytes(result->output.size()).c_str(), result->cpu.c_str(),
                 formatBytes(result->totalBytes).c_str());
  return 0;
}

/// All that was said is written, or it is an error: 0, or the exit code.
int finish(int code) {
  const bool failed = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fflush(stdout) == 0 && !failed)
    return code;
  const std::string cause = errno ? std::string(": ") + std::strerror(errno) : "";
  return code ? code : complain("cannot write to standard output" + cause + "; what is there is not whole");
}
} // namespace

int main(int argc, char **argv) {
  openStandardStreams();
  CLI::App app{"Compiles a fine-tuning recipe into one native training step.", "ftc"};
  app.set_version_flag("--version", std::string(compilerName()));
  app.require_subcommand(1);
  std::signal(SIGXFSZ, SIG_IGN); // a file that may grow no further: EFBIG, told like a full disk
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
  const std::map<std::string, ByLaunch> launches{{"device", ByLaunch::Device}, {"host", ByLaunch::Host}};
  compileCommand
      ->add_option(
          "--by-launch", arguments.options.byLaunch,
          "With --target cuda: make each launch of the plan an entry of its own, by the GPU's kernels (device) or "
          "the same launches by the CPU's (host); 'ftrun DEVICE.so --against HOST.so' compares them one by one")
      ->transform(CLI::CheckedTransformer(launches))
      ->type_name("device|host");
  CLI::App *planCommand = app.add_subcommand("plan", "Print the memory table of a recipe, without making code");
  addCommonOptions(*planCommand, arguments);
  if (const std::string word = argc > 1 ? argv[1] : ""; !word.empty() && word[0] != '-')
    if (const std::vector<std::string> commands{"compile", "plan"};
        std::find(commands.begin(), commands.end(), word) == commands.end()) {
      const std::optional<std::string> near = nearest(word, commands);
      complain("there is no command '" + word + "'" + (near ? "; did you mean '" + *near + "'?" : "") +
               (near ? "" : "; there are 'ftc compile' and 'ftc plan' (ftc --help)"));
      return 2;
    }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (planCommand->parsed()) {
    arguments.options.stopAfter = Stage::Plan;
    arguments.options.longestOnly = true;
    arguments.emit.clear();
    return finish(run(arguments));
  }
  arguments.options.stopAfter = *stageFromName(arguments.emit);
  return finish(run(arguments));
}
