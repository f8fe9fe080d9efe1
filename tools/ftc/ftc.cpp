//===- ftc.cpp - Compiles a recipe into a training step ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataLengths.h"

#include "ftc/Config/Device.h"
#include "ftc/Config/Keys.h"
#include "ftc/Data/RecipeData.h"
#include "ftc/Pipelines/Pipeline.h"
#include "ftc/Support/Files.h"
#include "ftc/Support/Processors.h"
#include "ftc/Support/Suggest.h"
#include "ftc/Support/Units.h"
#include "ftc/Support/Wrap.h"

#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/PrettyStackTrace.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

using namespace ftc;
namespace fs = std::filesystem;

namespace {
/// Most threads that a step is planned for.
constexpr unsigned mostThreads = 1024;

/// The command line.
struct Arguments {
  std::string config, output, report, map, emit = "step";
  std::string configOption; ///< --config
  std::vector<std::string> overrides, data;
  CompileOptions options;
  bool timing = false;
};

/// Descriptions in lines that fit beside the names on a terminal of 80 columns.
class HelpFormatter : public CLI::Formatter {
public:
  HelpFormatter() { column_width(nameColumns); }
  std::string make_option_desc(const CLI::Option *option) const override {
    return wrapped(CLI::Formatter::make_option_desc(option), 80 - nameColumns);
  }
  std::string make_subcommand(const CLI::App *command) const override {
    std::stringstream out;
    CLI::detail::format_help(out, command->get_display_name(true),
                             wrapped(command->get_description(), 80 - nameColumns), nameColumns);
    return out.str();
  }
  std::string make_description(const CLI::App *app) const override {
    return wrapped(CLI::Formatter::make_description(app), 80);
  }

private:
  static constexpr size_t nameColumns = 28;
};

/// "one, two and three".
std::string listed(const std::vector<std::string> &words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return text;
}

void addCommonOptions(CLI::App &command, Arguments &arguments) {
  command.add_option("recipe", arguments.config, "The recipe, YAML as torchtune writes it")->option_text(" ");
  command
      .add_option("overrides", arguments.overrides, "key=value sets a key of the recipe, ~key removes one, in order")
      ->option_text("...");
  command.add_option("--config", arguments.configOption, "The recipe, as torchtune's commands take it")
      ->option_text("FILE");
  command
      .add_option(
          "--data", arguments.data,
          "What will be trained, as for ftrun: lets the data decide tokenizer.max_seq_len where it is null, and "
          "the lengths of rows. Given several times as there")
      ->option_text("PATH")
      ->allow_extra_args(false);
  command
      .add_option("--mcpu", arguments.options.cpu,
                  "CPU to compile for: native (the default), or LLVM's name, e.g. x86-64-v3 (which is what native "
                  "means beside a GPU)")
      ->option_text("NAME");
  arguments.options.threads = std::min(availableProcessors(), mostThreads);
  command
      .add_option("--threads", arguments.options.threads,
                  "Most threads that the step may run on; memory is planned for so many. Default: FTC_THREADS in the "
                  "environment, or the processors of this machine, " +
                      std::to_string(arguments.options.threads))
      ->envname("FTC_THREADS")
      ->check(CLI::Range(1u, mostThreads))
      ->option_text("N");
  command.add_option("--target", arguments.options.target, "What to compile for: cpu (the default) or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->option_text("cpu|cuda");
  command
      .add_option("--device", arguments.options.device,
                  "GPU to compile for, with --target cuda: " + listed(knownDevices()) +
                      " are known; or a file like configs/devices/h100.yaml")
      ->option_text("NAME|FILE");
  command.add_option("--dump-ir", arguments.options.dumpFolder, "Write one numbered file a stage into this folder")
      ->option_text("DIR")
      ->check(CLI::Validator([](std::string &name) { return name.empty() ? "needs the name of a folder" : ""; }, ""));
  command.add_flag("--locations", arguments.options.printLocations,
                   "Print IR with the place of each op, from which later passes take names; ftc-opt reads it again");
  command
      .add_option("--crash-reproducer", arguments.options.crashReproducer,
                  "Where a pass fails or crashes, write the IR in front of it into this file, for ftc-opt "
                  "--run-reproducer")
      ->option_text("FILE");
  command
      .add_option(
          "--report", arguments.report,
          "Write the memory table and every decision of the passes, with place, bytes and reason, into this file "
          "('-': standard output)")
      ->option_text("FILE");
  command
      .add_option("--map", arguments.map,
                  "Write a page for a browser into this file that draws the memory: each buffer's bytes over the "
                  "launches during which it lives ('-': standard output)")
      ->option_text("FILE.html");
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

/// Whether a file is a step or an object: none of these is data, in whatever folder it lies.
bool isElf(const std::string &path) {
  char magic[4] = {};
  std::ifstream file(path, std::ios::binary);
  return file.read(magic, sizeof(magic)) && std::memcmp(magic, "\177ELF", sizeof(magic)) == 0;
}

/// Whether `path` is a file that is read with the folder `folder`.
bool isInFolder(const std::string &path, const std::string &folder) {
  std::error_code error;
  return fs::is_directory(folder, error) && fs::exists(path, error) && !isElf(path) &&
         pathInside(fs::weakly_canonical(path, error), fs::weakly_canonical(folder, error));
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
    } else if (!other.empty() && isInFolder(path, other)) {
      message = option + " " + path + " would overwrite a file in the folder of " + what + ", " + other +
                "; name another file";
      return false;
    }
  const AtomicFile probe(path); // removed again
  message = probe.error();
  return probe.ok();
}

/// What torchtune's commands are called here; "" for other words.
std::string commandOfTorchtune(const std::string &word) {
  static const std::map<std::string, std::string> commands{
      {"run", "a recipe is compiled, and then the step is run: 'ftc compile RECIPE.yaml -o step.so', then 'ftrun "
              "step.so --data FILE'"},
      {"validate", "'ftc plan RECIPE.yaml' checks every key, and tells what memory the step takes"},
      {"cp", "configs/ holds the recipes; copy one, or give keys on the command line (ftc compile RECIPE.yaml -o "
             "step.so key=value)"},
      {"ls", "configs/ holds the recipes, and torchtune's own are taken as they are (ftc plan RECIPE.yaml)"},
      {"cat", "configs/ holds the recipes"},
      {"download", "nothing is downloaded here; Hugging Face's 'hf download MODEL --local-dir DIR' does it, and "
                   "checkpointer.checkpoint_dir=DIR names the folder"}};
  const auto found = commands.find(word);
  return found == commands.end() ? "" : found->second;
}

/// The recipe that is meant by a name of torchtune's, as "llama3_1/8B_lora_single_device", if there is such a file: in
/// configs/ here, in the tree that this program was built in, or where it was installed. "" otherwise.
std::string recipeCalled(const std::string &name) {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path prefix = program.parent_path().parent_path(); // of bin/ftc; of build/bin/ftc it is the build folder
  for (const fs::path &folder :
       {fs::path(), fs::path("configs"), prefix.parent_path() / "configs", prefix / "share/ftc/configs"})
    for (const char *ending : {"", ".yaml"})
      if (const fs::path file = folder / (name + ending); fs::is_regular_file(file, error))
        return file.string();
  return "";
}

/// Decides which word of the command line is the recipe. 0, or the exit code.
int nameRecipe(Arguments &arguments) {
  const bool isOverride = arguments.config.find('=') != std::string::npos || arguments.config.starts_with('~');
  if (arguments.configOption.empty()) {
    std::error_code error;
    if (arguments.config.empty() || (isOverride && !fs::exists(arguments.config, error))) {
      complain("name the recipe first, as in 'ftc compile RECIPE.yaml -o step.so key=value'; configs/ holds some");
      return 2;
    }
    return 0;
  }
  if (isOverride) {
    arguments.overrides.insert(arguments.overrides.begin(), arguments.config);
  } else if (!arguments.config.empty()) {
    complain("'" + arguments.config +
             "' is left over: --config names the recipe, whose keys say what is trained (there is no name for that as "
             "in 'tune run lora_finetune_single_device'); leave one of the two out");
    return 2;
  }
  arguments.config = arguments.configOption;
  return 0;
}

/// Reads the recipe and compiles it. 0, or the exit code.
int run(Arguments &arguments) {
  if (const int code = nameRecipe(arguments))
    return code;
  std::string text, error;
  if (!readFile(arguments.config, text, error)) {
    std::error_code ignored;
    const std::string near = fs::exists(arguments.config, ignored) ? "" : recipeCalled(arguments.config);
    return complain(error + (near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  std::vector<Diagnostic> diagnostics;
  DataLengths lengths;
  std::optional<Recipe> recipe =
      arguments.data.empty()
          ? parseRecipe(text, arguments.config, arguments.overrides, diagnostics)
          : parseRecipeFor(arguments.data, text, arguments.config, arguments.overrides, lengths, diagnostics);
  print(diagnostics);
  if (!recipe)
    return 1;
  if (arguments.options.target != "cpu") // which is what the key asks for
    std::erase_if(recipe->remarks, isAboutDevice);
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
  for (const std::string &path : allDataFiles(*recipe, arguments.data))
    inputs.emplace_back("the data", path);
  for (const std::string &path : allModelFiles(*recipe))
    inputs.emplace_back("a file of the model", path);
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
  bool toStdout = arguments.output.empty() || arguments.output == "-" || isStandardOutput(arguments.output);
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
  llvm::setBugReportMsg(
      "ftc: a fault of ftc's, and not of the recipe. What helps to find it: the recipe, this command, "
      "and the file that it writes with --crash-reproducer FILE.\n");
  const llvm::InitLLVM onCrash(argc, argv, /*InstallPipeSignalExitHandler=*/false);
  CLI::App app{"Compiles a fine-tuning recipe into one native training step, which ftrun runs.", "ftc"};
  app.set_version_flag("--version", std::string(compilerName()));
  app.formatter(std::make_shared<HelpFormatter>());
  app.require_subcommand(1);
  app.footer("Examples:\n"
             "  ftc plan configs/llama3_1/8B_lora_single_device.yaml\n"
             "  ftc compile configs/demo/tiny_llama.yaml -o step.so batch_size=4 dtype=bf16\n"
             "  ftc compile lora.yaml --data a.json --target cuda --device h100 -o step.so\n"
             "docs/from-torchtune.md sets torchtune's commands beside these.");
  std::signal(SIGXFSZ, SIG_IGN); // a file that may grow no further: EFBIG, told like a full disk
  // Of one command each: CLI11 gives what the environment says to the options of either, used or not.
  Arguments arguments, planArguments;
  CLI::App *compileCommand =
      app.add_subcommand("compile", "Compile a recipe into a step; prints the memory table and the main decisions");
  addCommonOptions(*compileCommand, arguments);
  compileCommand
      ->add_option("-o,--output", arguments.output,
                   "File to write, whole or not at all; '-' is standard output, the default with --emit")
      ->option_text("FILE");
  compileCommand
      ->add_option("--emit", arguments.emit,
                   "Stop after a stage and write it: IR (train, train-opt, plan, llvm), the manifest, a GPU's kernels "
                   "(ptx), an object (obj) or the step (the default)")
      ->check(CLI::IsMember({"train", "train-opt", "plan", "manifest", "ptx", "llvm", "obj", "step"}))
      ->option_text("STAGE");
  const std::map<std::string, ByLaunch> launches{{"device", ByLaunch::Device}, {"host", ByLaunch::Host}};
  compileCommand
      ->add_option(
          "--by-launch", arguments.options.byLaunch,
          "With --target cuda: make each launch of the plan an entry of its own, by the GPU's kernels (device) or "
          "the same launches by the CPU's (host); 'ftrun DEVICE.so --against HOST.so' compares them one by one")
      ->transform(CLI::CheckedTransformer(launches))
      ->option_text("device|host");
  compileCommand->footer("Example: ftc compile configs/demo/tiny_llama.yaml -o step.so batch_size=4");
  CLI::App *planCommand = app.add_subcommand(
      "plan", "Tell what a recipe takes, without making code: memory, work, time at best, and what was decided");
  addCommonOptions(*planCommand, planArguments);
  planCommand->footer("Example: ftc plan configs/llama3_1/8B_lora_single_device.yaml --map map.html");
  if (const std::string word = argc > 1 ? argv[1] : ""; !word.empty() && word[0] != '-')
    if (const std::vector<std::string> commands{"compile", "plan"};
        std::find(commands.begin(), commands.end(), word) == commands.end()) {
      const std::string here = commandOfTorchtune(word);
      const std::optional<std::string> near = nearest(word, commands);
      complain("there is no command '" + word + "'" +
               (!here.empty() ? "; " + here
                : near        ? "; did you mean '" + *near + "'?"
                              : "; there are 'ftc compile' and 'ftc plan' (ftc --help)"));
      return 2;
    }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (planCommand->parsed()) {
    planArguments.options.stopAfter = Stage::Plan;
    planArguments.options.longestOnly = true;
    planArguments.emit.clear();
    return finish(run(planArguments));
  }
  arguments.options.stopAfter = *stageFromName(arguments.emit);
  return finish(run(arguments));
}
